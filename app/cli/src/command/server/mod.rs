//! `nats server`: looking after servers.

mod account;
pub(crate) mod check;
mod cluster;
mod config;
mod consumer_check;
mod graph;
mod info;
mod list;
pub(crate) use list::compacted;
mod mappings;
mod passwd;
mod ping;
mod replicas;
pub(crate) mod report;
pub(crate) mod request;
pub(crate) mod source;
mod stream_check;
mod watch;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::invocation::Invocation;

/// Look after servers
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Server {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look after accounts
    #[command(visible_alias = "acct")]
    Account(account::Account),
    /// Check the health of servers, for monitoring systems
    Check(check::Check),
    /// Look after the servers that lead JetStream together
    #[command(visible_aliases = ["r", "raft"])]
    Cluster(cluster::Cluster),
    /// Look after the configuration of servers
    Config(config::Config),
    /// Compare the replicas of consumers
    ConsumerCheck(consumer_check::ConsumerCheck),
    /// Draw what a server does
    Graph(graph::Graph),
    /// Show a server: its process, connections, limits and figures
    #[command(visible_alias = "i")]
    Info(info::Info),
    /// List known servers
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show what a subject mapping makes of a subject
    #[command(visible_alias = "mapping")]
    Mappings(mappings::Mappings),
    /// Hash a password for a server configuration
    #[command(visible_aliases = ["mkpasswd", "pass", "password"])]
    Passwd(passwd::Passwd),
    /// Ask all servers for a sign of life
    Ping(ping::Ping),
    /// Show tables over all servers
    #[command(visible_alias = "rep")]
    Report(report::Report),
    /// Request monitoring data from servers
    #[command(visible_alias = "req")]
    Request(request::Request),
    /// Compare the replicas of streams
    StreamCheck(stream_check::StreamCheck),
    /// Watch servers, accounts or JetStream
    Watch(watch::Watch),
}

impl Server {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        match self.command {
            Command::Account(command) => command.run(invocation).await,
            Command::Check(command) => command.run(invocation).await,
            Command::Cluster(command) => command.run(invocation).await,
            Command::Config(command) => command.run(invocation).await,
            Command::ConsumerCheck(command) => command.run(invocation).await,
            Command::Graph(command) => command.run(invocation).await,
            Command::Info(command) => command.run(invocation).await,
            Command::List(command) => command.run(invocation).await,
            Command::Mappings(command) => command.run(),
            Command::Passwd(command) => command.run(),
            Command::Ping(command) => command.run(invocation).await,
            Command::Report(command) => command.run(invocation).await,
            Command::Request(command) => command.run(invocation).await,
            Command::StreamCheck(command) => command.run(invocation).await,
            Command::Watch(command) => command.run(invocation).await,
        }
    }
}
