//! `nats stream info` and `state`: a stream as a page.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::command::api::{Api, own_metadata};
use crate::command::dig::Dig;
use crate::show::{Columns, Figure, comma, humanize, ibytes, local_time, outln, print_json};

/// Longer than this ago means that nobody was ever seen.
const NEVER: Duration = Duration::from_nanos(i64::MAX as u64);

/// Show a stream
#[derive(Args, Debug)]
pub(crate) struct Info {
    #[command(flatten)]
    which: State,
    /// Show only the state
    #[arg(long)]
    state: bool,
}

/// Show the state of a stream
#[derive(Args, Debug)]
pub(crate) struct State {
    /// The stream
    stream: Option<String>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Do not offer a list of streams
    #[arg(long)]
    no_select: bool,
}

/// How much of a stream is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    All,
    State,
}

impl Info {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        self.which.show(api, is_all, if self.state { What::State } else { What::All }).await
    }
}

impl State {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        self.show(api, is_all, What::State).await
    }

    async fn show(&self, api: &Api<'_>, is_all: bool, what: What) -> Result<()> {
        let name = api.pick_stream(self.stream.as_deref(), !self.no_select, is_all).await?;
        let info = api.stream(&name).await.context("could not request Stream info")?;
        if self.json {
            return print_json(&without_type(info));
        }
        page(&info, what).print();
        outln!();
        Ok(())
    }
}

/// An answer without what only the API needs.
pub(crate) fn without_type(mut answer: Value) -> Value {
    if let Some(answer) = answer.as_object_mut() {
        for key in ["type", "total", "offset", "limit", "did_create"] {
            answer.remove(key);
        }
    }
    answer
}

pub(crate) fn page(info: &Value, what: What) -> Columns {
    let config = info.dig("config");
    let created = info.time("created").map(local_time).unwrap_or_default();
    let title = if what == What::State { "State" } else { "Information" };
    let mut page = Columns::new(format!("{title} for Stream {} created {created}", config.text("name")));
    if what == What::All {
        configuration(&mut page, config);
    }
    cluster(&mut page, info);
    if info.has("mirror") {
        page.section("Mirror Information");
        replica_of(&mut page, info.dig("mirror"));
    }
    if !info.list("sources").is_empty() {
        page.section("Source Information");
        for source in info.list("sources") {
            replica_of(&mut page, source);
            page.line("");
        }
    }
    state(&mut page, info);
    page
}

fn configuration(page: &mut Columns, config: &Value) {
    let subjects = config.texts("subjects");
    let tags = config.texts("placement.tags");
    page.row_not_empty("Description", config.text("description"))
        .row_if(!subjects.is_empty(), "Subjects", subjects)
        .row("Replicas", config.whole("num_replicas"))
        .row_if(config.flag("sealed"), "Sealed", true)
        .row("Storage", capital(config.text("storage")))
        .row_if(
            !matches!(config.text("compression"), "" | "none"),
            "Compression",
            compression(config.text("compression")),
        )
        .row_if(config.text("persist_mode") == "async", "Persistence Mode", "Async")
        .row_if(config.whole("first_seq") > 0, "First Sequence", config.whole("first_seq"))
        .row_not_empty("Placement Cluster", config.text("placement.cluster"))
        .row_if(!tags.is_empty(), "Placement Tags", tags);
    options(page, config);
    limits(page, config);
    let metadata = own_metadata(config);
    if !metadata.is_empty() {
        page.section("Metadata");
        for (name, value) in &metadata {
            page.row(name, value.as_str().unwrap_or_default());
        }
    }
    replication(page, config);
    page.line("");
}

