//! `jsz`, and what `varz` and `statsz` say of streams.

use api::monitoring::options::JszOptions;
use api::monitoring::{JetStreamVarz, Jsz, JszAccount, JszConfig};

use super::{Fault, Observatory};
use crate::facts::Busy;

impl From<Busy> for Fault {
    fn from(Busy: Busy) -> Self {
        Self("JetStream does not answer".to_owned())
    }
}

impl Observatory {
    /// Streams. Without them nobody leads, so whoever asks for the leader alone gets nothing.
    ///
    /// # Errors
    /// If whoever works on streams does not answer.
    pub fn jsz(&self, wish: &JszOptions) -> Result<Option<Jsz>, Fault> {
        let known = match self.facts.streams(wish)? {
            None if wish.leader_only => return Ok(None),
            known => known.unwrap_or_else(|| Jsz { disabled: true, ..Jsz::default() }),
        };
        Ok(Some(Jsz { server_id: self.server_id(), now: self.now(), ..known }))
    }

    /// The streams of one account.
    ///
    /// # Errors
    /// If JetStream is off, or there is no such account, or it has no streams.
    pub fn jsz_of_account(&self, wish: &JszOptions) -> Result<JszAccount, Fault> {
        let name = &wish.account;
        if self.facts.has_streams(name).is_none() {
            return Err(Fault("jetstream not enabled".to_owned()));
        }
        if self.hub.directory().account(name).is_none() {
            return Err(Fault(format!("account \"{name}\" not found")));
        }
        let none = || Fault(format!("account \"{name}\" not jetstream enabled"));
        self.facts.streams_of(name, wish)?.ok_or_else(none)
    }

    /// What the server says of its streams; nothing where there are none, or nobody answers.
    pub(super) fn streams_at_a_glance(&self) -> Option<JetStreamVarz> {
        let Jsz { stats, config, limits, .. } = self.facts.streams(&JszOptions::default()).ok()??;
        Some(JetStreamVarz { config: Some(config), stats: Some(stats), limits })
    }

    /// The same, without where they are kept: that is told to everybody who listens.
    pub(super) fn streams_for_everybody(&self) -> Option<JetStreamVarz> {
        let known = self.streams_at_a_glance()?;
        let config = known.config.map(|config| JszConfig { store_dir: String::new(), ..config });
        Some(JetStreamVarz { config, ..known })
    }
}
