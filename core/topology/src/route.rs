//! The handshake of a route, from both ends.
//!
//! ```text
//! solicitor: CONNECT [INFO]  -> first INFO -> [compression: INFO, first INFO again] -> [INFO] -> registered
//! acceptor:  INFO            -> CONNECT, login -> first INFO -> [compression: INFO, ...]      -> registered
//! ```

use std::time::Duration;

use wire::route::Op;

use crate::compression::{Compression, Levels};
use crate::connect::ServerConnect;
use crate::error::LinkError;
use crate::gossip::{Gossip, RouteKind};
use crate::info::Info;
use crate::pool::Pooling;

/// What this server is on its routes.
#[derive(Clone, Debug)]
pub struct RouteRules {
    /// Its own INFO, without nonce and without what is particular to a connection.
    pub info: Info,
    /// Connections to each peer; `None` if pooling is off.
    pub pool_size: Option<u32>,
    /// What it wants of compression.
    pub compression: Compression,
    /// Levels by round trip time.
    pub levels: Levels,
    /// Accounts that have a route of their own.
    pub dedicated: Vec<String>,
    /// The id of the server whose cluster's made-up name was taken over.
    pub named_by: Option<String>,
}

impl RouteRules {
    fn is_dynamic(&self) -> bool {
        self.info.cluster_dynamic
    }

    /// What becomes of the two names of clusters. The greater one of two that were made up counts, but who gave this server
    /// its name may give it another: the reference tells of a name that it took over as if it were made up.
    fn judge_cluster(&self, remote: &str, remote_dynamic: bool, server_id: &str) -> Result<Option<String>, LinkError> {
        let local = &self.info.cluster;
        if remote == local {
            return Ok(None);
        }
        let gave_ours = self.named_by.as_deref() == Some(server_id);
        if self.is_dynamic() && (!remote_dynamic || gave_ours || remote > local.as_str()) {
            return Ok(Some(remote.to_owned()));
        }
        Err(LinkError::ClusterName { remote: remote.to_owned(), local: local.clone() })
    }

    /// The INFO for one connection.
    fn info_for(&self, compression: Compression, index: u32, account: &str, gossip: Gossip) -> Info {
        let compression = if self.compression == Compression::S2Auto { Compression::S2Auto } else { compression };
        Info {
            compression: compression.as_str().map(str::to_owned),
            route_pool_idx: i64::from(index),
            route_account: account.to_owned(),
            gossip_mode: gossip.number(),
            ..self.info.clone()
        }
    }
}

/// What one end knows of the connection before a byte has gone over it.
#[derive(Clone, Debug)]
pub struct RouteStart {
    /// How the connection came to be.
    pub kind: RouteKind,
    /// The account it is for, if it is a dedicated one and this end solicits.
    pub account: Option<String>,
    /// How news of it travels.
    pub gossip: Gossip,
}

/// What a step wants done, in order.
#[derive(Clone, Debug)]
pub enum RouteEffect {
    /// Send CONNECT.
    SendConnect(Box<ServerConnect>),
    /// Send INFO.
    SendInfo(Box<Info>),
    /// Judge the login, reading nothing more meanwhile; then [`RouteHandshake::on_admitted`].
    Authenticate(Box<ServerConnect>),
    /// From here on bytes are framed in both directions.
    Compress(Compression),
    /// This server takes on another name for its cluster and closes all other routes.
    AdoptCluster {
        /// The name.
        name: String,
        /// It was made up, too.
        dynamic: bool,
        /// The id of the server that told it.
        server_id: String,
    },
    /// Place the connection among those to this server, then [`RouteHandshake::on_placed`].
    Register(Box<Registration>),
    /// Say so, if there is something to say, and close.
    Close(LinkError),
}

/// A peer that has said all there is to say.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Its INFO, with the account filled in.
    pub info: Info,
    /// How many connections there are to be.
    pub pooling: Pooling,
    /// The index it asked for, if it chooses.
    pub index: Option<u32>,
    /// How the lines are to be read.
    pub form: wire::route::Form,
    /// What was agreed.
    pub compression: Compression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Connect,
    Verdict,
    Info,
    FramedInfo(Compression),
    Placing,
    Over,
    Closed,
}

