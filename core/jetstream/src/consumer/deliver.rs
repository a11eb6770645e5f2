//! Delivering: what is next, whether it may go now, and to whom.

use super::Consumer;
use crate::ack::{AckSubject, reply_subject};
use crate::log::{Found, Log, LogError, Stored};
use crate::outbox::{After, Interest, Now, Outbox, Outgoing, status};
use crate::stream::append_headers;
use api::AckPolicy;
use std::time::Duration;

/// Messages one consumer delivers before the others get their turn.
const BATCH: usize = 256;

/// What came of a round of deliveries.
#[derive(Debug, Default)]
pub(crate) struct Pumped {
    /// Messages that were delivered without needing an acknowledgement.
    pub settled: Vec<u64>,
    /// Whether there is more to deliver at once.
    pub has_more: bool,
}

/// The next message, and how often it will have been delivered then.
struct Candidate<M> {
    message: M,
    deliveries: u64,
}

enum Source<M> {
    Candidate(Candidate<M>),
    /// A message that was to be delivered again is gone, or was delivered often enough; look again.
    Skipped,
    Nothing,
}

impl Consumer {
    /// Delivers what there is, as far as somebody wants it.
    pub(crate) fn pump<L: Log>(
        &mut self,
        stream: &str,
        log: &mut L,
        now: Now,
        interest: &dyn Interest,
        chance: &mut dyn FnMut() -> u64,
        out: &mut Outbox,
    ) -> Result<Pumped, LogError> {
        let mut pumped = Pumped::default();
        self.deliveries.expire(now.tick);
        self.see_interest(now, interest);
        self.resumes =
            self.config.pause_until.filter(|until| *until > now.wall).map(|until| now.tick + until.since(now.wall));
        if self.resumes.is_none() {
            let mut sent = 0;
            while sent < BATCH && self.may_deliver(now, interest, out) {
                match self.next_message(log)? {
                    Source::Nothing => break,
                    Source::Skipped => continue,
                    Source::Candidate(candidate) => {
                        let Some(seq) = self.deliver(stream, candidate, log, now, out)? else { break };
                        sent += 1;
                        self.ask_how_far(stream, chance, out);
                        if self.config.ack_policy == AckPolicy::None {
                            pumped.settled.push(seq);
                        }
                    }
                }
            }
            pumped.has_more = sent == BATCH;
        }
        if !pumped.has_more {
            let is_at_end = self.deliveries.waits_again() == 0 && self.left(log)? == 0;
            self.expire_waiting(now, is_at_end, interest, out);
        }
        self.pull_heartbeats(now, out);
        self.push_heartbeat(now, out);
        Ok(pumped)
    }

    fn see_interest(&mut self, now: Now, interest: &dyn Interest) {
        if let Some(push) = &mut self.push
            && (push.is_active || push.is_due_to_look(now.tick))
        {
            let was_active = push.is_active;
            push.see_interest(interest.is_wanted(&push.deliver), now.tick);
            if was_active || push.is_active {
                self.last_seen = now.tick;
            }
        }
    }

