//! The pipeline: bytes in, operations, authorization, routing, staging, delivery; and the queues on the way out.
//!
//! This room joins what others decide: `wire` cuts operations, `session` knows the sequence, `auth` judges, `interest`
//! knows who wants what. It has no socket, thread or clock: a driver owns those (`io/net`; tests use memory) and calls
//!
//! * [`Worker`] with readiness, time and notes; it owns read buffers, stages and plans of one thread;
//! * [`Connection`], which belongs to the worker that reads it;
//! * [`Link`], the shared way out of a connection, over the driver's [`Transport`];
//! * [`Hub`], what all workers share: accounts, directory, settings, mailboxes, the registry of connections.
//!
//! Nothing is allocated per message in the steady state; see `plan` and `stage`.

mod account_state;
mod awaited;
mod before_login;
mod buffers;
mod chance;
mod chunk;
mod connection;
mod delivery;
mod elsewhere;
mod engine;
mod entry;
mod hop;
mod house;
mod hub;
mod internal;
mod layer;
mod ledger;
mod link;
mod links;
mod login;
mod mailbox;
mod meter;
mod nonce;
mod observer;
mod orders;
mod outbound;
mod penalties;
mod plan;
mod protocol_log;
mod publish;
mod reading;
mod settings;
mod sharing;
mod squeeze;
mod stage;
mod strangers;
mod subscribe;
mod subscription;
mod subscriptions;
mod trace;
mod user_info;
mod user_state;
mod worker;

use std::time::Duration;

pub use account_state::{AccountFull, AccountState};
pub use awaited::Told;
pub use before_login::BeforeLogin;
pub use buffers::{BufferId, READ_BUFFER_BYTES, READ_BUFFERS_MAX, ReadBuffers};
pub use chance::Secure;
pub use connection::{Connection, ReadOutcome, Step};
pub use hop::{HOP_STEPS_MAX, HOP_TEXT_BYTES_MAX, Hop, HopRefusal, HopTaker, SpanId, Step as HopStep, StepTo, TraceId};
pub use house::{House, HouseMessage, OwnMessage};
pub use hub::{Hub, Registered, TOO_MANY_CLIENTS};
pub use internal::{InternalSubscriber, Message, Reader, Sender};
pub use layer::{LayerError, Opened, Opener, Sealer};
pub use ledger::{
    CLOSED_CONNECTIONS_MAX, CLOSED_SUBSCRIPTIONS_MAX, ClosedConnection, ConnectionFacts, Ledger, Numbers, PerKind,
    SubscriptionFacts, Troubles,
};
pub use link::{Carrier, Link, LinkKind, LinkStats, QueueLimits, Transport};
pub use links::crossed::{Amount, ByLink, Crossed};
pub use links::registry::KnownLink;
pub use links::remote::{RemotePeer, RemoteTarget};
pub use links::settings::{
    Arrival, ClusterNews, Domain, GatewaySettings, GatewaySolicit, LeafListening, LeafSolicit, LinkCredentials,
    LinkDesk, LinkEnd, LinkSettings, LinkWrites, RemoteId, RouteSettings, RouteSolicit, Signer, WantedRoute, WriteRule,
};
pub use links::telling_rights::fits_rights;
pub use login::{LoginDesk, LoginJob, LoginOutcome, Presented};
pub use mailbox::{Action, ConnectionKey, Mailbox, Note};
pub use observer::{ConnectionLabel, Event, NobodyWatches, Observer};
pub use orders::acts;
pub use settings::{
    About, ClientSettings, DEFAULT_MAX_CONTROL_LINE_BYTES, DEFAULT_MAX_PAYLOAD_BYTES, DEFAULT_MAX_PENDING_BYTES,
    WebSocketSettings,
};
pub use sharing::latency_far::FarReport;
pub use subscription::{ClientTarget, Peer, Subscription, Target};
pub use trace::{Follower, StreamPart};
pub use worker::{Hands, Worker};

/// A publisher to a link that is behind is not read for this long at most.
pub const STALL_MAX: Duration = Duration::from_millis(10);
