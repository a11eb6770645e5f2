//! From what a person types to values: durations, sizes, words, files.

mod duration;
mod size;
mod words;

pub(crate) use duration::duration;
pub(crate) use size::{signed_size, size};
pub(crate) use words::{split_subjects, words};

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

/// A flag's value that must be the path of a file which is there.
pub(crate) fn existing_file(text: &str) -> Result<String, String> {
    match Path::new(text) {
        path if path.is_file() => Ok(text.to_owned()),
        path if path.exists() => Err(format!("'{text}' is a directory, expected a file")),
        _ => Err(format!("path '{text}' does not exist")),
    }
}

/// Splits `K:V` or `K=V` texts.
pub(crate) fn pair(text: &str, by: char) -> Option<(String, String)> {
    let (key, value) = text.split_once(by)?;
    Some((key.trim().to_owned(), value.trim().to_owned()))
}

/// The point in time that is so long ago.
pub(crate) fn ago(span: Duration) -> Timestamp {
    let nanos = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
    Timestamp::now().checked_sub(jiff::SignedDuration::from_nanos(nanos)).unwrap_or(Timestamp::UNIX_EPOCH)
}
