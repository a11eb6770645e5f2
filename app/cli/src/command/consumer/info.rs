//! `nats consumer info` and `state`: a consumer as a page.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::command::api::own_metadata;
use crate::command::consumer::{Desk, Which};
use crate::command::dig::Dig;
use crate::command::stream::info::{capital, host, since_then, without_type};
use crate::show::{Columns, comma, go_duration, humanize, ibytes, local_time, print_json};

const NEVER: Duration = Duration::from_nanos(i64::MAX as u64);
/// Longer lists of pauses are cut in the middle.
const LONGEST_BACKOFF: usize = 15;
const BACKOFF_ENDS: usize = 5;

/// Show a consumer
#[derive(Args, Debug)]
pub(crate) struct Info {
    #[command(flatten)]
    which: Which,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Do not offer a list of consumers
    #[arg(long)]
    no_select: bool,
}

/// Show the state of a consumer
#[derive(Args, Debug)]
pub(crate) struct State {
    #[command(flatten)]
    info: Info,
}

/// How much of a consumer is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    All,
    State,
}

impl Info {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        self.show(desk, What::All).await
    }

    async fn show(&self, desk: &Desk<'_>, what: What) -> Result<()> {
        if self.no_select && (self.which.stream.is_none() || self.which.consumer.is_none()) {
            anyhow::bail!("--no-select requires a stream and consumer name");
        }
        let info = desk.consumer(&self.which).await?;
        if self.json {
            return print_json(&without_type(info));
        }
        page(&info, what).print();
        Ok(())
    }
}

impl State {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        self.info.show(desk, What::State).await
    }
}

pub(crate) fn page(info: &Value, what: What) -> Columns {
    let title = if what == What::All { "Information" } else { "State" };
    let created = info.time("created").map(local_time).unwrap_or_default();
    let (stream, name) = (info.text("stream_name"), info.text("name"));
    let mut page = Columns::new(format!("{title} for Consumer {stream} > {name} created {created}"));
    if what == What::All {
        configuration(&mut page, info);
    }
    cluster(&mut page, info);
    state(&mut page, info);
    page
}

fn configuration(page: &mut Columns, info: &Value) {
    let config = info.dig("config");
    let (name, durable) = (config.text("name"), config.text("durable_name"));
    page.section("Configuration")
        .row_not_empty("Name", name)
        .row_if(!durable.is_empty() && durable != name, "Durable Name", durable)
        .row_not_empty("Description", config.text("description"));
    match config.text("deliver_subject") {
        "" => page.row("Pull Mode", true),
        subject => page.row("Delivery Subject", subject),
    };
    let filters = config.texts("filter_subjects");
    page.row_not_empty("Filter Subject", config.text("filter_subject"))
        .row_if(!filters.is_empty(), "Filter Subjects", filters)
        .row("Deliver Policy", deliver_policy(config));
    delivery(page, config);
    pulls(page, config);
    page.row_if(!config.list("backoff").is_empty(), "Backoff", backoff(config))
        .row_if(config.whole("num_replicas") > 0, "Replicas", config.whole("num_replicas"))
        .row_if(config.flag("mem_storage"), "Memory Storage", true)
        .row_some("Paused Until Deadline", paused(info));
    priorities(page, config);
    targets(page, config);
}