fn options(page: &mut Columns, config: &Value) {
    page.section("Options");
    if !config.text("subject_transform.dest").is_empty() {
        let source = match config.text("subject_transform.src") {
            "" => ">",
            source => source,
        };
        page.row("Subject Transform", format!("{source} to {}", config.text("subject_transform.dest")));
    }
    if config.has("republish") {
        let label = if config.flag("republish.headers_only") { "Republishing Headers" } else { "Republishing" };
        page.row(label, format!("{} to {}", config.text("republish.src"), config.text("republish.dest")));
    }
    let discard = match (config.flag("discard_new_per_subject"), config.text("discard")) {
        (true, _) => "New Per Subject".to_owned(),
        (_, discard) => capital(discard),
    };
    let retention = match config.text("retention") {
        "workqueue" => "WorkQueue".to_owned(),
        retention => capital(retention),
    };
    page.row("Retention", retention)
        .row("Acknowledgments", !config.flag("no_ack"))
        .row("Discard Policy", discard)
        .row("Duplicate Window", config.span("duplicate_window"))
        .row_if(config.flag("allow_direct"), "Direct Get", true)
        .row_if(config.flag("mirror_direct"), "Mirror Direct Get", true)
        .row("Allows Atomic Batch Publish", config.flag("allow_atomic"))
        .row("Allows Fast Batch Publish", config.flag("allow_batched"))
        .row("Allows Counters", config.flag("allow_msg_counter"))
        .row("Allows Msg Delete", !config.flag("deny_delete"))
        .row("Allows Per-Message TTL", config.flag("allow_msg_ttl"))
        .row("Allows Purge", !config.flag("deny_purge"))
        .row("Allows Schedules", config.flag("allow_msg_schedules"))
        .row_if(
            config.flag("allow_msg_ttl") && config.whole("subject_delete_marker_ttl") > 0,
            "Subject Delete Markers TTL",
            config.span("subject_delete_marker_ttl"),
        )
        .row("Allows Rollups", config.flag("allow_rollup_hdrs"));
}

fn limits(page: &mut Columns, config: &Value) {
    let unlimited = |limit: i64, show: fn(u64) -> String, least: i64| {
        if limit < least { "unlimited".to_owned() } else { show(limit.unsigned_abs()) }
    };
    let count: fn(u64) -> String = comma;
    page.section("Limits")
        .row("Maximum Messages", unlimited(config.signed("max_msgs"), count, 0))
        .row("Maximum Per Subject", unlimited(config.signed("max_msgs_per_subject"), count, 1))
        .row("Maximum Bytes", unlimited(config.signed("max_bytes"), ibytes, 0))
        .row(
            "Maximum Age",
            if config.whole("max_age") == 0 { "unlimited".to_owned() } else { config.span("max_age").figure() },
        )
        .row("Maximum Message Size", unlimited(message_size(config), ibytes, 0))
        .row("Maximum Consumers", unlimited(config.signed("max_consumers"), count, 0))
        .row_if(
            config.whole("consumer_limits.inactive_threshold") > 0,
            "Consumer Inactive Threshold",
            config.span("consumer_limits.inactive_threshold"),
        )
        .row_if(
            config.whole("consumer_limits.max_ack_pending") > 0,
            "Consumer Max Ack Pending",
            config.whole("consumer_limits.max_ack_pending"),
        );
}

fn message_size(config: &Value) -> i64 {
    if config.has("max_msg_size") { config.signed("max_msg_size") } else { -1 }
}

fn replication(page: &mut Columns, config: &Value) {
    let mut sources: Vec<_> = config.list("sources").iter().collect();
    sources.sort_by_key(|source| source.text("name"));
    if config.has("mirror") || !sources.is_empty() {
        page.section("Replication");
    }
    if config.has("mirror") {
        page.row("Mirror", source_text(config.dig("mirror")));
    }
    page.rows("Sources", sources.into_iter().map(source_text));
}

fn source_text(source: &Value) -> String {
    let mut parts = vec![source.text("name").to_owned()];
    if source.whole("opt_start_seq") > 0 {
        parts.push(format!("Start Seq: {}", comma(source.whole("opt_start_seq"))));
    }
    for (label, path) in [
        ("Start Time", "opt_start_time"),
        ("API Prefix", "external.api"),
        ("Delivery Prefix", "external.deliver"),
        ("Consumer Name", "consumer.name"),
    ] {
        if !source.text(path).is_empty() {
            parts.push(format!("{label}: {}", source.text(path)));
        }
    }
    parts.join(", ")
}

/// The group that keeps a stream or consumer, if there is one.
pub(crate) fn cluster(page: &mut Columns, info: &Value) {
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
        .row_not_empty("Cluster Group", cluster.text("raft_group"))
        .row("Leader", leader);
    for replica in cluster.list("replicas") {
        page.row("Replica", replica_text(replica));
    }
    page.line("");
}

