//! Claims of every shape over the wire, and services that decide where accounts are claims.

use jwt::testing::{Chain, NOW, TestAccount, TestUser, key, resign};
use jwt::{AllowedAccount, AuthorizationResponse, UserClaims};
use nkeys::{KeyPair, Role, Secret, XKey};
use serde_json::{Value, json};

use crate::callout::Service;
use crate::running::{Peer, REFUSED, Running, seconds};

/// A server with these accounts in memory.
fn serve(chain: &Chain, accounts: &[&TestAccount]) -> Running {
    let system = chain.account("SYS");
    let entry = |account: &TestAccount| format!("{}: {}\n", account.key.public(), account.token());
    let preload: String = accounts.iter().map(|account| entry(account)).chain([entry(&system)]).collect();
    Running::start(&format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{\n{preload}}}\nauthorization {{ timeout: 1 }}\n",
        chain.token(),
        system.key.public()
    ))
}

fn log_in(server: &Running, token: &str, signer: &KeyPair) -> (Peer, String) {
    let mut peer = server.peer();
    let signature = data_encoding::BASE64URL_NOPAD.encode(&signer.sign(peer.nonce().as_bytes()));
    let answer = peer.connect(&json!({ "jwt": token, "sig": signature }));
    (peer, answer)
}

fn user_login(server: &Running, user: &TestUser) -> (Peer, String) {
    log_in(server, &user.token(), &user.key)
}

/// What a token with these claims about a user of the account comes to. The server lives on.
fn odd(server: &Running, account: &TestAccount, user: &TestUser, change: impl FnOnce(&mut Value)) {
    let mut claims = json!({
        "iss": account.key.public().to_string(), "sub": user.key.public().to_string(), "iat": NOW.as_secs(),
        "jti": "x", "name": "odd", "nats": { "version": 2, "type": "user", "subs": -1, "data": -1, "payload": -1 },
    });
    change(&mut claims);
    let (mut peer, answer) = log_in(server, &resign(&account.key, &claims.to_string()), &user.key);
    assert_eq!(answer, REFUSED, "{claims}");
    assert!(peer.is_closed());
}

#[test]
fn cve_2020_26521_odd_claims_are_refused_and_the_server_lives_on() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let user = shop.user("joe");
    let server = serve(&chain, &[&shop]);
    for nats in [json!(null), json!([]), json!("x"), json!(7), json!({}), json!({ "version": 2 })] {
        odd(&server, &shop, &user, |claims| claims["nats"] = nats);
    }
    let fields = ["pub", "sub", "resp", "src", "times", "subs", "payload", "bearer_token", "allowed_connection_types"];
    for field in fields {
        for value in [json!("\u{0}"), json!(1e308), json!([[[]]]), json!(-1.5)] {
            odd(&server, &shop, &user, |claims| claims["nats"][field] = value);
        }
    }
    for (field, value) in
        [("pub", json!({ "allow": 7 })), ("sub", json!({ "deny": {} })), ("resp", json!({ "max": "x" }))]
    {
        odd(&server, &shop, &user, |claims| claims["nats"][field] = value);
    }
    for (field, value) in [("iat", json!("now")), ("exp", json!([])), ("sub", json!(null)), ("iss", json!(7))] {
        odd(&server, &shop, &user, |claims| claims[field] = value);
    }
    odd(&server, &shop, &user, |claims| claims["nats"]["version"] = json!(3));
    odd(&server, &shop, &user, |claims| claims["nats"]["src"] = json!(["999.0.0.0/8"]));
    odd(&server, &shop, &user, |claims| claims["nats"]["times"] = json!([{ "start": "x", "end": "y" }]));
    assert_eq!(user_login(&server, &user).1, "PONG");
}

#[test]
fn fix_d64a5d5_a_permission_of_blanks_refuses_the_user() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let server = serve(&chain, &[&shop]);
    for blank in ["", " ", "\t", "a b c"] {
        odd(&server, &shop, &shop.user("joe"), |claims| claims["nats"]["pub"] = json!({ "allow": [blank] }));
    }
}

#[test]
fn ghsa_g33f_truncated_keys_are_refused_and_the_server_lives_on() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let user = shop.user("joe");
    let server = serve(&chain, &[&shop]);
    let (account, subject) = (shop.key.public().to_string(), user.key.public().to_string());
    for length in [0, 1, 2, 8, 31, 32, 54, 55] {
        for (field, text) in [("iss", &account), ("sub", &subject)] {
            odd(&server, &shop, &user, |claims| claims[field] = json!(&text[..length]));
        }
        odd(&server, &shop, &user, |claims| claims["nats"]["issuer_account"] = json!(&account[..length.max(1)]));
    }
    let longer = format!("{account}A");
    odd(&server, &shop, &user, |claims| claims["iss"] = json!(longer));
    let wrong_sum = format!("{}A", &subject[..55]);
    odd(&server, &shop, &user, |claims| claims["sub"] = json!(wrong_sum.replace(&subject, "")));
    odd(&server, &shop, &user, |claims| claims["sub"] = json!(account));
    assert_eq!(user_login(&server, &user).1, "PONG");
}

