//! `nats stream`: streams and what is in them.

mod add;
pub(crate) mod backup;
mod cluster;
pub(crate) mod config;
mod copy;
mod edit;
mod find;
mod frames;
mod gaps;
mod get;
mod graph;
pub(crate) mod info;
mod ls;
mod purge;
mod report;
pub(crate) mod restore;
mod rm;
mod seal;
pub(crate) mod subjects;
mod view;

pub(crate) use report::peers;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::api::Api;
use crate::invocation::Invocation;

/// Look after streams
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Streams {
    /// Show system streams too
    #[arg(long, short = 'a', global = true)]
    all: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a stream
    #[command(visible_aliases = ["create", "new"])]
    Add(Box<add::Add>),
    /// Write a stream to a directory
    #[command(visible_alias = "snapshot")]
    Backup(backup::Backup),
    /// Look after a clustered stream
    #[command(visible_alias = "c")]
    Cluster(cluster::Cluster),
    /// Create a stream with the configuration of another one
    #[command(visible_alias = "cp")]
    Copy(Box<copy::Copy>),
    /// Change the configuration of a stream
    #[command(visible_alias = "update")]
    Edit(Box<edit::Edit>),
    /// Find streams
    #[command(visible_alias = "query")]
    Find(find::Find),
    /// Find gaps where messages were deleted
    Gaps(gaps::Gaps),
    /// Show a message
    Get(get::Get),
    /// Draw what happens in a stream
    Graph(graph::Graph),
    /// Show a stream
    #[command(visible_aliases = ["nfo", "i"])]
    Info(info::Info),
    /// List streams
    #[command(visible_aliases = ["list", "l"])]
    Ls(ls::Ls),
    /// Remove messages
    Purge(purge::Purge),
    /// Show a table of streams
    Report(report::Report),
    /// Read a stream from a directory
    Restore(restore::Restore),
    /// Remove a stream
    #[command(visible_aliases = ["delete", "del"])]
    Rm(rm::Rm),
    /// Remove one message, and overwrite it
    Rmm(rm::Rmm),
    /// Forbid all changes of a stream, forever
    Seal(seal::Seal),
    /// Show the state of a stream
    State(info::State),
    /// Show the subjects in a stream
    #[command(visible_alias = "subj")]
    Subjects(subjects::Subjects),
    /// Look through the messages of a stream
    View(view::View),
}

impl Streams {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let api = Api::open(invocation).await?;
        match self.command {
            Command::Add(command) => command.run(&api).await,
            Command::Backup(command) => command.run(&api).await,
            Command::Cluster(command) => command.run(&api, self.all).await,
            Command::Copy(command) => command.run(&api).await,
            Command::Edit(command) => command.run(&api, self.all).await,
            Command::Find(command) => command.run(&api, self.all).await,
            Command::Gaps(command) => command.run(&api, self.all).await,
            Command::Get(command) => command.run(&api, self.all).await,
            Command::Graph(command) => command.run(&api, self.all).await,
            Command::Info(command) => command.run(&api, self.all).await,
            Command::Ls(command) => command.run(&api, self.all).await,
            Command::Purge(command) => command.run(&api, self.all).await,
            Command::Report(command) => command.run(&api, self.all).await,
            Command::Restore(command) => command.run(&api).await,
            Command::Rm(command) => command.run(&api, self.all).await,
            Command::Rmm(command) => command.run(&api, self.all).await,
            Command::Seal(command) => command.run(&api, self.all).await,
            Command::State(command) => command.run(&api, self.all).await,
            Command::Subjects(command) => command.run(&api, self.all).await,
            Command::View(command) => command.run(&api, self.all).await,
        }
    }
}
