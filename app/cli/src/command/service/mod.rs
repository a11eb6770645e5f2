//! `nats service`: finding services, asking them, and a small one for trying things out.

mod info;
mod list;
mod ping;
mod request;
mod serve;
mod stats;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::gather::{NoResponders, Question, ask};
use crate::invocation::Invocation;
use crate::link::Link;

/// Find services and ask them
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Service {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List services, or the instances of one
    #[command(visible_aliases = ["ls", "l"])]
    List(list::List),
    /// Show a service
    #[command(visible_alias = "i")]
    Info(info::Info),
    /// Show figures of a service
    Stats(stats::Stats),
    /// Ask services for a sign of life
    Ping(ping::Ping),
    /// Send a request to an endpoint of a service
    #[command(visible_alias = "req")]
    Request(request::Request),
    /// Run a service that echoes
    Serve(serve::Serve),
}

impl Service {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        match self.command {
            Command::List(command) => command.run(invocation).await,
            Command::Info(command) => command.run(invocation).await,
            Command::Stats(command) => command.run(invocation).await,
            Command::Ping(command) => command.run(invocation).await,
            Command::Request(command) => command.run(invocation).await,
            Command::Serve(command) => command.run(invocation).await,
        }
    }
}

/// `$SRV.VERB`, narrowed to a service and to one instance of it.
fn subject(verb: &str, name: &str, id: &str) -> String {
    [&format!("$SRV.{verb}"), name, id].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

/// Asks services and keeps the answers of the expected type: anybody could answer anything.
async fn gather(
    invocation: &Invocation,
    link: &Link,
    (verb, kind): (&str, &str),
    (name, id): (&str, &str),
    expect: usize,
) -> Result<Vec<Value>> {
    let subject = subject(verb, name, id);
    let question = Question { subject: &subject, body: Value::Null, expect };
    let wanted = format!("io.nats.micro.v1.{kind}");
    match ask(invocation, link, &question).await {
        Err(error) if error.is::<NoResponders>() => bail!("no service instances found"),
        Err(error) => Err(error),
        Ok(mut answers) => {
            answers.retain(|answer| answer.text("type") == wanted);
            answers.sort_by_key(|answer| (answer.text("name").to_owned(), answer.text("id").to_owned()));
            Ok(answers)
        }
    }
}

const INFO: (&str, &str) = ("INFO", "info_response");
const STATS: (&str, &str) = ("STATS", "stats_response");