#[test]
fn tokens_that_are_none_are_refused() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let user = shop.user("joe");
    let server = serve(&chain, &[&shop]);
    let token = user.token();
    let parts: Vec<&str> = token.split('.').collect();
    let none = data_encoding::BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"none"}"#);
    let tokens = [
        String::new(),
        "x".into(),
        "..".into(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.{}.x", parts[0], parts[1], parts[2]),
        shop.token(),
        chain.token(),
    ];
    for token in tokens {
        assert_eq!(log_in(&server, &token, &user.key).1, REFUSED, "{token}");
    }
    assert_eq!(user_login(&server, &user).1, "PONG");
}

#[test]
fn scopes_fill_in_their_templates_and_refuse_what_would_widen_them() {
    let chain = Chain::new("acme");
    let mut shop = chain.account("shop");
    let signer = shop.add_scope("till", |scope| {
        scope.template.permissions.publish.allow = vec!["u.{{name()}}.>".into(), "$SYS.REQ.USER.INFO".into()];
        scope.template.permissions.publish.deny = vec!["u.{{name()}}.x.{{tag(team)}}".into()];
    });
    let tagged =
        |name: &str| shop.scoped_user(name, &signer).with(|claims| claims.common.tags = vec!["team:red".into()]);
    let server = serve(&chain, &[&shop]);
    let (mut joe, answer) = user_login(&server, &tagged("joe"));
    assert_eq!(answer, "PONG");
    let granted = joe.who()["permissions"]["publish"].clone();
    assert_eq!(granted, json!({ "allow": ["u.joe.>", "$SYS.REQ.USER.INFO"], "deny": ["u.joe.x.red"] }));
    // A deny that cannot be filled in refuses; so does a name that would make the rule another one.
    assert_eq!(user_login(&server, &shop.scoped_user("ann", &signer)).1, REFUSED);
    for name in ["*", ">", "a..b", "a b", "", "a.>"] {
        assert_eq!(user_login(&server, &tagged(name)).1, REFUSED, "{name:?}");
    }
    let own_rights = tagged("joe").with(|claims| claims.rights.permissions.publish.allow = vec![">".into()]);
    assert_eq!(user_login(&server, &own_rights).1, REFUSED);
}

#[test]
fn bearers_kinds_places_and_times_bind() {
    let chain = Chain::new("acme");
    let (shop, strict) = (chain.account("shop"), chain.account("strict"));
    let strict = strict.with(|claims| claims.limits.account.disallow_bearer = true);
    let server = serve(&chain, &[&shop, &strict]);
    let bearer = |account: &TestAccount| account.user("b").with(|claims| claims.rights.bearer_token = true);
    let other = key(Role::User, "somebody else");
    assert_eq!(log_in(&server, &bearer(&shop).token(), &other).1, "PONG", "a bearer's token is enough");
    assert_eq!(log_in(&server, &bearer(&strict).token(), &bearer(&strict).key).1, REFUSED);
    let limited = |change: fn(&mut UserClaims)| user_login(&server, &shop.user("joe").with(change)).1;
    let kinds =
        |claims: &mut UserClaims| claims.rights.allowed_connection_types = vec!["STANDARD".into(), "FOO".into()];
    assert_eq!(limited(kinds), "PONG");
    assert_eq!(limited(|claims| claims.rights.allowed_connection_types = vec!["WEBSOCKET".into()]), REFUSED);
    assert_eq!(limited(|claims| claims.rights.allowed_connection_types = vec!["FOO".into()]), REFUSED);
    assert_eq!(limited(|claims| claims.rights.sources = vec!["127.0.0.0/8".into()]), "PONG");
    assert_eq!(limited(|claims| claims.rights.sources = vec!["10.0.0.0/8".into()]), REFUSED);
    assert_eq!(limited(|claims| claims.common.not_before = seconds() + 60), REFUSED);
}

/// A service in the account AUTH, which may place users in SHOP.
struct Decided {
    chain: Chain,
    auth: TestAccount,
    shop: TestAccount,
    service: TestUser,
}

impl Decided {
    fn new() -> Self {
        let chain = Chain::new("acme");
        let (mut auth, shop) = (chain.account("AUTH"), chain.account("shop"));
        let service = auth.user("service");
        auth.claims.authorization.auth_users = vec![service.key.public()];
        auth.claims.authorization.allowed_accounts = vec![AllowedAccount::Account(shop.key.public())];
        Self { chain, auth, shop, service }
    }

    /// What anybody may show to be asked about: it may do nothing by itself.
    fn sentinel(&self) -> TestUser {
        self.auth.user("sentinel").with(|claims| {
            claims.rights.bearer_token = true;
            claims.rights.permissions.publish.deny = vec![">".into()];
            claims.rights.permissions.subscribe.deny = vec![">".into()];
        })
    }

