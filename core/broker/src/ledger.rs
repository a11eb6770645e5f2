//! The ledger: what monitoring wants to know and nobody else does.
//!
//! Nothing here is asked on the way of a message. A worker notes a few numbers of a connection once per batch, in the
//! cache line it counts in anyway; everything else happens when connections come and go.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use auth::{Admission, ClientTls};
use moment::{Instant, Timestamp};
use parking_lot::Mutex;
use session::ConnectOptions;
use wire::CloseReason;

use crate::account_state::AccountState;
use crate::connection::{Active, Connection, Phase};
use crate::link::{Carrier, Link, LinkKind, LinkStats};
use crate::subscription::{Subscription, Target};

/// What stands for a token where a name is wanted.
const REDACTED: &str = "[REDACTED]";

/// Subscriptions of closed connections that are remembered, over all of them.
pub const CLOSED_SUBSCRIPTIONS_MAX: usize = 65_536;

/// Closed connections that are remembered unless somebody says otherwise.
pub const CLOSED_CONNECTIONS_MAX: usize = 10_000;

/// What a connection said of itself and was admitted as. Holds no secret.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// What the client calls itself.
    pub name: Box<str>,
    /// The language it is written in.
    pub lang: Box<str>,
    /// The version of its library.
    pub version: Box<str>,
    /// The user's name, public key, or the word that stands for a token.
    pub user: Box<str>,
    /// How it proved who it is.
    pub proof: Option<auth::Proof>,
    /// What user claims say, if it came with some.
    pub claims: Option<Arc<auth::UserFacts>>,
    /// The key of the trusted proxy through which it came.
    pub proxy: Option<Box<str>>,
    /// What the byte layer agreed on, and the certificates that the peer showed.
    pub tls: Option<Arc<ClientTls>>,
    /// The handshake came before the greeting.
    pub tls_first: bool,
}

impl ConnectionFacts {
    /// Of somebody who never came in: what it said of itself, and the name it gave for the user.
    pub(crate) fn of_stranger(options: &ConnectOptions, connection: &Connection) -> Arc<Self> {
        // Whoever put a seed where the public key belongs is not shown with it.
        let nkey = options.nkey.as_deref().filter(|nkey| nkey.starts_with('U'));
        let named = nkey.or(options.user.as_deref());
        // A token is its own name.
        let token = options.auth_token.as_ref().map(|_| REDACTED);
        Arc::new(Self {
            name: options.name.as_str().into(),
            lang: options.lang.as_str().into(),
            version: options.version.as_str().into(),
            user: named.or(token).unwrap_or_default().into(),
            ..Self::of_layer(connection)
        })
    }

    pub(crate) fn new(options: &ConnectOptions, admission: &Admission, connection: &Connection) -> Arc<Self> {
        Arc::new(Self {
            name: options.name.as_str().into(),
            lang: options.lang.as_str().into(),
            version: options.version.as_str().into(),
            user: admission.user.name().into(),
            proof: Some(admission.by),
            claims: admission.claims.clone(),
            proxy: admission.proxy.as_deref().map(Into::into),
            ..Self::of_layer(connection)
        })
    }

    /// Of a leaf connection: what the far end calls itself and its version, and as whom it logged in, how, and by which claims.
    pub(crate) fn of_leaf(
        name: &str,
        version: &str,
        (user, proof, claims): (&str, Option<auth::Proof>, Option<Arc<auth::UserFacts>>),
        connection: &Connection,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            version: version.into(),
            user: user.into(),
            proof,
            claims,
            ..Self::of_layer(connection)
        })
    }

    /// What is known before anybody said who it is.
    fn of_layer(connection: &Connection) -> Self {
        let tls = connection.tls.as_deref().cloned().map(Arc::new);
        Self { tls, tls_first: connection.tls_first, ..Self::default() }
    }
}

