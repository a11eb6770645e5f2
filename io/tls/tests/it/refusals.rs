//! Peers that must not get in, each for one reason, and the blocks that must not start.

use bulwark_tls::{BuildError, CertificateFiles, ClientTls, Curve, Fault, PinnedCerts, ServerTls, Settings, SpkiHash};
use rustls::crypto::aws_lc_rs::{cipher_suite as suites, kx_group as groups};
use testkit::certificates::{Authority, Files, Identity, Key, Subject, Usage, Years};

use crate::layer::plain_files;
use crate::pair::{meet, meet_at, server_tls};
use crate::stock::{self, Stock};

/// A server that wants certificates of "Client CA", and files to hold one client.
struct Gate {
    server: Settings,
    client: Settings,
    files: Files,
    clients: Authority,
}

impl Gate {
    fn new() -> Self {
        let (server, client, files, _) = plain_files();
        let clients = Authority::new("Client CA");
        files.write("clients.pem", clients.pem.as_str());
        let server = Settings { verify: true, ca_file: Some("clients.pem".into()), ..server };
        Self { server, client, files, clients }
    }

    fn showing(mut self, identity: &Identity) -> Self {
        self.files.write_identity("client", identity);
        self.client.certificates = vec![CertificateFiles::new("client.pem", "client.key")];
        self
    }

    fn refusal(&self) -> Fault {
        meet(&self.server, &self.client, &self.files)
            .err()
            .and_then(|failed| failed.server)
            .expect("the server refuses")
    }

    fn admits(&self) -> bool {
        meet(&self.server, &self.client, &self.files).is_ok()
    }
}

fn good_client() -> Subject {
    Subject::named("client").dns("client.local").usage(Usage::Client)
}

const UNKNOWN: &str = "x509: certificate signed by unknown authority";
const TIME: &str = "x509: certificate has expired or is not yet valid";
const USAGE: &str = "x509: certificate specifies an incompatible key usage";

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_asked_for() {
    assert_eq!(Gate::new().refusal(), Fault::NoCertificate);
}

#[test]
fn a_client_is_admitted_with_a_chain_to_the_configured_root() {
    let gate = Gate::new();
    let direct = gate.clients.issue(good_client());
    assert!(gate.showing(&direct).admits());

    let gate = Gate::new();
    let below = gate.clients.intermediate("Below").issue(good_client());
    assert!(gate.showing(&below).admits());
}

#[test]
fn a_client_certificate_is_refused_for_each_thing_that_is_wrong_with_it() {
    for (subject, why) in [
        (good_client().years(Years::Past), TIME),
        (good_client().years(Years::Future), TIME),
        (good_client().usage(Usage::Server), USAGE),
        (good_client().usage(Usage::OcspSigning), USAGE),
        (good_client().may_not_sign(), USAGE),
    ] {
        let gate = Gate::new();
        let identity = gate.clients.issue(subject);
        assert_eq!(gate.showing(&identity).refusal(), Fault::CertificateRefused(why.into()));
    }
}

#[test]
fn a_certificate_of_somebody_else_with_the_same_name_is_refused() {
    let impostor = Authority::new("Client CA");
    let refusal = Gate::new().showing(&impostor.issue(good_client())).refusal();
    assert!(matches!(refusal, Fault::CertificateRefused(_)), "{refusal}");
    let stranger = Authority::new("Stranger CA");
    let refusal = Gate::new().showing(&stranger.issue(good_client())).refusal();
    assert_eq!(refusal, Fault::CertificateRefused(UNKNOWN.into()));
}

#[test]
fn a_missing_intermediate_is_refused() {
    let gate = Gate::new();
    let mut identity = gate.clients.intermediate("Below").issue(good_client());
    let end = identity.chain_pem.find("-----END CERTIFICATE-----").unwrap() + 26;
    identity.chain_pem.truncate(end);
    assert_eq!(gate.showing(&identity).refusal(), Fault::CertificateRefused(UNKNOWN.into()));
}

#[test]
fn an_end_entity_cannot_issue() {
    let gate = Gate::new();
    // A certificate of the root signs another one, although it is no authority.
    let identity = gate.clients.issue(good_client());
    let key = rcgen_key(&identity);
    let forged = forge(&identity, key);
    let refusal = gate.showing(&forged).refusal();
    assert!(matches!(refusal, Fault::CertificateRefused(_)), "{refusal}");
}

