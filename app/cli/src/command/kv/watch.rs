//! `nats kv watch`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::Api;
use crate::command::kv::{Bucket, Operation};
use crate::command::reader::{Reader, Until};
use crate::global::negatable;
use crate::show::{local_time, outln, stdout_is_terminal};

negatable! {
    /// Show deletes too
    Deletes, "deletes", "no-deletes", true
}

/// Show values as they change
#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// The bucket
    bucket: String,
    /// The key, or keys with wildcards
    #[arg(default_value = ">")]
    key: String,
    /// Start with all values there were
    #[arg(long, conflicts_with = "updates")]
    history: bool,
    #[command(flatten)]
    deletes: Deletes,
    /// Show only values that are written from now on
    #[arg(long)]
    updates: bool,
    /// Start at this revision
    #[arg(long)]
    revision: Option<u64>,
}

impl Watch {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        let mut config = self.start();
        config["filter_subject"] = bucket.subject(&self.key).into();
        let mut reader = Reader::open(api, &bucket.stream(), config, Until::Stopped).await?;
        while let Some(entry) = reader.next().await? {
            let operation = Operation::of(entry.message.headers.as_ref());
            if operation != Operation::Put && !self.deletes.is_on() {
                continue;
            }
            let (at, key) = (local_time(entry.facts.at), bucket.key_of(&entry.message.subject));
            let place = format!("[{at}] {} {} > {key}", coloured(operation), bucket.name);
            match operation {
                Operation::Put => outln!("{place}: {}", String::from_utf8_lossy(&entry.message.payload)),
                Operation::Delete | Operation::Purge => outln!("{place}"),
            }
        }
        Ok(())
    }

    fn start(&self) -> Value {
        match self.revision.filter(|revision| *revision > 0) {
            Some(revision) => json!({"deliver_policy": "by_start_sequence", "opt_start_seq": revision}),
            None if self.history => json!({"deliver_policy": "all"}),
            None if self.updates => json!({"deliver_policy": "new"}),
            None => json!({"deliver_policy": "last_per_subject"}),
        }
    }
}

fn coloured(operation: Operation) -> String {
    if !stdout_is_terminal() {
        return operation.name().to_owned();
    }
    let text = console::style(operation.name());
    if operation == Operation::Put { text.green() } else { text.red() }.to_string()
}
