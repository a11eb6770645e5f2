//! Streams and consumers at work.

use crate::house::{Letter, Room};
use bulwark_jetstream_host::Report;
use std::time::Duration;
use testkit::CrashDisk;

const SECOND: Duration = Duration::from_secs(1);

fn stream(room: &mut Room, name: &str, rest: &str) {
    let body = format!("{{\"name\":\"{name}\",\"subjects\":[\"{}.>\"]{rest}}}", name.to_lowercase());
    let answer = room.ask(&format!("$JS.API.STREAM.CREATE.{name}"), &body);
    assert!(answer.contains("did_create"), "{answer}");
}

fn consumer(room: &mut Room, stream: &str, name: &str, config: &str) {
    let body = format!(
        "{{\"stream_name\":\"{stream}\",\"config\":{{\"name\":\"{name}\",\"durable_name\":\"{name}\"{config}}}}}"
    );
    let answer = room.ask(&format!("$JS.API.CONSUMER.CREATE.{stream}.{name}"), &body);
    assert!(!answer.contains("\"error\""), "{answer}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Deliveries among what was heard, as `body via reply-subject`.
fn deliveries(heard: &[Letter]) -> Vec<(String, String)> {
    let is_delivery = |outgoing: &&Letter| outgoing.reply.as_ref().is_some_and(|reply| reply.starts_with(b"$JS.ACK"));
    let parts = |outgoing: &Letter| (text(&outgoing.payload), text(outgoing.reply.as_deref().unwrap_or_default()));
    heard.iter().filter(is_delivery).map(parts).collect()
}

fn bodies(heard: &[Letter]) -> Vec<String> {
    deliveries(heard).into_iter().map(|(body, _)| body).collect()
}

/// Pulls and gives what came, with the subjects to acknowledge to.
fn pull(room: &mut Room, stream: &str, name: &str, batch: u32) -> Vec<(String, String)> {
    let inbox = room.inbox();
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}");
    let body = format!("{{\"batch\":{batch},\"no_wait\":true}}");
    let message = room.message(&subject, Some(&inbox), b"", body.as_bytes());
    room.round(&[message]);
    deliveries(&room.heard())
}

fn field(answer: &str, name: &str) -> u64 {
    let value = answer.split(&format!("\"{name}\":")).nth(1).unwrap_or_else(|| panic!("no {name} in {answer}"));
    value.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

#[test]
fn a_message_is_acknowledged_only_when_it_is_durable() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    let syncs = room.disk.syncs();
    assert_eq!(room.ask("s.a", "one"), r#"{"stream":"S","seq":1}"#);
    assert_eq!(room.disk.syncs(), syncs + 1);
    // Whatever is lost in the crash, what was acknowledged is there.
    for seed in 0..50 {
        let mut after = room.again(room.disk.crash_with(seed));
        let answer = after.ask("$JS.API.STREAM.MSG.GET.S", r#"{"seq":1}"#);
        assert!(answer.contains("\"data\":\"b25l\""), "{answer}");
    }
}

#[test]
fn a_thousand_messages_of_one_round_share_one_sync() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    let syncs = room.disk.syncs();
    let messages: Vec<_> =
        (0..1000).map(|n| room.message("s.a", Some("_I.acks"), b"", format!("{n}").as_bytes())).collect();
    room.round(&messages);
    assert_eq!(room.disk.syncs(), syncs + 1);
    let heard = room.heard();
    assert_eq!(heard.len(), 1000);
    assert_eq!(text(&heard[999].payload), r#"{"stream":"S","seq":1000}"#);
}

#[test]
fn when_the_disk_fails_nobody_is_told_that_it_worked_and_it_comes_back() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    assert!(room.ask("s.a", "one").contains("\"seq\":1"));
    room.disk.fail_syncs(1);
    let answer = room.ask("s.a", "two");
    assert!(answer.contains("\"err_code\":10077"), "{answer}");
    assert!(room.ask("s.a", "three").contains("\"err_code\":10077"), "poisoned until it was opened again");
    room.advance(2 * SECOND);
    let answer = room.ask("s.a", "four");
    assert!(answer.contains("\"stream\":\"S\",\"seq\":"), "{answer}");
    let reports = &room.port.0.lock().expect("unharmed").reports.clone();
    assert!(reports.iter().any(|r| matches!(r, Report::StoreFailed { .. })), "{reports:?}");
    assert!(reports.contains(&Report::StoreRecovered));
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    assert!(room.ask("s.a", "one").contains("\"seq\":1"));
    room.disk.limit_space(Some(20_000));
    let big = "x".repeat(30_000);
    assert!(room.ask("s.a", &big).contains("\"err_code\":10077"));
    let reports = room.port.0.lock().expect("unharmed").reports.clone();
    let full = |report: &Report| match report {
        Report::StoreFailed { stream, is_full: true, .. } => stream.clone(),
        _ => None,
    };
    assert_eq!(reports.iter().find_map(full), Some(("A".to_owned(), "S".to_owned())), "{reports:?}");
    room.disk.limit_space(None);
    room.advance(2 * SECOND);
    assert!(room.ask("s.a", &big).contains("\"stream\":\"S\",\"seq\":2"));
}

#[test]
fn streams_consumers_and_their_positions_survive_a_restart() {
    let mut room = Room::new();
    stream(&mut room, "S", ",\"allow_direct\":true");
    consumer(&mut room, "S", "c", ",\"ack_policy\":\"explicit\"");
    for n in 1..=5 {
        room.publish("s.a", b"", format!("m{n}").as_bytes());
    }
    let got = pull(&mut room, "S", "c", 3);
    assert_eq!(got.len(), 3);
    // The first is acknowledged and confirmed, the second only acknowledged.
    assert_eq!(room.ask(&got[0].1, "+ACK"), "");
    room.publish(&got[1].1, b"", b"+ACK");

    let mut after = room.again(room.disk.crash());
    let info = after.ask("$JS.API.CONSUMER.INFO.S.c", "");
    assert_eq!(field(info.split("ack_floor").nth(1).expect("a floor"), "stream_seq"), 1, "{info}");
    let again: Vec<String> = {
        after.advance(31 * SECOND);
        pull(&mut after, "S", "c", 10).into_iter().map(|(body, _)| body).collect()
    };
    // What was not confirmed may come again, nothing is left out.
    for body in ["m3", "m4", "m5"] {
        assert!(again.contains(&body.to_owned()), "{again:?}");
    }
    assert!(!again.contains(&"m1".to_owned()), "{again:?}");
}

#[test]
fn message_ids_are_remembered_over_a_restart() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    let headers = b"NATS/1.0\r\nNats-Msg-Id: once\r\n\r\n";
    room.publish("s.a", headers, b"first");
    let mut after = room.again(room.disk.kill());
    let inbox = after.inbox();
    let message = after.message("s.a", Some(&inbox), headers, b"second");
    after.round(&[message]);
    assert_eq!(text(&after.heard()[0].payload), r#"{"stream":"S","seq":1,"duplicate": true}"#);
}

#[test]
fn a_message_without_acknowledgement_comes_again_and_not_for_ever() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    consumer(&mut room, "S", "c", ",\"ack_policy\":\"explicit\",\"ack_wait\":1000000000,\"max_deliver\":3");
    room.publish("s.a", b"", b"hard");
    for delivery in 1..=3 {
        let got = pull(&mut room, "S", "c", 1);
        assert_eq!(got.len(), 1, "delivery {delivery}");
        assert!(got[0].1.starts_with(&format!("$JS.ACK.S.c.{delivery}.1.{delivery}.")), "{}", got[0].1);
        room.advance(SECOND + Duration::from_millis(10));
    }
    assert!(pull(&mut room, "S", "c", 1).is_empty(), "three times is enough");
    let info = room.ask("$JS.API.CONSUMER.INFO.S.c", "");
    assert_eq!(field(&info, "num_ack_pending"), 0, "{info}");
}

#[test]
fn a_negative_acknowledgement_with_delay_is_obeyed() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    consumer(&mut room, "S", "c", ",\"ack_policy\":\"explicit\"");
    room.publish("s.a", b"", b"later");
    let got = pull(&mut room, "S", "c", 1);
    room.publish(&got[0].1, b"", b"-NAK {\"delay\": 5000000000}");
    room.advance(4 * SECOND);
    assert!(pull(&mut room, "S", "c", 1).is_empty());
    room.advance(2 * SECOND);
    assert_eq!(pull(&mut room, "S", "c", 1).len(), 1);
}

