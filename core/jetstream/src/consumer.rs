//! One consumer: a cursor over a stream, with what was delivered and not yet acknowledged.

mod deliver;
mod groups;
mod left;
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
use crate::search::{Lasts, Newest, Tally};
use crate::subjects_match;
use crate::work::Work;
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
    /// Deliveries up to this sequence are done with; a turn may not be enough to forget them all.
    releasing: Option<u64>,
    /// How its place in the stream is looked for, until that is found.
    beginning: Option<Beginning>,
    /// How many messages are still to be delivered, when that is known.
    counted: Option<left::Counted>,
    tally: Option<Tally>,
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

/// Filters that are compared with a subject for a unit of work.
const FILTERS_A_UNIT: u64 = 4;
/// Deliveries that are forgotten at once, when one word acknowledges many.
const RELEASED_AT_ONCE: usize = 1_024;

/// What became of an acknowledgement.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// Messages that this consumer will not need any more.
    pub settled: Vec<u64>,
    /// A request for more that came with it.
    pub next: Option<api::requests::Next>,
}

/// A search for the place in the stream that a configuration names.
#[derive(Debug, Default)]
struct Beginning {
    newest: Newest,
    lasts: Option<Lasts>,
    /// How far it was elsewhere, to go on with.
    progress: Option<Progress>,
}

impl Consumer {
    /// A consumer that is not at its place in the stream yet.
    pub(crate) fn new(
        name: Name,
        config: ConsumerConfig,
        filters: Vec<Filter>,
        created: Timestamp,
        now: Now,
    ) -> Consumer {
        let beginning = Some(Beginning::default());
        Consumer { beginning, ..Consumer::blank(name, config, filters, created, now) }
    }

    /// The same for one that goes on where it was elsewhere.
    pub(crate) fn going_on(self, progress: Progress) -> Consumer {
        Consumer { beginning: Some(Beginning { progress: Some(progress), ..Beginning::default() }), ..self }
    }

    pub(crate) fn blank(
        name: Name,
        config: ConsumerConfig,
        filters: Vec<Filter>,
        created: Timestamp,
        now: Now,
    ) -> Consumer {
        let (push, most) = (Push::new(&config, now.tick), most_deliveries(&config));
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
            deliveries: Deliveries::at_most(most),
            releasing: None,
            beginning: None,
            counted: None,
            tally: None,
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

    /// Finds its place in the stream.
    fn begin<L: Log>(&mut self, beginning: &mut Beginning, log: &mut L, work: &mut Work) -> Result<(), LogError> {
        let (next, firsts) = self.start(beginning, log, work)?;
        let before = firsts.front().copied().unwrap_or(next).saturating_sub(1);
        (self.next, self.firsts) = (next, firsts);
        (self.delivered.stream, self.floor.stream) = (before, before);
        (self.counted, self.is_dirty) = (None, true);
        Ok(())
    }

    fn start<L: Log>(
        &self,
        beginning: &mut Beginning,
        log: &mut L,
        work: &mut Work,
    ) -> Result<(u64, VecDeque<u64>), LogError> {
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
            DeliverPolicy::Last => beginning.newest.go_on(&self.filters, log, work)?.unwrap_or(end),
            DeliverPolicy::LastPerSubject => {
                let lasts = beginning.lasts.get_or_insert_with(|| Lasts::new(0, usize::MAX));
                if !self.filters.is_empty() {
                    lasts.go_on(&self.filters, log, &|subject| self.sees(subject), work)?;
                }
                return Ok((end, std::mem::take(&mut lasts.found).into_iter().collect()));
            }
        };
        Ok((next, VecDeque::new()))
    }

    /// How many wait for messages.
    pub(crate) fn crowd(&self) -> u64 {
        self.waiting.len() as u64
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

    /// The same, with what it takes to find out.
    pub(crate) fn wants(&self, subject: &[u8], work: &mut Work) -> bool {
        work.spend(self.filters.len() as u64 / FILTERS_A_UNIT);
        self.takes(subject)
    }

    /// From now on it delivers nothing that must not be read on behalf of whoever made it.
    pub(crate) fn bind(&mut self, reading: Option<Reading>) {
        let everything = [Filter::everything()];
        let filters = if self.filters.is_empty() { &everything } else { self.filters.as_slice() };
        self.withheld = reading.iter().flat_map(|r| filters.iter().flat_map(|filter| r.withheld(filter))).collect();
        self.reading = reading;
        self.forget_count();
    }

    /// Whether a message of this subject may be delivered at all.
    pub(crate) fn sees(&self, subject: &[u8]) -> bool {
        let sees = |reading: &Reading| Subject::parse(subject).is_ok_and(|subject| reading.sees(subject));
        self.reading.as_ref().is_none_or(sees)
    }

    /// Whether this consumer still needs a message of this subject.
    pub(crate) fn needs(&self, seq: u64, subject: &[u8], work: &mut Work) -> bool {
        self.deliveries.holds(seq) || (seq >= self.next && self.wants(subject, work))
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
            AckPolicy::All | AckPolicy::FlowControl => {
                self.releasing = self.releasing.max(Some(stream_seq));
                self.release_some(RELEASED_AT_ONCE)
            }
            _ => self.deliveries.remove(stream_seq).map(|_| stream_seq).into_iter().collect(),
        };
        if !settled.is_empty() {
            self.last_acked = Some(now.wall);
            self.settle_floor();
        }
        settled
    }