/// The numbers of one connection at a moment.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Messages from the peer.
    pub in_msgs: u64,
    /// Bytes of them.
    pub in_bytes: u64,
    /// Messages to the peer.
    pub out_msgs: u64,
    /// Bytes of them.
    pub out_bytes: u64,
    /// When the peer last said something or got a message.
    pub last_activity: Instant,
    /// The round trip time in nanoseconds; 0 while it is not known.
    pub rtt: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// How long limits have held it up, in nanoseconds.
    pub held: u64,
}

impl LinkStats {
    /// The numbers as they stand.
    pub fn numbers(&self) -> Numbers {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Numbers {
            in_msgs: read(&self.in_msgs),
            in_bytes: read(&self.in_bytes),
            out_msgs: read(&self.out_msgs),
            out_bytes: read(&self.out_bytes),
            last_activity: Instant::from_nanos(read(&self.last_activity)),
            rtt: read(&self.rtt),
            subscriptions: read(&self.subscriptions),
            held: read(&self.held),
        }
    }

    /// Until it is measured, this stands for the round trip time.
    pub(crate) fn assume_rtt(&self, answered_in: Duration) {
        let nanos = u64::try_from(answered_in.as_nanos()).unwrap_or(u64::MAX);
        self.rtt.store(nanos.max(1), Ordering::Relaxed);
    }

    /// Notes what the owner knows at the end of a batch.
    pub(crate) fn note(&self, active: &Active) {
        let rtt = active.session.rtt().map_or(0, |rtt| u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX));
        let last_in = active.session.last_in().as_nanos();
        if last_in > self.last_activity.load(Ordering::Relaxed) {
            self.last_activity.store(last_in, Ordering::Relaxed);
        }
        self.rtt.store(rtt, Ordering::Relaxed);
        self.subscriptions.store(active.subscriptions.len() as u64, Ordering::Relaxed);
    }
}

/// A connection that is over.
#[derive(Debug)]
pub struct ClosedConnection {
    /// Its id.
    pub id: u64,
    /// What it was.
    pub kind: LinkKind,
    /// What carried its protocol.
    pub carrier: Carrier,
    /// Where it came from.
    pub address: SocketAddr,
    /// When it was accepted.
    pub started: Instant,
    /// When it ended.
    pub stopped: Instant,
    /// Why.
    pub reason: CloseReason,
    /// Its numbers at the end.
    pub numbers: Numbers,
    /// What still waited to be sent.
    pub pending_bytes: usize,
    /// How often publishers were held up because it was behind.
    pub stalls: u64,
    /// Who it was; all empty if it never logged in.
    pub facts: Arc<ConnectionFacts>,
    /// The account it was in, if it had logged in.
    pub account: Option<account::AccountName>,
    /// Its subscriptions at the end, as far as there was room to remember them.
    pub subscriptions: Box<[SubscriptionFacts]>,
}

/// How often connections were closed for trouble, and publishers held up.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Troubles {
    /// Peers that did not keep up.
    pub slow_consumers: PerKind,
    /// Peers that did not answer pings.
    pub stale_connections: PerKind,
    /// Publishers that were held up.
    pub stalls: u64,
}

/// A number for each kind of peer.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are kinds of peers")]
pub struct PerKind {
    pub clients: u64,
    pub routes: u64,
    pub gateways: u64,
    pub leafs: u64,
}

impl PerKind {
    /// Of all kinds.
    pub fn total(&self) -> u64 {
        let Self { clients, routes, gateways, leafs } = *self;
        [clients, routes, gateways, leafs].into_iter().fold(0, u64::wrapping_add)
    }
}

/// A count for each kind of peer.
#[derive(Default)]
struct Counts {
    clients: AtomicU64,
    routes: AtomicU64,
    gateways: AtomicU64,
    leafs: AtomicU64,
}