#[test]
fn backoff_grows_with_each_delivery() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    let config = ",\"ack_policy\":\"explicit\",\"max_deliver\":5,\"backoff\":[1000000000,3000000000]";
    consumer(&mut room, "S", "c", config);
    room.publish("s.a", b"", b"x");
    assert_eq!(pull(&mut room, "S", "c", 1).len(), 1);
    room.advance(SECOND + Duration::from_millis(10));
    assert_eq!(pull(&mut room, "S", "c", 1).len(), 1, "after one second");
    room.advance(2 * SECOND);
    assert!(pull(&mut room, "S", "c", 1).is_empty(), "not yet");
    room.advance(SECOND + Duration::from_millis(10));
    assert_eq!(pull(&mut room, "S", "c", 1).len(), 1, "after three");
}

#[test]
fn a_pull_that_waits_gets_what_comes() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    consumer(&mut room, "S", "c", ",\"ack_policy\":\"explicit\"");
    let inbox = room.inbox();
    let body = b"{\"batch\":3,\"expires\":5000000000,\"idle_heartbeat\":1000000000}";
    let message = room.message("$JS.API.CONSUMER.MSG.NEXT.S.c", Some(&inbox), b"", body);
    room.round(&[message]);
    room.publish("s.a", b"", b"one");
    assert_eq!(bodies(&room.heard()), ["one"]);
    room.advance(2 * SECOND + Duration::from_millis(10));
    let beats = room.heard();
    assert_eq!(beats.iter().filter(|beat| beat.headers.starts_with(b"NATS/1.0 100 Idle Heartbeat")).count(), 2);
    room.publish("s.a", b"", b"two");
    assert_eq!(bodies(&room.heard()), ["two"]);
    room.advance(5 * SECOND);
    let end = room.heard().pop().expect("an end");
    assert!(text(&end.headers).starts_with("NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 1\r\n"), "{end:?}");
}

