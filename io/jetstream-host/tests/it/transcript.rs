//! The same requests as the reference server got, and the same answers.
//!
//! `transcripts/reference.txt` was recorded from release 2.15.1: `>` a request, `<` its answer, `+` a message without
//! reply. Times, the server's name and random names are replaced by fixed words on both sides.

use crate::house::{Letter, Room, sealed};
use crate::varying::{is_time, replace_values};
use bulwark_jetstream_host::DeskSettings;
use std::time::Duration;
use testkit::CrashDisk;

const REFERENCE: &str = include_str!("transcripts/reference.txt");
const PATIENCE: Duration = Duration::from_millis(600);

#[test]
fn answers_are_those_of_the_reference() {
    compare(&mut Room::new());
}

#[test]
fn answers_are_the_same_however_short_the_turns() {
    for turn_units in [1, 100] {
        compare(&mut Room::on(CrashDisk::new(1), DeskSettings { turn_units, ..sealed() }));
    }
}

fn compare(room: &mut Room) {
    let mut lines = REFERENCE.lines().peekable();
    let mut wrong = Vec::new();
    let mut answers = 0;
    while let Some(line) = lines.next() {
        let Some((kind, rest)) = line.split_once(' ') else { continue };
        let (subject, headers, body) = parts(rest);
        match kind {
            ">" => {
                let expected = lines.next().expect("an answer follows").to_owned();
                let heard = ask(room, subject, &headers, &body);
                answers += 1;
                if heard != expected {
                    wrong.push(format!("> {rest}\n  reference {expected}\n  ours      {heard}"));
                }
            }
            "+" => room.publish(subject, &headers, body.as_bytes()),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {answers} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// `subject [Header: value|...] body`, each part but the first optional.
fn parts(text: &str) -> (&str, Vec<u8>, String) {
    let (subject, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (headers, body) = match rest.strip_prefix('[').and_then(|rest| rest.split_once("] ").or(rest.split_once(']'))) {
        Some((headers, body)) if headers.contains(": ") => {
            let lines: String = headers.split('|').map(|line| format!("{line}\r\n")).collect();
            (format!("NATS/1.0\r\n{lines}\r\n").into_bytes(), body)
        }
        _ => (Vec::new(), rest),
    };
    let body = body.replace("{{x4097}}", &"x".repeat(4097)).replace("{{n256}}", &"n".repeat(256));
    (subject, headers, body)
}

fn ask(room: &mut Room, subject: &str, headers: &[u8], body: &str) -> String {
    let subject = subject.replace("{{n256}}", &"n".repeat(256));
    let inbox = room.inbox();
    room.heard();
    let message = room.message(&subject, Some(&inbox), headers, body.as_bytes());
    room.round(&[message]);
    let is_answer = |outgoing: &Letter| {
        let is_delivery = outgoing.reply.as_ref().is_some_and(|reply| reply.starts_with(b"$JS.ACK"));
        outgoing.to == inbox.as_bytes() || (outgoing.to.starts_with(b"_I.") && is_delivery)
    };
    let first = |room: &Room| room.heard().into_iter().find(is_answer);
    let answer = first(room).or_else(|| {
        room.advance(PATIENCE);
        first(room)
    });
    normal(&answer.map_or("< -".to_owned(), |answer| written(&answer)))
}

fn written(answer: &Letter) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let reply = answer.reply.as_ref().map_or(String::new(), |reply| format!("({}) ", text(reply)));
    let headers = text(&answer.headers);
    let headers = headers.trim_end().replace("\r\n", "|");
    let headers = if headers.is_empty() { headers } else { format!("[{headers}] ") };
    format!("< {reply}{headers}{}", text(&answer.payload))
}

/// Replaces what differs from run to run.
fn normal(line: &str) -> String {
    let mut line = line.to_owned();
    for key in ["created", "ts", "first_ts", "last_ts", "time", "last_active", "pinned_ts"] {
        line = replace_values(&line, &format!("\"{key}\":\"20"), '"', &format!("\"{key}\":\"T\""));
    }
    line = replace_values(&line, "\"pause_remaining\":", |c: char| !c.is_ascii_digit(), "\"pause_remaining\":1");
    if let Some(at) = line.find("Nats-Time-Stamp: 20") {
        line.truncate(at);
        line.push_str("Nats-Time-Stamp: T");
    }
    let tokens: Vec<&str> = line.split('.').map(|token| if is_time(token) { "TIME" } else { token }).collect();
    tokens.join(".").replace(&"x".repeat(4097), "{{x4097}}").replace(&"n".repeat(256), "{{n256}}")
}
