//! Pushed delivery: interest, signs of life, and not more than the client can take.

use crate::outbox::{Outbox, Outgoing, status};
use api::ConsumerConfig;
use moment::Instant;
use std::time::Duration;

/// Bytes on their way to a client at most; windows begin at a sixteenth of it.
const MAX_WINDOW_BYTES: usize = 32 * 1024 * 1024;
/// How often a delivery subject is looked at for somebody who listens. Who begins to listen is told of at once; this finds
/// who left while there was nothing to deliver.
const LOOK_FOR_INTEREST: Duration = Duration::from_secs(1);
/// The same at the least, where a consumer ends soon after its last listener left.
const LOOK_SOON: Duration = Duration::from_millis(20);

/// How messages are pushed.
#[derive(Debug)]
pub(crate) struct Push {
    pub deliver: Vec<u8>,
    /// Whether somebody listens.
    pub is_active: bool,
    /// Whether it was asked for being told when somebody listens.
    is_awaited: bool,
    next_look: Instant,
    look_every: Duration,
    heartbeat: Option<Duration>,
    next_heartbeat: Option<Instant>,
    pub flow: Option<Flow>,
    /// Nanoseconds for each byte, where the rate is bounded.
    pub nanos_per_byte: Option<f64>,
}

/// Flow control: how much may be on its way.
#[derive(Debug)]
pub(crate) struct Flow {
    window: usize,
    on_the_way: usize,
    /// The question that was not answered yet, and how much it covers.
    asked: Option<(Vec<u8>, usize)>,
}

impl Push {
    pub(crate) fn new(config: &ConsumerConfig, now: Instant) -> Option<Push> {
        if config.deliver_subject.is_empty() {
            return None;
        }
        let heartbeat = (config.idle_heartbeat > 0).then(|| Duration::from_nanos(config.idle_heartbeat as u64));
        let rate = (config.rate_limit_bps > 0).then_some(config.rate_limit_bps);
        Some(Push {
            deliver: config.deliver_subject.clone().into_bytes(),
            is_active: false,
            is_awaited: false,
            next_look: now,
            look_every: look_every(config.inactive_threshold),
            heartbeat,
            next_heartbeat: None,
            flow: config.flow_control.then_some(Flow { window: MAX_WINDOW_BYTES / 16, on_the_way: 0, asked: None }),
            nanos_per_byte: rate.map(|bits| 8e9 / bits as f64),
        })
    }

    /// Notes whether somebody listens. Whether that began just now.
    pub(crate) fn see_interest(&mut self, is_wanted: bool, now: Instant) -> bool {
        let began = is_wanted && !self.is_active;
        self.is_active = is_wanted;
        self.is_awaited &= !is_wanted;
        self.next_look = now + self.look_every;
        if began {
            self.next_heartbeat = self.heartbeat.map(|every| now + every);
            if let Some(flow) = &mut self.flow {
                (flow.on_the_way, flow.asked) = (0, None);
            }
        }
        began
    }

    /// Whether to ask now for being told when somebody listens.
    pub(crate) fn must_await(&mut self) -> bool {
        !self.is_active && !std::mem::replace(&mut self.is_awaited, true)
    }

    /// Somebody is said to listen.
    pub(crate) fn look_now(&mut self, now: Instant) {
        self.next_look = now;
        self.is_awaited = false;
    }

    pub(crate) fn is_due_to_look(&self, now: Instant) -> bool {
        now >= self.next_look
    }

    /// A message or sign of life was sent.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.next_heartbeat = self.heartbeat.map(|every| now + every);
    }

    /// Asks the client how far it is; it answers to `question`.
    pub(crate) fn ask_how_far(&self, question: &[u8], out: &mut Outbox) {
        let headers = status("100 FlowControl Request", &[]);
        let (to, headers) = (self.deliver.as_slice(), headers.as_slice());
        out.send(&Outgoing { to, reply: Some(question), headers, ..Outgoing::default() });
    }

    pub(crate) fn heartbeat_is_due(&self, now: Instant) -> bool {
        self.is_active && self.next_heartbeat.is_some_and(|at| at <= now)
    }

    /// When to look again: for interest, or to send a sign of life.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.is_active {
            true => Some(self.next_heartbeat.map_or(self.next_look, |at| at.min(self.next_look))),
            false => Some(self.next_look),
        }
    }
}

/// How often to look, so that a consumer that is to end after this much silence, nanoseconds, ends about then.
fn look_every(inactive_threshold: i64) -> Duration {
    match u64::try_from(inactive_threshold) {
        Ok(nanos) if nanos > 0 => (Duration::from_nanos(nanos) / 2).clamp(LOOK_SOON, LOOK_FOR_INTEREST),
        _ => LOOK_FOR_INTEREST,
    }
}

impl Flow {
    pub(crate) fn has_room(&self) -> bool {
        self.on_the_way < self.window
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.on_the_way += bytes;
    }

    /// Whether it is time to ask how far the client is, or should be done anyway; `subject` is where it answers.
    pub(crate) fn ask(&mut self, at_once: bool, subject: impl FnOnce() -> Vec<u8>) -> Option<Vec<u8>> {
        if self.asked.is_some() || (!at_once && self.on_the_way <= self.window / 2) {
            return None;
        }
        let subject = subject();
        self.asked = Some((subject.clone(), self.on_the_way));
        Some(subject)
    }

    /// The question that is open.
    pub(crate) fn open_question(&self) -> Option<&[u8]> {
        self.asked.as_ref().map(|(subject, _)| subject.as_slice())
    }

    /// The client answered. Whether it was the open question.
    pub(crate) fn answered(&mut self, subject: &[u8]) -> bool {
        let Some((_, bytes)) = self.asked.take_if(|(asked, _)| asked == subject) else { return false };
        self.on_the_way = self.on_the_way.saturating_sub(bytes);
        self.window = (self.window * 2).min(MAX_WINDOW_BYTES);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_fills_is_asked_about_and_doubles() {
        let mut flow = Flow { window: 1000, on_the_way: 0, asked: None };
        flow.add(400);
        assert_eq!(flow.ask(false, || b"q1".to_vec()), None);
        flow.add(700);
        assert!(!flow.has_room());
        assert_eq!(flow.ask(false, || b"q1".to_vec()), Some(b"q1".to_vec()));
        assert_eq!(flow.ask(false, || b"q2".to_vec()), None, "one question at a time");
        flow.add(50);
        assert!(!flow.answered(b"other"));
        assert!(flow.answered(b"q1"));
        assert_eq!((flow.window, flow.on_the_way), (2000, 50));
    }
}
