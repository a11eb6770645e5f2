//! Priority groups: who of those who wait gets the next message.

use super::pull::{PullRefused, Waiting};
use super::{Consumer, Happened};
use crate::outbox::{Interest, Now, Outbox};
use api::PriorityPolicy;
use api::requests::Next;
use moment::{Instant, Timestamp};
use std::time::Duration;

/// The client that gets all messages.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    pub id: String,
    pub group: String,
    pub since: Timestamp,
    expires: Instant,
}

/// Why a client is not pinned any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unpinned {
    /// Somebody wanted it.
    Admin,
    /// It was silent for too long.
    Timeout,
}

impl Unpinned {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Unpinned::Admin => "admin",
            Unpinned::Timeout => "timeout",
        }
    }
}

/// The message that is to be given to somebody.
pub(super) struct Offer<'a> {
    pub subject: &'a [u8],
    pub size: u64,
    /// Messages that are still to be delivered.
    pub pending: u64,
}

/// Whether the first of those who wait may have the message.
enum Turn {
    Its,
    /// Somebody else's; it keeps waiting.
    Later,
    /// It is told why, and waits no longer.
    Never(&'static str),
    /// It must not have it. The same.
    Withheld,
}

impl Consumer {
    pub(super) fn check_group_request(&mut self, request: &Next, now: Now) -> Result<(), PullRefused> {
        let refuse = |text: &str| Err(PullRefused(text.to_owned()));
        let policy = self.config.priority_policy;
        if (request.min_pending != 0 || request.min_ack_pending != 0) && policy != PriorityPolicy::Overflow {
            return refuse("400 Bad Request - Not a Overflow Priority consumer");
        }
        if !request.id.is_empty() && policy != PriorityPolicy::PinnedClient {
            return refuse("400 Bad Request - Not a Pinned Client Priority consumer");
        }
        if !(0..=9).contains(&request.priority) {
            return refuse("400 Bad Request - Priority must be between 0 and 9");
        }
        if policy == PriorityPolicy::None {
            return Ok(());
        }
        if request.group.is_empty() {
            return refuse("400 Bad Request - Priority Group missing");
        }
        if !self.config.priority_groups.contains(&request.group) {
            return refuse("400 Bad Request - Invalid Priority Group");
        }
        match &mut self.pin {
            Some(pin) if pin.id == request.id => pin.expires = now.tick + lifetime(self.config.priority_timeout),
            Some(_) if !request.id.is_empty() => return refuse("423 Nats-Pin-Id mismatch"),
            _ => {}
        }
        Ok(())
    }

    /// Puts a request, or one that got a message and wants more, into the queue.
    pub(super) fn enqueue(&mut self, waiting: Waiting) {
        if self.config.priority_policy != PriorityPolicy::Prioritized {
            return self.waiting.push_back(waiting);
        }
        let at = self.waiting.partition_point(|other| other.wishes.priority <= waiting.wishes.priority);
        self.waiting.insert(at, waiting);
    }

    /// Brings the one to the front who gets the next message. Whether there is anybody.
    pub(super) fn choose(
        &mut self,
        &Offer { subject, size, pending }: &Offer<'_>,
        now: Now,
        interest: &dyn Interest,
        chance: &mut dyn FnMut() -> u64,
        out: &mut Outbox,
    ) -> bool {
        let mut passed = 0;
        while passed < self.waiting.len() {
            let Some(first) = self.waiting.front() else { return false };
            if first.is_over(now.tick) {
                first.tell_expired("408 Request Timeout", out);
                self.waiting.pop_front();
                continue;
            }
            match self.turn_of(first, subject, pending) {
                Turn::Its => {}
                Turn::Later => {
                    self.waiting.rotate_left(1);
                    passed += 1;
                    continue;
                }
                Turn::Never(why) => {
                    first.tell_expired(why, out);
                    self.waiting.pop_front();
                    continue;
                }
                Turn::Withheld => {
                    first.tell_withheld(subject);
                    first.tell_expired("409 Permissions Violation", out);
                    self.waiting.pop_front();
                    continue;
                }
            }
            if first.bytes_left.is_some_and(|bytes| bytes < size) {
                first.tell_expired("409 Message Size Exceeds MaxBytes", out);
                self.waiting.pop_front();
            } else if !interest.is_wanted(&first.reply) {
                self.waiting.pop_front();
            } else {
                self.pin_first(now, chance);
                return true;
            }
        }
        // Everybody keeps his place.
        if !self.waiting.is_empty() {
            let len = self.waiting.len();
            self.waiting.rotate_left((len - passed % len) % len);
        }
        false
    }

    fn turn_of(&self, first: &Waiting, subject: &[u8], pending: u64) -> Turn {
        let wishes = &first.wishes;
        if !first.sees(subject) {
            return Turn::Withheld;
        }
        match self.config.priority_policy {
            PriorityPolicy::None | PriorityPolicy::Prioritized => Turn::Its,
            PriorityPolicy::Overflow => {
                let asks = wishes.min_pending > 0 || wishes.min_ack_pending > 0;
                let overflows = (1..=pending).contains(&wishes.min_pending)
                    || (1..=self.deliveries.len() as u64).contains(&wishes.min_ack_pending);
                if !asks || overflows { Turn::Its } else { Turn::Later }
            }
            PriorityPolicy::PinnedClient => match &self.pin {
                None if wishes.pin.is_empty() => Turn::Its,
                Some(pin) if pin.id == wishes.pin => Turn::Its,
                Some(_) if wishes.pin.is_empty() => Turn::Later,
                _ => Turn::Never("423 Nats-Wrong-Pin-Id"),
            },
        }
    }

    /// Without a pinned client the first becomes it.
    fn pin_first(&mut self, now: Now, chance: &mut dyn FnMut() -> u64) {
        if self.config.priority_policy != PriorityPolicy::PinnedClient || self.pin.is_some() {
            return;
        }
        let Some(first) = self.waiting.front_mut() else { return };
        let id = crate::random_word(chance(), 11) + &crate::random_word(chance(), 11);
        let group = first.wishes.group.clone();
        first.wishes.pin = id.clone();
        let expires = now.tick + lifetime(self.config.priority_timeout);
        self.pin = Some(Pin { id: id.clone(), group: group.clone(), since: now.wall, expires });
        self.note(Happened::Pinned { group, id });
    }

    /// The pinned client loses its place.
    pub(crate) fn unpin(&mut self, group: &str, why: Unpinned) {
        self.pin = None;
        self.note(Happened::Unpinned { group: group.to_owned(), why });
    }

    pub(super) fn expire_pin(&mut self, now: Now) {
        if let Some(pin) = self.pin.take_if(|pin| pin.expires <= now.tick) {
            self.unpin(&pin.group, Unpinned::Timeout);
        }
    }

    pub(super) fn pin_deadline(&self) -> Option<Instant> {
        self.pin.as_ref().map(|pin| pin.expires)
    }

    /// What a delivered message says to the pinned client.
    pub(super) fn pin_id(&self) -> Option<&str> {
        self.pin.as_ref().map(|pin| pin.id.as_str())
    }
}

fn lifetime(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.max(0) as u64)
}
