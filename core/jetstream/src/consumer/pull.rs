//! Pull requests: who waits for messages, for how many and how long.

use super::Consumer;
use crate::asker::Asker;
use crate::log::{Log, LogError};
use crate::outbox::{Interest, Now, Outbox, status};
use crate::tenant::reading::sees;
use crate::work::Work;
use api::requests::Next;
use moment::{GoDuration, Instant};
use std::sync::Arc;
use std::time::Duration;
use subject::Filter;

/// Most messages one request may ask for.
const MAX_BATCH: i64 = 1_000_000;
/// Clients that wait at one consumer at most, whatever its configuration says: all of them are looked at when its time comes.
const MAX_WAITING: i64 = 16_384;

/// So many clients that wait are looked at for a unit, where nobody is asked whether they are still there.
pub(super) const LOOKS_A_UNIT: u64 = 8;

/// A client that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub reply: Vec<u8>,
    pub left: u64,
    pub bytes_left: Option<u64>,
    expires: Option<Instant>,
    no_wait: bool,
    heartbeat: Option<Duration>,
    next_heartbeat: Option<Instant>,
    pub sent: u64,
    pub(super) wishes: GroupWishes,
    /// Who asked, if somebody who may not read everything.
    asker: Option<Arc<dyn Asker>>,
}

/// What a request of a priority group says.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupWishes {
    pub group: String,
    /// The id by which the client was pinned.
    pub pin: String,
    pub min_pending: u64,
    pub min_ack_pending: u64,
    pub priority: i64,
}

/// Why a pull request is not taken, as its client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRefused(pub String);

impl Waiting {
    /// Whether it may have a message of this subject.
    pub(super) fn sees(&self, subject: &[u8]) -> bool {
        sees(self.asker.as_ref(), subject)
    }

    /// It is refused a message of this subject: the operator is to know.
    pub(super) fn tell_withheld(&self, subject: &[u8]) {
        let Some((asker, filter)) = self.asker.as_ref().zip(Filter::parse(subject).ok()) else { return };
        if let Err(denial) = asker.reading().read_all(&filter) {
            asker.refused(&denial);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.expires, self.next_heartbeat].into_iter().flatten().min()
    }

    /// Whether its time is up.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    pub(super) fn tell_expired(&self, text: &str, out: &mut Outbox) {
        let pending = [
            ("Nats-Pending-Messages", self.left.to_string()),
            ("Nats-Pending-Bytes", self.bytes_left.unwrap_or(0).to_string()),
        ];
        out.say(&self.reply, status(text, &pending), Vec::new());
    }

    /// A message goes to this client.
    pub(crate) fn count(&mut self, size: u64, now: Instant) {
        self.left -= 1;
        self.sent += 1;
        if let Some(bytes) = &mut self.bytes_left {
            *bytes = bytes.saturating_sub(size);
        }
        self.next_heartbeat = self.heartbeat.map(|every| now + every);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left == 0 || self.bytes_left == Some(0)
    }
}

