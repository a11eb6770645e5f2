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

/// A point in time: `2026-03-04 15:00:00` in UTC, a timestamp with its zone, or a duration from now.
pub(crate) fn point_in_time(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(at) = text.parse().or_else(|_| format!("{}Z", text.replace(' ', "T")).parse()) {
        return Ok(at);
    }
    let span = duration(text).map_err(|_| "expected a time such as '2026-03-04 15:00:00' or a duration".to_owned())?;
    let span = jiff::SignedDuration::try_from(span).map_err(|error| error.to_string())?;
    Timestamp::now().checked_add(span).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_is_a_date_or_a_distance() {
        let wanted: Timestamp = "2026-03-04T15:00:00Z".parse().unwrap();
        for text in ["2026-03-04 15:00:00", "2026-03-04T15:00:00Z", "2026-03-04T16:00:00+01:00"] {
            assert_eq!(point_in_time(text), Ok(wanted), "{text}");
        }
        assert!(point_in_time("1h").unwrap() > Timestamp::now());
        assert!(point_in_time("soon").is_err());
    }
}
