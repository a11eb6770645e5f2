//! The joint between streams and broker.
//!
//! In: one [`Ear`] per account and door hears on the workers what the host listens for and puts it into the inlet. Out:
//! the host's thread publishes through a [`House`] of its own, straight to the receivers' transports.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use account::Account;
use api::ApiError;
use api::advisories::Event;
use api::errors::{STREAM_ROLLUP_FAILED, STREAM_TOO_MANY_REQUESTS};
use audit::{Class, Outcome, Record};
use auth::{Because, Denial, ReadRule, Reading, ReadingTexts};
use broker::{
    AccountState, Follower, House, HouseMessage, Hub, InternalSubscriber, Message, OwnMessage, Reader, Sender,
    StreamPart, Subscription,
};
use jetstream_host::{
    ASKING_INBOX, Arrival, Asker, Awaited, Door, Full, Incoming, Inlet, Made, Outgoing, Port, Report,
};
use moment::GoDuration;
use subject::{Filter, Queue, Subject};

use super::copies::Copies;
use super::rights::{Way, beyond_rights};
use crate::audit::Auditor;
use crate::log::Log;
use crate::system;

/// What the host needs of the broker.
pub(super) struct BrokerPort {
    hub: Arc<Hub>,
    log: Arc<Log>,
    audit: Arc<Auditor>,
    inlet: Inlet,
    copies: Arc<Copies>,
    /// Where the broker's clock began.
    start: Instant,
    rooms: RwLock<HashMap<String, Room>>,
    pub(super) rule: Arc<Rule>,
}

/// An account in which streams are heard.
struct Room {
    state: Arc<AccountState>,
    name: Arc<str>,
    /// Filters may be listened to more than once while a stream's subjects change.
    ears: HashMap<(Door, Filter), Vec<Arc<Subscription>>>,
}

/// Hears what is published in an account.
struct Ear {
    account: Arc<str>,
    door: Door,
    /// What it listens to: of a stream one of its subjects.
    filter: Filter,
    inlet: Inlet,
    copies: Arc<Copies>,
    hub: Arc<Hub>,
    rule: Arc<Rule>,
}

/// Which permissions bind readers. It follows the configuration.
#[derive(Default)]
pub(super) struct Rule(AtomicU8);

impl Rule {
    pub(super) fn set(&self, rule: ReadRule) {
        self.0.store(rule as u8, Ordering::Relaxed);
    }

    fn get(&self) -> ReadRule {
        let is = |rule: ReadRule| rule as u8 == self.0.load(Ordering::Relaxed);
        [ReadRule::Allowed, ReadRule::Free].into_iter().find(|rule| is(*rule)).unwrap_or(ReadRule::Denied)
    }
}

thread_local! {
    /// The publisher of the host's thread. It belongs to one thread, and the port to all.
    static HOUSE: RefCell<Option<House>> = const { RefCell::new(None) };
}

impl BrokerPort {
    pub(super) fn new(
        hub: &Arc<Hub>,
        (log, audit): (&Arc<Log>, &Arc<Auditor>),
        inlet: Inlet,
        copies: &Arc<Copies>,
        start: Instant,
    ) -> Self {
        let (hub, log, audit, copies) = (hub.clone(), log.clone(), audit.clone(), copies.clone());
        let woken = inlet.clone();
        hub.on_batch_end(Box::new(move || woken.wake()));
        Self { hub, log, audit, inlet, copies, start, rooms: RwLock::default(), rule: Arc::default() }
    }

    /// An account that the host will be told of.
    pub(super) fn introduce(&self, account: &Arc<Account>) {
        let name = account.name.as_str();
        let state = self.hub.account(account);
        let room = Room { state, name: name.into(), ears: HashMap::new() };
        self.rooms_mut().entry(name.to_owned()).or_insert(room);
    }

    fn rooms(&self) -> RwLockReadGuard<'_, HashMap<String, Room>> {
        // Each change is whole, so a panic elsewhere leaves nothing half done.
        self.rooms.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn rooms_mut(&self) -> RwLockWriteGuard<'_, HashMap<String, Room>> {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells in the system account what concerns the server as a whole, if somebody listens there.
    fn advise(&self, event: impl FnOnce(&str) -> Event) {
        let settings = self.hub.settings();
        let (name, domain) = (&settings.greeting.server_name, settings.greeting.domain.as_deref().unwrap_or_default());
        let event = event(name);
        let (home, subject) = (self.hub.account(self.hub.directory().accounts().system()), event.subject());
        if self.hub.is_wanted(&home, subject.as_bytes()) {
            let body = event.told(&system::event_id(), system::wall(), domain);
            self.hub.publish(vec![OwnMessage::new(home, subject.into_bytes(), body)]);
        }
    }

