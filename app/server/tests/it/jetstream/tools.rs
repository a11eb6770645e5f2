//! The tools that look at a store while no server runs.

use std::path::Path;

use super::house::House;

fn filled(block: &str) -> House {
    let house = House::new(block, "");
    let server = house.start();
    let mut peer = server.peer("");
    peer.call("STREAM.CREATE.ORDERS", r#"{"name":"ORDERS","subjects":["orders.>"]}"#);
    peer.call("STREAM.CREATE.FAST", r#"{"name":"FAST","subjects":["fast"],"storage":"memory"}"#);
    (1..=200).for_each(|number| assert_eq!(peer.store("orders.new", &format!("order {number}")), number));
    server.stop();
    house
}

fn json(said: &str) -> serde_json::Value {
    serde_json::from_str(said).unwrap_or_else(|_| panic!("{said}"))
}

const OLD: &str = "cipher: aes, key: \"the old key\"";

#[test]
fn inspecting_names_streams_and_by_what_they_are_sealed_and_touches_nothing() {
    let house = filled(OLD);
    let before = house.files();
    let (is_whole, said) = house.tool(&["inspect"]);
    assert!(is_whole && said.contains("$G > ORDERS: 200 messages"), "{said}");
    assert!(said.contains("aes by ") && !said.contains("the old key"), "{said}");
    let (_, said) = house.tool(&["inspect", "--json"]);
    let told = json(&said);
    assert_eq!(told["streams"][0]["name"], "ORDERS");
    assert_eq!(told["streams"][0]["last_seq"], 200);
    assert_eq!(told["streams"][0]["blocks"][0]["cipher"], "aes");
    assert!(house.files() == before);
}

#[test]
fn a_store_in_use_or_not_there_is_said() {
    let house = House::new("", "");
    let (done, said) = house.tool(&["verify"]);
    assert!(!done && said.contains("there is no store in"), "{said}");
    let server = house.start();
    let (done, said) = house.tool(&["verify"]);
    assert!(!done && said.contains("is in use by another server"), "{said}");
    drop(server);
}

#[test]
fn damage_is_named_exactly_and_nothing_is_touched() {
    let house = filled(OLD);
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(is_whole && said.contains("The store is whole: 1 streams in files, 200 messages"), "{said}");
    let (path, mut bytes) = largest_block(&house);
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let before = house.files();
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(!is_whole && said.contains("The store is NOT whole"), "{said}");
    let line = said.lines().find(|line| line.contains("damaged")).unwrap_or_else(|| panic!("{said}"));
    let numbers: Vec<usize> = line.split_once("bytes ").unwrap().1.split(" to ").map(|n| n.parse().unwrap()).collect();
    assert!((numbers[0]..numbers[1]).contains(&at), "{line}, it is at {at}");
    assert!(said.contains("lost: message "), "{said}");
    assert!(house.files() == before, "whoever looks changes nothing");
    let (_, said) = house.tool(&["verify", "--json"]);
    let told = json(&said);
    assert_eq!((&told["whole"], &told["messages"]), (&false.into(), &199.into()));
}

#[test]
fn a_flip_in_the_newest_record_is_damage_and_no_torn_write() {
    let house = filled(OLD);
    let (path, mut bytes) = largest_block(&house);
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(!is_whole && said.contains("damaged") && said.contains("lost: message 200"), "{said}");
    assert!(said.contains("The store is NOT whole"), "{said}");
}

#[test]
fn what_a_killed_server_may_have_left_is_told_beside_whole_and_a_checkpoint_tells_whether_it_was_there() {
    let house = filled(OLD);
    let server = house.start();
    assert_eq!(server.peer("").store("orders.new", "the last one"), 201);
    server.kill();
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint").display().to_string();
    assert!(house.tool(&["verify", "--checkpoint", &checkpoint]).0);
    let streams = house.files().into_iter().filter(|(path, _)| path.to_string_lossy().contains("streams"));
    let (path, bytes) = streams.max().unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 30]).unwrap();
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(is_whole && said.contains("The store is whole, but for 1 writes that were cut off"), "{said}");
    let (_, said) = house.tool(&["verify", "--json"]);
    assert_eq!((&json(&said)["whole"], &json(&said)["torn"]), (&true.into(), &1.into()));
    let (is_whole, said) = house.tool(&["verify", "--since", &checkpoint]);
    assert!(!is_whole && said.contains("its last message is 200, it was 201"), "{said}");
}

#[test]
fn what_is_missing_at_the_end_of_a_stopped_server_s_stream_was_cut() {
    let house = filled(OLD);
    let (path, bytes) = largest_block(&house);
    std::fs::write(&path, &bytes[..bytes.len() - 30]).unwrap();
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(!is_whole && said.contains("cut short"), "{said}");
}

