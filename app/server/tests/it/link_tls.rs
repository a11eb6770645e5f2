//! Encrypted links: each kind by its own block, and refused where the other end is not who it should be.

use std::path::Path;

use tempfile::TempDir;
use testkit::certificates::{Authority, Identity, Subject};
use testkit::responder::{Responder, Word};

use crate::fleet::{Make, Server, mixtures, settle, until_linked};

const ACCOUNTS: &str = "accounts { A { users: [{user: a, password: a}] } }\nocsp_cache: false";

/// Certificates of one authority, and of a stranger's.
pub(crate) struct Papers {
    folder: TempDir,
    pub(crate) ours: Authority,
    /// The key of `server`, as pins name it.
    pub(crate) pin: String,
}

impl Papers {
    pub(crate) fn new() -> Self {
        let ours = Authority::new("Ours");
        let server = issue(&ours);
        let pin = tls::PeerFacts::read(&server.der).unwrap().spki_sha256.to_string();
        let papers = Self { folder: tempfile::tempdir().unwrap(), ours, pin };
        papers.write("ca.pem", &papers.ours.pem);
        papers.identity("server", &server);
        let stranger = Authority::new("Stranger");
        papers.write("stranger-ca.pem", &stranger.pem);
        papers.identity("stranger", &issue(&stranger));
        papers
    }

