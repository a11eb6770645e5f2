//! Logins in configuration mode, one scene each.

use auth::settings::{Distinguished, Settings, UserSettings};
use auth::{Attempt, CertificateName, ConnectionKind, Cost, Credentials, Proof, Refusal, UserLabel};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use nkeys::{KeyPair, Role, Secret};
use subject::Subject;
use testkit::accounts::{Words, attempt, compiled, directory, nkey_user, robot, settings, shop, user};

use crate::{admitted, refused};

const NONCE: &[u8] = b"CENsBMmAqEA7nNk";

fn silent() -> Attempt {
    Attempt::silent(ConnectionKind::Standard)
}

fn token(token: &str) -> Attempt {
    let credentials = Credentials { token: Some(token.into()), ..Credentials::default() };
    Attempt { credentials: credentials.tidy(), ..silent() }
}

fn signed(key: &KeyPair) -> Attempt {
    let signature = BASE64URL_NOPAD.encode(&key.sign(NONCE));
    let credentials =
        Credentials { nkey: Some(key.public().to_string()), signature: Some(signature), ..Credentials::default() };
    Attempt { credentials, nonce: Some(NONCE.into()), ..silent() }
}

fn single(name: &str, password: &str) -> Settings {
    let mut settings = Settings::default();
    settings.authorization.defined = true;
    settings.authorization.user = Some(name.into());
    settings.authorization.password = Some(password.into());
    settings
}

#[test]
fn without_any_user_everybody_is_nobody_in_the_global_account() {
    let open = directory(vec![]);
    assert!(!open.requires_auth() && !open.announces_auth_required() && open.admits_silent_peers());
    let admission = admitted(&open, &silent());
    assert_eq!((admission.account.name.as_str(), admission.by), ("$G", Proof::NotRequired));
    assert_eq!(admitted(&open, &attempt("bob", "x")).user.tag(), "user:bob");
    assert!(admission.permissions.publish(Subject::parse(b"a").unwrap()).is_ok());
}

#[test]
fn a_user_with_the_right_password_gets_its_account_and_rules() {
    let shop = compiled(&shop());
    let admission = admitted(&shop, &attempt("alice", "alice"));
    assert_eq!((admission.account.name.as_str(), admission.user.tag()), ("SHOP", "user:alice".into()));
    assert_eq!(admission.permissions.lists().publish_allow, Some(vec!["orders.>"]));
    assert!(shop.requires_auth() && shop.announces_auth_required() && !shop.admits_silent_peers());
}

#[test]
fn everyone_else_is_refused_for_a_precise_reason_and_reads_the_same() {
    let shop = compiled(&shop());
    for (attempt, expected) in [
        (attempt("alice", "bob"), Refusal::WrongPassword("alice".into())),
        (attempt("alice", ""), Refusal::WrongPassword("alice".into())),
        (attempt("mallory", "x"), Refusal::UnknownUser("mallory".into())),
        (attempt("", "alice"), Refusal::NoCredentials),
        (silent(), Refusal::NoCredentials),
        (token("alice"), Refusal::NoCredentials),
    ] {
        let refusal = refused(&shop, &attempt);
        assert_eq!((refusal.wire_text(), &refusal), ("Authorization Violation", &expected));
    }
}

#[test]
fn a_hashed_password_works_like_a_plain_one() {
    let hash = bcrypt::hash("s3cret", 4).unwrap();
    let directory = directory(vec![("A", vec![user("a").password(&hash), user("b").password("plain")])]);
    assert_eq!(admitted(&directory, &attempt("a", "s3cret")).by, Proof::Password);
    assert_eq!(refused(&directory, &attempt("a", &hash)), Refusal::WrongPassword("a".into()));
    assert_eq!(refused(&directory, &attempt("a", "")), Refusal::WrongPassword("a".into()));
    assert_eq!(admitted(&directory, &attempt("b", "plain")).by, Proof::Password);
}

#[test]
fn what_takes_long_is_known_beforehand() {
    let plain = directory(vec![("A", vec![user("a").password("x")])]);
    assert_eq!((plain.cost(&attempt("a", "x")), plain.cost(&silent())), (Cost::Cheap, Cost::Cheap));
    let hashed = directory(vec![("A", vec![user("a").password(&bcrypt::hash("x", 4).unwrap())])]);
    for shown in [attempt("a", "x"), attempt("nobody", "x"), token("x"), attempt("a", "")] {
        assert_eq!(hashed.cost(&shown), Cost::Hash, "{shown:?}");
    }
    assert_eq!(hashed.cost(&silent()), Cost::Cheap);
    let signing = directory(vec![("A", vec![nkey_user(&robot().public().to_string())])]);
    assert_eq!((signing.cost(&signed(&robot())), signing.cost(&attempt("a", "x"))), (Cost::Signatures, Cost::Cheap));
    assert_eq!(directory(vec![]).cost(&attempt("a", "x")), Cost::Cheap);
}

