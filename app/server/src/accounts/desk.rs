//! The desk where the claims protocol is answered: one thread, a bounded line before it.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use audit::{Class, Outcome, Record};
use broker::{AccountState, Hub, InternalSubscriber, Link, Message, OwnMessage, Sender, Subscription};
use nkeys::PublicKey;
use resolver::{Answer, Handled, Request, WebError, World, lookup_subject};
use subject::{Filter, Queue};

use super::Accounts;
use crate::audit::asked_by;
use crate::queue::{Entrance, Exit, queue};
use crate::system::{random_u64, wall};

/// Requests that may wait. One more is not answered.
const MAX_WAITING: usize = 4096;
/// How often what ended or was not used is let go.
const PRUNE_INTERVAL: Duration = Duration::from_secs(5);
/// Messages of a pack that are handed over at once.
const PACK_BATCH: usize = 256;
/// How long another server may take to compare.
const PACK_PATIENCE: Duration = Duration::from_secs(2);
/// Where a pack is asked for.
const PACK_SUBJECT: &str = "$SYS.REQ.CLAIMS.PACK";

/// What comes to the desk.
enum Work {
    Request {
        subject: Vec<u8>,
        reply: Option<Vec<u8>>,
        body: Vec<u8>,
        asker: Option<Arc<Link>>,
    },
    /// A server has answered about an account.
    Answer(u64, Vec<u8>),
    /// A part of another server's pack; empty at its end.
    Pack(Vec<u8>),
    /// The account server has answered.
    Fetched(PublicKey, Result<String, WebError>),
}

/// The way to the desk.
pub(super) struct Desk {
    hub: Weak<Hub>,
    system: Arc<AccountState>,
    line: Entrance<Work>,
    inbox: String,
    /// Where we listen ourselves.
    own: Arc<Mutex<Vec<Arc<Subscription>>>>,
}

/// Puts what it hears into the line.
struct Ear {
    line: Entrance<Work>,
    /// Where our own questions are answered.
    inbox: String,
}

impl InternalSubscriber for Ear {
    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>) {
        let is_own = message.reply.is_some_and(|reply| reply.starts_with(self.inbox.as_bytes()));
        if is_own {
            return;
        }
        let (subject, body) = (message.subject.to_vec(), message.payload.to_vec());
        let work = match subject.strip_prefix(self.inbox.as_bytes()) {
            None => {
                let (reply, asker) = (message.reply.map(<[u8]>::to_vec), sender.link.cloned());
                Work::Request { subject, reply, body, asker }
            }
            Some(b".pack") => Work::Pack(body),
            Some(rest) => match number(rest) {
                Some(number) => Work::Answer(number, body),
                None => return,
            },
        };
        // Whoever asks faster than is answered is not answered.
        self.line.leave(work);
    }
}

/// How often servers compare what they have.
fn interval_of(accounts: &Accounts) -> Option<Duration> {
    accounts.state().resolver.as_ref().and_then(|opened| opened.resolver.sync_interval())
}

fn number(rest: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(rest).ok()?.strip_prefix('.')?, 16).ok()
}

impl Desk {
    /// Listens in the system account and starts the thread.
    pub(super) fn open(accounts: &Arc<Accounts>, hub: &Arc<Hub>) -> std::io::Result<Self> {
        let system = hub.account(hub.directory().accounts().system());
        let (line, work) = queue(MAX_WAITING);
        let inbox = format!("$SYS._INBOX.{:08X}", random_u64() >> 32);
        let ear: Arc<dyn InternalSubscriber> = Arc::new(Ear { line: line.clone(), inbox: inbox.clone() });
        let own: Arc<Mutex<Vec<Arc<Subscription>>>> = Arc::default();
        let state = accounts.state();
        let listens = state.resolver.as_ref().map(|opened| opened.resolver.subscriptions()).unwrap_or_default();
        drop(state);
        let interval = interval_of(accounts);
        let mut clerk = Clerk {
            accounts: Arc::downgrade(accounts),
            hub: Arc::downgrade(hub),
            system: system.clone(),
            inbox: inbox.clone(),
            ear,
            pack: None,
            pack_until: None,
            sync_at: interval.map(|interval| Instant::now() + interval),
            prune_at: Instant::now() + PRUNE_INTERVAL,
            own: own.clone(),
        };
        let answers = format!("{inbox}.*");
        clerk.listen(hub, &answers, None);
        for subscription in listens {
            let heard = clerk.listen(hub, subscription.filter, subscription.queue);
            if subscription.filter == PACK_SUBJECT {
                clerk.pack = Some(heard);
            }
        }
        std::thread::Builder::new().name("claims".into()).spawn(move || clerk.work(&work))?;
        Ok(Self { hub: Arc::downgrade(hub), system, line, inbox, own })
    }

