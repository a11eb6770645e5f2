//! `nats object ls`.

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::command::object::{Bucket, STREAM_PREFIX};
use crate::command::reader::{Reader, Until};
use crate::command::stream::info::since_then;
use crate::show::{Table, cells, humanize, ibytes, local_time, outln};

/// List buckets, or the files of a bucket
#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// The bucket
    bucket: Option<String>,
    /// Show only names
    #[arg(long, short = 'n')]
    names: bool,
}

impl Ls {
    pub(super) async fn run(&self, api: &Api<'_>) -> Result<()> {
        match &self.bucket {
            Some(bucket) => self.files(&Bucket::open(api, bucket).await?).await,
            None => self.buckets(api).await,
        }
    }

    async fn files(&self, bucket: &Bucket<'_>) -> Result<()> {
        let config = json!({"deliver_policy": "last_per_subject", "filter_subject": bucket.all_records()});
        let mut reader = Reader::open(bucket.api, &bucket.stream(), config, Until::End).await?;
        let mut files = Vec::new();
        while let Some(entry) = reader.next().await? {
            let record: Value =
                serde_json::from_slice(&entry.message.payload).context("the record of a file is not valid")?;
            if !record.flag("deleted") {
                files.push((record, entry.facts.at));
            }
        }
        reader.close().await;
        if self.names {
            files.iter().for_each(|(record, _)| outln!("{}", record.text("name")));
            return Ok(());
        }
        if files.is_empty() {
            outln!("No entries found");
            return Ok(());
        }
        let mut table = Table::new("Bucket Contents", &["Name", "Size", "Time"]);
        for (record, at) in &files {
            table.row(cells![record.text("name"), ibytes(record.whole("size")), local_time(*at)]);
        }
        table.print();
        Ok(())
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
            outln!("No Object Store buckets found");
            return Ok(());
        }
        let header = ["Bucket", "Description", "Created", "Size", "Last Update"];
        let mut table = Table::new("Object Store Buckets", &header);
        for info in &buckets {
            let last = info.time("state.last_ts").map(|last| humanize(since_then(info, last)));
            table.row(cells![
                name(info),
                info.text("config.description"),
                info.time("created").map(local_time).unwrap_or_default(),
                ibytes(info.whole("state.bytes")),
                last.unwrap_or_else(|| "never".to_owned()),
            ]);
        }
        table.print();
        Ok(())
    }
}
