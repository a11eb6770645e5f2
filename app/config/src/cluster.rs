//! The `cluster` block: routes to and from servers of the same cluster.

use std::num::NonZeroU32;
use std::time::Duration;

use conf::Node;

use crate::authorization::{SingleLogin, read_server_login};
use crate::listener::{HostPort, Listen, read_advertise};
use crate::permissions::{LinkPermissions, read_link};
use crate::policy::{Compression, WriteTimeout};
use crate::report::Report;
use crate::tls::{self, Context};
use crate::url::{Url, read_urls};

/// Routes are pinged at least this often.
pub const MAX_ROUTE_PING_INTERVAL: Duration = Duration::from_secs(30);

/// The block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's name; made up if absent.
    pub name: Option<String>,
    /// Where routes come in.
    pub listen: Listen,
    /// What others must show.
    pub login: SingleLogin,
    /// Which interest is exchanged.
    pub permissions: Option<LinkPermissions>,
    /// Servers to connect to.
    pub routes: Vec<Url>,
    /// Encryption, in both directions.
    pub tls: Option<::tls::Settings>,
    /// The address others are told.
    pub advertise: Option<HostPort>,
    /// Clients are not told of other servers.
    pub no_advertise: bool,
    /// Attempts to reach a server we were told of; zero for one.
    pub connect_retries: u32,
    /// Attempts get slower.
    pub connect_backoff: bool,
    /// Connections to each server; none shared if absent.
    pub pool_size: Option<NonZeroU32>,
    /// Accounts with a connection of their own.
    pub pinned_accounts: Vec<String>,
    /// How routes compress.
    pub compression: Compression,
    /// How often a silent route is pinged; the server's, at most [`MAX_ROUTE_PING_INTERVAL`], if absent.
    pub ping_interval: Option<Duration>,
    /// Pings without an answer; the server's if absent.
    pub ping_max: Option<usize>,
    /// How long a write may take; the server's if absent.
    pub write_deadline: Option<Duration>,
    /// What happens then.
    pub write_timeout: WriteTimeout,
}

const POOL_SIZE: u32 = 3;

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: None,
            listen: Listen::default(),
            login: SingleLogin::default(),
            permissions: None,
            routes: Vec::new(),
            tls: None,
            advertise: None,
            no_advertise: false,
            connect_retries: 0,
            connect_backoff: false,
            pool_size: NonZeroU32::new(POOL_SIZE),
            pinned_accounts: Vec::new(),
            compression: Compression::Accept,
            ping_interval: None,
            ping_max: None,
            write_deadline: None,
            write_timeout: WriteTimeout::Default,
        }
    }
}

pub(crate) const KEYS: &[&str] = &[
    "name",
    "listen",
    "port",
    "host",
    "net",
    "authorization",
    "permissions",
    "routes",
    "tls",
    "advertise",
    "cluster_advertise",
    "no_advertise",
    "connect_retries",
    "connect_backoff",
    "pool_size",
    "accounts",
    "compression",
    "ping_interval",
    "ping_max",
    "write_deadline",
    "write_timeout",
];

/// Reads the block over what is there already.
pub(crate) fn read(node: &Node, cluster: &mut Cluster, report: &mut Report<'_>) {
    let Some(map) = report.map_or(node, "Expected map to define cluster") else {
        return;
    };
    for (key, value) in map.iter() {
        read_key(&key.to_ascii_lowercase(), key, value, cluster, report);
    }
}

