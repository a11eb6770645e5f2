//! The flags that say how a consumer should be, laid over a configuration.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::command::stream::config::{metadata, nanos, tristate};
use crate::parse::{ago, duration, point_in_time};

tristate!(HeadersOnly, "headers-only", "no-headers-only", "Deliver headers without bodies");

/// What can be said of a new consumer and of one that exists.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Consumer configuration")]
pub(crate) struct ConsumerFlags {
    /// How pauses between deliveries of the same message grow
    #[arg(long, value_name = "MODE")]
    pub(crate) backoff: Option<Backoff>,
    /// How many pauses there are
    #[arg(long, default_value_t = 10, value_name = "STEPS")]
    backoff_steps: u32,
    /// The shortest pause
    #[arg(long, default_value = "1m", value_parser = duration, value_name = "DURATION")]
    backoff_min: Duration,
    /// The longest pause
    #[arg(long, default_value = "20m", value_parser = duration, value_name = "DURATION")]
    backoff_max: Duration,
    /// What the consumer is for
    #[arg(long)]
    description: Option<String>,
    /// Deliver messages of this subject, may be given several times
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) filter: Vec<String>,
    #[command(flatten)]
    pub(crate) headers_only: HeadersOnly,
    /// How often a message is delivered at most
    #[arg(long, value_name = "TRIES", allow_hyphen_values = true)]
    pub(crate) max_deliver: Option<i64>,
    /// Stop when so many messages are delivered and not acknowledged
    #[arg(long, alias = "max-outstanding", value_name = "MESSAGES", allow_hyphen_values = true)]
    pub(crate) max_pending: Option<i64>,
    /// Most messages that one pull may ask for
    #[arg(long, value_name = "MESSAGES")]
    max_pull_batch: Option<u64>,
    /// How long one pull may stand
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    max_pull_expire: Option<Duration>,
    /// Most bytes that one pull may ask for
    #[arg(long, value_name = "BYTES")]
    max_pull_bytes: Option<u64>,
    /// Announce how long acknowledgements take, for so many percent of messages
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    sample: Option<u8>,
    /// Push messages to this subject
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) target: Option<String>,
    /// How long an acknowledgement may take
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    wait: Option<Duration>,
    /// Remove the consumer when it is unused for so long
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    inactive_threshold: Option<Duration>,
    /// Copies of the state in a cluster
    #[arg(long)]
    replicas: Option<u8>,
    /// Metadata, may be given several times
    #[arg(long, value_name = "K=V", value_parser = metadata)]
    metadata: Vec<(String, String)>,
}

