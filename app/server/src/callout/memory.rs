//! What services decided a moment ago, each under the configuration by which it was asked.
//!
//! A reload forgets everything, and an answer to a question of the configuration before finds no way in after it: it may come
//! from a service that is not asked any more. What one decision is kept under, and how long, is decided in `core/auth`.

use std::sync::Arc;

use auth::{DECISION_SALT_BYTES, Decisions, Vouched};
use broker::Secure;
use config::Settings;
use net::Inquiry;

use crate::system::SystemRandom;

/// Decisions under one configuration.
pub(super) struct Memory {
    /// `None` where the configuration keeps none.
    decisions: Option<Decisions>,
    /// The epoch in which the configuration came into force.
    since: u64,
}

impl Memory {
    /// Nothing is kept.
    pub(super) const fn none() -> Self {
        Self { decisions: None, since: 0 }
    }

    /// What this configuration, in force since this epoch, wants kept; empty yet.
    pub(super) fn of(settings: &Settings, since: u64) -> Self {
        let decisions = settings.auth.authorization.callout_cache.map(|cache| {
            let mut salt = [0; DECISION_SALT_BYTES];
            SystemRandom.fill(&mut salt);
            Decisions::new(cache.time, cache.most, &salt)
        });
        Self { decisions, since }
    }

    /// The decisions, if the question comes from the configuration in force.
    fn under(&mut self, inquiry: &Inquiry<'_>) -> Option<&mut Decisions> {
        self.decisions.as_mut().filter(|_| inquiry.epoch >= self.since)
    }

    /// What a service said to the same question.
    pub(super) fn recalled(&mut self, inquiry: &Inquiry<'_>) -> Option<Arc<Vouched>> {
        let decisions = self.under(inquiry)?;
        let key = decisions.key(inquiry.question, inquiry.attempt, inquiry.client)?;
        decisions.recall(&key, inquiry.now)
    }

    /// Keeps what a service said.
    pub(super) fn keep(&mut self, inquiry: &Inquiry<'_>, vouched: &Arc<Vouched>) {
        let Some(decisions) = self.under(inquiry) else { return };
        if let Some(key) = decisions.key(inquiry.question, inquiry.attempt, inquiry.client) {
            decisions.keep(key, vouched, inquiry.now);
        }
    }
}
