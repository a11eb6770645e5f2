//! Texts of peers and people.

use moment::{GoDuration, Timestamp};
use session::{ClientLabel, ConnectOptions};

/// The argument of a CONNECT, and how a trace shows it.
pub(crate) fn connect(bytes: &[u8]) {
    let _ = ConnectOptions::parse(bytes).map(|options| ClientLabel::of(&options).map(|label| label.to_string()));
    assert!(!ConnectOptions::shown(bytes).contains('\n'), "a trace is one line");
}

/// Durations and timestamps: what is written reads the same.
pub(crate) fn moments(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(duration) = text.parse::<GoDuration>() {
        assert_eq!(duration.to_string().parse(), Ok(duration), "a duration has a text");
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        assert_eq!(time.to_string().parse(), Ok(time), "a time has a text");
    }
}
