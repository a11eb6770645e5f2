//! Turns between accounts: what one of them asks for is done in parts, and others are served in between.

use crate::house::{Letter, Parcel, Room, sealed};
use bulwark_jetstream_host::DeskSettings;
use std::time::Duration;
use testkit::{CrashDisk, Dice};

/// Units of a turn that is short beside what is asked for.
const SHORT: u64 = 256;
/// Subjects of the stream that much is asked of.
const SUBJECTS: usize = 2_000;
/// Rounds until something is given up.
const MANY: usize = 20_000;
/// What is begun is finished, however much of a turn was left: a round may be so many times longer than its turns are together.
const OVERSHOOT: u64 = 2;

fn room(turn_units: u64) -> Room {
    Room::of(&["A", "B"], CrashDisk::new(1), DeskSettings { turn_units, ..sealed() })
}

fn text(letter: &Letter) -> String {
    String::from_utf8_lossy(if letter.payload.is_empty() { &letter.headers } else { &letter.payload }).into_owned()
}

/// What came to an inbox.
fn to<'a>(heard: &'a [Letter], inbox: &str) -> Vec<&'a Letter> {
    heard.iter().filter(|letter| letter.to == inbox.as_bytes()).collect()
}

fn make(room: &mut Room, stream: &str, more: &str) {
    let config = format!("{{\"name\":\"{stream}\",\"subjects\":[\"{stream}.>\"],\"allow_direct\":true{more}}}");
    let made = room.ask(&format!("$JS.API.STREAM.CREATE.{stream}"), &config);
    assert!(made.contains("did_create"), "{made}");
}

fn fill(room: &mut Room, stream: &str) {
    let all: Vec<Parcel> =
        (0..SUBJECTS).map(|n| room.message(&format!("{stream}.{n}.x"), None, b"", &[b'x'; 20])).collect();
    room.round(&all);
}

