//! Use of processors and memory, a bar for each server.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::server::report::Desk;
use crate::show::{bars, commaf, ibytes, outln, print_json, screen_width};

/// Bars are at most so long.
const MAX_WIDTH: usize = 30;

/// Show the use of a resource on each server
#[derive(Args, Debug)]
pub(crate) struct Usage {
    /// Wait for so many servers
    limit: Option<usize>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

/// What is used.
#[derive(Clone, Copy)]
pub(crate) enum What {
    Cpu,
    Memory,
}

impl Usage {
    pub(crate) async fn run(&self, desk: &Desk<'_>, what: What) -> Result<()> {
        let key = if matches!(what, What::Cpu) { "statsz.cpu" } else { "statsz.mem" };
        let answers = desk.ask("", Value::Null, self.limit).await?;
        let usage: BTreeMap<_, _> =
            answers.iter().map(|answer| (answer.text("server.name").to_owned(), answer.number(key))).collect();
        if self.json {
            return print_json(&usage);
        }
        let width = (screen_width().saturating_sub(30) / 2).clamp(5, MAX_WIDTH);
        let (title, show): (_, fn(f64) -> String) = match what {
            What::Cpu => ("CPU Usage", commaf),
            What::Memory => ("Memory Usage", |bytes| ibytes(bytes as u64)),
        };
        outln!("{title}\n\n{}", bars(&usage, width, show));
        Ok(())
    }
}
