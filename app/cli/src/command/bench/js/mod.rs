//! `nats bench js`: streams.

mod consume;
mod fast;
mod get;
mod publish;
pub(super) mod room;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::invocation::Invocation;

/// Measure a stream: store messages, consume them, read them directly
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(super) struct JetStream {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Store messages
    Pub(Store),
    /// Consume by ordered consumers, each of which gets everything
    Ordered(consume::Ordered),
    /// Consume by one durable consumer that all clients share, as messages come
    Consume(consume::Consume),
    /// Consume by one durable consumer that all clients share, batch by batch
    Fetch(consume::Fetch),
    /// Read messages by their sequence
    Get(Read),
}

/// Store messages
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
struct Store {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Wait for each acknowledgement
    Sync(publish::Sync),
    /// Wait for the acknowledgements of a batch
    Async(publish::Async),
    /// Store batches that are there as a whole or not at all
    #[command(visible_alias = "batch")]
    Atomic(publish::Atomic),
    /// Store one batch for each client, with few answers
    Fast(publish::Fast),
}

/// Read messages by their sequence
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
struct Read {
    #[command(subcommand)]
    command: ReadCommand,
}

#[derive(Debug, Subcommand)]
enum ReadCommand {
    /// One by one
    Sync(get::Sync),
    /// Many with one request
    Batch(get::Batch),
}

impl JetStream {
    pub(super) async fn run(self, invocation: &Invocation) -> Result<()> {
        match self.command {
            Command::Pub(Store { command: StoreCommand::Sync(command) }) => command.run(invocation).await,
            Command::Pub(Store { command: StoreCommand::Async(command) }) => command.run(invocation).await,
            Command::Pub(Store { command: StoreCommand::Atomic(command) }) => command.run(invocation).await,
            Command::Pub(Store { command: StoreCommand::Fast(command) }) => command.run(invocation).await,
            Command::Ordered(command) => command.run(invocation).await,
            Command::Consume(command) => command.run(invocation).await,
            Command::Fetch(command) => command.run(invocation).await,
            Command::Get(Read { command: ReadCommand::Sync(command) }) => command.run(invocation).await,
            Command::Get(Read { command: ReadCommand::Batch(command) }) => command.run(invocation).await,
        }
    }
}
