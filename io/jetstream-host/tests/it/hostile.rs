//! Archives and questions that are made to do harm.

use crate::backups::restore_with;
use crate::house::{Room, account};
use auth::{Denial, Reading, ReadingTexts};
use bulwark_jetstream_host::{Asker, Report};
use std::sync::{Arc, Mutex};
use subject::{Filter, Subject};

/// Somebody the server can not ask: a fault in the work for one account.
struct Faulty;

impl Asker for Faulty {
    fn reading(&self) -> &Reading {
        panic!("a fault")
    }
    fn may_publish(&self, _: Subject<'_>) -> Result<(), Denial> {
        Ok(())
    }
    fn may_deliver(&self, _: Subject<'_>, _: &str) -> Result<(), Denial> {
        Ok(())
    }
    fn may_publish_all(&self, _: &Filter) -> Result<(), Denial> {
        Ok(())
    }
    fn refused(&self, _: &Denial) {}
}

/// Somebody who may not read something, and what was refused.
struct Bound(Reading, Mutex<u32>);

impl Asker for Bound {
    fn reading(&self) -> &Reading {
        &self.0
    }
    fn may_publish(&self, _: Subject<'_>) -> Result<(), Denial> {
        Ok(())
    }
    fn may_deliver(&self, _: Subject<'_>, _: &str) -> Result<(), Denial> {
        Ok(())
    }
    fn may_publish_all(&self, _: &Filter) -> Result<(), Denial> {
        Ok(())
    }
    fn refused(&self, _: &Denial) {
        *self.1.lock().expect("unharmed") += 1;
    }
}

fn bound() -> Arc<Bound> {
    let texts = ReadingTexts { allow: None, deny: vec!["secret.>".to_owned()] };
    Arc::new(Bound(Reading::of_texts(&texts).expect("a filter"), Mutex::new(0)))
}

/// Entries as an archive: a name, a sequence and a payload each.
fn archive(entries: &[(&str, u64, &str)]) -> Vec<u8> {
    let mut plain = b"NATSARC1".to_vec();
    let number = |out: &mut Vec<u8>, mut number: usize| {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    };
    for (name, seq, payload) in entries.iter().chain(&[("", 0, "")]) {
        for n in [name.len(), 0, *seq as usize, 0, payload.len()] {
            number(&mut plain, n);
        }
        plain.extend_from_slice(name.as_bytes());
        plain.extend_from_slice(payload.as_bytes());
    }
    framed(&plain)
}

/// Bytes as one plain chunk.
fn framed(plain: &[u8]) -> Vec<u8> {
    let mut framed = b"\xff\x06\x00\x00S2sTwO\x01".to_vec();
    framed.extend_from_slice(&(plain.len() as u32 + 4).to_le_bytes()[..3]);
    framed.extend_from_slice(&minlz::crc::crc(plain).to_le_bytes());
    framed.extend_from_slice(plain);
    framed
}

fn with_consumer(config: &str, delivered: u64) -> Vec<u8> {
    let state = r#"{"first_seq":1,"last_seq":1,"consumer_count":1}"#;
    let consumer = format!(
        r#"{{"config":{config},"state":{{"delivered":{{"consumer_seq":{delivered},"stream_seq":0}},"ack_floor":{{"consumer_seq":0,"stream_seq":0}}}}}}"#
    );
    archive(&[("state.json", 0, state), ("consumers/c", 0, &consumer), ("secret.a", 1, "x")])
}

