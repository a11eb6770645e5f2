//! What accounts share: streams and services, along permissions and mappings, and what does not cross.

use std::time::Duration;

use account::{
    Access, AccountName, Destination, Import, ImportKind, Latency, LatencySampling, LocalName, Mapping, ResponseType,
    ServiceExport, StreamExport,
};
use auth::settings::{
    AccountSettings, ExportSettings, PermissionsSettings, Place, Placed, Settings, SideSettings, UserSettings,
};

use broker::OwnMessage;

use crate::conversation::{Client, Conversation};

/// An account with a user of its name.
pub(crate) fn tenant(name: &str) -> AccountSettings {
    AccountSettings { name: name.into(), users: vec![user(name)], ..AccountSettings::default() }
}

fn user(name: &str) -> UserSettings {
    let password = Some(secret::Secret::new(name.to_owned()));
    UserSettings { user: Some(name.into()), password, ..UserSettings::default() }
}

pub(crate) trait Sharing: Sized {
    fn offers(self, export: ExportSettings) -> Self;
    fn takes(self, import: Import) -> Self;
    fn streams(self, subject: &str) -> Self {
        let subject = subject.parse().unwrap();
        self.offers(ExportSettings::Stream(StreamExport { subject, access: Access::Public }))
    }
    fn serves(self, subject: &str) -> Self {
        self.offers(ExportSettings::Service(ServiceExport::new(subject.parse().unwrap(), Access::Public)))
    }
    fn hears(self, account: &str, subject: &str, local: LocalName) -> Self {
        self.takes(import(account, subject, ImportKind::Stream { local, allow_trace: false }))
    }
    fn asks(self, account: &str, subject: &str, to: &str) -> Self {
        self.takes(import(account, subject, ImportKind::Service { to: to.into(), share: false }))
    }
    fn maps(self, source: &str, destinations: &[Destination]) -> Self;
}

impl Sharing for AccountSettings {
    fn offers(mut self, export: ExportSettings) -> Self {
        self.exports.push(Placed { what: export, origin: Place::default() });
        self
    }

    fn takes(mut self, import: Import) -> Self {
        self.imports.push(Placed { what: import, origin: Place::default() });
        self
    }

    fn maps(mut self, source: &str, destinations: &[Destination]) -> Self {
        self.mappings.add(Mapping::compile(source, destinations).unwrap()).unwrap();
        self
    }
}

fn import(account: &str, subject: &str, kind: ImportKind) -> Import {
    Import { account: AccountName::parse(account).unwrap(), subject: subject.into(), kind, activated: false }
}

fn service(subject: &str, change: impl FnOnce(&mut ServiceExport)) -> ExportSettings {
    let mut export = ServiceExport::new(subject.parse().unwrap(), Access::Public);
    change(&mut export);
    ExportSettings::Service(export)
}

pub(crate) fn among<const N: usize>(accounts: [AccountSettings; N]) -> (Conversation, [Client; N]) {
    let names = accounts.each_ref().map(|account| account.name.clone());
    let mut broker = Conversation::with(&Settings { accounts: accounts.into(), ..Settings::default() }, |_| {});
    let clients = names.map(|name| broker.login(&name));
    (broker, clients)
}

fn prefixed(prefix: &str) -> LocalName {
    LocalName::Prefixed(prefix.into())
}

/// The reply of the only request in what was heard.
fn reply_of(heard: &str) -> String {
    let reply = heard.split_whitespace().find(|word| word.starts_with("_R_."));
    reply.unwrap_or_else(|| panic!("no reply in {heard:?}")).to_owned()
}

const INFO: &str = "NATS/1.0\r\nNats-Request-Info: {\"acc\":\"B\",\"rtt\":1}\r\n\r\n";

