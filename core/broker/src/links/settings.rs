//! What applies to links between servers: plain data, already valid.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use account::Account;
use auth::settings::RuleText;
use auth::{Directory, LinkRights};
use secret::Secret;
use session::PingRules;
use topology::{GatewayRules, LeafRemote, LeafRules, ReplyMapper, RouteRules, RouteStart, ServerConnect};

use crate::link::LinkKind;

/// What applies to links between servers, as of the last start or reload.
#[derive(Clone, Default)]
pub struct LinkSettings {
    /// Leaf nodes that come to us.
    pub leafs: Option<Arc<LeafListening>>,
    /// The cluster.
    pub routes: Option<Arc<RouteSettings>>,
    /// The links to other clusters.
    pub gateways: Option<Arc<GatewaySettings>>,
    /// Bytes of a protocol line's arguments, as clients have it. Lines between servers may be longer by a factor.
    pub max_control_line_bytes: usize,
    /// Pings on leaf connections.
    pub leaf_ping: Option<PingRules>,
    /// What decides whether JetStream is shared over leaf connections.
    pub domain: Domain,
    /// How long each kind of server may take its bytes.
    pub writes: LinkWrites,
}

impl LinkSettings {
    /// How long the servers at the far ends of these links may take their bytes; nothing is said of clients here.
    pub(crate) fn writes_to(&self, kind: LinkKind) -> Option<WriteRule> {
        match kind {
            LinkKind::Client | LinkKind::House => None,
            LinkKind::Route => Some(self.writes.routes),
            LinkKind::Gateway => Some(self.writes.gateways),
            LinkKind::Leaf => Some(self.writes.leafs),
        }
    }
}

/// How long a peer may take what waits for it, and what becomes of it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRule {
    /// The time.
    pub deadline: Duration,
    /// It is given the same time again as long as it takes something; otherwise it is closed.
    pub retry: bool,
}

impl Default for WriteRule {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), retry: true }
    }
}

/// The same of each kind of link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkWrites {
    /// Routes.
    pub routes: WriteRule,
    /// Gateways.
    pub gateways: WriteRule,
    /// Leaf connections, from both ends.
    pub leafs: WriteRule,
}

/// JetStream of this server, as leaf connections ask for it.
#[derive(Clone, Debug, Default)]
pub struct Domain {
    /// Its domain; empty for none.
    pub name: String,
    /// It runs here.
    pub has_jetstream: bool,
    /// `extension_hint: will_extend`.
    pub will_extend: bool,
    /// Accounts that use the empty domain of the far end (`default_js_domain`).
    pub empty_defaults: Vec<String>,
}

/// The listener for leaf nodes.
pub struct LeafListening {
    /// What this server says of itself, and whom it takes.
    pub rules: LeafRules,
    /// Who may come in; the server's users if there is no block of its own.
    pub directory: Option<Arc<Directory>>,
    /// How long a leaf node may take to log in.
    pub auth_timeout: Duration,
    /// Leaf nodes do not learn of each other's interest.
    pub isolate: bool,
}

/// The cluster, as its routes ask for it.
#[derive(Clone)]
pub struct RouteSettings {
    /// What this server says of itself, and what it wants.
    pub rules: RouteRules,
    /// Who may come in; everybody if nothing is configured.
    pub directory: Option<Arc<Directory>>,
    /// How long a server may take to log in.
    pub auth_timeout: Duration,
    /// What may cross.
    pub rights: Arc<LinkRights>,
    /// Pings.
    pub ping: PingRules,
    /// Clients are not told of other servers.
    pub no_advertise: bool,
    /// The addresses of this server for clients.
    pub connect_urls: Vec<String>,
    /// Where clients reach this server over WebSocket.
    pub ws_connect_urls: Vec<String>,
}

/// The links to other clusters, as this server sees them.
pub struct GatewaySettings {
    /// What this server says of itself, and whom it takes. The addresses and names of the other servers of its cluster are
    /// added as they are known.
    pub rules: GatewayRules,
    /// Who may come in; everybody if nothing is configured.
    pub directory: Option<Arc<Directory>>,
    /// How long a server may take to log in.
    pub auth_timeout: Duration,
    /// Pings.
    pub ping: PingRules,
    /// How replies are marked that leave the cluster.
    pub mapper: ReplyMapper,
    /// Whoever publishes at a server that does not tell what binds it may have no stream read or do anything.
    pub require_rights: bool,
}

/// A connection to another cluster that this server makes.
pub struct GatewaySolicit {
    /// Which of the remotes it is.
    pub id: RemoteId,
    /// The cluster.
    pub name: String,
    /// What is said first.
    pub connect: ServerConnect,
}

