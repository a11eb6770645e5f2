//! `routez`, `gatewayz` and `leafz`.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::monitoring::options::{GatewayzOptions, LeafzOptions, RoutezOptions, Subscriptions};
use api::monitoring::{
    AccountGatewayInfo, ConnectionInfo, Gatewayz, LeafInfo, Leafz, RemoteGatewayInfo, RouteInfo, Routez, SubjectLists,
    SubscriptionDetail,
};
use broker::{AccountState, Carrier, KnownLink, LinkKind, Numbers, Subscription, Target};
use moment::Timestamp;

use super::{Observatory, PAGE_MAX, SUBSCRIPTIONS_SHOWN_MAX};
use crate::clock;

/// How interest crosses gateways here, in the words of the document.
const INTEREST_ONLY: &str = "Interest-Only";

/// After so many messages that nobody wanted, a reference that sends without being asked goes over to interest alone. It is
/// the same everywhere; readers of the document expect it.
const INTEREST_ONLY_THRESHOLD: usize = 1000;

/// What all links have to show.
struct LinkRow {
    known: KnownLink,
    numbers: Numbers,
    start: Timestamp,
    last_activity: Timestamp,
    now: Timestamp,
}

impl LinkRow {
    fn rtt(&self) -> String {
        super::connz::round_trip(self.numbers.rtt)
    }

    fn address(&self) -> (String, u16) {
        let address = self.known.link.address;
        (address.ip().to_canonical().to_string(), address.port())
    }

    fn compression(&self) -> String {
        match self.known.compression {
            "not supported" => String::new(),
            mode => mode.to_owned(),
        }
    }

    fn connection(&self) -> ConnectionInfo {
        let (ip, port) = self.address();
        let Numbers { in_msgs, in_bytes, out_msgs, out_bytes, subscriptions, .. } = self.numbers;
        ConnectionInfo {
            cid: self.known.link.key.id,
            kind: "Gateway",
            ip,
            port,
            start: self.start.to_string(),
            last_activity: self.last_activity.to_string(),
            rtt: self.rtt(),
            uptime: clock::span(self.start, self.now),
            idle: clock::span(self.last_activity, self.now),
            pending_bytes: self.known.link.pending_bytes(),
            in_msgs,
            out_msgs,
            in_bytes,
            out_bytes,
            subscriptions,
            name: self.known.server_id.as_str().into(),
            ..ConnectionInfo::default()
        }
    }
}

impl Observatory {
    fn link_rows(&self, kind: LinkKind) -> Vec<LinkRow> {
        let (ledger, now) = (self.hub.ledger(), clock::now());
        let links = self.hub.links().into_iter().filter(|known| known.link.kind == kind).take(PAGE_MAX);
        let row = |known: KnownLink| {
            let numbers = known.link.stats.numbers();
            let start = ledger.time_of(known.link.started);
            let last_activity = ledger.time_of(numbers.last_activity.max(known.link.started));
            LinkRow { known, numbers, start, last_activity, now }
        };
        links.map(row).collect()
    }

    /// How many links of this kind there are, and to how many servers.
    pub(crate) fn link_counts(&self, kind: LinkKind) -> (usize, usize) {
        let links: Vec<_> = self.hub.links().into_iter().filter(|known| known.link.kind == kind).collect();
        let servers: std::collections::BTreeSet<_> = links.iter().map(|known| &known.server_id).collect();
        (links.len(), servers.len())
    }

    /// Routes.
    pub fn routez(&self, wish: &RoutezOptions) -> Routez {
        let settings = self.hub.link_settings();
        let rules = settings.routes.as_ref().map(|routes| &routes.rules.info);
        let import = rules.and_then(|info| info.import.as_ref());
        let export = rules.and_then(|info| info.export.as_ref());
        let import = import.map(|rules| SubjectLists { allow: rules.allow.clone(), deny: rules.deny.clone() });
        let export = export.map(|rules| SubjectLists { allow: rules.allow.clone(), deny: rules.deny.clone() });
        let mut shown = 0;
        let routes: Vec<_> = self
            .link_rows(LinkKind::Route)
            .iter()
            .map(|row| RouteInfo {
                import: import.clone(),
                export: export.clone(),
                ..self.route(row, wish, &mut shown)
            })
            .collect();
        Routez {
            server_id: self.server_id(),
            server_name: self.hub.settings().greeting.server_name.clone(),
            now: self.now(),
            import,
            export,
            num_routes: routes.len(),
            routes,
        }
    }

