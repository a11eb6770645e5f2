//! The hub: what all workers share.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use account::{Account, AccountName};
use arc_swap::ArcSwap;
use auth::{Directory, Permissions};
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use session::Greeting;

use crate::account_state::AccountState;
use crate::chance::Secure;
use crate::ledger::{ConnectionFacts, Ledger};
use crate::link::{Link, Slots};
use crate::login::LoginDesk;
use crate::mailbox::{ConnectionKey, Mailbox, Note};
use crate::observer::{ConnectionLabel, Observer};
use crate::settings::ClientSettings;
use crate::strangers::Strangers;

/// Parts of the registry of connections, so that logins do not wait for each other.
const SHARDS: usize = 16;

/// What monitoring and administration know of a connection.
#[derive(Clone)]
pub struct Registered {
    /// The link.
    pub link: Arc<Link>,
    /// Its names in the log.
    pub label: ConnectionLabel,
    /// The account it is in, once it is logged in.
    pub account: Option<Arc<AccountState>>,
    /// What monitoring shows of it.
    pub facts: Arc<ConnectionFacts>,
}

/// What all workers share: accounts, the directory, settings, mailboxes, the registry of connections.
pub struct Hub {
    pub(crate) mailboxes: Arc<[Mailbox]>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) logins: Arc<dyn LoginDesk>,
    pub(crate) ledger: Ledger,
    accounts: RwLock<HashMap<AccountName, Arc<AccountState>>>,
    directory: ArcSwap<Directory>,
    settings: ArcSwap<ClientSettings>,
    connections: [Mutex<HashMap<u64, Registered>>; SHARDS],
    next_connection: AtomicU64,
    clients: AtomicUsize,
    total_clients: AtomicU64,
    permission_numbers: Mutex<PermissionNumbers>,
    strangers: Strangers,
    events: AtomicU64,
    pub(crate) secure: Arc<dyn Secure>,
    seed: u64,
}

/// Sets of permissions that are forgotten together at the earliest.
const PERMISSION_SWEEP_MIN: usize = 1024;

#[derive(Default)]
struct PermissionNumbers {
    known: HashMap<usize, (Weak<Permissions>, u32)>,
    next: u32,
    sweep_at: usize,
}

impl Hub {
    /// A hub without connections.
    pub fn new(
        mailboxes: Arc<[Mailbox]>,
        directory: Directory,
        settings: ClientSettings,
        observer: Arc<dyn Observer>,
        logins: Arc<dyn LoginDesk>,
        secure: Arc<dyn Secure>,
        seed: u64,
    ) -> Arc<Self> {
        let hub = Self {
            mailboxes,
            slots: Arc::default(),
            observer,
            logins,
            ledger: Ledger::default(),
            accounts: RwLock::default(),
            directory: ArcSwap::from_pointee(directory),
            settings: ArcSwap::from_pointee(settings),
            connections: std::array::from_fn(|_| Mutex::default()),
            next_connection: AtomicU64::new(0),
            clients: AtomicUsize::new(0),
            total_clients: AtomicU64::new(0),
            permission_numbers: Mutex::default(),
            strangers: Strangers::new(seed),
            events: AtomicU64::new(0),
            secure,
            seed,
        };
        Arc::new(hub)
    }

    /// A worker's letter box.
    pub fn mailbox(&self, worker: u16) -> &Mailbox {
        &self.mailboxes[usize::from(worker)]
    }

    /// What is kept for monitoring.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The directory that logins are judged by.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    /// The settings of client connections.
    pub fn settings(&self) -> Arc<ClientSettings> {
        self.settings.load_full()
    }

    /// Replaces directory, accounts and settings together and lets every worker look at its connections again.
    pub fn reconfigure(&self, directory: Directory, settings: ClientSettings) {
        let directory = Arc::new(directory);
        for (name, state) in self.accounts.read().iter() {
            if let Some(account) = directory.account(name.as_str()) {
                state.replace_settings(account.clone());
            }
        }
        self.directory.store(directory);
        self.settings.store(Arc::new(settings));
        self.mailboxes.iter().for_each(|mailbox| mailbox.post(Note::Review));
    }

