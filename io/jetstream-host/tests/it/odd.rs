//! Numbers and shapes that nobody means, in every field of every body.

use crate::house::Room;
use std::time::Duration;

const VALUES: [&str; 15] = [
    "-1",
    "0",
    "1",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "1e308",
    "1.5",
    "\"1\"",
    "\"\"",
    "null",
    "[]",
    "{}",
    "true",
];

const STREAM: &[&str] = &[
    "max_consumers",
    "max_msgs",
    "max_bytes",
    "max_age",
    "max_msgs_per_subject",
    "max_msg_size",
    "num_replicas",
    "duplicate_window",
    "first_seq",
    "subject_delete_marker_ttl",
    "subjects",
    "retention",
    "discard",
    "storage",
    "placement",
    "mirror",
    "sources",
    "compression",
    "subject_transform",
    "republish",
    "consumer_limits",
    "metadata",
    "persist_mode",
    "allow_batched",
    "allow_msg_schedules",
    "allow_msg_counter",
    "allow_atomic",
    "description",
];

const CONSUMER: &[&str] = &[
    "ack_wait",
    "max_deliver",
    "backoff",
    "rate_limit_bps",
    "max_waiting",
    "max_ack_pending",
    "max_batch",
    "max_expires",
    "max_bytes",
    "idle_heartbeat",
    "inactive_threshold",
    "num_replicas",
    "opt_start_seq",
    "opt_start_time",
    "pause_until",
    "priority_groups",
    "priority_policy",
    "priority_timeout",
    "sample_freq",
    "filter_subject",
    "filter_subjects",
    "deliver_subject",
    "deliver_group",
    "deliver_policy",
    "ack_policy",
    "replay_policy",
];

/// Subjects with the fields of their bodies.
const REQUESTS: &[(&str, &[&str])] = &[
    ("$JS.API.INFO", &["x"]),
    ("$JS.API.STREAM.NAMES", &["offset", "subject"]),
    ("$JS.API.STREAM.LIST", &["offset", "subject"]),
    ("$JS.API.STREAM.INFO.S", &["offset", "deleted_details", "subjects_filter"]),
    ("$JS.API.STREAM.PURGE.P", &["seq", "keep", "filter"]),
    ("$JS.API.STREAM.MSG.GET.S", &["seq", "last_by_subj", "next_by_subj", "start_time", "batch", "up_to_seq"]),
    ("$JS.API.STREAM.MSG.DELETE.P", &["seq", "no_erase"]),
    ("$JS.API.STREAM.SNAPSHOT.S", &["deliver_subject", "chunk_size", "window_size", "jsck", "no_consumers"]),
    ("$JS.API.STREAM.RESTORE.R", &["config", "state"]),
    ("$JS.API.CONSUMER.NAMES.S", &["offset"]),
    ("$JS.API.CONSUMER.LIST.S", &["offset"]),
    ("$JS.API.CONSUMER.INFO.S.c", &["x"]),
    ("$JS.API.CONSUMER.PAUSE.S.c", &["pause_until"]),
    ("$JS.API.CONSUMER.RESET.S.c", &["seq"]),
    ("$JS.API.CONSUMER.UNPIN.S.c", &["group"]),
    ("$JS.API.CONSUMER.CREATE.S.q", &["stream_name", "config", "action", "pedantic"]),
    (
        "$JS.API.CONSUMER.MSG.NEXT.S.c",
        &[
            "batch",
            "expires",
            "max_bytes",
            "no_wait",
            "idle_heartbeat",
            "min_pending",
            "min_ack_pending",
            "priority",
            "id",
            "group",
        ],
    ),
    (
        "$JS.API.DIRECT.GET.S",
        &[
            "seq",
            "batch",
            "max_bytes",
            "multi_last",
            "up_to_seq",
            "up_to_time",
            "start_time",
            "next_by_subj",
            "last_by_subj",
        ],
    ),
    ("$JS.ACK.S.c.1.1.1.1795000000000000000.0", &["delay"]),
];

