//! What the servers of a deployment say of themselves, and where they go first.

use std::sync::Arc;
use std::time::Duration;

use auth::LinkRights;
use broker::{
    Arrival, Domain, GatewaySettings, GatewaySolicit, Hub, LeafListening, LeafSolicit, LinkCredentials, LinkSettings,
    RemoteId, RouteSettings, RouteSolicit,
};
use secret::Secret;
use session::PingRules;
use topology::{
    Compression, GatewayRules, Gossip, Info, LeafConnect, LeafRemote, LeafRules, Levels, ReplyMapper, RouteKind,
    RouteRules, RouteStart, ServerConnect,
};

use crate::desk::{POOL_SIZE, Way};
use crate::ear::USERS;

/// Pings come often, so that dead wires are found soon.
pub(crate) const PING: PingRules = PingRules { interval: Duration::from_secs(2), max_out: 2 };

/// Clients are not asked whether they are there.
pub(crate) const NEVER: PingRules = PingRules { interval: Duration::from_secs(100_000), max_out: 2 };

/// How long a server may take to introduce itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a deployment is put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// One cluster of three.
    Cluster,
    /// Two clusters of two.
    SuperCluster,
    /// A cluster of three with a leaf node.
    Edge,
    /// Two clusters, of two and of one; the second has a leaf node.
    Everything,
}

impl Shape {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Cluster, Self::SuperCluster, Self::Edge, Self::Everything];

    /// The cluster of each server; empty for a leaf node.
    pub(crate) fn clusters(self) -> &'static [&'static str] {
        match self {
            Self::Cluster => &["C1", "C1", "C1"],
            Self::SuperCluster => &["C1", "C1", "C2", "C2"],
            Self::Edge => &["C1", "C1", "C1", ""],
            Self::Everything => &["C1", "C1", "C2", ""],
        }
    }

    /// The cluster of the leaf node's hub.
    pub(crate) fn hub(self) -> &'static str {
        if self == Self::Everything { "C2" } else { "C1" }
    }

    fn members(self, cluster: &str) -> Vec<usize> {
        let all = self.clusters().iter().enumerate();
        all.filter(|(_, name)| **name == cluster).map(|(node, _)| node).collect()
    }

    /// Where a server goes before it has heard of anybody.
    pub(crate) fn ways(self, node: usize) -> Vec<Way> {
        let clusters = self.clusters();
        let Some(own) = clusters.get(node).copied() else { return Vec::new() };
        if own.is_empty() {
            return vec![Way::Leaf { nodes: self.members(self.hub()) }];
        }
        let mut ways = Vec::new();
        // Everybody knows the first of its cluster, and the first everybody: who comes back is found again.
        for other in self.members(own) {
            if other != node && (other < node || self.members(own).first() == Some(&node)) {
                ways.push(Way::Route { node: other, server_id: None });
            }
        }
        if own != "C1" {
            ways.push(Way::Gateway { cluster: "C1".to_owned(), nodes: self.members("C1") });
        } else if clusters.contains(&"C2") {
            ways.push(Way::Gateway { cluster: "C2".to_owned(), nodes: self.members("C2") });
        }
        ways
    }

    /// Links between servers that there are once all is well, at this server.
    pub(crate) fn links(self, node: usize) -> usize {
        let clusters = self.clusters();
        let Some(own) = clusters.get(node).copied() else { return 0 };
        if own.is_empty() {
            return 1;
        }
        POOL_SIZE * (self.members(own).len() - 1)
    }
}

/// A server's own INFO.
fn info(node: usize, server_id: &str, cluster: &str, port: u16) -> Info {
    Info {
        server_id: server_id.to_owned(),
        server_name: format!("S{node}"),
        version: "2.15.1".to_owned(),
        proto: 3,
        host: format!("10.0.0.{node}"),
        port,
        headers: true,
        max_payload: 1 << 20,
        cluster: cluster.to_owned(),
        ..Info::default()
    }
}