/// A route that is not registered yet. It has no way to say anything about subjects.
#[derive(Debug)]
pub struct RouteHandshake {
    solicited: bool,
    start: RouteStart,
    wait: Wait,
    agreed: Compression,
    /// A name to be taken over from the far end once it has logged in, whether that was made up, too, and who told it.
    adopts: Option<(String, bool, String)>,
}

impl RouteHandshake {
    /// This end made the connection.
    pub fn solicit(start: RouteStart, connect: ServerConnect, rules: &RouteRules, out: &mut Vec<RouteEffect>) -> Self {
        out.push(RouteEffect::SendConnect(Box::new(connect)));
        let handshake = Self { solicited: true, start, wait: Wait::Info, agreed: rules.compression, adopts: None };
        if !handshake.delays_info(rules) {
            out.push(handshake.own_info(rules, 0));
        }
        handshake
    }

    /// The other end made the connection. `nonce` goes into the INFO.
    pub fn accept(nonce: String, rules: &RouteRules, out: &mut Vec<RouteEffect>) -> Self {
        let start = RouteStart { kind: RouteKind::Implicit, account: None, gossip: Gossip::Default };
        let info = Info { nonce, ..rules.info_for(rules.compression, 0, "", Gossip::Default) };
        out.push(RouteEffect::SendInfo(Box::new(info)));
        Self { solicited: false, start, wait: Wait::Connect, agreed: rules.compression, adopts: None }
    }

    /// The INFO of a soliciting end waits for the other's where it depends on it.
    fn delays_info(&self, rules: &RouteRules) -> bool {
        let pooled = rules.pool_size.is_some() && self.start.account.is_none();
        pooled || rules.compression.negotiates()
    }

    fn own_info(&self, rules: &RouteRules, index: u32) -> RouteEffect {
        let account = self.start.account.as_deref().unwrap_or_default();
        RouteEffect::SendInfo(Box::new(rules.info_for(self.agreed, index, account, self.start.gossip)))
    }

    /// Whether an operation may come now. The acceptor hears nothing but CONNECT first.
    ///
    /// # Errors
    /// The reason to close.
    pub fn may_come(&self, op: &Op<'_>) -> Result<(), LinkError> {
        match (self.wait, op) {
            (Wait::Connect, Op::Connect(_)) => Ok(()),
            (Wait::Connect, Op::Err(_)) => Err(LinkError::TurnedAway),
            (Wait::Connect | Wait::Verdict, _) => Err(LinkError::Violation),
            (Wait::Closed, _) => Err(LinkError::OutOfTurn),
            (_, Op::Info(_) | Op::Ping | Op::Pong | Op::Ok | Op::Err(_)) => Ok(()),
            _ => Err(LinkError::OutOfTurn),
        }
    }

    /// CONNECT has come.
    pub fn on_connect(&mut self, json: &[u8], rules: &RouteRules, out: &mut Vec<RouteEffect>) {
        match self.take_connect(json, rules) {
            Ok(connect) => {
                self.wait = Wait::Verdict;
                self.adopts = rules
                    .judge_cluster(&connect.cluster, connect.cluster_dynamic, &connect.name)
                    .ok()
                    .flatten()
                    .map(|name| (name, connect.cluster_dynamic, connect.name.clone()));
                out.push(RouteEffect::Authenticate(Box::new(connect)));
            }
            Err(error) => self.close(error, out),
        }
    }

    fn take_connect(&self, json: &[u8], rules: &RouteRules) -> Result<ServerConnect, LinkError> {
        if self.wait != Wait::Connect {
            return Err(LinkError::OutOfTurn);
        }
        let connect = ServerConnect::parse(json)?;
        if !connect.lang.is_empty() {
            return Err(LinkError::ClientOnRoutePort);
        }
        if !connect.gateway.is_empty() {
            return Err(LinkError::GatewayElsewhere { gateway: connect.gateway, port: "Route" });
        }
        // A name is taken over after the login, and from nobody before.
        rules.judge_cluster(&connect.cluster, connect.cluster_dynamic, &connect.name)?;
        Ok(connect)
    }