fn rcgen_key(identity: &Identity) -> rcgen::KeyPair {
    rcgen::KeyPair::from_pem(&identity.key_pem).unwrap()
}

fn forge(parent: &Identity, key: rcgen::KeyPair) -> Identity {
    let der = rustls::pki_types::CertificateDer::from(parent.der.clone());
    let issuer = rcgen::Issuer::from_ca_cert_der(&der, key).unwrap();
    let own = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["client.local".to_owned()]).unwrap();
    let certificate = params.signed_by(&own, &issuer).unwrap();
    Identity {
        chain_pem: certificate.pem() + &parent.chain_pem,
        key_pem: own.serialize_pem(),
        der: certificate.der().to_vec(),
        key_der: own.serialize_der(),
        serial: 0,
    }
}

#[test]
fn a_self_signed_client_is_admitted_if_it_is_itself_the_root_and_only_then() {
    for subject in [good_client(), good_client().authority(), good_client().usage(Usage::Any)] {
        let identity = subject.self_signed();
        let gate = Gate::new().showing(&identity);
        assert!(matches!(gate.refusal(), Fault::CertificateRefused(_)));
        gate.files.write("clients.pem", identity.chain_pem.as_str());
        assert!(gate.admits());
    }
}

#[test]
fn a_root_shown_by_itself_must_still_be_in_time_and_made_for_it() {
    for (subject, why) in [
        (good_client().years(Years::Past), TIME),
        (good_client().years(Years::Future), TIME),
        (good_client().usage(Usage::Server), USAGE),
        (good_client().may_not_sign(), USAGE),
    ] {
        let identity = subject.self_signed();
        let gate = Gate::new().showing(&identity);
        gate.files.write("clients.pem", identity.chain_pem.as_str());
        assert_eq!(gate.refusal(), Fault::CertificateRefused(why.into()));
    }
}

#[test]
fn the_key_of_a_root_shown_by_itself_must_be_held() {
    // The certificate is public: whoever has seen it can send it.
    let identity = good_client().self_signed();
    let other = good_client().self_signed();
    let (server, _, files, authority) = plain_files();
    files.write("clients.pem", identity.chain_pem.as_str());
    let server = Settings { verify: true, ca_file: Some("clients.pem".into()), ..server };
    let stolen = Identity { key_pem: other.key_pem, key_der: other.key_der, ..identity };
    files.write_identity("client", &stolen);
    let client =
        Settings { certificates: vec![CertificateFiles::new("client.pem", "client.key")], ..Settings::default() };
    // Our own builder does not even take such a pair.
    let error = ClientTls::build(&client, &|path| files.read(path)).unwrap_err();
    assert!(matches!(error, BuildError::KeyMismatch { .. } | BuildError::NoSystemRoots), "{error}");
    // A peer that does not care about that is found out by its signature.
    let config = Stock::trusting(&[&authority.der]).client_config();
    let mut config = rustls::ClientConfig::clone(&config);
    config.client_auth_cert_resolver = std::sync::Arc::new(rustls::sign::SingleCertAndKey::from(stolen_key(&stolen)));
    let outcome = stock::shake(server_tls(&server, &files).accept().unwrap(), Stock::client_of(config.into()));
    assert!(matches!(outcome.err(), Some(stock::Failed::Ours(Fault::CertificateRefused(_) | Fault::Handshake(_)))));
}

fn stolen_key(identity: &Identity) -> rustls::sign::CertifiedKey {
    use rustls::pki_types::pem::PemObject;
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    rustls::sign::CertifiedKey::new(vec![identity.der.clone().into()], key)
}

#[test]
fn a_revoked_certificate_is_refused_and_others_of_its_issuer_are_not() {
    let mut gate = Gate::new();
    let (good, bad) = (gate.clients.issue(good_client()), gate.clients.issue(good_client()));
    gate.files.write("revoked.crl", gate.clients.revocation_list(&[&bad], Years::Now));
    gate.server.crl_files = vec!["revoked.crl".into()];
    let tls = server_tls(&gate.server, &gate.files);
    let list = &tls.revocation_lists()[0];
    assert_eq!((list.issuer.as_str(), list.revoked, list.next_update), ("CN=Client CA", 1, Some(3_786_912_000)));
    let gate = gate.showing(&good);
    assert!(gate.admits());
    assert_eq!(gate.showing(&bad).refusal(), Fault::CertificateRefused("x509: certificate is revoked".into()));
}

