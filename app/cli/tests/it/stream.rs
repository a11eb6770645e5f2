//! `nats stream`.

use crate::scene::{Done, Scene};

/// A server with a stream of five orders.
pub(crate) fn shop() -> Scene {
    let scene = Scene::jetstream();
    scene.nats(&["stream", "add", "ORDERS", "--subjects", "orders.>", "--defaults"]).fine();
    for number in 1..=5 {
        let subject = if number == 5 { "orders.old" } else { "orders.new" };
        scene.nats(&["pub", "-J", "-q", subject, &format!("order {number}")]).fine();
    }
    scene
}

fn has_line(done: &Done, line: &str) -> bool {
    done.stdout.lines().any(|seen| seen.trim_start() == line)
}

#[track_caller]
pub(crate) fn assert_lines(done: &Done, lines: &[&str]) {
    for line in lines {
        assert!(has_line(done, line), "{line:?} in {}", done.stdout);
    }
}

#[test]
fn a_new_stream_is_shown() {
    let scene = Scene::jetstream();
    let made = scene.nats(&["stream", "add", "ORDERS", "--subjects", "orders.*,returns", "--defaults"]).fine();
    assert!(made.stdout.starts_with("Stream ORDERS was created\n\nInformation for Stream ORDERS created 20"));
    assert_lines(
        &made,
        &[
            "Subjects: orders.*, returns",
            "Replicas: 1",
            "Storage: File",
            "Options:",
            "Retention: Limits",
            "Acknowledgments: true",
            "Discard Policy: Old",
            "Duplicate Window: 2m0s",
            "Limits:",
            "Maximum Messages: unlimited",
            "Maximum Age: unlimited",
            "State:",
            "Messages: 0",
            "Active Consumers: 0",
        ],
    );
}

#[test]
fn flags_reach_the_server() {
    let scene = Scene::jetstream();
    let flags = [
        "stream",
        "add",
        "S",
        "--subjects",
        "s.>",
        "--defaults",
        "--storage",
        "memory",
        "--retention",
        "work",
        "--discard",
        "new",
        "--max-msgs",
        "100",
        "--max-bytes",
        "1MB",
        "--max-age",
        "1d",
        "--max-msg-size",
        "1KB",
        "--max-msgs-per-subject",
        "7",
        "--max-consumers",
        "3",
        "--dupe-window",
        "10s",
        "--no-allow-direct",
        "--allow-rollup",
        "--deny-delete",
        "--allow-msg-ttl",
        "--description",
        "all of them",
        "--metadata",
        "team=x",
    ];
    let made = scene.nats(&flags).fine();
    assert_lines(
        &made,
        &[
            "Description: all of them",
            "Storage: Memory",
            "Retention: WorkQueue",
            "Discard Policy: New",
            "Duplicate Window: 10.00s",
            "Allows Msg Delete: false",
            "Allows Per-Message TTL: true",
            "Allows Rollups: true",
            "Maximum Messages: 100",
            "Maximum Per Subject: 7",
            "Maximum Bytes: 1.0 MiB",
            "Maximum Age: 1d0h0m0s",
            "Maximum Message Size: 1.0 KiB",
            "Maximum Consumers: 3",
            "team: x",
        ],
    );
}

#[test]
fn a_configuration_goes_to_a_file_and_comes_back() {
    let scene = Scene::jetstream();
    let add = ["stream", "add", "S", "--subjects", "s", "--defaults", "--output", "s.json"];
    scene.nats(&add).fine();
    assert!(scene.nats(&["stream", "ls", "-n"]).fine().stdout.trim().is_empty());
    let valid = scene.nats(&["stream", "add", "--config", "s.json", "--validate"]).fine().stdout;
    assert!(valid.contains("Configuration is a valid Stream"), "{valid}");
    scene.nats(&["stream", "add", "--config", "s.json"]).fine();
    assert_eq!(scene.nats(&["stream", "ls", "-n"]).fine().stdout, "S\n");
    let json = scene.nats(&["stream", "info", "S", "-j"]).fine().stdout;
    let info: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(info["config"]["subjects"][0], "s");
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    let scene = Scene::jetstream();
    let failed = scene.nats(&["stream", "add", "S", "--subjects", "s"]).failed(1);
    assert!(failed.stderr.contains("cannot prompt for user input without a terminal"), "{}", failed.stderr);
    let failed = scene.nats(&["stream", "info"]).failed(1);
    assert!(failed.stderr.contains("cannot pick a Stream without a terminal and no Stream name supplied"));
}