    fn may_deliver(&mut self, now: Now, interest: &dyn Interest, out: &mut Outbox) -> bool {
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
            None => self.somebody_waits(now, interest, out),
        }
    }

    /// Forgets those at the front who left or whose time is up.
    fn somebody_waits(&mut self, now: Now, interest: &dyn Interest, out: &mut Outbox) -> bool {
        let Some(first) = self.waiting.front() else { return false };
        let is_over = first.deadline().is_some_and(|at| at <= now.tick);
        if is_over || !interest.is_wanted(&first.reply) {
            self.pull_heartbeats(now, out);
            self.expire_waiting(now, false, interest, out);
        }
        !self.waiting.is_empty()
    }

    fn next_message<L: Log>(&mut self, log: &mut L) -> Result<Source<L::Message>, LogError> {
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
            return Ok(match log.load(seq)? {
                Some(message) => Source::Candidate(Candidate { message, deliveries: 1 }),
                None => {
                    self.firsts.pop_front();
                    self.left = None;
                    Source::Skipped
                }
            });
        }
        Ok(match log.next(&self.filters, self.next)? {
            Found::Message(message) => Source::Candidate(Candidate { message, deliveries: 1 }),
            Found::NothingBefore(seq) => {
                self.next = seq;
                Source::Nothing
            }
        })
    }

    fn next_again<L: Log>(&mut self, seq: u64, log: &mut L) -> Result<Source<L::Message>, LogError> {
        let deliveries = self.deliveries.count(seq) + 1;
        let is_enough = self.config.max_deliver > 0 && deliveries > self.config.max_deliver as u64;
        match log.load(seq)?.filter(|_| !is_enough) {
            Some(message) => Ok(Source::Candidate(Candidate { message, deliveries })),
            None => {
                self.deliveries.remove(seq);
                self.settle_floor();
                Ok(Source::Skipped)
            }
        }
    }

    /// Sends one message. `None` when nobody has room for it.
    fn deliver<L: Log>(
        &mut self,
        stream: &str,
        candidate: Candidate<L::Message>,
        log: &mut L,
        now: Now,
        out: &mut Outbox,
    ) -> Result<Option<u64>, LogError> {
        let Candidate { message, deliveries } = candidate;
        let size = (message.subject().len() + message.headers().len() + message.payload().len()) as u64;
        if self.is_pull() && !self.somebody_has_room(size, out) {
            return Ok(None);
        }
        if self.wait_for_pace(&message, deliveries, now) {
            return Ok(None);
        }
        self.advance(&message, deliveries, now);
        let left = match &mut self.left {
            Some(left) => {
                *left = left.saturating_sub(u64::from(deliveries == 1));
                *left
            }
            None => self.left(log)?,
        };
        let delivery = AckSubject {
            stream,
            consumer: self.name.as_str(),
            deliveries,
            stream_seq: message.seq(),
            consumer_seq: self.delivered.consumer,
        };
        let reply = reply_subject(&delivery, message.time(), left);
        let to = self.take_receiver(size, now);
        let (headers, payload) = self.parts(&message);
        let subject = Some(message.subject().to_vec());
        out.send(Outgoing { to, subject, reply: Some(reply), headers, payload, after: After::Nothing, else_say: None });
        Ok(Some(message.seq()))
    }

    /// Replays as it came: whether it is too early for this message.
    fn wait_for_pace(&mut self, message: &impl Stored, deliveries: u64, now: Now) -> bool {
        if !crate::consumer_config::is_paced(&self.config) || deliveries > 1 {
            return false;
        }
        match self.pace.replace(message.time()) {
            Some(before) if message.time().since(before) > Duration::ZERO => {
                self.not_before = Some(now.tick + message.time().since(before));
                true
            }
            _ => false,
        }
    }

    fn advance(&mut self, message: &impl Stored, deliveries: u64, now: Now) {
        let seq = message.seq();
        self.delivered.consumer += 1;
        self.last_delivered = Some(now.wall);
        self.is_dirty = true;
        if deliveries == 1 {
            self.delivered.stream = seq;
            match self.firsts.front() {
                Some(&first) if first == seq => {
                    self.firsts.pop_front();
                }
                _ => self.next = seq + 1,
            }
        }
        if self.config.ack_policy == AckPolicy::None {
            self.floor = self.delivered;
            return;
        }
        let wait = self.wait_of(deliveries);
        let due = (!wait.is_zero()).then(|| now.tick + wait);
        self.deliveries.delivered(seq, self.delivered.consumer, due);
    }

    fn take_receiver(&mut self, size: u64, now: Now) -> Vec<u8> {
        if let Some(push) = &mut self.push {
            push.sent(now.tick);
            if let Some(flow) = &mut push.flow {
                flow.add(size as usize);
            }
            if let Some(nanos) = push.nanos_per_byte {
                self.not_before = Some(now.tick + Duration::from_nanos((nanos * size as f64) as u64));
            }
            return push.deliver.clone();
        }
        let Some(mut first) = self.waiting.pop_front() else { return Vec::new() };
        first.count(size, now.tick);
        let reply = first.reply.clone();
        if !first.is_done() {
            // Everybody who waits gets a message in turn.
            self.waiting.push_back(first);
        } else {
            self.last_seen = now.tick;
        }
        reply
    }

    fn parts(&self, message: &impl Stored) -> (Vec<u8>, Vec<u8>) {
        if !self.config.headers_only {
            return (message.headers().to_vec(), message.payload().to_vec());
        }
        let size = message.payload().len().to_string();
        let mut headers = Vec::with_capacity(message.headers().len() + 40);
        append_headers(&mut headers, message.headers(), &[("Nats-Msg-Size", size.as_bytes())]);
        (headers, Vec::new())
    }

    fn ask_how_far(&mut self, stream: &str, chance: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        let name = self.name.as_str();
        let Some(push) = &mut self.push else { return };
        let Some(flow) = &mut push.flow else { return };
        let question = flow.ask(|| format!("$JS.FC.{stream}.{name}.{}", crate::random_word(chance(), 4)).into_bytes());
        if let Some(question) = question {
            out.send(Outgoing {
                to: push.deliver.clone(),
                subject: None,
                reply: Some(question),
                headers: status("100 FlowControl Request", &[]),
                payload: Vec::new(),
                after: After::Nothing,
                else_say: None,
            });
        }
    }

    fn push_heartbeat(&mut self, now: Now, out: &mut Outbox) {
        let Some(push) = self.push.as_mut().filter(|push| push.heartbeat_is_due(now.tick)) else { return };
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

    /// The client answered how far it is. Whether that opens the way for more.
    pub(crate) fn flow_answered(&mut self, subject: &[u8]) -> bool {
        self.push.as_mut().and_then(|push| push.flow.as_mut()).is_some_and(|flow| flow.answered(subject))
    }
}
