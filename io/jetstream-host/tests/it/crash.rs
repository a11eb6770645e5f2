//! Power cuts under load, through the whole desk.

use crate::house::{Parcel, Room, sealed};
use bulwark_jetstream_host::DeskSettings;
use std::collections::{BTreeMap, BTreeSet};
use testkit::{CrashDisk, Dice};

#[allow(clippy::disallowed_methods, reason = "a test is told from outside how long to run")]
fn seeds() -> u64 {
    std::env::var("CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(50)
}

/// `{"stream":"S","seq":N}` to N.
fn acked(payload: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(payload).ok()?;
    text.strip_prefix("{\"stream\":\"S\",\"seq\":")?.strip_suffix('}')?.parse().ok()
}

/// What was promised in the life of one store.
#[derive(Default)]
struct Promises {
    /// Bodies by sequence, of acknowledged messages.
    acks: BTreeMap<u64, String>,
    /// Messages that the consumer was told are done for good.
    done: BTreeSet<u64>,
    number: u64,
}

impl Promises {
    /// New messages, and a pull.
    fn messages(&mut self, room: &Room, dice: &mut Dice) -> Vec<Parcel> {
        let pull = br#"{"batch":8,"no_wait":true}"#;
        let mut messages = vec![room.message("$JS.API.CONSUMER.MSG.NEXT.S.c", Some("_I.pull"), b"", pull)];
        for _ in 0..1 + dice.below(20) {
            self.number += 1;
            let body = format!("{} {}", self.number, "x".repeat(dice.below(300) as usize));
            messages.push(room.message("s", Some(&format!("_I.{}", self.number)), b"", body.as_bytes()));
        }
        messages
    }

    /// Notes what is promised, and gives acknowledgements of what was delivered.
    fn hear(&mut self, room: &mut Room, sent: &[Parcel], first: u64, seed: u64) -> Vec<Parcel> {
        let mut answers = Vec::new();
        for outgoing in room.heard() {
            let to = String::from_utf8_lossy(&outgoing.to).into_owned();
            if let Some(seq) = to.strip_prefix("_I.done.") {
                self.done.insert(seq.parse().expect("an inbox of this scene"));
            } else if to == "_I.pull" {
                let reply =
                    outgoing.reply.map(|reply| String::from_utf8_lossy(&reply).into_owned()).unwrap_or_default();
                let Some(seq) = reply.split('.').nth(5).and_then(|seq| seq.parse().ok()) else { continue };
                assert!(!self.done.contains(&seq), "seed {seed}: {seq} came again after it was confirmed");
                answers.push(room.message(&reply, Some(&format!("_I.done.{seq}")), b"", b"+ACK"));
            } else if let Some(seq) = acked(&outgoing.payload) {
                let of: u64 = to[3..].parse().expect("an inbox of this scene");
                let body = sent[(of - first) as usize].payload.clone();
                let before = self.acks.insert(seq, String::from_utf8(body).expect("text"));
                assert_eq!(before, None, "seed {seed}: sequence {seq} was given out twice");
            }
        }
        answers
    }
}

#[test]
fn every_acknowledged_message_is_there_once_and_in_order_and_what_is_done_stays_done() {
    let (mut stored, mut done) = (0, 0);
    for seed in 0..seeds() {
        let mut dice = Dice(seed);
        // Power is cut between the parts of what one turn was not enough for as well.
        let turn_units = [DeskSettings::default().turn_units, 1, 200][(seed % 3) as usize];
        let mut room = Room::on(CrashDisk::new(1), DeskSettings { turn_units, ..sealed() });
        room.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
        let consumer = r#"{"stream_name":"S","config":{"durable_name":"c","ack_policy":"explicit"}}"#;
        assert!(room.ask("$JS.API.CONSUMER.DURABLE.CREATE.S.c", consumer).contains("\"name\":\"c\""));
        let mut promises = Promises::default();
        for _ in 0..3 {
            room.disk.power_off_after(dice.below(90));
            let mut answers = Vec::new();
            for _ in 0..40 {
                let first = promises.number;
                let mut messages = promises.messages(&room, &mut dice);
                messages.append(&mut answers);
                room.round(&messages);
                answers = promises.hear(&mut room, &messages, first, seed);
            }
            room = room.again(room.disk.crash_with(dice.next()));
            check(&mut room, &promises.acks, seed);
        }
        stored += promises.acks.len();
        done += promises.done.len();
    }
    assert!(stored > 20 * seeds() as usize && done > 5 * seeds() as usize, "{stored} stored, {done} done");
    println!("{} seeds: {stored} acknowledged messages and {done} confirmed acknowledgements, all kept", seeds());
}

fn check(room: &mut Room, acks: &BTreeMap<u64, String>, seed: u64) {
    for (seq, body) in acks {
        let answer = room.ask("$JS.API.STREAM.MSG.GET.S", &format!("{{\"seq\":{seq}}}"));
        let data = answer.split("\"data\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let data = data_encoding::BASE64.decode(data.as_bytes()).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&data), *body, "seed {seed}: message {seq}: {answer}");
    }
}

#[test]
fn a_rollup_that_is_acknowledged_is_whole_whenever_power_was_cut() {
    let mut repeated = 0;
    for seed in 0..seeds() {
        let mut dice = Dice(seed);
        let turn_units = [1, 20, 100][(seed % 3) as usize];
        let mut room = Room::on(CrashDisk::new(1), DeskSettings { turn_units, ..sealed() });
        room.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s.*"],"allow_rollup_hdrs":true}"#);
        let old: Vec<Parcel> = (0..100).map(|n| room.message(&format!("s.{}", n % 2), None, b"", b"old")).collect();
        room.round(&old);
        let (rollup, left) = [("sub", 51), ("all", 1)][(seed % 2) as usize];
        let headers = format!("NATS/1.0\r\nNats-Msg-Id: one\r\nNats-Rollup: {rollup}\r\n\r\n");
        let message = room.message("s.0", Some("_I.rollup"), headers.as_bytes(), b"new");
        room.disk.power_off_after(dice.below(30));
        room.step(std::slice::from_ref(&message));
        (0..dice.below(30)).for_each(|_| room.step(&[]));
        room = room.again(room.disk.crash_with(dice.next()));
        room.round(&[message]);
        let heard = room.heard();
        let told = heard.iter().find(|letter| letter.to == b"_I.rollup").expect("it is answered");
        let told = String::from_utf8_lossy(&told.payload).into_owned();
        assert!(told.contains("\"seq\":101"), "seed {seed}: {told}");
        repeated += usize::from(told.contains("duplicate"));
        let info = room.ask("$JS.API.STREAM.INFO.S", "");
        assert!(info.contains(&format!("\"messages\":{left},")), "seed {seed}: {info}");
    }
    assert!(repeated > seeds() as usize / 10, "{repeated} were stored before power was cut");
    println!("{} seeds: {repeated} rollups were stored before power was cut, all done", seeds());
}
