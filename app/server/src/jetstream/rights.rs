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

/// How a message comes to a stream.
pub(super) enum Way<'a> {
    /// By this subject of the stream's.
    Own(&'a Filter),
    /// By the interface of a domain, under this prefix, which the streams know nothing of.
    Interface(&'a [u8]),
}

impl<'a> Way<'a> {
    /// Of what is said to the interface of streams: buckets of another domain are written to through it.
    pub(super) fn by_interface(subject: &'a [u8]) -> Option<Self> {
        const API: &[u8] = b".API.";
        let rest = subject.strip_prefix(b"$JS.")?;
        // The name of a domain has no dots.
        let dot = rest.iter().position(|byte| *byte == b'.')?;
        let bucket = rest.get(dot..)?.strip_prefix(API)?;
        let prefix = subject.get(..subject.len() - bucket.len())?;
        [&b"$KV."[..], b"$OBJ."].iter().any(|kind| bucket.starts_with(kind)).then_some(Self::Interface(prefix))
    }

    /// A subject of the stream's as its sender has to name it.
    fn named(&self, text: &[u8]) -> Option<Filter> {
        // What can be no subject does nothing.
        match self {
            Self::Own(_) => Filter::parse(text).ok(),
            Self::Interface(prefix) => Filter::parse(&[prefix, text].concat()).ok(),
        }
    }
}

/// Why a message is not stored that was published to `subject`: as its sender is told, and by which rule.
pub(super) fn beyond_rights(
    way: &Way<'_>,
    subject: &[u8],
    headers: &[u8],
    sender: &Sender<'_>,
) -> Option<(ApiError, Denial)> {
    // What is looked at here is also what another cluster tells rights for.
    if sender.publishes_freely() || !broker::acts(headers) {
        return None;
    }
    Headers::new(headers).iter().find_map(|(key, value)| {
        let (needed, error) = needed(way, subject, key, value.trim_ascii())?;
        sender.publish_all(&needed).err().map(|denial| (error, denial))
    })
}

/// What a header needs the right to publish to, and what is said without it.
fn needed(way: &Way<'_>, subject: &[u8], key: &[u8], value: &[u8]) -> Option<(Filter, ApiError)> {
    let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
    if is("Nats-Rollup") {
        // All removes whatever the stream has, and otherwise the subject what it matches.
        let removed = match way {
            Way::Own(of_stream) if value.eq_ignore_ascii_case(b"all") => Some((*of_stream).clone()),
            // Which stream that is, and what it has, is known where it is kept.
            Way::Interface(_) if value.eq_ignore_ascii_case(b"all") => None,
            Way::Own(_) | Way::Interface(_) => Filter::parse(subject).ok(),
        };
        return Some((removed?, STREAM_ROLLUP_FAILED.with("rollup not permitted")));
    }
    if is("Nats-Schedule-Target") {
        return Some((way.named(value)?, MESSAGE_SCHEDULES_TARGET_INVALID.into()));
    }
    if is("Nats-Scheduler") {
        return Some((way.named(value)?, MESSAGE_SCHEDULES_SCHEDULER_INVALID.into()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_written_to_through_the_interface_of_a_domain_whatever_its_name() {
        let prefix = |subject: &'static str| match Way::by_interface(subject.as_bytes()) {
            Some(Way::Interface(prefix)) => std::str::from_utf8(prefix).ok(),
            _ => None,
        };
        for (subject, wanted) in [
            ("$JS.hub.API.$KV.B.key", "$JS.hub.API."),
            ("$JS.API.API.$KV.B.key", "$JS.API.API."),
            ("$JS.$KV.API.$OBJ.B.C.x", "$JS.$KV.API."),
        ] {
            assert_eq!(prefix(subject), Some(wanted), "{subject}");
        }
        for none in ["$JS.API.$KV.B.key", "$JS.hub.API.INFO", "$JS.hub.$KV.API.$KV.B", "hub.API.$KV.B.key", "$JS.hub"] {
            assert_eq!(prefix(none), None, "{none}");
        }
    }
}
