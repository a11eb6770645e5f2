//! How servers of a cluster hear of each other.

/// What a server does with the news of another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gossip {
    /// Pass it on unless the connection itself came of gossip.
    #[default]
    Default,
    /// Do not pass it on.
    Disabled,
    /// Pass it on in any case.
    Override,
}

impl Gossip {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Disabled => 1,
            Self::Override => 2,
        }
    }

    /// The mode of a number; what nobody knows is the default.
    pub const fn of_number(number: u8) -> Self {
        match number {
            1 => Self::Disabled,
            2 => Self::Override,
            _ => Self::Default,
        }
    }
}

/// How a route came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// The configuration names the server.
    Explicit,
    /// It was heard of.
    Implicit,
}

/// A route that has just been registered.
#[derive(Clone, Copy, Debug)]
pub struct NewRoute {
    /// How it came to be.
    pub kind: RouteKind,
    /// This server made the connection.
    pub solicited: bool,
    /// The mode the connection was made with.
    pub local: Gossip,
    /// The mode in the peer's INFO.
    pub remote: Gossip,
}

impl NewRoute {
    /// Whether the others are told of the new one.
    pub fn is_news(&self) -> bool {
        let of_gossip = self.solicited && self.kind == RouteKind::Implicit;
        !(of_gossip && self.local != Gossip::Override) && self.remote != Gossip::Disabled
    }

    /// The mode for telling one of the others, which is a route of kind `other`.
    pub fn mode_for(&self, other: RouteKind) -> Gossip {
        match (self.solicited, self.kind, other) {
            (false, _, RouteKind::Explicit) | (true, RouteKind::Explicit, _) => Gossip::Override,
            (false, _, RouteKind::Implicit) => Gossip::Disabled,
            (true, RouteKind::Implicit, _) => Gossip::Default,
        }
    }
}