#[test]
fn no_more_are_out_than_the_consumer_allows() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    consumer(&mut room, "S", "c", ",\"ack_policy\":\"explicit\",\"max_ack_pending\":2");
    (0..5).for_each(|n| room.publish("s.a", b"", format!("{n}").as_bytes()));
    let got = pull(&mut room, "S", "c", 5);
    assert_eq!(got.len(), 2);
    assert!(pull(&mut room, "S", "c", 5).is_empty());
    room.publish(&got[0].1, b"", b"");
    assert_eq!(bodies(&room.heard()), ["2"], "the pull that waits gets the next");
}

#[test]
fn what_is_pushed_flows_while_somebody_listens() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    consumer(
        &mut room,
        "S",
        "p",
        ",\"ack_policy\":\"none\",\"deliver_subject\":\"push.me\",\"idle_heartbeat\":1000000000",
    );
    room.publish("s.a", b"", b"one");
    assert!(room.heard().is_empty(), "nobody listens");
    room.listen("push.>");
    let heard = room.heard();
    assert_eq!(bodies(&heard), ["one"]);
    assert_eq!((text(&heard[0].to), heard[0].subject.as_deref().map(text)), ("push.me".into(), Some("s.a".into())));
    room.advance(SECOND);
    let beat = room.heard().pop().expect("a sign of life");
    assert_eq!(
        text(&beat.headers),
        "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 1\r\n\r\n"
    );
}

