//! Accounts from directories and from the web, the claims protocol, and what a change does to those who are logged in.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jwt::testing::{Chain, NOW, TestAccount, TestUser, resign};
use jwt::{GenericClaims, Revoked};
use serde_json::{Value, json};

use crate::running::{Delivered, Peer, REFUSED, Running};

/// A change has to act on those who are logged in within this time.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// An operator with its accounts.
pub(crate) struct House {
    pub(crate) chain: Chain,
    pub(crate) system: TestAccount,
    pub(crate) shop: TestAccount,
}

impl House {
    pub(crate) fn new() -> Self {
        let chain = Chain::new("acme");
        let (system, shop) = (chain.account("SYS"), chain.account("shop"));
        Self { chain, system, shop }
    }

    /// A configuration whose system account is preloaded.
    pub(crate) fn config(&self, resolver: &str) -> String {
        let system = self.system.key.public();
        let preload = format!("resolver_preload {{ {system}: {} }}", self.system.token());
        format!("operator: {}\nsystem_account: {system}\n{resolver}\n{preload}\n", self.chain.token())
    }

    /// A server with a directory of all accounts, called `jwts`.
    pub(crate) fn full(&self, more: &str) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("jwts");
        let resolver = format!("resolver {{ type: full, dir: '{}', allow_delete: true {more} }}", dir.display());
        Running::start_in(folder, &self.config(&resolver))
    }

    pub(crate) fn admin(&self, server: &Running) -> Peer {
        let (peer, answer) = log_in(server, &self.system.user("admin"));
        assert_eq!(answer, "PONG");
        peer
    }
}

pub(crate) fn log_in(server: &Running, user: &TestUser) -> (Peer, String) {
    let mut peer = server.peer();
    let signature = user.sign(peer.nonce().as_bytes());
    let answer = peer.connect(&json!({ "jwt": user.token(), "sig": signature }));
    (peer, answer)
}

pub(crate) fn admitted(server: &Running, user: &TestUser) -> Peer {
    let (peer, answer) = log_in(server, user);
    assert_eq!(answer, "PONG");
    peer
}

pub(crate) fn refused(server: &Running, user: &TestUser) {
    let (mut peer, answer) = log_in(server, user);
    assert_eq!(answer, REFUSED);
    assert!(peer.is_closed());
}

pub(crate) fn update(admin: &mut Peer, account: &TestAccount) -> Value {
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", account.key.public());
    admin.request(&subject, account.token().as_bytes()).json()
}

pub(crate) fn updated(admin: &mut Peer, account: &TestAccount) {
    let answer = update(admin, account);
    assert_eq!(answer["data"]["message"], "jwt updated", "{answer}");
}

/// A request to delete accounts, signed by the operator.
pub(crate) fn deletion(chain: &Chain, accounts: &[&TestAccount]) -> String {
    let mut claims = GenericClaims::new(&chain.signing.public().to_string(), chain.signing.public());
    let keys: Vec<Value> = accounts.iter().map(|account| account.key.public().to_string().into()).collect();
    claims.data.insert("accounts".into(), keys.into());
    claims.encode(&chain.signing, NOW.as_secs()).unwrap()
}