    fn route(&self, row: &LinkRow, wish: &RoutezOptions, shown: &mut usize) -> RouteInfo {
        let (ip, port) = row.address();
        let Numbers { in_msgs, in_bytes, out_msgs, out_bytes, subscriptions, .. } = row.numbers;
        let mut info = RouteInfo {
            rid: row.known.link.key.id,
            remote_id: row.known.server_id.clone(),
            remote_name: row.known.server.clone(),
            did_solicit: row.known.solicited,
            is_configured: row.known.configured,
            ip,
            port,
            start: row.start.to_string(),
            last_activity: row.last_activity.to_string(),
            rtt: row.rtt(),
            uptime: clock::span(row.start, row.now),
            idle: clock::span(row.last_activity, row.now),
            pending_size: row.known.link.pending_bytes(),
            in_msgs,
            out_msgs,
            in_bytes,
            out_bytes,
            subscriptions,
            account: row.known.remote_account.clone(),
            compression: row.compression(),
            ..RouteInfo::default()
        };
        if wish.subscriptions != Subscriptions::None {
            let interest = self.hub.interest_of_link(row.known.link.key.id);
            let all: Vec<_> =
                interest.iter().flat_map(|(account, own)| own.iter().map(move |one| (account, one))).collect();
            *shown += all.len();
            if *shown <= SUBSCRIPTIONS_SHOWN_MAX {
                match wish.subscriptions {
                    Subscriptions::Details => {
                        let of_route = |(account, one): &(&Arc<AccountState>, &Arc<Subscription>)| SubscriptionDetail {
                            sid: route_sid(account, one),
                            ..detail(one)
                        };
                        info.subscriptions_list_detail = all.iter().map(of_route).collect();
                    }
                    _ => info.subscriptions_list = all.iter().map(|(_, one)| one.grant.filter.to_string()).collect(),
                }
            }
        }
        info
    }

    /// Gateways.
    pub fn gatewayz(&self, wish: &GatewayzOptions) -> Gatewayz {
        let settings = self.hub.link_settings();
        let mut gatewayz = Gatewayz {
            server_id: self.server_id(),
            now: self.now(),
            outbound_gateways: Some(BTreeMap::new()),
            ..Gatewayz::default()
        };
        let Some(own) = settings.gateways.as_ref().map(|gateways| &gateways.rules.info) else { return gatewayz };
        gatewayz.name.clone_from(&own.gateway);
        (gatewayz.host, gatewayz.port) = (own.host.clone(), own.port);
        let mut rows = self.link_rows(LinkKind::Gateway);
        rows.retain(|row| wish.name.is_empty() || row.known.cluster == wish.name);
        let (mut outbound, mut shown) = (BTreeMap::new(), 0);
        for row in rows {
            let (cluster, solicited) = (row.known.cluster.clone(), row.known.solicited);
            let info = RemoteGatewayInfo {
                configured: row.known.configured,
                connection: Some(row.connection()),
                accounts: if wish.accounts { self.gateway_accounts(&row, wish, &mut shown) } else { Vec::new() },
            };
            if solicited {
                outbound.insert(cluster, info);
            } else {
                gatewayz.inbound_gateways.entry(cluster).or_default().push(info);
            }
        }
        // A cluster that is asked for and not there has no map at all, as with the reference.
        gatewayz.outbound_gateways = (wish.name.is_empty() || !outbound.is_empty()).then_some(outbound);
        gatewayz
    }