#[test]
fn a_fault_in_one_account_leaves_the_others_in_service() {
    let mut room = Room::new();
    room.desk.set_account(account("B"), room.now).expect("it opens");
    assert!(room.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"]}"#).contains("did_create"));
    let mut broken = room.message("$JS.API.CONSUMER.CREATE.S", None, b"", br#"{"stream_name":"S","config":{}}"#);
    broken.asker = Some(Arc::new(Faulty));
    let after = room.message("$JS.API.STREAM.NAMES", Some("_I.after"), b"", b"");
    room.account = "B".into();
    let other = room.message("$JS.API.STREAM.NAMES", Some("_I.other"), b"", b"");
    room.round(&[broken, after, other]);
    let heard: Vec<Vec<u8>> = room.heard().into_iter().map(|letter| letter.to).collect();
    assert_eq!(heard, [b"_I.other"]);
    let told = std::mem::take(&mut room.port.0.lock().expect("unharmed").reports);
    assert!(
        matches!(&told[..], [Report::Finding(text)] if text.contains("account A") && text.contains("a fault")),
        "{told:?}"
    );
    assert_eq!(room.desk.unrecovered().collect::<Vec<_>>(), [("A", "S")]);
    assert!(room.ask("$JS.API.STREAM.CREATE.T", r#"{"name":"T"}"#).contains("did_create"));
    room.desk.set_account(account("A"), room.now).expect("it opens");
    room.account = "A".into();
    assert!(room.ask("$JS.API.STREAM.NAMES", "").contains(r#"["S"]"#), "what was durable is there");
}

#[test]
fn a_consumer_that_counted_further_than_anything_can_is_not_restored() {
    for (delivered, is_taken) in [(u64::MAX, false), (7, true)] {
        let mut room = Room::new();
        let answer = restore_with(
            &mut room,
            ("S", "secret.>", "{}"),
            &with_consumer(r#"{"ack_policy":"none"}"#, delivered),
            10_000,
        );
        assert_eq!(answer.contains("error"), !is_taken, "{answer}");
    }
}

#[test]
fn a_state_that_ends_behind_every_sequence_is_refused() {
    let mut room = Room::new();
    let body = format!(r#"{{"config":{{"name":"S"}},"state":{{"last_seq":{}}}}}"#, u64::MAX);
    let answer = room.ask("$JS.API.STREAM.RESTORE.S", &body);
    assert!(answer.contains("\"err_code\":10062"), "{answer}");
}

#[test]
fn whoever_may_not_read_restores_nothing_that_reads_for_them() {
    let mut room = Room::new();
    assert!(
        room.ask("$JS.API.STREAM.CREATE.SECRET", r#"{"name":"SECRET","subjects":["secret.>"]}"#).contains("did_create")
    );
    let body = r#"{"config":{"name":"S","sources":[{"name":"SECRET"}]},"state":{}}"#;
    for (asker, is_refused) in [(Some(bound()), true), (None, false)] {
        let mut order = room.message("$JS.API.STREAM.RESTORE.S", Some("_I.r"), b"", body.as_bytes());
        order.asker = asker.clone().map(|asker| asker as Arc<dyn Asker>);
        room.round(&[order]);
        let answer = String::from_utf8(room.heard().remove(0).payload).expect("text");
        assert_eq!(answer.contains("error"), is_refused, "{answer}");
        assert_eq!(asker.map_or(0, |asker| *asker.1.lock().expect("unharmed")), u32::from(is_refused));
    }
}

#[test]
fn a_restored_consumer_is_bound_by_whoever_restores_it() {
    for (asker, is_refused) in [(Some(bound()), true), (None, false)] {
        let mut room = Room::new();
        let body = r#"{"config":{"name":"S","subjects":["secret.>"]},"state":{}}"#;
        let mut order = room.message("$JS.API.STREAM.RESTORE.S", Some("_I.r"), b"", body.as_bytes());
        order.asker = asker.map(|asker| asker as Arc<dyn Asker>);
        room.round(&[order]);
        let answer = String::from_utf8(room.heard().remove(0).payload).expect("text");
        let deliver = answer
            .split("\"deliver_subject\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a subject")
            .to_owned();
        let pushes = r#"{"ack_policy":"none","deliver_subject":"_I.push","filter_subject":"secret.a"}"#;
        let piece = room.message(&deliver, Some("_I.p"), b"", &with_consumer(pushes, 0));
        room.round(&[piece]);
        assert!(room.heard().iter().all(|letter| letter.payload.is_empty()));
        let answer = room.ask(&deliver, "");
        assert_eq!(answer.contains("failed to add consumer"), is_refused, "{answer}");
    }
}

/// The name stands in the subject by which the origin is asked.
#[test]
fn the_name_of_an_origin_elsewhere_is_a_name() {
    let mut room = Room::new();
    for (name, is_taken) in [("O.c.>", false), ("O P", false), ("O", true)] {
        let body = format!(r#"{{"name":"M","mirror":{{"name":"{name}","external":{{"api":"$JS.hub.API"}}}}}}"#);
        let answer = room.ask("$JS.API.STREAM.CREATE.M", &body);
        assert_eq!(answer.contains("did_create"), is_taken, "{answer}");
    }
}

/// Somebody who may read everything and publish to the API of one domain alone.
struct Publisher(Reading);

fn only_to_the_hub(subject: Subject<'_>) -> Result<(), Denial> {
    let texts = ReadingTexts { allow: Some(vec!["$JS.hub.API.CONSUMER.CREATE.>".to_owned()]), deny: Vec::new() };
    let filter = Filter::parse(subject.as_bytes()).expect("a filter");
    Reading::of_texts(&texts).expect("filters").read(&filter)
}

impl Asker for Publisher {
    fn reading(&self) -> &Reading {
        &self.0
    }
    fn may_publish(&self, subject: Subject<'_>) -> Result<(), Denial> {
        only_to_the_hub(subject)
    }
    fn may_deliver(&self, _: Subject<'_>, _: &str) -> Result<(), Denial> {
        Ok(())
    }
    fn may_publish_all(&self, _: &Filter) -> Result<(), Denial> {
        Ok(())
    }
    fn refused(&self, _: &Denial) {}
}

#[test]
fn nobody_has_the_server_ask_where_it_may_not_publish() {
    let mut room = Room::new();
    let mut ask = |kind: &str, api: &str| {
        let external = format!(r#"{{"name":"O","external":{{"api":"{api}","deliver":""}}}}"#);
        let origin = if kind == "mirror" { external } else { format!("[{external}]") };
        let subject = "$JS.API.STREAM.CREATE.M";
        let inbox = room.inbox();
        let mut message =
            room.message(subject, Some(&inbox), b"", format!(r#"{{"name":"M","{kind}":{origin}}}"#).as_bytes());
        message.asker = Some(Arc::new(Publisher(Reading::everything())));
        room.round(&[message]);
        let answer = room.heard().into_iter().find(|o| o.to == inbox.as_bytes()).expect("an answer");
        room.ask("$JS.API.STREAM.DELETE.M", "");
        String::from_utf8(answer.payload).expect("JSON")
    };
    for kind in ["mirror", "sources"] {
        assert!(ask(kind, "orders").contains("error"), "{kind}");
        assert!(ask(kind, "$JS.other.API").contains("error"), "{kind}");
        assert!(ask(kind, "$JS.hub.API").contains("did_create"), "{kind}");
    }
}
