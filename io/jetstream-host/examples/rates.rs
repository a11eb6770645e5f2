//! How fast a stream takes messages, without a network: rounds of messages into a desk on a real disk.
//!
//! `cargo run --release -p bulwark-jetstream-host --example rates [directory]`

mod common;

use bulwark_jetstream_host::{Arrival, Clock, Desk, DeskSettings, Door, Outgoing, Port, RealClock, Report};
use jetstream::Incoming;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{Cipher, FileSettings, Sealing, SyncMode};
use subject::Filter;

#[derive(Default)]
struct Counter {
    sent: AtomicU64,
}

impl Port for Counter {
    fn publish<'a>(&self, _: &str, messages: &mut dyn Iterator<Item = Outgoing<'a>>) {
        self.sent.fetch_add(messages.count() as u64, Ordering::Relaxed);
    }
    fn is_wanted(&self, _: &str, _: &[u8]) -> bool {
        true
    }
    fn listen(&self, _: &str, _: Door, _: &Filter) {}
    fn unlisten(&self, _: &str, _: Door, _: &Filter) {}
    fn report(&self, report: Report) {
        println!("{report:?}");
    }
}

struct Case {
    what: &'static str,
    cipher: Cipher,
    sync: SyncMode,
    storage: &'static str,
    payload: usize,
    round: usize,
}

fn main() {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let columns = ["messages/s", "CPU us", "bytes/byte", "ordered/s", "CPU us"];
    println!(
        "{:<44} {:>12} {:>10} {:>12} {:>12} {:>10}",
        "case", columns[0], columns[1], columns[2], columns[3], columns[4]
    );
    let case = |what, cipher, sync, storage, payload, round| Case { what, cipher, sync, storage, payload, round };
    let (always, lazy) = (SyncMode::Always, SyncMode::Lazy);
    for case in [
        case("file, always, 1,000 in flight, 128 B", Cipher::None, always, "file", 128, 1000),
        case("file, always, 1 in flight, 128 B", Cipher::None, always, "file", 128, 1),
        case("file, lazy, 1,000 in flight, 128 B", Cipher::None, lazy, "file", 128, 1000),
        case("file, lazy, 1,000 in flight, 1 KiB", Cipher::None, lazy, "file", 1024, 1000),
        case("file, lazy, 1,000 in flight, 1 KiB, aes", Cipher::Aes, lazy, "file", 1024, 1000),
        case("file, lazy, 1,000 in flight, 1 KiB, chachapoly", Cipher::ChaChaPoly, lazy, "file", 1024, 1000),
        case("memory, 1,000 in flight, 128 B", Cipher::None, always, "memory", 128, 1000),
    ] {
        measure(&dir, &case);
    }
}

fn measure(dir: &Path, case: &Case) {
    let dir = dir.join(format!("rates-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let disk = Arc::new(disk::RealDisk::open(&dir).expect("a free directory"));
    let sealing = Sealing { cipher: case.cipher, key: Some("a key".into()), ..Sealing::default() };
    let files = FileSettings { sync: case.sync, ..FileSettings::default() };
    let settings = DeskSettings { sealing, files, ..DeskSettings::default() };
    let (port, clock) = (Arc::new(Counter::default()), RealClock::default());
    let account = common::account();
    let opened = Desk::open(disk, Arc::new(disk::OsEntropy), settings, vec![account], port.clone(), clock.now());
    let mut desk = opened.expect("opens").desk;
    let name: Arc<str> = "A".into();
    let body = format!("{{\"name\":\"S\",\"subjects\":[\"s.>\"],\"storage\":\"{}\"}}", case.storage);
    desk.round([request(&name, b"$JS.API.STREAM.CREATE.S", body.as_bytes())], clock.now());

    let payload = vec![b'x'; case.payload];
    let subjects: Vec<String> = (0..1000).map(|n| format!("s.subject.{n}")).collect();
    let mut round = Vec::new();
    for n in 0..case.round {
        let (subject, reply) = (subjects[n % 1000].as_bytes(), Some(&b"_INBOX.abcdefgh.1"[..]));
        let message = Incoming { subject, reply, headers: b"", payload: &payload };
        round.push(Arrival { account: &name, door: Door::Streams, message, asker: None, follower: None });
    }
    let (begin, cpu) = (Instant::now(), cpu_time());
    let mut stored = 0_u64;
    while begin.elapsed() < Duration::from_secs(3) {
        desk.round(round.iter().copied(), clock.now());
        stored += case.round as u64;
    }
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu_time() - cpu);
    let read = read_all(&mut desk, &name, &port, &clock, stored);
    let bytes = desk.tenant("A").map_or(0, |tenant| tenant.streams().map(|stream| stream.state().bytes).sum::<u64>());
    let on_disk: u64 = files_in(&dir);
    println!(
        "{:<44} {:>12.0} {:>10.2} {:>12.3} {:>12.0} {:>10.2}",
        case.what,
        stored as f64 / wall,
        cpu * 1e6 / stored as f64,
        on_disk as f64 / bytes as f64,
        read.0,
        read.1
    );
    let _ = std::fs::remove_dir_all(&dir);
}

/// Reads everything through an ordered consumer: messages a second, and microseconds of CPU for each.
fn read_all(desk: &mut Desk, name: &Arc<str>, port: &Counter, clock: &RealClock, stored: u64) -> (f64, f64) {
    let body = br#"{"stream_name":"S","config":{"deliver_subject":"d","ack_policy":"none","mem_storage":true}}"#;
    let (begin, cpu, before) = (Instant::now(), cpu_time(), port.sent.load(Ordering::Relaxed));
    desk.round([request(name, b"$JS.API.CONSUMER.CREATE.S", body)], clock.now());
    let mut delivered = 0;
    while delivered < stored && begin.elapsed() < Duration::from_secs(5) {
        desk.round([], clock.now());
        delivered = port.sent.load(Ordering::Relaxed) - before;
    }
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu_time() - cpu);
    (delivered as f64 / wall, cpu * 1e6 / delivered as f64)
}

fn request<'a>(account: &'a Arc<str>, subject: &'a [u8], payload: &'a [u8]) -> Arrival<'a> {
    let message = Incoming { subject, reply: Some(b"_I.c"), headers: b"", payload };
    Arrival { account, door: Door::Requests, message, asker: None, follower: None }
}

fn files_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(
            |entry| {
                if entry.path().is_dir() { files_in(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) }
            },
        )
        .sum()
}

/// Seconds of CPU this process used, user and system.
fn cpu_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