#[test]
fn the_single_user_and_the_single_token_open_the_global_account() {
    let one = compiled(&single("bob", "b0b"));
    assert_eq!(admitted(&one, &attempt("bob", "b0b")).user, UserLabel::User("bob".into()));
    assert_eq!(refused(&one, &attempt("bob", "x")), Refusal::WrongPassword("bob".into()));
    assert_eq!(refused(&one, &attempt("eve", "b0b")), Refusal::UnknownUser("eve".into()));
    assert_eq!(refused(&one, &silent()), Refusal::NoCredentials);

    let mut settings = Settings::default();
    settings.authorization.token = Some("t0ken".into());
    let door = compiled(&settings);
    let admission = admitted(&door, &token("t0ken"));
    assert_eq!(
        (admission.account.name.as_str(), admission.user.tag(), admission.by),
        ("$G", "token".into(), Proof::Token)
    );
    for shown in [token("x"), token(""), silent(), attempt("t0ken", "t0ken")] {
        assert_eq!(refused(&door, &shown), Refusal::WrongToken);
    }
    assert!(!format!("{admission:?} {settings:?} {door:?}").contains("t0ken"));
}

#[test]
fn a_hashed_token_works_too() {
    let mut settings = Settings::default();
    settings.authorization.token = Some(bcrypt::hash("t0ken", 4).unwrap().as_str().into());
    let door = compiled(&settings);
    assert_eq!(admitted(&door, &token("t0ken")).by, Proof::Token);
    assert_eq!(refused(&door, &token("nope")), Refusal::WrongToken);
}

#[test]
fn default_permissions_bind_the_single_user_as_well() {
    let mut settings = single("bob", "b0b");
    let nothing = auth::settings::SideSettings { allow: Some(Vec::new()), deny: None };
    settings.authorization.default_permissions =
        Some(auth::settings::PermissionsSettings { publish: nothing, ..Default::default() });
    let admission = admitted(&compiled(&settings), &attempt("bob", "b0b"));
    assert!(admission.permissions.publish(Subject::parse(b"a").unwrap()).is_err());
}

#[test]
fn default_permissions_are_for_those_who_have_none() {
    let shop = compiled(&shop());
    let guest = admitted(&shop, &attempt("guest", "guest"));
    assert_eq!(guest.permissions.lists().subscribe_allow, Some(vec!["public.>"]));
    let owner = admitted(&shop, &attempt("owner", "owner"));
    assert_eq!(owner.permissions.lists().subscribe_allow, None, "an empty block of one's own is not absent");
    assert_eq!(admitted(&shop, &attempt("vault", "vault")).permissions.lists().subscribe_allow, None);
}

#[test]
fn an_nkey_user_signs_the_nonce() {
    let shop = compiled(&shop());
    assert!(shop.needs_nonce());
    let admission = admitted(&shop, &signed(&robot()));
    assert_eq!((admission.account.name.as_str(), admission.by), ("BANK", Proof::Signature));
    assert_eq!(admission.user, UserLabel::Nkey(robot().public().to_string()));

    let mut padded = signed(&robot());
    padded.credentials.signature = Some(BASE64.encode(&robot().sign(NONCE)));
    assert_eq!(admitted(&shop, &padded).by, Proof::Signature);
}

