//! `nats kv`.

use crate::scene::Scene;
use crate::stream::assert_lines;

/// A server with a bucket that keeps five values of a key.
fn drawer() -> Scene {
    let scene = Scene::jetstream();
    scene.nats(&["kv", "add", "CONFIG", "--history", "5"]).fine();
    scene
}

#[test]
fn a_new_bucket_is_shown() {
    let scene = Scene::jetstream();
    let made = scene.nats(&[
        "kv",
        "add",
        "CONFIG",
        "--history",
        "3",
        "--ttl",
        "1h",
        "--max-value-size",
        "1KB",
        "--max-bucket-size",
        "1MB",
        "--description",
        "settings",
        "--compress",
        "--marker-ttl",
        "10s",
        "--metadata",
        "team=x",
        "--storage",
        "memory",
    ]);
    let made = made.fine();
    assert!(made.stdout.starts_with("Information for Key-Value Store Bucket CONFIG created 20"), "{}", made.stdout);
    assert_lines(
        &made,
        &[
            "Configuration:",
            "Bucket Name: CONFIG",
            "History Kept: 3",
            "Values Stored: 0",
            "Compressed: true",
            "Per-Key TTL Supported: true",
            "Limit Marker TTL: 10.00s",
            "Backing Store Kind: JetStream",
            "Description: settings",
            "Bucket Size: 0 B",
            "Maximum Bucket Size: 1.0 MiB",
            "Maximum Value Size: 1.0 KiB",
            "Maximum Age: 1h0m0s",
            "JetStream Stream: KV_CONFIG",
            "Storage: Memory",
            "team: x",
        ],
    );
}

#[test]
fn a_value_is_stored_and_shown() {
    let scene = drawer();
    assert_eq!(scene.nats(&["kv", "put", "CONFIG", "lamp.on", "true"]).fine().stdout, "true\n");
    let got = scene.nats(&["kv", "get", "CONFIG", "lamp.on"]).fine().stdout;
    assert!(got.starts_with("CONFIG > lamp.on revision: 1 created @ 20") && got.ends_with("\n\ntrue\n\n"), "{got}");
    assert_eq!(scene.nats(&["kv", "get", "CONFIG", "lamp.on", "--raw"]).fine().stdout, "true");
}

#[test]
fn a_value_may_come_from_stdin() {
    let scene = drawer();
    scene.nats_with_input(&["kv", "put", "CONFIG", "text"], Some("two\nlines")).fine();
    assert_eq!(scene.nats(&["kv", "get", "CONFIG", "text", "--raw"]).fine().stdout, "two\nlines");
}

#[test]
fn long_values_are_cut_unless_raw() {
    let scene = drawer();
    let long = "x".repeat(300);
    scene.nats(&["kv", "put", "CONFIG", "long", &long]).fine();
    let got = scene.nats(&["kv", "get", "CONFIG", "long"]).fine().stdout;
    assert!(got.contains("Showing first 120 bytes of 300, use --raw for full data\n\n"), "{got}");
    assert!(!got.contains(&"x".repeat(121)), "{got}");
    assert_eq!(scene.nats(&["kv", "get", "CONFIG", "long", "--raw"]).fine().stdout, long);
}

#[test]
fn a_key_is_created_once() {
    let scene = drawer();
    scene.nats(&["kv", "create", "CONFIG", "a", "1"]).fine();
    let failed = scene.nats(&["kv", "create", "CONFIG", "a", "2"]).failed(1);
    assert!(
        failed.stderr.contains("key exists") && failed.stderr.contains("wrong last sequence: 1"),
        "{}",
        failed.stderr
    );
    scene.nats(&["kv", "del", "CONFIG", "a", "-f"]).fine();
    scene.nats(&["kv", "create", "CONFIG", "a", "3"]).fine();
    assert_eq!(scene.nats(&["kv", "get", "CONFIG", "a", "--raw"]).fine().stdout, "3");
}

#[test]
fn an_update_needs_the_last_revision() {
    let scene = drawer();
    scene.nats(&["kv", "put", "CONFIG", "a", "1"]).fine();
    assert_eq!(scene.nats(&["kv", "update", "CONFIG", "a", "2", "1"]).fine().stdout, "2\n");
    let failed = scene.nats(&["kv", "update", "CONFIG", "a", "3", "1"]).failed(1);
    assert!(failed.stderr.contains("wrong last sequence: 2 (10071)"), "{}", failed.stderr);
}

