//! Whole configuration files.

use bulwark_config::{Diagnostics, ExportKind, Feature, Support, load_text};

use crate::{in_world, mistakes, read, settings};

/// A text read by the server of this version.
fn today(text: &str) -> Result<bulwark_config::Loaded, Diagnostics> {
    in_world(&[], |world| load_text("t.conf", text, world, &Support::today().without_certificates()))
}

#[test]
fn the_story_is_read_as_written() {
    let text = r#"accounts { ORDERS { users [ { user: alice, password: "s3cret", permissions: { publish: "orders.>", subscribe: "_INBOX.>" } } ] } }"#;
    let loaded = today(text).unwrap();
    let account = &loaded.settings.auth.accounts[0];
    let user = &account.users[0];
    assert_eq!((account.name.as_str(), user.user.as_deref()), ("ORDERS", Some("alice")));
    assert!(user.password.as_ref().unwrap().is(b"s3cret"));
    let permissions = user.permissions.as_ref().unwrap();
    assert_eq!(permissions.publish.allow.as_ref().unwrap()[0].text, "orders.>");
    assert_eq!(permissions.subscribe.allow.as_ref().unwrap()[0].text, "_INBOX.>");
    assert_eq!(loaded.settings.advice(), ["Plaintext passwords detected, use nkeys or bcrypt"]);
}

#[test]
fn the_permission_block_is_read_as_written_and_each_rule_has_its_place() {
    let text = r#"authorization { users: [ { user: a, permissions: {
  publish: ["orders.>", "users.signup"]
  subscribe: {
    allow: "events.>"
    deny: "events.audit.>"
  }
} } ] }"#;
    let settings = settings(text);
    let users = settings.auth.authorization.users.unwrap();
    let permissions = users[0].permissions.as_ref().unwrap();
    let publish = permissions.publish.allow.as_ref().unwrap();
    let rules: Vec<_> = publish.iter().map(|rule| (rule.text.as_str(), rule.place.to_string())).collect();
    assert_eq!(rules, [("orders.>", "t.conf:2:14".to_owned()), ("users.signup", "t.conf:2:26".to_owned())]);
    assert_eq!(permissions.publish.deny, None);
    let deny = &permissions.subscribe.deny.as_ref().unwrap()[0];
    assert_eq!((deny.text.as_str(), deny.place.to_string().as_str()), ("events.audit.>", "t.conf:5:5"));
}

#[test]
fn the_permission_block_on_one_line_says_where_a_separator_is_missing() {
    let text = r#"permissions: { publish: ["orders.>", "users.signup"] subscribe: { allow: "events.>" deny: "events.audit.>" } }"#;
    assert_eq!(
        mistakes(text),
        [
            "t.conf:1:53: Parse error on line 1: 'Expected a map value terminator \",\" or a map terminator \"}\", but got \
          's' instead.' (a comma or a newline is missing before this place)"
        ]
    );
}

#[test]
fn everything_wrong_is_told_at_once_warnings_first() {
    let text = "prot: 4222\nmax_payload: big\nping_interval: 20\nauthorization {\n  users: [ {user: a, foo: 1\n } , {pass: b}\n] }\n";
    assert_eq!(
        read(text).unwrap_err().to_string(),
        "t.conf:3:1: invalid use of field \"ping_interval\": ping_interval should be converted to a duration\n\
         t.conf:1:0: unknown field \"prot\" (did you mean \"port\"?)\n\
         t.conf:2:1: interface conversion: interface {} is string, not int64 (write an integer)\n\
         t.conf:5:22: unknown field \"foo\"\n\
         t.conf:6:7: User entry requires a user\n"
    );
}

#[test]
fn a_key_that_a_variable_refers_to_may_have_any_name_anywhere() {
    let text = "limit: 5\nmax_connections: $limit\naccounts { pw: s, A { users: [{user: a, pass: $pw}] } }";
    let settings = settings(text);
    assert_eq!(settings.limits.max_connections, 5);
    assert_eq!(settings.auth.accounts.len(), 1, "a variable among the accounts is no account");
    assert_eq!(mistakes("limit: 5"), ["t.conf:1:0: unknown field \"limit\""]);
}

#[test]
fn keys_are_read_in_any_case_and_names_keep_theirs() {
    let settings = settings("Max_Payload: 5\nACCOUNTS { Ab { Users: [{User: X}] } }");
    assert_eq!(settings.limits.max_payload_bytes, Some(5));
    assert_eq!(settings.auth.accounts[0].name, "Ab");
    assert_eq!(settings.auth.accounts[0].users[0].user.as_deref(), Some("X"));
}

