//! `nats server check jetstream`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::command::server::check::outcome::{Metric, Outcome};
use crate::global::negatable;
use crate::invocation::Invocation;
use crate::parse::duration;

negatable! {
    /// Check the replicas of all streams
    Replicas, "replicas", "no-replicas", true
}

/// Check what the account uses of JetStream, and the replicas of its streams
#[derive(Args, Debug)]
pub(crate) struct Jetstream {
    /// Warn above so many percent of the memory; -1 does not
    #[arg(long, default_value_t = 75, value_name = "PERCENT", allow_negative_numbers = true)]
    mem_warn: i64,
    /// Critical above so many percent of the memory; -1 does not
    #[arg(long, default_value_t = 90, value_name = "PERCENT", allow_negative_numbers = true)]
    mem_critical: i64,
    /// Warn above so many percent of the disk space; -1 does not
    #[arg(long, default_value_t = 75, value_name = "PERCENT", allow_negative_numbers = true)]
    store_warn: i64,
    /// Critical above so many percent of the disk space; -1 does not
    #[arg(long, default_value_t = 90, value_name = "PERCENT", allow_negative_numbers = true)]
    store_critical: i64,
    /// Warn above so many percent of the streams; -1 does not
    #[arg(long, default_value_t = -1, value_name = "PERCENT", allow_negative_numbers = true)]
    streams_warn: i64,
    /// Critical above so many percent of the streams; -1 does not
    #[arg(long, default_value_t = -1, value_name = "PERCENT", allow_negative_numbers = true)]
    streams_critical: i64,
    /// Warn above so many percent of the consumers; -1 does not
    #[arg(long, default_value_t = -1, value_name = "PERCENT", allow_negative_numbers = true)]
    consumers_warn: i64,
    /// Critical above so many percent of the consumers; -1 does not
    #[arg(long, default_value_t = -1, value_name = "PERCENT", allow_negative_numbers = true)]
    consumers_critical: i64,
    #[command(flatten)]
    replicas: Replicas,
    /// Critical when a replica was not seen for longer
    #[arg(long, default_value = "5s", value_parser = duration, value_name = "DURATION")]
    replica_seen_critical: Duration,
    /// Critical when a replica is more than this many operations behind
    #[arg(long, default_value_t = 200, value_name = "OPS")]
    replica_lag_critical: u64,
}

/// Something of which an account has a share.
struct Share {
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    help_percent: &'static str,
    used: f64,
    most: i64,
    warn: i64,
    critical: i64,
}

/// What is wrong with the replicas of a stream; a stream may be counted more than once.
#[derive(Debug, Default, PartialEq)]
struct Health {
    fine: u32,
    leaderless: u32,
    incomplete: u32,
    lagged: u32,
    unseen: u32,
    failed: u32,
}

impl Jetstream {
    pub(crate) async fn run(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        let Some(api) = outcome.needs(Api::open(invocation).await, "connection failed") else { return Ok(()) };
        let asked = api.call("INFO", Value::Null).await;
        let Some(info) = outcome.needs(asked, "JetStream not available") else { return Ok(()) };
        for share in self.shares(&info) {
            share.judge(outcome);
        }
        if self.replicas.is_on() {
            let asked = api.pages("STREAM.LIST", "streams", Value::Null).await;
            let Some(streams) = outcome.needs(asked, "JetStream not available") else { return Ok(()) };
            self.judge_replicas(&streams, outcome);
        }
        Ok(())
    }

    fn shares(&self, info: &Value) -> [Share; 4] {
        [
            Share {
                name: "memory",
                unit: "B",
                help: "JetStream memory resource usage",
                help_percent: "JetStream memory resource usage in percent",
                used: info.number("memory"),
                most: info.signed("limits.max_memory"),
                warn: self.mem_warn,
                critical: self.mem_critical,
            },
            Share {
                name: "storage",
                unit: "B",
                help: "JetStream storage resource usage",
                help_percent: "JetStream storage resource usage in percent",
                used: info.number("storage"),
                most: info.signed("limits.max_storage"),
                warn: self.store_warn,
                critical: self.store_critical,
            },
            Share {
                name: "streams",
                unit: "",
                help: "JetStream streams resource usage",
                help_percent: "JetStream streams resource usage in percent",
                used: info.number("streams"),
                most: info.signed("limits.max_streams"),
                warn: self.streams_warn,
                critical: self.streams_critical,
            },
            Share {
                name: "consumers",
                unit: "",
                help: "JetStream consumers resource usage",
                help_percent: "JetStream consumers resource usage in percent",
                used: info.number("consumers"),
                most: info.signed("limits.max_consumers"),
                warn: self.consumers_warn,
                critical: self.consumers_critical,
            },
        ]
    }

