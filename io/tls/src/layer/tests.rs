//! What only somebody with the keys can do wrong: messages after the handshake, and keys at the end of their life.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use testkit::certificates::{Authority, Subject};

use super::*;
use crate::PinnedCerts;
use crate::handshake::{Handshake, Step};

/// Two ends that speak this version: the server first.
fn pair(version: &'static SupportedProtocolVersion) -> (Layer, Layer) {
    let authority = Authority::new("CA");
    let identity = authority.issue(Subject::named("s").dns("localhost"));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der.clone())).unwrap();
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[version]).unwrap();
    let mut server = server.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    server.enable_secret_extraction = true;
    server.send_tls13_tickets = 0;
    client.enable_secret_extraction = true;
    let name = ServerName::try_from("localhost").unwrap();
    meet(
        Handshake::server(Arc::new(server), PinnedCerts::default()).unwrap(),
        Handshake::client(Arc::new(client), name, PinnedCerts::default()).unwrap(),
    )
}

fn meet(mut server: Handshake, mut client: Handshake) -> (Layer, Layer) {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let (mut server_layer, mut client_layer) = (None, None);
    while server_layer.is_none() || client_layer.is_none() {
        if client_layer.is_none() {
            client.feed(&std::mem::take(&mut down)).unwrap();
            if let Step::Done(established) = client.step(&mut up).unwrap() {
                client_layer = Some(established.layer);
            }
        }
        if server_layer.is_none() {
            server.feed(&std::mem::take(&mut up)).unwrap();
            if let Step::Done(established) = server.step(&mut down).unwrap() {
                server_layer = Some(established.layer);
            }
        }
    }
    (server_layer.unwrap(), client_layer.unwrap())
}

const TLS12: &SupportedProtocolVersion = &rustls::version::TLS12;
const TLS13: &SupportedProtocolVersion = &rustls::version::TLS13;

/// What the server makes of messages that the client sends, each in a record of its own.
fn hears(
    version: &'static SupportedProtocolVersion,
    messages: &[(Content, &[u8])],
) -> (Result<Opened, Fault>, Vec<u8>) {
    let (mut server, mut client) = pair(version);
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    messages.iter().for_each(|(content, message)| client.sealer.seal_message(*content, message, &mut wire));
    (server.opener.open(&wire, &mut plain), plain)
}

const HANDSHAKE: Content = Content::Handshake;

#[test]
fn nobody_renegotiates() {
    let hello = [1, 0, 0, 2, 3, 3];
    assert_eq!(hears(TLS12, &[(HANDSHAKE, &hello)]).0, Err(Fault::Renegotiation));
    assert_eq!(hears(TLS12, &[(HANDSHAKE, &[0, 0, 0, 0])]).0, Err(Fault::Renegotiation));
    assert_eq!(hears(TLS13, &[(HANDSHAKE, &hello)]).0, Err(Fault::UnexpectedRecord));
}

#[test]
fn a_client_gives_no_tickets_and_a_server_may() {
    let ticket = [NEW_SESSION_TICKET, 0, 0, 3, 1, 2, 3];
    assert_eq!(hears(TLS13, &[(HANDSHAKE, &ticket)]).0, Err(Fault::UnexpectedRecord));
    let (mut server, mut client) = pair(TLS13);
    let mut wire = Vec::new();
    server.sealer.seal_message(HANDSHAKE, &ticket, &mut wire);
    server.sealer.seal_message(HANDSHAKE, &[&ticket[..], &ticket].concat(), &mut wire);
    assert_eq!(client.opener.open(&wire, &mut Vec::new()), Ok(Opened::default()));
    assert_eq!(client.opener.held(), 0);
}

#[test]
fn a_message_may_span_records_and_nothing_may_come_between() {
    let (head, tail) = ([KEY_UPDATE, 0, 0], [1, 0]);
    let (outcome, _) = hears(TLS13, &[(HANDSHAKE, &head), (HANDSHAKE, &tail)]);
    assert_eq!(outcome, Ok(Opened::default()));
    let (outcome, plain) = hears(TLS13, &[(HANDSHAKE, &head), (Content::Data, b"between"), (HANDSHAKE, &tail)]);
    assert_eq!(outcome, Err(Fault::UnexpectedRecord));
    assert!(plain.is_empty());
}

