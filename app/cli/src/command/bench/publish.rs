//! `nats bench pub`.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::command::bench::histogram::Histogram;
use crate::command::bench::pace::Pace;
use crate::command::bench::plan::{Content, Plan, Subjects, Tempo};
use crate::command::bench::race::{Progress, Race};
use crate::command::bench::report::Report;
use crate::command::bench::sample::Sample;
use crate::invocation::Invocation;
use crate::link::Line;
use crate::show::{humanize, log};
use crate::template::random_below;

const LABEL: &str = "Core NATS publisher";
/// The server is asked at least this often whether all is well, also while we wait.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Publish messages
#[derive(Args, Clone, Debug)]
pub(crate) struct Publish {
    /// Subject to publish to
    subject: String,
    #[command(flatten)]
    plan: Plan,
    #[command(flatten)]
    tempo: Tempo,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    content: Content,
}

impl Publish {
    pub(crate) async fn run(mut self, invocation: &Invocation) -> Result<()> {
        self.plan.settle(&self.tempo)?;
        let mut arguments = self.subjects.arguments(&self.subject);
        arguments.push(("sleep", humanize(self.tempo.sleep)));
        log!("{}", self.plan.banner(LABEL, arguments, Some(&self.tempo)));
        let mut race = Race::new(&self.plan, LABEL);
        let mut clients = Vec::new();
        for (count, first) in self.plan.shares() {
            let line = invocation.line().await?;
            clients.push((line, race.announce("publishing", count), count, first));
        }
        for (number, (line, progress, count, first)) in clients.into_iter().enumerate() {
            race.run(publish(self.clone(), line, progress, (count, first), number > 0));
        }
        let samples = race.finish().await?;
        Report { label: LABEL, plan: &self.plan, samples, prefix: 'P' }.show()
    }
}

/// One publisher at work.
async fn publish(
    bench: Publish,
    mut line: Line,
    mut progress: Progress,
    (count, first): (u64, u64),
    is_staggered: bool,
) -> Result<Sample> {
    let max_payload = line.greeting.max_payload;
    let one = bench.content.encoded(&bench.subject, bench.plan.size, max_payload)?;
    let body = one.len() - one.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let pace = Pace::new(bench.tempo.sleep, bench.tempo.share(bench.plan.clients));
    if is_staggered && !bench.tempo.sleep.is_zero() {
        let nanos = u64::try_from(bench.tempo.sleep.as_nanos()).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_nanos(random_below(nanos))).await;
    }
    let start = Instant::now();
    let mut latencies = Histogram::default();
    let mut checked = start;
    let mut before = start;
    for number in 0..count {
        if bench.subjects.multisubject {
            let subject = bench.subjects.subject(&bench.subject, first + number);
            let space = one.iter().position(|&byte| byte == b' ').map_or(0, |at| at + 1);
            line.write(&one[..space]).await?;
            line.write(subject.as_bytes()).await?;
            line.write(&one[space + bench.subject.len()..]).await?;
        } else {
            line.write(&one).await?;
        }
        let now = Instant::now();
        latencies.record(now - before);
        before = now;
        progress.advance(1);
        if now - checked > CHECK_EVERY {
            line.flush().await?;
            checked = now;
        }
        if !pace.is_free() {
            rest(&mut line, pace.pause(number + 1, now)).await?;
            before = Instant::now();
        }
    }
    line.flush().await?;
    let bytes = count * bench.plan.size.max(body.saturating_sub(2) as u64);
    Ok(Sample { messages: count, bytes, seen: count, start, end: Instant::now(), latencies })
}

/// Sends what is written and waits, answering the server's questions on the way.
async fn rest(line: &mut Line, pause: Duration) -> Result<()> {
    if pause.is_zero() {
        return Ok(());
    }
    line.push().await?;
    let until = Instant::now() + pause;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left <= CHECK_EVERY {
            tokio::time::sleep(left).await;
            return Ok(());
        }
        tokio::time::sleep(CHECK_EVERY).await;
        line.flush().await?;
    }
}