#[test]
fn users_are_unique_over_all_accounts_whatever_comes_first() {
    let twice = "accounts { A { users: [{user: a}] }, B { users: [{user: a}] } }";
    assert_eq!(mistakes(twice), ["t.conf:1:41: Duplicate user \"a\" detected"]);
    let list = "authorization { users: [{user: a}] }";
    let accounts = "accounts { A { users: [{user: a}] } }";
    for (text, place) in [(format!("{list}\n{accounts}"), "2:16"), (format!("{accounts}\n{list}"), "1:15")] {
        assert_eq!(mistakes(&text), [format!("t.conf:{place}: Duplicate user \"a\" detected")]);
    }
    let single = "authorization { user: x, password: y }";
    for text in [format!("{single}\n{accounts}"), format!("{accounts}\n{single}")] {
        assert!(mistakes(&text)[0].ends_with("Can not have a single user/pass and accounts"), "{text}");
    }
    assert!(
        mistakes(&format!("authorization {{ token: x }}\n{accounts}"))[0]
            .ends_with("Can not have a token and accounts")
    );
}

#[test]
fn a_bcrypt_hash_is_no_plain_password() {
    let hash = "$2a$11$ooo/IU.xkXlDVQWfJ1Lmm.4qAQZbdvbyzEWmK8kXuQs6N1X9gq3Ce";
    let text = format!("authorization {{ user: a, password: {hash} }}");
    assert!(settings(&text).advice().is_empty());
    assert!(settings("authorization { token: '$2y$11$x' }").advice().is_empty());
    assert_eq!(settings("authorization { token: '$2z$11$x' }").advice().len(), 1);
}

#[test]
fn a_large_payload_is_advised_against() {
    let settings = settings("max_payload: 9mb");
    assert_eq!(
        settings.advice(),
        ["Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance"]
    );
}

#[test]
fn an_empty_allow_list_allows_nothing_and_an_empty_block_restricts_nothing() {
    let side = |text: &str| {
        let settings =
            settings(&format!("authorization {{ users: [{{user: a, permissions: {{ publish: {text} }} }}] }}"));
        settings.auth.authorization.users.unwrap()[0].permissions.clone().unwrap().publish
    };
    assert_eq!(side("[]").allow, Some(Vec::new()));
    assert_eq!(side("{ allow: [] }").allow, Some(Vec::new()));
    assert_eq!(side("{}").allow, None);
}

#[test]
fn the_login_timeout_leaves_room_for_the_handshake() {
    let seconds = |text: &str| settings(text).auth.authorization.timeout.unwrap().as_secs_f64();
    assert_eq!(seconds("port: 4222"), 2.0);
    assert_eq!(seconds("tls { cert_file: c, key_file: k, timeout: 4 }"), 5.0);
    assert_eq!(seconds("authorization { timeout: 0.5 }"), 0.5);
}

#[test]
fn what_maps_certificates_to_users_is_told_to_the_auth_room() {
    let settings = settings("tls { cert_file: c, key_file: k, verify_and_map: true }");
    assert_eq!(settings.auth.certificate_kinds, [auth::ConnectionKind::Standard]);
    assert!(settings.tls.unwrap().verify, "mapping implies asking");
}

#[test]
fn a_service_export_keeps_its_directives_whatever_their_order() {
    let text = "accounts { A { exports: [ { response: stream, threshold: '3s', latency: lat, service: s } ] } }";
    let settings = settings(text);
    let export = &settings.sharing[0].exports[0];
    let ExportKind::Service { response, threshold, latency, .. } = &export.kind else { panic!("a service") };
    assert_eq!(*response, bulwark_config::ResponseType::Stream);
    assert_eq!(threshold.unwrap().as_secs(), 3);
    assert_eq!(latency.as_ref().unwrap().subject, "lat");
}

