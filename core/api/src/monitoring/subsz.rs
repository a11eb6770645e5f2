//! `/subsz`: subscriptions.

use serde::Serialize;

use super::{SubscriptionDetail, number};

/// Subscriptions of the server, or a page of them.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Subsz {
    pub server_id: String,
    pub now: String,
    #[serde(flatten)]
    pub stats: SublistStats,
    pub total: usize,
    pub offset: u64,
    pub limit: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list: Vec<SubscriptionDetail>,
}

/// What the look-up of subscriptions has been through. Workers keep what they found in routing plans of their own, and how often
/// they use one is not counted: that would be a write for each message. So what speaks of a cache stays at nothing, and a
/// look-up is one that a plan was made from.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct SublistStats {
    pub num_subscriptions: u64,
    pub num_cache: u64,
    pub num_inserts: u64,
    pub num_removes: u64,
    pub num_matches: u64,
    #[serde(serialize_with = "number")]
    pub cache_hit_rate: f64,
    pub max_fanout: u64,
    #[serde(serialize_with = "number")]
    pub avg_fanout: f64,
}
