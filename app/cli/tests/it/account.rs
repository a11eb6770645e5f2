//! `nats account`.

use crate::scene::Scene;
use crate::system::{WITH_SYSTEM, app, sys};

#[test]
fn who_we_are_and_where() {
    let scene = Scene::configured(WITH_SYSTEM);
    let text = app(&scene, &["account", "info"]).fine().stdout;
    assert!(text.starts_with("Account Information\n\n"), "{text}");
    for line in [
        "User: app",
        "Account: APP (APP)",
        "Expires: never",
        "Headers Supported: true",
        "Connected Server Name: one",
        "TLS Connection: no",
    ] {
        assert!(text.lines().any(|l| l.trim_start() == line), "{line} in {text}");
    }
    assert!(text.contains("JetStream is not supported in this account"), "{text}");
    assert!(sys(&scene, &["account", "info"]).fine().stdout.contains("Account: SYS"));
}

#[test]
fn permissions_are_shown() {
    let scene = Scene::configured(
        r#"authorization { users [ { user: alice, password: s3cret, permissions: { publish: ["orders.>", "$SYS.REQ.USER.INFO", "$JS.API.INFO"], subscribe: "_INBOX.>" } } ] }"#,
    );
    let text = scene.nats(&["account", "info", "--user", "alice", "--password", "s3cret"]).fine().stdout;
    assert!(
        text.contains("Connection Permissions:")
            && text.contains("Allow: $JS.API.INFO")
            && text.contains(" orders.>\n"),
        "{text}"
    );
}

#[test]
fn what_jetstream_allows_is_shown() {
    let text = Scene::jetstream().nats(&["account", "info"]).fine().stdout;
    for part in ["Account Usage:", "Streams: 0", "Account Limits:", "Tier: Default:", "Storage: 0 B of Unlimited"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn who_may_not_ask_sees_the_rest() {
    let scene = Scene::configured(crate::publish::STORY);
    let text = scene.nats(&["account", "info", "--user", "alice", "--password", "s3cret"]).fine().stdout;
    assert!(text.contains("Maximum Payload: 1.0 MiB"), "{text}");
}
