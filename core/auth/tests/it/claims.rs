//! Logins with user claims: what the chain of trust grants, as an admission.

use std::sync::Arc;

use account::AccountIds;
use auth::{
    Attempt, ConnectionKind, Cost, Credentials, Directory, OperatorSettings, Proof, Refusal, UserLabel, Verdict,
    authenticate,
};
use jwt::UtcOnly;
use jwt::chain::{AccountRefusal, UserRefusal};
use jwt::testing::{Chain, NOW, TestAccount, TestUser, key};
use moment::Timestamp;
use nkeys::{KeyPair, Role};

use crate::subject;

pub(crate) const NONCE: &[u8] = b"CENsBMmAqEA7nNk";

/// A directory of this operator with these accounts at hand.
pub(crate) fn directory(chain: &Chain, accounts: &[&TestAccount]) -> Directory {
    with(operators(chain), accounts)
}

pub(crate) fn operators(chain: &Chain) -> OperatorSettings {
    let (trust, zones) = (chain.trust(), Arc::new(UtcOnly));
    OperatorSettings {
        trust,
        system_account: None,
        default_sentinel: None,
        trusted_proxies: Vec::new(),
        zones,
        chain: auth::AuthChain::default(),
    }
}

pub(crate) fn with(settings: OperatorSettings, accounts: &[&TestAccount]) -> Directory {
    let mut ids = AccountIds::default();
    let directory = Directory::of_operators(settings, &mut ids).expect("the settings of the test are sound");
    accounts.iter().fold(directory, |directory, account| {
        let trusted = directory.trust().unwrap().admit_account(&account.token(), &account.key.public(), NOW);
        directory.with_account(trusted.expect("the account of the test is valid"), &mut ids, NOW).0
    })
}

pub(crate) fn shows(token: &str) -> Attempt {
    let mut attempt = Attempt::silent(ConnectionKind::Standard);
    attempt.nonce = Some(NONCE.into());
    attempt.credentials = Credentials { jwt: Some(token.into()), ..Credentials::default() };
    attempt
}

pub(crate) fn attempt(user: &TestUser) -> Attempt {
    let mut attempt = shows(&user.token());
    attempt.credentials.signature = Some(user.sign(NONCE));
    attempt
}