    /// What is wanted over a gateway to another cluster; over one from there, what has been told of.
    fn gateway_accounts(&self, row: &LinkRow, wish: &GatewayzOptions, shown: &mut usize) -> Vec<AccountGatewayInfo> {
        let is_asked_for =
            |account: &AccountState| wish.account.is_empty() || account.settings().name.as_str() == wish.account;
        if !row.known.solicited {
            let accounts = self.hub.accounts().into_iter().filter(|account| is_asked_for(account));
            let info = |account: Arc<AccountState>| AccountGatewayInfo {
                name: account.settings().name.to_string(),
                interest_mode: INTEREST_ONLY,
                interest_only_threshold: INTEREST_ONLY_THRESHOLD,
                ..AccountGatewayInfo::default()
            };
            let mut accounts: Vec<_> = accounts.map(info).collect();
            accounts.sort_by(|one, other| one.name.cmp(&other.name));
            return accounts;
        }
        let mut interest = self.hub.interest_of_link(row.known.link.key.id);
        interest.retain(|(account, _)| is_asked_for(account));
        interest.sort_by_key(|(account, _)| account.settings().name.to_string());
        let info = |(account, own): (Arc<AccountState>, Vec<Arc<Subscription>>)| {
            let queued = own.iter().filter(|one| one.grant.queue.is_some()).count();
            let mut info = AccountGatewayInfo {
                name: account.settings().name.to_string(),
                interest_mode: INTEREST_ONLY,
                interest_only_threshold: INTEREST_ONLY_THRESHOLD,
                num_subs: own.len() - queued,
                num_queue_subs: queued,
                ..AccountGatewayInfo::default()
            };
            *shown += own.len();
            match wish.subscriptions {
                _ if *shown > SUBSCRIPTIONS_SHOWN_MAX => {}
                Subscriptions::None => {}
                Subscriptions::Names => {
                    info.subscriptions_list = own.iter().map(|one| one.grant.filter.to_string()).collect();
                }
                Subscriptions::Details => {
                    info.subscriptions_list_detail = own.iter().map(|one| detail(one)).collect();
                }
            }
            info
        };
        interest.into_iter().map(info).collect()
    }

    /// Leaf nodes, and hubs.
    pub fn leafz(&self, wish: &LeafzOptions) -> Leafz {
        let account_of = |row: &LinkRow| {
            row.known.account.as_ref().map(|account| account.settings().name.to_string()).unwrap_or_default()
        };
        let mut rows = self.link_rows(LinkKind::Leaf);
        rows.retain(|row| wish.account.is_empty() || account_of(row) == wish.account);
        let mut shown = 0;
        let leafs: Vec<_> =
            rows.iter().map(|row| self.leaf(row, account_of(row), wish.subscriptions, &mut shown)).collect();
        Leafz { server_id: self.server_id(), now: self.now(), leafnodes: leafs.len(), leafs }
    }

    fn leaf(&self, row: &LinkRow, account: String, lists: bool, shown: &mut usize) -> LeafInfo {
        let (ip, port) = row.address();
        let Numbers { in_msgs, in_bytes, out_msgs, out_bytes, subscriptions, .. } = row.numbers;
        let mut subscriptions_list = Vec::new();
        if lists {
            let interest = self.hub.interest_of_link(row.known.link.key.id);
            let own = interest.iter().flat_map(|(_, own)| own);
            subscriptions_list = own.map(|one| one.grant.filter.to_string()).collect();
            *shown += subscriptions_list.len();
            if *shown > SUBSCRIPTIONS_SHOWN_MAX {
                subscriptions_list.clear();
            }
        }
        LeafInfo {
            id: row.known.link.key.id,
            name: row.known.server.clone(),
            is_spoke: row.known.spoke,
            is_isolated: row.known.isolated,
            account,
            ip,
            port,
            rtt: row.rtt(),
            in_msgs,
            out_msgs,
            in_bytes,
            out_bytes,
            subscriptions,
            subscriptions_list,
            compression: row.compression(),
            websocket: row.known.link.carrier == Carrier::WebSocket,
        }
    }
}

/// A subscription of another server.
fn detail(subscription: &Subscription) -> SubscriptionDetail {
    let id = match &subscription.target {
        Target::Remote(remote) => remote.peer.link.key.id,
        _ => 0,
    };
    SubscriptionDetail {
        subject: subscription.grant.filter.to_string(),
        qgroup: subscription.grant.queue.as_ref().map(ToString::to_string),
        cid: id,
        ..SubscriptionDetail::default()
    }
}

/// How a route names what is wanted over it: account, filter and queue group.
fn route_sid(account: &AccountState, subscription: &Subscription) -> String {
    let grant = &subscription.grant;
    let queue = grant.queue.as_ref().map(|queue| format!(" {queue}")).unwrap_or_default();
    format!("R {} {}{queue}", account.settings().name, grant.filter)
}
