//! `nats counter`: numbers in a stream, one for each subject, to which publishers add.

use anyhow::{Context as _, Result, bail};
use async_nats::header::HeaderMap;
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::command::api::{Api, check_name};
use crate::command::dig::Dig;
use crate::command::stored::{Stored, Wanted};
use crate::command::stream::subjects::gather;
use crate::failure::advise;
use crate::invocation::Invocation;
use crate::show::{Columns, outln, print_json};

const INCREMENT: &str = "Nats-Incr";
const SOURCES: &str = "Nats-Counter-Sources";

/// Keep numbers to which publishers add
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Counters {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the number
    #[command(visible_alias = "g")]
    Get(One),
    /// Show the number, what was added last, and from which streams it comes
    #[command(visible_alias = "v")]
    View(One),
    /// Add to a number
    #[command(visible_aliases = ["incr", "inc", "i"])]
    Increment(Add),
    /// Take away from a number
    #[command(visible_aliases = ["decr", "dec", "d"])]
    Decrement(Add),
    /// List the counters
    #[command(visible_aliases = ["l", "ls"])]
    List(List),
}

/// A counter.
#[derive(Args, Debug)]
struct One {
    /// Subject of the counter
    subject: String,
    /// The stream that has it, if subjects do not tell
    #[arg(long)]
    stream: Option<String>,
}

/// How much.
#[derive(Args, Debug)]
struct Add {
    /// Subject of the counter
    subject: String,
    /// A whole number, of any size
    #[arg(allow_hyphen_values = true, value_parser = whole)]
    value: String,
}

/// Which counters.
#[derive(Args, Debug)]
struct List {
    /// Only subjects that this covers
    #[arg(required_unless_present = "stream")]
    subject: Option<String>,
    /// The stream that has them, if subjects do not tell
    #[arg(long)]
    stream: Option<String>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

impl Counters {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let api = &Api::open(invocation).await?;
        match self.command {
            Command::Get(one) => {
                outln!("{}", value(&one.find(api).await?.body)?);
                Ok(())
            }
            Command::View(one) => {
                page(&one.subject, &one.find(api).await?)?.print();
                Ok(())
            }
            Command::Increment(add) => add.run(api, &add.value).await,
            Command::Decrement(add) => add.run(api, &negated(&add.value)).await,
            Command::List(list) => list.run(api).await,
        }
    }
}

impl One {
    async fn find(&self, api: &Api<'_>) -> Result<Stored> {
        let stream = stream_of(api, self.stream.as_deref(), &self.subject).await?;
        match api.message(&stream, true, Wanted::LastOf(&self.subject)).await? {
            Some(message) => Ok(message),
            None => bail!("counter {} was never added to", self.subject),
        }
    }
}

impl Add {
    async fn run(&self, api: &Api<'_>, change: &str) -> Result<()> {
        stream_of(api, None, &self.subject).await?;
        let mut headers = HeaderMap::new();
        headers.insert(INCREMENT, change);
        let answer = api.store(self.subject.clone(), headers, Bytes::new()).await?;
        outln!("{}", answer.text("val"));
        Ok(())
    }
}

impl List {
    async fn run(&self, api: &Api<'_>) -> Result<()> {
        let filter = self.subject.as_deref().unwrap_or(">");
        let stream = stream_of(api, self.stream.as_deref(), filter).await?;
        let mut subjects: Vec<String> = gather(api, &stream, filter).await?.into_iter().map(|found| found.0).collect();
        subjects.sort();
        if subjects.is_empty() {
            bail!("no counters found");
        }
        if self.json {
            return print_json(&subjects);
        }
        subjects.iter().for_each(|subject| outln!("{subject}"));
        Ok(())
    }
}

/// The stream that has a counter.
async fn stream_of(api: &Api<'_>, named: Option<&str>, subject: &str) -> Result<String> {
    let name = match named {
        Some(name) => name.to_owned(),
        None => {
            let names = api.stream_names(Some(subject)).await?;
            let make = format!("nats stream add COUNTERS --subjects {subject:?} --allow-counter --defaults makes one");
            names.into_iter().next().ok_or_else(|| advise(format!("no stream has {subject}"), &make))?
        }
    };
    check_name("stream", &name)?;
    let config = api.stream(&name).await?;
    if !config.flag("config.allow_msg_counter") || !config.flag("config.allow_direct") {
        bail!("{name:?} is not a valid counter stream");
    }
    Ok(name)
}

fn value(body: &[u8]) -> Result<String> {
    let body: Value = serde_json::from_slice(body).context("the message is no counter")?;
    Ok(body.text("val").to_owned())
}

fn page(subject: &str, message: &Stored) -> Result<Columns> {
    let header = |name: &str| message.headers.get(name).map_or("", |value| value.as_str());
    let mut page = Columns::new(format!("Counter {subject}"));
    page.row("Value", value(&message.body)?);
    page.row("Increment", header(INCREMENT).trim_start_matches('+'));
    page.row("Subject", message.subject.as_str());
    let sources: Value = serde_json::from_str(header(SOURCES)).unwrap_or_default();
    match sources.as_object().filter(|sources| !sources.is_empty()) {
        None => {
            page.line("No source information found");
        }
        Some(sources) => {
            page.section("Sources");
            for (stream, counters) in sources {
                let counters = counters.as_object().into_iter().flatten();
                page.rows(stream, counters.map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or("?"))));
            }
        }
    }
    Ok(page)
}

fn whole(text: &str) -> Result<String, &'static str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a whole number is needed");
    }
    Ok(text.strip_prefix('+').unwrap_or(text).to_owned())
}

fn negated(value: &str) -> String {
    value.strip_prefix('-').map_or_else(|| format!("-{value}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_taken_and_turned_round() {
        assert_eq!(whole("+5").as_deref(), Ok("5"));
        assert_eq!(whole("-340282366920938463463374607431768211456").map(|n| n.len()), Ok(40));
        for text in ["", "-", "+-1", "1.5", "x"] {
            assert!(whole(text).is_err(), "{text}");
        }
        assert_eq!((negated("5"), negated("-5")), ("-5".to_owned(), "5".to_owned()));
    }
}
