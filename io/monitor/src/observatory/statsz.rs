//! `statsz`: what a server tells every few seconds.

use api::monitoring::LinkTroubles;
use api::system::events::Count;
use api::system::statsz::Statsz;

use super::{Observatory, State};
use crate::{totals, usage};

impl Observatory {
    /// The statistics of the server.
    pub fn statsz(&self) -> Statsz {
        let totals = totals::of_accounts(&self.hub);
        let (connections, total_connections) = self.hub.client_counts();
        let troubles = self.hub.ledger().troubles();
        let (traffic, cpu) = {
            let State { rising, usage, .. } = &mut *self.state();
            (rising.of(&totals), usage.cpu_percent())
        };
        let clients = |clients| (clients > 0).then(|| LinkTroubles { clients, ..LinkTroubles::default() });
        let received = Count { msgs: traffic.in_msgs, bytes: traffic.in_bytes };
        let sent = Count { msgs: traffic.out_msgs, bytes: traffic.out_bytes };
        Statsz {
            start: self.facts.portrait().start.to_string(),
            mem: usage::resident_bytes(),
            cores: usage::cores(),
            cpu,
            connections,
            total_connections,
            active_accounts: totals.iter().filter(|total| total.account.connections() > 0).count(),
            subscriptions: totals.iter().map(|total| total.account.subscriptions() as u64).sum(),
            sent,
            sent_to_clients: sent,
            received,
            received_from_clients: received,
            slow_consumers: troubles.slow_consumers,
            slow_consumer_stats: clients(troubles.slow_consumers),
            stale_connections: troubles.stale_connections,
            stale_connection_stats: clients(troubles.stale_connections),
            stalled_clients: troubles.stalls,
            active_servers: 1,
            jetstream: self.streams_for_everybody(),
            gomaxprocs: usage::cores(),
        }
    }
}