/// What A has much of, and B little.
fn crowded(turn_units: u64) -> Room {
    let mut room = room(turn_units);
    make(&mut room, "S", ",\"allow_rollup_hdrs\":true");
    fill(&mut room, "S");
    room.speak_for("B");
    assert!(room.ask("$JS.API.STREAM.CREATE.T", r#"{"name":"T","subjects":["t"]}"#).contains("did_create"));
    // What the streams cost is made up for.
    (0..100).for_each(|_| room.step(&[]));
    room
}

/// Requests that look at everything there is, in an order in which all is there when they are asked.
fn costly() -> Vec<(&'static str, &'static [u8], String)> {
    let many: Vec<String> = (0..100).map(|n| format!("\"S.*.y{n}\"")).collect();
    let plain = |subject, body: &str| (subject, &b""[..], body.to_owned());
    let consumer = |name: &str, filter: &str| {
        let config = format!("\"name\":\"{name}\",\"durable_name\":\"{name}\",\"ack_policy\":\"explicit\"");
        format!("{{\"stream_name\":\"S\",\"config\":{{{config},{filter}}}}}")
    };
    let later = "\"filter_subject\":\"S.*.x\",\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":2";
    let expects: &[u8] = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\n\
        Nats-Expected-Last-Subject-Sequence-Subject: S.*.y\r\n\r\n";
    vec![
        plain("$JS.API.DIRECT.GET.S", &format!("{{\"multi_last\":[{}]}}", many.join(","))),
        plain("$JS.API.DIRECT.GET.S", r#"{"multi_last":["S.*.y"],"up_to_seq":1900}"#),
        plain("$JS.API.DIRECT.GET.S", r#"{"seq":2,"next_by_subj":"S.*.y","batch":10}"#),
        plain("$JS.API.DIRECT.GET.S", r#"{"last_by_subj":"S.*.y"}"#),
        plain("$JS.API.STREAM.MSG.GET.S", r#"{"seq":2,"next_by_subj":"S.*.y"}"#),
        plain("$JS.API.STREAM.INFO.S", r#"{"subjects_filter":">"}"#),
        plain("$JS.API.STREAM.INFO.S", r#"{"subjects_filter":"S.*.y"}"#),
        plain("$JS.API.CONSUMER.CREATE.S.a", &consumer("a", "\"filter_subject\":\"S.*.y\"")),
        plain("$JS.API.CONSUMER.CREATE.S.b", &consumer("b", later)),
        ("S.1.x", expects, "one that comes if no other came".to_owned()),
        plain("$JS.API.STREAM.PURGE.S", r#"{"filter":"S.*.y"}"#),
        ("S.1.x", b"NATS/1.0\r\nNats-Rollup: all\r\n\r\n", "all that is left".to_owned()),
    ]
}

#[test]
fn whoever_publishes_is_answered_between_the_parts_of_what_another_account_asks_for() {
    let mut room = crowded(SHORT);
    for (subject, headers, body) in costly() {
        room.speak_for("A");
        let (asked, inbox) = (room.inbox(), room.inbox());
        let request = room.message(subject, Some(&asked), headers, body.as_bytes());
        room.speak_for("B");
        let message = room.message("t", Some(&inbox), b"", b"hello");
        let mut flood = vec![request, message.clone()];
        room.heard();
        for parts in 1.. {
            let before = room.desk.units_done();
            room.step(&flood);
            let (units, heard) = (room.desk.units_done() - before, room.heard());
            assert_eq!(to(&heard, &inbox).len(), 1, "{subject} {body}: not answered in part {parts}");
            // Both may have one for what came, one for what is due, and one for what is delivered.
            assert!(units <= 2 * 3 * SHORT * OVERSHOOT, "{subject} {body}: {units} units in part {parts}");
            if let [answer] = to(&heard, &asked)[..] {
                assert!(parts >= 3, "{subject} {body}: {parts} parts: {}", text(answer));
                break;
            }
            assert!(parts < MANY, "{subject} {body}: never answered");
            flood = vec![message.clone()];
        }
    }
}

#[test]
fn what_cannot_be_divided_is_made_up_for() {
    let mut room = crowded(SHORT);
    let make = |room: &mut Room, n: usize| {
        let config = format!("{{\"name\":\"N{n}\",\"subjects\":[\"n{n}\"]}}");
        room.speak_for("A");
        let (name, inbox) = (format!("$JS.API.STREAM.CREATE.N{n}"), room.inbox());
        (room.message(&name, Some(&inbox), b"", config.as_bytes()), inbox)
    };
    let ((first, made), (second, made_too)) = (make(&mut room, 1), make(&mut room, 2));
    room.speak_for("B");
    let inbox = room.inbox();
    let message = room.message("t", Some(&inbox), b"", b"hello");
    room.heard();
    room.step(&[first, second, message.clone()]);
    assert_eq!(to(&room.heard(), &made).len(), 1);
    let mut others = 0;
    while to(&room.heard(), &made_too).is_empty() {
        room.step(std::slice::from_ref(&message));
        others += 1;
        assert!(others < MANY);
    }
    assert!(others >= 10, "after {others} messages of another account");
    // Whoever is alone waits for nobody.
    let ((third, made), (fourth, made_too)) = (make(&mut room, 3), make(&mut room, 4));
    room.step(&[third, fourth]);
    room.step(&[]);
    let heard = room.heard();
    assert_eq!((to(&heard, &made).len(), to(&heard, &made_too).len()), (1, 1));
}

/// To whom, and what.
type Said = (String, String);

/// Publishes and asks for all kinds of things in between, and gives what was heard.
fn answers(turn_units: u64) -> (Vec<Said>, Vec<Said>) {
    let mut room = room(turn_units);
    for (name, more) in [("S", ""), ("I", ",\"retention\":\"interest\"")] {
        let limits = "\"max_msgs_per_subject\":3,\"allow_rollup_hdrs\":true,\"allow_direct\":true";
        let config = format!("{{\"name\":\"{name}\",\"subjects\":[\"{name}.>\"],{limits}{more}}}");
        assert!(room.ask(&format!("$JS.API.STREAM.CREATE.{name}"), &config).contains("did_create"));
        for n in 0..12 {
            let filter = if n % 3 == 0 { format!("{name}.>") } else { format!("{name}.{n}") };
            let config = format!("\"durable_name\":\"c{n}\",\"ack_policy\":\"all\",\"filter_subject\":\"{filter}\"");
            let body = format!("{{\"stream_name\":\"{name}\",\"config\":{{{config}}}}}");
            let made = room.ask(&format!("$JS.API.CONSUMER.DURABLE.CREATE.{name}.c{n}"), &body);
            assert!(made.contains("consumer_create"), "{made}");
        }
    }
    let rollup: &[u8] = b"NATS/1.0\r\nNats-Rollup: sub\r\n\r\n";
    let mut messages = Vec::new();
    for n in 0..240 {
        let name = if n % 2 == 0 { "S" } else { "I" };
        let inbox = room.inbox();
        let subject = format!("{name}.{}", n % 9);
        let (to, headers, body) = match n % 15 {
            11 => (format!("$JS.API.STREAM.PURGE.{name}"), &b""[..], format!("{{\"filter\":\"{subject}\"}}")),
            12 => (format!("$JS.API.STREAM.INFO.{name}"), &b""[..], "{\"subjects_filter\":\">\"}".to_owned()),
            13 => (subject, rollup, "rolled up".to_owned()),
            14 => (format!("$JS.API.CONSUMER.INFO.{name}.c{}", n % 12), &b""[..], String::new()),
            _ => (subject, &b""[..], format!("message {n}")),
        };
        messages.push(room.message(&to, Some(&inbox), headers, body.as_bytes()));
    }
    room.heard();
    room.round(&messages);
    let told = |room: &mut Room| {
        let heard = room.heard();
        heard.iter().map(|letter| (String::from_utf8_lossy(&letter.to).into_owned(), text(letter))).collect()
    };
    let first = told(&mut room);
    let mut last: Vec<Said> = Vec::new();
    for name in ["S", "I"] {
        let about =
            room.ask(&format!("$JS.API.STREAM.INFO.{name}"), r#"{"subjects_filter":">","deleted_details":true}"#);
        last.push((name.to_owned(), about));
        let deleted = room.ask(&format!("$JS.API.CONSUMER.DELETE.{name}.c0"), "");
        last.push((name.to_owned(), deleted));
        last.push((name.to_owned(), room.ask(&format!("$JS.API.STREAM.INFO.{name}"), "")));
    }
    (first, last)
}

#[test]
fn everybody_is_answered_once_and_in_order_and_hears_the_same_however_short_the_turns() {
    let (first, last) = answers(u64::MAX);
    let inboxes: Vec<&String> = first.iter().map(|(to, _)| to).collect();
    let expected: Vec<String> = (0..240).map(|n| format!("_I.{}", n + 27)).collect();
    assert_eq!(inboxes, expected.iter().collect::<Vec<_>>());
    for turn_units in [1, 5, 40, 300, 3_000] {
        let (again, last_again) = answers(turn_units);
        assert_eq!(again, first, "turns of {turn_units}");
        assert_eq!(last_again, last, "turns of {turn_units}");
    }
}

/// A message was taken, and a turn was not enough for what follows from it.
fn held_back(room: &mut Room) -> String {
    make(room, "S", ",\"allow_rollup_hdrs\":true");
    let all: Vec<Parcel> = (0..500).map(|_| room.message("S.a", None, b"", b"old")).collect();
    room.round(&all);
    let inbox = room.inbox();
    let message = room.message("S.a", Some(&inbox), b"NATS/1.0\r\nNats-Rollup: sub\r\n\r\n", b"new");
    room.heard();
    room.disk.fail_syncs(1);
    room.step(&[message]);
    assert!(room.desk.has_failed(), "its sync failed");
    assert!(to(&room.heard(), &inbox).is_empty(), "it is not answered before the others are gone");
    assert!(room.desk.has_waiting());
    inbox
}

#[test]
fn what_was_held_back_is_not_said_if_its_message_was_never_durable() {
    let mut room = room(SHORT);
    let inbox = held_back(&mut room);
    for _ in 0..100 {
        room.step(&[]);
    }
    let heard = room.heard();
    let [answer] = to(&heard, &inbox)[..] else { panic!("{heard:?}") };
    assert!(text(answer).contains("\"error\""), "{}", text(answer));
}

#[test]
fn whoever_is_held_back_hears_that_it_failed_when_the_store_is_opened_anew() {
    let mut room = room(SHORT);
    let inbox = held_back(&mut room);
    room.pass(Duration::from_secs(2));
    room.step(&[]);
    assert!(!room.desk.has_failed(), "it was opened anew");
    (0..100).for_each(|_| room.step(&[]));
    let heard = room.heard();
    let [answer] = to(&heard, &inbox)[..] else { panic!("{heard:?}") };
    assert!(text(answer).contains("\"error\""), "{}", text(answer));
}

#[test]
fn what_was_taken_is_answered_before_the_end() {
    let mut room = crowded(SHORT);
    room.speak_for("A");
    let (first, second) = (room.inbox(), room.inbox());
    let body = br#"{"filter":"S.*.x","keep":3}"#;
    let purge = room.message("$JS.API.STREAM.PURGE.S", Some(&first), b"", body);
    let rollup = b"NATS/1.0\r\nNats-Rollup: all\r\n\r\n";
    let message = room.message("S.a", Some(&second), rollup, b"the only one");
    room.heard();
    room.step(&[purge, message]);
    assert!(room.heard().is_empty() && room.desk.has_waiting());
    room.desk.close(room.now).expect("closes");
    let heard = room.heard();
    assert!(text(to(&heard, &first)[0]).contains("\"purged\":1997"), "{heard:?}");
    assert!(text(to(&heard, &second)[0]).contains("\"seq\":2001"), "{heard:?}");
    let mut again = room.again(room.disk.crash());
    again.speak_for("A");
    assert!(again.ask("$JS.API.STREAM.INFO.S", "").contains("\"messages\":1,"));
}

#[test]
fn an_account_goes_in_the_middle_of_what_it_asked_for_and_comes_back() {
    let mut room = crowded(SHORT);
    room.speak_for("A");
    let inbox = room.inbox();
    let purge = room.message("$JS.API.STREAM.PURGE.S", Some(&inbox), b"", br#"{"filter":"S.*.x","keep":3}"#);
    room.heard();
    room.step(&[purge]);
    room.desk.remove_account("A", room.now);
    (0..3).for_each(|_| room.step(&[]));
    assert!(!room.desk.has_waiting() && room.heard().is_empty());
    room.desk.set_account(crate::house::account("A"), room.now).expect("comes back");
    assert!(room.ask("$JS.API.STREAM.INFO.S", "").contains("\"name\":\"S\""));
    let mut again = room.again(room.disk.crash());
    again.speak_for("A");
    assert!(again.ask("$JS.API.STREAM.INFO.S", "").contains("\"name\":\"S\""));
}

fn number(text: &str, key: &str) -> u64 {
    let rest = text.split(&format!("\"{key}\":")).nth(1).unwrap_or_else(|| panic!("no {key} in {text}"));
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

#[test]
fn what_is_kept_as_acknowledged_is_gone_at_every_moment() {
    let mut room = room(SHORT / 8);
    make(&mut room, "Q", ",\"retention\":\"interest\"");
    let config = "\"durable_name\":\"c\",\"ack_policy\":\"all\",\"max_ack_pending\":10000";
    let body = format!("{{\"stream_name\":\"Q\",\"config\":{{{config}}}}}");
    assert!(room.ask("$JS.API.CONSUMER.DURABLE.CREATE.Q.c", &body).contains("\"name\":\"c\""));
    fill(&mut room, "Q");
    let pull = room.message("$JS.API.CONSUMER.MSG.NEXT.Q.c", Some("_I.pull"), b"", br#"{"batch":2000}"#);
    room.heard();
    room.round(&[pull]);
    room.advance(Duration::from_secs(1));
    let delivered = room.heard();
    let delivered = to(&delivered, "_I.pull");
    assert_eq!(delivered.len(), SUBJECTS, "{:?}", delivered.first());
    let last = String::from_utf8(delivered[SUBJECTS - 1].reply.clone().expect("to be acknowledged")).expect("text");
    let inbox = room.inbox();
    let mut messages = vec![room.message(&last, Some(&inbox), b"", b"+ACK")];
    for step in 0..MANY {
        room.step(&messages);
        room.pass(Duration::from_millis(300));
        messages.clear();
        let is_confirmed = !to(&room.heard(), &inbox).is_empty();
        let mut again = room.again(room.disk.crash());
        let floor = number(
            again.ask("$JS.API.CONSUMER.INFO.Q.c", "").split("ack_floor").nth(1).unwrap_or_default(),
            "stream_seq",
        );
        let about = again.ask("$JS.API.STREAM.INFO.Q", "");
        let (first, left) = (number(&about, "first_seq"), number(&about, "messages"));
        assert!(first > floor, "step {step}: acknowledged up to {floor}, and there from {first} on");
        if is_confirmed {
            assert_eq!((floor, left), (SUBJECTS as u64, 0));
            assert!(step >= 3, "after {step} steps");
            return;
        }
    }
    panic!("never confirmed");
}

#[test]
fn a_purge_that_was_answered_has_happened_and_one_that_was_cut_off_took_nothing_else() {
    let (mut cut_off, mut done) = (0, 0);
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut room = room(SHORT / 8);
        make(&mut room, "S", "");
        let subject = |n: usize| format!("S.{}.{n}", if n.is_multiple_of(2) { "a" } else { "b" });
        let all: Vec<Parcel> = (0..300).map(|n| room.message(&subject(n), None, b"", b"x")).collect();
        room.round(&all);
        let inbox = room.inbox();
        let mut messages = vec![room.message("$JS.API.STREAM.PURGE.S", Some(&inbox), b"", br#"{"filter":"S.a.*"}"#)];
        room.heard();
        room.disk.power_off_after(dice.below(30));
        let mut is_answered = false;
        for _ in 0..30 {
            room.step(&messages);
            messages.clear();
            is_answered |= to(&room.heard(), &inbox).iter().any(|letter| text(letter).contains("\"success\":true"));
        }
        let mut again = room.again(room.disk.crash_with(dice.next()));
        let about = again.ask("$JS.API.STREAM.INFO.S", r#"{"subjects_filter":">"}"#);
        let left = |kind: &str| about.matches(&format!("\"S.{kind}.")).count();
        assert_eq!(left("b"), 150, "seed {seed}: {about}");
        assert!(!is_answered || left("a") == 0, "seed {seed}: {about}");
        cut_off += usize::from((1..150).contains(&left("a")));
        done += usize::from(is_answered);
    }
    assert!(cut_off > 5 && done > 5, "{cut_off} cut off, {done} done");
}

#[test]
fn what_follows_from_a_message_of_a_batch_does_not_meet_the_next_of_it() {
    let mut room = room(8);
    make(&mut room, "S", ",\"allow_rollup_hdrs\":true,\"allow_atomic\":true");
    let old: Vec<Parcel> = (0..50).map(|_| room.message("S.a", None, b"", b"old")).collect();
    room.round(&old);
    let inbox = room.inbox();
    let first = b"NATS/1.0\r\nNats-Batch-Id: b\r\nNats-Batch-Sequence: 1\r\nNats-Rollup: sub\r\n\r\n";
    let second = b"NATS/1.0\r\nNats-Batch-Id: b\r\nNats-Batch-Sequence: 2\r\nNats-Batch-Commit: 1\r\n\r\n";
    let batch = [room.message("S.a", None, first, b"all"), room.message("S.a", Some(&inbox), second, b"and more")];
    room.heard();
    room.round(&batch);
    assert!(text(to(&room.heard(), &inbox)[0]).contains("\"seq\":52"));
    let about = room.ask("$JS.API.STREAM.INFO.S", "");
    assert_eq!((number(&about, "messages"), number(&about, "first_seq")), (2, 51), "{about}");
}

#[test]
fn a_stream_that_is_behind_with_copying_is_told_of_in_the_end() {
    let mut room = crowded(SHORT);
    room.speak_for("A");
    let config = r#"{"name":"C","sources":[{"name":"S","filter_subject":"S.*.x"}]}"#;
    assert!(room.ask("$JS.API.STREAM.CREATE.C", config).contains("did_create"));
    let copied = |room: &mut Room| number(&room.ask("$JS.API.STREAM.INFO.C", ""), "messages");
    let inbox = room.inbox();
    let request = room.message("$JS.API.STREAM.INFO.C", Some(&inbox), b"", br#"{"subjects_filter":">"}"#);
    for _ in 0..MANY {
        room.step(&[]);
        if copied(&mut room) > 2 * SHORT {
            break;
        }
    }
    room.heard();
    room.step(&[request]);
    for steps in 1.. {
        if let [answer] = to(&room.heard(), &inbox)[..] {
            let about = text(answer);
            assert!(number(&about, "lag") > SHORT && about.contains("\"S.0.x\":1"), "{about}");
            break;
        }
        assert!(steps < MANY, "never answered");
        room.step(&[]);
    }
}

#[test]
fn a_consumer_delivers_although_its_stream_grows_faster_than_a_turn_can_count() {
    let mut room = room(64);
    make(&mut room, "Q", "");
    let filters: Vec<String> = (0..40).map(|n| format!("\"Q.{n}\"")).collect();
    let config = format!("\"durable_name\":\"c\",\"ack_policy\":\"none\",\"filter_subjects\":[{}]", filters.join(","));
    let body = format!("{{\"stream_name\":\"Q\",\"config\":{{{config}}}}}");
    assert!(room.ask("$JS.API.CONSUMER.DURABLE.CREATE.Q.c", &body).contains("\"name\":\"c\""));
    let pull = room.message("$JS.API.CONSUMER.MSG.NEXT.Q.c", Some("_I.pull"), b"", br#"{"batch":1000}"#);
    room.round(&[pull]);
    room.heard();
    let mut delivered = 0;
    for _ in 0..200 {
        let flood: Vec<Parcel> = (0..8).map(|n| room.message(&format!("Q.{n}"), None, b"", b"x")).collect();
        room.step(&flood);
        delivered += to(&room.heard(), "_I.pull").len();
    }
    assert!(delivered > 50, "{delivered} delivered");
}

#[test]
fn a_rollup_that_was_cut_off_is_done_for_whoever_asks_again() {
    for rollup in ["sub", "all"] {
        let mut room = room(SHORT);
        make(&mut room, "S", ",\"allow_rollup_hdrs\":true");
        let all: Vec<Parcel> = (0..SUBJECTS).map(|_| room.message("S.a", None, b"", b"old")).collect();
        room.round(&all);
        let inbox = room.inbox();
        let headers = format!("NATS/1.0\r\nNats-Msg-Id: one\r\nNats-Rollup: {rollup}\r\n\r\n");
        let message = room.message("S.a", Some(&inbox), headers.as_bytes(), b"new");
        room.heard();
        room.step(std::slice::from_ref(&message));
        assert!(room.heard().is_empty() && room.desk.has_waiting(), "{rollup}: it is done in parts");
        let mut again = room.again(room.disk.crash());
        again.round(&[message]);
        let heard = again.heard();
        assert!(text(to(&heard, &inbox)[0]).contains("\"duplicate\": true"), "{rollup}: {heard:?}");
        let info = again.ask("$JS.API.STREAM.INFO.S", "");
        assert!(info.contains("\"messages\":1,"), "{rollup}: {info}");
    }
}

#[test]
fn a_message_that_goes_by_chance_goes_to_one_subject_however_short_the_turns() {
    let mut room = room(1);
    let transform = "\"subject_transform\":{\"src\":\"i\",\"dest\":\"I.{{random(2)}}\"}";
    let config = format!("{{\"name\":\"I\",\"subjects\":[\"i\",\"I.*\"],\"retention\":\"interest\",{transform}}}");
    let made = room.ask("$JS.API.STREAM.CREATE.I", &config);
    assert!(made.contains("did_create"), "{made}");
    // The first wants one subject, the last the other.
    for n in 0..18 {
        let filter = ["I.0", "I.x", "I.1"][usize::from(n > 0) + usize::from(n == 17)];
        let config = format!("\"durable_name\":\"c{n:02}\",\"ack_policy\":\"all\",\"filter_subject\":\"{filter}\"");
        let body = format!("{{\"stream_name\":\"I\",\"config\":{{{config}}}}}");
        let made = room.ask(&format!("$JS.API.CONSUMER.DURABLE.CREATE.I.c{n:02}"), &body);
        assert!(made.contains("consumer_create"), "{made}");
    }
    let messages: Vec<Parcel> = (0..40).map(|_| room.message("i", None, b"", b"x")).collect();
    room.round(&messages);
    let info = room.ask("$JS.API.STREAM.INFO.I", "");
    assert!(info.contains("\"messages\":40,"), "{info}");
}

#[test]
fn a_consumer_that_is_moved_waits_no_longer_where_it_was() {
    let mut room = crowded(SHORT);
    room.speak_for("A");
    for (to, more) in [("d.1", ""), ("d.2", ",\"filter_subject\":\"S.*.x\"")] {
        let config = format!("\"durable_name\":\"c\",\"ack_policy\":\"none\",\"deliver_subject\":\"{to}\"{more}");
        let body = format!("{{\"stream_name\":\"S\",\"config\":{{{config}}}}}");
        let made = room.ask("$JS.API.CONSUMER.DURABLE.CREATE.S.c", &body);
        assert!(made.contains("consumer_create"), "{made}");
    }
    room.advance(Duration::from_secs(10));
    let book = room.port.0.lock().expect("no scene panics in here");
    let awaited: Vec<_> = book.awaited.iter().map(|awaited| String::from_utf8_lossy(&awaited.subject)).collect();
    assert_eq!(awaited, ["d.2"]);
}

#[test]
fn nothing_is_kept_of_a_consumer_whose_stream_went_before_it_was_forgotten() {
    let mut room = room(SHORT / 8);
    make(&mut room, "Q", ",\"retention\":\"interest\"");
    let config = "\"durable_name\":\"c\",\"ack_policy\":\"explicit\"";
    let body = format!("{{\"stream_name\":\"Q\",\"config\":{{{config}}}}}");
    assert!(room.ask("$JS.API.CONSUMER.DURABLE.CREATE.Q.c", &body).contains("\"name\":\"c\""));
    fill(&mut room, "Q");
    let inbox = room.inbox();
    let delete = room.message("$JS.API.CONSUMER.DELETE.Q.c", Some(&inbox), b"", b"");
    room.heard();
    room.step(&[delete]);
    assert!(room.heard().is_empty() && room.desk.has_waiting(), "its messages go in parts");
    assert_eq!(room.desk.purge_account("A", room.now), Ok(1));
    make(&mut room, "Q", "");
    let mut again = room.again(room.disk.crash());
    let names = again.ask("$JS.API.CONSUMER.NAMES.Q", "");
    assert!(names.contains("\"total\":0"), "{names}");
}

#[test]
fn what_is_acknowledged_is_kept_while_another_stream_is_at_work() {
    let mut room = room(SHORT / 8);
    make(&mut room, "S", ",\"allow_rollup_hdrs\":true");
    make(&mut room, "Q", "");
    fill(&mut room, "Q");
    let body = r#"{"stream_name":"S","config":{"durable_name":"c","ack_policy":"explicit"}}"#;
    assert!(room.ask("$JS.API.CONSUMER.DURABLE.CREATE.S.c", body).contains("\"name\":\"c\""));
    room.publish("S.a", b"", b"x");
    let pull = room.message("$JS.API.CONSUMER.MSG.NEXT.S.c", Some("_I.pull"), b"", br#"{"batch":1}"#);
    room.heard();
    room.round(&[pull]);
    let heard = room.heard();
    let reply = to(&heard, "_I.pull")[0].reply.clone().expect("to be acknowledged");
    let ack = room.message(std::str::from_utf8(&reply).expect("text"), None, b"", b"+ACK");
    let purge = room.message("$JS.API.STREAM.PURGE.Q", None, b"", br#"{"filter":"Q.*.x"}"#);
    room.step(&[ack, purge]);
    for _ in 0..3 {
        room.pass(Duration::from_millis(300));
        room.step(&[]);
    }
    assert!(room.desk.has_waiting(), "the other stream is purged in parts");
    let mut again = room.again(room.disk.crash());
    let info = again.ask("$JS.API.CONSUMER.INFO.S.c", "");
    let floor = info.split("ack_floor").nth(1).unwrap_or_default();
    assert_eq!(number(floor, "stream_seq"), 1, "{info}");
}