fn delivery(page: &mut Columns, config: &Value) {
    let is_push = !config.text("deliver_subject").is_empty();
    let (group, acks) = (config.text("deliver_group"), config.text("ack_policy"));
    page.row_if(is_push && !group.is_empty(), "Deliver Queue Group", group)
        .row("Ack Policy", ack_policy(config))
        .row_if(acks != "none", "Ack Wait", config.span("ack_wait"))
        .row("Replay Policy", capital(config.text("replay_policy")))
        .row_if(config.signed("max_deliver") != -1, "Maximum Deliveries", config.signed("max_deliver"))
        .row_not_empty("Sampling Rate", config.text("sample_freq"))
        .row_if(
            config.whole("rate_limit_bps") > 0,
            "Rate Limit",
            format!("{} / second", ibytes(config.whole("rate_limit_bps") / 8)),
        )
        .row_if(config.signed("max_ack_pending") > 0, "Max Ack Pending", config.signed("max_ack_pending"))
        .row_if(config.whole("max_waiting") > 0, "Max Waiting Pulls", config.whole("max_waiting"))
        .row_if(config.whole("idle_heartbeat") > 0, "Idle Heartbeat", config.span("idle_heartbeat"))
        .row_if(is_push, "Flow Control", config.flag("flow_control"))
        .row_if(config.flag("headers_only"), "Headers Only", true)
        .row_if(
            !is_push && config.whole("inactive_threshold") > 0,
            "Inactive Threshold",
            config.span("inactive_threshold"),
        );
}

fn pulls(page: &mut Columns, config: &Value) {
    page.row_if(config.whole("max_expires") > 0, "Max Pull Expire", config.span("max_expires"))
        .row_if(config.whole("max_batch") > 0, "Max Pull Batch", config.whole("max_batch"))
        .row_if(config.whole("max_bytes") > 0, "Max Pull MaxBytes", config.whole("max_bytes"));
}

fn priorities(page: &mut Columns, config: &Value) {
    let policy = config.text("priority_policy");
    if matches!(policy, "" | "none") {
        return;
    }
    let name = match policy {
        "pinned_client" => "Pinned Client".to_owned(),
        other => capital(other),
    };
    page.row("Priority Policy", name).row("Priority Groups", config.texts("priority_groups")).row_if(
        policy == "pinned_client",
        "Pinned TTL",
        config.span("priority_timeout"),
    );
}

/// Consumers that work for mirrors and sources say for whom.
fn targets(page: &mut Columns, config: &Value) {
    let metadata = config.dig("metadata");
    let value = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
    for (title, kind) in [("Mirror Target", "mirror"), ("Source Target", "source")] {
        let stream = value(&format!("_nats.{kind}.stream"));
        if !stream.is_empty() {
            page.section(title)
                .row("Stream", stream)
                .row_not_empty("Account", value(&format!("_nats.{kind}.account")))
                .row_not_empty("Domain", value(&format!("_nats.{kind}.domain")));
        }
    }
    let own = own_metadata(config);
    if !own.is_empty() {
        page.section("Metadata");
        for (name, value) in &own {
            page.row(name, value.as_str().unwrap_or_default());
        }
    }
}

fn deliver_policy(config: &Value) -> String {
    match config.text("deliver_policy") {
        "last_per_subject" => "Last Per Subject".to_owned(),
        "by_start_time" => format!("Since {}", config.text("opt_start_time")),
        "by_start_sequence" => format!("From Sequence {}", config.whole("opt_start_seq")),
        policy => capital(policy),
    }
}

pub(crate) fn ack_policy(config: &Value) -> String {
    match config.text("ack_policy") {
        "flow_control" => "Flow Control".to_owned(),
        policy => capital(policy),
    }
}

fn backoff(config: &Value) -> String {
    let pauses: Vec<_> = config
        .list("backoff")
        .iter()
        .map(|pause| go_duration(Duration::from_nanos(pause.as_u64().unwrap_or(0))))
        .collect();
    if pauses.len() <= LONGEST_BACKOFF {
        return pauses.join(", ");
    }
    let (first, last) = (&pauses[..BACKOFF_ENDS], &pauses[pauses.len() - BACKOFF_ENDS..]);
    format!("{}, ..., {} ({} total)", first.join(", "), last.join(", "), pauses.len())
}

fn seconds(span: Duration) -> String {
    go_duration(Duration::from_secs(span.as_secs_f64().round() as u64))
}