#[test]
fn what_is_missing_is_explained() {
    let scene = drawer();
    let failed = scene.nats(&["kv", "get", "CONFIG", "nothing"]).failed(1);
    assert!(failed.stderr.starts_with("nats: error: nats: key not found\n"), "{}", failed.stderr);
    let failed = scene.nats(&["kv", "get", "NOTHING", "a"]).failed(1);
    assert!(failed.stderr.starts_with("nats: error: nats: bucket not found\n"), "{}", failed.stderr);
    assert!(failed.stderr.contains("hint: known buckets: CONFIG"), "{}", failed.stderr);
    let failed = scene.nats(&["kv", "put", "CONFIG", "a b", "x"]).failed(1);
    assert!(failed.stderr.contains("nats: invalid key"), "{}", failed.stderr);
}

#[test]
fn the_history_of_a_key_is_kept() {
    let scene = drawer();
    scene.nats(&["kv", "put", "CONFIG", "a", "one"]).fine();
    scene.nats(&["kv", "put", "CONFIG", "a", "two"]).fine();
    scene.nats(&["kv", "del", "CONFIG", "a", "-f"]).fine();
    let table = scene.nats(&["kv", "history", "CONFIG", "a"]).fine().stdout;
    assert!(table.contains("History for CONFIG > a"), "{table}");
    for cells in ["│ a   │ 1        │ PUT ", "│ a   │ 2        │ PUT ", "│ a   │ 3        │ DELETE "]
    {
        assert!(table.contains(cells), "{cells} in {table}");
    }
    assert_eq!(scene.nats(&["kv", "get", "CONFIG", "a", "--revision", "1", "--raw"]).fine().stdout, "one");
    scene.nats(&["kv", "revert", "CONFIG", "a", "1", "--force"]).fine();
    assert_eq!(scene.nats(&["kv", "get", "CONFIG", "a", "--raw"]).fine().stdout, "one");
    scene.nats(&["kv", "purge", "CONFIG", "a", "-f"]).fine();
    let table = scene.nats(&["kv", "history", "CONFIG", "a"]).fine().stdout;
    assert!(table.contains("PURGE") && !table.contains("PUT"), "{table}");
}

#[test]
fn buckets_and_keys_are_listed() {
    let scene = drawer();
    assert_eq!(scene.nats(&["kv", "ls", "CONFIG"]).fine().stdout, "No keys found in bucket\n");
    for key in ["a.1", "a.2", "b"] {
        scene.nats(&["kv", "put", "CONFIG", key, "v"]).fine();
    }
    scene.nats(&["kv", "del", "CONFIG", "b", "-f"]).fine();
    assert_eq!(scene.nats(&["kv", "ls", "CONFIG"]).fine().stdout, "a.1\na.2\n");
    assert_eq!(scene.nats(&["kv", "ls", "CONFIG", "*.2"]).fine().stdout, "a.2\n");
    let table = scene.nats(&["kv", "ls", "CONFIG", "-v", "--display-value"]).fine().stdout;
    assert!(table.contains("Contents for bucket 'CONFIG'") && table.contains("│ a.1 │ 20"), "{table}");
    assert_eq!(scene.nats(&["kv", "ls", "-n"]).fine().stdout, "CONFIG\n");
    let table = scene.nats(&["kv", "ls"]).fine().stdout;
    assert!(table.contains("Key-Value Buckets") && table.contains("│ CONFIG │"), "{table}");
    assert_eq!(Scene::jetstream().nats(&["kv", "ls"]).fine().stdout, "No Key-Value buckets found\n");
}

#[test]
fn a_watcher_sees_changes() {
    let scene = drawer();
    scene.nats(&["kv", "put", "CONFIG", "a", "one"]).fine();
    let mut watch = scene.start(&["kv", "watch", "CONFIG"]);
    assert!(watch.wait_for(" PUT CONFIG > a: one").starts_with("[20"));
    scene.nats(&["kv", "put", "CONFIG", "b", "two"]).fine();
    watch.wait_for("PUT CONFIG > b: two");
    scene.nats(&["kv", "del", "CONFIG", "a", "-f"]).fine();
    watch.wait_for("DELETE CONFIG > a");
}

