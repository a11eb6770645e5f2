//! `nats server info`.

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value};
use std::time::Duration;

use crate::command::dig::Dig;
use crate::command::gather::check;
use crate::command::server::source::{Among, FromArchive, Source};
use crate::invocation::Invocation;
use crate::show::{Columns, comma, ibytes};

/// Show a server: its process, connections, limits and figures
#[derive(Args, Debug)]
pub(crate) struct Info {
    /// Name or id of the server; any one when left out
    server: Option<String>,
    #[command(flatten)]
    from: FromArchive,
}

impl Info {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let source = Source::open(invocation, self.from.archive.as_deref()).await?;
        show(&source, self.server.as_deref().unwrap_or_default()).await
    }
}

/// Whether a text is the id of a server rather than its name.
fn is_id(text: &str) -> bool {
    text.len() == 56 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Shows one server, by name or id.
pub(crate) async fn show(source: &Source<'_>, server: &str) -> Result<()> {
    let answers = if source.is_live() && is_id(server) {
        source.ask_one(server, "VARZ", Value::Null).await?
    } else {
        let among = Among { name: (!server.is_empty()).then(|| server.to_owned()), ..Among::default() };
        source.ask("VARZ", Map::new(), &among, Some(1)).await?
    };
    let answer = &answers[0];
    check(answer)?;
    page(answer.dig("data")).print();
    Ok(())
}

fn page(varz: &Value) -> Columns {
    let (id, name) = (varz.text("server_id"), varz.text("server_name"));
    let mut page = Columns::new(if id == name {
        format!("Server information for {id}")
    } else {
        format!("Server information for {name} ({id})")
    });
    process(&mut page, varz);
    connection(&mut page, varz);
    if !varz.text("jetstream.config.store_dir").is_empty() {
        jetstream(&mut page, varz.dig("jetstream"));
    }
    limits(&mut page, varz);
    statistics(&mut page, varz);
    cluster(&mut page, varz);
    page
}

fn process(page: &mut Columns, varz: &Value) {
    page.section("Process Details")
        .row("Version", varz.text("version"))
        .row("Git Commit", varz.text("git_commit"))
        .row("Go Version", varz.text("go"))
        .row_some("Start Time", varz.time("start"))
        .row_some("Configuration Load Time", varz.time("config_load_time"))
        .row_not_empty("Configuration Digest", varz.text("config_digest"))
        .row("Uptime", varz.text("uptime"));
}

fn connection(page: &mut Columns, varz: &Value) {
    let mut host = format!("{}:{}", varz.text("host"), varz.whole("port"));
    if !varz.text("ip").is_empty() {
        host.push_str(&format!(" ({})", varz.text("ip")));
    }
    page.section("Connection Details")
        .row("Auth Required", varz.flag("auth_required"))
        .row("TLS Required", varz.flag("tls_required"))
        .row("Host", host)
        .rows("Client URLs", varz.texts("connect_urls"))
        .rows("WebSocket URLs", varz.texts("ws_connect_urls"));
}

fn jetstream(page: &mut Columns, js: &Value) {
    page.section("JetStream")
        .row("Domain", js.text("config.domain"))
        .row("API Support Level", js.whole("stats.api.level"))
        .row("Storage Directory", js.text("config.store_dir"))
        .row("Active Accounts", js.whole("stats.accounts"))
        .row("Memory In Use", ibytes(js.whole("stats.memory")))
        .row("File In Use", ibytes(js.whole("stats.storage")))
        .row("API Requests", js.whole("stats.api.total"))
        .row("API Errors", js.whole("stats.api.errors"));
    if js.whole("config.sync_interval") > 0 {
        page.row("Always sync writes to disk", js.flag("config.sync_always"))
            .row("Write sync Frequency", js.span("config.sync_interval"));
    }
    page.row("Maximum Memory Storage", ibytes(js.whole("config.max_memory")))
        .row("Maximum File Storage", ibytes(js.whole("config.max_storage")))
        .row_not_empty("Unique Tag", js.text("config.unique_tag"))
        .row("Cluster Message Compression", js.flag("config.compress_ok"));
    if js.has("limits") {
        for (label, key) in [
            ("Maximum HA Assets", "max_ha_assets"),
            ("Maximum Ack Pending", "max_ack_pending"),
            ("Maximum Request Batch", "max_request_batch"),
        ] {
            page.row(label, unlimited_or(js.whole(&format!("limits.{key}")), comma));
        }
        let window = js.span("limits.max_duplicate_window");
        page.row(
            "Maximum Duplicate Window",
            if window.is_zero() { "unlimited".to_owned() } else { crate::show::humanize(window) },
        )
        .row("Maximum Messages Per Batch", js.whole("limits.max_batch_size"))
        .row("Maximum Batch Timeout", js.span("limits.max_batch_timeout"))
        .row("Maximum Open Batches Per Stream", js.whole("limits.max_batch_inflight_per_stream"))
        .row("Maximum Open Batches Per Server", js.whole("limits.max_batch_inflight_total"));
    }
    page.row("Strict API Parsing", js.flag("config.strict"));
}

fn unlimited_or(limit: u64, show: impl Fn(u64) -> String) -> String {
    if limit == 0 { "unlimited".to_owned() } else { show(limit) }
}

fn limits(page: &mut Columns, varz: &Value) {
    let deadline = Duration::from_millis(varz.span("write_deadline").as_millis() as u64);
    page.section("Limits")
        .row("Maximum Connections", varz.whole("max_connections"))
        .row("Maximum Subscriptions", varz.whole("max_subscriptions"))
        .row("Maximum Payload", ibytes(varz.whole("max_payload")))
        .row("TLS Timeout", Duration::from_secs(varz.whole("tls_timeout")))
        .row("Write Deadline", deadline);
}

fn statistics(page: &mut Columns, varz: &Value) {
    page.section("Statistics").row("CPU Cores", format!("{} {:.2}%", varz.whole("cores"), varz.number("cpu")));
    if varz.whole("gomaxprocs") > 0 {
        page.row("GOMAXPROCS", varz.whole("gomaxprocs").to_string());
    }
    let both =
        |show: fn(u64) -> String, one, other| format!("{} in {} out", show(varz.whole(one)), show(varz.whole(other)));
    page.row("Memory", ibytes(varz.whole("mem")))
        .row_if(varz.whole("gomemlimit") > 0, "GOMEMLIMIT", varz.whole("gomemlimit"))
        .row("Connections", varz.whole("connections"))
        .row("Subscriptions", varz.whole("subscriptions"))
        .row("Messages", both(comma, "in_msgs", "out_msgs"))
        .row("Bytes", both(ibytes, "in_bytes", "out_bytes"))
        .row("Slow Consumers", varz.whole("slow_consumers"));
}

fn cluster(page: &mut Columns, varz: &Value) {
    if !varz.list("cluster.urls").is_empty() {
        let tags = varz.texts("tags");
        page.section("Cluster")
            .row("Name", varz.text("cluster.name"))
            .row_if(!tags.is_empty(), "Tags", tags)
            .row("Host", format!("{}:{}", varz.text("cluster.addr"), varz.whole("cluster.cluster_port")))
            .rows("URLs", varz.texts("cluster.urls"));
    }
    let mut gateways: Vec<_> =
        varz.list("gateway.gateways").iter().map(|gateway| gateway.text("name").to_owned()).collect();
    if !gateways.is_empty() {
        gateways.sort();
        page.section("Super Cluster")
            .row("Name", varz.text("gateway.name"))
            .row("Host", format!("{}:{}", varz.text("gateway.host"), varz.whole("gateway.port")))
            .rows("Clusters", gateways);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn streams_clusters_and_gateways_have_their_sections() {
        let varz = json!({
            "server_id": "N", "server_name": "one", "tags": ["eu"],
            "jetstream": {
                "config": {"store_dir": "/data", "domain": "hub", "max_memory": 1024, "max_storage": 2048, "strict": true,
                    "sync_interval": 120_000_000_000_u64, "unique_tag": "az"},
                "stats": {"accounts": 2, "memory": 10, "storage": 20, "api": {"level": 3, "total": 7, "errors": 1}},
                "limits": {"max_ha_assets": 5, "max_batch_size": 1000},
            },
            "cluster": {"name": "C", "addr": "h", "cluster_port": 6222, "urls": ["h2:6222"]},
            "gateway": {"name": "C", "host": "h", "port": 7222, "gateways": [{"name": "E"}, {"name": "D"}]},
        });
        let page = page(&varz).render();
        for line in [
            "JetStream:",
            "Domain: hub",
            "API Support Level: 3",
            "Storage Directory: /data",
            "Active Accounts: 2",
            "API Requests: 7",
            "API Errors: 1",
            "Write sync Frequency: 2m0s",
            "Maximum File Storage: 2.0 KiB",
            "Unique Tag: az",
            "Maximum HA Assets: 5",
            "Maximum Messages Per Batch: 1,000",
            "Strict API Parsing: true",
            "Cluster:",
            "URLs: h2:6222",
            "Super Cluster:",
            "Clusters: D",
        ] {
            assert!(page.lines().any(|seen| seen.trim_start() == line), "{line:?} in {page}");
        }
    }
}
