//! What is written.

use bulwark_wire::encode::{self, Unencodable};

fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), Unencodable>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("clean words");
    String::from_utf8(out).expect("text")
}

#[test]
fn message_heads_have_their_words_in_order() {
    assert_eq!(written(|out| encode::msg_head(out, b"a.b", b"9", None, 5)), "MSG a.b 9 5\r\n");
    assert_eq!(written(|out| encode::msg_head(out, b"a.b", b"9", Some(b"r"), 0)), "MSG a.b 9 r 0\r\n");
    assert_eq!(written(|out| encode::hmsg_head(out, b"a", b"1", None, 12, 14)), "HMSG a 1 12 14\r\n");
    assert_eq!(written(|out| encode::hmsg_head(out, b"a", b"1", Some(b"r"), 12, 14)), "HMSG a 1 r 12 14\r\n");
}

#[test]
fn client_lines_have_their_words_in_order() {
    assert_eq!(written(|out| encode::sub(out, b"a.>", None, b"1")), "SUB a.> 1\r\n");
    assert_eq!(written(|out| encode::sub(out, b"a.>", Some(b"q"), b"1")), "SUB a.> q 1\r\n");
    assert_eq!(written(|out| encode::unsub(out, b"1", None)), "UNSUB 1\r\n");
    assert_eq!(written(|out| encode::unsub(out, b"1", Some(3))), "UNSUB 1 3\r\n");
    assert_eq!(written(|out| encode::publish(out, b"a", Some(b"r"), b"", b"hi")), "PUB a r 2\r\nhi\r\n");
    assert_eq!(
        written(|out| encode::publish(out, b"a", None, b"NATS/1.0\r\n\r\n", b"hi")),
        "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
    );
}

#[test]
fn nobody_answers_in_the_exact_bytes_clients_know() {
    assert_eq!(
        encode::no_responders(b"_I.2", b"1", b"nobody"),
        b"HMSG _I.2 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n"
    );
    assert_eq!(encode::no_responders(b"_I.2", b"1", b"no\rbody"), b"");
}

#[test]
fn errors_are_quoted_and_stay_on_their_line() {
    assert_eq!(encode::err("Stale Connection"), b"-ERR 'Stale Connection'\r\n");
    assert_eq!(encode::err("a\r\nPUB x 1"), b"-ERR 'a  PUB x 1'\r\n");
    let mut info = Vec::new();
    encode::info(&mut info, b"{}");
    assert_eq!(info, b"INFO {} \r\n");
}

#[test]
fn a_word_that_would_break_the_line_is_refused_and_nothing_is_written() {
    let bad: Vec<Vec<u8>> = (0..=b' ').chain([0x7f]).map(|byte| vec![b'a', byte, b'b']).chain([Vec::new()]).collect();
    for word in &bad {
        let mut out = Vec::new();
        for refused in [
            encode::msg_head(&mut out, word, b"1", None, 0),
            encode::msg_head(&mut out, b"a", word, None, 0),
            encode::msg_head(&mut out, b"a", b"1", Some(word), 0),
            encode::hmsg_head(&mut out, word, b"1", None, 0, 0),
            encode::sub(&mut out, word, None, b"1"),
            encode::sub(&mut out, b"a", Some(word), b"1"),
            encode::sub(&mut out, b"a", None, word),
            encode::unsub(&mut out, word, None),
            encode::publish(&mut out, word, None, b"", b""),
            encode::publish(&mut out, b"a", Some(word), b"", b""),
        ] {
            assert_eq!(refused, Err(Unencodable), "{word:?}");
        }
        assert_eq!(out, b"");
    }
}