#[test]
fn whoever_begins_to_listen_misses_nothing_that_goes_soon_after() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    consumer(&mut room, "S", "p", ",\"ack_policy\":\"none\",\"deliver_subject\":\"push.me\"");
    assert_eq!(room.port.0.lock().expect("unharmed").awaited.len(), 1, "it is asked for once");
    room.listen("push.me");
    room.publish("s.a", b"", b"one");
    let heard = room.heard();
    assert!(room.ask("$JS.API.STREAM.PURGE.S", "").contains("\"purged\":1"));
    assert_eq!(bodies(&heard), ["one"]);
    room.ask("$JS.API.CONSUMER.DELETE.S.p", "");
    assert!(room.port.0.lock().expect("unharmed").awaited.is_empty());
}

#[test]
fn who_goes_waits_for_nobody() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    for name in ["p", "q"] {
        let config = format!(",\"ack_policy\":\"none\",\"deliver_subject\":\"push.{name}\"");
        consumer(&mut room, "S", name, &config);
    }
    room.ask("$JS.API.CONSUMER.DELETE.S.p", "");
    let awaited = |room: &Room| room.port.0.lock().expect("unharmed").awaited.len();
    assert_eq!(awaited(&room), 1);
    room.ask("$JS.API.STREAM.DELETE.S", "");
    assert_eq!(awaited(&room), 0);
}

#[test]
fn flow_control_stops_and_goes_on() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    room.listen("fc");
    let config =
        ",\"ack_policy\":\"none\",\"deliver_subject\":\"fc\",\"idle_heartbeat\":1000000000,\"flow_control\":true";
    consumer(&mut room, "S", "f", config);
    let body = vec![b'x'; 100_000];
    (0..40).for_each(|_| room.publish("s.a", b"", &body));
    let heard = room.heard();
    let delivered = bodies(&heard).len();
    assert!((20..40).contains(&delivered), "the window closed after {delivered}");
    let questions: Vec<&Letter> = heard.iter().filter(|o| o.headers.starts_with(b"NATS/1.0 100 FlowControl")).collect();
    assert_eq!(questions.len(), 1);
    let answer_to = text(questions[0].reply.as_deref().expect("where to answer"));
    assert!(answer_to.starts_with("$JS.FC.S.f."));
    room.publish(&answer_to, b"", b"");
    assert_eq!(delivered + bodies(&room.heard()).len(), 40);
}

#[test]
fn an_ephemeral_consumer_goes_when_nobody_wants_it() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    let body = r#"{"stream_name":"S","config":{"ack_policy":"explicit"}}"#;
    let answer = room.ask("$JS.API.CONSUMER.CREATE.S", body);
    assert!(answer.contains("\"name\":\""), "{answer}");
    assert!(room.ask("$JS.API.CONSUMER.NAMES.S", "").contains("\"total\":1"));
    room.advance(6 * SECOND);
    assert!(room.ask("$JS.API.CONSUMER.NAMES.S", "").contains("\"total\":0"));
}

#[test]
fn a_work_queue_forgets_what_was_done() {
    let mut room = Room::new();
    stream(&mut room, "S", ",\"retention\":\"workqueue\"");
    consumer(&mut room, "S", "w", ",\"ack_policy\":\"explicit\"");
    (0..3).for_each(|n| room.publish("s.a", b"", format!("{n}").as_bytes()));
    let got = pull(&mut room, "S", "w", 2);
    room.publish(&got[1].1, b"", b"+ACK");
    let info = room.ask("$JS.API.STREAM.INFO.S", "");
    assert_eq!((field(&info, "messages"), field(&info, "num_deleted")), (2, 1), "{info}");
    let mut after = room.again(room.disk.crash());
    assert_eq!(field(&after.ask("$JS.API.STREAM.INFO.S", ""), "messages"), 2);
}

