//! `nats bench js ordered`, `consume` and `fetch`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use async_nats::jetstream::{self, AckKind, consumer};
use clap::{Args, ValueEnum};
use futures::StreamExt;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::command::api::{Api, check_name};
use crate::command::bench::histogram::Histogram;
use crate::command::bench::js::publish::PATIENCE;
use crate::command::bench::js::room::{AtOnce, Name};
use crate::command::bench::plan::{Arguments, Plan};
use crate::command::bench::race::{Progress, Race};
use crate::command::bench::report::Report;
use crate::command::bench::sample::Sample;
use crate::command::dig::Dig;
use crate::invocation::Invocation;
use crate::parse::duration;
use crate::show::{humanize, log};

const ORDERED: &str = "JetStream ordered ephemeral consumer";
const CONSUME: &str = "JetStream durable consumer (callback)";
const FETCH: &str = "JetStream durable consumer (fetch)";

/// How messages are acknowledged.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Acks {
    Explicit,
    None,
    All,
}

impl Acks {
    const fn word(self) -> &'static str {
        match self {
            Self::Explicit => "explicit",
            Self::None => "none",
            Self::All => "all",
        }
    }
}

/// Consume by ordered consumers, each of which gets everything
#[derive(Args, Clone, Debug)]
pub(crate) struct Ordered {
    #[command(flatten)]
    name: Name,
    /// Receive only these subjects
    #[arg(long, value_name = "SUBJECT")]
    filter: Vec<String>,
    #[command(flatten)]
    plan: Plan,
}

/// What consumers that share messages have in common.
#[derive(Args, Clone, Debug)]
struct Shared {
    #[command(flatten)]
    name: Name,
    /// The durable consumer
    #[arg(long, default_value = "nats-bench")]
    consumer: String,
    /// How messages are acknowledged
    #[arg(long, default_value = "explicit", value_enum)]
    acks: Acks,
    /// Wait until each acknowledgement is confirmed
    #[arg(long)]
    doubleack: bool,
    /// Receive only these subjects
    #[arg(long, value_name = "SUBJECT")]
    filter: Vec<String>,
    /// Begin anew with a consumer that is there already
    #[arg(long)]
    purge: bool,
    /// Pause before each acknowledgement
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "DURATION")]
    sleep: Duration,
    #[command(flatten)]
    at_once: AtOnce,
    #[command(flatten)]
    plan: Plan,
}

/// Consume by one durable consumer that all clients share, as messages come
#[derive(Args, Clone, Debug)]
pub(crate) struct Consume {
    #[command(flatten)]
    shared: Shared,
}

/// Consume by one durable consumer that all clients share, batch by batch
#[derive(Args, Clone, Debug)]
pub(crate) struct Fetch {
    #[command(flatten)]
    shared: Shared,
}

impl Ordered {
    pub(crate) async fn run(mut self, invocation: &Invocation) -> Result<()> {
        self.plan.msgs = available(invocation, &self.name, self.plan.msgs).await?;
        let arguments = vec![("stream", self.name.stream.clone()), ("filter", self.filter.join(","))];
        log!("{}", self.plan.banner(ORDERED, arguments, None));
        let mut race = Race::new(&self.plan, ORDERED);
        for _ in 0..self.plan.clients {
            let (_link, context) = invocation.jetstream().await?;
            let progress = race.announce("expecting", self.plan.msgs);
            let bench = self.clone();
            race.run(async move {
                let _link = _link;
                bench.receive(context, progress).await
            });
        }
        let samples = race.finish().await?;
        Report { label: ORDERED, plan: &self.plan, samples, prefix: 'S' }.show()
    }

    async fn receive(self, context: jetstream::Context, mut progress: Progress) -> Result<Sample> {
        let stream = context.get_stream(&self.name.stream).await.map_err(|error| anyhow!("nats: {error}"))?;
        let config = consumer::pull::OrderedConfig { filter_subjects: self.filter, ..Default::default() };
        let consumer = stream.create_consumer(config).await.map_err(|error| anyhow!("nats: {error}"))?;
        let mut messages = consumer.messages().await.map_err(|error| anyhow!("nats: {error}"))?;
        let mut count = Count::new();
        while count.messages < self.plan.msgs {
            let message = next(&mut messages).await?;
            count.add(message.payload.len());
            progress.advance(1);
        }
        Ok(count.sample())
    }
}

