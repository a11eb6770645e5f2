//! A desk with a port that writes everything down, and a clock that the scene moves.

use bulwark_jetstream_host::{
    AccountSettings, Arrival, Asker, Awaited, Desk, DeskSettings, Door, Outgoing, Port, Report,
};
use jetstream::{Incoming, Now};
use moment::{Instant, Timestamp};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{Disk, FileSettings, StoreError};
use subject::{Filter, Subject};
use testkit::{CrashDisk, SeededEntropy};

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub to: Vec<u8>,
    pub subject: Option<Vec<u8>>,
    pub reply: Option<Vec<u8>>,
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

impl From<Outgoing<'_>> for Letter {
    fn from(outgoing: Outgoing<'_>) -> Letter {
        Letter {
            to: outgoing.to.to_vec(),
            subject: outgoing.subject.map(<[u8]>::to_vec),
            reply: outgoing.reply.map(<[u8]>::to_vec),
            headers: outgoing.headers.to_vec(),
            payload: outgoing.payload.to_vec(),
        }
    }
}

/// What the port saw.
#[derive(Default)]
pub(crate) struct Notebook {
    pub sent: Vec<Letter>,
    pub wanted: Vec<Filter>,
    /// Bytes that were said at once, at most.
    pub most_said: usize,
    pub listens: Vec<Filter>,
    /// What consumers wait for.
    pub awaited: Vec<Awaited>,
    /// What is not in order.
    pub reports: Vec<Report>,
}

#[derive(Default)]
pub(crate) struct TestPort(pub Mutex<Notebook>);

impl Port for TestPort {
    fn publish<'a>(&self, _: &str, messages: &mut dyn Iterator<Item = Outgoing<'a>>) {
        let mut book = self.0.lock().expect("no scene panics in here");
        let before = book.sent.len();
        book.sent.extend(messages.map(Letter::from));
        let said = book.sent[before..].iter().map(|letter| letter.headers.len() + letter.payload.len()).sum();
        book.most_said = book.most_said.max(said);
    }
    fn is_wanted(&self, _: &str, subject: &[u8]) -> bool {
        let Ok(subject) = Subject::parse(subject) else { return false };
        self.0.lock().expect("no scene panics in here").wanted.iter().any(|filter| filter.matches(subject))
    }
    fn listen(&self, _: &str, _: Door, filter: &Filter) {
        self.0.lock().expect("no scene panics in here").listens.push(filter.clone());
    }
    fn unlisten(&self, _: &str, _: Door, filter: &Filter) {
        let mut book = self.0.lock().expect("no scene panics in here");
        if let Some(at) = book.listens.iter().position(|other| other == filter) {
            book.listens.remove(at);
        }
    }
    fn await_interest(&self, _: &str, awaited: Awaited) {
        self.0.lock().expect("no scene panics in here").awaited.push(awaited);
    }
    fn no_longer_awaits(&self, _: &str, awaited: &Awaited) {
        self.0.lock().expect("no scene panics in here").awaited.retain(|other| other != awaited);
    }
    fn report(&self, report: Report) {
        if matches!(report, Report::Restored { .. }) {
            return;
        }
        self.0.lock().expect("no scene panics in here").reports.push(report);
    }
}

/// A message that a scene hands in.
#[derive(Clone)]
pub(crate) struct Parcel {
    account: Arc<str>,
    subject: Vec<u8>,
    reply: Option<Vec<u8>>,
    headers: Vec<u8>,
    pub payload: Vec<u8>,
    /// Whose it is, if somebody's who may not read everything.
    pub asker: Option<Arc<dyn Asker>>,
}

impl Parcel {
    /// It comes by the door that its subject belongs to.
    fn arrival(&self) -> Arrival<'_> {
        let door = match std::str::from_utf8(&self.subject).unwrap_or_default() {
            subject if ["$JS.ACK.", "$JS.FC.", "$JS.SNAPSHOT."].iter().any(|p| subject.starts_with(p)) => Door::Answers,
            subject if subject.starts_with("$JS.") && subject.contains("API.") => Door::Requests,
            _ => Door::Streams,
        };
        let (subject, reply) = (&self.subject[..], self.reply.as_deref());
        let message = Incoming { subject, reply, headers: &self.headers, payload: &self.payload };
        Arrival { account: &self.account, door, message, asker: self.asker.as_ref(), follower: None }
    }
}

