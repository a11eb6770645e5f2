//! Streams that leave a server and come back.

use crate::house::{Letter, Room};
use std::time::Duration;

/// An archive that release 2.15.1 of the reference made of a stream of five messages, one of them deleted, and a consumer
/// that has one message to acknowledge.
const FROM_REFERENCE: &[u8] = include_bytes!("transcripts/reference.archive");

/// Archives that release 2.14.0 made, in the form of before: of five messages, one of them deleted, and a consumer with one
/// message to acknowledge; and of three hundred in a compressed stream, of which four were purged and three deleted.
const FROM_OLDER: &[u8] = include_bytes!("transcripts/reference-2.14.archive");
const FROM_OLDER_LONG: &[u8] = include_bytes!("transcripts/reference-2.14-s2.archive");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn stream(room: &mut Room, name: &str) {
    let body = format!("{{\"name\":\"{name}\",\"subjects\":[\"{}.>\"]}}", name.to_lowercase());
    assert!(room.ask(&format!("$JS.API.STREAM.CREATE.{name}"), &body).contains("did_create"));
}

fn fill(room: &mut Room, count: usize) {
    for n in 1..=count {
        room.publish(
            &format!("s.{}", n % 3),
            b"NATS/1.0\r\nA: b\r\n\r\n",
            format!("message {n} {}", "x".repeat(n % 50)).as_bytes(),
        );
    }
}

/// Fetches a stream as a client does, and acknowledges each piece.
pub(crate) fn snapshot(room: &mut Room, request: &str) -> (Vec<u8>, Vec<Letter>) {
    room.listen("backup.>");
    room.heard();
    let inbox = room.inbox();
    let message = room.message("$JS.API.STREAM.SNAPSHOT.S", Some(&inbox), b"", request.as_bytes());
    room.round(&[message]);
    let (mut archive, mut last) = (Vec::new(), Vec::new());
    for _ in 0..1_000 {
        let pieces: Vec<Letter> = room.heard().into_iter().filter(|o| o.to.starts_with(b"backup.")).collect();
        let acks: Vec<_> = pieces.iter().filter_map(|piece| piece.reply.as_ref().map(|reply| text(reply))).collect();
        pieces.iter().for_each(|piece| archive.extend_from_slice(&piece.payload));
        let is_over = pieces.iter().any(|piece| piece.payload.is_empty());
        last.extend(pieces);
        if is_over {
            return (archive, last);
        }
        let acks: Vec<_> = acks.iter().map(|ack| room.message(ack, None, b"", b"")).collect();
        room.round(&acks);
    }
    panic!("the snapshot does not end");
}

/// Sends an archive as a client does. Gives the last answer.
fn restore(room: &mut Room, name: &str, subjects: &str, archive: &[u8], piece: usize) -> String {
    restore_with(room, (name, subjects, "{}"), archive, piece)
}

/// The same, with what the client was told of the state.
pub(crate) fn restore_with(
    room: &mut Room,
    (name, subjects, state): (&str, &str, &str),
    archive: &[u8],
    piece: usize,
) -> String {
    let config = format!("{{\"config\":{{\"name\":\"{name}\",\"subjects\":[\"{subjects}\"]}},\"state\":{state}}}");
    let answer = room.ask(&format!("$JS.API.STREAM.RESTORE.{name}"), &config);
    let deliver = answer.split("\"deliver_subject\":\"").nth(1).unwrap_or_else(|| panic!("{answer}"));
    let deliver = deliver.split('"').next().expect("a subject").to_owned();
    for part in archive.chunks(piece) {
        let inbox = room.inbox();
        let message = room.message(&deliver, Some(&inbox), b"", part);
        room.round(&[message]);
        let answer = room.heard().into_iter().find(|o| o.to == inbox.as_bytes()).expect("each piece is answered");
        if !answer.payload.is_empty() {
            return text(&answer.payload);
        }
    }
    room.ask(&deliver, "")
}

