//! `statsz`: what a server tells every few seconds.

use std::collections::BTreeMap;
use std::time::Instant;

use api::system::events::Count;
use api::system::statsz::{GatewayStat, RouteStat, Statsz};
use broker::{KnownLink, LinkKind, PerKind};

use super::accounts::is_in_use;
use super::varz::by_kind;
use super::{Observatory, PAGE_MAX, State};
use crate::totals::Traffic;
use crate::{totals, usage};

impl Observatory {
    /// The statistics of the server.
    pub fn statsz(&self) -> Statsz {
        let totals = totals::of_accounts(&self.hub);
        let (connections, total_connections) = self.hub.client_counts();
        let troubles = self.hub.ledger().troubles();
        let (moved, cpu) = {
            let State { rising, usage, .. } = &mut *self.state();
            (rising.of(&totals), usage.cpu_percent())
        };
        let told = |of: PerKind| (of.total() > 0).then(|| by_kind(of));
        let received = |of: Traffic| Count { msgs: of.in_msgs, bytes: of.in_bytes };
        let sent = |of: Traffic| Count { msgs: of.out_msgs, bytes: of.out_bytes };
        Statsz {
            start: self.facts.portrait().start.to_string(),
            mem: usage::resident_bytes(),
            cores: usage::cores(),
            cpu,
            connections,
            total_connections,
            active_accounts: totals.iter().filter(|total| is_in_use(&total.account)).count(),
            subscriptions: totals.iter().map(|total| total.account.subscriptions() as u64).sum(),
            sent: sent(moved.all),
            sent_to_clients: sent(moved.clients),
            received: received(moved.all),
            received_from_clients: received(moved.clients),
            slow_consumers: troubles.slow_consumers.total(),
            slow_consumer_stats: told(troubles.slow_consumers),
            stale_connections: troubles.stale_connections.total(),
            stale_connection_stats: told(troubles.stale_connections),
            stalled_clients: troubles.stalls,
            routes: self.route_stats(),
            gateways: self.gateway_stats(),
            active_servers: 1 + self.neighbours.count(Instant::now()),
            jetstream: self.streams_for_everybody(),
            gomaxprocs: usage::cores(),
        }
    }

    fn route_stats(&self) -> Vec<RouteStat> {
        let stat = |known: KnownLink| {
            let (sent, received) = traffic_of(&known);
            let pending = known.link.pending_bytes();
            RouteStat { rid: known.link.key.id, name: known.server, sent, received, pending }
        };
        self.links_of(LinkKind::Route).map(stat).collect()
    }

    /// The clusters this server goes to, with how many connections come from there.
    fn gateway_stats(&self) -> Vec<GatewayStat> {
        let mut inbound = BTreeMap::new();
        for known in self.links_of(LinkKind::Gateway).filter(|known| !known.solicited) {
            let (_, received) = traffic_of(&known);
            let (count, sum): &mut (usize, Count) = inbound.entry(known.cluster).or_default();
            *count += 1;
            *sum = Count { msgs: sum.msgs + received.msgs, bytes: sum.bytes + received.bytes };
        }
        let stat = |known: KnownLink| {
            let (sent, _) = traffic_of(&known);
            let (inbound_connections, received) = inbound.get(&known.cluster).copied().unwrap_or_default();
            GatewayStat { gwid: known.link.key.id, name: known.cluster, sent, received, inbound_connections }
        };
        self.links_of(LinkKind::Gateway).filter(|known| known.solicited).map(stat).collect()
    }

    fn links_of(&self, kind: LinkKind) -> impl Iterator<Item = KnownLink> {
        self.hub.links().into_iter().filter(move |known| known.link.kind == kind).take(PAGE_MAX)
    }
}

/// What a link sent and received.
fn traffic_of(known: &KnownLink) -> (Count, Count) {
    let numbers = known.link.stats.numbers();
    let sent = Count { msgs: numbers.out_msgs, bytes: numbers.out_bytes };
    (sent, Count { msgs: numbers.in_msgs, bytes: numbers.in_bytes })
}
