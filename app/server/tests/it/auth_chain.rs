//! Local users, claims and a service on one server, and what a service decided a moment ago.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jwt::testing::Chain;
use serde_json::json;

use crate::callout::{Service, config_with, open_to_all};
use crate::fleet::{Make, Server};
use crate::resolvers::{House, admitted, log_in};
use crate::running::{PATIENCE, Peer, REFUSED, Running, user};

/// A service that counts, and may fall silent.
struct Counted {
    _service: Service,
    asked: Arc<AtomicUsize>,
    silent: Arc<AtomicBool>,
}

impl Counted {
    fn start(server: &Running) -> Self {
        let (asked, silent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, silence) = (asked.clone(), silent.clone());
        let answer = move |request: &jwt::AuthorizationRequest| {
            counter.fetch_add(1, Ordering::SeqCst);
            if silence.load(Ordering::SeqCst) { None } else { open_to_all(request) }
        };
        let peer = server.admitted(&user("auth", "auth"));
        Self { _service: Service::serve(peer, None, Box::new(answer)), asked, silent }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[test]
fn local_users_come_in_while_the_service_is_away_and_strangers_do_not() {
    let server = Running::start(&config_with("auth_chain: [users, callout]", ""));
    let mut clerk = server.admitted(&user("clerk", "clerk"));
    assert_eq!(clerk.who()["account"], "SHOP");
    assert_eq!(server.login(&user("clerk", "wrong")).1, REFUSED);
    assert_eq!(server.login(&user("bob", "b0b")).1, REFUSED, "nobody answers");
    let service = Counted::start(&server);
    assert_eq!(server.admitted(&user("bob", "b0b")).who()["account"], "OPEN");
    server.admitted(&user("clerk", "clerk"));
    assert_eq!(service.asked(), 1);
}

#[test]
fn where_the_service_comes_first_local_users_wait_for_it_half_their_time() {
    let server = Running::start(&config_with("auth_chain: [callout, users]", ""));
    let service = Counted::start(&server);
    assert_eq!(server.admitted(&user("clerk", "clerk")).who()["account"], "OPEN");
    service.silent.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    assert_eq!(server.admitted(&user("clerk", "clerk")).who()["account"], "SHOP");
    // Logins may take a second here.
    assert!(begun.elapsed() < Duration::from_millis(950), "{:?}", begun.elapsed());
    assert_eq!(server.login(&user("clerk", "wrong")).1, REFUSED);
    assert_eq!(server.login(&user("bob", "b0b")).1, REFUSED);
}

#[test]
fn what_a_service_decided_is_kept_for_a_while_and_not_over_a_reload() {
    let config = config_with("callout_cache { ttl: 2s, size: 10 }", "");
    let server = Running::start(&config);
    let service = Counted::start(&server);
    for _ in 0..5 {
        assert_eq!(server.admitted(&user("bob", "b0b")).who()["account"], "OPEN");
    }
    assert_eq!(service.asked(), 1);
    server.admitted(&user("bob", "another"));
    server.admitted(&json!({ "user": "bob", "pass": "b0b", "name": "till" }));
    assert_eq!(service.asked(), 3, "another password and another name are other questions");
    std::thread::sleep(Duration::from_millis(2100));
    server.admitted(&user("bob", "b0b"));
    assert_eq!(service.asked(), 4);
    server.reload(&format!("{config}\n# again"));
    server.admitted(&user("bob", "b0b"));
    assert_eq!(service.asked(), 5);
}

#[test]
fn what_a_service_decides_under_one_configuration_is_not_kept_for_the_next() {
    let config = config_with("timeout: 10, callout_cache { ttl: 60s, size: 10 }", "");
    let server = Running::start(&config);
    let ((tell, asked), (speak, may_speak)) = (channel(), channel());
    let answer = move |request: &jwt::AuthorizationRequest| {
        tell.send(()).ok()?;
        may_speak.recv().ok()?;
        open_to_all(request)
    };
    let _service = Service::serve(server.admitted(&user("auth", "auth")), None, Box::new(answer));
    let mut early = server.peer();
    early.say(
        "CONNECT {\"verbose\":false,\"protocol\":1,\"headers\":true,\"user\":\"bob\",\"pass\":\"b0b\"}\r\nPING\r\n",
    );
    asked.recv_timeout(PATIENCE).expect("the service is asked");
    server.reload(&format!("{config}\n# again"));
    speak.send(()).unwrap();
    assert_eq!(early.answer(), "PONG");
    speak.send(()).unwrap();
    server.admitted(&user("bob", "b0b"));
    asked.recv_timeout(PATIENCE).expect("the configuration in force has not heard of it");
    server.admitted(&user("bob", "b0b"));
    assert!(asked.try_recv().is_err(), "now it has");
}

#[test]
fn in_operator_mode_claims_may_come_first() {
    let house = House::new();
    let service = house.shop.user("auth");
    let shop = house.shop.clone().with(|claims| claims.authorization.auth_users.push(service.key.public()));
    let sentinel = shop.user("sentinel").with(|claims| claims.rights.bearer_token = true);
    let (operator, system, own) = (house.chain.token(), house.system.key.public(), shop.key.public());
    let config = format!(
        "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n\
         resolver_preload {{ {system}: {}\n{own}: {} }}\nauthorization {{ timeout: 1, auth_chain: [jwt, callout] }}\n",
        house.system.token(),
        shop.token()
    );
    let server = Running::start(&config);
    admitted(&server, &shop.user("joe"));
    // Nobody answers about somebody who shows what anybody may show.
    assert_eq!(log_in(&server, &sentinel).1, REFUSED);
    let stranger = Chain::new("acme").account("bank").user("joe");
    assert_eq!(log_in(&server, &stranger).1, REFUSED);
}

#[test]
fn in_operator_mode_users_of_the_configuration_may_stand_beside_claims() {
    let house = House::new();
    let locals =
        "accounts { LOCAL { users: [ { user: joe, password: joes } ] } }\nauthorization { auth_chain: [users, jwt] }";
    let (operator, system, own) = (house.chain.token(), house.system.key.public(), house.shop.key.public());
    let preload = format!("{system}: {}\n{own}: {}", house.system.token(), house.shop.token());
    let config = format!(
        "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload {{ {preload} }}\n{locals}\n"
    );
    let server = Running::start(&config);
    let mut ann = admitted(&server, &house.shop.user("ann"));
    let mut joe = server.admitted(&user("joe", "joes"));
    let mut other = server.admitted(&user("joe", "joes"));
    assert_eq!(server.peer().connect(&user("joe", "wrong")), REFUSED);
    assert_eq!(server.peer().connect(&user("eve", "joes")), REFUSED);
    // They are two worlds.
    for peer in [&mut ann, &mut joe] {
        peer.say("SUB orders 1\r\nPING\r\n");
        assert_eq!(peer.answer(), "PONG");
    }
    other.say("PUB orders 2\r\nhi\r\nPING\r\n");
    assert_eq!(other.answer(), "PONG");
    assert_eq!(joe.answer(), "MSG orders 1 2");
    ann.say("PING\r\n");
    assert_eq!(ann.answer(), "PONG");
    // Whom a reload takes out of the configuration has to leave; claims are as they were.
    server.reload(&config.replace("joes", "another"));
    assert_eq!(server.peer().connect(&user("joe", "joes")), REFUSED);
    assert!(joe.answer() == "hi" && joe.answer().starts_with("-ERR"));
    ann.say("PING\r\n");
    assert_eq!(ann.answer(), "PONG");
}

#[test]
fn fix_ee575f1_a_leaf_node_that_a_service_refuses_hurts_nobody() {
    let config = format!("{}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}\n", config_with("", ""));
    let server = Server::start(Make::Ours, &config);
    let mut auth = Peer::at(server.client);
    assert_eq!(auth.connect(&user("auth", "auth")), "PONG");
    let _service = Service::serve(auth, None, Box::new(|_| Some(Vec::new())));
    for connect in
        [r#"{"user":"leaf","pass":"wrong"}"#, r#"{"user":"auth","pass":"wrong"}"#, r#"{"jwt":"x.y.z","sig":"x"}"#, "{}"]
    {
        let mut leaf = std::net::TcpStream::connect(server.leaf.unwrap()).unwrap();
        leaf.set_read_timeout(Some(crate::running::PATIENCE)).unwrap();
        leaf.write_all(format!("CONNECT {connect}\r\nPING\r\n").as_bytes()).unwrap();
        let mut said = Vec::new();
        let _ = leaf.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("-ERR") && !said.contains("PONG"), "{connect}: {said}");
    }
    assert_eq!(Peer::at(server.client).connect(&user("auth", "auth")), "PONG");
}
