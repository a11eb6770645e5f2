//! How a leaf node proves who it is: keys and credentials; and which end is the hub, and who hears of whom.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use data_encoding::BASE64URL_NOPAD;
use jwt::testing::{Chain, TestAccount, key};
use nkeys::{KeyPair, Role};

use crate::fleet::{Make, Server, mixtures, settle, until, until_linked};

fn remote(hub: &Server, more: &str) -> String {
    format!("leafnodes {{ remotes: [{{ url: \"{}\", {more} }}] }}", hub.leaf_url(""))
}

/// Who logs in at the spoke needs no password.
fn spoke(make: Make, name: &str, hub: &Server, more: &str) -> Server {
    Server::start(make, &format!("server_name: {name}\n{}", remote(hub, more)))
}

#[test]
fn a_leaf_node_may_show_a_key() {
    let known = key(Role::User, "edge");
    let stranger = key(Role::User, "stranger");
    let accounts = format!(
        "accounts {{ A {{ users: [{{user: a, password: a}}, {{nkey: {}}}] }} }}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}",
        known.public()
    );
    for [one, other] in mixtures() {
        let mut hub = Server::start(one, &format!("server_name: HUB\n{accounts}"));
        let seed = |key: &KeyPair| format!("nkey: {}", key.seed().expose());
        let (mut up, spoke) = (hub.log_in("a"), spoke(other, "SPOKE", &hub, &seed(&known)));
        let mut down = spoke.connect();
        down.subscribe("down", "1");
        until_linked(&mut up, &mut down, "down");
        let mut refused = self::spoke(other, "OTHER", &hub, &seed(&stranger));
        refused.logged("Authorization Violation");
        hub.logged("authentication error");
    }
}

