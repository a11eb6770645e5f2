//! What a running server can follow, and what it cannot.

use bulwark_config::{Effect, all_live, diff};

use crate::settings;

/// The lines of a reload from one text to another.
fn lines(old: &str, new: &str) -> Result<Vec<String>, String> {
    let changes = diff(&settings(old), &settings(new));
    assert_eq!(changes, diff(&settings(old).remembered(), &settings(new)), "what is remembered is enough");
    let live = all_live(changes).map_err(|refused| refused.to_string())?;
    assert!(live.iter().all(|change| change.effect == Effect::Live));
    Ok(live.into_iter().map(|change| change.line).collect())
}

/// The lines besides those that every reload has.
fn told(old: &str, new: &str) -> Vec<String> {
    let always = ["Reloaded: authorization users", "Reloaded: accounts"];
    let lines = lines(old, new).unwrap_or_else(|refused| panic!("{old} -> {new}: {refused}"));
    lines.into_iter().filter(|line| !always.contains(&line.as_str())).collect()
}

fn refused(old: &str, new: &str) -> String {
    lines(old, new).expect_err(new)
}

#[test]
fn without_a_change_users_and_accounts_are_looked_at_again() {
    let text = "authorization { users: [{nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4}] }";
    assert_eq!(lines(text, text).unwrap(), ["Reloaded: authorization users", "Reloaded: accounts"]);
    assert_eq!(told(text, &format!("\n\n{text}")), Vec::<String>::new(), "moving a line is no change");
    assert_eq!(told(text, "authorization { users: [{user: a, password: b}] }"), ["Reloaded: authorization nkey users"]);
}

#[test]
fn what_can_be_followed_has_its_line() {
    for (old, new, line) in [
        ("", "client_advertise: \"h:1\"", "Reload: client_advertise = h:1"),
        ("", "server_tags: [a]", "Reloaded: tags"),
        ("", "server_metadata: { a: b }", "Reloaded: metadata"),
        ("", "debug: true", "Reloaded: debug = true"),
        ("trace: true", "", "Reloaded: trace = false"),
        ("", "logtime: false", "Reloaded: logtime = false"),
        ("", "logtime_utc: true", "Reloaded: logtime_utc = true"),
        ("", "log_file: /tmp/x", "Reloaded: log_file = /tmp/x"),
        ("", "log_format: json", "Reloaded: log_format = json"),
        ("", "http_login: true", "Reloaded: http_login = true"),
        ("", "syslog: true", "Reloaded: syslog = true"),
        ("", "remote_syslog: \"udp://h:1\"", "Reloaded: remote_syslog = udp://h:1"),
        ("", "max_traced_msg_len: 5", "Reloaded: max_traced_msg_len = 5"),
        ("", "max_connections: 5", "Reloaded: max_connections = 5"),
        ("", "max_connections: 0", "Reloaded: max_connections = -1"),
        ("", "max_payload: 5", "Reloaded: max_payload = 5"),
        ("", "max_control_line: 512", "Reloaded: max_control_line = 512"),
        ("", "ping_interval: '90s'", "Reloaded: ping_interval = 1m30s"),
        ("", "ping_max: 5", "Reloaded: ping_max = 5"),
        ("", "write_deadline: '3s'", "Reloaded: write_deadline = 3s"),
        ("", "pid_file: /tmp/p", "Reloaded: pid_file = /tmp/p"),
        ("", "ports_file_dir: /tmp", "Reloaded: ports_file_dir = /tmp"),
        ("", "prof_block_rate: 5", "Reloaded: prof_block_rate = 5"),
        ("", "connect_error_reports: 5", "Reloaded: connect_error_reports = 5"),
        ("", "reconnect_error_reports: 5", "Reloaded: reconnect_error_reports = 5"),
        ("", "no_fast_producer_stall: true", "Reloaded: fast producers will not be stalled"),
        ("no_fast_producer_stall: true", "", "Reloaded: fast producers will be stalled"),
        ("authorization { token: a }", "authorization { token: b }", "Reloaded: authorization token"),
        ("", "authorization { timeout: 3 }", "Reloaded: authorization timeout = 3"),
        ("", "ocsp: true", "Reloaded: OCSP"),
        ("", "ocsp_cache: true", "Reloaded OCSP peer cache"),
        ("cluster { port: 1 }", "cluster { port: 1, name: c }", "Reloaded: cluster"),
        ("cluster { port: 1 }", "cluster { port: 1, routes: [\"nats://h:1\"] }", "Reloaded: cluster routes"),
        (
            "leafnodes { port: 1 }",
            "leafnodes { port: 1, compression: off }",
            "Reloaded: LeafNode Compression value is: {off}",
        ),
        (
            "",
            "leafnodes { remotes: [{url: \"nats://h\"}] }",
            "Reloaded: LeafNode Remote urls=[\"nats://h:7422\"], account=\"$G\" added",
        ),
        (
            "leafnodes { remotes: [{url: \"nats://h\"}] }",
            "",
            "Reloaded: LeafNode Remote urls=[\"nats://h:7422\"], account=\"$G\" removed",
        ),
        (
            "leafnodes { remotes: [{url: \"nats://h\"}] }",
            "leafnodes { remotes: [{url: \"nats://h\", disabled: true}] }",
            "Reloaded: LeafNode Remote urls=[\"nats://h:7422\"], account=\"$G\" Disabled value is: true",
        ),
        ("", "jetstream: true", "Reloaded: JetStream"),
        ("jetstream: true", "", "Reloaded: JetStream"),
        ("jetstream { max_mem: 1gb }", "jetstream { max_mem: 2gb }", "Reloaded: JetStream max_mem_store = 2.00 GB"),
        (
            "jetstream { max_file: 1gb }",
            "jetstream { max_file: 1536mb }",
            "Reloaded: JetStream max_file_store = 1.50 GB",
        ),
        ("jetstream {}", "jetstream { limits { max_ha_assets: 5 } }", "Reloaded: JetStream limits"),
        ("jetstream {}", "jetstream { meta_compact: 5 }", "Reloaded: JetStream meta_compact"),
        (
            "",
            "proxies { trusted: [{key: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4}] }",
            "Reloaded: proxies trusted keys [\"UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4\"] were added",
        ),
    ] {
        assert_eq!(told(old, new), [line], "{old} -> {new}");
    }
}