pub(crate) fn ends_soon(peer: &mut Peer, begun: Instant, text: &str) {
    assert_eq!(peer.answer(), format!("-ERR '{text}'"));
    assert!(peer.is_closed());
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn an_account_that_was_pushed_is_served_and_is_there_after_a_restart() {
    let house = House::new();
    let mut server = house.full("");
    refused(&server, &house.shop.user("joe"));
    let mut admin = house.admin(&server);
    let answer = update(&mut admin, &house.shop);
    let key = house.shop.key.public().to_string();
    assert_eq!(answer["data"], json!({ "account": key, "code": 200, "message": "jwt updated" }));
    assert_eq!(answer["server"]["id"], admin.info["server_id"]);
    admitted(&server, &house.shop.user("joe"));
    let file = server.path("jwts").join(format!("{key}.jwt"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), house.shop.token());
    server.restart();
    admitted(&server, &house.shop.user("joe"));
}

#[test]
fn the_claims_protocol_lists_looks_up_packs_and_deletes() {
    let house = House::new();
    let server = house.full("");
    let mut admin = house.admin(&server);
    let bank = house.chain.account("bank");
    updated(&mut admin, &house.shop);
    let answer = admin.request("$SYS.REQ.CLAIMS.UPDATE", bank.token().as_bytes()).json();
    assert_eq!(answer["data"]["message"], "jwt updated");

    let mut keys: Vec<String> =
        [&house.system, &house.shop, &bank].map(|account| account.key.public().to_string()).into();
    keys.sort();
    let list = admin.request("$SYS.REQ.CLAIMS.LIST", b"");
    assert!(list.text().starts_with("{\"data\":["), "{}", list.text());
    assert_eq!(list.json()["data"], json!(keys));

    let lookup = |account: &TestAccount| format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.LOOKUP", account.key.public());
    assert_eq!(admin.request(&lookup(&bank), b"").text(), bank.token());
    assert_eq!(admin.request(&lookup(&house.chain.account("nobody")), b"").text(), "");

    admin.subscribe("_INBOX.pack", "8");
    admin.publish("$SYS.REQ.CLAIMS.PACK", Some("_INBOX.pack"), &[0; 32]);
    let lines: Vec<Delivered> = (0..4).map(|_| admin.message()).collect();
    let expected = format!("{}|{}", bank.key.public(), bank.token());
    assert!(lines[..3].iter().any(|line| line.text() == expected));
    assert_eq!(lines[3].text(), "");

    let subject = "$SYS.REQ.CLAIMS.DELETE";
    let answer = admin.request(subject, deletion(&house.chain, &[&bank]).as_bytes()).json();
    assert_eq!(answer["data"], json!({ "code": 200, "message": "deleted 1 accounts" }));
    assert_eq!(admin.request(&lookup(&bank), b"").text(), "");
    assert!(server.path("jwts").join(format!("{}.jwt.deleted", bank.key.public())).exists());
    let answer = admin.request(subject, deletion(&house.chain, &[&house.system]).as_bytes()).json();
    let description = answer["error"]["description"].as_str().unwrap();
    assert!(description.ends_with("failed - not allowed to delete system account"), "{description}");
    let answer = admin.request(subject, deletion(&Chain::new("evil"), &[&house.shop]).as_bytes()).json();
    assert!(answer["error"]["description"].as_str().unwrap().ends_with("failed - not trusted"));
}

#[test]
fn a_request_that_is_none_is_answered_with_what_is_wrong() {
    let house = House::new();
    let server = house.full("");
    let mut admin = house.admin(&server);
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", house.shop.key.public());
    let answer = admin.request(&subject, b"nonsense").json();
    let description = "jwt update resulted in error - expected 3 chunks";
    assert_eq!(answer["error"], json!({ "account": "n/a", "code": 500, "description": description }));
    let stranger = Chain::new("evil").account("shop");
    let answer = update(&mut admin, &stranger);
    let description = answer["error"]["description"].as_str().unwrap();
    assert!(description.contains("not signed by a trusted operator"), "{description}");
    let answer = admin.request(&subject, house.chain.account("bank").token().as_bytes()).json();
    let description = answer["error"]["description"].as_str().unwrap();
    assert!(description.ends_with("subject does not match jwt content"), "{description}");
}

#[test]
fn cve_2020_26892_a_revocation_acts_at_once_holds_for_new_logins_and_survives_a_restart() {
    let mut house = House::new();
    let mut server = house.full("");
    let mut admin = house.admin(&server);
    updated(&mut admin, &house.shop);
    let (old, kept) = (house.shop.user("old"), house.shop.user("kept"));
    let (mut gone, mut stays) = (admitted(&server, &old), admitted(&server, &kept));
    let before = house.shop.clone();
    house.shop.claims.revocations.revoke(Revoked::Key(old.key.public()), NOW.as_secs());
    house.shop = house.shop.issued(10);
    let begun = Instant::now();
    updated(&mut admin, &house.shop);
    ends_soon(&mut gone, begun, "User Authentication Revoked");
    stays.settle();
    refused(&server, &old);
    let newer = TestUser { issued_at: moment::Timestamp::from_secs(NOW.as_secs() + 1), ..old.clone() };
    admitted(&server, &newer);
    // What was issued before cannot take a revocation back.
    let answer = update(&mut admin, &before);
    assert_eq!(answer["error"]["description"], "jwt update resulted in error - jwt is older than the stored one");
    refused(&server, &old);
    server.restart();
    refused(&server, &old);
    admitted(&server, &newer);

    let mut admin = house.admin(&server);
    let mut everybody = admitted(&server, &kept);
    house.shop.claims.revocations.revoke(Revoked::All, NOW.as_secs() + 5);
    house.shop = house.shop.clone().issued(20);
    let begun = Instant::now();
    updated(&mut admin, &house.shop);
    ends_soon(&mut everybody, begun, "User Authentication Revoked");
    refused(&server, &newer);
}

#[test]
fn a_signing_key_that_is_removed_takes_its_users_along_without_a_word() {
    let mut house = House::new();
    let server = house.full("");
    let mut admin = house.admin(&server);
    updated(&mut admin, &house.shop);
    let mut delegated = admitted(&server, &house.shop.delegated_user("joe"));
    let mut own = admitted(&server, &house.shop.user("ann"));
    let signing = house.shop.signing.public();
    house.shop.claims.signing_keys.remove(&signing);
    house.shop = house.shop.issued(10);
    updated(&mut admin, &house.shop);
    assert_eq!(delegated.answer(), "", "not a word");
    own.settle();
}

#[test]
fn limits_and_default_permissions_act_on_those_who_are_logged_in() {
    let mut house = House::new();
    let server = house.full("");
    let mut admin = house.admin(&server);
    updated(&mut admin, &house.shop);
    let user = house.shop.user("joe");
    let (mut first, mut second, mut third) =
        (admitted(&server, &user), admitted(&server, &user), admitted(&server, &user));
    first.subscribe("secret", "1");
    house.shop.claims.limits.account.conn = 2;
    house.shop.claims.limits.nats.payload = 4;
    house.shop.claims.default_permissions.subscribe.deny = vec!["secret".into()];
    house.shop = house.shop.issued(10);
    let begun = Instant::now();
    updated(&mut admin, &house.shop);
    // The oldest stay.
    ends_soon(&mut third, begun, "maximum account active connections exceeded");
    assert_eq!(first.answer(), "-ERR 'Permissions Violation for Subscription to \"secret\" (sid \"1\")'");
    second.settle();
    first.say("PUB a 5\r\nhello\r\n");
    assert_eq!(first.answer(), "-ERR 'Maximum Payload Violation'");
}

#[test]
fn a_deleted_account_ends_for_everybody() {
    let house = House::new();
    let server = house.full("");
    let mut admin = house.admin(&server);
    updated(&mut admin, &house.shop);
    let mut joe = admitted(&server, &house.shop.user("joe"));
    let begun = Instant::now();
    admin.request("$SYS.REQ.CLAIMS.DELETE", deletion(&house.chain, &[&house.shop]).as_bytes());
    ends_soon(&mut joe, begun, "Account Authentication Expired");
    refused(&server, &house.shop.user("joe"));
    admin.settle();
}

/// The code of the error that the account may have no streams.
const NO_STREAMS: i64 = 10039;

#[test]
fn claims_say_who_has_streams_until_the_account_is_deleted() {
    let mut house = House::new();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let resolver = format!(
        "resolver {{ type: full, dir: '{}', allow_delete: true }}\njetstream {{ store_dir: '{}' }}",
        at.join("jwts").display(),
        at.join("data").display()
    );
    let server = Running::start_in(folder, &house.config(&resolver));
    let mut admin = house.admin(&server);
    updated(&mut admin, &house.shop);
    let user = house.shop.user("joe");
    let mut joe = admitted(&server, &user);
    let refused = |peer: &mut Peer| peer.request("$JS.API.INFO", b"").json()["error"]["err_code"].as_i64();
    assert_eq!(refused(&mut joe), Some(NO_STREAMS), "without limits there are no streams");
    // Limits come while somebody is there. That of a single stream is zero, which is no limit.
    let limits = &mut house.shop.claims.limits.jetstream;
    (limits.disk_storage, limits.streams, limits.consumer) = (-1, -1, -1);
    house.shop = house.shop.issued(10);
    updated(&mut admin, &house.shop);
    let stream = br#"{"name":"ORDERS","subjects":["orders"],"max_bytes":1000000}"#;
    let made = joe.request("$JS.API.STREAM.CREATE.ORDERS", stream).json();
    assert_eq!(made["did_create"], true, "{made}");
    assert_eq!(joe.request("orders", b"one").json()["seq"], 1);
    let begun = Instant::now();
    admin.request("$SYS.REQ.CLAIMS.DELETE", deletion(&house.chain, &[&house.shop]).as_bytes());
    ends_soon(&mut joe, begun, "Account Authentication Expired");
    let stored = || {
        let mut admin = house.admin(&server);
        admin.request("$SYS.REQ.SERVER.PING.JSZ", b"").json()["data"]["messages"].as_i64()
    };
    assert_eq!(stored(), Some(0), "the account's streams are closed");
    // What it had is there again when the account comes back.
    house.shop = house.shop.issued(20);
    updated(&mut admin, &house.shop);
    let mut joe = admitted(&server, &user);
    assert_eq!(joe.request("$JS.API.STREAM.INFO.ORDERS", b"").json()["state"]["messages"], 1);
    // Without limits the streams go, and nobody else with them.
    let limits = &mut house.shop.claims.limits.jetstream;
    (limits.disk_storage, limits.streams, limits.consumer) = (0, 0, 0);
    house.shop = house.shop.issued(30);
    updated(&mut admin, &house.shop);
    assert_eq!(refused(&mut joe), Some(NO_STREAMS));
}

#[test]
fn an_account_that_expires_by_an_update_ends_then() {
    let mut house = House::new();
    let server = house.full("");
    let mut admin = house.admin(&server);
    updated(&mut admin, &house.shop);
    let mut joe = admitted(&server, &house.shop.user("joe"));
    house.shop.claims.common.expires = crate::running::seconds() + 2;
    house.shop = house.shop.issued(10);
    updated(&mut admin, &house.shop);
    joe.settle();
    assert_eq!(joe.answer(), "-ERR 'Account Authentication Expired'");
    refused(&server, &house.shop.user("joe"));
}

#[test]
fn cve_2022_28357_no_name_leads_out_of_the_directory() {
    let house = House::new();
    let server = house.full("");
    let mut admin = house.admin(&server);
    let before = files(&server);
    let key = house.shop.key.public().to_string();
    for odd in ["../../x", "..", "/etc/x", &format!("{key}/../x"), "A", &key.to_lowercase()] {
        let mut claims: Value = json!({ "iss": house.chain.signing.public().to_string(), "iat": NOW.as_secs(),
            "nats": { "version": 2, "type": "account", "limits": {} } });
        claims["sub"] = odd.into();
        let token = resign(&house.chain.signing, &claims.to_string());
        admin.request("$SYS.REQ.CLAIMS.UPDATE", token.as_bytes());
        if !odd.contains("..") {
            admin.request(&format!("$SYS.REQ.ACCOUNT.{odd}.CLAIMS.UPDATE"), token.as_bytes());
        }
        let mut deletion = GenericClaims::new(&house.chain.signing.public().to_string(), house.chain.signing.public());
        deletion.data.insert("accounts".into(), json!([odd]));
        let deletion = deletion.encode(&house.chain.signing, NOW.as_secs()).unwrap();
        admin.request("$SYS.REQ.CLAIMS.DELETE", deletion.as_bytes());
    }
    assert_eq!(files(&server), before);
}

/// Every file of a server.
fn files(server: &Running) -> Vec<String> {
    let mut found = Vec::new();
    for folder in [server.path(""), server.path("jwts")] {
        let entries = std::fs::read_dir(folder).unwrap();
        found.extend(entries.map(|entry| entry.unwrap().path().display().to_string()));
    }
    found.sort();
    found
}

#[test]
fn another_server_is_asked_for_an_account_and_what_it_says_is_judged() {
    let house = House::new();
    let folder = tempfile::tempdir().unwrap();
    let resolver =
        format!("resolver {{ type: cache, dir: '{}', timeout: 500ms }}", folder.path().join("jwts").display());
    let server = Running::start_in(folder, &house.config(&resolver));
    // Nobody is there to be asked.
    let begun = Instant::now();
    refused(&server, &house.shop.user("joe"));
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());

    let mut other = house.admin(&server);
    other.subscribe("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", "1");
    let answers = |account: &TestAccount, other: &mut Peer, token: &str, user: &TestUser| {
        let mut peer = server.peer();
        let signature = user.sign(peer.nonce().as_bytes());
        let options = json!({ "jwt": user.token(), "sig": signature, "verbose": false });
        peer.say(&format!("CONNECT {options}\r\nPING\r\n"));
        let question = other.message();
        assert_eq!(question.subject, format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.LOOKUP", account.key.public()));
        other.publish(&question.reply.unwrap(), None, token.as_bytes());
        peer.answer()
    };
    let stranger = Chain::new("evil").account("shop");
    let answer = answers(&stranger, &mut other, &stranger.token(), &stranger.user("joe"));
    assert_eq!(answer, REFUSED);
    let bank = house.chain.account("bank");
    assert_eq!(answers(&bank, &mut other, &bank.token(), &bank.user("joe")), "PONG");
    assert!(server.path("jwts").join(format!("{}.jwt", bank.key.public())).exists());
    // Now it is here.
    admitted(&server, &bank.user("joe"));
    let nobody = house.chain.account("nobody");
    assert_eq!(answers(&nobody, &mut other, "", &nobody.user("joe")), REFUSED);
    // It is not asked again for a while.
    refused(&server, &nobody.user("joe"));
    other.settle();
    // Who is asked and says nothing costs its time, and nobody else's.
    let begun = Instant::now();
    let silent = house.chain.account("silent");
    let mut waiting = server.peer();
    let signature = silent.user("joe").sign(waiting.nonce().as_bytes());
    waiting.say(&format!("CONNECT {}\r\n", json!({ "jwt": silent.user("joe").token(), "sig": signature })));
    other.message();
    admitted(&server, &bank.user("joe"));
    assert!(begun.elapsed() < Duration::from_millis(450), "{:?}", begun.elapsed());
    assert_eq!(waiting.answer(), REFUSED);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(490) && took < Duration::from_millis(1500), "{took:?}");
}

