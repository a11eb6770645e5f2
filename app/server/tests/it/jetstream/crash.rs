//! A server that is killed while it works.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::house::{House, Peer};

/// Rounds of a plain test run; `cargo xtask prove jetstream` asks for more.
const ROUNDS: u32 = 5;
/// Messages that a publisher has on their way.
const IN_FLIGHT: u64 = 64;
const PUBLISHERS: u64 = 4;

fn rounds() -> u32 {
    std::env::var("BULWARK_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

/// What one publisher was told: sequence and body of each message that was acknowledged.
fn publish(mut peer: Peer, round: u32, name: u64, acked: &AtomicBool) -> std::io::Result<BTreeMap<u64, String>> {
    let (mut acks, mut sent, mut answered) = (BTreeMap::new(), 0, 0);
    let inboxes = peer.inboxes.clone();
    loop {
        while sent < answered + IN_FLIGHT {
            let body = format!("{round}.{name}.{sent}");
            if peer.try_send(&format!("PUB load.{name} {inboxes}.{sent} {}\r\n{body}\r\n", body.len())).is_err() {
                return Ok(acks);
            }
            sent += 1;
        }
        let Ok(answer) = peer.heard() else { return Ok(acks) };
        answered += 1;
        let number = answer.subject.rsplit('.').next().unwrap();
        let ack: serde_json::Value = serde_json::from_str(&answer.body)?;
        let seq = ack["seq"].as_u64().filter(|seq| *seq > 0);
        let seq = seq.unwrap_or_else(|| panic!("an acknowledgement that is none: {answer:?}"));
        acks.insert(seq, format!("{round}.{name}.{number}"));
        acked.store(true, Ordering::Relaxed);
    }
}

/// Works off one message after the other, and gives those that were confirmed as done. None that was before comes again.
fn work(mut peer: Peer, done: &BTreeSet<u64>) -> BTreeSet<u64> {
    let (mut confirmed, inbox) = (BTreeSet::new(), peer.inbox());
    loop {
        let pull =
            format!("PUB $JS.API.CONSUMER.MSG.NEXT.LOAD.worker {inbox} 26\r\n{{\"batch\":1,\"no_wait\":true}}\r\n");
        let message = peer.try_send(&pull).and_then(|()| peer.heard());
        let Ok(message) = message else { return confirmed };
        let Some(seq) = message.reply.split('.').nth(5).and_then(|seq| seq.parse().ok()) else { continue };
        assert!(!done.contains(&seq) && !confirmed.contains(&seq), "{seq} came again after it was confirmed");
        let ack = format!("PUB {} {inbox} 4\r\n+ACK\r\n", message.reply);
        match peer.try_send(&ack).and_then(|()| peer.heard()) {
            Ok(answer) if answer.body.is_empty() && answer.headers.is_empty() => confirmed.insert(seq),
            Ok(answer) => panic!("a confirmation that is none: {answer:?}"),
            Err(_) => return confirmed,
        };
    }
}

/// Every acknowledged message is there once, under its sequence, and each publisher's are in order.
fn check(peer: &mut Peer, acks: &BTreeMap<u64, String>) {
    let info = peer.call("STREAM.INFO.LOAD", "");
    let last = info["state"]["last_seq"].as_u64().unwrap();
    let deliver = peer.inbox();
    // Whoever checks is slower than the server reads: without being asked how far it is, it would be cut off.
    let pace = r#""flow_control":true,"idle_heartbeat":5000000000"#;
    let config = format!(r#"{{"deliver_subject":"{deliver}","ack_policy":"none","mem_storage":true,{pace}}}"#);
    // What is delivered may come before the answer, so nobody waits for the answer.
    let consumer = format!(r#"{{"stream_name":"LOAD","config":{config}}}"#);
    peer.send(&format!("PUB $JS.API.CONSUMER.CREATE.LOAD {}\r\n{consumer}\r\n", consumer.len()));
    let mut found: BTreeMap<u64, String> = BTreeMap::new();
    let mut before: BTreeMap<String, (u32, u64)> = BTreeMap::new();
    while found.last_key_value().map_or(0, |(seq, _)| *seq) < last {
        let message = peer.heard().unwrap();
        if message.reply.starts_with("$JS.FC.") {
            peer.send(&format!("PUB {} 0\r\n\r\n", message.reply));
        }
        if !message.reply.starts_with("$JS.ACK.") {
            continue;
        }
        let seq: u64 = message.reply.split('.').nth(5).unwrap().parse().unwrap();
        let mut parts = message.body.split('.');
        let (round, name, number) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let place = (round.parse().unwrap(), number.parse().unwrap());
        let last = before.insert(name.to_owned(), place);
        assert!(last.is_none_or(|last| last < place), "{name} is out of order at {seq}: {last:?}, {place:?}");
        assert_eq!(found.insert(seq, message.body), None, "sequence {seq} was delivered twice");
    }
    for (seq, body) in acks {
        assert_eq!(found.get(seq), Some(body), "acknowledged message {seq}");
    }
}

#[test]
fn what_was_acknowledged_survives_being_killed_under_load() {
    let house = House::new("cipher: aes, key: \"k\"", "");
    let mut acks: BTreeMap<u64, String> = BTreeMap::new();
    let mut done: BTreeSet<u64> = BTreeSet::new();
    for round in 0..rounds() {
        let server = house.start();
        match round {
            0 => {
                let mut peer = server.peer("");
                peer.call("STREAM.CREATE.LOAD", r#"{"name":"LOAD","subjects":["load.*"]}"#);
                let config = r#"{"durable_name":"worker","ack_policy":"explicit","ack_wait":3600000000000}"#;
                let consumer = format!(r#"{{"stream_name":"LOAD","config":{config}}}"#);
                peer.call("CONSUMER.CREATE.LOAD.worker", &consumer);
            }
            _ => check(&mut server.peer(""), &acks),
        }
        let (acked, peers) = (AtomicBool::new(false), (0..PUBLISHERS).map(|_| server.peer("")).collect::<Vec<_>>());
        let confirmed = std::thread::scope(|scope| {
            let acked = &acked;
            let publish = |(name, peer)| scope.spawn(move || publish(peer, round, name, acked).unwrap());
            let publishers: Vec<_> = (0..).zip(peers).map(publish).collect();
            let (peer, known) = (server.peer(""), &done);
            let worker = scope.spawn(move || work(peer, known));
            while !acked.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            // Somewhere in the middle of the work, elsewhere each round.
            std::thread::sleep(Duration::from_millis(20 + u64::from(round) * 37 % 150));
            server.kill();
            for (seq, body) in publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()) {
                assert_eq!(acks.insert(seq, body), None, "sequence {seq} was given out twice");
            }
            worker.join().unwrap()
        });
        done.extend(confirmed);
    }
    let server = house.start();
    check(&mut server.peer(""), &acks);
    assert!(!done.is_empty());
    println!(
        "{} acknowledged messages in {} rounds, all there; {} confirmed acknowledgements, all kept",
        acks.len(),
        rounds(),
        done.len()
    );
}
