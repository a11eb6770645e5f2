//! `varz`.

use std::time::Duration;

use api::monitoring::{LinkTroubles, Nothing, ProxiesVarz, Proxy, Varz};
use broker::PerKind;

use super::{Observatory, Place, State};
use crate::{clock, totals, usage};

/// A number for each kind of peer.
pub(super) fn by_kind(of: PerKind) -> LinkTroubles {
    let PerKind { clients, routes, gateways, leafs } = of;
    LinkTroubles { clients, routes, gateways, leafs }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Observatory {
    /// The server as a whole.
    pub fn varz(&self) -> Varz {
        let now = clock::now();
        let (settings, portrait) = (self.hub.settings(), self.facts.portrait());
        let totals = totals::of_accounts(&self.hub);
        let (connections, total_connections) = self.hub.client_counts();
        let troubles = self.hub.ledger().troubles();
        let (moved, cpu, visits) = {
            let State { rising, usage, visits } = &mut *self.state();
            let mut visits = visits.all().clone();
            visits.remove("/metrics");
            (rising.of(&totals), usage.cpu_percent(), visits)
        };
        let greeting = settings.greeting.clone();
        let nothing = Nothing {};
        let proxies = portrait.proxies.into_iter().map(|key| Proxy { key });
        let proxies = ProxiesVarz { trusted: proxies.collect() };
        let (trusted_operators_jwt, trusted_operators_claim) =
            portrait.operators.into_iter().map(|operator| (operator.jwt, operator.claims)).unzip();
        // A monitor that is not there would listen where clients do.
        let nowhere = || Place { host: greeting.host.clone(), ..Place::default() };
        let place = self.place.get().cloned().unwrap_or_else(nowhere);
        let (routes, remotes) = self.link_counts(broker::LinkKind::Route);
        Varz {
            server_id: greeting.server_id,
            server_name: greeting.server_name,
            version: greeting.version,
            proto: greeting.proto,
            git_commit: greeting.git_commit,
            go: greeting.go,
            host: greeting.host,
            port: greeting.port,
            auth_required: greeting.auth_required,
            tls_required: greeting.tls_required,
            tls_verify: greeting.tls_verify,
            tls_ocsp_peer_verify: portrait.tls_ocsp_peer_verify,
            connect_urls: greeting.connect_urls,
            ws_connect_urls: settings.websocket.as_ref().map(|ws| ws.connect_urls.clone()).unwrap_or_default(),
            max_connections: settings.max_connections.unwrap_or(0),
            max_subscriptions: settings.max_subscriptions,
            ping_interval: nanos(settings.ping.interval),
            ping_max: settings.ping.max_out,
            http_host: place.host,
            http_port: place.http_port,
            http_base_path: place.base_path,
            https_port: place.https_port,
            auth_timeout: portrait.auth_timeout.as_secs_f64(),
            max_control_line: settings.max_control_line_bytes,
            max_payload: settings.max_payload_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            max_pending: settings.max_pending_bytes,
            cluster: portrait.links.cluster,
            gateway: portrait.links.gateway,
            leaf: portrait.links.leaf,
            mqtt: nothing,
            websocket: portrait.links.websocket,
            jetstream: self.streams_at_a_glance().unwrap_or_default(),
            tls_timeout: portrait.tls_timeout.as_secs_f64(),
            write_deadline: nanos(settings.write_deadline),
            write_timeout: portrait.write_timeout,
            start: portrait.start.to_string(),
            now: now.to_string(),
            uptime: clock::span(portrait.start, now),
            mem: usage::resident_bytes(),
            cores: usage::cores(),
            gomaxprocs: usage::cores(),
            cpu,
            connections,
            total_connections,
            routes,
            remotes,
            leafnodes: self.link_counts(broker::LinkKind::Leaf).0,
            in_msgs: moved.all.in_msgs,
            in_bytes: moved.all.in_bytes,
            in_client_msgs: moved.clients.in_msgs,
            in_client_bytes: moved.clients.in_bytes,
            out_msgs: moved.all.out_msgs,
            out_bytes: moved.all.out_bytes,
            out_client_msgs: moved.clients.out_msgs,
            out_client_bytes: moved.clients.out_bytes,
            slow_consumers: troubles.slow_consumers.total(),
            stale_connections: troubles.stale_connections.total(),
            stalled_clients: troubles.stalls,
            subscriptions: totals.iter().map(|total| total.account.subscriptions() as u64).sum(),
            http_req_stats: visits,
            config_load_time: portrait.config_load_time.to_string(),
            config_digest: portrait.config_digest,
            tags: settings.about.tags.clone(),
            metadata: settings.about.metadata.clone(),
            feature_flags: settings.about.feature_flags.clone(),
            trusted_operators_jwt,
            trusted_operators_claim,
            system_account: portrait.system_account,
            pinned_account_fails: self.facts.pinned_account_fails(),
            ocsp_peer_cache: self.facts.ocsp_peer_cache(),
            slow_consumer_stats: by_kind(troubles.slow_consumers),
            stale_connection_stats: by_kind(troubles.stale_connections),
            disk_io_wait_stats: Default::default(),
            proxies: Some(proxies).filter(|proxies| !proxies.trusted.is_empty()),
            tls_cert_not_after: portrait.tls_cert_not_after.map(|time| time.to_string()),
        }
    }
}
