//! One entry of `leafnodes.remotes`: a server to which this one is a leaf node.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use auth::settings::RuleText;
use conf::{Map, Node, Place, Value};
use nkeys::{KeyPair, Role, Secret};

use crate::go_text::{Shown, quoted};
use crate::permissions::{Queues, read_subjects};
use crate::policy::Compression;
use crate::report::Report;
use crate::support::Feature;
use crate::tls::{self, Context};
use crate::url::{Url, read_url, read_urls};

/// The port of a remote that names none.
pub const DEFAULT_PORT: u16 = 7422;

/// A remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRemote {
    /// Its servers, each with a port.
    pub urls: Vec<Url>,
    /// The account here that is joined with the other side; `$G` if absent.
    pub account: Option<String>,
    /// A file with JWT and seed.
    pub credentials: Option<PathBuf>,
    /// A user seed.
    pub seed: Option<Secret<String>>,
    /// Encryption.
    pub tls: Option<::tls::Settings>,
    /// The servers are tried in the order written.
    pub no_randomize: bool,
    /// This side is the hub.
    pub hub: bool,
    /// What is not taken from the other side.
    pub deny_imports: Vec<RuleText>,
    /// What is not sent to the other side.
    pub deny_exports: Vec<RuleText>,
    /// WebSocket: compress frames.
    pub websocket_compression: bool,
    /// WebSocket: ask for frames without mask.
    pub websocket_no_masking: bool,
    /// Streams move away from this server while the link is down; after this time.
    pub jetstream_migrate: Option<Duration>,
    /// Interest of other leaf nodes is not sent to the other side.
    pub isolate_interest: bool,
    /// The other side is asked not to send interest of its leaf nodes.
    pub request_isolation: bool,
    /// How the link compresses.
    pub compression: Compression,
    /// How long the other side may take to greet.
    pub first_info_timeout: Duration,
    /// How long the connection may take; the block's if absent.
    pub dial_timeout: Option<Duration>,
    /// The link is not made.
    pub disabled: bool,
    /// Servers the other side tells of are not tried.
    pub ignore_discovered_servers: bool,
    /// Through this proxy.
    pub proxy: Option<Proxy>,
    /// Where it is written.
    pub place: Place,
}

/// An HTTP proxy on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its address.
    pub url: Url,
    /// The user it asks for.
    pub username: Option<String>,
    /// The password it asks for.
    pub password: Option<Secret<String>>,
    /// How long it may take; the dial timeout if absent.
    pub timeout: Option<Duration>,
}

const FIRST_INFO: Duration = Duration::from_secs(1);

impl LeafRemote {
    /// A remote with everything at its default.
    pub fn new(place: Place) -> Self {
        Self {
            urls: Vec::new(),
            account: None,
            credentials: None,
            seed: None,
            tls: None,
            no_randomize: false,
            hub: false,
            deny_imports: Vec::new(),
            deny_exports: Vec::new(),
            websocket_compression: false,
            websocket_no_masking: false,
            jetstream_migrate: None,
            isolate_interest: false,
            request_isolation: false,
            compression: Compression::auto(),
            first_info_timeout: FIRST_INFO,
            dial_timeout: None,
            disabled: false,
            ignore_discovered_servers: false,
            proxy: None,
            place,
        }
    }

    /// Whether two entries mean the same link: the same servers, account and credentials.
    pub fn is_same_link(&self, other: &Self) -> bool {
        (&self.urls, &self.account, &self.credentials, &self.seed)
            == (&other.urls, &other.account, &other.credentials, &other.seed)
    }

    /// Whether two entries say the same, wherever they are written and in whatever order they name their servers.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let same_urls = self.urls.len() == other.urls.len() && self.urls.iter().all(|url| other.urls.contains(url));
        let moved = Self {
            urls: self.urls.clone(),
            place: self.place.clone(),
            deny_imports: same_rules(&other.deny_imports, &self.deny_imports),
            deny_exports: same_rules(&other.deny_exports, &self.deny_exports),
            ..other.clone()
        };
        same_urls && moved == *self
    }

    /// What tells the link from others, without secrets.
    pub fn name(&self) -> String {
        let urls: Vec<String> = self.urls.iter().map(Url::to_string).collect();
        let urls = crate::go_text::quoted_list(urls.iter().map(String::as_str));
        let mut name = format!("urls={urls}, account={}", quoted(self.account.as_deref().unwrap_or("$G")));
        if let Some(credentials) = &self.credentials {
            name.push_str(&format!(", credentials={:?}", credentials.display().to_string()));
        }
        name
    }
}

