//! The rules for publishing and subscribing, one scene each.

use std::time::Duration;

use auth::settings::{PermissionsSettings, Place, RuleText, SideSettings};
use auth::{Because, Binding, Permissions, ReplyGrants, ResponsePermission, Source};
use moment::Instant;

use crate::rules::compile;
use crate::{filter, queue, subject};

fn side(allow: Option<&[&str]>, deny: &[&str]) -> SideSettings {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
    SideSettings { allow: allow.map(texts), deny: Some(texts(deny)) }
}

fn publishing(allow: Option<&[&str]>, deny: &[&str]) -> Permissions {
    compile(PermissionsSettings { publish: side(allow, deny), ..Default::default() })
}

fn subscribing(allow: Option<&[&str]>, deny: &[&str]) -> Permissions {
    compile(PermissionsSettings { subscribe: side(allow, deny), ..Default::default() })
}

fn may_publish(permissions: &Permissions, to: &str) -> bool {
    permissions.publish(subject(to)).is_ok()
}

fn may_subscribe(permissions: &Permissions, to: &str) -> bool {
    permissions.subscribe(filter(to), None).is_ok()
}

fn may_join(permissions: &Permissions, to: &str, group: &str) -> bool {
    permissions.subscribe(filter(to), Some(&queue(group))).is_ok()
}

#[test]
fn an_absent_allow_list_allows_everything_and_an_empty_one_nothing() {
    let (absent, empty) = (publishing(None, &[]), publishing(Some(&[]), &[]));
    assert!(may_publish(&absent, "a") && !may_publish(&empty, "a"));
    let (absent, empty) = (subscribing(None, &[]), subscribing(Some(&[]), &[]));
    assert!(may_subscribe(&absent, ">") && !may_subscribe(&empty, "a"));
}

#[test]
fn a_deny_wins_over_an_allow() {
    let permissions = publishing(Some(&["a.>"]), &["a.secret", "a.*.key"]);
    assert!(may_publish(&permissions, "a.b") && may_publish(&permissions, "a.b.c"));
    assert!(!may_publish(&permissions, "a.secret") && !may_publish(&permissions, "a.b.key"));
    assert!(!may_publish(&permissions, "b"));
}

#[test]
fn an_allow_entry_admits_only_subscriptions_it_covers() {
    let permissions = subscribing(Some(&["a.*", "*", "b.>"]), &[]);
    for fine in ["a.b", "a.*", "x", "*", "b.c", "b.c.d", "b.*", "b.>", "b.*.>"] {
        assert!(may_subscribe(&permissions, fine), "{fine}");
    }
    for wide in ["a.>", ">", "*.*", "a.b.c", "*.>"] {
        assert!(!may_subscribe(&permissions, wide), "{wide}");
    }
}

#[test]
fn a_subscription_wider_than_a_deny_exists_without_the_denied_part() {
    let permissions = subscribing(Some(&["events.>"]), &["events.audit.>"]);
    let grant = permissions.subscribe(filter("events.>"), None).unwrap();
    assert!(grant.is_filtered());
    assert!(grant.delivers(subject("events.login")) && grant.delivers(subject("events.audit")));
    assert!(!grant.delivers(subject("events.audit.x")) && !grant.delivers(subject("events.audit.x.y")));
    assert_eq!(grant.withheld().iter().map(|rule| &*rule.text).collect::<Vec<_>>(), ["events.audit.>"]);
    assert!(!may_subscribe(&permissions, "events.audit.>") && !may_subscribe(&permissions, "events.audit.x"));
}

#[test]
fn a_subscription_beside_every_deny_carries_nothing() {
    let grant = subscribing(None, &["a.secret", "b.>"]).subscribe(filter("c.*"), None).unwrap();
    assert!(!grant.is_filtered() && grant.withheld().is_empty());
}

#[test]
fn a_deny_that_matches_the_text_of_a_filter_refuses_it() {
    // As the reference, which asks its list with the filter's text: `>` is a token that `*` matches.
    let permissions = subscribing(None, &["a.*", "b.>"]);
    for refused in ["a.b", "a.*", "a.>", "b.c", "b.*", "b.>", "b.*.>"] {
        assert!(!may_subscribe(&permissions, refused), "{refused}");
    }
    assert!(may_subscribe(&permissions, ">") && may_subscribe(&permissions, "*.b") && may_subscribe(&permissions, "b"));
}

