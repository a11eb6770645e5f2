//! `nats account restore`: all streams out of a directory.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::command::api::Api;
use crate::command::stream::backup::FACTS_FILE;
use crate::command::stream::restore::{Plan, existing_folder, restore};
use crate::show::outln;

/// Read all streams from a directory
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The directory of the backup
    #[arg(value_parser = existing_folder)]
    directory: PathBuf,
    /// Place the streams in this cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Place the streams on servers with this tag, may be given several times
    #[arg(long)]
    tag: Vec<String>,
}

impl Restore {
    /// Everything is looked at before anything is restored.
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let existing = api.stream_names(None).await?;
        let mut folders = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.path().is_dir() {
                bail!("expected a directory \"{name}\"");
            }
            if existing.contains(&name) {
                bail!("stream \"{name}\" exists already");
            }
            if !entry.path().join(FACTS_FILE).is_file() {
                bail!("expected {FACTS_FILE} in {}", entry.path().display());
            }
            folders.push((name, entry.path()));
        }
        folders.sort();
        let directory = self.directory.display();
        outln!("Restoring backup of all {} streams in directory \"{directory}\"\n", folders.len());
        let plan = Plan { cluster: self.cluster.as_deref(), tags: &self.tag, ..Plan::default() };
        for (name, folder) in &folders {
            restore(api, folder, &plan).await.with_context(|| format!("restore for {name} failed"))?;
        }
        Ok(())
    }
}
