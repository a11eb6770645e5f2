//! One consumer: a cursor over a stream, with what was delivered and not yet acknowledged.

mod deliver;
mod groups;
mod pending;
mod pull;
mod push;
mod state;

pub(crate) use groups::Unpinned;
pub use pending::Pending;
pub use pull::PullRefused;

use crate::ack::Ack;
use crate::backup::consumer_state::Progress;
use crate::log::{Log, LogError};
use crate::outbox::{Effect, Now, Outbox};
use crate::reply_subject::ReplySubject;
use crate::subjects_match;
use api::responses::{ConsumerInfo, PriorityGroup, SequencePair};
use api::{AckPolicy, ConsumerConfig, DeliverPolicy, Name};
use auth::Reading;
use moment::{Instant, Timestamp};
use pending::Deliveries;
use pull::Waiting;
use push::Push;
use std::collections::VecDeque;
use std::time::Duration;
use subject::{Filter, Subject};

/// A pair of positions: in the stream, and in what was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Number of the delivery.
    pub consumer: u64,
    /// Sequence in the stream.
    pub stream: u64,
}

/// A consumer.
pub struct Consumer {
    /// Its name.
    pub name: Name,
    /// Its configuration.
    pub config: ConsumerConfig,
    /// When it was made.
    pub created: Timestamp,
    pub(crate) filters: Vec<Filter>,
    /// What whoever made it may read, if not everything.
    pub(crate) reading: Option<Reading>,
    /// What of its filters that withholds, for counting.
    withheld: Vec<Filter>,
    /// The next sequence of the stream to look at.
    next: u64,
    /// Messages to be delivered before that: the last of each subject, as of the beginning.
    firsts: VecDeque<u64>,
    delivered: Position,
    last_delivered: Option<Timestamp>,
    floor: Position,
    last_acked: Option<Timestamp>,
    deliveries: Deliveries,
    /// How many messages are still to be delivered, when that is known.
    left: Option<u64>,
    waiting: VecDeque<Waiting>,
    push: Option<Push>,
    /// When its pause ends, as far as it was seen to pause.
    resumes: Option<Instant>,
    /// No delivery before this: for the pace, or the rate.
    not_before: Option<Instant>,
    /// Time of the message that was delivered last, for the pace.
    pace: Option<Timestamp>,
    /// When somebody was last seen who wants messages.
    pub(crate) last_seen: Instant,
    /// Whether the state changed since it was kept.
    pub(crate) is_dirty: bool,
    /// What happened and was not told yet.
    pub(crate) happened: Vec<Happened>,
    sample: u8,
    /// The client of its priority group that gets all messages.
    pin: Option<groups::Pin>,
    /// The reply subject of the message that was offered last.
    reply: ReplySubject,
}

/// Something that happened to a delivery, for those who listen to advisories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    MaxDeliveries { stream_seq: u64, deliveries: u64 },
    Naked { stream_seq: u64, consumer_seq: u64, deliveries: u64 },
    Terminated { stream_seq: u64, consumer_seq: u64, deliveries: u64, reason: String },
    Acked { stream_seq: u64, consumer_seq: u64, deliveries: u64, after: Duration },
    Pinned { group: String, id: String },
    Unpinned { group: String, why: Unpinned },
}

/// Happenings kept until they are told; more are dropped, the state does not depend on them.
const MAX_HAPPENED: usize = 10_000;

/// What became of an acknowledgement.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// Messages that this consumer will not need any more.
    pub settled: Vec<u64>,
    /// A request for more that came with it.
    pub next: Option<api::requests::Next>,
}

impl Consumer {
    /// A new consumer, at the place in the stream that its configuration names.
    pub fn new<L: Log>(
        name: Name,
        config: ConsumerConfig,
        filters: Vec<Filter>,
        log: &mut L,
        now: Now,
    ) -> Result<Consumer, LogError> {
        let mut consumer = Consumer::blank(name, config, filters, now.wall, now);
        let (next, firsts) = consumer.start(log)?;
        let before = firsts.front().copied().unwrap_or(next).saturating_sub(1);
        consumer.next = next;
        consumer.firsts = firsts;
        consumer.delivered.stream = before;
        consumer.floor.stream = before;
        consumer.is_dirty = true;
        Ok(consumer)
    }

