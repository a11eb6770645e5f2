//! Published advisories and unpublished fixes of NATS servers, each as the scene that this room must not allow.

use auth::settings::Settings;
use auth::{Attempt, CertificateName, ConnectionKind, Proof, Refusal};
use testkit::accounts::{Words, attempt, compiled, directory, settings, shop, user};

use crate::rules::compile;
use crate::{admitted, filter, queue, refused, subject};

fn silent() -> Attempt {
    Attempt::silent(ConnectionKind::Standard)
}

/// A hidden field of CONNECT let any user choose its account.
#[test]
fn cve_2022_24450_the_account_is_an_answer_and_never_a_question() {
    let shop = compiled(&shop());
    let mut greedy = attempt("teller", "teller");
    greedy.credentials.names_account = true;
    assert_eq!(refused(&shop, &greedy), Refusal::NamesAccount);
    assert_eq!(admitted(&shop, &attempt("teller", "teller")).account.name.as_str(), "BANK");
}

/// A queue subscription on a wildcard got denied subjects.
#[test]
fn cve_2022_29946_a_queue_member_gets_no_denied_message() {
    let permissions = compile(auth::settings::PermissionsSettings {
        subscribe: auth::settings::SideSettings {
            allow: Some(vec!["foo.>".into()]),
            deny: Some(vec!["foo.secret".into()]),
        },
        ..Default::default()
    });
    let grant = permissions.subscribe(filter("foo.>"), Some(&queue("q"))).unwrap();
    assert!(!grant.delivers(subject("foo.secret")) && grant.delivers(subject("foo.open")));
}

/// An `authorization` block beside accounts that hold only the system account silently created an anonymous user. Every
/// combination has a stated outcome.
#[test]
fn cve_2023_47090_who_may_come_without_credentials_is_stated_for_every_combination() {
    let system = || settings(vec![("$SYS", vec![user("admin").password("a")])]);
    let outcome = |settings: &Settings| {
        let directory = compiled(settings);
        let silent = auth::authenticate(&directory, &silent(), crate::NOW)
            .admitted()
            .map(|admission| format!("{} by {:?}", admission.account.name, admission.by));
        let wrong = auth::authenticate(&directory, &attempt("x", "y"), crate::NOW).admitted().is_some();
        (silent.unwrap_or_else(|| "refused".into()), wrong, directory.announces_auth_required())
    };
    let mut listed = system();
    listed.authorization.defined = true;
    listed.authorization.users = Some(vec![user("b").password("b")]);
    let mut empty_list = system();
    empty_list.authorization.defined = true;
    empty_list.authorization.users = Some(Vec::new());
    let mut empty_block = system();
    empty_block.authorization.defined = true;
    let mut named = system();
    named.authorization.no_auth_user = Some("admin".into());
    let two = settings(vec![("$SYS", vec![user("admin").password("a")]), ("A", vec![])]);
    let mut other_system = settings(vec![("ADMIN", vec![user("admin").password("a")])]);
    let only_tenant = other_system.clone();
    other_system.system_account = Some("ADMIN".into());
    let mut nobody = Settings::default();
    nobody.authorization.users = Some(Vec::new());

    let refused = || "refused".to_owned();
    for (what, settings, expected) in [
        ("nothing at all", &Settings::default(), ("$G by NotRequired".to_owned(), true, false)),
        ("only the system account has users", &system(), ("$G by Anonymous".into(), false, true)),
        ("the same under another name", &other_system, ("$G by Anonymous".into(), false, true)),
        ("one account, not the system's", &only_tenant, (refused(), false, true)),
        ("with an authorization block of users", &listed, (refused(), false, true)),
        ("with an empty list of users", &empty_list, (refused(), false, true)),
        ("with an empty authorization block", &empty_block, (refused(), false, true)),
        ("with a no_auth_user", &named, ("$SYS by Anonymous".into(), false, false)),
        ("with another account", &two, (refused(), false, true)),
        ("an empty list of users alone", &nobody, (refused(), false, true)),
    ] {
        assert_eq!(outcome(settings), expected, "{what}");
    }
}

/// The shortcut for peers that begin without CONNECT ignored kinds of connection and required proxies.
#[test]
fn advisory_2026_16_and_24_a_silent_peer_passes_the_same_checks() {
    let mut limited = settings(vec![("A", vec![user("ws").connects_by(&[ConnectionKind::WebSocket])])]);
    limited.authorization.no_auth_user = Some("ws".into());
    let directory = compiled(&limited);
    assert!(matches!(refused(&directory, &silent()), Refusal::KindNotAllowed(_, ConnectionKind::Standard)));
    assert_eq!(admitted(&directory, &Attempt::silent(ConnectionKind::WebSocket)).by, Proof::Anonymous);

    let mut inside = settings(vec![("A", vec![user("in")])]);
    inside.accounts[0].users[0].proxy_required = true;
    inside.authorization.no_auth_user = Some("in".into());
    assert!(matches!(refused(&compiled(&inside), &silent()), Refusal::ProxyRequired(_)));
}

/// The deny filter was armed only by denies that are subsets of the subscription.
#[test]
fn advisory_2026_17_a_deny_that_crosses_a_subscription_is_withheld() {
    let vault = admitted(&compiled(&shop()), &attempt("vault", "vault")).permissions;
    let grant = vault.subscribe(filter("foo.*"), None).unwrap();
    assert!(!grant.delivers(subject("foo.secret")) && grant.delivers(subject("foo.open")));
}

