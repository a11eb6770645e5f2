//! Accounts with keys of their own, as operators meet them.

use std::path::PathBuf;

use super::house::{House, Peer, Server};

/// Words of both accounts that must be found nowhere on the disk; the first three are one account's alone.
const PLANTED: [&str; 7] = [
    "ACME",
    "PLANTED-ACME",
    "planted-payload-of-acme",
    "planted-consumer",
    "planted-subject",
    "planted-description",
    "OTHER",
];

fn sealed(account_keys: bool, key: &str) -> String {
    format!("cipher: aes, key: \"{key}\", account_keys: {account_keys}")
}

/// What stands beside the `jetstream` block. The trail is not in the store.
fn accounts(house: &House) -> String {
    let trail = house.store().with_file_name("trail.jsonl");
    format!(
        "accounts {{
            ACME {{ jetstream: enabled, users: [ {{ user: acme, password: s3cret }} ] }}
            OTHER {{ jetstream: enabled, users: [ {{ user: other, password: s3cret }} ] }}
            SYS {{ users: [ {{ user: sys, password: s3cret }} ] }}
        }}
        system_account: SYS
        http: '127.0.0.1:-1'
        audit {{ file: '{}' }}",
        trail.display()
    )
}

fn house(block: &str) -> House {
    let mut house = House::new(block, "");
    house.configure(block, &accounts(&house));
    house
}

fn peer(server: &Server, user: &str) -> Peer {
    server.peer(&format!(",\"user\":\"{user}\",\"pass\":\"s3cret\""))
}

fn fill(house: &House) {
    let server = house.start();
    for (account, user) in [("ACME", "acme"), ("OTHER", "other")] {
        let mut peer = peer(&server, user);
        let stream = format!(
            r#"{{"name":"PLANTED-{account}","subjects":["planted-subject.>"],"description":"planted-description"}}"#
        );
        peer.call(&format!("STREAM.CREATE.PLANTED-{account}"), &stream);
        let consumer = format!(
            r#"{{"stream_name":"PLANTED-{account}","config":{{"durable_name":"planted-consumer","ack_policy":"explicit"}}}}"#
        );
        peer.call(&format!("CONSUMER.CREATE.PLANTED-{account}.planted-consumer"), &consumer);
        for number in 0..100 {
            peer.store(&format!("planted-subject.{number}"), &format!("planted-payload-of-{user} {number}"));
        }
        let message = peer.pull(&format!("PLANTED-{account}"), "planted-consumer");
        peer.ask(&message.reply, "+ACK");
    }
    server.stop();
}

fn messages(server: &Server, user: &str) -> Option<u64> {
    let stream = format!("PLANTED-{}", user.to_uppercase());
    let answer = peer(server, user).ask(&format!("$JS.API.STREAM.INFO.{stream}"), "");
    let answer: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
    answer["state"]["messages"].as_u64()
}

fn assert_no_plaintext(house: &House) {
    let files = house.files();
    assert!(files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 20_000, "there are messages in the store");
    for (path, bytes) in files {
        for word in PLANTED {
            assert!(!path.to_string_lossy().contains(word), "{word} names {}", path.display());
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}: {}", path.display());
        }
    }
}

fn key_files(house: &House) -> Vec<PathBuf> {
    house
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.extension().is_some_and(|e| e == "key"))
        .collect()
}