impl Consume {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        self.shared.run(invocation, CONSUME, false).await
    }
}

impl Fetch {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        self.shared.run(invocation, FETCH, true).await
    }
}

impl Shared {
    async fn run(mut self, invocation: &Invocation, label: &'static str, is_fetching: bool) -> Result<()> {
        check_name("consumer", &self.consumer)?;
        if self.doubleack && matches!(self.acks, Acks::None) {
            bail!("what is not acknowledged is not confirmed: --doubleack needs --acks explicit or all");
        }
        self.plan.msgs = available(invocation, &self.name, self.plan.msgs).await?;
        self.plan.clients = self.plan.clients.min(u32::try_from(self.plan.msgs).unwrap_or(u32::MAX)).max(1);
        log!("{}", self.plan.banner(label, self.arguments(), None));
        self.prepare(invocation).await?;
        let mut race = Race::new(&self.plan, label);
        let mut clients = Vec::new();
        for (count, _) in self.plan.shares() {
            let (link, context) = invocation.jetstream().await?;
            clients.push((link, context, race.announce("expecting", count), count));
        }
        let pool = Arc::new(Pool::new(self.plan.msgs));
        for (link, context, progress, count) in clients {
            let (bench, pool) = (self.clone(), Arc::clone(&pool));
            race.run(async move {
                let sample = match is_fetching {
                    true => bench.fetch(context, progress, count).await?,
                    false => bench.consume(context, progress, &pool).await?,
                };
                link.client.flush().await?;
                Ok(sample)
            });
        }
        let samples = race.finish().await?;
        Report { label, plan: &self.plan, samples, prefix: 'S' }.show()
    }

    fn arguments(&self) -> Arguments {
        vec![
            ("stream", self.name.stream.clone()),
            ("consumer", self.consumer.clone()),
            ("acks", self.acks.word().to_owned()),
            ("double-acked", self.doubleack.to_string()),
            ("filter", self.filter.join(",")),
            ("sleep", humanize(self.sleep)),
            self.at_once.argument(),
        ]
    }

    /// Makes the consumer; one that is there goes on where it was, unless it is to begin anew.
    async fn prepare(&self, invocation: &Invocation) -> Result<()> {
        let api = Api::open(invocation).await?;
        let (stream, consumer) = (&self.name.stream, &self.consumer);
        if self.purge && api.consumer_names(stream).await?.contains(consumer) {
            api.call(&format!("CONSUMER.DELETE.{stream}.{consumer}"), serde_json::Value::Null).await?;
        }
        let mut config = json!({
            "durable_name": consumer,
            "ack_policy": self.acks.word(),
            "max_ack_pending": self.at_once.batch.saturating_mul(u64::from(self.plan.clients)).max(1000),
        });
        match self.filter.as_slice() {
            [] => {}
            [filter] => config["filter_subject"] = filter.as_str().into(),
            filters => config["filter_subjects"] = filters.into(),
        }
        let body = json!({ "stream_name": stream, "config": config });
        api.call(&format!("CONSUMER.DURABLE.CREATE.{stream}.{consumer}"), body).await?;
        Ok(())
    }

    async fn consumer(&self, context: &jetstream::Context) -> Result<Pull> {
        let stream = context.get_stream(&self.name.stream).await.map_err(|error| anyhow!("nats: {error}"))?;
        stream.get_consumer(&self.consumer).await.map_err(|error| anyhow!("nats: {error}"))
    }

