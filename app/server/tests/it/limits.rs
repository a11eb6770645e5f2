//! Rates of users and accounts at the built server, as publishers who never stop meet them.

mod streams;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::fleet::{Make, Server};
use crate::running::{PATIENCE, Peer, Running, user};

/// Users in the scene of many; `BULWARK_LIMITED_USERS` sets it.
fn users() -> usize {
    std::env::var("BULWARK_LIMITED_USERS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// Seconds that are measured; `BULWARK_LIMITED_SECONDS` sets it. Where nobody does, the machine may be busy with other
/// things: then it is only looked at that nobody gets too much.
fn seconds() -> Option<u64> {
    std::env::var("BULWARK_LIMITED_SECONDS").ok().and_then(|text| text.parse().ok())
}

/// A client that is logged in and has said this.
fn client(server: &Running, name: &str, says: &str) -> Peer {
    let mut client = server.admitted(&user(name, "x"));
    client.say(says);
    client.settle();
    client
}

/// Counts what comes for each subject from its first message on, for so long.
fn count(server: &Running, time: Duration) -> impl FnOnce() -> HashMap<String, u64> + use<> {
    let reader = client(server, "watcher", "SUB u.> 1\r\n").handle();
    let counting = std::thread::spawn(move || {
        let mut counts: HashMap<String, (Instant, u64)> = HashMap::new();
        let mut end = None;
        for line in BufReader::with_capacity(1 << 20, reader).lines().map_while(Result::ok) {
            let Some(subject) = line.strip_prefix("MSG ").and_then(|rest| rest.split(' ').next()) else { continue };
            let now = Instant::now();
            // Whoever begins last is measured to its end.
            if end.is_some_and(|end: Instant| now > end) {
                break;
            }
            if !counts.contains_key(subject) {
                end = Some(now + time + Duration::from_millis(200));
            }
            let (first, count) = counts.entry(subject.to_owned()).or_insert((now, 0));
            *count += u64::from(now.duration_since(*first) < time);
        }
        counts.into_iter().map(|(subject, (_, count))| (subject, count)).collect()
    });
    move || counting.join().unwrap()
}

/// Publishers that write whenever their socket takes something.
fn flood(mut publishers: Vec<(TcpStream, Vec<u8>)>, until: impl Fn() -> bool) {
    publishers.iter().for_each(|(stream, _)| stream.set_nonblocking(true).unwrap());
    while !until() {
        for (stream, bytes) in &mut publishers {
            match stream.write(bytes) {
                // Go on in the middle of a message, if that is where the socket was full.
                Ok(written) => bytes.rotate_left(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn messages(subject: &str) -> Vec<u8> {
    format!("PUB {subject} 16\r\n0123456789abcdef\r\n").repeat(400).into_bytes()
}

#[test]
fn a_thousand_users_publish_what_they_may_and_no_more() {
    let rate = |user: usize| 10 + 7 * (user as u64 % 11);
    let mut config = "authorization { users: [ { user: watcher, password: x }\n".to_owned();
    for user in 0..users() {
        let limit = rate(user);
        writeln!(config, "{{ user: u{user}, password: x, limits {{ messages_per_second: {limit} }} }}").unwrap();
    }
    let server = Running::start(&(config + "] }"));
    let time = Duration::from_secs(seconds().unwrap_or(3));
    let publishers =
        (0..users()).map(|user| (client(&server, &format!("u{user}"), "").handle(), messages(&format!("u.{user}"))));
    let publishers: Vec<_> = publishers.collect();
    let counts = count(&server, time);
    let begin = Instant::now();
    flood(publishers, || begin.elapsed() > time + Duration::from_secs(1));
    let counts = counts();
    let mut worst = 0.0_f64;
    for user in 0..users() {
        let taken = counts.get(&format!("u.{user}")).copied().unwrap_or_default();
        let due = (rate(user) * time.as_secs()) as f64;
        let off = (taken as f64 - due) / due;
        // What may come at once comes on top, once: a tenth of a second's worth.
        let most = due + (rate(user) as f64 / 10.0).max(1.0) + 1.0;
        assert!(taken as f64 <= most.max(due * 1.05), "user {user} published {taken} of {due}");
        assert!(seconds().is_none() || off > -0.05, "user {user} published {taken} of {due}");
        worst = if off.abs() > worst.abs() { off } else { worst };
    }
    println!("measured: {} users over {time:?}: the worst was off by {:+.2} %", users(), worst * 100.0);
}

#[test]
fn an_account_shares_its_rate_evenly_and_its_neighbours_feel_nothing() {
    let server = Running::start(
        r#"accounts {
            NOISY { limits { messages_per_second: 400 }, users [ { user: noisy, password: x }, { user: watcher, password: x } ] }
            QUIET { users [ { user: quiet, password: x } ] }
        }"#,
    );
    let time = Duration::from_secs(seconds().unwrap_or(3));
    let publishers = (0..8).map(|number| (client(&server, "noisy", "").handle(), messages(&format!("u.{number}"))));
    let publishers: Vec<_> = publishers.collect();
    let counts = count(&server, time);
    let begin = Instant::now();
    flood(publishers, || begin.elapsed() > time + Duration::from_secs(1));
    let counts = counts();
    let all: u64 = counts.values().sum();
    let due = 400 * time.as_secs();
    assert!(all <= due + due / 20 + 40, "{all} of {due}");
    assert!(seconds().is_none() || all >= due - due / 20, "{all} of {due}");
    let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
    assert!(seconds().is_none() || most - least <= most / 4, "{counts:?}");
    // It would hang if it waited behind the others.
    client(&server, "quiet", &"PUB u.0 0\r\n\r\n".repeat(10_000));
}

/// Who holds a flood up.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// Our server holds the neighbour to its rate. The reference has no word for that.
    ByALimit,
    /// Ours, where nobody thought of a limit.
    ByNothing,
    /// The same at the reference.
    AtTheReference,
}

/// Rounds that are measured; `BULWARK_TAIL_ROUNDS` sets it.
fn rounds() -> usize {
    let rounds = std::env::var("BULWARK_TAIL_ROUNDS").ok().and_then(|text| text.parse().ok());
    rounds.expect("BULWARK_TAIL_ROUNDS says how often")
}

/// How long each server is looked at in a round.
const TAIL_TIME: Duration = Duration::from_secs(3);

/// The 99th percentile of what somebody waits for an answer of his own account while a neighbour floods.
fn tail_under_a_flood(held: Held) -> Duration {
    let (make, limits) = match held {
        Held::ByALimit => (Make::Ours, "limits { messages_per_second: 20000 },"),
        Held::ByNothing => (Make::Ours, ""),
        Held::AtTheReference => (Make::Reference, ""),
    };
    let server = Server::start(
        make,
        &format!(
            "accounts {{
                NOISY {{ {limits} users [ {{ user: noisy, password: noisy }} ] }}
                QUIET {{ users [ {{ user: quiet, password: quiet }} ] }}
            }}"
        ),
    );
    let login = |name: &str| login(&server, name);
    // Somebody hears it all, so that every message costs something.
    let mut sink = login("noisy");
    sink.write_all(b"SUB u.> 1\r\n").unwrap();
    let drain = std::thread::spawn(move || {
        let mut room = vec![0; 1 << 20];
        while std::io::Read::read(&mut sink, &mut room).is_ok_and(|read| read > 0) {}
    });
    let publishers: Vec<_> = (0..8).map(|number| (login("noisy"), messages(&format!("u.{number}")))).collect();
    let done = Arc::new(AtomicBool::new(false));
    let flooding = {
        let done = done.clone();
        std::thread::spawn(move || flood(publishers, || done.load(Ordering::Relaxed)))
    };
    let mut waits = round_trips(login("quiet"), "SUB q 1\r\n", "PUB q 0\r\n\r\n", TAIL_TIME);
    done.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
    drop(server);
    drain.join().unwrap();
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}

/// A client whose name is its password, logged in.
fn login(server: &Server, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.client).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let user = format!("\"user\":\"{name}\",\"pass\":\"{name}\",\"verbose\":false,\"headers\":true");
    stream.write_all(format!("CONNECT {{{user}}}\r\nPING\r\n").as_bytes()).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while !line.starts_with("PONG") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0);
    }
    stream
}

