//! Each feature as the reference has it: the scripts of `transcripts/features`, recorded from release 2.15.1.
//!
//! Recorded with `NATS_REFERENCE=127.0.0.1:4222 cargo test -p bulwark-jetstream-host -- --ignored recording`, against a
//! server with an empty store.

use crate::house::{Letter, Room};
use crate::script::{Driver, Heard, run};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use subject::{Filter, Subject};

const PATIENCE: Duration = Duration::from_millis(600);
const QUIET: Duration = Duration::from_millis(250);

fn scripts() -> Vec<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/transcripts/features");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).expect("the scripts").map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}

#[test]
fn every_feature_answers_as_the_reference() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut wrong = String::new();
    for file in scripts().into_iter().filter(|file| file.to_string_lossy().contains(&only)) {
        let script = std::fs::read_to_string(&file).expect("readable");
        let ours = run(&script, &mut Ours::new());
        for difference in differences(&script, &ours) {
            wrong.push_str(&format!("{}: {difference}\n", file.file_name().expect("a file").to_string_lossy()));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn differences(reference: &str, ours: &str) -> Vec<String> {
    let steps = |text: &str| -> Vec<(String, Vec<String>)> {
        let mut steps: Vec<(String, Vec<String>)> = Vec::new();
        for line in text.lines() {
            match steps.last_mut() {
                Some((_, answers)) if line.starts_with("< ") || line.starts_with("= ") => answers.push(line.to_owned()),
                _ => steps.push((line.to_owned(), Vec::new())),
            }
        }
        steps
    };
    let pairs = steps(reference).into_iter().zip(steps(ours));
    let differing = pairs.filter(|(left, right)| left != right);
    differing
        .map(|((step, theirs), (_, ours))| {
            format!(
                "{step}\n  reference {}\n  ours      {}",
                theirs.join("\n            "),
                ours.join("\n            ")
            )
        })
        .collect()
}

/// A room with a script that is read to it.
struct Ours {
    room: Room,
    listened: Vec<Filter>,
    overheard: Vec<Letter>,
}

impl Ours {
    fn new() -> Ours {
        Ours { room: Room::new(), listened: Vec::new(), overheard: Vec::new() }
    }

    fn collect(&mut self, inbox: Option<&str>) -> Vec<Heard> {
        let mut answers = Vec::new();
        for outgoing in self.room.heard() {
            let is_listened = Subject::parse(&outgoing.to)
                .is_ok_and(|subject| self.listened.iter().any(|filter| filter.matches(subject)));
            if inbox.is_some_and(|inbox| outgoing.to.starts_with(inbox.as_bytes())) {
                answers.push(heard(&outgoing));
            } else if is_listened {
                self.overheard.push(outgoing);
            }
        }
        answers
    }
}

fn heard(outgoing: &Letter) -> Heard {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Heard {
        subject: text(outgoing.subject.as_deref().unwrap_or(&outgoing.to)),
        reply: text(outgoing.reply.as_deref().unwrap_or_default()),
        headers: text(&outgoing.headers),
        body: text(&outgoing.payload),
    }
}

impl Driver for Ours {
    fn ask(&mut self, subject: &str, headers: &str, body: &str, all: bool) -> Vec<Heard> {
        let inbox = self.room.inbox();
        self.collect(None);
        let (subject, inbox) = match subject.split_once("<-") {
            Some((subject, reply)) => (subject.to_owned(), format!("_I.{reply}")),
            None => (subject.to_owned(), inbox),
        };
        let message = self.room.message(&subject, Some(&inbox), headers.as_bytes(), body.as_bytes());
        self.room.round(&[message]);
        let mut answers = self.collect(Some(&inbox));
        if answers.is_empty() || all {
            self.room.advance(if all { QUIET } else { PATIENCE });
            answers.extend(self.collect(Some(&inbox)));
        }
        if !all {
            answers.truncate(1);
        }
        answers
    }

    fn publish(&mut self, subject: &str, headers: &str, body: &str) {
        self.room.publish(subject, headers.as_bytes(), body.as_bytes());
        self.collect(None);
    }

    fn listen(&mut self, filter: &str) {
        self.room.listen(filter);
        self.listened.push(Filter::parse(filter.as_bytes()).expect("a filter"));
    }

    fn wait(&mut self, millis: u64) {
        self.room.advance(Duration::from_millis(millis));
        self.collect(None);
    }

    fn overheard(&mut self) -> Vec<Heard> {
        if !self.listened.is_empty() {
            self.room.advance(Duration::from_millis(20));
            self.collect(None);
        }
        std::mem::take(&mut self.overheard).iter().map(heard).collect()
    }

    fn seconds(&self) -> i64 {
        self.room.now.wall.as_nanos() / 1_000_000_000
    }
}

/// The reference, over a connection.
struct Reference {
    stream: BufReader<TcpStream>,
    inboxes: u32,
    sids: u32,
    is_listening: bool,
    overheard: Vec<Heard>,
}

#[test]
#[ignore = "recording: needs the reference server, see the top of the file"]
fn recording() {
    let address = std::env::var("NATS_REFERENCE").expect("NATS_REFERENCE=host:port");
    let only = std::env::var("ONLY").unwrap_or_default();
    for file in scripts().into_iter().filter(|file| file.to_string_lossy().contains(&only)) {
        let script = std::fs::read_to_string(&file).expect("readable");
        let mut reference = Reference::connect(&address);
        reference.clean();
        let recorded = run(&script, &mut reference);
        std::fs::write(&file, recorded).expect("writable");
    }
}

impl Reference {
    fn connect(address: &str) -> Reference {
        let stream = TcpStream::connect(address).expect("the reference listens");
        stream.set_nodelay(true).expect("a socket");
        let mut reference = Reference {
            stream: BufReader::new(stream),
            inboxes: 0,
            sids: 1,
            is_listening: false,
            overheard: Vec::new(),
        };
        let mut info = String::new();
        reference.stream.read_line(&mut info).expect("INFO");
        reference.write(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB _I.> 1\r\n");
        reference
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the reference is up");
    }

    /// Removes what an earlier script left.
    fn clean(&mut self) {
        let names = self.ask("$JS.API.STREAM.NAMES", "", "", false);
        let body = names.into_iter().next().expect("an answer").body;
        let list = body.split("\"streams\":[").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
        for name in list.split(',').map(|name| name.trim_matches('"')).filter(|name| !name.is_empty()) {
            self.ask(&format!("$JS.API.STREAM.DELETE.{name}"), "", "", false);
        }
    }

    fn send(&mut self, subject: &str, reply: &str, headers: &str, body: &str) {
        let reply = if reply.is_empty() { String::new() } else { format!("{reply} ") };
        let size = headers.len() + body.len();
        let line = match headers.is_empty() {
            true => format!("PUB {subject} {reply}{size}\r\n{body}\r\n"),
            false => format!("HPUB {subject} {reply}{} {size}\r\n{headers}{body}\r\n", headers.len()),
        };
        self.write(line.as_bytes());
    }

    /// The next message, with the subscription that got it.
    fn next(&mut self, until: Instant) -> Option<(u32, Heard)> {
        loop {
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.stream.get_ref().set_read_timeout(Some(left)).expect("a socket");
            let mut line = String::new();
            self.stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.first().copied() {
                Some("PING") => self.write(b"PONG\r\n"),
                Some(kind @ ("MSG" | "HMSG")) => return Some(self.read_message(kind, &words)),
                _ => {}
            }
        }
    }

    fn read_message(&mut self, kind: &str, words: &[&str]) -> (u32, Heard) {
        let numbers = if kind == "HMSG" { 2 } else { 1 };
        let total: usize = words.last().expect("a size").parse().expect("a number");
        let header_len = match kind {
            "HMSG" => words[words.len() - 2].parse().expect("a number"),
            _ => 0,
        };
        let reply = if words.len() == 3 + numbers + 1 { words[3].to_owned() } else { String::new() };
        let mut bytes = vec![0; total + 2];
        self.stream.get_ref().set_read_timeout(None).expect("a socket");
        self.stream.read_exact(&mut bytes).expect("the whole message");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (headers, body) = bytes[..total].split_at(header_len);
        let heard = Heard { subject: words[1].to_owned(), reply, headers: text(headers), body: text(body) };
        (words[2].parse().expect("a sid"), heard)
    }
}

impl Driver for Reference {
    fn ask(&mut self, subject: &str, headers: &str, body: &str, all: bool) -> Vec<Heard> {
        self.inboxes += 1;
        let (subject, inbox) = match subject.split_once("<-") {
            Some((subject, reply)) => (subject.to_owned(), format!("_I.{reply}")),
            None => (subject.to_owned(), format!("_I.r{}", self.inboxes)),
        };
        self.send(&subject, &inbox, headers, body);
        let mut answers = Vec::new();
        let mut until = Instant::now() + if all { QUIET } else { PATIENCE };
        while let Some((sid, heard)) = self.next(until) {
            match sid {
                1 => answers.push(heard),
                _ => {
                    self.overheard.push(heard);
                    continue;
                }
            }
            if !all {
                break;
            }
            until = Instant::now() + QUIET;
        }
        answers
    }

    fn publish(&mut self, subject: &str, headers: &str, body: &str) {
        self.send(subject, "", headers, body);
    }

    fn listen(&mut self, filter: &str) {
        self.sids += 1;
        self.is_listening = true;
        let line = format!("SUB {filter} {}\r\nPING\r\n", self.sids);
        self.write(line.as_bytes());
    }

    fn wait(&mut self, millis: u64) {
        let until = Instant::now() + Duration::from_millis(millis);
        while let Some((sid, heard)) = self.next(until) {
            if sid > 1 {
                self.overheard.push(heard);
            }
        }
    }

    fn overheard(&mut self) -> Vec<Heard> {
        if self.is_listening {
            self.wait(120);
        }
        std::mem::take(&mut self.overheard)
    }

    fn seconds(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after the epoch");
        i64::try_from(since.as_secs()).expect("soon enough")
    }
}

#[test]
fn a_schedule_takes_the_place_of_itself_alone() {
    let mut room = Room::new();
    let config = r#"{"name":"S","subjects":["s.>"],"allow_msg_schedules":true}"#;
    assert!(room.ask("$JS.API.STREAM.CREATE.S", config).contains("did_create"));
    room.publish("s.a", b"", b"kept");
    room.publish("s.b.c", b"", b"kept");
    let schedule = b"NATS/1.0\r\nNats-Schedule: @at 2035-01-01T00:00:00Z\r\nNats-Schedule-Target: s.target\r\n\r\n";
    // Bytes of a subject are what they are: nobody is asked whether the publisher may remove what wildcards would match.
    for (subject, messages) in [("s.plan", 3), ("s.plan", 3), ("s.*", 4), ("s.*.c", 5), ("s.>", 6)] {
        room.publish(subject, schedule, b"x");
        let info = room.ask("$JS.API.STREAM.INFO.S", "");
        assert!(info.contains(&format!("\"messages\":{messages},")), "{subject}: {info}");
    }
}