/// The result of a queue deny overwrote that of a plain deny.
#[test]
fn advisory_2026_18_a_queue_rule_does_not_lift_a_plain_deny() {
    let vault = admitted(&compiled(&shop()), &attempt("vault", "vault")).permissions;
    assert!(vault.subscribe(filter("admin.x"), Some(&queue("workers"))).is_err());
    assert!(vault.subscribe(filter("admin.x"), Some(&queue("restricted"))).is_err());
    assert!(vault.subscribe(filter("open"), Some(&queue("restricted"))).is_err());
    assert!(vault.subscribe(filter("open"), Some(&queue("workers"))).is_ok());
}

/// Names in certificates were compared as sets, so `CN=A,CN=A,O=X` was `CN=A,CN=B,O=X`. Here they are compared as texts that
/// count every part.
#[test]
fn advisory_2026_13_a_certificate_is_a_user_only_by_the_same_name() {
    let text = |text: &str| auth::settings::Distinguished { ordered: text.into(), any_order: text.into() };
    let mut users = settings(vec![("A", vec![user("CN=A,O=X,OU=Y")])]);
    users.certificate_kinds = vec![ConnectionKind::Standard];
    users.accounts[0].users[0].distinguished = Some(Box::new(text("CN=A,O=X,OU=Y")));
    let shown =
        |name: &str| Attempt { certificate: Some(vec![CertificateName::Distinguished(text(name))]), ..silent() };
    assert!(matches!(refused(&compiled(&users), &shown("CN=A,CN=A,O=X")), Refusal::CertificateUnknown(_)));
    assert_eq!(admitted(&compiled(&users), &shown("CN=A,O=X,OU=Y")).by, Proof::Certificate);
}

/// A user that only a certificate identifies could log in elsewhere by name and empty password.
#[test]
fn fix_725f008_a_certificate_user_has_no_empty_password() {
    let mut mapped = settings(vec![("A", vec![user("CN=joe")])]);
    mapped.certificate_kinds = vec![ConnectionKind::Standard];
    let elsewhere = Attempt { kind: ConnectionKind::WebSocket, ..attempt("CN=joe", "") };
    assert_eq!(refused(&compiled(&mapped), &elsewhere), Refusal::CertificateRequired("CN=joe".into()));
}

/// A permission of blanks crashed the server.
#[test]
fn fix_d64a5d5_a_permission_of_blanks_is_an_error() {
    for blank in [" ", "\t", "\n", "  \t "] {
        let blank = settings(vec![("A", vec![user("a").subscribes(&[blank])])]);
        assert!(auth::Directory::build(&blank, &mut account::AccountIds::default()).is_err());
    }
}

/// Limits of accounts were cut to 32 bits.
#[test]
fn fix_358cdc4_limits_are_not_cut() {
    let mut large = settings(vec![("A", vec![user("a")])]);
    let limit = Some(1 << 33);
    large.accounts[0].limits = account::Limits { max_payload: limit, max_subscriptions: limit, ..Default::default() };
    let limits = admitted(&compiled(&large), &attempt("a", "")).limits;
    assert_eq!((limits.max_payload, limits.max_subscriptions), (limit, limit));
}

/// Changed default permissions did not reach those who were connected. A login is judged again by the same function.
#[test]
fn fix_1e54f72_changed_defaults_reach_the_same_login() {
    let mut before = shop();
    let guest = attempt("guest", "guest");
    let denied = |settings: &Settings| {
        admitted(&compiled(settings), &guest).permissions.subscribe(filter("public.x"), None).is_err()
    };
    assert!(!denied(&before));
    before.accounts[0].default_permissions.as_mut().unwrap().subscribe.deny = Some(vec!["public.>".into()]);
    assert!(denied(&before));
}

/// A callout that was removed went on deciding.
#[test]
fn fix_aaf0255_a_removed_callout_decides_nothing() {
    let mut house = settings(vec![("A", vec![user("a").password("a")])]);
    house.authorization.auth_callout = Some(auth::settings::CalloutSettings {
        issuer: jwt::testing::key(nkeys::Role::Account, "issuer").public().to_string(),
        account: None,
        auth_users: vec!["service".into()],
        xkey: None,
        allowed_accounts: Vec::new(),
        origin: auth::settings::Place::default(),
    });
    let verdict = |settings: &Settings| auth::authenticate(&compiled(settings), &attempt("a", "a"), crate::NOW);
    assert!(matches!(verdict(&house), auth::Verdict::AskCallout(_)));
    house.authorization.auth_callout = None;
    assert!(matches!(verdict(&house), auth::Verdict::Admit(_)));
}

/// A second CONNECT moved a connection into another account and left its subscriptions in the old one.
#[test]
fn fix_d1cf061_another_user_or_account_is_another_identity() {
    let shop = compiled(&shop());
    let alice = admitted(&shop, &attempt("alice", "alice"));
    for other in ["clerk", "teller", "root"] {
        assert!(!alice.is_same_identity(&admitted(&shop, &attempt(other, other))), "{other}");
    }
}

/// Secrets in logs, events and monitoring: nothing that this room hands out prints one.
#[test]
fn secrets_do_not_print() {
    let marker = "m4rker-5ecret";
    let users = directory(vec![("A", vec![user("a").password(marker)])]);
    let mut shown = attempt("a", marker);
    shown.credentials.token = Some(marker.into());
    shown.credentials.jwt = Some(marker.into());
    let admission = admitted(&users, &shown);
    let refusal = refused(&users, &attempt("b", marker));
    let printed = format!("{users:?} {shown:?} {admission:?} {refusal:?} {refusal} {}", admission.user);
    assert!(!printed.contains(marker), "{printed}");
}
