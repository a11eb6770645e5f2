//! `nats service info`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use clap::Args;
use jiff::Timestamp;
use regex::Regex;
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::command::service::{INFO, STATS, gather};
use crate::invocation::Invocation;
use crate::show::{Columns, comma, humanize, local_time, outln, print_json};

/// Show a service
#[derive(Args, Debug)]
pub(crate) struct Info {
    /// The service
    service: String,
    /// Only the instance of this id
    id: Option<String>,
    /// Only endpoints that match this regular expression
    #[arg(long, short = 'e', value_name = "REGEX")]
    endpoint: Option<Regex>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

impl Info {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        let id = self.id.as_deref().unwrap_or_default();
        let found = gather(invocation, &link, INFO, (&self.service, id), 1).await?;
        let Some(info) = found.into_iter().next() else {
            outln!("{}", if self.json { "{}" } else { "No results received" });
            return Ok(());
        };
        let of = (info.text("name"), info.text("id"));
        let stats = gather(invocation, &link, STATS, of, 1).await?.into_iter().next();
        let stats = stats.with_context(|| format!("no statistics received for {} > {}", of.0, of.1))?;
        let (info, stats) = (self.narrowed(info.clone()), self.narrowed(stats));
        if self.json {
            return print_json(&json!({"info": info, "stats": stats}));
        }
        page(&info, &stats).print();
        Ok(())
    }

    /// Without the endpoints that were not asked for.
    fn narrowed(&self, mut answer: Value) -> Value {
        if let (Some(wanted), Some(endpoints)) = (&self.endpoint, answer["endpoints"].as_array_mut()) {
            endpoints.retain(|endpoint| wanted.is_match(endpoint.text("name")));
        }
        answer
    }
}

fn page(info: &Value, stats: &Value) -> Columns {
    let mut page = Columns::new("Service Information");
    page.row("Service", format!("{} ({})", info.text("name"), info.text("id")))
        .row("Description", info.text("description"))
        .row("Version", info.text("version"));
    metadata(&mut page, info);
    page.section("Endpoints");
    for endpoint in info.list("endpoints") {
        page.line("")
            .row("Name", endpoint.text("name"))
            .row("Subject", endpoint.text("subject"))
            .row_not_empty("Queue Group", endpoint.text("queue_group"));
        metadata(&mut page, endpoint);
    }
    page.section(format!("Statistics for {} Endpoint(s)", stats.list("endpoints").len()));
    for endpoint in stats.list("endpoints") {
        statistics(&mut page, stats, endpoint);
    }
    page
}

fn metadata(page: &mut Columns, of: &Value) {
    let Some(metadata) = of.dig("metadata").as_object() else { return };
    let values: BTreeMap<_, _> =
        metadata.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    page.named_values("Metadata", &values);
}

fn statistics(page: &mut Columns, stats: &Value, endpoint: &Value) {
    let name = match endpoint.text("name") {
        "" => "default",
        name => name,
    };
    let (time, average) = (endpoint.span("processing_time"), endpoint.span("average_processing_time"));
    page.section(format!("{name} Endpoint Statistics"))
        .row(
            "Requests",
            format!("{} in group {:?}", comma(endpoint.whole("num_requests")), endpoint.text("queue_group")),
        )
        .row("Processing Time", format!("{} (average {})", humanize(time), humanize(average)));
    if let Some(started) = stats.time("started") {
        let ago = Timestamp::now().as_nanosecond() - started.as_nanosecond();
        let ago = std::time::Duration::from_nanos(u64::try_from(ago).unwrap_or(0));
        page.row("Started", format!("{} ({} ago)", local_time(started), humanize(ago)));
    }
    page.row("Errors", endpoint.whole("num_errors")).row_not_empty("Last Error", endpoint.text("last_error"));
    if endpoint.has("data") {
        let data = serde_json::to_string_pretty(endpoint.dig("data")).unwrap_or_default();
        page.section("Endpoint Specific Statistics").line(format!("    {}", data.replace('\n', "\n    ")));
    }
}