/// A desk and everything around it.
pub(crate) struct Room {
    pub disk: CrashDisk,
    pub desk: Desk,
    pub port: Arc<TestPort>,
    pub account: Arc<str>,
    pub now: Now,
    accounts: Vec<&'static str>,
    settings: DeskSettings,
    inboxes: u32,
}

pub(crate) fn account(name: &str) -> AccountSettings {
    AccountSettings {
        account: name.to_owned(),
        domain: String::new(),
        server_name: "SERVER".to_owned(),
        version: "2.15.1".to_owned(),
        limits: jetstream::Limits::default(),
        mode: api::Mode::Strict,
        max_duplicate_window: 0,
        default_max_consumers: 1000,
        max_ack_pending: 0,
        max_request_batch: 0,
        max_batch_bytes: 64 * 1024 * 1024,
        batches: jetstream::BatchLimits::default(),
    }
}

pub(crate) fn sealed() -> DeskSettings {
    let sealing =
        store::Sealing { cipher: store::Cipher::Aes, key: Some("the key".into()), ..store::Sealing::default() };
    DeskSettings { sealing, ..DeskSettings::default() }
}

impl Room {
    pub(crate) fn new() -> Room {
        Room::on(CrashDisk::new(1), sealed())
    }

    pub(crate) fn on(disk: CrashDisk, settings: DeskSettings) -> Room {
        Room::of(&["A"], disk, settings)
    }