#[test]
fn a_cache_knows_only_the_accounts_that_are_used_and_lets_the_oldest_go() {
    let house = House::new();
    let folder = tempfile::tempdir().unwrap();
    let resolver = format!("resolver {{ type: cache, dir: '{}', limit: 2 }}", folder.path().join("jwts").display());
    let server = Running::start_in(folder, &house.config(&resolver));
    let mut admin = house.admin(&server);
    let answer = update(&mut admin, &house.shop);
    assert_eq!(answer["data"]["message"], "jwt update cache skipped");
    assert_eq!(admin.request("$SYS.REQ.CLAIMS.LIST", b"").json()["data"].as_array().unwrap().len(), 1);
    let answer = update(&mut admin, &house.system.clone().issued(5));
    assert_eq!(answer["data"]["message"], "jwt updated cache");
}

#[test]
fn a_full_directory_takes_over_what_another_server_has() {
    let house = House::new();
    let server = house.full(", interval: 300ms");
    let mut other = house.admin(&server);
    other.say("SUB $SYS.REQ.CLAIMS.PACK responder 1\r\n");
    let question = other.message();
    assert_eq!((question.subject.as_str(), question.payload.len()), ("$SYS.REQ.CLAIMS.PACK", 32));
    let reply = question.reply.unwrap();
    let stranger = Chain::new("evil").account("shop");
    for account in [&house.shop, &stranger] {
        let line = format!("{}|{}", account.key.public(), account.token());
        other.publish(&reply, None, line.as_bytes());
    }
    other.publish(&reply, None, b"");
    server.logged("Merging resulted in error");
    admitted(&server, &house.shop.user("joe"));
    refused(&server, &stranger.user("joe"));
}

