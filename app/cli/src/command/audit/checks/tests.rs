//! Each check finds what it is for, and nothing in a deployment where all is well.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::archive::{Place, Writer};

/// Two servers and a stream, as they should be.
struct Deployment {
    variables: [Value; 2],
    jetstream: [Value; 2],
    gateways: [Value; 2],
    leafs: Value,
    health: Value,
    streams: [Value; 2],
    account: Value,
    cluster: &'static str,
}

impl Deployment {
    fn sound() -> Self {
        let variables = || {
            json!({
                "version": "2.15.1", "cpu": 10.0, "cores": 2, "mem": 1000, "slow_consumers": 0, "auth_required": true,
                "now": "2026-01-01T00:00:00Z", "tls_cert_not_after": "2027-01-01T00:00:00Z",
            })
        };
        let jetstream = || {
            json!({
                "memory": 1, "storage": 1, "config": {"max_memory": 100, "max_storage": 100, "domain": "hub"}, "ha_assets": 3,
                "meta_cluster": {"leader": "n1", "replicas": [{"name": "n2", "offline": false}]},
            })
        };
        let gateways = || json!({"outbound_gateways": {"W": {"configured": true}}, "inbound_gateways": {}});
        let stream = || {
            json!({
                "name": "S", "cluster": {"leader": "n1"}, "state": {"messages": 10, "bytes": 10, "last_seq": 100, "num_subjects": 2},
                "config": {"max_msgs": 100, "max_bytes": -1, "num_replicas": 1, "metadata": {}}, "consumer_detail": [],
            })
        };
        Self {
            variables: [variables(), variables()],
            jetstream: [jetstream(), jetstream()],
            gateways: [gateways(), gateways()],
            leafs: json!({"leafs": [{"name": "leaf"}]}),
            health: json!({"status": "ok", "status_code": 200}),
            streams: [stream(), stream()],
            account: json!({
                "account_name": "APP", "client_connections": 5, "subscriptions": 5,
                "decoded_jwt": {"nats": {"limits": {"conn": 10, "leaf": -1, "subs": 100}}},
            }),
            cluster: "C",
        }
    }

    fn write(&self, path: &Path) {
        let mut writer = Writer::create(path, Timestamp::UNIX_EPOCH).unwrap();
        let cluster = self.cluster;
        for (at, server) in ["n1", "n2"].into_iter().enumerate() {
            let answer = |data: &Value| json!({"server": {"name": server, "id": server}, "data": data});
            let mut add =
                |kind, data: &Value| writer.add(&Place::Server { cluster, server, kind }, &answer(data)).unwrap();
            add(Kind::Variables, &self.variables[at]);
            add(Kind::JetStream, &self.jetstream[at]);
            add(Kind::Gateways, &self.gateways[at]);
            add(Kind::Leafs, &self.leafs);
            add(Kind::Health, &self.health);
            let kind = Kind::AccountInfo;
            writer.add(&Place::Account { cluster, server, account: "APP", kind }, &answer(&self.account)).unwrap();
            writer.add(&Place::Stream { cluster, server, account: "APP", stream: "S" }, &self.streams[at]).unwrap();
        }
        writer.finish().unwrap();
    }

    /// Every check that did not pass, with its outcome and its first example.
    fn faults(&self) -> Vec<(String, String, String)> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.zip");
        self.write(&path);
        let report = run_all(&Archive::open(&path).unwrap(), &[], 5, false).unwrap();
        let report = serde_json::to_value(&report).unwrap();
        let checks = report["checks"].as_array().unwrap().iter();
        let shown = |found: &Value| {
            let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            (text("/check/code"), text("/outcome_string"), text("/examples/examples/0"))
        };
        checks.map(shown).filter(|(_, outcome, _)| outcome != "PASS").collect()
    }
}

#[track_caller]
fn finds(code: &str, outcome: &str, example: &str, change: impl Fn(&mut Deployment)) {
    let mut deployment = Deployment::sound();
    change(&mut deployment);
    assert_eq!(deployment.faults(), [(code.to_owned(), outcome.to_owned(), example.to_owned())]);
}

#[test]
fn where_all_is_well_nothing_is_found() {
    assert_eq!(Deployment::sound().faults(), []);
    let mut codes: Vec<&str> = all().map(|check| check.code).collect();
    assert_eq!(codes.len(), 21);
    codes.dedup();
    assert_eq!(codes.len(), 21, "each code once");
}