#[test]
fn a_stream_is_heard_by_all_who_import_it_each_under_its_own_name() {
    let (mut broker, [a, b, c]) = among([
        tenant("A").streams("s.>"),
        tenant("B").hears("A", "s.>", prefixed("from.a")),
        tenant("C").hears("A", "s.*", LocalName::Mapped("x.$1.y".into())),
    ]);
    broker.says(&b, "SUB from.> 1\r\n");
    broker.says(&c, "SUB x.1.* 2\r\n");
    broker.says(&a, "SUB s.1 3\r\nPUB s.1 2\r\nhi\r\nPUB s.2 2\r\nho\r\nPUB t.1 2\r\nno\r\n");
    assert_eq!(broker.hears(&a), "MSG s.1 3 2\r\nhi\r\n");
    assert_eq!(broker.hears(&b), "MSG from.a.s.1 1 2\r\nhi\r\nMSG from.a.s.2 1 2\r\nho\r\n");
    assert_eq!(broker.hears(&c), "MSG x.1.y 2 2\r\nhi\r\n");
    broker.says(&b, "PUB from.a.s.1 1\r\nx\r\n");
    assert_eq!((broker.hears(&b), broker.hears(&a)), ("MSG from.a.s.1 1 1\r\nx\r\n".into(), String::new()));
    broker.says(&b, "UNSUB 1\r\n");
    broker.says(&a, "PUB s.2 2\r\nho\r\n");
    assert_eq!(broker.hears(&b), "");
}

#[test]
fn a_stream_is_not_passed_on_by_those_who_import_it() {
    let (mut broker, [a, b, c]) = among([
        tenant("A").streams("s"),
        tenant("B").hears("A", "s", prefixed("b")).streams("b.s"),
        tenant("C").hears("B", "b.s", LocalName::Same),
    ]);
    broker.says(&b, "SUB > 1\r\n");
    broker.says(&c, "SUB > 1\r\n");
    broker.says(&a, "PUB s 1\r\nx\r\n");
    assert_eq!(broker.hears(&b), "MSG b.s 1 1\r\nx\r\n");
    assert_eq!(broker.hears(&c), "");
}

#[test]
fn a_queue_group_spans_the_accounts_of_a_stream() {
    let (mut broker, [a, b]) = among([tenant("A").streams("s"), tenant("B").hears("A", "s", LocalName::Same)]);
    broker.says(&a, "SUB s q 1\r\n");
    broker.says(&b, "SUB s q 1\r\n");
    broker.says(&a, "PUB s 1\r\nx\r\n".repeat(40));
    let (one, other) = (broker.hears(&a).matches("MSG").count(), broker.hears(&b).matches("MSG").count());
    assert_eq!(one + other, 40);
    assert!(one > 5 && other > 5, "{one} and {other}");
}

#[test]
fn what_may_not_be_heard_under_its_name_here_is_withheld() {
    let deny = SideSettings { allow: None, deny: Some(vec!["from.a.secret".into()]) };
    let permissions = PermissionsSettings { subscribe: deny, ..PermissionsSettings::default() };
    let mut b = tenant("B").hears("A", "*", prefixed("from.a"));
    b.users[0].permissions = Some(Box::new(permissions));
    let (mut broker, [a, b]) = among([tenant("A").streams("*"), b]);
    broker.says(&b, "SUB from.> 1\r\n");
    broker.says(&a, "PUB secret 1\r\nx\r\nPUB open 1\r\ny\r\n");
    assert_eq!(broker.hears(&b), "MSG from.a.open 1 1\r\ny\r\n");
}

#[test]
fn an_end_of_a_subscription_counts_what_came_from_elsewhere() {
    let (mut broker, [a, b]) = among([tenant("A").streams("s"), tenant("B").hears("A", "s", LocalName::Same)]);
    broker.says(&b, "SUB s 1\r\nUNSUB 1 3\r\nPUB s 1\r\nb\r\n");
    broker.says(&a, "PUB s 1\r\na\r\n".repeat(5));
    assert_eq!(broker.hears(&b), "MSG s 1 1\r\nb\r\nMSG s 1 1\r\na\r\nMSG s 1 1\r\na\r\n");
}

