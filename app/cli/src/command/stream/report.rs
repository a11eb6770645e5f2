//! `nats stream report`.

use std::fmt::Write;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::{Api, is_internal};
use crate::command::dig::Dig;
use crate::command::leadership::leaders;
use crate::command::server::compacted;
use crate::command::stream::info::capital;
use crate::show::{Table, cells, comma, humanize, ibytes, out, outln};

/// Show a table of streams
#[derive(Args, Debug)]
pub(crate) struct Report {
    /// Only streams that hold this subject
    #[arg(long)]
    subject: Option<String>,
    /// Only streams of this cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Sort by the number of consumers
    #[arg(long, short = 'o')]
    consumers: bool,
    /// Sort by the number of messages
    #[arg(long, short = 'm')]
    messages: bool,
    /// Sort by name
    #[arg(long, short = 'n')]
    name: bool,
    /// Sort by storage
    #[arg(long, short = 't')]
    storage: bool,
    /// Show bare numbers
    #[arg(long, short = 'r')]
    raw: bool,
    /// Write how streams feed each other to this GraphViz file
    #[arg(long, value_name = "FILE")]
    dot: Option<String>,
    /// Show how leaders are distributed
    #[arg(long, short = 'l')]
    leaders: bool,
}

impl Report {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        out!("Obtaining Stream stats\n\n");
        let filter = self.subject.as_ref().map_or(Value::Null, |subject| json!({"subject": subject}));
        let mut streams = api.pages("STREAM.LIST", "streams", filter).await?;
        streams.retain(|stream| is_all || !is_internal(stream.text("config.name")));
        streams.retain(|stream| self.cluster.as_ref().is_none_or(|cluster| stream.text("cluster.name") == cluster));
        if streams.is_empty() {
            outln!("No Streams defined");
            return Ok(());
        }
        streams.sort_by_key(|stream| self.key(stream));
        self.table(&streams).print();
        let is_fed = |stream: &&Value| stream.has("mirror") || !stream.list("sources").is_empty();
        if streams.iter().any(|stream| is_fed(&stream)) {
            self.replication(&streams).print();
        }
        if let Some(path) = &self.dot {
            std::fs::write(path, graph(&streams)).with_context(|| format!("could not write {path}"))?;
        }
        if self.leaders
            && let Some(table) = leaders(streams.iter().map(|stream| stream.dig("cluster")), "Streams")
        {
            table.print();
        }
        Ok(())
    }

    fn key(&self, stream: &Value) -> (u64, String) {
        let name = stream.text("config.name").to_owned();
        if self.consumers {
            (stream.whole("state.consumer_count"), name)
        } else if self.messages {
            (stream.whole("state.messages"), name)
        } else if self.name {
            (0, name)
        } else if self.storage {
            (0, stream.text("config.storage").to_owned())
        } else {
            (stream.whole("state.bytes"), name)
        }
    }

    fn count(&self, number: u64) -> String {
        if self.raw { number.to_string() } else { comma(number) }
    }

    fn size(&self, bytes: u64) -> String {
        if self.raw { bytes.to_string() } else { ibytes(bytes) }
    }

    fn table(&self, streams: &[Value]) -> Table {
        let header = [
            "Stream",
            "Storage",
            "Placement",
            "Consumers",
            "Messages",
            "Bytes",
            "Lost",
            "Deleted",
            "API Level",
            "Replicas",
        ];
        let mut table = Table::new("Stream Report", &header);
        for stream in streams {
            let (config, state) = (stream.dig("config"), stream.dig("state"));
            let lost = state.list("lost.msgs").len() as u64;
            let lost = if lost > 0 {
                format!("{} ({})", self.count(lost), self.size(state.whole("lost.bytes")))
            } else {
                "0".to_owned()
            };
            let level = config.dig("metadata").get("_nats.req.level").and_then(Value::as_str).unwrap_or("0");
            table.row(cells![
                config.text("name"),
                capital(config.text("storage")),
                placement(config),
                self.count(state.whole("consumer_count")),
                self.count(state.whole("messages")),
                self.size(state.whole("bytes")),
                lost,
                self.count(state.whole("num_deleted")),
                level,
                peers(stream.dig("cluster")),
            ]);
        }
        table
    }

    fn replication(&self, streams: &[Value]) -> Table {
        let header =
            ["Stream", "Kind", "API Prefix", "Source Stream", "Filters and Transforms", "Active", "Lag", "Error"];
        let mut table = Table::new("Replication Report", &header);
        for stream in streams {
            let name = stream.text("config.name");
            let mirror = stream.has("mirror").then(|| ("Mirror", stream.dig("mirror")));
            for (kind, source) in
                mirror.into_iter().chain(stream.list("sources").iter().map(|source| ("Source", source)))
            {
                table.row(cells![
                    name,
                    kind,
                    source.text("external.api"),
                    source.text("name"),
                    filters(source),
                    humanize(source.span("active")),
                    self.count(source.whole("lag")),
                    source.text("error.description"),
                ]);
            }
        }
        table
    }
}

fn filters(source: &Value) -> String {
    let transforms: Vec<_> = source
        .list("subject_transforms")
        .iter()
        .map(|transform| format!("{} to {}", transform.text("src"), transform.text("dest")))
        .collect();
    match (transforms.is_empty(), source.text("filter_subject")) {
        (true, "") => String::new(),
        (true, filter) => format!("{filter} untransformed"),
        _ => transforms.join(", "),
    }
}

fn placement(config: &Value) -> String {
    let mut text = String::new();
    if !config.text("placement.cluster").is_empty() {
        let _ = write!(text, "cluster: {} ", config.text("placement.cluster"));
    }
    let tags = config.texts("placement.tags");
    if !tags.is_empty() {
        let _ = write!(text, "tags: {}", tags.join(", "));
    }
    text
}

/// All peers of a group: `*` marks the leader, `!` those that are behind or away.
pub(crate) fn peers(cluster: &Value) -> String {
    let leader = cluster.text("leader");
    let mut names: Vec<String> = if leader.is_empty() { Vec::new() } else { vec![leader.to_owned()] };
    let mut marks = vec![if leader.is_empty() { "" } else { "*" }; names.len()];
    for replica in cluster.list("replicas") {
        names.push(replica.text("name").to_owned());
        marks.push(if replica.flag("offline") || !replica.flag("current") { "!" } else { "" });
    }
    let mut shown: Vec<_> = compacted(&names).iter().zip(marks).map(|(name, mark)| format!("{name}{mark}")).collect();
    shown.sort();
    shown.join(", ")
}

/// A GraphViz graph with an arrow from each stream to those it feeds.
fn graph(streams: &[Value]) -> String {
    let mut text = "digraph {\n  rankdir=LR;\n".to_owned();
    for stream in streams {
        let name = stream.text("config.name");
        let _ = writeln!(text, "  {name:?};");
        if stream.has("mirror") {
            let _ = writeln!(text, "  {:?} -> {name:?} [label=\"Mirror\"];", stream.text("mirror.name"));
        }
        for source in stream.list("sources") {
            let _ = writeln!(text, "  {:?} -> {name:?} [label=\"Source\"];", source.text("name"));
        }
    }
    text + "}\n"
}
