//! Everything the configuration says, as plain data that is already valid.

use std::hash::{Hash, Hasher};
use std::num::NonZeroU16;

use conf::Node;

use crate::accounts::AccountSharing;
use crate::audit::Audit;
use crate::cluster::Cluster;
use crate::gateway::Gateway;
use crate::identity::Identity;
use crate::jetstream::JetStream;
use crate::leafnodes::Leafnodes;
use crate::limits::Limits;
use crate::listener::{ANY_HOST, HostPort, Listen, Port, read_advertise};
use crate::logging::Logging;
use crate::mqtt::Mqtt;
use crate::ocsp::{Cache, Staple};
use crate::operator::Operator;
use crate::process::{LameDuck, Monitoring, ProcessFiles};
use crate::report::Report;
use crate::support::Feature;
use crate::tracing::Tracing;
use crate::websocket::WebSocket;

/// The port clients expect.
pub const DEFAULT_PORT: Port = Port::Fixed(NonZeroU16::new(4222).expect("is not zero"));

/// The settings of every room, one field per block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Name, tags, metadata.
    pub identity: Identity,
    /// The listener for clients.
    pub clients: Clients,
    /// Limits and times of client connections.
    pub limits: Limits,
    /// What strangers may cost.
    pub before_login: broker::BeforeLogin,
    /// The log.
    pub logging: Logging,
    /// The HTTP listener.
    pub monitoring: Monitoring,
    /// The trail of who did what.
    pub audit: Option<Audit>,
    /// Where hops of traced messages are sent.
    pub tracing: Option<Tracing>,
    /// Pid file and ports file.
    pub files: ProcessFiles,
    /// Shutting down politely.
    pub lame_duck: LameDuck,
    /// Users and accounts, as the auth room wants them. The login timeout is always there.
    pub auth: auth::settings::Settings,
    /// Tells one set of nkey users from another, where the users themselves are not here any more.
    pub nkey_users: Option<u64>,
    /// What accounts share and store, in the order of the accounts.
    pub sharing: Vec<AccountSharing>,
    /// There is no system account.
    pub no_system_account: bool,
    /// Encryption of the client listener.
    pub tls: Option<::tls::Settings>,
    /// Answers about our own certificate.
    pub ocsp: Option<Staple>,
    /// Answers about certificates of peers.
    pub ocsp_cache: Option<Cache>,
    /// Routes. There is a listener only if it has a port.
    pub cluster: Cluster,
    /// Links between clusters.
    pub gateway: Option<Gateway>,
    /// Leaf nodes, both ways.
    pub leafnodes: Option<Leafnodes>,
    /// Streams.
    pub jetstream: JetStream,
    /// The WebSocket listener; listens only if it has a port.
    pub websocket: Option<WebSocket>,
    /// The MQTT listener; listens only if it has a port.
    pub mqtt: Option<Mqtt>,
    /// Operator mode.
    pub operator: Operator,
    /// A port of a profiler, which is accepted and has nothing to do here.
    pub prof_port: i64,
    /// A rate of a profiler, which is accepted and has nothing to do here.
    pub prof_block_rate: i64,
    /// A switch of a cache, which is accepted and has nothing to do here.
    pub disable_sublist_cache: bool,
}

/// The listener for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// Where it binds.
    pub host: String,
    /// Where it binds.
    pub port: Port,
    /// The address clients are told.
    pub advertise: Option<HostPort>,
    /// Clients may choose whether to encrypt.
    pub allow_non_tls: bool,
    /// Connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Messages have no headers.
    pub no_header_support: bool,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            host: ANY_HOST.to_owned(),
            port: DEFAULT_PORT,
            advertise: None,
            allow_non_tls: false,
            proxy_protocol: false,
            no_header_support: false,
        }
    }
}

pub(crate) const CLIENT_KEYS: &[&str] =
    &["listen", "port", "host", "net", "client_advertise", "allow_non_tls", "proxy_protocol", "no_header_support"];

impl Clients {
    /// Reads one key; false when it is not one of ours.
    pub(crate) fn read(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        match key {
            "listen" | "port" | "host" | "net" => {
                let mut listen = Listen { host: self.host.clone(), port: Some(self.port) };
                listen.read(key, node, report);
                self.host = listen.host;
                self.port = listen.port.unwrap_or(DEFAULT_PORT);
            }
            "client_advertise" => read_advertise(node, &mut self.advertise, report),
            "allow_non_tls" => report.set_bool(node, &mut self.allow_non_tls),
            "proxy_protocol" => {
                report.set_bool(node, &mut self.proxy_protocol);
                if self.proxy_protocol {
                    report.needs(Feature::ProxyProtocol, &node.place);
                }
            }
            "no_header_support" => report.set_bool(node, &mut self.no_header_support),
            _ => return false,
        }
        true
    }
}

impl Settings {
    /// The account of system events and services: the configured one or `$SYS`; none if it is switched off.
    pub fn system_account(&self) -> Option<&str> {
        match &self.auth.system_account {
            Some(name) => Some(name),
            None if self.no_system_account => None,
            None => Some(account::SYSTEM),
        }
    }

    /// What to say in the log at start-up although nothing is wrong.
    pub fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        if self.has_plain_password() {
            advice.push("Plaintext passwords detected, use nkeys or bcrypt".to_owned());
        }
        if self.limits.max_payload_bytes.is_none_or(|bytes| bytes > crate::limits::LARGE_PAYLOAD) {
            advice.push(
                "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance".to_owned(),
            );
        }
        advice
    }

    /// What is compared when the configuration is read again: everything but the tenants, of which there may be very many.
    #[must_use]
    pub fn remembered(mut self) -> Self {
        self.nkey_users = Some(self.hash_of_nkey_users());
        if let Some(users) = &mut self.auth.authorization.users {
            *users = Vec::new();
        }
        self.auth.accounts = Vec::new();
        self.sharing = Vec::new();
        self
    }

    /// See [`Settings::nkey_users`].
    pub(crate) fn hash_of_nkey_users(&self) -> u64 {
        if let Some(known) = self.nkey_users {
            return known;
        }
        let listed = self.auth.authorization.users.iter().flatten();
        let all = listed.chain(self.auth.accounts.iter().flat_map(|account| &account.users));
        let mut hasher = std::hash::DefaultHasher::new();
        all.filter_map(|user| user.nkey.as_ref()).for_each(|nkey| nkey.hash(&mut hasher));
        hasher.finish()
    }

    fn has_plain_password(&self) -> bool {
        let authorization = &self.auth.authorization;
        let listed = authorization.users.iter().flatten();
        let users = listed.chain(self.auth.accounts.iter().flat_map(|account| &account.users));
        let singles = [&authorization.password, &authorization.token].into_iter().flatten();
        let passwords = users.filter_map(|user| user.password.as_ref()).chain(singles);
        passwords.into_iter().any(|password| !is_bcrypt(password.expose()))
    }
}

/// `$2a$11$…`, with one of the letters that mean the same algorithm.
fn is_bcrypt(password: &str) -> bool {
    let bytes = password.as_bytes();
    matches!(bytes, [b'$', b'2', b'a' | b'b' | b'x' | b'y', b'$', one, two, b'$', ..]
        if one.is_ascii_digit() && two.is_ascii_digit())
}
