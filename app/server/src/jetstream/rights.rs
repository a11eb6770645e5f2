//! What a message has a stream do beyond storing it, and whether its sender may.
//!
//! A stream takes the place of other messages, and publishes to other subjects, on the word of a header. Whoever may publish to
//! one subject has no right to the others for that: what a message removes or has published its sender has to be free to publish
//! to. The reference asks for nothing.

use api::ApiError;
use api::errors::{MESSAGE_SCHEDULES_SCHEDULER_INVALID, MESSAGE_SCHEDULES_TARGET_INVALID, STREAM_ROLLUP_FAILED};
use broker::Sender;
use subject::Filter;
use wire::headers::Headers;

/// Why a message is not stored that was published to `subject` and came by a stream's subject `of_stream`.
pub(super) fn beyond_rights(
    of_stream: &Filter,
    subject: &[u8],
    headers: &[u8],
    sender: &Sender<'_>,
) -> Option<ApiError> {
    if headers.is_empty() || sender.publishes_freely() {
        return None;
    }
    let may_all = |filter: &Filter| sender.publishes_all(filter);
    // What can be no subject does nothing either.
    let may = |text: &[u8]| Filter::parse(text).map_or(true, |filter| may_all(&filter));
    Headers::new(headers).iter().find_map(|(key, value)| {
        let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
        if is("Nats-Rollup") && !may_roll_up(of_stream, subject, value, may_all) {
            return Some(STREAM_ROLLUP_FAILED.with("rollup not permitted"));
        }
        if is("Nats-Schedule-Target") && !may(value.trim_ascii()) {
            return Some(MESSAGE_SCHEDULES_TARGET_INVALID.into());
        }
        if is("Nats-Scheduler") && !may(value.trim_ascii()) {
            return Some(MESSAGE_SCHEDULES_SCHEDULER_INVALID.into());
        }
        None
    })
}

/// A rollup of `all` removes whatever the stream has; one of `sub` what the subject matches, which may have wildcards.
fn may_roll_up(of_stream: &Filter, subject: &[u8], value: &[u8], may_all: impl Fn(&Filter) -> bool) -> bool {
    if value.trim_ascii().eq_ignore_ascii_case(b"all") {
        return may_all(of_stream);
    }
    Filter::parse(subject).map_or(true, |filter| filter.is_literal() || may_all(&filter))
}