    pub(crate) fn blank(
        name: Name,
        config: ConsumerConfig,
        filters: Vec<Filter>,
        created: Timestamp,
        now: Now,
    ) -> Consumer {
        let push = Push::new(&config, now.tick);
        let sample = crate::consumer_config::sample_percent(&config).unwrap_or(0);
        Consumer {
            name,
            config,
            created,
            filters,
            reading: None,
            withheld: Vec::new(),
            next: 1,
            firsts: VecDeque::new(),
            delivered: Position::default(),
            last_delivered: None,
            floor: Position::default(),
            last_acked: None,
            deliveries: Deliveries::default(),
            left: None,
            waiting: VecDeque::new(),
            push,
            resumes: None,
            not_before: None,
            pace: None,
            last_seen: now.tick,
            is_dirty: false,
            happened: Vec::new(),
            sample,
            pin: None,
            reply: ReplySubject::default(),
        }
    }

    pub(crate) fn note(&mut self, happened: Happened) {
        if self.happened.len() < MAX_HAPPENED {
            self.happened.push(happened);
        }
    }

    fn start<L: Log>(&self, log: &mut L) -> Result<(u64, VecDeque<u64>), LogError> {
        let state = log.state();
        let (first, end) = (state.first_seq.max(1), state.last_seq + 1);
        let next = match self.config.deliver_policy {
            DeliverPolicy::All => first,
            DeliverPolicy::New => end,
            DeliverPolicy::ByStartSequence => self.config.opt_start_seq.clamp(first, end),
            DeliverPolicy::ByStartTime => match self.config.opt_start_time {
                Some(time) => log.seq_at(time)?,
                None => first,
            },
            DeliverPolicy::Last if self.filters.is_empty() => state.last_seq.max(1),
            DeliverPolicy::Last => self.lasts(log)?.last().copied().unwrap_or(end),
            DeliverPolicy::LastPerSubject => return Ok((end, self.lasts(log)?.into())),
        };
        Ok((next, VecDeque::new()))
    }

    /// The last message of each subject, in order.
    fn lasts<L: Log>(&self, log: &mut L) -> Result<Vec<u64>, LogError> {
        let mut lasts = Vec::new();
        for filter in &self.filters {
            for (subject, _) in log.subjects(filter) {
                if !self.sees(&subject) {
                    continue;
                }
                lasts.extend(log.last_of(&subject)?);
            }
        }
        lasts.sort_unstable();
        lasts.dedup();
        Ok(lasts)
    }

    /// Whether messages are pulled and not pushed.
    pub fn is_pull(&self) -> bool {
        self.push.is_none()
    }

    /// Whether it is gone when nobody wants messages for a while.
    pub fn is_ephemeral(&self) -> bool {
        self.config.durable_name.is_empty()
    }

    /// Whether its state outlives the process.
    pub fn is_kept(&self) -> bool {
        !self.config.mem_storage
    }

    /// Whether it wants messages of this subject.
    pub(crate) fn takes(&self, subject: &[u8]) -> bool {
        (self.filters.is_empty() || subjects_match(&self.filters, subject)) && self.sees(subject)
    }

    /// From now on it delivers nothing that must not be read on behalf of whoever made it.
    pub(crate) fn bind(&mut self, reading: Option<Reading>) {
        let everything = [Filter::everything()];
        let filters = if self.filters.is_empty() { &everything } else { self.filters.as_slice() };
        self.withheld = reading.iter().flat_map(|r| filters.iter().flat_map(|filter| r.withheld(filter))).collect();
        self.reading = reading;
        self.left = None;
    }