    pub(crate) fn identity(&self, name: &str, identity: &Identity) {
        self.write(&format!("{name}.pem"), &identity.chain_pem);
        self.write(&format!("{name}.key"), &identity.key_pem);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> String {
        Path::display(&self.folder.path().join(name)).to_string()
    }

    /// A block with this certificate, that trusts this authority.
    pub(crate) fn block(&self, own: &str, trusts: &str, more: &str) -> String {
        let (cert, key, ca) = (self.path(&format!("{own}.pem")), self.path(&format!("{own}.key")), self.path(trusts));
        format!("tls {{ cert_file: '{cert}', key_file: '{key}', ca_file: '{ca}', timeout: 5 {more} }}")
    }
}

fn issue(authority: &Authority) -> Identity {
    authority.issue(Subject::named("server").dns("localhost").address([127, 0, 0, 1].into()))
}

fn hub(make: Make, tls: &str) -> Server {
    let block = format!("listen: \"127.0.0.1:-1\", authorization {{ user: l, password: l, account: A }}, {tls}");
    Server::start(make, &format!("server_name: HUB\n{ACCOUNTS}\nleafnodes {{ {block} }}"))
}

fn spoke(make: Make, hub: &Server, tls: &str) -> Server {
    let url = hub.leaf_url("l:l").replace("nats://", "tls://");
    Server::start(
        make,
        &format!("server_name: SPOKE\nocsp_cache: false\nleafnodes {{ remotes: [{{ url: \"{url}\", {tls} }}] }}"),
    )
}

fn cluster(make: Make, name: &str, tls: &str, routes: &[&Server]) -> Server {
    let urls: Vec<String> = routes.iter().map(|server| format!("\"{}\"", server.route_url(""))).collect();
    let block = format!("name: C, listen: \"127.0.0.1:-1\", {tls}, routes: [{}]", urls.join(", "));
    Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\ncluster {{ {block} }}"))
}

fn talk(one: &Server, other: &Server, here: &str) {
    let (mut near, mut far) = (one.log_in("a"), other.connect_as(here));
    near.subscribe("near", "1");
    far.subscribe("far", "1");
    until_linked(&mut far, &mut near, "near");
    until_linked(&mut near, &mut far, "far");
    let large = "0123456789abcdef".repeat(30_000);
    far.publish("near", &large);
    assert!(near.next().payload == large);
    near.publish("far", &large);
    assert!(far.next().payload == large);
}

#[test]
fn a_leaf_connection_is_encrypted_after_the_first_info_or_before_it() {
    let papers = Papers::new();
    for first in ["", ", handshake_first: true"] {
        for [one, other] in mixtures() {
            let hub = hub(one, &papers.block("server", "ca.pem", first));
            let spoke = spoke(other, &hub, &papers.block("server", "ca.pem", first));
            talk(&hub, &spoke, "");
        }
    }
}

#[test]
fn a_leaf_connection_is_encrypted_and_compressed_at_once() {
    let papers = Papers::new();
    for [one, other] in mixtures() {
        let tls = papers.block("server", "ca.pem", "");
        let hub = hub(one, &format!("{tls}, compression: s2_better"));
        let spoke = spoke(other, &hub, &format!("{tls}, compression: s2_fast"));
        talk(&hub, &spoke, "");
    }
}

#[test]
fn a_spoke_does_not_talk_to_a_hub_of_another_authority() {
    let papers = Papers::new();
    for [one, other] in mixtures() {
        let hub = hub(one, &papers.block("server", "ca.pem", ""));
        let mut spoke = spoke(other, &hub, &papers.block("server", "stranger-ca.pem", ""));
        spoke.logged("TLS");
        assert!(!spoke.log().contains("Leafnode connection created for account") || other == Make::Reference);
    }
}

#[test]
fn a_hub_that_verifies_takes_no_spoke_of_another_authority() {
    let papers = Papers::new();
    for [one, other] in mixtures() {
        let mut hub = hub(one, &papers.block("server", "ca.pem", ", verify: true"));
        let _spoke = spoke(other, &hub, &papers.block("stranger", "ca.pem", ""));
        hub.logged("TLS");
        assert!(!hub.log().contains("created for account: A"), "{one:?} {other:?}");
    }
}

#[test]
fn a_hub_with_pins_takes_only_the_pinned_key() {
    let papers = Papers::new();
    for [one, other] in mixtures() {
        let wrong = format!(", verify: true, pinned_certs: [\"{}\"]", "ab".repeat(32));
        let mut hub = hub(one, &papers.block("server", "ca.pem", &wrong));
        let _spoke = spoke(other, &hub, &papers.block("server", "ca.pem", ""));
        hub.logged("TLS");
        assert!(!hub.log().contains("created for account: A"), "{one:?} {other:?}");
    }
}

#[test]
fn routes_are_encrypted_and_each_end_verifies_the_other() {
    let papers = Papers::new();
    for [one, other] in mixtures() {
        let tls = papers.block("server", "ca.pem", "");
        let first = cluster(one, "ONE", &tls, &[]);
        let second = cluster(other, "TWO", &tls, &[&first]);
        talk(&first, &second, "a");
    }
}

#[test]
fn a_server_of_another_authority_is_no_part_of_the_cluster() {
    let papers = Papers::new();
    for [one, other] in mixtures() {
        let mut first = cluster(one, "ONE", &papers.block("server", "ca.pem", ""), &[]);
        let second = cluster(other, "TWO", &papers.block("stranger", "ca.pem", ""), &[&first]);
        first.logged("TLS");
        drop(second);
        let plain = cluster(other, "THREE", "pool_size: 1", &[&first]);
        first.logged("TLS");
        drop(plain);
        assert!(!first.log().contains("Route connection created to server"), "{one:?} {other:?}");
    }
}

fn super_cluster(make: Make, name: &str, tls: &str, remotes: &str) -> Server {
    let block = format!("name: {name}, listen: \"127.0.0.1:-1\", {tls} {remotes}");
    Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\ngateway {{ {block} }}"))
}

fn remote(name: &str, server: &Server, tls: &str) -> String {
    let url = server.gateway_url("").replace("nats://", "tls://");
    format!(", gateways: [{{ name: {name}, url: \"{url}\", {tls} }}]")
}

#[test]
fn gateways_are_encrypted_by_the_block_of_the_server_or_of_the_remote() {
    let papers = Papers::new();
    for [one, other] in mixtures() {
        let tls = papers.block("server", "ca.pem", "");
        let first = super_cluster(one, "C1", &tls, "");
        let second = super_cluster(other, "C2", &tls, &remote("C1", &first, ""));
        talk(&first, &second, "a");
        let (mut asks, mut answers) = (second.log_in("a"), first.log_in("a"));
        answers.subscribe("service", "1");
        until_linked(&mut asks, &mut answers, "service");
        asks.send("SUB inbox 7\r\n");
        asks.ask("service", "inbox", "?");
        let reply = answers.next().reply.unwrap();
        answers.publish(&reply, "!");
        assert_eq!(asks.next().payload, "!", "{one:?} {other:?}");
        drop(second);
        let stranger = papers.block("stranger", "stranger-ca.pem", "");
        let third = super_cluster(other, "C3", &stranger, &remote("C1", &first, &tls));
        let mut near = third.log_in("a");
        let mut far = first.log_in("a");
        far.subscribe("far", "1");
        // The way there has its own certificate; the way back is refused here, as it is verified by other papers.
        until_linked(&mut near, &mut far, "far");
    }
}

#[test]
fn a_cluster_of_another_authority_is_not_joined() {
    let papers = Papers::new();
    for [one, other] in mixtures() {
        let mut first = super_cluster(one, "C1", &papers.block("server", "ca.pem", ""), "");
        let second = super_cluster(other, "C2", &papers.block("stranger", "ca.pem", ""), &remote("C1", &first, ""));
        first.logged("TLS");
        drop(second);
        let plain =
            super_cluster(other, "C3", "connect_retries: 1", &remote("C1", &first, "").replace("tls:", "nats:"));
        first.logged("TLS");
        drop(plain);
        assert!(!first.log().contains("Inbound gateway connection from"), "{one:?} {other:?}");
    }
}

#[test]
fn a_gateway_with_pins_takes_only_the_pinned_key() {
    let papers = Papers::new();
    for [one, other] in mixtures() {
        let pins = format!(", pinned_certs: [\"{}\"]", "ab".repeat(32));
        let mut first = super_cluster(one, "C1", &papers.block("server", "ca.pem", &pins), "");
        let _second = super_cluster(other, "C2", &papers.block("server", "ca.pem", ""), &remote("C1", &first, ""));
        first.logged("TLS");
        assert!(!first.log().contains("Inbound gateway connection from"), "{one:?} {other:?}");
    }
}

/// The reference had it the other way round: who was pinned no longer stayed.
#[test]
fn fix_ef37fd0_a_gateway_whose_pin_is_removed_ends_by_a_reload() {
    let papers = Papers::new();
    let pinned = format!("pinned_certs: [\"{}\"]", papers.pin);
    let without = format!("pinned_certs: [\"{}\"]", "ab".repeat(32));
    for other in mixtures::<2>().into_iter().filter(|mix| mix[0] == Make::Ours).map(|mix| mix[1]) {
        let mut first = super_cluster(Make::Ours, "C1", &papers.block("server", "ca.pem", &format!(", {pinned}")), "");
        let second = super_cluster(other, "C2", &papers.block("server", "ca.pem", ""), &remote("C1", &first, ""));
        talk(&first, &second, "a");
        let (mut near, mut far) = (first.log_in("a"), second.log_in("a"));
        near.subscribe("near", "1");
        until_linked(&mut far, &mut near, "near");
        first.reload(&|config| config.replace(&pinned, &without));
        first.logged("certificate not pinned");
        settle(&mut near);
        far.publish("near", "from outside");
        settle(&mut near);
        assert!(near.drain().is_empty(), "{other:?}");
        first.reload(&|config| config.replace(&without, &pinned));
        until_linked(&mut far, &mut near, "near");
    }
}

/// Certificates whose issuer answers for them.
fn papers_with_responder() -> (Papers, Responder, Identity) {
    let (papers, responder) = (Papers::new(), Responder::start());
    responder.speaks_for(&papers.ours);
    let subject = Subject::named("asked").dns("localhost").address([127, 0, 0, 1].into()).ocsp(&responder.url());
    let asked = papers.ours.issue(subject);
    papers.identity("asked", &asked);
    (papers, responder, asked)
}

const ASKS: &str = ", verify: true, ocsp_peer: true";

#[test]
fn a_hub_asks_the_issuers_of_those_who_come() {
    for (word, comes_in) in [(Word::Good, true), (Word::Revoked, false)] {
        for other in mixtures::<2>().into_iter().filter(|mix| mix[0] == Make::Ours).map(|mix| mix[1]) {
            let (papers, responder, asked) = papers_with_responder();
            responder.say(&asked, word);
            let mut hub = hub(Make::Ours, &papers.block("server", "ca.pem", ASKS));
            let spoke = spoke(other, &hub, &papers.block("asked", "ca.pem", ""));
            if comes_in {
                talk(&hub, &spoke, "");
            } else {
                let line = hub.logged("TLS handshake error: peer not OCSP valid");
                assert!(line.contains("OCSP status revoked for [CN=asked]"), "{line}");
                assert!(!hub.log().contains("created for account: A"), "{other:?}");
            }
            assert!(responder.asked() > 0);
        }
    }
}

#[test]
fn a_spoke_asks_the_issuer_of_its_hub() {
    for (word, goes_in) in [(Word::Good, true), (Word::Revoked, false)] {
        for one in mixtures::<2>().into_iter().filter(|mix| mix[1] == Make::Ours).map(|mix| mix[0]) {
            let (papers, responder, asked) = papers_with_responder();
            responder.say(&asked, word);
            let mut hub = hub(one, &papers.block("asked", "ca.pem", ""));
            let mut spoke = spoke(Make::Ours, &hub, &papers.block("server", "ca.pem", ", ocsp_peer: true"));
            if goes_in {
                talk(&hub, &spoke, "");
            } else {
                spoke.logged("TLS handshake error: peer not OCSP valid");
                assert!(!hub.log().contains("created for account: A"), "{one:?}");
            }
            assert!(responder.asked() > 0);
        }
    }
}

#[test]
fn both_ends_of_a_route_ask() {
    let (papers, responder, asked) = papers_with_responder();
    let tls = papers.block("asked", "ca.pem", ", ocsp_peer: true");
    let mut first = cluster(Make::Ours, "ONE", &tls, &[]);
    talk(&first, &cluster(Make::Ours, "TWO", &tls, &[&first]), "a");
    assert!(responder.asked() >= 2);
    responder.say(&asked, Word::Revoked);
    let mut second = cluster(Make::Ours, "THREE", &papers.block("server", "ca.pem", ", ocsp_peer: true"), &[&first]);
    second.logged("TLS handshake error: peer not OCSP valid");
    assert!(!first.log().contains("to server \"THREE\""));
}
