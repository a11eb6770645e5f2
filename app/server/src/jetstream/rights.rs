//! What a message has a stream do beyond storing it, and whether its sender may.
//!
//! A stream takes the place of other messages, and publishes to other subjects, on the word of a header. Whoever may publish to
//! one subject has no right to the others for that: what a message removes or has published its sender has to be free to publish
//! to. The reference asks for nothing.

use api::ApiError;
use api::errors::{MESSAGE_SCHEDULES_SCHEDULER_INVALID, MESSAGE_SCHEDULES_TARGET_INVALID, STREAM_ROLLUP_FAILED};
use auth::Denial;
use broker::Sender;
use subject::Filter;
use wire::headers::Headers;

/// Why a message is not stored that was published to `subject` and came by a stream's subject `of_stream`: as its sender is told,
/// and by which rule.
pub(super) fn beyond_rights(
    of_stream: &Filter,
    subject: &[u8],
    headers: &[u8],
    sender: &Sender<'_>,
) -> Option<(ApiError, Denial)> {
    // What is looked at here is also what another cluster tells rights for.
    if sender.publishes_freely() || !broker::acts(headers) {
        return None;
    }
    Headers::new(headers).iter().find_map(|(key, value)| {
        let (needed, error) = needed(of_stream, subject, key, value.trim_ascii())?;
        sender.publish_all(&needed).err().map(|denial| (error, denial))
    })
}

/// What a header needs the right to publish to, and what is said without it.
fn needed(of_stream: &Filter, subject: &[u8], key: &[u8], value: &[u8]) -> Option<(Filter, ApiError)> {
    let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
    // What can be no subject does nothing.
    let named = |text: &[u8]| Filter::parse(text).ok();
    if is("Nats-Rollup") {
        // All removes whatever the stream has, and otherwise the subject what it matches.
        let removed = if value.eq_ignore_ascii_case(b"all") { Some(of_stream.clone()) } else { named(subject) };
        return Some((removed?, STREAM_ROLLUP_FAILED.with("rollup not permitted")));
    }
    if is("Nats-Schedule-Target") {
        return Some((named(value)?, MESSAGE_SCHEDULES_TARGET_INVALID.into()));
    }
    if is("Nats-Scheduler") {
        return Some((named(value)?, MESSAGE_SCHEDULES_SCHEDULER_INVALID.into()));
    }
    None
}
