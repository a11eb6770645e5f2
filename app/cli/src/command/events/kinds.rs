//! The kinds of events: what each is called, and what of it people want to see.

use std::fmt::Write;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::show::{comma, go_duration, ibytes};

/// How a value of an event is shown.
#[derive(Clone, Copy)]
enum As {
    Text,
    Count,
    Bytes,
    Span,
}
use As::{Bytes, Count, Span, Text};

/// One kind of event: the end of its type, its title, and its values.
struct Kind {
    name: &'static str,
    title: &'static str,
    values: &'static [(&'static str, &'static str, As)],
    has_client: bool,
}

const fn kind(name: &'static str, title: &'static str, values: &'static [(&'static str, &'static str, As)]) -> Kind {
    Kind { name, title, values, has_client: false }
}

const fn with_client(kind: Kind) -> Kind {
    Kind { has_client: true, ..kind }
}

const KINDS: &[Kind] = &[
    with_client(kind(
        "client_connect",
        "Client Connection",
        &[("Server", "server.name", Text), ("Cluster", "server.cluster", Text)],
    )),
    with_client(kind(
        "client_disconnect",
        "Client Disconnection",
        &[
            ("Reason", "reason", Text),
            ("Server", "server.name", Text),
            ("Cluster", "server.cluster", Text),
            ("Received Messages", "received.msgs", Count),
            ("Received Bytes", "received.bytes", Bytes),
            ("Published Messages", "sent.msgs", Count),
            ("Published Bytes", "sent.bytes", Bytes),
        ],
    )),
    kind(
        "account_connections",
        "Account Status",
        &[
            ("Account", "acc", Text),
            ("Server", "server.name", Text),
            ("Cluster", "server.cluster", Text),
            ("Connections", "conns", Count),
            ("Leaf Nodes", "leafnodes", Count),
            ("Received Messages", "received.msgs", Count),
            ("Received Bytes", "received.bytes", Bytes),
            ("Published Messages", "sent.msgs", Count),
            ("Published Bytes", "sent.bytes", Bytes),
            ("Slow Consumers", "slow_consumers", Count),
        ],
    ),
    kind(
        "service_latency",
        "Service Latency",
        &[
            ("Start Time", "start", Text),
            ("Error", "error", Text),
            ("Request Duration", "total", Span),
            ("Requestor", "requestor.rtt", Span),
            ("NATS System", "system", Span),
            ("Service", "service", Span),
            ("Requestor Account", "requestor.acc", Text),
            ("Responder Account", "responder.acc", Text),
            ("Responder", "responder.name", Text),
        ],
    ),
    with_client(kind(
        "api_audit",
        "JetStream API Access",
        &[("Server", "server", Text), ("Subject", "subject", Text), ("Request", "request", Text)],
    )),
    kind(
        "api_limit_reached",
        "API Limit Reached",
        &[("Server", "server", Text), ("Dropped", "dropped", Count), ("Domain", "domain", Text)],
    ),
    kind(
        "consumer_action",
        "Consumer Action",
        &[("Action", "action", Text), ("Stream", "stream", Text), ("Consumer", "consumer", Text)],
    ),
    kind(
        "consumer_group_pinned",
        "Grouped Consumer Pinned a Client",
        &[
            ("Stream", "stream", Text),
            ("Consumer", "consumer", Text),
            ("Group", "group", Text),
            ("Domain", "domain", Text),
            ("Pinned Client", "pinned_id", Text),
        ],
    ),
    kind(
        "consumer_group_unpinned",
        "Grouped Consumer Un-Pinned a Client",
        &[
            ("Stream", "stream", Text),
            ("Consumer", "consumer", Text),
            ("Group", "group", Text),
            ("Domain", "domain", Text),
            ("Reason", "reason", Text),
        ],
    ),
    kind(
        "consumer_leader_elected",
        "Consumer Leader Election",
        &[("Stream", "stream", Text), ("Consumer", "consumer", Text), ("Leader", "leader", Text)],
    ),
    kind("consumer_quorum_lost", "Consumer Quorum Lost", &[("Stream", "stream", Text), ("Consumer", "consumer", Text)]),
    kind(
        "consumer_pause",
        "Consumer Pause",
        &[
            ("Stream", "stream", Text),
            ("Consumer", "consumer", Text),
            ("Paused", "paused", Text),
            ("Until", "pause_until", Text),
            ("Domain", "domain", Text),
        ],
    ),
    kind(
        "domain_leader_elected",
        "Domain Leader Election",
        &[("Leader", "leader", Text), ("Cluster", "cluster", Text), ("Domain", "domain", Text)],
    ),
    kind("max_deliver", "Delivery Attempts Exceeded", DELIVERY),
    kind("nak", "Delivery NAKed", DELIVERY),
    kind("terminated", "Delivery Terminated", DELIVERY),
    with_client(kind(
        "restore_complete",
        "Stream Restore Completed",
        &[("Stream", "stream", Text), ("Start", "start", Text), ("End", "end", Text), ("Bytes", "bytes", Bytes)],
    )),
    with_client(kind("restore_create", "Stream Restore Created", &[("Stream", "stream", Text)])),
    with_client(kind(
        "snapshot_complete",
        "Stream Snapshot Completed",
        &[("Stream", "stream", Text), ("Start", "start", Text), ("End", "end", Text)],
    )),
    with_client(kind(
        "snapshot_create",
        "Stream Snapshot Created",
        &[("Stream", "stream", Text), ("Blocks", "blocks", Count), ("Block Size", "block_size", Bytes)],
    )),
    kind(
        "server_out_of_space",
        "Out of Disk Space",
        &[("Server", "server", Text), ("Cluster", "cluster", Text), ("Stream", "stream", Text)],
    ),
    kind(
        "server_removed",
        "Server Removed",
        &[("Server", "server", Text), ("Cluster", "cluster", Text), ("Domain", "domain", Text)],
    ),
    kind(
        "stream_action",
        "Stream Action",
        &[("Action", "action", Text), ("Stream", "stream", Text), ("Template", "template", Text)],
    ),
    kind(
        "stream_batch_abandoned",
        "Publish Batch Abandoned",
        &[
            ("Account", "account", Text),
            ("Domain", "domain", Text),
            ("Stream", "stream", Text),
            ("Batch", "batch", Text),
            ("Reason", "reason", Text),
        ],
    ),
    kind("stream_leader_elected", "Stream Leader Election", &[("Stream", "stream", Text), ("Leader", "leader", Text)]),
    kind("stream_quorum_lost", "Stream Quorum Lost", &[("Stream", "stream", Text)]),
    kind(
        "consumer_ack",
        "Acknowledgment Sample",
        &[
            ("Stream", "stream", Text),
            ("Consumer", "consumer", Text),
            ("Stream Sequence", "stream_seq", Count),
            ("Consumer Sequence", "consumer_seq", Count),
            ("Deliveries", "deliveries", Count),
            ("Delay", "ack_time", Span),
        ],
    ),
];