#[test]
fn a_revoked_intermediate_takes_its_clients_with_it() {
    let mut gate = Gate::new();
    let below = gate.clients.intermediate("Below");
    let client = below.issue(good_client());
    gate.files.write("root.crl", gate.clients.revocation_list(&[], Years::Now));
    gate.server.crl_files = vec!["root.crl".into()];
    let mut gate = gate.showing(&client);
    assert!(gate.admits(), "no list of the intermediate says anything");
    gate.files.write("below.crl", below.revocation_list(&[&client], Years::Now));
    gate.server.crl_files.push("below.crl".into());
    assert!(!gate.admits());
}

#[test]
fn a_list_past_its_time_refuses_and_a_list_of_somebody_else_says_nothing() {
    let mut gate = Gate::new();
    let client = gate.clients.issue(good_client());
    gate.files.write("old.crl", gate.clients.revocation_list(&[], Years::Past));
    gate.server.crl_files = vec!["old.crl".into()];
    let gate = gate.showing(&client);
    assert!(!gate.admits());

    let mut gate = Gate::new();
    let client = gate.clients.issue(good_client());
    gate.files.write("other.crl", Authority::new("Other").revocation_list(&[&client], Years::Now));
    gate.server.crl_files = vec!["other.crl".into()];
    assert!(gate.showing(&client).admits());
}

#[test]
fn a_forged_list_of_the_issuer_refuses_everybody() {
    let mut gate = Gate::new();
    let client = gate.clients.issue(good_client());
    gate.files.write("forged.crl", Authority::new("Client CA").revocation_list(&[], Years::Now));
    gate.server.crl_files = vec!["forged.crl".into()];
    assert!(!gate.showing(&client).admits());
}

#[test]
fn pins_admit_the_pinned_key_and_nobody_else() {
    let mut gate = Gate::new();
    let (pinned, other) = (gate.clients.issue(good_client()), gate.clients.issue(good_client()));
    let key = bulwark_tls::PeerFacts::read(&pinned.der).unwrap().spki_sha256;
    gate.server.pinned_certs = PinnedCerts::from_iter([key]);
    let gate = gate.showing(&pinned);
    assert!(gate.admits());
    let gate = gate.showing(&other);
    assert_eq!(gate.refusal(), Fault::NotPinned);
    assert_eq!(Fault::NotPinned.to_string(), "certificate not pinned");
}

#[test]
fn a_pinned_block_without_verify_refuses_a_peer_without_certificate() {
    let (server, client, files, _) = plain_files();
    let server = Settings { pinned_certs: PinnedCerts::from_iter([SpkiHash([7; 32])]), ..server };
    assert_eq!(meet(&server, &client, &files).err().unwrap().server, Some(Fault::NotPinned));
}

#[test]
fn a_client_can_pin_its_server() {
    let (server, client, files, _) = plain_files();
    let wrong = Settings { pinned_certs: PinnedCerts::from_iter([SpkiHash([7; 32])]), ..client };
    assert_eq!(meet(&server, &wrong, &files).err().unwrap().client, Some(Fault::NotPinned));
}

#[test]
fn a_server_is_refused_for_each_thing_that_is_wrong_with_it() {
    let name = |subject: Subject| subject.dns("localhost");
    for subject in [
        name(Subject::named("s")).years(Years::Past),
        name(Subject::named("s")).years(Years::Future),
        name(Subject::named("s")).usage(Usage::Client),
        name(Subject::named("s")).may_not_sign(),
        Subject::named("localhost"),
        Subject::named("s").dns("other.host"),
        Subject::named("s").dns("*.localhost"),
    ] {
        let (server, client, files, _) = plain_files();
        let authority = Authority::new("Test CA");
        files.write("ca.pem", authority.pem.as_str());
        files.write_identity("server", &authority.issue(subject));
        let fault = meet(&server, &client, &files).err().and_then(|failed| failed.client).unwrap();
        assert!(matches!(fault, Fault::CertificateRefused(_)), "{fault}");
        let careless = Settings { insecure: true, ..client };
        assert!(meet(&server, &careless, &files).is_ok());
    }
}