/// What a hub says to a leaf node for which a proxy vouches, or nobody.
fn logs_in(hub: &Server, proxy: Option<&KeyPair>, user: &str) -> bool {
    let mut stream = TcpStream::connect(hub.leaf.unwrap()).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let info = lines.next().unwrap();
    let nonce = info.split_once(r#""nonce":""#).unwrap().1.split_once('"').unwrap().0;
    let signature = proxy.map(|key| BASE64URL_NOPAD.encode(key.sign(nonce.as_bytes()).as_ref()));
    let vouched = signature.map(|text| format!(r#""proxy_sig":"{text}","#)).unwrap_or_default();
    let connect =
        format!(r#"{{{vouched}"user":"{user}","pass":"p","name":"EDGE","server_id":"NEDGE","headers":true}}"#);
    stream.write_all(format!("CONNECT {connect}\r\nPING\r\n").as_bytes()).unwrap();
    lines.find(|line| line.starts_with("PONG") || line.starts_with("-ERR")).is_some_and(|line| line == "PONG")
}

#[test]
fn a_leaf_node_behind_a_proxy_comes_through_one_that_is_trusted() {
    let (trusted, stranger) = (key(Role::Account, "proxy"), key(Role::Account, "stranger"));
    let users = "users: [{ user: far, password: p, account: A, proxy_required: true }, { user: near, password: p, account: A }]";
    for (all, near_alone) in [("", true), ("proxy_required: true,", false)] {
        for [make, _] in mixtures() {
            let hub = Server::start(
                make,
                &format!(
                    "server_name: HUB\naccounts {{ A {{}} }}\nproxies {{ trusted: [{{ key: {} }}] }}\n\
                     leafnodes {{ listen: \"127.0.0.1:-1\", authorization {{ {all} {users} }} }}",
                    trusted.public()
                ),
            );
            let what = format!("{make:?} {all}");
            assert!(logs_in(&hub, Some(&trusted), "far"), "{what}");
            assert!(!logs_in(&hub, None, "far"), "{what}");
            assert!(!logs_in(&hub, Some(&stranger), "far"), "{what}");
            assert!(!logs_in(&hub, Some(&stranger), "near"), "{what}: a wrong word is worse than none");
            assert_eq!(logs_in(&hub, None, "near"), near_alone, "{what}");
        }
    }
}

/// A hub in operator mode.
fn operator_hub(make: Make, folder: &std::path::Path, chain: &Chain, accounts: [&TestAccount; 2]) -> Server {
    let file = folder.join("operator.jwt");
    std::fs::write(&file, nkeys::decorate_jwt("OPERATOR", &chain.token())).unwrap();
    let entry = |account: &TestAccount| format!("  {}: {}\n", account.key.public(), account.token());
    let preload: String = accounts.into_iter().map(entry).collect();
    let system = accounts[0].key.public();
    let file = file.display();
    Server::start(
        make,
        &format!(
            "server_name: HUB\noperator: '{file}'\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload {{\n{preload}}}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}"
        ),
    )
}

#[test]
fn a_leaf_node_may_show_credentials() {
    let chain = Chain::new("acme");
    let (system, shop) = (chain.account("SYS"), chain.account("shop"));
    let folder = tempfile::tempdir().unwrap();
    let creds = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("credentials: '{}'", path.display())
    };
    let good = creds("good.creds", shop.user("edge").creds().expose());
    let elsewhere = Chain::new("other");
    let bad = creds("bad.creds", elsewhere.account("shop").user("edge").creds().expose());
    for [one, two, three] in mixtures() {
        let hub = operator_hub(one, folder.path(), &chain, [&system, &shop]);
        // Two spokes of one account meet at the hub.
        let (first, second) = (spoke(two, "FIRST", &hub, &good), spoke(three, "SECOND", &hub, &good));
        let (mut here, mut there) = (first.connect(), second.connect());
        there.subscribe("there", "1");
        until_linked(&mut here, &mut there, "there");
        let mut refused = spoke(two, "REFUSED", &hub, &bad);
        refused.logged("Authorization Violation");
    }
}

#[test]
fn a_server_that_goes_to_another_one_may_be_the_hub() {
    for [one, two] in mixtures() {
        // The listening end is the spoke of this connection.
        let accounts = "accounts { A { users: [{user: a, password: a}] } }";
        let block = "leafnodes { listen: \"127.0.0.1:-1\", authorization { user: l, password: l, account: A } }";
        let listens = Server::start(one, &format!("server_name: LISTENS\n{accounts}\n{block}"));
        let url = listens.leaf_url("l:l");
        let goes = Server::start(
            two,
            &format!("server_name: GOES\nleafnodes {{ remotes: [{{ url: \"{url}\", hub: true }}] }}"),
        );
        let (mut near, mut far) = (listens.log_in("a"), goes.connect());
        near.subscribe("near", "1");
        far.subscribe("far", "1");
        until_linked(&mut near, &mut far, "far");
        until_linked(&mut far, &mut near, "near");
    }
}

#[test]
fn isolated_leaf_nodes_do_not_hear_of_each_other() {
    for [one, two, three] in mixtures() {
        for (hub_says, spoke_says) in [(", isolate_leafnode_interest: true", ""), ("", "request_isolation: true,")] {
            let accounts = "accounts { A { users: [{user: a, password: a}] } }";
            let block = format!(
                "leafnodes {{ listen: \"127.0.0.1:-1\", authorization {{ user: l, password: l, account: A }} {hub_says} }}"
            );
            let hub = Server::start(one, &format!("server_name: HUB\n{accounts}\n{block}"));
            let url = hub.leaf_url("l:l");
            let start = |make, name: &str| {
                let remote = format!("remotes: [{{ url: \"{url}\", {spoke_says} }}]");
                Server::start(make, &format!("server_name: {name}\nleafnodes {{ {remote} }}"))
            };
            let (first, second) = (start(two, "FIRST"), start(three, "SECOND"));
            let (mut up, mut here, mut there) = (hub.log_in("a"), first.connect(), second.connect());
            up.subscribe("north", "1");
            there.subscribe("east", "1");
            until_linked(&mut here, &mut up, "north");
            until_linked(&mut up, &mut there, "east");
            // What the hub was told it knows; the other leaf node was not told.
            let label = format!("{one:?} {two:?} {three:?} {hub_says}{spoke_says}");
            here.subscribe("inbox", "9");
            here.ask("east", "inbox", "?");
            until(&format!("nobody answers, {label}"), || {
                here.drain().iter().any(|message| message.headers.starts_with("NATS/1.0 503"))
            });
            settle(&mut there);
            assert!(there.drain().is_empty(), "{label}");
        }
    }
}