#[test]
fn queue_rules_follow_their_three_forms() {
    let plain = subscribing(Some(&["foo"]), &[]);
    assert!(may_subscribe(&plain, "foo") && may_join(&plain, "foo", "v1") && may_join(&plain, "foo", "any"));

    let only_v1 = subscribing(Some(&["foo v1"]), &[]);
    assert!(may_join(&only_v1, "foo", "v1"));
    assert!(!may_subscribe(&only_v1, "foo") && !may_join(&only_v1, "foo", "v2"));

    let both = subscribing(Some(&["foo", "foo v1"]), &[]);
    assert!(may_subscribe(&both, "foo") && may_join(&both, "foo", "v1") && !may_join(&both, "foo", "v2"));

    let family = subscribing(Some(&["foo v1.*", "foo *.dev"]), &[]);
    assert!(may_join(&family, "foo", "v1.a") && may_join(&family, "foo", "v9.dev") && may_join(&family, "foo", "v1.*"));
    assert!(
        !may_join(&family, "foo", "v2.a") && !may_join(&family, "foo", "v1.a.b") && !may_join(&family, "foo", "v1")
    );
}

#[test]
fn a_queue_deny_refuses_that_queue_and_a_plain_deny_everyone() {
    let permissions = subscribing(None, &["q.z v2", "q.y"]);
    assert!(may_subscribe(&permissions, "q.z") && may_join(&permissions, "q.z", "v1"));
    assert!(!may_join(&permissions, "q.z", "v2"));
    assert!(!may_subscribe(&permissions, "q.y") && !may_join(&permissions, "q.y", "v1"));
}

#[test]
fn an_allow_entry_for_a_queue_does_not_lift_a_plain_deny() {
    let permissions = subscribing(Some(&["> workers"]), &["admin.>"]);
    assert!(!may_join(&permissions, "admin.x", "workers"));
    let wide = permissions.subscribe(filter(">"), Some(&queue("workers"))).unwrap();
    assert!(!wide.delivers(subject("admin.x")) && wide.delivers(subject("other")));
}

#[test]
fn a_queue_deny_is_withheld_from_members_of_that_queue_only() {
    let permissions = subscribing(None, &["a.secret v1"]);
    let of = |group: Option<&str>| permissions.subscribe(filter("a.*"), group.map(queue).as_ref()).unwrap();
    assert!(!of(Some("v1")).delivers(subject("a.secret")));
    assert!(of(Some("v2")).delivers(subject("a.secret")) && of(None).delivers(subject("a.secret")));
    assert!(of(Some("v1")).is_filtered() && !of(None).is_filtered());
}

#[test]
fn nobody_joins_the_servers_own_queue() {
    let denial = subscribing(None, &[]).subscribe(filter("x"), Some(&queue("_sys_"))).unwrap_err();
    assert_eq!(denial.because, Because::ReservedQueue);
    assert_eq!(denial.wire_text(), "Permissions Violation for Subscription to \"x\" using queue \"_sys_\"");
    assert!(Permissions::everything().subscribe(filter("x"), Some(&queue("_sys_"))).is_ok());
}

#[test]
fn the_servers_own_subjects_are_closed_to_clients() {
    let client = Permissions::unrestricted(Binding::default());
    for closed in ["_GR_.a.b", "$GR.a", "$NRG.V.x"] {
        let denial = client.publish(subject(closed)).unwrap_err();
        assert!(matches!(denial.because, Because::ReservedSubject(_)), "{closed}");
        assert!(Permissions::everything().publish(subject(closed)).is_ok(), "{closed}");
    }
    for open in ["_GR_", "$GR", "$NRG", "$JS.API.INFO", "_R_.x", "_INBOX.x", "$SYS.x"] {
        assert!(may_publish(&client, open), "{open}");
    }
    let system = Permissions::unrestricted(Binding { system: true, callout: false });
    assert!(may_publish(&system, "$NRG.V.x") && !may_publish(&system, "_GR_.a"));
    assert!(may_subscribe(&client, "$NRG.>") && may_subscribe(&client, "_GR_.>"));
}

