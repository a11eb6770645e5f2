//! Why a link between servers is refused or ended.

use std::fmt;

use subject::Quoted;
use wire::CloseReason;

/// Why a link between servers is refused or ended. The texts are facts of the protocol: peers act on some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// Something came that may not come before login.
    Violation,
    /// Something came that may not come now.
    OutOfTurn,
    /// Who came has found out that this is not who it looked for, and says so before it introduces itself.
    TurnedAway,
    /// INFO or CONNECT cannot be read.
    Unreadable(String),
    /// A client has come to the port of routes.
    ClientOnRoutePort,
    /// A client has come to the port of leaf nodes.
    ClientOnLeafPort,
    /// A client or a route has come to the port of gateways.
    StrangerOnGatewayPort,
    /// A gateway has come to the port of routes or of leaf nodes.
    GatewayElsewhere {
        /// What it calls itself.
        gateway: String,
        /// `Route` or `leafnode`.
        port: &'static str,
    },
    /// The far end is not a leaf node port.
    WrongPort,
    /// The far end is not a gateway port.
    WrongGatewayPort {
        /// The gateway that was looked for.
        gateway: String,
    },
    /// The gateway is not configured here, and unknown ones are refused.
    UnknownGateway {
        /// This cluster.
        local: String,
    },
    /// Another gateway answers than was looked for.
    OtherGateway {
        /// This cluster.
        local: String,
        /// What was looked for.
        wanted: String,
        /// What answered.
        found: String,
    },
    /// It is this server itself, or one to which there is a connection already.
    DuplicateRoute,
    /// Two servers have the same name.
    DuplicateServerName(String),
    /// Clusters of different names do not mix.
    ClusterName {
        /// Theirs.
        remote: String,
        /// Ours.
        local: String,
    },
    /// A mode of compression nobody knows.
    UnknownCompression(String),
    /// The soliciting side chooses the index, not the accepting one.
    UnwantedPoolIndex(i64),
    /// The index is outside the pool.
    BadPoolIndex {
        /// The index.
        index: i64,
        /// What the peer said of its pool.
        size: i64,
    },
    /// One side has no dedicated routes.
    NoDedicatedRoute(String),
    /// The account has no dedicated route here.
    NoRouteForAccount(String),
    /// The account of a dedicated route is unknown here.
    UnknownAccount(String),
    /// Leaf node and hub are clusters of the same name.
    SameClusterName,
    /// A cluster's name has a blank in it.
    ClusterNameHasSpaces,
    /// The leaf node is too old.
    MinimumVersion(String),
    /// The same leaf node came again: the older connection goes.
    DuplicateLeaf,
    /// What this leaf connection says comes back to it by another way.
    Loop {
        /// The account.
        account: String,
    },
    /// A command about an account does not name it.
    CommandWithoutAccount(&'static str),
    /// Interest came by the end of a gateway that takes messages only.
    WrongDirection,
}

impl LinkError {
    /// The text of the `-ERR` the peer gets; `None` where the connection is closed without a word.
    pub fn wire_text(&self) -> Option<String> {
        match self {
            Self::DuplicateRoute | Self::DuplicateServerName(_) | Self::Unreadable(_) => None,
            Self::WrongDirection | Self::WrongPort | Self::OutOfTurn | Self::TurnedAway => None,
            told => Some(told.to_string()),
        }
    }

