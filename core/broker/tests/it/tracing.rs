//! Messages that are followed.

use account::{Sampling, TraceDest};
use auth::settings::Settings;
use broker::ClientSettings;
use wire::CloseReason;

use crate::conversation::{Client, Conversation};
use crate::fixtures::tenants;

const NO_ECHO: &str = "CONNECT {\"verbose\":false,\"echo\":false,\"headers\":true}\r\n";

fn named(clients: &mut ClientSettings) {
    clients.greeting.server_name = "srv".into();
    clients.greeting.server_id = "NID".into();
    clients.greeting.host = "127.0.0.1".into();
}

/// A broker and who hears what is told on `trace.to`.
fn open() -> (Conversation, Client) {
    let mut broker = Conversation::with(&Settings::default(), named);
    let tracer = broker.guest();
    broker.says(&tracer, "SUB trace.to 1\r\n");
    (broker, tracer)
}

/// An HPUB with these headers and five bytes.
fn message(subject: &str, headers: &[&str]) -> String {
    let block = format!("NATS/1.0\r\n{}\r\n", headers.iter().map(|line| format!("{line}\r\n")).collect::<String>());
    format!("HPUB {subject} {} {}\r\n{block}hello\r\n", block.len(), block.len() + 5)
}

fn traced(subject: &str) -> String {
    message(subject, &["Nats-Trace-Dest: trace.to"])
}

/// What was told on `trace.to`: the JSON of each report.
fn reports(broker: &mut Conversation, tracer: &Client) -> Vec<String> {
    let heard = broker.hears(tracer);
    heard.split("\r\n").filter(|line| line.starts_with('{')).map(str::to_owned).collect()
}

/// The events of the only report, each in short: type, connection, subscription, queue, error.
fn events(broker: &mut Conversation, tracer: &Client) -> String {
    let mut reports = reports(broker, tracer);
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = reports.remove(0);
    let (_, events) = report.split_once("\"events\":").expect("a report has events");
    let events = events.strip_suffix('}').expect("the report is an object");
    events.replace("\"ts\":\"1970-01-01T00:00:00Z\",\"kind\":0,", "").replace('"', "")
}

#[test]
fn a_report_says_where_the_message_came_in_and_whom_it_reached() {
    let (mut broker, tracer) = open();
    let (alice, bob) = (broker.connect(), broker.connect());
    broker.says(&alice, "CONNECT {\"verbose\":false,\"headers\":true,\"name\":\"pub\"}\r\n");
    broker.says(&bob, "CONNECT {\"verbose\":false,\"headers\":true,\"name\":\"<sub>\"}\r\nSUB x.> 4\r\n");
    let said = message("x.y", &["Other: 1", "Nats-Trace-Dest: trace.to", "Other: 2"]);
    broker.says(&alice, &said);
    assert_eq!(broker.hears(&bob), said.replace("HPUB x.y ", "HMSG x.y 4 "));
    let json = concat!(
        r#"{"server":{"name":"srv","host":"127.0.0.1","id":"NID","ver":"2.15.1","jetstream":false,"flags":0,"seq":1,"#,
        r#""time":"1970-01-01T00:00:00Z"},"#,
        r#""request":{"header":{"Nats-Trace-Dest":["trace.to"],"Other":["1","2"]},"msgsize":64},"#,
        r#""events":[{"type":"in","ts":"1970-01-01T00:00:00Z","kind":0,"cid":2,"name":"pub","acc":"$G","subj":"x.y"},"#,
        r#"{"type":"eg","ts":"1970-01-01T00:00:00Z","kind":0,"cid":3,"name":"\u003csub\u003e","sub":"x.\u003e"}]}"#,
    );
    assert_eq!(broker.hears(&tracer), format!("MSG trace.to 1 {}\r\n{json}\r\n", json.len()));
}