/// The rules as they are now where they are those they were: where a rule is written is not what it says.
pub(crate) fn same_rules(was: &[RuleText], is: &[RuleText]) -> Vec<RuleText> {
    let is_same = was.iter().map(|rule| &rule.text).eq(is.iter().map(|rule| &rule.text));
    if is_same { is.to_vec() } else { was.to_vec() }
}

pub(crate) const KEYS: &[&str] = &[
    "url",
    "urls",
    "account",
    "local",
    "credentials",
    "creds",
    "nkey",
    "seed",
    "tls",
    "no_randomize",
    "dont_randomize",
    "hub",
    "deny_imports",
    "deny_import",
    "deny_exports",
    "deny_export",
    "ws_compression",
    "ws_compress",
    "websocket_compression",
    "websocket_compress",
    "ws_no_masking",
    "websocket_no_masking",
    "jetstream_cluster_migrate",
    "js_cluster_migrate",
    "isolate_leafnode_interest",
    "isolate",
    "request_isolation",
    "compression",
    "first_info_timeout",
    "dial_timeout",
    "disabled",
    "ignore_discovered_servers",
    "proxy",
];

/// Reads the array.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Vec<LeafRemote> {
    let Some(elements) = report.array_or(node, "Expected remotes field to be an array") else {
        return Vec::new();
    };
    let mut remotes: Vec<LeafRemote> = Vec::with_capacity(elements.len());
    for element in elements {
        let Some(map) = element.as_map() else {
            let text = format!("Expected remote leafnode entry to be a map/struct, got {}", Shown(element));
            report.error(&element.place, text);
            continue;
        };
        let remote = read_remote(element, map, report);
        if remotes.iter().any(|earlier| earlier.is_same_link(&remote)) {
            let place = map.iter().last().map_or(&element.place, |(_, last)| &last.place);
            report.error(place, format!("duplicate remote {}", remote.name()));
        } else {
            remotes.push(remote);
        }
    }
    remotes
}

fn read_remote(node: &Node, map: &Map, report: &mut Report<'_>) -> LeafRemote {
    let mut remote = LeafRemote::new(node.place.clone());
    for (key, value) in map.iter() {
        read_key(key, value, &mut remote, report);
    }
    check(node, &remote, report);
    for url in &mut remote.urls {
        url.port = url.port.or(NonZeroU16::new(DEFAULT_PORT));
    }
    remote
}

fn read_key(key: &str, node: &Node, remote: &mut LeafRemote, report: &mut Report<'_>) {
    match key.to_ascii_lowercase().as_str() {
        "url" | "urls" => read_addresses(node, remote, report),
        "account" | "local" => report.set_optional_text(node, &mut remote.account),
        "creds" | "credentials" => report.set_expanded_path(node, &mut remote.credentials),
        "nkey" | "seed" => read_seed(node, remote, report),
        "tls" => remote.tls = tls::read(node, Context::Remote, report),
        "no_randomize" | "dont_randomize" => report.set_bool(node, &mut remote.no_randomize),
        "hub" => report.set_bool(node, &mut remote.hub),
        "deny_imports" | "deny_import" => {
            remote.deny_imports = read_subjects(node, Queues::Refused, report).unwrap_or_default();
        }
        "deny_exports" | "deny_export" => {
            remote.deny_exports = read_subjects(node, Queues::Refused, report).unwrap_or_default();
        }
        "ws_compress" | "ws_compression" | "websocket_compress" | "websocket_compression" => {
            report.set_bool(node, &mut remote.websocket_compression);
        }
        "ws_no_masking" | "websocket_no_masking" => report.set_bool(node, &mut remote.websocket_no_masking),
        "jetstream_cluster_migrate" | "js_cluster_migrate" => read_migrate(node, remote, report),
        "isolate_leafnode_interest" | "isolate" => report.set_bool(node, &mut remote.isolate_interest),
        "request_isolation" => report.set_bool(node, &mut remote.request_isolation),
        "compression" => Compression::read(key, node, &Compression::auto(), &mut remote.compression, report),
        "first_info_timeout" => {
            report.set_duration_or("first_info_timeout", node, &mut remote.first_info_timeout, FIRST_INFO);
        }
        "dial_timeout" => report.set_optional_duration("dial_timeout", node, &mut remote.dial_timeout),
        "disabled" => report.set_bool(node, &mut remote.disabled),
        "ignore_discovered_servers" => report.set_bool(node, &mut remote.ignore_discovered_servers),
        "proxy" => remote.proxy = read_proxy(node, report),
        _ => report.unknown(key, node, KEYS),
    }
}

