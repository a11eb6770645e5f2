//! `nats object`.

use crate::scene::Scene;
use crate::stream::assert_lines;

/// A server with a bucket, and a file at home.
fn attic() -> Scene {
    let scene = Scene::jetstream();
    scene.nats(&["object", "add", "FILES"]).fine();
    std::fs::write(scene.path("letter.txt"), "dear all\n").expect("written");
    scene
}

#[test]
fn a_new_bucket_is_shown() {
    let scene = Scene::jetstream();
    let flags = ["--ttl", "1d", "--max-bucket-size", "1MB", "--description", "things", "--metadata", "team=x"];
    let made = scene.nats(&[&["object", "add", "FILES"], &flags[..]].concat()).fine();
    assert!(made.stdout.starts_with("Information for Object Store Bucket FILES created 20"), "{}", made.stdout);
    assert_lines(
        &made,
        &[
            "Bucket Name: FILES",
            "Description: things",
            "Replicas: 1",
            "TTL: 1d0h0m0s",
            "Sealed: false",
            "Size: 0 B",
            "Maximum Bucket Size: 1.0 MiB",
            "Storage: File",
            "Backing Store Kind: JetStream",
            "JetStream Stream: OBJ_FILES",
            "Metadata: team: x",
        ],
    );
    let edited = scene.nats(&["object", "edit", "FILES", "--description", "other things"]).fine();
    assert_lines(&edited, &["Description: other things", "TTL: 1d0h0m0s"]);
}

#[test]
fn a_file_goes_in_and_comes_out() {
    let scene = attic();
    let put = scene.nats(&["object", "put", "FILES", "letter.txt", "--description", "a letter", "-H", "Kind:text"]);
    let put = put.fine();
    assert!(put.stdout.contains("Object information for FILES > letter.txt\n"), "{}", put.stdout);
    let digest = "Digest: SHA-256 8551bee8aa38ff8bf6f5bd3ab0b0c2cc0a8c3c58f6e7d2b7e9a2bc4fc6bd8bd2";
    assert_lines(&put, &["Description: a letter", "Size: 9 B", "Chunks: 1", "Headers: Kind: text"]);
    assert!(put.stdout.contains(&digest[..16]), "{}", put.stdout);
    let got = scene.nats(&["object", "get", "FILES", "letter.txt", "-O", "copy.txt"]).fine().stdout;
    assert!(got.starts_with(&format!("Wrote: 9 B to {} in ", scene.path("copy.txt").display())), "{got}");
    assert_eq!(std::fs::read_to_string(scene.path("copy.txt")).expect("the copy"), "dear all\n");
}

#[test]
fn large_files_go_in_chunks() {
    let scene = attic();
    let large: Vec<u8> = (0..1_000_000u32).map(|at| (at * 7 % 251) as u8).collect();
    std::fs::write(scene.path("large"), &large).expect("written");
    let put = scene.nats(&["object", "put", "FILES", "large"]).fine();
    assert_lines(&put, &["Size: 977 KiB", "Chunks: 8"]);
    let put = scene.nats(&["object", "put", "FILES", "large", "--name", "many", "--chunk-size", "10000"]).fine();
    assert_lines(&put, &["Chunks: 100"]);
    scene.nats(&["object", "get", "FILES", "many", "-O", "back", "--no-progress"]).fine();
    assert_eq!(std::fs::read(scene.path("back")).expect("the copy"), large);
}

#[test]
fn stdin_is_stored_under_a_name() {
    let scene = attic();
    let failed = scene.nats_with_input(&["object", "put", "FILES"], Some("x")).failed(1);
    assert!(failed.stderr.contains("--name is required when reading from stdin"), "{}", failed.stderr);
    scene.nats_with_input(&["object", "put", "FILES", "--name", "typed"], Some("typed text")).fine();
    scene.nats(&["object", "get", "FILES", "typed"]).fine();
    assert_eq!(std::fs::read_to_string(scene.path("typed")).expect("the copy"), "typed text");
}