fn refusal(directory: &Directory, attempt: &Attempt) -> UserRefusal {
    match authenticate(directory, attempt, NOW) {
        Verdict::Refuse(Refusal::User(_, refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn admission(directory: &Directory, attempt: &Attempt) -> auth::Admission {
    let verdict = authenticate(directory, attempt, NOW);
    let shown = format!("{verdict:?}");
    verdict.admitted().expect(&shown)
}

#[test]
fn a_user_of_a_known_account_gets_what_its_claims_say() {
    let chain = Chain::new("acme");
    let mut shop = chain.account("shop");
    shop.claims.limits.nats.payload = 100;
    shop.claims.limits.nats.subs = 5;
    shop.claims.limits.account.conn = 7;
    let joe = shop.user("joe").with(|claims| {
        claims.rights.permissions.publish.allow = vec!["orders.>".into()];
        claims.rights.permissions.subscribe.deny = vec!["orders.secret q".into()];
        claims.rights.limits.subs = 9;
        claims.rights.limits.payload = 50;
        claims.common.expires = NOW.as_secs() + 60;
        claims.common.tags = vec!["team:red".into()];
    });
    let directory = directory(&chain, &[&shop]);
    let admission = admission(&directory, &attempt(&joe));
    assert_eq!((admission.by, &admission.user), (Proof::Jwt, &UserLabel::Jwt(joe.key.public().to_string())));
    assert_eq!(admission.account.name.as_str(), shop.key.public().to_string());
    assert_eq!(admission.account.limits.max_connections, Some(7));
    assert_eq!((admission.limits.max_payload, admission.limits.max_subscriptions), (Some(50), Some(5)));
    assert_eq!((admission.expires, admission.account_expires), (Some(Timestamp::from_secs(NOW.as_secs() + 60)), None));
    let facts = admission.claims.unwrap();
    assert_eq!((&*facts.name, &*facts.account_name, &*facts.tags), ("joe", "shop", &["team:red".to_owned()][..]));
    let denial = admission.permissions.publish(subject("x")).unwrap_err();
    assert_eq!(denial.to_string(), "Publish Violation - Subject \"x\": no allow entry speaks of it");
    assert_eq!(admission.permissions.lists().subscribe_deny, ["orders.secret q"]);
}

#[test]
fn an_account_that_is_not_at_hand_is_asked_for() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let joe = attempt(&shop.user("joe"));
    let empty = directory(&chain, &[]);
    match authenticate(&empty, &joe, NOW) {
        Verdict::NeedAccount(key) => assert_eq!(key, shop.key.public()),
        other => panic!("{other:?}"),
    }
    assert!(
        empty.requires_auth() && empty.needs_nonce() && empty.announces_auth_required() && !empty.admits_silent_peers()
    );
    assert_eq!(empty.cost(&joe), Cost::Signatures);
    let known = directory(&chain, &[&shop]);
    assert!(authenticate(&known, &joe, NOW).admitted().is_some() && known.claims_of(&shop.key.public()).is_some());
    let (gone, _) = known.without_account(&shop.key.public(), &mut AccountIds::default(), NOW);
    assert!(matches!(authenticate(&gone, &joe, NOW), Verdict::NeedAccount(_)));
}

#[test]
fn an_account_stays_the_same_account_when_its_claims_change() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let mut ids = AccountIds::default();
    let trusted = |account: &TestAccount| account.trusted(&chain);
    let none = Directory::of_operators(operators(&chain), &mut ids).unwrap();
    let (first, _) = none.with_account(trusted(&shop), &mut ids, NOW);
    let renewed = shop.clone().with(|claims| claims.limits.account.conn = 1).issued(1);
    let (second, _) = first.with_account(trusted(&renewed), &mut ids, NOW);
    let joe = attempt(&shop.user("joe"));
    let (before, after) = (admission(&first, &joe), admission(&second, &joe));
    assert!(before.is_same_identity(&after) && before.account.id == after.account.id);
    assert_eq!((before.account.limits.max_connections, after.account.limits.max_connections), (None, Some(1)));
}

#[test]
fn mappings_in_the_claims_of_an_account_move_what_its_users_publish() {
    let chain = Chain::new("acme");
    let to = |subject: &str, weight| jwt::WeightedMapping { subject: subject.into(), weight, cluster: String::new() };
    let shop = chain.account("shop").with(|claims| {
        claims.mappings.insert("a.*".into(), vec![to("b.$1", 0)]);
    });
    let joe = admission(&directory(&chain, &[&shop]), &attempt(&shop.user("joe")));
    assert_eq!(joe.account.mappings.apply(subject("a.1"), None, 0), account::Mapped::To(b"b.1".to_vec()));
}

#[test]
fn the_operators_system_account_is_the_system_account() {
    let chain = Chain::new("acme");
    let (sys, shop) = (chain.account("SYS"), chain.account("shop"));
    let directory = directory(&chain, &[&sys, &shop]);
    let admin = admission(&directory, &attempt(&sys.user("admin")));
    assert!(admin.account.system && admin.permissions.publish(subject("$NRG.x")).is_ok());
    let joe = admission(&directory, &attempt(&shop.user("joe")));
    assert!(!joe.account.system && joe.permissions.publish(subject("$NRG.x")).is_err());
    assert_eq!(directory.accounts().system().name, admin.account.name);
}

#[test]
fn rules_of_a_scope_and_of_the_account_say_where_they_come_from() {
    let chain = Chain::new("acme");
    let mut shop = chain.account("shop");
    shop.claims.default_permissions.publish.deny = vec!["b.>".into()];
    let signer = shop.add_scope("team", |scope| {
        scope.template.permissions.publish.deny = vec!["a.{{name()}}".into()];
    });
    let directory = directory(&chain, &[&shop]);
    let why = |user: &TestUser, to: &str| {
        admission(&directory, &attempt(user)).permissions.publish(subject(to)).unwrap_err().because.to_string()
    };
    let scope =
        format!("deny \"a.ann\" (scope \"team\" of signing key {}, template \"a.{{{{name()}}}}\")", signer.public());
    assert_eq!(why(&shop.scoped_user("ann", &signer), "a.ann"), scope);
    assert_eq!(why(&shop.user("joe"), "b.x"), "deny \"b.>\" (default permissions of the account JWT)");
    let own = shop.user("eve").with(|claims| claims.rights.permissions.publish.deny = vec!["c".into()]);
    assert_eq!(why(&own, "c"), "deny \"c\" (user JWT)");
}

#[test]
fn a_bearer_signs_nothing_and_everyone_else_signs_this_nonce() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let directory = directory(&chain, &[&shop]);
    let bearer = shop.user("bearer").with(|claims| claims.rights.bearer_token = true);
    assert_eq!(admission(&directory, &shows(&bearer.token())).by, Proof::Jwt);
    let joe = shop.user("joe");
    assert_eq!(refusal(&directory, &shows(&joe.token())), UserRefusal::SignatureMissing);
    let mut other_nonce = attempt(&joe);
    other_nonce.nonce = Some(b"another".as_slice().into());
    assert_eq!(refusal(&directory, &other_nonce), UserRefusal::Signature);
    for empty in [None, Some(Box::default())] {
        let mut unasked = shows(&joe.token());
        unasked.credentials.signature = Some(joe.sign(b""));
        unasked.nonce = empty;
        assert_eq!(refusal(&directory, &unasked), UserRefusal::SignatureMissing);
    }
}

#[test]
fn without_claims_there_is_the_sentinel_or_nothing() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let silent = Attempt::silent(ConnectionKind::Standard);
    let bare = directory(&chain, &[&shop]);
    assert_eq!(crate::refused(&bare, &silent), Refusal::JwtMissing);
    assert!(matches!(crate::refused(&bare, &shows("e30.e30.e30")), Refusal::JwtMalformed(_)));
    assert_eq!(crate::refused(&bare, &testkit::accounts::attempt("bob", "b")), Refusal::JwtMissing);

    let sentinel = shop.user("sentinel").with(|claims| claims.rights.bearer_token = true).token();
    let settings = OperatorSettings { default_sentinel: Some(sentinel.as_str().into()), ..operators(&chain) };
    let guarded = with(settings, &[&shop]);
    assert!(guarded.admits_silent_peers());
    assert_eq!(admission(&guarded, &silent).claims.unwrap().name, "sentinel");
    assert_eq!(admission(&guarded, &shows("garbage")).claims.unwrap().name, "sentinel");
}