#[test]
fn a_request_crosses_with_who_asks_and_the_answer_comes_back_once() {
    let (mut broker, [a, b]) = among([tenant("A").serves("svc.*"), tenant("B").asks("A", "svc.*", "ask.*.x")]);
    broker.says(&a, "SUB svc.> 1\r\nSUB > 9\r\n");
    broker.says(&b, "SUB in.1 5\r\nPUB ask.time.x in.1 2\r\nrq\r\n");
    let heard = broker.hears(&a);
    let reply = reply_of(&heard);
    let message = |sid: u8| format!("HMSG svc.time {sid} {reply} {} {}\r\n{INFO}rq\r\n", INFO.len(), INFO.len() + 2);
    assert!(heard == message(1) + &message(9) || heard == message(9) + &message(1), "{heard}");
    broker.says(&a, format!("UNSUB 9\r\nPUB {reply} 2\r\nok\r\nPUB {reply} 3\r\ntoo\r\n"));
    assert_eq!(broker.hears(&b), "MSG in.1 5 2\r\nok\r\n");
    assert_eq!(broker.hub.account_named("A").unwrap().open_requests(), 0);
}

/// Where a consumer is acknowledged stands in the reply itself. Only streams say such a one; clients may not.
#[test]
fn a_reply_that_acknowledges_is_not_rewritten() {
    let ack = "$JS.ACK.S.C.1.2.3.4.0";
    let (mut broker, [a, b]) = among([tenant("A").serves("svc"), tenant("B").asks("A", "svc", "svc")]);
    broker.says(&a, "SUB svc 1\r\n");
    broker.says(&b, format!("PUB svc {ack} 2\r\nrq\r\n"));
    assert_eq!((broker.hears(&a), broker.hears(&b).starts_with("-ERR 'Permissions")), (String::new(), true));
    let home = broker.hub.account_named("B").unwrap();
    let delivery = OwnMessage { reply: Some(ack.into()), ..OwnMessage::new(home, "svc", "rq") };
    broker.hub.publish(vec![delivery]);
    broker.round();
    let heard = broker.hears(&a);
    assert!(heard.contains(&format!("MSG svc 1 {ack} ")), "{heard:?}");
    assert_eq!(broker.hub.account_named("A").unwrap().open_requests(), 0);
}

#[test]
fn advisory_cve_2026_33223_who_asks_cannot_be_forged() {
    let (mut broker, [a, b]) = among([tenant("A").serves("svc"), tenant("B").asks("A", "svc", "svc")]);
    broker.says(&a, "SUB svc 1\r\n");
    let forged = "Nats-Request-Info: {\"acc\":\"A\"}\r\n";
    for lines in [
        forged.to_owned(),
        forged.repeat(5),
        forged.to_lowercase(),
        format!("X: Nats-Request-Info: 1\r\n{forged}"),
        "Nats-Request-Info: {\"acc\":\r\n \"A\"}\r\n".to_owned(),
        "Nats-Request-Info : {\"acc\":\"A\"}\r\n".to_owned(),
    ] {
        let block = format!("NATS/1.0\r\nK: v\r\n{lines}\r\n");
        broker.says(&b, format!("HPUB svc {} {}\r\n{block}\r\n", block.len(), block.len()));
        let heard = broker.hears(&a);
        let server_made = "\r\nNats-Request-Info: {\"acc\":\"B\",\"rtt\":1}\r\n\r\n";
        assert!(heard.contains("K: v\r\n") && heard.contains(server_made), "{heard}");
        let rest = heard.replace("X: Nats-Request-Info: 1\r\n", "").to_lowercase();
        assert_eq!(rest.matches("nats-request-info").count(), 1, "{heard}");
        assert!(!rest.contains("\"acc\":\"a\""), "{heard}");
    }
}

#[test]
fn nobody_to_answer_is_told_by_the_subject_that_was_asked() {
    let (mut broker, [_, b]) = among([tenant("A").serves("svc"), tenant("B").asks("A", "svc", "ask")]);
    broker.says(&b, "SUB in.1 5\r\nPUB ask in.1 2\r\nrq\r\n");
    assert_eq!(broker.hears(&b), "HMSG in.1 5 35 35\r\nNATS/1.0 503\r\nNats-Subject: ask\r\n\r\n\r\n");
    assert_eq!(broker.hub.account_named("A").unwrap().open_requests(), 0);
}

