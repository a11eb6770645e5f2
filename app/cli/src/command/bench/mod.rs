//! `nats bench`: how fast messages go through a server.

mod histogram;
mod js;
mod kv;
mod pace;
mod plan;
mod publish;
mod race;
mod report;
mod request;
mod sample;
mod serve;
mod subscribe;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::invocation::Invocation;

/// Measure how fast messages go through a server
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish messages
    Pub(publish::Publish),
    /// Receive messages
    Sub(subscribe::Subscribe),
    /// Send requests and wait for their replies
    Request(request::Request),
    /// Measure a service: request and serve
    Service(Service),
    /// Measure a stream: store messages, consume them, read them directly
    Js(Box<js::JetStream>),
    /// Measure a bucket of keys; the keys are numbers
    Kv(Box<kv::KeyValue>),
}

/// Measure a service
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
struct Service {
    #[command(subcommand)]
    command: ServiceCommand,
}

#[derive(Debug, Subcommand)]
enum ServiceCommand {
    /// Send requests and wait for their replies
    Request(request::Request),
    /// Answer requests until Ctrl-C
    Serve(serve::Serve),
}

impl Bench {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        match self.command {
            Command::Pub(command) => command.run(invocation).await,
            Command::Sub(command) => command.run(invocation).await,
            Command::Request(command) => command.run(invocation).await,
            Command::Js(command) => command.run(invocation).await,
            Command::Kv(command) => command.run(invocation).await,
            Command::Service(Service { command: ServiceCommand::Request(command) }) => command.run(invocation).await,
            Command::Service(Service { command: ServiceCommand::Serve(command) }) => command.run(invocation).await,
        }
    }
}
