//! `nats consumer`: who reads streams, and how far they are.

mod add;
mod cluster;
mod config;
mod copy;
mod edit;
mod find;
mod graph;
pub(crate) mod info;
mod ls;
mod next;
mod pause;
mod report;
mod rm;
mod sub;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::command::api::{Api, Listing, check_name};
use crate::command::dig::Dig;
use crate::invocation::Invocation;

/// Look after consumers
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Consumers {
    /// Show system streams too
    #[arg(long, short = 'a', global = true)]
    all: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a consumer
    #[command(visible_aliases = ["create", "new"])]
    Add(Box<add::Add>),
    /// Look after a clustered consumer
    #[command(visible_alias = "c")]
    Cluster(cluster::Cluster),
    /// Create a consumer with the configuration of another one
    #[command(visible_alias = "cp")]
    Copy(Box<copy::Copy>),
    /// Change the configuration of a consumer
    #[command(visible_alias = "update")]
    Edit(Box<edit::Edit>),
    /// Find consumers
    #[command(visible_alias = "query")]
    Find(find::Find),
    /// Draw what a consumer does
    Graph(graph::Graph),
    /// Show a consumer
    #[command(visible_alias = "nfo")]
    Info(info::Info),
    /// List consumers
    #[command(visible_alias = "list")]
    Ls(ls::Ls),
    /// Pull messages
    Next(next::Next),
    /// Pause a consumer
    Pause(pause::Pause),
    /// Show a table of consumers
    Report(report::Report),
    /// Set a consumer back
    Reset(rm::Reset),
    /// Let a paused consumer go on
    Resume(pause::Resume),
    /// Remove a consumer
    #[command(visible_aliases = ["delete", "del"])]
    Rm(rm::Rm),
    /// Show the state of a consumer
    State(info::State),
    /// Receive messages
    #[command(hide = true)]
    Sub(sub::Sub),
    /// Take the pin off the client of a group
    Unpin(pause::Unpin),
}

impl Consumers {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let desk = Desk { api: &Api::open(invocation).await?, is_all: self.all };
        match self.command {
            Command::Add(command) => command.run(&desk).await,
            Command::Cluster(command) => command.run(&desk).await,
            Command::Copy(command) => command.run(&desk).await,
            Command::Edit(command) => command.run(&desk).await,
            Command::Find(command) => command.run(&desk).await,
            Command::Graph(command) => command.run(&desk).await,
            Command::Info(command) => command.run(&desk).await,
            Command::Ls(command) => command.run(&desk).await,
            Command::Next(command) => command.run(&desk).await,
            Command::Pause(command) => command.run(&desk).await,
            Command::Report(command) => command.run(&desk).await,
            Command::Reset(command) => command.run(&desk).await,
            Command::Resume(command) => command.run(&desk).await,
            Command::Rm(command) => command.run(&desk).await,
            Command::State(command) => command.run(&desk).await,
            Command::Sub(command) => command.run(&desk).await,
            Command::Unpin(command) => command.run(&desk).await,
        }
    }
}

/// The stream and the consumer, which people may leave out at a terminal.
#[derive(Args, Clone, Debug)]
struct Which {
    /// The stream
    stream: Option<String>,
    /// The consumer
    consumer: Option<String>,
}

/// The API, and whether system streams are offered.
struct Desk<'a> {
    api: &'a Api<'a>,
    is_all: bool,
}

impl Desk<'_> {
    async fn stream(&self, name: Option<&str>) -> Result<String> {
        self.api.pick_stream(name, true, self.is_all).await
    }

    /// The information on the consumer that was named or picked.
    async fn consumer(&self, which: &Which) -> Result<Value> {
        if let (Some(stream), Some(consumer)) = (&which.stream, &which.consumer)
            && let Ok(info) = self.api.consumer(stream, consumer).await
        {
            return Ok(info);
        }
        let stream = self.stream(which.stream.as_deref()).await?;
        let consumer = self.api.pick_consumer(&stream, which.consumer.as_deref()).await?;
        self.api.consumer(&stream, &consumer).await
    }

    /// All consumers of a stream.
    async fn consumers(&self, stream: &str) -> Result<Vec<Value>> {
        Ok(self.listing(stream).await?.found)
    }

    /// All consumers of a stream, and those that could not be read.
    async fn listing(&self, stream: &str) -> Result<Listing> {
        let mut all = self.api.listing(&format!("CONSUMER.LIST.{stream}"), "consumers", Value::Null).await?;
        all.found.sort_by(|one, other| one.text("name").cmp(other.text("name")));
        Ok(all)
    }

    /// Creates a consumer, or changes the one of that name. The filter stands in the subject, where permissions see it.
    async fn put(&self, stream: &str, config: Map<String, Value>) -> Result<Value> {
        let config = Value::from(config);
        check_name("consumer", config.text("name"))?;
        if config.has("pause_until") {
            self.api.require_level(1, "pausing consumers requires NATS Server 2.11").await?;
        }
        match config.text("priority_policy") {
            "" | "none" => {}
            "pinned_client" => {
                self.api.require_level(2, "Prioritized Consumer Groups requires NATS Server 2.12").await?;
            }
            _ => self.api.require_level(1, "Consumer Groups requires NATS Server 2.11").await?,
        }
        let call = match config.text("filter_subject") {
            "" => format!("CONSUMER.CREATE.{stream}.{}", config.text("name")),
            filter => format!("CONSUMER.CREATE.{stream}.{}.{filter}", config.text("name")),
        };
        self.api.call(&call, json!({"stream_name": stream, "config": config})).await
    }
}