#[test]
fn interest_keeps_a_message_until_everybody_had_it() {
    let mut room = Room::new();
    stream(&mut room, "S", ",\"retention\":\"interest\"");
    assert!(room.ask("s.a", "nobody cares").contains("\"seq\":1"));
    assert_eq!(field(&room.ask("$JS.API.STREAM.INFO.S", ""), "messages"), 0);
    consumer(&mut room, "S", "a", ",\"ack_policy\":\"explicit\"");
    consumer(&mut room, "S", "b", ",\"ack_policy\":\"explicit\",\"filter_subject\":\"s.b\"");
    room.publish("s.a", b"", b"for a");
    room.publish("s.b", b"", b"for both");
    assert_eq!(field(&room.ask("$JS.API.STREAM.INFO.S", ""), "messages"), 2);
    for (_, reply) in pull(&mut room, "S", "a", 5) {
        room.publish(&reply, b"", b"+ACK");
    }
    assert_eq!(field(&room.ask("$JS.API.STREAM.INFO.S", ""), "messages"), 1, "b has not had its message");
    for (_, reply) in pull(&mut room, "S", "b", 5) {
        room.publish(&reply, b"", b"+ACK");
    }
    assert_eq!(field(&room.ask("$JS.API.STREAM.INFO.S", ""), "messages"), 0);
}

#[test]
fn messages_go_when_they_are_too_old() {
    let mut room = Room::new();
    stream(&mut room, "S", ",\"max_age\":10000000000");
    room.publish("s.a", b"", b"old");
    room.advance(6 * SECOND);
    room.publish("s.a", b"", b"young");
    room.advance(5 * SECOND);
    let info = room.ask("$JS.API.STREAM.INFO.S", "");
    assert_eq!((field(&info, "messages"), field(&info, "first_seq")), (1, 2), "{info}");
    room.advance(6 * SECOND);
    assert_eq!(field(&room.ask("$JS.API.STREAM.INFO.S", ""), "messages"), 0);
}

#[test]
fn a_paused_consumer_delivers_nothing_until_then() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    consumer(&mut room, "S", "c", ",\"ack_policy\":\"explicit\"");
    room.publish("s.a", b"", b"x");
    let until = room.now.wall + 10 * SECOND;
    room.ask("$JS.API.CONSUMER.PAUSE.S.c", &format!("{{\"pause_until\":\"{until}\"}}"));
    let inbox = room.inbox();
    let message =
        room.message("$JS.API.CONSUMER.MSG.NEXT.S.c", Some(&inbox), b"", b"{\"batch\":1,\"expires\":60000000000}");
    room.round(&[message]);
    room.advance(9 * SECOND);
    assert!(deliveries(&room.heard()).is_empty());
    room.advance(2 * SECOND);
    assert_eq!(bodies(&room.heard()), ["x"]);
}

#[test]
fn the_last_of_each_subject_comes_first() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    for (subject, body) in [("s.a", "a1"), ("s.b", "b1"), ("s.a", "a2"), ("s.c", "c1"), ("s.b", "b2")] {
        room.publish(subject, b"", body.as_bytes());
    }
    let config = ",\"ack_policy\":\"none\",\"deliver_policy\":\"last_per_subject\",\"filter_subject\":\"s.>\"";
    consumer(&mut room, "S", "l", config);
    let got: Vec<String> = pull(&mut room, "S", "l", 10).into_iter().map(|(body, _)| body).collect();
    assert_eq!(got, ["a2", "c1", "b2"]);
    room.publish("s.a", b"", b"a3");
    assert_eq!(pull(&mut room, "S", "l", 10)[0].0, "a3");
}

#[test]
fn consumers_begin_where_they_are_told() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    for n in 1..=5 {
        room.publish("s.a", b"", format!("{n}").as_bytes());
        room.advance(SECOND);
    }
    let moment = room.now.wall.as_nanos() - 2_500_000_000;
    let time = moment::Timestamp::from_nanos(moment);
    for (policy, expected) in [
        ("\"all\"", vec!["1", "2", "3", "4", "5"]),
        ("\"last\"", vec!["5"]),
        ("\"new\"", vec![]),
        ("\"by_start_sequence\",\"opt_start_seq\":4", vec!["4", "5"]),
        (&format!("\"by_start_time\",\"opt_start_time\":\"{time}\""), vec!["4", "5"]),
    ] {
        consumer(&mut room, "S", "c", &format!(",\"ack_policy\":\"none\",\"deliver_policy\":{policy}"));
        let got: Vec<String> = pull(&mut room, "S", "c", 10).into_iter().map(|(body, _)| body).collect();
        assert_eq!(got, expected, "{policy}");
        room.ask("$JS.API.CONSUMER.DELETE.S.c", "");
    }
}