const DELIVERY: &[(&str, &str, As)] = &[
    ("Stream", "stream", Text),
    ("Consumer", "consumer", Text),
    ("Stream Sequence", "stream_seq", Count),
    ("Deliveries", "deliveries", Count),
    ("Reason", "reason", Text),
    ("Domain", "domain", Text),
];

const CLIENT: &[(&str, &str, As)] = &[
    ("ID", "client.id", Text),
    ("User", "client.user", Text),
    ("Name", "client.name", Text),
    ("Account", "client.acc", Text),
    ("Library Version", "client.ver", Text),
    ("Language", "client.lang", Text),
    ("Host", "client.host", Text),
    ("Issuer Key", "client.issuer_key", Text),
];

/// Whether a type is that of an event.
pub(crate) fn is_event(kind: &str) -> bool {
    kind.starts_with("io.nats.") && (kind.contains(".advisory.") || kind.contains(".metric."))
}

fn name_of(event: &Value) -> &str {
    event.text("type").rsplit('.').next().unwrap_or_default()
}

fn clock(event: &Value) -> String {
    let at = event.time("timestamp").unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_zoned_datetime(TimeZone::UTC).strftime("%H:%M:%S").to_string()
}

/// A page for an event: its title, and its values below each other.
pub(crate) fn long(event: &Value) -> String {
    let name = name_of(event);
    let known = KINDS.iter().find(|kind| kind.name == name);
    let title = known.map_or_else(|| title_case(name), |kind| kind.title.to_owned());
    let mut text = format!("[{}] [{}] {title}\n", clock(event), event.text("id"));
    match known {
        Some(kind) => {
            append(&mut text, "", kind.values, event);
            if kind.has_client {
                append(&mut text, "Client:", CLIENT, event);
            }
            replicas(&mut text, event);
        }
        None => {
            let _ = write!(text, "\n{}", serde_json::to_string_pretty(event).unwrap_or_default());
        }
    }
    text.trim_end().to_owned()
}

