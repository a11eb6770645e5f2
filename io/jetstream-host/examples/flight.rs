//! What a message costs from the inlet to its acknowledgement, with 1,000 in flight: as many rounds as asked for and nothing else, so that
//! two builds can be compared by their instructions.
//!
//! `perf stat -e instructions:u target/release/examples/flight [rounds] [file|memory] [directory]`

mod common;

use bulwark_jetstream_host::{
    Arrival, DeskSettings, Door, Host, Inlet, InletLimits, Outgoing, Port, RealClock, Report,
};
use jetstream::Incoming;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use store::{FileSettings, SyncMode};
use subject::Filter;

/// Messages in flight.
const FLIGHT: usize = 1_000;

/// Counts what was said.
#[derive(Default)]
struct Counter {
    said: Mutex<usize>,
    changed: Condvar,
}

impl Counter {
    /// Waits until so much was said.
    fn wait_for(&self, count: usize) {
        let said = self.said.lock().expect("nobody panics in here");
        drop(self.changed.wait_while(said, |said| *said < count).expect("nobody panics in here"));
    }
}

impl Port for Counter {
    fn publish<'a>(&self, _: &str, messages: &mut dyn Iterator<Item = Outgoing<'a>>) {
        *self.said.lock().expect("nobody panics in here") += messages.count();
        self.changed.notify_all();
    }
    fn is_wanted(&self, _: &str, _: &[u8]) -> bool {
        false
    }
    fn listen(&self, _: &str, _: Door, _: &Filter) {}
    fn unlisten(&self, _: &str, _: Door, _: &Filter) {}
    fn report(&self, _: Report) {}
}

fn main() {
    let mut args = std::env::args().skip(1);
    let rounds = args.next().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let storage = if args.next().as_deref() == Some("file") { "file" } else { "memory" };
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from).join(format!("flight-{}", std::process::id()));
    let disk = Arc::new(disk::RealDisk::open(&dir).expect("a free directory"));
    let files = FileSettings { sync: SyncMode::Lazy, ..FileSettings::default() };
    let settings = DeskSettings { files, ..DeskSettings::default() };
    let (port, inlet) = (Arc::new(Counter::default()), Inlet::new(InletLimits::default()));
    let accounts = vec![common::account()];
    let clock = Arc::new(RealClock::default());
    let host = Host::start(disk, Arc::new(disk::OsEntropy), settings, accounts, (port.clone(), inlet.clone()), clock);
    let host = host.expect("opens");
    let name: Arc<str> = "A".into();
    let body = format!("{{\"name\":\"S\",\"subjects\":[\"s.>\"],\"storage\":\"{storage}\"}}");
    let put = |door, subject: &[u8], payload: &[u8]| {
        let message = Incoming { subject, reply: Some(b"_INBOX.abcdefgh.1"), headers: b"", payload };
        let arrival = Arrival { account: &name, door, message, asker: None, follower: None };
        assert!(inlet.put(&arrival).is_ok(), "there is room");
    };
    put(Door::Requests, b"$JS.API.STREAM.CREATE.S", body.as_bytes());
    inlet.wake();
    port.wait_for(1);
    let subjects: Vec<String> = (0..FLIGHT).map(|n| format!("s.subject.{n}")).collect();
    for round in 1..=rounds {
        subjects.iter().for_each(|subject| put(Door::Streams, subject.as_bytes(), &[b'x'; 128]));
        inlet.wake();
        port.wait_for(1 + round * FLIGHT);
    }
    host.stop().expect("stops");
    let _ = std::fs::remove_dir_all(&dir);
    println!("{} messages", rounds * FLIGHT);
}
