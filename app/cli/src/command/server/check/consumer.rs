//! `nats server check consumer`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::command::server::check::outcome::{Metric, Outcome};
use crate::command::server::check::threshold::Brought;
use crate::invocation::Invocation;
use crate::parse::duration;
use crate::show::{go_duration, local_time};

/// Check a consumer: what waits, and when it last delivered
///
/// Thresholds may also stand in the metadata of the consumer: io.nats.monitor.waiting-critical and so on.
#[derive(Args, Debug, Default)]
pub(crate) struct Consumer {
    /// The stream
    #[arg(long)]
    stream: String,
    /// The consumer
    #[arg(long)]
    consumer: String,
    /// Critical when this many messages wait for their acknowledgement
    #[arg(long, value_name = "MSGS", allow_negative_numbers = true)]
    outstanding_ack_critical: Option<i64>,
    /// Critical when this many pulls wait
    #[arg(long, value_name = "PULLS", allow_negative_numbers = true)]
    waiting_critical: Option<i64>,
    /// Critical when this many messages were not delivered yet
    #[arg(long, value_name = "MSGS", allow_negative_numbers = true)]
    unprocessed_critical: Option<i64>,
    /// Critical when nothing was delivered for so long
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    last_delivery_critical: Option<Duration>,
    /// Critical when nothing was acknowledged for so long
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    last_ack_critical: Option<Duration>,
    /// Critical when this many messages are being delivered again
    #[arg(long, value_name = "MSGS", allow_negative_numbers = true)]
    redelivery_critical: Option<i64>,
    /// Critical unless every group has a pinned client
    #[arg(long)]
    pinned: bool,
}

/// The thresholds that hold, from flags and metadata.
#[derive(Debug, Default)]
struct Limits {
    outstanding: Option<u64>,
    waiting: Option<u64>,
    unprocessed: Option<u64>,
    redelivered: Option<u64>,
    delivery: Option<Duration>,
    ack: Option<Duration>,
    is_pinned: bool,
}

impl Consumer {
    pub(crate) fn name(&self) -> String {
        format!("{}_{}", self.stream, self.consumer)
    }

    pub(crate) async fn run(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        let loaded = async { Api::open(invocation).await?.consumer(&self.stream, &self.consumer).await };
        let Some(info) = outcome.needs(loaded.await, "could not load info") else { return Ok(()) };
        let limits = self.limits(&Brought::by(&info));
        let Some(limits) = outcome.needs(limits, "could not configure based on metadata") else { return Ok(()) };
        limits.judge(&info, Timestamp::now(), outcome);
        Ok(())
    }

    /// Judges a consumer by what its metadata says, and by nothing else.
    pub(super) fn by_metadata(info: &Value, now: Timestamp, outcome: &mut Outcome) -> Result<()> {
        Self::default().limits(&Brought::by(info))?.judge(info, now, outcome);
        Ok(())
    }

    fn limits(&self, brought: &Brought<'_>) -> Result<Limits> {
        Ok(Limits {
            outstanding: brought.whole(self.outstanding_ack_critical, "outstanding-ack-critical")?,
            waiting: brought.whole(self.waiting_critical, "waiting-critical")?,
            unprocessed: brought.whole(self.unprocessed_critical, "unprocessed-critical")?,
            redelivered: brought.whole(self.redelivery_critical, "redelivery-critical")?,
            delivery: brought.span(self.last_delivery_critical, "last-delivery-critical")?,
            ack: brought.span(self.last_ack_critical, "last-ack-critical")?,
            is_pinned: brought.is_set(self.pinned, "pinned")?,
        })
    }
}

/// What is counted of a consumer: label, metric, and where it stands.
const COUNTED: [(&str, &str, &str, &str); 4] = [
    ("Ack Pending", "ack_pending", "num_ack_pending", "The number of messages waiting to be Acknowledged"),
    ("Waiting Pulls", "pull_waiting", "num_waiting", "The number of waiting Pull requests"),
    ("Unprocessed Messages", "pending", "num_pending", "The number of messages that have not yet been consumed"),
    ("Redelivered", "redelivered", "num_redelivered", "The number of messages currently being redelivered"),
];

impl Limits {
    fn judge(&self, info: &Value, now: Timestamp, outcome: &mut Outcome) {
        let limits = [self.outstanding, self.waiting, self.unprocessed, self.redelivered];
        for ((label, name, path, help), limit) in COUNTED.into_iter().zip(limits) {
            let value = info.whole(path);
            outcome.metric(Metric::count(name, value as f64, help).limits(0.0, limit.unwrap_or(0) as f64));
            if let Some(limit) = limit {
                let text = format!("{label}: {value}");
                if value >= limit { outcome.critical(text) } else { outcome.ok(text) }
            }
        }
        let delivered = info.time("delivered.last_active");
        let acked = info.time("ack_floor.last_active");
        judge_age(
            ("last_delivery", "Seconds since the last message was delivered"),
            ("No deliveries", "Last delivery"),
            (delivered, self.delivery, now),
            outcome,
        );
        judge_age(
            ("last_ack", "Seconds since the last message was acknowledged"),
            ("No acks", "Last ack"),
            (acked, self.ack, now),
            outcome,
        );
        self.judge_pins(info, outcome);
    }