    /// Whether a message of this subject may be delivered at all.
    pub(crate) fn sees(&self, subject: &[u8]) -> bool {
        let sees = |reading: &Reading| Subject::parse(subject).is_ok_and(|subject| reading.sees(subject));
        self.reading.as_ref().is_none_or(sees)
    }

    /// A message was stored.
    pub(crate) fn note_stored(&mut self, subject: &[u8]) {
        if self.left.is_some() && self.takes(subject) {
            self.left = self.left.map(|left| left + 1);
        }
    }

    /// A message was removed.
    pub(crate) fn note_removed(&mut self, seq: u64) {
        if seq >= self.next || !self.firsts.is_empty() {
            self.left = None;
        }
        if self.deliveries.remove(seq).is_some() {
            self.settle_floor();
        }
    }

    /// Messages were removed, among them all below `first`.
    pub(crate) fn note_removals(&mut self, first: u64) {
        self.left = None;
        self.firsts.retain(|&seq| seq >= first);
        if self.next < first && self.firsts.is_empty() {
            self.next = first;
        }
        if self.deliveries.remove_below(first) {
            self.settle_floor();
        }
    }

    /// Whether this consumer still needs a message of this subject.
    pub(crate) fn needs(&self, seq: u64, subject: &[u8]) -> bool {
        self.deliveries.holds(seq) || (seq >= self.next && self.takes(subject))
    }

    /// How many messages are still to be delivered.
    pub(crate) fn left<L: Log>(&mut self, log: &mut L) -> Result<u64, LogError> {
        if let Some(left) = self.left {
            return Ok(left);
        }
        let withheld = if self.withheld.is_empty() { 0 } else { log.count(&self.withheld, self.next)? };
        let left = log.count(&self.filters, self.next)?.saturating_sub(withheld) + self.firsts.len() as u64;
        self.left = Some(left);
        Ok(left)
    }

    /// Below what everything is acknowledged.
    fn settle_floor(&mut self) {
        self.is_dirty = true;
        self.floor = match self.deliveries.first() {
            Some((seq, pending)) => Position { consumer: pending.consumer_seq.saturating_sub(1), stream: seq - 1 },
            None => self.delivered,
        };
    }

    /// Takes an acknowledgement.
    pub(crate) fn acknowledge(&mut self, ack: Ack, stream_seq: u64, now: Now) -> Acked {
        if self.config.ack_policy == AckPolicy::None {
            return Acked { next: next_of(ack), ..Acked::default() };
        }
        match ack {
            Ack::Done => Acked { settled: self.done(stream_seq, now), next: None },
            Ack::DoneNext(next) => Acked { settled: self.done(stream_seq, now), next: Some(next) },
            Ack::Terminate(reason) => Acked { settled: self.terminate(stream_seq, reason), next: None },
            Ack::Again(delay) => {
                self.refuse(stream_seq, now.tick + delay, delay.is_zero());
                Acked::default()
            }
            Ack::Working => {
                let wait = self.wait_of(self.deliveries.count(stream_seq));
                self.deliveries.extend(stream_seq, now.tick + wait);
                Acked::default()
            }
            Ack::Unknown => Acked::default(),
        }
    }

    fn refuse(&mut self, stream_seq: u64, at: Instant, at_once: bool) {
        if let Some(Pending { consumer_seq, count, .. }) = self.deliveries.get(stream_seq) {
            self.note(Happened::Naked { stream_seq, consumer_seq, deliveries: count });
            self.deliveries.again(stream_seq, at, at_once);
            self.is_dirty = true;
        }
    }

    fn done(&mut self, stream_seq: u64, now: Now) -> Vec<u64> {
        if let Some(pending) = self.deliveries.get(stream_seq).filter(|_| self.is_sampled(stream_seq)) {
            let Pending { consumer_seq, count, since, .. } = pending;
            let after = now.tick.since(since);
            self.note(Happened::Acked { stream_seq, consumer_seq, deliveries: count, after });
        }
        let settled = match self.config.ack_policy {
            AckPolicy::All | AckPolicy::FlowControl => self.deliveries.take_up_to(stream_seq),
            _ => self.deliveries.remove(stream_seq).map(|_| stream_seq).into_iter().collect(),
        };
        if !settled.is_empty() {
            self.last_acked = Some(now.wall);
            self.settle_floor();
        }
        settled
    }

