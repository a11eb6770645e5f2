//! `nats object`: files in a stream, in chunks, with a record about each.

mod config;
mod get;
mod info;
mod ls;
mod put;
mod rm;
mod watch;

use anyhow::{Context as _, Result, bail};
use async_nats::header::HeaderMap;
use clap::{Args, Subcommand};
use data_encoding::BASE64URL;
use serde_json::{Value, json};

use crate::command::api::{Api, STREAM_NOT_FOUND, is_api_error};
use crate::command::dig::Dig;
use crate::command::kv::check_bucket;
use crate::command::stored::Wanted;
use crate::failure::advise;
use crate::invocation::Invocation;

const STREAM_PREFIX: &str = "OBJ_";
/// What a digest starts with.
const DIGEST_KIND: &str = "SHA-256";

/// Keep files
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Objects {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a bucket
    Add(config::Add),
    /// Delete a file, or the bucket
    #[command(visible_alias = "rm")]
    Del(rm::Del),
    /// Change the configuration of a bucket
    Edit(config::Edit),
    /// Fetch a file
    Get(get::Get),
    /// Show a bucket or a file
    #[command(visible_aliases = ["show", "i"])]
    Info(info::Info),
    /// List buckets, or the files of a bucket
    Ls(ls::Ls),
    /// Store a file
    Put(put::Put),
    /// Forbid all changes of a bucket, forever
    Seal(rm::Seal),
    /// Show what happens to files
    Watch(watch::Watch),
}

impl Objects {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let api = &Api::open(invocation).await?;
        match self.command {
            Command::Add(command) => command.run(api).await,
            Command::Del(command) => command.run(api).await,
            Command::Edit(command) => command.run(api).await,
            Command::Get(command) => command.run(api).await,
            Command::Info(command) => command.run(api).await,
            Command::Ls(command) => command.run(api).await,
            Command::Put(command) => command.run(api).await,
            Command::Seal(command) => command.run(api).await,
            Command::Watch(command) => command.run(api).await,
        }
    }
}

fn stream_of(bucket: &str) -> String {
    format!("{STREAM_PREFIX}{bucket}")
}

/// A bucket that is there.
struct Bucket<'a> {
    api: &'a Api<'a>,
    name: String,
    info: Value,
}

impl<'a> Bucket<'a> {
    async fn open(api: &'a Api<'a>, name: &str) -> Result<Self> {
        check_bucket(name)?;
        match api.stream(&stream_of(name)).await {
            Ok(info) => Ok(Self { api, name: name.to_owned(), info }),
            Err(error) if is_api_error(&error, STREAM_NOT_FOUND) => {
                Err(advise("nats: bucket not found", "nats object ls shows the known ones, nats object add makes one"))
            }
            Err(error) => Err(error),
        }
    }

    fn stream(&self) -> String {
        stream_of(&self.name)
    }

    /// Where the record about a file is kept; its name may hold anything.
    fn record_subject(&self, file: &str) -> String {
        format!("$O.{}.M.{}", self.name, BASE64URL.encode(file.as_bytes()))
    }

    fn all_records(&self) -> String {
        format!("$O.{}.M.>", self.name)
    }

    fn chunk_subject(&self, id: &str) -> String {
        format!("$O.{}.C.{id}", self.name)
    }

    /// What is known of a file, also of a deleted one.
    async fn record(&self, file: &str) -> Result<Option<Value>> {
        let subject = self.record_subject(file);
        let is_direct = self.info.flag("config.allow_direct");
        let Some(stored) = self.api.message(&self.stream(), is_direct, Wanted::LastOf(&subject)).await? else {
            return Ok(None);
        };
        let mut record: Value = serde_json::from_slice(&stored.body).context("the record of the file is not valid")?;
        record["mtime"] = stored.at.to_string().into();
        Ok(Some(record))
    }

    /// What is known of a file that is there.
    async fn file(&self, file: &str) -> Result<Value> {
        let record = self.record(file).await?.filter(|record| !record.flag("deleted"));
        let advice = || format!("nats object ls {} shows the files", self.name);
        record.ok_or_else(|| advise("nats: object not found", advice()))
    }

    /// Replaces the record of a file.
    async fn write_record(&self, record: &Value) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        let mut body = record.clone();
        body["mtime"] = "0001-01-01T00:00:00Z".into();
        let subject = self.record_subject(record.text("name"));
        self.api.store(subject, headers, body.to_string().into()).await.map(drop)
    }

    async fn remove_chunks(&self, id: &str) -> Result<()> {
        if id.is_empty() {
            bail!("the record of the file names no chunks");
        }
        let call = format!("STREAM.PURGE.{}", self.stream());
        self.api.call(&call, json!({"filter": self.chunk_subject(id)})).await.map(drop)
    }
}

/// A digest, and how it is written into a record.
fn digest_text(digest: &[u8]) -> String {
    format!("{DIGEST_KIND}={}", BASE64URL.encode(digest))
}
