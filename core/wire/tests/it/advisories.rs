//! Published advisories of NATS software, as far as the wire is their surface.

use bulwark_wire::client::{Limits, Op, Parsed, parse};
use bulwark_wire::headers::{self, Headers};
use bulwark_wire::{encode, fuzz_client};

fn refused(bytes: &[u8]) -> bool {
    parse(bytes, &Limits::default()).is_err()
}

#[test]
fn cve_2019_13126_no_size_overflows() {
    for size in [
        "2147483648",
        "4294967296",
        "9999999999999999999",
        "18446744073709551616",
        "-1",
        "-2147483648",
        "999999999",
        "+5",
    ] {
        assert!(refused(format!("PUB a {size}\r\n").as_bytes()), "{size}");
        assert!(refused(format!("PUB a r {size}\r\n").as_bytes()), "{size}");
        assert!(refused(format!("HPUB a 0 {size}\r\n").as_bytes()), "{size}");
        assert!(refused(format!("HPUB a {size} 5\r\n").as_bytes()), "{size}");
        assert!(refused(format!("HPUB a {size} {size}\r\n").as_bytes()), "{size}");
    }
    let unlimited = Limits { max_payload: usize::MAX, ..Limits::default() };
    assert!(parse(b"PUB a 18446744073709551615\r\n", &unlimited).is_err());
    assert_eq!(parse(b"PUB a 999999999\r\n", &unlimited), Ok(Parsed::Incomplete { need: 17 + 999_999_999 + 2 }));
}

#[test]
fn cve_2026_33223_no_copy_of_a_server_header_survives() {
    const KEY: &str = "Nats-Request-Info";
    for forged in [
        "Nats-Request-Info: {}\r\nNats-Request-Info: {}\r\n",
        "Nats-Request-Info: 1\r\nA: b\r\nNats-Request-Info: 2\r\nNats-Request-Info: 3\r\nNats-Request-Info: 4\r\nNats-Request-Info: 5\r\n",
        "nats-request-info: {}\r\nNATS-REQUEST-INFO: {}\r\n",
        "Nats-Request-Info: a\r\n b\r\n\tc\r\n",
        "A: Nats-Request-Info\r\nNats-Request-Info: {}\r\n",
        "A: Nats-Request-Info: x\r\nNats-Request-Info: {}\r\n",
        "Nats-Request-Info : {}\r\nNats-Request-Info\t: {}\r\n",
        "A: b\nNats-Request-Info: {}\r\n",
        " Nats-Request-Info: {}\r\n",
        "\r\nNats-Request-Info: {}\r\n",
        "Nats-Request-InfoNats-Request-Info: x\r\nNats-Request-Info: {}\r\n",
    ] {
        let block = format!("NATS/1.0\r\n{forged}\r\n");
        let mut made = Vec::new();
        headers::set(&mut made, block.as_bytes(), KEY, b"ours").expect("a key");
        // As the most lenient reader would see it.
        let text = String::from_utf8(made.clone()).expect("text");
        let names = text.split('\n').filter_map(|line| line.split_once(':').map(|(name, _)| name.trim()));
        assert_eq!(names.filter(|name| name.eq_ignore_ascii_case(KEY)).count(), 1, "{text:?}");
        assert_eq!(Headers::new(&made).get(KEY), Some(&b"ours"[..]));
    }
}

#[test]
fn ghsa_qrcv_no_control_character_gets_from_one_line_into_another() {
    for byte in (0..b' ').chain([0x7f]).filter(|byte| !matches!(byte, b'\n' | b'\t')) {
        let odd = char::from(byte);
        for line in [
            format!("PUB a{odd}b 1\r\nx\r\n"),
            format!("PUB a r{odd}s 1\r\nx\r\n"),
            format!("PUB a{odd} r 1\r\nx\r\n"),
            format!("HPUB a{odd}b 0 1\r\nx\r\n"),
            format!("HPUB a r{odd}s 0 1\r\nx\r\n"),
        ] {
            assert!(refused(line.as_bytes()), "{line:?}");
        }
        // A subscription's subject is judged where filters are; it cannot be written, whatever is decided there.
        let line = format!("SUB a{odd}b 1\r\n");
        if let Ok(Parsed::Op { op, .. }) = parse(line.as_bytes(), &Limits::default()) {
            let Op::Subscribe { subject, .. } = op else { panic!("{op:?}") };
            assert!(byte == b'\r' || encode::sub(&mut Vec::new(), subject, None, b"1").is_err());
        }
        if byte != b'\r' {
            assert!(refused(format!("SUB a 1{odd}\r\n").as_bytes()));
            assert!(refused(format!("UNSUB 1{odd}\r\n").as_bytes()));
        }
    }
}

#[test]
fn probe_a_line_without_end_does_not_grow_for_ever() {
    for verb in ["SUB ", "PUB ", "HPUB ", "UNSUB ", "CONNECT ", "INFO ", "-ERR "] {
        let mut bytes = verb.as_bytes().to_vec();
        let accepted = std::iter::repeat_n(b'a', 100_000)
            .take_while(|&byte| {
                bytes.push(byte);
                !refused(&bytes)
            })
            .count();
        assert!(accepted <= 4096, "{verb}: {accepted}");
    }
}

#[test]
fn ghsa_38x3_no_operation_between_servers_parses_as_a_clients() {
    for verb in ["RS+", "RS-", "RMSG", "LS+", "LS-", "LMSG", "A+", "A-", "HMSG", "MSG"] {
        let line = format!("{verb} a b 1\r\n");
        assert!(refused(line.as_bytes()), "{line:?}");
        fuzz_client(line.as_bytes());
    }
}

#[test]
fn a_control_byte_in_a_payload_is_nobodys_business() {
    let bytes = b"PUB a 8\r\n\r\nPUB x\n\r\n";
    let Ok(Parsed::Op { op: Op::Publish(publish), consumed }) = parse(bytes, &Limits::default()) else { panic!() };
    assert_eq!((&bytes[publish.body], consumed), (&b"\r\nPUB x\n"[..], bytes.len()));
}
