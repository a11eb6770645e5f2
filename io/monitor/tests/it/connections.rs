//! `/connz` and `/subsz`: filters, order, pages.

use broker::ClientSettings;
use monitor::MonitorSettings;
use serde_json::Value;

use crate::house::{Client, House, tenants};

const ANN: &str = r#"{"user":"ann","pass":"MARKER-ann","name":"ann's","lang":"test","version":"1.2"}"#;
const BOB: &str = r#"{"user":"bob","pass":"MARKER-bob"}"#;

fn two_tenants() -> (House, Client, Client) {
    let house = House::with(tenants(), ClientSettings::default(), MonitorSettings::default());
    let (ann, bob) = (house.client(ANN), house.client(BOB));
    (house, ann, bob)
}

fn cids(connz: &Value) -> Vec<u64> {
    connz["connections"].as_array().unwrap().iter().map(|connection| connection["cid"].as_u64().unwrap()).collect()
}

#[test]
fn a_connection_is_shown_with_its_numbers() {
    let house = House::open();
    let mut client = house.client(r#"{"name":"n","lang":"l","version":"v"}"#);
    client.say("SUB greet.* 1\r\nPUB greet.me 5\r\nhello\r\n");
    client.hear("hello");
    client.settle();
    let connz = house.json_when("/connz", |connz| connz["connections"][0]["out_msgs"] == 1);
    let connection = &connz["connections"][0];
    for (field, value) in
        [("in_msgs", 1), ("in_bytes", 5), ("out_bytes", 5), ("subscriptions", 1), ("pending_bytes", 0)]
    {
        assert_eq!(connection[field], value, "{field}");
    }
    for (field, value) in [("kind", "Client"), ("type", "nats"), ("ip", "127.0.0.1"), ("name", "n"), ("lang", "l")] {
        assert_eq!(connection[field], value, "{field}");
    }
    assert_eq!(connection["port"], client.stream.local_addr().unwrap().port());
    assert_eq!((&connz["num_connections"], &connz["total"]), (&1.into(), &1.into()));
}

#[test]
fn who_somebody_is_is_told_only_if_asked() {
    let (house, _ann, _bob) = two_tenants();
    let plain = house.json("/connz");
    assert!(
        plain["connections"][0].get("authorized_user").is_none() && plain["connections"][0].get("account").is_none()
    );
    let full = house.json("/connz?auth=1");
    assert_eq!(full["connections"][0]["authorized_user"], "ann");
    assert_eq!(full["connections"][1]["account"], "BANK");
}

#[test]
fn connections_are_found_by_user_account_and_id() {
    let (house, _ann, _bob) = two_tenants();
    let all = cids(&house.json("/connz"));
    assert_eq!(all.len(), 2);
    assert_eq!(cids(&house.json("/connz?user=bob")), all[1..]);
    let shop = house.json("/connz?acc=SHOP");
    assert_eq!((cids(&shop), &shop["total"]), (all[..1].to_vec(), &1.into()));
    let one = house.json(&format!("/connz?cid={}", all[1]));
    assert_eq!((cids(&one), &one["limit"]), (all[1..].to_vec(), &1.into()));
    assert_eq!(cids(&house.json("/connz?cid=999999")), [0; 0]);
    let unknown = house.json("/connz?acc=NOBODY");
    assert_eq!((&unknown["server_id"], &unknown["connections"]), (&"".into(), &Value::Null));
}

#[test]
fn pages_are_cut_from_the_order_asked_for() {
    let house = House::open();
    let mut clients: Vec<Client> = (0..4).map(|_| house.client("{}")).collect();
    for (subscriptions, client) in clients.iter_mut().enumerate() {
        (0..subscriptions).for_each(|sid| client.say(&format!("SUB a.{sid} {sid}\r\n")));
        client.settle();
    }
    let all = cids(&house.json("/connz"));
    let by_subs: Vec<u64> = all.iter().rev().copied().collect();
    assert_eq!(cids(&house.json_when("/connz?sort=subs", |connz| cids(connz) == by_subs)), by_subs);
    let page = house.json("/connz?offset=1&limit=2");
    assert_eq!((cids(&page), &page["total"]), (all[1..3].to_vec(), &4.into()));
    assert_eq!(cids(&house.json("/connz?offset=9")), [0; 0]);
}

#[test]
fn the_gone_are_remembered_with_the_reason() {
    let (house, mut ann, bob) = two_tenants();
    ann.say("PUB x 2\r\nok\r\nFOO\r\n");
    ann.hear("-ERR");
    drop((ann, bob));
    let closed = house.json_when("/connz?state=closed&auth=1&sort=reason", |connz| connz["total"] == 2);
    let rows = closed["connections"].as_array().unwrap();
    assert_eq!((&rows[0]["reason"], &rows[0]["authorized_user"]), (&"Client Closed".into(), &"bob".into()));
    assert_eq!((&rows[1]["reason"], &rows[1]["authorized_user"]), (&"Protocol Violation".into(), &"ann".into()));
    assert_eq!((&rows[1]["in_msgs"], &rows[1]["account"]), (&1.into(), &"SHOP".into()));
    assert!(rows.iter().all(|row| row["stop"].is_string()));
    assert_eq!(house.json("/connz?state=any")["total"], 2);
    assert_eq!(house.json("/connz")["total"], 0);
    assert_eq!(cids(&house.json("/connz?state=closed&user=ann")).len(), 1);
    house.hub.ledger().keep_closed(1);
    assert_eq!(house.json("/connz?state=closed")["total"], 1);
}

#[test]
fn a_refused_login_is_remembered_with_the_name_that_was_tried() {
    let house = House::with(tenants(), ClientSettings::default(), MonitorSettings::default());
    for connect in [r#"{"user":"eve","pass":"MARKER"}"#, r#"{"nkey":"SUMARKER"}"#, r#"{"auth_token":"MARKER"}"#] {
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| house.client(connect)));
        assert!(refused.is_err());
    }
    let closed = house.json_when("/connz?state=closed&auth=1", |connz| connz["total"] == 3);
    let rows = closed["connections"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["reason"] == "Authentication Failure"));
    assert_eq!(rows[0]["authorized_user"], "eve");
    assert!(rows[1].get("authorized_user").is_none());
    assert_eq!(rows[2]["authorized_user"], "[REDACTED]");
    assert!(!closed.to_string().contains("MARKER"));
}

