//! Planted markers: no secret is ever printed.

use bulwark_config::{Support, diff, load_text};

use crate::{in_world, read, settings};

const MARKER: &str = "marker-7f3a";

/// Texts with a secret in every place that has one.
fn texts() -> Vec<String> {
    [
        "authorization { user: a, password: MARKER }",
        "authorization { token: MARKER }",
        "authorization { users: [{user: a, password: MARKER}] }",
        "accounts { A { users: [{user: a, pass: MARKER}] } }",
        "tls { cert_file: c, key_file: k, key_passphrase: MARKER }",
        "cluster { port: 1, authorization { user: a, password: MARKER }, routes: [\"nats://MARKER:MARKER@h:1\"] }",
        "gateway { name: a, port: 1, authorization { user: a, password: MARKER }, gateways: [{name: b, url: \"nats://a:MARKER@h:1\"}] }",
        "leafnodes { port: 1, authorization { user: a, password: MARKER }, remotes: [{url: \"nats://MARKER@h\"}] }",
        "leafnodes { port: 1, authorization { users: [{user: a, password: MARKER}] } }",
        "leafnodes { remotes: [{url: \"ws://h\", proxy: {url: \"http://h\", username: a, password: MARKER}}] }",
        "jetstream { key: MARKER, prev_key: MARKER, tpm { encryption_password: MARKER, srk_password: MARKER } }",
        "websocket { port: 1, no_tls: true, authorization { user: a, password: MARKER } }",
        "websocket { port: 1, no_tls: true, authorization { token: MARKER } }",
        "mqtt { port: 1, authorization { user: a, password: MARKER } }, jetstream: true",
    ]
    .iter()
    .map(|text| text.replace("MARKER", MARKER))
    .collect()
}

#[test]
fn settings_do_not_print_a_secret() {
    for text in texts() {
        let printed = format!("{:?}", settings(&text));
        assert!(!printed.contains(MARKER), "{text}");
    }
}

#[test]
fn a_reload_does_not_print_a_secret() {
    let empty = settings("port: 4222");
    for text in texts() {
        let (with, other) = (settings(&text), settings(&text.replace(MARKER, "marker-other")));
        for (old, new) in [(&empty, &with), (&with, &empty), (&with, &other)] {
            let lines = format!("{:?}", diff(old, new));
            assert!(!lines.contains("marker-"), "{text}: {lines}");
        }
    }
}

#[test]
fn a_mistake_does_not_print_a_secret() {
    for text in [
        "authorization { users: [MARKER] }",
        "authorization { users: [[MARKER]] }",
        "accounts { A { users: [\"a:MARKER\"] } }",
        "cluster { port: 1, routes: [\"nats://a:MARKER@h:x\"] }",
        "cluster { port: 1, routes: [\"nats://a:MARKER@\"] }",
        "leafnodes { remotes: [{url: \"nats://a:MARKER@h:x\"}] }",
        "leafnodes { remotes: [{url: \"nats://a:MARKER@h\"}, {url: \"nats://a:MARKER@h\"}] }",
        "leafnodes { remotes: [{urls: [\"nats://a:MARKER@h\", \"ws://b:MARKER@i\"]}] }",
        "leafnodes { remotes: [{url: \"nats://h\", seed: MARKER}] }",
        "leafnodes { authorization { users: [MARKER] } }",
        "default_sentinel: MARKER, operator: $OPERATOR",
        "resolver_preload: { A: MARKER }",
        "authorization { user: a, password: MARKER, users: [] }",
        "authorization { permissions: { password: MARKER } }",
        "authorization { auth_callout: { password: MARKER } }",
    ] {
        let text = text.replace("MARKER", MARKER);
        let wrong = read(&text).err().unwrap_or_else(|| panic!("{text} is accepted")).to_string();
        assert!(!wrong.contains(MARKER), "{text}: {wrong}");
    }
}

#[test]
fn a_warning_does_not_print_a_secret() {
    let text = format!("cluster {{ port: 1, routes: [\"nats://a:{MARKER}@h:1\", \"nats://a:{MARKER}@h:1\"] }}");
    let loaded = read(&text).unwrap();
    assert_eq!(
        loaded.warnings[0].to_string(),
        format!(
            "t.conf:1:{}: invalid use of field \"nats://[REDACTED]@h:1\": Duplicate route entry detected",
            text.rfind("nats").unwrap()
        )
    );
}

#[test]
fn a_secret_may_come_from_a_file_or_the_environment() {
    let files: &[(&str, &str)] = &[("/run/secrets/pw", "s3cret\n"), ("crlf", "s3cret\r\nmore")];
    let password = |text: &str| {
        let loaded =
            in_world(files, |world| load_text("t.conf", text, world, &Support::today().without_certificates()))
                .unwrap();
        loaded.settings.auth.authorization.password.unwrap()
    };
    assert!(password("authorization { user: a, password: { file: \"/run/secrets/pw\" } }").is(b"s3cret"));
    assert!(password("authorization { user: a, password: { file: crlf } }").is(b"s3cret"));
    assert!(password("authorization { user: a, password: $HOME }").is(b"/home/nats"));
}
