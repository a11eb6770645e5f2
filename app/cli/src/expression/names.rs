//! Names that people know from the Go structures, where they are not the JSON names in another spelling.

use serde_json::{Map, Value};

/// JSON name and Go name. A JSON name that stands here twice has two Go names, in different structures.
const OTHER: [(&str, &str); 49] = [
    ("allow_atomic", "AllowAtomicPublish"),
    ("allow_batched", "AllowBatchPublish"),
    ("allow_msg_ttl", "AllowMsgTTL"),
    ("allow_rollup_hdrs", "RollupAllowed"),
    ("api", "ApiPrefix"),
    ("backoff", "BackOff"),
    ("consumer_count", "Consumers"),
    ("consumer_seq", "Consumer"),
    ("deliver", "DeliverPrefix"),
    ("dest", "Destination"),
    ("discard_new_per_subject", "DiscardNewPer"),
    ("duplicate_window", "Duplicates"),
    ("durable_name", "Durable"),
    ("first_ts", "FirstTime"),
    ("id", "ID"),
    ("idle_heartbeat", "Heartbeat"),
    ("ip", "IP"),
    ("jetstream", "JetStream"),
    ("jwt", "JWT"),
    ("last_active", "Last"),
    ("last_ts", "LastTime"),
    ("max_batch", "MaxRequestBatch"),
    ("max_bytes", "MaxRequestMaxBytes"),
    ("max_expires", "MaxRequestExpires"),
    ("max_msgs_per_subject", "MaxMsgsPer"),
    ("mem_storage", "MemoryStorage"),
    ("messages", "Msgs"),
    ("mqtt_client", "MQTTClient"),
    ("num_replicas", "Replicas"),
    ("pending_bytes", "Pending"),
    ("pinned_client_id", "PinnedClientID"),
    ("pinned_ts", "PinnedTS"),
    ("priority_timeout", "PinnedTTL"),
    ("rate_limit_bps", "RateLimit"),
    ("republish", "RePublish"),
    ("rtt", "RTT"),
    ("sample_freq", "SampleFrequency"),
    ("src", "Source"),
    ("stream_name", "Stream"),
    ("stream_seq", "Stream"),
    ("subject_delete_marker_ttl", "SubjectDeleteMarkerTTL"),
    ("subscriptions", "NumSubs"),
    ("subscriptions_list", "Subs"),
    ("tls_cipher_suite", "TLSCipher"),
    ("tls_first", "TLSFirst"),
    ("tls_peer_certs", "TLSPeerCerts"),
    ("tls_version", "TLSVersion"),
    ("ts", "TimeStamp"),
    ("ver", "Version"),
];

/// Objects whose names belong to people.
const FREE: [&str; 3] = ["metadata", "subjects", "feature_flags"];

/// The same value with Go names.
pub(super) fn in_go(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut named = Map::new();
            for (name, value) in fields {
                let inner = if FREE.contains(&name.as_str()) { value.clone() } else { in_go(value) };
                for (_, other) in OTHER.iter().filter(|(json, _)| json == name) {
                    named.insert((*other).to_owned(), inner.clone());
                }
                named.insert(camel(name), inner);
            }
            named.into()
        }
        Value::Array(values) => values.iter().map(in_go).collect(),
        other => other.clone(),
    }
}

/// `first_seq` as `FirstSeq`.
fn camel(name: &str) -> String {
    let capital = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_uppercase() + rest,
        None => word.to_owned(),
    };
    name.split('_').map(capital).collect()
}
