//! `nats bench kv`.

use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::command::api::{Api, STREAM_NOT_FOUND, is_api_error};
use crate::command::bench::histogram::Histogram;
use crate::command::bench::pace::Pace;
use crate::command::bench::plan::{Arguments, Content, Plan, Tempo};
use crate::command::bench::race::{Progress, Race};
use crate::command::bench::report::Report;
use crate::command::bench::sample::Sample;
use crate::command::kv::STREAM_PREFIX;
use crate::failure::advise;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::parse::size;
use crate::show::{comma, humanize, ibytes, log};
use crate::template::random_below;

const PUT: &str = "KV putter";
const GET: &str = "KV getter";

/// Measure a bucket of keys; the keys are numbers
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(super) struct KeyValue {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Store values
    Put(Put),
    /// Read values
    Get(Get),
}

/// Which bucket, and which keys.
#[derive(Args, Clone, Debug)]
struct Keys {
    /// The bucket
    #[arg(long, default_value = "benchbucket")]
    bucket: String,
    /// Take so many keys at random; 0 takes each in turn
    #[arg(long, default_value_t = 0)]
    randomize: u64,
}

/// Store values
#[derive(Args, Clone, Debug)]
struct Put {
    #[command(flatten)]
    keys: Keys,
    /// Values that a new bucket keeps of each key
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    history: u8,
    /// Where a new bucket is kept
    #[arg(long, default_value = "file", value_parser = ["file", "memory"])]
    storage: String,
    /// How often a new bucket is kept
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: u8,
    /// What a new bucket may hold
    #[arg(long, default_value = "1GB", value_parser = size)]
    maxbytes: u64,
    /// Remove all values first
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    plan: Plan,
    #[command(flatten)]
    tempo: Tempo,
    #[command(flatten)]
    content: Content,
}

/// Read values
#[derive(Args, Clone, Debug)]
struct Get {
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    plan: Plan,
    #[command(flatten)]
    tempo: Tempo,
}

impl KeyValue {
    pub(super) async fn run(self, invocation: &Invocation) -> Result<()> {
        match self.command {
            Command::Put(command) => command.run(invocation).await,
            Command::Get(command) => command.run(invocation).await,
        }
    }
}

impl Keys {
    fn arguments(&self) -> Arguments {
        vec![("bucket", self.bucket.clone()), ("randomize", comma(self.randomize))]
    }

    fn stream(&self) -> String {
        format!("{STREAM_PREFIX}{}", self.bucket)
    }

    fn key(&self, number: u64) -> String {
        match self.randomize {
            0 => number.to_string(),
            most => random_below(most).to_string(),
        }
    }
}

impl Put {
    async fn run(mut self, invocation: &Invocation) -> Result<()> {
        self.plan.settle(&self.tempo)?;
        let mut arguments = self.keys.arguments();
        arguments.push(("history", self.history.to_string()));
        arguments.push(("storage", self.storage.clone()));
        arguments.push(("replicas", self.replicas.to_string()));
        arguments.push(("max-bytes", ibytes(self.maxbytes)));
        arguments.push(("sleep", humanize(self.tempo.sleep)));
        log!("{}", self.plan.banner(PUT, arguments, Some(&self.tempo)));
        self.prepare(invocation).await?;
        let body = Bytes::from(self.content.body(self.plan.size)?);
        let (plan, keys) = (self.plan.clone(), self.keys.clone());
        race(invocation, &plan, &self.tempo, keys, PUT, 'P', Some(body)).await
    }

    /// Makes the bucket, if it is not there.
    async fn prepare(&self, invocation: &Invocation) -> Result<()> {
        let api = Api::open(invocation).await?;
        let name = self.keys.stream();
        match api.stream(&name).await {
            Ok(_) if self.purge => drop(api.call(&format!("STREAM.PURGE.{name}"), Value::Null).await?),
            Ok(_) => {}
            Err(error) if is_api_error(&error, STREAM_NOT_FOUND) => {
                let config = json!({
                    "name": name,
                    "subjects": [format!("$KV.{}.>", self.keys.bucket)],
                    "storage": self.storage,
                    "num_replicas": self.replicas,
                    "max_bytes": self.maxbytes,
                    "max_msgs_per_subject": self.history,
                    "discard": "new",
                    "allow_rollup_hdrs": true,
                    "deny_delete": true,
                    "allow_direct": true,
                });
                api.call(&format!("STREAM.CREATE.{name}"), config).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Get {
    async fn run(mut self, invocation: &Invocation) -> Result<()> {
        self.plan.settle(&self.tempo)?;
        let mut arguments = self.keys.arguments();
        arguments.push(("sleep", humanize(self.tempo.sleep)));
        log!("{}", self.plan.banner(GET, arguments, Some(&self.tempo)));
        let api = Api::open(invocation).await?;
        api.stream(&self.keys.stream()).await.map_err(|error| match is_api_error(&error, STREAM_NOT_FOUND) {
            true => {
                advise(format!("bucket {} does not exist", self.keys.bucket), "nats bench kv put makes and fills it")
            }
            false => error,
        })?;
        race(invocation, &self.plan, &self.tempo, self.keys.clone(), GET, 'S', None).await
    }
}

/// All clients at work: with a body they store, without one they read.
async fn race(
    invocation: &Invocation,
    plan: &Plan,
    tempo: &Tempo,
    keys: Keys,
    label: &'static str,
    prefix: char,
    body: Option<Bytes>,
) -> Result<()> {
    let mut race = Race::new(plan, label);
    let verb = if body.is_some() { "publishing" } else { "expecting" };
    let mut clients = Vec::new();
    for (count, first) in plan.shares() {
        let (link, context) = invocation.jetstream().await?;
        let store = context.get_key_value(&keys.bucket).await.map_err(|error| anyhow!("nats: {error}"))?;
        clients.push((link, store, race.announce(verb, count), count, first));
    }
    for (link, store, progress, count, first) in clients {
        let pace = Pace::new(tempo.sleep, tempo.share(plan.clients));
        let client = Client { keys: keys.clone(), store, body: body.clone(), pace, progress, _link: link };
        race.run(client.work(count, first));
    }
    let samples = race.finish().await?;
    Report { label, plan, samples, prefix }.show()
}

/// One client at work.
struct Client {
    keys: Keys,
    store: Store,
    body: Option<Bytes>,
    pace: Pace,
    progress: Progress,
    _link: Link,
}

impl Client {
    async fn work(mut self, count: u64, first: u64) -> Result<Sample> {
        let (start, mut latencies, mut bytes) = (Instant::now(), Histogram::default(), 0);
        for number in 0..count {
            let key = self.keys.key(first + number);
            let began = Instant::now();
            match &self.body {
                Some(body) => {
                    self.store.put(key, body.clone()).await.map_err(|error| anyhow!("nats: {error}"))?;
                    bytes += body.len() as u64;
                }
                None => match self.store.get(key.as_str()).await.map_err(|error| anyhow!("nats: {error}"))? {
                    Some(value) => bytes += value.len() as u64,
                    None => bail!("key {key} of bucket {} has no value", self.keys.bucket),
                },
            }
            latencies.record(began.elapsed());
            self.progress.advance(1);
            if !self.pace.is_free() {
                tokio::time::sleep(self.pace.pause(number + 1, Instant::now())).await;
            }
        }
        Ok(Sample { messages: count, bytes, seen: count, start, end: Instant::now(), latencies })
    }
}
