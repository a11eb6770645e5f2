//! Messages that somebody follows: what the stream makes of them is told, and those that are only followed are not stored.

use super::take::{NotTaken, Origin};
use super::{Incoming, Stream, Taken, Unfinished, fast};
use crate::asker::Asker;
use crate::follower::{Follower, Made};
use crate::log::Log;
use crate::outbox::{Now, Outbox};
use crate::publish::Wishes;
use crate::work::Work;
use api::ApiError;
use api::errors::*;
use std::sync::Arc;

impl<L: Log> Stream<L> {
    /// As [`Stream::publish`], of a message that is followed.
    pub(crate) fn publish_followed(
        &mut self,
        (incoming, asker): (&Incoming<'_>, Option<&Arc<dyn Asker>>),
        follower: &dyn Follower,
        (now, chance): (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<(), Unfinished> {
        if self.is_of_batch(incoming) {
            // What became of it is told to the batch as a whole.
            if !follower.is_only() {
                self.publish(incoming, asker, (now, chance), work, out)?;
            }
            self.tell(follower, None, None, now);
            return Ok(());
        }
        let mut subject = None;
        let origin = Origin::Client(asker);
        let checked = self.check(incoming, origin, None, (now, chance), work);
        if matches!(checked, Err(NotTaken::Unfinished)) {
            return Err(Unfinished);
        }
        if matches!(&checked, Err(NotTaken::Refused(error)) if error.err_code == STREAM_STORE_FAILED.err_code) {
            // There is no room for it, which is found out last, and not at all if it is only followed.
            subject = Some((self.stored_subject(incoming.subject, chance).into_owned(), false));
            if follower.is_only() {
                self.tell(follower, subject, None, now);
                return Ok(());
            }
        }
        let taken = checked.and_then(|checked| {
            subject = Some((checked.subject.to_vec(), !checked.is_wanted));
            if follower.is_only() {
                return Ok(None);
            }
            let seq = self.admit(&checked, (now, chance), work, out)?;
            Ok(Some(Taken { seq, counter: origin.told(&checked).cloned() }))
        });
        let error = taken.as_ref().err().map(|why| error_text(why, incoming.headers));
        self.tell(follower, subject, error, now);
        taken.transpose().map_or(Ok(()), |taken| self.answer_publisher(incoming, taken, out))
    }

    /// Tells that a message was refused before it was looked at.
    pub(crate) fn tell_refused(&self, follower: &dyn Follower, error: &ApiError, now: Now) {
        let error = error_text(&NotTaken::Refused(error.clone()), b"");
        self.tell(follower, None, Some(error), now);
    }

    fn tell(&self, follower: &dyn Follower, at: Option<(Vec<u8>, bool)>, error: Option<String>, now: Now) {
        let (subject, no_interest) = match &at {
            Some((subject, no_interest)) => (Some(subject.as_slice()), *no_interest),
            None => (None, false),
        };
        follower.tell(&Made { stream: self.name.as_str(), subject, no_interest, error, at: now.wall });
    }

    fn is_of_batch(&self, incoming: &Incoming<'_>) -> bool {
        let is_fast = incoming.reply.is_some_and(|reply| !self.config.no_ack && reply.ends_with(fast::SUFFIX));
        is_fast || Wishes::read(incoming.headers).batch.is_some_and(|id| !id.is_empty())
    }
}

/// Why a message was not taken, in the words that traces have for it.
pub(crate) fn error_text(why: &NotTaken, headers: &[u8]) -> String {
    let error = match why {
        NotTaken::Duplicate(_) => return "msgid is duplicate".to_owned(),
        NotTaken::Unfinished => return String::new(),
        NotTaken::Refused(error) => error,
    };
    let wishes = Wishes::read(headers);
    let is = |kind: ErrorKind| error.err_code == kind.err_code;
    // What the text says behind that of its kind.
    let told = |kind: ErrorKind| behind(error, kind);
    if is(STREAM_NOT_MATCH) {
        "expected stream does not match".to_owned()
    } else if is(MESSAGE_TTL_DISABLED) {
        "message TTL disabled".to_owned()
    } else if is(STREAM_WRONG_LAST_SEQUENCE) {
        let last = told(STREAM_WRONG_LAST_SEQUENCE);
        match (wishes.expected_of_subject(b""), wishes.expected_last_seq()) {
            (Ok(Some((_, expected))), _) => format!("last sequence by subject mismatch: {expected} vs {last}"),
            (_, expected) => format!("last sequence mismatch: {} vs {last}", expected.unwrap_or_default()),
        }
    } else if is(STREAM_WRONG_LAST_MSG_ID) {
        let expected = wishes.expected_last_id().map(String::from_utf8_lossy).unwrap_or_default();
        format!("last msgid mismatch: {expected:?} vs {:?}", told(STREAM_WRONG_LAST_MSG_ID))
    } else if is(STREAM_MESSAGE_EXCEEDS_MAXIMUM) || is(STREAM_HEADER_EXCEEDS_MAXIMUM) {
        "maximum payload exceeded".to_owned()
    } else if is(STREAM_ROLLUP_FAILED) {
        told(STREAM_ROLLUP_FAILED)
    } else if is(STREAM_STORE_FAILED) {
        told(STREAM_STORE_FAILED)
    } else {
        format!("{} ({})", error.description, error.err_code)
    }
}

/// What an error says in the place that its kind leaves open.
fn behind(error: &ApiError, kind: ErrorKind) -> String {
    let before = kind.text.split('{').next().unwrap_or_default();
    error.description.strip_prefix(before).unwrap_or(&error.description).to_owned()
}
