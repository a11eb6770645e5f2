//! `nats kv del`, `purge` and `compact`.

use std::time::Duration;

use anyhow::Result;
use async_nats::header::HeaderMap;
use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::command::api::{Api, STREAM_NOT_FOUND, is_api_error};
use crate::command::confirmed::confirmed;
use crate::command::kv::{Bucket, OPERATION, Operation, check_bucket, header, stream_of};
use crate::command::reader::{Reader, Until};
use crate::parse::duration;
use crate::show::outln;

/// Marks that are younger stay, so that watchers see them.
const YOUNG: Duration = Duration::from_secs(30 * 60);

/// Delete a key, or the bucket
#[derive(Args, Debug)]
pub(crate) struct Del {
    /// The bucket
    bucket: String,
    /// The key; without one, the whole bucket is deleted
    key: Option<String>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

/// Delete a key and its history
#[derive(Args, Debug)]
pub(crate) struct Purge {
    /// The bucket
    bucket: String,
    /// The key
    key: String,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
    /// How long the mark of the deletion stays
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    ttl: Option<Duration>,
}

/// Give back the space of deleted keys
#[derive(Args, Debug)]
pub(crate) struct Compact {
    /// The bucket
    bucket: String,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Del {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let Some(key) = &self.key else { return self.bucket(api).await };
        let bucket = Bucket::open(api, &self.bucket).await?;
        if !confirmed(self.force, &format!("Delete key {} > {key}?", self.bucket))? {
            outln!("Skipping delete");
            return Ok(());
        }
        let mut headers = HeaderMap::new();
        header(&mut headers, OPERATION, "DEL")?;
        bucket.put(key, headers, Bytes::new()).await.map(drop)
    }

    async fn bucket(&self, api: &Api<'_>) -> Result<()> {
        check_bucket(&self.bucket)?;
        if !confirmed(self.force, &format!("Delete bucket {}?", self.bucket))? {
            outln!("Skipping delete");
            return Ok(());
        }
        match api.call(&format!("STREAM.DELETE.{}", stream_of(&self.bucket)), Value::Null).await {
            Err(error) if is_api_error(&error, STREAM_NOT_FOUND) => Err(super::unknown(api).await),
            other => other.map(drop),
        }
    }
}

impl Purge {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        if !confirmed(self.force, &format!("Purge key {} > {}?", self.bucket, self.key))? {
            outln!("Skipping purge");
            return Ok(());
        }
        let mut headers = HeaderMap::new();
        header(&mut headers, OPERATION, "PURGE")?;
        header(&mut headers, "Nats-Rollup", "sub")?;
        if let Some(ttl) = self.ttl {
            header(&mut headers, "Nats-TTL", crate::show::go_duration(ttl))?;
        }
        bucket.put(&self.key, headers, Bytes::new()).await.map(drop)
    }
}

impl Compact {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        let question =
            format!("Purge all historic values and audit trails for deleted keys in bucket {}?", self.bucket);
        if !confirmed(self.force, &question)? {
            outln!("Skipping delete");
            return Ok(());
        }
        let stream = bucket.stream();
        let config = json!({"deliver_policy": "last_per_subject", "filter_subject": bucket.subject(">")});
        let mut reader = Reader::open(api, &stream, config, Until::End).await?;
        let mut marks = Vec::new();
        while let Some(entry) = reader.next().await? {
            if Operation::of(entry.message.headers.as_ref()) != Operation::Put {
                marks.push((entry.message.subject.to_string(), entry.facts.at));
            }
        }
        reader.close().await;
        for (subject, at) in marks {
            let age = Timestamp::now().duration_since(at);
            let is_young = Duration::try_from(age).is_ok_and(|age| age < YOUNG);
            let keep = u64::from(is_young);
            api.call(&format!("STREAM.PURGE.{stream}"), json!({"filter": subject, "keep": keep})).await?;
        }
        Ok(())
    }
}
