//! What a deployment tells of itself: every server answers what is asked of all, and each knows its links.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::fleet::{Client, Make, Server, mixtures, until, until_linked};

const ACCOUNTS: &str = r#"accounts {
    A { users: [{user: a, password: a}] }
    SYS { users: [{user: s, password: s}] }
}
system_account: SYS"#;

/// A cluster of two whose first server has a leaf node, and another cluster of one server.
fn deployment([one, two, three, four]: [Make; 4]) -> [Server; 4] {
    let leafs = "leafnodes { listen: \"127.0.0.1:-1\", authorization { user: l, password: l, account: A } }";
    let cluster = |name: &str, routes: &str| format!("cluster {{ name: {name}, listen: \"127.0.0.1:-1\" {routes} }}");
    let gateway = |name: &str, to: &str| format!("gateway {{ name: {name}, listen: \"127.0.0.1:-1\" {to} }}");
    let start =
        |make, name: &str, blocks: &str| Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\n{blocks}"));
    let first = start(one, "ONE", &format!("{}\n{}\n{leafs}", cluster("C1", ""), gateway("C1", "")));
    let routes = format!(", routes: [\"{}\"]", first.route_url(""));
    let second = start(two, "TWO", &format!("{}\n{}", cluster("C1", &routes), gateway("C1", "")));
    let to = format!(", gateways: [{{ name: C1, url: \"{}\" }}]", first.gateway_url(""));
    let third = start(three, "THREE", &format!("{}\n{}", cluster("C2", ""), gateway("C2", &to)));
    let hub = first.leaf_url("l:l");
    let fourth = Server::start(four, &format!("server_name: LEAF\nleafnodes {{ remotes: [{{ url: \"{hub}\" }}] }}"));
    [first, second, third, fourth]
}

/// What the servers named answer, by name.
pub(crate) fn asked(client: &mut Client, what: &str, body: &str, names: &[&str]) -> BTreeMap<String, Value> {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let mut answers = BTreeMap::new();
    // Late answers to something else are not taken for answers to this.
    let inbox = format!("answers.{}", ASKED.fetch_add(1, Ordering::Relaxed));
    client.subscribe(&inbox, "77");
    until(&format!("all answer {what}"), || {
        client.ask(&format!("$SYS.REQ.SERVER.PING.{what}"), &inbox, body);
        for message in client.drain().into_iter().filter(|message| message.subject == inbox) {
            let answer: Value = serde_json::from_str(&message.payload).unwrap_or(Value::Null);
            if let (Some(name), false) = (answer["server"]["name"].as_str(), answer["data"].is_null()) {
                answers.insert(name.to_owned(), answer["data"].clone());
            }
        }
        names.iter().all(|name| answers.contains_key(*name))
    });
    client.send("UNSUB 77\r\n");
    answers
}

/// The names in an object, without those that come with the first pong, or only on one of several connections.
fn keys(value: &Value) -> BTreeSet<String> {
    let all = value.as_object().into_iter().flatten().map(|(key, _)| key.clone());
    all.filter(|key| !matches!(key.as_str(), "rtt" | "account")).collect()
}

