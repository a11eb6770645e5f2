//! What a message's headers ask of the stream that takes it.

use crate::number::Number;
use crate::schedule::{Schedule, ScheduleFault};
use api::ApiError;
use api::errors::*;
use moment::GoDuration;
use std::time::Duration;
use subject::Subject;
use wire::headers::Headers;

/// The message id.
pub const MSG_ID: &str = "Nats-Msg-Id";
/// This message replaces others.
pub const ROLLUP: &str = "Nats-Rollup";
/// How long the message stays.
pub const TTL: &str = "Nats-TTL";
/// Why the server put this message there.
pub const MARKER: &str = "Nats-Marker-Reason";
/// The amount a counter changes by.
pub const INCREMENT: &str = "Nats-Incr";
/// What other streams counted.
pub const COUNTER_SOURCES: &str = "Nats-Counter-Sources";
/// Where a copied message comes from.
pub const STREAM_SOURCE: &str = "Nats-Stream-Source";
/// The batch a message belongs to.
pub const BATCH_ID: &str = "Nats-Batch-Id";
/// Its number in the batch.
pub const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
/// The batch is complete.
pub const BATCH_COMMIT: &str = "Nats-Batch-Commit";
/// The schedule that produced a message.
pub const SCHEDULER: &str = "Nats-Scheduler";
/// When it will produce the next one.
pub const SCHEDULE_NEXT: &str = "Nats-Schedule-Next";
/// When messages are to be produced.
pub const SCHEDULE: &str = "Nats-Schedule";

/// Longest header block that is stored.
pub const MAX_HEADER_BYTES: usize = u16::MAX as usize;
/// Longest life that is told from one that never ends.
const MAX_TTL_SECONDS: i64 = i64::MAX / 1_000_000_000;

/// Which messages a message replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollup {
    /// Those of its subject.
    Subject,
    /// All of the stream.
    All,
}

/// How long a message may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// For so long.
    For(Duration),
    /// Whatever the stream's own limit of age says.
    Forever,
}

/// What the headers of a message say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// Its id.
    pub id: Option<&'a [u8]>,
    /// The batch it belongs to.
    pub batch: Option<&'a [u8]>,
    /// Its number in there.
    pub batch_sequence: Option<&'a [u8]>,
    /// Whether the batch is complete.
    pub batch_commit: Option<&'a [u8]>,
    /// The level of the API that is needed.
    pub required_level: Option<&'a [u8]>,
    /// The schedule that produced it.
    pub scheduler: Option<&'a [u8]>,
    /// When it will produce the next one.
    pub schedule_next: Option<&'a [u8]>,
    /// When messages are to be produced.
    pub schedule: Option<&'a [u8]>,
    /// Where it was copied from.
    pub source: Option<&'a [u8]>,
    /// Why the server put it there.
    pub marker: Option<&'a [u8]>,
    /// What other streams counted.
    pub counter_sources: Option<&'a [u8]>,
    expected_stream: Option<&'a [u8]>,
    expected_last_seq: Option<&'a [u8]>,
    expected_last_subject_seq: Option<&'a [u8]>,
    expected_subject: Option<&'a [u8]>,
    expected_last_id: Option<&'a [u8]>,
    rollup: Option<&'a [u8]>,
    ttl: Option<&'a [u8]>,
    increment: Option<&'a [u8]>,
    schedule_zone: Option<&'a [u8]>,
    schedule_target: Option<&'a [u8]>,
    schedule_source: Option<&'a [u8]>,
    schedule_ttl: Option<&'a [u8]>,
    schedule_rollup: Option<&'a [u8]>,
}

