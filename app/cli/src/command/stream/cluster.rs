//! `nats stream cluster`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::command::api::Api;
use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::stream::find::Selectors;
use crate::show::{ask, log, outln};

/// How long a new leader may take, and how often we look.
const ELECTION: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
            Command::Balance(selectors) => balance(api, selectors, is_all).await,
            Command::PeerRemove(command) => command.run(api, is_all).await,
        }
    }
}

impl StepDown {
    async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let name = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        let info = api.stream(&name).await?;
        let leader = info.text("cluster.leader").to_owned();
        let peers = info.list("cluster.replicas").len() + 1;
        if info.text("cluster.name").is_empty() || peers == 1 {
            bail!("stream {name:?} is not clustered");
        }
        if leader.is_empty() && !self.force {
            bail!("stream {name:?} has no current leader");
        }
        log!("Requesting leader step down of {leader:?} for stream {name:?} in a {peers} peer cluster group");
        step_down(api, &name, self.preferred.as_deref()).await?;
        match new_leader(api, &name, &leader).await? {
            Some(elected) => log!("New leader elected {elected:?}"),
            None => log!("No new leader was elected in {} seconds", ELECTION.as_secs()),
        }
        Ok(())
    }
}

async fn step_down(api: &Api<'_>, name: &str, preferred: Option<&str>) -> Result<()> {
    let body = preferred.map_or(Value::Null, |server| json!({"placement": {"preferred": server}}));
    api.call(&format!("STREAM.LEADER.STEPDOWN.{name}"), body).await.map(drop)
}

async fn new_leader(api: &Api<'_>, name: &str, old: &str) -> Result<Option<String>> {
    let start = Instant::now();
    while start.elapsed() < ELECTION {
        tokio::time::sleep(LOOK_EVERY).await;
        let leader = api.stream(name).await.map(|info| info.text("cluster.leader").to_owned()).unwrap_or_default();
        if !leader.is_empty() && leader != old {
            return Ok(Some(leader));
        }
    }
    Ok(None)
}

/// Moves leaders from servers that lead many to peers that lead few.
async fn balance(api: &Api<'_>, selectors: &Selectors, is_all: bool) -> Result<()> {
    let streams: Vec<_> = selectors
        .select(api, is_all)
        .await?
        .into_iter()
        .filter(|stream| !stream.list("cluster.replicas").is_empty() && !stream.text("cluster.leader").is_empty())
        .collect();
    let mut led: std::collections::BTreeMap<String, i64> = std::collections::BTreeMap::new();
    for stream in &streams {
        *led.entry(stream.text("cluster.leader").to_owned()).or_default() += 1;
        for replica in stream.list("cluster.replicas") {
            led.entry(replica.text("name").to_owned()).or_default();
        }
    }
    let mut moved = 0;
    for stream in &streams {
        let leader = stream.text("cluster.leader");
        let replicas = stream.list("cluster.replicas").iter();
        let best = replicas.map(|replica| replica.text("name")).min_by_key(|name| led.get(*name).copied().unwrap_or(0));
        let Some(best) =
            best.filter(|best| led.get(leader).copied().unwrap_or(0) - led.get(*best).copied().unwrap_or(0) > 1)
        else {
            continue;
        };
        let name = stream.text("config.name");
        log!("Requesting leader step down of {leader:?} for stream {name:?} in favour of {best:?}");
        step_down(api, name, Some(best)).await?;
        *led.entry(leader.to_owned()).or_default() -= 1;
        *led.entry(best.to_owned()).or_default() += 1;
        moved += 1;
    }
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
