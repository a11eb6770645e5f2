//! `nats account backup`: all streams in a directory, a folder each.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::Api;
use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::stream::backup::{Consumers, MemoryStream, Plan, back_up, private_folder};
use crate::show::{Columns, ibytes, outln};

/// Write all streams to a directory
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The directory to write
    target: PathBuf,
    /// Let the server check the streams first
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    consumers: Consumers,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
    /// Fail when a stream was skipped
    #[arg(long, short = 'w')]
    critical_warnings: bool,
}

impl Backup {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let streams = self.streams(api).await?;
        self.summary(&streams).print();
        if !confirmed(self.force, "Perform backup")? {
            return Ok(());
        }
        private_folder(&self.target)?;
        let (mut warnings, mut failures) = (Vec::new(), Vec::new());
        for stream in &streams {
            let name = stream.text("config.name");
            let plan = Plan {
                target: &self.target.join(name),
                has_progress: false,
                is_checked: self.check,
                has_consumers: self.consumers.is_on(),
                chunk_size: None,
                window_size: None,
            };
            if let Err(error) = back_up(api, name, &plan).await {
                outln!("Backup of {name} failed: {error:#}");
                let list = if error.is::<MemoryStream>() { &mut warnings } else { &mut failures };
                list.push(format!("{name}: {error:#}"));
            }
            outln!();
        }
        for (title, list) in [("Backup Warnings: ", &warnings), ("Backup failures: ", &failures)] {
            if !list.is_empty() {
                outln!("{title}");
                list.iter().for_each(|line| outln!("  {line}"));
                outln!();
            }
        }
        if !failures.is_empty() || (self.critical_warnings && !warnings.is_empty()) {
            bail!("backup failed");
        }
        Ok(())
    }

    async fn streams(&self, api: &Api<'_>) -> Result<Vec<Value>> {
        let streams = api.pages("STREAM.LIST", "streams", Value::Null).await?;
        let first = api.call("STREAM.LIST", json!({"offset": 0})).await?;
        let (missing, offline) = (first.list("missing").len(), first.dig("offline").as_object().map_or(0, |o| o.len()));
        if missing > 0 {
            bail!("could not obtain stream information for {missing} streams");
        }
        if offline > 0 && !self.force {
            bail!("could not obtain stream information for {offline} offline streams");
        }
        if streams.is_empty() {
            bail!("no streams found");
        }
        Ok(streams)
    }

    fn summary(&self, streams: &[Value]) -> Columns {
        let total = |path: &str| streams.iter().map(|stream| stream.whole(path)).sum::<u64>();
        let mut page = Columns::new(format!("Performing backup of all streams to {}", self.target.display()));
        page.row("Streams", streams.len() as u64)
            .row("Size", ibytes(total("state.bytes")))
            .row("Consumers", total("state.consumer_count"))
            .line("");
        page
    }
}