#[test]
fn an_mqtt_password_may_be_the_claims() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let directory = directory(&chain, &[&shop]);
    let bearer = shop.user("bearer").with(|claims| claims.rights.bearer_token = true);
    let shown = testkit::accounts::attempt("anything", &bearer.token());
    let over_mqtt = Attempt { kind: ConnectionKind::Mqtt, ..shown.clone() };
    assert_eq!(admission(&directory, &over_mqtt).claims.unwrap().name, "bearer");
    assert_eq!(crate::refused(&directory, &shown), Refusal::JwtMissing);
}

/// Claims that were compared with now instead of with when they were issued.
#[test]
fn cve_2020_26892_revocation_counts_from_when_claims_were_issued() {
    let chain = Chain::new("acme");
    let old = chain.account("shop").user("joe");
    let fresh = TestUser { issued_at: Timestamp::from_secs(NOW.as_secs() + 10), ..old.clone() };
    for everyone in [false, true] {
        let revoked = jwt::Revoked::Key(old.key.public());
        let shop = chain.account("shop").with(|claims| {
            claims.revocations.revoke(if everyone { jwt::Revoked::All } else { revoked }, NOW.as_secs() + 5);
        });
        let directory = directory(&chain, &[&shop]);
        assert_eq!(refusal(&directory, &attempt(&old)), UserRefusal::Revoked);
        assert!(authenticate(&directory, &attempt(&fresh), NOW).admitted().is_some());
    }
}

/// Odd and missing parts of user claims crashed the server.
#[test]
fn cve_2020_26521_odd_claims_are_refused() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let directory = directory(&chain, &[&shop]);
    let (user, account) = (key(Role::User, "odd").public(), shop.key.public());
    for nats in [
        "null",
        "[]",
        "1",
        "{}",
        r#"{"type":"user","version":2,"pub":null,"sub":[],"src":{}}"#,
        r#"{"type":"user","version":2,"times":[null]}"#,
    ] {
        let claims = format!(r#"{{"jti":"x","iat":1,"iss":"{account}","sub":"{user}","name":"odd","nats":{nats}}}"#);
        let token = jwt::testing::resign(&shop.key, &claims);
        assert!(authenticate(&directory, &shows(&token), NOW).admitted().is_none(), "{nats}");
    }
}

/// A truncated issuer key reached the signature check and crashed the server before login.
#[test]
fn advisory_2026_23_a_truncated_key_is_refused() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let directory = directory(&chain, &[&shop]);
    let user = key(Role::User, "odd").public().to_string();
    let whole = shop.key.public().to_string();
    for length in 0..whole.len() {
        let issuer = &whole[..length];
        let claims =
            format!(r#"{{"jti":"x","iat":1,"iss":"{issuer}","sub":"{user}","nats":{{"type":"user","version":2}}}}"#);
        let token = jwt::testing::resign(&shop.key, &claims);
        assert!(matches!(crate::refused(&directory, &shows(&token)), Refusal::JwtMalformed(_)));
    }
}

