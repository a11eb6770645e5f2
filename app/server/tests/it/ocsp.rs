//! Issuers that are asked about certificates: ours, to staple their answers, and those of peers.

use std::time::Instant;

use testkit::certificates::{Identity, Subject, Years};
use testkit::responder::{Responder, Word};
use tls::Settings;

use crate::place::{PATIENCE, Place};

/// A place with a responder for its authority, and a client certificate that names it.
fn place() -> (Place, Responder, Identity) {
    let (place, responder) = (Place::new(), Responder::start());
    responder.speaks_for(&place.authority);
    let client = place.issue("client", Subject::named("client").ocsp(&responder.url()));
    (place, responder, client)
}

fn cache(place: &Place) -> String {
    format!("ocsp_cache {{ type: local, local_store: '{}/rc' }}\n", place.folder.path().display())
}

#[test]
fn a_peer_is_let_in_while_its_issuer_stands_by_it() {
    let (place, responder, client) = place();
    let config = place.tls("verify: true, ocsp_peer: true") + "ocsp_cache: false\n";
    let server = place.start(&config);
    assert!(server.admits("client"));
    responder.say(&client, Word::Revoked);
    assert!(!server.admits("client"));
    let line = server.logged("TLS handshake error: peer not OCSP valid");
    assert!(line.contains("OCSP status revoked for [CN=client]"), "{line}");
    responder.say(&client, Word::Unknown);
    assert!(!server.admits("client"));
    responder.say(&client, Word::Good);
    assert!(server.admits("client"));
}

#[test]
fn an_answer_is_remembered_and_survives_a_restart() {
    let (place, responder, client) = place();
    let config = place.tls("verify: true, ocsp_peer: true") + &cache(&place);
    let server = place.start(&config);
    for _ in 0..3 {
        assert!(server.admits("client"));
    }
    assert_eq!(responder.asked(), 1);
    server.signal("-INT");
    server.logged("Server Exiting");
    let file = std::fs::read_to_string(server.place.folder.path().join("rc/cache.json")).unwrap();
    assert!(file.contains(r#""resp_status":"good""#) && file.contains("CN=client"), "{file}");
    let server = server.again(&config);
    responder.say(&client, Word::Silence);
    assert!(server.admits("client"), "the answer of the file still holds");
    assert_eq!(responder.asked(), 1);
}

#[test]
fn a_file_that_somebody_wrote_into_is_not_believed() {
    let (place, responder, client) = place();
    responder.say(&client, Word::Revoked);
    std::fs::create_dir(place.folder.path().join("rc")).unwrap();
    let key = tls::ocsp::fingerprint(&client.der);
    for resp in ["", "AAAA", "bm8=", "not base64"] {
        place.write("rc/cache.json", &format!(r#"{{"{key}":{{"subject":"x","resp_status":"good","resp":"{resp}"}}}}"#));
    }
    let config = place.tls("verify: true, ocsp_peer: true") + &cache(&place);
    let server = place.start(&config);
    assert!(!server.admits("client"));
    assert_eq!(responder.asked(), 1);
}

#[test]
fn a_silent_responder_delays_nobody_but_those_it_speaks_for() {
    let (place, responder, _) = place();
    place.issue("other", Subject::named("other"));
    responder.say_otherwise(Word::Silence);
    let config = place.tls("verify: true, timeout: 5, ocsp_peer { verify: true, ca_timeout: 1 }");
    let server = place.start(&(config + "ocsp_cache: false\n"));
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| server.admits("client"))).collect();
        let begun = Instant::now();
        for _ in 0..5 {
            assert!(server.admits("other"));
        }
        assert!(begun.elapsed() < PATIENCE / 2);
        assert!(waiting.into_iter().all(|waiting| !waiting.join().unwrap()));
    });
    server.logged("Attempt to obtain OCSP response from CA responder for [CN=client] failed");
    let line = server.logged("peer not OCSP valid");
    assert!(line.contains("OCSP responder unreachable"), "{line}");
}

#[test]
fn the_switches_let_in_whom_they_name() {
    for (switch, word) in [
        ("allow_when_ca_unreachable: true", Word::Silence),
        ("unknown_is_good: true", Word::Unknown),
        ("warn_only: true", Word::Revoked),
        ("warn_only: true", Word::Silence),
    ] {
        let (place, responder, client) = place();
        responder.say(&client, word);
        let block = format!("verify: true, timeout: 5, ocsp_peer {{ verify: true, ca_timeout: 0.3, {switch} }}");
        let config = place.tls(&block) + "ocsp_cache: false\n";
        let server = place.start(&config);
        assert!(server.admits("client"), "{switch} {word:?}");
    }
}

