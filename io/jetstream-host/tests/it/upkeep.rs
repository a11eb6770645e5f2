//! Keys change while streams run, and space comes back.

use crate::backups::snapshot;
use crate::house::Room;
use bulwark_jetstream_host::{DeskSettings, Report};
use std::time::Duration;
use store::{Cipher, FileSettings, Sealing};
use testkit::{CrashDisk, Dice};

const PLANTED: [&[u8]; 4] = [b"planted-payload", b"planted-subject", b"PLANTED", b"planted-consumer"];

fn sealing(cipher: Cipher, key: Option<&str>, previous: Option<&str>) -> Sealing {
    Sealing { cipher, key: key.map(Into::into), previous_key: previous.map(Into::into), account_keys: false }
}

fn settings(sealing: Sealing) -> DeskSettings {
    let files = FileSettings { block_bytes: 20_000, ..FileSettings::default() };
    DeskSettings { sealing, files, ..DeskSettings::default() }
}

/// A room with five hundred messages in several blocks and one consumer.
fn furnished(seed: u64, sealing: Sealing) -> Room {
    let mut room = Room::on(CrashDisk::new(seed), settings(sealing));
    room.ask("$JS.API.STREAM.CREATE.PLANTED", r#"{"name":"PLANTED","subjects":["planted-subject.>"]}"#);
    let consumer = r#"{"stream_name":"PLANTED","config":{"durable_name":"planted-consumer","ack_policy":"explicit"}}"#;
    room.ask("$JS.API.CONSUMER.DURABLE.CREATE.PLANTED.planted-consumer", consumer);
    for n in 0..500 {
        room.publish("planted-subject.a", b"", format!("planted-payload {n} {}", "x".repeat(150)).as_bytes());
    }
    room
}

fn planted(disk: &CrashDisk) -> Vec<String> {
    let has = |path: &String| {
        let bytes = disk.bytes(path);
        PLANTED.iter().any(|word| bytes.windows(word.len()).any(|window| window == *word))
    };
    disk.files().into_iter().filter(has).collect()
}

fn messages(room: &mut Room) -> u64 {
    let info: serde_json::Value =
        serde_json::from_str(&room.ask("$JS.API.STREAM.INFO.PLANTED", "")).expect("an answer");
    info["state"]["messages"].as_u64().unwrap_or_else(|| panic!("{info}"))
}

#[test]
fn encryption_is_switched_on_for_data_that_is_there_while_messages_flow() {
    let mut room = furnished(1, Sealing::default());
    assert!(!planted(&room.disk).is_empty(), "the search below could find nothing");
    let now = room.now;
    room.desk.rekey(sealing(Cipher::Aes, Some("new"), None), now).expect("the key is there");
    for n in 0..20 {
        room.publish("planted-subject.b", b"", b"while it is sealed anew");
        room.advance(Duration::from_millis(50));
        assert_eq!(messages(&mut room), 501 + n);
    }
    room.advance(Duration::from_secs(5));
    let told = room.reports();
    assert!(told.iter().any(|report| matches!(report, Report::Resealing { done, all } if done < all)), "{told:?}");
    assert_eq!(room.desk.resealing(), None);
    assert_eq!(planted(&room.disk), Vec::<String>::new());
    room.desk.close(room.now).expect("closes");
    let disk = room.disk.clone();
    let mut again = Room::on(disk, settings(sealing(Cipher::Aes, Some("new"), None)));
    assert_eq!(messages(&mut again), 520);
    assert_eq!(again.reports(), []);
}

#[test]
fn a_new_key_takes_over_and_the_old_one_opens_nothing() {
    let mut room = furnished(2, sealing(Cipher::ChaChaPoly, Some("old"), None));
    let now = room.now;
    let error =
        room.desk.rekey(sealing(Cipher::ChaChaPoly, Some("new"), None), now).expect_err("the old key is needed");
    assert!(error.to_string().contains("neither the key nor the previous key"), "{error}");
    room.publish("planted-subject.a", b"", b"nothing has changed");
    room.desk.rekey(sealing(Cipher::ChaChaPoly, Some("new"), Some("old")), now).expect("both are there");
    room.advance(Duration::from_secs(5));
    let told = room.reports();
    assert!(told.iter().any(|report| matches!(report, Report::Resealed { blocks } if *blocks > 3)), "{told:?}");
    room.desk.close(room.now).expect("closes");
    let mut again = Room::on(room.disk.clone(), settings(sealing(Cipher::ChaChaPoly, Some("new"), None)));
    assert_eq!(messages(&mut again), 501);
    let old = settings(sealing(Cipher::ChaChaPoly, Some("old"), None));
    assert!(Room::try_on(room.disk, old, again.now).is_err());
}

#[test]
fn a_rotation_that_ends_in_a_crash_goes_on_with_both_keys_and_shows_nothing() {
    for stop in 0..20 {
        let mut room = furnished(stop, sealing(Cipher::Aes, Some("old"), None));
        let both = sealing(Cipher::ChaChaPoly, Some("new"), Some("old"));
        room.disk.power_off_after(stop * 6);
        let now = room.now;
        let _ = room.desk.rekey(both.clone(), now);
        for _ in 0..20 {
            room.advance(Duration::from_millis(25));
        }
        let disk = room.disk.crash();
        assert_eq!(planted(&disk), Vec::<String>::new(), "stopped after {stop}");
        let mut again = Room::try_on(disk, settings(both), room.now).expect("both keys are there");
        assert_eq!(messages(&mut again), 500, "stopped after {stop}");
        again.advance(Duration::from_secs(8));
        assert_eq!(again.desk.resealing(), None);
        assert_eq!(messages(&mut again), 500, "sealed anew after {stop}");
        assert_eq!(planted(&again.disk), Vec::<String>::new());
    }
}

#[test]
fn the_space_of_messages_that_are_gone_comes_back() {
    let mut room = Room::on(CrashDisk::new(3), settings(Sealing::default()));
    let stream = r#"{"name":"KV_b","subjects":["$KV.b.>"],"max_msgs_per_subject":1}"#;
    room.ask("$JS.API.STREAM.CREATE.KV_b", stream);
    for n in 0..3000 {
        // One key of each hundred stays, so that no block is ever empty.
        let key = if n % 100 == 0 { format!("$KV.b.kept{n}") } else { "$KV.b.hot".to_owned() };
        room.publish(&key, b"", &[b'x'; 200]);
    }
    let size = |room: &Room| room.disk.files().iter().map(|path| room.disk.bytes(path).len()).sum::<usize>();
    let full = size(&room);
    assert!(full > 500_000, "{full} bytes");
    room.advance(Duration::from_secs(60));
    let tidy = size(&room);
    assert!(tidy < full / 8, "{tidy} of {full} bytes are still there");
    let info: serde_json::Value = serde_json::from_str(&room.ask("$JS.API.STREAM.INFO.KV_b", "")).expect("an answer");
    assert_eq!((&info["state"]["messages"], &info["state"]["last_seq"]), (&31.into(), &3000.into()));
    assert_eq!(room.reports(), []);
}

#[test]
fn a_desk_with_nothing_to_do_rests() {
    for sync_every in [Duration::ZERO, Duration::from_secs(120)] {
        let settings = DeskSettings { sync_every, ..settings(Sealing::default()) };
        let mut room = Room::on(CrashDisk::new(4), settings);
        room.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
        room.publish("s", b"", b"one");
        room.advance(Duration::from_secs(3));
        let mut rested = Duration::ZERO;
        for _ in 0..100 {
            let rest = room.desk.rest(room.now).max(Duration::from_millis(1));
            room.advance(rest);
            rested += rest;
        }
        assert!(rested >= Duration::from_millis(700), "a hundred looks in {rested:?}");
    }
}

#[test]
fn a_stream_that_is_being_restored_keeps_the_old_key_until_it_is_sealed_anew() {
    let mut room = Room::on(CrashDisk::new(5), settings(sealing(Cipher::Aes, Some("old"), None)));
    room.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
    let mut dice = Dice(1);
    for _ in 0..2000 {
        // Nothing that could be compressed: the archive comes in many pieces.
        let body: Vec<u8> = (0..20).flat_map(|_| dice.next().to_le_bytes()).collect();
        room.publish("s", b"", &body);
    }
    let (archive, _) = snapshot(&mut room, r#"{"deliver_subject":"backup.s","chunk_size":1024}"#);
    room.ask("$JS.API.STREAM.DELETE.S", "");
    let answer = room.ask("$JS.API.STREAM.RESTORE.S", r#"{"config":{"name":"S","subjects":["s"]},"state":{}}"#);
    let deliver =
        answer.split('"').find(|part| part.starts_with("$JS.SNAPSHOT.RESTORE.S.")).expect("a subject").to_owned();
    let pieces: Vec<&[u8]> = archive.chunks(archive.len() / 10).collect();
    let send = |room: &mut Room, piece: &[u8]| {
        let inbox = room.inbox();
        let message = room.message(&deliver, Some(&inbox), b"", piece);
        room.round(&[message]);
        let answer = room.heard().into_iter().find(|outgoing| outgoing.to == inbox.as_bytes()).expect("an answer");
        String::from_utf8_lossy(&answer.payload).into_owned()
    };
    pieces[..8].iter().for_each(|piece| assert_eq!(send(&mut room, piece), ""));

    let now = room.now;
    room.desk.rekey(sealing(Cipher::Aes, Some("new"), Some("old")), now).expect("both are there");
    room.advance(Duration::from_secs(4));
    let told = room.reports();
    assert!(told.iter().any(|report| matches!(report, Report::Resealed { blocks } if *blocks > 0)), "{told:?}");
    pieces[8..].iter().for_each(|piece| assert_eq!(send(&mut room, piece), ""));
    assert!(send(&mut room, b"").contains("stream_create_response"));
    room.desk.close(room.now).expect("closes");
    let new = settings(sealing(Cipher::Aes, Some("new"), None));
    let mut again = Room::try_on(room.disk.kill(), new, room.now).map_err(|error| error.to_string()).expect("opens");
    let info = again.ask("$JS.API.STREAM.INFO.S", "");
    assert!(info.contains("\"messages\":2000"), "{info}");
}

#[test]
fn a_stream_is_never_laid_where_another_lies_whatever_the_metadata_lost() {
    let room = furnished(6, sealing(Cipher::Aes, Some("key"), None));
    let disk = room.disk.kill();
    let streams = |disk: &CrashDisk| -> Vec<(String, Vec<u8>)> {
        let files = disk.files().into_iter().filter(|path| path.contains("0000000000000001/"));
        files.map(|path| (path.clone(), disk.bytes(&path))).collect()
    };
    disk.files().iter().filter(|path| path.starts_with("meta/")).for_each(|path| disk.lose(path));
    let before = streams(&disk);
    assert!(before.len() > 3);
    let mut again = Room::on(disk, settings(sealing(Cipher::Aes, Some("key"), None)));
    let told = again.reports();
    assert!(
        told.iter().any(|report| matches!(report, Report::Finding(text) if text.contains("meta: missing"))),
        "{told:?}"
    );
    assert!(again.ask("$JS.API.STREAM.CREATE.OTHER", r#"{"name":"OTHER","subjects":["o"]}"#).contains("did_create"));
    assert!(again.ask("o", "first").contains("\"seq\":1"));
    again.advance(Duration::from_secs(5));
    assert!(streams(&again.disk) == before, "what was there was touched");
}
