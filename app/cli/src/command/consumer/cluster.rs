//! `nats consumer cluster`.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::command::consumer::find::Selectors;
use crate::command::consumer::{Desk, Which, info};
use crate::command::dig::Dig;
use crate::command::leadership::{Seat, balance};
use crate::show::{log, outln};

/// Look after a clustered consumer
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the leader step down
    #[command(visible_aliases = ["elect", "down", "d"])]
    StepDown(StepDown),
    /// Spread leaders evenly over servers
    Balance(Balance),
}

/// Make the leader step down
#[derive(Args, Debug)]
struct StepDown {
    #[command(flatten)]
    which: Which,
    /// The server that should lead
    #[arg(long, value_name = "SERVER")]
    preferred: Option<String>,
    /// Also when there is no leader
    #[arg(long, short = 'f')]
    force: bool,
}

/// Spread leaders evenly over servers
#[derive(Args, Debug)]
struct Balance {
    /// The stream
    stream: Option<String>,
    #[command(flatten)]
    selectors: Selectors,
}

impl Cluster {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        match &self.command {
            Command::StepDown(command) => command.run(desk).await,
            Command::Balance(command) => command.run(desk).await,
        }
    }
}

impl StepDown {
    async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let info = desk.consumer(&self.which).await?;
        let (stream, name) = (info.text("stream_name"), info.text("name"));
        let seat = Seat::of_consumer(&info);
        if !seat.is_clustered() {
            bail!("consumer {stream:?} > {name:?} is not clustered");
        }
        if seat.leader().is_empty() && !self.force {
            bail!("consumer has no current leader");
        }
        let peers = seat.cluster.list("replicas").len() + 1;
        log!("Requesting leader step down of {:?} in a {peers} peer RAFT group", seat.leader());
        seat.step_down(desk.api, self.preferred.as_deref()).await?;
        seat.follow(desk.api).await;
        outln!();
        info::page(&desk.api.consumer(stream, name).await?, info::What::All).print();
        Ok(())
    }
}

impl Balance {
    async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let stream = desk.stream(self.stream.as_deref()).await?;
        let consumers = self.selectors.select(desk, &stream).await?;
        if consumers.is_empty() {
            outln!("No consumers on {stream}");
            return Ok(());
        }
        let moved = balance(desk.api, consumers.iter().map(Seat::of_consumer).collect()).await?;
        outln!("Balanced {moved} consumers on {stream}");
        Ok(())
    }
}