#[test]
fn servers_are_checked() {
    finds("SERVER_001", "WARN", "n1: 503 - unavailable", |d| {
        d.health = json!({"status": "unavailable", "status_code": 503})
    });
    finds("SERVER_002", "FAIL", "n2 - 2.11.0", |d| d.variables[1]["version"] = "2.11.0".into());
    finds("SERVER_003", "FAIL", "C - n2: 95.0%", |d| d.variables[1]["cpu"] = 190.0.into());
    finds("SERVER_004", "WARN", "C/n1: 3 slow consumers", |d| d.variables[0]["slow_consumers"] = 3.into());
    finds("SERVER_005", "WARN", "n1 store usage: 91 B of 100 B", |d| d.jetstream[0]["storage"] = 91.into());
    finds("SERVER_006", "WARN", "Cluster C Server n1 Domain a b", |d| {
        d.jetstream[0]["config"]["domain"] = "a b".into()
    });
    finds("SERVER_007", "WARN", "n2: authentication not required", |d| d.variables[1]["auth_required"] = false.into());
    let until = |at: &'static str| move |d: &mut Deployment| d.variables[0]["tls_cert_not_after"] = at.into();
    let soon = "C/n1 server TLS certificate expires in 20d0h0m0s (expires_at=2026-01-21T00:00:00Z)";
    finds("SERVER_008", "WARN", soon, until("2026-01-21T00:00:00Z"));
    let gone = "C/n1 server TLS certificate expired (expired_at=2025-12-31T00:00:00Z)";
    finds("SERVER_008", "FAIL", gone, until("2025-12-31T00:00:00Z"));
}

#[test]
fn clusters_and_their_leader_are_checked() {
    finds("CLUSTER_001", "WARN", "Cluster C avg: 5.4 KiB, server n1: 9.8 KiB", |d| {
        d.variables[0]["mem"] = 10_000.into()
    });
    finds("CLUSTER_003", "WARN", "n2: 1001 HA assets", |d| d.jetstream[1]["ha_assets"] = 1001.into());
    finds("CLUSTER_004", "FAIL", "Cluster: a b", |d| d.cluster = "a b");
    let apart = "Cluster C, outbound gateways server n2: [] != server n1: [\"W\"]";
    finds("CLUSTER_002", "FAIL", apart, |d| d.gateways[1] = json!({}));
    finds("META_001", "FAIL", "C - n1 reports peer n2 as offline", |d| {
        d.jetstream[0]["meta_cluster"]["replicas"][0]["offline"] = true.into();
    });
    finds("META_002", "FAIL", "Members of C have no meta leader", |d| {
        d.jetstream[1]["meta_cluster"]["leader"] = "".into()
    });
    let torn = "Members of C disagree on meta leader ({\"n1\": [\"n1\"], \"n2\": [\"n2\"]})";
    finds("META_002", "FAIL", torn, |d| d.jetstream[1]["meta_cluster"]["leader"] = "n2".into());
    finds("LEAF_001", "FAIL", "Cluster C: {\"a leaf\"}", |d| d.leafs = json!({"leafs": [{"name": "a leaf"}]}));
}

#[test]
fn accounts_and_streams_are_checked() {
    let near = "account APP (on n1) using 95.0% of subscriptions limit (95/100)";
    finds("ACCOUNTS_001", "WARN", near, |d| d.account["subscriptions"] = 95.into());
    let beyond = "account APP (on n1) exceeded client connections limit (110.0%, 11/10)";
    finds("ACCOUNTS_001", "FAIL", beyond, |d| d.account["client_connections"] = 11.into());
    let behind = "APP/S server n2 lastSequence: 80 is behind highest lastSequence: 100 on server: n1";
    finds("JETSTREAM_001", "FAIL", behind, |d| d.streams[1]["state"]["last_seq"] = 80.into());
    finds("JETSTREAM_002", "WARN", "APP/S: 1000001 subjects", |d| {
        d.streams[0]["state"]["num_subjects"] = 1_000_001.into()
    });
    let full = "stream S (in APP on n1) using 95.0% of messages limit (95/100)";
    finds("JETSTREAM_003", "WARN", full, |d| d.streams[0]["state"]["messages"] = 95.into());
    let watched = json!({"io.nats.monitor.enabled": "true", "io.nats.monitor.msgs-critical": "50"});
    finds("JETSTREAM_004", "FAIL", "CRITICAL: stream S in APP: 10 messages", |d| {
        d.streams[0]["config"]["metadata"] = watched.clone();
    });
    let watched = json!({"io.nats.monitor.enabled": "true", "io.nats.monitor.waiting-critical": "3"});
    let consumer = json!({"name": "W", "cluster": {"leader": "n1"}, "num_waiting": 9, "config": {"metadata": watched}});
    let crowded = "CRITICAL: consumer W in stream S in APP: Waiting Pulls: 9";
    finds("JETSTREAM_005", "FAIL", crowded, |d| d.streams[0]["consumer_detail"] = json!([consumer]));
}

#[test]
fn what_is_left_out_is_not_checked() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("a.zip");
    Deployment { cluster: "a b", ..Deployment::sound() }.write(&path);
    let report = run_all(&Archive::open(&path).unwrap(), &["cluster_004".to_owned()], 5, false).unwrap();
    let report = serde_json::to_value(&report).unwrap();
    assert_eq!(report["outcomes"], json!({"PASS": 20, "WARN": 0, "FAIL": 0, "SKIP": 1}));
}
