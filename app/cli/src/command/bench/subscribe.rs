//! `nats bench sub`.

use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::command::bench::histogram::Histogram;
use crate::command::bench::plan::Plan;
use crate::command::bench::race::{Progress, Race};
use crate::command::bench::report::Report;
use crate::command::bench::sample::Sample;
use crate::invocation::Invocation;
use crate::link::{Counter, Line};
use crate::show::log;

const LABEL: &str = "Core NATS subscriber";

/// Receive messages: every client waits for all of them
#[derive(Args, Debug)]
pub(crate) struct Subscribe {
    /// Subject to subscribe to
    subject: String,
    /// Subscribe to the subjects of a publisher with --multisubject
    #[arg(long)]
    multisubject: bool,
    #[command(flatten)]
    plan: Plan,
}

impl Subscribe {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let filter = if self.multisubject { format!("{}.*", self.subject) } else { self.subject.clone() };
        let arguments = vec![("subject", filter.clone()), ("multi-subject", self.multisubject.to_string())];
        log!("{}", self.plan.banner(LABEL, arguments, None));
        let mut race = Race::new(&self.plan, LABEL);
        for _ in 0..self.plan.clients {
            let mut line = invocation.line().await?;
            let mut counter = Counter::default();
            let early = line.subscribe(&filter, &mut counter).await?.messages;
            let progress = race.announce("expecting", self.plan.msgs);
            race.run(receive(line, (counter, early), progress, self.plan.msgs, self.plan.size));
        }
        let samples = race.finish().await?;
        Report { label: LABEL, plan: &self.plan, samples, prefix: 'S' }.show()
    }
}

/// One subscriber at work: the time runs from the first message to the last.
async fn receive(
    mut line: Line,
    (mut counter, early): (Counter, u64),
    mut progress: Progress,
    wanted: u64,
    size: u64,
) -> Result<Sample> {
    let mut start = (early > 0).then(Instant::now);
    let mut seen = early;
    while seen < wanted {
        let counted = line.count(&mut counter).await?;
        if counted.messages > 0 {
            start.get_or_insert_with(Instant::now);
        }
        seen += counted.messages;
        progress.advance(counted.messages);
    }
    let (start, end) = (start.unwrap_or_else(Instant::now), Instant::now());
    let latencies = Histogram::default();
    Ok(Sample { messages: wanted, bytes: wanted * size, seen, start, end, latencies })
}
