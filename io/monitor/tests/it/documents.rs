//! Which fields each document has, in which order. The lists are those of the reference server 2.15.1 without clusters
//! and streams.

use serde_json::Value;

use broker::ClientSettings;
use monitor::MonitorSettings;

use crate::house::{House, tenants};

fn fields(document: &Value) -> Vec<&str> {
    document.as_object().unwrap().keys().map(String::as_str).collect()
}

const VARZ: &str = "server_id server_name version proto go host port max_connections ping_interval ping_max http_host \
    http_port http_base_path https_port auth_timeout max_control_line max_payload max_pending cluster gateway leaf mqtt \
    websocket jetstream tls_timeout write_deadline start now uptime mem cores gomaxprocs cpu connections \
    total_connections routes remotes leafnodes in_msgs in_bytes in_client_msgs in_client_bytes out_msgs out_bytes \
    out_client_msgs out_client_bytes slow_consumers stale_connections stalled_clients subscriptions http_req_stats \
    config_load_time config_digest system_account slow_consumer_stats stale_connection_stats disk_io_wait_stats";

const CONNECTION: &str = "cid kind type ip port start last_activity rtt uptime idle pending_bytes in_msgs out_msgs in_bytes \
    out_bytes subscriptions name lang version";

const STATS: &str =
    "num_subscriptions num_cache num_inserts num_removes num_matches cache_hit_rate max_fanout avg_fanout";

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn documents_have_the_fields_their_readers_know_in_their_order() {
    let house = House::open();
    let _client = house.client(r#"{"name":"n","lang":"l","version":"v"}"#);
    assert_eq!(fields(&house.json("/varz")), words(VARZ));
    let connz = house.json("/connz");
    assert_eq!(fields(&connz), words("server_id now num_connections total offset limit connections"));
    assert_eq!(fields(&connz["connections"][0]), words(CONNECTION));
    let subsz = format!("server_id now {STATS} total offset limit");
    assert_eq!(fields(&house.json("/subsz")), words(&subsz));
    for (path, expected) in [
        ("/routez", "server_id server_name now num_routes routes"),
        ("/gatewayz", "server_id now outbound_gateways inbound_gateways"),
        ("/leafz", "server_id now leafnodes leafs"),
        ("/accountz", "server_id now system_account accounts"),
        ("/accountz?acc=$G", "server_id now system_account account_detail"),
        ("/accstatz", "server_id now account_statz"),
        (
            "/jsz",
            "memory storage reserved_memory reserved_storage accounts ha_assets api server_id now disabled config streams \
             consumers messages bytes total",
        ),
    ] {
        assert_eq!(fields(&house.json(path)), words(expected), "{path}");
    }
}

#[test]
fn parts_that_are_not_there_answer_as_if_switched_off() {
    let house = House::open();
    assert_eq!(house.json("/routez")["routes"], serde_json::json!([]));
    assert_eq!(house.json("/leafz")["leafs"], serde_json::json!([]));
    assert_eq!(house.json("/gatewayz?gw_name=x")["outbound_gateways"], serde_json::json!({}));
    assert_eq!(house.json("/jsz?accounts=1&acc=x")["disabled"], true);
    assert_eq!(house.json("/varz")["cluster"], serde_json::json!({}));
}

#[test]
fn traffic_is_added_up_over_the_living_and_the_gone() {
    let house = House::with(tenants(), ClientSettings::default(), MonitorSettings::default());
    let mut gone = house.client(r#"{"user":"ann","pass":"MARKER-ann"}"#);
    gone.say("PUB x 3\r\nabc\r\n");
    gone.settle();
    drop(gone);
    house.json_when("/connz?state=closed", |connz| connz["total"] == 1);
    let mut living = house.client(r#"{"user":"bob","pass":"MARKER-bob"}"#);
    living.say("PUB y 2\r\nab\r\n");
    living.settle();
    let varz = house.json_when("/varz", |varz| varz["in_msgs"] == 2);
    assert_eq!((&varz["in_bytes"], &varz["in_client_bytes"]), (&5.into(), &5.into()));
    assert_eq!((&varz["connections"], &varz["total_connections"]), (&1.into(), &2.into()));
    let names = |path: &str| -> Vec<String> {
        let stats = house.json(path)["account_statz"].as_array().unwrap().clone();
        stats.iter().map(|stat| stat["acc"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("/accstatz"), ["BANK"]);
    assert_eq!(names("/accstatz?unused=1"), ["$G", "$SYS", "BANK", "SHOP"]);
    assert_eq!(house.json("/accstatz?unused=1")["account_statz"][3]["received"]["bytes"], 3);
}

#[test]
fn accounts_are_named_and_one_is_told_of() {
    let house = House::with(tenants(), ClientSettings::default(), MonitorSettings::default());
    assert_eq!(house.json("/accountz")["accounts"], serde_json::json!(["$G", "$SYS", "BANK", "SHOP"]));
    let detail = &house.json("/accountz?acc=SHOP")["account_detail"];
    assert_eq!((&detail["account_name"], &detail["complete"]), (&"SHOP".into(), &true.into()));
    let unknown = house.visit("/accountz?acc=NOBODY");
    assert_eq!((unknown.status, unknown.body.as_str()), (400, "Account NOBODY does not exist"));
}

#[test]
fn visits_are_counted_by_page() {
    let house = House::open();
    for path in ["/", "/subscriptionsz", "/subsz", "/connz", "/metrics"] {
        assert_eq!(house.visit(path).status, 200, "{path}");
    }
    let stats = &house.json("/varz")["http_req_stats"];
    assert_eq!(*stats, serde_json::json!({"/": 1, "/connz": 1, "/subsz": 2, "/varz": 1}));
}

#[test]
fn a_healthy_server_says_ok_on_one_line() {
    let house = House::open();
    assert_eq!(house.visit("/healthz").body, r#"{"status":"ok"}"#);
    assert_eq!(house.visit("/healthz?details=1&js-server-only=true").body, r#"{"status":"ok"}"#);
}

#[test]
fn a_server_that_misses_a_listener_is_not_healthy_and_says_so_in_the_log() {
    let house = House::open();
    house.lose_listener("route");
    let reply = house.visit("/healthz");
    let text = "failed to be ready for connections after 1ms: route";
    assert_eq!((reply.status, reply.body), (500, format!(r#"{{"status":"error","error":"{text}"}}"#)));
    assert_eq!(house.warnings(), [format!("Healthcheck failed: \"{text}\"")]);
    let details = house.json_of_failure("/healthz?details=1");
    assert_eq!(details["errors"][0]["type"], "CONNECTION");
}

#[test]
fn a_probe_that_makes_no_sense_is_told_why() {
    let house = House::open();
    for (path, text) in [
        ("/healthz?stream=S", "\"account\" must not be empty when checking stream health"),
        ("/healthz?account=A&consumer=C", "\"stream\" must not be empty when checking consumer health"),
    ] {
        let reply = house.visit(path);
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((reply.status, &body["error"]), (400, &text.into()), "{path}");
    }
}

#[test]
fn prometheus_gets_samples_with_a_kind_each() {
    let house = House::open();
    let _client = house.client("{}");
    let metrics = house.visit("/metrics");
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(metrics.body.contains("\nbulwark_connections 1\n"), "{}", metrics.body);
    assert!(metrics.body.contains("\nbulwark_account_connections{account=\"$G\"} 1\n"), "{}", metrics.body);
    for line in metrics.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let name = name.split('{').next().unwrap();
        assert!(metrics.body.contains(&format!("# TYPE {name} ")) && value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn everything_moves_under_the_base_path() {
    let settings = MonitorSettings { base_path: "/nats/one".into(), ..MonitorSettings::default() };
    let house = House::with(Default::default(), ClientSettings::default(), settings);
    assert_eq!(house.json("/nats/one/varz")["http_base_path"], "/nats/one");
    let root = house.visit("/nats/one");
    assert!(root.status == 200 && root.body.contains("href=\"/nats/one/varz\""), "{}", root.body);
    for path in ["/varz", "/", "/nats/one/"] {
        assert_eq!(house.visit(path).status, 404, "{path}");
    }
}
