//! The `leafnodes` block: leaf nodes that come to us, and the `remotes` we go to.

use std::time::Duration;

use conf::{Map, Node, Place};
use nkeys::{PublicKey, Role, Secret};

use crate::go_text::{Shown, quoted};
use crate::leaf_remote::{self, LeafRemote};
use crate::listener::{HostPort, Listen, read_advertise};
use crate::policy::{Compression, WriteTimeout};
use crate::report::Report;
use crate::tls::{self, Context};

/// The block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leafnodes {
    /// Where leaf nodes come in.
    pub listen: Listen,
    /// What they must show; the server's users if nothing is written.
    pub authorization: LeafAuthorization,
    /// Encryption of the listener.
    pub tls: Option<::tls::Settings>,
    /// The address others are told.
    pub advertise: Option<HostPort>,
    /// Leaf nodes are not told of other servers.
    pub no_advertise: bool,
    /// How long to wait before going to a remote again.
    pub reconnect_interval: Duration,
    /// How long a connection to a remote may take to begin.
    pub dial_timeout: Duration,
    /// The oldest leaf node that may come in.
    pub min_version: Option<[u64; 3]>,
    /// How accepted links compress.
    pub compression: Compression,
    /// Leaf nodes do not learn of each other's interest.
    pub isolate_interest: bool,
    /// How long a write may take; the server's if absent.
    pub write_deadline: Option<Duration>,
    /// What happens then.
    pub write_timeout: WriteTimeout,
    /// Where we go.
    pub remotes: Vec<LeafRemote>,
}

impl Default for Leafnodes {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            authorization: LeafAuthorization::default(),
            tls: None,
            advertise: None,
            no_advertise: false,
            reconnect_interval: RECONNECT,
            dial_timeout: Duration::from_secs(1),
            min_version: None,
            compression: Compression::auto(),
            isolate_interest: false,
            write_deadline: None,
            write_timeout: WriteTimeout::Default,
            remotes: Vec::new(),
        }
    }
}

const RECONNECT: Duration = Duration::from_secs(1);

/// Who may come in as a leaf node, and into which account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafAuthorization {
    /// The single user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// The single public user key.
    pub nkey: Option<String>,
    /// The account of the single user or key; `$G` if absent.
    pub account: Option<String>,
    /// Several users.
    pub users: Vec<LeafUser>,
    /// How long a leaf node may take to log in; the default if absent.
    pub timeout: Option<Duration>,
    /// Only through a trusted proxy.
    pub proxy_required: bool,
}

/// One of several users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafUser {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// Its account; `$G` if absent.
    pub account: Option<String>,
    /// Only through a trusted proxy.
    pub proxy_required: bool,
}

pub(crate) const KEYS: &[&str] = &[
    "listen",
    "port",
    "host",
    "net",
    "authorization",
    "tls",
    "advertise",
    "leafnode_advertise",
    "no_advertise",
    "reconnect",
    "reconnect_delay",
    "reconnect_interval",
    "dial_timeout",
    "min_version",
    "minimum_version",
    "compression",
    "isolate_leafnode_interest",
    "isolate",
    "write_deadline",
    "write_timeout",
    "remotes",
];

/// Reads the block.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<Leafnodes> {
    let map = report.map_or(node, "Expected map to define a leafnode")?;
    let mut leafnodes = Leafnodes::default();
    for (key, value) in map.iter() {
        read_key(&key.to_ascii_lowercase(), key, value, &mut leafnodes, report);
    }
    Some(leafnodes)
}

fn read_key(key: &str, written: &str, node: &Node, leafnodes: &mut Leafnodes, report: &mut Report<'_>) {
    if leafnodes.listen.read(key, node, report) {
        return;
    }
    match key {
        "authorization" => read_authorization(node, &mut leafnodes.authorization, report),
        "remotes" => leafnodes.remotes = leaf_remote::read(node, report),
        "reconnect" | "reconnect_delay" | "reconnect_interval" => {
            report.set_duration_or("reconnect", node, &mut leafnodes.reconnect_interval, RECONNECT);
        }
        "dial_timeout" => {
            report.set_duration_or("dial_timeout", node, &mut leafnodes.dial_timeout, Duration::from_secs(1));
        }
        "tls" => leafnodes.tls = tls::read(node, Context::Listener, report),
        "leafnode_advertise" | "advertise" => read_advertise(node, &mut leafnodes.advertise, report),
        "no_advertise" => report.set_bool(node, &mut leafnodes.no_advertise),
        "min_version" | "minimum_version" => leafnodes.min_version = read_version(node, report),
        "compression" => {
            Compression::read(written, node, &Compression::auto(), &mut leafnodes.compression, report);
        }
        "isolate_leafnode_interest" | "isolate" => report.set_bool(node, &mut leafnodes.isolate_interest),
        "write_deadline" => {
            report.set_optional_duration("write_deadline", node, &mut leafnodes.write_deadline);
        }
        "write_timeout" => {
            WriteTimeout::read(node, &mut leafnodes.write_timeout, report);
        }
        _ => report.unknown(written, node, KEYS),
    }
}