/// What can be said of a new consumer only.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Consumer configuration")]
pub(crate) struct CreationFlags {
    /// What has to be acknowledged
    #[arg(long, value_name = "POLICY")]
    pub(crate) ack: Option<Ack>,
    /// Deliver at most so many bits in a second
    #[arg(long, value_name = "BITS")]
    bps: Option<u64>,
    /// Where to start: all, new, last, subject, a duration like 1h, or a sequence
    #[arg(long, value_name = "POLICY", value_parser = start)]
    pub(crate) deliver: Option<Start>,
    /// Push messages to subscriptions of this queue group
    #[arg(long, value_name = "GROUP")]
    pub(crate) deliver_group: Option<String>,
    /// Remove the consumer when nobody uses it
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Let the server wait for us when messages are pushed
    #[arg(long)]
    pub(crate) flow_control: bool,
    /// Say something at least so often when messages are pushed; -1 for never
    #[arg(long, value_name = "DURATION", value_parser = heartbeat, allow_hyphen_values = true)]
    pub(crate) heartbeat: Option<Heartbeat>,
    /// Most pulls that may wait
    #[arg(long, value_name = "PULLS")]
    max_waiting: Option<u64>,
    /// Let clients pull messages
    #[arg(long, conflicts_with = "target")]
    pub(crate) pull: bool,
    /// How fast messages are delivered
    #[arg(long, value_name = "POLICY")]
    pub(crate) replay: Option<Replay>,
    /// Keep the state in memory
    #[arg(long)]
    memory: bool,
    /// Pause for a duration after the start, or until a time such as '2026-03-04 15:00:00' (UTC)
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    pause: Option<Timestamp>,
    /// Groups in which one client is pinned
    #[arg(long, value_name = "GROUPS", value_delimiter = ',', conflicts_with_all = ["overflow_groups", "prioritized_groups"])]
    pinned_groups: Vec<String>,
    /// How long a pinned client may be away
    #[arg(long, value_name = "TTL", value_parser = duration)]
    pinned_ttl: Option<Duration>,
    /// Groups that help out when there is too much to do
    #[arg(long, value_name = "GROUPS", value_delimiter = ',', conflicts_with = "prioritized_groups")]
    overflow_groups: Vec<String>,
    /// Groups with priorities
    #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
    prioritized_groups: Vec<String>,
    #[command(flatten)]
    pub(crate) common: ConsumerFlags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backoff {
    Linear,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ack {
    None,
    All,
    Explicit,
    #[value(name = "flow_control", aliases = ["flowcontrol", "fc"])]
    FlowControl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Replay {
    Instant,
    Original,
}

/// Where a consumer starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Policy(&'static str),
    Sequence(u64),
    Ago(Duration),
}

/// How often the server says something; never when it is nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat(Option<Duration>);

impl Heartbeat {
    pub(crate) fn nanos(self) -> Value {
        nanos(self.0.unwrap_or_default())
    }
}

pub(crate) fn heartbeat(text: &str) -> Result<Heartbeat, String> {
    if text == "-1" { Ok(Heartbeat(None)) } else { duration(text).map(|span| Heartbeat(Some(span))) }
}

/// Reads where to start.
pub(crate) fn start(text: &str) -> Result<Start, String> {
    Ok(match text {
        "all" => Start::Policy("all"),
        "last" => Start::Policy("last"),
        "new" | "next" => Start::Policy("new"),
        "subject" | "last_per_subject" => Start::Policy("last_per_subject"),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Start::Sequence(digits.parse().map_err(|_| "not a sequence".to_owned())?)
        }
        span => Start::Ago(duration(span)?),
    })
}

impl Start {
    pub(crate) fn apply(&self, config: &mut Map<String, Value>) {
        for key in ["opt_start_seq", "opt_start_time"] {
            config.remove(key);
        }
        let policy = match self {
            Self::Policy(policy) => policy,
            Self::Sequence(sequence) => {
                config.insert("opt_start_seq".to_owned(), (*sequence).into());
                "by_start_sequence"
            }
            Self::Ago(span) => {
                config.insert("opt_start_time".to_owned(), ago(*span).to_string().into());
                "by_start_time"
            }
        };
        config.insert("deliver_policy".to_owned(), policy.into());
    }
}

fn name_of(value: impl ValueEnum) -> Value {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default().into()
}

impl ConsumerFlags {
    /// Lays what was typed over a configuration; the rest stays as it is.
    pub(crate) fn apply(&self, config: &mut Map<String, Value>) -> Result<()> {
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                config.insert(key.to_owned(), value);
            }
        };
        set("description", self.description.clone().map(Value::from));
        set("headers_only", self.headers_only.given().map(Value::from));
        set("max_deliver", self.max_deliver.map(Value::from));
        set("max_ack_pending", self.max_pending.map(|limit| limit.max(0).into()));
        set("max_batch", self.max_pull_batch.map(Value::from));
        set("max_expires", self.max_pull_expire.map(nanos));
        set("max_bytes", self.max_pull_bytes.map(Value::from));
        let sample = |percent: u8| if percent == 0 { String::new() } else { percent.to_string() };
        set("sample_freq", self.sample.map(|percent| sample(percent).into()));
        set("deliver_subject", self.target.clone().map(Value::from));
        set("ack_wait", self.wait.map(nanos));
        set("inactive_threshold", self.inactive_threshold.map(nanos));
        set("num_replicas", self.replicas.map(Value::from));
        set("backoff", self.pauses()?);
        if !self.metadata.is_empty() {
            let metadata: Map<_, _> = self.metadata.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            config.insert("metadata".to_owned(), metadata.into());
        }
        set_filter(config, &self.filter);
        Ok(())
    }

    /// The pauses between deliveries, each as much longer than the one before.
    fn pauses(&self) -> Result<Option<Value>> {
        let Some(mode) = self.backoff else { return Ok(None) };
        if mode == Backoff::None {
            return Ok(Some(json!([])));
        }
        let (shortest, longest) = (self.backoff_min.min(self.backoff_max), self.backoff_min.max(self.backoff_max));
        if self.backoff_steps == 0 || shortest.is_zero() {
            bail!("could not determine backoff policy: required policy properties not supplied");
        }
        let step = (longest - shortest) / self.backoff_steps;
        let pauses = (0..self.backoff_steps).map(|at| nanos(whole_millis(shortest + step * at)));
        Ok(Some(pauses.collect()))
    }
}

