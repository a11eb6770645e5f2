//! Limits of client connections, and the times that go with them.

use std::num::NonZeroU8;
use std::time::Duration;

use conf::Node;

use crate::policy::WriteTimeout;
use crate::report::Report;

/// What one connection may use, and when it is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at once. Zero refuses everybody.
    pub max_connections: usize,
    /// Subscriptions of one connection; unlimited if absent.
    pub max_subscriptions: Option<usize>,
    /// Tokens of a subscription's filter; unlimited if absent.
    pub max_subscription_tokens: Option<NonZeroU8>,
    /// Longest argument part of a protocol line.
    pub max_control_line_bytes: usize,
    /// Largest payload; unlimited if absent.
    pub max_payload_bytes: Option<usize>,
    /// Pending bytes that make a client a slow consumer.
    pub max_pending_bytes: usize,
    /// Closed connections that monitoring remembers.
    pub max_closed_clients: usize,
    /// How often a silent client is pinged.
    pub ping_interval: Duration,
    /// Pings without an answer before a client counts as gone.
    pub ping_max: usize,
    /// How long a write may take.
    pub write_deadline: Duration,
    /// What happens then.
    pub write_timeout: WriteTimeout,
    /// Never hold up publishers for slow consumers.
    pub no_fast_producer_stall: bool,
    /// Failed attempts of a first connection between two log lines.
    pub connect_error_reports: usize,
    /// Failed attempts to connect again between two log lines.
    pub reconnect_error_reports: usize,
}

const MAX_CONNECTIONS: usize = 64 << 10;
const MAX_CONTROL_LINE: usize = 4096;
const MAX_PAYLOAD: usize = 1 << 20;
const MAX_PENDING: usize = 64 << 20;
const MAX_CLOSED: usize = 10_000;
const PING_INTERVAL: Duration = Duration::from_secs(120);
const PING_MAX: usize = 2;
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
const CONNECT_REPORTS: usize = 3600;
const RECONNECT_REPORTS: usize = 1;

/// Payloads past this are possible and unwise.
pub(crate) const LARGE_PAYLOAD: usize = 8 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            max_subscriptions: None,
            max_subscription_tokens: None,
            max_control_line_bytes: MAX_CONTROL_LINE,
            max_payload_bytes: Some(MAX_PAYLOAD),
            max_pending_bytes: MAX_PENDING,
            max_closed_clients: MAX_CLOSED,
            ping_interval: PING_INTERVAL,
            ping_max: PING_MAX,
            write_deadline: WRITE_DEADLINE,
            write_timeout: WriteTimeout::Default,
            no_fast_producer_stall: false,
            connect_error_reports: CONNECT_REPORTS,
            reconnect_error_reports: RECONNECT_REPORTS,
        }
    }
}

pub(crate) const KEYS: &[&str] = &[
    "max_connections",
    "max_conn",
    "max_subscriptions",
    "max_subs",
    "max_sub_tokens",
    "max_subscription_tokens",
    "max_control_line",
    "max_payload",
    "max_pending",
    "max_closed_clients",
    "ping_interval",
    "ping_max",
    "write_deadline",
    "write_timeout",
    "no_fast_producer_stall",
    "connect_error_reports",
    "reconnect_error_reports",
];

impl Limits {
    /// Reads one key; false when it is not one of ours. `written` is the key as it stands in the file.
    pub(crate) fn read(&mut self, key: &str, written: &str, node: &Node, report: &mut Report<'_>) -> bool {
        match key {
            "max_connections" | "max_conn" => {
                if let Some(count) = report.integer(node) {
                    self.max_connections = usize::try_from(count).unwrap_or(0);
                }
            }
            "max_subscriptions" | "max_subs" => {
                if let Some(count) = report.integer(node) {
                    self.max_subscriptions = usize::try_from(count).ok().filter(|&count| count > 0);
                }
            }
            "max_sub_tokens" | "max_subscription_tokens" => self.read_tokens(written, node, report),
            "max_control_line" => {
                if let Some(bytes) = int32(written, node, report) {
                    let bytes = usize::try_from(bytes);
                    match bytes {
                        Ok(0) => self.max_control_line_bytes = MAX_CONTROL_LINE,
                        Ok(bytes) => self.max_control_line_bytes = bytes,
                        Err(_) => report.error(&node.place, format!("{written} value can not be negative")),
                    }
                }
            }
            "max_payload" => {
                if let Some(bytes) = int32(written, node, report) {
                    // A negative number lifts the limit.
                    self.max_payload_bytes = match usize::try_from(bytes) {
                        Ok(0) => Some(MAX_PAYLOAD),
                        Ok(bytes) => Some(bytes),
                        Err(_) => None,
                    };
                }
            }
            "max_pending" => report.set_count(written, node, &mut self.max_pending_bytes, MAX_PENDING),
            "max_closed_clients" => report.set_count(written, node, &mut self.max_closed_clients, MAX_CLOSED),
            "ping_interval" => {
                report.set_duration_or("ping_interval", node, &mut self.ping_interval, PING_INTERVAL);
            }
            "ping_max" => report.set_count(written, node, &mut self.ping_max, PING_MAX),
            "write_deadline" => {
                report.set_duration_or("write_deadline", node, &mut self.write_deadline, WRITE_DEADLINE);
            }
            "write_timeout" => WriteTimeout::read(node, &mut self.write_timeout, report),
            "no_fast_producer_stall" => report.set_bool(node, &mut self.no_fast_producer_stall),
            "connect_error_reports" => {
                report.set_count(written, node, &mut self.connect_error_reports, CONNECT_REPORTS);
                report.nothing_to_do(key, &node.place);
            }
            "reconnect_error_reports" => {
                report.set_count(written, node, &mut self.reconnect_error_reports, RECONNECT_REPORTS);
                report.nothing_to_do(key, &node.place);
            }
            _ => return false,
        }
        true
    }

    fn read_tokens(&mut self, key: &str, node: &Node, report: &mut Report<'_>) {
        let Some(count) = report.integer(node) else {
            return;
        };
        match u8::try_from(count).ok().and_then(NonZeroU8::new) {
            Some(count) => self.max_subscription_tokens = Some(count),
            None if count > 0 => report.error(&node.place, format!("{key} value is too big")),
            None => report.error(&node.place, format!("{key} value can not be negative")),
        }
    }
}

fn int32(key: &str, node: &Node, report: &mut Report<'_>) -> Option<i32> {
    let number = report.integer(node)?;
    if number > i64::from(i32::MAX) {
        report.error(&node.place, format!("{key} value is too big"));
        return None;
    }
    Some(i32::try_from(number).unwrap_or(-1))
}
