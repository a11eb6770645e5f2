//! What a change must pass, in the order in which it fails fastest. It never edits files.

use crate::{Failure, arrows, corpus, licences, shell, story};

pub(crate) fn run() -> Result<(), Failure> {
    shell::cargo(&["fmt", "--all", "--check"])?;
    arrows::run()?;
    licences::run()?;
    shell::cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    docs()?;
    shell::cargo(&["test", "--workspace", "--locked"])?;
    corpus::run()?;
    story::run()
}

/// Broken links in documentation are errors.
fn docs() -> Result<(), Failure> {
    let mut command = std::process::Command::new(shell::cargo_program());
    command.args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    shell::run(command.env("RUSTDOCFLAGS", "-D warnings").current_dir(shell::root()))
}
