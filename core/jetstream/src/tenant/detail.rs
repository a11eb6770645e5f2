//! The streams of an account as monitoring shows them.

use super::streams::plain_info;
use super::{Tenant, used};
use crate::limits::Limits;
use crate::log::{LogError, Shelves};
use crate::outbox::Now;
use api::Name;
use api::monitoring::options::JszOptions;
use api::monitoring::{JszAccount, JszApi, JszStats, JszStream};
use api::responses::{Cluster, ConsumerInfo};

/// What of an account somebody looks for and does not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The stream.
    Stream,
    /// The stream is there, and the consumer is not.
    Consumer,
}

impl<S: Shelves> Tenant<S> {
    /// What the account has, in as much detail as is wished for. A stream whose messages cannot be read now is left out;
    /// health checks tell of it.
    pub fn detail(&mut self, wish: &JszOptions, now: Now) -> JszAccount {
        let [memory, storage] = used(&self.streams);
        // Of tiers there is no sum.
        let [reserved_memory, reserved_storage] = match &self.settings.limits {
            Limits::Flat(limits) => [granted(limits.max_memory), granted(limits.max_storage)],
            Limits::Tiers(_) => [0; 2],
        };
        let (total, errors) = self.calls();
        let stats = JszStats {
            memory,
            storage,
            reserved_memory,
            reserved_storage,
            api: JszApi { total, errors, ..JszApi::default() },
            ..JszStats::default()
        };
        let account = self.settings.account.clone();
        let is_wished = wish.streams || wish.consumers;
        let names: Vec<Name> = if is_wished { self.streams.keys().cloned().collect() } else { Vec::new() };
        let shown = |name: Name| self.shown_stream(&name, wish, now).ok().flatten();
        let stream_detail = names.into_iter().filter_map(shown).collect();
        JszAccount { name: account.clone(), id: account, stats, stream_detail }
    }

    fn shown_stream(&mut self, name: &Name, wish: &JszOptions, now: Now) -> Result<Option<JszStream>, LogError> {
        let (mirror, sources) = self.origins(name.as_str(), now);
        let leader = self.settings.server_name.clone();
        let Some(stream) = self.streams.get_mut(name) else { return Ok(None) };
        let info = plain_info(stream, "", now)?;
        let mut consumer_detail = Vec::new();
        if wish.consumers {
            // Whoever looks on does not have anything counted.
            for consumer in stream.consumers.values() {
                let info = consumer.told_so_far(name.as_str(), now);
                let config = info.config.filter(|_| wish.config);
                consumer_detail.push(ConsumerInfo { config, ..info });
            }
        }
        Ok(Some(JszStream {
            name: name.to_string(),
            created: info.created,
            cluster: Some(Cluster { leader }),
            config: wish.config.then_some(info.config),
            state: info.state,
            consumer_detail,
            mirror,
            sources,
        }))
    }

    /// Whether the stream is there, and its consumer; an empty name is not looked for.
    pub fn look_for(&self, stream: &str, consumer: &str) -> Result<(), Missing> {
        if stream.is_empty() {
            return Ok(());
        }
        let stream = self.streams.get(stream).ok_or(Missing::Stream)?;
        match consumer.is_empty() || stream.consumers.contains_key(consumer) {
            true => Ok(()),
            false => Err(Missing::Consumer),
        }
    }
}

/// A limit as monitoring writes it: without one, the largest number.
fn granted(limit: i64) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}