#[test]
fn a_signature_of_anything_else_is_worth_nothing() {
    let shop = compiled(&shop());
    let label = UserLabel::Nkey(robot().public().to_string());
    let with = |change: fn(&mut Attempt)| {
        let mut attempt = signed(&robot());
        change(&mut attempt);
        refused(&shop, &attempt)
    };
    let wrong = Refusal::SignatureWrong(label.clone());
    assert_eq!(with(|attempt| attempt.nonce = Some(b"another".as_slice().into())), wrong);
    assert_eq!(with(|attempt| attempt.nonce = None), wrong);
    assert_eq!(with(|attempt| attempt.credentials.signature = Some("AAAA".into())), wrong);
    assert_eq!(with(|attempt| attempt.credentials.signature = None), Refusal::SignatureMissing(label.clone()));
    assert_eq!(with(|attempt| attempt.credentials.signature = Some("!".into())), Refusal::SignatureMalformed(label));
    // Signed with an empty nonce, as by a peer that was never sent one.
    let empty = BASE64URL_NOPAD.encode(&robot().sign(b""));
    let mut attempt = Attempt { nonce: Some(Box::default()), ..signed(&robot()) };
    attempt.credentials.signature = Some(empty);
    assert_eq!(refused(&shop, &attempt), wrong);

    let stranger = KeyPair::from_raw_seed(Role::User, Secret::new([8; 32]));
    let key = stranger.public().to_string();
    assert_eq!(refused(&shop, &signed(&stranger)), Refusal::UnknownNkey(key.clone()));
    let mut forged = signed(&stranger);
    forged.credentials.nkey = Some(robot().public().to_string());
    assert!(matches!(refused(&shop, &forged), Refusal::SignatureWrong(_)));
    let mut hidden = attempt_with_nkey("alice", "alice", &key);
    assert_eq!(refused(&shop, &hidden), Refusal::UnknownNkey(key), "a password does not make up for a wrong nkey");
    hidden.credentials.nkey = None;
    assert_eq!(admitted(&shop, &hidden).by, Proof::Password);
}

fn attempt_with_nkey(name: &str, password: &str, key: &str) -> Attempt {
    let mut attempt = attempt(name, password);
    attempt.credentials.nkey = Some(key.into());
    attempt
}

#[test]
fn a_peer_that_shows_nothing_is_the_no_auth_user() {
    let mut settings =
        settings(vec![("A", vec![user("anon").password("hidden").publishes(&["x"]), user("b").password("b")])]);
    settings.authorization.no_auth_user = Some("anon".into());
    let directory = compiled(&settings);
    assert!(directory.requires_auth() && !directory.announces_auth_required() && directory.admits_silent_peers());
    let admission = admitted(&directory, &silent());
    assert_eq!((admission.by, admission.user.tag()), (Proof::Anonymous, "user:anon".into()));
    assert_eq!(admission.permissions.lists().publish_allow, Some(vec!["x"]));
    assert_eq!(admitted(&directory, &attempt("b", "b")).by, Proof::Password);
    // Its name is not a key: with a name comes a password.
    assert_eq!(refused(&directory, &attempt("anon", "guess")), Refusal::WrongPassword("anon".into()));
    assert_eq!(refused(&directory, &attempt("", "guess")), Refusal::NoCredentials);
    assert_eq!(refused(&directory, &token("guess")), Refusal::NoCredentials);
}

#[test]
fn the_no_auth_user_may_be_an_nkey_user() {
    let key = robot().public().to_string();
    let mut settings = settings(vec![("A", vec![nkey_user(&key), user("b").password("b")])]);
    settings.authorization.no_auth_user = Some(key.clone());
    let directory = compiled(&settings);
    assert_eq!(admitted(&directory, &silent()).user, UserLabel::Nkey(key.clone()));
    assert_eq!(admitted(&directory, &attempt("b", "b")).by, Proof::Password);
}

#[test]
fn a_user_is_limited_to_kinds_of_connections() {
    let users = vec![
        user("ws").password("ws").connects_by(&[ConnectionKind::WebSocket]),
        user("tcp").password("tcp").connects_by(&[ConnectionKind::Standard, ConnectionKind::Mqtt]),
    ];
    let directory = directory(vec![("A", users)]);
    let label = UserLabel::User("ws".into());
    assert_eq!(refused(&directory, &attempt("ws", "ws")), Refusal::KindNotAllowed(label, ConnectionKind::Standard));
    assert_eq!(refused(&directory, &attempt("ws", "no")), Refusal::WrongPassword("ws".into()));
    assert!(admitted(&directory, &attempt("tcp", "tcp")).by == Proof::Password);
    let over_websocket = Attempt { kind: ConnectionKind::WebSocket, ..attempt("ws", "ws") };
    assert_eq!(admitted(&directory, &over_websocket).by, Proof::Password);
}

#[test]
fn nobody_chooses_an_account() {
    let shop = compiled(&shop());
    let mut greedy = attempt("alice", "alice");
    greedy.credentials.names_account = true;
    assert_eq!(refused(&shop, &greedy), Refusal::NamesAccount);
    assert_eq!(refused(&directory(vec![]), &greedy), Refusal::NamesAccount);
}