/// Kinds of connections in the scope of a signing key were ignored.
#[test]
fn fix_20d8d5a_a_scope_limits_kinds_of_connections() {
    let chain = Chain::new("acme");
    let mut shop = chain.account("shop");
    let signer = shop.add_scope("web", |scope| scope.template.allowed_connection_types = vec!["WEBSOCKET".into()]);
    let directory = directory(&chain, &[&shop]);
    let ann = attempt(&shop.scoped_user("ann", &signer));
    assert_eq!(refusal(&directory, &ann), UserRefusal::ConnectionType(jwt::ConnectionType::Standard));
    let over_websocket = Attempt { kind: ConnectionKind::WebSocket, ..ann };
    assert_eq!(admission(&directory, &over_websocket).by, Proof::Jwt);
}

#[test]
fn what_becomes_of_the_admitted_is_said_in_the_standard_words() {
    let user = key(Role::User, "joe").public();
    let words = |refusal| Refusal::User(user, refusal).farewell_text();
    assert_eq!(words(UserRefusal::Revoked), Some("User Authentication Revoked"));
    assert_eq!(words(UserRefusal::Expired), Some("User Authentication Expired"));
    assert_eq!(words(UserRefusal::Account(AccountRefusal::Expired)), Some("Account Authentication Expired"));
    assert_eq!(words(UserRefusal::UnknownIssuer(user)), None, "a signing key was removed: closed without a word");
    assert_eq!(Refusal::UnknownUser("x".into()).farewell_text(), Some("Authorization Violation"));
}

#[test]
fn proxies_vouch_for_users_of_claims_too() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let proxy = KeyPair::from_raw_seed(Role::Server, nkeys::Secret::new([9; 32]));
    let settings = OperatorSettings { trusted_proxies: vec![proxy.public().to_string()], ..operators(&chain) };
    let directory = with(settings, &[&shop]);
    let inside = attempt(&shop.user("inside").with(|claims| claims.rights.proxy_required = true));
    assert_eq!(refusal(&directory, &inside), UserRefusal::ProxyRequired);
    let mut proxied = inside;
    proxied.credentials.proxy_signature = Some(data_encoding::BASE64URL_NOPAD.encode(&proxy.sign(NONCE)));
    assert_eq!(admission(&directory, &proxied).proxy, Some(proxy.public().to_string()));
    let bad = OperatorSettings { trusted_proxies: vec!["x".into()], ..operators(&chain) };
    assert!(Directory::of_operators(bad, &mut AccountIds::default()).is_err());
}

#[test]
fn tags_of_user_and_account_are_limits_and_one_that_cannot_be_read_lets_nobody_in() {
    let chain = Chain::new("acme");
    let mut shop = chain.account("shop");
    shop.claims.common.tags = vec!["limit.messages_per_second:1000".into(), "limit.max_payload:64".into()];
    let joe = shop.user("joe").with(|claims| {
        claims.common.tags =
            vec!["team:red".into(), "limit.bytes_per_second:500".into(), "limit.max_connections:2".into()];
    });
    let admission = admission(&directory(&chain, &[&shop]), &attempt(&joe));
    assert_eq!(admission.account.limits.rates.messages.map(|rate| rate.per_second().get()), Some(1_000));
    assert_eq!(admission.limits.max_payload, Some(64));
    assert_eq!(admission.allowance.max_connections, Some(2));
    assert_eq!(admission.allowance.rates.bytes.map(|rate| rate.per_second().get()), Some(500));

    let unreadable = |directory: &Directory, user: &TestUser| match authenticate(directory, &attempt(user), NOW) {
        Verdict::Refuse(refusal @ Refusal::Limits(..)) => refusal.to_string(),
        other => panic!("{other:?}"),
    };
    let bob = shop.user("bob").with(|claims| claims.common.tags = vec!["limit.messages_per_second:few".into()]);
    let said = unreadable(&directory(&chain, &[&shop]), &bob);
    assert!(said.ends_with("the tag \"limit.messages_per_second:few\" is not a limit"), "{said}");
    shop.claims.common.tags.push("limit.rate:5".into());
    let said = unreadable(&directory(&chain, &[&shop]), &joe);
    assert!(said.ends_with("the tag \"limit.rate:5\" is not a limit"), "{said}");
}