#[test]
fn a_watcher_may_want_only_what_is_new_or_everything() {
    let scene = drawer();
    for value in ["one", "two"] {
        scene.nats(&["kv", "put", "CONFIG", "a", value]).fine();
    }
    let mut history = scene.start(&["kv", "watch", "CONFIG", "a", "--history"]);
    history.wait_for("a: one");
    history.wait_for("a: two");
    let mut from = scene.start(&["kv", "watch", "CONFIG", "a", "--revision", "2"]);
    from.wait_for("a: two");
    assert!(!from.seen.iter().any(|line| line.contains("one")));
}

#[test]
fn a_bucket_is_edited_compacted_and_deleted() {
    let scene = drawer();
    assert_lines(&scene.nats(&["kv", "edit", "CONFIG", "--history", "9"]).fine(), &["History Kept: 9"]);
    scene.nats(&["kv", "put", "CONFIG", "a", "x"]).fine();
    scene.nats(&["kv", "put", "CONFIG", "a", "y"]).fine();
    scene.nats(&["kv", "del", "CONFIG", "a", "-f"]).fine();
    scene.nats(&["kv", "compact", "CONFIG", "-f"]).fine();
    assert_lines(&scene.nats(&["kv", "info", "CONFIG"]).fine(), &["Values Stored: 1"]);
    let failed = scene.nats(&["kv", "del", "CONFIG"]).failed(1);
    assert!(failed.stderr.contains("without a terminal"), "{}", failed.stderr);
    scene.nats(&["kv", "del", "CONFIG", "-f"]).fine();
    scene.nats(&["kv", "info", "CONFIG"]).failed(1);
}

#[test]
fn a_key_may_live_shorter_than_its_bucket() {
    let scene = Scene::jetstream();
    scene.nats(&["kv", "add", "SHORT", "--marker-ttl", "1m"]).fine();
    scene.nats(&["kv", "create", "SHORT", "a", "x", "--ttl", "1h"]).fine();
    let got = scene.nats(&["stream", "get", "KV_SHORT", "1"]).fine().stdout;
    assert!(got.contains("Nats-TTL: 1h0m0s"), "{got}");
    let failed = drawer().nats(&["kv", "create", "CONFIG", "a", "x", "--ttl", "1h"]).failed(1);
    assert!(failed.stderr.contains("per-message TTL is disabled"), "{}", failed.stderr);
}

#[test]
fn a_bucket_takes_in_values_of_another() {
    let scene = drawer();
    scene.nats(&["kv", "add", "ALL", "--source", "CONFIG"]).fine();
    scene.nats(&["kv", "add", "COPY", "--mirror", "CONFIG"]).fine();
    scene.nats(&["kv", "put", "CONFIG", "a", "x"]).fine();
    for bucket in ["ALL", "COPY"] {
        let mut watch = scene.start(&["kv", "watch", bucket]);
        watch.wait_for(&format!("PUT {bucket} > a: x"));
    }
    scene.nats(&["kv", "put", "COPY", "b", "y"]).fine();
    assert_eq!(scene.nats(&["kv", "get", "CONFIG", "b", "--raw"]).fine().stdout, "y");
    assert_lines(&scene.nats(&["kv", "info", "COPY"]).fine(), &["Mirror Information:", "Origin Bucket: CONFIG"]);
    assert_lines(&scene.nats(&["kv", "info", "ALL"]).fine(), &["Sources Information:", "Source Bucket: CONFIG"]);
}

#[test]
fn the_stream_of_a_bucket_is_touched_only_when_a_person_insists() {
    let scene = drawer();
    let failed = scene.nats(&["stream", "purge", "KV_CONFIG", "-f"]).failed(1);
    assert!(failed.stdout.contains("WARNING: Operating on the underlying stream of a Key-Value bucket is dangerous."));
    let list = scene.nats(&["stream", "ls"]).fine().stdout;
    assert!(list.contains("No Streams defined, pass -a to include system streams"), "{list}");
    assert!(scene.nats(&["stream", "ls", "-a"]).fine().stdout.contains("KV_CONFIG"));
}