/// Addresses of another cluster, and whose word that is.
#[derive(Clone, Debug)]
pub struct ClusterNews {
    /// The cluster.
    pub name: String,
    /// Where its servers take gateways, without scheme.
    pub urls: Vec<String>,
    /// The cluster says so itself: what is not among them and not configured is gone.
    pub is_own_word: bool,
}

/// A route that this server makes.
pub struct RouteSolicit {
    /// Which of the remotes it is.
    pub id: RemoteId,
    /// How it came to be.
    pub start: RouteStart,
    /// What is said first.
    pub connect: ServerConnect,
}

/// A further connection within the cluster that is wanted.
#[derive(Clone, Debug)]
pub enum WantedRoute {
    /// To the same server as this one, for this account or for the pool.
    Like(RemoteId, Option<String>),
    /// To a server we have heard of.
    Server {
        /// Its id.
        server_id: String,
        /// Its address for routes.
        url: String,
    },
}

/// Names a server to which this one makes connections, among all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RemoteId(pub u64);

/// Signs the challenge of the far end.
pub trait Signer: Send + Sync {
    /// The signature as CONNECT carries it.
    fn sign(&self, nonce: &[u8]) -> Secret<String>;
}

/// What this server shows at the far end.
#[derive(Clone, Default)]
pub struct LinkCredentials {
    /// A user.
    pub user: Option<String>,
    /// A password.
    pub password: Option<Secret<String>>,
    /// A token.
    pub token: Option<Secret<String>>,
    /// User claims.
    pub jwt: Option<Secret<String>>,
    /// The public key of a user that signs, where there are no claims.
    pub nkey: Option<String>,
    /// Who signs.
    pub signer: Option<Arc<dyn Signer>>,
}

impl fmt::Debug for LinkCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkCredentials").field("user", &self.user).field("nkey", &self.nkey).finish_non_exhaustive()
    }
}

/// A leaf connection that this server makes.
pub struct LeafSolicit {
    /// Which of the remotes it is.
    pub id: RemoteId,
    /// What this end brings with it.
    pub remote: LeafRemote,
    /// The account here.
    pub account: Arc<Account>,
    /// What is shown to the hub.
    pub credentials: LinkCredentials,
    /// What is not taken from the far end.
    pub deny_imports: Vec<RuleText>,
    /// What is not sent to the far end.
    pub deny_exports: Vec<RuleText>,
    /// Interest of other leaf nodes is not sent to the far end.
    pub isolate: bool,
    /// How long the far end may take to greet.
    pub first_info_timeout: Duration,
    /// It is gone to over WebSocket, as the others of its cluster would be.
    pub by_websocket: bool,
}

/// A new connection between servers, before its first byte.
pub enum Arrival {
    /// A leaf node has come.
    LeafAccepted,
    /// This server has gone to a hub.
    LeafSolicited(Arc<LeafSolicit>),
    /// A server of the cluster has come.
    RouteAccepted,
    /// This server has gone to one of the cluster.
    RouteSolicited(Arc<RouteSolicit>),
    /// A server of another cluster has come.
    GatewayAccepted,
    /// This server has gone to one of another cluster.
    GatewaySolicited(Arc<GatewaySolicit>),
}

/// How a connection ended that this server had made.
#[derive(Clone, Debug)]
pub struct LinkEnd {
    /// It had been ready.
    pub was_ready: bool,
    /// How long to wait before the next attempt, if the far end or a rule says so.
    pub delay: Option<Duration>,
    /// There are connections enough to this server.
    pub duplicate_of: Option<String>,
}

/// Hears of the connections that this server made. Called on a worker: it must neither block nor take long.
pub trait LinkDesk: Send + Sync {
    /// It is ready. Whether it is still wanted.
    fn ready(&self, remote: RemoteId) -> bool;

    /// A further connection is wanted.
    fn wanted(&self, route: WantedRoute);

    /// There is another cluster; it is gone to if it was not known.
    fn heard_of(&self, cluster: ClusterNews);

    /// The far end of a leaf connection tells where its cluster takes leaf nodes.
    fn heard_of_hubs(&self, remote: RemoteId, urls: Vec<String>);

    /// The clusters that are gone to, by name, with their addresses.
    fn clusters(&self) -> Vec<(String, Vec<String>)>;

    /// A connection to this server is gone.
    fn lost(&self, server_id: &str);

    /// It is over.
    fn ended(&self, remote: RemoteId, end: LinkEnd);
}