/// The time from a point until the answer was made.
pub(crate) fn since_then(info: &Value, then: Timestamp) -> Duration {
    let now = info.time("ts").unwrap_or_else(Timestamp::now);
    Duration::from_nanos(u64::try_from(now.as_nanosecond() - then.as_nanosecond()).unwrap_or(0))
}

pub(crate) fn replica_text(replica: &Value) -> String {
    let mut parts = vec![replica.text("name").to_owned()];
    parts.push(if replica.flag("current") { "current" } else { "outdated" }.to_owned());
    if replica.flag("offline") {
        parts.push("OFFLINE".to_owned());
    }
    let active = replica.span("active");
    parts.push(if active.is_zero() || active >= NEVER {
        "not seen".to_owned()
    } else {
        format!("seen {} ago", humanize(active))
    });
    match replica.whole("lag") {
        0 => {}
        1 => parts.push("1 operation behind".to_owned()),
        lag => parts.push(format!("{} operations behind", comma(lag))),
    }
    parts.join(", ")
}

/// How far a mirror or source has come.
fn replica_of(page: &mut Columns, source: &Value) {
    page.row("Stream Name", source.text("name")).row_not_empty("Subject Filter", source.text("filter_subject"));
    let transforms = source.list("subject_transforms");
    let label = if transforms.len() > 1 { "Subject Filters and Transforms" } else { "Subject Filter and Transform" };
    page.rows(
        label,
        transforms.iter().map(|transform| match transform.text("dest") {
            "" => format!("{} untransformed", transform.text("src")),
            destination => format!("{} to {destination}", transform.text("src")),
        }),
    );
    page.row("Lag", source.whole("lag"))
        .row("Last Seen", last_seen(source))
        .row_not_empty("Ext. API Prefix", source.text("external.api"))
        .row_not_empty("Ext. Delivery Prefix", source.text("external.deliver"))
        .row_not_empty("Error", source.text("error.description"));
}

/// How long ago a mirror or source heard of its origin.
pub(crate) fn last_seen(source: &Value) -> String {
    let is_seen = source.signed("active") > 0 && source.span("active") < NEVER;
    if is_seen { humanize(source.span("active")) } else { "never".to_owned() }
}

fn state(page: &mut Columns, info: &Value) {
    let state = info.dig("state");
    page.section("State");
    host(page, info.dig("config"));
    let at = |sequence: &str, time: &str| match state.time(time).filter(|at| at.as_second() > 0) {
        Some(time) => format!("{} @ {}", comma(state.whole(sequence)), local_time(time)),
        None => comma(state.whole(sequence)),
    };
    let lost = state.list("lost.msgs").len();
    page.row("Messages", state.whole("messages"))
        .row("Bytes", ibytes(state.whole("bytes")))
        .row_if(lost > 0, "Lost Messages", format!("{} ({})", comma(lost as u64), ibytes(state.whole("lost.bytes"))))
        .row("First Sequence", at("first_seq", "first_ts"))
        .row("Last Sequence", at("last_seq", "last_ts"))
        .row_if(state.whole("num_deleted") > 0, "Deleted Messages", state.whole("num_deleted"))
        .row("Active Consumers", state.whole("consumer_count"))
        .row_if(state.whole("num_subjects") > 0, "Number of Subjects", state.whole("num_subjects"));
    alternates(page, info.list("alternates"));
}

/// What the hosting server says of itself and of the level that the asset needs.
pub(crate) fn host(page: &mut Columns, config: &Value) {
    let metadata = config.dig("metadata");
    let value = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    page.row_not_empty("Host Version", value("_nats.ver"));
    let (level, required) = (value("_nats.level"), value("_nats.req.level"));
    if !level.is_empty() || !required.is_empty() {
        let required = if required.is_empty() { "0" } else { required };
        page.row("Required API Level", format!("{required} hosted at level {level}"));
    }
}