/// What applies to links of a server.
pub(crate) fn settings(shape: Shape, node: usize, server_id: &str) -> LinkSettings {
    let cluster = shape.clusters().get(node).copied().unwrap_or_default();
    if cluster.is_empty() {
        return LinkSettings { leaf_ping: Some(PING), domain: Domain::default(), ..LinkSettings::default() };
    }
    let route = Info {
        ip: format!("nats-route://10.0.0.{node}:6222/"),
        lnoc: true,
        lnocu: true,
        route_pool_size: POOL_SIZE as i64,
        gateway_url: format!("10.0.0.{node}:7222"),
        ..info(node, server_id, cluster, 6222)
    };
    let rules = RouteRules {
        info: route,
        pool_size: u32::try_from(POOL_SIZE).ok(),
        compression: Compression::Off,
        levels: Levels::default(),
        dedicated: Vec::new(),
        named_by: None,
    };
    let routes = RouteSettings {
        rules,
        directory: None,
        auth_timeout: PATIENCE,
        rights: Arc::new(LinkRights::everything()),
        ping: PING,
        no_advertise: true,
        connect_urls: Vec::new(),
        ws_connect_urls: Vec::new(),
    };
    let url = format!("10.0.0.{node}:7222");
    let gateway = Info {
        cluster: String::new(),
        gateway: cluster.to_owned(),
        gateway_urls: vec![url.clone()],
        gateway_url: url,
        gateway_nrp: true,
        gateway_iom: true,
        bulwark_rights: topology::RIGHTS_LEVEL,
        ..info(node, server_id, cluster, 7222)
    };
    let gateways = GatewaySettings {
        rules: GatewayRules {
            server_names: vec![gateway.server_name.clone()],
            info: gateway,
            reject_unknown: false,
            known: Vec::new(),
        },
        directory: None,
        auth_timeout: PATIENCE,
        ping: PING,
        mapper: ReplyMapper::new(cluster, server_id),
        require_rights: false,
    };
    let leafs = LeafListening {
        rules: LeafRules {
            info: info(node, server_id, cluster, 7422),
            compression: Compression::Off,
            levels: Levels::default(),
            min_version: None,
        },
        directory: None,
        auth_timeout: PATIENCE,
        isolate: false,
    };
    LinkSettings {
        leafs: Some(Arc::new(leafs)),
        routes: Some(Arc::new(routes)),
        gateways: Some(Arc::new(gateways)),
        leaf_ping: Some(PING),
        ..LinkSettings::default()
    }
}

/// What a connection becomes at the server that makes it, and at the one that takes it.
pub(crate) fn arrivals(
    shape: Shape,
    node: usize,
    server_id: &str,
    hub: &Hub,
    id: RemoteId,
    way: &Way,
) -> (Arrival, Arrival) {
    let own = shape.clusters().get(node).copied().unwrap_or_default().to_owned();
    match way {
        Way::Route { server_id: heard, .. } => {
            let kind = if heard.is_some() { RouteKind::Implicit } else { RouteKind::Explicit };
            let start = RouteStart { kind, account: None, gossip: Gossip::Default };
            let name = server_id.to_owned();
            let connect = ServerConnect { name, cluster: own, headers: true, lnoc: true, ..ServerConnect::default() };
            (Arrival::RouteSolicited(Arc::new(RouteSolicit { id, start, connect })), Arrival::RouteAccepted)
        }
        Way::Gateway { cluster, .. } => {
            let connect = ServerConnect { name: server_id.to_owned(), gateway: own, ..ServerConnect::default() };
            let solicit = GatewaySolicit { id, name: cluster.clone(), connect };
            (Arrival::GatewaySolicited(Arc::new(solicit)), Arrival::GatewayAccepted)
        }
        Way::Leaf { .. } => {
            let name = format!("S{node}");
            let connect = LeafConnect {
                version: "2.15.1".to_owned(),
                server_id: server_id.to_owned(),
                cluster: name.clone(),
                name,
                headers: true,
                remote_account: "$G".to_owned(),
                protocol: 3,
                ..LeafConnect::default()
            };
            let remote = LeafRemote {
                connect,
                compression: Compression::Off,
                levels: Levels::default(),
                tls: false,
                tls_done: false,
                headers: true,
            };
            let solicit = LeafSolicit {
                id,
                remote,
                account: hub.directory().account("$G").cloned().expect("the global account is there"),
                credentials: LinkCredentials {
                    user: Some(USERS[0].to_owned()),
                    password: Some(Secret::new(USERS[0].to_owned())),
                    ..LinkCredentials::default()
                },
                deny_imports: Vec::new(),
                deny_exports: Vec::new(),
                by_websocket: false,
                isolate: false,
                first_info_timeout: PATIENCE,
            };
            (Arrival::LeafSolicited(Arc::new(solicit)), Arrival::LeafAccepted)
        }
    }
}
