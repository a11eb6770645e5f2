//! `nats stream subjects`.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::show::{Table, comma, outln, print_json};

/// More pages of subjects than any stream has.
const MAX_PAGES: usize = 10_000;

/// Show the subjects in a stream
#[derive(Args, Debug)]
pub(crate) struct Subjects {
    /// The stream
    stream: Option<String>,
    /// Only subjects that this covers
    #[arg(default_value = ">")]
    filter: String,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Sort by this
    #[arg(long, default_value = "messages", value_name = "KEY")]
    sort: Key,
    /// Sort the other way round
    #[arg(long, short = 'R')]
    reverse: bool,
    /// Show only the subjects
    #[arg(long)]
    names: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Key {
    #[value(alias = "subjects")]
    Name,
    #[value(alias = "count")]
    Messages,
}

impl Subjects {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let stream = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        let found = gather(api, &stream, &self.filter).await?;
        if self.json {
            return print_json(&found);
        }
        if found.is_empty() {
            outln!("No subjects found matching {}", self.filter);
            return Ok(());
        }
        let mut subjects: Vec<(String, u64)> =
            found.into_iter().map(|(subject, count)| (subject, count.as_u64().unwrap_or(0))).collect();
        subjects.sort_by(|a, b| if self.sort == Key::Name { a.0.cmp(&b.0) } else { (a.1, &a.0).cmp(&(b.1, &b.0)) });
        if self.reverse {
            subjects.reverse();
        }
        if self.names {
            subjects.iter().for_each(|(subject, _)| outln!("{subject}"));
        } else {
            table(&stream, &subjects).print();
        }
        Ok(())
    }
}

/// The subjects of a stream that a filter covers, and how many messages each has.
pub(crate) async fn gather(api: &Api<'_>, stream: &str, filter: &str) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    for _ in 0..MAX_PAGES {
        let body = json!({"subjects_filter": filter, "offset": found.len()});
        let page = api.call(&format!("STREAM.INFO.{stream}"), body).await?;
        let Some(subjects) = page.dig("state.subjects").as_object().filter(|subjects| !subjects.is_empty()) else {
            break;
        };
        found.extend(subjects.clone());
        if found.len() as u64 >= page.whole("total") {
            break;
        }
    }
    Ok(found)
}

/// Short subjects stand side by side.
fn table(stream: &str, subjects: &[(String, u64)]) -> Table {
    let longest = subjects.iter().map(|(subject, _)| subject.len()).max().unwrap_or(0);
    let most = subjects.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let pairs = match longest + comma(most).len() {
        ..20 => 3,
        20..30 => 2,
        _ => 1,
    };
    let header = ["Subject", "Count"].repeat(pairs);
    let mut table = Table::new(format!("{} Subjects in stream {stream}", subjects.len()), &header);
    let height = subjects.len().div_ceil(pairs);
    for row in 0..height {
        let cells = (0..pairs).flat_map(|column| match subjects.get(row + column * height) {
            Some((subject, count)) => [subject.clone(), if *count == 0 { String::new() } else { comma(*count) }],
            None => [String::new(), String::new()],
        });
        table.row(cells.collect());
    }
    table
}