#[test]
fn a_server_is_found_by_name_address_and_star() {
    let (server, client, files, _) = plain_files();
    let authority = Authority::new("Test CA");
    files.write("ca.pem", authority.pem.as_str());
    let subject = Subject::named("s").dns("a.example.com").dns("*.b.example.com");
    let subject = subject.address("127.0.0.1".parse().unwrap()).address("::1".parse().unwrap());
    files.write_identity("server", &authority.issue(subject));
    for host in ["a.example.com", "A.EXAMPLE.com", "x.b.example.com", "127.0.0.1", "::1", "[::1]"] {
        assert!(meet_at(host, &server, &client, &files).is_ok(), "{host}");
    }
    for host in ["b.example.com", "x.y.b.example.com", "127.0.0.2", "::2", "example.com"] {
        assert!(meet_at(host, &server, &client, &files).is_err(), "{host}");
    }
}

#[test]
fn a_self_signed_server_is_trusted_if_it_is_itself_the_root_and_its_name_fits() {
    let (server, client, files, _) = plain_files();
    let identity = Subject::named("s").dns("localhost").authority().self_signed();
    files.write_identity("server", &identity);
    files.write("ca.pem", identity.chain_pem.as_str());
    assert!(meet(&server, &client, &files).is_ok());
    assert!(meet_at("other.host", &server, &client, &files).is_err());
}

#[test]
fn versions_suites_and_curves_in_nobodys_list_do_not_connect() {
    let (server, _, files, authority) = plain_files();
    let stock = || Stock::trusting(&[&authority.der]);
    let try_with = |settings: &Settings, stock: Stock| {
        let ours = server_tls(settings, &files).accept().unwrap();
        stock::shake(ours, stock.client()).map(|_| ())
    };
    let modern = Settings { min_version: bulwark_tls::Version::Tls13, ..server.clone() };
    assert!(try_with(&modern, stock().version(&rustls::version::TLS12)).is_err());
    assert!(try_with(&modern, stock().version(&rustls::version::TLS13)).is_ok());

    // CVE-2021-32026: a restriction that got lost on the way. A suite outside the list must not be negotiable.
    let only = Settings {
        cipher_suites: bulwark_tls::CipherSuite::from_names(["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"], false)
            .unwrap(),
        ..server.clone()
    };
    let old = |suite| stock().version(&rustls::version::TLS12).suite(suite);
    assert!(try_with(&only, old(suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)).is_err());
    assert!(try_with(&only, old(suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)).is_ok());
    let only = Settings {
        cipher_suites: bulwark_tls::CipherSuite::from_names(["TLS_CHACHA20_POLY1305_SHA256"], false).unwrap(),
        ..server.clone()
    };
    assert!(try_with(&only, stock().suite(suites::TLS13_AES_128_GCM_SHA256).version(&rustls::version::TLS13)).is_err());
    assert!(try_with(&only, stock().version(&rustls::version::TLS12)).is_err());
    assert!(try_with(&only, stock()).is_ok());

    let only = Settings { curve_preferences: vec![Curve::P384], ..server };
    assert!(try_with(&only, stock().group(groups::X25519)).is_err());
    assert!(try_with(&only, stock().group(groups::SECP384R1)).is_ok());
}

#[test]
fn garbage_and_other_protocols_are_refused_at_once() {
    let (server, _, files, _) = plain_files();
    let tls = server_tls(&server, &files);
    for bytes in [&b"CONNECT {}\r\n"[..], b"GET / HTTP/1.1\r\n", b"PING\r\n", b"\x80\x2e\x01\x03\x01", b"\0\0\0\0\0"] {
        let fault = tls.accept().unwrap().feed(bytes).unwrap_err();
        assert_eq!(fault, Fault::NotTls);
        assert_eq!(fault.alert(), None, "a stranger learns nothing");
    }
    assert_eq!(Fault::NotTls.to_string(), "tls: first record does not look like a TLS handshake");
}

