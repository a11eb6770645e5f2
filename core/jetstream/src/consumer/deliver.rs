//! Delivering: what is next, whether it may go now, and to whom.

use super::Consumer;
use super::groups::Offer;
use super::pull::LOOKS_A_UNIT;
use crate::log::{Found, Log, LogError, View};
use crate::outbox::{Awaited, Effect, Interest, Now, Outbox, Outgoing, status};
use crate::reply_subject::Counted;
use crate::stream::append_headers;
use crate::work::{BYTES_A_UNIT, MESSAGE_UNITS, Work};
use api::{AckPolicy, PriorityPolicy};
use std::time::Duration;

/// Messages one consumer delivers before the others get their turn: a seventh of a millisecond. With half as many each of them
/// costs 6 % more, as a write to a connection has its price.
const BATCH: usize = 512;
/// Messages one consumer looks at before the others get their turn: those that are delivered, that its reader must not see
/// and that are gone.
const LOOKS: usize = 2 * BATCH;

/// Bytes of messages after which it is the others' turn.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What came of a round of deliveries.
#[derive(Debug, Default)]
pub(crate) struct Pumped {
    /// Messages that were delivered without needing an acknowledgement.
    pub settled: Vec<u64>,
    /// Whether there is more to deliver at once.
    pub has_more: bool,
    /// Whether a turn was not enough to count the little that is not counted yet.
    pub is_behind: bool,
}

/// The next message, and how often it will have been delivered then.
struct Candidate<'a> {
    message: View<'a>,
    deliveries: u64,
}

/// Where a delivery takes place.
struct Around<'a> {
    stream: &'a str,
    now: Now,
    interest: &'a dyn Interest,
}

enum Source<'a> {
    Candidate(Candidate<'a>),
    /// A message that is gone, or that its reader must not see; look again.
    Skipped,
    /// The turn is over.
    Unfinished,
    Nothing,
}