fn proxy() -> KeyPair {
    KeyPair::from_raw_seed(Role::Server, Secret::new([9; 32]))
}

fn proxied(attempt: Attempt, by: &KeyPair) -> Attempt {
    let proxy_signature = Some(BASE64URL_NOPAD.encode(&by.sign(NONCE)));
    let credentials = Credentials { proxy_signature, ..attempt.credentials };
    Attempt { credentials, nonce: Some(NONCE.into()), ..attempt }
}

#[test]
fn a_user_behind_a_proxy_needs_one_that_is_trusted() {
    let inside = UserSettings { proxy_required: true, ..user("inside").password("i") };
    let mut settings = settings(vec![("A", vec![inside, user("any").password("a")])]);
    settings.trusted_proxies = vec![proxy().public().to_string()];
    let directory = compiled(&settings);
    assert!(directory.needs_nonce());
    let label = UserLabel::User("inside".into());
    assert_eq!(refused(&directory, &attempt("inside", "i")), Refusal::ProxyRequired(label));
    let admission = admitted(&directory, &proxied(attempt("inside", "i"), &proxy()));
    assert_eq!(admission.proxy, Some(proxy().public().to_string()));
    let stranger = KeyPair::from_raw_seed(Role::Server, Secret::new([1; 32]));
    assert_eq!(refused(&directory, &proxied(attempt("any", "a"), &stranger)), Refusal::ProxyNotTrusted);
    assert_eq!(admitted(&directory, &attempt("any", "a")).proxy, None);
    let mut replayed = proxied(attempt("any", "a"), &proxy());
    replayed.nonce = Some(b"later".as_slice().into());
    assert_eq!(refused(&directory, &replayed), Refusal::ProxyNotTrusted);

    settings.trusted_proxies.clear();
    let unproxied = compiled(&settings);
    assert_eq!(admitted(&unproxied, &proxied(attempt("any", "a"), &proxy())).proxy, None);
    assert!(matches!(refused(&unproxied, &proxied(attempt("inside", "i"), &proxy())), Refusal::ProxyRequired(_)));
}

#[test]
fn the_single_user_can_be_behind_a_proxy() {
    let mut settings = single("bob", "b");
    settings.authorization.proxy_required = true;
    settings.trusted_proxies = vec![proxy().public().to_string()];
    let directory = compiled(&settings);
    assert!(matches!(refused(&directory, &attempt("bob", "b")), Refusal::ProxyRequired(_)));
    assert_eq!(admitted(&directory, &proxied(attempt("bob", "b"), &proxy())).by, Proof::Password);
}

fn distinguished(ordered: &str, any_order: &str) -> Distinguished {
    Distinguished { ordered: ordered.into(), any_order: any_order.into() }
}

fn mapped(users: Vec<UserSettings>) -> auth::Directory {
    let mut settings = settings(vec![("A", users)]);
    settings.certificate_kinds = vec![ConnectionKind::Standard];
    compiled(&settings)
}

fn certificate(names: Vec<CertificateName>) -> Attempt {
    Attempt { certificate: Some(names), ..silent() }
}

#[test]
fn a_certificate_names_its_user_by_the_first_name_that_is_known() {
    use CertificateName::{Dns, Email, Subject, Uri};
    let directory = mapped(vec![user("a@b.c"), user("host"), user("spiffe://x/y"), user("CN=joe")]);
    let who = |names| admitted(&directory, &certificate(names)).user.name().to_owned();
    assert_eq!(who(vec![Email("a@b.c".into()), Dns("host".into())]), "a@b.c");
    assert_eq!(who(vec![Email("x@y.z".into()), Dns("host".into())]), "host");
    assert_eq!(who(vec![Email("x@y.z".into()), Uri("spiffe://x/y".into())]), "spiffe://x/y");
    assert_eq!(who(vec![Subject("CN=joe".into())]), "CN=joe");
    assert_eq!(
        refused(&directory, &certificate(vec![Dns("other".into()), Subject("CN=eve".into())])),
        Refusal::CertificateUnknown(vec!["other".into(), "CN=eve".into()])
    );
    assert_eq!(refused(&directory, &certificate(vec![])), Refusal::CertificateUnknown(vec![]));
    assert_eq!(refused(&directory, &silent()), Refusal::CertificateMissing);
}

