//! Interest of other servers: what a graph entry points at that came over a link.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use auth::LinkRights;
use topology::Peer as Place;

use crate::link::Link;

/// A server at the far end of a link, as far as messages to it need to know.
pub struct RemotePeer {
    /// The way to it.
    pub link: Arc<Link>,
    /// Where it stands to this server.
    pub place: Place,
    /// The cluster of a leaf node, of its hub, or of a gateway; empty if it has none.
    pub cluster: Box<str>,
    /// Lines to it name the account.
    pub names_account: bool,
    /// It reads headers.
    pub headers: bool,
    /// It understands messages on behalf of leaf clusters.
    pub takes_origins: bool,
    /// It knows marked replies only in their old form.
    pub old_replies: bool,
    /// What it calls itself.
    pub name: Box<str>,
    /// It tells what became of messages that are followed.
    pub traces: bool,
    /// It judges by what it is told of the rights of those who publish here.
    pub takes_rights: bool,
    /// The one account of a leaf connection.
    pub account: Option<Box<str>>,
    /// It may answer where it is asked (`allow_responses`); this is what it may publish to anyway.
    pub answers: Option<Arc<LinkRights>>,
}

/// From this level of their protocol on servers tell what became of messages that are followed.
pub(crate) const TRACE_LEVEL: i64 = 3;

impl RemotePeer {
    /// It is a leaf connection.
    pub(crate) fn is_leaf(&self) -> bool {
        matches!(self.place, Place::Leaf(_))
    }

    /// It is in another cluster.
    pub(crate) fn is_gateway(&self) -> bool {
        self.place == Place::Gateway
    }
}

/// What a server at the far end of a link wants.
pub struct RemoteTarget {
    /// The server.
    pub peer: Arc<RemotePeer>,
    /// The leaf cluster on whose behalf it speaks.
    pub origin: Option<Box<str>>,
    /// Members of the queue group over there.
    weight: AtomicU32,
}

impl RemoteTarget {
    pub(crate) fn new(peer: Arc<RemotePeer>, origin: Option<Box<str>>, weight: u32) -> Self {
        Self { peer, origin, weight: AtomicU32::new(weight.max(1)) }
    }

    /// Members of the queue group over there; one for interest without a group.
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// The group has another number of members now. The number it had.
    pub(crate) fn weigh(&self, weight: u32) -> u32 {
        self.weight.swap(weight.max(1), Ordering::Relaxed)
    }

    /// The leaf cluster that stands behind the interest, however far away.
    pub(crate) fn leaf_cluster(&self) -> Option<&str> {
        let own = Some(&*self.peer.cluster).filter(|cluster| self.peer.is_leaf() && !cluster.is_empty());
        self.origin.as_deref().or(own)
    }
}
