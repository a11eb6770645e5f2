//! Taking a message in: first everything is checked, then it is stored and nothing fails any more but the log.

use super::batches::Staged;
use super::counters::Counter;
use super::{Incoming, Stream, failed};
use crate::asker::Asker;
use crate::dedupe::MAX_ID_BYTES;
use crate::log::{Draft, Log, LogError, Stored};
use crate::number::Number;
use crate::outbox::{Now, Outbox};
use crate::publish::{COUNTER_SOURCES, INCREMENT, Lifetime, MAX_HEADER_BYTES, ROLLUP, Rollup, SCHEDULE, TTL, Wishes};
use crate::tenant::reading::sees;
use crate::work::{DISK_UNITS, Work};
use api::errors::*;
use api::{ApiError, Discard, Retention};
use moment::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use subject::{Filter, Subject};
use wire::headers;

/// Who brings a message.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// Somebody published it; who, if somebody who may not read everything.
    Client(Option<&'a Arc<dyn Asker>>),
    /// The stream itself: a marker, or what a schedule produced.
    Server,
    /// It is copied from another stream, which has checked it.
    Source,
}

impl Origin<'_> {
    /// What a counter says, if whoever brings the message may know: to add nothing to it would be to read it.
    pub(crate) fn told<'a>(&self, checked: &'a Checked<'_>) -> Option<&'a Counter> {
        let may_know = match self {
            Origin::Client(asker) => sees(*asker, &checked.subject),
            Origin::Server | Origin::Source => true,
        };
        checked.counter.as_ref().filter(|_| may_know)
    }
}

/// Why a message is not stored.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// It was stored before, under this sequence.
    Duplicate(u64),
    /// It makes no sense, or there is no room.
    Refused(ApiError),
    /// The turn is over before that is known. It is checked again from the beginning.
    Unfinished,
}

impl From<LogError> for NotTaken {
    fn from(error: LogError) -> NotTaken {
        match error {
            LogError::Failed(_) => NotTaken::Refused(failed()),
            LogError::Unfinished => NotTaken::Unfinished,
        }
    }
}

impl From<ApiError> for NotTaken {
    fn from(error: ApiError) -> NotTaken {
        NotTaken::Refused(error)
    }
}

impl From<ErrorKind> for NotTaken {
    fn from(kind: ErrorKind) -> NotTaken {
        NotTaken::Refused(kind.into())
    }
}

/// What a stored message does to the schedules of its stream.
#[derive(Debug)]
pub(super) enum Scheduling {
    /// It is one, due at this moment.
    Is(Timestamp),
    /// One produced it, and is due again.
    Again(Vec<u8>, Timestamp),
    /// One is done with it.
    Ends(Vec<u8>),
}

/// Whether a subject names itself alone.
fn is_literal(subject: &[u8]) -> bool {
    subject.split(|byte| *byte == b'.').all(|token| token != b"*" && token != b">")
}

/// A message that may be stored.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub subject: Cow<'a, [u8]>,
    pub headers: Cow<'a, [u8]>,
    pub payload: Cow<'a, [u8]>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) rollup: Option<Rollup>,
    pub(super) lifetime: Option<Lifetime>,
    pub(super) scheduling: Option<Scheduling>,
    /// What its counter says then.
    pub(crate) counter: Option<Counter>,
    /// Whether anybody needs it, where only what is needed is kept.
    pub(super) is_wanted: bool,
}

