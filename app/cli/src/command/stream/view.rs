//! `nats stream view`: messages page by page.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::Api;
use crate::command::body::{Translator, header_lines};
use crate::command::delivery::Delivery;
use crate::command::reader::{Reader, Until};
use crate::parse::{ago, duration};
use crate::show::{confirm, is_interactive, local_time, log, outln};

const LARGEST_PAGE: usize = 25;
/// Headers that say where a message was stored, not what it is.
const HIDDEN: [&str; 7] = [
    "Nats-Subject",
    "Nats-Stream",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
    "Nats-UpTo-Sequence",
];

/// Look through the messages of a stream
#[derive(Args, Debug)]
pub(crate) struct View {
    /// The stream
    stream: Option<String>,
    /// Messages of a page, at most 25
    #[arg(default_value_t = 10)]
    size: usize,
    /// Start at this sequence
    #[arg(long, conflicts_with = "since")]
    id: Option<u64>,
    /// Start with messages received since a duration like 1d3h5m2s ago
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// Show nothing but bodies
    #[arg(long)]
    raw: bool,
    /// Send bodies through this command before showing them
    #[arg(long, value_name = "COMMAND")]
    translate: Option<String>,
    /// Only messages of this subject
    #[arg(long)]
    subject: Option<String>,
}

impl View {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        if !is_interactive() {
            bail!("interactive stream paging requires a valid terminal");
        }
        if self.size > LARGEST_PAGE {
            log!("Page size is limited to {LARGEST_PAGE}, setting to {LARGEST_PAGE}...");
        }
        let size = self.size.clamp(1, LARGEST_PAGE);
        let name = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        let mut reader = Reader::open(api, &name, self.start(), Until::End).await?;
        let mut shown = 0;
        while let Some(delivery) = reader.next().await? {
            self.show(&delivery).await;
            shown += 1;
            if shown % size == 0 && reader.pending() > 0 && !confirm("Next Page?")? {
                reader.close().await;
                return Ok(());
            }
        }
        log!("Reached apparent end of data");
        reader.close().await;
        Ok(())
    }

    fn start(&self) -> Value {
        let mut config = match (self.since, self.id) {
            (Some(since), _) => json!({"deliver_policy": "by_start_time", "opt_start_time": ago(since).to_string()}),
            (None, Some(sequence)) => json!({"deliver_policy": "by_start_sequence", "opt_start_seq": sequence}),
            (None, None) => json!({}),
        };
        if let Some(subject) = &self.subject {
            config["filter_subject"] = subject.as_str().into();
        }
        config
    }

    async fn show(&self, delivery: &Delivery) {
        let (message, facts) = (&delivery.message, &delivery.facts);
        if self.raw {
            return outln!("{}", String::from_utf8_lossy(&message.payload));
        }
        let received = local_time(facts.at);
        outln!("[{}] Subject: {} Received: {received}", facts.stream_sequence, message.subject);
        let lines = header_lines(message.headers.as_ref());
        let is_shown = |line: &&String| !HIDDEN.iter().any(|name| line.starts_with(&format!("{name}:")));
        if !lines.is_empty() {
            outln!();
        }
        lines.iter().filter(is_shown).for_each(|line| outln!("  {}", line.replace('\u{c}', "\u{240a}")));
        Translator(self.translate.as_deref()).print(&message.payload, &message.subject, &facts.stream).await;
    }
}
