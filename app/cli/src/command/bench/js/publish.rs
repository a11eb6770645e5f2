//! `nats bench js pub`.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use async_nats::header::{HeaderMap, NATS_MESSAGE_ID};
use async_nats::jetstream::Context;
use bytes::Bytes;
use clap::Args;
use serde_json::Value;

use crate::command::api::Api;
use crate::command::bench::histogram::Histogram;
use crate::command::bench::js::fast::{FastBatch, Flow};
use crate::command::bench::js::room::{AtOnce, Room};
use crate::command::bench::pace::Pace;
use crate::command::bench::plan::{Arguments, Content, Plan, Subjects, Tempo};
use crate::command::bench::race::{Progress, Race};
use crate::command::bench::report::Report;
use crate::command::bench::sample::Sample;
use crate::command::dig::Dig;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::{humanize, log};
use crate::template::unique_id;

const SYNC: &str = "JetStream synchronous publisher";
const ASYNC: &str = "JetStream asynchronous publisher";
const ATOMIC: &str = "JetStream atomic batch publisher";
const FAST: &str = "JetStream fast batch publisher";
/// More messages than this a stream takes in no batch.
const ATOMIC_MAX: u64 = 1000;

/// What all of them need.
#[derive(Args, Clone, Debug)]
struct Common {
    /// Subject to publish to
    subject: String,
    #[command(flatten)]
    room: Room,
    #[command(flatten)]
    plan: Plan,
    #[command(flatten)]
    tempo: Tempo,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    content: Content,
}

/// Wait for each acknowledgement
#[derive(Args, Clone, Debug)]
pub(crate) struct Sync {
    #[command(flatten)]
    common: Common,
}

/// Wait for the acknowledgements of a batch
#[derive(Args, Clone, Debug)]
pub(crate) struct Async {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    at_once: AtOnce,
}

/// Store batches that are there as a whole or not at all
#[derive(Args, Clone, Debug)]
pub(crate) struct Atomic {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    at_once: AtOnce,
}

/// Store one batch for each client, with few answers
#[derive(Args, Clone, Debug)]
pub(crate) struct Fast {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    flow: Flow,
}

/// How messages are sent.
#[derive(Clone, Copy)]
enum Way {
    OneByOne,
    Together(u64),
    AllOrNothing(u64),
    Flowing(Flow),
}

impl Way {
    /// What a new stream must be able to do.
    fn needs(self) -> Option<&'static str> {
        match self {
            Way::OneByOne | Way::Together(_) => None,
            Way::AllOrNothing(_) => Some("allow_atomic"),
            Way::Flowing(_) => Some("allow_batched"),
        }
    }
}

impl Sync {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        self.common.run(invocation, SYNC, Way::OneByOne, Vec::new()).await
    }
}

impl Async {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let way = Way::Together(self.at_once.batch);
        self.common.run(invocation, ASYNC, way, vec![self.at_once.argument()]).await
    }
}

impl Atomic {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        if self.at_once.batch > ATOMIC_MAX {
            bail!("a batch has {ATOMIC_MAX} messages at most");
        }
        let way = Way::AllOrNothing(self.at_once.batch);
        self.common.run(invocation, ATOMIC, way, vec![self.at_once.argument()]).await
    }
}

impl Fast {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        self.common.run(invocation, FAST, Way::Flowing(self.flow), self.flow.arguments()).await
    }
}

impl Common {
    async fn run(mut self, invocation: &Invocation, label: &'static str, way: Way, more: Arguments) -> Result<()> {
        self.plan.settle(&self.tempo)?;
        let arguments = [self.subjects.arguments(&self.subject), self.room.arguments(), more].concat();
        let arguments = [arguments, vec![("sleep", humanize(self.tempo.sleep))]].concat();
        log!("{}", self.plan.banner(label, arguments, Some(&self.tempo)));
        let api = Api::open(invocation).await?;
        self.room.prepare(&api, &self.subjects.filter(&self.subject), way.needs()).await?;
        let mut race = Race::new(&self.plan, label);
        let mut clients = Vec::new();
        for (count, first) in self.plan.shares() {
            let (link, context) = invocation.jetstream().await?;
            clients.push((link, context, race.announce("publishing", count), count, first));
        }
        for (link, context, progress, count, first) in clients {
            let publisher = Publisher { bench: self.clone(), link, context, progress };
            race.run(publisher.work(way, count, first));
        }
        let samples = race.finish().await?;
        Report { label, plan: &self.plan, samples, prefix: 'P' }.show()
    }
}

