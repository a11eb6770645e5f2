//! Imports and exports across links: the importer at one server, the exporter at another, with the reference in every
//! position; how long services take; and limits of accounts that count connections at all servers.

use serde_json::Value;

use crate::fleet::{Client, Make, Server, mixtures, mixtures_and_the_reference, settle, until, until_linked};
use crate::pairs::Pair;

const ACCOUNTS: &str = r#"accounts {
    A {
        users: [{user: a, password: a}]
        imports: [
            {stream: {account: B, subject: "news.>"}, prefix: from.b}
            {service: {account: B, subject: "svc.*"}, to: "ask.*"}
        ]
    }
    B {
        users: [{user: b, password: b}]
        exports: [{stream: "news.>"}, {service: "svc.*", latency: {sampling: 100, subject: "took"}}]
    }
    SYS { users: [{user: s, password: s}] }
}
system_account: SYS"#;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Route,
    Gateway,
    /// The system account is shared, too.
    Leaf,
    /// It is not.
    LeafAlone,
}

const KINDS: [Kind; 3] = [Kind::Route, Kind::Gateway, Kind::Leaf];

/// Two servers. A leaf connection joins the account that exports; who imports does so on either side.
fn joined(kind: Kind, makes: [Make; 2]) -> [Server; 2] {
    let pair = Pair { makes, names: ["ONE", "TWO"], accounts: ACCOUNTS };
    match kind {
        Kind::Route => pair.by_route(),
        Kind::Gateway => pair.by_gateway(),
        Kind::Leaf => pair.by_leaf(&[("b", "B"), ("s", "SYS")]),
        Kind::LeafAlone => pair.by_leaf(&[("b", "B")]),
    }
}

#[test]
fn streams_are_imported_from_the_other_server() {
    for kind in KINDS {
        for mix in mixtures() {
            let servers = joined(kind, mix);
            for (here, there) in [(0, 1), (1, 0)] {
                let (mut reads, mut writes) = (servers[here].log_in("a"), servers[there].log_in("b"));
                reads.subscribe("from.b.news.*", "1");
                reads.join("from.b.news.*", "group", "2");
                until_linked(&mut writes, &mut reads, "news.x");
                writes.publish_with_headers("news.y", "Number: 1", "once");
                writes.flush();
                let mut came: Vec<_> = [reads.next(), reads.next()].into();
                came.sort_by(|one, other| one.sid.cmp(&other.sid));
                for (message, sid) in came.iter().zip(["1", "2"]) {
                    assert_eq!((&*message.subject, &*message.sid), ("from.b.news.y", sid), "{kind:?} {mix:?}");
                    assert_eq!(message.headers, "NATS/1.0\r\nNumber: 1\r\n\r\n");
                }
                settle(&mut reads);
                assert!(reads.drain().is_empty(), "{kind:?} {mix:?}");
            }
        }
    }
}

#[test]
fn services_are_asked_at_the_other_server_and_answers_come_back() {
    for kind in KINDS {
        for mix in mixtures() {
            let servers = joined(kind, mix);
            for (here, there) in [(0, 1), (1, 0)] {
                let (mut asks, mut answers) = (servers[here].log_in("a"), servers[there].log_in("b"));
                answers.subscribe("svc.*", "1");
                until_linked(&mut asks, &mut answers, "ask.x");
                for number in 0..5 {
                    let inbox = format!("inbox.{number}");
                    asks.send(&format!("SUB {inbox} {number}\r\n"));
                    asks.ask("ask.y", &inbox, "?");
                    let question = answers.next();
                    assert_eq!(question.subject, "svc.y", "{kind:?} {mix:?}");
                    let (reply, told) = (question.reply.unwrap(), question.headers);
                    assert!(reply.starts_with("_R_."), "{kind:?} {mix:?}: {reply}");
                    assert!(told.contains("Nats-Request-Info") && told.contains("\"acc\":\"A\""), "{mix:?}: {told}");
                    answers.publish(&reply, "!");
                    let answer = asks.next();
                    assert_eq!((&*answer.subject, &*answer.payload), (&*inbox, "!"), "{kind:?} {mix:?}");
                }
                settle(&mut asks);
                assert!(asks.drain().is_empty(), "one answer each, {kind:?} {mix:?}");
                answers.send("UNSUB 1\r\n");
                answers.flush();
            }
        }
    }
}

