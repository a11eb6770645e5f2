//! Who leads the groups behind streams and consumers, and how that is changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::show::{Table, cells, log};

/// How long a new leader may take, and how often we look.
const ELECTION: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A group with a leader.
pub(crate) struct Seat {
    /// How people call it: `stream "S"`.
    pub(crate) label: String,
    /// The tokens that name it in the API: `STREAM`, `S`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) cluster: Value,
}

impl Seat {
    pub(crate) fn of_stream(info: &Value) -> Self {
        let name = info.text("config.name");
        Self {
            label: format!("stream {name:?}"),
            kind: "STREAM",
            name: name.to_owned(),
            cluster: info.dig("cluster").clone(),
        }
    }

    pub(crate) fn of_consumer(info: &Value) -> Self {
        let (stream, name) = (info.text("stream_name"), info.text("name"));
        Self {
            label: format!("consumer \"{stream} > {name}\""),
            kind: "CONSUMER",
            name: format!("{stream}.{name}"),
            cluster: info.dig("cluster").clone(),
        }
    }

    pub(crate) fn leader(&self) -> &str {
        self.cluster.text("leader")
    }

    pub(crate) fn is_clustered(&self) -> bool {
        !self.cluster.text("name").is_empty() && !self.cluster.list("replicas").is_empty()
    }

    pub(crate) async fn step_down(&self, api: &Api<'_>, preferred: Option<&str>) -> Result<()> {
        if preferred.is_some() {
            api.require_level(1, "placement hints during step-down requires NATS Server 2.11").await?;
        }
        let body = preferred.map_or(Value::Null, |server| json!({"placement": {"preferred": server}}));
        api.call(&format!("{}.LEADER.STEPDOWN.{}", self.kind, self.name), body).await.map(drop)
    }

    /// Waits for another leader, and says who it is.
    pub(crate) async fn follow(&self, api: &Api<'_>) {
        let start = Instant::now();
        while start.elapsed() < ELECTION {
            tokio::time::sleep(LOOK_EVERY).await;
            let info = api.call(&format!("{}.INFO.{}", self.kind, self.name), Value::Null).await.unwrap_or_default();
            let leader = info.text("cluster.leader");
            if !leader.is_empty() && leader != self.leader() {
                return log!("New leader elected {leader:?}");
            }
        }
        log!("No new leader was elected in {} seconds", ELECTION.as_secs());
    }
}

/// Moves leaders from servers that lead many to peers that lead few; tells how many were moved.
pub(crate) async fn balance(api: &Api<'_>, mut seats: Vec<Seat>) -> Result<u64> {
    seats.retain(|seat| seat.is_clustered() && !seat.leader().is_empty());
    let mut led: BTreeMap<String, u64> = BTreeMap::new();
    for seat in &seats {
        *led.entry(seat.leader().to_owned()).or_default() += 1;
    }
    let mut moved = 0;
    for seat in &seats {
        let count = |server: &str| led.get(server).copied().unwrap_or(0);
        let peers = seat.cluster.list("replicas").iter().map(|replica| replica.text("name"));
        let Some(best) = peers.min_by_key(|peer| count(peer)) else { continue };
        if count(seat.leader()) <= count(best) + 1 {
            continue;
        }
        log!("Requesting leader step down of {:?} for {} in favour of {best:?}", seat.leader(), seat.label);
        seat.step_down(api, Some(best)).await?;
        if let Some(leads) = led.get_mut(seat.leader()) {
            *leads -= 1;
        }
        *led.entry(best.to_owned()).or_default() += 1;
        moved += 1;
    }
    Ok(moved)
}

/// How many groups each server leads.
pub(crate) fn leaders<'a>(clusters: impl Iterator<Item = &'a Value>, what: &str) -> Option<Table> {
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for cluster in clusters.filter(|cluster| !cluster.text("leader").is_empty()) {
        *counts.entry((cluster.text("name").to_owned(), cluster.text("leader").to_owned())).or_default() += 1;
    }
    let total =
        |cluster: &str| counts.iter().filter(|((name, _), _)| name == cluster).map(|(_, count)| count).sum::<u64>();
    let mut table = Table::new("RAFT Leader Report", &["Server", "Cluster", what, "Distribution"]);
    for ((cluster, server), count) in &counts {
        let stars = ((*count as f64 * 10.0 / total(cluster).max(1) as f64).round() as usize).max(1);
        table.row(cells![server, cluster, *count, "*".repeat(stars)]);
    }
    (!counts.is_empty()).then_some(table)
}