/// One client at work.
struct Publisher {
    bench: Common,
    link: Link,
    context: Context,
    progress: Progress,
}

impl Publisher {
    async fn work(mut self, way: Way, count: u64, first: u64) -> Result<Sample> {
        let body = Bytes::from(self.bench.content.body(self.bench.plan.size)?);
        let pace = Pace::new(self.bench.tempo.sleep, self.bench.tempo.share(self.bench.plan.clients));
        let at_once = match way {
            Way::OneByOne | Way::Flowing(_) => 1,
            Way::Together(batch) | Way::AllOrNothing(batch) => batch,
        };
        let mut flowing = match way {
            Way::Flowing(flow) if count > 0 => Some(FastBatch::open(&self.link.client, flow, count).await?),
            _ => None,
        };
        let (start, mut latencies, mut sent) = (Instant::now(), Histogram::default(), 0);
        while sent < count {
            let batch = at_once.min(count - sent);
            let began = Instant::now();
            match (&mut flowing, way) {
                (Some(flowing), _) => {
                    let subject = self.bench.subjects.subject(&self.bench.subject, first + sent);
                    flowing.add(subject, self.headers(first + sent)?, body.clone()).await?;
                }
                (None, Way::AllOrNothing(_)) => self.store_whole(first + sent, batch, &body).await?,
                (None, _) => self.store(first + sent, batch, &body).await?,
            }
            latencies.record(began.elapsed());
            self.progress.advance(batch);
            sent += batch;
            if !pace.is_free() {
                tokio::time::sleep(pace.pause(sent, Instant::now())).await;
            }
        }
        let bytes = count * body.len() as u64;
        Ok(Sample { messages: count, bytes, seen: count, start, end: Instant::now(), latencies })
    }

    fn headers(&self, number: u64) -> Result<HeaderMap> {
        let mut headers = self.bench.content.headers()?;
        if self.bench.room.dedup {
            headers.insert(NATS_MESSAGE_ID, format!("{}-{number}", self.bench.subject));
        }
        Ok(headers)
    }

    /// Sends messages and waits until all are stored.
    async fn store(&self, first: u64, count: u64, body: &Bytes) -> Result<()> {
        let mut waiting = Vec::with_capacity(usize::try_from(count)?);
        for number in first..first + count {
            let subject = self.bench.subjects.subject(&self.bench.subject, number);
            let headers = self.headers(number)?;
            let sent = match headers.is_empty() {
                true => self.context.publish(subject, body.clone()).await,
                false => self.context.publish_with_headers(subject, headers, body.clone()).await,
            };
            waiting.push(sent.map_err(|error| anyhow!("nats: {error}"))?);
        }
        for acknowledgement in waiting {
            acknowledgement.await.map_err(|error| anyhow!("nats: {error}"))?;
        }
        Ok(())
    }

    /// Sends a batch, the last message of which has it stored.
    async fn store_whole(&self, first: u64, count: u64, body: &Bytes) -> Result<()> {
        let client = &self.link.client;
        let batch = unique_id();
        for at in 0..count {
            let subject = self.bench.subjects.subject(&self.bench.subject, first + at);
            let mut headers = self.headers(first + at)?;
            headers.insert("Nats-Batch-Id", batch.as_str());
            headers.insert("Nats-Batch-Sequence", (at + 1).to_string());
            if at + 1 < count {
                client.publish_with_headers(subject, headers, body.clone()).await?;
                continue;
            }
            headers.insert("Nats-Batch-Commit", "1");
            let answer = client.request_with_headers(subject, headers, body.clone()).await;
            let answer: Value = serde_json::from_slice(&answer.map_err(|error| anyhow!("nats: {error}"))?.payload)?;
            if let Value::Object(_) = answer.dig("error") {
                bail!("{} ({})", answer.dig("error").text("description"), answer.dig("error").whole("err_code"));
            }
            if answer.whole("count") != count {
                bail!("the server stored {} messages of a batch of {count}", answer.whole("count"));
            }
        }
        Ok(())
    }
}

/// Waiting for a stream is over after this.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