#[test]
fn a_full_store_says_so_and_memory_takes_only_what_is_used() {
    let house = House::new();
    let server = house.full(", limit: 1");
    let mut admin = house.admin(&server);
    let answer = update(&mut admin, &house.shop);
    assert_eq!(answer["error"]["description"], "jwt update resulted in error - jwt store is full");

    let server = Running::start(&house.config("resolver: MEMORY"));
    let mut admin = house.admin(&server);
    assert_eq!(update(&mut admin, &house.shop)["data"]["message"], "jwt update skipped");
    assert_eq!(update(&mut admin, &house.system.clone().issued(5))["data"]["message"], "jwt updated");
    let answer = update(&mut admin, &house.system);
    assert!(answer["error"]["description"].as_str().unwrap().contains("older"), "{answer}");
}

#[test]
fn a_reload_keeps_everybody_whose_account_is_there_and_refuses_another_type_of_resolver() {
    let house = House::new();
    let server = house.full("");
    let mut admin = house.admin(&server);
    updated(&mut admin, &house.shop);
    let mut joe = admitted(&server, &house.shop.user("joe"));
    let dir = server.path("jwts");
    let full = |more: &str| {
        house.config(&format!("resolver {{ type: full, dir: '{}', allow_delete: true {more} }}", dir.display()))
    };
    server.reload(&full(", interval: 5s"));
    joe.settle();
    // What was put there by hand is seen, too.
    let bank = house.chain.account("bank");
    std::fs::write(dir.join(format!("{}.jwt", bank.key.public())), bank.token()).unwrap();
    server.reload(&full(", interval: 6s"));
    admitted(&server, &bank.user("ann"));
    joe.settle();
    server.fail_to_reload(&house.config("resolver: MEMORY"), "another type of account resolver");
    joe.settle();
    admitted(&server, &house.shop.user("joe"));
}