    /// Takes what comes until all clients together have enough: what one has asked for ahead no other one gets.
    async fn consume(self, context: jetstream::Context, mut progress: Progress, pool: &Pool) -> Result<Sample> {
        let at_once = usize::try_from(self.at_once.batch)?;
        let messages = self.consumer(&context).await?.stream().max_messages_per_batch(at_once).messages().await;
        let mut messages = messages.map_err(|error| anyhow!("nats: {error}"))?;
        let mut count = Count::new();
        let mut over = pool.over.subscribe();
        loop {
            let left = pool.left.load(Ordering::Relaxed);
            let message = tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => break,
                message = timeout(PATIENCE.max(self.sleep * 2), messages.next()) => message,
            };
            match message {
                Ok(Some(message)) if pool.take() => {
                    let message = message.map_err(|error| anyhow!("nats: {error}"))?;
                    self.settle(&message, &mut count, &mut progress).await?;
                }
                Ok(Some(_)) => break,
                Ok(None) => bail!("the consumer is gone"),
                Err(_) if pool.left.load(Ordering::Relaxed) < left => {}
                Err(_) => bail!("no message came for {}", humanize(PATIENCE.max(self.sleep * 2))),
            }
        }
        Ok(count.sample())
    }

    async fn fetch(self, context: jetstream::Context, mut progress: Progress, wanted: u64) -> Result<Sample> {
        let consumer = self.consumer(&context).await?;
        let at_once = usize::try_from(self.at_once.batch)?;
        let mut count = Count::new();
        while count.messages < wanted {
            let batch = at_once.min(usize::try_from(wanted - count.messages)?);
            let fetched = consumer.fetch().max_messages(batch).messages().await;
            let mut messages = fetched.map_err(|error| anyhow!("nats: {error}"))?;
            let before = count.messages;
            while let Some(message) = messages.next().await {
                let message = message.map_err(|error| anyhow!("nats: {error}"))?;
                self.settle(&message, &mut count, &mut progress).await?;
            }
            if count.messages == before {
                bail!("the consumer has no more messages after {} of {wanted}", count.messages);
            }
        }
        Ok(count.sample())
    }

    async fn settle(&self, message: &jetstream::Message, count: &mut Count, progress: &mut Progress) -> Result<()> {
        count.add(message.payload.len());
        progress.advance(1);
        if !self.sleep.is_zero() {
            tokio::time::sleep(self.sleep).await;
        }
        let settled = match self.acks {
            Acks::None => Ok(()),
            Acks::Explicit | Acks::All if self.doubleack => message.double_ack_with(AckKind::Ack).await,
            Acks::Explicit | Acks::All => message.ack().await,
        };
        count.end = Some(Instant::now());
        settled.map_err(|error| anyhow!("nats: {error}"))
    }
}

type Pull = consumer::Consumer<consumer::pull::Config>;

/// What all clients together have yet to take.
struct Pool {
    left: AtomicU64,
    over: watch::Sender<bool>,
}

impl Pool {
    fn new(messages: u64) -> Self {
        Self { left: AtomicU64::new(messages), over: watch::Sender::new(messages == 0) }
    }

    /// Whether one more is wanted.
    fn take(&self) -> bool {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken == Ok(1) {
            self.over.send_replace(true);
        }
        taken.is_ok()
    }
}

/// The next message of a stream of messages, which must not be silent for long.
async fn next<E: std::fmt::Display>(
    messages: &mut (impl futures::Stream<Item = Result<jetstream::Message, E>> + Unpin),
) -> Result<jetstream::Message> {
    match timeout(PATIENCE, messages.next()).await {
        Ok(Some(message)) => message.map_err(|error| anyhow!("nats: {error}")),
        Ok(None) => bail!("the consumer is gone"),
        Err(_) => bail!("no message came for {}", humanize(PATIENCE)),
    }
}

/// As many messages as there are, and as were asked for.
async fn available(invocation: &Invocation, name: &Name, wanted: u64) -> Result<u64> {
    let api = Api::open(invocation).await?;
    let there = name.find(&api).await?.whole("state.messages");
    if there == 0 {
        bail!("stream {} has no messages", name.stream);
    }
    Ok(wanted.min(there))
}

/// What a consumer has received.
struct Count {
    messages: u64,
    bytes: u64,
    start: Option<Instant>,
    end: Option<Instant>,
}

impl Count {
    const fn new() -> Self {
        Self { messages: 0, bytes: 0, start: None, end: None }
    }

    fn add(&mut self, bytes: usize) {
        self.start.get_or_insert_with(Instant::now);
        self.messages += 1;
        self.bytes += bytes as u64;
    }

    /// The time runs from the first message to the last.
    fn sample(self) -> Sample {
        let end = self.end.unwrap_or_else(Instant::now);
        let start = self.start.unwrap_or(end);
        let Self { messages, bytes, .. } = self;
        Sample { messages, bytes, seen: messages, start, end, latencies: Histogram::default() }
    }
}
