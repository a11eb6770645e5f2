//! The hub: what all workers share.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use account::{Account, AccountId, AccountName, Changed};
use arc_swap::{ArcSwap, ArcSwapOption};
use auth::{Ban, Banned, Bans, Directory, Permissions, Refusal, TooManyBans, Verdict};
use hashbrown::{HashMap, HashSet};
use moment::Timestamp;
use parking_lot::{Mutex, RwLock};
use subject::Filter;
use wire::CloseReason;

use crate::account_state::AccountState;
use crate::chance::Secure;
use crate::hop::HopTaker;
use crate::internal::{InEveryAccount, InternalSubscriber};
use crate::ledger::{ConnectionFacts, Ledger};
use crate::link::{Link, Slots};
use crate::links::registry::{KnownLink, Links};
use crate::links::settings::{LinkDesk, LinkSettings, RemoteId};
use crate::login::LoginDesk;
use crate::mailbox::{Afterwards, ConnectionKey, Mailbox, Note};
use crate::observer::{ConnectionLabel, Observer};
use crate::penalties::Penalties;
use crate::settings::ClientSettings;
use crate::strangers::Strangers;
use crate::subscription::Peer;
use crate::user_state::Users;

/// Parts of the registry of connections, so that logins do not wait for each other.
const SHARDS: usize = 16;

/// What a client hears for whom there is no room.
pub const TOO_MANY_CLIENTS: &str = "maximum connections exceeded";

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
    /// What its subscriptions deliver to, once it is logged in.
    pub(crate) peer: Option<Arc<Peer>>,
}

impl Registered {
    /// What it may do now, once it is logged in.
    pub fn permissions(&self) -> Option<Arc<Permissions>> {
        self.peer.as_ref().map(|peer| peer.permissions.load_full())
    }
}

