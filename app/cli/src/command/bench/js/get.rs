//! `nats bench js get`.

use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use async_nats::StatusCode;
use clap::Args;
use futures::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use crate::command::api::{Api, subject};
use crate::command::bench::histogram::Histogram;
use crate::command::bench::js::publish::PATIENCE;
use crate::command::bench::js::room::{AtOnce, Name};
use crate::command::bench::plan::{Arguments, Plan};
use crate::command::bench::race::{Progress, Race};
use crate::command::bench::report::Report;
use crate::command::bench::sample::Sample;
use crate::command::dig::Dig;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::log;

const SYNC: &str = "JetStream synchronous getter";
const BATCH: &str = "JetStream batched direct getter";
/// The answer to a batch ends with this.
const END_OF_BATCH: u16 = 204;

/// Read messages one by one
#[derive(Args, Clone, Debug)]
pub(crate) struct Sync {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    plan: Plan,
}

/// Read many messages with one request
#[derive(Args, Clone, Debug)]
pub(crate) struct Batch {
    #[command(flatten)]
    name: Name,
    /// Read only these subjects
    #[arg(long, value_name = "SUBJECT", default_value = ">")]
    filter: String,
    #[command(flatten)]
    at_once: AtOnce,
    #[command(flatten)]
    plan: Plan,
}

/// Which messages are read, and by what request.
#[derive(Clone)]
struct Reading {
    call: String,
    filter: Option<String>,
    at_once: u64,
    first: u64,
    last: u64,
}

impl Sync {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let arguments = vec![("stream", self.name.stream.clone())];
        run(invocation, SYNC, &self.name, self.plan, None, 1, arguments).await
    }
}

impl Batch {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let name = ("stream", self.name.stream.clone());
        let arguments = vec![name, ("filter", self.filter.clone()), self.at_once.argument()];
        run(invocation, BATCH, &self.name, self.plan, Some(self.filter), self.at_once.batch, arguments).await
    }
}

async fn run(
    invocation: &Invocation,
    label: &'static str,
    name: &Name,
    mut plan: Plan,
    filter: Option<String>,
    at_once: u64,
    arguments: Arguments,
) -> Result<()> {
    let api = Api::open(invocation).await?;
    let info = name.find(&api).await?;
    if info.dig("config.allow_direct").as_bool() != Some(true) {
        bail!("stream {} does not allow direct reads: nats stream edit {} --allow-direct", name.stream, name.stream);
    }
    let (first, last) = (info.whole("state.first_seq"), info.whole("state.last_seq"));
    plan.msgs = plan.msgs.min(info.whole("state.messages"));
    if plan.msgs == 0 {
        bail!("stream {} has no messages", name.stream);
    }
    plan.clients = plan.clients.min(u32::try_from(plan.msgs).unwrap_or(u32::MAX));
    log!("{}", plan.banner(label, arguments, None));
    let call = subject(&invocation.settings()?, &format!("DIRECT.GET.{}", name.stream));
    let mut race = Race::new(&plan, label);
    let mut clients = Vec::new();
    for (count, from) in plan.shares() {
        let link = invocation.connect().await?;
        clients.push((link, race.announce("expecting", count), count, from));
    }
    for (link, progress, count, from) in clients {
        let (call, filter) = (call.clone(), filter.clone());
        let reading = Reading { call, filter, at_once, first: first + from, last };
        race.run(reading.work(link, progress, count));
    }
    let samples = race.finish().await?;
    Report { label, plan: &plan, samples, prefix: 'S' }.show()
}

impl Reading {
    async fn work(self, link: Link, mut progress: Progress, count: u64) -> Result<Sample> {
        let (start, mut latencies) = (Instant::now(), Histogram::default());
        let (mut seen, mut bytes, mut next) = (0, 0, self.first);
        while seen < count && next <= self.last {
            let began = Instant::now();
            let batch = self.at_once.min(count - seen);
            let (read, size, behind) = self.read(&link, next, batch).await?;
            latencies.record(began.elapsed());
            progress.advance(read);
            (seen, bytes, next) = (seen + read, bytes + size, behind);
            if read == 0 {
                break;
            }
        }
        Ok(Sample { messages: seen, bytes, seen, start, end: Instant::now(), latencies })
    }

    /// Reads messages from a sequence on: how many, their bytes, and where to go on.
    async fn read(&self, link: &Link, from: u64, batch: u64) -> Result<(u64, u64, u64)> {
        let wish = match &self.filter {
            None => json!({ "seq": from, "next_by_subj": ">" }),
            Some(filter) => json!({ "seq": from, "next_by_subj": filter, "batch": batch }),
        };
        let inbox = link.client.new_inbox();
        let mut answers = link.client.subscribe(inbox.clone()).await?;
        link.client.publish_with_reply(self.call.clone(), inbox, wish.to_string().into()).await?;
        let (mut read, mut bytes, mut behind) = (0, 0, from + 1);
        loop {
            let answer = timeout(PATIENCE, answers.next()).await;
            let Ok(Some(message)) = answer else { bail!("no answer to {}", self.call) };
            match message.status {
                Some(status) if status.as_u16() == END_OF_BATCH => break,
                Some(StatusCode::NOT_FOUND) => break,
                Some(status) if status != StatusCode::OK => {
                    bail!("nats: {} {}", status, message.description.unwrap_or_default());
                }
                _ => {}
            }
            let sequence = message.headers.as_ref().and_then(|headers| headers.get("Nats-Sequence"));
            let sequence = sequence.and_then(|text| text.as_str().parse::<u64>().ok());
            behind = sequence.ok_or_else(|| anyhow!("an answer without a sequence"))? + 1;
            read += 1;
            bytes += message.payload.len() as u64;
            if self.filter.is_none() {
                break;
            }
        }
        Ok((read, bytes, behind))
    }
}
