//! `nats pub`.

use crate::scene::Scene;

/// The configuration of the story: Alice may publish orders and nothing else.
pub(crate) const STORY: &str = r#"
accounts {
  ORDERS { users [ { user: alice, password: "s3cret", permissions: { publish: "orders.>", subscribe: "_INBOX.>" } } ] }
}
"#;

#[test]
fn a_published_message_is_told_with_its_size_and_subject() {
    let scene = Scene::open();
    let done = scene.nats(&["pub", "orders.created", "hello"]).fine();
    assert_eq!(done.log(), ["Published 5 bytes to \"orders.created\""]);
    assert_eq!(done.stdout, "");
    let clock: String = done.stderr.chars().take(9).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(clock, "00:00:00 ", "a line of the log begins with the time");
    assert_eq!(scene.nats(&["pub", "a", "x", "--count", "0"]).fine().log().len(), 1, "less than one is one");
}

#[test]
fn who_may_publish_can() {
    let scene = Scene::configured(STORY);
    scene.nats(&["pub", "--user", "alice", "--password", "s3cret", "orders.created", "hello"]).fine();
}

#[test]
fn who_may_not_publish_sees_the_violation_and_a_code() {
    let scene = Scene::configured(STORY);
    let done = scene.nats(&["pub", "--user", "alice", "--password", "s3cret", "billing.invoice", "nope"]).failed(1);
    assert_eq!(
        done.stderr.lines().next(),
        Some("nats: error: nats: permissions violation: Permissions Violation for Publish to \"billing.invoice\"")
    );
    assert!(done.stderr.contains("hint: the user of this connection may not publish to \"billing.invoice\""));
    assert!(!done.stderr.contains("Published"));
}

#[test]
fn a_wrong_password_is_explained_and_not_repeated() {
    let scene = Scene::configured(STORY);
    let done = scene.nats(&["pub", "--user", "alice", "--password", "planted-marker", "orders.a", "x"]).failed(1);
    assert!(done.stderr.starts_with("nats: error: nats: Authorization Violation\n"), "{}", done.stderr);
    assert!(done.stderr.contains("refused user \"alice\""), "{}", done.stderr);
    assert!(!done.stderr.contains("planted-marker"));
}

#[test]
fn without_credentials_the_advice_is_to_give_some() {
    let scene = Scene::configured(STORY);
    let done = scene.nats(&["pub", "orders.a", "x"]).failed(1);
    assert!(done.stderr.contains("give --user and --password, --creds, --nkey or --context"), "{}", done.stderr);
}

#[test]
fn nobody_listening_is_explained() {
    let done = Scene::alone().nats(&["pub", "a", "x"]).failed(1);
    assert!(done.stderr.starts_with("nats: error: nats: no servers available for connection\n"), "{}", done.stderr);
    assert!(done.stderr.contains("nothing listens on nats://127.0.0.1:1"), "{}", done.stderr);
}

#[test]
fn the_second_server_is_used_when_the_first_is_not_there() {
    let scene = Scene::open();
    let list = format!("nats://127.0.0.1:1,{}", scene.url);
    scene.nats(&["-s", &list, "pub", "a", "x"]).fine();
}

#[test]
fn a_body_may_come_from_stdin_whole_or_line_by_line() {
    let scene = Scene::open();
    let whole = scene.nats_with_input(&["pub", "a"], Some("one\ntwo\n")).fine();
    assert_eq!(whole.log(), ["Reading payload from STDIN", "Published 8 bytes to \"a\""]);
    let lines = scene.nats_with_input(&["pub", "a", "--send-on", "newline"], Some("one\ntwo\nlast")).fine();
    assert_eq!(
        lines.log(),
        [
            "Reading payload from STDIN",
            "Published 3 bytes to \"a\"",
            "Published 3 bytes to \"a\"",
            "Published 4 bytes to \"a\""
        ]
    );
}

#[test]
fn an_explicit_empty_body_is_a_message_of_no_bytes() {
    let done = Scene::open().nats(&["pub", "a", ""]).fine();
    assert_eq!(done.log(), ["Published 0 bytes to \"a\""]);
}

