//! What a side of a link asks of its peers' issuers.

use crate::OcspPeer;

/// The policy of a block, and the roots among which issuers are found. Built with the side of the link it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAsking {
    policy: OcspPeer,
    roots: Vec<Vec<u8>>,
}

impl PeerAsking {
    pub(crate) fn new(policy: OcspPeer, roots: Vec<Vec<u8>>) -> Self {
        Self { policy, roots }
    }

    /// How answers are judged.
    pub fn policy(&self) -> &OcspPeer {
        &self.policy
    }

    /// The roots, in DER.
    pub fn roots(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.roots.iter().map(Vec::as_slice)
    }
}
