//! A desk with a port that writes everything down, and a clock that the scene moves.

use bulwark_jetstream_host::{AccountSettings, Desk, DeskSettings, Message, Outgoing, Port, Report};
use jetstream::Now;
use moment::{Instant, Timestamp};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::StoreError;
use subject::{Filter, Subject};
use testkit::{CrashDisk, SeededEntropy};

/// What the port saw.
#[derive(Default)]
pub(crate) struct Notebook {
    pub sent: Vec<Outgoing>,
    pub wanted: Vec<Filter>,
    pub listens: Vec<Filter>,
    pub reports: Vec<Report>,
}

#[derive(Default)]
pub(crate) struct TestPort(pub Mutex<Notebook>);

impl Port for TestPort {
    fn publish(&self, _: &str, messages: Vec<Outgoing>) {
        self.0.lock().expect("no scene panics in here").sent.extend(messages);
    }
    fn is_wanted(&self, _: &str, subject: &[u8]) -> bool {
        let Ok(subject) = Subject::parse(subject) else { return false };
        self.0.lock().expect("no scene panics in here").wanted.iter().any(|filter| filter.matches(subject))
    }
    fn listen(&self, _: &str, filter: &Filter) {
        self.0.lock().expect("no scene panics in here").listens.push(filter.clone());
    }
    fn unlisten(&self, _: &str, filter: &Filter) {
        let mut book = self.0.lock().expect("no scene panics in here");
        if let Some(at) = book.listens.iter().position(|other| other == filter) {
            book.listens.remove(at);
        }
    }
    fn report(&self, report: Report) {
        self.0.lock().expect("no scene panics in here").reports.push(report);
    }
}

/// A desk and everything around it.
pub(crate) struct Room {
    pub disk: CrashDisk,
    pub desk: Desk,
    pub port: Arc<TestPort>,
    pub account: Arc<str>,
    pub now: Now,
    settings: DeskSettings,
    inboxes: u32,
}

pub(crate) fn account(name: &str) -> AccountSettings {
    AccountSettings {
        account: name.to_owned(),
        domain: String::new(),
        server_id: "SERVER".to_owned(),
        version: "2.15.1".to_owned(),
        limits: api::responses::AccountLimits::default(),
        mode: api::Mode::Strict,
        max_duplicate_window: 0,
        default_max_consumers: 1000,
    }
}

fn sealed() -> DeskSettings {
    let sealing = store::Sealing { cipher: store::Cipher::Aes, key: Some("the key".into()), previous_key: None };
    DeskSettings { sealing, ..DeskSettings::default() }
}

impl Room {
    pub(crate) fn new() -> Room {
        Room::on(CrashDisk::new(1), sealed())
    }

    pub(crate) fn on(disk: CrashDisk, settings: DeskSettings) -> Room {
        let now = Now { wall: Timestamp::from_secs(1_795_000_000), tick: Instant::from_nanos(1) };
        Room::try_on(disk, settings, now).expect("the store opens")
    }

    pub(crate) fn try_on(disk: CrashDisk, settings: DeskSettings, now: Now) -> Result<Room, StoreError> {
        let port = Arc::new(TestPort::default());
        port.0.lock().expect("fresh").wanted.push(Filter::parse(b"_I.>").expect("a filter"));
        let entropy = Arc::new(SeededEntropy::new(disk.operations() + 5));
        let (dyn_disk, dyn_port) = (Arc::new(disk.clone()), port.clone());
        let opened = Desk::open(dyn_disk, entropy, settings.clone(), vec![account("A")], dyn_port, now)?;
        Ok(Room { disk, desk: opened.desk, port, account: "A".into(), now, settings, inboxes: 0 })
    }

    /// The room on another disk: after a crash, or a restart.
    pub(crate) fn again(&self, disk: CrashDisk) -> Room {
        Room::try_on(disk, self.settings.clone(), self.now).expect("the store opens")
    }

    /// Somebody listens.
    pub(crate) fn listen(&self, filter: &str) {
        let filter = Filter::parse(filter.as_bytes()).expect("a filter");
        self.port.0.lock().expect("no scene panics in here").wanted.push(filter);
    }

    /// Everything sent since the last time.
    pub(crate) fn heard(&self) -> Vec<Outgoing> {
        std::mem::take(&mut self.port.0.lock().expect("no scene panics in here").sent)
    }

    pub(crate) fn message(&self, subject: &str, reply: Option<&str>, headers: &[u8], body: &[u8]) -> Message {
        Message::new(&self.account, subject.as_bytes(), reply.map(str::as_bytes), headers, body)
    }

    pub(crate) fn publish(&mut self, subject: &str, headers: &[u8], body: &[u8]) {
        let message = self.message(subject, None, headers, body);
        self.round(&[message]);
    }

    pub(crate) fn round(&mut self, messages: &[Message]) {
        self.pass(Duration::from_micros(100));
        self.desk.round(messages, self.now);
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
            self.desk.round(&[], self.now);
        }
    }

    fn pass(&mut self, by: Duration) {
        self.now = Now { wall: self.now.wall + by, tick: self.now.tick + by };
    }
}