#[test]
fn every_server_answers_and_knows_its_links() {
    for mix in mixtures() {
        let servers = deployment(mix);
        let (mut here, mut there) = (servers[0].log_in("a"), servers[2].log_in("a"));
        there.subscribe("probe", "1");
        until_linked(&mut here, &mut there, "probe");
        let mut leaf = servers[3].connect();
        leaf.subscribe("down", "1");
        until_linked(&mut here, &mut leaf, "down");
        let mut asks = servers[0].log_in("s");
        let names = ["ONE", "TWO", "THREE"];
        let what = |what: &str| format!("{what}, {mix:?}");

        let routez = asked(&mut asks, "ROUTEZ", "", &names);
        let of = |name: &str| &routez[name]["routes"][0];
        assert_eq!((of("ONE")["remote_name"].as_str(), of("TWO")["remote_name"].as_str()), (Some("TWO"), Some("ONE")));
        // Three of the pool, and the one of the system account.
        assert_eq!(routez["ONE"]["num_routes"], 4, "{}", what("ROUTEZ"));
        assert_eq!(keys(of("ONE")), keys(of("TWO")), "{}", what("ROUTEZ"));
        assert_eq!(routez["THREE"]["num_routes"], 0, "{}", what("ROUTEZ"));

        let mut gatewayz = BTreeMap::new();
        until("all know the other cluster", || {
            gatewayz = asked(&mut asks, "GATEWAYZ", r#"{"accounts":true}"#, &names);
            let inbound = gatewayz["THREE"]["inbound_gateways"]["C1"].as_array().map(Vec::len);
            gatewayz["ONE"]["outbound_gateways"]["C2"].is_object() && inbound == Some(2)
        });
        let out = |name: &str, to: &str| gatewayz[name]["outbound_gateways"][to].clone();
        assert_eq!(
            keys(&out("ONE", "C2")["connection"]),
            keys(&out("THREE", "C1")["connection"]),
            "{}",
            what("GATEWAYZ")
        );
        assert_eq!(out("THREE", "C1")["configured"], true, "{}", what("GATEWAYZ"));

        let leafz = asked(&mut asks, "LEAFZ", r#"{"subscriptions":true}"#, &names);
        assert_eq!(leafz["ONE"]["leafnodes"], 1, "{}: {leafz:?}", what("LEAFZ"));
        let link = &leafz["ONE"]["leafs"][0];
        assert_eq!((&link["name"], &link["account"], &link["is_spoke"]), (&"LEAF".into(), &"A".into(), &false.into()));
        let list = link["subscriptions_list"].as_array().cloned().unwrap_or_default();
        assert!(list.contains(&"down".into()), "{}: {list:?}", what("LEAFZ"));
        assert_eq!(leafz["TWO"]["leafnodes"], 0, "{}", what("LEAFZ"));

        for what in ["VARZ", "HEALTHZ", "ACCOUNTZ", "CONNZ", "SUBSZ"] {
            asked(&mut asks, what, "", &names);
        }
    }
}

/// What the only one who answers says.
fn answer(client: &mut Client, subject: &str, body: &str) -> Option<String> {
    client.subscribe("one.answer", "78");
    client.ask(subject, "one.answer", body);
    let mut answers = Vec::new();
    until(subject, || {
        answers.extend(client.drain().into_iter().filter(|message| message.subject == "one.answer"));
        !answers.is_empty()
    });
    client.send("UNSUB 78\r\n");
    assert_eq!(answers.len(), 1, "{subject}");
    answers.pop().map(|message| message.payload)
}

#[test]
fn leaf_nodes_are_connections_and_what_crosses_is_counted_by_kind_of_link() {
    for mix in mixtures() {
        let servers = deployment(mix);
        let (mut here, mut second, mut there) =
            (servers[0].log_in("a"), servers[1].log_in("a"), servers[2].log_in("a"));
        let mut leaf = servers[3].connect();
        second.subscribe("by.route", "1");
        there.subscribe("by.gateway", "1");
        leaf.subscribe("by.leaf", "1");
        until_linked(&mut here, &mut second, "by.route");
        until_linked(&mut here, &mut there, "by.gateway");
        until_linked(&mut here, &mut leaf, "by.leaf");
        let mut asks = servers[0].log_in("s");
        let connz = asked(&mut asks, "CONNZ", r#"{"auth":true}"#, &["ONE"]);
        let rows = connz["ONE"]["connections"].as_array().unwrap();
        let row = rows.iter().find(|row| row["kind"] == "Leafnode").unwrap_or_else(|| panic!("{mix:?}: {rows:#?}"));
        let said = ["name", "account", "authorized_user"].map(|key| row[key].as_str().unwrap_or_default());
        assert_eq!((said, row.get("type")), (["LEAF", "A", "l"], None), "{mix:?}");

        let statz = asked_one(&mut asks, "$SYS.REQ.ACCOUNT.A.STATZ", "ONE");
        let stat = &statz["account_statz"][0];
        assert_eq!((&stat["conns"], &stat["leafnodes"], &stat["total_conns"]), (&1.into(), &1.into(), &2.into()));
        for kind in ["routes", "gateways", "leafs"] {
            assert!(stat["sent"][kind]["msgs"].as_u64() > Some(0), "{kind} {mix:?}: {stat}");
        }
        let varz = asked(&mut asks, "VARZ", "", &["ONE"]);
        assert!(varz["ONE"]["out_msgs"].as_u64() > varz["ONE"]["out_client_msgs"].as_u64(), "{mix:?}");
    }
}

/// What one server answers to a question that several answer.
fn asked_one(client: &mut Client, subject: &str, name: &str) -> Value {
    client.subscribe("several", "79");
    let mut found = Value::Null;
    until(subject, || {
        client.ask(subject, "several", "");
        for message in client.drain().into_iter().filter(|message| message.subject == "several") {
            let answer: Value = serde_json::from_str(&message.payload).unwrap_or_default();
            if answer["server"]["name"] == name {
                found = answer["data"].clone();
            }
        }
        !found.is_null()
    });
    client.send("UNSUB 79\r\n");
    found
}

#[test]
fn subscribers_are_counted_over_all_servers_and_statistics_tell_of_links() {
    for mix in mixtures() {
        let servers = deployment(mix);
        let (mut asks, mut near, mut far) = (servers[0].log_in("s"), servers[1].log_in("s"), servers[2].log_in("s"));
        near.subscribe("counted", "1");
        far.subscribe("counted", "1");
        asks.subscribe("counted", "1");
        until("all are counted", || answer(&mut asks, "$SYS.DEBUG.SUBSCRIBERS", "counted").as_deref() == Some("3"));
        let mut told = Value::Null;
        asks.subscribe("statistics", "80");
        until("the statistics tell of all servers", || {
            asks.ask("$SYS.REQ.SERVER.PING.STATSZ", "statistics", "");
            for message in asks.drain().into_iter().filter(|message| message.subject == "statistics") {
                let stats: Value = serde_json::from_str(&message.payload).unwrap_or_default();
                if stats["server"]["name"] == "ONE" {
                    told = stats["statsz"].clone();
                }
            }
            told["active_servers"] == 3
        });
        assert_eq!(told["routes"].as_array().map(Vec::len), Some(4), "{mix:?}: {told}");
        assert_eq!((&told["routes"][0]["name"], &told["gateways"][0]["name"]), (&"TWO".into(), &"C2".into()));
    }
}