impl Counts {
    fn add(&self, kind: LinkKind) {
        let count = match kind {
            LinkKind::Client | LinkKind::House => &self.clients,
            LinkKind::Route => &self.routes,
            LinkKind::Gateway => &self.gateways,
            LinkKind::Leaf => &self.leafs,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> PerKind {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Self { clients, routes, gateways, leafs } = self;
        PerKind { clients: read(clients), routes: read(routes), gateways: read(gateways), leafs: read(leafs) }
    }
}

/// The closed connections that are remembered, oldest first, and how many subscriptions with them.
#[derive(Default)]
struct Closed {
    list: VecDeque<Arc<ClosedConnection>>,
    subscriptions: usize,
}

/// So many of those that ended last are looked at for one that said the same of itself.
const ALIKE_SOUGHT: usize = 8;

impl Closed {
    /// The same facts, in one piece of memory with those of others that ended lately: programs come again and again under one
    /// name, and ten thousand of their connections are remembered.
    fn shared(&self, facts: Arc<ConnectionFacts>) -> Arc<ConnectionFacts> {
        let mut lately = self.list.iter().rev().take(ALIKE_SOUGHT).map(|closed| &closed.facts);
        lately.find(|known| **known == facts).cloned().unwrap_or(facts)
    }
}

/// What the hub keeps for monitoring.
pub struct Ledger {
    /// The time of day minus the house's clock, in nanoseconds.
    offset: AtomicI64,
    closed_max: AtomicUsize,
    closed: Mutex<Closed>,
    slow_consumers: Counts,
    stale_connections: Counts,
    stalls: AtomicU64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            offset: AtomicI64::new(0),
            closed_max: AtomicUsize::new(CLOSED_CONNECTIONS_MAX),
            closed: Mutex::default(),
            slow_consumers: Counts::default(),
            stale_connections: Counts::default(),
            stalls: AtomicU64::new(0),
        }
    }
}

impl Ledger {
    /// From now on so many closed connections are remembered.
    pub fn keep_closed(&self, most: usize) {
        self.closed_max.store(most, Ordering::Relaxed);
        self.trim(&mut self.closed.lock());
    }

    /// The closed connections that are remembered, oldest first.
    pub fn closed(&self) -> Vec<Arc<ClosedConnection>> {
        self.closed.lock().list.iter().cloned().collect()
    }

    /// What went wrong so far.
    pub fn troubles(&self) -> Troubles {
        Troubles {
            slow_consumers: self.slow_consumers.read(),
            stale_connections: self.stale_connections.read(),
            stalls: self.stalls.load(Ordering::Relaxed),
        }
    }

    /// A moment of the house's clock as a time of day.
    pub fn time_of(&self, moment: Instant) -> Timestamp {
        let nanos = i64::try_from(moment.as_nanos()).unwrap_or(i64::MAX);
        Timestamp::from_nanos(self.offset.load(Ordering::Relaxed).saturating_add(nanos))
    }

    pub(crate) fn set_clock(&self, now: Instant, wall: Timestamp) {
        let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        self.offset.store(wall.as_nanos().saturating_sub(now), Ordering::Relaxed);
    }

    pub(crate) fn stalled(&self, publishers: usize) {
        if publishers > 0 {
            self.stalls.fetch_add(publishers as u64, Ordering::Relaxed);
        }
    }

    /// A connection is over.
    pub(crate) fn close(&self, mut closed: ClosedConnection, account: Option<&AccountState>) -> Arc<ClosedConnection> {
        if matches!(closed.reason, CloseReason::SlowConsumerPendingBytes | CloseReason::SlowConsumerWriteDeadline) {
            self.slow_consumers.add(closed.kind);
            if let Some(account) = account {
                account.slow_consumers.fetch_add(1, Ordering::Relaxed);
            }
        }
        if closed.reason == CloseReason::StaleConnection {
            self.stale_connections.add(closed.kind);
        }
        // Clients and leaf nodes are remembered.
        if !matches!(closed.kind, LinkKind::Client | LinkKind::Leaf) {
            return Arc::new(closed);
        }
        let mut book = self.closed.lock();
        if book.subscriptions + closed.subscriptions.len() > CLOSED_SUBSCRIPTIONS_MAX {
            closed.subscriptions = Box::default();
        }
        book.subscriptions += closed.subscriptions.len();
        closed.facts = book.shared(closed.facts);
        let closed = Arc::new(closed);
        book.list.push_back(closed.clone());
        self.trim(&mut book);
        closed
    }