#[test]
fn a_handshake_cannot_make_us_hold_more_than_its_bound() {
    let (server, _, files, _) = plain_files();
    let tls = server_tls(&server, &files);
    // A hello that says it is long, and comes in full records that never complete it.
    let mut handshake = tls.accept().unwrap();
    let mut record = vec![22, 3, 1, 0x40, 0x00, 1, 0xff, 0xff, 0xff];
    record.resize(5 + 0x4000, 0);
    let mut outcome = Ok(());
    for _ in 0..8 {
        outcome = handshake.feed(&record).and_then(|()| handshake.step(&mut Vec::new()).map(|_| ()));
        if outcome.is_err() {
            break;
        }
    }
    assert!(outcome.is_err());
    // Records that are announced and never end.
    let mut handshake = tls.accept().unwrap();
    let piece = [22; 1000];
    let outcome = (0..100).try_for_each(|_| {
        handshake.feed(&piece)?;
        if handshake.has_work() { handshake.step(&mut Vec::new()).map(|_| ()) } else { Ok(()) }
    });
    assert!(outcome.is_err());
}

#[test]
fn a_cut_or_mutated_handshake_ends_in_a_fault_or_waits() {
    let (server, client, files, _) = plain_files();
    let tls = server_tls(&server, &files);
    let client = crate::pair::client_tls(&client, &files);
    let mut hello = Vec::new();
    let _ = client.connect("localhost").unwrap().step(&mut hello).unwrap();
    for at in 0..hello.len() {
        let mut handshake = tls.accept().unwrap();
        handshake.feed(&hello[..at]).unwrap();
        assert!(matches!(handshake.step(&mut Vec::new()), Ok(bulwark_tls::Step::Wait)), "{at}");

        let mut mutated = hello.clone();
        mutated[at] ^= 0x41;
        let mut handshake = tls.accept().unwrap();
        if handshake.feed(&mutated).is_ok() {
            let outcome = handshake.step(&mut Vec::new());
            assert!(!matches!(outcome, Ok(bulwark_tls::Step::Done(_))), "{at}");
        }
    }
}

#[test]
fn a_client_with_a_hello_and_then_plain_text_is_refused() {
    let (server, client, files, _) = plain_files();
    let mut hello = Vec::new();
    let mut client = crate::pair::client_tls(&client, &files).connect("localhost").unwrap();
    let _ = client.step(&mut hello).unwrap();
    let mut handshake = server_tls(&server, &files).accept().unwrap();
    hello.extend_from_slice(b"CONNECT {\"user\":\"x\"}\r\nPING\r\n");
    handshake.feed(&hello).unwrap();
    assert!(handshake.step(&mut Vec::new()).is_err());
}

#[test]
fn blocks_that_do_not_fit_together_do_not_start() {
    let files = Files::new();
    let authority = Authority::new("CA");
    let (one, two) = (authority.issue(Subject::named("one")), authority.issue(Subject::named("two").key(Key::Ed25519)));
    files.write_identity("one", &one);
    files.write_identity("two", &two);
    files.write("empty.pem", "");
    files.write("text.pem", "just some text");
    let build = |cert: &str, key: &str, ca: Option<&str>, crl: Option<&str>| {
        let settings = Settings {
            certificates: vec![CertificateFiles::new(cert, key)],
            verify: ca.is_some(),
            ca_file: ca.map(Into::into),
            crl_files: crl.into_iter().map(Into::into).collect(),
            ..Settings::default()
        };
        ServerTls::build(&settings, &|path| files.read(path)).map(|_| ()).unwrap_err().to_string()
    };
    let starts = |text: String, start: &str| assert!(text.starts_with(start), "{text}");
    starts(
        build("one.pem", "two.key", None, None),
        "error parsing X509 certificate/key pair: private key two.key does not match",
    );
    starts(build("none.pem", "one.key", None, None), "none.pem: no such file");
    starts(
        build("empty.pem", "one.key", None, None),
        "error parsing X509 certificate/key pair: empty.pem: no certificate",
    );
    starts(build("one.pem", "text.pem", None, None), "error parsing X509 certificate/key pair: text.pem: private key");
    starts(build("one.pem", "one.key", Some("text.pem"), None), "failed to parse root ca certificate");
    starts(build("one.pem", "one.key", Some("gone.pem"), None), "gone.pem: no such file");
    starts(build("one.pem", "one.key", Some("one.pem"), Some("text.pem")), "error parsing revocation list text.pem");
    let none = ServerTls::build(&Settings::default(), &|path| files.read(path)).unwrap_err();
    assert_eq!(none, BuildError::NoCertificate);
}
