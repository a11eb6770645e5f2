//! `nats server cluster balance`: clients of crowded servers are disconnected, and come back elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::gather::check;
use crate::command::server::source::{Among, Source};
use crate::invocation::Invocation;
use crate::parse::duration;
use crate::show::{comma, log, outln};

/// Connections asked for at a time.
const PAGE: u64 = 1024;

/// Disconnect clients of crowded servers, so that they connect to others
///
/// Clients reconnect by themselves, to a server they choose by chance; what they were doing is interrupted.
#[derive(Args, Debug)]
pub(super) struct Balance {
    /// How long to take for all of it
    #[arg(default_value = "2m", value_parser = duration, value_name = "DURATION")]
    over: Duration,
    /// Only connections of this server
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Only servers of this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Only connections without messages for this long
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    idle: Option<Duration>,
    /// Only connections of this account
    #[arg(long)]
    account: Option<String>,
    /// Only connections that get messages of this subject; needs --account
    #[arg(long, requires = "account")]
    subject: Option<String>,
    /// Only connections of this kind, may be given several times
    #[arg(long, default_value = "Client", ignore_case = true)]
    kind: Vec<Kind>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    #[value(name = "Client")]
    Client,
    #[value(name = "Leafnode")]
    Leafnode,
}

/// A server and the connections that may be moved.
#[derive(Debug)]
struct Seats {
    id: String,
    name: String,
    cluster: String,
    connections: Vec<Value>,
}

impl Balance {
    pub(super) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let source = Source::open(invocation, None).await?;
        let servers = self.servers(&source).await?;
        if !self.agreed(&servers)? {
            bail!("balance canceled");
        }
        let crowd = crowded(&servers);
        let own = own_id(&source);
        let mut moved = 0;
        let pause = self.over / u32::try_from(crowd.len().max(1)).unwrap_or(u32::MAX);
        for (at, (server, connection)) in crowd.iter().enumerate() {
            if own.as_ref().is_some_and(|own| *own == (server.id.clone(), connection.whole("cid"))) {
                continue;
            }
            if at > 0 {
                tokio::time::sleep(pause).await;
            }
            match kick(&source, server, connection).await {
                Ok(()) => moved += 1,
                Err(error) => log!("Could not disconnect {} on {}: {error:#}", connection.whole("cid"), server.name),
            }
        }
        outln!("Balanced {} connections", comma(moved));
        Ok(())
    }

    fn agreed(&self, servers: &[Seats]) -> Result<bool> {
        if self.force {
            return Ok(true);
        }
        outln!("Clients will be disconnected whatever they are doing, and will connect again.\n");
        let mut clusters: Vec<&str> = servers.iter().map(|server| server.cluster.as_str()).collect();
        clusters.sort_unstable();
        clusters.dedup();
        if clusters.len() > 1 {
            outln!("WARNING: there are {} clusters; --cluster balances one of them\n", clusters.len());
        }
        confirmed(false, "Really re-balance connections")
    }

    /// Every server with its connections that fit.
    async fn servers(&self, source: &Source<'_>) -> Result<Vec<Seats>> {
        let among = Among { name: self.server_name.clone(), cluster: self.cluster.clone(), ..Among::default() };
        let mut body = json!({"auth": true, "limit": PAGE});
        for (key, value) in [("acc", &self.account), ("filter_subject", &self.subject)] {
            if let Some(value) = value {
                body[key] = value.clone().into();
            }
        }
        let Value::Object(body) = body else { bail!("the question is an object") };
        let mut servers = Vec::new();
        for answer in source.ask("CONNZ", body.clone(), &among, None).await? {
            servers.push(self.seats(source, &answer, &body).await?);
        }
        Ok(servers)
    }

    async fn seats(&self, source: &Source<'_>, answer: &Value, body: &Map<String, Value>) -> Result<Seats> {
        let server = answer.dig("server");
        let mut connections = answer.list("data.connections").to_vec();
        let total = answer.whole("data.total");
        while !connections.is_empty() && (connections.len() as u64) < total {
            let mut more = Value::from(body.clone());
            more["offset"] = connections.len().into();
            let answers = source.ask_one(server.text("id"), "CONNZ", more).await?;
            let rows: Vec<Value> = answers.iter().flat_map(|answer| answer.list("data.connections").to_vec()).collect();
            if rows.is_empty() {
                break;
            }
            connections.extend(rows);
        }
        let now = Timestamp::now();
        connections.retain(|connection| self.fits(connection, now));
        let text = |key: &str| server.text(key).to_owned();
        Ok(Seats { id: text("id"), name: text("name"), cluster: text("cluster"), connections })
    }

    fn fits(&self, connection: &Value, now: Timestamp) -> bool {
        let name =
            |kind: Kind| kind.to_possible_value().is_some_and(|value| value.get_name() == connection.text("kind"));
        let quiet = connection.time("last_activity").map(|last| now.duration_since(last));
        self.kind.iter().any(|kind| name(*kind))
            && self.idle.is_none_or(|idle| quiet.is_none_or(|quiet| quiet.unsigned_abs() > idle))
    }
}