    fn state(&self, account: &str) -> Option<Arc<AccountState>> {
        self.rooms().get(account).map(|room| room.state.clone())
    }
}

impl Port for BrokerPort {
    fn publish<'a>(&self, account: &str, messages: &mut dyn Iterator<Item = Outgoing<'a>>) {
        let Some(state) = self.state(account) else { return };
        HOUSE.with_borrow_mut(|house| {
            let house = house.get_or_insert_with(|| House::new(&self.hub, system::random_u64()));
            let now = moment::Instant::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX));
            house.begin_round(now, system::wall());
            for Outgoing { to, subject: shown, reply, headers, payload, whole } in messages {
                self.copies.answer(account, to, headers, payload);
                let orders = reply.is_some_and(|reply| reply.starts_with(ASKING_INBOX.as_bytes()));
                house.publish(&state, &HouseMessage { to, shown, reply, headers, payload, whole, orders });
            }
            house.flush();
        });
    }

    fn is_wanted(&self, account: &str, subject: &[u8]) -> bool {
        self.rooms().get(account).is_some_and(|room| self.hub.is_wanted(&room.state, subject))
    }

    fn is_heard(&self, account: &str, subject: &[u8], group: &str) -> bool {
        self.rooms().get(account).is_some_and(|room| self.hub.is_heard(&room.state, subject, group.as_bytes()))
    }

    fn listen(&self, account: &str, door: Door, filter: &Filter) {
        let mut rooms = self.rooms_mut();
        let Some(room) = rooms.get_mut(account) else { return };
        let (inlet, hub) = (self.inlet.clone(), self.hub.clone());
        let (rule, copies) = (self.rule.clone(), self.copies.clone());
        let ear = Ear { account: room.name.clone(), door, filter: filter.clone(), inlet, copies, hub, rule };
        let subscription = self.hub.listen(&room.state, filter.clone(), None, Arc::new(ear));
        room.ears.entry((door, filter.clone())).or_default().push(subscription);
    }

    fn unlisten(&self, account: &str, door: Door, filter: &Filter) {
        let mut rooms = self.rooms_mut();
        let Some(room) = rooms.get_mut(account) else { return };
        let key = (door, filter.clone());
        let Some(ears) = room.ears.get_mut(&key) else { return };
        if let Some(subscription) = ears.pop() {
            self.hub.unlisten(&room.state, &subscription);
        }
        if ears.is_empty() {
            room.ears.remove(&key);
        }
    }

    fn await_interest(&self, account: &str, awaited: Awaited) {
        let (name, state) = match self.rooms().get(account) {
            Some(room) => (room.name.clone(), room.state.clone()),
            None => return,
        };
        let (inlet, by) = (self.inlet.clone(), awaited.by.clone());
        let tell = move || {
            let message = Incoming { subject: &by, reply: None, headers: b"", payload: b"" };
            // If there is no room the host looks for itself within a second.
            let _ =
                inlet.deliver(&Arrival { account: &name, door: Door::Interest, message, asker: None, follower: None });
        };
        self.hub.await_interest(&state, (&awaited.subject, awaited.group.as_bytes()), &awaited.by, Box::new(tell));
    }

    fn no_longer_awaits(&self, account: &str, awaited: &Awaited) {
        if let Some(state) = self.state(account) {
            self.hub.no_longer_awaits(&state, &awaited.subject, &awaited.by);
        }
    }

    fn report(&self, report: Report) {
        let log = &self.log;
        if let Some(record) = record_of(&report) {
            self.audit.note(&record);
        }
        match report {
            Report::Restored { account, stream, messages, consumers } => {
                log.notice(&format!("  Restored {messages} messages for stream '{account} > {stream}'"));
                if consumers > 0 {
                    log.notice(&format!("  Recovered {consumers} consumers for stream - '{account} > {stream}'"));
                }
            }
            Report::Finding(text) => log.warn(&format!("JetStream store: {text}")),
            Report::OutOfRoom { on_disk } => {
                let kind = if on_disk { "file" } else { "memory" };
                log.error(&format!("JetStream {kind} resource limits exceeded for server"));
            }
            Report::RequestsLost(dropped) => {
                log.warn(&format!("JetStream API queue limit reached, dropping {dropped} requests"));
                self.advise(|server| Event::LimitReached { server: server.to_owned(), dropped });
            }
            Report::StoreFailed { why, stream, is_full } => {
                if let Some((account, stream)) = stream.filter(|_| is_full) {
                    log.error(&format!("JetStream has no room on the disk for stream '{account} > {stream}'"));
                    let server_id = self.hub.settings().greeting.server_id.clone();
                    self.advise(|server| Event::OutOfStorage {
                        server: server.to_owned(),
                        server_id,
                        stream,
                        cluster: String::new(),
                    });
                }
                log.error(&format!("JetStream store failed, nothing is acknowledged until it works again: {why}"));
            }
            Report::StoreRecovered => log.notice("JetStream store works again"),
            Report::Resealing { done, all } => {
                log.notice(&format!("JetStream store: sealed anew {done} of {all} blocks"))
            }
            Report::Resealed { blocks } => log.notice(&format!(
                "JetStream store: everything is sealed by the present key, {blocks} blocks anew; the previous key is not needed any more"
            )),
            Report::AccountsSealed { accounts, blocks } => log.notice(&format!(
                "JetStream store: what is stored takes the keys of its accounts, {accounts} of them, {blocks} blocks anew"
            )),
            Report::KeyDrawn { account } => {
                log.notice(&format!("JetStream store: account {account} has a key of its own from now on"));
            }
            Report::KeyDestroyed { account, streams } => log.notice(&format!(
                "JetStream store: the key of account {account} is destroyed, and what it sealed is removed, {streams} streams"
            )),
            Report::KeyRetired { account } => log.notice(&format!(
                "JetStream store: nothing takes the key of account {account} any more, and it is gone"
            )),
        }
    }
}

