//! Clients that start together, their bars, and the end of all of them.

use anyhow::{Result, anyhow, bail};
use indicatif::{MultiProgress, ProgressBar};
use tokio::task::JoinSet;

use crate::command::bench::plan::Plan;
use crate::command::bench::sample::Sample;
use crate::command::wait::interrupted;
use crate::show::{bar, comma, log, stderr_is_terminal};

/// A bar is moved after so many messages: moving it for each one would be measured too.
const BAR_STEP: u64 = 512;

/// The bar of one client, if there are bars.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    pending: u64,
}

impl Progress {
    pub(crate) fn advance(&mut self, messages: u64) {
        self.pending += messages;
        if self.pending >= BAR_STEP {
            self.settle();
        }
    }

    fn settle(&mut self) {
        if let Some(bar) = &self.bar {
            bar.inc(self.pending);
        }
        self.pending = 0;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.settle();
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// The start line: every client announces itself, and none runs before all are there.
pub(crate) struct Race<'a> {
    plan: &'a Plan,
    label: &'static str,
    bars: Option<MultiProgress>,
    clients: JoinSet<(u32, Result<Sample>)>,
    number: u32,
}

impl<'a> Race<'a> {
    pub(crate) fn new(plan: &'a Plan, label: &'static str) -> Self {
        let bars = (plan.progress.is_on() && stderr_is_terminal()).then(MultiProgress::new);
        Self { plan, label, bars, clients: JoinSet::new(), number: 0 }
    }

    /// Announces a client: `verb` is what it does with its messages.
    pub(crate) fn announce(&mut self, verb: &str, messages: u64) -> Progress {
        self.number += 1;
        let line = format!("[{}] Starting {}, {verb} {} messages", self.number, self.label, comma(messages));
        match &self.bars {
            None => {
                log!("{line}");
                Progress { bar: None, pending: 0 }
            }
            Some(bars) => {
                bars.suspend(|| log!("{line}"));
                let label = format!("[{}]", self.number);
                Progress { bar: Some(bars.add(bar(messages.max(1), &label))), pending: 0 }
            }
        }
    }

    /// Lets a client run.
    pub(crate) fn run(&mut self, client: impl Future<Output = Result<Sample>> + Send + 'static) {
        let number = u32::try_from(self.clients.len()).unwrap_or(u32::MAX) + 1;
        self.clients.spawn(async move { (number, client.await) });
    }

    /// Waits for all clients; the first error is the result of the whole.
    pub(crate) async fn finish(mut self) -> Result<Vec<Sample>> {
        let stop = interrupted();
        let mut samples = Vec::with_capacity(self.clients.len());
        let mut failed = None;
        let all = async {
            while let Some(ended) = self.clients.join_next().await {
                match ended {
                    Ok((number, Ok(sample))) => samples.push((number, sample)),
                    Ok((number, Err(error))) => {
                        log!("Error from client {number}: {error:#}");
                        failed = failed.take().or(Some(error));
                    }
                    Err(error) => failed = failed.take().or(Some(anyhow!(error))),
                }
            }
        };
        tokio::select! {
            () = all => {}
            () = stop => bail!("interrupted before all {} clients were done", self.plan.clients),
        }
        if let Some(error) = failed {
            return Err(error);
        }
        samples.sort_by_key(|(number, _)| *number);
        Ok(samples.into_iter().map(|(_, sample)| sample).collect())
    }
}