fn alternates(page: &mut Columns, alternates: &[Value]) {
    let longest = |key: &str| alternates.iter().map(|alternate| alternate.text(key).len()).max().unwrap_or(0);
    let (name, cluster) = (longest("name"), longest("cluster"));
    page.rows(
        "Alternates",
        alternates.iter().map(|alternate| {
            let text = format!("{:>name$}: Cluster: {:>cluster$}", alternate.text("name"), alternate.text("cluster"));
            match alternate.text("domain") {
                "" => text,
                domain => format!("{text} Domain: {domain}"),
            }
        }),
    );
}

/// A word with a capital letter.
pub(crate) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

fn compression(name: &str) -> String {
    if name == "s2" { "S2 Compression".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn assert_page(info: &Value, lines: &[&str]) {
        let page = page(info, What::All).render();
        for line in lines {
            assert!(page.lines().any(|seen| seen.trim_start() == *line), "{line:?} in {page}");
        }
    }

    #[test]
    fn what_was_set_is_shown() {
        let config = json!({
            "name": "S", "sealed": true, "storage": "file", "compression": "s2", "persist_mode": "async", "first_seq": 7,
            "placement": {"cluster": "C", "tags": ["ssd", "eu"]}, "subject_transform": {"src": "a", "dest": "b"},
            "republish": {"src": "c", "dest": "d", "headers_only": true}, "discard": "new",
            "discard_new_per_subject": true, "mirror_direct": true, "allow_msg_ttl": true,
            "subject_delete_marker_ttl": 60_000_000_000_u64,
            "consumer_limits": {"inactive_threshold": 5_000_000_000_u64, "max_ack_pending": 9},
            "sources": [{"name": "O", "opt_start_seq": 3, "external": {"api": "JS.x"}}],
        });
        assert_page(
            &json!({"config": config}),
            &[
                "Sealed: true",
                "Compression: S2 Compression",
                "Persistence Mode: Async",
                "First Sequence: 7",
                "Placement Cluster: C",
                "Placement Tags: ssd, eu",
                "Subject Transform: a to b",
                "Republishing Headers: c to d",
                "Discard Policy: New Per Subject",
                "Mirror Direct Get: true",
                "Subject Delete Markers TTL: 1m0s",
                "Consumer Inactive Threshold: 5.00s",
                "Consumer Max Ack Pending: 9",
                "Sources: O, Start Seq: 3, API Prefix: JS.x",
            ],
        );
    }

    #[test]
    fn a_clustered_stream_shows_its_peers_and_its_origins() {
        let cluster = json!({
            "name": "C", "raft_group": "S-R3F-x", "leader": "a", "leader_since": "2026-11-24T10:00:00Z",
            "replicas": [
                {"name": "b", "current": true, "active": 1_500_000_000_u64},
                {"name": "c", "offline": true, "lag": 2000},
            ],
        });
        let origin = json!({
            "name": "O", "filter_subject": "a.>", "lag": 5, "active": -1, "external": {"api": "JS.x", "deliver": "d"},
            "error": {"description": "no such stream"},
        });
        let state = json!({
            "messages": 5, "bytes": 2048, "lost": {"msgs": [1, 2], "bytes": 1024}, "num_deleted": 3, "num_subjects": 4,
            "first_seq": 1, "first_ts": "2026-11-24T10:00:00Z", "last_seq": 10, "consumer_count": 2,
        });
        let info = json!({
            "ts": "2026-11-24T10:01:00Z", "config": {"name": "S"}, "cluster": cluster, "mirror": origin,
            "sources": [origin], "state": state, "alternates": [{"name": "S", "cluster": "C", "domain": "D"}],
        });
        assert_page(
            &info,
            &[
                "Name: C",
                "Cluster Group: S-R3F-x",
                "Leader: a (1m0s)",
                "Replica: b, current, seen 1.50s ago",
                "Replica: c, outdated, OFFLINE, not seen, 2,000 operations behind",
                "Stream Name: O",
                "Subject Filter: a.>",
                "Lag: 5",
                "Last Seen: never",
                "Ext. API Prefix: JS.x",
                "Ext. Delivery Prefix: d",
                "Error: no such stream",
                "Lost Messages: 2 (1.0 KiB)",
                "Last Sequence: 10",
                "Deleted Messages: 3",
                "Number of Subjects: 4",
                "Alternates: S: Cluster: C Domain: D",
            ],
        );
    }
}