#[test]
fn services_can_be_chained_and_say_so() {
    let (mut broker, [a, b, c]) = among([
        tenant("A").serves("svc"),
        tenant("B").asks("A", "svc", "b").serves("b"),
        tenant("C").asks("B", "b", "c"),
    ]);
    broker.says(&a, "SUB svc 1\r\n");
    broker.says(&b, "SUB nothing 1\r\n");
    broker.says(&c, "SUB in 5\r\nPUB c in 2\r\nrq\r\n");
    let heard = broker.hears(&a);
    assert!(heard.contains("Nats-Request-Info: {\"acc\":\"C\",\"svc\":\"B\",\"rtt\":1}\r\n"), "{heard}");
    broker.says(&a, format!("PUB {} 2\r\nok\r\n", reply_of(&heard)));
    assert_eq!(broker.hears(&c), "MSG in 5 2\r\nok\r\n");
}

#[test]
fn a_service_that_answers_in_parts_ends_with_an_empty_one() {
    for response in [ResponseType::Stream, ResponseType::Chunked] {
        let export = service("svc", |export| export.response = response);
        let (mut broker, [a, b]) = among([tenant("A").offers(export), tenant("B").asks("A", "svc", "svc")]);
        broker.says(&a, "SUB svc 1\r\n");
        broker.says(&b, "SUB in 5\r\nPUB svc in 2\r\nrq\r\n");
        let reply = reply_of(&broker.hears(&a));
        broker.says(
            &a,
            format!("PUB {reply} 1\r\n1\r\nPUB {reply} 1\r\n2\r\nPUB {reply} 0\r\n\r\nPUB {reply} 1\r\n3\r\n"),
        );
        assert_eq!(broker.hears(&b), "MSG in 5 1\r\n1\r\nMSG in 5 1\r\n2\r\nMSG in 5 0\r\n\r\n");
    }
}

#[test]
fn a_request_is_given_up_after_its_time() {
    let export = service("svc", |export| export.threshold = Duration::from_secs(3));
    let (mut broker, [a, b]) = among([tenant("A").offers(export), tenant("B").asks("A", "svc", "svc")]);
    broker.says(&a, "SUB svc 1\r\n");
    broker.says(&b, "SUB in 5\r\nPUB svc in 2\r\nrq\r\n");
    let reply = reply_of(&broker.hears(&a));
    let state = broker.hub.account_named("A").unwrap();
    broker.advance(Duration::from_secs(2));
    broker.with_connection(&a, |worker, _| worker.tick());
    assert_eq!(state.open_requests(), 1);
    broker.advance(Duration::from_secs(1));
    broker.with_connection(&a, |worker, _| worker.tick());
    assert_eq!(state.open_requests(), 0);
    broker.hears(&b);
    broker.says(&a, format!("PUB {reply} 2\r\nok\r\n"));
    assert_eq!(broker.hears(&b), "");
}

#[test]
fn what_crossed_a_service_does_not_leave_by_a_stream() {
    let (mut broker, [a, b, c]) = among([
        tenant("A").serves("svc").streams(">"),
        tenant("B").asks("A", "svc", "svc"),
        tenant("C").hears("A", ">", prefixed("a")),
    ]);
    broker.says(&a, "SUB svc 1\r\n");
    broker.says(&c, "SUB > 1\r\n");
    broker.says(&b, "SUB in 5\r\nPUB svc in 2\r\nrq\r\n");
    let reply = reply_of(&broker.hears(&a));
    assert_eq!(broker.hears(&c), "");
    broker.says(&a, format!("PUB {reply} 2\r\nok\r\nPUB svc 1\r\nx\r\n"));
    assert_eq!(broker.hears(&b), "MSG in 5 2\r\nok\r\n");
    // The answer is published in A by one of its own, like any other message.
    assert_eq!(broker.hears(&c), format!("MSG a.{reply} 1 2\r\nok\r\nMSG a.svc 1 1\r\nx\r\n"));
}