fn paused(info: &Value) -> Option<String> {
    let until = info.time("config.pause_until")?;
    Some(if info.flag("paused") {
        format!("{} ({} remaining)", local_time(until), seconds(info.span("pause_remaining")))
    } else {
        format!("{} (passed)", local_time(until))
    })
}

fn cluster(page: &mut Columns, info: &Value) {
    let cluster = info.dig("cluster");
    if cluster.text("name").is_empty() {
        return;
    }
    let leader = match cluster.time("leader_since") {
        None => cluster.text("leader").to_owned(),
        Some(since) => format!("{} ({})", cluster.text("leader"), humanize(since_then(info, since))),
    };
    page.section("Cluster Information")
        .row("Name", cluster.text("name"))
        .row_not_empty("Raft Group", cluster.text("raft_group"))
        .row("Leader", leader);
    for replica in cluster.list("replicas") {
        let active = replica.span("active");
        let is_seen = !active.is_zero() && active < NEVER;
        let seen = if is_seen { format!("seen {} ago", humanize(active)) } else { "not seen".to_owned() };
        let current = if replica.flag("current") { "current" } else { "outdated" };
        page.row("Replica", format!("{}, {current}, {seen}", replica.text("name")));
    }
}

fn state(page: &mut Columns, info: &Value) {
    let config = info.dig("config");
    let is_push = !config.text("deliver_subject").is_empty();
    page.section("State");
    host(page, config);
    page.row("Last Delivered Message", position(info, "delivered", "Last delivery"));
    if config.text("ack_policy") != "none" {
        let pending = comma(info.whole("num_ack_pending"));
        let limit = config.signed("max_ack_pending");
        page.row("Acknowledgment Floor", position(info, "ack_floor", "Last Ack"))
            .row(
                "Outstanding Acks",
                if limit > 0 { format!("{pending} out of maximum {}", comma(limit)) } else { pending },
            )
            .row("Redelivered Messages", info.whole("num_redelivered"));
    }
    page.row("Unprocessed Messages", info.whole("num_pending"));
    if is_push {
        page.row("Active Interest", interest(info));
    } else {
        let limit = config.whole("max_waiting");
        let limit = if limit > 0 { format!("maximum {}", comma(limit)) } else { "unlimited".to_owned() };
        page.row("Waiting Pulls", format!("{} of {limit}", comma(info.whole("num_waiting"))));
    }
    if info.flag("paused") {
        let remaining = info.span("pause_remaining");
        let now = info.time("ts").unwrap_or_else(Timestamp::now);
        let until = now.checked_add(remaining).unwrap_or(now);
        page.row("Paused Until", format!("{} ({} remaining)", local_time(until), seconds(remaining)));
    }
    pins(page, info);
}

/// How far delivery or acknowledgement is.
fn position(info: &Value, what: &str, last: &str) -> String {
    let number = |key: &str| comma(info.whole(&format!("{what}.{key}")));
    let text = format!("Consumer sequence: {} Stream sequence: {}", number("consumer_seq"), number("stream_seq"));
    match info.time(&format!("{what}.last_active")) {
        Some(at) => format!("{text} {last}: {} ago", humanize(since_then(info, at))),
        None => text,
    }
}

fn interest(info: &Value) -> String {
    match (info.flag("push_bound"), info.text("config.deliver_group")) {
        (false, _) => "No interest".to_owned(),
        (true, "") => "Active".to_owned(),
        (true, group) => format!("Active using Queue Group {group}"),
    }
}

fn pins(page: &mut Columns, info: &Value) {
    if info.text("config.priority_policy") != "pinned_client" {
        return;
    }
    let groups = info.list("priority_groups").iter().map(|group| {
        let client = match (group.text("pinned_client_id"), group.time("pinned_ts")) {
            ("", _) => "No client".to_owned(),
            (id, Some(at)) => format!("pinned {id} at {}", local_time(at)),
            (id, None) => format!("pinned {id}"),
        };
        format!("{}: {client}", group.text("group"))
    });
    page.rows("Priority Groups", groups);
}
