//! What requests cost that look at many subjects or messages: how long each takes, how long others wait meanwhile, and how many units
//! of work that is; a turn of as many units should take as long whatever it is spent on.
//!
//! `cargo run --release -p bulwark-jetstream-host --example costs [subjects] [memory|file] [directory]`

mod common;

use bulwark_jetstream_host::{Arrival, Clock, Desk, DeskSettings, Door, Outgoing, Port, RealClock, Report};
use jetstream::Incoming;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use store::{FileSettings, SyncMode};
use subject::Filter;

/// Rounds until an answer is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Messages handed in at a time.
const BATCH: usize = 1_000;
/// Streams of the account that has many.
const STREAMS: usize = 10_000;

/// Remembers what was answered.
#[derive(Default)]
struct Answers(Mutex<Vec<(usize, Vec<u8>)>>);

impl Port for Answers {
    fn publish<'a>(&self, _: &str, messages: &mut dyn Iterator<Item = Outgoing<'a>>) {
        let mut answers = self.0.lock().expect("nobody panics in here");
        for message in messages.filter(|message| message.to.starts_with(b"_I.")) {
            let said = if message.payload.is_empty() { message.headers } else { message.payload };
            answers.push((message.payload.len(), said[..said.len().min(160)].to_vec()));
        }
    }
    fn is_wanted(&self, _: &str, subject: &[u8]) -> bool {
        subject.starts_with(b"_I.")
    }
    fn listen(&self, _: &str, _: Door, _: &Filter) {}
    fn unlisten(&self, _: &str, _: Door, _: &Filter) {}
    fn report(&self, report: Report) {
        if !matches!(report, Report::Restored { .. }) {
            eprintln!("{report:?}");
        }
    }
}