#[test]
fn a_reply_subject_of_the_server_cannot_be_asked_for() {
    let client = Permissions::unrestricted(Binding::default());
    for reserved in ["_R_.x", "$JS.ACK.S.C.1", "_GR_.a"] {
        assert!(client.reply(reserved.as_bytes()).is_err() && auth::is_reserved_reply(reserved.as_bytes()));
        assert!(Permissions::everything().reply(reserved.as_bytes()).is_ok());
    }
    for fine in ["_INBOX.x", "_R_", "$JS.ACK", "r"] {
        assert!(client.reply(fine.as_bytes()).is_ok(), "{fine}");
    }
}

#[test]
fn nobody_takes_the_callout_services_place_in_its_account() {
    let bound = Permissions::unrestricted(Binding { system: false, callout: true });
    let denial = bound.publish(subject("$SYS.REQ.USER.AUTH")).unwrap_err();
    assert_eq!(
        denial.to_string(),
        "Publish Violation - Subject \"$SYS.REQ.USER.AUTH\": deny \"$SYS.REQ.USER.AUTH\" (auth callout)"
    );
    assert!(may_publish(&bound, "$SYS.REQ.USER.INFO"));
    let settings = PermissionsSettings { publish: side(Some(&[">"]), &["x"]), ..Default::default() };
    let listed = Permissions::compile(&settings, &Source::Config, Binding { system: false, callout: true }).unwrap();
    assert!(!may_publish(&listed, "$SYS.REQ.USER.AUTH") && !may_publish(&listed, "x"));
    assert_eq!(listed.lists().publish_deny, ["x"]);
}

#[test]
fn malformed_subjects_are_a_violation_only_under_an_allow_list() {
    let text = |permissions: &Permissions| permissions.publish_malformed(b"a..b").map(|denial| denial.wire_text());
    assert_eq!(text(&publishing(Some(&[">"]), &[])), Some("Permissions Violation for Publish to \"a..b\"".into()));
    assert_eq!(text(&publishing(None, &[">"])), None);
    let closed = publishing(None, &[]).publish_malformed(b"_GR_..x");
    assert!(closed.is_some_and(|denial| matches!(denial.because, Because::ReservedSubject("_GR_."))));
}

#[test]
fn a_published_wildcard_is_judged_as_a_literal_token() {
    assert!(may_publish(&publishing(Some(&["a.*", "b"]), &["a.x.>"]), "a.>"));
    assert!(!may_publish(&publishing(Some(&["a.b"]), &[]), "a.*"));
    assert!(!may_publish(&publishing(None, &["a.*"]), "a.>"));
}

#[test]
fn a_rule_that_decided_is_named_with_its_place() {
    let rule = |text: &str, line| RuleText { text: text.into(), place: Place::new("nats.conf", line, 7) };
    let publish = SideSettings { allow: Some(vec![rule("a.>", 3)]), deny: Some(vec![rule("a.x", 4), rule("a.*", 5)]) };
    let subscribe =
        SideSettings { allow: Some(vec![rule("a.*", 6), rule("q v1", 7)]), deny: Some(vec![rule("a.no", 8)]) };
    let settings = PermissionsSettings { publish, subscribe, ..Default::default() };
    let own = Permissions::compile(&settings, &Source::Config, Binding::default()).unwrap();
    let publishing = |to| own.publish(subject(to)).unwrap_err().to_string();
    assert_eq!(publishing("a.x"), "Publish Violation - Subject \"a.x\": deny \"a.x\" (nats.conf:4:7)");
    assert_eq!(publishing("a.y"), "Publish Violation - Subject \"a.y\": deny \"a.*\" (nats.conf:5:7)");
    assert_eq!(publishing("b"), "Publish Violation - Subject \"b\": no allow entry speaks of it");
    let subscribing =
        |to, group: Option<&str>| own.subscribe(filter(to), group.map(queue).as_ref()).unwrap_err().to_string();
    assert_eq!(
        subscribing("a.>", None),
        "Subscription Violation - Subject \"a.>\": allow \"a.*\" (nats.conf:6:7) is too narrow"
    );
    assert_eq!(subscribing("a.no", None), "Subscription Violation - Subject \"a.no\": deny \"a.no\" (nats.conf:8:7)");
    assert_eq!(
        subscribing("q", Some("v2")),
        "Subscription Violation - Subject \"q\", Queue: \"v2\": allow \"q v1\" (nats.conf:7:7) is for another queue"
    );
    assert_eq!(
        own.judge_publish(subject("a.b.c")).unwrap().map(ToString::to_string),
        Some("\"a.>\" (nats.conf:3:7)".into())
    );

    let default = Permissions::compile(&settings, &Source::Default, Binding::default()).unwrap();
    let denial = default.publish(subject("a.x")).unwrap_err();
    assert_eq!(
        denial.to_string(),
        "Publish Violation - Subject \"a.x\": deny \"a.x\" (default permissions, nats.conf:4:7)"
    );
    let scoped = Source::Scope {
        key: "AKEY".into(),
        role: "clerk".into(),
        templates: [("a.x".into(), "a.{{name()}}".into())].into(),
    };
    let scoped =
        Permissions::compile(&settings, &scoped, Binding::default()).unwrap().publish(subject("a.x")).unwrap_err();
    assert!(
        scoped.to_string().ends_with("deny \"a.x\" (scope \"clerk\" of signing key AKEY, template \"a.{{name()}}\")")
    );
}

