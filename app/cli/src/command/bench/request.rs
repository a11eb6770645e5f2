//! `nats bench request`.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use async_nats::{Client, Request as NatsRequest};
use clap::Args;

use crate::command::bench::histogram::Histogram;
use crate::command::bench::pace::Pace;
use crate::command::bench::plan::{Content, Plan, Tempo};
use crate::command::bench::race::{Progress, Race};
use crate::command::bench::report::Report;
use crate::command::bench::sample::Sample;
use crate::failure::advise;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::{humanize, log};
use crate::template::random_below;

const LABEL: &str = "Core NATS service requester";

/// Send requests and wait for their replies, one at a time in each client
#[derive(Args, Clone, Debug)]
pub(crate) struct Request {
    /// Subject of the service
    subject: String,
    #[command(flatten)]
    plan: Plan,
    #[command(flatten)]
    tempo: Tempo,
    #[command(flatten)]
    content: Content,
}

impl Request {
    pub(crate) async fn run(mut self, invocation: &Invocation) -> Result<()> {
        self.plan.settle(&self.tempo)?;
        let arguments = vec![("subject", self.subject.clone()), ("sleep", humanize(self.tempo.sleep))];
        log!("{}", self.plan.banner(LABEL, arguments, Some(&self.tempo)));
        let mut race = Race::new(&self.plan, LABEL);
        let mut clients = Vec::new();
        for (count, _) in self.plan.shares() {
            let link = invocation.connect().await?;
            clients.push((link, race.announce("requesting", count), count));
        }
        for (number, (link, progress, count)) in clients.into_iter().enumerate() {
            race.run(request(self.clone(), link, progress, count, number > 0));
        }
        let samples = race.finish().await?;
        Report { label: LABEL, plan: &self.plan, samples, prefix: 'P' }.show()
    }
}

/// One requester at work.
async fn request(bench: Request, link: Link, progress: Progress, count: u64, is_staggered: bool) -> Result<Sample> {
    if is_staggered && !bench.tempo.sleep.is_zero() {
        let nanos = u64::try_from(bench.tempo.sleep.as_nanos()).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_nanos(random_below(nanos))).await;
    }
    link.unless_fault(ask(&bench, &link.client, progress, count)).await
}

async fn ask(bench: &Request, client: &Client, mut progress: Progress, count: u64) -> Result<Sample> {
    let body = bytes::Bytes::from(bench.content.body(bench.plan.size)?);
    let headers = bench.content.headers()?;
    let pace = Pace::new(bench.tempo.sleep, bench.tempo.share(bench.plan.clients));
    let subject = async_nats::Subject::from(bench.subject.as_str());
    let start = Instant::now();
    let mut latencies = Histogram::default();
    for number in 0..count {
        let mut request = NatsRequest::new().payload(body.clone());
        if !headers.is_empty() {
            request = request.headers(headers.clone());
        }
        let sent = Instant::now();
        let reply =
            client.send_request(subject.clone(), request).await.map_err(|error| explain(&error, &bench.subject))?;
        latencies.record(sent.elapsed());
        if reply.payload.is_empty() || reply.payload.starts_with(b"-") {
            bail!("Request did not receive a good reply: {:?}", String::from_utf8_lossy(&reply.payload));
        }
        progress.advance(1);
        if !pace.is_free() {
            tokio::time::sleep(pace.pause(number + 1, Instant::now())).await;
        }
    }
    let bytes = count * body.len() as u64;
    Ok(Sample { messages: count, bytes, seen: count * 2, start, end: Instant::now(), latencies })
}

fn explain(error: &async_nats::RequestError, subject: &str) -> anyhow::Error {
    match error.kind() {
        async_nats::RequestErrorKind::NoResponders => advise(
            "requesting: nats: no responders available for request",
            format!("start the service first: nats bench service serve {subject}"),
        ),
        async_nats::RequestErrorKind::TimedOut => anyhow!("requesting: nats: timeout"),
        _ => anyhow!("requesting: nats: {error}"),
    }
}
