//! Certificates, roots and revocation lists that change while clients are connected.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use testkit::certificates::{Authority, Identity, Subject, Years};

use crate::place::{Peer, Place, Server};

/// Rounds of renewal here; `cargo xtask prove tls` sets more.
fn rounds() -> usize {
    std::env::var("BULWARK_ROTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// A place whose server asks for certificates of `clients.pem` and has a revocation list.
fn place(clients: &Authority) -> Place {
    let place = Place::new();
    admit(&place, clients, &[]);
    place
}

fn admit(place: &Place, clients: &Authority, revoked: &[&Identity]) {
    place.write("clients.pem", &clients.pem);
    place.write("clients.crl", &clients.revocation_list(revoked, Years::Now));
}

fn config(place: &Place, more: &str) -> String {
    let folder = place.folder.path().display();
    format!(
        "tls {{ cert_file: '{folder}/server.pem', key_file: '{folder}/server.key', ca_file: '{folder}/clients.pem'
        crl_file: '{folder}/clients.crl', verify: true\n{more} }}\n"
    )
}

fn give(place: &Place, name: &str, identity: &Identity) {
    place.write(&format!("{name}.pem"), &identity.chain_pem);
    place.write(&format!("{name}.key"), &identity.key_pem);
}

fn connected(server: &Server, name: &str) -> Peer {
    let mut peer = server.secured(Some(name)).unwrap();
    assert_eq!(peer.greet(""), "PONG", "{name}");
    peer
}

fn is_served(peer: &mut Peer) -> bool {
    peer.send(b"PING\r\n");
    loop {
        if peer.read.ends_with(b"PONG\r\n") {
            peer.read.clear();
            return true;
        }
        if peer.more().is_none() {
            return false;
        }
    }
}

#[test]
fn a_new_list_closes_whom_it_revokes_and_nobody_else() {
    let clients = Authority::new("Client CA");
    let place = place(&clients);
    let (good, bad) = (clients.issue(Subject::named("good")), clients.issue(Subject::named("bad")));
    give(&place, "good", &good);
    give(&place, "bad", &bad);
    let config = config(&place, "");
    let server = place.start(&config);
    let (mut kept, closed) = (connected(&server, "good"), connected(&server, "bad"));
    admit(&server.place, &clients, &[&bad]);
    server.reload_says("closed by reload: tls: failed to verify certificate: x509: certificate is revoked");
    closed.ends();
    assert!(is_served(&mut kept));
    assert!(server.admits("good") && !server.admits("bad"));
}

#[test]
fn other_roots_and_other_pins_close_those_they_do_not_know() {
    let clients = Authority::new("Client CA");
    let place = place(&clients);
    let (one, two) = (clients.issue(Subject::named("one")), clients.issue(Subject::named("two")));
    give(&place, "one", &one);
    give(&place, "two", &two);
    let server = {
        let config = config(&place, "");
        place.start(&config)
    };
    let (mut kept, closed) = (connected(&server, "one"), connected(&server, "two"));
    let pin = tls::PeerFacts::read(&one.der).unwrap().spki_sha256;
    server.place.write("server.conf", &config(&server.place, &format!("pinned_certs: ['{pin}']")));
    server.reload_says("TLS connection closed by reload: certificate not pinned");
    closed.ends();
    assert!(is_served(&mut kept));
    let others = Authority::new("Other CA");
    admit(&server.place, &others, &[]);
    server.reload_says("TLS connection closed by reload: tls: failed to verify certificate");
    kept.ends();
}

#[test]
fn files_that_change_are_used_without_being_told() {
    let clients = Authority::new("Client CA");
    let place = place(&clients);
    let (good, bad) = (clients.issue(Subject::named("good")), clients.issue(Subject::named("bad")));
    give(&place, "good", &good);
    give(&place, "bad", &bad);
    let config = config(&place, "");
    let server = place.start(&config);
    let (mut kept, closed) = (connected(&server, "good"), connected(&server, "bad"));
    // The certificate without its key: nothing changes, and it is said.
    let renewed = server.place.authority.issue(Subject::named("renewed").dns("localhost"));
    server.place.write("server.pem", &renewed.chain_pem);
    server.logged("Certificate files have changed and are not used, the old ones stay");
    assert!(server.admits("good"));
    server.place.write("server.key", &renewed.key_pem);
    server.logged("Certificate files have changed: the new ones are in use");
    server.logged("(CN=renewed) holds for");
    admit(&server.place, &clients, &[&bad]);
    server.logged("Certificate files have changed: the new ones are in use");
    closed.ends();
    assert!(is_served(&mut kept), "who is still valid is not disturbed");
    assert!(server.admits("good") && !server.admits("bad"));
}

#[test]
fn a_broken_file_fails_the_reload_and_changes_nothing() {
    let clients = Authority::new("Client CA");
    let place = place(&clients);
    give(&place, "good", &clients.issue(Subject::named("good")));
    let config = config(&place, "");
    let server = place.start(&config);
    let mut kept = connected(&server, "good");
    for (file, text) in [("clients.pem", "nothing"), ("clients.crl", "-----BEGIN X509 CRL-----\n"), ("server.key", "")]
    {
        let before = std::fs::read_to_string(server.place.folder.path().join(file)).unwrap();
        server.place.write(file, text);
        server.signal("-HUP");
        server.logged("Failed to reload server configuration");
        assert!(server.admits("good") && is_served(&mut kept), "{file}");
        server.place.write(file, &before);
    }
}

/// While clients come and go without a pause, certificate, roots and list are replaced again and again.
#[test]
fn renewal_under_load_refuses_no_valid_client_and_admits_no_revoked_one() {
    let clients = Authority::new("Client CA");
    let place = place(&clients);
    give(&place, "good", &clients.issue(Subject::named("good")));
    let config = config(&place, "");
    let server = place.start(&config);
    let mut kept = connected(&server, "good");
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert!(server.admits("good"), "a valid client was refused");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..rounds() {
            let bad = clients.issue(Subject::named("bad"));
            give(&server.place, "bad", &bad);
            let victim = connected(&server, "bad");
            let renewed = server.place.authority.issue(Subject::named(&format!("round {round}")).dns("localhost"));
            give(&server.place, "server", &renewed);
            admit(&server.place, &clients, &[&bad]);
            server.reload();
            assert!(!server.admits("bad"), "a revoked client was admitted in round {round}");
            victim.ends();
            let so_far = served.load(Ordering::Relaxed);
            while served.load(Ordering::Relaxed) < so_far + 2 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(is_served(&mut kept));
}

#[test]
fn how_long_certificates_hold_is_said_at_the_start() {
    let clients = Authority::new("Client CA");
    let place = place(&clients);
    let config = config(&place, "");
    let folder = place.folder.path().display().to_string();
    let (_child, log) = place.launch(&config);
    let text: Vec<String> = log.iter().take_while(|line| !line.contains("Server is ready")).collect();
    let text = text.join("\n");
    assert!(text.contains(&format!("Certificate '{folder}/server.pem' (CN=server) holds for")), "{text}");
    assert!(text.contains(&format!("Revocation list '{folder}/clients.crl' of CN=Client CA (0 revoked) holds for")));
}