/// The connections that servers have above their even share.
fn crowded(servers: &[Seats]) -> Vec<(&Seats, &Value)> {
    let all: usize = servers.iter().map(|server| server.connections.len()).sum();
    let share = all.div_ceil(servers.len().max(1));
    let shown: BTreeMap<&str, usize> =
        servers.iter().map(|server| (server.name.as_str(), server.connections.len())).collect();
    log!("An even share is {share} connections on each of {} servers: {shown:?}", servers.len());
    let surplus = |server: &Seats| server.connections.len().saturating_sub(share);
    servers
        .iter()
        .flat_map(|server| server.connections.iter().take(surplus(server)).map(move |connection| (server, connection)))
        .collect()
}

/// The server we are connected to and our number there.
fn own_id(source: &Source<'_>) -> Option<(String, u64)> {
    let Source::Servers { link, .. } = source else { return None };
    let info = link.client.server_info();
    Some((info.server_id, info.client_id))
}

async fn kick(source: &Source<'_>, server: &Seats, connection: &Value) -> Result<()> {
    let cid = connection.whole("cid");
    let answers = source.ask_one(&server.id, "KICK", json!({"cid": cid})).await?;
    answers.iter().try_for_each(check)?;
    let name = connection.text("name");
    let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
    log!("Balanced client {cid}{name} in account {} on {}", connection.text("account"), server.name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, connections: u64) -> Seats {
        let connections = (0..connections).map(|cid| json!({"cid": cid, "kind": "Client"})).collect();
        Seats { id: name.to_owned(), name: name.to_owned(), cluster: "C".to_owned(), connections }
    }

    #[test]
    fn what_is_above_an_even_share_is_moved() {
        let servers = [server("n1", 7), server("n2", 1), server("n3", 1)];
        let moved = crowded(&servers);
        assert_eq!(moved.len(), 4, "three stay on each");
        assert!(moved.iter().all(|(server, _)| server.name == "n1"));
        assert!(crowded(&[server("n1", 2), server("n2", 1)]).is_empty(), "one more than another is even");
        assert!(crowded(&[]).is_empty());
    }

    #[test]
    fn only_idle_connections_of_a_kind_are_moved() {
        let balance = Balance {
            over: Duration::ZERO,
            server_name: None,
            cluster: None,
            idle: Some(Duration::from_secs(60)),
            account: None,
            subject: None,
            kind: vec![Kind::Client],
            force: true,
        };
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let connection = |kind: &str, last: &str| json!({"kind": kind, "last_activity": last});
        assert!(balance.fits(&connection("Client", "2026-01-01T00:00:00Z"), now));
        assert!(!balance.fits(&connection("Client", "2026-01-01T00:09:30Z"), now), "busy");
        assert!(!balance.fits(&connection("Leafnode", "2026-01-01T00:00:00Z"), now), "a leaf node");
    }
}