#[test]
fn nothing_is_replaced_unasked() {
    let scene = attic();
    scene.nats(&["object", "put", "FILES", "letter.txt"]).fine();
    let failed = scene.nats(&["object", "put", "FILES", "letter.txt"]).failed(1);
    assert!(failed.stderr.contains("without a terminal"), "{}", failed.stderr);
    let failed = scene.nats(&["object", "get", "FILES", "letter.txt"]).failed(1);
    assert!(failed.stderr.contains("without a terminal"), "{}", failed.stderr);
    scene.nats(&["object", "put", "FILES", "letter.txt", "-f"]).fine();
    let state = scene.nats(&["stream", "state", "OBJ_FILES"]).fine();
    assert_lines(&state, &["Messages: 2"]);
}

#[test]
fn files_are_listed_and_removed() {
    let scene = attic();
    assert_eq!(scene.nats(&["object", "ls", "FILES"]).fine().stdout, "No entries found\n");
    scene.nats(&["object", "put", "FILES", "letter.txt"]).fine();
    let table = scene.nats(&["object", "ls", "FILES"]).fine().stdout;
    assert!(table.contains("Bucket Contents") && table.contains("│ letter.txt │ 9 B  │ 20"), "{table}");
    assert_eq!(scene.nats(&["object", "ls", "-n"]).fine().stdout, "FILES\n");
    assert!(scene.nats(&["object", "ls"]).fine().stdout.contains("Object Store Buckets"));
    let removed = scene.nats(&["object", "del", "FILES", "letter.txt", "-f"]).fine().stdout;
    assert!(removed.starts_with("Removed FILES > letter.txt\nInformation for Object Store Bucket FILES"), "{removed}");
    assert_lines(&scene.nats(&["stream", "state", "OBJ_FILES"]).fine(), &["Messages: 1"]);
    let failed = scene.nats(&["object", "get", "FILES", "letter.txt"]).failed(1);
    assert!(failed.stderr.starts_with("nats: error: nats: object not found\n"), "{}", failed.stderr);
    scene.nats(&["object", "del", "FILES", "-f"]).fine();
    assert!(scene.nats(&["object", "info", "FILES"]).failed(1).stderr.contains("nats: bucket not found"));
    assert_eq!(scene.nats(&["object", "ls"]).fine().stdout, "No Object Store buckets found\n");
}

#[test]
fn a_damaged_file_is_not_written() {
    let scene = attic();
    scene.nats(&["object", "put", "FILES", "letter.txt"]).fine();
    let json = scene.nats(&["stream", "get", "OBJ_FILES", "1", "-j"]).fine().stdout;
    let chunk: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let subject = chunk["subject"].as_str().expect("a subject");
    scene.nats(&["stream", "rmm", "OBJ_FILES", "1", "-f"]).fine();
    scene.nats(&["pub", "-J", subject, "DEAR ALL\n"]).fine();
    let failed = scene.nats(&["object", "get", "FILES", "letter.txt", "-O", "copy.txt"]).failed(1);
    assert!(failed.stderr.contains("digests do not match"), "{}", failed.stderr);
    let names: Vec<_> = std::fs::read_dir(scene.home.path()).expect("home").flatten().map(|e| e.file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("copy.txt")), "{names:?}");
}

#[test]
fn a_watcher_sees_changes() {
    let scene = attic();
    let mut watch = scene.start(&["object", "watch", "FILES"]);
    scene.nats(&["object", "put", "FILES", "letter.txt"]).fine();
    assert!(watch.wait_for(" PUT FILES > letter.txt: 9 B bytes in 1 chunks").starts_with("[20"));
    scene.nats(&["object", "del", "FILES", "letter.txt", "-f"]).fine();
    watch.wait_for(" DEL FILES > letter.txt");
}

#[test]
fn a_sealed_bucket_takes_nothing_in() {
    let scene = attic();
    let sealed = scene.nats(&["object", "seal", "FILES", "-f"]).fine();
    assert!(sealed.stdout.starts_with("FILES has been sealed\n"), "{}", sealed.stdout);
    assert_lines(&sealed, &["Sealed: true"]);
    let failed = scene.nats(&["object", "put", "FILES", "letter.txt"]).failed(1);
    assert!(failed.stderr.contains("sealed"), "{}", failed.stderr);
}
