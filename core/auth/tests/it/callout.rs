//! Logins that an external service decides: when it is asked, what it reads, and what its answer can do.

use std::sync::Arc;
use std::time::Duration;

use account::AccountIds;
use auth::settings::{CalloutSettings, Judge, Place, Settings};
use auth::{
    Admission, Attempt, AuthChain, CALLOUT_SUBJECT, CalloutQuestion, CalloutRefusal, CalloutServer, Chance,
    ClientFacts, ConnectionKind, Decisions, Directory, OperatorSettings, Proof, Refusal, Verdict, authenticate,
    conclude,
};
use jwt::callout::ServerIdentity;
use jwt::chain::UserRefusal;
use jwt::testing::{Chain, NOW, TestAccount, key};
use jwt::{AllowedAccount, AuthorizationRequest, AuthorizationResponse, UserClaims, UtcOnly};
use nkeys::{KeyPair, Role, Secret, XKey};
use testkit::accounts::{Words, attempt, compiled, settings, user};

use crate::{claims, subject};

fn issuer() -> KeyPair {
    key(Role::Account, "callout issuer")
}

fn xkey(byte: u8) -> XKey {
    XKey::from_raw_seed(Secret::new([byte; 32]))
}

fn server() -> CalloutServer {
    let identity =
        ServerIdentity { name: "n1".into(), host: "0.0.0.0".into(), version: "2.15.1".into(), ..Default::default() };
    CalloutServer { key: key(Role::Server, "n1"), xkey: xkey(1), identity, zones: Arc::new(UtcOnly) }
}

/// The service listens in AUTH; SHOP has users of its own, OPEN has none.
fn house(change: impl FnOnce(&mut CalloutSettings)) -> Settings {
    let mut callout = CalloutSettings {
        issuer: issuer().public().to_string(),
        account: Some("AUTH".into()),
        auth_users: vec!["auth".into()],
        xkey: None,
        allowed_accounts: Vec::new(),
        origin: Place::new("n.conf", 9, 3),
    };
    change(&mut callout);
    let mut house = settings(vec![
        ("AUTH", vec![user("auth").password("auth")]),
        ("SHOP", vec![user("clerk").password("clerk")]),
        ("OPEN", vec![]),
    ]);
    house.authorization.defined = true;
    house.authorization.auth_callout = Some(callout);
    house
}

fn question(directory: &Directory, attempt: &Attempt) -> Option<CalloutQuestion> {
    match authenticate(directory, attempt, NOW) {
        Verdict::AskCallout(question) => Some(*question),
        _ => None,
    }
}

