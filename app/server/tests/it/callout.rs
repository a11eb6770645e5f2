//! Logins that a service decides, over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use jwt::testing::key;
use jwt::{AuthorizationRequest, AuthorizationResponse, UserClaims};
use nkeys::{KeyPair, Role, Secret, XKey};
use serde_json::{Value, json};
use testkit::certificates::{Authority, Subject};

use crate::running::{Delivered, Peer, REFUSED, Running, seconds, user};

fn issuer() -> KeyPair {
    key(Role::Account, "callout issuer")
}

/// The service listens in AUTH. SHOP has a user of its own, OPEN has none.
fn config(more: &str) -> String {
    config_with("", more)
}

/// The same with more in `authorization`, and in `auth_callout`.
pub(crate) fn config_with(authorization: &str, callout: &str) -> String {
    format!(
        "accounts {{
            AUTH {{ users: [{{ user: auth, password: auth }}] }}
            SHOP {{ users: [{{ user: clerk, password: clerk }}] }}
            OPEN {{}}
            SYS {{ users: [{{ user: admin, password: admin }}] }}
        }}
        system_account: SYS
        authorization {{
            timeout: 1
            {authorization}
            auth_callout {{ issuer: {}, account: AUTH, auth_users: [auth, admin], {callout} }}
        }}",
        issuer().public()
    )
}

/// A service that answers each question with what a function says, and tells what it was asked.
pub(crate) struct Service {
    asked: Receiver<(AuthorizationRequest, Delivered)>,
    socket: TcpStream,
}

pub(crate) type Answer = dyn FnMut(&AuthorizationRequest) -> Option<Vec<u8>> + Send;

impl Service {
    fn start(server: &Running, answer: impl FnMut(&AuthorizationRequest) -> Option<Vec<u8>> + Send + 'static) -> Self {
        Self::start_sealed(server, None, Box::new(answer))
    }

    /// A service with a curve key opens what it is asked.
    fn start_sealed(server: &Running, xkey: Option<XKey>, answer: Box<Answer>) -> Self {
        Self::serve(server.admitted(&user("auth", "auth")), xkey, answer)
    }

    /// This peer is the service.
    pub(crate) fn serve(mut peer: Peer, xkey: Option<XKey>, answer: Box<Answer>) -> Self {
        peer.subscribe("$SYS.REQ.USER.AUTH", "1");
        let (socket, (tell, asked)) = (peer.handle(), channel());
        std::thread::spawn(move || serve(&mut peer, xkey.as_ref(), answer, &tell));
        Self { asked, socket }
    }

    pub(crate) fn question(&self) -> (AuthorizationRequest, Delivered) {
        self.asked.recv_timeout(crate::running::PATIENCE).expect("the service is asked")
    }