#[test]
fn directories_that_are_gone_and_metadata_that_is_gone_are_named() {
    let house = filled(OLD);
    let (block, _) = largest_block(&house);
    let stream = block.parent().unwrap();
    assert!(stream.ends_with("streams/0000000000000001"), "{}", stream.display());
    let away = tempfile::tempdir().unwrap();
    let elsewhere = away.path().join("stream");
    std::fs::rename(stream, &elsewhere).unwrap();
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(!is_whole && said.contains("stream 1 ($G > ORDERS): its directory is missing"), "{said}");
    assert!(!said.contains("FAST"), "what is in memory has no directory: {said}");
    std::fs::rename(&elsewhere, stream).unwrap();
    assert!(house.tool(&["verify"]).0);

    for (path, _) in house.files().into_iter().filter(|(path, _)| path.parent().unwrap().ends_with("meta")) {
        std::fs::remove_file(path).unwrap();
    }
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(!is_whole && said.contains("stream 0, meta: missing"), "{said}");
    assert!(said.contains("stream 1: the metadata does not know it"), "{said}");
}

#[test]
fn a_stream_that_can_not_be_read_does_not_hide_the_others() {
    let house = filled(OLD);
    let server = house.start();
    let mut peer = server.peer("");
    peer.call("STREAM.CREATE.MORE", r#"{"name":"MORE","subjects":["more"]}"#);
    (1..=7).for_each(|number| assert_eq!(peer.store("more", "x"), number));
    server.stop();
    let (path, _) =
        house.files().into_iter().find(|(path, _)| path.to_string_lossy().contains("0000000000000001")).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(!is_whole && said.contains("stream 1: "), "{said}");
    assert!(said.contains("NOT whole: 2 streams in files, 7 messages"), "{said}");
}

fn largest_block(house: &House) -> (std::path::PathBuf, Vec<u8>) {
    let blocks = house.files().into_iter().filter(|(path, _)| path.to_string_lossy().contains("streams"));
    blocks.max_by_key(|(_, bytes)| bytes.len()).unwrap()
}

fn restore(files: &[(std::path::PathBuf, Vec<u8>)], house: &House) {
    for (path, _) in house.files() {
        std::fs::remove_file(path).unwrap();
    }
    for (path, bytes) in files {
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_store_that_was_put_back_shows_by_a_checkpoint_and_only_by_it() {
    let house = filled(OLD);
    let earlier = house.files();
    let server = house.start();
    let mut peer = server.peer("");
    (201..=300).for_each(|number| assert_eq!(peer.store("orders.new", "later"), number));
    server.stop();
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    let checkpoint = checkpoint.to_str().unwrap();
    let (is_whole, said) = house.tool(&["verify", "--checkpoint", checkpoint]);
    assert!(is_whole, "{said}");
    let kept = std::fs::read_to_string(Path::new(checkpoint)).unwrap();
    assert!(!kept.contains("ORDERS") && !kept.contains("orders"), "{kept}");
    let (is_whole, said) = house.tool(&["verify", "--since", checkpoint]);
    assert!(is_whole, "{said}");

    restore(&earlier, &house);
    let (is_whole, said) = house.tool(&["verify"]);
    assert!(is_whole, "alone it can not be told: {said}");
    let (is_whole, said) = house.tool(&["verify", "--since", checkpoint]);
    assert!(!is_whole && said.contains("its last message is 200, it was 300"), "{said}");

    // And if it grew again since.
    let server = house.start();
    let mut peer = server.peer("");
    (201..=400).for_each(|number| assert_eq!(peer.store("orders.new", "other"), number));
    server.stop();
    let (is_whole, said) = house.tool(&["verify", "--since", checkpoint]);
    assert!(!is_whole && said.contains("message 300: another one than at the checkpoint"), "{said}");
}

#[test]
fn keys_and_ciphers_are_rotated_while_no_server_runs() {
    let mut house = filled("");
    for (block, sealed_by) in [
        (OLD, "aes"),
        ("cipher: aes, key: \"the new key\", prev_encryption_key: \"the old key\"", "aes"),
        ("cipher: chachapoly, key: \"the new key\"", "chachapoly"),
    ] {
        house.configure(block, "");
        let (done, said) = house.tool(&["rotate-key"]);
        assert!(done && said.contains("were sealed anew"), "{said}");
        let (_, said) = house.tool(&["inspect", "--json"]);
        let told = json(&said);
        assert_eq!(told["keys"].as_array().map(Vec::len), Some(1), "{said}");
        for block in told["streams"][0]["blocks"].as_array().unwrap() {
            assert_eq!((&block["cipher"], &block["key"]), (&sealed_by.into(), &told["keys"][0]));
        }
        let found = house.files().iter().any(|(_, bytes)| bytes.windows(9).any(|window| window == b"order 199"));
        assert!(!found, "{block}");
    }
    let server = house.start();
    assert_eq!(server.peer("").call("STREAM.INFO.ORDERS", "")["state"]["messages"], 200);
    server.stop();
    house.configure(OLD, "");
    let (done, said) = house.tool(&["rotate-key"]);
    assert!(!done && said.contains("neither the key nor the previous key"), "{said}");
}
