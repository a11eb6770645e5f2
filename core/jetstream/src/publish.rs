//! What a message's headers ask of the stream that takes it.

use api::ApiError;
use api::errors::*;
use moment::GoDuration;
use wire::headers::Headers;

/// The message id.
pub const MSG_ID: &str = "Nats-Msg-Id";
/// The stream that should take it.
pub const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
/// The last sequence of the stream.
pub const EXPECTED_LAST_SEQ: &str = "Nats-Expected-Last-Sequence";
/// The last sequence of the subject.
pub const EXPECTED_LAST_SUBJECT_SEQ: &str = "Nats-Expected-Last-Subject-Sequence";
/// Which subject is meant by that.
pub const EXPECTED_LAST_SUBJECT_SEQ_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
/// The last message id.
pub const EXPECTED_LAST_MSG_ID: &str = "Nats-Expected-Last-Msg-Id";
/// This message replaces others.
pub const ROLLUP: &str = "Nats-Rollup";
/// How long the message stays.
pub const TTL: &str = "Nats-TTL";
const INCREMENT: &str = "Nats-Incr";
const BATCH_ID: &str = "Nats-Batch-Id";
const SCHEDULE: &str = "Nats-Schedule";
const STREAM_SOURCE: &str = "Nats-Stream-Source";

/// Longest header block that is stored.
pub const MAX_HEADER_BYTES: usize = u16::MAX as usize;

/// Which messages a message replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollup {
    /// Those of its subject.
    Subject,
    /// All of the stream.
    All,
}

/// What the headers of a message say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// Its id.
    pub id: Option<&'a [u8]>,
    expected_stream: Option<&'a [u8]>,
    expected_last_seq: Option<Option<u64>>,
    expected_last_subject_seq: Option<Option<u64>>,
    expected_subject: Option<&'a [u8]>,
    expected_last_id: Option<&'a [u8]>,
    rollup: Option<&'a [u8]>,
    ttl: Option<&'a [u8]>,
    has_increment: bool,
    has_batch: bool,
    has_schedule: bool,
    has_source: bool,
}

