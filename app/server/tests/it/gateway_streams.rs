//! Streams that are read from another cluster, whoever made the servers: those of this make tell each other what binds a reader, and
//! everything else works as it did.

use tempfile::TempDir;

use crate::fleet::{Client, Make, Server, mixtures, until};

/// The account of the streams and their readers; `clerk` must not have `secret.>`.
const ACCOUNTS: &str = r#"accounts {
    A {
        STREAMS
        users: [{ user: a, password: a }, { user: clerk, password: clerk, permissions: { subscribe: { deny: "secret.>" } } }]
    }
    SYS { users: [{ user: s, password: s }] }
}
system_account: SYS"#;

/// The cluster that keeps the streams. The reference wants two servers for that.
struct Keepers {
    servers: Vec<Server>,
    _stores: Vec<TempDir>,
}

fn keeper(make: Make, name: &str, more: &str) -> (Server, TempDir) {
    let store = tempfile::tempdir().unwrap();
    let accounts = ACCOUNTS.replace("STREAMS", "jetstream: enabled");
    let folder = store.path().display();
    let gateway = "gateway { name: C1, listen: \"127.0.0.1:-1\" }";
    let config = format!("server_name: {name}\njetstream {{ store_dir: '{folder}' }}\n{accounts}\n{more}\n{gateway}");
    (Server::start(make, &config), store)
}

fn keepers(make: Make) -> Keepers {
    let members: &[&str] = if make == Make::Ours { &["ONE"] } else { &["ONE", "OTHER"] };
    // Each has to know where the other one will be.
    let ports: Vec<u16> = members.iter().map(|_| free_port()).collect();
    let routes: Vec<String> = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let routes = routes.join(", ");
    let cluster = |port: u16| match make {
        Make::Ours => String::new(),
        Make::Reference => format!("cluster {{ name: C1, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}"),
    };
    let all = members.iter().zip(&ports).map(|(name, port)| keeper(make, name, &cluster(*port)));
    let (servers, stores) = all.unzip();
    Keepers { servers, _stores: stores }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server of another cluster.
fn entry(make: Make, keepers: &Keepers) -> Server {
    let accounts = ACCOUNTS.replace("STREAMS", "");
    let remote = format!("{{ name: C1, url: \"{}\" }}", keepers.servers[0].gateway_url(""));
    let gateway = format!("gateway {{ name: C2, listen: \"127.0.0.1:-1\", gateways: [{remote}] }}");
    Server::start(make, &format!("server_name: TWO\n{accounts}\n{gateway}"))
}

/// Asks the interface of streams until somebody answers. Before a cluster has a leader nobody does.
fn call(client: &mut Client, subject: &str, body: &str) -> String {
    let mut answer = String::new();
    client.send("SUB inbox.> 77\r\n");
    until("somebody answers", || {
        client.ask(&format!("$JS.API.{subject}"), "inbox.1", body);
        settle(client, &mut answer);
        !answer.is_empty()
    });
    client.send("UNSUB 77\r\n");
    client.drain();
    answer
}

/// Takes an answer that is one, if it comes soon.
fn settle(client: &mut Client, answer: &mut String) {
    for _ in 0..20 {
        let heard = client.drain().into_iter().next();
        let text = heard.map(|heard| format!("{}{}", heard.headers.lines().next().unwrap_or_default(), heard.payload));
        if let Some(text) =
            text.filter(|text| !text.starts_with("NATS/1.0 503") && !text.contains("\"err_code\":10008"))
        {
            return *answer = text;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn readers_of_another_cluster_are_bound_where_both_servers_are_ours_and_read_in_every_mixture() {
    for mix in mixtures() {
        let [keeper, entry_make] = mix;
        let mut keepers = keepers(keeper);
        let entry = entry(entry_make, &keepers);
        let mut boss = keepers.servers[0].log_in("a");
        let created =
            call(&mut boss, "STREAM.CREATE.S", r#"{"name":"S","subjects":["open.>","secret.>"],"allow_direct":true}"#);
        assert!(created.contains("\"config\""), "{mix:?}: {created}");
        boss.subscribe("stored", "9");
        for subject in ["secret.a", "open.a"] {
            boss.ask(subject, "stored", &format!("body of {subject}"));
            assert!(boss.next().payload.contains("\"seq\""), "{mix:?}");
        }
        let (mut free, mut clerk) = (entry.log_in("a"), entry.log_in("clerk"));
        let direct = |client: &mut Client, seq: u64| call(client, "DIRECT.GET.S", &format!("{{\"seq\":{seq}}}"));
        assert!(direct(&mut free, 1).ends_with("body of secret.a"), "{mix:?}");
        assert!(direct(&mut clerk, 2).ends_with("body of open.a"), "{mix:?}");
        let secret = direct(&mut clerk, 1);
        if mix == [Make::Ours; 2] {
            assert_eq!(secret, "NATS/1.0 404 Message Not Found");
        } else {
            // As at the reference, which knows no such thing.
            assert!(secret.ends_with("body of secret.a"), "{mix:?}: {secret}");
        }
        if keeper == Make::Reference {
            // Its servers ask each other in the system account, and of all the rest answer direct reads alone.
            continue;
        }
        // Whoever pulls sees the subject under which a message is stored, and an inbox is known by its mark alone.
        let consumer = r#"{"stream_name":"S","config":{"durable_name":"c","ack_policy":"explicit"}}"#;
        assert!(call(&mut free, "CONSUMER.DURABLE.CREATE.S.c", consumer).contains("\"config\""), "{mix:?}");
        free.send("SUB fresh.inbox 8\r\n");
        free.ask("$JS.API.CONSUMER.MSG.NEXT.S.c", "fresh.inbox", "1");
        let pulled = free.next();
        assert_eq!((&*pulled.subject, &*pulled.payload), ("secret.a", "body of secret.a"), "{mix:?}");
        let reply = pulled.reply.unwrap();
        assert!(reply.starts_with("$JS.ACK.") && !reply.contains('@'), "{mix:?}: {reply}");
        if mix == [Make::Ours, Make::Reference] {
            let line = keepers.servers[0].logged("does not tell what its users are denied");
            assert!(line.contains("[WRN]") && line.contains("\"TWO\""), "{line}");
        } else if mix == [Make::Ours; 2] {
            assert!(!keepers.servers[0].log().contains("does not tell"), "nothing is to be said of ours");
        }
    }
}
