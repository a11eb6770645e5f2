//! `nats consumer ls`.

use anyhow::{Context as _, Result};
use clap::Args;

use crate::command::consumer::Desk;
use crate::command::dig::Dig;
use crate::command::stream::info::since_then;
use crate::show::{Table, cells, humanize, local_time, outln, print_json};

/// List consumers
#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// The stream
    stream: Option<String>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Show only names
    #[arg(long, short = 'n')]
    names: bool,
    /// Do not offer a list of streams
    #[arg(long)]
    no_select: bool,
}

impl Ls {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let stream = desk.api.pick_stream(self.stream.as_deref(), !self.no_select, desk.is_all).await?;
        if self.json || self.names {
            let names = desk.api.consumer_names(&stream).await.context("could not load Consumers")?;
            if self.json {
                return print_json(&names);
            }
            names.iter().for_each(|name| outln!("{name}"));
            return Ok(());
        }
        let all = desk.listing(&stream).await.context("could not load Consumers")?;
        if all.is_empty() {
            outln!("No Consumers defined");
            return Ok(());
        }
        let header = ["Name", "Description", "Created", "Ack Pending", "Unprocessed", "Last Delivery"];
        let mut table = Table::new("Consumers", &header);
        for info in &all.found {
            let last = info.time("delivered.last_active");
            table.row(cells![
                info.text("name"),
                info.text("config.description"),
                info.time("created").map(local_time).unwrap_or_default(),
                info.whole("num_ack_pending"),
                info.whole("num_pending"),
                last.map_or("never".to_owned(), |last| humanize(since_then(info, last))),
            ]);
        }
        if !table.is_empty() {
            table.print();
        }
        all.print_absent("Consumers");
        Ok(())
    }
}