#[test]
fn streams_are_listed() {
    let scene = shop();
    let list = scene.nats(&["stream", "ls"]).fine();
    assert!(list.stdout.contains(" Streams ") && list.stdout.contains("│ ORDERS │"), "{}", list.stdout);
    let list = scene.nats(&["stream", "ls", "--subject", "orders.new"]).fine();
    assert!(list.stdout.contains("Streams matching orders.new"), "{}", list.stdout);
    let none = Scene::jetstream().nats(&["stream", "ls"]).fine();
    assert!(none.stdout.contains("No Streams defined"), "{}", none.stdout);
}

#[test]
fn a_stream_that_is_not_there_is_explained() {
    let failed = shop().nats(&["stream", "info", "ORDER"]).failed(1);
    assert_eq!(
        failed.stderr.lines().next(),
        Some("nats: error: could not pick a Stream to operate on: stream not found (10059)")
    );
    assert!(failed.stderr.contains("hint: known streams: ORDERS"), "{}", failed.stderr);
}

#[test]
fn a_server_without_jetstream_is_explained() {
    let failed = Scene::open().nats(&["stream", "ls"]).failed(1);
    assert!(failed.stderr.contains("JetStream not enabled") && failed.stderr.contains("hint: "), "{}", failed.stderr);
}

#[test]
fn a_message_is_shown() {
    let scene = shop();
    let got = scene.nats(&["stream", "get", "ORDERS", "2"]).fine().stdout;
    assert!(got.starts_with("Item: ORDERS#2 received 20"), "{got}");
    assert!(got.contains(" on Subject orders.new\n\norder 2\n"), "{got}");
    let got = scene.nats(&["stream", "get", "ORDERS", "-S", "orders.old"]).fine().stdout;
    assert!(got.starts_with("Item: ORDERS#5 ") && got.contains("\norder 5\n"), "{got}");
    let got = scene.nats(&["stream", "get", "ORDERS", "1", "-j"]).fine().stdout;
    let message: serde_json::Value = serde_json::from_str(&got).expect("JSON");
    assert_eq!((&message["subject"], &message["seq"]), (&"orders.new".into(), &1.into()));
    let failed = scene.nats(&["stream", "get", "ORDERS", "99"]).failed(1);
    assert!(failed.stderr.contains("could not retrieve ORDERS#99: no message found (10037)"), "{}", failed.stderr);
}

#[test]
fn headers_are_shown() {
    let scene = shop();
    scene.nats(&["pub", "-J", "orders.new", "x", "-H", "Kind:test"]).fine();
    let got = scene.nats(&["stream", "get", "ORDERS", "6"]).fine().stdout;
    assert!(got.contains("Headers:\n  Kind: test\n\nx\n"), "{got}");
}

#[test]
fn the_state_follows_what_is_removed() {
    let scene = shop();
    scene.nats(&["stream", "rmm", "ORDERS", "3", "-f"]).fine();
    assert_lines(
        &scene.nats(&["stream", "state", "ORDERS"]).fine(),
        &["Messages: 4", "Deleted Messages: 1", "Number of Subjects: 2"],
    );
    let purged = scene.nats(&["stream", "purge", "ORDERS", "--subject", "orders.old", "-f"]).fine();
    assert!(purged.stdout.starts_with("Purged 1 messages from ORDERS\n\nState for Stream ORDERS"), "{}", purged.stdout);
    scene.nats(&["stream", "purge", "ORDERS", "--keep", "1", "-f"]).fine();
    assert_lines(&scene.nats(&["stream", "state", "ORDERS"]).fine(), &["Messages: 1"]);
    scene.nats(&["stream", "rm", "ORDERS", "-f"]).fine();
    scene.nats(&["stream", "info", "ORDERS"]).failed(1);
}