/// A server that has accounts, on the web.
pub(crate) struct Web {
    address: SocketAddr,
    pub(crate) accounts: Arc<Mutex<Vec<TestAccount>>>,
    asked: Arc<AtomicUsize>,
}

impl Web {
    /// Without accounts it answers with 404; an account called `slow` it never answers.
    pub(crate) fn start(accounts: Vec<TestAccount>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (accounts, asked) = (Arc::new(Mutex::new(accounts)), Arc::new(AtomicUsize::new(0)));
        let (served, counted) = (accounts.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (served, counted) = (served.clone(), counted.clone());
                std::thread::spawn(move || {
                    let accounts = served.lock().unwrap().clone();
                    answer_web(stream, &accounts, &counted);
                });
            }
        });
        Self { address, accounts, asked }
    }

    pub(crate) fn resolver(&self) -> String {
        format!("resolver: URL(http://{}/jwt/v1/accounts/)", self.address)
    }
}

fn answer_web(mut stream: std::net::TcpStream, accounts: &[TestAccount], asked: &AtomicUsize) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap().strip_prefix("/jwt/v1/accounts/").unwrap().to_owned();
    if path.is_empty() {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        return;
    }
    asked.fetch_add(1, Ordering::SeqCst);
    match accounts.iter().find(|account| account.key.public().to_string() == path) {
        None => drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")),
        Some(account) if account.claims.common.name == "slow" => std::thread::sleep(Duration::from_secs(10)),
        Some(account) => {
            let token = account.token();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{token}", token.len());
        }
    }
}

