//! A flood of refusals: what it leaves on the disk and in the log, by number; what it costs those who behave is measured where
//! `BULWARK_FLOOD_ROUNDS` says how often (`cargo xtask prove limits`).

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::running::{Running, user};

/// Rounds of the measurement. It says something about a build that is released, on a machine that does nothing else.
fn rounds() -> Option<usize> {
    std::env::var("BULWARK_FLOOD_ROUNDS").ok().and_then(|text| text.parse().ok())
}

/// Kinds of refusals of one user that are told apart in a window (`audit::GATE_KINDS_OF_ONE_USER_MAX`).
const KINDS_MAX: usize = 64;

/// Different errors that the log writes within a second.
const ERRORS_PER_SECOND_MAX: usize = 200;

const USERS: &str = r#"accounts { SHOP { users [
  { user: clerk, password: c, permissions: { publish: "orders.>" } }
  { user: owner, password: o }
] } }
authorization { timeout: 20 }
"#;

/// The largest line of a trail, and there are some for each file: how it goes on, a checkpoint, what was removed.
const LINES_OF_A_FILE_BYTES: u64 = 4 * 16 * 1024;

fn flood(subjects: usize) -> Vec<u8> {
    (0..subjects).flat_map(|number| format!("PUB no.{number} 1\r\nx\r\n").into_bytes()).collect()
}

/// Publishes what is denied as fast as it is taken, until told to stop; somebody reads the refusals.
fn flooder(server: &Running, stop: &Arc<AtomicBool>) -> impl FnOnce() + use<> {
    let mut stream = server.admitted(&user("clerk", "c")).handle();
    let mut answers = stream.try_clone().unwrap();
    let (stop, bytes) = (stop.clone(), flood(10_000));
    let reader = std::thread::spawn(move || {
        let mut room = vec![0; 1 << 16];
        while answers.read(&mut room).is_ok_and(|read| read > 0) {}
    });
    let writer = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) && stream.write_all(&bytes).is_ok() {}
        let _ = stream.shutdown(Shutdown::Both);
    });
    move || {
        writer.join().unwrap();
        reader.join().unwrap();
    }
}

fn files(folder: &Path) -> Vec<(String, u64)> {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let named = files.map(|file| (file.file_name().to_string_lossy().into_owned(), file.metadata().unwrap().len()));
    named.filter(|(name, _)| name.starts_with("audit.jsonl")).collect()
}

#[test]
fn a_flood_of_refusals_leaves_a_trail_of_bounded_size_that_is_whole_and_says_what_went() {
    let folder = TempDir::new().unwrap();
    let audit = format!(
        "audit {{ file: '{}', size_limit: 24KB, max_files: 3, window: 1s }}",
        folder.path().join("audit.jsonl").display()
    );
    let mut server = Running::start_in(folder, &(USERS.to_owned() + &audit));
    let stop = Arc::new(AtomicBool::new(false));
    let flooder = flooder(&server, &stop);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        // Who behaves is served meanwhile.
        server.admitted(&user("owner", "o")).settle();
        std::thread::sleep(Duration::from_millis(50));
    }
    stop.store(true, Ordering::Relaxed);
    flooder();
    server.stop();
    let found = files(server.path("").as_path());
    let (count, bytes) = (found.len(), found.iter().map(|(_, bytes)| bytes).sum::<u64>());
    assert!(count == 3 && bytes <= 3 * (24 * 1024 + LINES_OF_A_FILE_BYTES), "{found:?}");
    let file = server.path("audit.jsonl");
    let tool = |words: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_nats-server")).arg("audit").args(words).arg(&file).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(tool(&["verify"]).contains("whole"), "{}", tool(&["verify"]));
    let all: String = found.iter().map(|(name, _)| std::fs::read_to_string(server.path(name)).unwrap()).collect();
    assert!(all.contains("and others like it") && all.contains("was removed: there are as many files"), "{all}");
}