#[test]
fn a_requester_may_only_ask_what_it_may_publish() {
    let mut b = tenant("B").asks("A", "svc.*", "svc.*");
    let allow = SideSettings { allow: Some(vec!["svc.open".into()]), deny: None };
    b.users[0].permissions = Some(Box::new(PermissionsSettings { publish: allow, ..PermissionsSettings::default() }));
    let (mut broker, [a, b]) = among([tenant("A").serves("svc.*"), b]);
    broker.says(&a, "SUB svc.* 1\r\n");
    broker.says(&b, "PUB svc.closed 1\r\nx\r\nPUB svc.open 1\r\nx\r\n");
    assert!(broker.hears(&a).starts_with("HMSG svc.open 1 "));
    assert_eq!(broker.hears(&b), "-ERR 'Permissions Violation for Publish to \"svc.closed\"'\r\n");
}

#[test]
fn permissions_are_asked_about_the_name_that_a_mapping_gives() {
    let rights = |allow: &str| PermissionsSettings {
        publish: SideSettings { allow: Some(vec![allow.into()]), deny: None },
        ..PermissionsSettings::default()
    };
    let mut a = tenant("A").maps("m.*", &[Destination::all("n.$1")]);
    a.users[0].permissions = Some(Box::new(rights("m.*")));
    a.users.push(UserSettings { permissions: Some(Box::new(rights("n.1"))), ..user("U") });
    let (mut broker, [a]) = among([a]);
    let u = broker.login("U");
    broker.says(&a, "PUB m.1 1\r\nx\r\nPUB m.x.y 1\r\nx\r\n");
    let denied = |subject: &str| format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n");
    assert_eq!(broker.hears(&a), denied("n.1") + &denied("m.x.y"));
    broker.says(&u, "SUB > 1\r\nPUB m.1 1\r\nx\r\nPUB n.1 1\r\ny\r\nPUB m.2 1\r\nz\r\n");
    assert_eq!(broker.hears(&u), "MSG n.1 1 1\r\nx\r\nMSG n.1 1 1\r\ny\r\n".to_owned() + &denied("n.2"));
    broker.says(&u, "UNSUB 1\r\nSUB in 2\r\nPUB m.1 in 0\r\n\r\n");
    assert_eq!(broker.hears(&u), "HMSG in 2 35 35\r\nNATS/1.0 503\r\nNats-Subject: n.1\r\n\r\n\r\n");
}

#[test]
fn permissions_are_asked_about_the_name_that_chance_gives() {
    let to = |subject: &str, weight| Destination { weight, ..Destination::all(subject) };
    let mut a = tenant("A").maps("m", &[to("yes", 50), to("no", 50)]);
    let allow = SideSettings { allow: Some(vec!["yes".into()]), deny: None };
    a.users[0].permissions = Some(Box::new(PermissionsSettings { publish: allow, ..PermissionsSettings::default() }));
    let (mut broker, [a]) = among([a]);
    broker.says(&a, "SUB > 1\r\n");
    // Whoever is refused more often in one turn is held up.
    (0..20).for_each(|_| broker.says(&a, "PUB m 1\r\nx\r\n".repeat(20)));
    let heard = broker.hears(&a);
    let (moved, denied) = (heard.matches("MSG yes 1").count(), heard.matches("Publish to \"no\"").count());
    assert_eq!(moved + denied, 400, "{heard}");
    assert!((120..280).contains(&moved), "{moved} and {denied}");
}

#[test]
fn a_mapping_by_weight_splits_and_drops() {
    let to = |subject: &str, weight| Destination { weight, ..Destination::all(subject) };
    let (mut broker, [a]) = among([tenant("A").maps("m", &[to("m", 40), to("n", 40)])]);
    broker.says(&a, "SUB m 1\r\nSUB n 2\r\n");
    broker.says(&a, "PUB m 1\r\nx\r\n".repeat(1000));
    let heard = broker.hears(&a);
    let (kept, moved) = (heard.matches("MSG m 1").count(), heard.matches("MSG n 2").count());
    assert!((350..450).contains(&kept) && (350..450).contains(&moved), "{kept} and {moved}");
}

