//! `nats stream cluster`.

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::command::api::Api;
use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::leadership::{Seat, balance};
use crate::command::stream::find::Selectors;
use crate::show::{ask, log, outln};

/// Look after a clustered stream
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the leader step down
    #[command(visible_aliases = ["stepdown", "sd", "elect", "down", "d"])]
    StepDown(StepDown),
    /// Spread leaders evenly over servers
    Balance(Selectors),
    /// Take a peer out of the group
    #[command(visible_alias = "pr")]
    PeerRemove(PeerRemove),
}

/// Make the leader step down
#[derive(Args, Debug)]
struct StepDown {
    /// The stream
    stream: Option<String>,
    /// The server that should lead
    #[arg(long, value_name = "SERVER")]
    preferred: Option<String>,
    /// Also when there is no leader
    #[arg(long, short = 'f')]
    force: bool,
}

/// Take a peer out of the group
#[derive(Args, Debug)]
struct PeerRemove {
    /// The stream
    stream: Option<String>,
    /// Name of the peer
    peer: Option<String>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Cluster {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        match &self.command {
            Command::StepDown(command) => command.run(api, is_all).await,
            Command::Balance(selectors) => balance_streams(api, selectors, is_all).await,
            Command::PeerRemove(command) => command.run(api, is_all).await,
        }
    }
}

impl StepDown {
    async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let name = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        let info = api.stream(&name).await?;
        let seat = Seat::of_stream(&info);
        if !seat.is_clustered() {
            bail!("stream {name:?} is not clustered");
        }
        if seat.leader().is_empty() && !self.force {
            bail!("stream {name:?} has no current leader");
        }
        let peers = seat.cluster.list("replicas").len() + 1;
        log!("Requesting leader step down of {:?} for stream {name:?} in a {peers} peer cluster group", seat.leader());
        seat.step_down(api, self.preferred.as_deref()).await?;
        seat.follow(api).await;
        Ok(())
    }
}

async fn balance_streams(api: &Api<'_>, selectors: &Selectors, is_all: bool) -> Result<()> {
    let streams = selectors.select(api, is_all).await?;
    let moved = balance(api, streams.iter().map(Seat::of_stream).collect()).await?;
    outln!("Balanced {moved} streams.");
    Ok(())
}

impl PeerRemove {
    async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let name = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        let peer = match &self.peer {
            Some(peer) => peer.clone(),
            None => ask("Peer to remove", "")?,
        };
        if !confirmed(self.force, &format!("Really remove peer {peer} from Stream {name}"))? {
            return Ok(());
        }
        log!("Removing peer {peer:?}");
        let call = format!("STREAM.PEER.REMOVE.{name}");
        api.call(&call, json!({"peer": peer})).await.context("could not remove the peer").map(drop)
    }
}