/// What belongs into the trail: what was found damaged, and when the last of an old key is gone.
fn record_of(report: &Report) -> Option<Record> {
    let record = |class, outcome, what: String| Some(Record { what, ..Record::new(class, outcome) });
    match report {
        Report::Finding(text) => record(Class::Store, Outcome::Refused, text.clone()),
        Report::StoreFailed { why, .. } => record(Class::Store, Outcome::Refused, format!("the store failed: {why}")),
        Report::StoreRecovered => record(Class::Store, Outcome::Done, "the store works again".to_owned()),
        Report::Resealed { blocks } => record(
            Class::Key,
            Outcome::Done,
            format!("all streams are sealed by the present key, {blocks} blocks anew"),
        ),
        Report::AccountsSealed { accounts, blocks } => record(
            Class::Key,
            Outcome::Done,
            format!("what is stored takes the keys of its accounts, {accounts} of them, {blocks} blocks anew"),
        ),
        Report::KeyDrawn { account } => of_key(account, "has a key of its own from now on".to_owned()),
        Report::KeyDestroyed { account, streams } => {
            of_key(account, format!("its key is destroyed, and what it sealed is removed, {streams} streams"))
        }
        Report::KeyRetired { account } => of_key(account, "nothing takes its key any more, and it is gone".to_owned()),
        Report::Restored { .. } | Report::OutOfRoom { .. } | Report::RequestsLost(_) | Report::Resealing { .. } => None,
    }
}

/// Something that became of the key of an account.
fn of_key(account: &str, what: String) -> Option<Record> {
    let (account, record) = (account.to_owned(), Record::new(Class::Key, Outcome::Done));
    Some(Record { what: format!("account {account}: {what}"), account, ..record })
}

/// Somebody who may not read everything.
struct Bound {
    reader: Reader,
    rule: ReadRule,
    hub: Arc<Hub>,
}

impl Asker for Bound {
    fn reading(&self) -> &Reading {
        &self.reader.reading
    }

    fn may_publish(&self, subject: Subject<'_>) -> Result<(), Denial> {
        self.reader.publish(subject)
    }

    fn may_deliver(&self, to: Subject<'_>, group: &str) -> Result<(), Denial> {
        let queue = Queue::parse(group.as_bytes()).ok();
        match self.reader.deliver(to, queue.as_ref()) {
            // Whoever makes consumers for others may often publish to the interface alone: that is no word about where they deliver.
            Err(denial) if self.rule == ReadRule::Denied && matches!(denial.because, Because::NotAllowed(_)) => Ok(()),
            judged => judged,
        }
    }