#[test]
fn an_entry_that_is_no_rule_does_not_compile() {
    let fault = |side: &str, text: &str| {
        let list = SideSettings { allow: Some(vec![text.into()]), deny: None };
        let settings = match side {
            "publish" => PermissionsSettings { publish: list, ..Default::default() },
            _ => PermissionsSettings { subscribe: list, ..Default::default() },
        };
        let compiled = Permissions::compile(&settings, &Source::Config, Binding::default());
        compiled.map_or_else(|error| error.to_string(), |_| "fine".into())
    };
    for text in ["", " ", "\t", "a..b", "a b c", ".a", ">.a"] {
        assert!(fault("subscribe", text).contains("is not a valid subject"), "{text:?}");
        assert!(fault("publish", text).contains("is not a valid subject"), "{text:?}");
    }
    assert!(fault("subscribe", "a b..c").contains("the queue is not a valid queue"));
    assert!(fault("publish", "a b").contains("publishing knows no queue"));
    assert_eq!(
        (fault("subscribe", "a q"), fault("subscribe", " a  q "), fault("publish", "a")),
        ("fine".into(), "fine".into(), "fine".into())
    );
}

const TWO_MINUTES: Duration = Duration::from_secs(120);

fn responder(publish: SideSettings) -> (Permissions, ReplyGrants) {
    let once = ResponsePermission { max: Some(1), expires: TWO_MINUTES };
    let permissions = compile(PermissionsSettings { publish, allow_responses: Some(once), ..Default::default() });
    (permissions, ReplyGrants::new(once, 1))
}

#[test]
fn who_may_answer_may_do_nothing_else() {
    let (permissions, mut grants) = responder(SideSettings::default());
    let mut may = |to, now| permissions.publish_with_grants(subject(to), &mut grants, now).is_ok();
    assert!(!may("_INBOX.1", Instant::START) && !may("a", Instant::START));
    let (permissions, mut grants) = responder(SideSettings::default());
    grants.record(b"_INBOX.1", Instant::START);
    let mut may = |to, now| permissions.publish_with_grants(subject(to), &mut grants, now).is_ok();
    assert!(!may("_INBOX.2", Instant::START));
    assert!(may("_INBOX.1", Instant::START + TWO_MINUTES));
    assert!(!may("_INBOX.1", Instant::START + TWO_MINUTES), "the one answer was given");
}

#[test]
fn an_answer_may_go_where_a_list_does_not_reach_but_not_to_the_server() {
    let (permissions, mut grants) = responder(side(None, &[">"]));
    for reply in ["_INBOX.1", "_GR_.x", "$NRG.x"] {
        grants.record(reply.as_bytes(), Instant::START);
    }
    let mut may = |to| permissions.publish_with_grants(subject(to), &mut grants, Instant::START).is_ok();
    assert!(may("_INBOX.1") && !may("_GR_.x") && !may("$NRG.x"));
    assert_eq!(grants.len(), 2, "a grant that opens nothing is not used up");
}

#[test]
fn a_grant_is_not_used_up_by_what_is_allowed_anyway() {
    let (permissions, mut grants) = responder(side(Some(&["log.>"]), &[]));
    grants.record(b"log.x", Instant::START);
    assert!(permissions.publish_with_grants(subject("log.x"), &mut grants, Instant::START).is_ok());
    assert_eq!(grants.len(), 1);
}

#[test]
fn without_a_reply_permission_grants_open_nothing() {
    let permissions = publishing(Some(&[]), &[]);
    let mut grants = ReplyGrants::new(ResponsePermission::default(), 1);
    grants.record(b"r", Instant::START);
    assert!(permissions.publish_with_grants(subject("r"), &mut grants, Instant::START).is_err());
}

