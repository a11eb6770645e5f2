//! `nats stream ls`.

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::{Api, is_internal};
use crate::command::dig::Dig;
use crate::command::stream::info::since_then;
use crate::show::{Table, cells, humanize, ibytes, local_time, outln, print_json};

/// List streams
#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// Only streams that hold this subject
    #[arg(long)]
    subject: Option<String>,
    /// Show only names
    #[arg(long, short = 'n')]
    names: bool,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

impl Ls {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        if self.names {
            let names = api.stream_names(self.subject.as_deref()).await?;
            if self.json {
                return print_json(&names);
            }
            names.iter().for_each(|name| outln!("{name}"));
            return Ok(());
        }
        let filter = self.subject.as_ref().map_or(Value::Null, |subject| json!({"subject": subject}));
        let all = api.listing("STREAM.LIST", "streams", filter).await.context("could not list streams")?;
        let mut streams: Vec<_> =
            all.found.iter().filter(|stream| is_all || !is_internal(stream.text("config.name"))).collect();
        if self.json {
            return print_json(&streams.iter().map(|stream| stream.text("config.name")).collect::<Vec<_>>());
        }
        if streams.is_empty() && !all.found.is_empty() {
            outln!("No Streams defined, pass -a to include system streams");
        } else if all.is_empty() {
            outln!("No Streams defined");
        }
        streams.sort_by_key(|stream| stream.whole("state.bytes"));
        let table = self.table(&streams);
        if !table.is_empty() {
            table.print();
        }
        all.print_absent("Streams");
        Ok(())
    }

    fn table(&self, streams: &[&Value]) -> Table {
        let title = self.subject.as_ref().map_or("Streams".to_owned(), |subject| format!("Streams matching {subject}"));
        let mut table = Table::new(title, &["Name", "Description", "Created", "Messages", "Size", "Last Message"]);
        for stream in streams {
            let last =
                stream.time("state.last_ts").map_or("never".to_owned(), |last| humanize(since_then(stream, last)));
            table.row(cells![
                stream.text("config.name"),
                stream.text("config.description"),
                stream.time("created").map(local_time).unwrap_or_default(),
                stream.whole("state.messages"),
                ibytes(stream.whole("state.bytes")),
                last,
            ]);
        }
        table
    }
}