/// What all workers share: accounts, the directory, settings, mailboxes, the registry of connections.
pub struct Hub {
    pub(crate) mailboxes: Arc<[Mailbox]>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) logins: Arc<dyn LoginDesk>,
    pub(crate) ledger: Ledger,
    accounts: RwLock<HashMap<AccountName, Arc<AccountState>>>,
    /// Exporters that were looked for and are not here.
    missed: Mutex<HashSet<AccountName>>,
    directory: ArcSwap<Directory>,
    /// How often the house was reconfigured.
    epoch: AtomicU64,
    settings: ArcSwap<ClientSettings>,
    connections: [Mutex<HashMap<u64, Registered>>; SHARDS],
    next_connection: AtomicU64,
    clients: AtomicUsize,
    total_clients: AtomicU64,
    permission_numbers: Mutex<PermissionNumbers>,
    strangers: Strangers,
    pub(crate) links: Links,
    pub(crate) penalties: Penalties,
    pub(crate) users: Users,
    bans: ArcSwap<Bans>,
    events: AtomicU64,
    /// Parts of the server that listen in every account but the system's.
    everywhere: RwLock<Vec<(Filter, Arc<dyn InternalSubscriber>)>>,
    pub(crate) secure: Arc<dyn Secure>,
    seed: u64,
    /// Hears the end of each batch.
    batch_ended: ArcSwapOption<Box<dyn Fn() + Send + Sync>>,
    /// Takes the hops of messages that are traced.
    hops: ArcSwapOption<Arc<dyn HopTaker>>,
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
            missed: Mutex::default(),
            directory: ArcSwap::from_pointee(directory),
            epoch: AtomicU64::new(0),
            settings: ArcSwap::from_pointee(settings),
            connections: std::array::from_fn(|_| Mutex::default()),
            next_connection: AtomicU64::new(0),
            clients: AtomicUsize::new(0),
            total_clients: AtomicU64::new(0),
            permission_numbers: Mutex::default(),
            strangers: Strangers::new(seed),
            links: Links::default(),
            penalties: Penalties::new(seed),
            users: Users::default(),
            bans: ArcSwap::default(),
            events: AtomicU64::new(0),
            everywhere: RwLock::default(),
            secure,
            seed,
            batch_ended: ArcSwapOption::empty(),
            hops: ArcSwapOption::empty(),
        };
        Arc::new(hub)
    }

    /// From now on `ended` is called at the end of each batch of messages, by the thread that published them: a part of the
    /// server that works on another thread wakes it there, once for the batch. Who asked last is heard, and nobody else.
    pub fn on_batch_end(&self, ended: Box<dyn Fn() + Send + Sync>) {
        self.batch_ended.store(Some(Arc::new(ended)));
    }

    /// From now on hops of messages that are traced go there, or nowhere.
    pub fn tell_hops(&self, taker: Option<Arc<dyn HopTaker>>) {
        self.hops.store(taker.map(Arc::new));
    }

    /// Who takes hops.
    pub(crate) fn hops(&self) -> Option<Arc<dyn HopTaker>> {
        self.hops.load().as_deref().cloned()
    }

    /// A batch of messages is over.
    pub(crate) fn end_batch(&self) {
        if let Some(ended) = &*self.batch_ended.load() {
            ended();
        }
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

    /// Replaces directory, accounts and settings together and lets every worker look at its connections again. The epoch that
    /// begins: logins of it or of a later one are judged by this directory or a later one.
    pub fn reconfigure(&self, directory: Directory, settings: ClientSettings) -> u64 {
        self.directory.store(Arc::new(directory));
        self.settle(self.accounts());
        self.settings.store(Arc::new(settings));
        let epoch = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
        self.mailboxes.iter().for_each(|mailbox| mailbox.post(Note::Review));
        epoch
    }

    /// Replaces the directory by one in which these accounts changed or went: they are renewed, and their connections judged
    /// again. The others are left in peace.
    pub fn renew(&self, directory: Arc<Directory>, changed: &Changed) {
        self.directory.store(directory);
        let concerned: Arc<[AccountId]> = self.settle(self.living(changed)).into();
        if !concerned.is_empty() {
            self.epoch.fetch_add(1, Ordering::AcqRel);
            self.mailboxes.iter().for_each(|mailbox| mailbox.post(Note::ReviewOf(concerned.clone())));
        }
    }

    /// Replaces the directory by one that knows more accounts than those that were there, and differs in these.
    pub fn widen(&self, directory: Arc<Directory>, changed: &Changed) {
        self.directory.store(directory);
        self.settle(self.living(changed));
    }

    /// Those of these accounts that have come to life.
    fn living(&self, names: &Changed) -> Vec<Arc<AccountState>> {
        let living = self.accounts.read();
        names.iter().filter_map(|name| living.get(name).cloned()).collect()
    }

    /// Gives living accounts what the directory says of them now. Those that changed, or are no more.
    fn settle(&self, living: Vec<Arc<AccountState>>) -> Vec<AccountId> {
        let directory = self.directory.load();
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        for state in living {
            match directory.account(state.settings().name.as_str()) {
                Some(account) if Arc::ptr_eq(account, &state.settings()) => {}
                Some(account) => {
                    state.replace_settings(account.clone());
                    changed.push(state);
                }
                None => gone.push(state),
            }
        }
        // What they import is looked up in the new directory.
        changed.iter().for_each(|state| self.share(state));
        gone.iter().for_each(|state| self.unshare(state));
        changed.iter().chain(&gone).map(|state| state.id).collect()
    }

    /// The object by which messages of the system say which server speaks.
    pub fn introduction(&self, now: Timestamp) -> String {
        let mut text = Vec::new();
        crate::trace::event::server(&mut text, &self.settings(), self.next_event(), now);
        String::from_utf8(text).expect("what is written from texts is one")
    }

    /// How often the house was reconfigured. Asked before the directory: a login is then never taken to be judged by
    /// something newer than it was.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Worker threads.
    pub fn workers(&self) -> usize {
        self.mailboxes.len()
    }

    /// Has every worker call this when it has done what it was told so far: review its connections, for instance.
    pub fn when_done(&self, done: &Arc<dyn Fn() + Send + Sync>) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.post(Note::Done(done.clone())));
    }

    /// Changes what the server says of itself and lets every worker tell the clients that understand it.
    pub fn announce(&self, change: impl FnOnce(&mut ClientSettings)) {
        let mut settings = ClientSettings::clone(&self.settings.load());
        change(&mut settings);
        self.settings.store(Arc::new(settings));
        self.mailboxes.iter().for_each(|mailbox| mailbox.post(Note::Announce));
    }

    /// The living account of this name, brought to life if it is not yet.
    pub fn account(&self, account: &Arc<Account>) -> Arc<AccountState> {
        self.account_then(account, None)
    }

    /// Brings an account to life if it is not yet, and goes on when what other servers want in it counts: whoever publishes
    /// from then on reaches them.
    pub fn bring_to_life(&self, account: &Arc<Account>, then: Box<dyn FnOnce() + Send>) {
        self.account_then(account, Some(Afterwards::new(then)));
    }

    fn account_then(&self, account: &Arc<Account>, then: Option<Arc<Afterwards>>) -> Arc<AccountState> {
        if let Some(state) = self.accounts.read().get(&account.name) {
            return state.clone();
        }
        let mut accounts = self.accounts.write();
        let mut is_new = false;
        let born = || {
            is_new = true;
            let state = {
                let clock = self.links.gateways.clock.clone();
                AccountState::new(account.clone(), self.seed ^ u64::from(account.id.get()), clock)
            };
            // It imports nothing yet, so this stays in its own graph.
            self.everywhere.read().iter().for_each(|(filter, part)| self.listen_as_tenant(&state, filter, part));
            state
        };
        let state = accounts.entry(account.name.clone()).or_insert_with(born).clone();
        drop(accounts);
        self.links.attach(&state);
        if is_new {
            // Whoever renewed the account meanwhile did not see it living.
            if let Some(now) = self.directory.load().account(account.name.as_str()) {
                state.replace_settings(now.clone());
            }
            self.share(&state);
            self.share_with(&account.name);
            self.links.account_is_here(&account.name, then.as_ref());
        }
        state
    }

    /// The living account from which others import.
    pub(crate) fn exporter(&self, name: &AccountName) -> Option<Arc<AccountState>> {
        if let Some(state) = self.accounts.read().get(name) {
            return Some(state.clone());
        }
        let found = self.account_named(name.as_str());
        if found.is_none() {
            self.missed.lock().insert(name.clone());
        }
        found
    }

    /// An account has come to life. Those who looked for it in vain look again.
    fn share_with(&self, name: &AccountName) {
        if !self.missed.lock().remove(name) {
            return;
        }
        for state in self.accounts() {
            if state.settings().imports.iter().any(|import| import.account == *name) {
                self.unshare(&state);
                self.share(&state);
                state.graph.touch_all();
            }
        }
    }

    /// A part of the server listens in every account, those to come included, and not in the system account.
    pub fn listen_everywhere(&self, filter: &Filter, part: &Arc<dyn InternalSubscriber>) {
        // Under the lock, so that every account is either here or born with it.
        let accounts = self.accounts.write();
        self.everywhere.write().push((filter.clone(), part.clone()));
        let living: Vec<_> = accounts.values().cloned().collect();
        drop(accounts);
        living.iter().for_each(|state| self.listen_as_tenant(state, filter, part));
    }

    /// What parts of the server listen to in every account, as it is shown.
    pub fn listeners_everywhere(&self) -> usize {
        self.everywhere.read().iter().filter(|(_, part)| part.is_listed()).count()
    }

    fn listen_as_tenant(&self, state: &AccountState, filter: &Filter, part: &Arc<dyn InternalSubscriber>) {
        if !state.settings().system {
            self.listen(state, filter.clone(), None, Arc::new(InEveryAccount(part.clone())));
        }
    }

    /// The accounts that have come to life.
    pub fn accounts(&self) -> Vec<Arc<AccountState>> {
        self.accounts.read().values().cloned().collect()
    }

    /// The account of this name, if it has come to life.
    pub fn living_account(&self, name: &str) -> Option<Arc<AccountState>> {
        let name = AccountName::parse(name).ok()?;
        self.accounts.read().get(&name).cloned()
    }

    /// Client connections now, and in all.
    pub fn client_counts(&self) -> (usize, u64) {
        (self.clients.load(Ordering::Relaxed), self.total_clients.load(Ordering::Relaxed))
    }

    /// Who is kept out now.
    pub fn bans(&self) -> Arc<Bans> {
        self.bans.load_full()
    }

    /// Keeps somebody out from now on, and closes those who are here. How many those are.
    ///
    /// # Errors
    /// If there is no room for one more ban.
    pub fn ban(&self, ban: Ban, now: Timestamp) -> Result<usize, TooManyBans> {
        let ban = Arc::new(ban);
        let mut full = None;
        self.bans.rcu(|bans| {
            let changed = bans.with(ban.clone(), now);
            full = changed.as_ref().err().copied();
            changed.map_or_else(|_| bans.clone(), Arc::new)
        });
        if let Some(full) = full {
            return Err(full);
        }
        // Whoever comes in from here on is judged by the new bans: nobody slips through between.
        let (clients, links) = (self.connections(), self.links.all());
        let clients = clients
            .iter()
            .filter(|known| self.is_kept_out(known.link.address.ip(), known.account.as_ref(), &known.facts.user, now));
        // Where this server went is not kept out of it.
        let links = links
            .iter()
            .filter(|known| !known.solicited)
            .filter(|known| self.is_kept_out(known.link.address.ip(), known.account.as_ref(), &known.facts.user, now));
        let concerned: Vec<_> = clients.map(|known| known.link.key).chain(links.map(|known| known.link.key)).collect();
        concerned.iter().for_each(|key| self.tell(*key, Note::Close(*key, CloseReason::Kicked)));
        Ok(concerned.len())
    }

    /// Whether somebody who is here is kept out by now. Asked again once a connection is registered: a ban that came after
    /// the verdict and before that has not closed it.
    pub(crate) fn is_kept_out(
        &self,
        address: IpAddr,
        account: Option<&Arc<AccountState>>,
        user: &str,
        now: Timestamp,
    ) -> bool {
        let bans = self.bans.load();
        if bans.is_empty() {
            return false;
        }
        let account = account.map(|account| account.settings().name.to_string());
        bans.concerns(address, account.as_deref().unwrap_or_default(), user, now)
    }

    /// Lets somebody in again. Whether it was kept out.
    pub fn unban(&self, who: &Banned, now: Timestamp) -> bool {
        let before = self.bans.rcu(|bans| Arc::new(bans.without(who, now)));
        before.holds(who, now)
    }

    /// Whether nobody from this address is let in. It is counted.
    fn is_banned(&self, address: IpAddr, now: Timestamp) -> bool {
        let bans = self.bans.load();
        !bans.is_empty() && bans.on_address(address, now).is_some()
    }

    /// The verdict about a login, unless somebody who would be admitted is kept out, which is counted.
    pub(crate) fn unless_banned(&self, address: IpAddr, verdict: Verdict, now: Timestamp) -> Verdict {
        match self.ban_on(address, &verdict, now) {
            Some((ban, refusal)) => {
                ban.count();
                Verdict::Refuse(refusal)
            }
            None => verdict,
        }
    }

    /// The verdict about somebody who is here, unless it has been banned since. Nobody was kept out: it is not counted.
    pub(crate) fn unless_banned_since(&self, address: IpAddr, verdict: Verdict, now: Timestamp) -> Verdict {
        self.ban_on(address, &verdict, now).map_or(verdict, |(_, refusal)| Verdict::Refuse(refusal))
    }

    fn ban_on(&self, address: IpAddr, verdict: &Verdict, now: Timestamp) -> Option<(Arc<Ban>, Refusal)> {
        let bans = self.bans.load();
        let Verdict::Admit(admission) = verdict else { return None };
        let ban = bans.on_admission(address, admission, now)?.clone();
        let refusal = Refusal::Banned(admission.user.clone(), ban.who.clone(), ban.until);
        Some((ban, refusal))
    }

    /// Whether somebody may come in from this address: it is not banned, and there is room for one more stranger from it. Every
    /// address goes through this, that of the socket and that which a proxy tells.
    pub fn admit_stranger(&self, address: IpAddr, now: Timestamp) -> bool {
        !self.is_banned(address, now) && self.strangers.enter(address.to_canonical(), &self.settings().before_login)
    }

    /// A stranger has logged in, or is gone.
    pub fn stranger_left(&self, address: IpAddr) {
        self.stranger_gone(address, 0);
    }

    /// The same for one that had bytes kept for it.
    pub(crate) fn stranger_gone(&self, address: IpAddr, bytes: usize) {
        self.strangers.leave(address.to_canonical(), bytes);
    }

    pub(crate) fn lend(&self, address: IpAddr, had: usize, bytes: usize) -> bool {
        self.strangers.lend(address.to_canonical(), had, bytes, &self.settings().before_login)
    }

    pub(crate) fn give_back(&self, address: IpAddr, bytes: usize) {
        self.strangers.give_back(address.to_canonical(), bytes);
    }

    /// A connection that was counted in cannot be served after all.
    pub fn turned_away(&self, address: IpAddr, is_client: bool) {
        self.stranger_left(address);
        if is_client {
            self.client_left();
        }
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

    /// What applies to links between servers, from now on.
    pub fn set_links(&self, settings: LinkSettings) {
        if settings.gateways.is_some() {
            self.links.gateways.switch_on();
        }
        self.links.settings.store(Arc::new(settings));
    }

    /// Who hears of the connections that this server makes.
    pub fn set_link_desk(&self, desk: Arc<dyn LinkDesk>) {
        self.links.desk.store(Arc::new(Some(desk)));
    }

    /// Every link between servers, oldest first.
    pub fn links(&self) -> Vec<KnownLink> {
        self.links.all()
    }

    /// What applies to links between servers now.
    pub fn link_settings(&self) -> Arc<LinkSettings> {
        self.links.settings.load_full()
    }

    /// What the far end of a link wants, with the accounts it wants it in.
    pub fn interest_of_link(&self, link: u64) -> Vec<(Arc<AccountState>, Vec<Arc<crate::Subscription>>)> {
        let mut interest = Vec::new();
        for account in self.accounts() {
            let mut own = Vec::new();
            account.graph.for_each(&mut |subscription| {
                if matches!(&subscription.target, crate::Target::Remote(remote) if remote.peer.link.key.id == link) {
                    own.push(subscription.clone());
                }
            });
            if !own.is_empty() {
                interest.push((account, own));
            }
        }
        interest
    }

    /// A server to which this one went is no longer wanted.
    pub fn end_remote(&self, remote: RemoteId) {
        for known in self.links.all().iter().filter(|known| known.remote == Some(remote)) {
            let key = known.link.key;
            self.tell(key, Note::Close(key, wire::CloseReason::ServerShutdown));
        }
    }

    /// Ends all links of a kind; those that this server made are made again.
    pub fn end_links(&self, kind: crate::LinkKind) {
        for known in self.links.all().iter().filter(|known| known.link.kind == kind) {
            let key = known.link.key;
            self.tell(key, Note::Close(key, wire::CloseReason::ServerShutdown));
        }
    }

    /// Clients are told of this server and of the others of its cluster, if that is news.
    pub fn tell_cluster_urls(&self) {
        let settings = self.links.settings.load();
        let Some(routes) = settings.routes.as_ref().filter(|routes| !routes.no_advertise) else { return };
        let urls: Vec<String> = routes.connect_urls.iter().cloned().chain(self.links.connect_urls()).collect();
        let ws_urls: Vec<String> = routes.ws_connect_urls.iter().cloned().chain(self.links.ws_connect_urls()).collect();
        let known = self.settings();
        let is_known = known.greeting.connect_urls == urls
            && known.websocket.as_ref().is_none_or(|websocket| websocket.connect_urls == ws_urls);
        if !is_known {
            self.announce(|settings| {
                settings.greeting.connect_urls = urls;
                settings.websocket.iter_mut().for_each(|websocket| websocket.connect_urls.clone_from(&ws_urls));
            });
        }
    }

    /// The other servers of the cluster hear that this one is about to go.
    pub fn tell_cluster_lame_duck(&self) {
        let settings = self.links.settings.load();
        let Some(routes) = &settings.routes else { return };
        let info = topology::Info {
            ldm: true,
            connect_urls: Vec::new(),
            ws_connect_urls: Vec::new(),
            ..routes.rules.info.clone()
        };
        for route in self.links.one_route_each("") {
            let link = &route.peer.link;
            link.say_first(|out| {
                out.extend_from_slice(b"INFO ");
                out.extend_from_slice(&info.to_json());
                out.extend_from_slice(b"\r\n");
            });
            link.post(link.key.worker, Note::Flush(link.key));
        }
    }

    /// A number for plans, never used again.
    pub(crate) fn next_route(&self) -> u32 {
        let mut numbers = self.permission_numbers.lock();
        numbers.next += 1;
        numbers.next
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
