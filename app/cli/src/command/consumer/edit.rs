//! `nats consumer edit`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Map, Value};

use crate::command::confirmed::confirmed;
use crate::command::consumer::config::ConsumerFlags;
use crate::command::consumer::{Desk, Which, info};
use crate::command::difference::{differences, edited};
use crate::command::dig::Dig;
use crate::command::stream::config::{from_file, strip_server_metadata};
use crate::failure::Ended;
use crate::parse::existing_file;
use crate::show::{out, outln};

/// Change the configuration of a consumer
#[derive(Args, Debug)]
pub(crate) struct Edit {
    #[command(flatten)]
    which: Which,
    /// Read the configuration from this JSON file
    #[arg(long, value_parser = existing_file, value_name = "FILE")]
    config: Option<String>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
    /// Edit the configuration in $EDITOR
    #[arg(long, short = 'i')]
    interactive: bool,
    /// Show what would change; exit with 1 when something would
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    flags: ConsumerFlags,
}

impl Edit {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let info = desk.consumer(&self.which).await?;
        if info.text("config.durable_name").is_empty() {
            bail!("only durable consumers can be edited");
        }
        let mut before = info.dig("config").as_object().cloned().unwrap_or_default();
        strip_server_metadata(&mut before);
        let after = self.changed(&before)?;
        let has_backoff = !Value::from(after.clone()).list("backoff").is_empty();
        if has_backoff && before.get("ack_wait") != after.get("ack_wait") {
            bail!("consumers with backoff policies do not support editing Ack Wait");
        }
        let changes = differences(&before, &after);
        if changes.is_empty() {
            if !self.dry_run {
                outln!("No difference in configuration");
            }
            return Ok(());
        }
        out!("Differences (-old +new):\n{changes}");
        if self.dry_run {
            return Err(Ended(1).into());
        }
        let (stream, name) = (info.text("stream_name"), info.text("name"));
        if !confirmed(self.force, &format!("Really edit Consumer {stream} > {name}"))? {
            return Ok(());
        }
        info::page(&desk.put(stream, after).await?, info::What::All).print();
        Ok(())
    }

    fn changed(&self, before: &Map<String, Value>) -> Result<Map<String, Value>> {
        let mut after = match &self.config {
            Some(path) => from_file(path)?,
            None if self.interactive => edited(before)?,
            None => {
                let mut after = before.clone();
                self.flags.apply(&mut after)?;
                after
            }
        };
        for key in ["name", "durable_name"] {
            if let Some(name) = before.get(key) {
                after.insert(key.to_owned(), name.clone());
            }
        }
        Ok(after)
    }
}