#[test]
fn what_the_server_is_said_to_be_is_in_the_report() {
    let mut broker = Conversation::with(&Settings::default(), |clients| {
        named(clients);
        clients.greeting.cluster = Some("c".into());
        clients.greeting.domain = Some("d".into());
        clients.greeting.jetstream = true;
        clients.about.tags = vec!["a".into(), "b".into()];
        clients.about.metadata = [("k".to_owned(), "v".to_owned())].into();
        clients.about.feature_flags = [("f".to_owned(), true)].into();
        clients.about.capabilities = 3;
    });
    let tracer = broker.guest();
    broker.says(&tracer, "SUB trace.to 1\r\n");
    broker.says(&tracer, traced("x").repeat(2));
    let reports = reports(&mut broker, &tracer);
    let server = concat!(
        r#"{"server":{"name":"srv","host":"127.0.0.1","id":"NID","cluster":"c","domain":"d","ver":"2.15.1","#,
        r#""tags":["a","b"],"metadata":{"k":"v"},"feature_flags":{"f":true},"jetstream":true,"flags":3,"seq":"#,
    );
    assert!(reports[0].starts_with(&format!("{server}1,")), "{}", reports[0]);
    assert!(reports[1].starts_with(&format!("{server}2,")), "{}", reports[1]);
}

#[test]
fn of_a_queue_group_the_member_that_was_picked_is_named() {
    let (mut broker, tracer) = open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB x grp 1\r\n");
    broker.says(&alice, traced("x"));
    assert_eq!(events(&mut broker, &tracer), "[{type:in,cid:2,acc:$G,subj:x},{type:eg,cid:3,sub:x,queue:grp}]");
}

#[test]
fn who_does_not_get_the_message_is_named_with_the_reason() {
    let (mut broker, tracer) = open();
    let alice = broker.connect();
    broker.says(&alice, format!("{NO_ECHO}SUB x 1\r\nSUB x q 2\r\n{}", traced("x")));
    assert_eq!(
        events(&mut broker, &tracer),
        "[{type:in,cid:2,acc:$G,subj:x},{type:eg,cid:2,sub:x,error:Not delivered because of no echo},\
         {type:eg,cid:2,sub:x,queue:q,error:Not delivered because of no echo}]"
    );
    assert_eq!(broker.hears(&alice), "");
}

#[test]
fn a_subscription_that_must_not_have_the_subject_is_named() {
    let mut broker = Conversation::with(&tenants(), named);
    let (back, clerk) = (broker.login("back"), broker.login("clerk"));
    broker.says(&clerk, "SUB events.> 1\r\nSUB events.> q 2\r\n");
    broker.says(&back, format!("SUB trace.to 1\r\n{}", traced("events.audit.x")));
    let denies = "error:Not delivered because subscription denies this subject";
    assert_eq!(
        events(&mut broker, &back),
        format!(
            "[{{type:in,cid:1,acc:SHOP,subj:events.audit.x}},{{type:eg,cid:2,sub:events.\\u003e,{denies}}},\
             {{type:eg,cid:2,sub:events.\\u003e,queue:q,{denies}}}]"
        )
    );
    assert_eq!(broker.hears(&clerk), "");
}

#[test]
fn a_subscription_that_had_its_last_message_is_named() {
    let (mut broker, tracer) = open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB x 1\r\nUNSUB 1 1\r\n");
    broker.says(&alice, format!("PUB x 1\r\n1\r\n{}", traced("x")));
    assert_eq!(
        events(&mut broker, &tracer),
        "[{type:in,cid:2,acc:$G,subj:x},{type:eg,cid:3,sub:x,error:Not delivered because auto-unsubscribe exceeded}]"
    );
    assert_eq!(broker.hears(&bob), "MSG x 1 1\r\n1\r\n");
}

#[test]
fn who_is_too_far_behind_is_named_where_publishers_are_never_held_up() {
    let mut broker = Conversation::with(&Settings::default(), |clients| {
        named(clients);
        clients.max_pending_bytes = 100_000;
        clients.never_stall = true;
    });
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB x 1\r\n");
    broker.takes_only(&bob, 0);
    for _ in 0..2 {
        broker.says(&alice, format!("PUB x 40000\r\n{}\r\n", "x".repeat(40_000)));
    }
    broker.says(&alice, format!("SUB trace.to 1\r\n{}", traced("x")));
    assert_eq!(
        events(&mut broker, &alice),
        "[{type:in,cid:1,acc:$G,subj:x},\
         {type:eg,cid:2,sub:x,error:Not delivered because fast producer not stalled and consumer is slow}]"
    );
    broker.takes_all(&bob);
    assert_eq!(broker.hears(&bob).matches("MSG x 1").count(), 2);
}