    /// So many of a hundred, spread evenly.
    fn is_sampled(&self, seq: u64) -> bool {
        self.sample > 0 && seq.wrapping_mul(61) % 100 < u64::from(self.sample)
    }

    fn terminate(&mut self, stream_seq: u64, reason: String) -> Vec<u64> {
        let Some(Pending { consumer_seq, count, .. }) = self.deliveries.remove(stream_seq) else { return Vec::new() };
        self.note(Happened::Terminated { stream_seq, consumer_seq, deliveries: count, reason });
        self.settle_floor();
        vec![stream_seq]
    }

    /// Messages that were delivered as often as they may be are given up.
    fn give_up(&mut self) {
        let Ok(max @ 1..) = u64::try_from(self.config.max_deliver) else { return };
        for (stream_seq, deliveries) in self.deliveries.worn_out(max) {
            self.deliveries.remove(stream_seq);
            self.note(Happened::MaxDeliveries { stream_seq, deliveries });
            self.settle_floor();
        }
    }

    /// How long a message may stay without acknowledgement after so many deliveries.
    fn wait_of(&self, deliveries: u64) -> Duration {
        let at = usize::try_from(deliveries.saturating_sub(1)).unwrap_or(usize::MAX);
        let backoff = self.config.backoff.get(at).or(self.config.backoff.last()).copied();
        Duration::from_nanos(backoff.unwrap_or(self.config.ack_wait).max(0) as u64)
    }

