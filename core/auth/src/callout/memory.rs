//! What a service decided a moment ago, kept for those who come again with the same.
//!
//! Only grants are kept, never a no; only of peers that showed nothing that belongs to one connection (a signed nonce, a
//! certificate); and no credential itself, but a keyed hash of all that the service was told. What is recalled is judged like
//! a fresh word: times, kinds and accounts hold as they are then. The price is that a service which changes its mind is heard
//! [`Decisions`]' time later.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use moment::Timestamp;

use super::{CalloutQuestion, ClientFacts, Vouched};
use crate::attempt::Attempt;

/// The longest time a decision may be kept.
pub const MAX_DECISION_TIME: Duration = Duration::from_secs(300);
/// The most decisions that may be kept.
pub const MAX_DECISIONS: usize = 100_000;
/// Bytes of chance that key the hashes of one process.
pub const DECISION_SALT_BYTES: usize = 32;

/// What was decided, for a while.
pub struct Decisions {
    time: Duration,
    most: usize,
    salt: hmac::Key,
    held: HashMap<DecisionKey, (Timestamp, Arc<Vouched>)>,
    /// In the order in which they came, which is the order in which they go.
    order: VecDeque<(Timestamp, DecisionKey)>,
}

/// Everything that a service was told, in one number that tells nobody anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecisionKey([u8; 32]);

impl Decisions {
    /// Keeps so many for so long, at most [`MAX_DECISIONS`] for [`MAX_DECISION_TIME`].
    pub fn new(time: Duration, most: usize, salt: &[u8; DECISION_SALT_BYTES]) -> Self {
        Self {
            time: time.min(MAX_DECISION_TIME),
            most: most.min(MAX_DECISIONS),
            salt: hmac::Key::new(hmac::HMAC_SHA256, salt),
            held: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Under what a decision about this attempt is kept; `None` if it is this connection's alone.
    pub fn key(&self, question: &CalloutQuestion, attempt: &Attempt, client: &ClientFacts) -> Option<DecisionKey> {
        let said = &attempt.credentials;
        let is_bound = said.signature.is_some() || said.proxy_signature.is_some() || client.tls.is_some();
        if is_bound || attempt.certificate.is_some() || said.password.is_none() && said.token.is_none() {
            return None;
        }
        let mut hash = hmac::Context::with_key(&self.salt);
        let mut part = |text: &str| {
            // Each with its length, so that no two sets of parts read the same.
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        let secret = |secret: &Option<secret::Secret<String>>| secret.as_ref().map(|secret| secret.expose().clone());
        part(question.account.name.as_str());
        part(question.user.name());
        for text in
            [said.user.clone(), secret(&said.password), secret(&said.token), said.nkey.clone(), secret(&said.jwt)]
        {
            part(if text.is_some() { "+" } else { "-" });
            part(text.as_deref().unwrap_or_default());
        }
        for text in [&client.host, &client.name, &client.lang, &client.version, &client.mqtt_id] {
            part(text);
        }
        part(client.kind);
        part(client.connection_type);
        part(&client.protocol.to_string());
        part(&format!("{:?} {:?}", attempt.kind, attempt.address));
        hash.sign().as_ref().try_into().ok().map(DecisionKey)
    }

    /// What the service said a while ago.
    pub fn recall(&mut self, key: &DecisionKey, now: Timestamp) -> Option<Arc<Vouched>> {
        self.forget_old(now);
        self.held.get(key).filter(|(until, _)| *until > now).map(|(_, vouched)| vouched.clone())
    }

    /// Keeps what the service said. A user that leaves earlier is forgotten earlier.
    pub fn keep(&mut self, key: DecisionKey, vouched: &Arc<Vouched>, now: Timestamp) {
        self.forget_old(now);
        let until = now + self.time;
        let until = vouched.expires().map_or(until, |expires| expires.min(until));
        if self.most == 0 || until <= now {
            return;
        }
        while self.order.len() >= self.most {
            self.forget_first();
        }
        self.held.insert(key, (until, vouched.clone()));
        self.order.push_back((now + self.time, key));
    }

    fn forget_old(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((until, key)) = self.order.pop_front() else { return };
        // It may have been kept anew since.
        if self.held.get(&key).is_some_and(|(held, _)| *held <= until) {
            self.held.remove(&key);
        }
    }
}