#[test]
fn a_connection_that_is_over_is_named() {
    let mut broker = Conversation::with(&Settings::default(), |clients| {
        named(clients);
        clients.max_pending_bytes = 1000;
    });
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB x 1\r\n");
    broker.takes_only(&bob, 0);
    broker.says(&alice, format!("PUB x 2000\r\n{}\r\n", "x".repeat(2000)));
    assert_eq!(broker.closed(&bob), Some(CloseReason::SlowConsumerPendingBytes));
    broker.says(&alice, format!("SUB trace.to 1\r\n{}", traced("x")));
    assert_eq!(
        events(&mut broker, &alice),
        "[{type:in,cid:1,acc:$G,subj:x},{type:eg,cid:2,sub:x,error:Not delivered because client is closed}]"
    );
}

#[test]
fn a_message_that_is_only_followed_reaches_nobody_and_uses_up_nothing() {
    for only in ["1", "true", "ON"] {
        let (mut broker, tracer) = open();
        let (alice, bob) = (broker.guest(), broker.guest());
        broker.says(&bob, "SUB x 1\r\nSUB x q 2\r\nUNSUB 1 1\r\n");
        let only = format!("Nats-Trace-Only: {only}");
        broker.says(&alice, message("x", &["Nats-Trace-Dest: trace.to", &only]));
        assert_eq!(broker.hears(&bob), "");
        assert_eq!(
            events(&mut broker, &tracer),
            "[{type:in,cid:2,acc:$G,subj:x},{type:eg,cid:3,sub:x},{type:eg,cid:3,sub:x,queue:q}]"
        );
        broker.says(&alice, "PUB x 1\r\n1\r\n");
        assert_eq!(broker.hears(&bob), "MSG x 1 1\r\n1\r\nMSG x 2 1\r\n1\r\n");
    }
}

#[test]
fn cve_2026_33249_a_trace_goes_only_where_its_publisher_may_publish() {
    let mut broker = Conversation::with(&tenants(), named);
    let (clerk, back) = (broker.login("clerk"), broker.login("back"));
    broker.says(&back, "SUB > 1\r\n");
    for headers in [
        ["Nats-Trace-Dest: billing", "A: b"],
        ["Nats-Trace-Only: 1", "Nats-Trace-Dest: billing"],
        ["Nats-Trace-Dest: billing", "Nats-Trace-Dest: orders.x"],
        ["Nats-Trace-Dest:   billing", "A: b"],
    ] {
        broker.says(&clerk, message("orders.new", &headers));
        assert_eq!(broker.hears(&clerk), "-ERR 'Permissions Violation for Publish to \"billing\"'\r\n");
        assert_eq!(broker.hears(&back), "", "{headers:?}");
    }
    broker.says(&clerk, message("orders.new", &["Nats-Trace-Dest: orders.x"]));
    let heard = broker.hears(&back);
    assert!(heard.contains("HMSG orders.new 1 ") && heard.contains("MSG orders.x 1 "), "{heard}");
}

#[test]
fn cve_2026_33249_no_trace_goes_to_the_servers_own_subjects() {
    let (mut broker, _) = open();
    let alice = broker.guest();
    broker.says(&alice, "SUB > 1\r\n");
    for destination in ["_GR_.x", "$GR.x", "$NRG.x"] {
        broker.says(&alice, message("x", &[&format!("Nats-Trace-Dest: {destination}")]));
        let refused = format!("-ERR 'Permissions Violation for Publish to \"{destination}\"'\r\n");
        assert_eq!(broker.hears(&alice), refused);
    }
}

#[test]
fn a_right_to_answer_once_is_no_right_to_a_trace_and_is_not_spent_by_it() {
    let mut broker = Conversation::with(&tenants(), named);
    let (service, back) = (broker.login("service"), broker.login("back"));
    broker.says(&service, "SUB svc.> 1\r\n");
    broker.says(&back, "SUB _INBOX.> 1\r\nPUB svc.time _INBOX.7 0\r\n\r\n");
    broker.hears(&service);
    broker.says(&service, message("_INBOX.7", &["Nats-Trace-Dest: _INBOX.7"]));
    assert_eq!(broker.hears(&service), "-ERR 'Permissions Violation for Publish to \"_INBOX.7\"'\r\n");
    assert_eq!(broker.hears(&back), "");
    broker.says(&service, "PUB _INBOX.7 4\r\nnoon\r\n");
    assert_eq!(broker.hears(&back), "MSG _INBOX.7 1 4\r\nnoon\r\n");
}