    fn may_publish_all(&self, filter: &Filter) -> Result<(), Denial> {
        self.reader.publish_all(filter)
    }

    fn refused(&self, denial: &Denial) {
        self.reader.refused(&self.hub, denial);
    }
}

/// Requests by which the server is had to copy from elsewhere, or to publish somewhere, contain one of these.
const ORDERS: [&[u8]; 6] = [
    b".STREAM.CREATE.",
    b".STREAM.UPDATE.",
    b".STREAM.RESTORE.",
    b".STREAM.SNAPSHOT.",
    b".CONSUMER.CREATE.",
    b".CONSUMER.DURABLE.CREATE.",
];

fn is_order(subject: &[u8]) -> bool {
    let dots = subject.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    let mut tails = dots.filter_map(|(at, _)| subject.get(at..));
    tails.any(|tail| ORDERS.iter().any(|order| tail.starts_with(order)))
}

/// By headers that begin like this a message that is published has the server read, or tell the last of what was stored.
const READS_BY: [&[u8]; 3] = [b"Nats-Schedule-Source", b"Nats-Expected-Last-", b"Nats-Incr"];

/// By this header it has messages of others removed.
const REMOVES_BY: &[u8] = b"Nats-Rollup";

/// By headers that begin like this a message has a stream remove or publish others. What the server says on somebody's word, an answer
/// or a delivery with headers as they were stored, does neither.
const ACTS_BY: [&[u8]; 2] = [REMOVES_BY, b"Nats-Schedule"];

/// Whoever has the server say something, and may read nothing by that.
struct Nobody(Reading);

static NOBODY: LazyLock<Arc<dyn Asker>> = LazyLock::new(|| {
    let everything = ReadingTexts { allow: None, deny: vec![">".to_owned()] };
    Arc::new(Nobody(Reading::of_texts(&everything).expect("everything is a filter")))
});

impl Asker for Nobody {
    fn reading(&self) -> &Reading {
        &self.0
    }

    fn may_publish(&self, _: Subject<'_>) -> Result<(), Denial> {
        self.0.read(&Filter::everything())
    }

    fn may_deliver(&self, _: Subject<'_>, _: &str) -> Result<(), Denial> {
        self.0.read(&Filter::everything())
    }

    fn may_publish_all(&self, _: &Filter) -> Result<(), Denial> {
        self.0.read(&Filter::everything())
    }

    fn refused(&self, _: &Denial) {}
}

/// Whether any of the headers may begin like one of these.
fn speaks_of(headers: &[u8], beginnings: &[&[u8]]) -> bool {
    let begins = |line: &[u8], with: &[u8]| line.get(..with.len()).is_some_and(|line| line.eq_ignore_ascii_case(with));
    headers.split(|byte| *byte == b'\n').any(|line| beginnings.iter().any(|with| begins(line, with)))
}

impl Ear {
    /// Who asks, where that binds what is read. Most of what is published to streams reads nothing.
    fn asker(&self, subject: &[u8], headers: &[u8], sender: &Sender<'_>) -> Option<Arc<dyn Asker>> {
        let rule = self.rule.get();
        let bound = |reader| -> Arc<dyn Asker> { Arc::new(Bound { reader, rule, hub: self.hub.clone() }) };
        if self.door == Door::Requests && is_order(subject) {
            return sender.orderer(rule).map(bound);
        }
        let is_reading = self.door != Door::Streams || speaks_of(headers, &READS_BY);
        if sender.is_nobody() {
            return (self.door == Door::Streams && is_reading).then(|| NOBODY.clone());
        }
        let reader = if speaks_of(headers, &[REMOVES_BY]) && !sender.publishes_freely() {
            sender.remover(rule)
        } else {
            is_reading.then(|| sender.reader(rule)).flatten()
        };
        reader.map(bound)
    }
}

/// A trace that hears what a stream makes of its message.
struct Following(Follower);

impl jetstream_host::Follower for Following {
    fn is_only(&self) -> bool {
        self.0.is_only()
    }

    fn tell(&self, made: &Made<'_>) {
        let Made { stream, subject, no_interest, ref error, at } = *made;
        self.0.tell(&StreamPart { stream, subject, no_interest, error: error.as_deref(), at });
    }
}

