//! A message that is followed across links: each server tells what became of it there, and the hops have numbers. With
//! the reference in every position, and the same where all servers are the reference.

use serde_json::Value;

use crate::fleet::{Client, Make, Message, Server, mixtures_and_the_reference, settle, until, until_linked};
use crate::pairs::Pair;

const ACCOUNTS: &str = r#"accounts {
    A { users: [{user: a, password: a}], imports: [{service: {account: B, subject: "svc"}}] }
    B { users: [{user: b, password: b}], exports: [{service: "svc", allow_trace: true}] }
    SYS { users: [{user: s, password: s}] }
}
system_account: SYS"#;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Route,
    Gateway,
    /// From the leaf node to its hub, and the other way.
    Up,
    Down,
}

fn with(make: Make, name: &str, more: &str) -> Server {
    Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\n{more}"))
}

/// A server where messages are published, and one to which they go.
fn joined(kind: Kind, [near, far]: [Make; 2]) -> [Server; 2] {
    let pair = Pair { makes: [near, far], names: ["NEAR", "FAR"], accounts: ACCOUNTS };
    match kind {
        Kind::Route => pair.by_route(),
        Kind::Gateway => pair.by_gateway(),
        Kind::Up => {
            let pair = Pair { makes: [far, near], names: ["FAR", "NEAR"], ..pair };
            let [far, near] = pair.by_leaf(&[("a", "A")]);
            [near, far]
        }
        Kind::Down => pair.by_leaf(&[("a", "A")]),
    }
}

/// What a report says, without what differs from run to run.
fn told(message: &Message) -> String {
    let report: Value = serde_json::from_str(&message.payload).unwrap();
    let hop = report["request"]["header"]["Nats-Trace-Hop"][0].as_str().unwrap_or("-").to_owned();
    let hops = report["hops"].as_u64().unwrap_or(0);
    let server = report["server"]["name"].as_str().unwrap();
    let events = report["events"].as_array().unwrap().iter().map(|event| {
        let fields = ["type", "kind", "name", "hop", "acc", "subj", "from", "to", "sub", "queue", "error"];
        let said = fields.iter().filter_map(|field| match &event[*field] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        });
        said.collect::<Vec<_>>().join(" ")
    });
    format!("{server} hop {hop} hops {hops}: {}", events.collect::<Vec<_>>().join(", "))
}

/// The reports that come, in the order of their hops.
fn reports(tracer: &mut Client, how_many: usize) -> Vec<String> {
    let mut came = Vec::new();
    until(&format!("{how_many} reports have come"), || {
        came.extend(tracer.drain());
        came.len() >= how_many
    });
    settle(tracer);
    let mut told: Vec<String> = came.iter().map(told).collect();
    told.sort_by_key(|line| line.split_once(" hop ").unwrap().1.to_owned());
    told
}

fn follow(publisher: &mut Client, subject: &str, only: bool) {
    let only = if only { "\r\nNats-Trace-Only: true" } else { "" };
    publisher.publish_with_headers(subject, &format!("Nats-Trace-Dest: trace.here{only}"), "!");
    publisher.flush();
}

/// Somebody who hears reports, next to who publishes, and whom the far end knows of.
fn tracer(near: &Server, far: &Server) -> Client {
    let (mut tracer, mut other) = (near.log_in("a"), far.log_in("a"));
    tracer.subscribe("trace.here", "1");
    until_linked(&mut other, &mut tracer, "trace.here");
    tracer
}

#[test]
fn a_message_is_followed_across_each_kind_of_link() {
    for (kind, number) in [(Kind::Route, 1), (Kind::Gateway, 2), (Kind::Up, 4), (Kind::Down, 4)] {
        for mix in mixtures_and_the_reference() {
            let [near, far] = joined(kind, mix);
            let (mut publisher, mut listener) = (near.log_in("a"), far.log_in("a"));
            listener.subscribe("far.*", "1");
            listener.join("far.*", "group", "2");
            until_linked(&mut publisher, &mut listener, "far.x");
            let mut tracer = tracer(&near, &far);
            for only in [false, true] {
                follow(&mut publisher, "far.x", only);
                let expected = [
                    format!("NEAR hop - hops 1: in 0 A far.x, eg {number} FAR 1"),
                    format!("FAR hop 1 hops 0: in {number} NEAR A far.x, eg 0 far.*, eg 0 far.* group"),
                ];
                let mut told = reports(&mut tracer, 2);
                told.sort_by_key(|line| line.starts_with("FAR"));
                assert_eq!(told, expected, "{kind:?} {mix:?} {only}");
                settle_many(&mut listener, if only { 0 } else { 2 }, &format!("{kind:?} {mix:?} {only}"));
            }
        }
    }
}