impl<'a> Wishes<'a> {
    /// Reads a header block.
    pub fn read(headers: &'a [u8]) -> Wishes<'a> {
        let mut wishes = Wishes::default();
        // Most messages have none of these headers, and many have none at all.
        if headers.is_empty() || !has_prefix(headers) {
            return wishes;
        }
        for (name, value) in Headers::new(headers).iter() {
            if let Some(rest) = name.strip_prefix(b"Nats-")
                && let Some(place) = wishes.place(rest)
            {
                place.get_or_insert(value);
            }
        }
        wishes
    }

    fn place(&mut self, name: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        Some(match name {
            b"Msg-Id" => &mut self.id,
            b"Expected-Stream" => &mut self.expected_stream,
            b"Expected-Last-Sequence" => &mut self.expected_last_seq,
            b"Expected-Last-Subject-Sequence" => &mut self.expected_last_subject_seq,
            b"Expected-Last-Subject-Sequence-Subject" => &mut self.expected_subject,
            b"Expected-Last-Msg-Id" => &mut self.expected_last_id,
            b"Rollup" => &mut self.rollup,
            b"TTL" => &mut self.ttl,
            b"Marker-Reason" => &mut self.marker,
            b"Incr" => &mut self.increment,
            b"Counter-Sources" => &mut self.counter_sources,
            b"Stream-Source" => &mut self.source,
            b"Batch-Id" => &mut self.batch,
            b"Batch-Sequence" => &mut self.batch_sequence,
            b"Batch-Commit" => &mut self.batch_commit,
            b"Required-Api-Level" => &mut self.required_level,
            b"Schedule" => &mut self.schedule,
            b"Schedule-Time-Zone" => &mut self.schedule_zone,
            b"Schedule-Target" => &mut self.schedule_target,
            b"Schedule-Source" => &mut self.schedule_source,
            b"Schedule-TTL" => &mut self.schedule_ttl,
            b"Schedule-Rollup" => &mut self.schedule_rollup,
            b"Schedule-Next" => &mut self.schedule_next,
            b"Scheduler" => &mut self.scheduler,
            _ => return None,
        })
    }

    /// How much a counter changes.
    pub(crate) fn increment(&self) -> Result<Option<Number>, ApiError> {
        match filled(self.increment) {
            None => Ok(None),
            Some(text) => Number::parse(text).map(Some).ok_or_else(|| MESSAGE_INCR_INVALID.into()),
        }
    }

    /// Whether anything is asked that makes no sense for a counter.
    pub(crate) fn expects_or_replaces(&self) -> bool {
        let all = [
            self.rollup,
            self.expected_stream,
            self.expected_last_id,
            self.expected_subject,
            self.expected_last_seq,
            self.expected_last_subject_seq,
        ];
        all.into_iter().any(|value| filled(value).is_some())
    }

    /// Whether the message is for this stream.
    pub(crate) fn check_stream(&self, name: &str) -> Result<(), ApiError> {
        match filled(self.expected_stream) {
            Some(expected) if expected != name.as_bytes() => Err(STREAM_NOT_MATCH.into()),
            _ => Ok(()),
        }
    }

    /// The last sequence that the stream should have.
    pub(crate) fn expected_last_seq(&self) -> Option<u64> {
        filled(self.expected_last_seq).map(parse_number)
    }

    /// The last message id that the stream should have.
    pub(crate) fn expected_last_id(&self) -> Option<&'a [u8]> {
        filled(self.expected_last_id)
    }

    /// The subject whose last sequence matters, when one does, and that sequence.
    pub(crate) fn expected_of_subject<'s>(&'s self, own: &'s [u8]) -> Result<Option<(&'s [u8], u64)>, ApiError> {
        match (filled(self.expected_last_subject_seq), filled(self.expected_subject)) {
            (None, Some(_)) => Err(STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID.into()),
            (None, None) => Ok(None),
            (Some(seq), subject) => Ok(Some((subject.unwrap_or(own), parse_number(seq)))),
        }
    }

    /// Which messages this one replaces.
    pub(crate) fn rollup(&self, is_permitted: bool) -> Result<Option<Rollup>, ApiError> {
        let Some(value) = filled(self.rollup) else { return Ok(None) };
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

    /// Whether it wants to take the place of everything.
    pub(crate) fn replaces_all(&self) -> bool {
        filled(self.rollup).is_some_and(|value| value.eq_ignore_ascii_case(b"all"))
    }

    /// How long it may stay.
    pub(crate) fn lifetime(&self) -> Result<Option<Lifetime>, ApiError> {
        filled(self.ttl).map_or(Ok(None), |text| lifetime(text).ok_or_else(|| MESSAGE_TTL_INVALID.into()))
    }

    /// Its schedule.
    pub(crate) fn schedule(&self) -> Result<Option<Schedule>, ApiError> {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap_or("\0");
        let zone = self.schedule_zone.map(text);
        if filled(self.schedule).is_none() && zone.is_none() {
            return Ok(None);
        }
        match Schedule::parse(self.schedule.map(text).unwrap_or_default(), zone) {
            Ok(schedule) => Ok(Some(schedule)),
            Err(ScheduleFault::TimeZone) => Err(MESSAGE_SCHEDULES_TIME_ZONE_INVALID.into()),
            // A zone alone asks for nothing.
            Err(ScheduleFault::Pattern) if filled(self.schedule).is_none() => Ok(None),
            Err(ScheduleFault::Pattern) => Err(MESSAGE_SCHEDULES_PATTERN_INVALID.into()),
        }
    }

    /// What else a schedule says, once it is known that it is one.
    pub(crate) fn check_schedule(
        &self,
        own: &[u8],
        allows_ttl: bool,
        stores: impl Fn(Subject<'_>) -> bool,
    ) -> Result<(), ApiError> {
        let ttl = filled(self.schedule_ttl);
        if ttl.is_some_and(|text| lifetime(text).is_none()) {
            return Err(MESSAGE_SCHEDULES_TTL_INVALID.into());
        }
        if filled(self.schedule_rollup).is_some_and(|text| text != b"sub") {
            return Err(MESSAGE_SCHEDULES_ROLLUP_INVALID.into());
        }
        if ttl.is_some() && !allows_ttl {
            return Err(MESSAGE_TTL_DISABLED.into());
        }
        let target = self.schedule_target().and_then(|text| Subject::parse(text).ok()).filter(|s| s.is_literal());
        let Some(target) = self.schedule_target().filter(|text| *text != own).and(target) else {
            return Err(MESSAGE_SCHEDULES_TARGET_INVALID.into());
        };
        let source = match self.schedule_source() {
            None => None,
            Some(text) if Some(text) == self.schedule_target() || text == own => {
                return Err(MESSAGE_SCHEDULES_SOURCE_INVALID.into());
            }
            Some(text) => match Subject::parse(text).ok().filter(|subject| subject.is_literal()) {
                None => return Err(MESSAGE_SCHEDULES_SOURCE_INVALID.into()),
                found => found,
            },
        };
        if !stores(target) {
            return Err(MESSAGE_SCHEDULES_TARGET_INVALID.into());
        }
        if source.is_some_and(|source| !stores(source)) {
            return Err(MESSAGE_SCHEDULES_SOURCE_INVALID.into());
        }
        match filled(self.rollup) {
            Some(rollup) if !rollup.eq_ignore_ascii_case(b"sub") => Err(MESSAGE_SCHEDULES_ROLLUP_INVALID.into()),
            _ => Ok(()),
        }
    }

    /// Whether it says itself what it replaces.
    pub(crate) fn has_rollup(&self) -> bool {
        filled(self.rollup).is_some()
    }

    /// Where a schedule publishes.
    pub(crate) fn schedule_target(&self) -> Option<&'a [u8]> {
        filled(self.schedule_target)
    }

    /// Whose last message a schedule publishes.
    pub(crate) fn schedule_source(&self) -> Option<&'a [u8]> {
        filled(self.schedule_source)
    }

    /// What a produced message says about its life and about what it replaces.
    pub(crate) fn schedule_extras(&self) -> [(&'static str, Option<&'a [u8]>); 2] {
        [(TTL, filled(self.schedule_ttl)), (ROLLUP, filled(self.schedule_rollup))]
    }
}