    fn judge_replicas(&self, streams: &[Value], outcome: &mut Outcome) {
        let mut health = Health::default();
        for stream in streams {
            self.examine(stream, &mut health);
        }
        let seen = self.replica_seen_critical.as_secs_f64();
        for metric in [
            Metric::count("replicas_ok", health.fine.into(), "Streams with healthy cluster state"),
            Metric::count("replicas_no_leader", health.leaderless.into(), "Streams with no leader elected"),
            Metric::count(
                "replicas_missing_replicas",
                health.incomplete.into(),
                "Streams where there are fewer known replicas than configured",
            ),
            Metric::count("replicas_lagged", health.lagged.into(), "Replicas that are too far behind")
                .limits(0.0, self.replica_lag_critical as f64),
            Metric::count("replicas_not_seen", health.unseen.into(), "Replicas that were not seen for too long")
                .limits(0.0, seen)
                .unit("s"),
            Metric::count("replicas_fail", health.failed.into(), "Streams unhealthy cluster state"),
        ] {
            outcome.metric(metric);
        }
        let unhealthy = health.leaderless + health.incomplete + health.lagged + health.unseen + health.failed;
        if unhealthy > 0 {
            outcome.critical(format!("{unhealthy} unhealthy streams"));
        }
    }

    fn examine(&self, stream: &Value, health: &mut Health) {
        let (wanted, replicas) = (stream.whole("config.num_replicas"), stream.list("cluster.replicas"));
        match () {
            () if wanted <= 1 => return health.fine += 1,
            () if !stream.has("cluster") => return health.failed += 1,
            () if stream.text("cluster.leader").is_empty() => return health.leaderless += 1,
            () if replicas.len() as u64 + 1 != wanted => return health.incomplete += 1,
            () => {}
        }
        let mut is_fine = true;
        for replica in replicas {
            let longest = self.replica_seen_critical;
            let is_unseen = replica.signed("active") < 0 || replica.span("active") > longest;
            match () {
                () if replica.flag("offline") => health.failed += 1,
                () if !longest.is_zero() && is_unseen => health.unseen += 1,
                () if self.replica_lag_critical > 0 && replica.whole("lag") > self.replica_lag_critical => {
                    health.lagged += 1;
                }
                () => continue,
            }
            is_fine = false;
        }
        health.fine += u32::from(is_fine);
    }
}

impl Share {
    fn judge(&self, outcome: &mut Outcome) {
        let percent = if self.most > 0 { (self.used / self.most as f64 * 100.0).floor() } else { 0.0 };
        let limit = |limit: i64| limit.max(0) as f64;
        outcome.metric(Metric::count(self.name, self.used, self.help).unit(self.unit));
        outcome.metric(
            Metric::count(&format!("{}_pct", self.name), percent, self.help_percent)
                .limits(limit(self.warn), limit(self.critical))
                .unit("%"),
        );
        let is_above = |limit: i64| limit >= 0 && percent > limit as f64;
        match () {
            () if self.warn >= 0 && self.critical >= 0 && self.warn >= self.critical => {
                outcome.critical(format!("{}: invalid thresholds", self.name));
            }
            () if percent > 100.0 => outcome.critical(format!("{}: exceed server limits", self.name)),
            () if is_above(self.critical) => outcome.critical(format!("{percent}% {}", self.name)),
            () if is_above(self.warn) => outcome.warn(format!("{percent}% {}", self.name)),
            () => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(clap::Parser)]
    struct Typed {
        #[command(flatten)]
        check: Jetstream,
    }

    fn typed(args: &[&str]) -> Jetstream {
        <Typed as clap::Parser>::parse_from([&["check"], args].concat()).check
    }

    #[test]
    fn shares_are_percent_of_what_the_account_may() {
        let judged = |args: &[&str], memory: u64| {
            let mut outcome = Outcome::new("JetStream", "jetstream");
            let info = json!({"memory": memory, "streams": 3, "limits": {"max_memory": 100, "max_streams": -1}});
            typed(args).shares(&info).iter().for_each(|share| share.judge(&mut outcome));
            outcome.nagios()
        };
        assert!(judged(&[], 75).starts_with(
            "OK JetStream | memory=75B memory_pct=75%;75;90 storage=0B storage_pct=0%;75;90 streams=3 streams_pct=0%"
        ));
        assert!(judged(&[], 76).starts_with("WARNING JetStream Warn:76% memory"));
        assert!(judged(&[], 91).starts_with("CRITICAL JetStream Crit:91% memory"));
        assert!(judged(&[], 200).contains("Crit:memory: exceed server limits"));
        assert!(judged(&["--mem-warn", "95"], 1).contains("Crit:memory: invalid thresholds"));
        assert!(judged(&["--mem-warn", "-1", "--mem-critical", "-1"], 99).starts_with("OK"));
        assert!(judged(&["--mem-warn", "-1"], 91).starts_with("CRITICAL"), "one limit alone holds too");
    }

    #[test]
    fn streams_need_all_their_replicas() {
        let replica = |lag: u64, active: i64| json!({"lag": lag, "active": active});
        let stream = |leader: &str, replicas: Value| json!({"config": {"num_replicas": 3}, "cluster": {"leader": leader, "replicas": replicas}});
        let streams = [
            json!({"config": {"num_replicas": 1}}),
            stream("a", json!([replica(0, 0), replica(200, 5_000_000_000)])),
            stream("", json!([])),
            stream("a", json!([replica(0, 0)])),
            stream("a", json!([replica(201, 0), replica(0, 5_000_000_001)])),
            stream("a", json!([{"offline": true}, replica(0, -1)])),
        ];
        let mut health = Health::default();
        for stream in &streams {
            typed(&[]).examine(stream, &mut health);
        }
        assert_eq!(health, Health { fine: 2, leaderless: 1, incomplete: 1, lagged: 1, unseen: 2, failed: 1 });
    }
}