#[test]
fn a_destination_that_is_no_subject_gets_no_trace() {
    for destination in ["a.*", "a.>", "a..b", ".", "a b"] {
        let (mut broker, _) = open();
        let (alice, bob) = (broker.guest(), broker.guest());
        broker.says(&bob, "SUB > 1\r\n");
        let destination = format!("Nats-Trace-Dest: {destination}");
        broker.says(&alice, message("x", &[&destination, "Nats-Trace-Only: 1"]));
        assert_eq!(broker.hears(&bob), "");
        let said = message("x", &[&destination]);
        broker.says(&alice, &said);
        assert_eq!(broker.hears(&bob), said.replace("HPUB x ", "HMSG x 1 "));
    }
}

#[test]
fn a_message_that_is_refused_is_traced_with_the_reason() {
    let mut broker = Conversation::with(&tenants(), named);
    let (clerk, back) = (broker.login("clerk"), broker.login("back"));
    broker.says(&back, "SUB orders.trace 1\r\nSUB billing 2\r\nSUB orders.new 3\r\n");
    broker.says(&clerk, message("billing", &["Nats-Trace-Dest: orders.trace"]));
    assert_eq!(broker.hears(&clerk), "-ERR 'Permissions Violation for Publish to \"billing\"'\r\n");
    assert_eq!(
        events(&mut broker, &back),
        "[{type:in,cid:1,acc:SHOP,subj:billing,error:Permissions Violation for Publish to \\billing\\}]"
    );
    broker.says(&clerk, message("orders.new _R_.x", &["Nats-Trace-Dest: orders.trace"]));
    assert_eq!(broker.hears(&clerk), "-ERR 'Permissions Violation for Publish with Reply of \"_R_.x\"'\r\n");
    assert_eq!(
        events(&mut broker, &back),
        "[{type:in,cid:1,acc:SHOP,subj:orders.new,error:Permissions Violation for Publish with Reply of \\_R_.x\\}]"
    );
}

#[test]
fn a_message_that_is_too_large_is_traced_before_its_connection_ends() {
    let mut broker = Conversation::with(&Settings::default(), |clients| {
        named(clients);
        clients.max_payload_bytes = Some(40);
    });
    let (tracer, alice) = (broker.guest(), broker.guest());
    broker.says(&tracer, "SUB trace.to 1\r\n");
    broker.says(&alice, traced("x"));
    assert_eq!(broker.hears(&alice), "-ERR 'Maximum Payload Violation'\r\n");
    assert_eq!(broker.closed(&alice), Some(CloseReason::MaxPayloadExceeded));
    assert_eq!(events(&mut broker, &tracer), "[{type:in,cid:2,acc:$G,subj:x,error:maximum payload exceeded}]");
}