/// An empty header says nothing.
fn filled(value: Option<&[u8]>) -> Option<&[u8]> {
    value.filter(|value| !value.is_empty())
}

/// Whether any header could be one of ours.
fn has_prefix(headers: &[u8]) -> bool {
    headers.windows(7).any(|window| window == b"\r\nNats-")
}

/// A number as a header says it; what is none can match no sequence.
fn parse_number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX)
}

/// A life in seconds, as a duration of at least one second, or without end.
fn lifetime(text: &[u8]) -> Option<Option<Lifetime>> {
    let text = std::str::from_utf8(text).ok()?;
    if text.eq_ignore_ascii_case("never") {
        return Some(Some(Lifetime::Forever));
    }
    let seconds = match text.parse::<GoDuration>() {
        Ok(GoDuration(nanos)) if nanos < 1_000_000_000 => return None,
        Ok(GoDuration(nanos)) => nanos / 1_000_000_000,
        Err(_) => text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok()).flatten()?,
    };
    let whole = u64::try_from(seconds.min(MAX_TTL_SECONDS)).ok()?;
    Some((whole > 0).then(|| Lifetime::For(Duration::from_secs(whole))))
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
        assert!(wishes.id.is_none() && wishes.lifetime() == Ok(None) && wishes.expected_last_seq().is_none());
    }

    #[test]
    fn a_number_that_is_none_matches_nothing() {
        let headers = block("Nats-Expected-Last-Sequence: x\r\n");
        assert_eq!(Wishes::read(&headers).expected_last_seq(), Some(u64::MAX));
    }

    #[test]
    fn a_subject_without_sequence_is_refused() {
        let headers = block("Nats-Expected-Last-Subject-Sequence-Subject: a\r\n");
        assert_eq!(Wishes::read(&headers).expected_of_subject(b"own").expect_err("incomplete").err_code, 10193);
        let headers = block("Nats-Expected-Last-Subject-Sequence: 0\r\n");
        assert_eq!(Wishes::read(&headers).expected_of_subject(b"own"), Ok(Some((&b"own"[..], 0))));
    }

    #[test]
    fn of_two_headers_of_a_name_the_first_counts() {
        let headers = block("Nats-Msg-Id: one\r\nNats-Msg-Id: two\r\n");
        assert_eq!(Wishes::read(&headers).id, Some(&b"one"[..]));
    }

    #[test]
    fn lifetimes_are_numbers_durations_or_never() {
        let seconds = |count| Some(Some(Lifetime::For(Duration::from_secs(count))));
        assert_eq!(lifetime(b"5"), seconds(5));
        assert_eq!(lifetime(b"1.9s"), seconds(1));
        assert_eq!(lifetime(b"1h30m"), seconds(5400));
        assert_eq!(lifetime(b"Never"), Some(Some(Lifetime::Forever)));
        assert_eq!(lifetime(b"9223372036854775807"), seconds(MAX_TTL_SECONDS as u64));
        for text in ["x", "500ms", "-5", "0", "9223372036854775808", "1e308"] {
            assert_eq!(lifetime(text.as_bytes()), None, "{text}");
        }
    }
}