    /// How many others may know an account.
    pub(super) fn others(&self, account: &PublicKey) -> usize {
        let Some(hub) = self.hub.upgrade() else { return 0 };
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hub.others_wanting(&self.system, lookup_subject(account).as_bytes(), &own)
    }

    /// Asks the other servers.
    pub(super) fn ask(&self, account: &PublicKey, number: u64) {
        let Some(hub) = self.hub.upgrade() else { return };
        let reply = Some(format!("{}.{number:016X}", self.inbox).into_bytes());
        hub.publish(vec![OwnMessage { reply, ..OwnMessage::new(self.system.clone(), lookup_subject(account), "") }]);
    }

    /// Where the account server's answer goes.
    pub(super) fn hands_over(&self, account: PublicKey) -> impl FnOnce(Result<String, WebError>) + Send + 'static {
        let line = self.line.clone();
        // Full is the line only if the server is beyond help; the login and the fetch end by their times then.
        move |found| {
            line.leave(Work::Fetched(account, found));
        }
    }
}

/// What was asked of the directory of claims, and what came of it.
fn record_of(done: &resolver::Outcome) -> Record {
    let outcome = if done.is_done() { Outcome::Done } else { Outcome::Refused };
    let rule = [&done.error, &done.detail].into_iter().flatten().cloned().collect::<Vec<_>>().join(" - ");
    let (account, what) = (done.account.clone(), done.message.clone());
    Record { account, what, rule, ..Record::new(Class::Account, outcome) }
}

/// Who works at the desk.
struct Clerk {
    accounts: Weak<Accounts>,
    hub: Weak<Hub>,
    system: Arc<AccountState>,
    inbox: String,
    ear: Arc<dyn InternalSubscriber>,
    /// Where we hear of packs that others want.
    pack: Option<Arc<Subscription>>,
    /// Until when we wait for a pack of another server.
    pack_until: Option<Instant>,
    sync_at: Option<Instant>,
    prune_at: Instant,
    own: Arc<Mutex<Vec<Arc<Subscription>>>>,
}

impl Clerk {
    fn listen(&self, hub: &Hub, filter: &str, queue: Option<&str>) -> Arc<Subscription> {
        let filter: Filter = filter.parse().expect("the protocol's filters are filters");
        let queue: Option<Queue> =
            queue.map(|queue| Queue::parse(queue.as_bytes()).expect("the protocol's queues are queues"));
        let heard = hub.listen(&self.system, filter, queue.as_ref(), self.ear.clone());
        self.own.lock().unwrap_or_else(PoisonError::into_inner).push(heard.clone());
        heard
    }