    pub(crate) fn was_not_asked(&self) {
        assert!(self.asked.try_recv().is_err(), "the service was asked");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

fn serve(
    peer: &mut Peer,
    xkey: Option<&XKey>,
    mut answer: Box<Answer>,
    tell: &Sender<(AuthorizationRequest, Delivered)>,
) {
    while let Some(message) = peer.message_or_end() {
        let token = match xkey {
            None => message.payload.clone(),
            Some(own) => own.open(&message.payload, &server_xkey(&message)).unwrap(),
        };
        let request = AuthorizationRequest::decode(std::str::from_utf8(&token).unwrap()).unwrap();
        let answer = answer(&request);
        let reply = message.reply.clone().unwrap();
        // Whoever waits for the question is told before the login ends.
        let _ = tell.send((request, message));
        if let Some(answer) = answer {
            peer.publish(&reply, None, &answer);
        }
    }
}

fn server_xkey(message: &Delivered) -> nkeys::XPublicKey {
    let value = message.headers.strip_prefix("NATS/1.0\r\nNats-Server-Xkey: ").unwrap();
    value.trim_end().parse().unwrap()
}

/// A rightful answer for a user in this account, after a change to the user.
fn yes(request: &AuthorizationRequest, account: &str, change: impl FnOnce(&mut UserClaims)) -> AuthorizationResponse {
    let mut claims = UserClaims::new(request.user_nkey, issuer().public());
    claims.common.audience = account.into();
    change(&mut claims);
    let mut answer = AuthorizationResponse::new(request.user_nkey, request.common.issuer, issuer().public());
    answer.jwt = claims.encode(&issuer(), seconds()).unwrap();
    answer
}

fn bytes(answer: &AuthorizationResponse) -> Option<Vec<u8>> {
    Some(answer.encode(&issuer(), seconds()).unwrap().into_bytes())
}

/// An answer that lets a user into this account, after a change to its claims.
pub(crate) fn answered(
    request: &AuthorizationRequest,
    account: &str,
    change: impl FnOnce(&mut UserClaims),
) -> Option<Vec<u8>> {
    bytes(&yes(request, account, change))
}

/// Everybody may come into OPEN.
pub(crate) fn open_to_all(request: &AuthorizationRequest) -> Option<Vec<u8>> {
    bytes(&yes(request, "OPEN", |_| {}))
}

#[test]
fn a_user_for_whom_the_service_vouches_comes_in_with_what_it_grants() {
    let server = Running::start(&config(""));
    let _service = Service::start(&server, |request| {
        bytes(&yes(request, "OPEN", |claims| {
            claims.common.name = "Bob".into();
            claims.rights.permissions.publish.allow = vec!["orders.>".into(), "$SYS.REQ.USER.INFO".into()];
            claims.rights.limits.subs = 2;
            claims.rights.limits.payload = 8;
        }))
    });
    let mut bob = server.admitted(&user("bob", "b0b"));
    let who = bob.who();
    assert_eq!((&who["user"], &who["account"]), (&json!("Bob"), &json!("OPEN")));
    bob.say("SUB orders.> 1\r\nPUB orders.new 2\r\nok\r\nPUB billing 2\r\nno\r\n");
    assert_eq!([bob.answer(), bob.answer()], ["MSG orders.new 1 2", "ok"]);
    assert_eq!(bob.answer(), "-ERR 'Permissions Violation for Publish to \"billing\"'");
    bob.say("SUB a 2\r\nSUB b 3\r\n");
    assert_eq!(bob.answer(), "-ERR 'maximum subscriptions exceeded'");
    bob.say("PUB orders.new 9\r\nway too l\r\n");
    assert_eq!(bob.answer(), "-ERR 'Maximum Payload Violation'");
}

#[test]
fn the_question_says_what_is_known_of_the_peer() {
    let server = Running::start(&config(""));
    let service = Service::start(&server, open_to_all);
    let options = json!({ "user": "bob", "pass": "b0b", "name": "till", "lang": "go", "version": "1.2" });
    let mut bob = server.admitted(&options);
    let (request, message) = service.question();
    assert_eq!(message.subject, "$SYS.REQ.USER.AUTH");
    assert!(message.reply.as_deref().unwrap().starts_with("$SYS._INBOX.") && message.headers.is_empty());
    assert_eq!(request.common.audience, "nats-authorization-request");
    assert_eq!(request.common.subject, issuer().public().to_string());
    let left = request.common.expires - seconds();
    assert!((1..=3).contains(&left), "it expires with the login, in whole seconds: {left}");
    let id = bob.info["server_id"].as_str().unwrap();
    assert_eq!((request.server.id.as_str(), request.common.issuer.to_string().as_str()), (id, id));
    assert_eq!((request.server.host.as_str(), request.server.version.as_str()), ("127.0.0.1", "2.15.1"));
    assert_eq!(request.server.xkey, "");
    let client = &request.client;
    assert_eq!((client.host.as_str(), client.user.as_str(), client.name.as_str()), ("127.0.0.1", "bob", "till"));
    assert_eq!((client.kind.as_str(), client.connection_type.as_str()), ("Client", "nats"));
    assert_eq!((json!(client.id), client.nonce.as_str()), (bob.info["client_id"].clone(), ""));
    let shown = &request.connect;
    assert_eq!((shown.user.as_str(), shown.password.as_str(), shown.protocol), ("bob", "b0b", 1));
    assert_eq!((shown.name.as_str(), shown.lang.as_str(), shown.version.as_str()), ("till", "go", "1.2"));
    assert!(request.tls.is_none() && request.request_nonce.is_empty());
    // Without a word about its name it keeps the one it came with.
    assert_eq!(bob.who()["user"], "bob");
}

#[test]
fn an_answer_that_does_not_fit_admits_nobody_and_the_log_says_why() {
    let server = Running::start(&config(""));
    type Wrong = fn(&AuthorizationRequest) -> Option<Vec<u8>>;
    let wrong: Vec<(&str, Wrong)> = vec![
        ("Auth callout service returned an error: not today", |request| {
            let mut answer = yes(request, "OPEN", |_| {});
            (answer.jwt, answer.error) = (String::new(), "not today".into());
            bytes(&answer)
        }),
        ("no reason supplied", |_| Some(Vec::new())),
        ("No valid account \"\"", |request| bytes(&yes(request, "", |_| {}))),
        ("No valid account \"NOWHERE\"", |request| bytes(&yes(request, "NOWHERE", |_| {}))),
        ("is not for expected user", |request| {
            let mut answer = yes(request, "OPEN", |_| {});
            answer.common.subject = key(Role::User, "somebody").public();
            bytes(&answer)
        }),
        ("is not for server", |request| {
            let mut answer = yes(request, "OPEN", |_| {});
            answer.common.audience = key(Role::Server, "another").public().to_string();
            bytes(&answer)
        }),
        ("Expected authorized user of", |request| {
            bytes(&yes(request, "OPEN", |claims| claims.common.subject = key(Role::User, "somebody").public()))
        }),
        ("Wrong issuer", |request| {
            let other = key(Role::Account, "another issuer");
            let mut claims = UserClaims::new(request.user_nkey, other.public());
            claims.common.audience = "OPEN".into();
            let mut answer = yes(request, "OPEN", |_| {});
            answer.jwt = claims.encode(&other, seconds()).unwrap();
            bytes(&answer)
        }),
        ("attempted to use issuer_account", |request| {
            bytes(&yes(request, "OPEN", |claims| claims.issuer_account = Some(issuer().public())))
        }),
        ("user claim is expired", |request| {
            bytes(&yes(request, "OPEN", |claims| claims.common.expires = seconds() - 1))
        }),
        ("connection type", |request| {
            let only = |claims: &mut UserClaims| claims.rights.allowed_connection_types = vec!["WEBSOCKET".into()];
            bytes(&yes(request, "OPEN", only))
        }),
        ("in none of the user's networks", |request| {
            bytes(&yes(request, "OPEN", |claims| claims.rights.sources = vec!["192.0.2.0/24".into()]))
        }),
        ("Auth callout response is not valid", |_| Some(b"certainly".to_vec())),
        ("Error or Jwt is required", |request| {
            let mut answer = yes(request, "OPEN", |_| {});
            answer.jwt.clear();
            bytes(&answer)
        }),
    ];
    for (why, answer) in wrong {
        let service = Service::start(&server, answer);
        server.refused(&user("bob", "b0b"), why);
        drop(service);
    }
}

#[test]
fn without_an_answer_a_login_ends_in_time_and_keeps_nobody_waiting() {
    let server = Running::start(&config(""));
    let silent = Service::start(&server, |_| None);
    let begun = Instant::now();
    let mut waiting: Vec<Peer> = (0..40)
        .map(|number| {
            let mut peer = server.peer();
            peer.say(&format!("CONNECT {{\"user\":\"u{number}\",\"pass\":\"x\"}}\r\nPING\r\n"));
            peer
        })
        .collect();
    for _ in 0..40 {
        silent.question();
    }
    // Forty wait; whoever needs no answer does not.
    server.admitted(&user("admin", "admin"));
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    for peer in &mut waiting {
        assert_eq!(peer.answer(), REFUSED);
        assert!(peer.is_closed());
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(990) && took < Duration::from_secs(5), "{took:?}");
    server.logged("Authorization callout response not received in time");
}

#[test]
fn without_a_service_nobody_comes_in_but_the_service_and_its_like() {
    let server = Running::start(&config(""));
    server.refused(&user("bob", "b0b"), "Authorization callout response not received in time");
    // A right password is no substitute.
    assert_eq!(server.login(&user("clerk", "clerk")).1, REFUSED);
    server.admitted(&user("auth", "auth"));
}

#[test]
fn users_of_accounts_that_are_not_asked_about_log_in_by_themselves() {
    let server = Running::start(&config("allowed_accounts: [OPEN]"));
    let service = Service::start(&server, open_to_all);
    server.admitted(&user("clerk", "clerk"));
    server.refused(&user("auth", "wrong"), "wrong password");
    service.was_not_asked();
    server.admitted(&user("bob", "b0b"));
    service.question();
}

#[test]
fn nobody_in_the_services_account_can_ask_it() {
    let server = Running::start(&config(""));
    let service = Service::start(&server, open_to_all);
    let mut insider = server.admitted(&user("auth", "auth"));
    insider.publish("$SYS.REQ.USER.AUTH", None, b"x");
    assert_eq!(insider.answer(), "-ERR 'Permissions Violation for Publish to \"$SYS.REQ.USER.AUTH\"'");
    service.was_not_asked();
}

#[test]
fn cve_2023_46129_questions_are_sealed_for_the_service_alone() {
    let own = XKey::from_raw_seed(Secret::new([7; 32]));
    let server = Running::start(&config(&format!("xkey: {}", own.public())));
    let opener = own.clone();
    let service = Service::start_sealed(&server, Some(own.clone()), {
        Box::new(move |request| {
            let answer = open_to_all(request)?;
            Some(opener.seal(&answer, &request.server.xkey.parse().unwrap(), &[9; 24]))
        })
    });
    let mut bob = server.admitted(&user("bob", "b0b"));
    assert_eq!(bob.who()["account"], "OPEN");
    server.admitted(&user("bob", "b0b"));
    let ((request, first), (_, second)) = (service.question(), service.question());
    assert!(first.payload.starts_with(b"xkv1") && first.payload[4..28] != second.payload[4..28]);
    assert_eq!(request.server.xkey, server_xkey(&first).to_string());
    let nobody = XKey::from_raw_seed(Secret::new([0; 32]));
    assert!(nobody.open(&first.payload, &server_xkey(&first)).is_err());
    let text = String::from_utf8_lossy(&first.payload).into_owned();
    assert!(!text.contains("eyJ"));
}

#[test]
fn where_questions_are_sealed_an_answer_in_the_clear_is_refused() {
    let own = XKey::from_raw_seed(Secret::new([7; 32]));
    let server = Running::start(&config(&format!("xkey: {}", own.public())));
    let clear = Service::start_sealed(&server, Some(own.clone()), Box::new(open_to_all));
    server.refused(&user("bob", "b0b"), "the response is not encrypted");
    drop(clear);
    let stranger = XKey::from_raw_seed(Secret::new([8; 32]));
    let _sealed_by_a_stranger = Service::start_sealed(&server, Some(own), {
        Box::new(move |request| {
            let answer = open_to_all(request)?;
            Some(stranger.seal(&answer, &request.server.xkey.parse().unwrap(), &[9; 24]))
        })
    });
    server.refused(&user("bob", "b0b"), "Error decrypting auth callout response");
}

#[test]
fn a_user_stays_as_long_as_its_claims() {
    let server = Running::start(&config(""));
    let _service =
        Service::start(&server, |request| bytes(&yes(request, "OPEN", |claims| claims.common.expires = seconds() + 2)));
    let mut bob = server.admitted(&user("bob", "b0b"));
    assert_eq!(bob.answer(), "-ERR 'User Authentication Expired'");
    assert!(bob.is_closed());
}

#[test]
fn a_reload_judges_the_services_word_again_and_does_not_ask_it() {
    let server = Running::start(&config(""));
    let service = Service::start(&server, open_to_all);
    let mut bob = server.admitted(&user("bob", "b0b"));
    bob.subscribe("a", "1");
    service.question();
    server.reload(&config("").replace("timeout: 1", "timeout: 1.5"));
    bob.say("PUB a 1\r\nx\r\n");
    assert_eq!([bob.answer(), bob.answer()], ["MSG a 1 1", "x"]);
    service.was_not_asked();
    let other = key(Role::Account, "new issuer").public().to_string();
    server.reload(&config("").replace(&issuer().public().to_string(), &other));
    assert_eq!(bob.answer(), REFUSED);
    assert!(bob.is_closed());
    service.was_not_asked();
}

#[test]
fn a_peer_that_shows_nothing_is_asked_about_as_the_user_for_such_peers() {
    let server = Running::start(&format!("{}\nno_auth_user: clerk\n", config("")));
    let service = Service::start(&server, open_to_all);
    let mut silent = server.peer();
    silent.say("PING\r\n");
    assert_eq!(silent.answer(), "PONG");
    let (request, _) = service.question();
    assert_eq!((request.client.user.as_str(), request.connect.password.as_str()), ("clerk", ""));
    silent.say("SUB x 1\r\nPUB $SYS.REQ.USER.INFO x 0\r\n\r\n");
    let who = silent.message_or_end().expect("a message").json();
    assert_eq!(who["data"]["account"], "OPEN");
}

#[test]
fn a_signature_is_shown_with_the_nonce_that_was_signed() {
    let pair = key(Role::User, "robot");
    let more = format!("\naccounts {{ BOTS {{ users: [{{ nkey: {} }}] }} }}", key(Role::User, "known").public());
    let config = config("").replacen("accounts {", &format!("accounts {{{}", &more[12..more.len() - 2]), 1);
    let server = Running::start(&config);
    let service = Service::start(&server, open_to_all);
    let mut robot = server.peer();
    let nonce = robot.nonce();
    let signature = data_encoding::BASE64URL_NOPAD.encode(&pair.sign(nonce.as_bytes()));
    let options: Value = json!({ "nkey": pair.public().to_string(), "sig": signature });
    assert_eq!(robot.connect(&options), "PONG");
    let (request, _) = service.question();
    assert_eq!((request.client.nonce, request.connect.signature), (nonce, signature));
    assert_eq!(request.connect.nkey, pair.public().to_string());
}

/// The handshake of a client, up to its end. What the peer reads afterwards is sealed, and nobody here looks at it.
fn connect_tls(socket: &mut TcpStream, client: &tls::ClientTls) -> tls::Layer {
    let mut handshake = client.connect("localhost").unwrap();
    loop {
        let mut out = Vec::new();
        let step = handshake.step(&mut out).unwrap();
        socket.write_all(&out).unwrap();
        if let tls::Step::Done(established) = step {
            return established.layer;
        }
        let mut bytes = [0; 4096];
        let read = socket.read(&mut bytes).unwrap();
        handshake.feed(&bytes[..read]).unwrap();
    }
}

#[test]
fn the_question_says_over_which_tls_and_with_which_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("Root");
    std::fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
    for (name, subject) in [("server", Subject::named("server").dns("localhost")), ("bob", Subject::named("bob"))] {
        let identity = authority.issue(subject);
        std::fs::write(folder.path().join(format!("{name}.pem")), &identity.chain_pem).unwrap();
        std::fs::write(folder.path().join(format!("{name}.key")), &identity.key_pem).unwrap();
    }
    let shown = std::fs::read_to_string(folder.path().join("bob.pem")).unwrap();
    let at = folder.path().to_owned();
    let more = format!(
        "tls {{ cert_file: '{0}/server.pem', key_file: '{0}/server.key', ca_file: '{0}/ca.pem', verify: true }}
         allow_non_tls: true",
        at.display()
    );
    let server = Running::start_in(folder, &format!("{}\n{more}\n", config("")));
    let service = Service::start(&server, open_to_all);
    let own = tls::CertificateFiles::new("bob.pem", "bob.key");
    let settings = tls::Settings { certificates: vec![own], ca_file: Some("ca.pem".into()), ..Default::default() };
    let client = tls::ClientTls::build(&settings, &|path: &Path| std::fs::read(at.join(path))).unwrap();
    let peer = server.peer();
    let mut socket = peer.handle();
    let mut layer = connect_tls(&mut socket, &client);
    let mut wire = Vec::new();
    layer.seal(b"CONNECT {\"user\":\"bob\",\"pass\":\"b0b\"}\r\n", &mut wire);
    layer.finish(&mut wire);
    socket.write_all(&wire).unwrap();
    let (request, _) = service.question();
    let tls = request.tls.expect("the question says over which TLS");
    assert_eq!(tls.version, "1.3");
    assert!(tls.cipher.starts_with("TLS_"), "{}", tls.cipher);
    assert!(tls.certs.is_empty());
    let [chain] = tls.verified_chains.as_slice() else { panic!("{:?}", tls.verified_chains) };
    assert_eq!(chain[0].trim_end(), shown.trim_end());
    drop(peer);
}
