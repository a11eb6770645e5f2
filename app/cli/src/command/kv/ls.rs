//! `nats kv ls`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::command::kv::{Bucket, Operation, STREAM_PREFIX};
use crate::command::reader::{Reader, Until};
use crate::command::stream::info::since_then;
use crate::show::{Table, cells, humanize, ibytes, local_time, outln};

/// List buckets, or the keys of a bucket
#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// The bucket
    bucket: Option<String>,
    /// Keys that match
    key: Option<String>,
    /// Show only names
    #[arg(long, short = 'n')]
    names: bool,
    /// Show when keys were written
    #[arg(long, short = 'v')]
    verbose: bool,
    /// Show values too, with --verbose
    #[arg(long)]
    display_value: bool,
}

impl Ls {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        match &self.bucket {
            Some(bucket) => self.keys(&Bucket::open(api, bucket).await?).await,
            None => self.buckets(api).await,
        }
    }

    async fn keys(&self, bucket: &Bucket<'_>) -> Result<()> {
        let keys = keys(bucket, self.key.as_deref().unwrap_or(">")).await?;
        if self.verbose {
            self.table(bucket, &keys).await?.print();
        } else {
            keys.iter().for_each(|key| outln!("{key}"));
        }
        if keys.is_empty() && !self.names {
            outln!("No keys found in bucket");
        }
        Ok(())
    }

    async fn table(&self, bucket: &Bucket<'_>, keys: &[String]) -> Result<Table> {
        let header = ["Key", "Created", "Delta", "Revision", "Value"];
        let shown = if self.display_value { 5 } else { 4 };
        let mut table = Table::new(format!("Contents for bucket '{}'", bucket.name), &header[..shown]);
        for key in keys {
            // It may have been deleted since it was listed.
            let Some(entry) = bucket.entry(key, None).await? else { continue };
            let mut cells = cells![key, local_time(entry.at), 0u64, entry.sequence];
            if self.display_value {
                cells.push(String::from_utf8_lossy(&entry.body).into_owned());
            }
            table.row(cells);
        }
        Ok(table)
    }

    async fn buckets(&self, api: &Api<'_>) -> Result<()> {
        let mut buckets = api.pages("STREAM.LIST", "streams", Value::Null).await?;
        buckets.retain(|info| info.text("config.name").starts_with(STREAM_PREFIX));
        buckets.sort_by_key(|info| info.whole("state.bytes"));
        let name = |info: &Value| info.text("config.name").trim_start_matches(STREAM_PREFIX).to_owned();
        if self.names {
            buckets.iter().for_each(|info| outln!("{}", name(info)));
            return Ok(());
        }
        if buckets.is_empty() {
            outln!("No Key-Value buckets found");
            return Ok(());
        }
        let header = ["Bucket", "Description", "Created", "Size", "Values", "Last Update"];
        let mut table = Table::new("Key-Value Buckets", &header);
        for info in &buckets {
            let last = info.time("state.last_ts").map(|last| humanize(since_then(info, last)));
            table.row(cells![
                name(info),
                info.text("config.description"),
                info.time("created").map(local_time).unwrap_or_default(),
                ibytes(info.whole("state.bytes")),
                info.whole("state.messages"),
                last.unwrap_or_else(|| "never".to_owned()),
            ]);
        }
        table.print();
        Ok(())
    }
}

/// The keys that match and have a value.
pub(crate) async fn keys(bucket: &Bucket<'_>, filter: &str) -> Result<Vec<String>> {
    let config = json!({
        "deliver_policy": "last_per_subject",
        "headers_only": true,
        "filter_subject": bucket.subject(filter),
    });
    let mut reader = Reader::open(bucket.api, &bucket.stream(), config, Until::End).await?;
    let mut keys = Vec::new();
    while let Some(entry) = reader.next().await? {
        if Operation::of(entry.message.headers.as_ref()) == Operation::Put {
            keys.push(bucket.key_of(&entry.message.subject).to_owned());
        }
    }
    reader.close().await;
    Ok(keys)
}
