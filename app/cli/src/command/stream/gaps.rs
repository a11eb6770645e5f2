//! `nats stream gaps`.

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use crate::command::api::Api;
use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::reader::{Reader, Until};
use crate::command::stream::backup::Progress;
use crate::show::{Table, bar, cells, comma, ibytes, outln, print_json, stderr_is_terminal};

/// Find gaps where messages were deleted
#[derive(Args, Debug)]
pub(crate) struct Gaps {
    /// The stream
    stream: Option<String>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
    #[command(flatten)]
    progress: Progress,
    /// Show JSON
    #[arg(long)]
    json: bool,
}

impl Gaps {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let name = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        let info = api.stream(&name).await?;
        let state = info.dig("state");
        if state.whole("num_deleted") == 0 {
            if self.json {
                outln!("{{}}");
            } else {
                outln!("No deleted messages in {name}");
            }
            return Ok(());
        }
        if !self.force {
            outln!(
                "WARNING: Finding gaps may read the whole stream, which is work for the server, this client and the \
                 network between them.\n"
            );
            let (messages, bytes) = (comma(state.whole("messages")), ibytes(state.whole("bytes")));
            let question = format!("Really detect gaps in stream {name} with {messages} messages and {bytes} bytes");
            if !confirmed(false, &question)? {
                return Ok(());
            }
        }
        let has_bar = self.progress.is_on() && !self.json && stderr_is_terminal();
        let bar = has_bar.then(|| bar(state.whole("last_seq") - state.whole("first_seq") + 1, ""));
        let gaps = find(api, &name, bar.as_ref()).await?;
        if let Some(bar) = bar {
            bar.finish();
        }
        if self.json {
            return print_json(&json!(gaps));
        }
        if gaps.is_empty() {
            outln!("No deleted messages in {name}");
            return Ok(());
        }
        show(&name, &gaps);
        Ok(())
    }
}

fn show(name: &str, gaps: &[(u64, u64)]) {
    let count = if gaps.len() == 1 { "1 gap".to_owned() } else { format!("{} gaps", comma(gaps.len() as u64)) };
    let mut table = Table::new(format!("{count} found in Stream {name}"), &["First Message", "Last Message"]);
    for (first, last) in gaps {
        table.row(cells![*first, *last]);
    }
    table.print();
}

async fn find(api: &Api<'_>, stream: &str, bar: Option<&ProgressBar>) -> Result<Vec<(u64, u64)>> {
    let info = api.call(&format!("STREAM.INFO.{stream}"), json!({"deleted_details": true})).await?;
    let state = info.dig("state");
    let deleted: Vec<u64> = state.list("deleted").iter().filter_map(serde_json::Value::as_u64).collect();
    let mut gaps = runs(&deleted);
    if (deleted.len() as u64) < state.whole("num_deleted") {
        let next = deleted.last().map_or_else(|| state.whole("first_seq"), |last| last + 1);
        gaps.extend(walk(api, stream, next, bar).await?);
    }
    Ok(gaps)
}

/// Runs of numbers that follow each other, as their first and last ones.
fn runs(numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}

/// The server names so many deleted messages and no more: beyond them, the numbers of what is there tell the gaps.
async fn walk(api: &Api<'_>, stream: &str, from: u64, bar: Option<&ProgressBar>) -> Result<Vec<(u64, u64)>> {
    let config = json!({"headers_only": true, "deliver_policy": "by_start_sequence", "opt_start_seq": from});
    let mut reader = Reader::open(api, stream, config, Until::End).await?;
    let (mut gaps, mut expected) = (Vec::new(), from);
    while let Some(delivery) = reader.next().await? {
        let sequence = delivery.facts.stream_sequence;
        if sequence > expected {
            gaps.push((expected, sequence - 1));
        }
        expected = sequence + 1;
        if let Some(bar) = bar {
            bar.set_position(sequence);
        }
    }
    reader.close().await;
    Ok(gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_make_one_gap() {
        assert_eq!(runs(&[2, 3, 4, 7, 9, 10]), [(2, 4), (7, 7), (9, 10)]);
        assert!(runs(&[]).is_empty());
    }
}