impl<L: Log> Stream<L> {
    /// Checks a message. `staged` is what its batch holds so far, which counts as if it were stored.
    pub(crate) fn check<'a>(
        &mut self,
        incoming: &Incoming<'a>,
        origin: Origin<'_>,
        staged: Option<&mut Staged>,
        at: (Now, u32),
        work: &mut Work,
    ) -> Result<Checked<'a>, NotTaken> {
        if self.config.sealed {
            return Err(STREAM_SEALED.into());
        }
        let must_count = self.config.allow_msg_counter && matches!(origin, Origin::Client(_));
        match incoming.headers.is_empty() && staged.is_none() && !must_count {
            true => self.check_bare(incoming, at.1, work),
            false => self.check_wishes(incoming, origin, staged, at, work),
        }
    }

    /// Finds out what has to be known of a message before it is stored, which one turn may not be enough for.
    #[inline]
    fn inquire(&mut self, checked: &mut Checked<'_>, is_of_many: bool, work: &mut Work) -> Result<(), LogError> {
        match self.rules.republish.is_none() && self.config.retention != Retention::Interest {
            true => Ok(()),
            false => self.look_around(checked, is_of_many, work),
        }
    }

    fn look_around(&mut self, checked: &mut Checked<'_>, is_of_many: bool, work: &mut Work) -> Result<(), LogError> {
        if self.rules.republish.is_some() {
            // Once it is known it can be told in a moment.
            self.log.last_of(&checked.subject, work)?;
        }
        checked.is_wanted = self.wants(&checked.subject, is_of_many, work)?;
        Ok(())
    }

    /// The same for what nobody waits for an answer to: it is not put off, and what it takes is spent behind it.
    pub(super) fn check_at_once<'a>(
        &mut self,
        incoming: &Incoming<'a>,
        origin: Origin<'_>,
        at: (Now, u32),
        work: &mut Work,
    ) -> Result<Checked<'a>, NotTaken> {
        let mut whole = Work::unbounded();
        let checked = self.check(incoming, origin, None, at, &mut whole);
        work.spend(whole.done());
        checked
    }

    fn check_wishes<'a>(
        &mut self,
        incoming: &Incoming<'a>,
        origin: Origin<'_>,
        mut staged: Option<&mut Staged>,
        (now, chance): (Now, u32),
        work: &mut Work,
    ) -> Result<Checked<'a>, NotTaken> {
        let (is_client, asker) = match origin {
            Origin::Client(asker) => (true, asker),
            Origin::Server | Origin::Source => (false, None),
        };
        let headers = plain_headers(incoming.headers);
        let subject = self.stored_subject(incoming.subject, chance);
        let wishes = Wishes::read(&headers);
        let increment = wishes.increment()?;
        if is_client && increment.is_some() {
            self.check_increment(&wishes, incoming.payload)?;
        }
        if is_client {
            wishes.check_stream(self.name.as_str())?;
        }
        let lifetime = self.check_lifetime(&wishes, is_client)?;
        if is_client && wishes.source.is_some_and(|source| !source.is_empty()) {
            return Err(MESSAGE_SOURCE_HDR_NOT_ALLOWED.into());
        }
        let id = self.check_id(&wishes, staged.as_deref_mut(), now)?;
        self.check_size(&headers, incoming.payload)?;
        if is_client {
            self.check_expectations(&wishes, &subject, staged.as_deref(), asker, work)?;
        }
        let scheduling = match origin {
            Origin::Source => None,
            _ => self.check_scheduling(&wishes, &subject, origin, now, work)?,
        };
        if let Some(expected) = wishes.expected_last_id().filter(|_| is_client)
            && expected != self.dedupe.last()
        {
            let is_told = self.rules.subjects.iter().all(|filter| reads_all(asker, filter));
            let last = if is_told { self.dedupe.last() } else { b"" };
            return Err(STREAM_WRONG_LAST_MSG_ID.with(String::from_utf8_lossy(last)).into());
        }
        let is_permitted = self.config.allow_rollup_hdrs && !self.config.deny_purge;
        let rollup = match origin {
            Origin::Client(_) => wishes.rollup(is_permitted)?,
            Origin::Server => wishes.rollup(true)?,
            Origin::Source => wishes.rollup(is_permitted).unwrap_or(None),
        };
        if let (Some(staged), Some(rollup)) = (staged.as_deref(), rollup) {
            staged.check_rollup(rollup, &subject)?;
        }
        if is_client && increment.is_none() && self.config.allow_msg_counter {
            return Err(MESSAGE_INCR_MISSING.into());
        }
        let mut checked = Checked {
            subject,
            payload: Cow::Borrowed(incoming.payload),
            id,
            rollup,
            lifetime,
            scheduling,
            counter: None,
            is_wanted: true,
            headers: Cow::Borrowed(b""),
        };
        let headers = self.rewritten(headers.clone(), &wishes, &checked);
        checked.headers = headers;
        // It takes the place of the schedule before it, and of nothing else: wildcards in its subject are not read as such.
        if matches!(checked.scheduling, Some(Scheduling::Is(_))) && is_literal(&checked.subject) {
            checked.rollup = Some(Rollup::Subject);
        }
        if let Some(increment) = increment.filter(|_| self.config.allow_msg_counter) {
            self.count(&mut checked, increment, staged.as_deref_mut(), work)?;
        }
        self.check_size(&checked.headers, &checked.payload)?;
        self.check_room(&checked, staged.as_deref())?;
        self.inquire(&mut checked, staged.is_some(), work)?;
        if let Some(staged) = staged {
            let weight = self.log.weight(checked.subject.len(), checked.headers.len(), checked.payload.len());
            staged.note(&checked, weight);
        }
        Ok(checked)
    }

    /// Checks a message without headers, which asks for nothing.
    fn check_bare<'a>(
        &mut self,
        incoming: &Incoming<'a>,
        chance: u32,
        work: &mut Work,
    ) -> Result<Checked<'a>, NotTaken> {
        let mut checked = Checked {
            subject: self.stored_subject(incoming.subject, chance),
            payload: Cow::Borrowed(incoming.payload),
            id: None,
            rollup: None,
            lifetime: None,
            scheduling: None,
            counter: None,
            is_wanted: true,
            headers: Cow::Borrowed(b""),
        };
        self.check_size(b"", incoming.payload)?;
        self.check_room(&checked, None)?;
        self.inquire(&mut checked, false, work)?;
        Ok(checked)
    }

    pub(super) fn stored_subject<'a>(&self, subject: &'a [u8], chance: u32) -> Cow<'a, [u8]> {
        let transformed = self.rules.transform.as_ref().and_then(|transform| {
            let subject = Subject::parse(subject).ok().filter(|subject| transform.matches(*subject))?;
            Some(transform.apply(subject, chance))
        });
        transformed.map_or(Cow::Borrowed(subject), Cow::Owned)
    }

    fn check_increment(&self, wishes: &Wishes<'_>, payload: &[u8]) -> Result<(), ApiError> {
        if !self.config.allow_msg_counter {
            return Err(MESSAGE_INCR_DISABLED.into());
        }
        if !payload.is_empty() {
            return Err(MESSAGE_INCR_PAYLOAD.into());
        }
        if wishes.expects_or_replaces() { Err(MESSAGE_INCR_INVALID.into()) } else { Ok(()) }
    }

    fn check_lifetime(&self, wishes: &Wishes<'_>, is_client: bool) -> Result<Option<Lifetime>, ApiError> {
        let lifetime = match wishes.lifetime() {
            Err(_) if !is_client => None,
            lifetime => lifetime?,
        };
        if is_client && lifetime.is_some() && !self.config.allow_msg_ttl {
            return Err(MESSAGE_TTL_DISABLED.into());
        }
        let shortest = Duration::from_nanos(self.config.subject_delete_marker_ttl.max(0) as u64);
        let shortest = Duration::from_secs(shortest.as_secs());
        Ok(match lifetime {
            // A message that is gone before its marker would be leaves nothing to mark.
            Some(Lifetime::For(life)) if self.config.max_msgs_per_subject != 1 => {
                Some(Lifetime::For(life.max(shortest)))
            }
            lifetime => lifetime,
        })
    }

    fn check_expectations(
        &mut self,
        wishes: &Wishes<'_>,
        subject: &[u8],
        staged: Option<&Staged>,
        asker: Option<&Arc<dyn Asker>>,
        work: &mut Work,
    ) -> Result<(), NotTaken> {
        if let Some((subject, expected)) = wishes.expected_of_subject(subject)? {
            // It may be the last of several, by a filter.
            let filter = Filter::parse(subject).ok().filter(|filter| !filter.is_literal());
            let is_staged = |staged: &Staged| match &filter {
                Some(filter) => staged.holds_any(filter),
                None => staged.holds_subject(subject),
            };
            if staged.is_some_and(is_staged) {
                return Err(STREAM_WRONG_LAST_SEQUENCE_CONSTANT.into());
            }
            let last = match &filter {
                Some(filter) => self.newest(filter, work)?,
                None => self.log.last_of(subject, work)?,
            };
            let last = last.unwrap_or(0);
            if last != expected {
                // When something was stored that may not be read is not told either.
                let covered = filter.or_else(|| Filter::parse(subject).ok());
                return Err(match covered.is_none_or(|covered| reads_all(asker, &covered)) {
                    true => STREAM_WRONG_LAST_SEQUENCE.with(last).into(),
                    false => STREAM_WRONG_LAST_SEQUENCE_CONSTANT.into(),
                });
            }
        }
        if let Some(expected) = wishes.expected_last_seq() {
            let last = self.log.state().last_seq + staged.map_or(0, Staged::len);
            if expected != last {
                return Err(STREAM_WRONG_LAST_SEQUENCE.with(last).into());
            }
            if staged.is_some_and(|staged| staged.len() > 0) {
                return Err(STREAM_WRONG_LAST_SEQUENCE_CONSTANT.into());
            }
        }
        Ok(())
    }

    /// The newest of all messages that a filter takes.
    fn newest(&mut self, filter: &Filter, work: &mut Work) -> Result<Option<u64>, LogError> {
        let mut newest = work.progress().newest.remove(filter).unwrap_or_default();
        let found = newest.go_on(std::slice::from_ref(filter), &mut self.log, work);
        work.progress().newest.insert(filter.clone(), newest);
        found
    }

    fn check_scheduling(
        &mut self,
        wishes: &Wishes<'_>,
        subject: &[u8],
        origin: Origin<'_>,
        now: Now,
        work: &mut Work,
    ) -> Result<Option<Scheduling>, NotTaken> {
        if matches!(origin, Origin::Server) {
            return Ok(produced_by(wishes));
        }
        let allowed = self.config.allow_msg_schedules;
        match wishes.schedule() {
            Err(_) if !allowed => return Err(MESSAGE_SCHEDULES_DISABLED.into()),
            Err(error) => return Err(error.into()),
            Ok(Some(_)) if !allowed => return Err(MESSAGE_SCHEDULES_DISABLED.into()),
            Ok(Some(schedule)) => {
                let next = schedule.next(now.wall, now.wall).ok_or(MESSAGE_SCHEDULES_PATTERN_INVALID)?;
                wishes.check_schedule(subject, self.config.allow_msg_ttl, |subject| self.takes(subject))?;
                return Ok(Some(Scheduling::Is(next)));
            }
            Ok(None) => {}
        }
        let scheduler = wishes.scheduler.filter(|subject| !subject.is_empty());
        let Some(next) = wishes.schedule_next.filter(|next| !next.is_empty()) else {
            return if scheduler.is_some() { Err(MESSAGE_SCHEDULES_SCHEDULER_INVALID.into()) } else { Ok(None) };
        };
        let ends = scheduler.filter(|scheduler| next == b"purge" && *scheduler != subject);
        let ends = ends.filter(|text| Subject::parse(text).is_ok_and(Subject::is_literal));
        let Some(ends) = ends else { return Err(MESSAGE_SCHEDULES_SCHEDULER_INVALID.into()) };
        if !allowed {
            return Err(MESSAGE_SCHEDULES_DISABLED.into());
        }
        let last = self.log.last_of(ends, work)?;
        let last = last.map_or(Ok(None), |seq| self.log.load(seq))?;
        if last.is_some_and(|message| headers::Headers::new(message.headers()).get(SCHEDULE).is_none()) {
            return Err(MESSAGE_SCHEDULES_SCHEDULER_INVALID.into());
        }
        Ok(Some(Scheduling::Ends(ends.to_vec())))
    }

    fn check_id(
        &mut self,
        wishes: &Wishes<'_>,
        staged: Option<&mut Staged>,
        now: Now,
    ) -> Result<Option<Vec<u8>>, NotTaken> {
        let window = self.window();
        let id = wishes.id.filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES && !window.is_zero());
        let Some(id) = id.filter(|_| self.config.mirror.is_none()) else { return Ok(None) };
        self.dedupe.expire(now.wall, window);
        if let Some(staged) = staged {
            if self.dedupe.seen(id).is_some() || staged.holds_id(id) {
                return Err(ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.into());
            }
        } else if let Some(seq) = self.dedupe.seen(id) {
            return Err(NotTaken::Duplicate(seq));
        }
        Ok(Some(id.to_vec()))
    }

    /// The header block as it is stored: what the stream changes in it.
    fn rewritten<'a>(&self, block: Cow<'a, [u8]>, wishes: &Wishes<'_>, checked: &Checked<'_>) -> Cow<'a, [u8]> {
        let mut block = block;
        if matches!(checked.scheduling, Some(Scheduling::Is(_))) && !wishes.has_rollup() {
            block = Cow::Owned(with_header(&block, ROLLUP, b"sub"));
        }
        if let (Some(Lifetime::For(life)), Ok(Some(Lifetime::For(wanted)))) = (checked.lifetime, wishes.lifetime())
            && life != wanted
        {
            block = Cow::Owned(with_changed(&block, TTL, life.as_secs().to_string().as_bytes()));
        }
        block
    }

    /// Adds to a counter: the message says by how much, what is stored says how much it is now.
    fn count(
        &mut self,
        checked: &mut Checked<'_>,
        increment: Number,
        staged: Option<&mut Staged>,
        work: &mut Work,
    ) -> Result<(), NotTaken> {
        let before = match staged.as_deref().and_then(|staged| staged.counter(&checked.subject)) {
            Some(counter) => counter.clone(),
            None => self.counter_of(&checked.subject, work)?,
        };
        let (counter, increment) = before.after(&checked.headers, &checked.payload, &checked.subject, increment)?;
        if let Some(increment) = increment {
            let changed = with_changed(&checked.headers, INCREMENT, increment.to_string().as_bytes());
            checked.headers = Cow::Owned(changed);
        }
        if let Some(sources) = counter.sources_json() {
            checked.headers = Cow::Owned(with_changed(&checked.headers, COUNTER_SOURCES, &sources));
        }
        checked.payload = Cow::Owned(format!("{{\"val\":\"{}\"}}", counter.total).into_bytes());
        if let Some(staged) = staged {
            staged.note_counter(&checked.subject, counter.clone());
        }
        checked.counter = Some(counter);
        Ok(())
    }

    /// What a counter says now. Its last message may not be readable yet.
    fn counter_of(&mut self, subject: &[u8], work: &mut Work) -> Result<Counter, NotTaken> {
        let Some(seq) = self.log.last_of(subject, work)? else { return Ok(Counter::default()) };
        if let Some(counter) = self.counting.get(subject, seq) {
            return Ok(counter.clone());
        }
        match self.log.load(seq)? {
            Some(message) => Ok(Counter::read(message.headers(), message.payload())?),
            None => Err(STREAM_STORE_FAILED.with("the counter can not be read").into()),
        }
    }

    fn check_size(&self, headers: &[u8], payload: &[u8]) -> Result<(), ApiError> {
        let size = headers.len() + payload.len();
        if self.config.max_msg_size >= 0 && size > self.config.max_msg_size as usize {
            return Err(STREAM_MESSAGE_EXCEEDS_MAXIMUM.into());
        }
        if headers.len() > MAX_HEADER_BYTES {
            return Err(STREAM_HEADER_EXCEEDS_MAXIMUM.into());
        }
        Ok(())
    }

    /// With discard new, refuses what does not fit. A message that replaces an older one of its subject may.
    fn check_room(&mut self, checked: &Checked<'_>, staged: Option<&Staged>) -> Result<(), ApiError> {
        if self.config.discard != Discard::New {
            return Ok(());
        }
        let full = |text: &str| Err(STREAM_STORE_FAILED.with(text));
        let (state, config) = (self.log.state(), &self.config);
        let (messages, bytes) = staged.map_or((0, 0), |staged| (staged.len(), staged.bytes()));
        let per_subject = u64::try_from(config.max_msgs_per_subject).ok().filter(|&limit| limit > 0);
        let of_subject =
            self.log.messages_of(&checked.subject) + staged.map_or(0, |staged| staged.messages_of(&checked.subject));
        let replaces = per_subject.is_some_and(|limit| of_subject >= limit);
        if replaces && config.discard_new_per_subject {
            return full("maximum messages per subject exceeded");
        }
        if config.max_msgs > 0 && state.messages + messages >= config.max_msgs as u64 && !replaces {
            return full("maximum messages exceeded");
        }
        let weight = self.log.weight(checked.subject.len(), checked.headers.len(), checked.payload.len());
        if config.max_bytes > 0 && state.bytes + bytes + weight >= config.max_bytes as u64 && !replaces {
            return full("maximum bytes exceeded");
        }
        Ok(())
    }

    /// Stores what was checked. Gives its sequence.
    pub(crate) fn admit(
        &mut self,
        checked: &Checked<'_>,
        at: (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<u64, ApiError> {
        // Time never goes back within a stream, whatever the clock does: searches by time rely on it.
        self.last_time = self.last_time.max(at.0.wall);
        self.admit_at(checked, self.last_time, at, work, out)
    }

    /// Stores what was checked, as of a moment.
    pub(crate) fn admit_at(
        &mut self,
        checked: &Checked<'_>,
        time: Timestamp,
        (now, chance): (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<u64, ApiError> {
        let before = match self.rules.republish {
            // It was looked for when the message was checked.
            Some(_) => self.log.last_of(&checked.subject, work).ok().flatten().unwrap_or(0),
            None => 0,
        };
        let is_wanted = checked.is_wanted;
        let seq = match is_wanted {
            true => {
                let Checked { subject, headers, payload, .. } = checked;
                if !self.log.waits_for_disk() {
                    work.spend(self.disk_units());
                }
                self.log.stage(&Draft { subject, headers, payload, time }).map_err(|_| failed())?
            }
            false => {
                let seq = self.log.state().last_seq + 1;
                self.log.skip_to(seq).map_err(|_| failed())?;
                seq
            }
        };
        match &checked.id {
            Some(id) => self.dedupe.note(id, seq, now.wall),
            None => self.dedupe.note_without_id(),
        }
        if let Some(counter) = &checked.counter {
            self.counting.note(&checked.subject, seq, counter.clone(), self.log.readable());
        }
        self.after_store(seq, checked, (time, is_wanted), now, work).map_err(|_| failed())?;
        if is_wanted {
            self.republish((before, seq), checked, time, chance, out);
        }
        Ok(seq)
    }

    /// A stream in a file has the round wait for it, once.
    fn disk_units(&self) -> u64 {
        if crate::stream_config::is_on_disk(&self.config) { DISK_UNITS } else { 0 }
    }

    fn after_store(
        &mut self,
        seq: u64,
        checked: &Checked<'_>,
        (time, is_wanted): (Timestamp, bool),
        now: Now,
        work: &mut Work,
    ) -> Result<(), LogError> {
        self.has_news = true;
        match checked.rollup {
            Some(Rollup::All) => self.remove_below(seq, now, work)?,
            Some(Rollup::Subject) => self.roll_up(&checked.subject, now, work)?,
            None => {}
        }
        self.enforce(&checked.subject, work)?;
        match &checked.scheduling {
            Some(Scheduling::Is(at)) => self.agenda.add(&checked.subject, seq, *at),
            Some(Scheduling::Again(subject, at)) => self.agenda.again(subject, *at),
            Some(Scheduling::Ends(subject)) => self.end_schedule(&subject.clone(), now, work)?,
            None => {}
        }
        if is_wanted {
            self.note_lifetime(seq, checked.lifetime, time, now);
        }
        Ok(())
    }

    fn end_schedule(&mut self, subject: &[u8], now: Now, work: &mut Work) -> Result<(), LogError> {
        self.agenda.forget(subject);
        self.remove_last(subject, now, work)
    }
}

/// Whether whoever asks may read every message that the filter takes.
fn reads_all(asker: Option<&Arc<dyn Asker>>, filter: &Filter) -> bool {
    asker.is_none_or(|asker| asker.reading().read_all(filter).is_ok())
}

/// What a message that the stream made itself does to the schedule that made it.
fn produced_by(wishes: &Wishes<'_>) -> Option<Scheduling> {
    let subject = wishes.scheduler?.to_vec();
    let next = std::str::from_utf8(wishes.schedule_next?).ok()?;
    Some(match next.parse() {
        Ok(at) => Scheduling::Again(subject, at),
        Err(_) => Scheduling::Ends(subject),
    })
}

/// A block without what only the server says: a status line, which consumers would take for the server's word, and who
/// published it, which was for us.
fn plain_headers(block: &[u8]) -> Cow<'_, [u8]> {
    const REQUEST_INFO: &str = "Nats-Request-Info";
    let mut plain = Cow::Borrowed(block);
    if block.is_empty() {
        return plain;
    }
    if headers::Headers::new(&plain).status().is_some() {
        let mut out = Vec::with_capacity(plain.len());
        headers::remove_status(&mut out, &plain);
        plain = Cow::Owned(out);
    }
    if headers::Headers::new(&plain).get_any_case(REQUEST_INFO).is_some() {
        let mut out = Vec::with_capacity(plain.len());
        headers::remove(&mut out, &plain, REQUEST_INFO);
        plain = Cow::Owned(out);
    }
    plain
}

/// A block with another value for a key, where it stood or at the end.
fn with_changed(block: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let is_own = |line: &&[u8]| line.strip_prefix(key.as_bytes()).is_some_and(|rest| rest.starts_with(b":"));
    let lines = || block.split_inclusive(|&byte| byte == b'\n');
    let Some(at) = lines().position(|line| is_own(&line)) else { return with_header(block, key, value) };
    let mut out = Vec::with_capacity(block.len() + value.len());
    for (number, line) in lines().enumerate() {
        match number == at {
            true => [key.as_bytes(), b": ", value, b"\r\n"].iter().for_each(|part| out.extend_from_slice(part)),
            false => out.extend_from_slice(line),
        }
    }
    out
}

/// A block with one more line. The key is one of ours, so it can be written.
pub(crate) fn with_header(block: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.len() + key.len() + value.len() + 16);
    let _ = headers::append(&mut out, block, key, value);
    out
}
