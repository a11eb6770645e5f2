//! Counters, in the words of Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper ends of the histogram, in milliseconds.
const BUCKETS: [u64; 8] = [1, 5, 10, 50, 100, 500, 1000, 2000];

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Admitted,
    Refused,
    /// Something we depend on was away, or too slow.
    Unable,
    /// There were too many questions at a time.
    Busy,
    /// No question at all, or one that is not for us.
    Malformed,
}

/// What has happened since the start.
#[derive(Default)]
pub(crate) struct Metrics {
    endings: [AtomicU64; 5],
    in_flight: AtomicU64,
    keys: [AtomicU64; 2],
    buckets: [AtomicU64; BUCKETS.len()],
    decisions: AtomicU64,
    micros: AtomicU64,
}

impl Metrics {
    pub(crate) fn ended(&self, ending: Ending) {
        if let Some(counter) = self.endings.get(ending as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn began(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A decision was made, in this time.
    pub(crate) fn decided(&self, took: Duration) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.decisions.fetch_add(1, Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        for (end, counter) in BUCKETS.iter().zip(&self.buckets) {
            if took <= Duration::from_millis(*end) {
                counter.fetch_add(1, Relaxed);
            }
        }
    }

    /// An OpenID provider was asked for its keys.
    pub(crate) fn keys_asked(&self, is_answered: bool) {
        let [failed, answered] = &self.keys;
        if is_answered { answered } else { failed }.fetch_add(1, Relaxed);
    }

    /// The text of `/metrics`.
    pub(crate) fn text(&self, is_connected: bool) -> String {
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(text, "# HELP nats_callout_{name} {help}\n# TYPE nats_callout_{name} {kind}");
        };
        head(&mut text, "requests_total", "counter", "Questions of servers by how they ended.");
        for (word, counter) in ["admitted", "refused", "unable", "busy", "malformed"].iter().zip(&self.endings) {
            let _ = writeln!(text, "nats_callout_requests_total{{result=\"{word}\"}} {}", counter.load(Relaxed));
        }
        head(&mut text, "in_flight", "gauge", "Questions that are being decided.");
        let _ = writeln!(text, "nats_callout_in_flight {}", self.in_flight.load(Relaxed));
        head(&mut text, "connected", "gauge", "Whether there is a connection to a server.");
        let _ = writeln!(text, "nats_callout_connected {}", u8::from(is_connected));
        head(&mut text, "key_requests_total", "counter", "Questions to OpenID providers for their keys.");
        for (word, counter) in ["failed", "answered"].iter().zip(&self.keys) {
            let _ = writeln!(text, "nats_callout_key_requests_total{{result=\"{word}\"}} {}", counter.load(Relaxed));
        }
        head(&mut text, "decision_seconds", "histogram", "How long decisions took.");
        for (end, counter) in BUCKETS.iter().zip(&self.buckets) {
            let _ = writeln!(
                text,
                "nats_callout_decision_seconds_bucket{{le=\"{}\"}} {}",
                *end as f64 / 1000.0,
                counter.load(Relaxed)
            );
        }
        let count = self.decisions.load(Relaxed);
        let _ = writeln!(text, "nats_callout_decision_seconds_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "nats_callout_decision_seconds_sum {}", self.micros.load(Relaxed) as f64 / 1e6);
        let _ = writeln!(text, "nats_callout_decision_seconds_count {count}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_counted() {
        let metrics = Metrics::default();
        metrics.began();
        metrics.decided(Duration::from_millis(7));
        metrics.ended(Ending::Admitted);
        metrics.ended(Ending::Malformed);
        let text = metrics.text(true);
        for line in [
            "nats_callout_requests_total{result=\"admitted\"} 1",
            "nats_callout_requests_total{result=\"refused\"} 0",
            "nats_callout_requests_total{result=\"malformed\"} 1",
            "nats_callout_in_flight 0",
            "nats_callout_connected 1",
            "nats_callout_decision_seconds_bucket{le=\"0.005\"} 0",
            "nats_callout_decision_seconds_bucket{le=\"0.01\"} 1",
            "nats_callout_decision_seconds_bucket{le=\"+Inf\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
