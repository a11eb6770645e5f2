//! The time of day, and how long something has been.

use std::time::SystemTime;

use moment::Timestamp;

/// The time of day.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// From one time to another, as people read it.
pub(crate) fn span(from: Timestamp, to: Timestamp) -> String {
    moment::uptime(to.since(from))
}
