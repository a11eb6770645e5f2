//! `nats server consumer-check`: whether all replicas of a consumer are as far as each other.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::server::replicas::{Choice, Replica, Survey, drift, peers};
use crate::invocation::Invocation;
use crate::show::cells;

/// Compare the replicas of consumers
#[derive(Args, Debug)]
pub(crate) struct ConsumerCheck {
    #[command(flatten)]
    choice: Choice,
    /// Only this consumer
    #[arg(long)]
    consumer: Option<String>,
}

const HEADER: [&str; 13] = [
    "Consumer",
    "Stream",
    "Raft",
    "Account",
    "Account ID",
    "Node",
    "Delivered (S,C)",
    "ACK Floor (S,C)",
    "Counters",
    "Status",
    "Leader",
    "Stream Cluster Leader",
    "Peers",
];

impl ConsumerCheck {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let mut invocation = Invocation::new(invocation.global.clone());
        let survey = Survey::make(&self.choice, &mut invocation, true).await?;
        let is_wanted = |one: &Replica| {
            let name = one.consumer.text("name");
            self.choice.wants(one) && self.consumer.as_ref().is_none_or(|wanted| wanted == name)
        };
        let row = |replica: &Replica, replicas: &[Replica]| {
            let (status, is_sound) = judge(replica, replicas);
            (self.row(replica, replicas, &status), is_sound)
        };
        survey.compare(("Consumers", &HEADER), &survey.consumers(), is_wanted, row).await;
        Ok(())
    }

    fn row(&self, replica: &Replica, replicas: &[Replica], status: &str) -> Vec<String> {
        let (consumer, state) = (&replica.consumer, replica.stream.dig("state"));
        let cluster = consumer.dig("cluster");
        let leader = replicas.iter().find(|other| other.server == cluster.text("leader"));
        let number = |path: &str| match leader.filter(|_| self.choice.unsynced) {
            Some(leader) => drift(consumer.whole(path), leader.consumer.whole(path)),
            None => consumer.whole(path).to_string(),
        };
        let (first, last) = (state.whole("first_seq"), state.whole("last_seq"));
        let progress = consumer.whole("delivered.stream_seq") as f64 / last.max(1) as f64 * 100.0;
        let delivered = format!(
            "{} [{first}, {last}] {progress:.0}% | {}",
            number("delivered.stream_seq"),
            number("delivered.consumer_seq")
        );
        let floor = format!("{} | {}", number("ack_floor.stream_seq"), number("ack_floor.consumer_seq"));
        let counters = format!(
            "(ap:{}, nr:{}, nw:{}, np:{})",
            consumer.whole("num_ack_pending"),
            consumer.whole("num_redelivered"),
            consumer.whole("num_waiting"),
            consumer.whole("num_pending"),
        );
        cells![
            consumer.text("name"),
            replica.stream.text("name"),
            &replica.group,
            replica.account_shown(),
            &replica.account_id,
            replica.node(cluster),
            delivered,
            floor,
            counters,
            status,
            cluster.text("leader"),
            replica.stream.text("cluster.leader"),
            peers(cluster),
        ]
    }
}

/// How a replica stands beside the others, and whether nothing is wrong with it.
fn judge(replica: &Replica, replicas: &[Replica]) -> (String, bool) {
    let cluster = replica.consumer.dig("cluster");
    let is_alone = cluster.is_null() && replicas.len() == 1;
    if cluster.is_null() && !is_alone {
        return ("NO_CLUSTER".to_owned(), false);
    }
    if cluster.text("leader").is_empty() && !is_alone {
        return ("LEADERLESS".to_owned(), false);
    }
    let mut faults = faults(replica, replicas);
    let is_sound = faults.is_empty();
    if is_empty(&replica.consumer) {
        faults.push("EMPTY");
    }
    let mut status = if faults.is_empty() { "IN SYNC".to_owned() } else { faults.join(",") };
    if cluster.text("leader") == replica.server && replica.stream.text("cluster.leader") == replica.server {
        status.push_str(" / INTERSECT");
    }
    (status, is_sound)
}

