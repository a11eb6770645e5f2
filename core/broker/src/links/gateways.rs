//! The links to other clusters, for those who have to know them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moment::Instant;
use parking_lot::Mutex;
use subject::MappedReply;
use topology::{GatewayHash, Optimism, old_gateway_hash};

use crate::account_state::AccountState;
use crate::hub::Hub;
use crate::link::Link;
use crate::links::book::FarReader;
use crate::links::remote::RemotePeer;
use crate::mailbox::Note;

/// The links to and from other clusters.
#[derive(Default)]
pub(crate) struct Gateways {
    /// Where messages go out: one link to each cluster.
    outbound: Mutex<Vec<Outbound>>,
    /// One of them is to a cluster that gets what it did not ask for.
    has_optimists: AtomicBool,
    /// Where messages come in, and interest goes out.
    inbound: Mutex<Vec<FarReader>>,
    pub(crate) clock: Arc<GatewayClock>,
}

/// A link that carries messages to a cluster, by the hashes that stand in marked replies.
struct Outbound {
    peer: Arc<RemotePeer>,
    hash: GatewayHash,
    old_hash: [u8; 4],
    /// What it said it does not want, if it is of those that are sent everything else.
    optimism: Option<Optimism>,
}

/// The time, for those who ask whether something is recent, while there are gateways.
#[derive(Default)]
pub(crate) struct GatewayClock {
    runs: AtomicBool,
    now: AtomicU64,
}

impl GatewayClock {
    /// It is so late, if anybody is to know.
    pub(crate) fn tick(&self, now: Instant) {
        if self.runs() {
            self.now.fetch_max(now.as_nanos(), Ordering::Relaxed);
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.runs.load(Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::Relaxed))
    }
}

impl Gateways {
    /// There are gateways from now on.
    pub(crate) fn switch_on(&self) {
        self.clock.runs.store(true, Ordering::Relaxed);
    }

    /// A link carries messages to a cluster, which may be an `optimist`. `false` if one does already.
    pub(crate) fn open_outbound(&self, peer: &Arc<RemotePeer>, optimist: bool) -> bool {
        let mut outbound = self.outbound.lock();
        let is_new = !outbound.iter().any(|known| known.peer.cluster == peer.cluster);
        if is_new {
            let (hash, old_hash) = (GatewayHash::of(&peer.cluster), old_gateway_hash(&peer.cluster));
            let optimism = optimist.then(Optimism::default);
            outbound.push(Outbound { peer: peer.clone(), hash, old_hash, optimism });
            self.has_optimists.store(outbound.iter().any(|way| way.optimism.is_some()), Ordering::Release);
        }
        is_new
    }

    /// The link to the cluster in which the answer on this subject is waited for, if it is such a subject and there is one.
    pub(crate) fn way_back(&self, subject: &[u8]) -> Option<Arc<RemotePeer>> {
        let mapped = MappedReply::parse(subject)?;
        let outbound = self.outbound.lock();
        let leads = |way: &&Outbound| match mapped.server {
            Some(_) => mapped.cluster == way.hash.as_bytes(),
            None => mapped.cluster == way.old_hash,
        };
        outbound.iter().find(leads).map(|way| way.peer.clone())
    }

    /// Links to clusters that get a message although nobody there asked for it.
    pub(crate) fn optimists(&self, account: &AccountState, subject: &[u8]) -> Vec<Arc<RemotePeer>> {
        if !self.has_optimists.load(Ordering::Acquire) {
            return Vec::new();
        }
        let (outbound, settings) = (self.outbound.lock(), account.settings());
        let account = settings.name.as_str();
        let sends = |way: &&Outbound| way.optimism.as_ref().is_some_and(|known| known.sends(account, subject));
        outbound.iter().filter(sends).map(|way| way.peer.clone()).collect()
    }

    /// An optimist says something. Nothing if the link is to none.
    pub(crate) fn told_by_optimist<R>(&self, link: &Link, take: impl FnOnce(&mut Optimism) -> R) -> Option<R> {
        if !self.has_optimists.load(Ordering::Acquire) {
            return None;
        }
        let mut outbound = self.outbound.lock();
        let way = outbound.iter_mut().find(|way| way.peer.link.slot == link.slot)?;
        way.optimism.as_mut().map(take)
    }

    /// The links that carry messages to clusters.
    pub(crate) fn outbound(&self) -> Vec<Arc<RemotePeer>> {
        self.outbound.lock().iter().map(|way| way.peer.clone()).collect()
    }

    /// A link brings messages: the living accounts are told of over it, and those to come.
    pub(crate) fn open_inbound(&self, reader: FarReader, accounts: impl FnOnce() -> Vec<Arc<AccountState>>) {
        let mut inbound = self.inbound.lock();
        inbound.push(reader.clone());
        for account in accounts() {
            attach(&reader, &account);
        }
    }

    /// An account has come to life: other clusters are told of it.
    pub(crate) fn attach(&self, account: &AccountState) {
        self.inbound.lock().iter().for_each(|reader| attach(reader, account));
    }

    /// The links that bring messages.
    pub(crate) fn inbound(&self) -> Vec<Arc<Link>> {
        self.inbound.lock().iter().map(|reader| reader.link.clone()).collect()
    }

    /// A link is gone.
    pub(crate) fn close(&self, link: &Link) {
        self.outbound.lock().retain(|way| way.peer.link.slot != link.slot);
        self.inbound.lock().retain(|reader| reader.link.slot != link.slot);
    }
}

fn attach(reader: &FarReader, account: &AccountState) {
    account.add_far(reader.clone(), &mut |link| link.post(link.key.worker, Note::Flush(link.key)));
}

impl Hub {
    /// Clusters to which a link carries messages, nearest first, as others are told of them.
    pub fn outbound_gateways(&self) -> Vec<String> {
        let mut peers = self.links.gateways.outbound();
        peers.sort_by_key(|peer| peer.link.stats.rtt.load(Ordering::Relaxed));
        peers.iter().map(|peer| peer.cluster.to_string()).collect()
    }
}