    /// Changes what the server says of itself and lets every worker tell the clients that understand it.
    pub fn announce(&self, change: impl FnOnce(&mut Greeting)) {
        let mut settings = ClientSettings::clone(&self.settings.load());
        change(&mut settings.greeting);
        self.settings.store(Arc::new(settings));
        self.mailboxes.iter().for_each(|mailbox| mailbox.post(Note::Announce));
    }

    /// The living account of this name, brought to life if it is not yet.
    pub fn account(&self, account: &Arc<Account>) -> Arc<AccountState> {
        if let Some(state) = self.accounts.read().get(&account.name) {
            return state.clone();
        }
        let mut accounts = self.accounts.write();
        let born = || AccountState::new(account.clone(), self.seed ^ u64::from(account.id.get()));
        accounts.entry(account.name.clone()).or_insert_with(born).clone()
    }

    /// The accounts that have come to life.
    pub fn accounts(&self) -> Vec<Arc<AccountState>> {
        self.accounts.read().values().cloned().collect()
    }

    /// Client connections now, and in all.
    pub fn client_counts(&self) -> (usize, u64) {
        (self.clients.load(Ordering::Relaxed), self.total_clients.load(Ordering::Relaxed))
    }

    /// Whether there is room for one more stranger from this address.
    pub fn admit_stranger(&self, address: IpAddr) -> bool {
        self.strangers.enter(address.to_canonical())
    }

    /// A stranger has logged in, or is gone.
    pub fn stranger_left(&self, address: IpAddr) {
        self.strangers.leave(address.to_canonical());
    }

    /// A connection that was counted in cannot be served after all.
    pub fn turned_away(&self, address: IpAddr) {
        self.stranger_left(address);
        self.client_left();
    }

    /// Counts a client in, if there may be one more.
    pub fn admit_client(&self) -> bool {
        let grow = |clients| self.settings.load().may_admit(clients).then_some(clients + 1);
        let admitted = self.clients.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow).is_ok();
        self.total_clients.fetch_add(u64::from(admitted), Ordering::Relaxed);
        admitted
    }

    /// What a connection that is not served hears.
    pub fn refusal(&self, address: SocketAddr, text: &str, info_first: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        if info_first {
            let mut greeting = self.settings().greeting.clone();
            greeting.client_id = self.next_connection_id();
            greeting.client_ip = address.ip().to_canonical().to_string();
            bytes = greeting.line();
        }
        bytes.extend_from_slice(&wire::encode::err(text));
        bytes
    }

    /// The number of the next event in which the server tells of itself. All rooms that make such events share it.
    pub fn next_event(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The seed of hash tables that strangers fill.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// A number for a set of permissions: the same for all who share it, never used again for another.
    pub(crate) fn permission_number(&self, permissions: &Arc<Permissions>) -> u32 {
        let place = Arc::as_ptr(permissions) as usize;
        let mut numbers = self.permission_numbers.lock();
        if let Some((known, number)) = numbers.known.get(&place)
            && known.upgrade().is_some_and(|known| Arc::ptr_eq(&known, permissions))
        {
            return *number;
        }
        numbers.next += 1;
        let number = numbers.next;
        if numbers.known.len() >= numbers.sweep_at {
            numbers.known.retain(|_, (known, _)| known.strong_count() > 0);
            numbers.sweep_at = (numbers.known.len() * 2).max(PERMISSION_SWEEP_MIN);
        }
        numbers.known.insert(place, (Arc::downgrade(permissions), number));
        number
    }

    pub(crate) fn client_left(&self) {
        self.clients.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn next_connection_id(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn register(&self, registered: Registered) {
        let id = registered.link.key.id;
        self.shard(id).lock().insert(id, registered);
    }

    pub(crate) fn unregister(&self, id: u64) {
        self.shard(id).lock().remove(&id);
    }

    fn shard(&self, id: u64) -> &Mutex<HashMap<u64, Registered>> {
        &self.connections[id as usize % SHARDS]
    }

    /// A connection by its id.
    pub fn connection(&self, id: u64) -> Option<Registered> {
        self.shard(id).lock().get(&id).cloned()
    }

    /// All connections, oldest first.
    pub fn connections(&self) -> Vec<Registered> {
        let mut all: Vec<_> =
            self.connections.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect();
        all.sort_by_key(|registered| registered.link.key.id);
        all
    }

    /// Tells the worker of a connection something.
    pub fn tell(&self, key: ConnectionKey, note: Note) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(key.worker)) {
            mailbox.post(note);
        }
    }
}
