//! Every file of the corpus through its target, on the stable compiler: `fuzz/` has a test that does it.

use crate::{Failure, shell};

pub(crate) fn run() -> Result<(), Failure> {
    let manifest = shell::root().join("fuzz").join("Cargo.toml");
    let target = shell::target();
    let mut command = std::process::Command::new(shell::cargo_program());
    command.args(["test", "--locked", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(target);
    shell::run(command.current_dir(shell::root()))
}
