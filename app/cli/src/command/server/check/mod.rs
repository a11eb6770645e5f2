//! `nats server check`: checks in the form monitoring systems understand.

mod connection;
mod credential;
mod outcome;
mod request;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

use crate::command::server::check::outcome::Outcome;
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
    /// Check how long a credential is valid
    Credential(credential::Credential),
}

impl Check {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let mut outcome = match &self.command {
            Command::Connection(_) => Outcome::new("Connection", "connections"),
            Command::Request(check) => Outcome::new(check.subject(), "request"),
            Command::Credential(_) => Outcome::new("Credential", "credential"),
        };
        let done = match &self.command {
            Command::Connection(check) => check.run(invocation, &mut outcome).await,
            Command::Request(check) => check.run(invocation, &mut outcome).await,
            Command::Credential(check) => check.run(&mut outcome),
        };
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
