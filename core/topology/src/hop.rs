//! Where a message may go, given where it came from.

/// A kind of neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A client, or a part of this server.
    Client,
    /// A server of the same cluster.
    Route,
    /// A server of another cluster.
    Gateway,
    /// The other end of a leaf connection.
    Leaf(LeafRole),
}

/// Which end of a leaf connection this server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeafRole {
    /// This server is the hub, the far end a spoke.
    Hub,
    /// This server is the spoke, the far end its hub.
    Spoke,
}

impl Peer {
    /// Every kind of neighbour.
    pub const ALL: [Peer; 5] =
        [Peer::Client, Peer::Route, Peer::Gateway, Peer::Leaf(LeafRole::Hub), Peer::Leaf(LeafRole::Spoke)];
}

/// Whether a message that came from one neighbour may go to another.
///
/// A cluster is a full mesh, so one hop inside it is enough. Only the server where a message enters a cluster sends it
/// to other clusters. What comes from a hub stays on the spoke that heard it, since every server of the spoke's cluster
/// has its own way to the hub, and for the same reason what comes by a route does not go up to a hub.
pub const fn may_forward(from: Peer, to: Peer) -> bool {
    match (from, to) {
        (_, Peer::Client) | (Peer::Client, _) => true,
        (Peer::Route, Peer::Route | Peer::Gateway | Peer::Leaf(LeafRole::Spoke)) => false,
        (Peer::Route, Peer::Leaf(LeafRole::Hub)) => true,
        (Peer::Gateway, Peer::Gateway) => false,
        (Peer::Gateway, Peer::Route | Peer::Leaf(_)) => true,
        (Peer::Leaf(LeafRole::Spoke), Peer::Route) => false,
        (Peer::Leaf(LeafRole::Hub), Peer::Route) => true,
        (Peer::Leaf(_), Peer::Gateway | Peer::Leaf(_)) => true,
    }
}

/// The same for an answer to a service import (`_R_`), which has one listener: it may also go up to a hub.
pub const fn may_forward_service_reply(from: Peer, to: Peer) -> bool {
    may_forward(from, to) || matches!((from, to), (Peer::Route, Peer::Leaf(LeafRole::Spoke)))
}

/// The same for an answer that was on its way back to this cluster, and has arrived: it is where its reply was made, so it
/// goes on as if it were published here, wherever somebody waits for it.
pub const fn may_forward_returned(_from: Peer, to: Peer) -> bool {
    may_forward(Peer::Client, to)
}

/// Whether interest that came from one neighbour is told to another.
///
/// Interest flows against the messages. A server tells its cluster and other clusters what its clients and its leaf
/// nodes want, and to other clusters also what its cluster wants; what a hub wants stays on the spoke. A spoke tells its
/// hub only what is its own.
pub const fn may_advertise(from: Peer, to: Peer) -> bool {
    match (from, to) {
        (_, Peer::Client) => false,
        (Peer::Client, _) => true,
        (_, Peer::Leaf(LeafRole::Hub)) => true,
        (Peer::Leaf(LeafRole::Hub), Peer::Route | Peer::Gateway | Peer::Leaf(LeafRole::Spoke)) => true,
        (Peer::Route, Peer::Gateway) => true,
        (Peer::Route, Peer::Route | Peer::Leaf(LeafRole::Spoke)) => false,
        (Peer::Gateway | Peer::Leaf(LeafRole::Spoke), _) => false,
    }
}