/// The file of the key of an account, as `inspect` names it.
fn key_file(house: &House, account: &str) -> PathBuf {
    let (_, said) = house.tool(&["inspect", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    let keys = told["account_keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["account"] == account).unwrap_or_else(|| panic!("{said}"));
    let name = format!("{}.key", key["key"].as_str().unwrap());
    key_files(house).into_iter().find(|path| path.ends_with(&name)).unwrap()
}

fn trail(house: &House) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(house.store().with_file_name("trail.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn nothing_readable_lies_on_the_disk_and_everything_comes_back() {
    let house = house(&sealed(true, "k3y"));
    fill(&house);
    assert_no_plaintext(&house);
    let server = house.start();
    assert!(server.said().contains("Account Keys:"), "{}", server.said());
    assert_eq!((messages(&server, "acme"), messages(&server, "other")), (Some(100), Some(100)));
    let info = peer(&server, "acme").call("CONSUMER.INFO.PLANTED-ACME.planted-consumer", "");
    assert_eq!(info["ack_floor"]["stream_seq"], 1);
    server.stop();
    let (is_whole, said) = house.tool(&["inspect"]);
    assert!(is_whole && said.contains("Account ACME has key ") && said.contains("format 4"), "{said}");
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(is_whole && said.contains("2 accounts have keys of their own; 0 need keys"), "{said}");
}

#[test]
fn keys_of_accounts_need_a_key_of_the_server() {
    let refusal = house("account_keys: true").refusal();
    assert!(refusal.contains("account_keys of jetstream needs a key of the server"), "{refusal}");
}

#[test]
fn a_key_is_destroyed_by_request_and_the_trail_tells_who_asked_and_what_went() {
    let house = house(&sealed(true, "k3y"));
    fill(&house);
    let backup = house.files();
    let server = house.start();
    let mut sys = peer(&server, "sys");
    let pong: serde_json::Value = serde_json::from_str(&sys.ask("$SYS.REQ.SERVER.PING", "").body).unwrap();
    let destroy = format!("$SYS.REQ.SERVER.{}.DESTROYKEY", pong["server"]["id"].as_str().unwrap());
    let ask = |sys: &mut Peer, body: &str| -> serde_json::Value {
        serde_json::from_str(&sys.ask(&destroy, body).body).unwrap()
    };
    // Monitors may ask whatever begins with PING; it is nothing that destroys.
    assert!(sys.ask("$SYS.REQ.SERVER.PING.DESTROYKEY", r#"{"account":"ACME"}"#).headers.contains(" 503"));
    for (body, said) in [
        ("{}", "\"account\" says whose key is destroyed"),
        (r#"{"account":"NOBODY"}"#, "account NOBODY has no key of its own"),
        (r#"{"account":5}"#, "cannot unmarshal number"),
    ] {
        let answer = ask(&mut sys, body);
        assert!(answer["error"]["description"].as_str().is_some_and(|text| text.contains(said)), "{body}: {answer}");
    }
    let answer = ask(&mut sys, r#"{"account":"ACME"}"#);
    assert_eq!(answer["data"], serde_json::json!({ "account": "ACME", "streams": 1 }), "{answer}");
    assert_eq!((messages(&server, "acme"), messages(&server, "other")), (None, Some(100)));
    let mut acme = peer(&server, "acme");
    assert!(acme.ask(&destroy, r#"{"account":"OTHER"}"#).headers.contains(" 503"));
    acme.call("STREAM.CREATE.NEW", r#"{"name":"NEW","subjects":["new"]}"#);
    assert_eq!(acme.store("new", "begins anew"), 1);
    server.stop();

    let told = trail(&house);
    let deed = told.iter().find(|record| record["class"] == "key" && record["what"].to_string().contains("destroyed"));
    let deed = deed.unwrap_or_else(|| panic!("{told:?}"));
    assert_eq!((&deed["account"], &deed["outcome"]), (&"ACME".into(), &"done".into()));
    let asked = told.iter().find(|record| record["what"] == "destroykey account \"ACME\"").expect("who asked");
    assert_eq!((&asked["class"], &asked["user"]), (&"admin".into(), &"sys".into()));

    // Whoever has everything of before but the file of the key, and the key of the server, has nothing of the account.
    let gone = key_files_gone(&backup, &house);
    for (path, bytes) in backup.iter().filter(|(path, _)| *path != gone) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(!is_whole && said.contains("that of account ACME, and was destroyed"), "{said}");
    assert!(!said.contains("PLANTED-ACME"), "{said}");
    let server = house.start();
    assert!(server.said().contains("of account ACME, which was destroyed at "), "{}", server.said());
    assert_eq!((messages(&server, "acme"), messages(&server, "other")), (None, Some(100)));
}

/// The file of a key that was there and is not any more.
fn key_files_gone(backup: &[(PathBuf, Vec<u8>)], house: &House) -> PathBuf {
    let there = key_files(house);
    let is_key = |path: &PathBuf| path.extension().is_some_and(|e| e == "key");
    backup.iter().map(|(path, _)| path).find(|path| is_key(path) && !there.contains(path)).unwrap().clone()
}

#[test]
fn an_account_whose_key_is_missing_is_named_and_left_alone_until_it_is_back() {
    let house = house(&sealed(true, "k3y"));
    fill(&house);
    let file = key_file(&house, "ACME");
    let away = file.with_extension("away");
    std::fs::rename(&file, &away).unwrap();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(&away, elsewhere.path()).unwrap();
    std::fs::remove_file(&away).unwrap();

    let (is_whole, said) = house.tool(&["verify"]);
    assert!(!is_whole && said.contains("missing") && said.contains("1 need keys that are not there"), "{said}");
    let (is_whole, said) = house.tool(&["inspect"]);
    assert!(!is_whole && said.contains("Account ACME needs key ") && said.contains("is NOT there"), "{said}");
    let server = house.start();
    assert!(server.said().contains("JetStream of account ACME is out of service"), "{}", server.said());
    assert_eq!((messages(&server, "acme"), messages(&server, "other")), (None, Some(100)));
    let health = server.page("/healthz");
    assert_eq!(health["error"], "JetStream of account 'ACME' is out of service", "{health}");
    server.stop();

    std::fs::copy(elsewhere.path(), &file).unwrap();
    let server = house.start();
    assert_eq!((messages(&server, "acme"), messages(&server, "other")), (Some(100), Some(100)));
}

#[test]
fn a_key_is_destroyed_without_a_server_and_only_when_that_is_meant() {
    let house = house(&sealed(true, "k3y"));
    fill(&house);
    let before = house.files();
    for (words, said) in [
        (&["destroy-key"][..], "needs the account whose key goes"),
        (&["destroy-key", "--account", "NOBODY", "--force"], "account NOBODY has no key of its own"),
        (&["destroy-key", "--account", "ACME"], "say --force"),
    ] {
        let (done, told) = house.tool(words);
        assert!(!done && told.contains(said), "{told}");
        assert!(house.files() == before, "{words:?} changed something");
    }
    let server = house.start();
    let (done, said) = house.tool(&["destroy-key", "--account", "ACME", "--force"]);
    assert!(!done && said.contains("is in use by another server"), "{said}");
    server.stop();
    let (done, said) = house.tool(&["destroy-key", "--account", "ACME", "--force"]);
    assert!(done && said.contains("The key of account ACME is destroyed; 1 streams are gone"), "{said}");
    assert_eq!(key_files(&house).len(), 1);
    let (is_whole, said) = house.tool(&["inspect"]);
    assert!(is_whole && said.contains("Account ACME had key ") && said.contains("with 1 streams"), "{said}");
    assert!(house.tool(&["verify"]).0);
    let server = house.start();
    assert_eq!((messages(&server, "acme"), messages(&server, "other")), (None, Some(100)));
}

#[test]
fn keys_of_accounts_are_switched_on_and_off_by_a_reload() {
    let mut house = house(&sealed(false, "k3y"));
    fill(&house);
    assert_eq!(key_files(&house).len(), 0);
    let mut server = house.start();
    house.configure(&sealed(true, "k3y"), &accounts(&house));
    house.reload(&mut server);
    server.logged("what is stored takes the keys of its accounts, 2 of them");
    assert_eq!((messages(&server, "acme"), messages(&server, "other")), (Some(100), Some(100)));
    server.stop();
    assert_no_plaintext(&house);
    let (_, said) = house.tool(&["inspect"]);
    assert!(said.contains("format 4") && said.contains("Account OTHER has key "), "{said}");

    let mut server = house.start();
    house.configure(&sealed(false, "k3y"), &accounts(&house));
    house.reload(&mut server);
    server.logged("nothing takes the key of account OTHER any more");
    assert_eq!((messages(&server, "acme"), messages(&server, "other")), (Some(100), Some(100)));
    server.stop();
    let (_, said) = house.tool(&["inspect"]);
    assert!(said.contains("format 3") && !said.contains("Account"), "{said}");
}

#[test]
fn keys_are_rotated_switched_on_and_off_while_no_server_runs() {
    let mut house = house(&sealed(false, "k3y"));
    fill(&house);
    let new = |account_keys: bool| format!("{}, prev_encryption_key: \"k3y\"", sealed(account_keys, "new"));
    for (block, keys) in [
        (sealed(true, "k3y"), 2),
        (new(true), 2),
        (sealed(true, "new"), 2),
        (format!("{}, prev_encryption_key: \"new\"", sealed(false, "newer")), 0),
    ] {
        house.configure(&block, &accounts(&house));
        let (done, said) = house.tool(&["rotate-key"]);
        assert!(done && said.contains("opens the store"), "{said}");
        assert_eq!(key_files(&house).len(), keys, "{block}: {said}");
        let (is_whole, said) = house.tool(&["verify"]);
        assert!(is_whole, "{block}: {said}");
        assert_no_plaintext(&house);
    }
    house.configure(&sealed(false, "newer"), &accounts(&house));
    let server = house.start();
    assert_eq!((messages(&server, "acme"), messages(&server, "other")), (Some(100), Some(100)));
}

#[test]
fn a_rotation_skips_what_does_not_open_and_says_that_the_key_before_is_needed() {
    let mut house = house(&sealed(true, "k3y"));
    fill(&house);
    let file = key_file(&house, "ACME");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let both = format!("{}, prev_encryption_key: \"k3y\"", sealed(true, "new"));
    house.configure(&both, &accounts(&house));
    let (done, said) = house.tool(&["rotate-key"]);
    assert!(!done && said.contains("1 streams do not open, and need the key before"), "{said}");
    std::fs::write(&file, bytes).unwrap();
    let (done, said) = house.tool(&["rotate-key"]);
    assert!(done, "{said}");
    house.configure(&sealed(true, "new"), &accounts(&house));
    let server = house.start();
    assert_eq!((messages(&server, "acme"), messages(&server, "other")), (Some(100), Some(100)));
}
