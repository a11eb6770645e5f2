//! The configuration, key by key, and the command line, word by word. Sentences were taken from the reference server.

mod documents;
mod keys;
mod lines;
mod operators;
mod reload;
mod secrets;
mod start;
mod tokens;

use bulwark_config::{Diagnostics, Loaded, Support, World, load_text, load_with};
use secret::Secret;

/// Files of a scene, by path.
type Files<'a> = &'a [(&'a str, &'a str)];

pub(crate) fn in_world<T>(files: Files<'_>, then: impl FnOnce(World<'_>) -> T) -> T {
    let read_file = |path: &str| match files.iter().find(|(name, _)| *name == path) {
        Some((_, text)) => Ok(Secret::new(text.as_bytes().to_vec())),
        None => Err(format!("open {path}: no such file or directory")),
    };
    let environment = |name: &str| match name {
        "HOME" => Some(Secret::from("/home/nats")),
        "OPERATOR" => Some(Secret::from(tokens::OPERATOR)),
        "ACCOUNT_JWT" => Some(Secret::from(tokens::ACCOUNT_JWT)),
        "SENTINEL" => Some(Secret::from(tokens::SENTINEL)),
        _ => None,
    };
    then(World { environment: &environment, read_file: &read_file })
}

/// A text read by a server that can do everything.
pub(crate) fn read(text: &str) -> Result<Loaded, Diagnostics> {
    in_world(&[], |world| load_text("t.conf", text, world, &Support::everything().without_certificates()))
}

/// The settings of a text without mistakes.
pub(crate) fn settings(text: &str) -> bulwark_config::Settings {
    read(text).unwrap_or_else(|wrong| panic!("{text}\n{wrong}")).settings
}

/// What is wrong with a text, line by line.
pub(crate) fn mistakes(text: &str) -> Vec<String> {
    let wrong = read(text).err().unwrap_or_else(|| panic!("{text} has no mistake"));
    wrong.errors.iter().map(ToString::to_string).collect()
}

/// A command line with files.
pub(crate) fn start(line: &[&str], files: Files<'_>) -> Result<Loaded, Diagnostics> {
    let args: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
    in_world(files, |world| load_with(&args, world, &Support::everything().without_certificates()))
}