impl<'a> Wishes<'a> {
    /// Reads a header block.
    pub fn read(headers: &'a [u8]) -> Wishes<'a> {
        // Most messages have none of these headers, and many have none at all.
        if headers.is_empty() || !has_prefix(headers) {
            return Wishes::default();
        }
        let block = Headers::new(headers);
        let number = |name| block.get(name).map(parse_number);
        Wishes {
            id: block.get(MSG_ID).filter(|id| !id.is_empty()),
            expected_stream: block.get(EXPECTED_STREAM).filter(|name| !name.is_empty()),
            expected_last_seq: number(EXPECTED_LAST_SEQ),
            expected_last_subject_seq: number(EXPECTED_LAST_SUBJECT_SEQ),
            expected_subject: block.get(EXPECTED_LAST_SUBJECT_SEQ_SUBJECT).filter(|subject| !subject.is_empty()),
            expected_last_id: block.get(EXPECTED_LAST_MSG_ID).filter(|id| !id.is_empty()),
            rollup: block.get(ROLLUP).filter(|value| !value.is_empty()),
            ttl: block.get(TTL).filter(|value| !value.is_empty()),
            has_increment: block.get(INCREMENT).is_some(),
            has_batch: block.get(BATCH_ID).is_some(),
            has_schedule: block.get(SCHEDULE).is_some(),
            has_source: block.get(STREAM_SOURCE).is_some(),
        }
    }

    /// Refuses what this stream does not offer, before anything else is looked at.
    pub fn check_offered(&self) -> Result<(), ApiError> {
        if self.has_source {
            return Err(MESSAGE_SOURCE_HDR_NOT_ALLOWED.into());
        }
        if self.has_batch {
            return Err(ATOMIC_PUBLISH_DISABLED.into());
        }
        if let Some(ttl) = self.ttl {
            check_ttl(ttl)?;
            return Err(MESSAGE_TTL_DISABLED.into());
        }
        if self.has_increment {
            return Err(MESSAGE_INCR_DISABLED.into());
        }
        Ok(())
    }

    /// Whether the message is for this stream.
    pub fn check_stream(&self, name: &str) -> Result<(), ApiError> {
        match self.expected_stream {
            Some(expected) if expected != name.as_bytes() => Err(STREAM_NOT_MATCH.into()),
            _ => Ok(()),
        }
    }

    /// Whether the stream is where the publisher thinks it is.
    pub fn check_last(&self, last_seq: u64, last_id: &[u8]) -> Result<(), ApiError> {
        if let Some(expected) = self.expected_last_seq
            && expected != Some(last_seq)
        {
            return Err(STREAM_WRONG_LAST_SEQUENCE.with(last_seq));
        }
        match self.expected_last_id {
            Some(expected) if expected != last_id => {
                Err(STREAM_WRONG_LAST_MSG_ID.with(String::from_utf8_lossy(last_id)))
            }
            _ => Ok(()),
        }
    }

    /// The subject whose last sequence matters, when one does.
    pub fn expected_subject(&self, own: &'a [u8]) -> Result<Option<&'a [u8]>, ApiError> {
        match (self.expected_last_subject_seq, self.expected_subject) {
            (None, Some(_)) => Err(STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID.into()),
            (None, None) => Ok(None),
            (Some(_), subject) => Ok(Some(subject.unwrap_or(own))),
        }
    }

    /// Whether that subject is where the publisher thinks it is; zero is a subject without messages.
    pub fn check_last_of_subject(&self, last: u64) -> Result<(), ApiError> {
        match self.expected_last_subject_seq {
            Some(expected) if expected != Some(last) => Err(STREAM_WRONG_LAST_SEQUENCE.with(last)),
            _ => Ok(()),
        }
    }

    /// Which messages this one replaces.
    pub fn rollup(&self, is_permitted: bool) -> Result<Option<Rollup>, ApiError> {
        let Some(value) = self.rollup else { return Ok(None) };
        if !is_permitted {
            return Err(STREAM_ROLLUP_FAILED.with("rollup not permitted"));
        }
        match value.to_ascii_lowercase().as_slice() {
            b"sub" => Ok(Some(Rollup::Subject)),
            b"all" => Ok(Some(Rollup::All)),
            other => {
                let text = format!("rollup value invalid: {:?}", String::from_utf8_lossy(other));
                Err(STREAM_ROLLUP_FAILED.with(text))
            }
        }
    }

    /// Refuses a schedule, which comes late in the order of checks.
    pub fn check_schedule(&self) -> Result<(), ApiError> {
        if self.has_schedule { Err(MESSAGE_SCHEDULES_DISABLED.into()) } else { Ok(()) }
    }
}

/// Whether any header could be one of ours.
fn has_prefix(headers: &[u8]) -> bool {
    headers.windows(7).any(|window| window == b"\r\nNats-")
}

/// A number as a header says it; what is none can match no sequence.
fn parse_number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

fn check_ttl(text: &[u8]) -> Result<(), ApiError> {
    let text = std::str::from_utf8(text).map_err(|_| MESSAGE_TTL_INVALID)?.trim();
    let is_valid = text == "never"
        || text.parse::<u64>().is_ok()
        || text.parse::<GoDuration>().is_ok_and(|duration| duration.0 >= 1_000_000_000);
    if is_valid { Ok(()) } else { Err(MESSAGE_TTL_INVALID.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &str) -> Vec<u8> {
        format!("NATS/1.0\r\n{lines}\r\n").into_bytes()
    }

    #[test]
    fn ordinary_headers_ask_for_nothing() {
        let headers = block("A: b\r\n");
        let wishes = Wishes::read(&headers);
        assert!(wishes.id.is_none() && wishes.check_offered().is_ok() && wishes.check_last(9, b"").is_ok());
    }

    #[test]
    fn a_number_that_is_none_matches_nothing() {
        let headers = block("Nats-Expected-Last-Sequence: x\r\n");
        let error = Wishes::read(&headers).check_last(0, b"").expect_err("x is no sequence");
        assert_eq!(error.description, "wrong last sequence: 0");
    }

    #[test]
    fn a_subject_without_sequence_is_refused() {
        let headers = block("Nats-Expected-Last-Subject-Sequence-Subject: a\r\n");
        assert_eq!(Wishes::read(&headers).expected_subject(b"own").expect_err("incomplete").err_code, 10193);
        let headers = block("Nats-Expected-Last-Subject-Sequence: 0\r\n");
        assert_eq!(Wishes::read(&headers).expected_subject(b"own"), Ok(Some(&b"own"[..])));
    }

    #[test]
    fn lifetimes_are_numbers_durations_or_never() {
        for text in ["5", "1s", "1h30m", "never", "0"] {
            assert!(check_ttl(text.as_bytes()).is_ok(), "{text}");
        }
        for text in ["x", "500ms", "-5", ""] {
            assert!(check_ttl(text.as_bytes()).is_err(), "{text}");
        }
    }
}
