//! Peers that are connected by TLS, with the certificates they showed: a reload judges them again.

use std::collections::HashMap;
use std::sync::Arc;

use broker::{ConnectionKey, RemoteId};
use parking_lot::Mutex;

use crate::listener::DoorKind;

/// A peer's certificates as it sent them, its own first. Empty if it showed none.
pub type PeerChain = Arc<[Vec<u8>]>;

/// How a connection came to be, and so what its far end is judged by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CameBy {
    /// The peer came by a listener of this kind.
    Listener(DoorKind),
    /// This server went to one of its remotes, whose certificate must have this name.
    Remote(RemoteId, String),
}

struct Peer {
    key: ConnectionKey,
    by: CameBy,
    chain: PeerChain,
}

/// Who is connected. Asked when connections come and go, never on the way of a message.
#[derive(Default)]
pub struct Peers(Mutex<HashMap<u64, Peer>>);

impl Peers {
    pub(crate) fn enter(&self, key: ConnectionKey, by: CameBy, chain: PeerChain) {
        self.0.lock().insert(key.id, Peer { key, by, chain });
    }

    pub(crate) fn leave(&self, key: ConnectionKey) {
        self.0.lock().remove(&key.id);
    }

    /// Judges everybody about whom `judge` has a verdict, and gives back those who do not stand, each with the reason. Takes
    /// long: not for workers. A certificate that several connections show at the same place is judged once.
    pub fn judge<Fault: Clone>(
        &self,
        judge: impl Fn(&CameBy, &[Vec<u8>]) -> Option<Result<(), Fault>>,
    ) -> Vec<(ConnectionKey, Fault)> {
        let all: Vec<_> =
            self.0.lock().values().map(|peer| (peer.key, (peer.by.clone(), peer.chain.clone()))).collect();
        let mut known: HashMap<(CameBy, PeerChain), Option<Result<(), Fault>>> = HashMap::new();
        let verdicts = all.into_iter().filter_map(|(key, shown)| {
            let verdict = known.entry(shown).or_insert_with_key(|(by, chain)| judge(by, chain));
            verdict.clone()?.err().map(|fault| (key, fault))
        });
        verdicts.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn each_certificate_is_judged_once_and_those_that_do_not_stand_are_named() {
        let peers = Peers::default();
        let key = |id| ConnectionKey { worker: 0, place: 0, id };
        for id in 0..6 {
            peers.enter(key(id), CameBy::Listener(DoorKind::Client), Arc::new([vec![(id % 2) as u8]]));
        }
        peers.enter(key(7), CameBy::Remote(RemoteId(1), "hub".to_owned()), Arc::new([vec![1]]));
        peers.leave(key(1));
        let asked = Cell::new(0);
        let mut fallen = peers.judge(|by, chain| {
            asked.set(asked.get() + 1);
            let is_client = *by == CameBy::Listener(DoorKind::Client);
            is_client.then(|| if chain[0] == [1] { Err("revoked") } else { Ok(()) })
        });
        fallen.sort_by_key(|(key, _)| key.id);
        assert_eq!(fallen, [(key(3), "revoked"), (key(5), "revoked")]);
        assert_eq!(asked.get(), 3);
    }
}