pub(crate) const AUTHORIZATION_KEYS: &[&str] =
    &["user", "username", "pass", "password", "nkey", "account", "timeout", "users", "proxy_required"];

fn read_authorization(node: &Node, target: &mut LeafAuthorization, report: &mut Report<'_>) {
    let Some(map) = report.map(node) else {
        return;
    };
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "user" | "username" => report.set_optional_text(value, &mut target.user),
            "pass" | "password" => report.set_secret(value, &mut target.password),
            "nkey" => {
                report.set_optional_text(value, &mut target.nkey);
                if target.nkey.as_ref().is_some_and(|nkey| !PublicKey::is(Role::User, nkey)) {
                    report.error(&value.place, "Not a valid public nkey for leafnode authorization");
                }
            }
            "account" => report.set_optional_text(value, &mut target.account),
            "timeout" => {
                if let Some(timeout) = report.login_timeout("leafnode authorization", value) {
                    target.timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
                }
            }
            "users" => target.users = read_users(value, report),
            "proxy_required" => {
                report.set_bool(value, &mut target.proxy_required);
            }
            _ => report.unknown(key, value, AUTHORIZATION_KEYS),
        }
    }
    check_authorization(&node.place, target, report);
}

fn check_authorization(place: &Place, settings: &LeafAuthorization, report: &mut Report<'_>) {
    if settings.users.is_empty() {
        return;
    }
    if settings.user.is_some() {
        report.error(place, "can not have a single user/pass and a users array");
    }
    if settings.nkey.is_some() {
        report.error(place, "can not have a single nkey and a users array");
    }
    for (at, user) in settings.users.iter().enumerate() {
        if settings.users.iter().take(at).any(|earlier| earlier.user == user.user) {
            let text = format!("duplicate user {} detected in leafnode authorization", quoted(&user.user));
            report.error(place, text);
        }
    }
}

fn read_users(node: &Node, report: &mut Report<'_>) -> Vec<LeafUser> {
    let Some(elements) = node.as_array() else {
        let shown = Shown(node);
        report.error(&node.place, format!("Expected users field to be an array, got {shown}"));
        return Vec::new();
    };
    let mut users = Vec::with_capacity(elements.len());
    for element in elements {
        match element.as_map() {
            Some(map) => users.push(read_user(map, report)),
            None => {
                let kind = element.kind().words();
                report.error(&element.place, format!("Expected user entry to be a map/struct, got {kind}"));
            }
        }
    }
    users
}

fn read_user(map: &Map, report: &mut Report<'_>) -> LeafUser {
    let mut user = LeafUser::default();
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "user" | "username" => report.set_text(value, &mut user.user),
            "pass" | "password" => report.set_secret(value, &mut user.password),
            "account" => report.set_optional_text(value, &mut user.account),
            "proxy_required" => {
                report.set_bool(value, &mut user.proxy_required);
            }
            _ => report.unknown(key, value, &["user", "username", "pass", "password", "account", "proxy_required"]),
        }
    }
    user
}

/// A version of three numbers, at least the first one that has what we rely on.
fn read_version(node: &Node, report: &mut Report<'_>) -> Option<[u64; 3]> {
    let text = report.text(node)?;
    match version(text) {
        Some(version) if version >= [2, 8, 0] => Some(version),
        Some(_) => {
            report.error(&node.place, "the minimum version should be at least 2.8.0");
            None
        }
        None => {
            report.error(&node.place, "invalid leafnode's minimum version: invalid semver");
            None
        }
    }
}

fn version(text: &str) -> Option<[u64; 3]> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let mut parts = core.split('.').map(|part| part.parse::<u64>().ok());
    let version = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_three_numbers() {
        assert_eq!(version("2.10.1"), Some([2, 10, 1]));
        assert_eq!(version("v2.10.1-beta.1"), Some([2, 10, 1]));
        for text in ["", "2.10", "2.10.1.2", "a.b.c"] {
            assert_eq!(version(text), None, "{text}");
        }
    }
}
