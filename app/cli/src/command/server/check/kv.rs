//! `nats server check kv`.

use anyhow::Result;
use clap::Args;

use crate::command::api::{Api, STREAM_NOT_FOUND, is_api_error};
use crate::command::dig::Dig;
use crate::command::kv::{Bucket, Operation, check_bucket, stream_of};
use crate::command::server::check::outcome::{Metric, Outcome};
use crate::command::server::check::threshold::Limits;
use crate::invocation::Invocation;

/// Check a bucket of values
#[derive(Args, Debug)]
pub(crate) struct Kv {
    /// The bucket
    #[arg(long)]
    bucket: String,
    /// Critical with this many values; when lower than --values-warn, with not more than this many
    #[arg(long, default_value_t = -1, value_name = "VALUES", allow_negative_numbers = true)]
    values_critical: i64,
    /// Warn with this many values; when higher than --values-critical, with not more than this many
    #[arg(long, default_value_t = -1, value_name = "VALUES", allow_negative_numbers = true)]
    values_warn: i64,
    /// Critical unless this key has a value
    #[arg(long)]
    key: Option<String>,
}

impl Kv {
    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    pub(crate) async fn run(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        let Some(api) = outcome.needs(Api::open(invocation).await, "connection failed") else { return Ok(()) };
        let Some(opened) = outcome.needs(self.open(&api).await, "could not load bucket") else { return Ok(()) };
        let Some(bucket) = opened else {
            outcome.critical(format!("bucket {} not found", self.bucket));
            return Ok(());
        };
        outcome.ok(format!("bucket {}", self.bucket));
        let (values, limits) =
            (bucket.info.number("state.messages"), Limits::from_zero(self.values_warn, self.values_critical));
        let (warn, critical) = limits.pair();
        outcome
            .metric(Metric::count("values", values, "How many values are stored in the bucket").limits(warn, critical));
        if let Some(key) = &self.key {
            judge_key(&bucket, key, outcome).await;
        }
        if !limits.is_none() {
            limits.judge(values, format!("{values} values"), outcome);
        }
        let bytes = bucket.info.number("state.bytes");
        outcome.metric(Metric::count("bytes", bytes, "Bytes stored in the bucket").unit("B"));
        let replicas = bucket.info.number("config.num_replicas");
        outcome.metric(Metric::count("replicas", replicas, "Replicas of the bucket"));
        Ok(())
    }

    async fn open<'a>(&self, api: &'a Api<'a>) -> Result<Option<Bucket<'a>>> {
        check_bucket(&self.bucket)?;
        match api.stream(&stream_of(&self.bucket)).await {
            Ok(_) => Bucket::open(api, &self.bucket).await.map(Some),
            Err(error) if is_api_error(&error, STREAM_NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn judge_key(bucket: &Bucket<'_>, key: &str, outcome: &mut Outcome) {
    let found = bucket.entry(key, None).await.map(|entry| entry.map(|entry| Operation::of(Some(&entry.headers))));
    match found {
        Ok(Some(Operation::Put)) => outcome.ok(format!("key {key} found")),
        Ok(Some(Operation::Delete)) => outcome.critical(format!("key {key} is deleted")),
        Ok(Some(Operation::Purge)) => outcome.critical(format!("key {key} is purged")),
        Ok(None) => outcome.critical(format!("key {key} not found")),
        Err(error) => outcome.critical(format!("key {key} not loaded: {error:#}")),
    }
}