#[test]
fn a_deleted_stream_takes_its_files_and_its_name_can_be_used_again() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    room.publish("s.a", b"", b"x");
    let files = |disk: &CrashDisk| disk.files().iter().filter(|path| path.starts_with("streams/")).count();
    assert_eq!(files(&room.disk), 1);
    assert!(room.ask("$JS.API.STREAM.DELETE.S", "").contains("\"success\":true"));
    assert_eq!(files(&room.disk), 0);
    stream(&mut room, "S", "");
    assert!(room.ask("s.a", "y").contains("\"seq\":1"));
    let listens: Vec<String> = room.port.0.lock().expect("unharmed").listens.iter().map(ToString::to_string).collect();
    assert_eq!(listens, ["$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$JS.SNAPSHOT.>", "s.>"]);
}

#[test]
fn a_stream_deleted_in_a_crash_is_gone_or_whole() {
    for stop in 0..12 {
        let mut room = Room::new();
        stream(&mut room, "S", "");
        room.publish("s.a", b"", b"x");
        room.disk.power_off_after(stop);
        let answer = room.ask("$JS.API.STREAM.DELETE.S", "");
        let mut after = room.again(room.disk.crash());
        let info = after.ask("$JS.API.STREAM.INFO.S", "");
        let is_whole = info.contains("\"messages\":1");
        let is_gone = info.contains("\"err_code\":10059");
        assert!(is_whole || is_gone, "stopped after {stop}: {info}");
        assert!(is_gone || !answer.contains("\"success\":true"), "said to be gone, stopped after {stop}");
        let reports = after.port.0.lock().expect("unharmed").reports.clone();
        assert!(reports.is_empty(), "stopped after {stop}: {reports:?}");
    }
}

