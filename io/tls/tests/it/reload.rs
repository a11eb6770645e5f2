//! Certificates, roots and lists change while connections stand.

use bulwark_tls::{CertificateFiles, Fault, Live, ServerTls, Settings, Version};
use rustls::HandshakeKind;
use testkit::certificates::{Authority, Files, Subject, Years};

use crate::layer::plain_files;
use crate::pair::{client_tls, shake};
use crate::stock::{self, Stock, give_wire, seal};

#[test]
fn a_new_certificate_serves_new_connections_and_old_ones_stand() {
    let (server, client, files, authority) = plain_files();
    let live = Live::<ServerTls>::build(&server, &|path| files.read(path)).unwrap();
    let connect = || shake(live.current().accept().unwrap(), client_tls(&client, &files).connect("localhost").unwrap());
    let mut old = connect().unwrap();

    files.write_identity("server", &authority.issue(Subject::named("renewed").dns("localhost")));
    live.reload(&server, &|path| files.read(path)).unwrap();
    let new = connect().unwrap();
    assert_eq!(new.client.peer.unwrap().subject, "CN=renewed");
    assert_eq!(old.up(b"still here"), b"still here");
}

#[test]
fn a_broken_file_changes_nothing_and_says_so() {
    let (server, client, files, authority) = plain_files();
    let live = Live::<ServerTls>::build(&server, &|path| files.read(path)).unwrap();
    // The certificate is new already, the key not yet.
    let renewed = authority.issue(Subject::named("renewed").dns("localhost"));
    files.write("server.pem", renewed.chain_pem.as_str());
    let error = live.reload(&server, &|path| files.read(path)).unwrap_err();
    assert!(error.to_string().contains("does not match"), "{error}");
    let connect = || shake(live.current().accept().unwrap(), client_tls(&client, &files).connect("localhost").unwrap());
    assert_eq!(connect().unwrap().client.peer.unwrap().subject, "CN=server");

    files.write("server.key", renewed.key_pem.as_str());
    live.reload(&server, &|path| files.read(path)).unwrap();
    assert_eq!(connect().unwrap().client.peer.unwrap().subject, "CN=renewed");
}

#[test]
fn fifty_rounds_of_renewal_admit_the_valid_and_refuse_the_revoked() {
    let (server, client, files, _) = plain_files();
    let mut server = Settings { verify: true, ca_file: Some("clients.pem".into()), ..server };
    server.crl_files = vec!["clients.crl".into()];
    let mut client = client;
    let first = Authority::new("Client CA");
    files.write("clients.pem", first.pem.as_str());
    files.write("clients.crl", first.revocation_list(&[], Years::Now));
    let live = Live::<ServerTls>::build(&server, &|path| files.read(path)).unwrap();
    for round in 0..50 {
        let clients = Authority::new("Client CA");
        let (good, bad) = (clients.issue(Subject::named("good")), clients.issue(Subject::named("bad")));
        files.write("clients.pem", clients.pem.as_str());
        files.write("clients.crl", clients.revocation_list(&[&bad], Years::Now));
        live.reload(&server, &|path| files.read(path)).unwrap();
        for (identity, admitted) in [(&good, true), (&bad, false)] {
            files.write_identity("client", identity);
            client.certificates = vec![CertificateFiles::new("client.pem", "client.key")];
            let outcome =
                shake(live.current().accept().unwrap(), client_tls(&client, &files).connect("localhost").unwrap());
            assert_eq!(outcome.is_ok(), admitted, "{round}");
        }
    }
}

#[test]
fn peers_that_were_let_in_are_asked_about_again() {
    let (server, mut client, files, _) = plain_files();
    let clients = Authority::new("Client CA");
    let identity = clients.issue(Subject::named("client"));
    files.write("clients.pem", clients.pem.as_str());
    files.write_identity("client", &identity);
    client.certificates = vec![CertificateFiles::new("client.pem", "client.key")];
    let mut server = Settings { verify: true, ca_file: Some("clients.pem".into()), ..server };
    let live = Live::<ServerTls>::build(&server, &|path| files.read(path)).unwrap();
    let pair =
        shake(live.current().accept().unwrap(), client_tls(&client, &files).connect("localhost").unwrap()).unwrap();
    let chain = pair.server.peer_chain;
    const NOW: i64 = 1_800_000_000;
    let recheck = |server: &Settings, now| live.reload(server, &|path| files.read(path)).unwrap().recheck(&chain, now);
    assert_eq!(recheck(&server, NOW), Ok(()));
    assert!(matches!(recheck(&server, 4_000_000_000), Err(Fault::CertificateRefused(_))), "expired by then");

    files.write("clients.crl", clients.revocation_list(&[&identity], Years::Now));
    server.crl_files = vec!["clients.crl".into()];
    assert_eq!(recheck(&server, NOW), Err(Fault::CertificateRefused("x509: certificate is revoked".into())));
    server.crl_files.clear();

    // A fix of 2026-04: the logic was inverted, and removed pins stayed connected.
    let key = pair.server.peer.unwrap().spki_sha256;
    server.pinned_certs = [key].into_iter().collect();
    assert_eq!(recheck(&server, NOW), Ok(()));
    server.pinned_certs = [bulwark_tls::SpkiHash([1; 32])].into_iter().collect();
    assert_eq!(recheck(&server, NOW), Err(Fault::NotPinned));
    server.pinned_certs = Default::default();

    files.write("clients.pem", Authority::new("Other CA").pem);
    assert!(matches!(recheck(&server, NOW), Err(Fault::CertificateRefused(_))));
}