#[test]
fn what_connect_says_does_not_matter_beside_a_certificate() {
    let directory = mapped(vec![user("host"), user("root").password("r")]);
    let shown = Attempt { certificate: Some(vec![CertificateName::Dns("host".into())]), ..attempt("root", "r") };
    assert_eq!(admitted(&directory, &shown).user.name(), "host");
    assert_eq!(refused(&directory, &attempt("root", "r")), Refusal::CertificateMissing);
}

#[test]
fn a_subject_is_first_compared_in_order_and_then_in_any_order() {
    let named = |name: &str, ordered: &str, any: &str| UserSettings {
        distinguished: Some(Box::new(distinguished(ordered, any))),
        ..user(name)
    };
    let directory = mapped(vec![named("CN=a,O=b", "CN=a,O=b", "CN=a,O=b"), named("O=b,CN=a", "O=b,CN=a", "CN=a,O=b")]);
    let who = |dn| admitted(&directory, &certificate(vec![CertificateName::Distinguished(dn)])).user.name().to_owned();
    assert_eq!(who(distinguished("O=b,CN=a", "CN=a,O=b")), "O=b,CN=a");
    assert_eq!(who(distinguished("CN=a,O=b", "CN=a,O=b")), "CN=a,O=b");
    assert_eq!(who(distinguished("X", "CN=a,O=b")), "CN=a,O=b", "among equals the first by name");
}

#[test]
fn a_user_that_may_not_connect_like_this_is_not_found_by_certificate() {
    let directory = mapped(vec![user("host").connects_by(&[ConnectionKind::WebSocket]), user("mail")]);
    let names = vec![CertificateName::Dns("host".into()), CertificateName::Email("mail".into())];
    assert_eq!(admitted(&directory, &certificate(names)).user.name(), "mail");
}

#[test]
fn a_user_known_by_certificate_does_not_come_in_with_an_empty_password() {
    let directory = mapped(vec![user("host"), user("both").password("b")]);
    let over = |shown: Attempt| Attempt { kind: ConnectionKind::WebSocket, ..shown };
    assert_eq!(refused(&directory, &over(attempt("host", ""))), Refusal::CertificateRequired("host".into()));
    assert_eq!(refused(&directory, &over(attempt("host", "x"))), Refusal::CertificateRequired("host".into()));
    assert_eq!(admitted(&directory, &over(attempt("both", "b"))).by, Proof::Password);
    // Where no listener maps certificates, a user without password is one whose password is empty.
    let plain = self::directory(vec![("A", vec![user("host")])]);
    assert_eq!(admitted(&plain, &over(attempt("host", ""))).by, Proof::Password);
    assert_eq!(refused(&plain, &over(attempt("host", "x"))), Refusal::WrongPassword("host".into()));
}

#[test]
fn limits_of_the_account_are_limits_of_the_connection() {
    let mut settings = shop();
    settings.accounts[0].limits =
        account::Limits { max_payload: Some(10), max_subscriptions: Some(3), ..Default::default() };
    let admission = admitted(&compiled(&settings), &attempt("alice", "alice"));
    assert_eq!((admission.limits.max_payload, admission.limits.max_subscriptions), (Some(10), Some(3)));
    assert_eq!(admitted(&compiled(&settings), &attempt("teller", "teller")).limits.max_payload, None);
}

#[test]
fn the_same_user_is_the_same_identity_and_another_is_not() {
    let shop = compiled(&shop());
    let alice = admitted(&shop, &attempt("alice", "alice"));
    assert!(alice.is_same_identity(&admitted(&shop, &attempt("alice", "alice"))));
    assert!(!alice.is_same_identity(&admitted(&shop, &attempt("clerk", "clerk"))));
    assert!(!alice.is_same_identity(&admitted(&shop, &signed(&robot()))));
}

#[test]
fn labels_name_the_peer_and_never_its_secret() {
    let label = |attempt: &Attempt| (attempt.claimed().to_string(), attempt.claimed().tag());
    assert_eq!(label(&attempt("bob", "s3cret")), ("User \"bob\"".into(), "user:bob".into()));
    assert_eq!(label(&token("s3cret")), ("Token \"[REDACTED]\"".into(), "token".into()));
    assert_eq!(label(&silent()), ("User \"N/A\"".into(), String::new()));
    assert!(label(&signed(&robot())).0.starts_with("Nkey \"U"));
    assert!(!format!("{:?}", attempt("bob", "s3cret")).contains("s3cret"));
}
