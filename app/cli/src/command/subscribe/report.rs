//! A table of the busiest subjects, painted anew every second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use async_nats::Message;
use clap::Args;
use tokio::task::JoinHandle;

use crate::show::{Table, cells, comma, ibytes, out, stdout_is_terminal};

/// Subjects that are counted one by one; further ones are not shown.
const MAX_SUBJECTS: usize = 1_000_000;

/// Reports instead of messages.
#[derive(Args, Debug)]
#[command(next_help_heading = "Report")]
pub(crate) struct Report {
    /// Count messages by subject
    #[arg(long)]
    report_subjects: bool,
    /// Count messages by subscription
    #[arg(long)]
    report_subscriptions: bool,
    /// How many subjects to show
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    report_top: usize,
}

type Counts = Arc<Mutex<HashMap<String, (u64, u64)>>>;

/// A report that is being painted.
pub(crate) struct Live {
    counts: Counts,
    /// The filters of the subscriptions, when messages are counted by them.
    filters: Option<Vec<String>>,
    painter: JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.painter.abort();
    }
}

impl Report {
    pub(crate) fn check(&self) -> Result<()> {
        if self.report_subjects && self.report_top == 0 {
            bail!("subject count must be at least one");
        }
        Ok(())
    }

    /// Begins to paint, if a report was asked for.
    pub(crate) fn start(&self, subjects: &[String]) -> Option<Live> {
        if !self.report_subjects && !self.report_subscriptions {
            return None;
        }
        let counts = Counts::default();
        let (shown, top) = (Arc::clone(&counts), self.report_top.max(1));
        let painter = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            tick.tick().await;
            loop {
                tick.tick().await;
                paint(&shown, top);
            }
        });
        Some(Live { counts, filters: self.report_subscriptions.then(|| subjects.to_vec()), painter })
    }
}

impl Live {
    /// Counts a message under its subject, or under the subscription that it came by.
    pub(crate) fn count(&self, at: usize, message: &Message) {
        let filter = self.filters.as_ref().and_then(|filters| filters.get(at));
        let name = filter.map_or(message.subject.as_str(), String::as_str);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_SUBJECTS && !counts.contains_key(name) {
            return;
        }
        let count = counts.entry(name.to_owned()).or_default();
        count.0 += 1;
        count.1 += message.payload.len() as u64;
    }
}

fn paint(counts: &Counts, top: usize) {
    if stdout_is_terminal() {
        out!("\x1b[2J\x1b[H");
    }
    let mut rows: Vec<_> = {
        let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(subject, &(messages, bytes))| (subject.clone(), messages, bytes)).collect()
    };
    rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    rows.truncate(top);
    table(&rows, top).print();
}

fn table(rows: &[(String, u64, u64)], top: usize) -> Table {
    let title = if top == 1 { "Top Subject Report".to_owned() } else { format!("Top {top} Active Subjects Report") };
    let mut table = Table::new(title, &["Subject", "Message Count", "Bytes"]);
    for (subject, messages, bytes) in rows {
        table.row(cells![subject, messages, ibytes(*bytes)]);
    }
    let total = |of: fn(&(String, u64, u64)) -> u64| rows.iter().map(of).sum::<u64>();
    table.footer(vec!["Totals".to_owned(), comma(total(|row| row.1)), ibytes(total(|row| row.2))]);
    table
}