    fn trim(&self, book: &mut Closed) {
        let most = self.closed_max.load(Ordering::Relaxed);
        let surplus = book.list.len().saturating_sub(most);
        let forgotten: usize = book.list.drain(..surplus).map(|closed| closed.subscriptions.len()).sum();
        book.subscriptions -= forgotten;
    }
}

/// The last lines about a connection, written before it is taken apart.
pub(crate) fn last_words(connection: &Connection, facts: Arc<ConnectionFacts>, at: Instant) -> ClosedConnection {
    let link: &Link = &connection.link;
    let account = match &connection.phase {
        Phase::Active(active) | Phase::Rejoining(active, _) => {
            link.stats.note(active);
            Some(active.account.settings().name.clone())
        }
        Phase::Server(server) => server.account().map(|account| account.settings().name.clone()),
        _ => None,
    };
    let mut numbers = link.stats.numbers();
    numbers.last_activity = numbers.last_activity.max(link.started);
    // A list that will not be kept is not made.
    let is_short = numbers.subscriptions <= CLOSED_SUBSCRIPTIONS_MAX as u64;
    let subscriptions = if is_short { connection.subscriptions() } else { Vec::new() };
    ClosedConnection {
        id: link.key.id,
        kind: link.kind,
        carrier: link.carrier,
        address: link.address,
        started: link.started,
        stopped: at,
        reason: CloseReason::Unknown,
        numbers,
        pending_bytes: link.pending_bytes(),
        stalls: link.stalls(),
        facts,
        account,
        subscriptions: subscriptions.into(),
    }
}

/// A subscription as monitoring shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionFacts {
    /// The filter.
    pub filter: subject::Filter,
    /// The queue group.
    pub queue: Option<subject::Queue>,
    /// The id the client gave it; empty for a part of the server.
    pub sid: Box<[u8]>,
    /// Messages delivered.
    pub delivered: u64,
    /// Messages after which it ends.
    pub max: Option<u64>,
    /// The connection; 0 for a part of the server.
    pub connection: u64,
}

impl SubscriptionFacts {
    /// What monitoring shows of a subscription.
    pub fn of(subscription: &Subscription) -> Self {
        // A shadow shows whose it is, under the filter it has here.
        let owner = match &subscription.target {
            Target::Shadow(owner) => owner,
            _ => subscription,
        };
        let (sid, (delivered, max), connection) = match &owner.target {
            Target::Client(client) => (client.sid.clone(), client.progress(), client.peer.link.key.id),
            _ => (Box::default(), (0, None), 0),
        };
        let (filter, queue) = (subscription.grant.filter.clone(), subscription.grant.queue.clone());
        Self { filter, queue, sid, delivered, max, connection }
    }
}

