//! Every file of the corpus through its target, on the stable compiler: `fuzz/` has a test that does it.

use crate::{Failure, shell};

pub(crate) fn run() -> Result<(), Failure> {
    let manifest = shell::root().join("fuzz").join("Cargo.toml");
    let target = shell::target();
    let mut command = std::process::Command::new(shell::cargo_program());
    command.args(["test", "--locked", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(target);
    shell::run(command.current_dir(shell::root()))
}

/// The names of all targets: each has a folder in the corpus.
pub(crate) fn targets() -> Result<Vec<String>, Failure> {
    let folder = shell::root().join("fuzz").join("corpus");
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}