fn metric(hears: &mut Client) -> Value {
    serde_json::from_str(&hears.next().payload).unwrap()
}

/// What both halves of a measurement make together: who answered and how long it took is what its own server says, so
/// neither the way between the servers nor that of the answer counts as work of the service.
#[test]
fn how_long_a_service_took_is_told_by_both_servers() {
    const WORK: u64 = 50_000_000;
    for kind in KINDS {
        for mix in mixtures_and_the_reference() {
            let servers = joined(kind, mix);
            for (here, there) in [(0, 1), (1, 0)] {
                let (mut asks, mut answers) = (servers[here].log_in("a"), servers[there].log_in("b"));
                let mut hears = servers[here].log_in("b");
                hears.subscribe("took", "9");
                answers.subscribe("svc.*", "1");
                until_linked(&mut asks, &mut answers, "ask.x");
                settle(&mut hears);
                asks.send("SUB inbox 1\r\n");
                asks.ask("ask.y", "inbox", "?");
                let reply = answers.next().reply.unwrap();
                std::thread::sleep(std::time::Duration::from_nanos(WORK));
                answers.publish(&reply, "!");
                assert_eq!(asks.next().payload, "!", "{kind:?} {mix:?}");
                let told = metric(&mut hears);
                let text = format!("{kind:?} {mix:?} {here} {told}");
                assert_eq!(told["type"], "io.nats.server.metric.v1.service_latency", "{text}");
                assert_eq!(told["status"], 200, "{text}");
                assert_eq!(told["requestor"]["acc"], "A", "{text}");
                let responder = &told["responder"];
                assert_eq!((&responder["acc"], &responder["user"]), (&"B".into(), &"b".into()), "{text}");
                assert_eq!(responder["server"], ["ONE", "TWO"][there], "{text}");
                assert_eq!(responder["kind"], "Client", "{text}");
                let [service, system, total] = ["service", "system", "total"].map(|key| told[key].as_u64().unwrap());
                assert!(
                    service + responder["rtt"].as_u64().unwrap_or(0) >= WORK && total >= service + system,
                    "{text}"
                );
                settle(&mut hears);
                assert!(hears.drain().is_empty(), "once, {text}");
                answers.send("UNSUB 1\r\n");
                answers.flush();
            }
        }
    }
}

/// Where the servers have no system account in common, the server of the requester tells what it knows.
#[test]
fn how_long_a_service_took_is_told_without_the_other_half() {
    let servers = joined(Kind::LeafAlone, [Make::Ours; 2]);
    let (mut asks, mut answers) = (servers[0].log_in("a"), servers[1].log_in("b"));
    let mut hears = servers[0].log_in("b");
    hears.subscribe("took", "9");
    answers.subscribe("svc.*", "1");
    until_linked(&mut asks, &mut answers, "ask.x");
    settle(&mut hears);
    asks.send("SUB inbox 1\r\n");
    asks.ask("ask.y", "inbox", "?");
    let reply = answers.next().reply.unwrap();
    answers.publish(&reply, "!");
    assert_eq!(asks.next().payload, "!");
    let told = metric(&mut hears);
    assert_eq!((&told["status"], &told["responder"]["acc"]), (&200.into(), &"B".into()), "{told}");
}

#[test]
fn connections_at_all_servers_count_towards_the_limit_of_an_account() {
    let limited = r#"accounts {
        A { users: [{user: a, password: a}], limits: {max_connections: 3} }
        SYS { users: [{user: s, password: s}] }
    }
    system_account: SYS"#;
    for mix in mixtures::<2>() {
        for kind in [Kind::Route, Kind::Gateway] {
            let pair = Pair { makes: mix, names: ["ONE", "TWO"], accounts: limited };
            let [first, second] = if kind == Kind::Route { pair.by_route() } else { pair.by_gateway() };
            let mut watchers = [Watcher::at(&first, "ONE"), Watcher::at(&second, "TWO")];
            // Only what happens once they are joined is told to both.
            let [one, two] = &mut watchers;
            until_linked(&mut one.client, &mut two.client, "probe.TWO");
            until_linked(&mut two.client, &mut one.client, "probe.ONE");
            let mut hear = |one: u64, two: u64| {
                watchers.iter_mut().for_each(|watcher| watcher.until(one, two, &format!("{kind:?} {mix:?}")))
            };
            let (_one, _two) = (first.log_in("a"), second.log_in("a"));
            let third = first.log_in("a");
            hear(2, 1);
            assert!(refuses(&first) && refuses(&second), "a fourth one is refused {kind:?} {mix:?}");
            drop(third);
            hear(1, 1);
            assert!(!refuses(&first), "there is room for one again {kind:?} {mix:?}");
            until(&format!("there is room at the other server too {kind:?} {mix:?}"), || !refuses(&second));
        }
    }
}