#[test]
fn what_the_server_cannot_do_yet_is_an_error_with_its_place() {
    for (text, feature) in [
        ("\ncluster { port: 6222 }", Feature::Cluster),
        ("\ngateway { name: a, port: 7222 }", Feature::Gateway),
        ("\nleafnodes { port: 7422 }", Feature::Leafnodes),
        ("\njetstream: true", Feature::JetStream),
        ("\naccounts { A { jetstream: true } }", Feature::JetStream),
        ("\nwebsocket { port: 80, no_tls: true }", Feature::WebSocket),
        ("\nmqtt { port: 1883 }, leafnodes {}", Feature::Mqtt),
        ("\noperator: $OPERATOR", Feature::Operator),
        ("\nresolver: MEMORY", Feature::Resolver),
        ("\nresolver: URL(http://accounts)", Feature::UrlResolver),
        ("\nresolver { type: full, dir: jwts }", Feature::FolderResolver),
        (
            "\nauthorization { auth_callout { issuer: ABJHLOVMPA4CI6R5KLNGOB4GSLNIY7IOUPAJC4YFNDLQVIOBYQGUWVLA, users: [a] } }",
            Feature::AuthCallout,
        ),
        ("\ntls { cert_file: c, key_file: k }", Feature::Tls),
        ("\nhttp_port: 8222", Feature::Monitoring),
        ("\ntls { cert_file: c, key_file: k }, https_port: 8222", Feature::HttpsMonitoring),
        ("\nocsp: true", Feature::Ocsp),
        ("\nauthorization { user: a, proxy_required: true }", Feature::Proxies),
        ("\nproxy_protocol: true", Feature::ProxyProtocol),
    ] {
        let only = |feature| Support::everything().without_certificates().without(feature);
        let read = |support: &Support| in_world(&[], |world| load_text("t.conf", text, world, support));
        assert!(read(&Support::everything().without_certificates()).is_ok(), "{text}");
        let wrong = read(&only(feature)).unwrap_err();
        assert_eq!(wrong.errors.len(), 1, "{text}: {wrong}");
        let line = wrong.errors[0].to_string();
        assert!(
            line.starts_with("t.conf:2:") && line.ends_with(&format!("{:?} is not supported yet", feature.name())),
            "{line}"
        );
        // The server of this version says so too, unless the feature has been lifted.
        let said = today(text).err().is_some_and(|wrong| wrong.errors.iter().any(|error| error.to_string() == line));
        assert_eq!(said, !Support::today().without_certificates().has(feature), "{text}");
    }
}

#[test]
fn a_block_that_asks_for_nothing_needs_nothing() {
    for text in ["jetstream: false", "jetstream: disabled", "ocsp: false", "proxies { trusted: [] }", "mappings {}"] {
        assert!(today(text).is_ok(), "{text}");
    }
}

#[test]
fn what_is_accepted_with_nothing_to_do_is_said_once_each() {
    let loaded = today("prof_port: 1\nfeature_flags { a: true }").unwrap();
    assert_eq!(
        loaded.notices,
        [
            "t.conf:1:0: \"prof_port\" is accepted and has nothing to do here: there is no Go runtime to profile",
            "t.conf:2:1: \"feature_flags\" is accepted and has nothing to do here: no feature of this server depends on a flag",
        ]
    );
    let listed: Vec<&str> = bulwark_config::accepted_with_nothing_to_do().iter().map(|(key, _)| *key).collect();
    assert_eq!(
        listed,
        [
            "prof_port",
            "prof_block_rate",
            "disable_sublist_cache",
            "feature_flags",
            "extension_hint",
            "unique_tag",
            "max_outstanding_catchup",
            "meta_compact",
            "meta_compact_size",
            "meta_compact_sync",
            "max_ha_assets",
            "cluster_traffic",
            "info_queue_limit",
            "max_concurrent_io"
        ]
    );
}

#[test]
fn an_included_file_is_read_in_place_and_its_mistakes_have_its_name() {
    let files: &[(&str, &str)] = &[("conf/users.conf", "users: [{user: a}]"), ("conf/bad.conf", "\n usres: []")];
    let read = |text: &str| {
        in_world(files, |world| load_text("conf/nats.conf", text, world, &Support::today().without_certificates()))
    };
    let users = read("authorization { include users.conf\n}").unwrap().settings.auth.authorization.users.unwrap();
    assert_eq!(users[0].user.as_deref(), Some("a"));
    let wrong = read("authorization { include bad.conf\n}").unwrap_err();
    assert_eq!(wrong.errors[0].to_string(), "conf/bad.conf:2:2: unknown field \"usres\" (did you mean \"users\"?)");
    let wrong = read("include gone.conf").unwrap_err();
    assert_eq!(
        wrong.errors[0].to_string(),
        "conf/nats.conf:1:8: error parsing include file 'gone.conf', open conf/gone.conf: no such file or directory"
    );
}

#[test]
fn a_certificate_that_cannot_be_opened_is_a_mistake_of_its_block() {
    let files: &[(&str, &str)] = &[("c", "nonsense"), ("k", "nonsense")];
    let wrong = |text: &str| {
        let wrong = in_world(files, |world| load_text("t.conf", text, world, &Support::everything())).unwrap_err();
        wrong.errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let missing = wrong("\ntls { cert_file: gone, key_file: k }");
    assert_eq!(missing, ["t.conf:2:1: gone: open gone: no such file or directory"]);
    let nonsense = wrong("\ntls { cert_file: c, key_file: k }");
    assert_eq!(nonsense, ["t.conf:2:1: error parsing X509 certificate/key pair: c: no certificate in the file"]);
    let roots = wrong("leafnodes { remotes: [{url: \"tls://h\", tls: {ca_file: c}}] }");
    assert!(roots[0].starts_with("t.conf:1:39: "), "{roots:?}");
}