fn whole_millis(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// One subject and several are two different fields.
pub(crate) fn set_filter(config: &mut Map<String, Value>, subjects: &[String]) {
    if subjects.is_empty() {
        return;
    }
    config.remove("filter_subject");
    config.remove("filter_subjects");
    match subjects {
        [subject] => config.insert("filter_subject".to_owned(), json!(subject)),
        subjects => config.insert("filter_subjects".to_owned(), json!(subjects)),
    };
}

impl CreationFlags {
    pub(crate) fn apply(&self, config: &mut Map<String, Value>) -> Result<()> {
        self.common.apply(config)?;
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                config.insert(key.to_owned(), value);
            }
        };
        set("ack_policy", self.ack.map(name_of));
        set("rate_limit_bps", self.bps.filter(|bits| *bits > 0).map(Value::from));
        set("deliver_group", self.deliver_group.clone().map(Value::from));
        set("flow_control", self.flow_control.then(|| true.into()));
        set("idle_heartbeat", self.heartbeat.map(Heartbeat::nanos));
        set("max_waiting", self.max_waiting.map(Value::from));
        set("replay_policy", self.replay.map(name_of));
        set("mem_storage", self.memory.then(|| true.into()));
        set("pause_until", self.pause.map(|until| until.to_string().into()));
        let groups = [
            ("pinned_client", &self.pinned_groups),
            ("overflow", &self.overflow_groups),
            ("prioritized", &self.prioritized_groups),
        ];
        for (policy, groups) in groups.into_iter().filter(|(_, groups)| !groups.is_empty()) {
            set("priority_policy", Some(policy.into()));
            set("priority_groups", Some(json!(groups)));
        }
        set("priority_timeout", self.pinned_ttl.map(nanos));
        if self.pull {
            ["deliver_subject", "deliver_group"].iter().for_each(|key| drop(config.remove(*key)));
        }
        if let Some(start) = &self.deliver {
            start.apply(config);
        }
        check(config)
    }
}

/// What a server would refuse in less clear words.
fn check(config: &Map<String, Value>) -> Result<()> {
    let is_push = config.get("deliver_subject").and_then(Value::as_str).is_some_and(|subject| !subject.is_empty());
    if is_push {
        return Ok(());
    }
    if config.contains_key("rate_limit_bps") {
        bail!("rate limits are only possible on Push consumers");
    }
    if config.get("idle_heartbeat").and_then(Value::as_u64).unwrap_or(0) > 0 {
        bail!("pull subscribers does not support idle heartbeats");
    }
    Ok(())
}

/// What a new consumer is like when nothing else is said.
pub(crate) fn defaults() -> Map<String, Value> {
    let mut config = Map::new();
    for (key, value) in [("ack_policy", "explicit"), ("replay_policy", "instant"), ("deliver_policy", "all")] {
        config.insert(key.to_owned(), value.into());
    }
    config
}

/// A number that was typed as an answer.
pub(crate) fn number(text: &str) -> Result<i64> {
    text.trim().parse().map_err(|_| anyhow!("{text:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(args: &[&str]) -> Result<Map<String, Value>> {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            flags: CreationFlags,
        }
        let mut config = defaults();
        <Only as clap::Parser>::parse_from([&["x"], args].concat()).flags.apply(&mut config)?;
        Ok(config)
    }

    #[test]
    fn what_is_typed_is_laid_over_the_defaults() {
        let config = typed(&[
            "--pull",
            "--ack",
            "all",
            "--deliver",
            "17",
            "--wait",
            "2s",
            "--max-pending",
            "5",
            "--filter",
            "a",
            "--filter",
            "b",
            "--sample",
            "50",
            "--no-headers-only",
        ])
        .unwrap();
        assert_eq!((&config["ack_policy"], &config["deliver_policy"]), (&json!("all"), &json!("by_start_sequence")));
        assert_eq!((&config["opt_start_seq"], &config["ack_wait"]), (&json!(17), &json!(2_000_000_000)));
        assert_eq!((&config["filter_subjects"], &config["sample_freq"]), (&json!(["a", "b"]), &json!("50")));
        assert_eq!((&config["headers_only"], &config["max_ack_pending"]), (&json!(false), &json!(5)));
    }

    #[test]
    fn backoff_grows_in_equal_steps() {
        let flags = ["--backoff", "linear", "--backoff-steps", "3", "--backoff-min", "1s", "--backoff-max", "4s"];
        assert_eq!(typed(&flags).unwrap()["backoff"], json!([1_000_000_000, 2_000_000_000, 3_000_000_000u64]));
    }

    #[test]
    fn only_pushed_messages_have_a_rate_and_a_heartbeat() {
        for flags in [["--bps", "100"], ["--heartbeat", "1s"]] {
            assert!(typed(&flags).is_err(), "{flags:?}");
            assert!(typed(&[&flags[..], &["--target", "t"]].concat()).is_ok(), "{flags:?}");
        }
    }
}
