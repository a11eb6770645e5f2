//! Routes, gateways and leaf nodes as values: who may say what and when, who hears of which interest, where a message may
//! go next.
//!
//! This room decides sequences and rules of links between servers. It opens no connection, keeps no subject graph, judges
//! no credentials (`auth`) and has no clock: round trip times, delays and chance are arguments. Each handshake is a type
//! without a way to subscribe or publish; what it wants done comes out as effects, in order.
//!
//! * [`RouteHandshake`], [`GatewayHandshake`], [`LeafHandshake`]: from the first byte to registration, both ends.
//! * [`Info`], [`ServerConnect`], [`LeafConnect`]: what servers tell each other, with bounds; secrets are
//!   [`secret::Secret`].
//! * [`may_forward`], [`may_advertise`]: the hop rules, one total function each.
//! * [`Slots`] and [`pool_index`]: which connection carries an account. [`NewRoute`]: gossip.
//! * [`LeafInterest`]: what has been told, and what is to be told next. [`Optimism`]: what old gateways are sent unasked.
//! * [`ToldRights`]: what binds whoever published, told to another cluster.
//! * [`ReplyMapper`]: replies that cross gateways. [`judge_domains`]: JetStream across leaf connections.
//!
//! ```
//! use bulwark_topology::{LeafRole, Peer, may_forward};
//!
//! assert!(may_forward(Peer::Client, Peer::Route));
//! assert!(!may_forward(Peer::Route, Peer::Route), "a cluster is a full mesh: one hop");
//! assert!(!may_forward(Peer::Leaf(LeafRole::Spoke), Peer::Route));
//! ```
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod compression;
mod connect;
mod domain;
mod error;
mod gateway;
mod gateway_interest;
mod gossip;
mod hash;
mod hop;
mod info;
mod leaf;
mod leaf_interest;
mod pool;
mod reply;
mod retry;
mod rights;
mod route;

pub use compression::{Compression, Levels};
pub use connect::{LeafConnect, ServerConnect};
pub use domain::{DomainFacts, DomainVerdict, domain_mappings, judge_domains};
pub use error::LinkError;
pub use gateway::{
    GatewayEffect, GatewayHandshake, GatewayNews, GatewayRules, all_interest_info, gateway_news, gossip_info,
};
pub use gateway_interest::{MAX_NO_INTEREST, Optimism};
pub use gossip::{Gossip, NewRoute, RouteKind};
pub use hash::{GatewayHash, NODE_HASH_LEN, NodeHash, ShortHash, old_gateway_hash};
pub use hop::{LeafRole, Peer, may_advertise, may_forward, may_forward_returned, may_forward_service_reply};
pub use info::{Base64, Info, MAX_NAME_BYTES, MAX_URLS, SubjectRules};
pub use leaf::{LeafEffect, LeafHandshake, LeafRegistration, LeafRemote, LeafRules, delay_after};
pub use leaf_interest::{LOOP_DETECTION_PREFIX, LeafInterest, LeafTell, LocalInterest, is_loop};
pub use pool::{MAX_POOL_SIZE, Placed, Pooling, Slots, pool_index};
pub use reply::{MAPPED_REPLIES, ReplyMapper, ReplyRoute, mapped_filters, split_shown, with_shown, without_shown};
pub use retry::{
    Attempts, LEAF_LOOP_DELAY, LEAF_SAME_CLUSTER_DELAY, LEAF_VERSION_DELAY, RETRY_DELAY, RETRY_DELAY_MAX, Retry,
    jittered,
};
pub use rights::{MAX_TOLD_ENTRIES, RIGHTS_LEVEL, ToldLists, ToldRights};
pub use route::{Registration, RouteEffect, RouteHandshake, RouteNews, RouteRules, RouteStart, route_news};
