//! The `gateway` block: links between clusters.

use std::time::Duration;

use conf::{Map, Node, Place};

use crate::authorization::{SingleLogin, read_server_login};
use crate::cluster::{read_name, read_retries};
use crate::go_text::{Shown, quoted};
use crate::listener::{HostPort, Listen, read_advertise};
use crate::policy::WriteTimeout;
use crate::report::Report;
use crate::tls::{self, Context};
use crate::url::{Url, read_url, read_urls};

/// Gateways are pinged at least this often.
pub const MAX_GATEWAY_PING_INTERVAL: Duration = Duration::from_secs(15);

/// The port of gateways that a URL without one means.
pub const DEFAULT_GATEWAY_PORT: u16 = 7222;

/// The block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// The cluster's name among clusters.
    pub name: String,
    /// Where other clusters come in.
    pub listen: Listen,
    /// What others must show.
    pub login: SingleLogin,
    /// Encryption, in both directions.
    pub tls: Option<::tls::Settings>,
    /// The address others are told.
    pub advertise: Option<HostPort>,
    /// Attempts to reach a cluster we were told of; zero for one.
    pub connect_retries: u32,
    /// Attempts get slower.
    pub connect_backoff: bool,
    /// Only clusters of the list may come in.
    pub reject_unknown: bool,
    /// Where a server does not tell what binds whoever publishes there, nobody there has a stream read or do anything.
    pub require_rights: bool,
    /// Clusters to connect to.
    pub remotes: Vec<RemoteGateway>,
    /// How long a write may take; the server's if absent.
    pub write_deadline: Option<Duration>,
    /// What happens then.
    pub write_timeout: WriteTimeout,
}

/// A cluster to connect to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteGateway {
    /// Its name.
    pub name: String,
    /// Its servers.
    pub urls: Vec<Url>,
    /// Encryption towards it; the gateway's if absent.
    pub tls: Option<::tls::Settings>,
}

pub(crate) const KEYS: &[&str] = &[
    "name",
    "listen",
    "port",
    "host",
    "net",
    "authorization",
    "tls",
    "advertise",
    "connect_retries",
    "connect_backoff",
    "reject_unknown_cluster",
    "reject_unknown",
    "require_rights",
    "gateways",
    "write_deadline",
    "write_timeout",
];

/// Reads the block; `None` when there is nothing in it that makes a gateway.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<Gateway> {
    let map = report.map_or(node, "Expected gateway to be a map")?;
    let mut gateway = Gateway::default();
    let before = report.errors.len();
    for (key, value) in map.iter() {
        read_key(&key.to_ascii_lowercase(), key, value, &mut gateway, report);
    }
    if gateway.name.is_empty() && gateway.listen.port.is_none() {
        return None;
    }
    if report.errors.len() == before {
        gateway.check(&node.place, report);
    }
    Some(gateway)
}

fn read_key(key: &str, written: &str, node: &Node, gateway: &mut Gateway, report: &mut Report<'_>) {
    if gateway.listen.read(key, node, report) {
        return;
    }
    match key {
        "name" => {
            let mut name = None;
            read_name(node, "gateway name cannot contain spaces", &mut name, report);
            gateway.name = name.unwrap_or_default();
        }
        "authorization" => {
            let _ = read_server_login(node, "Gateway", &mut gateway.login, report);
        }
        "tls" => gateway.tls = tls::read(node, Context::Peer, report),
        "advertise" => read_advertise(node, &mut gateway.advertise, report),
        "connect_retries" => read_retries(node, &mut gateway.connect_retries, report),
        "connect_backoff" => report.set_bool(node, &mut gateway.connect_backoff),
        "reject_unknown" | "reject_unknown_cluster" => report.set_bool(node, &mut gateway.reject_unknown),
        "require_rights" => report.set_bool(node, &mut gateway.require_rights),
        "gateways" => gateway.remotes = read_remotes(node, report),
        "write_deadline" => {
            report.set_optional_duration("write_deadline", node, &mut gateway.write_deadline);
        }
        "write_timeout" => {
            WriteTimeout::read(node, &mut gateway.write_timeout, report);
        }
        _ => report.unknown(written, node, KEYS),
    }
}

fn read_remotes(node: &Node, report: &mut Report<'_>) -> Vec<RemoteGateway> {
    let Some(elements) = report.array_or(node, "Expected gateways field to be an array") else {
        return Vec::new();
    };
    let mut remotes = Vec::with_capacity(elements.len());
    for element in elements {
        match element.as_map() {
            Some(map) => remotes.push(read_remote(map, report)),
            None => {
                let text = format!("Expected gateway entry to be a map/struct, got {}", Shown(element));
                report.error(&element.place, text);
            }
        }
    }
    remotes
}

fn read_remote(map: &Map, report: &mut Report<'_>) -> RemoteGateway {
    let mut remote = RemoteGateway::default();
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "name" => report.set_text(value, &mut remote.name),
            "tls" => remote.tls = tls::read(value, Context::Peer, report),
            "url" => remote.urls.extend(read_url(value, "gateway", report)),
            "urls" => {
                if let Some(elements) = report.array(value) {
                    remote.urls = read_urls(elements, "gateway", report);
                }
            }
            _ => report.unknown(key, value, &["name", "tls", "url", "urls"]),
        }
    }
    remote
}

impl Gateway {
    fn check(&self, place: &Place, report: &mut Report<'_>) {
        let name = quoted(&self.name);
        if self.name.is_empty() {
            report.error(place, "gateway has no name");
        } else if self.listen.port.is_none() {
            let text = format!("gateway {name} has no port specified (select -1 for random port)");
            report.error(place, text);
        }
        for (at, remote) in self.remotes.iter().enumerate() {
            if remote.name.is_empty() {
                report.error(place, format!("gateway in the list {at} has no name"));
            } else if remote.urls.is_empty() {
                report.error(place, format!("gateway {} has no URL", quoted(&remote.name)));
            }
        }
    }
}