/// Advisory 2026-01: a session that was resumed after the roots had changed kept the old trust.
#[test]
fn advisory_2026_01_resumption_never_skips_the_check_of_a_certificate() {
    let (server, _, files, authority) = plain_files();
    let clients = Authority::new("Client CA");
    files.write("clients.pem", clients.pem.as_str());
    let asking = Settings { verify: true, ca_file: Some("clients.pem".into()), ..server.clone() };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stock = Stock::trusting(&[&authority.der]).version(version);
        // Where nobody proves who they are, a session may be resumed, within one generation of the config.
        let config = stock.client_config();
        let live = Live::<ServerTls>::build(&server, &|path| files.read(path)).unwrap();
        let kind = |live: &Live<ServerTls>, config: &std::sync::Arc<rustls::ClientConfig>| {
            let (mut ours, mut theirs) =
                stock::shake(live.current().accept().unwrap(), Stock::client_of(config.clone())).unwrap();
            let wire = seal(&mut theirs, b"PING");
            let mut read = Vec::new();
            ours.layer.open(&wire, &mut read, &mut Vec::new()).unwrap();
            assert_eq!(read, b"PING");
            let mut wire = Vec::new();
            ours.layer.seal(b"PONG", &mut wire);
            ours.layer.finish(&mut wire);
            assert_eq!(give_wire(&mut theirs, &wire).unwrap(), b"PONG");
            assert_eq!(ours.session.resumed, theirs.handshake_kind() == Some(HandshakeKind::Resumed));
            theirs.handshake_kind().unwrap()
        };
        assert_ne!(kind(&live, &config), HandshakeKind::Resumed);
        assert_eq!(kind(&live, &config), HandshakeKind::Resumed);
        live.reload(&server, &|path| files.read(path)).unwrap();
        assert_ne!(kind(&live, &config), HandshakeKind::Resumed, "tickets do not outlive a reload");

        // Where a certificate is asked for, every connection shows it.
        let config = stock.identity(&clients.issue(Subject::named("client"))).client_config();
        let live = Live::<ServerTls>::build(&asking, &|path| files.read(path)).unwrap();
        for _ in 0..3 {
            assert_ne!(kind(&live, &config), HandshakeKind::Resumed);
        }
        files.write("clients.pem", Authority::new("New CA").pem);
        live.reload(&asking, &|path| files.read(path)).unwrap();
        let outcome = stock::shake(live.current().accept().unwrap(), Stock::client_of(config));
        assert!(matches!(outcome.err(), Some(stock::Failed::Ours(Fault::CertificateRefused(_)))));
        files.write("clients.pem", clients.pem.as_str());
    }
}

#[test]
fn days_left_are_counted_whole() {
    let (server, _, files, _) = plain_files();
    let tls = crate::pair::server_tls(&server, &files);
    let info = &tls.certificates()[0];
    assert_eq!((info.subject.as_str(), info.dns_names.as_slice()), ("CN=server", &["localhost".to_owned()][..]));
    let end = info.not_after;
    assert_eq!(info.days_left(end - 1), 0);
    assert_eq!(info.days_left(end - 86_400), 1);
    assert_eq!(info.days_left(end + 1), -1);
    assert_eq!(Version::Tls13.name(), "1.3");
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let (mut server, mut client, files, authority) = plain_files();
    files.write_identity("second", &authority.issue(Subject::named("second").dns("second.local").dns("*.many.local")));
    server.certificates.push(CertificateFiles::new("second.pem", "second.key"));
    client.insecure = true;
    let seen = |host: &str, files: &Files| {
        let server = crate::pair::server_tls(&server, files).accept().unwrap();
        shake(server, client_tls(&client, files).connect(host).unwrap()).unwrap().client.peer.unwrap().subject
    };
    assert_eq!(seen("localhost", &files), "CN=server");
    assert_eq!(seen("second.local", &files), "CN=second");
    assert_eq!(seen("x.many.local", &files), "CN=second");
    assert_eq!(seen("nobody.local", &files), "CN=server");
    assert_eq!(seen("127.0.0.1", &files), "CN=server");
}
