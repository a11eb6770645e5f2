//! Chains of trust that the public libraries of JavaScript and Python made (`tests/data/foreign`), on servers of either
//! make.

use std::path::PathBuf;

use nkeys::Creds;
use serde_json::json;

use crate::fleet::{Server, mixtures};
use crate::running::{Peer, REFUSED};

struct Chain(PathBuf);

impl Chain {
    fn of(library: &str) -> Self {
        Self(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/foreign").join(library))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn config(&self) -> String {
        let key = |token: &str| jwt::AccountClaims::decode(token).unwrap().common.subject;
        let (operator, system, shop) = (self.read("operator.jwt"), self.read("system.jwt"), self.read("account.jwt"));
        format!(
            "operator: {operator}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{\n{}: {system}\n{}: {shop}\n}}\n",
            key(&system),
            key(&system),
            key(&shop)
        )
    }

    fn login(&self, server: &Server, name: &str) -> (Peer, String) {
        let creds = Creds::parse(self.read(name).as_bytes()).unwrap();
        let mut peer = Peer::at(server.client);
        let signature = data_encoding::BASE64URL_NOPAD.encode(&creds.key.sign(peer.nonce().as_bytes()));
        let answer = peer.connect(&json!({ "jwt": creds.jwt, "sig": signature }));
        (peer, answer)
    }

    fn admitted(&self, server: &Server, name: &str) -> Peer {
        let (peer, answer) = self.login(server, name);
        assert_eq!(answer, "PONG", "{name}");
        peer
    }
}

fn denied(peer: &mut Peer, subject: &str) {
    peer.publish(subject, None, b"x");
    assert_eq!(peer.answer(), format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'"));
}

#[test]
fn chains_of_the_javascript_library_are_served() {
    let chain = Chain::of("javascript");
    for [make] in everybody() {
        let server = Server::start(make, &chain.config());
        let mut joe = chain.admitted(&server, "joe.creds");
        let who = joe.who();
        assert_eq!((&who["user_name"], &who["account_name"]), (&json!("joe"), &json!("shop")), "{make:?}");
        denied(&mut joe, "orders.1.card");
        denied(&mut joe, "billing");
        let mut ann = chain.admitted(&server, "ann.creds");
        ann.publish("orders.ann.new", None, b"x");
        ann.settle();
        denied(&mut ann, "orders.joe.new");
        chain.admitted(&server, "admin.creds").request("$SYS.REQ.SERVER.PING", b"");
        assert_eq!(chain.login(&server, "gone.creds").1, REFUSED, "{make:?}");
        let strangers = Chain::of("python");
        assert_eq!(strangers.login(&server, "joe.creds").1, REFUSED, "{make:?}");
    }
}

#[test]
fn chains_of_the_python_library_are_served() {
    let chain = Chain::of("python");
    for [make] in everybody() {
        let server = Server::start(make, &chain.config());
        let mut joe = chain.admitted(&server, "joe.creds");
        joe.publish("orders.1.new", None, b"x");
        joe.settle();
        denied(&mut joe, "orders.1.card");
        chain.admitted(&server, "admin.creds").request("$SYS.REQ.SERVER.PING", b"");
    }
}

/// Ours, and the reference by itself: these are accepted by both, or the fixture proves nothing.
fn everybody() -> Vec<[crate::fleet::Make; 1]> {
    let mut makes = mixtures::<1>();
    if std::env::var_os("REFERENCE_NATS_SERVER").is_some() {
        makes.push([crate::fleet::Make::Reference]);
    }
    makes
}