#[test]
fn some_changes_have_several_lines() {
    assert_eq!(told("", "trace_headers: true"), ["Reloaded: trace = true", "Reloaded: trace_headers = true"]);
    assert_eq!(
        told("", "authorization { user: a, password: b }"),
        ["Reloaded: authorization username", "Reloaded: authorization password"]
    );
    assert_eq!(
        told("", "tls { cert_file: c, key_file: k }"),
        ["Reloaded: authorization timeout = 3", "Reloaded: tls = enabled"]
    );
    assert_eq!(
        told("jetstream: true, mqtt { port: 1 }", "jetstream: true, mqtt { port: 1, ack_wait: '1m' }"),
        [
            "Reloaded: MQTT ack_wait = 1m0s",
            "Reloaded: MQTT max_ack_pending = 1024",
            "Reloaded: MQTT stream_replicas = 0",
            "Reloaded: MQTT consumer_memory_storage = false",
            "Reloaded: MQTT consumer_inactive_threshold = 0s",
        ]
    );
    let text = "tls { cert_file: c, key_file: k }";
    assert_eq!(told(text, text), ["Reloaded: tls = enabled"], "certificates are read again");
}

#[test]
fn what_needs_a_restart_is_refused_with_its_name() {
    for (old, new, why) in [
        ("server_name: R", "server_name: Q", "ServerName: old=R, new=Q"),
        ("port: 1", "port: 2", "Port: old=1, new=2"),
        ("host: a", "host: b", "Host: old=a, new=b"),
        ("", "http_port: 8222", "HTTPPort: old=0, new=8222"),
        ("", "http_base_path: a", "HTTPBasePath: old=/, new=/a"),
        ("", "prof_port: 5", "ProfPort: old=0, new=5"),
        ("", "max_subscriptions: 5", "MaxSubs: old=0, new=5"),
        ("", "max_subscription_tokens: 5", "MaxSubTokens: old=0, new=5"),
        ("", "max_pending: 2mb", "MaxPending: old=67108864, new=2097152"),
        ("", "max_closed_clients: 5", "MaxClosedClients: old=10000, new=5"),
        ("", "logfile_size_limit: 5", "LogSizeLimit: old=0, new=5"),
        ("", "logfile_max_num: 5", "LogMaxFiles: old=0, new=5"),
        ("", "write_timeout: retry", "WriteTimeout: old=0, new=2"),
        ("", "lame_duck_duration: '1m'", "LameDuckDuration: old=2m0s, new=1m0s"),
        ("", "lame_duck_grace_period: '1s'", "LameDuckGracePeriod: old=10s, new=1s"),
        ("", "system_account: A", "SystemAccount: old=$SYS, new=A"),
        ("", "feature_flags { a: true }", "FeatureFlags: old=map[], new=map[a:true]"),
        ("", "proxy_protocol: true", "ProxyProtocol: old=false, new=true"),
        ("", "no_header_support: true", "NoHeaderSupport: old=false, new=true"),
        (
            "accounts { A {} }",
            "accounts { A {} }, default_js_domain { A: d }",
            "JsAccDefaultDomain: old=map[], new=map[A:d]",
        ),
        (
            "authorization { users: [{user: a}] }",
            "authorization { users: [{user: a}] }, no_auth_user: a",
            "NoAuthUser: old=, new=a",
        ),
        (
            "authorization { users: [{user: a}] }, no_auth_user: a",
            "authorization { users: [{user: a}] }",
            "NoAuthUser: old=a, new=",
        ),
        ("cluster { port: 1 }", "cluster { port: 2 }", "cluster port: old=1, new=2"),
        ("jetstream { domain: a }", "jetstream { domain: b }", "JetStreamDomain: old=a, new=b"),
        ("jetstream {}", "jetstream { sync: '1m' }", "SyncInterval: old=always, new=1m0s"),
        ("jetstream {}", "jetstream { unique_tag: a }", "JetStreamUniqueTag: old=, new=a"),
        ("jetstream {}", "jetstream { strict: false }", "NoJetStreamStrict: old=false, new=true"),
        ("jetstream {}", "jetstream { max_buffered_msgs: 5 }", "StreamMaxBufferedMsgs: old=100000, new=5"),
        ("jetstream { max_mem: 2 }", "jetstream { max_mem: 1 }", "decreasing jetstream max memory and store"),
        ("jetstream {}", "jetstream { max_mem: 1 }", "jetstream dynamic max memory and store"),
        ("jetstream { max_mem: 1 }", "jetstream {}", "jetstream max memory and max store"),
        ("jetstream {}", "jetstream { store_dir: a }", "jetstream storage directory"),
        (
            "gateway { name: A, port: 1 }",
            "gateway { name: A, port: 2 }",
            "Gateway: old={A 0.0.0.0:1}, new={A 0.0.0.0:2}",
        ),
        ("", "websocket { port: 1, no_tls: true }", "Websocket: old={}, new={0.0.0.0:1}"),
        ("jetstream: true", "jetstream: true, mqtt { port: 1 }", "MQTT: old={}, new={0.0.0.0:1}"),
        (
            "leafnodes { remotes: [{url: \"nats://h\"}] }",
            "leafnodes { remotes: [{url: \"nats://h\", hub: true}] }",
            "LeafNode: remote urls=[\"nats://h:7422\"], account=\"$G\"",
        ),
        (
            "leafnodes { port: 1 }",
            "leafnodes { port: 1, reconnect: '5s' }",
            "LeafNode: field \"ReconnectInterval\": old=1s, new=5s",
        ),
    ] {
        assert_eq!(refused(old, new), format!("config reload not supported for {why}"), "{old} -> {new}");
    }
    assert_eq!(
        refused("trusted_keys: []", "resolver: MEMORY"),
        "config reload does not support moving to or from an account resolver"
    );
    assert_eq!(
        refused("", "cluster { port: 1 }"),
        "config reload not supported for cluster host: old=, new=0.0.0.0; config reload not supported for cluster \
         port: old=0, new=1"
    );
}

#[test]
fn a_reload_is_all_or_nothing_and_tells_every_reason() {
    assert_eq!(
        refused("", "debug: true, port: 1, max_pending: 2mb"),
        "config reload not supported for Port: old=4222, new=1; config reload not supported for MaxPending: \
         old=67108864, new=2097152"
    );
}

#[test]
fn a_random_port_stays_the_one_that_was_found() {
    assert_eq!(told("port: -1", "port: -1"), Vec::<String>::new());
    assert_eq!(told("port: 4333", "port: -1"), Vec::<String>::new());
}

#[test]
fn the_user_for_silent_peers_may_go_with_the_user_itself() {
    let old = "authorization { users: [{user: a}, {user: b}] }, no_auth_user: a";
    assert_eq!(told(old, "authorization { users: [{user: b}] }"), Vec::<String>::new());
}

#[test]
fn adding_proxies_by_reload_is_accepted() {
    let key = "proxies { trusted: [{key: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4}] }";
    assert_eq!(told("", key).len(), 1);
    assert!(told(key, "")[0].ends_with("were removed"));
}
