//! `nats object info`.

use anyhow::{Result, bail};
use clap::Args;
use data_encoding::{BASE64URL, HEXLOWER};
use serde_json::Value;

use crate::command::api::{Api, own_metadata};
use crate::command::dig::Dig;
use crate::command::kv::info::cluster;
use crate::command::object::{Bucket, STREAM_PREFIX};
use crate::command::stream::info::capital;
use crate::show::{Columns, Figure, ibytes, is_interactive, local_time, pick};

/// Show a bucket or a file
#[derive(Args, Debug)]
pub(crate) struct Info {
    /// The bucket
    bucket: Option<String>,
    /// The file
    file: Option<String>,
}

impl Info {
    pub(super) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let name = match &self.bucket {
            Some(name) => name.clone(),
            None => pick_bucket(api).await?,
        };
        let bucket = Bucket::open(api, &name).await?;
        match &self.file {
            None => bucket_page(&name, &bucket.info).print(),
            Some(file) => file_page(&bucket.file(file).await?).print(),
        }
        Ok(())
    }
}

async fn pick_bucket(api: &Api<'_>) -> Result<String> {
    if !is_interactive() {
        bail!("cannot pick a bucket without a terminal and no bucket name supplied");
    }
    let streams = api.stream_names(None).await?;
    let names: Vec<_> = streams.iter().filter_map(|name| name.strip_prefix(STREAM_PREFIX).map(str::to_owned)).collect();
    if names.is_empty() {
        bail!("no Object buckets found");
    }
    pick("Select a Bucket", &names)
}

pub(super) fn bucket_page(name: &str, info: &Value) -> Columns {
    let config = info.dig("config");
    let created = info.time("created").map(local_time).unwrap_or_default();
    let age = config.span("max_age");
    let limit = config.signed("max_bytes");
    let mut page = Columns::new(format!("Information for Object Store Bucket {name} created {created}"));
    page.section("Configuration")
        .row("Bucket Name", name)
        .row_not_empty("Description", config.text("description"))
        .row("Replicas", config.whole("num_replicas"))
        .row("TTL", if age.is_zero() { "unlimited".to_owned() } else { age.figure() })
        .row("Sealed", config.flag("sealed"))
        .row("Size", ibytes(info.whole("state.bytes")))
        .row("Maximum Bucket Size", if limit <= 0 { "unlimited".to_owned() } else { ibytes(limit.unsigned_abs()) })
        .row("Storage", capital(config.text("storage")))
        .row("Backing Store Kind", "JetStream")
        .row("JetStream Stream", config.text("name"));
    let metadata = own_metadata(config);
    let lines = metadata.iter().map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or_default()));
    page.rows("Metadata", lines);
    cluster(&mut page, info);
    page
}

pub(super) fn file_page(record: &Value) -> Columns {
    let mut page = Columns::new(format!("Object information for {} > {}", record.text("bucket"), record.text("name")));
    let (kind, digest) = record.text("digest").split_once('=').unwrap_or((record.text("digest"), ""));
    let digest = BASE64URL.decode(digest.as_bytes()).map(|bytes| HEXLOWER.encode(&bytes)).unwrap_or_default();
    page.row_not_empty("Description", record.text("description"))
        .row("Size", ibytes(record.whole("size")))
        .row("Modification Time", record.time("mtime").map(local_time).unwrap_or_default())
        .row("Chunks", record.whole("chunks"))
        .row("Digest", format!("{kind} {digest}"))
        .row_if(record.flag("deleted"), "Deleted", true);
    let link = record.dig("options.link");
    page.row_if(!link.is_null(), "Link", format!("{} > {}", link.text("bucket"), link.text("name")));
    page.rows("Headers", headers(record));
    let metadata = record.dig("metadata").as_object().filter(|metadata| !metadata.is_empty());
    if let Some(metadata) = metadata {
        page.section("Metadata");
        for (name, value) in metadata {
            page.row(name, value.as_str().unwrap_or_default());
        }
    }
    page
}

fn headers(record: &Value) -> Vec<String> {
    let headers = record.dig("headers").as_object().into_iter().flatten();
    headers
        .flat_map(|(name, values)| {
            let values = values.as_array().into_iter().flatten();
            values.map(move |value| format!("{name}: {}", value.as_str().unwrap_or_default()))
        })
        .collect()
}
