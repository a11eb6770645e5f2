//! Accounts with keys of their own, served.

use crate::backups::snapshot;
use crate::house::Room;
use bulwark_jetstream_host::{DeskSettings, Report};
use std::time::Duration;
use store::{Cipher, FileSettings, Sealing};
use testkit::CrashDisk;

const ACCOUNTS: [&str; 2] = ["ACME", "OTHER"];

/// Words of the first account that must be found nowhere.
const PLANTED: [&[u8]; 6] =
    [b"planted-payload", b"planted-subject", b"PLANTED", b"planted-consumer", b"planted-header", b"ACME"];

fn sealing(account_keys: bool) -> Sealing {
    Sealing { cipher: Cipher::Aes, key: Some("the key".into()), previous_key: None, account_keys }
}

fn settings(sealing: Sealing) -> DeskSettings {
    let files = FileSettings { block_bytes: 20_000, ..FileSettings::default() };
    DeskSettings { sealing, files, ..DeskSettings::default() }
}

fn fill(room: &mut Room) {
    for account in ACCOUNTS {
        room.speak_for(account);
        room.ask("$JS.API.STREAM.CREATE.PLANTED", r#"{"name":"PLANTED","subjects":["planted-subject.>"]}"#);
        let memory = r#"{"name":"PLANTED-FAST","subjects":["planted-fast"],"storage":"memory"}"#;
        assert!(room.ask("$JS.API.STREAM.CREATE.PLANTED-FAST", memory).contains("did_create"));
        let consumer =
            r#"{"stream_name":"PLANTED","config":{"durable_name":"planted-consumer","ack_policy":"explicit"}}"#;
        room.ask("$JS.API.CONSUMER.DURABLE.CREATE.PLANTED.planted-consumer", consumer);
        for n in 0..200 {
            let headers = b"NATS/1.0\r\nplanted-header: 1\r\n\r\n";
            room.publish("planted-subject.a", headers, format!("planted-payload {n} {}", "x".repeat(150)).as_bytes());
        }
    }
    room.advance(Duration::from_secs(1));
}

/// Two accounts with the same streams, two hundred messages each.
fn furnished(seed: u64, sealing: Sealing) -> Room {
    let mut room = Room::of(&ACCOUNTS, CrashDisk::new(seed), settings(sealing));
    fill(&mut room);
    room
}

fn messages(room: &mut Room, account: &str) -> Option<u64> {
    let info = room.speak_for(account).ask("$JS.API.STREAM.INFO.PLANTED", "");
    let info: serde_json::Value = serde_json::from_str(&info).ok()?;
    info["state"]["messages"].as_u64()
}

fn names(room: &mut Room, account: &str) -> String {
    room.speak_for(account).ask("$JS.API.STREAM.NAMES", "")
}

fn planted(disk: &CrashDisk) -> Vec<String> {
    let has = |path: &String| {
        let bytes = disk.bytes(path);
        PLANTED.iter().any(|word| bytes.windows(word.len()).any(|window| window == *word))
    };
    disk.files().into_iter().filter(has).collect()
}

fn key_files(disk: &CrashDisk) -> Vec<String> {
    disk.files().into_iter().filter(|path| path.starts_with("keys/")).collect()
}

fn files(disk: &CrashDisk) -> Vec<(String, Vec<u8>)> {
    disk.files().into_iter().map(|path| (path.clone(), disk.bytes(&path))).collect()
}

/// The disk without the key of one account: told by who is out of service then.
fn without_key_of(room: &Room, account: &str) -> (CrashDisk, String, Room) {
    for path in key_files(&room.disk) {
        let disk = room.disk.kill();
        disk.lose(&path);
        let again = room.again(disk.clone());
        let told = again.reports();
        let text = format!("JetStream of account {account} is out of service");
        if told.iter().any(|report| matches!(report, Report::Finding(found) if found.contains(&text))) {
            return (disk, path, again);
        }
    }
    panic!("no file is that of {account}");
}

fn has(told: &[Report], text: &str) -> bool {
    told.iter().any(|report| matches!(report, Report::Finding(found) if found.contains(text)))
}

#[test]
fn each_account_gets_a_key_with_its_first_stream_and_comes_back_with_it() {
    let mut room = Room::of(&ACCOUNTS, CrashDisk::new(1), settings(sealing(true)));
    assert_eq!(key_files(&room.disk).len(), 0, "who has nothing needs no key");
    fill(&mut room);
    let drawn = |account: &str| Report::KeyDrawn { account: account.to_owned() };
    assert_eq!(room.reports(), ACCOUNTS.map(drawn));
    assert_eq!(planted(&room.disk), Vec::<String>::new());
    assert_eq!(key_files(&room.disk).len(), 2);
    room.desk.close(room.now).expect("closes");
    let mut again = room.again(room.disk.kill());
    assert_eq!((messages(&mut again, "ACME"), messages(&mut again, "OTHER")), (Some(200), Some(200)));
    assert_eq!(again.reports(), []);
    assert_eq!(planted(&again.disk), Vec::<String>::new());
}

#[test]
fn an_account_whose_key_is_missing_is_out_of_service_and_comes_back_with_the_file() {
    let room = furnished(2, sealing(true));
    let (disk, path, mut again) = without_key_of(&room, "ACME");
    let before: Vec<_> = files(&disk).into_iter().filter(|(path, _)| path.contains("0000000000000001/")).collect();
    assert_eq!(messages(&mut again, "ACME"), None);
    assert!(again.desk.unrecovered().any(|(account, _)| account == "ACME"));
    let created = again.ask("$JS.API.STREAM.CREATE.NEW", r#"{"name":"NEW","subjects":["n"]}"#);
    assert_eq!(created, "-", "nobody answers");
    assert_eq!(messages(&mut again, "OTHER"), Some(200));
    again.publish("planted-subject.b", b"", b"goes on");
    again.advance(Duration::from_secs(5));
    assert_eq!(messages(&mut again, "OTHER"), Some(201));
    let after: Vec<_> = files(&disk).into_iter().filter(|(path, _)| path.contains("0000000000000001/")).collect();
    assert!(before == after && before.len() > 1, "what nobody can open was touched");

    let disk = disk.kill();
    disk.plant(&path, &room.disk.bytes(&path));
    let mut again = room.again(disk);
    assert_eq!((messages(&mut again, "ACME"), messages(&mut again, "OTHER")), (Some(200), Some(201)));
    assert!(names(&mut again, "ACME").contains("PLANTED"));
}

#[test]
fn what_has_no_key_of_its_account_is_not_opened_by_the_server_key_alone() {
    let room = furnished(3, sealing(true));
    let (disk, ..) = without_key_of(&room, "ACME");
    // Whoever has the files and the server key reads no name: not those of streams, and not from the metadata.
    let again = room.again(disk);
    let told = format!("{:?}", again.reports());
    assert!(!told.contains("PLANTED") && told.contains("its 1 streams in files are left alone"), "{told}");
}

#[test]
fn a_key_is_destroyed_while_others_are_served_and_the_account_begins_anew() {
    let mut room = furnished(4, sealing(true));
    room.reports();
    let before = key_files(&room.disk);
    let waiting = room.inbox();
    let pull = "$JS.API.CONSUMER.MSG.NEXT.PLANTED.planted-consumer";
    let message = room.speak_for("ACME").message(pull, Some(&waiting), b"", br#"{"batch":500,"expires":60000000000}"#);
    room.round(&[message]);
    room.heard();
    let listened = room.port.0.lock().expect("unharmed").listens.len();
    let now = room.now;
    assert_eq!(room.desk.destroy_key("ACME", now), Ok(2));
    let heard = room.heard();
    assert!(heard.iter().any(|letter| letter.to == waiting.as_bytes()), "who waits is told: {heard:?}");
    // Two streams less to listen for.
    assert_eq!(room.port.0.lock().expect("unharmed").listens.len(), listened - 2);
    assert_eq!(room.desk.destroy_key("ACME", now), Err("account ACME has no key of its own".to_owned()));
    assert_eq!(names(&mut room, "ACME").matches("PLANTED").count(), 0);
    assert_eq!(messages(&mut room, "OTHER"), Some(200));
    assert_eq!(key_files(&room.disk).len(), 1);
    assert!(!room.disk.files().iter().any(|path| path.contains("streams/0000000000000001/")));

    let created = room.speak_for("ACME").ask("$JS.API.STREAM.CREATE.NEW", r#"{"name":"NEW","subjects":["new"]}"#);
    assert!(created.contains("did_create"), "{created}");
    assert!(room.ask("new", "hello").contains("\"seq\":1"));
    assert_eq!(key_files(&room.disk).iter().filter(|path| before.contains(path)).count(), 1, "the key is another one");
    let destroyed = Report::KeyDestroyed { account: "ACME".to_owned(), streams: 2 };
    assert_eq!(room.reports(), [destroyed, Report::KeyDrawn { account: "ACME".to_owned() }]);
    room.desk.close(room.now).expect("closes");
    let mut again = room.again(room.disk.kill());
    assert_eq!(again.reports(), []);
    assert!(names(&mut again, "ACME").contains("NEW"));
    assert_eq!(messages(&mut again, "OTHER"), Some(200));
}

#[test]
fn destroying_that_ends_in_a_crash_ends_with_everything_there_or_nothing() {
    let mut finished = 0;
    for stop in 0..48 {
        let mut room = furnished(stop, sealing(true));
        room.disk.power_off_after(stop);
        let now = room.now;
        let destroyed = room.desk.destroy_key("ACME", now);
        for seed in 0..4 {
            let when = format!("stopped after {stop}, image {seed}");
            let mut again = room.again(room.disk.crash_with(seed));
            assert_eq!(messages(&mut again, "OTHER"), Some(200), "{when}");
            let told = again.reports();
            match messages(&mut again, "ACME") {
                Some(200) => assert!(destroyed.is_err(), "{when}"),
                None => {
                    assert!(names(&mut again, "ACME").contains("\"total\":0"), "{when}");
                    assert_eq!(key_files(&again.disk).len(), 1, "{when}");
                    // Unless the last thing that was written reached the disk after all.
                    finished +=
                        usize::from(told.contains(&Report::KeyDestroyed { account: "ACME".into(), streams: 2 }));
                }
                other => panic!("{when}: {other:?}"),
            }
            let is_unexplained = |report: &&Report| matches!(report, Report::Finding(text) if !text.contains("torn"));
            assert_eq!(told.iter().find(is_unexplained), None, "{when}");
        }
        if destroyed.is_ok() {
            assert!(finished > 20, "a start finished it {finished} times");
            return;
        }
    }
    panic!("it was never done");
}

#[test]
fn destroying_that_the_disk_refuses_is_done_when_it_works_again() {
    let mut room = furnished(6, sealing(true));
    room.disk.power_off_after(6);
    let now = room.now;
    room.desk.destroy_key("ACME", now).expect_err("the disk fails");
    assert!(room.desk.has_failed());
    room.desk.destroy_key("OTHER", now).expect_err("not now");
    room.disk.power_off_after(100_000);
    room.advance(Duration::from_secs(5));
    let told = room.reports();
    assert!(told.contains(&Report::KeyDestroyed { account: "ACME".to_owned(), streams: 2 }), "{told:?}");
    assert!(names(&mut room, "ACME").contains("\"total\":0"));
    assert_eq!(messages(&mut room, "OTHER"), Some(200));
}

#[test]
fn a_stream_that_is_being_restored_goes_with_the_key() {
    let mut room = furnished(7, sealing(true));
    room.speak_for("ACME").ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
    (0..100_u8).for_each(|n| room.publish("s", b"", &[n; 300]));
    let (archive, _) = snapshot(&mut room, r#"{"deliver_subject":"backup.s","chunk_size":1024}"#);
    let answer = room.ask("$JS.API.STREAM.RESTORE.T", r#"{"config":{"name":"T","subjects":["t"]},"state":{}}"#);
    let deliver =
        answer.split('"').find(|part| part.starts_with("$JS.SNAPSHOT.RESTORE.T.")).expect("a subject").to_owned();
    let inbox = room.inbox();
    let piece = room.message(&deliver, Some(&inbox), b"", &archive[..archive.len() / 2]);
    room.round(&[piece]);
    let now = room.now;
    assert_eq!(room.desk.destroy_key("ACME", now), Ok(4));
    let rest = room.message(&deliver, Some(&inbox), b"", &archive[archive.len() / 2..]);
    room.round(&[rest]);
    room.advance(Duration::from_secs(2));
    assert!(names(&mut room, "ACME").contains("\"total\":0"));
    let again = room.again(room.disk.kill());
    assert_eq!(again.reports(), []);
    assert_eq!(key_files(&again.disk).len(), 1);
}

#[test]
fn keys_are_switched_on_for_what_is_there_while_messages_flow() {
    let mut room = furnished(8, sealing(false));
    assert_eq!(key_files(&room.disk).len(), 0);
    let now = room.now;
    room.desk.rekey(sealing(true), now).expect("works");
    for n in 0..20 {
        room.speak_for("ACME").publish("planted-subject.b", b"", b"while it is sealed anew");
        room.advance(Duration::from_millis(50));
        assert_eq!(messages(&mut room, "ACME"), Some(201 + n));
    }
    room.advance(Duration::from_secs(5));
    assert_eq!(room.desk.resealing(), None);
    assert_eq!(key_files(&room.disk).len(), 2);
    room.desk.close(room.now).expect("closes");
    room = room.again_with(room.disk.kill(), settings(sealing(true))).expect("opens");
    assert_eq!(room.reports(), []);
    let (_, _, mut without) = without_key_of(&room, "ACME");
    assert_eq!((messages(&mut without, "ACME"), messages(&mut without, "OTHER")), (None, Some(200)));
    assert_eq!(room.desk.destroy_key("ACME", room.now), Ok(2));
}

#[test]
fn keys_are_switched_on_by_a_start_as_well() {
    let room = furnished(9, sealing(false));
    let mut room = room.again_with(room.disk.kill(), settings(sealing(true))).expect("opens");
    room.advance(Duration::from_secs(5));
    assert_eq!(key_files(&room.disk).len(), 2);
    let (_, _, mut without) = without_key_of(&room, "ACME");
    assert_eq!((messages(&mut without, "ACME"), messages(&mut without, "OTHER")), (None, Some(200)));
}

#[test]
fn keys_are_switched_off_and_the_store_is_what_it_was_before_there_were_any() {
    let mut room = furnished(10, sealing(true));
    room.reports();
    let now = room.now;
    room.desk.rekey(sealing(false), now).expect("works");
    room.speak_for("ACME").publish("planted-subject.b", b"", b"goes on");
    room.advance(Duration::from_secs(8));
    assert_eq!(key_files(&room.disk), Vec::<String>::new());
    let told: Vec<Report> =
        room.reports().into_iter().filter(|report| !matches!(report, Report::Resealing { .. })).collect();
    assert_eq!(told, ACCOUNTS.map(|account| Report::KeyRetired { account: account.to_owned() }));
    room.desk.close(room.now).expect("closes");
    for (path, bytes) in files(&room.disk) {
        let is_block = path.starts_with("streams/") && path.ends_with(".blk");
        let version: u16 = if is_block { 5 } else { 3 };
        assert_eq!(bytes[8..10], version.to_le_bytes(), "{path}");
        if path != "store" {
            assert_eq!(bytes[124..132], [0; 8], "{path} names the key of an account");
        }
    }
    let mut again = room.again_with(room.disk.kill(), settings(sealing(false))).expect("opens");
    assert_eq!((messages(&mut again, "ACME"), messages(&mut again, "OTHER")), (Some(201), Some(200)));
    assert_eq!(again.reports(), []);
}

#[test]
fn a_new_server_key_wraps_the_keys_of_accounts_as_well() {
    let mut room = furnished(11, sealing(true));
    let new = Sealing { key: Some("new".into()), previous_key: Some("the key".into()), ..sealing(true) };
    let (before, now) = (files(&room.disk), room.now);
    room.desk.rekey(new.clone(), now).expect("both are there");
    room.advance(Duration::from_secs(8));
    let told = room.reports();
    assert!(told.iter().any(|report| matches!(report, Report::Resealed { .. })), "{told:?}");
    for path in key_files(&room.disk) {
        let old = &before.iter().find(|(known, _)| *known == path).expect("the same file").1;
        for copy in [0..300, 4096..4396] {
            assert!(old[copy.clone()] != room.disk.bytes(&path)[copy], "{path} is wrapped by the old key");
        }
    }
    room.desk.close(room.now).expect("closes");
    let alone = settings(Sealing { previous_key: None, ..new });
    let mut again = room.again_with(room.disk.kill(), alone).expect("the new key is enough");
    assert_eq!((messages(&mut again, "ACME"), messages(&mut again, "OTHER")), (Some(200), Some(200)));
    assert_eq!(again.reports(), []);
    assert!(again.again_with(again.disk.kill(), settings(sealing(true))).is_err(), "the old key opens it");
}

#[test]
fn a_change_of_keys_or_settings_that_ends_in_a_crash_goes_on() {
    let new = |account_keys| Sealing {
        key: Some("new".into()),
        previous_key: Some("the key".into()),
        ..sealing(account_keys)
    };
    for (before, after) in [(true, new(true)), (true, new(false)), (false, new(true)), (true, sealing(false))] {
        for stop in (0..20).map(|n| n * 7) {
            let mut room = furnished(stop, sealing(before));
            room.disk.power_off_after(stop);
            let now = room.now;
            let _ = room.desk.rekey(after.clone(), now);
            for _ in 0..25 {
                room.advance(Duration::from_millis(25));
            }
            let disk = room.disk.crash();
            let mut again = room.again_with(disk, settings(after.clone())).expect("both keys are there");
            for _ in 0..2 {
                let both = (messages(&mut again, "ACME"), messages(&mut again, "OTHER"));
                assert_eq!(both, (Some(200), Some(200)), "stopped after {stop}");
                again.advance(Duration::from_secs(8));
            }
            assert_eq!(key_files(&again.disk).len(), if after.account_keys { 2 } else { 0 }, "stopped after {stop}");
        }
    }
}

#[test]
fn streams_that_are_put_back_after_their_key_was_destroyed_are_named_and_left_alone() {
    let mut room = furnished(12, sealing(true));
    let (backup, now) = (files(&room.disk), room.now);
    room.desk.destroy_key("ACME", now).expect("works");
    room.advance(Duration::from_millis(1));
    let disk = room.disk.kill();
    store::Disk::create_dir(&disk, "streams/0000000000000001").expect("works");
    let back = backup.into_iter().filter(|(path, _)| path.contains("0000000000000001/"));
    back.for_each(|(path, bytes)| disk.plant(&path, &bytes));
    let before = files(&disk).len();
    let mut again = room.again(disk);
    again.advance(Duration::from_secs(5));
    let told = again.reports();
    assert!(has(&told, "of account ACME, which was destroyed at 20"), "{told:?}");
    assert!(has(&told, "it is left alone"), "{told:?}");
    assert_eq!(files(&again.disk).len(), before);
    assert_eq!(messages(&mut again, "OTHER"), Some(200));
}

#[test]
fn an_account_that_nobody_serves_can_have_its_key_destroyed() {
    let mut room = furnished(13, sealing(true));
    room.desk.remove_account("ACME", room.now);
    assert_eq!(room.desk.destroy_key("ACME", room.now), Ok(2));
    assert_eq!(key_files(&room.disk).len(), 1);
    assert_eq!(messages(&mut room, "OTHER"), Some(200));
}

#[test]
fn without_the_setting_an_account_has_no_key_to_be_destroyed() {
    let mut room = furnished(14, sealing(false));
    let now = room.now;
    assert_eq!(room.desk.destroy_key("ACME", now), Err("account ACME has no key of its own".to_owned()));
    assert_eq!(messages(&mut room, "ACME"), Some(200));
}