#[test]
fn without_a_word_about_it_a_trail_is_bounded_too() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("audit.jsonl");
    for number in 0..40 {
        // Put aside by earlier servers.
        std::fs::write(folder.path().join(format!("audit.jsonl.{number:020}")), "x").unwrap();
    }
    let audit = format!("audit {{ file: '{}', size_limit: 1KB }}", file.display());
    let mut server = Running::start_in(folder, &(USERS.to_owned() + &audit));
    let mut clerk = server.admitted(&user("clerk", "c"));
    for number in 0..10 {
        clerk.publish(&format!("no.{number}"), None, b"x");
        assert!(clerk.answer().starts_with("-ERR"));
    }
    server.stop();
    assert_eq!(files(server.path("").as_path()).len(), 10);
}

/// What is left of so many refusals of so many kinds: lines of the trail and refusals they speak of, lines of the log, bytes.
struct Left {
    records: usize,
    refusals: u64,
    lines: usize,
    trail_bytes: u64,
    seconds: usize,
}

/// Somebody publishes this often what is denied, to ever new subjects until there were `kinds` of them, and again.
fn left_of(kinds: usize, refusals: usize) -> Left {
    let folder = TempDir::new().unwrap();
    let trail = folder.path().join("audit.jsonl");
    // One window for all, so that nothing depends on how fast the machine is.
    let more = format!("audit {{ file: '{}', window: 1h }}", trail.display());
    let mut server = Running::start_in(folder, &(USERS.to_owned() + &more));
    let begun = Instant::now();
    let mut clerk = server.admitted(&user("clerk", "c"));
    let mut answers = clerk.handle();
    let expected = refusals;
    let reader = std::thread::spawn(move || {
        answers.set_read_timeout(Some(crate::running::PATIENCE)).unwrap();
        let lines = BufReader::new(&mut answers).lines().map(Result::unwrap);
        lines.filter(|line| line.starts_with("-ERR")).take(expected).count()
    });
    for number in 0..refusals {
        clerk.publish(&format!("no.{}", number % kinds), None, b"x");
    }
    assert_eq!(reader.join().unwrap(), refusals);
    server.stop();
    let log = server.rest_of_log();
    let text = std::fs::read_to_string(&trail).unwrap();
    let records: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // What found no room in the queue is a number, too.
    let speaks = |record: &&serde_json::Value| {
        record["class"] == "denial" || record["what"].as_str().is_some_and(|what| what.contains("were lost"))
    };
    Left {
        records: records.len(),
        refusals: records.iter().filter(speaks).map(|record| record["count"].as_u64().unwrap_or(1)).sum(),
        lines: log.iter().filter(|line| line.contains("Publish Violation")).count(),
        trail_bytes: text.len() as u64,
        seconds: usize::try_from(begun.elapsed().as_secs()).unwrap(),
    }
}

#[test]
fn of_ten_thousand_refusals_the_trail_has_few_lines_that_speak_of_every_one() {
    // Opened, a login, an end; of each kind the first and the number of the others; one number for what is beyond; what was
    // lost, at most once for each time the thread looks.
    for (kinds, refusals, lines_max) in [(1, 10_000, 1), (50, 10_000, 50), (10_000, 10_000, usize::MAX)] {
        let left = left_of(kinds, refusals);
        assert_eq!(left.refusals, refusals as u64, "{kinds} kinds");
        let records_max = 2 * kinds.min(KINDS_MAX) + 5;
        assert!(left.records <= records_max, "{kinds} kinds: {} records", left.records);
        assert!(left.trail_bytes <= 512 * records_max as u64, "{kinds} kinds: {} bytes", left.trail_bytes);
        // The same line comes again after a minute, others at most so many in each second.
        let seconds = left.seconds + 2;
        let lines_max = lines_max.saturating_mul(1 + seconds / 60).min(ERRORS_PER_SECOND_MAX * seconds);
        assert!((1..=lines_max).contains(&left.lines), "{kinds} kinds: {} lines of the log", left.lines);
        println!(
            "measured: {refusals} refusals of {kinds} kinds: {} records, {} bytes, {} lines of the log",
            left.records, left.trail_bytes, left.lines
        );
    }
}