fn read_addresses(node: &Node, remote: &mut LeafRemote, report: &mut Report<'_>) {
    match &node.value {
        Value::String(_) => remote.urls.extend(read_url(node, "leafnode", report)),
        Value::Array(elements) => remote.urls = read_urls(elements, "leafnode", report),
        _ => {
            let text = format!("Expected remote leafnode url to be an array or string, got {}", Shown(node));
            report.error(&node.place, text);
        }
    }
}

/// The seed is never shown, not even a wrong one: it may be right for something else.
fn read_seed(node: &Node, remote: &mut LeafRemote, report: &mut Report<'_>) {
    let mut seed = None;
    report.set_secret(node, &mut seed);
    let Some(seed) = seed else {
        return;
    };
    match KeyPair::from_seed(seed.expose()) {
        Ok(pair) if pair.role() == Role::User => remote.seed = Some(seed),
        _ => report.error_with(
            &node.place,
            "Remote leafnode nkey is not a valid seed: \"[REDACTED]\"",
            "write a user seed, which begins with SU",
        ),
    }
}

fn read_migrate(node: &Node, remote: &mut LeafRemote, report: &mut Report<'_>) {
    match &node.value {
        Value::Bool(wanted) => remote.jetstream_migrate = wanted.then_some(Duration::ZERO),
        Value::Map(map) => {
            let mut delay = Duration::ZERO;
            for (key, value) in map.iter() {
                match key {
                    "leader_migrate_delay" => report.set_duration("leader_migrate_delay", value, &mut delay),
                    _ => report.unknown(key, value, &["leader_migrate_delay"]),
                }
            }
            remote.jetstream_migrate = Some(delay);
        }
        _ => {
            let kind = node.kind().go_type();
            let text = format!("Expected boolean or map for jetstream_cluster_migrate, got {kind}");
            report.error(&node.place, text);
        }
    }
}

fn read_proxy(node: &Node, report: &mut Report<'_>) -> Option<Proxy> {
    let map = report.map_or(node, "Expected proxy to be a map")?;
    let (mut text, mut username, mut password, mut timeout) = (String::new(), None, None, None);
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "url" => report.set_text(value, &mut text),
            "username" => report.set_optional_text(value, &mut username),
            "password" => report.set_secret(value, &mut password),
            "timeout" => report.set_optional_duration("proxy timeout", value, &mut timeout),
            _ => report.unknown(key, value, &["url", "username", "password", "timeout"]),
        }
    }
    if text.is_empty() {
        return None;
    }
    if username.is_some() != password.is_some() {
        report.error(&node.place, "proxy username and password must both be specified or both be empty");
    }
    let url = read_proxy_url(&text, &node.place, report)?;
    Some(Proxy { url, username, password, timeout: timeout.filter(|timeout| !timeout.is_zero()) })
}

fn read_proxy_url(text: &str, place: &Place, report: &mut Report<'_>) -> Option<Url> {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    match (scheme, Url::parse(text)) {
        ("http" | "https", None) => report.error(place, "proxy URL must specify a host"),
        ("http", Some(url)) if url.user.is_none() => return Some(url),
        ("http", Some(_)) => {
            report.error(place, "proxy URL must not hold a user: write username and password beside it")
        }
        ("https", Some(_)) => report.needs(Feature::LeafProxyTls, place),
        _ => report.error(place, format!("proxy URL scheme must be http or https, got: {scheme}")),
    }
    None
}

fn check(node: &Node, remote: &LeafRemote, report: &mut Report<'_>) {
    if remote.credentials.is_some() && remote.seed.is_some() {
        report.error(&node.place, "Remote leafnode can not have both creds and nkey defined");
    }
    let websockets = remote.urls.iter().filter(|url| url.is_websocket()).count();
    if remote.jetstream_migrate.is_some() {
        report.needs(Feature::LeafMigrate, &node.place);
    }
    if websockets > 0 && websockets < remote.urls.len() {
        let urls: Vec<String> = remote.urls.iter().map(Url::to_string).collect();
        let urls = crate::go_text::quoted_list(urls.iter().map(String::as_str));
        let text =
            format!("remote leaf node configuration cannot have a mix of websocket and non-websocket urls: {urls}");
        report.error(&node.place, text);
    }
}