impl Consumer {
    /// Takes a pull request. `by` is whose it is, if somebody's who may not read everything.
    pub(crate) fn ask<L: Log>(
        &mut self,
        (request, reply, by): (&Next, &[u8], Option<Arc<dyn Asker>>),
        log: &mut L,
        now: Now,
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<(), LogError> {
        self.last_seen = now.tick;
        let there = if request.no_wait { self.left(log, now, work)? + self.deliveries.waits_again() } else { 0 };
        match self.admit((request, reply, by), there, now, work, out) {
            Ok(()) => {}
            Err(PullRefused(text)) => out.say(reply, status(&text, &[]), Vec::new()),
        }
        Ok(())
    }

    /// Takes it or says why not. `there` are the messages that somebody may have who does not want to wait.
    fn admit(
        &mut self,
        (request, reply, by): (&Next, &[u8], Option<Arc<dyn Asker>>),
        there: u64,
        now: Now,
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<(), PullRefused> {
        self.check_request(request).and_then(|()| self.check_group_request(request, now))?;
        if request.no_wait {
            if there == 0 && request.expires == 0 {
                return Err(PullRefused("404 No Messages".into()));
            }
            work.spend(self.waiting.len() as u64 / LOOKS_A_UNIT);
            let asked: u64 = self.waiting.iter().map(|waiting| waiting.left).sum();
            if there > 0 && there < asked {
                return Err(PullRefused("408 Requests Pending".into()));
            }
        }
        let most = self.config.max_waiting.min(MAX_WAITING);
        if self.waiting.len() as i64 >= most {
            work.spend(self.waiting.len() as u64 / LOOKS_A_UNIT);
            self.expire_waiting(now, false, &Everybody, out);
            if self.waiting.len() as i64 >= most {
                // With heartbeats the client finds out by their absence.
                let silent = request.idle_heartbeat > 0;
                return if silent { Ok(()) } else { Err(PullRefused("409 Exceeded MaxWaiting".into())) };
            }
        }
        self.enqueue(Waiting { asker: by, ..waiting(request, reply, now) });
        Ok(())
    }

    fn check_request(&self, request: &Next) -> Result<(), PullRefused> {
        let refuse = |text: String| Err(PullRefused(text));
        let config = &self.config;
        if !self.is_pull() {
            return refuse("409 Consumer is push based".into());
        }
        if request.batch < 0 || request.batch > MAX_BATCH {
            return refuse("400 Bad Request - invalid batch".into());
        }
        if config.max_batch > 0 && request.batch > config.max_batch {
            return refuse(format!("409 Exceeded MaxRequestBatch of {}", config.max_batch));
        }
        if config.max_expires > 0 && request.expires > config.max_expires {
            return refuse(format!("409 Exceeded MaxRequestExpires of {}", GoDuration(config.max_expires)));
        }
        if config.max_bytes > 0 && request.max_bytes > config.max_bytes {
            return refuse(format!("409 Exceeded MaxRequestMaxBytes of {}", config.max_bytes));
        }
        if request.expires < 0 {
            return refuse("400 Bad Request - expires can not be negative".into());
        }
        if request.idle_heartbeat > 0 && request.idle_heartbeat > request.expires / 2 {
            return refuse("400 Bad Request - heartbeat value too large".into());
        }
        Ok(())
    }

    /// Whether the time of somebody who waits is up, or a sign of life is due. Whoever wants to wait for nothing is then
    /// done, even where messages only wait for acknowledgements of others.
    pub(crate) fn clock_woke_somebody(&self, now: Now) -> bool {
        self.waiting.iter().any(|waiting| waiting.deadline().is_some_and(|at| at <= now.tick))
    }

    /// Tells those whose time is up, and forgets those who left. `is_at_end`: there is nothing more to deliver now.
    pub(crate) fn expire_waiting(&mut self, now: Now, is_at_end: bool, interest: &dyn Interest, out: &mut Outbox) {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| {
            let is_over = waiting.expires.is_some_and(|at| at <= now.tick);
            if is_over {
                waiting.tell_expired("408 Request Timeout", out);
                return false;
            }
            if is_at_end && waiting.no_wait && (waiting.expires.is_none() || waiting.sent > 0) {
                out.say(&waiting.reply, status("404 No Messages", &[]), Vec::new());
                return false;
            }
            interest.is_wanted(&waiting.reply)
        });
        if self.waiting.len() < before {
            self.last_seen = now.tick;
        }
    }

    /// Signs of life to those who wait.
    pub(crate) fn pull_heartbeats(&mut self, now: Now, out: &mut Outbox) {
        let last = [
            ("Nats-Last-Consumer", self.delivered.consumer.to_string()),
            ("Nats-Last-Stream", self.delivered.stream.to_string()),
        ];
        for waiting in &mut self.waiting {
            if waiting.next_heartbeat.is_some_and(|at| at <= now.tick) {
                out.say(&waiting.reply, status("100 Idle Heartbeat", &last), Vec::new());
                waiting.next_heartbeat = waiting.heartbeat.map(|every| now.tick + every);
            }
        }
    }
}

fn waiting(request: &Next, reply: &[u8], now: Now) -> Waiting {
    let nanos = |nanos: i64| (nanos > 0).then(|| Duration::from_nanos(nanos as u64));
    let heartbeat = nanos(request.idle_heartbeat);
    Waiting {
        reply: reply.to_vec(),
        left: request.batch.max(1) as u64,
        bytes_left: (request.max_bytes > 0).then_some(request.max_bytes as u64),
        wishes: GroupWishes {
            group: request.group.clone(),
            pin: request.id.clone(),
            min_pending: request.min_pending.max(0) as u64,
            min_ack_pending: request.min_ack_pending.max(0) as u64,
            priority: request.priority,
        },
        expires: nanos(request.expires).map(|after| now.tick + after),
        no_wait: request.no_wait,
        heartbeat,
        next_heartbeat: heartbeat.map(|every| now.tick + every),
        sent: 0,
        asker: None,
    }
}

/// Stands in where interest does not matter.
struct Everybody;

impl Interest for Everybody {
    fn is_wanted(&self, _: &[u8]) -> bool {
        true
    }
}