#[test]
fn numbers_in_a_reply_permission_read_as_operators_write_them() {
    let read = ResponsePermission::from_written;
    assert_eq!(read(0, 0), ResponsePermission { max: Some(1), expires: TWO_MINUTES });
    assert_eq!(read(-1, -1), ResponsePermission { max: None, expires: Duration::MAX });
    assert_eq!(read(5, 1_000_000_000), ResponsePermission { max: Some(5), expires: Duration::from_secs(1) });
    assert_eq!(read(i64::MAX, i64::MIN), ResponsePermission { max: Some(u32::MAX), expires: Duration::MAX });
}

#[test]
fn the_lists_are_shown_as_written() {
    let permissions = compile(PermissionsSettings {
        publish: side(Some(&["a", "b.>"]), &["b.x"]),
        subscribe: side(None, &["c v1"]),
        allow_responses: Some(ResponsePermission::default()),
        ..Default::default()
    });
    let lists = permissions.lists();
    assert_eq!((lists.publish_allow, lists.publish_deny), (Some(vec!["a", "b.>"]), vec!["b.x"]));
    assert_eq!((lists.subscribe_allow, lists.subscribe_deny), (None, vec!["c v1"]));
    assert_eq!(lists.responses, Some(ResponsePermission::default()));
    assert!(!permissions.publishes_freely() && Permissions::unrestricted(Binding::default()).publishes_freely());
}

#[test]
fn all_of_a_filter_may_be_published_to_where_the_list_covers_it_and_nothing_of_it_is_denied() {
    let all = |permissions: &Permissions, text: &str| permissions.publish_all(&filter(text)).is_ok();
    let free = publishing(None, &[]);
    assert!(all(&free, ">") && all(&free, "a.*"));
    let denied = publishing(None, &["a.secret"]);
    assert!(!all(&denied, "a.*") && !all(&denied, ">") && !all(&denied, "*.secret"));
    assert!(all(&denied, "b.*") && all(&denied, "a.*.x"));
    let listed = publishing(Some(&["a.>"]), &["a.x.>"]);
    assert!(all(&listed, "a.*") && !all(&listed, "a.>") && !all(&listed, "*.b") && !all(&listed, "a.*.c"));
}

#[test]
fn messages_are_sent_on_somebodys_word_where_he_may_publish_and_to_inboxes_he_may_listen_to() {
    let sent = |permissions: &Permissions, to: &str| permissions.deliver(subject(to), None).is_ok();
    let both = |publish, subscribe| compile(PermissionsSettings { publish, subscribe, ..Default::default() });
    let reader =
        both(side(Some(&["$JS.API.>", "mine.>"]), &["mine.not"]), side(Some(&["_INBOX.r.>", "orders.>"]), &[]));
    assert!(sent(&reader, "mine.x") && sent(&reader, "_INBOX.r.1"));
    assert!(!sent(&reader, "mine.not") && !sent(&reader, "_INBOX.other.1"));
    assert!(!sent(&reader, "orders.new"), "others listen there as well");
    // Who must not answer others is answered.
    let silent = both(side(None, &["_INBOX.>", "orders.>"]), side(None, &["_INBOX.other.>"]));
    assert!(sent(&silent, "_INBOX.x") && sent(&silent, "anything"));
    assert!(!sent(&silent, "_INBOX.other.x") && !sent(&silent, "orders.new"));
    // Servers' own subjects are nobody's inbox.
    assert!(!sent(&silent, "_GR_.abcdef.ghijkl.orders.new") && !sent(&silent, "$NRG.x"));
    let worker = both(side(Some(&[]), &[]), side(Some(&["_work.> crew"]), &[]));
    assert!(worker.deliver(subject("_work.1"), Some(&queue("crew"))).is_ok());
    assert!(worker.deliver(subject("_work.1"), Some(&queue("others"))).is_err() && !sent(&worker, "_work.1"));
    let refused = reader.deliver(subject("orders.new"), None).unwrap_err().of_reply(b"orders.new");
    assert_eq!(refused.violation(None), "Publish Violation - Reply \"orders.new\"");
    assert!(sent(&both(side(None, &[">"]), side(None, &[">"])).of_stranger(), "orders.new"), "it reads nothing");
}