#[test]
fn templates_make_each_message_another() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "t.>", "--count", "3"]);
    sub.wait_for("Subscribing on");
    let done = scene.nats(&["pub", "t.{{Count}}", "n={{Count}}", "-H", "N:{{Count}}", "--count", "3"]).fine();
    assert_eq!(done.log()[2], "Published 3 bytes to \"t.3\"");
    let (code, seen) = sub.end();
    assert_eq!(code, 0);
    assert!(seen.iter().any(|line| line == "[#2] Received on \"t.2\""), "{seen:#?}");
    assert!(seen.iter().any(|line| line == "N: 2") && seen.iter().any(|line| line == "n=2"), "{seen:#?}");
}

#[test]
fn templates_can_be_turned_off_and_bad_ones_are_told() {
    let scene = Scene::open();
    let off = scene.nats(&["pub", "a", "{{Count}}", "--no-templates"]).fine();
    assert_eq!(off.log(), ["Published 9 bytes to \"a\""]);
    let bad = scene.nats(&["pub", "a", "{{Nope}}"]).fine();
    assert_eq!(
        bad.log(),
        ["Could not parse body template: template: function \"Nope\" not defined", "Published 8 bytes to \"a\""]
    );
}

#[test]
fn many_messages_are_not_told_one_by_one() {
    let done = Scene::open().nats(&["pub", "a", "x", "--count", "30"]).fine();
    assert!(!done.stderr.contains("Published"));
    let quiet = Scene::open().nats(&["pub", "a", "x", "-q"]).fine();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_body_larger_than_the_server_takes_is_refused_here() {
    let scene = Scene::configured("max_payload: 10");
    let done = scene.nats(&["pub", "a", "12345678901"]).failed(1);
    assert!(done.stderr.starts_with("nats: error: nats: maximum payload exceeded\n"));
    assert!(done.stderr.contains("the message has 11 bytes, the server takes at most 10"));
}

#[test]
fn a_subject_with_blanks_or_line_breaks_is_refused_here() {
    let scene = Scene::open();
    for subject in ["a b", "a..b", "", "a\r\nPUB b 1"] {
        let done = scene.nats(&["pub", subject, "x"]).failed(1);
        assert!(done.stderr.contains("invalid subject"), "{subject:?}: {}", done.stderr);
    }
    scene.nats(&["pub", "a", "x", "-H", "K:a{{printf \"%s\" \"\r\n\"}}b"]).failed(1);
}

#[test]
fn flags_stand_before_or_after_the_command() {
    let scene = Scene::configured(STORY);
    scene.nats(&["--user", "alice", "--password", "s3cret", "pub", "orders.a", "x"]).fine();
    scene.nats(&["pub", "orders.a", "x", "--password=s3cret", "--user=alice"]).fine();
}

#[test]
fn the_environment_says_who_we_are() {
    let scene = Scene::configured(STORY);
    let mut command = scene.command(&["pub", "orders.a", "x"]);
    command.env("NATS_USER", "alice").env("NATS_PASSWORD", "s3cret");
    crate::scene::finish(&mut command, None).fine();
}

#[test]
fn a_user_in_the_url_logs_in() {
    let scene = Scene::configured(STORY);
    let url = format!("nats://alice:s3cret@127.0.0.1:{}", scene.port());
    scene.nats(&["-s", &url, "pub", "orders.a", "x"]).fine();
    let wrong = format!("nats://alice:planted-marker@127.0.0.1:{}", scene.port());
    let done = scene.nats(&["-s", &wrong, "pub", "orders.a", "x"]).failed(1);
    assert!(!done.stderr.contains("planted-marker"), "{}", done.stderr);
}

#[test]
fn a_user_without_password_is_a_token() {
    let scene = Scene::configured("authorization { token: \"tok3n\" }");
    scene.nats(&["pub", "a", "x", "--user", "tok3n"]).fine();
    scene.nats(&["pub", "a", "x", "--token", "tok3n"]).fine();
    scene.nats(&["pub", "a", "x", "--token", "other"]).failed(1);
}

#[test]
fn an_nkey_logs_in() {
    let key = nkeys::KeyPair::from_raw_seed(nkeys::Role::User, nkeys::Secret::new([9; 32]));
    let scene = Scene::configured(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}", key.public()));
    let path = scene.path("user.nk");
    std::fs::write(&path, key.seed().expose()).expect("the seed is written");
    let path = path.to_str().expect("the path is text");
    scene.nats(&["pub", "a", "x", "--nkey", path]).fine();
    scene.nats(&["req", "nobody.there", "x", "--nkey", path]).fine();
    let other = scene.path("other.nk");
    let stranger = nkeys::KeyPair::from_raw_seed(nkeys::Role::User, nkeys::Secret::new([8; 32]));
    std::fs::write(&other, stranger.seed().expose()).expect("the seed is written");
    let done = scene.nats(&["pub", "a", "x", "--nkey", other.to_str().expect("text")]).failed(1);
    assert!(done.stderr.contains("Authorization Violation"), "{}", done.stderr);
}

#[test]
fn what_is_not_a_command_is_explained_with_code_one() {
    let scene = Scene::alone();
    let unknown = scene.nats(&["pubb", "a"]).failed(1);
    assert!(unknown.stderr.starts_with("nats: error: unrecognized subcommand"), "{}", unknown.stderr);
    let missing = scene.nats(&["pub"]).failed(1);
    assert!(missing.stderr.contains("Usage: nats publish"), "{}", missing.stderr);
    let flag = scene.nats(&["pub", "a", "b", "--nope"]).failed(1);
    assert!(flag.stderr.contains("--nope"), "{}", flag.stderr);
    let file = scene.nats(&["pub", "a", "b", "--tlsca", "/no/such/file"]).failed(1);
    assert!(file.stderr.contains("path '/no/such/file' does not exist"), "{}", file.stderr);
}

#[test]
fn help_goes_to_stdout_on_every_level() {
    let scene = Scene::alone();
    for args in [&["--help"][..], &["pub", "--help"], &["context", "add", "-h"]] {
        let done = scene.nats(args).fine();
        assert!(done.stdout.contains("Usage: nats"), "{}", done.stdout);
    }
    assert!(scene.nats(&["--version"]).fine().stdout.starts_with(char::is_numeric));
}

#[test]
fn a_stream_acknowledges_what_it_stores() {
    let scene = crate::stream::shop();
    let done = scene.nats(&["pub", "--jetstream", "orders.new", "hello", "-H", "Nats-Msg-Id:1"]).fine();
    assert_eq!(done.log(), ["Published 5 bytes to \"orders.new\"", "Stored in Stream: ORDERS Sequence: 6"]);
    let again = scene.nats(&["pub", "-J", "orders.new", "hello", "-H", "Nats-Msg-Id:1"]).fine();
    assert_eq!(again.log()[1], "Stored in Stream: ORDERS Sequence: 6 Duplicate: true");
    let nobody = scene.nats(&["pub", "-J", "bills", "x"]).failed(1);
    assert!(nobody.stderr.contains("no responders") && nobody.stderr.contains("hint: "), "{}", nobody.stderr);
}

#[test]
fn an_acknowledgement_names_its_domain_and_the_value_of_a_counter() {
    let config = "jetstream { domain: hub, store_dir: store }";
    let scene = Scene::with(&[], config);
    scene.nats(&["stream", "add", "HITS", "--subjects", "hits.>", "--allow-counter", "--defaults"]).fine();
    let add = |number: &str| scene.nats(&["pub", "-J", "hits.a", "", "-H", &format!("Nats-Incr:{number}")]).fine();
    assert_eq!(add("5").log()[1], "Stored in Stream: HITS Sequence: 1 Domain: \"hub\" Counter Value: 5");
    assert_eq!(add("-2").log()[1], "Stored in Stream: HITS Sequence: 2 Domain: \"hub\" Counter Value: 3");
}

#[test]
fn lines_are_stored_together_or_not_at_all() {
    let scene = Scene::jetstream();
    scene.nats(&["stream", "add", "B", "--subjects", "b", "--allow-batch", "--defaults"]).fine();
    let atomic = ["pub", "--atomic", "b", "--send-on", "newline"];
    let done = scene.nats_with_input(&atomic, Some("one\ntwo\nthree\n")).fine();
    let log = done.log();
    assert!(log.contains(&"Adding 3 bytes to batch on subject \"b\""), "{log:?}");
    let last = log.last().expect("a last line");
    assert!(last.starts_with("Wrote batch ID: ") && last.ends_with(" Messages: 3 Sequence: 3"), "{last}");
    scene.nats(&["stream", "add", "C", "--subjects", "c", "--defaults"]).fine();
    let refused = scene.nats_with_input(&["pub", "--atomic", "c", "--send-on", "newline"], Some("one\ntwo\n"));
    assert!(refused.failed(1).stderr.contains("atomic publish is disabled"));
}
