//! What lies on the disk when streams are encrypted.

use super::house::House;

/// Words that must be found nowhere: payload, header, subject, stream, consumer, bucket, description, metadata.
const PLANTED: [&str; 8] = [
    "planted-payload",
    "planted-header",
    "planted-subject",
    "PLANTED-STREAM",
    "planted-consumer",
    "planted-bucket",
    "planted-description",
    "planted-metadata",
];

fn sealed(cipher: &str, key: &str) -> String {
    format!("cipher: {cipher}, key: \"{key}\"")
}

fn fill(house: &House) {
    let server = house.start();
    assert!(server.said().contains("Encryption:"));
    let mut peer = server.peer("");
    let stream = r#"{"name":"PLANTED-STREAM","subjects":["planted-subject.>"],"description":"planted-description","metadata":{"planted-metadata":"1"}}"#;
    peer.call("STREAM.CREATE.PLANTED-STREAM", stream);
    peer.call(
        "STREAM.CREATE.KV_planted-bucket",
        r#"{"name":"KV_planted-bucket","subjects":["$KV.planted-bucket.>"],"max_msgs_per_subject":1}"#,
    );
    let consumer =
        r#"{"stream_name":"PLANTED-STREAM","config":{"durable_name":"planted-consumer","ack_policy":"explicit"}}"#;
    peer.call("CONSUMER.CREATE.PLANTED-STREAM.planted-consumer", consumer);
    for number in 0..200 {
        let headers = "NATS/1.0\r\nplanted-header: 1\r\n\r\n";
        let body = format!("planted-payload {number} {}", "x".repeat(200));
        let (head, all, inbox) = (headers.len(), headers.len() + body.len(), peer.inbox());
        peer.send(&format!("HPUB planted-subject.{number} {inbox} {head} {all}\r\n{headers}{body}\r\n"));
        assert!(peer.heard().unwrap().body.contains("\"seq\""));
    }
    peer.store("$KV.planted-bucket.key", "planted-payload");
    let message = peer.pull("PLANTED-STREAM", "planted-consumer");
    peer.ask(&message.reply, "+ACK");
    peer.call("STREAM.MSG.DELETE.PLANTED-STREAM", "{\"seq\":5}");
    assert_no_plaintext(house);
    server.stop();
}

fn assert_no_plaintext(house: &House) {
    let files = house.files();
    assert!(files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 40_000, "there are messages in the store");
    for (path, bytes) in files {
        for word in PLANTED {
            assert!(!path.to_string_lossy().contains(word), "{word} names {}", path.display());
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}: {}", path.display());
        }
    }
}

fn assert_readable(house: &House) {
    let server = house.start();
    let mut peer = server.peer("");
    assert_eq!(peer.call("STREAM.INFO.PLANTED-STREAM", "")["state"]["messages"], 199);
    let info = peer.call("CONSUMER.INFO.PLANTED-STREAM.planted-consumer", "");
    assert_eq!(info["ack_floor"]["stream_seq"], 1);
    server.stop();
}

#[test]
fn nothing_readable_lies_on_the_disk_with_either_cipher() {
    for cipher in ["aes", "chachapoly"] {
        let house = House::new(&sealed(cipher, "k3y-0f-this-5cene"), "");
        fill(&house);
        assert_no_plaintext(&house);
        assert_readable(&house);
    }
}

#[test]
fn without_a_key_the_same_words_are_found() {
    let house = House::new("", "");
    let server = house.start();
    let mut peer = server.peer("");
    peer.call("STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
    peer.store("s", "planted-payload");
    server.stop();
    let is_found = |(_, bytes): &(_, Vec<u8>)| bytes.windows(15).any(|window| window == b"planted-payload");
    assert!(house.files().iter().any(is_found), "the search above could find nothing");
}

#[test]
fn a_wrong_key_is_refused_and_nothing_is_touched() {
    let mut house = House::new(&sealed("aes", "k3y-0f-this-5cene"), "");
    fill(&house);
    let before = house.files();
    for block in [sealed("aes", "an0ther-k3y"), sealed("chachapoly", "an0ther-k3y"), String::new()] {
        house.configure(&block, "");
        let refusal = house.refusal();
        assert!(refusal.contains("JetStream can not open its store"), "{refusal}");
        assert!(
            !refusal.contains("k3y-0f-this-5cene") && !refusal.contains("an0ther-k3y"),
            "the key is shown: {refusal}"
        );
        assert!(house.files() == before, "a refused start changed the store");
    }
    house.configure(&sealed("aes", "k3y-0f-this-5cene"), "");
    assert_readable(&house);
}

#[test]
fn a_new_key_opens_what_the_one_before_sealed() {
    let mut house = House::new(&sealed("aes", "k3y-0f-this-5cene"), "");
    fill(&house);
    house.configure("cipher: chachapoly, key: \"the second key\", prev_encryption_key: \"k3y-0f-this-5cene\"", "");
    assert_readable(&house);
    assert_no_plaintext(&house);
}

#[test]
fn a_reload_changes_the_key_and_then_the_old_one_is_not_needed() {
    let mut house = House::new(&sealed("aes", "k3y-0f-this-5cene"), "");
    fill(&house);
    let mut server = house.start();
    house.configure(&sealed("aes", "the second key"), "");
    house.try_reload(&mut server);
    let line = server.logged("JetStream keeps its keys");
    assert!(!line.contains("k3y-0f") && !line.contains("second"), "the key is shown: {line}");
    house.configure("cipher: chachapoly, key: \"the second key\", prev_encryption_key: \"k3y-0f-this-5cene\"", "");
    house.reload(&mut server);
    server.logged("everything is sealed by the present key");
    let mut peer = server.peer("");
    assert_eq!(peer.call("STREAM.INFO.PLANTED-STREAM", "")["state"]["messages"], 199);
    server.stop();
    assert_no_plaintext(&house);
    house.configure(&sealed("chachapoly", "the second key"), "");
    assert_readable(&house);
}

#[test]
fn the_key_may_come_from_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "k3y-0f-this-5cene\n").unwrap();
    let mut house = House::new(&format!("cipher: aes, key: {{ file: '{}' }}", file.path().display()), "");
    fill(&house);
    assert_no_plaintext(&house);
    house.configure(&sealed("aes", "k3y-0f-this-5cene"), "");
    assert_readable(&house);
}