    fn judge_pins(&self, info: &Value, outcome: &mut Outcome) {
        let is_pinning = info.text("config.priority_policy") == "pinned_client";
        let groups = info.list("config.priority_groups").len();
        let pinned =
            info.list("priority_groups").iter().filter(|group| !group.text("pinned_client_id").is_empty()).count();
        if is_pinning {
            let help = "The number of consumers groups with pinned clients";
            outcome.metric(Metric::count("pinned_groups", pinned as f64, help));
            outcome.metric(Metric::count("groups", groups as f64, "The total number of consumers groups"));
        }
        match () {
            () if !self.is_pinned => {}
            () if !is_pinning || groups == 0 => outcome.critical("Not pinned client priority mode"),
            () if pinned != groups => outcome.critical(format!("{pinned} / {groups} pinned clients")),
            () => outcome.ok(format!("{pinned} pinned clients")),
        }
    }
}

fn judge_age(
    (name, help): (&str, &'static str),
    (never, label): (&str, &str),
    (last, limit, now): (Option<Timestamp>, Option<Duration>, Timestamp),
    outcome: &mut Outcome,
) {
    let age = last.map(|last| Duration::try_from(now.duration_since(last)).unwrap_or_default());
    if let Some(age) = age {
        let critical = limit.unwrap_or_default().as_secs_f64();
        outcome.metric(Metric::count(name, age.as_secs_f64(), help).limits(0.0, critical).unit("s"));
    }
    match (limit, age, last) {
        (None, ..) => {}
        (Some(limit), Some(age), _) if age >= limit => outcome.critical(format!("{label} {} ago", go_duration(age))),
        (Some(_), Some(_), Some(last)) => outcome.ok(format!("{label} {}", local_time(last))),
        _ => outcome.critical(never),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(limits: &Limits, info: &Value) -> String {
        let mut outcome = Outcome::new("S_C", "consumer");
        limits.judge(info, "2026-11-24T10:01:00Z".parse().unwrap(), &mut outcome);
        outcome.nagios()
    }

    #[test]
    fn what_waits_is_held_against_its_limit() {
        let info = json!({"num_ack_pending": 3, "num_waiting": 1, "num_pending": 50, "num_redelivered": 2});
        let limits = Limits { outstanding: Some(4), unprocessed: Some(50), ..Limits::default() };
        assert_eq!(
            judged(&limits, &info),
            "CRITICAL S_C Crit:Unprocessed Messages: 50 OK:Ack Pending: 3 \
             | ack_pending=3;;4 pull_waiting=1 pending=50;;50 redelivered=2"
        );
        assert!(judged(&Limits::default(), &info).starts_with("OK S_C | "));
    }

    #[test]
    fn silence_is_told() {
        let limits =
            Limits { delivery: Some(Duration::from_secs(30)), ack: Some(Duration::from_secs(90)), ..Limits::default() };
        let info = json!({
            "delivered": {"last_active": "2026-11-24T10:00:00Z"}, "ack_floor": {"last_active": "2026-11-24T10:00:00Z"},
        });
        let text = judged(&limits, &info);
        assert!(text.starts_with("CRITICAL S_C Crit:Last delivery 1m0s ago OK:Last ack "), "{text}");
        assert!(text.contains("last_delivery=60.0000s;;30.0000"), "{text}");
        assert!(judged(&limits, &json!({})).starts_with("CRITICAL S_C Crit:No deliveries Crit:No acks"));
    }

    #[test]
    fn every_group_needs_its_client() {
        let limits = Limits { is_pinned: true, ..Limits::default() };
        let info = |id: &str| {
            json!({
                "config": {"priority_policy": "pinned_client", "priority_groups": ["a", "b"]},
                "priority_groups": [{"group": "a", "pinned_client_id": "x"}, {"group": "b", "pinned_client_id": id}],
            })
        };
        assert!(judged(&limits, &info("y")).starts_with("OK S_C OK:2 pinned clients"));
        assert!(judged(&limits, &info("")).starts_with("CRITICAL S_C Crit:1 / 2 pinned clients"));
        assert!(judged(&limits, &json!({})).starts_with("CRITICAL S_C Crit:Not pinned client priority mode"));
    }
}