fn on_the_web(house: &House, web: &Web) -> Running {
    let system = house.system.key.public();
    Running::start(&format!("operator: {}\nsystem_account: {system}\n{}\n", house.chain.token(), web.resolver()))
}

#[test]
fn an_account_is_fetched_from_the_web_once() {
    let house = House::new();
    let web = Web::start(vec![house.system.clone(), house.shop.clone()]);
    let server = on_the_web(&house, &web);
    admitted(&server, &house.shop.user("joe"));
    admitted(&server, &house.shop.user("ann"));
    assert_eq!(web.asked.load(Ordering::SeqCst), 1);
    // What is not there is not sought again at once.
    let bank = house.chain.account("bank");
    refused(&server, &bank.user("joe"));
    refused(&server, &bank.user("ann"));
    server.logged("could not be fetched: 404 Not Found");
    assert_eq!(web.asked.load(Ordering::SeqCst), 2);
    web.accounts.lock().unwrap().push(Chain::new("evil").account("evil"));
    refused(&server, &Chain::new("evil").account("evil").user("joe"));
}

#[test]
fn an_account_server_that_hangs_keeps_nobody_else_waiting() {
    let house = House::new();
    let slow = house.chain.account("slow");
    let web = Web::start(vec![house.system.clone(), house.shop.clone(), slow.clone()]);
    let server = on_the_web(&house, &web);
    let begun = Instant::now();
    let mut waiting: Vec<Peer> = (0..20)
        .map(|number| {
            let user = slow.user(&format!("u{number}"));
            let mut peer = server.peer();
            let signature = user.sign(peer.nonce().as_bytes());
            peer.say(&format!("CONNECT {}\r\n", json!({ "jwt": user.token(), "sig": signature })));
            peer
        })
        .collect();
    admitted(&server, &house.shop.user("joe"));
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    for peer in &mut waiting {
        assert_eq!(peer.answer(), REFUSED);
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1800) && took < Duration::from_secs(4), "{took:?}");
    // One question served all of them.
    assert_eq!(web.asked.load(Ordering::SeqCst), 2);
}