fn read_key(key: &str, written: &str, node: &Node, cluster: &mut Cluster, report: &mut Report<'_>) {
    if cluster.listen.read(key, node, report) {
        return;
    }
    match key {
        "name" => read_name(node, "cluster name cannot contain spaces", &mut cluster.name, report),
        "authorization" => read_authorization(written, node, cluster, report),
        "permissions" => cluster.permissions = read_link(node, report).or(cluster.permissions.take()),
        "routes" => {
            if let Some(elements) = report.array(node) {
                cluster.routes = read_urls(elements, "route", report);
            }
        }
        "tls" => cluster.tls = tls::read(node, Context::Peer, report),
        "cluster_advertise" | "advertise" => read_advertise(node, &mut cluster.advertise, report),
        "no_advertise" => report.set_bool(node, &mut cluster.no_advertise),
        "connect_retries" => read_retries(node, &mut cluster.connect_retries, report),
        "connect_backoff" => report.set_bool(node, &mut cluster.connect_backoff),
        "pool_size" => {
            if let Some(size) = report.integer(node) {
                cluster.pool_size = match size {
                    0 => NonZeroU32::new(POOL_SIZE),
                    size => u32::try_from(size).ok().and_then(NonZeroU32::new),
                };
            }
        }
        "accounts" => cluster.pinned_accounts = report.strings("accounts", node).unwrap_or_default(),
        "compression" => {
            Compression::read(written, node, &Compression::Fast, &mut cluster.compression, report);
        }
        "ping_interval" => read_ping_interval(node, cluster, report),
        "ping_max" => read_ping_max(node, &mut cluster.ping_max, report),
        "write_deadline" => {
            report.set_optional_duration("write_deadline", node, &mut cluster.write_deadline);
        }
        "write_timeout" => {
            WriteTimeout::read(node, &mut cluster.write_timeout, report);
        }
        _ => report.unknown(written, node, KEYS),
    }
}

/// A name that is part of protocol lines.
pub(crate) fn read_name(node: &Node, why: &str, target: &mut Option<String>, report: &mut Report<'_>) {
    match report.text(node) {
        Some(name) if name.contains(|c: char| c.is_whitespace() || c.is_control()) => report.error(&node.place, why),
        Some(_) => report.set_optional_text(node, target),
        None => {}
    }
}

fn read_authorization(written: &str, node: &Node, cluster: &mut Cluster, report: &mut Report<'_>) {
    let old_style = read_server_login(node, "Cluster", &mut cluster.login, report);
    if old_style.is_none() {
        return;
    }
    report.invalid_use(
        &node.place,
        written,
        "setting \"permissions\" within cluster authorization block is deprecated",
    );
    // The block of the cluster itself wins.
    if let (None, Some(permissions)) = (&cluster.permissions, old_style) {
        cluster.permissions = Some(LinkPermissions { import: permissions.publish, export: permissions.subscribe });
    }
}

pub(crate) fn read_retries(node: &Node, target: &mut u32, report: &mut Report<'_>) {
    if let Some(count) = report.integer(node) {
        *target = u32::try_from(count).unwrap_or(0);
    }
}

fn read_ping_interval(node: &Node, cluster: &mut Cluster, report: &mut Report<'_>) {
    report.set_optional_duration("ping_interval", node, &mut cluster.ping_interval);
    if cluster.ping_interval.is_some_and(|interval| interval > MAX_ROUTE_PING_INTERVAL) {
        cluster.ping_interval = Some(MAX_ROUTE_PING_INTERVAL);
        report.warning(&node.place, "Cluster 'ping_interval' will reset to 30s which is the max for routes");
    }
}

pub(crate) fn read_ping_max(node: &Node, target: &mut Option<usize>, report: &mut Report<'_>) {
    if let Some(count) = report.integer(node) {
        *target = usize::try_from(count).ok().filter(|&count| count > 0);
    }
}

impl Cluster {
    /// What cannot go together. The system account has a connection of its own.
    pub(crate) fn finish(&mut self, system_account: Option<&str>, report: &mut Report<'_>) {
        let mut seen: Vec<&str> = Vec::new();
        for account in &self.pinned_accounts {
            if seen.contains(&account.as_str()) {
                let all = crate::go_text::quoted_list(self.pinned_accounts.iter().map(String::as_str));
                report.plain(format!("found duplicate account name {account:?} in pinned accounts list {all}"));
                return;
            }
            seen.push(account);
        }
        match (self.pool_size, system_account) {
            (None, _) if !self.pinned_accounts.is_empty() => {
                report.plain("pool_size cannot be negative if pinned accounts are specified");
            }
            (Some(_), Some(system)) if !seen.contains(&system) => self.pinned_accounts.push(system.to_owned()),
            _ => {}
        }
    }
}