impl Connection {
    /// The subscriptions of this connection. Asked with [`Note::Do`](crate::Note::Do).
    pub fn subscriptions(&self) -> Vec<SubscriptionFacts> {
        match &self.phase {
            Phase::Active(active) | Phase::Rejoining(active, _) => {
                active.subscriptions.iter().map(|subscription| SubscriptionFacts::of(subscription)).collect()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(id: u64, reason: CloseReason) -> ClosedConnection {
        ClosedConnection {
            id,
            kind: LinkKind::Client,
            carrier: Carrier::Stream,
            address: "127.0.0.1:1".parse().unwrap(),
            started: Instant::START,
            stopped: Instant::START,
            reason,
            numbers: Numbers::default(),
            pending_bytes: 0,
            stalls: 0,
            facts: Arc::default(),
            account: None,
            subscriptions: Box::default(),
        }
    }

    fn remembered(ledger: &Ledger) -> Vec<u64> {
        ledger.closed().iter().map(|closed| closed.id).collect()
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let ledger = Ledger::default();
        ledger.keep_closed(2);
        (1..=3).for_each(|id| drop(ledger.close(closed(id, CloseReason::ClientClosed), None)));
        assert_eq!(remembered(&ledger), [2, 3]);
        ledger.keep_closed(1);
        assert_eq!(remembered(&ledger), [3]);
        ledger.keep_closed(0);
        ledger.close(closed(4, CloseReason::ClientClosed), None);
        assert!(remembered(&ledger).is_empty());
    }

    #[test]
    fn subscriptions_of_the_gone_are_remembered_as_long_as_there_is_room() {
        let facts = SubscriptionFacts {
            filter: subject::Filter::parse("a".as_bytes()).unwrap(),
            queue: None,
            sid: Box::default(),
            delivered: 0,
            max: None,
            connection: 1,
        };
        let with = |id, count| ClosedConnection {
            subscriptions: vec![facts.clone(); count].into(),
            ..closed(id, CloseReason::ClientClosed)
        };
        let ledger = Ledger::default();
        ledger.keep_closed(2);
        let kept = |closed: ClosedConnection| ledger.close(closed, None).subscriptions.len();
        assert_eq!(kept(with(1, CLOSED_SUBSCRIPTIONS_MAX)), CLOSED_SUBSCRIPTIONS_MAX);
        assert_eq!(kept(with(2, 1)), 0);
        // The first one is forgotten, and makes room.
        ledger.close(closed(3, CloseReason::ClientClosed), None);
        assert_eq!(kept(with(4, 1)), 1);
    }

    #[test]
    fn what_many_say_of_themselves_is_kept_once() {
        let of = |name: &str| Arc::new(ConnectionFacts { name: name.into(), ..ConnectionFacts::default() });
        let ledger = Ledger::default();
        let closed = |name: &str| {
            let closed = ClosedConnection { facts: of(name), ..closed(1, CloseReason::ClientClosed) };
            ledger.close(closed, None)
        };
        let [a, b, other] = ["worker", "worker", "other"].map(closed);
        assert!(Arc::ptr_eq(&a.facts, &b.facts) && !Arc::ptr_eq(&a.facts, &other.facts));
        (0..ALIKE_SOUGHT).for_each(|number| drop(closed(&number.to_string())));
        assert!(!Arc::ptr_eq(&a.facts, &closed("worker").facts), "those further back are not looked for");
    }

    #[test]
    fn trouble_is_counted_by_its_reason() {
        let ledger = Ledger::default();
        for reason in [
            CloseReason::ClientClosed,
            CloseReason::SlowConsumerPendingBytes,
            CloseReason::SlowConsumerWriteDeadline,
            CloseReason::StaleConnection,
        ] {
            ledger.close(closed(1, reason), None);
        }
        ledger.stalled(2);
        let route = ClosedConnection { kind: LinkKind::Route, ..closed(2, CloseReason::StaleConnection) };
        ledger.close(route, None);
        let slow_consumers = PerKind { clients: 2, ..PerKind::default() };
        let stale_connections = PerKind { clients: 1, routes: 1, ..PerKind::default() };
        assert_eq!(ledger.troubles(), Troubles { slow_consumers, stale_connections, stalls: 2 });
        assert_eq!((stale_connections.total(), remembered(&ledger).len()), (2, 4), "routes are not remembered");
    }

    #[test]
    fn moments_become_times_of_day_by_the_clock_that_was_set_last() {
        let ledger = Ledger::default();
        ledger.set_clock(Instant::from_nanos(5), Timestamp::from_nanos(1_000));
        assert_eq!(ledger.time_of(Instant::from_nanos(7)), Timestamp::from_nanos(1_002));
    }
}
