//! `nats kv history` and `revert`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use crate::command::api::Api;
use crate::command::confirmed::confirmed;
use crate::command::delivery::Delivery;
use crate::command::kv::value::{replace, shortened};
use crate::command::kv::{Bucket, Operation};
use crate::command::reader::{Reader, Until};
use crate::show::{Table, cells, local_time, outln};

/// Show all values a key had
#[derive(Args, Debug)]
pub(crate) struct History {
    /// The bucket
    bucket: String,
    /// The key
    key: String,
}

/// Give a key the value it had
#[derive(Args, Debug)]
pub(crate) struct Revert {
    /// The bucket
    bucket: String,
    /// The key
    key: String,
    /// The revision of the value
    revision: u64,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl History {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        table(&bucket, &self.key, &all(&bucket, &self.key).await?).print();
        Ok(())
    }
}

/// All that happened to a key and is still known.
async fn all(bucket: &Bucket<'_>, key: &str) -> Result<Vec<Delivery>> {
    let config = json!({"filter_subject": bucket.subject(key)});
    let stream = bucket.stream();
    let mut reader = Reader::open(bucket.api, &stream, config, Until::End).await?;
    let mut entries = Vec::new();
    while let Some(delivery) = reader.next().await? {
        entries.push(delivery);
    }
    reader.close().await;
    if entries.is_empty() {
        bail!("nats: key not found");
    }
    Ok(entries)
}

fn table(bucket: &Bucket<'_>, key: &str, entries: &[Delivery]) -> Table {
    let header = ["Key", "Revision", "Op", "Created", "Length", "Value"];
    let mut table = Table::new(format!("History for {} > {key}", bucket.name), &header);
    for entry in entries {
        table.row(cells![
            bucket.key_of(&entry.message.subject),
            entry.facts.stream_sequence,
            Operation::of(entry.message.headers.as_ref()).name(),
            local_time(entry.facts.at),
            entry.message.payload.len(),
            shortened(&entry.message.payload),
        ]);
    }
    table
}

impl Revert {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        let entries = all(&bucket, &self.key).await?;
        let Some(latest) = entries.last().filter(|_| entries.len() > 1) else {
            bail!("cannot revert key in a bucket where history=1");
        };
        let old = bucket.get(&self.key, Some(self.revision)).await?;
        if !self.force {
            outln!("Revision: {}\n\n{}\n", old.sequence, shortened(&old.body));
            if !confirmed(false, &format!("Really revert to revision {}", self.revision))? {
                return Ok(());
            }
        }
        replace(&bucket, &self.key, old.body, latest.facts.stream_sequence).await?;
        table(&bucket, &self.key, &all(&bucket, &self.key).await?).print();
        Ok(())
    }
}