fn append(text: &mut String, title: &str, values: &[(&str, &str, As)], event: &Value) {
    let shown: Vec<_> =
        values.iter().filter_map(|(label, path, how)| Some((*label, value(event.dig(path), *how)?))).collect();
    if shown.is_empty() {
        return;
    }
    text.push('\n');
    if !title.is_empty() {
        let _ = writeln!(text, "   {title}");
    }
    let width = shown.iter().map(|(label, _)| label.len()).max().unwrap_or(0) + 3;
    for (label, value) in shown {
        let _ = writeln!(text, "{label:>width$}: {value}");
    }
}

fn value(value: &Value, how: As) -> Option<String> {
    let number = value.as_u64().or_else(|| value.as_i64().map(|number| number.max(0).unsigned_abs()));
    let text = match (how, number) {
        (Count, Some(number)) => comma(number),
        (Bytes, Some(number)) => ibytes(number),
        (Span, Some(nanos)) => go_duration(std::time::Duration::from_nanos(nanos)),
        _ => match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
    };
    (!text.is_empty()).then_some(text)
}

fn replicas(text: &mut String, event: &Value) {
    for replica in event.list("replicas") {
        let _ = write!(text, "\n       Name: {}\n    Current: {}", replica.text("name"), replica.flag("current"));
        let _ = writeln!(text, "\n     Active: {}", go_duration(replica.span("active")));
    }
}

/// A line for an event.
pub(crate) fn short(event: &Value) -> String {
    let time = clock(event);
    let (stream, consumer) = (event.text("stream"), event.text("consumer"));
    let asset = format!("{stream} > {consumer}");
    let peers = event.list("replicas").len();
    let user = match event.text("client.user") {
        "" => String::new(),
        user => format!("user: {user}"),
    };
    let who = format!("{user} cid: {} in account {}", event.dig("client.id"), event.text("client.acc"));
    let delivery =
        format!("{stream} ({}) > {consumer}: {} deliveries", event.whole("stream_seq"), event.whole("deliveries"));
    let rest = match name_of(event) {
        "client_connect" => format!("[Connection] {who}"),
        "client_disconnect" => format!("[Disconnection] {who}: {}", event.text("reason")),
        "account_connections" => format!(
            "[Account] {} Server: {} Connections: {} Leaf Nodes: {} Slow: {} Sent: {} / {} Received: {} / {}",
            event.text("acc"),
            event.text("server.name"),
            event.whole("conns"),
            event.whole("leafnodes"),
            comma(event.whole("slow_consumers")),
            comma(event.whole("sent.msgs")),
            ibytes(event.whole("sent.bytes")),
            comma(event.whole("received.msgs")),
            ibytes(event.whole("received.bytes")),
        ),
        "service_latency" => format!(
            "[Svc Latency] requestor {} <-> system {} <- service rtt {} -> service {}",
            go_duration(event.span("requestor.rtt")),
            go_duration(event.span("system")),
            go_duration(event.span("responder.rtt")),
            go_duration(event.span("service")),
        ),
        "api_audit" => format!("[JS API] {}{}", event.text("subject"), caller(event)),
        "api_limit_reached" => {
            format!("[JS API Limit] {} discarded {} messages", event.text("server"), comma(event.whole("dropped")))
        }
        "consumer_action" => format!("[Consumer {}] {asset}", title_case(event.text("action"))),
        "consumer_group_pinned" => {
            format!(
                "[PINNED] Consumer {asset} pinned client {} for group {}",
                event.text("pinned_id"),
                event.text("group")
            )
        }
        "consumer_group_unpinned" => {
            format!(
                "[UNPINNED] Consumer {asset} unpinned client for group {}: {}",
                event.text("group"),
                event.text("reason")
            )
        }
        "consumer_leader_elected" => {
            format!("[RAFT] Consumer {asset} elected {} of {peers} peers", event.text("leader"))
        }
        "consumer_quorum_lost" => format!("[RAFT] Consumer {asset} lost quorum of {peers} peers"),
        "consumer_pause" if event.flag("paused") => {
            format!("[Consumer Pause] Consumer: {asset} Paused: true until {}", event.text("pause_until"))
        }
        "consumer_pause" => format!("[Consumer Pause] Consumer: {asset} Paused: false"),
        "domain_leader_elected" => format!(
            "[RAFT] Domain leader elected {} in cluster {} leader of {peers} peers",
            event.text("leader"),
            event.text("cluster")
        ),
        "max_deliver" => format!("[JS Max Deliveries] {delivery}"),
        "nak" => format!("[JS Delivery NAKed] {delivery}"),
        "terminated" => format!("[JS Delivery Terminated] {delivery}"),
        "restore_complete" => format!("[Restore Complete] {stream} restored {} bytes", ibytes(event.whole("bytes"))),
        "restore_create" => format!("[Restore Create] {stream}"),
        "snapshot_complete" => format!("[Snapshot Complete] {stream}"),
        "snapshot_create" => format!(
            "[Snapshot Create] {stream} {} blocks of {}",
            comma(event.whole("blocks")),
            ibytes(event.whole("block_size"))
        ),
        "server_out_of_space" => format!("[Out of Space] {} ran out of disk space", server(event)),
        "server_removed" => format!("[Server Removed] {} was removed", server(event)),
        "stream_action" => format!("[Stream {}] {stream}", title_case(event.text("action"))),
        "stream_batch_abandoned" => {
            format!("[Batch Abandoned] {stream} abandoned batch {}: {}", event.text("batch"), event.text("reason"))
        }
        "stream_leader_elected" => format!("[RAFT] Stream {stream} elected {} of {peers} peers", event.text("leader")),
        "stream_quorum_lost" => format!("[RAFT] Stream {stream} lost quorum of {peers} peers"),
        "consumer_ack" => format!(
            "[JS Ack] {stream} ({}) > {consumer} ({}): {} deliveries in {}",
            event.whole("stream_seq"),
            event.whole("consumer_seq"),
            event.whole("deliveries"),
            go_duration(event.span("ack_time"))
        ),
        other => format!("[{}] {event}", title_case(other)),
    };
    format!("{time} {rest}")
}

