//! `nats service stats`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::service::{STATS, gather};
use crate::invocation::Invocation;
use crate::show::{Table, cells, outln, print_json};

/// Show figures of a service
#[derive(Args, Debug)]
pub(crate) struct Stats {
    /// The service
    service: String,
    /// Only the instance of this id
    id: Option<String>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

impl Stats {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        let id = self.id.as_deref().unwrap_or_default();
        let found = gather(invocation, &link, STATS, (&self.service, id), 0).await?;
        if found.is_empty() {
            outln!("No responses received");
            return Ok(());
        }
        if self.json {
            return print_json(&found);
        }
        table(&self.service, &found).print();
        Ok(())
    }
}

fn table(name: &str, found: &[Value]) -> Table {
    let header = ["ID", "Endpoint", "Requests", "Queue Group", "Errors", "Processing Time", "Average Time"];
    let mut table = Table::new(format!("{name} Service Statistics"), &header);
    for instance in found {
        for (at, endpoint) in instance.list("endpoints").iter().enumerate() {
            table.row(cells![
                if at == 0 { instance.text("id") } else { "" },
                endpoint.text("name"),
                endpoint.whole("num_requests"),
                endpoint.text("queue_group"),
                endpoint.whole("num_errors"),
                endpoint.span("processing_time"),
                endpoint.span("average_processing_time"),
            ]);
        }
    }
    let endpoints = || found.iter().flat_map(|instance| instance.list("endpoints"));
    let sum = |key: &str| endpoints().map(|endpoint| endpoint.whole(key)).sum::<u64>();
    let (requests, errors, time) = (sum("num_requests"), sum("num_errors"), sum("processing_time"));
    let average = time / (requests + errors).max(1);
    table.footer(cells!["", "", requests, "", errors, Duration::from_nanos(time), Duration::from_nanos(average)]);
    table
}