/// What one connection waits for the messages that come for its own, one after the other.
fn round_trips(mut stream: TcpStream, subscribes: &str, publishes: &str, time: Duration) -> Vec<Duration> {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    stream.write_all(subscribes.as_bytes()).unwrap();
    let (mut line, mut waits, begun) = (String::new(), Vec::new(), Instant::now());
    while begun.elapsed() < time {
        let asked = Instant::now();
        stream.write_all(publishes.as_bytes()).unwrap();
        line.clear();
        while !line.starts_with("MSG ") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0);
            if line.starts_with("PING") {
                stream.write_all(b"PONG\r\n").unwrap();
            }
        }
        waits.push(asked.elapsed());
        line.clear();
        lines.read_line(&mut line).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    waits
}

fn median<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|one, other| one.partial_cmp(other).expect("what is measured can be compared"));
    values[values.len() / 2]
}

#[test]
#[ignore = "it measures: cargo xtask prove limits runs it"]
fn a_flood_of_one_tenant_hurts_the_others_less_than_it_does_at_the_reference() {
    let ways = [Held::ByALimit, Held::ByNothing, Held::AtTheReference];
    // Who comes first takes turns: the machine is not the same all the time.
    let tails: Vec<[Duration; 3]> = (0..rounds())
        .map(|round| {
            let mut tails = [Duration::ZERO; 3];
            (0..3).map(|at| (round + at) % 3).for_each(|way| tails[way] = tail_under_a_flood(ways[way]));
            tails
        })
        .collect();
    let [limited, free, theirs] = [0, 1, 2].map(|way| median(tails.iter().map(|tails| tails[way])));
    println!(
        "measured: under the flood of a neighbour 99 of 100 answers come within {limited:?} where it is limited, {free:?} where it \
         is not, at the reference {theirs:?} (medians of {} interleaved rounds)",
        rounds()
    );
    for way in [0, 1] {
        let share = median(tails.iter().map(|tails| tails[way].as_secs_f64() / tails[2].as_secs_f64()));
        println!(
            "measured: {:?}: {:.1} % of the tail at the reference (median of the pairs)",
            ways[way],
            share * 100.0
        );
        assert!(share < 1.0, "{tails:?}");
    }
}