#[test]
fn mappings_apply_where_a_request_arrives_and_before_it_leaves() {
    let (mut broker, [a, b]) = among([
        tenant("A").serves("svc").maps("svc", &[Destination::all("svc.v2")]),
        tenant("B").asks("A", "svc", "svc").maps("old", &[Destination::all("svc")]),
    ]);
    broker.says(&a, "SUB svc 1\r\nSUB svc.v2 2\r\n");
    broker.says(&b, "PUB old 1\r\nx\r\n");
    assert!(broker.hears(&a).starts_with("HMSG svc.v2 2 "));
}

#[test]
fn a_circle_closed_by_mappings_ends() {
    let (mut broker, [a, b]) = among([
        tenant("A").asks("B", "b.in", "a.out").serves("a.in").maps("a.in", &[Destination::all("a.out")]),
        tenant("B").asks("A", "a.in", "b.out").serves("b.in").maps("b.in", &[Destination::all("b.out")]),
    ]);
    broker.says(&b, "SUB b.> 1\r\n");
    broker.says(&a, "SUB a.> 1\r\nSUB in 2\r\nPUB a.out in 1\r\nx\r\n");
    assert_eq!(broker.hears(&b).matches("HMSG b.out").count(), 1);
    assert!(broker.hears(&a).matches("a.out 1").count() <= 2);
}

#[test]
fn latencies_are_told_to_the_exporter() {
    let latency = Latency { sampling: LatencySampling::Percent(100), subject: "lat".into() };
    let export = service("svc", |export| export.latency = Some(latency));
    let (mut broker, [a, b]) = among([tenant("A").offers(export), tenant("B").asks("A", "svc", "svc")]);
    broker.says(&a, "SUB svc 1\r\nSUB lat 2\r\n");
    broker.says(&b, "SUB in 5\r\nPUB svc in 2\r\nrq\r\n");
    let reply = reply_of(&broker.hears(&a));
    broker.says(&a, format!("PUB {reply} 2\r\nok\r\n"));
    let told = broker.hears(&a);
    assert!(told.contains("\"type\":\"io.nats.server.metric.v1.service_latency\""), "{told}");
    assert!(
        told.contains("\"status\":200,\"requestor\":{\"acc\":\"B\",\"rtt\":1},\"responder\":{\"start\":"),
        "{told}"
    );
    broker.says(&b, "PUB svc 0\r\n\r\n");
    assert!(broker.hears(&a).contains("\"status\":400,\"description\":\"Bad Request\""));
    broker.says(&b, "PUB svc in 0\r\n\r\nUNSUB 5\r\n");
    assert!(broker.hears(&a).contains("\"status\":408,\"description\":\"Request Timeout\""));
    broker.says(&b, "SUB in 6\r\n");
    broker.says(&a, "UNSUB 1\r\n");
    broker.says(&b, "PUB svc in 0\r\n\r\n");
    assert!(broker.hears(&a).contains("\"status\":503,\"description\":\"Service Unavailable\""));
}

#[test]
fn who_agrees_tells_more() {
    let share = import("A", "svc", ImportKind::Service { to: String::new(), share: true });
    let (mut broker, [a, b]) = among([tenant("A").serves("svc"), tenant("B").takes(share)]);
    broker.says(&a, "SUB svc 1\r\n");
    broker.says(&b, "PUB svc 0\r\n\r\n");
    let heard = broker.hears(&a);
    for part in [
        "\"start\":\"",
        "\"host\":\"127.0.0.1\",\"id\":",
        "\"acc\":\"B\",\"user\":\"B\"",
        "\"kind\":\"Client\",\"client_type\":\"nats\"}",
    ] {
        assert!(heard.contains(part), "{part} in {heard}");
    }
}
