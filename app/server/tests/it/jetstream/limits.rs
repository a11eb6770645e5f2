//! How much may be stored.

use super::house::House;

fn thousand() -> String {
    "x".repeat(1000)
}

#[test]
fn the_server_stores_no_more_than_it_may_and_goes_on_when_something_went() {
    for kind in ["file", "memory"] {
        let house = House::new("max_mem: 100000, max_file: 100000", "");
        let mut server = house.start();
        let mut peer = server.peer("");
        let stream = format!(r#"{{"name":"S","subjects":["s"],"storage":"{kind}"}}"#);
        peer.call("STREAM.CREATE.S", &stream);
        let stored = (0..200).take_while(|_| !peer.ask("s", &thousand()).body.contains("\"seq\":0")).count();
        assert!((90..100).contains(&stored), "{stored} messages of {kind} fit");
        assert!(peer.ask("s", &thousand()).body.contains("\"err_code\":10023"));
        server.logged(&format!("JetStream {kind} resource limits exceeded for server"));
        peer.call("STREAM.PURGE.S", "");
        assert_eq!(peer.store("s", "there is room again"), stored as u64 + 1);
    }
}

#[test]
fn a_stream_reserves_no_more_than_the_server_has() {
    let house = House::new("max_mem: 100000, max_file: 100000", "");
    let server = house.start();
    let mut peer = server.peer("");
    let stream = |name: &str, kind: &str, bytes: u64| {
        format!(r#"{{"name":"{name}","subjects":["{name}"],"storage":"{kind}","max_bytes":{bytes}}}"#)
    };
    assert_eq!(peer.refused("STREAM.CREATE.A", &stream("A", "file", 100_001)), 10047);
    assert_eq!(peer.refused("STREAM.CREATE.A", &stream("A", "memory", 100_001)), 10028);
    peer.call("STREAM.CREATE.A", &stream("A", "file", 60_000));
    assert_eq!(peer.refused("STREAM.CREATE.B", &stream("B", "file", 60_000)), 10047);
    peer.call("STREAM.UPDATE.A", &stream("A", "file", 30_000));
    peer.call("STREAM.CREATE.B", &stream("B", "file", 60_000));
    assert_eq!(peer.refused("STREAM.UPDATE.A", &stream("A", "file", 50_000)), 10047);
    peer.call("STREAM.DELETE.B", "");
    peer.call("STREAM.UPDATE.A", &stream("A", "file", 50_000));
}

#[test]
fn an_account_stores_no_more_than_it_may() {
    let account = "accounts { A { users: [{ user: a, password: a }], jetstream { max_file: 50000, max_streams: 1 } } }";
    let house = House::new("", account);
    let server = house.start();
    let mut peer = server.peer(",\"user\":\"a\",\"pass\":\"a\"");
    peer.call("STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
    assert_eq!(peer.refused("STREAM.CREATE.T", r#"{"name":"T","subjects":["t"]}"#), 10027);
    let refused = (1..100).find(|_| peer.ask("s", &thousand()).body.contains("\"err_code\":10002"));
    assert_eq!(refused, Some(49), "48 messages of 1031 bytes fit, as they do in the reference");
    peer.call("STREAM.PURGE.S", "");
    assert_eq!(peer.store("s", "there is room again"), 49);
}

#[test]
fn a_full_stream_makes_room_or_refuses() {
    let house = House::new("", "");
    let server = house.start();
    let mut peer = server.peer("");
    peer.call("STREAM.CREATE.OLD", r#"{"name":"OLD","subjects":["old"],"max_msgs":3}"#);
    peer.call("STREAM.CREATE.NEW", r#"{"name":"NEW","subjects":["new"],"max_msgs":3,"discard":"new"}"#);
    (1..=5).for_each(|number| assert_eq!(peer.store("old", "x"), number));
    assert_eq!(peer.call("STREAM.INFO.OLD", "")["state"]["first_seq"], 3);
    (1..=3).for_each(|number| assert_eq!(peer.store("new", "x"), number));
    assert!(peer.ask("new", "x").body.contains("maximum messages exceeded"));
}

#[test]
fn the_servers_limits_hold_for_every_consumer() {
    let house = House::new("limits { max_request_batch: 10, max_ack_pending: 7, default_max_consumers: 1 }", "");
    let server = house.start();
    let mut peer = server.peer("");
    peer.call("STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
    let consumer =
        |more: &str| format!(r#"{{"stream_name":"S","config":{{"name":"c","ack_policy":"explicit"{more}}}}}"#);
    assert_eq!(peer.refused("CONSUMER.CREATE.S.c", &consumer(r#","max_batch":11"#)), 10125);
    assert_eq!(peer.refused("CONSUMER.CREATE.S.c", &consumer(r#","max_ack_pending":8"#)), 10121);
    let made = peer.call("CONSUMER.CREATE.S.c", &consumer(""));
    assert_eq!((&made["config"]["max_batch"], &made["config"]["max_ack_pending"]), (&10.into(), &7.into()));
    let other = consumer("").replace("\"c\"", "\"d\"");
    assert_eq!(peer.refused("CONSUMER.CREATE.S.d", &other), 10026);
}

#[test]
fn a_batch_of_direct_reads_is_no_larger_than_what_may_wait_for_a_client() {
    let house = House::new("", "max_payload: 1000, max_pending: 5000");
    let server = house.start();
    let mut peer = server.peer("");
    peer.call("STREAM.CREATE.S", r#"{"name":"S","subjects":["s"],"allow_direct":true}"#);
    let body = "x".repeat(900);
    (1..=20).for_each(|number| assert_eq!(peer.store("s", &body), number));
    let mut count = |request: &str| {
        let inbox = peer.inbox();
        peer.send(&format!("PUB $JS.API.DIRECT.GET.S {inbox} {}\r\n{request}\r\n", request.len()));
        (0..).find(|_| peer.heard().unwrap().body.is_empty()).unwrap()
    };
    assert_eq!(count(r#"{"seq":1,"batch":20}"#), 5);
    assert_eq!(count(r#"{"multi_last":["s"],"batch":20}"#), 1);
    assert_eq!(count(r#"{"seq":1,"batch":20,"max_bytes":2000}"#), 2);
}

#[test]
fn the_servers_limits_hold_for_every_batch() {
    let house = House::new("limits { batch { max_inflight_per_stream: 2, max_inflight_total: 3, max_msgs: 2 } }", "");
    let server = house.start();
    let mut peer = server.peer("");
    for name in ["S", "T"] {
        let config = format!(r#"{{"name":"{name}","subjects":["{name}"],"allow_atomic":true}}"#);
        peer.call(&format!("STREAM.CREATE.{name}"), &config);
    }
    let mut add = |subject: &str, batch: &str, number: u32, more: &str| {
        let headers = format!("NATS/1.0\r\nNats-Batch-Id: {batch}\r\nNats-Batch-Sequence: {number}\r\n{more}\r\n");
        let (len, inbox) = (headers.len(), peer.inbox());
        peer.send(&format!("HPUB {subject} {inbox} {len} {len}\r\n{headers}\r\n"));
        peer.heard().unwrap().body
    };
    assert_eq!([add("S", "a", 1, ""), add("S", "b", 1, ""), add("T", "c", 1, "")], ["", "", ""]);
    assert!(add("S", "d", 1, "").contains("10210"), "two of a stream");
    assert!(add("T", "e", 1, "").contains("10210"), "three of the server");
    assert!(add("S", "a", 2, "Nats-Batch-Commit: 1\r\n").contains("\"count\":2"));
    assert_eq!(add("T", "e", 1, ""), "", "there is room again");
    assert_eq!(add("T", "e", 2, ""), "");
    assert!(add("T", "e", 3, "").contains("10199"), "no batch is larger than two");
}
