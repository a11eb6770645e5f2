//! `nats kv info`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;

use crate::command::api::{Api, own_metadata};
use crate::command::dig::Dig;
use crate::command::kv::{Bucket, STREAM_PREFIX};
use crate::command::stream::info::{capital, last_seen, replica_text};
use crate::show::{Columns, Figure, ibytes, is_interactive, local_time, pick};

/// Show a bucket
#[derive(Args, Debug)]
pub(crate) struct Info {
    /// The bucket
    bucket: Option<String>,
}

impl Info {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let name = match &self.bucket {
            Some(name) => name.clone(),
            None => pick_bucket(api).await?,
        };
        let bucket = Bucket::open(api, &name).await?;
        page(&name, &bucket.info).print();
        Ok(())
    }
}

async fn pick_bucket(api: &Api<'_>) -> Result<String> {
    if !is_interactive() {
        bail!("cannot pick a bucket without a terminal and no bucket name supplied");
    }
    let streams = api.stream_names(None).await?;
    let names: Vec<_> = streams.iter().filter_map(|name| name.strip_prefix(STREAM_PREFIX).map(str::to_owned)).collect();
    if names.is_empty() {
        bail!("no KV buckets found");
    }
    pick("Select a Bucket", &names)
}

pub(crate) fn page(name: &str, info: &Value) -> Columns {
    let created = info.time("created").map(local_time).unwrap_or_default();
    let mut page = Columns::new(format!("Information for Key-Value Store Bucket {name} created {created}"));
    configuration(&mut page, name, info);
    if info.has("mirror") {
        page.section("Mirror Information")
            .row("Origin Bucket", info.text("mirror.name").trim_start_matches(STREAM_PREFIX));
        origin(&mut page, info.dig("config.mirror"), info.dig("mirror"));
    }
    let sources = info.list("sources");
    if !sources.is_empty() {
        page.section("Sources Information");
    }
    for source in sources {
        let config = info.list("config.sources").iter().find(|config| config.text("name") == source.text("name"));
        page.row("Source Bucket", source.text("name").trim_start_matches(STREAM_PREFIX));
        origin(&mut page, config.unwrap_or(&Value::Null), source);
    }
    let metadata = own_metadata(info.dig("config"));
    if !metadata.is_empty() {
        page.section("Metadata");
        for (name, value) in &metadata {
            page.row(name, value.as_str().unwrap_or_default());
        }
    }
    cluster(&mut page, info);
    page
}

fn configuration(page: &mut Columns, name: &str, info: &Value) {
    let config = info.dig("config");
    let limit = |key: &str| match config.signed(key) {
        ..=0 => "unlimited".to_owned(),
        limit => ibytes(limit.unsigned_abs()),
    };
    let marker = config.span("subject_delete_marker_ttl");
    let age = config.span("max_age");
    page.section("Configuration")
        .row("Bucket Name", name)
        .row("History Kept", config.signed("max_msgs_per_subject"))
        .row("Values Stored", info.whole("state.messages"))
        .row("Compressed", !matches!(config.text("compression"), "" | "none"))
        .row("Per-Key TTL Supported", !marker.is_zero())
        .row_if(!marker.is_zero(), "Limit Marker TTL", marker)
        .row("Backing Store Kind", "JetStream")
        .row_not_empty("Description", config.text("description"))
        .row("Bucket Size", ibytes(info.whole("state.bytes")))
        .row("Maximum Bucket Size", limit("max_bytes"))
        .row("Maximum Value Size", limit("max_msg_size"))
        .row("Maximum Age", if age.is_zero() { "unlimited".to_owned() } else { age.figure() })
        .row("JetStream Stream", config.text("name"))
        .row("Storage", capital(config.text("storage")));
    if config.has("republish") {
        let label = if config.flag("republish.headers_only") { "Republishing Headers" } else { "Republishing" };
        page.row(label, format!("{} to {}", config.text("republish.src"), config.text("republish.dest")));
    }
}

fn origin(page: &mut Columns, config: &Value, state: &Value) {
    page.row_not_empty("External API", config.text("external.api"))
        .row("Last Seen", last_seen(state))
        .row("Lag", state.whole("lag"));
}

pub(crate) fn cluster(page: &mut Columns, info: &Value) {
    let cluster = info.dig("cluster");
    if cluster.text("name").is_empty() {
        return;
    }
    page.section("Cluster Information").row("Name", cluster.text("name")).row("Leader", cluster.text("leader"));
    for replica in cluster.list("replicas") {
        page.row("Replica", replica_text(replica));
    }
}
