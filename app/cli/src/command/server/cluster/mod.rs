//! `nats server cluster`: who leads JetStream, which servers belong to it, and who is connected where.

mod balance;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::command::api::ApiError;
use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::gather::{Question, active_servers, ask_one, ask_servers};
use crate::failure::advise;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::{log, outln, print_json};

/// How long a new leader may take, and how often we look.
const ELECTION: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Look after the servers that lead JetStream together
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Disconnect clients of crowded servers, so that they connect to others
    Balance(balance::Balance),
    /// Make the leader of JetStream step down
    #[command(visible_aliases = ["stepdown", "sd", "elect", "down", "d"])]
    StepDown(StepDown),
    /// Take a server that will not come back out of JetStream
    #[command(visible_aliases = ["rm", "pr"])]
    PeerRemove(PeerRemove),
}

/// Make the leader of JetStream step down
#[derive(Args, Debug)]
struct StepDown {
    /// The new leader should be in this cluster
    #[arg(long)]
    cluster: Option<String>,
    /// The new leader should have this tag, may be given several times
    #[arg(long, value_name = "TAG")]
    tags: Vec<String>,
    /// The server that should lead
    #[arg(long, value_name = "SERVER")]
    host: Option<String>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Also when there is no leader
    #[arg(long, short = 'f')]
    force: bool,
}

/// Take a server that will not come back out of JetStream
#[derive(Args, Debug)]
struct PeerRemove {
    /// Name or id of the server
    name: String,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Cluster {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let office = async || Ok::<_, anyhow::Error>(Office { invocation, link: invocation.connect().await? });
        match &self.command {
            Command::Balance(command) => command.run(invocation).await,
            Command::StepDown(command) => command.run(&office().await?).await,
            Command::PeerRemove(command) => command.run(&office().await?).await,
        }
    }
}

/// Where the servers that lead JetStream are asked.
struct Office<'a> {
    invocation: &'a Invocation,
    link: Link,
}

impl Office<'_> {
    /// The group as its leader sees it; as somebody sees it while there is none.
    async fn group(&self) -> Result<Value> {
        let expect = active_servers(self.invocation, &self.link).await?;
        let question = Question { subject: "$SYS.REQ.SERVER.PING.JSZ", body: json!({}), expect };
        let answers = ask_servers(self.invocation, &self.link, &question).await?;
        let groups: Vec<_> =
            answers.iter().filter(|answer| !answer.text("data.meta_cluster.name").is_empty()).collect();
        let mut leaders =
            groups.iter().filter(|answer| answer.text("server.name") == answer.text("data.meta_cluster.leader"));
        match (leaders.next(), leaders.next()) {
            (Some(leader), None) => Ok(leader.dig("data.meta_cluster").clone()),
            (Some(_), Some(_)) => {
                bail!("several JetStream clusters answer, each with a leader: connect to one of them")
            }
            (None, _) => match groups.first() {
                Some(group) => Ok(group.dig("data.meta_cluster").clone()),
                None => Err(advise(
                    "no server that answers belongs to a JetStream cluster",
                    "JetStream is clustered when it is enabled on servers with a 'cluster' block: nats server list shows them",
                )),
            },
        }
    }

    async fn call(&self, subject: &str, body: Value) -> Result<Value> {
        let answer = ask_one(self.invocation, &self.link, subject, body).await?;
        match answer.dig("error") {
            Value::Null => Ok(answer),
            error => {
                Err(ApiError { description: error.text("description").to_owned(), code: error.whole("err_code") }
                    .into())
            }
        }
    }
}

impl StepDown {
    async fn run(&self, office: &Office<'_>) -> Result<()> {
        let group = office.group().await?;
        let leader = group.text("leader");
        if leader.is_empty() && !self.force {
            return Err(advise("cluster has no current leader", "--force asks for an election all the same"));
        }
        let shown = if leader.is_empty() { "<unknown>" } else { leader };
        let peers = group.list("replicas").len() + 1;
        log!("Requesting leader step down of {shown:?} in a {peers} peer RAFT group");
        let answer = office.call("$JS.API.META.LEADER.STEPDOWN", self.placement()).await?;
        if self.json {
            return print_json(&answer);
        }
        self.follow(office, leader).await
    }

    fn placement(&self) -> Value {
        if self.cluster.is_none() && self.tags.is_empty() && self.host.is_none() {
            return Value::Null;
        }
        let mut placement = json!({});
        for (name, value) in [("cluster", &self.cluster), ("preferred", &self.host)] {
            if let Some(value) = value {
                placement[name] = value.clone().into();
            }
        }
        if !self.tags.is_empty() {
            placement["tags"] = self.tags.clone().into();
        }
        json!({"placement": placement})
    }

    /// Waits for another leader, and says who it is.
    async fn follow(&self, office: &Office<'_>, before: &str) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < ELECTION {
            tokio::time::sleep(LOOK_EVERY).await;
            match office.group().await {
                Ok(group) if !group.text("leader").is_empty() && group.text("leader") != before => {
                    log!("New leader elected {:?}", group.text("leader"));
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) => log!("Failed to retrieve Cluster State: {error:#}"),
            }
        }
        bail!("the leader did not change in {} seconds", ELECTION.as_secs())
    }
}

impl PeerRemove {
    async fn run(&self, office: &Office<'_>) -> Result<()> {
        let group = office.group().await?;
        let replicas = group.list("replicas");
        let Some(peer) = replicas.iter().find(|peer| peer.text("name") == self.name || peer.text("peer") == self.name)
        else {
            let names: Vec<_> = replicas.iter().map(|peer| peer.text("name")).collect();
            return Err(advise(
                format!("did not find a replica named {}", self.name),
                format!("the leader is {:?}, its replicas are: {}", group.text("leader"), names.join(", ")),
            ));
        };
        let state = if peer.flag("offline") { "offline" } else { "online" };
        if !self.force {
            outln!("Take out servers that will not come back only; one that is down for a while can stay.\n");
            outln!(
                "What the server alone holds is lost: streams with one replica, and what their consumers remember.\n"
            );
        }
        if !confirmed(self.force, &format!("Really remove {state} peer {}", peer.text("name")))? {
            outln!("Removal canceled");
            return Ok(());
        }
        let answer = office.call("$JS.API.SERVER.REMOVE", named(peer)).await?;
        if self.json {
            return print_json(&answer);
        }
        outln!("Removed peer {}", peer.text("name"));
        Ok(())
    }
}

/// The id names a server even when another one has its name by now.
fn named(peer: &Value) -> Value {
    match peer.text("peer") {
        "" => json!({"peer": peer.text("name")}),
        id => json!({"peer": "", "peer_id": id}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_said_about_the_new_leader() {
        let step = |host: Option<&str>, tags: &[&str]| StepDown {
            cluster: None,
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            host: host.map(str::to_owned),
            json: false,
            force: false,
        };
        assert_eq!(step(None, &[]).placement(), Value::Null);
        assert_eq!(step(Some("n2"), &["ssd"]).placement(), json!({"placement": {"preferred": "n2", "tags": ["ssd"]}}));
    }

    #[test]
    fn a_peer_is_named_by_its_id() {
        assert_eq!(named(&json!({"name": "n2", "peer": "abc"})), json!({"peer": "", "peer_id": "abc"}));
        assert_eq!(named(&json!({"name": "n2"})), json!({"peer": "n2"}));
    }
}