fn room() -> Room {
    let mut room = Room::new();
    for name in ["S", "P"] {
        let subject = name.to_lowercase();
        let config = format!("{{\"name\":\"{name}\",\"subjects\":[\"{subject}.>\"],\"allow_direct\":true}}");
        assert!(room.ask(&format!("$JS.API.STREAM.CREATE.{name}"), &config).contains("did_create"));
        room.publish(&format!("{subject}.a"), b"", b"one");
    }
    let consumer = r#"{"stream_name":"S","config":{"name":"c","durable_name":"c","ack_policy":"explicit"}}"#;
    assert!(room.ask("$JS.API.CONSUMER.CREATE.S.c", consumer).contains("num_pending"));
    room
}

fn still_works(room: &mut Room) {
    let ack = room.ask("s.end", "still here");
    assert!(ack.starts_with(r#"{"stream":"S","seq":"#), "{ack}");
}

/// CVE-2022-42708 and its like: no number in a request stops the server.
#[test]
fn odd_values_in_requests_are_answered_and_nothing_else_happens() {
    let mut room = room();
    for (subject, fields) in REQUESTS {
        for value in VALUES {
            for field in *fields {
                room.ask(subject, &format!("{{\"{field}\":{value}}}"));
                room.ask(subject, &format!("-NAK {{\"{field}\":{value}}}"));
            }
            room.ask(subject, value);
        }
    }
    room.advance(Duration::from_secs(1));
    still_works(&mut room);
}

#[test]
fn odd_values_in_configurations_are_refused_or_taken() {
    let mut room = room();
    for value in VALUES {
        for field in STREAM {
            let body = format!("{{\"name\":\"X\",\"subjects\":[\"x.>\"],\"{field}\":{value}}}");
            room.ask("$JS.API.STREAM.CREATE.X", &body);
            room.ask("x.a", "one");
            room.advance(Duration::from_millis(2));
            room.ask("$JS.API.STREAM.UPDATE.X", &body);
            room.ask("$JS.API.STREAM.INFO.X", "");
            room.ask("$JS.API.STREAM.DELETE.X", "");
        }
        for field in CONSUMER {
            let config = format!("{{\"name\":\"q\",\"ack_policy\":\"explicit\",\"{field}\":{value}}}");
            let body = format!("{{\"stream_name\":\"S\",\"config\":{config}}}");
            room.ask("$JS.API.CONSUMER.CREATE.S.q", &body);
            room.ask("$JS.API.CONSUMER.MSG.NEXT.S.q", "1");
            room.advance(Duration::from_millis(2));
            room.ask("$JS.API.CONSUMER.DELETE.S.q", "");
        }
    }
    still_works(&mut room);
}

#[test]
fn odd_values_in_headers_are_refused_or_taken() {
    let mut room = room();
    let all = r#"{"name":"H","subjects":["h.>"],"allow_msg_ttl":true,"allow_atomic":true,"allow_batched":true,
        "allow_msg_schedules":true,"allow_rollup_hdrs":true}"#;
    assert!(room.ask("$JS.API.STREAM.CREATE.H", all).contains("did_create"));
    let names = [
        "Nats-TTL",
        "Nats-Incr",
        "Nats-Batch-Id",
        "Nats-Batch-Sequence",
        "Nats-Batch-Commit",
        "Nats-Schedule",
        "Nats-Schedule-TTL",
        "Nats-Schedule-Next",
        "Nats-Scheduler",
        "Nats-Expected-Last-Sequence",
        "Nats-Expected-Last-Subject-Sequence",
        "Nats-Rollup",
        "Nats-Required-Api-Level",
        "Nats-Msg-Id",
    ];
    for name in names {
        for value in
            VALUES.iter().chain(&["@every 9223372036s", "@at 2262-04-11T23:47:16Z", "* * * * * *", "9223372036s"])
        {
            let headers = format!("NATS/1.0\r\n{name}: {value}\r\nNats-Schedule-Target: h.t\r\n\r\n");
            let inbox = room.inbox();
            let message = room.message("h.a", Some(&inbox), headers.as_bytes(), b"x");
            room.round(&[message]);
        }
    }
    room.advance(Duration::from_secs(2));
    still_works(&mut room);
}

/// 2026-03: a status line of a publisher is not stored, so that no consumer takes it for the server's word.
#[test]
fn a_status_line_of_a_publisher_is_not_stored() {
    let mut room = room();
    room.publish("s.b", b"NATS/1.0 503\r\n\r\n", b"x");
    room.publish("s.b", b"NATS/1.0 408 Request Timeout\r\nA: b\r\n\r\n", b"y");
    let one = room.ask("$JS.API.STREAM.MSG.GET.S", r#"{"seq":2}"#);
    assert!(one.contains("\"seq\":2") && !one.contains("hdrs"), "{one}");
    let two = room.ask("$JS.API.STREAM.MSG.GET.S", r#"{"seq":3}"#);
    let coded = data_encoding::BASE64.encode(b"NATS/1.0\r\nA: b\r\n\r\n");
    assert!(two.contains(&coded), "{two}");
}

#[test]
fn a_consumer_of_which_nothing_is_said_is_the_simplest_there_is() {
    let mut room = Room::new();
    room.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"]}"#);
    let made = room.ask("$JS.API.CONSUMER.CREATE.S", r#"{"stream_name":"S"}"#);
    assert!(made.contains(r#""config":{"deliver_policy":"all","ack_policy":"none","#), "{made}");
}

#[test]
fn sequences_at_the_end_of_all_numbers_do_no_harm() {
    let max = u64::MAX;
    for storage in ["file", "memory"] {
        let mut room = Room::new();
        let create = format!(r#"{{"name":"S","subjects":["s.>"],"storage":"{storage}"}}"#);
        assert!(room.ask("$JS.API.STREAM.CREATE.S", &create).contains("did_create"));
        room.ask("s.a", "one");
        let config = |more: &str| {
            format!(r#"{{"stream_name":"S","config":{{"name":"c","durable_name":"c","ack_policy":"explicit"{more}}}}}"#)
        };
        for more in [String::new(), format!(r#","deliver_policy":"by_start_sequence","opt_start_seq":{max}"#)] {
            room.ask("$JS.API.CONSUMER.DELETE.S.c", "");
            let made = room.ask("$JS.API.CONSUMER.CREATE.S.c", &config(&more));
            assert!(made.contains("consumer_create_response") && !made.contains("error"), "{made}");
            for seq in [max, max - 1, 0, max, 1 << 63] {
                let _ = room.ask("$JS.API.CONSUMER.RESET.S.c", &format!("{{\"seq\":{seq}}}"));
                room.ask("s.a", "more");
                let info = room.ask("$JS.API.CONSUMER.INFO.S.c", "");
                assert!(info.contains("consumer_info_response") && !info.contains("error"), "{info}");
                room.ask("$JS.API.CONSUMER.MSG.NEXT.S.c", "1");
                room.ask("$JS.ACK.S.c.1.18446744073709551615.18446744073709551615.1.0", "+ACK");
            }
        }
        for kind in ["mirror", "sources"] {
            let origin = format!(r#"{{"name":"S","opt_start_seq":{max}}}"#);
            let origin = if kind == "mirror" { origin } else { format!("[{origin}]") };
            let made = room.ask("$JS.API.STREAM.CREATE.M", &format!(r#"{{"name":"M","{kind}":{origin}}}"#));
            assert!(made.contains("stream_create_response"), "{made}");
            room.ask("s.a", "more");
            room.advance(Duration::from_secs(3));
            assert!(room.ask("$JS.API.STREAM.INFO.M", "").contains("stream_info_response"));
            room.ask("$JS.API.STREAM.DELETE.M", "");
        }
        assert_eq!(room.port.0.lock().expect("unharmed").reports, [], "{storage}: nobody is out of service");
        let mut again = room.again(room.disk.kill());
        assert!(storage == "memory" || again.ask("$JS.API.CONSUMER.INFO.S.c", "").contains("consumer_info_response"));
    }
}
