//! The trail of the built server: what is in it, that nothing secret is, and that a touched one is found.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::resolvers::{House, admitted, updated};
use crate::running::{Running, user};

/// A seed and its public key, made for these scenes.
fn key() -> (String, String) {
    let pair = nkeys::KeyPair::from_raw_seed(nkeys::Role::Server, secret::Secret::new([9; 32]));
    (pair.seed().expose().clone(), pair.public().to_string())
}

fn config(folder: &Path) -> String {
    format!(
        r#"
        accounts {{ SHOP {{ users [
          {{ user: clerk, password: "marker-password", permissions: {{ publish: "orders.>" }} }}
          {{ user: watcher, password: "other-password" }}
        ] }} }}
        audit {{ file: "{}", key: "{}", account: SHOP, window: 60s }}
        "#,
        folder.join("audit.jsonl").display(),
        key().0
    )
}

/// A server with its trail beside its configuration.
fn start(folder: TempDir) -> Running {
    let config = config(folder.path());
    Running::start_in(folder, &config)
}

fn tool(words: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nats-server")).arg("audit").args(words).arg(file).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_trail_tells_who_did_what_and_by_which_rule_and_a_touched_line_is_found() {
    let mut server = start(TempDir::new().unwrap());
    let file = server.path("audit.jsonl");
    let mut clerk = server.admitted(&user("clerk", "marker-password"));
    clerk.publish("orders.new", None, b"x");
    clerk.publish("billing", None, b"x");
    assert_eq!(clerk.answer(), "-ERR 'Permissions Violation for Publish to \"billing\"'");
    (0..5).for_each(|_| drop(server.login(&user("clerk", "a-wrong-password"))));
    server.stop();

    let public = key().1;
    let whole = tool(&["verify", "--key", &public], &file);
    assert_eq!(
        (whole.status.code(), said(&whole).starts_with("The trail is whole")),
        (Some(0), true),
        "{}",
        said(&whole)
    );

    let shown = said(&tool(&["show", "--user", "clerk"], &file));
    let sentences: Vec<&str> = shown.lines().filter_map(|line| line.split_once("  ")).map(|(_, rest)| rest).collect();
    let has = |text: &str| sentences.iter().any(|line| line.contains(text));
    assert!(has("login    done     SHOP/clerk  from 127.0.0.1  by password  client"), "{shown}");
    assert!(
        has(
            "denial   refused  SHOP/clerk  from 127.0.0.1  Publish Violation - Subject \"billing\"  because: no allow entry"
        ),
        "{shown}"
    );
    assert!(has("login    refused  clerk  from 127.0.0.1  client  because: User \"clerk\": wrong password"), "{shown}");
    let refusals = sentences.iter().filter(|line| line.contains("wrong password")).count();
    assert_eq!(refusals, 2, "five wrong passwords are one line and a number: {shown}");
    assert!(has("  4 times"), "{shown}");

    let text = std::fs::read_to_string(&file).unwrap();
    for secret in ["marker-password", "a-wrong-password", &key().0] {
        assert!(!text.contains(secret), "no secret is in the trail");
    }
    for line in 1..text.lines().count() {
        let without: String =
            text.lines().enumerate().filter(|(at, _)| *at != line - 1).map(|(_, l)| format!("{l}\n")).collect();
        std::fs::write(&file, without).unwrap();
        assert_eq!(tool(&["verify"], &file).status.code(), Some(3), "line {line} taken out");
    }
}

#[test]
fn the_trail_goes_on_after_a_restart_and_in_an_account() {
    let mut server = start(TempDir::new().unwrap());
    let file = server.path("audit.jsonl");
    let mut watcher = server.admitted(&user("watcher", "other-password"));
    watcher.subscribe("audit.SHOP.denial", "1");
    server.admitted(&user("clerk", "marker-password")).publish("billing", None, b"x");
    let record = watcher.message().json();
    assert_eq!((&record["user"], &record["outcome"]), (&"clerk".into(), &"refused".into()));
    server.stop();
    server.start_again();
    server.stop();
    let whole = said(&tool(&["verify", "--key", &key().1], &file));
    assert!(whole.starts_with("The trail is whole"), "{whole}");
    let opened = said(&tool(&["show", "--class", "trail"], &file));
    assert!(opened.contains("opened again") && opened.contains("checkpoint"), "{opened}");
}

#[test]
fn a_reload_of_the_trail_goes_on_with_its_chain() {
    let mut server = start(TempDir::new().unwrap());
    let file = server.path("audit.jsonl");
    let folder = file.parent().unwrap().to_owned();
    for window in ["61s", "62s"] {
        // What is counted is not written yet.
        (0..3).for_each(|_| drop(server.login(&user("clerk", "a-wrong-password"))));
        server.reload(&config(&folder).replace("window: 60s", &format!("window: {window}")));
    }
    server.admitted(&user("clerk", "marker-password")).publish("billing", None, b"x");
    server.stop();
    let whole = said(&tool(&["verify", "--key", &key().1], &file));
    assert!(whole.starts_with("The trail is whole"), "{whole}");
    let shown = said(&tool(&["show", "--user", "clerk"], &file));
    let times = |line: &str| line.strip_suffix(" times")?.rsplit(' ').next()?.parse::<u32>().ok();
    let refused = shown.lines().filter(|line| line.contains("wrong password")).map(|line| times(line).unwrap_or(1));
    assert_eq!(refused.sum::<u32>(), 6, "{shown}");
    assert!(shown.contains("Publish Violation"), "{shown}");
}

#[test]
fn a_trail_that_cannot_be_written_stops_the_start_with_its_name() {
    let folder = TempDir::new().unwrap();
    let config = "audit { file: \"/nowhere/at/all/audit.jsonl\" }";
    std::fs::write(folder.path().join("server.conf"), config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nats-server"))
        .args(["-a", "127.0.0.1", "-p", "-1", "-c"])
        .arg(folder.path().join("server.conf"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("audit: /nowhere/at/all/audit.jsonl: "), "{text}");
}

#[test]
fn claims_that_come_into_use_with_a_login_are_told_with_who_signed_them() {
    let (house, folder) = (House::new(), TempDir::new().unwrap());
    let resolver = format!("resolver {{ type: full, dir: '{}' }}", folder.path().join("jwts").display());
    let audit = format!("audit {{ file: '{}' }}", folder.path().join("audit.jsonl").display());
    let mut server = Running::start_in(folder, &(house.config(&resolver) + &audit));
    updated(&mut house.admin(&server), &house.shop);
    admitted(&server, &house.shop.user("joe"));
    admitted(&server, &house.shop.user("ann"));
    server.stop();
    let shown = said(&tool(&["show", "--class", "account"], &server.path("audit.jsonl")));
    let told: Vec<&str> = shown.lines().filter(|line| line.contains("claims came into use")).collect();
    assert_eq!(told.len(), 1, "once, not with each login: {shown}");
    let (account, signer) = (house.shop.key.public(), house.chain.signing.public());
    assert!(told[0].contains(&account.to_string()) && told[0].ends_with(&format!("signed by {signer}")), "{shown}");
}
