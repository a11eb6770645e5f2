//! Who wants what.
//!
//! This room decides which subscriptions of one account a message reaches. It does **not** decide whether a
//! connection may subscribe or publish (that is `auth`: the graph only takes its proofs), it does not pick a queue
//! member (that is done per message by the deliverer) and it never touches a connection: what a subscription points
//! at is the type parameter `T`.
//!
//! * [`Graph`]: the subscriptions of one account, safe to share between workers.
//! * [`Entry`]: one subscription: the grant under which it exists, and its target.
//! * [`Matched`]: what a subject reaches, plain entries and queue groups, already filtered by delivery denies.
//! * [`Revision`]: a number that moves whenever the answer for a subject might have changed, so that answers can be
//!   kept. It is kept per first token (256 buckets), so that churn on inboxes leaves other answers alone.

mod graph;
mod revision;

pub use graph::{Entry, Graph, Matched, QueueGroup, Turns};
pub use revision::Revision;