#[test]
fn a_key_value_bucket_works_as_clients_use_it() {
    let mut room = Room::new();
    let body = concat!(
        r#"{"name":"KV_b","subjects":["$KV.b.>"],"max_msgs_per_subject":2,"allow_rollup_hdrs":true,"deny_delete":true,"#,
        r#""discard":"new","allow_direct":true,"max_age":0,"duplicate_window":120000000000}"#
    );
    assert!(room.ask("$JS.API.STREAM.CREATE.KV_b", body).contains("did_create"));
    let put = |room: &mut Room, key: &str, value: &str, headers: &[u8]| {
        let inbox = room.inbox();
        let message = room.message(&format!("$KV.b.{key}"), Some(&inbox), headers, value.as_bytes());
        room.round(&[message]);
        text(&room.heard()[0].payload)
    };
    assert!(put(&mut room, "k", "1", b"").contains("\"seq\":1"));
    assert!(put(&mut room, "k", "2", b"").contains("\"seq\":2"));
    assert!(put(&mut room, "k", "3", b"").contains("\"seq\":3"));
    // Compare and set, by the last sequence of the key.
    let expects = |seq: u64| format!("NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: {seq}\r\n\r\n").into_bytes();
    assert!(put(&mut room, "k", "no", &expects(2)).contains("\"err_code\":10071"));
    assert!(put(&mut room, "k", "4", &expects(3)).contains("\"seq\":4"));
    assert!(put(&mut room, "new", "n", &expects(0)).contains("\"seq\":5"));
    assert_eq!(room.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.k", ""), "4");
    assert_eq!(field(&room.ask("$JS.API.STREAM.INFO.KV_b", ""), "messages"), 3, "two of k, one of new");
    let purge = b"NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Rollup: sub\r\n\r\n";
    assert!(put(&mut room, "k", "", purge).contains("\"seq\":6"));
    assert_eq!(field(&room.ask("$JS.API.STREAM.INFO.KV_b", ""), "messages"), 2);
}

#[test]
fn what_happens_is_told_to_those_who_listen() {
    let mut room = Room::new();
    room.listen("$JS.EVENT.>");
    stream(&mut room, "S", "");
    let heard = room.ask("$JS.API.STREAM.UPDATE.S", r#"{"name":"S","subjects":["s.>"],"max_msgs":10}"#);
    assert!(heard.contains("\"max_msgs\":10"), "{heard}");
    consumer(
        &mut room,
        "S",
        "c",
        ",\"ack_policy\":\"explicit\",\"max_deliver\":1,\"ack_wait\":1000000000,\"sample_freq\":\"100%\"",
    );
    (0..4).for_each(|_| room.publish("s.a", b"", b"x"));
    let got = pull(&mut room, "S", "c", 4);
    room.publish(&got[0].1, b"", b"+ACK");
    room.publish(&got[1].1, b"", b"-NAK");
    room.publish(&got[2].1, b"", b"+TERM no good");
    room.advance(2 * SECOND);
    room.publish("$JS.API.CONSUMER.DELETE.S.c", b"", b"");
    let told: Vec<String> =
        room.heard().iter().filter(|o| o.to.starts_with(b"$JS.EVENT")).map(|o| text(&o.to)).collect();
    assert_eq!(
        told,
        [
            "$JS.EVENT.METRIC.CONSUMER.ACK.S.c",
            "$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.S.c",
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.c",
            "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.S.c",
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.c",
            "$JS.EVENT.ADVISORY.CONSUMER.DELETED.S.c",
            "$JS.EVENT.ADVISORY.API",
        ],
        "who asks without waiting has done what was asked for"
    );
}

#[test]
fn a_domain_is_part_of_the_subject_and_of_the_answer() {
    let mut room = Room::new();
    let settings = bulwark_jetstream_host::AccountSettings { domain: "D".into(), ..crate::house::account("A") };
    room.desk.set_account(settings, room.now).expect("the account is there");
    stream(&mut room, "S", "");
    assert!(room.ask("$JS.D.API.STREAM.INFO.S", "").contains("\"domain\":\"D\""));
    assert_eq!(room.ask("$JS.X.API.STREAM.INFO.S", ""), "-");
    assert_eq!(room.ask("s.a", "x"), r#"{"stream":"S","domain":"D","seq":1}"#);
}

#[test]
fn memory_streams_answer_without_the_disk_and_are_empty_after_a_restart() {
    let mut room = Room::new();
    stream(&mut room, "S", ",\"storage\":\"memory\"");
    let syncs = room.disk.syncs();
    assert!(room.ask("s.a", "x").contains("\"seq\":1"));
    assert_eq!(room.disk.syncs(), syncs);
    let mut after = room.again(room.disk.kill());
    let info = after.ask("$JS.API.STREAM.INFO.S", "");
    assert_eq!(field(&info, "messages"), 0, "{info}");
}

#[test]
fn no_name_subject_or_payload_lies_readable_in_the_store() {
    let mut room = Room::new();
    let body = r#"{"name":"canary-stream","subjects":["canary-subject.>"],"description":"canary-description"}"#;
    assert!(room.ask("$JS.API.STREAM.CREATE.canary-stream", body).contains("did_create"));
    let body = r#"{"stream_name":"canary-stream","config":{"durable_name":"canary-consumer","ack_policy":"explicit"}}"#;
    assert!(room.ask("$JS.API.CONSUMER.CREATE.canary-stream.canary-consumer", body).contains("canary-consumer"));
    for n in 0..50 {
        room.publish(&format!("canary-subject.{n}"), b"NATS/1.0\r\nX: canary-header\r\n\r\n", b"canary-payload");
    }
    pull(&mut room, "canary-stream", "canary-consumer", 10);
    room.advance(SECOND);
    for path in room.disk.files() {
        let bytes = room.disk.bytes(&path);
        assert!(!bytes.windows(7).any(|window| window == b"canary-"), "readable in {path}");
        assert!(!path.contains("canary"), "readable in a file name: {path}");
    }
}

#[test]
fn a_consumer_that_is_to_end_soon_after_its_listener_left_does() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    room.listen("d.one");
    let config = r#","deliver_subject":"d.one","inactive_threshold":50000000,"mem_storage":true"#;
    let body = format!(r#"{{"stream_name":"S","config":{{"name":"c"{config}}}}}"#);
    assert!(!room.ask("$JS.API.CONSUMER.CREATE.S.c", &body).contains("\"error\""));
    room.advance(SECOND);
    assert!(room.ask("$JS.API.CONSUMER.INFO.S.c", "").contains("\"push_bound\":true"));
    room.leave("d.one");
    room.advance(Duration::from_millis(100));
    assert!(room.ask("$JS.API.CONSUMER.INFO.S.c", "").contains("10014"), "it is gone");
}

#[test]
fn whoever_waits_for_messages_is_told_that_the_server_ends() {
    let mut room = Room::new();
    stream(&mut room, "S", "");
    consumer(&mut room, "S", "c", r#","ack_policy":"explicit""#);
    let pull = r#"{"batch":100,"expires":10000000000,"max_bytes":1000}"#;
    let message = room.message("$JS.API.CONSUMER.MSG.NEXT.S.c", Some("_I.waits"), b"", pull.as_bytes());
    room.round(&[message]);
    assert!(room.heard().is_empty());
    room.desk.close(room.now).expect("closes");
    let heard = room.heard();
    let [told] = heard.as_slice() else { panic!("{heard:?}") };
    let expected = "NATS/1.0 409 Server Shutdown\r\nNats-Pending-Messages: 100\r\nNats-Pending-Bytes: 1000\r\n\r\n";
    assert_eq!((text(&told.to).as_str(), text(&told.headers).as_str()), ("_I.waits", expected));
}

#[test]
fn a_read_of_much_is_sent_in_parts_to_whoever_still_listens() {
    let mut room = Room::new();
    stream(&mut room, "S", r#","allow_direct":true"#);
    let body = vec![b'x'; 64 * 1024];
    for _ in 0..20 {
        room.publish("s.a", b"", &body);
    }
    let ask = |room: &mut Room, reply: &str| {
        room.heard();
        let message =
            room.message("$JS.API.DIRECT.GET.S", Some(reply), b"", br#"{"seq":1,"batch":100,"max_bytes":99999999999}"#);
        room.round(&[message]);
        room.heard().len()
    };
    let at_once = ask(&mut room, "_I.listens");
    assert!((4..10).contains(&at_once), "{at_once}");
    let mut all = at_once;
    for _ in 0..10 {
        room.round(&[]);
        let heard = room.heard();
        assert!(heard.len() < 10);
        all += heard.len();
        if let Some(last) = heard.last().filter(|last| last.payload.is_empty()) {
            assert!(
                text(&last.headers).starts_with("NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 20")
            );
        }
    }
    assert_eq!(all, 21, "every message, and the end");
    assert!(ask(&mut room, "nobody") < 10);
    room.round(&[]);
    assert!(room.heard().is_empty(), "nobody listens");
}

#[test]
fn so_much_is_said_before_more_is_heard() {
    let mut room = Room::new();
    stream(&mut room, "S", r#","allow_direct":true,"storage":"memory""#);
    room.publish("s.a", b"", &vec![b'x'; 900 * 1024]);
    let read = room.message("$JS.API.DIRECT.GET.S", Some("_I.many"), b"", br#"{"seq":1}"#);
    let all: Vec<_> = (0..100).map(|_| read.clone()).collect();
    room.heard();
    room.round(&all);
    assert_eq!(room.heard().len(), 100);
    assert!(room.most_said() < 12 * 1024 * 1024, "{}", room.most_said());
}