    /// With these accounts; the first is spoken for until another is.
    pub(crate) fn of(accounts: &[&'static str], disk: CrashDisk, settings: DeskSettings) -> Room {
        let now = Now { wall: Timestamp::from_secs(1_795_000_000), tick: Instant::from_nanos(1) };
        let front = Arc::new(disk.clone());
        Room::try_over(accounts, (disk, front), settings, now).expect("the store opens")
    }

    /// Asks and publishes in this account from now on.
    pub(crate) fn speak_for(&mut self, account: &str) -> &mut Room {
        self.account = account.into();
        self
    }

    /// On a disk that stands in front of the one that is looked at.
    pub(crate) fn over(disk: CrashDisk, front: Arc<dyn Disk>, files: FileSettings, sync_every: Duration) -> Room {
        let now = Now { wall: Timestamp::from_secs(1_795_000_000), tick: Instant::from_nanos(1) };
        let settings = DeskSettings { files, sync_every, ..sealed() };
        Room::try_over(&["A"], (disk, front), settings, now).expect("the store opens")
    }

    pub(crate) fn try_on(disk: CrashDisk, settings: DeskSettings, now: Now) -> Result<Room, StoreError> {
        let front = Arc::new(disk.clone());
        Room::try_over(&["A"], (disk, front), settings, now)
    }

    fn try_over(
        accounts: &[&'static str],
        (disk, dyn_disk): (CrashDisk, Arc<dyn Disk>),
        settings: DeskSettings,
        now: Now,
    ) -> Result<Room, StoreError> {
        let port = Arc::new(TestPort::default());
        port.0.lock().expect("fresh").wanted.push(Filter::parse(b"_I.>").expect("a filter"));
        let entropy = Arc::new(SeededEntropy::new(disk.operations() + 5));
        let dyn_port = port.clone();
        let served = accounts.iter().map(|name| account(name)).collect();
        let opened = Desk::open(dyn_disk, entropy, settings.clone(), served, dyn_port, now)?;
        let (accounts, account) = (accounts.to_vec(), accounts[0].into());
        Ok(Room { disk, desk: opened.desk, port, account, now, accounts, settings, inboxes: 0 })
    }

    /// The room on another disk: after a crash, or a restart.
    pub(crate) fn again(&self, disk: CrashDisk) -> Room {
        self.again_with(disk, self.settings.clone()).expect("the store opens")
    }

    /// As [`Room::again`], with other settings.
    pub(crate) fn again_with(&self, disk: CrashDisk, settings: DeskSettings) -> Result<Room, StoreError> {
        let front = Arc::new(disk.clone());
        Room::try_over(&self.accounts, (disk, front), settings, self.now)
    }

    /// What is not in order, since the last time.
    pub(crate) fn reports(&self) -> Vec<Report> {
        std::mem::take(&mut self.port.0.lock().expect("no scene panics in here").reports)
    }

    /// Somebody listens, and the host is told as the broker tells it.
    pub(crate) fn listen(&mut self, filter: &str) {
        let filter = Filter::parse(filter.as_bytes()).expect("a filter");
        let told: Vec<Awaited> = {
            let mut book = self.port.0.lock().expect("no scene panics in here");
            book.wanted.push(filter.clone());
            let matches = |awaited: &mut Awaited| Subject::parse(&awaited.subject).is_ok_and(|s| filter.matches(s));
            book.awaited.extract_if(.., matches).collect()
        };
        for Awaited { by, .. } in told {
            let message = Incoming { subject: &by, reply: None, headers: b"", payload: b"" };
            self.desk.round(
                [Arrival { account: &self.account, door: Door::Interest, message, asker: None, follower: None }],
                self.now,
            );
        }
    }

    /// Nobody listens any more.
    pub(crate) fn leave(&mut self, filter: &str) {
        let mut book = self.port.0.lock().expect("no scene panics in here");
        book.wanted.retain(|wanted| wanted.as_bytes() != filter.as_bytes());
    }

    /// Bytes that were said at once, at most.
    pub(crate) fn most_said(&self) -> usize {
        self.port.0.lock().expect("no scene panics in here").most_said
    }

    /// Everything sent since the last time.
    pub(crate) fn heard(&self) -> Vec<Letter> {
        std::mem::take(&mut self.port.0.lock().expect("no scene panics in here").sent)
    }

    pub(crate) fn message(&self, subject: &str, reply: Option<&str>, headers: &[u8], body: &[u8]) -> Parcel {
        Parcel {
            account: self.account.clone(),
            subject: subject.into(),
            reply: reply.map(Into::into),
            headers: headers.to_vec(),
            payload: body.to_vec(),
            asker: None,
        }
    }

    pub(crate) fn publish(&mut self, subject: &str, headers: &[u8], body: &[u8]) {
        let message = self.message(subject, None, headers, body);
        self.round(&[message]);
    }

    pub(crate) fn round(&mut self, messages: &[Parcel]) {
        self.pass(Duration::from_micros(100));
        self.desk.round(messages.iter().map(Parcel::arrival), self.now);
    }

    /// One round, after which something may still wait.
    pub(crate) fn step(&mut self, messages: &[Parcel]) {
        self.pass(Duration::from_micros(100));
        self.desk.step(messages.iter().map(Parcel::arrival), self.now);
    }

    pub(crate) fn inbox(&mut self) -> String {
        self.inboxes += 1;
        format!("_I.{}", self.inboxes)
    }

    /// Asks and gives the first answer, at once or within a while.
    pub(crate) fn ask(&mut self, subject: &str, body: &str) -> String {
        let inbox = self.inbox();
        let message = self.message(subject, Some(&inbox), b"", body.as_bytes());
        self.round(&[message]);
        let heard = self.heard();
        let answer = heard.into_iter().find(|outgoing| outgoing.to == inbox.as_bytes());
        answer.map_or("-".to_owned(), |outgoing| String::from_utf8_lossy(&outgoing.payload).into_owned())
    }

    /// Time passes, and what is due is done.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now.tick + by;
        while self.now.tick < end {
            let rest = self.desk.rest(self.now).max(Duration::from_millis(1)).min(end.since(self.now.tick));
            self.pass(rest);
            self.desk.round([], self.now);
        }
    }

    pub(crate) fn pass(&mut self, by: Duration) {
        self.now = Now { wall: self.now.wall + by, tick: self.now.tick + by };
    }
}