#[test]
fn a_trace_of_another_system_goes_where_the_account_wants_it() {
    let (mut settings, parent) = (tenants(), "TraceParent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let dest = TraceDest { subject: subject::Filter::parse(b"trace.to").unwrap(), sampling: Sampling::ALL };
    settings.accounts[0].msg_trace = Some(dest);
    let mut broker = Conversation::with(&settings, named);
    let (back, teller) = (broker.login("back"), broker.login("teller"));
    broker.says(&back, format!("SUB trace.to 1\r\nSUB x 2\r\n{}", message("x", &[parent, "Nats-Trace-Only: 1"])));
    let heard = broker.hears(&back);
    assert!(heard.starts_with("HMSG x 2 ") && heard.contains("\"TraceParent\":[\"00-0af"), "{heard}");
    broker.says(&back, message("x", &["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"]));
    assert!(!broker.hears(&back).contains("trace.to"), "not sampled by its origin");
    let said = message("x", &[parent]);
    broker.says(&teller, format!("SUB > 1\r\n{said}"));
    assert_eq!(broker.hears(&teller), said.replace("HPUB x ", "HMSG x 1 "), "the account wants none");
    let clerk = broker.login("clerk");
    broker.says(&clerk, message("orders.new", &[parent]));
    assert_eq!(broker.hears(&clerk), "-ERR 'Permissions Violation for Publish to \"trace.to\"'\r\n");
}

#[test]
fn of_a_share_the_rest_is_marked_so_that_no_server_behind_traces_it() {
    let mut settings = tenants();
    let sampling = Sampling::percent(25).unwrap();
    settings.accounts[0].msg_trace =
        Some(TraceDest { subject: subject::Filter::parse(b"trace.to").unwrap(), sampling });
    let mut broker = Conversation::with(&settings, named);
    let back = broker.login("back");
    broker.says(&back, "SUB > 1\r\n");
    broker.says(&back, message("x", &["traceparent: 00-a-b-01"]).repeat(1000));
    let heard = broker.hears(&back);
    let reports = heard.matches("\nMSG trace.to 1 ").count();
    assert!((200..300).contains(&reports), "{reports} of 1000");
    let marked = "NATS/1.0\r\ntraceparent: 00-a-b-01\r\nNats-Trace-Dest: trace disabled\r\n\r\nhello\r\n";
    assert_eq!(heard.matches(marked).count(), 1000 - reports);
    assert_eq!(heard.matches("HMSG x 1 69 74\r\n").count(), 1000 - reports);
}

#[test]
fn a_mark_of_long_ago_switches_the_trace_off() {
    let (mut broker, tracer) = open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB x 2\r\n");
    let headers = ["Nats-Trace-Dest: trace.to", "Nats-Trace-Origin-Account: A"];
    broker.says(&alice, message("x", &headers));
    assert_eq!(
        broker.hears(&bob),
        "HMSG x 2 75 80\r\nNATS/1.0\r\nNats-Trace-Origin-Account: A\r\nNats-Trace-Dest: trace disabled\r\n\r\nhello\r\n"
    );
    broker.says(&alice, message("x", &[headers[0], headers[1], "Nats-Trace-Only: 1"]));
    assert_eq!((broker.hears(&bob), broker.hears(&tracer)), (String::new(), String::new()));
}

#[test]
fn who_names_an_encoding_gets_it() {
    for (accepted, named, start) in [
        ("gzip", "gzip", b"\x1f\x8b\x08".as_slice()),
        ("s2, gzip", "snappy", b"\xff\x06\x00\x00sNaPpY"),
        ("Snappy", "snappy", b"\xff\x06\x00\x00sNaPpY"),
    ] {
        let (mut broker, tracer) = open();
        broker.says(&tracer, message("x", &["Nats-Trace-Dest: trace.to", &format!("Accept-Encoding: {accepted}")]));
        let heard = broker.hears_bytes(&tracer);
        let block = format!("NATS/1.0\r\nContent-Encoding: {named}\r\n\r\n");
        let at = heard.windows(block.len()).position(|bytes| bytes == block.as_bytes()).expect("the encoding is named");
        assert!(heard[at + block.len()..].starts_with(start), "{accepted}");
    }
}

#[test]
fn who_names_unknown_encodings_hears_that_the_report_is_as_it_is() {
    let (mut broker, tracer) = open();
    broker.says(&tracer, message("x", &["Nats-Trace-Dest: trace.to", "Accept-Encoding: br"]));
    let heard = broker.hears(&tracer);
    assert!(heard.starts_with("HMSG trace.to 1 40 "), "{heard}");
    assert!(heard.contains("\r\nNATS/1.0\r\nContent-Encoding: identity\r\n\r\n{\"server\":"), "{heard}");
}

#[test]
fn a_publisher_that_wants_no_echo_hears_its_own_trace() {
    let (mut broker, _) = open();
    let alice = broker.connect();
    broker.says(&alice, format!("{NO_ECHO}SUB trace.to 1\r\n{}", traced("x")));
    assert_eq!(reports(&mut broker, &alice).len(), 1);
}

#[test]
fn a_trace_stays_in_its_account() {
    let mut broker = Conversation::with(&tenants(), named);
    let (back, teller) = (broker.login("back"), broker.login("teller"));
    broker.says(&teller, "SUB > 1\r\n");
    broker.says(&back, traced("x"));
    assert_eq!(broker.hears(&teller), "");
}

#[test]
fn in_verbose_mode_a_traced_message_is_answered_once_and_a_refused_one_only_with_the_error() {
    let (mut broker, _) = open();
    let alice = broker.connect();
    broker.says(&alice, "CONNECT {\"verbose\":true,\"headers\":true}\r\n");
    broker.hears(&alice);
    broker.says(&alice, traced("x"));
    assert_eq!(broker.hears(&alice), "+OK\r\n");
    broker.says(&alice, message("x", &["Nats-Trace-Dest: $NRG.x"]));
    assert_eq!(broker.hears(&alice), "-ERR 'Permissions Violation for Publish to \"$NRG.x\"'\r\n");
}
