//! Questions about a configuration, asked of the built binary.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

const SHOP: &str = r#"
accounts {
  SHOP { users [
    { user: clerk, password: a, permissions: {
        publish: ["orders.>", "users.signup"]
        subscribe: { allow: "events.>", deny: "events.audit.>" } } }
    { user: owner, password: b }
  ] }
}
"#;

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn ask(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nats-server")).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn explain_names_the_rule_its_place_and_what_would_have_to_change() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "shop.conf", SHOP);
    let conf = path.to_str().unwrap();
    let explain = |words: &[&str]| {
        let output = ask(&[&["explain", "-c", conf, "--user", "clerk"], words].concat());
        (output.status.code(), said(&output).replace(conf, "shop.conf"))
    };
    let allowed = "SHOP/clerk may publish to \"orders.new\"\n  allowed  allow \"orders.>\" (shop.conf:5:20)\n";
    assert_eq!(explain(&["--publish", "orders.new"]), (Some(0), allowed.to_owned()));
    let denied = "SHOP/clerk may not publish to \"billing\"\n  denied  no allow entry speaks of it\n  \
                  to change it: add \"billing\" to the user's publish allow list\n";
    assert_eq!(explain(&["--publish", "billing"]), (Some(3), denied.to_owned()));
    let sent = "SHOP/clerk may not have messages sent to \"events.x\"\n  denied  no allow entry speaks of it\n  \
                to change it: add \"events.x\" to the user's publish allow list\n";
    assert_eq!(explain(&["--deliver", "events.x"]), (Some(3), sent.to_owned()));
    let filtered = "SHOP/clerk may subscribe to \"events.>\"\n  filtered  allow \"events.>\" (shop.conf:6:22); \
                    withheld: deny \"events.audit.>\" (shop.conf:6:41)\n  to change it: take out or narrow deny \
                    \"events.audit.>\" (shop.conf:6:41); no allow entry outweighs it\n";
    assert_eq!(explain(&["--subscribe", "events.>"]), (Some(0), filtered.to_owned()));
}

#[test]
fn explain_tells_of_all_users_and_in_json() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "shop.conf", SHOP);
    let conf = path.to_str().unwrap();
    let table = said(&ask(&["explain", "-c", conf, "--all-users", "--publish", "billing"]));
    let expected = "SHOP/clerk  denied    no allow entry speaks of it\nSHOP/owner  allowed   no list restricts it\n";
    assert_eq!(table, expected);
    let json = said(&ask(&["explain", "-c", conf, "--all-users", "--subscribe", "a", "--queue", "q", "--json"]));
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&read[0]["verdict"], &read[1]["verdict"]), (&"denied".into(), &"allowed".into()));
}

#[test]
fn a_question_that_makes_no_sense_is_answered_with_what_is_missing() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "shop.conf", SHOP);
    let conf = path.to_str().unwrap();
    for (words, expected) in [
        (vec!["explain", "--publish", "a", "--user", "clerk"], "explain needs a configuration: -c FILE"),
        (
            vec!["explain", "-c", conf, "--user", "clerk"],
            "explain needs one of --publish SUBJECT, --subscribe FILTER and --deliver SUBJECT",
        ),
        (vec!["explain", "-c", conf, "--publish", "a"], "explain needs one of --user NAME and --all-users"),
        (vec!["explain", "-c", conf, "--publish", "a.*", "--user", "clerk"], "\"a.*\" is no subject to publish to"),
        (
            vec!["explain", "-c", conf, "--publish", "a", "--user", "bob"],
            "there is no user \"bob\"; there are clerk, owner",
        ),
        (vec!["config", "diff", conf], "config diff needs two files: OLD NEW"),
    ] {
        let output = ask(&words);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.status.code(), text.trim_end()),
            (Some(1), &*format!("nats-server: {expected}")),
            "{words:?}"
        );
    }
}

#[test]
fn config_diff_tells_who_gains_and_who_loses_what() {
    let folder = TempDir::new().unwrap();
    let old = file(&folder, "old.conf", SHOP);
    let changed = SHOP
        .replace("\"users.signup\"", "\"billing.>\"")
        .replace("\"events.audit.>\"", "\"events.*.secret\"")
        .replace("user: owner", "user: boss");
    let new = file(&folder, "new.conf", &changed);
    let text = said(&ask(&["config", "diff", old.to_str().unwrap(), new.to_str().unwrap()]));
    let expected = "boss\n  + is new in account SHOP\nclerk\n  + may publish to \"billing.>\"\n  - may no longer publish to \
                    \"users.signup\"\n  - may no longer subscribe to \"events.*.secret\"\n  + may subscribe to a part of \
                    \"events.audit.>\"\nowner\n  - is gone from account SHOP\n";
    assert_eq!(text, expected);
    let same = said(&ask(&["config", "diff", old.to_str().unwrap(), old.to_str().unwrap()]));
    assert_eq!(same, "No user gains or loses anything\n");
}

#[test]
fn the_manual_and_the_completion_name_what_the_help_names() {
    let page = said(&ask(&["man"]));
    for part in [".TH nats-server 8", "\\-\\-tlscert FILE", "nats\\-server explain", ".SH SIGNALS"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&ask(&["completion", shell]));
        for word in ["--tlscert", "-js", "--ports_file_dir", "explain", "audit"] {
            assert!(script.contains(word), "{word} for {shell}: {script}");
        }
    }
    let refused = ask(&["completion", "tcsh"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("bash, zsh and fish"), "{refused:?}");
    assert!(!refused.status.success());
}