#[test]
fn a_stream_comes_back_as_it_left() {
    let mut room = Room::new();
    stream(&mut room, "S");
    fill(&mut room, 500);
    room.ask("$JS.API.STREAM.MSG.DELETE.S", r#"{"seq":7}"#);
    room.ask("$JS.API.STREAM.MSG.DELETE.S", r#"{"seq":500}"#);
    let consumer = r#"{"stream_name":"S","config":{"name":"c","durable_name":"c","ack_policy":"explicit"}}"#;
    room.ask("$JS.API.CONSUMER.CREATE.S.c", consumer);
    room.ask("$JS.API.CONSUMER.MSG.NEXT.S.c", "3");
    room.ask("$JS.ACK.S.c.1.2.2.1795000000000000000.0", "+ACK");
    let (archive, pieces) = snapshot(&mut room, r#"{"deliver_subject":"backup.s","chunk_size":1024}"#);
    assert!(pieces.len() > 5);
    assert_eq!(text(&pieces.last().expect("an end").headers), "NATS/1.0 204\r\n\r\n");
    // The moment of the last message is not in the archive when that message is gone.
    let state = |room: &mut Room| {
        let info = room.ask("$JS.API.STREAM.INFO.S", r#"{"deleted_details":true}"#);
        let state = info.split("\"state\":").nth(1).expect("a state").split(",\"cluster\"").next().expect("a state");
        let (before, after) = state.split_once("\"last_ts\":\"").expect("a moment");
        format!("{before}{}", after.split_once('"').expect("a moment").1)
    };
    let before = state(&mut room);
    assert!(room.ask("$JS.API.STREAM.DELETE.S", "").contains("success"));
    for piece in [999, 10_000] {
        let answer = restore(&mut room, "S", "s.>", &archive, piece);
        assert!(answer.contains("stream_create_response\"") && !answer.contains("error"), "{answer}");
        assert_eq!(state(&mut room), before);
        assert!(room.ask("$JS.API.STREAM.MSG.GET.S", r#"{"seq":499}"#).contains("\"seq\":499"));
        let info = room.ask("$JS.API.CONSUMER.INFO.S.c", "");
        assert!(info.contains(r#""delivered":{"consumer_seq":3,"stream_seq":3"#), "{info}");
        assert!(info.contains("\"num_ack_pending\":2,"), "{info}");
        let mut later = room.again(room.disk.kill());
        assert_eq!(state(&mut later), before, "it is durable");
        assert!(later.ask("s.new", "next").contains("\"seq\":501"));
        assert!(room.ask("$JS.API.STREAM.DELETE.S", "").contains("success"));
    }
}

#[test]
fn an_archive_of_the_reference_is_restored() {
    let mut room = Room::new();
    let answer = restore(&mut room, "S", "s.>", FROM_REFERENCE, 100);
    assert!(answer.contains(r#""messages":4"#) && answer.contains(r#""last_seq":5"#), "{answer}");
    let got = room.ask("$JS.API.STREAM.MSG.GET.S", r#"{"seq":2}"#);
    assert!(got.contains(r#""subject":"s.b""#) && got.contains("dHdv"), "{got}");
    let info = room.ask("$JS.API.CONSUMER.INFO.S.c", "");
    assert!(info.contains("\"num_ack_pending\":1,") && info.contains("\"num_pending\":2,"), "{info}");
}

#[test]
fn archives_of_older_servers_are_restored() {
    for piece in [100, 10_000] {
        let mut room = Room::new();
        let answer = restore(&mut room, "S", "s.>", FROM_OLDER, piece);
        assert!(answer.contains(r#""messages":4"#) && answer.contains(r#""last_seq":5"#), "{answer}");
        let got = room.ask("$JS.API.STREAM.MSG.GET.S", r#"{"seq":2}"#);
        assert!(
            got.contains(r#""subject":"s.2""#) && got.contains(r#""data":"dHdv""#) && got.contains("hdrs"),
            "{got}"
        );
        assert!(room.ask("$JS.API.STREAM.MSG.GET.S", r#"{"seq":3}"#).contains("\"err_code\":10037"));
        let info = room.ask("$JS.API.CONSUMER.INFO.S.c", "");
        assert!(info.contains("\"num_ack_pending\":1,") && info.contains("\"num_pending\":1,"), "{info}");
        let floor = r#""ack_floor":{"consumer_seq":1,"stream_seq":1"#;
        assert!(info.contains(floor), "{info}");

        let state = r#"{"messages":293,"first_seq":5,"last_seq":300,"num_deleted":3,"deleted":[7,9,299]}"#;
        let answer = restore_with(&mut room, ("Z", "z.>", state), FROM_OLDER_LONG, piece);
        assert!(answer.contains(r#""messages":293"#) && answer.contains(r#""first_seq":5,"#), "{answer}");
        assert!(answer.contains(r#""last_seq":300"#) && answer.contains(r#""num_deleted":3"#), "{answer}");
        let last = room.ask("$JS.API.STREAM.MSG.GET.Z", r#"{"last_by_subj":"z.0"}"#);
        assert!(last.contains(r#""seq":300"#), "{last}");
    }
    let mut room = Room::new();
    let cut = restore(&mut room, "S", "s.>", &FROM_OLDER[..FROM_OLDER.len() - 60], 10_000);
    assert!(cut.contains("\"err_code\":10062"), "{cut}");
    assert!(room.ask("$JS.API.STREAM.NAMES", "").contains("\"total\":0"));
}

#[test]
fn what_is_cut_or_damaged_or_no_archive_leaves_nothing_behind() {
    let mut room = Room::new();
    let cut = restore(&mut room, "S", "s.>", &FROM_REFERENCE[..FROM_REFERENCE.len() - 40], 10_000);
    assert!(cut.contains("\"err_code\":10062") && cut.contains("truncated") || cut.contains("state.json"), "{cut}");
    let mut flipped = FROM_REFERENCE.to_vec();
    flipped[60] ^= 1;
    let damaged = restore(&mut room, "S", "s.>", &flipped, 10_000);
    assert!(damaged.contains("restore failed: s2: corrupt input"), "{damaged}");
    let other = restore(&mut room, "S", "s.>", b"PK\x03\x04 this is no archive", 10_000);
    assert!(other.contains("\"err_code\":10062"), "{other}");
    assert!(room.ask("$JS.API.STREAM.NAMES", "").contains("\"total\":0"));
    let streams = room.disk.files().into_iter().filter(|path| path.contains("streams/")).count();
    assert_eq!(streams, 0, "{:?}", room.disk.files());
}

#[test]
fn a_restore_that_nothing_comes_for_is_given_up() {
    let mut room = Room::new();
    let config = r#"{"config":{"name":"S","subjects":["s.>"]},"state":{}}"#;
    assert!(room.ask("$JS.API.STREAM.RESTORE.S", config).contains("deliver_subject"));
    assert!(room.ask("$JS.API.STREAM.RESTORE.S", config).contains("\"err_code\":10130"));
    let mut crashed = room.again(room.disk.kill());
    assert!(crashed.port.0.lock().expect("unharmed").reports.is_empty(), "a half restored stream is no finding");
    assert!(crashed.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S"}"#).contains("did_create"));
    room.advance(Duration::from_secs(6));
    assert!(room.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S"}"#).contains("did_create"));
}

/// CVE-2026-33222 and CVE-2022-26652: names in a request and in an archive are names, and never paths.
#[test]
fn names_that_are_paths_are_refused() {
    let mut room = Room::new();
    let other = r#"{"config":{"name":"../S","subjects":["s.>"]},"state":{}}"#;
    assert!(room.ask("$JS.API.STREAM.RESTORE.S", other).contains("\"err_code\":10056"));
    let slash = r#"{"config":{"name":"a/b","subjects":["s.>"]},"state":{}}"#;
    assert!(room.ask("$JS.API.STREAM.RESTORE.a/b", slash).contains("\"err_code\":10128"));
    let mut archive = Vec::new();
    for (name, payload) in [
        ("state.json", r#"{"first_seq":1,"last_seq":0,"consumer_count":1}"#),
        (
            "consumers/../../evil",
            r#"{"config":{"ack_policy":"none"},"state":{"delivered":{"consumer_seq":0,"stream_seq":0},"ack_floor":{"consumer_seq":0,"stream_seq":0}}}"#,
        ),
        ("", ""),
    ] {
        archive.push(name.len() as u8);
        archive.extend_from_slice(&[0, 0, 0]);
        archive.extend_from_slice(&[(payload.len() as u8 & 0x7f) | 0x80, (payload.len() >> 7) as u8]);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(payload.as_bytes());
    }
    let plain = [b"NATSARC1".as_slice(), &archive].concat();
    let mut framed = b"\xff\x06\x00\x00S2sTwO\x01".to_vec();
    framed.extend_from_slice(&(plain.len() as u32 + 4).to_le_bytes()[..3]);
    framed.extend_from_slice(&minlz::crc::crc(&plain).to_le_bytes());
    framed.extend_from_slice(&plain);
    let answer = restore(&mut room, "S", "s.>", &framed, 10_000);
    assert!(answer.contains("failed to add consumer"), "{answer}");
    assert!(room.ask("$JS.API.STREAM.NAMES", "").contains("\"total\":0"));
}

/// Bytes as chunks of a compressed stream.
fn framed(plain: &[u8]) -> Vec<u8> {
    let mut framed = b"\xff\x06\x00\x00S2sTwO".to_vec();
    for chunk in plain.chunks(1 << 20) {
        let packed = minlz::s2::encode(chunk);
        framed.push(0);
        framed.extend_from_slice(&(packed.len() as u32 + 4).to_le_bytes()[..3]);
        framed.extend_from_slice(&minlz::crc::crc(chunk).to_le_bytes());
        framed.extend_from_slice(&packed);
    }
    framed
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn entry(name: &str, seq: u64, payload: &[u8], out: &mut Vec<u8>) {
    for number in [name.len() as u64, 0, seq, 0, payload.len() as u64] {
        varint(number, out);
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(payload);
}

/// A megabyte a message, of nothing: few bytes that unpack to very many.
fn bomb(messages: u64) -> Vec<u8> {
    let mut plain = b"NATSARC1".to_vec();
    entry("state.json", 0, format!("{{\"first_seq\":1,\"last_seq\":{messages}}}").as_bytes(), &mut plain);
    (1..=messages).for_each(|seq| entry("s.a", seq, &vec![0; 1 << 20], &mut plain));
    entry("", 0, b"", &mut plain);
    framed(&plain)
}

#[test]
fn what_unpacks_to_very_much_is_staged_over_several_rounds_and_comes_whole() {
    let mut room = Room::new();
    let archive = bomb(80);
    assert!(archive.len() < 6_000_000, "{} bytes", archive.len());
    let config = r#"{"config":{"name":"S","subjects":["s.>"]},"state":{}}"#;
    let answer = room.ask("$JS.API.STREAM.RESTORE.S", config);
    let deliver = answer.split("\"deliver_subject\":\"").nth(1).expect("a subject");
    let deliver = deliver.split('"').next().expect("a subject").to_owned();
    let inbox = room.inbox();
    let message = room.message(&deliver, Some(&inbox), b"", &archive);
    let (before, mut rounds) = (room.disk.bytes_written(), 1);
    room.round(&[message]);
    let in_one = room.disk.bytes_written() - before;
    assert!(in_one < 24 << 20, "{in_one} bytes in one round");
    while !room.heard().iter().any(|letter| letter.to == inbox.as_bytes()) {
        room.advance(Duration::from_millis(1));
        rounds += 1;
        assert!(rounds < 100, "it comes to its end");
    }
    assert!(rounds >= 80 / 16, "{rounds} rounds");
    let done = room.ask(&deliver, "");
    assert!(done.contains(r#""messages":80"#) && done.contains("stream_create_response"), "{done}");
}

#[test]
fn pieces_that_come_faster_than_they_are_stored_are_refused() {
    let mut room = Room::new();
    let config = r#"{"config":{"name":"S","subjects":["s.>"]},"state":{}}"#;
    let answer = room.ask("$JS.API.STREAM.RESTORE.S", config);
    let deliver = answer.split("\"deliver_subject\":\"").nth(1).expect("a subject");
    let deliver = deliver.split('"').next().expect("a subject").to_owned();
    let (archive, inbox) = (bomb(80), room.inbox());
    let more = vec![b'x'; 1 << 20];
    let mut pieces = vec![room.message(&deliver, Some(&inbox), b"", &archive)];
    // Of the first, a turn unpacks a part only.
    pieces.extend((0..9).map(|_| room.message(&deliver, Some(&inbox), b"", &more)));
    room.round(&pieces);
    let heard = room.heard();
    assert!(heard.iter().any(|letter| text(&letter.payload).contains("faster than they are stored")), "{heard:?}");
    assert!(room.ask("$JS.API.STREAM.NAMES", "").contains("\"total\":0"));
}

#[test]
fn a_message_that_was_damaged_on_the_disk_of_an_older_server_is_named_and_not_restored() {
    let plain = unframed(FROM_OLDER);
    // The archive as it is, taken apart and put together, is restored.
    let answer = restore(&mut Room::new(), "S", "s.>", &framed(&plain), 10_000);
    assert!(answer.contains(r#""messages":4"#), "{answer}");
    let at =
        plain.windows(5).position(|window| window == b"s.2NA").or_else(|| find(&plain, b"two")).expect("a message");
    let mut damaged = plain.clone();
    damaged[at + 1] ^= 1;
    let mut room = Room::new();
    let answer = restore(&mut room, "S", "s.>", &framed(&damaged), 10_000);
    assert!(answer.contains("damaged"), "{answer}");
    assert!(room.ask("$JS.API.STREAM.NAMES", "").contains("\"total\":0"));
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn unframed(mut framed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let [kind, a, b, c, rest @ ..] = framed {
        let (body, after) = rest.split_at(u32::from_le_bytes([*a, *b, *c, 0]) as usize);
        match kind {
            0 => plain.extend(minlz::s2::decode(&body[4..]).expect("sound")),
            1 => plain.extend_from_slice(&body[4..]),
            _ => {}
        }
        framed = after;
    }
    plain
}