#[test]
fn nothing_is_removed_unasked() {
    let scene = shop();
    for command in [["purge", "ORDERS"], ["rm", "ORDERS"], ["seal", "ORDERS"]] {
        let failed = scene.nats(&["stream", command[0], command[1]]).failed(1);
        assert!(failed.stderr.contains("without a terminal"), "{}", failed.stderr);
    }
    assert_lines(&scene.nats(&["stream", "state", "ORDERS"]).fine(), &["Messages: 5"]);
}

#[test]
fn subjects_are_counted() {
    let scene = shop();
    let table = scene.nats(&["stream", "subjects", "ORDERS"]).fine().stdout;
    assert!(table.contains("2 Subjects in stream ORDERS") && table.contains("│ orders.new │ 4 "), "{table}");
    let names = scene.nats(&["stream", "subjects", "ORDERS", "--names"]).fine().stdout;
    assert_eq!(names.split_whitespace().collect::<Vec<_>>(), ["orders.old", "orders.new"]);
    let json = scene.nats(&["stream", "subjects", "ORDERS", "orders.new", "-j"]).fine().stdout;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("JSON"), serde_json::json!({"orders.new": 4}));
}

#[test]
fn an_edit_shows_its_difference_first() {
    let scene = shop();
    let dry = scene.nats(&["stream", "edit", "ORDERS", "--max-msgs", "10", "--dry-run"]).failed(1).stdout;
    assert!(dry.starts_with("Differences (-old +new):\n") && dry.contains("10"), "{dry}");
    assert_lines(&scene.nats(&["stream", "info", "ORDERS"]).fine(), &["Maximum Messages: unlimited"]);
    let done = scene.nats(&["stream", "edit", "ORDERS", "--max-msgs", "10", "-f"]).fine();
    assert!(done.stdout.contains("Stream ORDERS was updated"), "{}", done.stdout);
    assert_lines(&done, &["Maximum Messages: 10"]);
    let same = scene.nats(&["stream", "edit", "ORDERS", "--max-msgs", "10", "-f"]).fine();
    assert!(same.stdout.contains("No difference in configuration"), "{}", same.stdout);
}

#[test]
fn what_a_server_refuses_is_said_in_its_words() {
    let failed = shop().nats(&["stream", "add", "OTHER", "--subjects", "orders.new", "--defaults"]).failed(1);
    assert!(failed.stderr.contains("could not create Stream: subjects overlap with an existing stream (10065)"));
}

#[test]
fn copies_and_seals() {
    let scene = shop();
    let copied = scene.nats(&["stream", "copy", "ORDERS", "COPY", "--subjects", "copy"]).fine();
    assert_lines(&copied, &["Stream COPY was created", "Subjects: copy"]);
    assert_lines(&scene.nats(&["stream", "seal", "COPY", "-f"]).fine(), &["Sealed: true"]);
    let failed = scene.nats(&["pub", "-J", "copy", "x"]).failed(1);
    assert!(failed.stderr.contains("sealed"), "{}", failed.stderr);
}

