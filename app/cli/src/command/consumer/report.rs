//! `nats consumer report`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::consumer::Desk;
use crate::command::consumer::info::ack_policy;
use crate::command::dig::Dig;
use crate::command::leadership::leaders;
use crate::command::stream::peers;
use crate::show::{Table, cells, comma, go_duration, humanize};

/// Show a table of consumers
#[derive(Args, Debug)]
pub(crate) struct Report {
    /// The stream
    stream: Option<String>,
    /// Show bare numbers
    #[arg(long, short = 'r')]
    raw: bool,
    /// Show how leaders are distributed
    #[arg(long, short = 'l')]
    leaders: bool,
}

impl Report {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let name = desk.stream(self.stream.as_deref()).await?;
        let stream = desk.api.stream(&name).await?;
        let consumers = desk.consumers(&name).await?;
        let count = comma(stream.whole("state.consumer_count"));
        let header = [
            "Consumer",
            "Mode",
            "Ack Policy",
            "Ack Wait",
            "Ack Pending",
            "Redelivered",
            "Unprocessed",
            "Ack Floor",
            "API Level",
            "Cluster",
        ];
        let mut table = Table::new(format!("Consumer report for {name} with {count} consumers"), &header);
        for info in &consumers {
            table.row(self.row(info, stream.whole("state.messages")));
        }
        table.print();
        if self.leaders
            && let Some(table) = leaders(consumers.iter().map(|info| info.dig("cluster")), "Consumers")
        {
            table.print();
        }
        Ok(())
    }

    fn row(&self, info: &Value, messages: u64) -> Vec<String> {
        let number = |path: &str| if self.raw { info.whole(path).to_string() } else { comma(info.whole(path)) };
        let pending = info.whole("num_pending");
        let percent = (pending as f64 / messages.max(1) as f64 * 100.0).floor().min(100.0);
        let unprocessed =
            if self.raw || pending == 0 { number("num_pending") } else { format!("{} / {percent}%", comma(pending)) };
        let wait = info.span("config.ack_wait");
        let level = info.dig("config.metadata").get("_nats.req.level").and_then(Value::as_str).unwrap_or("0");
        cells![
            info.text("name"),
            if info.text("config.deliver_subject").is_empty() { "Pull" } else { "Push" },
            ack_policy(info.dig("config")),
            if self.raw { go_duration(wait) } else { humanize(wait) },
            number("num_ack_pending"),
            number("num_redelivered"),
            unprocessed,
            number("ack_floor.stream_seq"),
            level,
            peers(info.dig("cluster")),
        ]
    }
}