fn faults(replica: &Replica, replicas: &[Replica]) -> Vec<&'static str> {
    let (own, last) = (&replica.consumer, replica.stream.whole("state.last_seq"));
    let differs = |paths: [&str; 2]| {
        replicas.iter().any(|other| paths.iter().any(|path| other.consumer.whole(path) != own.whole(path)))
    };
    let leaders: BTreeSet<&str> = replicas
        .iter()
        .map(|other| Value::text(&other.consumer, "cluster.leader"))
        .filter(|name| !name.is_empty())
        .collect();
    let found = [
        ("UNSYNCED:DELIVERED_AHEAD_OF_STREAM_SEQ", last < own.whole("delivered.stream_seq")),
        ("UNSYNCED:ACKFLOOR_AHEAD_OF_STREAM_SEQ", last < own.whole("ack_floor.stream_seq")),
        ("UNSYNCED:DELIVERED", differs(["delivered.stream_seq", "delivered.consumer_seq"])),
        ("UNSYNCED:ACK_FLOOR", differs(["ack_floor.stream_seq", "ack_floor.consumer_seq"])),
        ("MULTILEADER", leaders.len() > 1),
    ];
    found.iter().filter(|(_, is_so)| *is_so).map(|(fault, _)| *fault).collect()
}

fn is_empty(consumer: &Value) -> bool {
    let paths = ["delivered.stream_seq", "delivered.consumer_seq", "ack_floor.stream_seq", "ack_floor.consumer_seq"];
    paths.iter().any(|path| consumer.whole(path) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn replica(server: &str, leader: &str, delivered: u64, floor: u64) -> Replica {
        let at = |sequence: u64| json!({"stream_seq": sequence, "consumer_seq": sequence});
        Replica {
            server: server.to_owned(),
            server_id: String::new(),
            account: "APP".to_owned(),
            account_id: "APP".to_owned(),
            group: "G".to_owned(),
            stream: json!({"name": "S", "cluster": {"leader": "n1"}, "state": {"last_seq": 9}}),
            consumer: json!({"cluster": {"leader": leader}, "delivered": at(delivered), "ack_floor": at(floor)}),
        }
    }

    #[test]
    fn replicas_are_judged_beside_each_other() {
        let verdict = |replicas: &[Replica]| judge(&replicas[0], replicas);
        assert_eq!(verdict(&[replica("n2", "n1", 5, 4), replica("n1", "n1", 5, 4)]), ("IN SYNC".into(), true));
        assert_eq!(verdict(&[replica("n1", "n1", 5, 4)]).0, "IN SYNC / INTERSECT");
        assert_eq!(verdict(&[replica("n2", "n1", 5, 4), replica("n1", "n1", 6, 4)]).0, "UNSYNCED:DELIVERED");
        assert_eq!(verdict(&[replica("n2", "n1", 5, 4), replica("n1", "n1", 5, 5)]).0, "UNSYNCED:ACK_FLOOR");
        assert_eq!(verdict(&[replica("n2", "n2", 5, 4), replica("n1", "n1", 5, 4)]).0, "MULTILEADER");
        assert_eq!(verdict(&[replica("n2", "n1", 10, 4)]).0, "UNSYNCED:DELIVERED_AHEAD_OF_STREAM_SEQ");
        assert_eq!(verdict(&[replica("n2", "n1", 0, 0)]), ("EMPTY".into(), true));
        assert_eq!(verdict(&[replica("n2", "", 5, 4)]), ("LEADERLESS".into(), false));
        let clusterless =
            || Replica { consumer: json!({"delivered": {}, "ack_floor": {}}), ..replica("n1", "n1", 5, 4) };
        assert_eq!(verdict(&[clusterless()]), ("EMPTY".into(), true), "alone it needs no cluster");
        assert_eq!(verdict(&[clusterless(), clusterless()]).0, "NO_CLUSTER");
    }
}
