//! The stream that is measured.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::{Api, STREAM_NOT_FOUND, check_name, is_api_error};
use crate::command::bench::plan::Arguments;
use crate::failure::advise;
use crate::parse::{duration, size};
use crate::show::{comma, humanize, ibytes};

/// Which stream it is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Name {
    /// The stream
    #[arg(long, default_value = "benchstream")]
    pub(crate) stream: String,
}

/// How it is made.
#[derive(Args, Clone, Debug)]
pub(crate) struct Room {
    #[command(flatten)]
    pub(crate) name: Name,
    /// Create the stream first
    #[arg(long)]
    create: bool,
    /// Remove its messages first
    #[arg(long)]
    purge: bool,
    /// Where a new stream is kept
    #[arg(long, default_value = "file", value_parser = ["file", "memory"])]
    storage: String,
    /// How often a new stream is kept
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: u8,
    /// What a new stream may hold
    #[arg(long, default_value = "1GB", value_parser = size)]
    maxbytes: u64,
    /// Give each message an id that the stream remembers
    #[arg(long)]
    pub(crate) dedup: bool,
    /// How long a new stream remembers ids
    #[arg(long, default_value = "2m", value_parser = duration, value_name = "DURATION")]
    dedupwindow: Duration,
    /// A new stream acknowledges before messages are on the disk
    #[arg(long)]
    persistasync: bool,
}

impl Name {
    /// The stream as it is.
    pub(crate) async fn find(&self, api: &Api<'_>) -> Result<Value> {
        api.stream(&self.stream).await.map_err(|error| match is_api_error(&error, STREAM_NOT_FOUND) {
            true => advise(
                format!("stream {} does not exist", self.stream),
                "nats bench js pub async SUBJECT --create makes it and fills it",
            ),
            false => error,
        })
    }
}

impl Room {
    pub(crate) fn arguments(&self) -> Arguments {
        vec![
            ("stream", self.name.stream.clone()),
            ("storage", self.storage.clone()),
            ("replicas", self.replicas.to_string()),
            ("max-bytes", ibytes(self.maxbytes)),
            ("deduplication", self.dedup.to_string()),
            ("dedup-window", humanize(self.dedupwindow)),
            ("purge", self.purge.to_string()),
        ]
    }

    /// Makes the stream, with the ability it needs, or finds it, and empties it, as is asked for.
    pub(crate) async fn prepare(&self, api: &Api<'_>, filter: &str, needs: Option<&str>) -> Result<()> {
        check_name("stream", &self.name.stream)?;
        if self.create {
            let mut config = json!({
                "name": self.name.stream,
                "subjects": [filter],
                "storage": self.storage,
                "num_replicas": self.replicas,
                "max_bytes": self.maxbytes,
                "duplicate_window": u64::try_from(self.dedupwindow.as_nanos()).unwrap_or(u64::MAX),
                "allow_direct": true,
            });
            if let Some(ability) = needs {
                config[ability] = true.into();
            }
            if self.persistasync {
                config["persist_mode"] = "async".into();
            }
            api.call(&format!("STREAM.CREATE.{}", self.name.stream), config).await?;
        } else {
            self.name.find(api).await?;
        }
        if self.purge {
            api.call(&format!("STREAM.PURGE.{}", self.name.stream), Value::Null).await?;
        }
        Ok(())
    }
}

/// How many messages go at a time.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct AtOnce {
    /// Messages at a time
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) batch: u64,
}

impl AtOnce {
    pub(crate) fn argument(self) -> (&'static str, String) {
        ("batch", comma(self.batch))
    }
}
