//! `nats server stream-check`: whether all replicas of a stream hold the same.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::server::replicas::{Choice, Replica, Survey, drift, peers};
use crate::invocation::Invocation;
use crate::show::{Figure, cells};

/// Compare the replicas of streams
#[derive(Args, Debug)]
pub(crate) struct StreamCheck {
    #[command(flatten)]
    choice: Choice,
}

const HEADER: [&str; 15] = [
    "Stream Replica",
    "Raft",
    "Account",
    "Account ID",
    "Node",
    "Messages",
    "Bytes",
    "Subjects",
    "Deleted",
    "Consumers",
    "First",
    "Last",
    "Status",
    "Leader",
    "Peers",
];
/// The numbers of a replica, in the order of their columns.
const NUMBERS: [&str; 7] =
    ["messages", "bytes", "num_subjects", "num_deleted", "consumer_count", "first_seq", "last_seq"];

impl StreamCheck {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let mut invocation = Invocation::new(invocation.global.clone());
        let survey = Survey::make(&self.choice, &mut invocation, false).await?;
        let row = |replica: &Replica, replicas: &[Replica]| {
            let (status, is_sound) = judge(replica, replicas);
            (self.row(replica, replicas, &status), is_sound)
        };
        survey.compare(("Streams", &HEADER), &survey.streams(), |one| self.choice.wants(one), row).await;
        Ok(())
    }

    fn row(&self, replica: &Replica, replicas: &[Replica], status: &str) -> Vec<String> {
        let cluster = replica.stream.dig("cluster");
        let leader = replicas.iter().find(|other| other.server == cluster.text("leader"));
        let number = |name: &str| {
            let own = replica.stream.dig("state").whole(name);
            match leader.filter(|_| self.choice.unsynced) {
                Some(leader) => drift(own, leader.stream.dig("state").whole(name)),
                None => own.to_string(),
            }
        };
        let mut row = cells![
            replica.stream.text("name"),
            &replica.group,
            replica.account_shown(),
            &replica.account_id,
            replica.node(cluster),
        ];
        row.extend(NUMBERS.map(number));
        row.extend(cells![status.figure(), cluster.text("leader"), peers(cluster)]);
        row
    }
}

/// How a replica stands beside the others, and whether nothing is wrong with it.
fn judge(replica: &Replica, replicas: &[Replica]) -> (String, bool) {
    let cluster = |replica: &Replica| replica.stream.dig("cluster").clone();
    let own = cluster(replica);
    let leaders: BTreeSet<String> =
        replicas.iter().map(|other| cluster(other).text("leader").to_owned()).filter(|name| !name.is_empty()).collect();
    let follows_itself = own.text("leader") == replica.server
        && own.list("replicas").iter().any(|peer| peer.text("name") == replica.server);
    let fault = if own.text("leader").is_empty() {
        "LEADERLESS"
    } else if follows_itself {
        "LEADER_IS_FOLLOWER"
    } else if leaders.len() > 1 {
        "MULTILEADER"
    } else if replica.group.is_empty() && replicas.len() > 1 {
        "MISSING_GROUP"
    } else if replicas.iter().any(|other| differ(replica.stream.dig("state"), other.stream.dig("state"))) {
        "UNSYNCED"
    } else {
        return ("IN SYNC".to_owned(), true);
    };
    (fault.to_owned(), false)
}

fn differ(one: &Value, other: &Value) -> bool {
    let differs = |name: &str| one.whole(name) != other.whole(name);
    (differs("messages") && differs("bytes")) || differs("first_seq") || differs("last_seq")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn replica(server: &str, leader: &str, last: u64) -> Replica {
        let stream = json!({"name": "S", "cluster": {"leader": leader}, "state": {"messages": last, "bytes": last, "last_seq": last}});
        Replica {
            server: server.to_owned(),
            server_id: String::new(),
            account: "APP".to_owned(),
            account_id: "APP".to_owned(),
            group: "G".to_owned(),
            stream,
            consumer: Value::Null,
        }
    }

    #[test]
    fn replicas_are_judged_beside_each_other() {
        let verdict = |replicas: &[Replica]| judge(&replicas[0], replicas).0;
        assert_eq!(verdict(&[replica("n1", "n1", 5), replica("n2", "n1", 5)]), "IN SYNC");
        assert_eq!(verdict(&[replica("n1", "n1", 5), replica("n2", "n1", 4)]), "UNSYNCED");
        assert_eq!(verdict(&[replica("n1", "n1", 5), replica("n2", "n2", 5)]), "MULTILEADER");
        assert_eq!(verdict(&[replica("n1", "", 5), replica("n2", "n2", 5)]), "LEADERLESS");
        let mut confused = replica("n1", "n1", 5);
        confused.stream["cluster"]["replicas"] = json!([{"name": "n1"}]);
        assert_eq!(verdict(&[confused]), "LEADER_IS_FOLLOWER");
        let mut groupless = replica("n1", "n2", 5);
        groupless.group.clear();
        assert_eq!(verdict(&[groupless, replica("n2", "n2", 5)]), "MISSING_GROUP");
    }

    #[test]
    fn a_replica_shows_how_far_it_is_behind() {
        assert_eq!((drift(5, 5), drift(95, 100), drift(7, 5)), ("5".into(), "95 (-5)".into(), "7 (+2)".into()));
    }
}