    /// The login was good. A bad one ends the connection elsewhere.
    pub fn on_admitted(&mut self, out: &mut Vec<RouteEffect>) {
        if self.wait == Wait::Verdict {
            self.wait = Wait::Info;
            let adopts = self.adopts.take();
            out.extend(adopts.map(|(name, dynamic, server_id)| RouteEffect::AdoptCluster { name, dynamic, server_id }));
        }
    }

    /// INFO has come. `rtt` is the round trip time so far.
    pub fn on_info(&mut self, info: Info, rules: &RouteRules, rtt: Duration, out: &mut Vec<RouteEffect>) {
        if let Err(error) = self.take_info(info, rules, rtt, out) {
            self.close(error, out);
        }
    }

    fn take_info(
        &mut self,
        info: Info,
        rules: &RouteRules,
        rtt: Duration,
        out: &mut Vec<RouteEffect>,
    ) -> Result<(), LinkError> {
        if !matches!(self.wait, Wait::Info | Wait::FramedInfo(_)) {
            return Err(LinkError::OutOfTurn);
        }
        self.judge_peer(&info, rules, out)?;
        if self.wait == Wait::Info && rules.compression.negotiates() {
            let framed = self.negotiate(&info, rules, rtt, out)?;
            if framed {
                return Ok(());
            }
        }
        if let Wait::FramedInfo(level) = self.wait {
            self.agreed = level;
        } else if !rules.compression.negotiates() {
            let remote = Compression::parse(info.compression.as_deref())?;
            self.agreed = Compression::agree(rules.compression, remote);
        }
        let registration = self.registration(info, rules)?;
        self.wait = Wait::Placing;
        out.push(RouteEffect::Register(Box::new(registration)));
        Ok(())
    }

    fn judge_peer(&self, info: &Info, rules: &RouteRules, out: &mut Vec<RouteEffect>) -> Result<(), LinkError> {
        if info.server_id == rules.info.server_id {
            return Err(LinkError::DuplicateRoute);
        }
        if !info.cluster.is_empty()
            && let Some(name) = rules.judge_cluster(&info.cluster, info.cluster_dynamic, &info.server_id)?
        {
            let server_id = info.server_id.clone();
            out.push(RouteEffect::AdoptCluster { name, dynamic: info.cluster_dynamic, server_id });
        }
        if !self.solicited && info.server_name == rules.info.server_name {
            return Err(LinkError::DuplicateServerName(info.server_name.clone()));
        }
        Ok(())
    }

    /// Settles compression. `true` if bytes are framed from here on and another INFO is waited for.
    fn negotiate(
        &mut self,
        info: &Info,
        rules: &RouteRules,
        rtt: Duration,
        out: &mut Vec<RouteEffect>,
    ) -> Result<bool, LinkError> {
        let remote = Compression::parse(info.compression.as_deref())?;
        let mut agreed = Compression::agree(rules.compression, remote);
        if agreed == Compression::S2Auto {
            agreed = rules.levels.pick(rtt);
        }
        self.agreed = agreed;
        if !agreed.is_framed() {
            return Ok(false);
        }
        let account = self.start.account.as_deref().unwrap_or_default();
        let settled = RouteEffect::SendInfo(Box::new(Info {
            compression: agreed.as_str().map(str::to_owned),
            ..rules.info_for(agreed, 0, account, Gossip::Default)
        }));
        // The soliciting end says it in clear, the accepting one already framed.
        let order = if self.solicited {
            [settled, RouteEffect::Compress(agreed)]
        } else {
            [RouteEffect::Compress(agreed), settled]
        };
        out.extend(order);
        self.wait = Wait::FramedInfo(agreed);
        Ok(true)
    }

