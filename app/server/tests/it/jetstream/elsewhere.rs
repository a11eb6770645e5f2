//! Streams that copy from other accounts and from other servers.

use super::house::{House, Peer, Server};

/// What account A imports of B: its API, what its consumers deliver, and where they are told how far A is.
const ACCOUNTS: &str = r#"
    accounts {
        A {
            jetstream: enabled, users: [{ user: a, password: a }]
            imports: [
                { service: { account: B, subject: "$JS.API.CONSUMER.>" }, to: "B.JS.API.CONSUMER.>" }
                { service: { account: B, subject: "$JS.FC.>" } }
                { stream: { account: B, subject: "to.a.>" } }
            ]
        }
        B {
            jetstream: enabled, users: [{ user: b, password: b }]
            exports: [
                { service: "$JS.API.CONSUMER.>" }, { service: "$JS.FC.>" }, { stream: "to.a.>" }
            ]
        }
    }"#;
const ORIGIN: &str = r#"{"name":"ORIGIN","subjects":["o.>"]}"#;

fn login(server: &Server, name: &str) -> Peer {
    server.peer(&format!(",\"user\":\"{name}\",\"pass\":\"{name}\""))
}

/// Waits until a stream holds so many messages.
fn wait_for(peer: &mut Peer, stream: &str, messages: u64) -> serde_json::Value {
    loop {
        let info = peer.call(&format!("STREAM.INFO.{stream}"), "");
        if info["state"]["messages"] == messages {
            return info;
        }
        std::thread::yield_now();
    }
}

/// The subject and the headers of a stored message.
fn stored(peer: &mut Peer, stream: &str, seq: u64) -> (String, String) {
    let got = peer.call(&format!("STREAM.MSG.GET.{stream}"), &format!("{{\"seq\":{seq}}}"));
    let text = |name: &str| got["message"][name].as_str().unwrap_or_default().to_owned();
    let headers = data_encoding::BASE64.decode(text("hdrs").as_bytes()).unwrap();
    (text("subject"), String::from_utf8(headers).unwrap())
}