#[test]
fn a_change_is_pushed_to_a_server_that_has_its_accounts_from_the_web() {
    let mut house = House::new();
    let web = Web::start(vec![house.system.clone(), house.shop.clone()]);
    let server = on_the_web(&house, &web);
    let mut joe = admitted(&server, &house.shop.user("joe"));
    let mut admin = house.admin(&server);
    house.shop.claims.revocations.revoke(Revoked::All, NOW.as_secs());
    house.shop = house.shop.issued(10);
    let begun = Instant::now();
    updated(&mut admin, &house.shop);
    ends_soon(&mut joe, begun, "User Authentication Revoked");
    refused(&server, &house.shop.user("joe"));
}

#[test]
fn trusted_keys_are_enough_and_several_operators_live_together() {
    let (house, second) = (House::new(), Chain::new("second"));
    let preload = |accounts: &[&TestAccount]| -> String {
        let entries = accounts.iter().map(|account| format!("{}: {}\n", account.key.public(), account.token()));
        format!("resolver: MEMORY\nresolver_preload {{ {} }}", entries.collect::<String>())
    };
    let keys = house.chain.signing.public();
    let server = Running::start(&format!("trusted_keys: [{keys}]\n{}\n", preload(&[&house.shop])));
    admitted(&server, &house.shop.user("joe"));

    let other = second.account("other");
    let (one, two) = (house.chain.token(), second.token());
    let accounts = preload(&[&house.shop, &other, &house.system]);
    let system = house.system.key.public();
    let server = Running::start(&format!("operators: [{one}, {two}]\nsystem_account: {system}\n{accounts}\n"));
    admitted(&server, &house.shop.user("joe"));
    admitted(&server, &other.user("joe"));
}

#[test]
fn a_peer_without_claims_is_the_sentinels_user() {
    let house = House::new();
    let guest = house.shop.user("guest").with(|claims| {
        claims.rights.bearer_token = true;
        claims.rights.permissions.publish.allow = vec!["hello".into(), "$SYS.REQ.USER.INFO".into()];
    });
    let preload = format!("resolver_preload {{ {}: {} }}", house.shop.key.public(), house.shop.token());
    let (operator, guest_token) = (house.chain.token(), guest.token());
    let config = format!("operator: {operator}\nresolver: MEMORY\n{preload}\ndefault_sentinel: {guest_token}\n");
    let server = Running::start(&config);
    let mut silent = server.admitted(&json!({}));
    assert_eq!(silent.who()["user"], guest.key.public().to_string());
    silent.say("PUB bye 1\r\nx\r\n");
    assert_eq!(silent.answer(), "-ERR 'Permissions Violation for Publish to \"bye\"'");
}