    fn work(mut self, line: &Exit<Work>) {
        loop {
            let next = line.take_within(self.patience());
            // The server has gone.
            let (Some(accounts), Some(hub)) = (self.accounts.upgrade(), self.hub.upgrade()) else { return };
            match next {
                Ok(work) => self.take(&accounts, &hub, work),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.keep_time(&accounts, &hub);
        }
    }

    fn patience(&self) -> Duration {
        let fetch = self.accounts.upgrade().and_then(|accounts| accounts.state().fetching.next_end());
        let ends = [Some(self.prune_at), self.sync_at, self.pack_until, fetch];
        // A fetch may begin while we wait; nobody minds a quarter of a second.
        let next = ends.into_iter().flatten().min().unwrap_or(self.prune_at);
        next.saturating_duration_since(Instant::now()).min(Duration::from_millis(250))
    }

    fn take(&mut self, accounts: &Accounts, hub: &Hub, work: Work) {
        match work {
            Work::Request { subject, reply, body, asker } => {
                self.answer(accounts, hub, (&subject, reply, &body), asker.as_deref());
            }
            Work::Pack(body) if body.is_empty() => self.pack_ended(hub),
            Work::Pack(body) => self.merge(accounts, hub, &body),
            Work::Fetched(account, found) => {
                let again = accounts.state().is_asked_again(&account);
                match again {
                    true => accounts.told_again(&account, found),
                    false => accounts.fetched(&account, found.map_err(|error| error.to_string())),
                }
            }
            Work::Answer(number, body) => {
                let settled = accounts.state().fetching.answered(number, &body);
                if let Some((account, found)) = settled {
                    accounts.fetched(&account, found);
                }
            }
        }
    }

    fn answer(
        &self,
        accounts: &Accounts,
        hub: &Hub,
        (subject, reply, body): (&[u8], Option<Vec<u8>>, &[u8]),
        asker: Option<&Link>,
    ) {
        let Some(request) = Request::of(subject) else { return };
        let mut state = accounts.state();
        let (directory, system) = (hub.directory(), state.system);
        let (Some(opened), Some(trust)) = (&mut state.resolver, directory.trust()) else { return };
        let server = hub.introduction(wall());
        let known = |account: &PublicKey| directory.claims_of(account).is_some();
        let world = World { trust, system, known: &known, server: &server, now: wall() };
        let Handled { answer, effects, outcome } = opened.resolver.handle(&request, body, &world);
        // Whoever reads the answer finds the change done.
        accounts.apply(state, effects);
        if let Some(outcome) = outcome {
            accounts.record(asked_by(hub, asker, record_of(&outcome)));
            match outcome.is_done() {
                true => accounts.log.debug(&outcome.log_line()),
                false => accounts.log.error(&outcome.log_line()),
            }
        }
        if let Some(reply) = reply {
            self.reply(accounts, hub, &reply, answer);
        }
    }

    fn reply(&self, accounts: &Accounts, hub: &Hub, reply: &[u8], answer: Answer) {
        let message = |body: Vec<u8>| OwnMessage::new(self.system.clone(), reply, body);
        match answer {
            Answer::Silence => {}
            Answer::One(body) => hub.publish(vec![message(body)]),
            Answer::Pack(keys) => {
                for batch in keys.chunks(PACK_BATCH) {
                    let mut state = accounts.state();
                    let Some(opened) = &mut state.resolver else { return };
                    let lines = batch.iter().filter_map(|key| opened.resolver.pack_line(key, wall()));
                    let messages = lines.map(message).collect();
                    drop(state);
                    hub.publish(messages);
                }
                hub.publish(vec![message(Vec::new())]);
            }
        }
    }

    fn merge(&self, accounts: &Accounts, hub: &Hub, body: &[u8]) {
        let mut state = accounts.state();
        let (directory, system) = (hub.directory(), state.system);
        let (Some(opened), Some(trust)) = (&mut state.resolver, directory.trust()) else { return };
        let world = World { trust, system, known: &|_| true, server: "{}", now: wall() };
        let (effects, refused) = opened.resolver.merge(body, &world);
        accounts.apply(state, effects);
        for why in refused {
            accounts.log.error(&format!("Merging resulted in error: {why}"));
        }
    }

    /// What is due by time.
    fn keep_time(&mut self, accounts: &Accounts, hub: &Hub) {
        let now = Instant::now();
        let overdue = accounts.state().fetching.overdue(now);
        for (account, found) in overdue {
            let again = accounts.state().is_asked_again(&account);
            match again {
                true => accounts.told_again(&account, Err(WebError::TimedOut)),
                false => accounts.fetched(&account, found),
            }
        }
        accounts.end_tokens();
        accounts.go_on_asking();
        if self.prune_at <= now {
            self.prune_at = now + PRUNE_INTERVAL;
            if let Some(opened) = &mut accounts.state().resolver {
                opened.resolver.prune(wall());
            }
        }
        if self.pack_until.is_some_and(|until| until <= now) {
            self.pack_ended(hub);
        }
        if self.sync_at.is_some_and(|at| at <= now) {
            // A reload may have changed it.
            self.sync_at = interval_of(accounts).map(|interval| now + interval);
            self.compare(accounts, hub, now);
        }
    }

    /// Asks another server for what we lack. Meanwhile we take no such question ourselves, or we would get our own.
    fn compare(&mut self, accounts: &Accounts, hub: &Hub, now: Instant) {
        let own: Vec<_> = self.pack.iter().cloned().collect();
        if self.pack_until.is_some() || hub.others_wanting(&self.system, PACK_SUBJECT.as_bytes(), &own) == 0 {
            return;
        }
        let Some(hash) = accounts.state().resolver.as_ref().map(|opened| opened.resolver.hash()) else { return };
        if let Some(pack) = self.pack.take() {
            hub.unlisten(&self.system, &pack);
            self.own.lock().unwrap_or_else(PoisonError::into_inner).retain(|own| !Arc::ptr_eq(own, &pack));
        }
        self.pack_until = Some(now + PACK_PATIENCE);
        let reply = Some(format!("{}.pack", self.inbox).into_bytes());
        hub.publish(vec![OwnMessage { reply, ..OwnMessage::new(self.system.clone(), PACK_SUBJECT, hash) }]);
    }

    fn pack_ended(&mut self, hub: &Hub) {
        if self.pack_until.take().is_some() {
            self.pack = Some(self.listen(hub, PACK_SUBJECT, Some(resolver::PACK_QUEUE)));
        }
    }
}