/// What an owner gets through while somebody floods with what is denied.
#[derive(Clone, Copy)]
struct Honest {
    per_second: f64,
    /// For each second of the server's processor time, which others on the machine hardly change.
    per_processor_second: f64,
}

fn honest(server: &Running, time: Duration) -> Honest {
    let stop = Arc::new(AtomicBool::new(false));
    let flooder = flooder(server, &stop);
    let mut reader = server.admitted(&user("owner", "o"));
    // What the round before has left on its way may come first.
    reader.say("SUB orders.> 1\r\nPING\r\n");
    while reader.line() != "PONG" {}
    let mut writer = server.admitted(&user("owner", "o")).handle();
    writer.set_nonblocking(true).unwrap();
    let mut bytes = b"PUB orders.new 16\r\n0123456789abcdef\r\n".repeat(400);
    let going = stop.clone();
    let writing = std::thread::spawn(move || {
        while !going.load(Ordering::Relaxed) {
            match writer.write(&bytes) {
                // Go on in the middle of a message, if that is where the socket was full.
                Ok(written) => bytes.rotate_left(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_micros(200)),
                Err(error) => panic!("{error}"),
            }
        }
    });
    let (used, begun) = (server.processor_seconds(), Instant::now());
    let messages = count(&reader.handle(), time);
    let (used, taken) = (server.processor_seconds() - used, begun.elapsed().as_secs_f64());
    let counted = Honest { per_second: messages / taken, per_processor_second: messages / used };
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    flooder();
    counted
}

fn count(stream: &TcpStream, time: Duration) -> f64 {
    let mut lines = BufReader::with_capacity(1 << 18, stream);
    let (mut line, mut messages) = (Vec::new(), 0_u64);
    let begun = Instant::now();
    while begun.elapsed() < time {
        line.clear();
        lines.read_until(b'\n', &mut line).unwrap();
        messages += u64::from(line.starts_with(b"MSG "));
    }
    messages as f64
}

#[test]
#[ignore = "it measures: cargo xtask prove limits runs it"]
fn a_flood_of_refusals_costs_others_hardly_more_with_a_trail_than_without() {
    let rounds = rounds().expect("BULWARK_FLOOD_ROUNDS says how often");
    let folder = TempDir::new().unwrap();
    let audit = format!("audit {{ file: '{}' }}", folder.path().join("audit.jsonl").display());
    let (with, without) = (Running::start_in(folder, &(USERS.to_owned() + &audit)), Running::start(USERS));
    let time = Duration::from_secs(3);
    let mut shares: [Vec<f64>; 2] = Default::default();
    for round in 0..rounds {
        // Who comes first takes turns: the machine is not the same all the time.
        let (of_with, of_without) = match round % 2 {
            0 => (honest(&with, time), honest(&without, time)),
            _ => {
                let of_without = honest(&without, time);
                (honest(&with, time), of_without)
            }
        };
        shares[0].push(of_with.per_second / of_without.per_second);
        shares[1].push(of_with.per_processor_second / of_without.per_processor_second);
    }
    shares.iter_mut().for_each(|shares| shares.sort_by(f64::total_cmp));
    let [by_time, by_processor] = shares.each_ref().map(|shares| shares[shares.len() / 2]);
    println!(
        "measured: under a flood of refusals others publish {:.1} % of what they do without a trail, {:.1} % for each second of \
         processor time (medians of {rounds} rounds)",
        by_time * 100.0,
        by_processor * 100.0
    );
    assert!(by_processor >= 0.95, "{shares:?}");
}
