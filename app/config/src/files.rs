//! Files on this machine, with the words operators know.

use std::io;

use secret::Secret;

/// Reads a file. Hand this to [`crate::load`].
///
/// # Errors
/// With the text for the operator, which names the file.
pub fn read_file(path: &str) -> Result<Secret<Vec<u8>>, String> {
    match std::fs::metadata(path) {
        Ok(facts) if facts.is_dir() => return Err(format!("read {path}: is a directory")),
        Ok(facts) if facts.len() > u64::try_from(conf::MAX_FILE_BYTES).unwrap_or(u64::MAX) => {
            return Err(format!("read {path}: larger than {} bytes", conf::MAX_FILE_BYTES));
        }
        _ => {}
    }
    std::fs::read(path).map(Secret::new).map_err(|error| format!("open {path}: {}", words(&error)))
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The process environment. Hand this to [`crate::load`].
pub fn environment(name: &str) -> Option<Secret<String>> {
    std::env::var(name).ok().map(Secret::new)
}