#[test]
fn whoever_has_not_logged_in_yet_is_a_connection_too() {
    let house = House::with(tenants(), ClientSettings::default(), MonitorSettings::default());
    let _stranger = house.stranger();
    let connz = house.json_when("/connz?auth=1", |connz| connz["total"] == 1);
    assert!(connz["connections"][0].get("account").is_none());
    assert_eq!(house.json("/connz?acc=SHOP")["total"], 0);
}

#[test]
fn subscriptions_are_listed_by_the_connection_that_has_them() {
    let (house, mut ann, mut bob) = two_tenants();
    ann.say("SUB orders.> workers 7\r\nUNSUB 7 3\r\n");
    ann.settle();
    bob.say("SUB a.b 1\r\n");
    bob.settle();
    let connz = house.json("/connz?subs=1&user=ann");
    assert_eq!(connz["connections"][0]["subscriptions_list"], serde_json::json!(["orders.>"]));
    let text = house.visit("/connz?subs=detail&user=ann").body;
    assert!(text.contains("orders.\\u003e"), "{text}");
    let detail = &house.json("/connz?subs=detail&user=ann")["connections"][0]["subscriptions_list_detail"][0];
    assert_eq!(
        *detail,
        serde_json::json!({
            "subject": "orders.>", "qgroup": "workers", "sid": "7", "msgs": 0,
            "max": 3, "cid": detail["cid"],
        })
    );
}

#[test]
fn subscriptions_of_the_server_come_in_pages_and_by_subject() {
    let (house, mut ann, mut bob) = two_tenants();
    ann.say("SUB orders.> 1\r\nSUB orders.new 2\r\nUNSUB 2\r\n");
    ann.settle();
    bob.say("SUB a.b 1\r\n");
    bob.settle();
    let counts = house.json("/subsz");
    for (field, value) in [("num_subscriptions", 2), ("num_inserts", 3), ("num_removes", 1), ("total", 0)] {
        assert_eq!(counts[field], value, "{field}");
    }
    let names = |path: &str| -> Vec<String> {
        let subsz = house.json(path);
        let list = subsz["subscriptions_list"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<_> = list.iter().map(|row| row["subject"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names("/subsz?subs=1"), ["a.b", "orders.>"]);
    assert_eq!(names("/subsz?subs=1&acc=BANK"), ["a.b"]);
    assert_eq!(names("/subsz?subs=1&test=orders.old"), ["orders.>"]);
    assert_eq!(names("/subscriptionsz?subs=1&limit=1").len(), 1);
    assert_eq!(names("/subsz?subs=1&offset=1").len(), 1);
    assert_eq!(house.json("/subsz?subs=1&offset=9223372036854775807&limit=9223372036854775807")["total"], 2);
}