fn caller(event: &Value) -> String {
    match (event.text("client.user"), event.text("client.acc")) {
        ("", "") => String::new(),
        ("", account) => format!(" {account}"),
        (user, account) => format!(" {user} @ {account}"),
    }
}

fn server(event: &Value) -> String {
    let name = format!("{} ({})", event.text("server"), event.text("server_id"));
    match event.text("cluster") {
        "" => name,
        cluster => format!("{name} in cluster {cluster}"),
    }
}

fn title_case(words: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
    };
    words.split('_').map(capital).collect::<Vec<_>>().join(" ")
}

/// An event in the envelope of CloudEvents v1.
pub(crate) fn cloud_event(event: &Value) -> Value {
    let parts: Vec<_> = event.text("type").split('.').collect();
    json!({
        "type": event.text("type"),
        "time": event.text("timestamp"),
        "source": format!("urn:nats:{}", parts.get(2).unwrap_or(&"")),
        "datacontenttype": "application/json",
        "subject": parts.get(3).unwrap_or(&""),
        "specversion": "1.0",
        "id": event.text("id"),
        "data": event,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect() -> Value {
        json!({
            "type": "io.nats.server.advisory.v1.client_connect", "id": "ABC", "timestamp": "2026-11-24T10:11:12.5Z",
            "server": {"name": "s1", "cluster": ""}, "client": {"id": 7, "user": "alice", "acc": "ORDERS", "host": "127.0.0.1"},
        })
    }

    #[test]
    fn a_connection_is_a_line_or_a_page() {
        assert_eq!(short(&connect()), "10:11:12 [Connection] user: alice cid: 7 in account ORDERS");
        let page = long(&connect());
        assert!(page.starts_with("[10:11:12] [ABC] Client Connection\n\n   Server: s1\n\n   Client:\n"), "{page}");
        assert!(page.contains("User: alice\n") && !page.contains("Cluster"), "{page}");
    }

    #[test]
    fn unknown_events_are_shown_whole() {
        let event = json!({"type": "io.nats.server.advisory.v9.brand_new", "id": "X", "timestamp": "", "what": 1});
        assert!(long(&event).contains("Brand New") && long(&event).contains("\"what\": 1"));
        assert!(is_event(event.text("type")) && !is_event("io.nats.jetstream.api.v1.x"));
    }

    #[test]
    fn a_cloud_event_names_its_source() {
        let event = cloud_event(&connect());
        assert_eq!((event["source"].as_str(), event["subject"].as_str()), (Some("urn:nats:server"), Some("advisory")));
    }
}