impl Consumer {
    /// Delivers what there is, as far as somebody wants it.
    pub(crate) fn pump<L: Log>(
        &mut self,
        stream: &str,
        log: &mut L,
        (now, interest): (Now, &dyn Interest),
        chance: &mut dyn FnMut() -> u64,
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<Pumped, LogError> {
        let mut pumped = Pumped::default();
        self.expire_pin(now);
        self.give_up(now, work);
        self.see_interest(stream, now, interest, out);
        self.resumes =
            self.config.pause_until.filter(|until| *until > now.wall).map(|until| now.tick + until.since(now.wall));
        if self.resumes.is_none() {
            let around = Around { stream, now, interest };
            let (mut sent, mut looks, before) = (0, 0, out.bytes());
            let is_over = |sent: usize, looks: usize, bytes: usize, work: &Work| {
                sent >= BATCH || looks >= LOOKS || bytes.saturating_sub(before) >= BATCH_BYTES || work.is_over()
            };
            while !is_over(sent, looks, out.bytes(), work) && self.may_deliver(now, interest, work, out) {
                looks += 1;
                let left = match self.left(log, now, work) {
                    Err(LogError::Unfinished) => {
                        pumped.is_behind = self.is_nearly_counted(log);
                        break;
                    }
                    left => left?,
                };
                match self.next_message(log, work)? {
                    Source::Nothing | Source::Unfinished => break,
                    Source::Skipped => continue,
                    Source::Candidate(candidate) => {
                        let bytes = out.bytes();
                        if self.config.priority_policy != PriorityPolicy::None {
                            work.spend(self.waiting.len() as u64 / LOOKS_A_UNIT);
                        }
                        let Some(seq) = self.deliver(&around, candidate, left, chance, out) else { break };
                        work.spend(MESSAGE_UNITS + out.bytes().saturating_sub(bytes) as u64 / BYTES_A_UNIT);
                        sent += 1;
                        self.ask_how_far(stream, chance, out);
                        if self.config.ack_policy == AckPolicy::None {
                            pumped.settled.push(seq);
                        }
                    }
                }
            }
            pumped.has_more = is_over(sent, looks, out.bytes(), work);
        }
        if !pumped.has_more {
            match self.left(log, now, work) {
                Err(LogError::Unfinished) => (pumped.has_more, pumped.is_behind) = (true, self.is_nearly_counted(log)),
                left => {
                    let is_empty = self.deliveries.waits_again() == 0 && left? == 0;
                    let is_at_end = is_empty || self.clock_woke_somebody(now);
                    work.spend(self.waiting.len() as u64);
                    self.expire_waiting(now, is_at_end, interest, out);
                }
            }
        }
        self.pull_heartbeats(now, out);
        self.push_heartbeat(stream, now, chance, out);
        Ok(pumped)
    }

    /// Looks whether somebody listens to where it delivers, if it is time to, and asks to be told when nobody does.
    pub(crate) fn see_interest(&mut self, stream: &str, now: Now, interest: &dyn Interest, out: &mut Outbox) {
        if let Some(push) = &mut self.push
            && (push.is_active || push.is_due_to_look(now.tick))
        {
            let was_active = push.is_active;
            push.see_interest(interest.is_heard(&push.deliver, &self.config.deliver_group), now.tick);
            if was_active || push.is_active {
                self.last_seen = now.tick;
            }
            if push.must_await() {
                out.extend(self.awaited(stream).map(Effect::Await));
            }
        }
    }

    /// Somebody is said to listen to where it delivers.
    pub(crate) fn interest_began(&mut self, now: Now) {
        if let Some(push) = &mut self.push {
            push.look_now(now.tick);
        }
    }

    /// Where it delivers, if it pushes, as what it waits for.
    pub(crate) fn awaited(&self, stream: &str) -> Option<Awaited> {
        let push = self.push.as_ref()?;
        let (subject, group) = (push.deliver.clone(), self.config.deliver_group.clone());
        Some(Awaited { subject, group, by: format!("{stream}.{}", self.name).into_bytes() })
    }

    fn may_deliver(&mut self, now: Now, interest: &dyn Interest, work: &mut Work, out: &mut Outbox) -> bool {
        if self.not_before.is_some_and(|at| at > now.tick) {
            return false;
        }
        self.not_before = None;
        let has_room = self.config.ack_policy == AckPolicy::None
            || self.config.max_ack_pending <= 0
            || (self.deliveries.len() as i64) < self.config.max_ack_pending
            || self.deliveries.waits_again() > 0;
        if !has_room {
            return false;
        }
        match &self.push {
            Some(push) => push.is_active && push.flow.as_ref().is_none_or(|flow| flow.has_room()),
            None => self.somebody_waits(now, interest, work, out),
        }
    }

    /// Forgets those at the front who left or whose time is up.
    fn somebody_waits(&mut self, now: Now, interest: &dyn Interest, work: &mut Work, out: &mut Outbox) -> bool {
        let Some(first) = self.waiting.front() else { return false };
        let is_over = first.deadline().is_some_and(|at| at <= now.tick);
        if is_over || !interest.is_wanted(&first.reply) {
            work.spend(self.waiting.len() as u64);
            self.pull_heartbeats(now, out);
            self.expire_waiting(now, false, interest, out);
        }
        !self.waiting.is_empty()
    }

    fn next_message<'a, L: Log>(&mut self, log: &'a mut L, work: &mut Work) -> Result<Source<'a>, LogError> {
        if let Some(seq) = self.deliveries.next_again() {
            return self.next_again(seq, log);
        }
        if self.config.max_ack_pending > 0
            && self.config.ack_policy != AckPolicy::None
            && self.deliveries.len() as i64 >= self.config.max_ack_pending
        {
            return Ok(Source::Nothing);
        }
        if let Some(&seq) = self.firsts.front() {
            return Ok(match log.look_at(seq)?.filter(|message| self.sees(message.subject)) {
                Some(message) => Source::Candidate(Candidate { message, deliveries: 1 }),
                None => {
                    self.firsts.pop_front();
                    Source::Skipped
                }
            });
        }
        Ok(match log.look(&self.filters, self.next, work)? {
            // It was not counted among what is left.
            Found::Message(message) if !self.sees(message.subject) => {
                self.next = message.seq + 1;
                Source::Skipped
            }
            Found::Message(message) => Source::Candidate(Candidate { message, deliveries: 1 }),
            Found::NothingBefore(seq) => {
                self.next = seq;
                self.count_nothing_before(seq);
                Source::Nothing
            }
            Found::Unfinished(seq) => {
                self.next = seq;
                self.count_nothing_before(seq);
                Source::Unfinished
            }
        })
    }

    fn next_again<'a, L: Log>(&mut self, seq: u64, log: &'a mut L) -> Result<Source<'a>, LogError> {
        let deliveries = self.deliveries.count(seq) + 1;
        match log.look_at(seq)? {
            Some(message) => Ok(Source::Candidate(Candidate { message, deliveries })),
            None => {
                self.deliveries.remove(seq);
                self.settle_floor();
                Ok(Source::Skipped)
            }
        }
    }

    /// Sends one message, of the `left` that are still to be delivered, and gives its sequence. `None` when nobody has room
    /// for it.
    fn deliver(
        &mut self,
        &Around { stream, now, interest }: &Around<'_>,
        Candidate { message, deliveries }: Candidate<'_>,
        left: u64,
        chance: &mut dyn FnMut() -> u64,
        out: &mut Outbox,
    ) -> Option<u64> {
        let left_behind = left.saturating_sub(u64::from(deliveries == 1));
        let without_payload = self.without_payload(&message);
        let (headers, payload) = match &without_payload {
            Some(headers) => (headers.as_slice(), &b""[..]),
            None => (message.headers, message.payload),
        };
        let consumer_seq = self.delivered.consumer.saturating_add(1);
        let (stream_seq, time, pending) = (message.seq, message.time, left_behind);
        let counted = Counted { deliveries, stream_seq, consumer_seq, time, pending };
        self.reply.set(stream, self.name.as_str(), &counted);
        let reply_len = self.reply.as_bytes().len();
        let size = (message.subject.len() + reply_len + headers.len() + payload.len()) as u64;
        let offer = Offer { subject: message.subject, size, pending: left };
        if self.is_pull() && !self.choose(&offer, now, interest, chance, out) {
            return None;
        }
        if self.wait_for_pace(&message, deliveries, now) {
            return None;
        }
        self.advance(&message, deliveries, now);
        let pinned = self.with_pin(headers);
        let headers = pinned.as_deref().unwrap_or(headers);
        let (subject, reply) = (Some(message.subject), Some(self.reply.as_bytes()));
        out.send(&Outgoing { to: self.receiver(), subject, reply, headers, payload, whole: None });
        self.sent(size, now);
        Some(message.seq)
    }

    /// Replays as it came: whether it is too early for this message.
    fn wait_for_pace(&mut self, message: &View<'_>, deliveries: u64, now: Now) -> bool {
        if !crate::consumer_config::is_paced(&self.config) || deliveries > 1 {
            return false;
        }
        match self.pace.replace(message.time) {
            Some(before) if message.time.since(before) > Duration::ZERO => {
                self.not_before = Some(now.tick + message.time.since(before));
                true
            }
            _ => false,
        }
    }

    fn advance(&mut self, message: &View<'_>, deliveries: u64, now: Now) {
        let seq = message.seq;
        self.delivered.consumer = self.delivered.consumer.saturating_add(1);
        self.last_delivered = Some(now.wall);
        self.is_dirty = true;
        if deliveries == 1 {
            self.delivered.stream = seq;
            match self.firsts.front() {
                Some(&first) if first == seq => {
                    self.firsts.pop_front();
                }
                _ => {
                    self.next = seq + 1;
                    self.count_delivered();
                }
            }
        }
        if self.config.ack_policy == AckPolicy::None {
            self.floor = self.delivered;
            return;
        }
        let wait = self.wait_of(deliveries);
        let due = (!wait.is_zero()).then(|| now.tick + wait);
        self.deliveries.delivered(seq, self.delivered.consumer, now.tick, due);
    }

    /// Who gets the next message.
    fn receiver(&self) -> &[u8] {
        match &self.push {
            Some(push) => &push.deliver,
            None => self.waiting.front().map_or(&[], |first| &first.reply[..]),
        }
    }

    /// It got one.
    fn sent(&mut self, size: u64, now: Now) {
        if let Some(push) = &mut self.push {
            push.sent(now.tick);
            if let Some(flow) = &mut push.flow {
                flow.add(size as usize);
            }
            if let Some(nanos) = push.nanos_per_byte {
                self.not_before = Some(now.tick + Duration::from_nanos((nanos * size as f64) as u64));
            }
            return;
        }
        let Some(mut first) = self.waiting.pop_front() else { return };
        first.count(size, now.tick);
        if !first.is_done() {
            // Everybody who waits gets a message in turn.
            self.enqueue(first);
        } else {
            self.last_seen = now.tick;
        }
    }

    /// The header block of a message that is delivered without its payload, whose size it tells.
    fn without_payload(&self, message: &View<'_>) -> Option<Vec<u8>> {
        self.config.headers_only.then(|| {
            let mut headers = Vec::with_capacity(message.headers.len() + 40);
            let mut digits = itoa::Buffer::new();
            let size = digits.format(message.payload.len());
            append_headers(&mut headers, message.headers, &[("Nats-Msg-Size", size.as_bytes())]);
            headers
        })
    }

    /// The header block with the id of the client that is pinned, if one is.
    fn with_pin(&self, headers: &[u8]) -> Option<Vec<u8>> {
        let pin = self.pin_id()?;
        let mut pinned = Vec::with_capacity(headers.len() + 40);
        append_headers(&mut pinned, headers, &[("Nats-Pin-Id", pin.as_bytes())]);
        Some(pinned)
    }

    fn ask_how_far(&mut self, stream: &str, chance: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        let name = self.name.as_str();
        // Where the answer is the acknowledgement it is also asked for when nothing more may be on its way.
        let is_full = self.config.ack_policy == AckPolicy::FlowControl
            && self.deliveries.len() as i64 >= self.config.max_ack_pending;
        let Some(push) = &mut self.push else { return };
        let Some(flow) = &mut push.flow else { return };
        let question =
            flow.ask(is_full, || format!("$JS.FC.{stream}.{name}.{}", crate::random_word(chance(), 4)).into_bytes());
        if let Some(question) = question {
            push.ask_how_far(&question, out);
        }
    }

    fn push_heartbeat(&mut self, stream: &str, now: Now, chance: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        let waits = self.config.ack_policy == AckPolicy::FlowControl && !self.deliveries.is_empty();
        let Some(push) = self.push.as_mut().filter(|push| push.heartbeat_is_due(now.tick)) else { return };
        if waits && let Some(flow) = push.flow.as_mut().filter(|flow| flow.open_question().is_none()) {
            let (name, chance) = (self.name.as_str(), chance());
            let question =
                flow.ask(true, || format!("$JS.FC.{stream}.{name}.{}", crate::random_word(chance, 4)).into_bytes());
            question.into_iter().for_each(|question| push.ask_how_far(&question, out));
            return push.sent(now.tick);
        }
        let mut lines = vec![
            ("Nats-Last-Consumer", self.delivered.consumer.to_string()),
            ("Nats-Last-Stream", self.delivered.stream.to_string()),
        ];
        if let Some(question) = push.flow.as_ref().and_then(|flow| flow.open_question()) {
            lines.push(("Nats-Consumer-Stalled", String::from_utf8_lossy(question).into_owned()));
        }
        out.say(&push.deliver, status("100 Idle Heartbeat", &lines), Vec::new());
        push.sent(now.tick);
    }

    /// The client answered how far it is. Whether that opens the way for more; what it acknowledges by that is given too.
    pub(crate) fn flow_answered(&mut self, subject: &[u8], headers: &[u8], now: Now) -> (bool, Vec<u64>) {
        let answered =
            self.push.as_mut().and_then(|push| push.flow.as_mut()).is_some_and(|flow| flow.answered(subject));
        if !answered || self.config.ack_policy != AckPolicy::FlowControl {
            return (answered, Vec::new());
        }
        let seq = wire::headers::Headers::new(headers).get("Nats-Last-Stream");
        let seq = seq.and_then(|text| std::str::from_utf8(text).ok()?.trim().parse::<u64>().ok());
        (true, seq.map_or(Vec::new(), |seq| self.done(seq, now)))
    }
}