    /// Whether there is more to forget of what is done with.
    pub(crate) fn is_releasing(&self) -> bool {
        self.releasing.is_some()
    }

    /// Forgets as much of that as a turn allows. Gives what it will not need any more.
    pub(crate) fn release(&mut self, work: &mut Work) -> Vec<u64> {
        let settled = work.lend(|units| {
            let at_most = usize::try_from(*units).unwrap_or(usize::MAX).min(RELEASED_AT_ONCE);
            let settled = self.release_some(at_most);
            *units -= settled.len() as u64;
            settled
        });
        self.settle_floor();
        settled
    }

    fn release_some(&mut self, at_most: usize) -> Vec<u64> {
        let Some(up_to) = self.releasing else { return Vec::new() };
        let released = self.deliveries.take_up_to(up_to, at_most);
        if self.deliveries.first().is_none_or(|(seq, _)| seq > up_to) {
            self.releasing = None;
        }
        released
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

    /// What waited for its acknowledgement for too long is delivered again, and what was delivered as often as it may be is given up.
    fn give_up(&mut self, now: Now, work: &mut Work) {
        while !work.is_over() && self.deliveries.expire_one(now.tick) {
            work.spend(1);
        }
        while let Some((stream_seq, deliveries)) = self.deliveries.worn_out().filter(|_| !work.is_over()) {
            work.spend(1);
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
        self.deliveries = Deliveries::at_most(most_deliveries(&self.config));
        self.releasing = None;
        self.firsts.clear();
        self.next = seq;
        self.delivered = Position { consumer: 0, stream: seq - 1 };
        self.floor = self.delivered;
        (self.last_delivered, self.last_acked) = (None, None);
        self.forget_count();
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
        self.forget_count();
        self.is_dirty = true;
    }

    /// Takes a changed configuration.
    pub(crate) fn reconfigure(&mut self, config: ConsumerConfig, filters: Vec<Filter>, now: Now) {
        self.forget_count();
        let was_active = self.push.as_ref().is_some_and(|push| push.is_active);
        self.sample = crate::consumer_config::sample_percent(&config).unwrap_or(0);
        self.deliveries.set_most(most_deliveries(&config));
        self.config = config;
        self.filters = filters;
        self.push = Push::new(&self.config, now.tick);
        if let Some(push) = &mut self.push {
            push.is_active = was_active;
        }
    }

    /// The consumer, told.
    pub fn info<L: Log>(
        &mut self,
        stream: &str,
        log: &mut L,
        now: Now,
        work: &mut Work,
    ) -> Result<ConsumerInfo, LogError> {
        let left = self.left(log, now, work)?;
        Ok(self.told(stream, left, now))
    }

    /// The consumer as far as it is known without looking, told.
    pub(crate) fn told_so_far(&self, stream: &str, now: Now) -> ConsumerInfo {
        self.told(stream, self.left_so_far(), now)
    }

    fn told(&self, stream: &str, left: u64, now: Now) -> ConsumerInfo {
        let pair = |position: Position, last_active| SequencePair {
            consumer_seq: position.consumer,
            stream_seq: position.stream,
            last_active,
        };
        let pause = self.config.pause_until.filter(|until| *until > now.wall);
        let remaining = pause.map_or(0, |until| i64::try_from(until.since(now.wall).as_nanos()).unwrap_or(i64::MAX));
        ConsumerInfo {
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
        }
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

/// How often a message is delivered at most.
fn most_deliveries(config: &ConsumerConfig) -> u64 {
    u64::try_from(config.max_deliver).ok().filter(|&most| most > 0).unwrap_or(u64::MAX)
}

fn next_of(ack: Ack) -> Option<api::requests::Next> {
    match ack {
        Ack::DoneNext(next) => Some(next),
        _ => None,
    }
}