    fn registration(&mut self, mut info: Info, rules: &RouteRules) -> Result<Registration, LinkError> {
        match (&self.start.account, info.route_account.is_empty()) {
            (Some(account), _) => info.route_account.clone_from(account),
            (None, false) if !self.solicited => self.start.account = Some(info.route_account.clone()),
            (None, _) => info.route_account.clear(),
        }
        let pooling = Pooling::agree(rules.pool_size, info.route_pool_size);
        let index = self.index(&info, pooling)?;
        if let Some(account) = &self.start.account
            && !rules.dedicated.contains(account)
        {
            return Err(LinkError::NoRouteForAccount(account.clone()));
        }
        let form =
            wire::route::Form { names_account: self.start.account.is_none(), unsubscribe_names_origin: info.lnocu };
        Ok(Registration { pooling, index, form, compression: self.agreed, info })
    }

    /// The index the peer asked for; only the soliciting end chooses it.
    fn index(&self, info: &Info, pooling: Pooling) -> Result<Option<u32>, LinkError> {
        let asked = info.route_pool_idx;
        match (pooling, &self.start.account) {
            (Pooling::Single, Some(account)) => Err(LinkError::NoDedicatedRoute(account.clone())),
            (Pooling::Single, None) => Ok(Some(0)),
            (Pooling::Pool(_), _) if self.solicited && asked != 0 => Err(LinkError::UnwantedPoolIndex(asked)),
            (Pooling::Pool(_), _) if self.solicited => Ok(None),
            (Pooling::Pool(size), _) => match u32::try_from(asked) {
                Ok(index) if index < size => Ok(Some(index)),
                _ => Err(LinkError::BadPoolIndex { index: asked, size: info.route_pool_size }),
            },
        }
    }

    /// The connection has its place. What was held back until now is said.
    pub fn on_placed(&mut self, index: u32, rules: &RouteRules, out: &mut Vec<RouteEffect>) {
        if self.wait == Wait::Placing {
            if self.solicited && self.delays_info(rules) {
                out.push(self.own_info(rules, index));
            }
            self.wait = Wait::Over;
        }
    }

    /// The handshake is over and the route may carry messages.
    pub fn is_registered(&self) -> bool {
        self.wait == Wait::Over
    }

    fn close(&mut self, error: LinkError, out: &mut Vec<RouteEffect>) {
        self.wait = Wait::Closed;
        out.push(RouteEffect::Close(error));
    }
}

/// What a later INFO on a registered route is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteNews {
    /// The peer's account gets a route of its own: forget its interest on the pooled one, then send this back.
    AccountMoves {
        /// The account.
        account: String,
        /// The pooled connection it was on, over there.
        index: u32,
        /// The answer.
        answer: Box<Info>,
    },
    /// The peer has done the same for the request of this id.
    AccountMoved(String),
    /// About a gateway.
    Gateway(Box<Info>),
    /// About another server: connect, if it is neither known nor configured.
    Server(Box<Info>),
    /// The peer is about to go: its clients are to go elsewhere.
    LameDuck,
    /// What may go over the route.
    Rules {
        /// What the peer takes in.
        import: Option<crate::info::SubjectRules>,
        /// What the peer gives out.
        export: Option<crate::info::SubjectRules>,
    },
}

/// Sorts an INFO that came on a registered route to the server `remote_id`.
pub fn route_news(info: Info, remote_id: &str) -> RouteNews {
    if !info.route_acc_add_reqid.is_empty() {
        if info.route_account.is_empty() {
            return RouteNews::AccountMoved(info.route_acc_add_reqid);
        }
        let account = info.route_account.clone();
        let size = u32::try_from(info.route_pool_size).unwrap_or(0);
        let answer = Box::new(Info { route_account: String::new(), ..info });
        return RouteNews::AccountMoves { index: crate::pool::pool_index(&account, size), account, answer };
    }
    if !info.gateway.is_empty() {
        return RouteNews::Gateway(Box::new(info));
    }
    if info.server_id != remote_id {
        return RouteNews::Server(Box::new(info));
    }
    if info.ldm {
        return RouteNews::LameDuck;
    }
    RouteNews::Rules { import: info.import, export: info.export }
}
