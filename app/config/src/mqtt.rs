//! The `mqtt` block.

use std::time::Duration;

use conf::Node;

use crate::authorization::{SingleLogin, read_single};
use crate::listener::Listen;
use crate::report::Report;
use crate::tls::{self, Context};

/// The block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mqtt {
    /// Where clients come in.
    pub listen: Listen,
    /// Encryption.
    pub tls: Option<::tls::Settings>,
    /// A login of this listener alone.
    pub login: SingleLogin,
    /// The user as which a peer without credentials is admitted.
    pub no_auth_user: Option<String>,
    /// After which time a message is sent again.
    pub ack_wait: Duration,
    /// How long a request for streams may take.
    pub js_api_timeout: Duration,
    /// Unacknowledged messages of one subscription.
    pub max_ack_pending: u16,
    /// Where the streams are.
    pub js_domain: Option<String>,
    /// Copies of the streams; chosen by the size of the cluster if absent.
    pub stream_replicas: Option<u32>,
    /// Consumers live in memory.
    pub consumer_memory_storage: bool,
    /// Consumers that nobody uses go after this time; never if absent.
    pub consumer_inactive_threshold: Option<Duration>,
    /// Messages of QoS 2 are refused.
    pub reject_qos2_publish: bool,
    /// Subscriptions of QoS 2 become QoS 1.
    pub downgrade_qos2_subscribe: bool,
}

const ACK_WAIT: Duration = Duration::from_secs(30);
const API_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ACK_PENDING: u16 = 1024;

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            tls: None,
            login: SingleLogin::default(),
            no_auth_user: None,
            ack_wait: ACK_WAIT,
            js_api_timeout: API_TIMEOUT,
            max_ack_pending: MAX_ACK_PENDING,
            js_domain: None,
            stream_replicas: None,
            consumer_memory_storage: false,
            consumer_inactive_threshold: None,
            reject_qos2_publish: false,
            downgrade_qos2_subscribe: false,
        }
    }
}

pub(crate) const KEYS: &[&str] = &[
    "listen",
    "port",
    "host",
    "net",
    "tls",
    "authorization",
    "authentication",
    "no_auth_user",
    "ack_wait",
    "ackwait",
    "js_api_timeout",
    "api_timeout",
    "max_ack_pending",
    "max_pending",
    "max_inflight",
    "js_domain",
    "stream_replicas",
    "consumer_replicas",
    "consumer_memory_storage",
    "consumer_inactive_threshold",
    "consumer_auto_cleanup",
    "reject_qos2_publish",
    "downgrade_qos2_subscribe",
];

/// Reads the block.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<Mqtt> {
    let map = report.map_or(node, "Expected mqtt to be a map")?;
    let mut mqtt = Mqtt::default();
    for (key, value) in map.iter() {
        read_key(key, value, &mut mqtt, report);
    }
    Some(mqtt)
}

fn read_key(written: &str, node: &Node, mqtt: &mut Mqtt, report: &mut Report<'_>) {
    let key = written.to_ascii_lowercase();
    if mqtt.listen.read(&key, node, report) {
        return;
    }
    match key.as_str() {
        "tls" => mqtt.tls = tls::read(node, Context::Listener, report),
        "authorization" | "authentication" => read_single(node, &mut mqtt.login, report),
        "no_auth_user" => report.set_optional_text(node, &mut mqtt.no_auth_user),
        "ack_wait" | "ackwait" => report.set_duration_or("ack_wait", node, &mut mqtt.ack_wait, ACK_WAIT),
        "js_api_timeout" | "api_timeout" => {
            report.set_duration_or("js_api_timeout", node, &mut mqtt.js_api_timeout, API_TIMEOUT);
        }
        "max_ack_pending" | "max_pending" | "max_inflight" => {
            let Some(count) = report.integer(node) else {
                return;
            };
            match u16::try_from(count) {
                Ok(0) => mqtt.max_ack_pending = MAX_ACK_PENDING,
                Ok(count) => mqtt.max_ack_pending = count,
                Err(_) => {
                    let text = format!("invalid value {count}, should in [0..{}] range", u16::MAX);
                    report.error(&node.place, text);
                }
            }
        }
        "js_domain" => report.set_optional_text(node, &mut mqtt.js_domain),
        "stream_replicas" => {
            if let Some(count) = report.integer(node) {
                mqtt.stream_replicas = u32::try_from(count).ok().filter(|&count| count > 0);
            }
        }
        "consumer_replicas" => {
            report.invalid_use(&node.place, written, "consumer replicas setting ignored in this server version");
        }
        "consumer_memory_storage" => report.set_bool(node, &mut mqtt.consumer_memory_storage),
        "consumer_inactive_threshold" | "consumer_auto_cleanup" => {
            let target = &mut mqtt.consumer_inactive_threshold;
            report.set_optional_duration("consumer_inactive_threshold", node, target);
        }
        "reject_qos2_publish" => report.set_bool(node, &mut mqtt.reject_qos2_publish),
        "downgrade_qos2_subscribe" => report.set_bool(node, &mut mqtt.downgrade_qos2_subscribe),
        _ => report.unknown(written, node, KEYS),
    }
}
