//! Which of several connections between two servers carries an account.

/// Connections between two servers at most; the configuration allows fewer.
pub const MAX_POOL_SIZE: u32 = 1024;

/// The connection that carries an account, given how many there are.
pub fn pool_index(account: &str, pool_size: u32) -> u32 {
    if pool_size <= 1 { 0 } else { fnv1a(account.as_bytes()) % pool_size }
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// How two servers share their connections, after both have told their sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// One connection, as with old servers.
    Single,
    /// So many connections.
    Pool(u32),
}

impl Pooling {
    /// `local` is `None` if pooling is switched off here, `remote` is what the peer said, zero if nothing.
    pub fn agree(local: Option<u32>, remote: i64) -> Self {
        match (local, u32::try_from(remote)) {
            (Some(local), Ok(remote @ 1..)) => Self::Pool(local.max(remote).min(MAX_POOL_SIZE)),
            _ => Self::Single,
        }
    }

    /// How many connections.
    pub const fn size(self) -> u32 {
        match self {
            Self::Single => 1,
            Self::Pool(size) => size,
        }
    }
}

/// The connections to one remote server.
#[derive(Clone, Debug)]
pub struct Slots<C> {
    pooling: Pooling,
    taken: Vec<Option<C>>,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed<C> {
    /// It carries the accounts of this index.
    At {
        /// The index.
        index: u32,
        /// It is the first to this server: gossip, announce.
        is_first: bool,
        /// There is room for more: the soliciting side opens the next after a PONG.
        wants_more: bool,
    },
    /// There is one already; the newer closes and its marks go over to the older.
    Duplicate(Option<C>),
}

impl<C: Copy + PartialEq> Slots<C> {
    /// No connection yet.
    pub fn new(pooling: Pooling) -> Self {
        Self { pooling, taken: vec![None; pooling.size() as usize] }
    }

    /// Places a connection: where the remote asked, or where there is room.
    pub fn place(&mut self, connection: C, wanted: Option<u32>) -> Placed<C> {
        let index = match wanted {
            Some(index) => index as usize,
            None => self.taken.iter().position(Option::is_none).unwrap_or(self.taken.len()),
        };
        let is_first = self.is_empty();
        match self.taken.get_mut(index) {
            Some(slot @ None) => *slot = Some(connection),
            Some(Some(other)) => return Placed::Duplicate(Some(*other)),
            None => return Placed::Duplicate(self.taken.first().copied().flatten()),
        }
        let wants_more = matches!(self.pooling, Pooling::Pool(_)) && self.taken.iter().any(Option::is_none);
        Placed::At { index: u32::try_from(index).unwrap_or(0), is_first, wants_more }
    }

    /// A connection is gone. `true` if it was the last.
    pub fn remove(&mut self, connection: C) -> bool {
        for slot in &mut self.taken {
            if *slot == Some(connection) {
                *slot = None;
            }
        }
        self.is_empty()
    }

    /// The connection that carries an account.
    pub fn of_account(&self, account: &str) -> Option<C> {
        self.taken.get(pool_index(account, self.pooling.size()) as usize).copied().flatten()
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.taken.iter().flatten().count()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.taken.iter().all(Option::is_none)
    }
}