struct Bench {
    desk: Desk,
    port: Arc<Answers>,
    clock: RealClock,
    account: Arc<str>,
    storage: &'static str,
    subjects: usize,
    shows_all: bool,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let subjects = args.next().and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let storage = if args.next().as_deref() == Some("file") { "file" } else { "memory" };
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from).join(format!("costs-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    println!("{subjects} subjects, one message each, in {storage}\n");
    println!("{:<58} {:>10} {:>10} {:>8} {:>9}  answer", "request", "ms", "others ms", "rounds", "units");
    let mut bench = Bench::open(&dir, storage, subjects);
    bench.reads();
    bench.consumers();
    bench.publishes();
    bench.removals();
    bench.streams();
    drop(bench);
    let _ = std::fs::remove_dir_all(&dir);
}

impl Bench {
    fn open(dir: &std::path::Path, storage: &'static str, subjects: usize) -> Bench {
        let disk = Arc::new(disk::RealDisk::open(dir).expect("a free directory"));
        let files = FileSettings { sync: SyncMode::Lazy, ..FileSettings::default() };
        let settings = DeskSettings { files, ..DeskSettings::default() };
        let (port, clock) = (Arc::new(Answers::default()), RealClock::default());
        let opened =
            Desk::open(disk, Arc::new(disk::OsEntropy), settings, vec![common::account()], port.clone(), clock.now());
        let desk = opened.expect("opens").desk;
        Bench { desk, port, clock, account: "A".into(), storage, subjects, shows_all: true }
    }

    /// Asks and waits for the answer; how long that took and how long the longest round was.
    fn ask(&mut self, subject: &str, headers: &str, body: &str) -> (Duration, Duration, usize, String) {
        self.port.0.lock().expect("nobody panics in here").clear();
        let door = if subject.starts_with("$JS.") { Door::Requests } else { Door::Streams };
        let headers = if headers.is_empty() { String::new() } else { format!("NATS/1.0\r\n{headers}\r\n\r\n") };
        let (begin, mut longest, mut rounds) = (Instant::now(), Duration::ZERO, 0);
        let message = Incoming {
            subject: subject.as_bytes(),
            reply: Some(b"_I.1"),
            headers: headers.as_bytes(),
            payload: body.as_bytes(),
        };
        let account = self.account.clone();
        let mut arrival = Some(Arrival { account: &account, door, message, asker: None, follower: None });
        loop {
            let round = Instant::now();
            self.desk.step(arrival.take(), self.clock.now());
            longest = longest.max(round.elapsed());
            rounds += 1;
            let answers = self.port.0.lock().expect("nobody panics in here");
            if let Some((len, said)) = answers.last() {
                let said = String::from_utf8_lossy(said).replace("\r\n", "|");
                return (
                    begin.elapsed(),
                    longest,
                    rounds,
                    format!("{len} B {}", said.chars().take(70).collect::<String>()),
                );
            }
            if begin.elapsed() > PATIENCE {
                return (begin.elapsed(), longest, rounds, "no answer".to_owned());
            }
        }
    }

    fn show(&mut self, what: &str, subject: &str, headers: &str, body: &str) {
        let before = self.desk.units_done();
        let (took, longest, rounds, said) = self.ask(subject, headers, body);
        let units = self.desk.units_done() - before;
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        if self.shows_all {
            let (took, longest) = (ms(took), ms(longest));
            println!("{what:<58} {took:>10.3} {longest:>10.3} {rounds:>8} {units:>9}  {said}");
        }
    }

    fn rest(&mut self, rounds: usize) {
        (0..rounds).for_each(|_| self.desk.round([], self.clock.now()));
    }

    fn fill(&mut self, stream: &str, more: &str) {
        let body = format!(
            "{{\"name\":\"{stream}\",\"subjects\":[\"{stream}.>\"],\"storage\":\"{}\",\"allow_direct\":true{more}}}",
            self.storage
        );
        let made = self.ask(&format!("$JS.API.STREAM.CREATE.{stream}"), "", &body);
        assert!(made.3.contains("stream_create"), "{}", made.3);
        self.publish_all(stream);
    }

    fn reads(&mut self) {
        self.fill("S", "");
        let middle = self.subjects / 2;
        self.show("publish", "S.1.1.x", "", "hello");
        self.show("direct get, last by literal", "$JS.API.DIRECT.GET.S.S.1.1.x", "", "");
        for (what, filter) in [("common", "S.*.*.x"), ("first only", "S.0.0.*"), ("none", "S.*.*.y")] {
            let body = format!("{{\"last_by_subj\":\"{filter}\"}}");
            self.show(&format!("direct get, last_by_subj, {what}"), "$JS.API.DIRECT.GET.S", "", &body);
            self.show(&format!("STREAM.MSG.GET, last_by_subj, {what}"), "$JS.API.STREAM.MSG.GET.S", "", &body);
            let body = format!("{{\"seq\":2,\"next_by_subj\":\"{filter}\"}}");
            self.show(&format!("direct get, next_by_subj, {what}"), "$JS.API.DIRECT.GET.S", "", &body);
            let body = format!("{{\"seq\":2,\"next_by_subj\":\"{filter}\",\"batch\":10}}");
            self.show(&format!("direct get, batch, {what}"), "$JS.API.DIRECT.GET.S", "", &body);
            let body = format!("{{\"multi_last\":[\"{filter}\"]}}");
            self.show(&format!("direct get, multi_last, {what}"), "$JS.API.DIRECT.GET.S", "", &body);
            let body = format!("{{\"multi_last\":[\"{filter}\"],\"up_to_seq\":{middle}}}");
            self.show(&format!("direct get, multi_last up to the middle, {what}"), "$JS.API.DIRECT.GET.S", "", &body);
            let body = format!("{{\"subjects_filter\":\"{filter}\"}}");
            self.show(&format!("STREAM.INFO, subjects_filter, {what}"), "$JS.API.STREAM.INFO.S", "", &body);
        }
        let many: Vec<String> = (0..100).map(|n| format!("\"S.*.*.y{n}\"")).collect();
        let body = format!("{{\"multi_last\":[{}]}}", many.join(","));
        self.show("direct get, multi_last, 100 filters, none", "$JS.API.DIRECT.GET.S", "", &body);
        for n in (1..self.subjects).step_by(2).take(50_000) {
            let body = format!("{{\"seq\":{n},\"no_erase\":true}}");
            self.shows_all = false;
            self.show("", "$JS.API.STREAM.MSG.DELETE.S", "", &body);
        }
        self.shows_all = true;
        self.show(
            "STREAM.INFO, deleted_details, 50,000 gone",
            "$JS.API.STREAM.INFO.S",
            "",
            "{\"deleted_details\":true}",
        );
    }

    fn consumer(&mut self, what: &str, name: &str, more: &str) {
        let body = format!(
            "{{\"stream_name\":\"S\",\"config\":{{\"name\":\"{name}\",\"ack_policy\":\"explicit\",\"durable_name\":\"{name}\"{more}}}}}"
        );
        self.show(what, &format!("$JS.API.CONSUMER.CREATE.S.{name}"), "", &body);
    }

    fn consumers(&mut self) {
        let middle = self.subjects / 2;
        self.consumer("CONSUMER.CREATE", "all", "");
        self.consumer("CONSUMER.CREATE, a filter", "filtered", ",\"filter_subject\":\"S.*.*.x\"");
        self.consumer("CONSUMER.CREATE, a filter for none", "none", ",\"filter_subject\":\"S.*.*.y\"");
        let later = format!(
            ",\"filter_subject\":\"S.*.*.x\",\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":{middle}"
        );
        self.consumer("CONSUMER.CREATE, a filter, from the middle", "later", &later);
        self.consumer(
            "CONSUMER.CREATE, last_per_subject",
            "last",
            ",\"filter_subject\":\"S.>\",\"deliver_policy\":\"last_per_subject\"",
        );
        self.consumer(
            "CONSUMER.CREATE, last, a filter for none",
            "lasts",
            ",\"filter_subject\":\"S.*.*.y\",\"deliver_policy\":\"last\"",
        );
        let many: Vec<String> = (0..100).map(|n| format!("\"S.*.*.y{n}\"")).collect();
        self.consumer("CONSUMER.CREATE, 100 filters", "many", &format!(",\"filter_subjects\":[{}]", many.join(",")));
        self.show("CONSUMER.INFO", "$JS.API.CONSUMER.INFO.S.later", "", "");
        self.show(
            "STREAM.MSG.DELETE, then",
            "$JS.API.STREAM.MSG.DELETE.S",
            "",
            &format!("{{\"seq\":{},\"no_erase\":true}}", middle * 2 - 1000),
        );
        self.show("CONSUMER.INFO", "$JS.API.CONSUMER.INFO.S.later", "", "");
        self.shows_all = false;
        for n in 0..64 {
            self.consumer("", &format!("c{n}"), &later);
        }
        self.shows_all = true;
        self.rest(3);
        self.show("CONSUMER.LIST of 71", "$JS.API.CONSUMER.LIST.S", "", "");
        self.show(
            "STREAM.MSG.DELETE with 71 consumers",
            "$JS.API.STREAM.MSG.DELETE.S",
            "",
            &format!("{{\"seq\":{},\"no_erase\":true}}", middle * 2 - 1001),
        );
        self.show("publish behind it", "S.1.1.x", "", "hello");
        self.show(
            "pull without anything to deliver",
            "$JS.API.CONSUMER.MSG.NEXT.S.none",
            "",
            "{\"batch\":1,\"no_wait\":true}",
        );
        self.shows_all = false;
        let names: Vec<String> = ["all", "filtered", "none", "later", "last", "lasts", "many"]
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
        for name in names.into_iter().chain((0..64).map(|n| format!("c{n}"))) {
            self.show("", &format!("$JS.API.CONSUMER.DELETE.S.{name}"), "", "");
        }
        self.shows_all = true;
    }

    fn publishes(&mut self) {
        let expects = "Nats-Expected-Last-Subject-Sequence: 0\r\nNats-Expected-Last-Subject-Sequence-Subject: S.*.*.y";
        self.show("publish, expected last of a filter for none", "S.1.1.x", expects, "hello");
        self.fill("R", ",\"allow_rollup_hdrs\":true");
        self.show("publish, Nats-Rollup: sub of wildcards", "R.*.*.y", "Nats-Rollup: sub", "hello");
        self.show("publish, Nats-Rollup: all", "R.1.1.x", "Nats-Rollup: all", "hello");
    }

    fn removals(&mut self) {
        let middle = self.subjects / 2;
        self.show("STREAM.PURGE, filter, none", "$JS.API.STREAM.PURGE.S", "", "{\"filter\":\"S.*.*.y\"}");
        self.show("STREAM.PURGE, filter, a tenth", "$JS.API.STREAM.PURGE.S", "", "{\"filter\":\"S.*.3.x\"}");
        self.show(
            "STREAM.PURGE, filter, keep",
            "$JS.API.STREAM.PURGE.S",
            "",
            &format!("{{\"filter\":\"S.>\",\"keep\":{middle}}}"),
        );
        self.fill("T", "");
        self.show("STREAM.PURGE, seq", "$JS.API.STREAM.PURGE.T", "", &format!("{{\"seq\":{middle}}}"));
        self.show("STREAM.PURGE, keep", "$JS.API.STREAM.PURGE.T", "", &format!("{{\"keep\":{}}}", middle / 2));
        self.show("STREAM.PURGE", "$JS.API.STREAM.PURGE.T", "", "");
        self.fill("U", "");
        let body = format!(
            "{{\"name\":\"U\",\"subjects\":[\"U.>\"],\"storage\":\"{}\",\"allow_direct\":true,\"max_msgs\":1}}",
            self.storage
        );
        self.show("STREAM.UPDATE, max_msgs", "$JS.API.STREAM.UPDATE.U", "", &body);
        self.show("STREAM.DELETE of a small one", "$JS.API.STREAM.DELETE.U", "", "");
        self.fill("I", ",\"retention\":\"interest\"");
        let body =
            "{\"stream_name\":\"I\",\"config\":{\"name\":\"c\",\"ack_policy\":\"explicit\",\"durable_name\":\"c\"}}";
        self.show("CONSUMER.CREATE, interest", "$JS.API.CONSUMER.CREATE.I.c", "", body);
        self.shows_all = false;
        self.show("", "$JS.API.STREAM.DELETE.I", "", "");
        let body = format!(
            "{{\"name\":\"I\",\"subjects\":[\"I.>\"],\"storage\":\"{}\",\"retention\":\"interest\"}}",
            self.storage
        );
        self.show("", "$JS.API.STREAM.CREATE.I", "", &body);
        let body =
            "{\"stream_name\":\"I\",\"config\":{\"name\":\"c\",\"ack_policy\":\"explicit\",\"durable_name\":\"c\"}}";
        self.show("", "$JS.API.CONSUMER.CREATE.I.c", "", body);
        self.shows_all = true;
        self.publish_all("I");
        self.show("CONSUMER.DELETE, interest", "$JS.API.CONSUMER.DELETE.I.c", "", "");
        self.fill("D", "");
        self.show("STREAM.DELETE of a large one", "$JS.API.STREAM.DELETE.D", "", "");
        self.fill("E", ",\"max_age\":1000000000,\"duplicate_window\":1000000000");
        let (begin, mut longest) = (Instant::now(), Duration::ZERO);
        while begin.elapsed() < Duration::from_millis(2_500) {
            let round = Instant::now();
            self.desk.round([], self.clock.now());
            longest = longest.max(round.elapsed());
            std::thread::sleep(Duration::from_micros(100));
        }
        println!("{:<58} {:>10} {:>10.3}", "expiry by age", "", longest.as_secs_f64() * 1e3);
    }

    fn publish_all(&mut self, stream: &str) {
        let (account, payload) = (self.account.clone(), [b'x'; 64]);
        for from in (0..self.subjects).step_by(BATCH) {
            let subjects: Vec<String> = (from..(from + BATCH).min(self.subjects)).map(|n| subject(stream, n)).collect();
            let arrivals = subjects.iter().map(|subject| {
                let message = Incoming { subject: subject.as_bytes(), reply: None, headers: b"", payload: &payload };
                Arrival { account: &account, door: Door::Streams, message, asker: None, follower: None }
            });
            self.desk.round(arrivals, self.clock.now());
        }
        self.rest(3);
    }

    fn streams(&mut self) {
        self.shows_all = false;
        for n in 0..STREAMS {
            let body = format!("{{\"name\":\"N{n}\",\"subjects\":[\"n{n}.>\"],\"storage\":\"memory\"}}");
            self.show("", &format!("$JS.API.STREAM.CREATE.N{n}"), "", &body);
        }
        self.shows_all = true;
        println!("with {STREAMS} streams more");
        self.show("publish", "n1.a", "", "hello");
        self.show("STREAM.NAMES", "$JS.API.STREAM.NAMES", "", "");
        self.show("STREAM.NAMES, by a subject", "$JS.API.STREAM.NAMES", "", "{\"subject\":\"n1.*\"}");
        self.show("STREAM.LIST", "$JS.API.STREAM.LIST", "", "");
        self.show("INFO", "$JS.API.INFO", "", "");
        self.show(
            "STREAM.CREATE",
            "$JS.API.STREAM.CREATE.N",
            "",
            "{\"name\":\"N\",\"subjects\":[\"n.>\"],\"storage\":\"memory\"}",
        );
        let many: Vec<String> = (0..10_000).map(|n| format!("\"z.{n}.*\"")).collect();
        let body = format!("{{\"name\":\"Z\",\"storage\":\"memory\",\"subjects\":[{}]}}", many.join(","));
        self.show("STREAM.CREATE, 10,000 subjects", "$JS.API.STREAM.CREATE.Z", "", &body);
    }
}

fn subject(stream: &str, n: usize) -> String {
    format!("{stream}.{n}.{}.x", n % 10)
}