    fn start(&self) -> Running {
        serve(&self.chain, &[&self.auth, &self.shop])
    }

    /// A service that places everybody in this account, by this key.
    fn service(&self, server: &Running, account: &TestAccount, signer: &KeyPair, xkey: Option<XKey>) -> Service {
        let (peer, answer) = user_login(server, &self.service);
        assert_eq!(answer, "PONG");
        let (account, signer, own) = (account.key.public(), signer.clone(), self.auth.key.clone());
        let sealer = xkey.clone();
        Service::serve(
            peer,
            xkey,
            Box::new(move |request| {
                let mut claims = UserClaims::new(request.user_nkey, signer.public());
                claims.common.name = request.connect.user.clone();
                claims.issuer_account = (account != signer.public()).then_some(account);
                let mut answer = AuthorizationResponse::new(request.user_nkey, request.common.issuer, own.public());
                answer.jwt = claims.encode(&signer, seconds()).unwrap();
                let answer = answer.encode(&own, seconds()).unwrap().into_bytes();
                Some(match &sealer {
                    None => answer,
                    Some(own) => own.seal(&answer, &request.server.xkey.parse().unwrap(), &[9; 24]),
                })
            }),
        )
    }
}

/// A login as the sentinel, with a name and a password for the service.
fn as_anybody(server: &Running, sentinel: &TestUser) -> (Peer, String) {
    let mut peer = server.peer();
    let options = json!({ "jwt": sentinel.token(), "user": "bob", "pass": "b0b" });
    let answer = peer.connect(&options);
    (peer, answer)
}

#[test]
fn in_operator_mode_a_service_places_users_where_its_account_says() {
    let house = Decided::new();
    let server = house.start();
    let service = house.service(&server, &house.shop, &house.shop.key, None);
    let (mut bob, answer) = as_anybody(&server, &house.sentinel());
    assert_eq!(answer, "PONG");
    assert_eq!(bob.who()["account"], house.shop.key.public().to_string());
    let (request, _) = service.question();
    assert_eq!(request.common.subject, house.auth.key.public().to_string());
    assert_eq!((request.connect.user.as_str(), request.connect.password.as_str()), ("bob", "b0b"));
    assert_eq!(request.client.name_tag, "sentinel");
    // Users of accounts without a service are not asked about.
    assert_eq!(user_login(&server, &house.shop.user("joe")).1, "PONG");
    service.was_not_asked();
    drop(service);
    let elsewhere = house.chain.account("bank");
    let service = house.service(&server, &elsewhere, &elsewhere.key, None);
    assert_eq!(as_anybody(&server, &house.sentinel()).1, REFUSED);
    server.logged("not permitted as valid account option for auth callout");
    drop(service);
    let forged = house.service(&server, &house.shop, &key(Role::Account, "forger"), None);
    assert_eq!(as_anybody(&server, &house.sentinel()).1, REFUSED);
    drop(forged);
    assert_eq!(as_anybody(&server, &house.sentinel()).1, REFUSED, "nobody answers");
}

#[test]
fn in_operator_mode_questions_are_sealed_for_the_accounts_key() {
    let mut house = Decided::new();
    let xkey = XKey::from_raw_seed(Secret::new([7; 32]));
    house.auth.claims.authorization.xkey = Some(xkey.public());
    let server = house.start();
    let service = house.service(&server, &house.auth, &house.auth.key, Some(xkey));
    let (mut bob, answer) = as_anybody(&server, &house.sentinel());
    assert_eq!(answer, "PONG");
    assert_eq!(bob.who()["account"], house.auth.key.public().to_string());
    assert!(service.question().1.payload.starts_with(b"xkv1"));
}

#[test]
fn fix_aaf0255_an_account_that_has_no_service_any_more_decides_by_itself() {
    let mut house = Decided::new();
    let server = house.start();
    let service = house.service(&server, &house.auth, &house.auth.key, None);
    let (mut bob, answer) = as_anybody(&server, &house.sentinel());
    assert_eq!(answer, "PONG");
    service.question();
    house.auth.claims.authorization.auth_users.clear();
    house.auth.claims.authorization.allowed_accounts.clear();
    let renewed = house.auth.clone().issued(10);
    let (mut admin, answer) = user_login(&server, &house.chain.account("SYS").user("admin"));
    assert_eq!(answer, "PONG");
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", house.auth.key.public());
    let answer = admin.request(&subject, renewed.token().as_bytes()).json();
    assert_eq!(answer["data"]["message"], "jwt updated", "{answer}");
    // For bob nobody vouches any more: he is the sentinel, which is somebody else.
    assert!(bob.answer().is_empty() || bob.is_closed());
    let (mut sentinel, answer) = as_anybody(&server, &house.sentinel());
    assert_eq!(answer, "PONG");
    sentinel.say("PUB a 1\r\nx\r\n");
    assert_eq!(sentinel.answer(), "-ERR 'Permissions Violation for Publish to \"a\"'");
    service.was_not_asked();
}
