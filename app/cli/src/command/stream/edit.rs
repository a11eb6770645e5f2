//! `nats stream edit`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Map, Value};

use crate::command::api::Api;
use crate::command::confirmed::{confirmed, warn_of_bucket};
use crate::command::difference::{differences, edited};
use crate::command::dig::Dig;
use crate::command::stream::config::{StreamFlags, from_file, strip_server_metadata};
use crate::command::stream::info;
use crate::failure::Ended;
use crate::parse::existing_file;
use crate::show::{out, outln, print_json};

/// Change the configuration of a stream
#[derive(Args, Debug)]
pub(crate) struct Edit {
    /// The stream
    stream: Option<String>,
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
    /// Do not copy another stream any longer
    #[arg(long)]
    no_mirror: bool,
    /// Do not rewrite subjects any longer
    #[arg(long)]
    no_transform: bool,
    /// Do not publish messages again any longer
    #[arg(long)]
    no_republish: bool,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    #[command(flatten)]
    flags: StreamFlags,
}

impl Edit {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let name = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        let info = api.stream(&name).await?;
        let mut before = info.dig("config").as_object().cloned().unwrap_or_default();
        strip_server_metadata(&mut before);
        let after = self.changed(&name, &before)?;
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
        warn_of_bucket(&name)?;
        if !confirmed(self.force, &format!("Really edit Stream {name}"))? {
            return Ok(());
        }
        let call = format!("STREAM.UPDATE.{name}");
        let updated = api.call(&call, after.into()).await.with_context(|| format!("could not edit Stream {name}"))?;
        if self.json {
            return print_json(&info::without_type(updated));
        }
        outln!("Stream {name} was updated\n");
        info::page(&updated, info::What::All).print();
        Ok(())
    }

    fn changed(&self, name: &str, before: &Map<String, Value>) -> Result<Map<String, Value>> {
        if let Some(path) = &self.config {
            let mut after = from_file(path)?;
            after.entry("name").or_insert_with(|| name.into());
            return Ok(after);
        }
        if self.interactive {
            return edited(before);
        }
        if self.flags.is_fed_by_streams() {
            bail!("cannot edit mirrors, or sources using the CLI, use --config instead");
        }
        let mut after = before.clone();
        self.flags.apply(&mut after)?;
        for (is_removed, key) in
            [(self.no_mirror, "mirror"), (self.no_transform, "subject_transform"), (self.no_republish, "republish")]
        {
            if is_removed {
                after.remove(key);
            }
        }
        Ok(after)
    }
}
