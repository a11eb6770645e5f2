//! `nats server check`: checks in the form monitoring systems understand.

mod connection;
mod consumer;
mod credential;
mod jetstream;
mod kv;
mod message;
mod meta;
mod outcome;
mod request;
pub(crate) mod server;
mod stream;
mod threshold;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::Value;

use crate::command::server::check::outcome::Outcome;
use crate::command::server::check::threshold::Brought;
use crate::failure::Ended;
use crate::invocation::Invocation;

/// Check the health of servers, for monitoring systems
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Check {
    /// How to show the result
    #[arg(long, global = true, default_value = "nagios", value_name = "FORMAT")]
    format: Format,
    /// Prefix of Prometheus metrics
    #[arg(long, global = true, default_value = "nats_server_check", value_name = "NAMESPACE")]
    namespace: String,
    /// Write the result to a file
    #[arg(long, global = true, value_name = "FILE")]
    outfile: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Nagios,
    Json,
    Prometheus,
    Text,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that connecting and a round trip are quick
    #[command(visible_alias = "conn")]
    Connection(connection::Connection),
    /// Check that a service answers
    #[command(visible_alias = "req")]
    Request(request::Request),
    /// Check a stream: its messages, its replicas, and the streams it copies
    Stream(Box<stream::Stream>),
    /// Check a consumer: what waits, and when it last delivered
    Consumer(Box<consumer::Consumer>),
    /// Check the last message of a subject in a stream
    Message(message::Message),
    /// Check the servers that lead JetStream together; needs the system account
    #[command(visible_alias = "raft")]
    Meta(meta::Meta),
    /// Check what the account uses of JetStream, and the replicas of its streams
    #[command(visible_alias = "js")]
    Jetstream(Box<jetstream::Jetstream>),
    /// Check a server: its load, its uptime, and what it demands; needs the system account
    Server(Box<server::Server>),
    /// Check a bucket of values
    Kv(kv::Kv),
    /// Check how long a credential is valid
    Credential(credential::Credential),
}

impl Command {
    /// A fresh outcome with the name of what is checked and the suite it belongs to.
    fn outcome(&self) -> Outcome {
        match self {
            Self::Connection(_) => Outcome::new("Connection", "connections"),
            Self::Request(check) => Outcome::new(check.subject(), "request"),
            Self::Stream(check) => Outcome::new(check.name(), "stream"),
            Self::Consumer(check) => Outcome::new(check.name(), "consumer"),
            Self::Message(_) => Outcome::new("Stream Message", "message"),
            Self::Meta(_) => Outcome::new("JetStream Meta Cluster", "meta"),
            Self::Jetstream(_) => Outcome::new("JetStream", "jetstream"),
            Self::Server(check) => Outcome::new(check.name(), "server"),
            Self::Kv(check) => Outcome::new(check.bucket(), "kv"),
            Self::Credential(_) => Outcome::new("Credential", "credential"),
        }
    }

    async fn run(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        match self {
            Self::Connection(check) => check.run(invocation, outcome).await,
            Self::Request(check) => check.run(invocation, outcome).await,
            Self::Stream(check) => check.run(invocation, outcome).await,
            Self::Consumer(check) => check.run(invocation, outcome).await,
            Self::Message(check) => check.run(invocation, outcome).await,
            Self::Meta(check) => check.run(invocation, outcome).await,
            Self::Jetstream(check) => check.run(invocation, outcome).await,
            Self::Server(check) => check.run(invocation, outcome).await,
            Self::Kv(check) => check.run(invocation, outcome).await,
            Self::Credential(check) => check.run(outcome),
        }
    }
}

impl Check {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let mut outcome = self.command.outcome();
        let done = self.command.run(invocation, &mut outcome).await;
        if let Err(error) = done {
            outcome.critical(format!("Check failed: {error:#}"));
        }
        self.finish(&outcome)
    }

    /// Shows the outcome and ends with its code. Prometheus reads the code from the metrics.
    fn finish(&self, outcome: &Outcome) -> Result<()> {
        let text = match self.format {
            Format::Nagios => outcome.nagios(),
            Format::Json => outcome.json()?,
            Format::Prometheus => outcome.prometheus(&self.namespace),
            Format::Text => outcome.text(),
        };
        match &self.outfile {
            Some(path) => write_whole(path, &text)?,
            None => crate::show::outln!("{text}"),
        }
        match outcome.status().code() {
            0 => Ok(()),
            _ if self.format == Format::Prometheus => Ok(()),
            code => Err(Ended(code).into()),
        }
    }
}

/// What is wrong with a stream by the thresholds in its metadata: warnings, and what is critical. Nothing is wrong with
/// one that does not want to be watched.
pub(crate) fn stream_by_metadata(info: &Value) -> Result<(Vec<String>, Vec<String>)> {
    let mut outcome = Outcome::new("", "stream");
    if Brought::by(info).is_enabled()? {
        stream::Stream::by_metadata(info, &mut outcome)?;
    }
    Ok(outcome.faults())
}

/// The same for a consumer.
pub(crate) fn consumer_by_metadata(info: &Value, now: Timestamp) -> Result<(Vec<String>, Vec<String>)> {
    let mut outcome = Outcome::new("", "consumer");
    if Brought::by(info).is_enabled()? {
        consumer::Consumer::by_metadata(info, now, &mut outcome)?;
    }
    Ok(outcome.faults())
}

/// Replaces a file in one step, so that a reader never sees half of it.
fn write_whole(path: &std::path::Path, text: &str) -> Result<()> {
    let fresh = path.with_extension(format!("tmp-{}", crate::template::random_letters(8)));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(&fresh)?, format!("{text}\n").as_bytes())?;
    Ok(std::fs::rename(&fresh, path)?)
}