    /// The reason under which monitoring lists the connection.
    pub const fn close_reason(&self) -> CloseReason {
        match self {
            Self::Violation => CloseReason::AuthenticationFailure,
            Self::TurnedAway => CloseReason::ClientClosed,
            Self::ClientOnRoutePort | Self::ClientOnLeafPort | Self::StrangerOnGatewayPort => {
                CloseReason::IncorrectPort
            }
            Self::WrongPort | Self::WrongGatewayPort { .. } => CloseReason::IncorrectPort,
            Self::GatewayElsewhere { .. } | Self::UnknownGateway { .. } | Self::OtherGateway { .. } => {
                CloseReason::WrongGateway
            }
            Self::DuplicateRoute => CloseReason::DuplicateRoute,
            Self::DuplicateServerName(_) => CloseReason::DuplicateServerName,
            Self::ClusterName { .. } => CloseReason::ClusterNameConflict,
            Self::UnknownAccount(_) => CloseReason::MissingAccount,
            Self::SameClusterName => CloseReason::ClusterNamesIdentical,
            Self::MinimumVersion(_) => CloseReason::MinimumVersionRequired,
            Self::DuplicateLeaf => CloseReason::DuplicateRemoteLeafNodeConnection,
            Self::OutOfTurn
            | Self::Unreadable(_)
            | Self::UnknownCompression(_)
            | Self::UnwantedPoolIndex(_)
            | Self::BadPoolIndex { .. }
            | Self::NoDedicatedRoute(_)
            | Self::NoRouteForAccount(_)
            | Self::ClusterNameHasSpaces
            | Self::Loop { .. }
            | Self::CommandWithoutAccount(_)
            | Self::WrongDirection => CloseReason::ProtocolViolation,
        }
    }
}

fn quoted(text: &str) -> Quoted<'_> {
    Quoted(text.as_bytes())
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation => f.write_str("Authorization Violation"),
            Self::OutOfTurn => f.write_str("an operation out of turn"),
            Self::TurnedAway => f.write_str("the far end wants no connection to this server"),
            Self::Unreadable(why) => f.write_str(why),
            Self::ClientOnRoutePort => f.write_str("attempted to connect to route port"),
            Self::ClientOnLeafPort => f.write_str("attempted to connect to leaf node port"),
            Self::StrangerOnGatewayPort => f.write_str("attempted to connect to gateway port"),
            Self::GatewayElsewhere { gateway, port } => {
                write!(f, "Rejecting connection from gateway {} on the {port} port", quoted(gateway))
            }
            Self::WrongPort => f.write_str("attempted to connect to wrong port"),
            Self::WrongGatewayPort { gateway } => {
                write!(f, "Attempt to connect to gateway {} using wrong port", quoted(gateway))
            }
            Self::UnknownGateway { local } => write!(f, "Connection to gateway {} rejected", quoted(local)),
            Self::OtherGateway { local, wanted, found } => write!(
                f,
                "Connection from {} rejected, wanted to connect to {}, this is {}",
                quoted(local),
                quoted(wanted),
                quoted(found)
            ),
            Self::DuplicateRoute => f.write_str("Detected duplicate remote route"),
            Self::DuplicateServerName(name) => write!(f, "Remote server has a duplicate name: {}", quoted(name)),
            Self::ClusterName { remote, local } => {
                write!(f, "Rejecting connection, cluster name {} does not match {}", quoted(remote), quoted(local))
            }
            Self::UnknownCompression(mode) => write!(f, "unsupported route compression mode {}", quoted(mode)),
            Self::UnwantedPoolIndex(index) => {
                write!(f, "Route pool index should not be set but is set to {index}")
            }
            Self::BadPoolIndex { index, size } => {
                write!(f, "Invalid route pool index: {index} - pool size is {size}")
            }
            Self::NoDedicatedRoute(account) => write!(
                f,
                "Not possible to have a dedicated route for account {} between those servers",
                quoted(account)
            ),
            Self::NoRouteForAccount(account) => write!(f, "No route for account {}", quoted(account)),
            Self::UnknownAccount(account) => {
                write!(f, "Unable to lookup account {}: account missing", quoted(account))
            }
            Self::SameClusterName => f.write_str("remote leafnode has same cluster name"),
            Self::ClusterNameHasSpaces => f.write_str("cluster name cannot contain spaces"),
            Self::MinimumVersion(version) => {
                write!(f, "connection rejected since minimum version required is {}", quoted(version))
            }
            Self::DuplicateLeaf => f.write_str("Duplicate Remote LeafNode Connection"),
            Self::Loop { account } => write!(
                f,
                "Loop detected for leafnode account={}. Delaying attempt to reconnect for 30s",
                quoted(account)
            ),
            Self::CommandWithoutAccount(command) => {
                write!(f, "Account absent from receive-all-subscriptions-{command} command")
            }
            Self::WrongDirection => f.write_str("Received interest from gateway on inbound connection"),
        }
    }
}

impl std::error::Error for LinkError {}
