//! Copying from other streams: mirrors, which keep sequences and times, and sources, which add to what is there.

use super::remote::{Asking, Delivered, News, Remote};
use super::take::{Checked, NotTaken, Origin as Bringer, with_header};
use super::{Incoming, Stream};
use crate::chance::Chance;
use crate::log::{Found, Log, LogError, Stored};
use crate::origins::Origin;
use crate::outbox::{After, Effect, Now, Outbox};
use crate::publish::{STREAM_SOURCE, Wishes};
use crate::work::{MESSAGE_UNITS, Work};
use api::errors::STREAM_NOT_FOUND;
use api::responses::SourceInfo;
use api::stream::StreamSource;
use api::{ApiError, Name, Retention};
use moment::{Instant, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;
use subject::Filter;
use wire::headers;

/// Messages copied at a time, and their bytes.
const AT_ONCE: usize = 512;
const BYTES_AT_ONCE: usize = 4 * 1024 * 1024;
/// What could not be stored is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How far it is to the end of an origin is counted by so many looks; beyond, all sequences are counted as if they were wanted.
const LAG_UNITS: u64 = 2_048;

/// One origin of a stream, and how far copying it is.
#[derive(Debug)]
pub(crate) struct Copying {
    config: StreamSource,
    origin: Origin,
    is_mirror: bool,
    /// The next sequence of the origin; `None` before the first look.
    next: Option<u64>,
    /// Whether it was looked for among the messages what was copied before a restart.
    is_sought: bool,
    /// The last sequence that was stored here.
    copied: u64,
    /// What the origin must not forget yet: copied, and not durable here.
    unsettled: Vec<(u64, u64)>,
    last_contact: Option<Instant>,
    error: Option<ApiError>,
    not_before: Option<Instant>,
    /// The conversation with an origin that is not among the streams of the account.
    remote: Option<Remote>,
}

/// A message on its way from one stream to another.
pub(crate) struct Copy {
    seq: u64,
    time: Timestamp,
    subject: Vec<u8>,
    headers: Vec<u8>,
    payload: Vec<u8>,
}

/// What is read of an origin.
pub(crate) struct Wanted {
    pub stream: Name,
    pub(super) filters: Vec<Filter>,
    next: Option<u64>,
    start: Option<Timestamp>,
}

/// What was read of an origin.
pub(crate) struct Copies {
    messages: Vec<Copy>,
    /// Everything below was read.
    next: u64,
    has_more: bool,
    identity: String,
}

/// A stream that copies from this one, as far as this one has to wait for it.
#[derive(Debug)]
pub(crate) struct Copier {
    filters: Vec<Filter>,
    settled: u64,
}

impl Copier {
    pub(super) fn needs(&self, seq: u64, subject: &[u8]) -> bool {
        seq > self.settled && self.takes(subject)
    }

    pub(super) fn takes(&self, subject: &[u8]) -> bool {
        self.filters.is_empty() || crate::subjects_match(&self.filters, subject)
    }
}

impl Copying {
    fn new(config: &StreamSource, is_mirror: bool) -> Option<Copying> {
        Some(Copying {
            origin: Origin::new(config).ok()?,
            config: config.clone(),
            is_mirror,
            next: None,
            is_sought: false,
            copied: 0,
            unsettled: Vec::new(),
            last_contact: None,
            error: None,
            not_before: None,
            remote: (config.external.is_some() || config.consumer.is_some()).then(Remote::new),
        })
    }

    /// Whether the origin is not among the streams of the account.
    pub(crate) fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    pub(crate) fn stream(&self) -> &str {
        &self.origin.stream
    }

    /// Whether anything was heard of the origin, now or before a restart.
    pub(crate) fn has_met(&self) -> bool {
        self.last_contact.is_some() || self.copied > 0
    }
}

impl<L: Log> Stream<L> {
    /// Begins to copy what the configuration says, or goes on. What was copied before is known by the messages.
    pub(super) fn begin_copies(&mut self) {
        let mirror = self.config.mirror.iter().map(|mirror| (mirror, true));
        let wanted: Vec<(StreamSource, bool)> =
            mirror.chain(self.config.sources.iter().map(|s| (s, false))).map(|(s, m)| (s.clone(), m)).collect();
        let mut before = std::mem::take(&mut self.copies);
        self.sought_down_to = None;
        for (config, is_mirror) in wanted {
            let known = before.iter().position(|copying| copying.config == config && copying.is_mirror == is_mirror);
            self.copies.extend(match known {
                Some(at) => Some(before.swap_remove(at)),
                None => Copying::new(&config, is_mirror),
            });
        }
        self.unheard.extend(before.iter().filter_map(|copying| copying.remote.as_ref()?.heard()));
    }

    /// Whether anything is copied from streams of others.
    pub(crate) fn has_remotes(&self) -> bool {
        self.copies.iter().any(Copying::is_remote)
    }

    /// The subjects by which streams of others send.
    pub(crate) fn heard(&self) -> impl Iterator<Item = Filter> + '_ {
        self.copies.iter().filter_map(|copying| copying.remote.as_ref()?.heard())
    }

    /// Asks streams of others that are to be asked now.
    pub(crate) fn tend_remotes(
        &mut self,
        (account, domain): (&str, &str),
        now: Now,
        chance: &mut Chance,
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<(), LogError> {
        out.extend(std::mem::take(&mut self.unheard).into_iter().map(Effect::Deafen));
        if !self.has_remotes() {
            return Ok(());
        }
        if !self.find_positions(work)? {
            return Ok(());
        }
        let stream = self.name.as_str();
        for copying in &mut self.copies {
            let Copying { remote: Some(remote), config, is_mirror, next, .. } = copying else { continue };
            let (is_mirror, next) = (*is_mirror, *next);
            let asking = Asking { account, domain, stream, is_mirror, next, config };
            remote.tend(&asking, &crate::random_word(chance.roll(), 8), now, out);
        }
        Ok(())
    }

    /// Takes what a stream of others sent. Whether it was for this one.
    pub(crate) fn hear(
        &mut self,
        message: &Incoming<'_>,
        is_full: bool,
        (now, chance): (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> bool {
        let Incoming { headers, payload, .. } = *message;
        for at in 0..self.copies.len() {
            let Some(Copying { remote: Some(remote), is_mirror, .. }) = self.copies.get_mut(at) else { continue };
            match remote.take(message, *is_mirror, now, out) {
                News::Foreign => continue,
                News::Message(_) if is_full => self.begin_again(at, now, out),
                news => self.follow(at, news, (headers, payload), (now, chance), work, out),
            }
            return true;
        }
        false
    }

    fn follow(
        &mut self,
        at: usize,
        news: News<'_>,
        (headers, payload): (&[u8], &[u8]),
        (now, chance): (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) {
        let (id, is_empty) = (self.id, self.log.state().messages == 0);
        let Some(copying) = self.copies.get_mut(at) else { return };
        copying.last_contact = Some(now.tick);
        let Some(remote) = &mut copying.remote else { return };
        match news {
            News::Foreign | News::Nothing => {}
            News::Failed(error) => copying.error = Some(error),
            News::Lost => remote.rest(false, now, out),
            News::Begun { behind } => {
                copying.error = None;
                // A mirror of a stream that begins late begins there too.
                if copying.is_mirror && is_empty && self.log.skip_to(behind).is_err() {
                    self.begin_again(at, now, out);
                }
            }
            News::HowFar { reply } => {
                let headers = remote.how_far(copying.copied);
                out.answer(reply, headers, Vec::new(), After::Log(id), None);
            }
            News::Message(delivered) => {
                self.take_delivered(at, &delivered, (headers, payload), (now, chance), work, out);
            }
        }
    }

    fn take_delivered(
        &mut self,
        at: usize,
        delivered: &Delivered<'_>,
        (headers, payload): (&[u8], &[u8]),
        (now, chance): (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) {
        let Delivered { seq, number, time, pending, subject } = *delivered;
        let Some(copying) = self.copies.get(at) else { return };
        let identity = copying.remote.as_ref().map(|remote| remote.identity.clone()).unwrap_or_default();
        let is_new = copying.next.is_none_or(|next| seq >= next);
        if is_new {
            let (subject, headers, payload) = (subject.to_vec(), headers.to_vec(), payload.to_vec());
            let copy = Copy { seq, time, subject, headers, payload };
            if self.store_copy(at, copy, &identity, (now, chance), work, out).is_err() {
                return self.begin_again(at, now, out);
            }
            self.has_fresh_copies = true;
            self.has_news = true;
        }
        if let Some(copying) = self.copies.get_mut(at)
            && let Some(remote) = &mut copying.remote
        {
            remote.stored(number, pending);
            if is_new {
                (copying.next, copying.copied) = (Some(seq.saturating_add(1)), seq);
            }
        }
    }

    fn begin_again(&mut self, at: usize, now: Now, out: &mut Outbox) {
        if let Some(remote) = self.copies.get_mut(at).and_then(|copying| copying.remote.as_mut()) {
            remote.rest(true, now, out);
        }
    }

    /// What the next round of copying needs, for each origin.
    pub(crate) fn wanted_copies(&mut self, now: Now, work: &mut Work) -> Result<Vec<(usize, Wanted)>, LogError> {
        let mut wanted = Vec::new();
        if !self.find_positions(work)? {
            return Err(LogError::Unfinished);
        }
        for (at, copying) in self.copies.iter().enumerate() {
            let Ok(stream) = Name::parse(&copying.origin.stream) else { continue };
            if !copying.is_remote() && copying.not_before.is_none_or(|at| at <= now.tick) {
                let start = copying.config.opt_start_time;
                wanted
                    .push((at, Wanted { stream, filters: copying.origin.filters.clone(), next: copying.next, start }));
            }
        }
        let first = wanted.partition_point(|(at, _)| *at < self.next_copied);
        wanted.rotate_left(first);
        Ok(wanted)
    }

    /// After a restart: how far each origin was copied is in the messages. Whether that is known.
    fn find_positions(&mut self, work: &mut Work) -> Result<bool, LogError> {
        if self.copies.iter().all(|copying| copying.next.is_some() || copying.is_sought) {
            return Ok(true);
        }
        let state = self.log.state();
        for copying in self.copies.iter_mut().filter(|copying| copying.is_mirror && state.last_seq > 0) {
            // A mirror that is empty because nothing was copied yet begins where its configuration says.
            copying.next = Some(state.last_seq.saturating_add(1));
            copying.copied = state.last_seq;
        }
        let mut at = self.sought_down_to.take().unwrap_or_else(|| self.log.readable());
        let mut open = self.copies.iter().filter(|c| c.next.is_none()).count();
        while at >= state.first_seq.max(1) && open > 0 {
            if work.is_over() {
                self.sought_down_to = Some(at);
                return Ok(false);
            }
            work.spend(2);
            if let Some(message) = self.log.load(at)?
                && let Some(source) = Wishes::read(message.headers()).source
            {
                let unknown = self.copies.iter_mut().filter(|copying| copying.next.is_none());
                for copying in unknown {
                    if let Some(seq) = copying.origin.sequence_of(source) {
                        (copying.next, copying.copied) = (Some(seq.saturating_add(1)), seq);
                        open -= 1;
                    }
                }
            }
            at -= 1;
        }
        for copying in self.copies.iter_mut().filter(|copying| copying.next.is_none()) {
            copying.is_sought = true;
            copying.next = match copying.config.opt_start_seq {
                0 if copying.config.opt_start_time.is_some() => None,
                seq => Some(seq.max(1)),
            };
        }
        Ok(true)
    }

    /// Reads what another stream wants of this one.
    pub(crate) fn read_copies(&mut self, wanted: &Wanted, work: &mut Work) -> Result<Copies, LogError> {
        let start = match (wanted.next, wanted.start) {
            (Some(next), _) => next,
            (None, Some(time)) => self.log.seq_at(time)?,
            (None, None) => 1,
        };
        let identity = self.identity();
        let mut copies = Copies { messages: Vec::new(), next: start, has_more: false, identity };
        let mut bytes = 0;
        loop {
            match self.log.next(&wanted.filters, copies.next, work)? {
                Found::NothingBefore(seq) => {
                    copies.next = seq.max(copies.next);
                    return Ok(copies);
                }
                Found::Unfinished(seq) => {
                    (copies.next, copies.has_more) = (seq.max(copies.next), true);
                    return Ok(copies);
                }
                Found::Message(_)
                    if copies.messages.len() >= AT_ONCE
                        || bytes >= BYTES_AT_ONCE
                        || (work.is_over() && !copies.messages.is_empty()) =>
                {
                    copies.has_more = true;
                    return Ok(copies);
                }
                Found::Message(message) => {
                    bytes += message.headers().len() + message.payload().len();
                    work.spend(2 * MESSAGE_UNITS);
                    copies.next = message.seq() + 1;
                    copies.messages.push(Copy {
                        seq: message.seq(),
                        time: message.time(),
                        subject: message.subject().to_vec(),
                        headers: message.headers().to_vec(),
                        payload: message.payload().to_vec(),
                    });
                }
            }
        }
    }

    /// An origin is not there.
    pub(crate) fn note_missing_origin(&mut self, at: usize) {
        if let Some(copying) = self.copies.get_mut(at) {
            copying.error = Some(STREAM_NOT_FOUND.into());
        }
    }

    /// Whether something was copied that an origin must keep until it is durable here.
    pub(crate) fn has_unsettled_copies(&self) -> bool {
        self.copies.iter().any(|copying| !copying.unsettled.is_empty())
    }

    /// There is no room for copies of an origin.
    pub(crate) fn wait_for_room(&mut self, at: usize, now: Now) {
        if let Some(copying) = self.copies.get_mut(at) {
            copying.not_before = Some(now.tick + AGAIN_AFTER);
        }
    }

    /// Stores what was read of an origin. Whether another round is needed at once: to copy more, or to make durable what
    /// was copied.
    pub(crate) fn store_copies(
        &mut self,
        at: usize,
        copies: Copies,
        (now, chance): (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> bool {
        let Some(copying) = self.copies.get_mut(at) else { return false };
        copying.last_contact = Some(now.tick);
        copying.error = None;
        copying.not_before = None;
        copying.next = Some(copies.next);
        let has_copied = !copies.messages.is_empty();
        self.has_fresh_copies |= has_copied;
        for copy in copies.messages {
            let seq = copy.seq;
            match self.store_copy(at, copy, &copies.identity, (now, chance), work, out) {
                Ok(stored) => {
                    if let Some(copying) = self.copies.get_mut(at) {
                        copying.copied = seq;
                        copying.unsettled.extend(stored.map(|own| (own, seq)));
                    }
                }
                Err(why) => {
                    let is_unfinished = matches!(why, NotTaken::Unfinished);
                    if let Some(copying) = self.copies.get_mut(at) {
                        copying.next = Some(seq);
                        copying.not_before = (!is_unfinished).then(|| now.tick + AGAIN_AFTER);
                    }
                    return is_unfinished;
                }
            }
        }
        copies.has_more || has_copied
    }

    /// `Ok(None)`: it was here before.
    fn store_copy(
        &mut self,
        at: usize,
        copy: Copy,
        identity: &str,
        (now, chance): (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<Option<u64>, NotTaken> {
        if self.has_chores() {
            return Err(NotTaken::Unfinished);
        }
        let Some(copying) = self.copies.get(at) else { return Err(NotTaken::Refused(STREAM_NOT_FOUND.into())) };
        let subject = copying.origin.rewrite(&copy.subject, chance);
        let is_mirror = copying.is_mirror;
        let headers = match is_mirror {
            true => copy.headers,
            false => {
                let source = copying.origin.header(copy.seq, &copy.subject, identity);
                with_header(&without_publishing(&copy.headers), STREAM_SOURCE, &source)
            }
        };
        if is_mirror && copy.seq <= self.log.state().last_seq {
            return Ok(None);
        }
        let incoming = Incoming { subject: &subject, reply: None, headers: &headers, payload: &copy.payload };
        let checked = match self.check_at_once(&incoming, Bringer::Source, (now, chance), work) {
            Err(NotTaken::Duplicate(_)) => return Ok(None),
            checked => checked?,
        };
        if is_mirror {
            self.store_mirrored(&checked, (copy.seq, copy.time), (now, chance), work, out).map(Some)
        } else {
            Ok(self.admit(&checked, (now, chance), work, out).map(Some)?)
        }
    }

    fn store_mirrored(
        &mut self,
        checked: &Checked<'_>,
        (seq, time): (u64, Timestamp),
        at: (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<u64, NotTaken> {
        if seq > self.log.state().last_seq + 1 {
            self.log.skip_to(seq - 1)?;
        }
        self.last_time = self.last_time.max(time);
        Ok(self.admit_at(checked, self.last_time, at, work, out)?)
    }

    /// What an origin may forget: what is durable here. By origin, up to a sequence.
    pub(crate) fn settled_copies(&mut self) -> Vec<(Name, Vec<u64>)> {
        let readable = self.log.readable();
        let mut settled: BTreeMap<Name, Vec<u64>> = BTreeMap::new();
        for copying in &mut self.copies {
            let done = copying.unsettled.partition_point(|(own, _)| *own <= readable);
            let Ok(name) = Name::parse(&copying.origin.stream) else { continue };
            let seqs = copying.unsettled.drain(..done).map(|(_, seq)| seq);
            settled.entry(name).or_default().extend(seqs);
        }
        settled.into_iter().filter(|(_, seqs)| !seqs.is_empty()).collect()
    }

    /// Messages of this stream are durable in a stream that copies it.
    pub(crate) fn settle_copies(&mut self, copier: &Name, seqs: &[u64]) {
        if self.config.retention == Retention::Limits {
            return;
        }
        for &seq in seqs {
            if let Some(copier) = self.copiers.get_mut(copier) {
                copier.settled = copier.settled.max(seq);
            }
            self.settle(seq);
        }
    }

    /// Another stream copies this one.
    pub(crate) fn note_copier(&mut self, name: Name, wanted: &Wanted) {
        let settled = wanted.next.unwrap_or(1).saturating_sub(1);
        let filters = wanted.filters.clone();
        self.copiers.entry(name).or_insert(Copier { filters, settled });
    }

    /// How copying goes.
    pub(crate) fn origins_told(
        &self,
        now: Now,
        mut lag: impl FnMut(&Wanted) -> u64,
    ) -> (Option<SourceInfo>, Vec<SourceInfo>) {
        let (mut mirror, mut sources) = (None, Vec::new());
        for copying in &self.copies {
            let StreamSource { name, external, filter_subject, subject_transforms, .. } = copying.config.clone();
            let active = match copying.last_contact {
                None => -1,
                Some(at) => i64::try_from(now.tick.since(at).as_nanos()).unwrap_or(i64::MAX),
            };
            let wanted = Name::parse(&copying.origin.stream).ok().map(|stream| Wanted {
                stream,
                filters: copying.origin.filters.clone(),
                next: copying.next,
                start: None,
            });
            let lag = match &copying.remote {
                Some(remote) => remote.lag,
                None => copying.last_contact.and(wanted).map_or(0, |wanted| lag(&wanted)),
            };
            let (seq, error) = (if copying.is_mirror { 0 } else { copying.copied }, copying.error.clone());
            // A mirror tells its filter once it has found its origin.
            let is_known = !copying.is_mirror || copying.last_contact.is_some();
            let filter_subject = if is_known { filter_subject } else { String::new() };
            let told = SourceInfo { name, external, lag, seq, active, error, filter_subject, subject_transforms };
            match copying.is_mirror {
                true => mirror = Some(told),
                false => sources.push(told),
            }
        }
        (mirror, sources)
    }

    /// When copying is tried again.
    pub(super) fn copies_deadline(&self) -> Option<Instant> {
        let remotes = self.copies.iter().filter_map(|copying| Some(copying.remote.as_ref()?.deadline()));
        self.copies.iter().filter_map(|copying| copying.not_before).chain(remotes).min()
    }

    /// How many of this stream's messages somebody still wants to copy, at most.
    pub(crate) fn lag_of(&mut self, wanted: &Wanted, work: &mut Work) -> u64 {
        // Many may be asked for at once: in a turn that is over nothing is looked at.
        let mut counting = Work::turn(if work.is_over() { 0 } else { LAG_UNITS });
        let counted = self.log.count((&wanted.filters, &[]), wanted.next.unwrap_or(1), &mut counting);
        work.spend(counting.done());
        let (Ok((count, next)), state) = (counted, self.log.state()) else { return 0 };
        count + (state.last_seq + 1).saturating_sub(next).min(state.messages)
    }
}

/// Headers without what was meant for the stream where the message was published.
fn without_publishing(block: &[u8]) -> Cow<'_, [u8]> {
    let mut block = Cow::Borrowed(block);
    for prefix in ["Nats-Stream-Source", "Nats-Expected-", "Nats-Batch-"] {
        if !block.is_empty() {
            let mut out = Vec::with_capacity(block.len());
            headers::remove_prefix(&mut out, &block, prefix);
            block = Cow::Owned(out);
        }
    }
    block
}