/// So many messages come, and no more.
fn settle_many(listener: &mut Client, how_many: usize, what: &str) {
    std::thread::sleep(std::time::Duration::from_millis(100));
    let came = listener.drain();
    assert_eq!(came.len(), how_many, "{what}: {came:?}");
}

#[test]
fn hops_are_numbered_from_server_to_server() {
    for [one, two, three] in mixtures_and_the_reference() {
        let mix = format!("{one:?} {two:?} {three:?}");
        let listen = "listen: \"127.0.0.1:-1\"";
        let hub = with(one, "HUB", &format!("cluster {{ name: C, {listen} }}\nleafnodes {{ {listen} }}"));
        let (route, up) = (hub.route_url(""), hub.leaf_url("a:a"));
        let mate = with(two, "MATE", &format!("cluster {{ name: C, {listen}, routes: [\"{route}\"] }}"));
        let leaf = with(three, "LEAF", &format!("leafnodes {{ remotes: [{{ url: \"{up}\", account: A }}] }}"));
        let (mut publisher, mut listener) = (leaf.log_in("a"), mate.log_in("a"));
        listener.subscribe("far", "1");
        until_linked(&mut publisher, &mut listener, "far");
        let mut tracer = tracer(&leaf, &mate);
        follow(&mut publisher, "far", false);
        let expected = [
            "LEAF hop - hops 1: in 0 A far, eg 4 HUB 1".to_owned(),
            "HUB hop 1 hops 1: in 4 LEAF A far, eg 1 MATE 1.1".to_owned(),
            "MATE hop 1.1 hops 0: in 1 HUB A far, eg 0 far".to_owned(),
        ];
        let mut told = reports(&mut tracer, 3);
        told.sort_by_key(|line| ["LEAF", "HUB ", "MATE"].iter().position(|name| line.starts_with(name)));
        assert_eq!(told, expected, "{mix}");
        assert_eq!(listener.drain().len(), 1, "{mix}");
    }
}

#[test]
fn a_request_into_another_account_is_followed_to_the_server_that_answers() {
    for (kind, number) in [(Kind::Route, 1), (Kind::Gateway, 2)] {
        for mix in mixtures_and_the_reference() {
            let [near, far] = joined(kind, mix);
            let (mut asks, mut answers) = (near.log_in("a"), far.log_in("b"));
            answers.subscribe("svc", "1");
            let mut tracer = tracer(&near, &far);
            until_linked(&mut asks, &mut answers, "svc");
            // Where all are the reference, the first report from another cluster is lost.
            until("the way back is known", || {
                follow(&mut asks, "svc", false);
                std::thread::sleep(std::time::Duration::from_millis(50));
                tracer.drain().len() == 2
            });
            settle(&mut tracer);
            settle(&mut answers);
            follow(&mut asks, "svc", false);
            let told = reports(&mut tracer, 2);
            let of = |name: &str| told.iter().find(|line| line.starts_with(name)).cloned().unwrap_or_default();
            let (here, there) = (of("NEAR"), of("FAR"));
            assert_eq!(here, format!("NEAR hop - hops 1: in 0 A svc, si B svc svc, eg {number} FAR 1"), "{mix:?}");
            assert_eq!(there, format!("FAR hop 1 hops 0: in {number} NEAR B svc, eg 0 svc"), "{kind:?} {mix:?}");
            assert_eq!(answers.drain().len(), 1, "{kind:?} {mix:?}");
        }
    }
}

#[test]
fn ghsa_p3j5_a_leaf_node_gets_no_report_where_its_user_may_not_publish() {
    let accounts = r#"accounts { A { users: [
        {user: a, password: a},
        {user: l, password: l, permissions: {publish: {allow: ["out.>"]}}}
    ] } }"#;
    let mut hub =
        Server::start(Make::Ours, &format!("server_name: HUB\n{accounts}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}"));
    let url = hub.leaf_url("l:l");
    let spoke =
        Server::start(Make::Ours, &format!("server_name: LEAF\nleafnodes {{ remotes: [{{ url: \"{url}\" }}] }}"));
    let (mut publisher, mut listener) = (spoke.connect(), hub.log_in("a"));
    listener.subscribe("out.>", "1");
    listener.subscribe("secret.>", "2");
    until_linked(&mut publisher, &mut listener, "out.x");
    publisher.publish_with_headers("out.x", "Nats-Trace-Dest: secret.place", "!");
    publisher.flush();
    hub.logged("secret.place");
    settle_many(&mut listener, 0, "neither the message nor the report");
    publisher.publish_with_headers("out.x", "Nats-Trace-Dest: out.place", "!");
    publisher.flush();
    until("the report of the hub and the message have come", || {
        let came = listener.drain();
        came.iter().any(|message| message.subject == "out.place")
    });
}