#[test]
fn what_cannot_be_read_or_is_offline_has_its_own_table() {
    let scene = Scene::open();
    let list = r#"{"total":1,"offset":0,"limit":256,"streams":[{"config":{"name":"HERE"},"state":{}}],"missing":["LOST"],"offline":{"OLD":"unsupported"}}"#;
    let mut streams = scene.start(&["reply", "$JS.API.STREAM.LIST", list]);
    streams.wait_for("Listening on");
    let shown = scene.nats(&["stream", "ls"]).fine().stdout;
    for text in ["│ HERE │", "Inaccessible", "│ LOST ", "Offline Streams", "│ OLD  │ unsupported │"] {
        assert!(shown.contains(text), "{text} in {shown}");
    }
    let mut info = scene.start(&["reply", "$JS.API.STREAM.INFO.S", r#"{"config":{"name":"S"},"state":{}}"#]);
    info.wait_for("Listening on");
    let list = r#"{"total":0,"offset":0,"limit":256,"consumers":[],"missing":["GONE"]}"#;
    let mut consumers = scene.start(&["reply", "$JS.API.CONSUMER.LIST.S", list]);
    consumers.wait_for("Listening on");
    let shown = scene.nats(&["consumer", "ls", "S"]).fine().stdout;
    assert!(shown.contains("Inaccessible") && shown.contains("│ GONE "), "{shown}");
}

#[test]
fn a_peer_is_taken_out_and_its_place_named() {
    let scene = Scene::open();
    let info = r#"{"config":{"name":"S","num_replicas":3},"cluster":{"name":"C","leader":"n1","replicas":[{"name":"n2"},{"name":"n3"}]},"state":{}}"#;
    let mut known = scene.start(&["reply", "$JS.API.STREAM.INFO.S", info]);
    known.wait_for("Listening on");
    let mut removal = scene.start(&["reply", "$JS.API.STREAM.PEER.REMOVE.S", r#"{"success":true}"#]);
    removal.wait_for("Listening on");
    let done = scene.nats(&["stream", "cluster", "peer-remove", "S", "n3", "-f"]).fine();
    assert_eq!(done.log(), ["Removing peer \"n3\""]);
    removal.wait_for(r#"{"peer":"n3"}"#);
    let unasked = scene.nats(&["stream", "cluster", "pr", "S", "n3"]).failed(1).stderr;
    assert!(unasked.contains("--force"), "{unasked}");
}

#[test]
fn leaders_are_spread_over_servers() {
    let scene = Scene::open();
    let seat = |name: &str| {
        format!(
            r#"{{"stream_name":"S","name":"{name}","config":{{"name":"{name}"}},"cluster":{{"name":"C","leader":"n1","replicas":[{{"name":"n2"}},{{"name":"n3"}}]}}}}"#
        )
    };
    let seats = [seat("A"), seat("B"), seat("C")].join(",");
    let streams = format!(r#"{{"total":3,"offset":0,"limit":256,"streams":[{seats}]}}"#);
    let consumers = streams.replace("streams", "consumers");
    let mut fakes = [
        scene.start(&["reply", "$JS.API.STREAM.LIST", &streams]),
        scene.start(&["reply", "$JS.API.CONSUMER.LIST.S", &consumers]),
        scene.start(&["reply", "$JS.API.STREAM.INFO.S", r#"{"config":{"name":"S"},"state":{}}"#]),
        scene.start(&["reply", "$JS.API.INFO", r#"{"api":{"level":3}}"#]),
        scene.start(&["reply", "$JS.API.*.LEADER.STEPDOWN.>", r#"{"success":true}"#]),
    ];
    fakes.iter_mut().for_each(|fake| drop(fake.wait_for("Listening on")));
    let done = scene.nats(&["stream", "cluster", "balance"]).fine();
    assert_eq!(done.stdout, "Balanced 2 streams.\n");
    assert!(done.stderr.contains("step down of \"n1\" for stream \"A\" in favour of \"n2\""), "{}", done.stderr);
    assert!(done.stderr.contains("for stream \"B\" in favour of \"n3\""), "{}", done.stderr);
    let done = scene.nats(&["consumer", "cluster", "balance", "S"]).fine();
    assert_eq!(done.stdout, "Balanced 2 consumers on S\n");
    let leaders = scene.nats(&["consumer", "report", "S", "--leaders"]).fine().stdout;
    assert!(leaders.contains("RAFT Leader Report") && leaders.contains("│ n1*, n2!, n3!"), "{leaders}");
}

#[test]
fn reports_are_sorted_as_asked() {
    let scene = shop();
    scene.nats(&["stream", "add", "A", "--subjects", "a", "--storage", "memory", "--defaults"]).fine();
    scene.nats(&["pub", "-J", "-q", "a", &"x".repeat(5000)]).fine();
    scene.nats(&["consumer", "add", "A", "C", "--pull", "--defaults"]).fine();
    for (flags, order) in [
        (&[][..], ["ORDERS", "A"]),
        (&["-m"], ["A", "ORDERS"]),
        (&["-n"], ["A", "ORDERS"]),
        (&["-o"], ["ORDERS", "A"]),
        (&["-t"], ["ORDERS", "A"]),
    ] {
        let report = scene.nats(&[&["stream", "report"], flags].concat()).fine().stdout;
        let places = order.map(|name| report.find(&format!("│ {name} ")).unwrap_or_else(|| panic!("{name}: {report}")));
        assert!(places[0] < places[1], "{flags:?}: {report}");
    }
    let raw = scene.nats(&["stream", "report", "-r", "--subject", "a"]).fine().stdout;
    assert!(raw.contains("│ A ") && !raw.contains("ORDERS") && raw.contains(" 50"), "{raw}");
}

#[test]
fn consumers_are_reported() {
    let scene = shop();
    scene.nats(&["consumer", "add", "ORDERS", "C", "--pull", "--wait", "90s", "--defaults"]).fine();
    scene.nats(&["consumer", "add", "ORDERS", "P", "--target", "t", "--ack", "none", "--defaults"]).fine();
    scene.nats(&["consumer", "next", "ORDERS", "C", "--no-ack"]).fine();
    let report = scene.nats(&["consumer", "report", "ORDERS"]).fine().stdout;
    assert!(report.contains("Consumer report for ORDERS with 2 consumers"), "{report}");
    let row = |name: &str| -> Vec<String> {
        let line = report.lines().find(|line| line.starts_with(&format!("│ {name} "))).expect("a row");
        line.split('│').map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    };
    assert_eq!(row("C")[1..7], ["Pull", "Explicit", "1m30s", "1", "0", "4 / 80%"]);
    assert_eq!(row("P")[1..3], ["Push", "None"]);
    let raw = scene.nats(&["consumer", "report", "ORDERS", "--raw"]).fine().stdout;
    assert!(raw.contains("│ 4 ") && !raw.contains('%'), "{raw}");
}

#[test]
fn reports_count() {
    let scene = shop();
    let done = scene.nats(&["stream", "add", "MIRROR", "--mirror", "ORDERS", "--defaults"]).fine();
    assert_lines(&done, &["Mirror: ORDERS"]);
    let report = scene.nats(&["stream", "report", "--dot", "streams.dot"]).fine().stdout;
    assert!(report.contains("Stream Report") && report.contains("Replication Report"), "{report}");
    let dot = std::fs::read_to_string(scene.path("streams.dot")).expect("the graph");
    assert!(dot.contains("ORDERS") && dot.contains("MIRROR") && dot.contains("->"), "{dot}");
}

#[test]
fn streams_are_found() {
    let scene = shop();
    scene.nats(&["stream", "add", "EMPTY", "--subjects", "e", "--defaults"]).fine();
    assert_eq!(scene.nats(&["stream", "find", "--empty", "-n"]).fine().stdout, "EMPTY\n");
    assert_eq!(scene.nats(&["stream", "find", "--empty", "--invert", "-n"]).fine().stdout, "ORDERS\n");
    assert_eq!(scene.nats(&["stream", "find", "--subject", "orders.new", "-n"]).fine().stdout, "ORDERS\n");
}

#[test]
fn streams_are_found_by_an_expression() {
    let scene = shop();
    scene.nats(&["stream", "add", "EMPTY", "--subjects", "e", "--defaults"]).fine();
    let find = |expression: &str| scene.nats(&["stream", "find", "-n", "--expression", expression]);
    assert_eq!(find("state.messages < 5").fine().stdout, "EMPTY\n");
    assert_eq!(find("\"orders.>\" in config.subjects and Info.State.Msgs == 5").fine().stdout, "ORDERS\n");
    let inverted = ["stream", "find", "-n", "--invert", "--expression", "config.name matches '^ORD'"];
    assert_eq!(scene.nats(&inverted).fine().stdout, "EMPTY\n");
    let unknown = find("state.msgs < 5").failed(1).stderr;
    assert!(unknown.contains("there is no \"msgs\" in state\n\n  state.msgs < 5\n        ^ here\n"), "{unknown}");
    assert!(unknown.contains("hint: there are: messages, bytes, first_seq"), "{unknown}");
    let broken = find("state.messages <").failed(1).stderr;
    assert!(broken.contains("the expression ends too early\n\n  state.messages <\n"), "{broken}");
    let balanced = scene.nats(&["stream", "cluster", "balance", "--expression", "false"]).fine();
    assert_eq!(balanced.stdout, "Balanced 0 streams.\n");
}

#[test]
fn gaps_are_found() {
    let scene = shop();
    assert_eq!(scene.nats(&["stream", "gaps", "ORDERS"]).fine().stdout, "No deleted messages in ORDERS\n");
    for sequence in ["2", "3"] {
        scene.nats(&["stream", "rmm", "ORDERS", sequence, "-f"]).fine();
    }
    let table = scene.nats(&["stream", "gaps", "ORDERS", "-f"]).fine().stdout;
    assert!(
        table.contains("1 gap found in Stream ORDERS") && table.contains("│ 2             │ 3            │"),
        "{table}"
    );
    let json = scene.nats(&["stream", "gaps", "ORDERS", "-f", "--json"]).fine().stdout;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("JSON"), serde_json::json!([[2, 3]]));
}

#[test]
fn a_backup_brings_a_stream_back() {
    let scene = shop();
    let saved = scene.nats(&["stream", "backup", "ORDERS", "saved"]).fine().stdout;
    assert!(saved.starts_with("Starting backup of Stream \"ORDERS\" with "), "{saved}");
    assert!(saved.contains(" compressed data in 1 chunks for stream \"ORDERS\" in "), "{saved}");
    let refused = scene.nats(&["stream", "restore", "saved"]).failed(1);
    assert!(refused.stderr.contains("Stream \"ORDERS\" already exist"), "{}", refused.stderr);
    scene.nats(&["stream", "rm", "ORDERS", "-f"]).fine();
    let restored = scene.nats(&["stream", "restore", "saved"]).fine();
    assert!(restored.stdout.starts_with("Starting restore of Stream \"ORDERS\" from file \"saved\"\n"));
    assert!(restored.stdout.contains("Restored stream \"ORDERS\" in "), "{}", restored.stdout);
    assert_lines(&restored, &["Messages: 5"]);
    assert!(scene.nats(&["stream", "get", "ORDERS", "5"]).fine().stdout.contains("order 5"));
}

#[cfg(unix)]
#[test]
fn a_backup_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let scene = shop();
    scene.nats(&["stream", "backup", "ORDERS", "saved"]).fine();
    for (path, mode) in [("saved", 0o700), ("saved/backup.json", 0o600), ("saved/stream.tar.s2", 0o600)] {
        let seen = std::fs::metadata(scene.path(path)).expect(path).permissions().mode();
        assert_eq!(seen & 0o777, mode, "{path}");
    }
}

#[test]
fn a_broken_backup_is_refused() {
    let scene = shop();
    scene.nats(&["stream", "backup", "ORDERS", "saved"]).fine();
    scene.nats(&["stream", "rm", "ORDERS", "-f"]).fine();
    std::fs::write(scene.path("saved/stream.tar.s2"), b"not a backup at all").expect("written");
    let failed = scene.nats(&["stream", "restore", "saved"]).failed(1);
    assert!(failed.stderr.contains("restore failed"), "{}", failed.stderr);
    let failed = scene.nats(&["stream", "restore", "nowhere"]).failed(1);
    assert!(failed.stderr.contains("directory 'nowhere' does not exist"), "{}", failed.stderr);
}

#[test]
fn an_account_is_saved_and_brought_back() {
    let scene = shop();
    scene.nats(&["stream", "add", "MEMORY", "--subjects", "m", "--storage", "memory", "--defaults"]).fine();
    let saved = scene.nats(&["account", "backup", "all", "-f"]).fine();
    assert!(saved.stdout.starts_with("Performing backup of all streams to all\n"), "{}", saved.stdout);
    assert_lines(
        &saved,
        &["Streams: 2", "Consumers: 0", "Backup Warnings: ", "MEMORY: memory streams do not support snapshots"],
    );
    scene.nats(&["account", "backup", "again", "-f", "-w"]).failed(1);
    let refused = scene.nats(&["account", "restore", "all"]).failed(1);
    assert!(refused.stderr.contains("stream \"ORDERS\" exists already"), "{}", refused.stderr);
    scene.nats(&["stream", "rm", "ORDERS", "-f"]).fine();
    let restored = scene.nats(&["account", "restore", "all"]).fine();
    assert!(
        restored.stdout.starts_with("Restoring backup of all 1 streams in directory \"all\"\n"),
        "{}",
        restored.stdout
    );
    assert_lines(&restored, &["Messages: 5"]);
}