type Followed<'a> = Option<&'a Arc<dyn jetstream_host::Follower>>;

impl InternalSubscriber for Ear {
    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>) {
        self.hear(message, sender, None);
    }

    fn tells_traces(&self) -> bool {
        self.door == Door::Streams
    }

    fn deliver_followed(&self, message: &Message<'_>, sender: &Sender<'_>, follower: Follower) {
        let stored;
        let mut message = *message;
        if !follower.is_only() {
            // When it is delivered from the stream one day, that is not part of the trace.
            stored = follower.stored_headers(message.headers);
            message.headers = &stored;
        }
        let follower: Arc<dyn jetstream_host::Follower> = Arc::new(Following(follower));
        self.hear(&message, sender, Some(&follower));
    }
}

impl Ear {
    fn hear(&self, message: &Message<'_>, sender: &Sender<'_>, follower: Followed<'_>) {
        // What the server says on somebody's word, an answer or a delivery, orders nothing. Nor does it acknowledge anything: that
        // never comes here.
        if self.door == Door::Requests && !sender.may_order() {
            return;
        }
        let Message { subject, reply, headers, payload, shown } = *message;
        let reply = match self.answered(reply, sender) {
            Ok(reply) => reply,
            // What changes streams or is only answered is not done without an answer.
            Err(denial) => {
                sender.not_answered(&self.hub, denial);
                if self.door == Door::Requests {
                    return;
                }
                None
            }
        };
        let mut kept = Vec::new();
        let renamed;
        let reply = match (self.door, reply, shown) {
            (Door::Copies, Some(reply), Some(shown)) => {
                renamed = [reply, b"@", shown].concat();
                Some(renamed.as_slice())
            }
            _ => reply,
        };
        let headers = match self.door {
            Door::Requests => self.copies.request(&self.account, message, sender, &mut kept),
            _ => headers,
        };
        let way = match self.door {
            Door::Streams => Some(Way::Own(&self.filter)),
            Door::Requests if !headers.is_empty() => Way::by_interface(subject),
            Door::Requests | Door::Answers | Door::Copies | Door::Interest => None,
        };
        if let Some((error, denial)) = way.and_then(|way| beyond_rights(&way, subject, headers, sender)) {
            sender.refused(&self.hub, &denial);
            return self.refuse(reply, sender, &error);
        }
        if self.door == Door::Streams && sender.is_nobody() && speaks_of(headers, &ACTS_BY) {
            return self.refuse(reply, sender, &STREAM_ROLLUP_FAILED.with("rollup not permitted"));
        }
        let incoming = Incoming { subject, reply, headers, payload };
        let asker = self.asker(subject, headers, sender);
        let asker = asker.as_ref();
        let taken =
            self.inlet.put(&Arrival { account: &self.account, door: self.door, message: incoming, asker, follower });
        if let (Err(Full), Door::Streams) = (taken, self.door) {
            // A publisher that waits for an acknowledgement must learn that there is none; an API request is silence.
            self.refuse(reply, sender, &STREAM_TOO_MANY_REQUESTS.into());
        }
    }

    /// Where whoever speaks is answered: the server would say what is stored, or take an acknowledgement for a message, where others
    /// hear or store it.
    ///
    /// # Errors
    /// Why it may not be answered there.
    fn answered<'a>(&self, reply: Option<&'a [u8]>, sender: &Sender<'_>) -> Result<Option<&'a [u8]>, Denial> {
        let Some(to) = reply else { return Ok(None) };
        let is_judged = match self.door {
            Door::Requests | Door::Answers => true,
            // All that goes there is that a message was stored, and this is asked for each.
            Door::Streams => !sender.is_told_freely(to),
            Door::Copies | Door::Interest => false,
        };
        if is_judged && self.rule.get() != ReadRule::Free {
            sender.be_answered(to)?;
        }
        Ok(reply)
    }

    /// Tells a publisher that its message was not taken.
    fn refuse(&self, reply: Option<&[u8]>, sender: &Sender<'_>, error: &ApiError) {
        let Some(reply) = reply else { return };
        let refusal = api::responses::pub_refused("", error);
        self.hub.publish(vec![OwnMessage::new(sender.account.clone(), reply, refusal)]);
    }
}

/// A duration as the log shows it.
pub(super) fn shown(duration: std::time::Duration) -> GoDuration {
    GoDuration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}
