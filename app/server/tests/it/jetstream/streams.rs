//! Streams and consumers over real sockets, and what stays after a restart.

use super::house::House;

const ORDERS: &str = r#"{"name":"ORDERS","subjects":["orders.>"],"storage":"file"}"#;
const WORKER: &str = r#"{"stream_name":"ORDERS","config":{"durable_name":"worker","ack_policy":"explicit"}}"#;

#[test]
fn what_is_published_is_stored_and_consumed() {
    let house = House::new("", "");
    let mut server = house.start();
    let mut peer = server.peer("");
    assert_eq!(peer.info["jetstream"], true);
    peer.call("STREAM.CREATE.ORDERS", ORDERS);
    peer.call("CONSUMER.CREATE.ORDERS.worker", WORKER);
    assert_eq!(peer.ask("orders.new", "one").body, r#"{"stream":"ORDERS","seq":1}"#);
    assert_eq!(peer.store("orders.new", "two"), 2);

    let first = peer.pull("ORDERS", "worker");
    assert_eq!((first.subject.as_str(), first.body.as_str()), ("orders.new", "one"));
    assert!(first.reply.starts_with("$JS.ACK.ORDERS.worker.1.1.1."), "{first:?}");
    assert_eq!(peer.ask(&first.reply, "+ACK").body, "", "the acknowledgement is confirmed");
    let second = peer.pull("ORDERS", "worker");
    assert_eq!(second.body, "two");
    let nothing = peer.pull("ORDERS", "worker");
    assert!(nothing.headers.starts_with("NATS/1.0 404 No Messages"), "{nothing:?}");
    server.logged("Client connection created");
}

#[test]
fn a_restart_keeps_streams_messages_consumers_and_their_place() {
    let house = House::new("", "");
    let server = house.start();
    let mut peer = server.peer("");
    peer.call("STREAM.CREATE.ORDERS", ORDERS);
    peer.call("CONSUMER.CREATE.ORDERS.worker", WORKER);
    for number in 1..=10 {
        assert_eq!(peer.store("orders.new", &format!("order {number}")), number);
    }
    for _ in 0..3 {
        let message = peer.pull("ORDERS", "worker");
        peer.ask(&message.reply, "+ACK");
    }
    let said = server.stop();
    assert!(said.contains("Initiating JetStream Shutdown..."), "{said}");

    let server = house.start();
    let said = server.said();
    assert!(said.contains("Restored 10 messages for stream '$G > ORDERS'"), "{said}");
    assert!(said.contains("Recovered 1 consumers for stream - '$G > ORDERS'"), "{said}");
    let mut peer = server.peer("");
    assert_eq!(peer.call("STREAM.INFO.ORDERS", "")["state"]["messages"], 10);
    let info = peer.call("CONSUMER.INFO.ORDERS.worker", "");
    assert_eq!((&info["ack_floor"]["stream_seq"], &info["num_pending"]), (&3.into(), &7.into()));
    assert_eq!(peer.pull("ORDERS", "worker").body, "order 4");
    assert_eq!(peer.store("orders.new", "order 11"), 11);
}

#[test]
fn streams_in_memory_are_empty_after_a_restart_and_leave_no_bytes() {
    let house = House::new("", "");
    let server = house.start();
    let mut peer = server.peer("");
    peer.call("STREAM.CREATE.FAST", r#"{"name":"FAST","subjects":["fast"],"storage":"memory"}"#);
    for number in 1..=5 {
        assert_eq!(peer.store("fast", "planted-in-memory"), number);
    }
    assert_eq!(peer.call("INFO", "")["memory"].as_u64().map(|bytes| bytes > 0), Some(true));
    server.stop();
    for (path, bytes) in house.files() {
        assert!(!bytes.windows(17).any(|window| window == b"planted-in-memory"), "{}", path.display());
    }
}

#[test]
fn accounts_have_streams_of_their_own_or_none() {
    let users = |name: &str| format!("users: [{{ user: {name}, password: {name} }}]");
    let accounts = format!(
        "accounts {{ A {{ jetstream: enabled, {} }}, B {{ jetstream: enabled, {} }}, C {{ {} }} }}",
        users("a"),
        users("b"),
        users("c")
    );
    let house = House::new("", &accounts);
    let server = house.start();
    let login = |name: &str| format!(",\"user\":\"{name}\",\"pass\":\"{name}\"");
    let (mut a, mut b, mut c) = (server.peer(&login("a")), server.peer(&login("b")), server.peer(&login("c")));
    a.call("STREAM.CREATE.ORDERS", ORDERS);
    assert_eq!(a.store("orders.new", "of a"), 1);
    assert_eq!(b.refused("STREAM.INFO.ORDERS", ""), 10059);
    assert!(b.ask("orders.new", "of b").headers.starts_with("NATS/1.0 503"), "nobody takes it in this account");
    assert_eq!(c.refused("STREAM.CREATE.ORDERS", ORDERS), 10039);
    assert_eq!(c.refused("INFO", ""), 10039);
}

#[test]
fn a_reload_gives_and_takes_streams() {
    let account = |jetstream: &str| format!("accounts {{ A {{ users: [{{ user: a, password: a }}]\n{jetstream} }} }}");
    let mut house = House::new("", &account(""));
    let mut server = house.start();
    let mut peer = server.peer(",\"user\":\"a\",\"pass\":\"a\"");
    assert_eq!(peer.refused("STREAM.CREATE.ORDERS", ORDERS), 10039);

    house.configure("", &account("jetstream: enabled"));
    house.reload(&mut server);
    peer.call("STREAM.CREATE.ORDERS", ORDERS);
    assert_eq!(peer.store("orders.new", "kept"), 1);

    house.configure("", &account(""));
    house.reload(&mut server);
    assert_eq!(peer.refused("STREAM.INFO.ORDERS", ""), 10039);
    assert!(peer.ask("orders.new", "x").headers.starts_with("NATS/1.0 503"));

    house.configure("", &account("jetstream: enabled"));
    house.reload(&mut server);
    assert_eq!(peer.call("STREAM.INFO.ORDERS", "")["state"]["messages"], 1);
}

#[test]
fn the_start_says_what_an_acknowledgement_means() {
    let said = House::new("", "").start().said();
    assert!(said.contains("what is acknowledged is on the disk"), "{said}");
    let said = House::new("sync_interval: 10s", "").start().said();
    assert!(said.contains("10s; a loss of power loses what was acknowledged since"), "{said}");
}

#[test]
fn a_store_of_another_format_is_not_passed_over() {
    let house = House::new("", "");
    std::fs::create_dir_all(house.store().join("jetstream/$G/streams/ORDERS/msgs")).unwrap();
    let refusal = house.refusal();
    assert!(refusal.contains("holds streams in the format of another server"), "{refusal}");
}

#[test]
fn a_store_has_one_server_at_a_time() {
    let house = House::new("", "");
    let first = house.start();
    let refusal = house.refusal();
    assert!(refusal.contains("is in use by another server"), "{refusal}");
    drop(first);
    house.start();
}

#[test]
fn an_api_request_needs_the_right_to_publish_it() {
    let users = r#"users: [{ user: boss, password: b }, { user: reader, password: r, permissions: {
        publish: ["$JS.API.STREAM.INFO.>"], subscribe: ["_I.>"] } }]"#;
    let house = House::new("", &format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}"));
    let server = house.start();
    let mut boss = server.peer(",\"user\":\"boss\",\"pass\":\"b\"");
    let mut reader = server.peer(",\"user\":\"reader\",\"pass\":\"r\"");
    boss.call("STREAM.CREATE.ORDERS", ORDERS);
    assert_eq!(reader.call("STREAM.INFO.ORDERS", "")["config"]["name"], "ORDERS");
    let denied = reader.ask("$JS.API.STREAM.DELETE.ORDERS", "");
    assert!(denied.headers.contains("Permissions Violation for Publish"), "{denied:?}");
    assert_eq!(boss.call("STREAM.NAMES", "")["total"], 1);
}

#[test]
fn monitoring_says_what_is_stored() {
    let house = House::new("max_file: 1000000", "http: 127.0.0.1:-1");
    let server = house.start();
    let mut peer = server.peer("");
    peer.call("STREAM.CREATE.ORDERS", ORDERS);
    peer.call("CONSUMER.CREATE.ORDERS.worker", WORKER);
    peer.store("orders.new", "one");
    let jsz = server.page("/jsz");
    let numbers = ["accounts", "streams", "consumers", "messages"].map(|name| jsz[name].as_u64());
    assert_eq!(numbers, [Some(1); 4], "{jsz}");
    assert_eq!(jsz["config"]["max_storage"], 1_000_000);
    assert!(jsz["bytes"].as_u64() > Some(0) && jsz["bytes"] == jsz["storage"], "{jsz}");
    assert!(jsz["disabled"].is_null() && jsz["config"]["sync_always"] == true, "{jsz}");
}
