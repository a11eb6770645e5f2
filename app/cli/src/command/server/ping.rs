//! `nats server ping`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::gather::{NoResponders, Question, ask_each, no_results};
use crate::invocation::Invocation;
use crate::show::{go_duration, outln};

/// Ask all servers for a sign of life
#[derive(Args, Debug)]
pub(crate) struct Ping {
    /// How many servers to expect
    expect: Option<usize>,
    /// Draw how the answers are distributed in time
    #[arg(long)]
    graph: bool,
    /// Show the ids of servers too
    #[arg(long)]
    id: bool,
}

/// The bars of the graph are at most so long, and stand for so many milliseconds each.
const BAR_WIDTH: usize = 60;
const BAR_MILLIS: usize = 25;

impl Ping {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        let mut expect = self.expect.unwrap_or(0);
        let mut times = Vec::new();
        let question = Question { subject: "$SYS.REQ.SERVER.PING", body: Value::Null, expect };
        let asked = ask_each(invocation, &link, &question, |answer| {
            let (server, rtt) = (answer.value.dig("server"), go_duration(answer.took));
            if expect == 0 {
                expect = answer.value.whole("statsz.active_servers") as usize;
            }
            times.push(answer.took.as_millis() as f64);
            let id = if self.id { format!("{} ", server.text("id")) } else { String::new() };
            outln!("{id}{:<60} rtt={rtt}", server.text("name"));
            times.len() != expect
        });
        match asked.await {
            Err(error) if error.is::<NoResponders>() => return Err(no_results()),
            other => other?,
        }
        summarize(&times);
        if self.graph && !times.is_empty() {
            draw(&times);
        }
        if expect != 0 && expect != times.len() {
            outln!("\nMissing {} server(s)", expect.saturating_sub(times.len()));
        }
        Ok(())
    }
}

fn summarize(times: &[f64]) {
    outln!("\n---- ping statistics ----");
    if times.is_empty() {
        outln!("no responses received");
        return;
    }
    let max = times.iter().copied().fold(f64::MIN, f64::max);
    let min = times.iter().copied().fold(f64::MAX, f64::min);
    let avg = times.iter().sum::<f64>() / times.len() as f64;
    outln!("{} replies max: {max:.2} min: {min:.2} avg: {avg:.2}", times.len());
}

fn draw(times: &[f64]) {
    let slot = |time: f64| time as usize / BAR_MILLIS;
    let mut slots = vec![0usize; times.iter().copied().map(slot).max().unwrap_or(0) + 1];
    for &time in times {
        slots[slot(time)] += 1;
    }
    let most = slots.iter().copied().max().unwrap_or(1).max(1);
    outln!("\nResponses per {BAR_MILLIS}ms\n");
    for (at, count) in slots.iter().enumerate() {
        outln!("{:>8}ms: {} {count}", (at + 1) * BAR_MILLIS, "█".repeat(count * BAR_WIDTH / most));
    }
}
