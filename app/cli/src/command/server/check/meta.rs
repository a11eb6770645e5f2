//! `nats server check meta`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::command::gather::{NoResponders, Question, ask, check, no_results};
use crate::command::server::check::outcome::{Metric, Outcome};
use crate::invocation::Invocation;
use crate::parse::duration;
use crate::show::go_duration;

/// Check the servers that lead JetStream together; needs the system account
#[derive(Args, Debug)]
pub(crate) struct Meta {
    /// Critical when there are not exactly so many servers
    #[arg(long, value_name = "SERVERS")]
    expect: u64,
    /// Critical when a server is more than this many operations behind
    #[arg(long, value_name = "OPS")]
    lag_critical: u64,
    /// Critical when a server was not seen for longer
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    seen_critical: Duration,
}

impl Meta {
    pub(crate) async fn run(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        let Some(link) = outcome.needs(invocation.connect().await, "connection failed") else { return Ok(()) };
        let body = json!({"leader_only": true});
        let question = Question { subject: "$SYS.REQ.SERVER.PING.JSZ", body, expect: 1 };
        let asked = match ask(invocation, &link, &question).await {
            Err(error) if error.is::<NoResponders>() => Err(no_results()),
            other => other,
        };
        let Some(answers) = outcome.needs(asked, "JSZ API request failed") else { return Ok(()) };
        let Some(answer) = answers.into_iter().next() else {
            outcome.critical("No leader: no server answers as the leader of a JetStream cluster");
            return Ok(());
        };
        if outcome.needs(check(&answer), "invalid result received").is_some() {
            self.judge(answer.dig("data.meta_cluster"), outcome);
        }
        Ok(())
    }

    fn judge(&self, cluster: &Value, outcome: &mut Outcome) {
        if cluster.is_null() {
            return outcome.critical("no cluster information");
        }
        let leader = cluster.text("leader");
        if leader.is_empty() {
            return outcome.critical("No leader");
        }
        let replicas = cluster.list("replicas");
        let peers = replicas.len() as u64 + 1;
        let expected = self.expect as f64;
        outcome.metric(Metric::count("peers", peers as f64, "Configured RAFT peers").limits(expected, expected));
        if self.expect > 0 && peers != self.expect {
            outcome.critical(format!("{peers} peers of expected {}", self.expect));
        }
        for fault in self.faults() {
            let bad = replicas.iter().filter(|replica| (fault.is_bad)(self, replica)).count();
            outcome.metric(Metric::count(fault.name, bad as f64, fault.help));
            if bad > 0 {
                outcome.critical(format!("{bad} {}", fault.words));
            }
        }
        outcome.ok_if_fine(&format!("{peers} peers led by {leader}"));
    }

    fn faults(&self) -> [Fault; 4] {
        [
            Fault {
                name: "peer_offline",
                help: "Offline RAFT peers",
                words: "offline".to_owned(),
                is_bad: |_, peer| peer.flag("offline"),
            },
            Fault {
                name: "peer_not_current",
                help: "RAFT peers that are not current",
                words: "not current".to_owned(),
                is_bad: |_, peer| !peer.flag("current"),
            },
            Fault {
                name: "peer_inactive",
                help: "Inactive RAFT peers",
                words: format!("inactive more than {}", go_duration(self.seen_critical)),
                is_bad: |check, peer| {
                    let is_unseen = peer.signed("active") < 0 || peer.span("active") > check.seen_critical;
                    !check.seen_critical.is_zero() && is_unseen
                },
            },
            Fault {
                name: "peer_lagged",
                help: "RAFT peers that are lagged more than configured threshold",
                words: format!("lagged more than {} ops", self.lag_critical),
                is_bad: |check, peer| check.lag_critical > 0 && peer.whole("lag") > check.lag_critical,
            },
        ]
    }
}

/// What can be wrong with a peer.
struct Fault {
    name: &'static str,
    help: &'static str,
    words: String,
    is_bad: fn(&Meta, &Value) -> bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(expect: u64, cluster: &Value) -> String {
        let mut outcome = Outcome::new("JetStream Meta Cluster", "meta");
        Meta { expect, lag_critical: 10, seen_critical: Duration::from_secs(1) }.judge(cluster, &mut outcome);
        outcome.nagios()
    }

    #[test]
    fn peers_must_be_there_and_keep_up() {
        let healthy = json!({"name": "b", "current": true, "active": 1000, "lag": 10});
        let away = json!({"name": "c", "current": false, "offline": true, "active": 2_000_000_000, "lag": 11});
        let cluster = |replicas: Value| json!({"name": "C", "leader": "a", "replicas": replicas});
        assert_eq!(
            judged(3, &cluster(json!([healthy, healthy]))),
            "OK JetStream Meta Cluster OK:3 peers led by a \
             | peers=3;3;3 peer_offline=0 peer_not_current=0 peer_inactive=0 peer_lagged=0"
        );
        let text = judged(3, &cluster(json!([healthy, away])));
        for part in
            ["Crit:1 offline", "Crit:1 not current", "Crit:1 inactive more than 1s", "Crit:1 lagged more than 10 ops"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(judged(3, &cluster(json!([healthy]))).contains("Crit:2 peers of expected 3"));
        assert!(judged(3, &json!({"name": "C"})).contains("Crit:No leader"));
        assert!(judged(3, &Value::Null).contains("Crit:no cluster information"));
    }
}
