//! What one tenant asks of its streams, and how long its neighbour waits for the acknowledgement of what it publishes.

use super::{Held, TAIL_TIME, login, median, round_trips, rounds};
use crate::fleet::{Make, Server};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Connections that ask, and questions of each that wait at a time.
const ASKERS: usize = 4;
const AT_ONCE: usize = 8;
/// Messages that are published between two looks at whether they were taken.
const BATCH: usize = 10_000;

/// Subjects of the stream that is asked about; `BULWARK_TAIL_SUBJECTS` sets it.
fn subjects() -> usize {
    std::env::var("BULWARK_TAIL_SUBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(200_000)
}

/// Each looks at everything there is, and has one answer.
fn questions(inbox: &str) -> Vec<String> {
    let many: Vec<String> = (0..50).map(|n| format!("\"s.*.y{n}\"")).collect();
    let all = [
        ("$JS.API.DIRECT.GET.S", format!("{{\"multi_last\":[{}]}}", many.join(","))),
        ("$JS.API.DIRECT.GET.S", r#"{"last_by_subj":"s.*.y"}"#.to_owned()),
        ("$JS.API.DIRECT.GET.S", r#"{"seq":1,"next_by_subj":"s.*.y"}"#.to_owned()),
        ("$JS.API.STREAM.MSG.GET.S", r#"{"last_by_subj":"s.*.y"}"#.to_owned()),
        ("$JS.API.STREAM.INFO.S", r#"{"subjects_filter":"s.*.y"}"#.to_owned()),
        ("$JS.API.STREAM.PURGE.S", r#"{"filter":"s.*.y"}"#.to_owned()),
    ];
    all.map(|(subject, body)| format!("PUB {subject} {inbox} {}\r\n{body}\r\n", body.len())).into()
}

/// A connection that reads what comes for it.
struct Asker {
    inbox: String,
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Asker {
    fn new(server: &Server, name: &str, number: usize) -> Asker {
        let (mut stream, inbox) = (login(server, name), format!("_I.{number}"));
        stream.write_all(format!("SUB {inbox} 1\r\n").as_bytes()).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Asker { inbox, stream, lines }
    }

    fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// The next message that comes, without its first line.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it is closed");
            if line.starts_with("PING") {
                self.say("PONG\r\n");
            } else if line.starts_with("MSG ") || line.starts_with("HMSG ") {
                let size: usize = line.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
                let mut body = vec![0; size + 2];
                std::io::Read::read_exact(&mut self.lines, &mut body).unwrap();
                return String::from_utf8_lossy(&body).into_owned();
            } else {
                assert!(!line.starts_with("-ERR"), "{line}");
            }
        }
    }

    fn ask(&mut self, subject: &str, body: &str) -> String {
        self.say(&format!("PUB {subject} {} {}\r\n{body}\r\n", self.inbox, body.len()));
        self.hear()
    }

    /// A stream in memory, so that nobody waits for the disk.
    fn make(&mut self, name: &str, subject: &str) {
        let config = format!("\"name\":\"{name}\",\"subjects\":[\"{subject}\"],\"storage\":\"memory\"");
        let more = "\"allow_direct\":true,\"max_msgs_per_subject\":1,\"retention\":\"limits\",\"num_replicas\":1";
        let made = self.ask(&format!("$JS.API.STREAM.CREATE.{name}"), &format!("{{{config},{more}}}"));
        assert!(made.contains("did_create"), "{made}");
    }

    fn fill(&mut self) {
        for from in (0..subjects()).step_by(BATCH) {
            let to = (from + BATCH).min(subjects());
            let all: String = (from..to).map(|n| format!("PUB s.{n}.x 4\r\nbody\r\n")).collect();
            self.say(&all);
            while !self.ask("$JS.API.STREAM.INFO.S", "").contains(&format!("\"messages\":{to},")) {}
        }
    }
}

/// The 99th percentile of what a publisher waits for its acknowledgement while its neighbour asks, and how much that was answered.
fn tail_under_questions(held: Held) -> (Duration, u64) {
    let make = if matches!(held, Held::AtTheReference) { Make::Reference } else { Make::Ours };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(
        make,
        &format!(
            "jetstream {{ store_dir: \"{}\" }}
            accounts {{
                NOISY {{ jetstream: enabled, users [ {{ user: noisy, password: noisy }} ] }}
                QUIET {{ jetstream: enabled, users [ {{ user: quiet, password: quiet }} ] }}
            }}",
            folder.path().display()
        ),
    );
    let mut noisy = Asker::new(&server, "noisy", ASKERS);
    noisy.make("S", "s.>");
    noisy.fill();
    Asker::new(&server, "quiet", ASKERS).make("Q", "q");
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let askers: Vec<_> = (0..ASKERS)
        .map(|number| {
            let (mut asker, done, answered) = (Asker::new(&server, "noisy", number), done.clone(), answered.clone());
            std::thread::spawn(move || {
                let questions = questions(&asker.inbox);
                let mut next = questions.iter().cycle().skip(number);
                (0..AT_ONCE).for_each(|_| asker.say(next.next().unwrap()));
                while !done.load(Ordering::Relaxed) {
                    asker.hear();
                    answered.fetch_add(1, Ordering::Relaxed);
                    asker.say(next.next().unwrap());
                }
            })
        })
        .collect();
    let publishes = "PUB q _I.q 5\r\nhello\r\n";
    let mut waits = round_trips(login(&server, "quiet"), "SUB _I.q 1\r\n", publishes, TAIL_TIME);
    done.store(true, Ordering::Relaxed);
    askers.into_iter().for_each(|asker| asker.join().unwrap());
    waits.sort_unstable();
    (waits[waits.len() * 99 / 100], answered.load(Ordering::Relaxed))
}

#[test]
#[ignore = "it measures: cargo xtask prove limits runs it"]
fn what_one_tenant_asks_of_its_streams_hurts_the_publishers_of_another_so_much() {
    let ways = [Held::ByNothing, Held::AtTheReference];
    let measured: Vec<[(Duration, u64); 2]> = (0..rounds())
        .map(|round| {
            let mut measured = [(Duration::ZERO, 0); 2];
            // Who comes first takes turns: the machine is not the same all the time.
            (0..2).map(|at| (round + at) % 2).for_each(|way| measured[way] = tail_under_questions(ways[way]));
            measured
        })
        .collect();
    let [(ours, our_answers), (theirs, their_answers)] = [0, 1].map(|way| {
        let of = || measured.iter().map(|round| round[way]);
        (median(of().map(|(tail, _)| tail)), median(of().map(|(_, answers)| answers)))
    });
    println!(
        "measured: while a neighbour asks about {} subjects, 99 of 100 messages are acknowledged within {ours:?}, at the reference \
         {theirs:?}; the neighbour is answered {our_answers} times in {TAIL_TIME:?}, at the reference {their_answers} (medians of {} \
         interleaved rounds)",
        subjects(),
        rounds()
    );
    let share = median(measured.iter().map(|[ours, theirs]| ours.0.as_secs_f64() / theirs.0.as_secs_f64()));
    println!("measured: {:.1} % of the tail at the reference (median of the pairs)", share * 100.0);
}