    /// Begins anew: at a sequence, or behind the last acknowledged message. An error says why not.
    pub(crate) fn reset<L: Log>(&mut self, seq: u64, log: &mut L) -> Result<Result<u64, &'static str>, LogError> {
        let seq = match (seq, self.config.deliver_policy) {
            (0, _) => self.floor.stream + 1,
            (seq, DeliverPolicy::All) => seq,
            (seq, DeliverPolicy::ByStartSequence) if seq < self.config.opt_start_seq => {
                return Ok(Err("below start seq"));
            }
            (seq, DeliverPolicy::ByStartTime) => {
                let first = self.config.opt_start_time.map_or(Ok(1), |time| log.seq_at(time))?;
                if seq < first {
                    return Ok(Err("below start time"));
                }
                seq
            }
            (seq, DeliverPolicy::ByStartSequence) => seq,
            _ => return Ok(Err("not allowed")),
        };
        self.deliveries = Deliveries::default();
        self.firsts.clear();
        self.next = seq;
        self.delivered = Position { consumer: 0, stream: seq - 1 };
        self.floor = self.delivered;
        (self.last_delivered, self.last_acked) = (None, None);
        self.left = None;
        self.is_dirty = true;
        Ok(Ok(seq))
    }

    /// How far it is, to travel with its stream.
    pub(crate) fn progress(&self) -> Progress {
        let pending = self.deliveries.iter().map(|(seq, pending)| (seq, (pending.consumer_seq, pending.count)));
        Progress { delivered: self.delivered, floor: self.floor, pending: pending.collect() }
    }

    /// Goes on where it was elsewhere.
    pub(crate) fn proceed(&mut self, progress: Progress, now: Now) {
        let Progress { delivered, floor, pending } = progress;
        (self.delivered, self.floor) = (delivered, floor);
        if delivered.stream >= self.next {
            self.next = delivered.stream.saturating_add(1);
        }
        self.firsts.retain(|&seq| seq > delivered.stream);
        for (seq, (consumer_seq, count)) in pending {
            let wait = self.wait_of(count);
            let due = (!wait.is_zero()).then(|| now.tick + wait);
            self.deliveries.restore(seq, Pending { consumer_seq, count, since: now.tick, due });
        }
        self.left = None;
        self.is_dirty = true;
    }

    /// Takes a changed configuration.
    pub(crate) fn reconfigure(&mut self, config: ConsumerConfig, filters: Vec<Filter>, now: Now) {
        self.left = None;
        let was_active = self.push.as_ref().is_some_and(|push| push.is_active);
        self.sample = crate::consumer_config::sample_percent(&config).unwrap_or(0);
        self.config = config;
        self.filters = filters;
        self.push = Push::new(&self.config, now.tick);
        if let Some(push) = &mut self.push {
            push.is_active = was_active;
        }
    }

    /// The consumer, told.
    pub fn info<L: Log>(&mut self, stream: &str, log: &mut L, now: Now) -> Result<ConsumerInfo, LogError> {
        let left = self.left(log)?;
        let pair = |position: Position, last_active| SequencePair {
            consumer_seq: position.consumer,
            stream_seq: position.stream,
            last_active,
        };
        let pause = self.config.pause_until.filter(|until| *until > now.wall);
        let remaining = pause.map_or(0, |until| i64::try_from(until.since(now.wall).as_nanos()).unwrap_or(i64::MAX));
        Ok(ConsumerInfo {
            stream_name: stream.to_owned(),
            name: self.name.to_string(),
            created: Some(self.created),
            config: Some(self.config.clone()),
            delivered: pair(self.delivered, self.last_delivered),
            ack_floor: pair(self.floor, self.last_acked),
            num_ack_pending: self.deliveries.len() as u64,
            num_redelivered: self.deliveries.redelivered(),
            num_waiting: self.waiting.len() as u64,
            num_pending: left,
            push_bound: self.push.as_ref().is_some_and(|push| push.is_active),
            paused: pause.is_some(),
            pause_remaining: remaining,
            ts: Some(now.wall),
            priority_groups: self
                .config
                .priority_groups
                .first()
                .map(|group| self.told_group(group))
                .into_iter()
                .collect(),
        })
    }

    fn told_group(&self, group: &str) -> PriorityGroup {
        PriorityGroup {
            group: group.to_owned(),
            pinned_client_id: self.pin.as_ref().map_or_else(String::new, |pin| pin.id.clone()),
            pinned_ts: self.pin.as_ref().map(|pin| pin.since),
        }
    }

    /// When to look at it again, at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let pull = self.waiting.iter().filter_map(Waiting::deadline).min();
        let push = self.push.as_ref().and_then(Push::deadline);
        let all = [
            self.resumes,
            pull,
            push,
            self.not_before,
            self.deliveries.deadline(),
            self.inactive_at(),
            self.pin_deadline(),
        ];
        all.into_iter().flatten().min()
    }

    /// When it has been without anybody for too long.
    pub(crate) fn inactive_at(&self) -> Option<Instant> {
        let is_wanted = !self.waiting.is_empty() || self.push.as_ref().is_some_and(|push| push.is_active);
        if is_wanted || self.config.inactive_threshold <= 0 || !self.deliveries.is_empty() && self.is_pull() {
            return None;
        }
        Some(self.last_seen + Duration::from_nanos(self.config.inactive_threshold as u64))
    }

    /// The server ends: who waits is told how much it still waits for, and waits no more.
    pub(crate) fn say_shutdown(&mut self, out: &mut Outbox) {
        self.waiting.drain(..).for_each(|waiting| waiting.tell_expired("409 Server Shutdown", out));
    }

    /// The consumer of a stream goes: who waits is told, and it waits for nobody.
    pub(crate) fn say_goodbye(&mut self, stream: &str, out: &mut Outbox) {
        out.extend(self.awaited(stream).map(Effect::Forget));
        for waiting in self.waiting.drain(..) {
            out.say(&waiting.reply, crate::outbox::status("409 Consumer Deleted", &[]), Vec::new());
        }
    }
}

fn next_of(ack: Ack) -> Option<api::requests::Next> {
    match ack {
        Ack::DoneNext(next) => Some(next),
        _ => None,
    }
}