#[test]
fn a_stream_of_another_account_is_copied_through_what_it_exports() {
    let house = House::new("", ACCOUNTS);
    let server = house.start();
    let (mut a, mut b) = (login(&server, "a"), login(&server, "b"));
    b.call("STREAM.CREATE.ORIGIN", ORIGIN);
    for number in 1..=300 {
        b.store(&format!("o.{}", number % 3), &format!("message {number}"));
    }
    b.call("STREAM.MSG.DELETE.ORIGIN", "{\"seq\":2}");
    let external = r#""external":{"api":"B.JS.API","deliver":"to.a"}"#;
    let mirror = format!(r#"{{"name":"MIRROR","mirror":{{"name":"ORIGIN",{external}}}}}"#);
    let source = format!(r#"{{"name":"SOURCED","sources":[{{"name":"ORIGIN","filter_subject":"o.1",{external}}}]}}"#);
    a.call("STREAM.CREATE.MIRROR", &mirror);
    a.call("STREAM.CREATE.SOURCED", &source);
    let info = wait_for(&mut a, "MIRROR", 299);
    assert_eq!((&info["state"]["last_seq"], &info["state"]["num_deleted"]), (&300.into(), &1.into()));
    assert_eq!(info["mirror"]["external"]["api"], "B.JS.API");
    assert_eq!(info["mirror"]["error"], serde_json::Value::Null);
    assert_eq!(stored(&mut a, "MIRROR", 300), ("o.0".to_owned(), String::new()), "as it was, under the same number");
    wait_for(&mut a, "SOURCED", 100);
    let (subject, headers) = stored(&mut a, "SOURCED", 100);
    assert!(
        subject == "o.1" && headers.contains("Nats-Stream-Source: ORIGIN:") && headers.contains(" 298 "),
        "{headers}"
    );

    // What comes later flows, and after a restart it goes on behind what is here.
    b.store("o.1", "later");
    wait_for(&mut a, "MIRROR", 300);
    server.stop();
    let server = house.start();
    let (mut a, mut b) = (login(&server, "a"), login(&server, "b"));
    b.store("o.1", "after a restart");
    wait_for(&mut a, "MIRROR", 301);
    let info = wait_for(&mut a, "SOURCED", 102);
    assert_eq!(info["state"]["last_seq"], 102, "nothing twice");
}

#[test]
fn an_origin_that_is_missing_is_told_and_asked_again() {
    let house = House::new("", ACCOUNTS);
    let server = house.start();
    let (mut a, mut b) = (login(&server, "a"), login(&server, "b"));
    let mirror = r#"{"name":"M","mirror":{"name":"ORIGIN","external":{"api":"B.JS.API","deliver":"to.a"}}}"#;
    a.call("STREAM.CREATE.M", mirror);
    loop {
        let info = a.call("STREAM.INFO.M", "");
        if info["mirror"]["error"]["err_code"] == 10059 {
            break;
        }
        std::thread::yield_now();
    }
    b.call("STREAM.CREATE.ORIGIN", ORIGIN);
    b.store("o.1", "here at last");
    let info = wait_for(&mut a, "M", 1);
    assert_eq!(info["mirror"]["error"], serde_json::Value::Null);
    // A mirror that is deleted listens to nothing any more, and the origin notices.
    a.call("STREAM.DELETE.M", "");
    b.store("o.1", "for nobody");
}

#[test]
fn a_stream_of_another_domain_is_copied_over_a_leaf_connection() {
    let hub_house = House::new("domain: hub", "server_name: hub\nleafnodes { listen: \"127.0.0.1:-1\" }");
    let hub = hub_house.start();
    let line = hub.said().lines().find(|line| line.contains("Listening for leafnode connections")).map(str::to_owned);
    let address = line.as_deref().and_then(|line| line.rsplit(' ').next()).expect("a listener").to_owned();
    let more = format!("server_name: spoke\nleafnodes {{ remotes: [{{ url: \"nats-leaf://{address}\" }}] }}");
    let spoke_house = House::new("domain: spoke", &more);
    let mut spoke = spoke_house.start();
    spoke.logged("Leafnode connection created");
    let (mut here, mut there) = (spoke.peer(""), hub.peer(""));
    there.call("STREAM.CREATE.ORIGIN", ORIGIN);
    for number in 1..=50 {
        there.store(&format!("o.{number}"), &format!("message {number}"));
    }
    here.call("STREAM.CREATE.M", r#"{"name":"M","mirror":{"name":"ORIGIN","external":{"api":"$JS.hub.API"}}}"#);
    wait_for(&mut here, "M", 50);
    assert_eq!(stored(&mut here, "M", 7).0, "o.7", "the subject it was stored under came along");

    // A client of one domain that pulls from the other sees that subject too.
    let consumer = r#"{"stream_name":"ORIGIN","config":{"durable_name":"c","ack_policy":"explicit"}}"#;
    here.ask("$JS.hub.API.CONSUMER.DURABLE.CREATE.ORIGIN.c", consumer);
    let pulled = here.ask("$JS.hub.API.CONSUMER.MSG.NEXT.ORIGIN.c", "1");
    assert_eq!((pulled.subject.as_str(), pulled.body.as_str()), ("o.1", "message 1"));
    // Keys of the other domain are written to through its API prefix.
    there.call("STREAM.CREATE.KV_B", r#"{"name":"KV_B","subjects":["$KV.B.>"]}"#);
    assert_eq!(here.ask("$JS.hub.API.$KV.B.k", "v").body, r#"{"stream":"KV_B","domain":"hub","seq":1}"#);
    assert!(pulled.reply.starts_with("$JS.ACK.ORIGIN.c.1.1.1.") && !pulled.reply.contains('@'), "{pulled:?}");
}

#[test]
fn who_may_not_read_everything_orders_no_copies_from_elsewhere() {
    let accounts = ACCOUNTS.replace(
        "users: [{ user: a, password: a }]",
        r#"users: [{ user: a, password: a, permissions: { subscribe: { deny: "secret.>" } } }]"#,
    );
    let house = House::new("", &accounts);
    let server = house.start();
    let mut a = login(&server, "a");
    let mirror = r#"{"name":"M","mirror":{"name":"ORIGIN","filter_subject":"o.1","external":{"api":"B.JS.API"}}}"#;
    let refused = a.ask("$JS.API.STREAM.CREATE.M", mirror).body;
    assert!(refused.contains("\"error\"") && refused.contains("ermissions"), "{refused}");
}
