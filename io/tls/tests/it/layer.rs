//! Established layers: whole batches, any pieces, forged and foreign records. The other end is rustls.

use bulwark_tls::{CertificateFiles, Established, Fault, Settings, Step};
use rustls::crypto::aws_lc_rs::cipher_suite as suites;
use rustls::{Connection, SupportedCipherSuite};
use testkit::certificates::{Authority, Files, Subject};

use crate::pair::{client_tls, meet, server_tls, shake_in_pieces};
use crate::stock::{self, Stock, give_wire, seal, take_wire};

/// A server that is trusted, and a client that trusts it.
pub(crate) fn plain_files() -> (Settings, Settings, Files, Authority) {
    let authority = Authority::new("Test CA");
    let files = Files::new();
    files.write_identity("server", &authority.issue(Subject::named("server").dns("localhost")));
    files.write("ca.pem", authority.pem.as_str());
    let server =
        Settings { certificates: vec![CertificateFiles::new("server.pem", "server.key")], ..Settings::default() };
    let client = Settings { ca_file: Some("ca.pem".into()), ..Settings::default() };
    (server, client, files, authority)
}

/// One suite for each way of protecting a record.
const PROTECTIONS: [SupportedCipherSuite; 6] = [
    suites::TLS13_AES_128_GCM_SHA256,
    suites::TLS13_AES_256_GCM_SHA384,
    suites::TLS13_CHACHA20_POLY1305_SHA256,
    suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// Our server and a client of rustls.
fn with(suite: SupportedCipherSuite) -> (Established, Connection) {
    let (server, _, files, authority) = plain_files();
    let client = Stock::trusting(&[&authority.der]).version(suite.version()).suite(suite).client();
    stock::shake(server_tls(&server, &files).accept().unwrap(), client).unwrap()
}

fn numbered(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn sealed(ours: &mut Established, pieces: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    pieces.iter().for_each(|piece| ours.layer.seal(piece, &mut wire));
    ours.layer.finish(&mut wire);
    wire
}

/// The lengths of the records in some bytes, headers included.
fn records(mut wire: &[u8]) -> Vec<usize> {
    let mut lens = Vec::new();
    while let Some(&[_, _, _, high, low]) = wire.first_chunk::<5>() {
        let len = 5 + usize::from(u16::from_be_bytes([high, low]));
        lens.push(len);
        wire = &wire[len..];
    }
    lens
}

#[test]
fn both_ends_read_what_the_other_wrote_with_every_protection() {
    for suite in PROTECTIONS {
        let (mut ours, mut theirs) = with(suite);
        for len in [1, 100, 16_383, 16_384, 16_385, 200_000] {
            let message = numbered(len);
            let wire = sealed(&mut ours, &[&message]);
            assert_eq!(give_wire(&mut theirs, &wire).unwrap(), message, "{suite:?} {len}");

            let wire = seal(&mut theirs, &message);
            let mut read = Vec::new();
            assert!(!ours.layer.open(&wire, &mut read, &mut Vec::new()).unwrap());
            assert_eq!(read, message, "{suite:?} {len}");
        }
    }
}

#[test]
fn a_batch_of_small_messages_becomes_full_records() {
    let (mut ours, mut theirs) = with(suites::TLS13_AES_128_GCM_SHA256);
    let message = numbered(150);
    let pieces: Vec<&[u8]> = vec![&message; 1000];
    let wire = sealed(&mut ours, &pieces);
    // 150,000 bytes: nine records of 16 KiB and the rest.
    let lens = records(&wire);
    assert_eq!(lens.len(), 10);
    assert!(lens[..9].iter().all(|&len| len == 16_384 + 1 + 16 + 5), "{lens:?}");
    assert_eq!(give_wire(&mut theirs, &wire).unwrap(), pieces.concat());
}

#[test]
fn records_are_read_from_pieces_of_any_size() {
    for suite in PROTECTIONS {
        for piece in [1, 4, 5, 6, 17, 1000, 16_405, 20_000] {
            let (mut ours, mut theirs) = with(suite);
            let message = numbered(40_000);
            let wire = seal(&mut theirs, &message);
            let mut read = Vec::new();
            for bytes in wire.chunks(piece) {
                ours.layer.open(bytes, &mut read, &mut Vec::new()).unwrap();
            }
            assert_eq!(read, message, "{suite:?} {piece}");
            assert_eq!(ours.layer.opener.held(), 0);
        }
    }
}

#[test]
fn a_handshake_survives_pieces_of_any_size() {
    let (server, client, files, _) = plain_files();
    for piece in [1, 3, 100, 1000] {
        let server = server_tls(&server, &files).accept().unwrap();
        let client = client_tls(&client, &files).connect("localhost").unwrap();
        let mut pair = shake_in_pieces(server, client, piece).unwrap();
        assert_eq!(pair.up(b"PING\r\n"), b"PING\r\n");
        assert_eq!(pair.down(b"PONG\r\n"), b"PONG\r\n");
    }
}

/// Goes on with our end until it is done; `behind` is what rustls sends as soon as it can.
fn shake_with_data_behind(mut ours: bulwark_tls::Handshake, theirs: &mut Connection, behind: &[u8]) -> Established {
    let mut out = Vec::new();
    let mut wire = take_wire(theirs);
    let mut sent = false;
    loop {
        ours.feed(&wire).unwrap();
        let step = ours.step(&mut out).unwrap();
        give_wire(theirs, &std::mem::take(&mut out)).unwrap();
        if let Step::Done(established) = step {
            return established;
        }
        wire = take_wire(theirs);
        if !theirs.is_handshaking() && !sent {
            behind.chunks(7).for_each(|piece| wire.extend(seal(theirs, piece)));
            sent = true;
        }
    }
}

#[test]
fn what_a_client_sends_right_behind_its_handshake_is_not_lost() {
    let data = numbered(1000);
    for suite in &PROTECTIONS[..3] {
        let (server, _, files, authority) = plain_files();
        let mut theirs = Stock::trusting(&[&authority.der]).suite(*suite).version(suite.version()).client();
        let mut ours = shake_with_data_behind(server_tls(&server, &files).accept().unwrap(), &mut theirs, &data);
        let mut read = Vec::new();
        ours.layer.open(&[], &mut read, &mut Vec::new()).unwrap();
        assert_eq!(read, data, "{suite:?}");
        assert_eq!(give_wire(&mut theirs, &sealed(&mut ours, &[b"fine"])).unwrap(), b"fine");
    }
}

#[test]
fn what_a_server_sends_right_behind_its_handshake_is_not_lost() {
    let data = numbered(1000);
    for suite in PROTECTIONS {
        let authority = Authority::new("Test CA");
        let files = Files::new();
        files.write("ca.pem", authority.pem.as_str());
        let client = Settings { ca_file: Some("ca.pem".into()), ..Settings::default() };
        let identity = authority.issue(Subject::named("server").dns("localhost"));
        let mut theirs = Stock::trusting(&[]).identity(&identity).suite(suite).version(suite.version()).server();
        let ours = client_tls(&client, &files).connect("localhost").unwrap();
        let mut ours = shake_with_data_behind(ours, &mut theirs, &data);
        let (mut read, mut out) = (Vec::new(), Vec::new());
        ours.layer.open(&[], &mut read, &mut out).unwrap();
        if suite.tls13().is_some() {
            // Here our last word comes before theirs: they have not spoken yet.
            assert!(read.is_empty());
            continue;
        }
        assert_eq!(read, data, "{suite:?}");
        assert_eq!(give_wire(&mut theirs, &sealed(&mut ours, &[b"fine"])).unwrap(), b"fine");
    }
}

#[test]
fn our_client_and_the_standard_server_understand_each_other() {
    for suite in PROTECTIONS {
        for wants_certificate in [false, true] {
            let authority = Authority::new("Test CA");
            let files = Files::new();
            files.write("ca.pem", authority.pem.as_str());
            files.write_identity("client", &authority.issue(Subject::named("client")));
            let client = Settings {
                ca_file: Some("ca.pem".into()),
                certificates: vec![CertificateFiles::new("client.pem", "client.key")],
                ..Settings::default()
            };
            let roots: &[&[u8]] = if wants_certificate { &[&authority.der] } else { &[] };
            let identity = authority.issue(Subject::named("server").dns("localhost"));
            let theirs = Stock::trusting(roots).identity(&identity).suite(suite).version(suite.version()).server();
            let ours = client_tls(&client, &files).connect("localhost").unwrap();
            let (mut ours, mut theirs) = stock::shake(ours, theirs).unwrap();
            assert_eq!(give_wire(&mut theirs, &sealed(&mut ours, &[b"up"])).unwrap(), b"up");
            let mut read = Vec::new();
            ours.layer.open(&seal(&mut theirs, b"down"), &mut read, &mut Vec::new()).unwrap();
            assert_eq!(read, b"down");
            assert_eq!(theirs.peer_certificates().is_some(), wants_certificate);
            assert_eq!(ours.peer.unwrap().subject, "CN=server");
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_nothing_of_the_record_is_read() {
    for suite in PROTECTIONS {
        let len = seal(&mut with(suite).1, b"PUB a 3\r\nabc\r\n").len();
        for at in 0..len {
            let (mut ours, mut theirs) = with(suite);
            let mut wire = seal(&mut theirs, b"PUB a 3\r\nabc\r\n");
            wire[at] ^= 1 << (at % 8);
            let mut read = b"kept".to_vec();
            let outcome = ours.layer.open(&wire, &mut read, &mut Vec::new());
            // A longer length only means that the rest has not come yet.
            let waits = (at == 3 || at == 4) && ours.layer.opener.held() > 0;
            assert!(outcome.is_err() || waits, "{suite:?} {at}");
            assert_eq!(read, b"kept");
        }
    }
}

#[test]
fn records_do_not_come_twice_or_out_of_order() {
    for suite in PROTECTIONS {
        let (mut ours, mut theirs) = with(suite);
        let first = seal(&mut theirs, b"first");
        let second = seal(&mut theirs, b"second");
        let mut read = Vec::new();
        assert_eq!(ours.layer.open(&second, &mut read, &mut Vec::new()), Err(Fault::BadRecordMac));

        let (mut ours, mut theirs) = with(suite);
        let record = seal(&mut theirs, b"once");
        ours.layer.open(&record, &mut read, &mut Vec::new()).unwrap();
        assert_eq!(ours.layer.open(&record, &mut read, &mut Vec::new()), Err(Fault::BadRecordMac));
        assert_eq!(read, b"once");
        drop(first);
    }
}

#[test]
fn a_record_of_one_connection_means_nothing_on_another() {
    for suite in PROTECTIONS {
        let (mut ours, _) = with(suite);
        let (_, mut stranger) = with(suite);
        let wire = seal(&mut stranger, b"hello");
        let mut alert = Vec::new();
        assert_eq!(ours.layer.open(&wire, &mut Vec::new(), &mut alert), Err(Fault::BadRecordMac));
        assert!(!alert.is_empty());
    }
}

#[test]
fn the_peer_understands_our_alert_and_our_goodbye() {
    for suite in PROTECTIONS {
        let (mut ours, mut theirs) = with(suite);
        let mut wire = sealed(&mut ours, &[b"bye"]);
        ours.layer.close(&mut wire);
        assert_eq!(give_wire(&mut theirs, &wire).unwrap(), b"bye");
        assert_eq!(std::io::Read::read(&mut theirs.reader(), &mut [0]).unwrap(), 0, "a clean end");

        let (mut ours, mut theirs) = with(suite);
        let mut wire = Vec::new();
        ours.layer
            .open(
                &[23, 3, 3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                &mut vec![],
                &mut wire,
            )
            .unwrap_err();
        let heard = give_wire(&mut theirs, &wire).unwrap_err();
        assert_eq!(heard, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac), "{suite:?}");
    }
}

#[test]
fn nothing_is_sealed_after_the_end() {
    let (mut ours, _) = with(PROTECTIONS[0]);
    let mut wire = Vec::new();
    ours.layer.close(&mut wire);
    let len = wire.len();
    ours.layer.seal(b"more", &mut wire);
    ours.layer.finish(&mut wire);
    ours.layer.close(&mut wire);
    assert_eq!(wire.len(), len);
    assert!(ours.layer.sealer.has_ended());
}

#[test]
fn the_goodbye_of_the_peer_ends_reading() {
    for suite in PROTECTIONS {
        let (mut ours, mut theirs) = with(suite);
        let mut wire = seal(&mut theirs, b"last");
        theirs.send_close_notify();
        wire.extend(take_wire(&mut theirs));
        wire.extend_from_slice(b"garbage behind the end");
        let mut read = Vec::new();
        assert!(ours.layer.open(&wire, &mut read, &mut Vec::new()).unwrap());
        assert_eq!(read, b"last");
        assert_eq!(ours.layer.opener.held(), 0);
    }
}

#[test]
fn key_updates_of_either_side_are_followed() {
    let (mut ours, mut theirs) = with(PROTECTIONS[1]);
    for round in 0..5 {
        // rustls asks for an update of ours when it makes its own.
        theirs.refresh_traffic_keys().unwrap();
        let wire = seal(&mut theirs, b"new key");
        let (mut read, mut answer) = (Vec::new(), Vec::new());
        ours.layer.open(&wire, &mut read, &mut answer).unwrap();
        assert_eq!(read, b"new key");
        answer.extend(sealed(&mut ours, &[b"and mine"]));
        assert_eq!(give_wire(&mut theirs, &answer).unwrap(), b"and mine", "{round}");
    }
}

#[test]
fn a_peer_that_only_makes_noise_is_cut_off() {
    let (mut ours, mut theirs) = with(PROTECTIONS[0]);
    let mut outcome = Ok(false);
    for _ in 0..40 {
        theirs.refresh_traffic_keys().unwrap();
        let wire = take_wire(&mut theirs);
        outcome = ours.layer.open(&wire, &mut Vec::new(), &mut Vec::new());
        if outcome.is_err() {
            break;
        }
    }
    assert_eq!(outcome, Err(Fault::TooMuchNoise));
}

#[test]
fn headers_that_no_honest_peer_sends_are_refused_before_their_body() {
    for (header, fault) in [
        ([23, 3, 3, 0x41, 0x01], Fault::RecordOverflow),
        ([23, 3, 3, 0xff, 0xff], Fault::RecordOverflow),
        ([23, 3, 3, 0, 0], Fault::MalformedRecord),
        ([23, 2, 0, 0, 20], Fault::MalformedRecord),
        ([20, 3, 3, 0, 1], Fault::UnexpectedRecord),
        ([80, 85, 66, 32, 97], Fault::UnexpectedRecord),
    ] {
        let (mut ours, _) = with(PROTECTIONS[0]);
        assert_eq!(ours.layer.open(&header, &mut Vec::new(), &mut Vec::new()), Err(fault), "{header:?}");
    }
}

#[test]
fn an_unprotected_record_is_refused_in_an_established_connection() {
    for suite in PROTECTIONS {
        let (mut ours, _) = with(suite);
        let alert = [21, 3, 3, 0, 2, 1, 0];
        let outcome = ours.layer.open(&alert, &mut Vec::new(), &mut Vec::new());
        assert!(matches!(outcome, Err(Fault::UnexpectedRecord | Fault::BadRecordMac)), "{outcome:?}");
    }
}

#[test]
fn the_halves_work_apart() {
    let (server, client, files, _) = plain_files();
    let pair = meet(&server, &client, &files).unwrap();
    let (mut opener, _) = pair.server.layer.split();
    let (_, mut sealer) = pair.client.layer.split();
    let sealing = std::thread::spawn(move || {
        let mut wire = Vec::new();
        sealer.seal(b"from another thread", &mut wire);
        sealer.finish(&mut wire);
        wire
    });
    let mut read = Vec::new();
    opener.open(&sealing.join().unwrap(), &mut read).unwrap();
    assert_eq!(read, b"from another thread");
}