#[test]
fn a_key_update_is_the_last_of_its_record() {
    let update = [KEY_UPDATE, 0, 0, 1, 0];
    let (outcome, _) = hears(TLS13, &[(HANDSHAKE, &[&update[..], &update].concat())]);
    assert_eq!(outcome, Err(Fault::UnexpectedRecord));
    assert_eq!(hears(TLS13, &[(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 2])]).0, Err(Fault::MalformedRecord));
    assert_eq!(hears(TLS13, &[(HANDSHAKE, &[KEY_UPDATE, 0, 0, 0])]).0, Err(Fault::MalformedRecord));
}

#[test]
fn a_late_message_has_a_bound() {
    assert_eq!(hears(TLS13, &[(HANDSHAKE, &[NEW_SESSION_TICKET, 0xff, 0, 0])]).0, Err(Fault::RecordOverflow));
}

#[test]
fn alerts_end_the_connection_or_count_as_noise() {
    assert_eq!(hears(TLS13, &[(Content::Alert, &[2, 40])]).0, Err(Fault::PeerAlert(40)));
    assert_eq!(hears(TLS13, &[(Content::Alert, &[1, 40])]).0, Err(Fault::PeerAlert(40)));
    assert_eq!(hears(TLS12, &[(Content::Alert, &[2, 80])]).0, Err(Fault::PeerAlert(80)));
    assert_eq!(hears(TLS12, &[(Content::Alert, &[1, 90])]).0, Ok(Opened::default()));
    assert_eq!(hears(TLS13, &[(Content::Alert, &[1])]).0, Err(Fault::MalformedRecord));
    let many: Vec<(Content, &[u8])> = vec![(Content::Alert, &[1, 90]); 40];
    assert_eq!(hears(TLS12, &many).0, Err(Fault::TooMuchNoise));
}

#[test]
fn records_without_data_are_tolerated_up_to_a_bound() {
    for version in [TLS12, TLS13] {
        let few: Vec<(Content, &[u8])> = vec![(Content::Data, b""); 20];
        assert_eq!(hears(version, &few).0, Ok(Opened::default()));
        let many: Vec<(Content, &[u8])> = vec![(Content::Data, b""); 40];
        assert_eq!(hears(version, &many).0, Err(Fault::TooMuchNoise));
    }
}

#[test]
fn a_worn_key_is_replaced_in_the_new_version() {
    let (mut server, mut client) = pair(TLS13);
    let mut read = Vec::new();
    for round in 0..3_u8 {
        server.sealer.protection.wear_out();
        let mut wire = Vec::new();
        server.seal(&[round], &mut wire);
        server.finish(&mut wire);
        assert!(!server.sealer.has_ended());
        server.seal(&[round], &mut wire);
        server.finish(&mut wire);
        assert_eq!(client.opener.open(&wire, &mut read), Ok(Opened::default()));
    }
    assert_eq!(read, [0, 0, 1, 1, 2, 2]);
}

#[test]
fn a_worn_key_ends_the_connection_in_the_old_version() {
    let (mut server, mut client) = pair(TLS12);
    server.sealer.protection.wear_out();
    let (mut wire, mut read) = (Vec::new(), Vec::new());
    server.seal(b"last", &mut wire);
    server.finish(&mut wire);
    assert!(server.sealer.has_ended());
    assert!(client.opener.open(&wire, &mut read).unwrap().closed);
    assert_eq!(read, b"last");
}

#[test]
fn another_buffer_in_the_middle_of_a_record_leaks_nothing() {
    let (mut server, _) = pair(TLS13);
    let mut first = Vec::new();
    server.seal(b"secret", &mut first);
    let mut second = Vec::new();
    server.seal(b"more", &mut second);
    server.finish(&mut second);
    assert!(server.sealer.has_ended());
    assert!(second.is_empty());
}