/// A place whose own certificate promises a staple.
fn stapling(word: Word) -> (Place, Responder, Identity) {
    let (place, responder) = (Place::new(), Responder::start());
    responder.speaks_for(&place.authority);
    let subject = Subject::named("server").dns("localhost").ocsp(&responder.url()).must_staple();
    let server = place.issue("server", subject);
    responder.say(&server, word);
    (place, responder, server)
}

#[test]
fn a_certificate_that_promises_a_staple_is_shown_with_one() {
    let (place, responder, _) = stapling(Word::Good);
    let config = place.tls("");
    let server = place.start(&config);
    let strict = server.place.client_by(Settings { require_staple: true, ..Settings::default() });
    assert_eq!(server.secured_by(&strict).unwrap().greet(""), "PONG");
    assert_eq!(responder.asked(), 1, "asked once, shown to all");
    assert_eq!(server.secured_by(&strict).unwrap().greet(""), "PONG");
    assert_eq!(responder.asked(), 1);
}

#[test]
fn the_modes_say_whose_answer_is_wanted_and_who_stops() {
    // Without the promise only `always` asks.
    for (mode, asks) in [("auto", 0), ("must", 0), ("never", 0), ("always", 1)] {
        let (place, responder) = (Place::new(), Responder::start());
        responder.speaks_for(&place.authority);
        place.issue("server", Subject::named("server").dns("localhost").ocsp(&responder.url()));
        let config = place.tls("") + &format!("ocsp {{ mode: {mode} }}\n");
        place.start(&config).serves();
        assert_eq!(responder.asked(), asks, "{mode}");
    }
    // With it, a revoked certificate stops some modes from starting.
    for (mode, starts) in [("auto", true), ("never", true), ("must", false), ("always", false)] {
        let (place, _responder, _) = stapling(Word::Revoked);
        let config = place.tls("") + &format!("ocsp {{ mode: {mode} }}\n");
        if starts {
            place.start(&config).serves();
        } else {
            let text = place.refusal(&config);
            assert!(
                text.contains("found existing OCSP status for certificate at") && text.contains("revoked"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_staple_that_cannot_be_had_stops_the_start_and_says_so() {
    let (place, responder, _) = stapling(Word::Good);
    drop(responder);
    let config = place.tls("");
    let text = place.refusal(&config);
    assert!(text.contains("bad OCSP status update for certificate at"), "{text}");
}

#[test]
fn an_answer_is_kept_beside_the_streams_and_used_at_the_next_start() {
    let (place, responder, _) = stapling(Word::Good);
    let config = format!("store_dir: '{}/data'\n{}", place.folder.path().display(), place.tls(""));
    let server = place.start(&config);
    let folder = server.place.folder.path().join("data/ocsp");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
    let server = server.again(&config);
    server.serves();
    assert_eq!(responder.asked(), 1);
}

/// An override is asked instead of the responder that the certificate names.
#[test]
fn other_responders_can_be_named() {
    let (place, responder) = (Place::new(), Responder::start());
    responder.speaks_for(&place.authority);
    let subject = Subject::named("server").dns("localhost").ocsp("http://127.0.0.1:1").must_staple();
    place.issue("server", subject);
    let config = place.tls("") + &format!("ocsp {{ mode: always, url: '{}' }}\n", responder.url());
    place.start(&config).serves();
    assert_eq!(responder.asked(), 1);
}

const WITH_SYSTEM: &str =
    "accounts { SYS { users: [ { user: sys, password: s } ] } }\nsystem_account: SYS\nno_auth_user: sys\n";

/// Refuses a client whose issuer took its certificate back. The two advisories about it.
fn advisories(server: &crate::place::Server) -> [serde_json::Value; 2] {
    // The listener itself is one whose issuer says nothing bad.
    let mut watcher = server.secured(Some("watcher")).unwrap();
    assert_eq!(watcher.greet(r#""user":"sys","pass":"s","#), "PONG");
    watcher.send(b"SUB $SYS.SERVER.*.OCSP.PEER.> 1\r\nPING\r\n");
    assert_eq!(watcher.answer(), "PONG");
    assert!(!server.admits("client"));
    let mut next = |subject: &str| {
        let mut line = watcher.line();
        while !line.starts_with("MSG ") {
            line = watcher.line();
        }
        assert!(line.contains(subject), "{line}");
        let size = line.trim_end().rsplit(' ').next().unwrap().parse::<usize>().unwrap();
        let body = watcher.exactly(size + 2);
        serde_json::from_slice(&body[..size]).unwrap()
    };
    let link = next(".OCSP.PEER.LINK.INVALID");
    [link, next(".OCSP.PEER.CONN.REJECT")]
}

/// Names of all fields of a document, with their paths.
fn paths(value: &serde_json::Value) -> Vec<String> {
    let serde_json::Value::Object(fields) = value else { return Vec::new() };
    let below = |(name, value): (&String, &serde_json::Value)| {
        let inner = paths(value).into_iter().map(|path| format!("{name}.{path}")).collect::<Vec<_>>();
        [vec![name.clone()], inner].concat()
    };
    let mut all: Vec<String> = fields.iter().flat_map(below).collect();
    all.sort();
    all
}

#[test]
fn a_client_whose_certificate_was_taken_back_is_told_of_in_the_system_account_and_in_the_trail() {
    let (place, responder, client) = place();
    place.issue("watcher", Subject::named("watcher"));
    responder.say(&client, Word::Revoked);
    let trail = place.folder.path().join("audit.jsonl");
    let audit = format!("audit {{ file: '{}' }}\n", trail.display());
    let patient = "verify: true, timeout: 20, ocsp_peer { verify: true, ca_timeout: 10 }";
    let config = place.tls(patient) + "ocsp_cache: false\n" + WITH_SYSTEM + &audit;
    let server = place.start(&config);
    let [link, peer] = advisories(&server);
    let described = |certificate: &serde_json::Value| {
        assert_eq!(certificate["subject"], "CN=client", "{certificate}");
        assert_eq!(certificate["fingerprint"], tls::ocsp::fingerprint(&client.der).as_str());
        let raw = data_encoding::BASE64.decode(certificate["raw"].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(raw, client.der.to_vec());
    };
    described(&link["link"]);
    described(&link["peer"]);
    described(&peer["peer"]);
    assert_eq!(link["type"], "io.nats.server.advisory.v1.ocsp_peer_link_invalid");
    assert_eq!(link["reason"], "Invalid OCSP response status: revoked");
    assert_eq!(peer["type"], "io.nats.server.advisory.v1.ocsp_peer_reject");
    assert_eq!((&peer["kind"], &peer["reason"]), (&"Client".into(), &"client not OCSP valid".into()));
    server.signal("-TERM");
    server.logged("Server Exiting");
    let trail = std::fs::read_to_string(trail).unwrap();
    let row = trail.lines().find(|line| line.contains("not OCSP valid")).unwrap_or_else(|| panic!("{trail}"));
    assert!(row.contains(r#""class":"login""#) && row.contains("CN=client") && row.contains("127.0.0.1"), "{row}");
    // The same from the reference, where it is here.
    let Some(reference) = std::env::var_os("REFERENCE_NATS_SERVER") else { return };
    let theirs = advisories(&server.instead(&reference, &config.replace(&audit, "")));
    for (own, other) in [link, peer].iter().zip(&theirs) {
        // What the server says of itself is compared elsewhere.
        let of = |value: &serde_json::Value| {
            paths(value).into_iter().filter(|path| !path.starts_with("server.")).collect::<Vec<_>>()
        };
        assert_eq!(of(own), of(other));
        for field in ["type", "kind"] {
            assert_eq!(own[field], other[field]);
        }
        for field in ["subject", "issuer", "fingerprint", "raw"] {
            assert_eq!((&own["peer"][field], &own["link"][field]), (&other["peer"][field], &other["link"][field]));
        }
    }
}

#[test]
fn a_client_on_a_list_of_revoked_certificates_is_in_the_trail() {
    let place = Place::new();
    let client = place.issue("client", Subject::named("client"));
    place.write("revoked.pem", &place.authority.revocation_list(&[&client], Years::Now));
    let (list, trail) = (place.folder.path().join("revoked.pem"), place.folder.path().join("audit.jsonl"));
    let config = place.tls(&format!("verify: true, timeout: 20, crl_file: '{}'", list.display()))
        + &format!("audit {{ file: '{}' }}\n", trail.display());
    let server = place.start(&config);
    assert!(!server.admits("client"));
    server.logged("certificate is revoked");
    server.signal("-TERM");
    server.logged("Server Exiting");
    let trail = std::fs::read_to_string(trail).unwrap();
    let row = trail.lines().find(|line| line.contains("failed to verify certificate"));
    let row = row.unwrap_or_else(|| panic!("{trail}"));
    assert!(row.contains(r#""class":"login""#) && row.to_lowercase().contains("revoked"), "{row}");
}