/// A mapping for one cluster applies to what is published there, and what it became crosses to the others.
#[test]
fn mappings_of_one_cluster_apply_to_what_is_published_there() {
    let mapped = r#"accounts {
        A {
            users: [{user: a, password: a}]
            mappings: {
                orders: [{destination: "orders.c1", weight: 100%, cluster: C1}, {destination: "orders.c2", weight: 100%, cluster: C2}]
            }
        }
    }"#;
    for mix in mixtures::<2>() {
        let listen = "listen: \"127.0.0.1:-1\"";
        let start = |make, name: &str, cluster: &str, more: &str| {
            let cluster =
                format!("cluster {{ name: {cluster}, {listen} }}\ngateway {{ name: {cluster}, {listen} {more} }}");
            Server::start(make, &format!("server_name: {name}\n{mapped}\n{cluster}"))
        };
        let first = start(mix[0], "ONE", "C1", "");
        let to = format!(", gateways: [{{ name: C1, url: \"{}\" }}]", first.gateway_url(""));
        let second = start(mix[1], "TWO", "C2", &to);
        let mut ears = [first.log_in("a"), second.log_in("a")];
        for ear in &mut ears {
            ear.subscribe("orders.*", "1");
        }
        let mut mouths = [first.log_in("a"), second.log_in("a")];
        until_linked(&mut mouths[0], &mut ears[1], "orders.probe");
        until_linked(&mut mouths[1], &mut ears[0], "orders.probe");
        for ear in &mut ears {
            settle(ear);
        }
        for (mouth, name) in mouths.iter_mut().zip(["orders.c1", "orders.c2"]) {
            mouth.publish("orders", "once");
            for ear in &mut ears {
                assert_eq!(ear.next().subject, name, "{mix:?}");
                settle(ear);
                assert!(ear.drain().is_empty(), "{mix:?}");
            }
        }
    }
}

/// Hears at a server how many connections of the account each has.
struct Watcher {
    client: Client,
    heard: std::collections::HashMap<String, u64>,
}

impl Watcher {
    fn at(server: &Server, name: &str) -> Self {
        let mut client = server.log_in("s");
        client.subscribe("$SYS.ACCOUNT.A.SERVER.CONNS", "1");
        client.subscribe(&format!("probe.{name}"), "2");
        Self { client, heard: std::collections::HashMap::new() }
    }

    /// Until the servers have so many.
    fn until(&mut self, one: u64, two: u64, what: &str) {
        until(&format!("they tell of {one} and {two}, {what}"), || {
            for message in self.client.drain() {
                let told: Value = serde_json::from_str(&message.payload).unwrap();
                let (server, conns) = (told["server"]["name"].as_str().unwrap(), told["conns"].as_u64().unwrap());
                self.heard.insert(server.to_owned(), conns);
            }
            let of = |name: &str| self.heard.get(name).copied().unwrap_or(0);
            (of("ONE"), of("TWO")) == (one, two)
        });
        settle(&mut self.client);
    }
}

/// Whether a server takes no further client of the account.
fn refuses(server: &Server) -> bool {
    use std::io::{BufRead, BufReader, Write};
    let stream = std::net::TcpStream::connect(server.client).unwrap();
    stream.set_read_timeout(Some(crate::fleet::PATIENCE)).unwrap();
    (&stream).write_all(b"CONNECT {\"verbose\":false,\"user\":\"a\",\"pass\":\"a\"}\r\nPING\r\n").unwrap();
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    lines
        .find(|line| line.starts_with("PONG") || line.starts_with("-ERR"))
        .is_none_or(|line| line.contains("maximum account active connections exceeded"))
}
