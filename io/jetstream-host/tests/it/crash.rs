//! Power cuts under load, through the whole desk.

use crate::house::Room;
use std::collections::BTreeMap;
use testkit::Dice;

#[allow(clippy::disallowed_methods, reason = "a test is told from outside how long to run")]
fn seeds() -> u64 {
    std::env::var("CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(30)
}

/// `{"stream":"S","seq":N}` to N.
fn acked(payload: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(payload).ok()?;
    text.strip_prefix("{\"stream\":\"S\",\"seq\":")?.strip_suffix('}')?.parse().ok()
}

#[test]
fn every_acknowledged_message_is_there_once_and_in_order() {
    for seed in 0..seeds() {
        let mut dice = Dice(seed);
        let mut room = Room::new();
        room.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
        let mut acks: BTreeMap<u64, String> = BTreeMap::new();
        let mut number = 0;
        for _ in 0..3 {
            room.disk.power_off_after(dice.below(60));
            for _ in 0..40 {
                let first = number;
                let messages: Vec<_> = (0..1 + dice.below(20))
                    .map(|_| {
                        number += 1;
                        let body = format!("{number} {}", "x".repeat(dice.below(300) as usize));
                        room.message("s", Some(&format!("_I.{number}")), b"", body.as_bytes())
                    })
                    .collect();
                room.round(&messages);
                for outgoing in room.heard() {
                    let of: u64 = String::from_utf8_lossy(&outgoing.to)[3..].parse().expect("an inbox of this scene");
                    if let Some(seq) = acked(&outgoing.payload) {
                        let body = messages[(of - first - 1) as usize].incoming().payload.to_vec();
                        let before = acks.insert(seq, String::from_utf8(body).expect("text"));
                        assert_eq!(before, None, "seed {seed}: sequence {seq} was given out twice");
                    }
                }
            }
            room = room.again(room.disk.crash_with(dice.next()));
            check(&mut room, &acks, seed);
        }
    }
}

fn check(room: &mut Room, acks: &BTreeMap<u64, String>, seed: u64) {
    for (seq, body) in acks {
        let answer = room.ask("$JS.API.STREAM.MSG.GET.S", &format!("{{\"seq\":{seq}}}"));
        let data = answer.split("\"data\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let data = data_encoding::BASE64.decode(data.as_bytes()).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&data), *body, "seed {seed}: message {seq}: {answer}");
    }
}