/// Asks, lets the service answer and concludes.
fn asked(
    directory: &Directory,
    attempt: &Attempt,
    answer: impl FnOnce(&AuthorizationRequest) -> Option<Vec<u8>>,
) -> Result<Admission, Refusal> {
    let server = server();
    let question = question(directory, attempt).expect("the service is asked");
    let chance = Chance { user: Secret::new([3; 32]), nonce: [4; 24] };
    let client =
        ClientFacts { host: "10.0.0.7".into(), id: 5, kind: "Client", connection_type: "nats", ..Default::default() };
    let request = question.ask(attempt, &server, &client, chance, NOW, Duration::from_secs(2)).unwrap();
    let token = match &request.xkey_header {
        None => request.payload,
        Some(header) => xkey(2).open(&request.payload, &header.parse().unwrap()).unwrap(),
    };
    let claims = AuthorizationRequest::decode(std::str::from_utf8(&token).unwrap()).unwrap();
    let answer = answer(&claims);
    match conclude(directory, attempt, &request.asked, &server, answer.as_deref(), NOW) {
        Verdict::Admit(admission) => Ok(admission),
        Verdict::Refuse(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

/// A rightful answer for a user in this account, after a change to the user.
fn yes(request: &AuthorizationRequest, account: &str, change: impl FnOnce(&mut UserClaims)) -> AuthorizationResponse {
    let mut user = UserClaims::new(request.user_nkey, issuer().public());
    user.common.audience = account.into();
    user.common.name = "bob".into();
    change(&mut user);
    let mut answer = AuthorizationResponse::new(request.user_nkey, request.common.issuer, issuer().public());
    answer.jwt = user.encode(&issuer(), NOW.as_secs()).unwrap();
    answer
}

fn bytes(answer: &AuthorizationResponse) -> Option<Vec<u8>> {
    Some(answer.encode(&issuer(), NOW.as_secs()).unwrap().into_bytes())
}

fn refused(directory: &Directory, answer: impl FnOnce(&AuthorizationRequest) -> Option<Vec<u8>>) -> CalloutRefusal {
    match asked(directory, &attempt("bob", "b0b"), answer) {
        Err(Refusal::Callout(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_service_is_asked_about_everyone_but_itself() {
    let directory = compiled(&house(|_| {}));
    let silent = Attempt::silent(ConnectionKind::Standard);
    for shown in [attempt("bob", "x"), attempt("clerk", "clerk"), attempt("clerk", "wrong"), silent] {
        let question = question(&directory, &shown).expect("the service is asked");
        assert_eq!(question.account.name.as_str(), "AUTH");
    }
    let itself = authenticate(&directory, &attempt("auth", "auth"), NOW).admitted().unwrap();
    assert!(itself.by == Proof::Password && itself.permissions.publish(subject(CALLOUT_SUBJECT)).is_err());
    // A wrong password for the service is a wrong password, not a question to the service.
    assert_eq!(crate::refused(&directory, &attempt("auth", "x")), Refusal::WrongPassword("auth".into()));
}

#[test]
fn accounts_that_are_not_listed_keep_their_own_logins() {
    let directory = compiled(&house(|callout| callout.allowed_accounts = vec!["OPEN".into()]));
    assert_eq!(crate::admitted(&directory, &attempt("clerk", "clerk")).account.name.as_str(), "SHOP");
    assert!(question(&directory, &attempt("clerk", "wrong")).is_some(), "who fails belongs to nobody yet");
    let leaf = Attempt { kind: ConnectionKind::Leaf, ..attempt("clerk", "clerk") };
    assert!(question(&directory, &leaf).is_some());
}

#[test]
fn the_request_says_what_the_reference_says() {
    let directory = compiled(&house(|_| {}));
    let mut seen = None;
    let shown = attempt("bob", "b0b");
    let _ = asked(&directory, &shown, |request| {
        seen = Some(request.clone());
        None
    });
    let request = seen.unwrap();
    let common = &request.common;
    assert_eq!((common.issuer, &*common.audience), (server().key.public(), "nats-authorization-request"));
    assert_eq!((&common.subject, common.expires), (&issuer().public().to_string(), NOW.as_secs() + 2));
    assert_eq!((&*request.server.name, &request.server.id), ("n1", &server().key.public().to_string()));
    assert!(request.server.xkey.is_empty() && request.tls.is_none());
    assert_eq!((&*request.client.host, request.client.id, &*request.client.user), ("10.0.0.7", 5, "bob"));
    assert_eq!((&*request.client.kind, &*request.client.connection_type), ("Client", "nats"));
    assert_eq!((&*request.connect.user, &*request.connect.password), ("bob", "b0b"));
    assert!(request.client.nonce.is_empty());
}

#[test]
fn a_silent_peer_is_asked_about_by_name_without_a_password_it_never_showed() {
    let mut house = house(|_| {});
    house.accounts[1].users[0] = user("anon").password("hidden");
    house.authorization.no_auth_user = Some("anon".into());
    let mut seen = None;
    let _ = asked(&compiled(&house), &Attempt::silent(ConnectionKind::Standard), |request| {
        seen = Some(request.connect.clone());
        None
    });
    let connect = seen.unwrap();
    assert_eq!((&*connect.user, &*connect.password), ("anon", ""));
}

#[test]
fn the_nonce_goes_along_with_a_signature_only() {
    let directory = compiled(&house(|_| {}));
    let mut signed = attempt("bob", "b0b");
    signed.nonce = Some(b"nonce".as_slice().into());
    signed.credentials.signature = Some("sig".into());
    let mut nonces = Vec::new();
    for shown in [signed.clone(), Attempt { credentials: attempt("bob", "b0b").credentials, ..signed }] {
        let _ = asked(&directory, &shown, |request| {
            nonces.push(request.client.nonce.clone());
            None
        });
    }
    assert_eq!(nonces, ["nonce", ""]);
}

#[test]
fn the_answer_places_the_user_and_gives_it_rights() {
    let mut house = house(|_| {});
    house.accounts[2].limits.max_payload = Some(100);
    let directory = compiled(&house);
    let admission = asked(&directory, &attempt("bob", "b0b"), |request| {
        bytes(&yes(request, "OPEN", |user| {
            user.rights.permissions.publish.allow = vec!["a.>".into()];
            user.rights.limits.subs = 3;
            user.rights.limits.payload = 1000;
            user.common.expires = NOW.as_secs() + 60;
        }))
    });
    let admission = admission.unwrap();
    assert_eq!((admission.account.name.as_str(), admission.by, admission.user.name()), ("OPEN", Proof::Callout, "bob"));
    assert_eq!(admission.permissions.lists().publish_allow, Some(vec!["a.>"]));
    assert_eq!((admission.limits.max_subscriptions, admission.limits.max_payload), (Some(3), Some(100)));
    assert_eq!(admission.expires.map(moment::Timestamp::as_secs), Some(NOW.as_secs() + 60));
    assert!(admission.permissions.publish(subject(CALLOUT_SUBJECT)).is_err());
}

#[test]
fn a_user_without_a_name_keeps_the_one_it_came_with() {
    let directory = compiled(&house(|_| {}));
    let unnamed = |request: &AuthorizationRequest| bytes(&yes(request, "OPEN", |user| user.common.name.clear()));
    assert_eq!(asked(&directory, &attempt("joe", "x"), unnamed).unwrap().user.tag(), "user:joe");
}

#[test]
fn defaults_of_the_account_bind_a_user_without_rights() {
    let mut house = house(|_| {});
    let nothing = auth::settings::SideSettings { allow: Some(Vec::new()), deny: None };
    house.accounts[2].default_permissions =
        Some(auth::settings::PermissionsSettings { publish: nothing, ..Default::default() });
    let admission = asked(&compiled(&house), &attempt("bob", "x"), |request| bytes(&yes(request, "OPEN", |_| {})));
    assert!(admission.unwrap().permissions.publish(subject("a")).is_err());
}

#[test]
fn nobody_placed_in_the_services_account_can_take_its_place() {
    let directory = compiled(&house(|_| {}));
    let admission = asked(&directory, &attempt("bob", "x"), |request| {
        bytes(&yes(request, "AUTH", |user| user.rights.permissions.publish.allow = vec![">".into()]))
    });
    assert!(admission.unwrap().permissions.publish(subject(CALLOUT_SUBJECT)).is_err());
}

#[test]
fn sealed_requests_are_answered_sealed() {
    let service = xkey(2);
    let directory = compiled(&house(|callout| callout.xkey = Some(service.public().to_string())));
    let sealed = |plain: Option<Vec<u8>>| plain.map(|plain| xkey(2).seal(&plain, &xkey(1).public(), &[5; 24]));
    let mut seen = String::new();
    let admission = asked(&directory, &attempt("bob", "x"), |request| {
        seen.clone_from(&request.server.xkey);
        sealed(bytes(&yes(request, "OPEN", |_| {})))
    });
    assert_eq!((admission.unwrap().by, seen), (Proof::Callout, xkey(1).public().to_string()));
    // Stricter than the reference, which takes an answer in the clear.
    let clear = refused(&directory, |request| bytes(&yes(request, "OPEN", |_| {})));
    assert_eq!(clear, CalloutRefusal::InTheClear);
    let stranger = refused(&directory, |request| {
        Some(xkey(9).seal(&bytes(&yes(request, "OPEN", |_| {})).unwrap(), &xkey(1).public(), &[5; 24]))
    });
    assert!(matches!(stranger, CalloutRefusal::Sealed(_)));
}

#[test]
fn an_answer_that_is_not_the_right_one_admits_nobody() {
    let directory = compiled(&house(|_| {}));
    let refused = |answer: &dyn Fn(&AuthorizationRequest) -> Option<Vec<u8>>| self::refused(&directory, answer);
    let other = key(Role::User, "other").public();
    assert_eq!(refused(&|_| None), CalloutRefusal::NoAnswer);
    assert_eq!(refused(&|_| Some(Vec::new())), CalloutRefusal::Empty);
    assert_eq!(refused(&|_| Some(vec![b'x'; auth::MAX_ANSWER_BYTES + 1])), CalloutRefusal::TooLong);
    assert!(matches!(refused(&|_| Some(b"eyJ.x.y".to_vec())), CalloutRefusal::Malformed(_)));
    assert!(matches!(refused(&|_| Some(vec![0xff])), CalloutRefusal::Malformed(_)));
    let changed = |request: &AuthorizationRequest, change: &dyn Fn(&mut AuthorizationResponse)| {
        let mut answer = yes(request, "OPEN", |_| {});
        change(&mut answer);
        bytes(&answer)
    };
    let with = |change: &dyn Fn(&mut AuthorizationResponse)| refused(&|request| changed(request, change));
    let denied = with(&|answer| {
        answer.jwt.clear();
        answer.error = "nope".into();
    });
    assert_eq!(denied.to_string(), "Auth callout service returned an error: nope");
    assert!(matches!(with(&|answer| answer.jwt.clear()), CalloutRefusal::Invalid(_)));
    assert!(matches!(with(&|answer| answer.error = "both".into()), CalloutRefusal::Invalid(_)));
    assert_eq!(with(&|answer| answer.common.subject = other), CalloutRefusal::OtherUser);
    let elsewhere = key(Role::Server, "n2").public().to_string();
    assert_eq!(with(&|answer| answer.common.audience.clone_from(&elsewhere)), CalloutRefusal::OtherServer);
    assert!(matches!(with(&|answer| answer.jwt = "x".into()), CalloutRefusal::UserMalformed(_)));

    let user = |account: &'static str, change: &dyn Fn(&mut UserClaims)| {
        refused(&|request| bytes(&yes(request, account, |user| change(user))))
    };
    assert_eq!(user("", &|_| {}).to_string(), "No valid account \"\" for auth callout response: account missing");
    assert_eq!(user("NOPE", &|_| {}), CalloutRefusal::AccountUnknown("NOPE".into()));
    assert!(matches!(user("OPEN", &|user| user.common.subject = other), CalloutRefusal::UserOther { .. }));
    let account = Some(key(Role::Account, "x").public());
    assert_eq!(user("OPEN", &|user| user.issuer_account = account), CalloutRefusal::IssuerAccount);
    // Stricter than the reference: place, kind and time bind in configuration mode too.
    let bound = |change: &dyn Fn(&mut UserClaims)| match user("OPEN", change) {
        CalloutRefusal::User(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(bound(&|user| user.rights.sources = vec!["10.0.0.0/8".into()]), UserRefusal::Source(None));
    let kind = UserRefusal::ConnectionType(jwt::ConnectionType::Standard);
    assert_eq!(bound(&|user| user.rights.allowed_connection_types = vec!["MQTT".into()]), kind);
    assert_eq!(bound(&|user| user.rights.proxy_required = true), UserRefusal::ProxyRequired);
    assert_eq!(bound(&|user| user.common.expires = NOW.as_secs() - 1), UserRefusal::Expired);
    let night = jwt::TimeRange { start: "01:00:00".into(), end: "01:00:01".into() };
    assert_eq!(bound(&|user| user.rights.times = vec![night.clone()]), UserRefusal::OutsideTimes);
    let bad_rule = |user: &mut UserClaims| user.rights.permissions.publish.allow = vec!["a..b".into()];
    assert_eq!(bound(&bad_rule), UserRefusal::Permissions);
}

#[test]
fn claims_of_another_issuer_admit_nobody() {
    let directory = compiled(&house(|_| {}));
    let forged = |request: &AuthorizationRequest| {
        let stranger = key(Role::Account, "stranger");
        let mut user = UserClaims::new(request.user_nkey, stranger.public());
        user.common.audience = "OPEN".into();
        let mut answer = yes(request, "OPEN", |_| {});
        answer.jwt = user.encode(&stranger, NOW.as_secs()).unwrap();
        bytes(&answer)
    };
    assert!(matches!(refused(&directory, forged), CalloutRefusal::WrongIssuer { .. }));
}

#[test]
fn an_answer_fits_one_question_only() {
    let directory = compiled(&house(|_| {}));
    let (server, shown) = (server(), attempt("bob", "x"));
    let ask = |user: u8| {
        let question = question(&directory, &shown).unwrap();
        let chance = Chance { user: Secret::new([user; 32]), nonce: [0; 24] };
        question.ask(&shown, &server, &ClientFacts::default(), chance, NOW, Duration::from_secs(2)).unwrap()
    };
    let (first, second) = (ask(1), ask(2));
    let request = AuthorizationRequest::decode(std::str::from_utf8(&first.payload).unwrap()).unwrap();
    let answer = bytes(&yes(&request, "OPEN", |_| {})).unwrap();
    let conclude = |asked| conclude(&directory, &shown, asked, &server, Some(&answer), NOW);
    assert!(conclude(&first.asked).admitted().is_some());
    assert!(matches!(conclude(&second.asked), Verdict::Refuse(Refusal::Callout(CalloutRefusal::OtherUser))));
}

/// What is left of a login is rarely whole seconds, and neither is the time of day.
#[test]
fn a_question_lives_as_long_as_its_login() {
    let directory = compiled(&house(|_| {}));
    let (server, shown) = (server(), attempt("bob", "x"));
    let expires = |passed: u64, left: u64| {
        let question = question(&directory, &shown).unwrap();
        let chance = Chance { user: Secret::new([1; 32]), nonce: [0; 24] };
        let (now, left) = (NOW + Duration::from_millis(passed), Duration::from_millis(left));
        let request = question.ask(&shown, &server, &ClientFacts::default(), chance, now, left).unwrap();
        let claims = AuthorizationRequest::decode(std::str::from_utf8(&request.payload).unwrap()).unwrap();
        claims.common.expires - NOW.as_secs()
    };
    assert_eq!(expires(0, 2000), 2);
    assert_eq!(expires(0, 1999), 2);
    assert_eq!(expires(985, 1999), 3);
    assert_eq!(expires(1, 1999), 2);
    assert_eq!(expires(2, 1999), 3);
}

#[test]
fn callout_settings_that_make_no_sense_are_refused() {
    let fault = |change: fn(&mut CalloutSettings)| {
        Directory::build(&house(change), &mut AccountIds::default()).unwrap_err()[0].to_string()
    };
    assert_eq!(
        fault(|callout| callout.issuer = "X".into()),
        "n.conf:9:3: Expected callout user to be a valid public account nkey, got \"X\""
    );
    assert_eq!(
        fault(|callout| callout.xkey = Some("X".into())),
        "n.conf:9:3: Expected callout xkey to be a valid public xkey, got \"X\""
    );
    assert_eq!(
        fault(|callout| callout.account = Some("NO".into())),
        "n.conf:9:3: Authorization callout account \"NO\" not valid"
    );
    assert_eq!(
        fault(|callout| callout.auth_users.clear()),
        "n.conf:9:3: Authorization callouts require authorized users to be specified"
    );
    let missing = compiled(&house(|callout| callout.auth_users.push("ghost".into())));
    assert_eq!(missing.missing_callout_users(), ["ghost"]);
}

/// An account whose logins a service decides, with the service's own user.
fn delegating(chain: &Chain, allowed: Vec<AllowedAccount>) -> TestAccount {
    let service = chain.account("auth").user("service").key.public();
    chain.account("auth").with(|claims| {
        claims.authorization.auth_users = vec![service];
        claims.authorization.allowed_accounts = allowed;
    })
}

/// The sentinel: claims without rights that only lead to the service.
fn sentinel(account: &TestAccount) -> Attempt {
    claims::shows(&account.user("sentinel").with(|claims| claims.rights.bearer_token = true).token())
}

/// The answer of a service in operator mode: a user of this account.
fn placed(request: &AuthorizationRequest, service: &TestAccount, target: &TestAccount) -> Option<Vec<u8>> {
    let mut user = UserClaims::new(request.user_nkey, target.key.public());
    user.common.name = "bob".into();
    let mut answer = AuthorizationResponse::new(request.user_nkey, request.common.issuer, service.key.public());
    answer.jwt = user.encode(&target.key, NOW.as_secs()).unwrap();
    Some(answer.encode(&service.key, NOW.as_secs()).unwrap().into_bytes())
}

#[test]
fn in_operator_mode_the_account_says_that_a_service_decides() {
    let chain = Chain::new("acme");
    let (auth, shop) = (delegating(&chain, vec![AllowedAccount::Any]), chain.account("shop"));
    let directory = claims::directory(&chain, &[&auth, &shop]);
    let question = question(&directory, &sentinel(&auth)).expect("the service is asked");
    assert_eq!(question.account.name.as_str(), auth.key.public().to_string());
    let itself = authenticate(&directory, &claims::attempt(&auth.user("service")), NOW).admitted().unwrap();
    assert!(itself.by == Proof::Jwt && itself.permissions.publish(subject(CALLOUT_SUBJECT)).is_err());
    assert_eq!(authenticate(&directory, &claims::attempt(&shop.user("joe")), NOW).admitted().unwrap().by, Proof::Jwt);

    let admission = asked(&directory, &sentinel(&auth), |request| placed(request, &auth, &shop)).unwrap();
    assert_eq!(
        (admission.account.name.as_str(), admission.by),
        (shop.key.public().to_string().as_str(), Proof::Callout)
    );
    assert_eq!(
        asked(&directory, &sentinel(&auth), |request| placed(request, &auth, &auth)).unwrap().user.name(),
        "bob"
    );
}

#[test]
fn a_service_places_users_only_where_its_account_says() {
    let chain = Chain::new("acme");
    let (shop, bank) = (chain.account("shop"), chain.account("bank"));
    let auth = delegating(&chain, vec![AllowedAccount::Account(shop.key.public())]);
    let directory = claims::directory(&chain, &[&auth, &shop, &bank]);
    assert!(asked(&directory, &sentinel(&auth), |request| placed(request, &auth, &shop)).is_ok());
    let refusal = asked(&directory, &sentinel(&auth), |request| placed(request, &auth, &bank)).unwrap_err();
    assert_eq!(refusal, Refusal::Callout(CalloutRefusal::AccountNotAllowed(bank.key.public())));
}

#[test]
fn an_answer_in_operator_mode_is_signed_by_the_account() {
    let chain = Chain::new("acme");
    let auth = delegating(&chain, Vec::new());
    let directory = claims::directory(&chain, &[&auth]);
    let by_stranger = asked(&directory, &sentinel(&auth), |request| placed(request, &chain.account("evil"), &auth));
    assert_eq!(by_stranger.unwrap_err(), Refusal::Callout(CalloutRefusal::UnknownSigner));
    let mut delegated = auth.clone();
    delegated.key = auth.signing.clone();
    let by_signing_key = asked(&directory, &sentinel(&auth), |request| placed(request, &delegated, &auth));
    assert_eq!(by_signing_key.unwrap().by, Proof::Callout);
}

#[test]
fn an_account_the_answer_names_is_asked_for() {
    let chain = Chain::new("acme");
    let (auth, shop) = (delegating(&chain, vec![AllowedAccount::Any]), chain.account("shop"));
    let directory = claims::directory(&chain, &[&auth]);
    let (server, shown) = (server(), sentinel(&auth));
    let chance = Chance { user: Secret::new([3; 32]), nonce: [4; 24] };
    let question = question(&directory, &shown).unwrap();
    let request = question.ask(&shown, &server, &ClientFacts::default(), chance, NOW, Duration::from_secs(2)).unwrap();
    let claims = AuthorizationRequest::decode(std::str::from_utf8(&request.payload).unwrap()).unwrap();
    let answer = placed(&claims, &auth, &shop).unwrap();
    let verdict = |directory: &Directory| conclude(directory, &shown, &request.asked, &server, Some(&answer), NOW);
    assert!(matches!(verdict(&directory), Verdict::NeedAccount(key) if key == shop.key.public()));
    let grown = directory.with_account(shop.trusted(&chain), &mut AccountIds::default(), NOW).0;
    assert!(verdict(&grown).admitted().is_some());
}

/// Claims that no key of the account signed reached the service of any account.
#[test]
fn a_broken_chain_is_not_for_the_service() {
    let chain = Chain::new("acme");
    let auth = delegating(&chain, Vec::new());
    let directory = claims::directory(&chain, &[&auth]);
    let mut forged = auth.delegated_user("sentinel").with(|claims| claims.rights.bearer_token = true);
    forged.signer = key(Role::Account, "stranger");
    let refusal = authenticate(&directory, &claims::shows(&forged.token()), NOW);
    assert!(matches!(refusal, Verdict::Refuse(Refusal::User(_, UserRefusal::UnknownIssuer(_)))));
    // A missing signature is something the service may make up for.
    assert!(question(&directory, &claims::shows(&auth.user("joe").token())).is_some());
    // What the account has revoked stays revoked.
    let revoking = auth.with(|claims| claims.revocations.revoke(jwt::Revoked::All, NOW.as_secs()));
    let directory = claims::directory(&chain, &[&revoking]);
    let refusal = authenticate(&directory, &sentinel(&revoking), NOW);
    assert!(matches!(refusal, Verdict::Refuse(Refusal::User(_, UserRefusal::Revoked))));
}

/// The shortcut for silent peers skipped the callout.
#[test]
fn fix_9051287_a_silent_peer_is_asked_about_too() {
    let directory = compiled(&house(|_| {}));
    assert!(question(&directory, &Attempt::silent(ConnectionKind::Standard)).is_some());
}

fn chained(judges: [Judge; 2]) -> Directory {
    let mut house = house(|_| {});
    house.authorization.judges = judges.to_vec();
    compiled(&house)
}

#[test]
fn where_local_users_come_first_the_service_decides_about_strangers_only() {
    let directory = chained([Judge::Users, Judge::Callout]);
    let clerk = authenticate(&directory, &attempt("clerk", "clerk"), NOW).admitted().unwrap();
    assert_eq!((clerk.account.name.as_str(), clerk.by), ("SHOP", Proof::Password));
    // Whoever is known and proves nothing is not handed on.
    let wrong = authenticate(&directory, &attempt("clerk", "wrong"), NOW);
    assert!(matches!(wrong, Verdict::Refuse(Refusal::WrongPassword(_))), "{wrong:?}");
    for stranger in [attempt("bob", "b0b"), Attempt::silent(ConnectionKind::Standard)] {
        let question = question(&directory, &stranger).expect("the service is asked");
        assert!(!question.has_fallback());
    }
    let answer = |request: &AuthorizationRequest| bytes(&yes(request, "OPEN", |_| {}));
    assert_eq!(asked(&directory, &attempt("bob", "b0b"), answer).unwrap().by, Proof::Callout);
}

#[test]
fn where_the_service_comes_first_local_users_come_in_if_it_is_silent_and_not_if_it_says_no() {
    let directory = chained([Judge::Callout, Judge::Users]);
    let clerk = attempt("clerk", "clerk");
    assert!(question(&directory, &clerk).expect("the service is asked").has_fallback());
    let silent = asked(&directory, &clerk, |_| None).unwrap();
    assert_eq!((silent.account.name.as_str(), silent.by), ("SHOP", Proof::Password));
    let denied = |request: &AuthorizationRequest| {
        let mut answer = yes(request, "OPEN", |_| {});
        answer.jwt.clear();
        answer.error = "no".into();
        bytes(&answer)
    };
    for no in [asked(&directory, &clerk, denied), asked(&directory, &clerk, |_| Some(Vec::new()))] {
        assert!(matches!(no, Err(Refusal::Callout(_))), "{no:?}");
    }
    let placed = asked(&directory, &clerk, |request| bytes(&yes(request, "OPEN", |_| {}))).unwrap();
    assert_eq!((placed.account.name.as_str(), placed.by), ("OPEN", Proof::Callout));
    // Whom nobody knows the silence of the service lets in nowhere.
    for stranger in [attempt("clerk", "wrong"), attempt("bob", "b0b")] {
        assert_eq!(asked(&directory, &stranger, |_| None).unwrap_err(), Refusal::Callout(CalloutRefusal::NoAnswer));
    }
}

#[test]
fn in_operator_mode_claims_may_come_first_and_bearers_are_asked_about() {
    let chain = Chain::new("acme");
    let mut shop = chain.account("shop");
    let service = shop.user("auth");
    shop.claims.authorization.auth_users.push(service.key.public());
    let directory = |chain_of: AuthChain| {
        let mut ids = AccountIds::default();
        let settings = OperatorSettings { chain: chain_of, ..claims::operators(&chain) };
        Directory::of_operators(settings, &mut ids).unwrap().with_account(shop.trusted(&chain), &mut ids, NOW).0
    };
    let joe = claims::attempt(&shop.user("joe"));
    let sentinel = claims::attempt(&shop.user("sentinel").with(|user| user.rights.bearer_token = true));
    let stolen = Attempt { nonce: Some(b"another nonce".to_vec().into()), ..joe.clone() };

    assert!(question(&directory(AuthChain::CalloutAlone), &joe).is_some());
    let local = directory(AuthChain::LocalFirst);
    assert_eq!(authenticate(&local, &joe, NOW).admitted().unwrap().by, Proof::Jwt);
    assert!(question(&local, &sentinel).is_some());
    assert!(matches!(authenticate(&local, &stolen, NOW), Verdict::Refuse(_)));

    let first = directory(AuthChain::CalloutFirst);
    assert!(question(&first, &joe).expect("the service is asked").has_fallback());
    assert!(!question(&first, &sentinel).expect("the service is asked").has_fallback());
    assert!(!question(&first, &stolen).expect("the service is asked").has_fallback());
}

#[test]
fn a_decision_is_kept_for_the_same_question_for_its_time_and_in_its_bound() {
    let directory = compiled(&house(|_| {}));
    let bob = attempt("bob", "b0b");
    let ask = question(&directory, &bob).unwrap();
    let client = ClientFacts { host: "10.0.0.7".into(), ..ClientFacts::default() };
    let mut decisions = Decisions::new(Duration::from_secs(10), 2, &[7; 32]);
    let key = decisions.key(&ask, &bob, &client).expect("a password is the same on every connection");

    // Whatever the service would see otherwise is another question.
    let elsewhere = ClientFacts { host: "10.0.0.8".into(), ..ClientFacts::default() };
    assert_ne!(decisions.key(&ask, &bob, &elsewhere), Some(key));
    assert_ne!(decisions.key(&ask, &attempt("bob", "b0b "), &client), Some(key));
    assert_ne!(decisions.key(&ask, &attempt("bobb", "0b"), &client), Some(key));
    assert_ne!(Decisions::new(Duration::from_secs(10), 2, &[8; 32]).key(&ask, &bob, &client), Some(key));
    // What belongs to one connection is not kept.
    let mut signed = bob.clone();
    signed.credentials.signature = Some("x".into());
    assert_eq!(decisions.key(&ask, &signed, &client), None);
    assert_eq!(decisions.key(&ask, &Attempt::silent(ConnectionKind::Standard), &client), None);

    let vouched = |expires: i64| {
        let server = server();
        let chance = Chance { user: Secret::new([3; 32]), nonce: [4; 24] };
        let request = ask.ask(&bob, &server, &client, chance, NOW, Duration::from_secs(2)).unwrap();
        let claims = AuthorizationRequest::decode(std::str::from_utf8(&request.payload).unwrap()).unwrap();
        let answer = bytes(&yes(&claims, "OPEN", |user| user.common.expires = expires));
        Arc::new(request.asked.heard(&server, answer.as_deref(), NOW).unwrap())
    };
    let after = |seconds: u64| NOW + Duration::from_secs(seconds);
    assert!(decisions.recall(&key, NOW).is_none());
    decisions.keep(key, &vouched(0), NOW);
    assert!(decisions.recall(&key, after(9)).is_some() && decisions.recall(&key, after(10)).is_none());
    // A user that leaves earlier is forgotten earlier.
    decisions.keep(key, &vouched(NOW.as_secs() + 3), NOW);
    assert!(decisions.recall(&key, after(2)).is_some() && decisions.recall(&key, after(3)).is_none());
    let keys: Vec<_> =
        (0..3).map(|number| decisions.key(&ask, &attempt("bob", &format!("{number}")), &client).unwrap()).collect();
    keys.iter().for_each(|key| decisions.keep(*key, &vouched(0), after(20)));
    let held: Vec<bool> = keys.iter().map(|key| decisions.recall(key, after(21)).is_some()).collect();
    assert_eq!(held, [false, true, true], "the oldest goes");
}

#[test]
fn fix_d82c4b7_an_answer_that_says_nothing_admits_nobody() {
    let directory = compiled(&house(|_| {}));
    let silent = |request: &AuthorizationRequest| {
        let mut answer = yes(request, "OPEN", |_| {});
        answer.jwt.clear();
        bytes(&answer)
    };
    assert!(matches!(refused(&directory, silent), CalloutRefusal::Invalid(_)));
    assert_eq!(refused(&directory, |_| Some(Vec::new())), CalloutRefusal::Empty);
}
