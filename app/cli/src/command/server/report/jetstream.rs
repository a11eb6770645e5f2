//! JetStream on each server, and the group that leads it.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::command::server::list::{Compact, compacted};
use crate::command::server::report::Desk;
use crate::show::{Figure, Table, cells, comma, humanize, ibytes, out, outln};

/// Show JetStream
#[derive(Args, Debug)]
pub(crate) struct Jetstream {
    /// Wait for so many servers
    limit: Option<usize>,
    /// Only this account
    #[arg(long)]
    account: Option<String>,
    /// Sort by this
    #[arg(long, default_value = "cluster", value_name = "KEY")]
    sort: Key,
    #[command(flatten)]
    compact: Compact,
    /// Show how leaders are distributed
    #[arg(long, short = 'l')]
    leaders: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    Name,
    Cluster,
    Streams,
    Consumers,
    Msgs,
    #[value(alias = "bytes")]
    Mbytes,
    Mem,
    #[value(alias = "store")]
    File,
    Api,
    Err,
}

/// What is counted on one server.
struct Counted {
    streams: u64,
    consumers: u64,
    messages: u64,
    bytes: u64,
    memory: u64,
    store: u64,
    api: u64,
    pending: u64,
}

impl Jetstream {
    pub(crate) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let mut body = json!({"raft": true});
        if let Some(account) = &self.account {
            body = json!({"raft": true, "account": account, "streams": true, "consumer": true, "limit": 10_000});
        }
        let mut answers = desk.ask("JSZ", body, self.limit).await?;
        desk.sort(&mut answers, |answer| self.key(answer));
        out!("{}\n\n", self.summary(&answers).render());
        self.meta(&answers);
        if self.leaders {
            leaders(&answers);
        }
        Ok(())
    }

    fn key(&self, answer: &Value) -> (u64, String, String) {
        let (name, cluster) = (answer.text("server.name").to_owned(), answer.text("server.cluster").to_owned());
        let number = |path: &str| answer.whole(path);
        match self.sort {
            Key::Name => (0, name, cluster),
            Key::Cluster => (0, cluster, name),
            Key::Streams => (number("data.streams"), name, cluster),
            Key::Consumers => (number("data.consumers"), name, cluster),
            Key::Msgs => (number("data.messages"), name, cluster),
            Key::Mbytes => (number("data.bytes"), name, cluster),
            Key::Mem => (number("data.memory"), name, cluster),
            Key::File => (number("data.storage"), name, cluster),
            Key::Api => (number("data.api.total"), name, cluster),
            Key::Err => (number("data.api.errors"), name, cluster),
        }
    }

    fn summary(&self, answers: &[Value]) -> Table {
        let has_domain = answers.iter().any(|answer| !answer.text("data.config.domain").is_empty());
        let mut header = vec!["Server", "Cluster"];
        header.extend(has_domain.then_some("Domain"));
        header.extend(["Streams", "Consumers", "Messages", "Bytes", "Memory", "File", "API Req", "Pending"]);
        let title = self
            .account
            .as_ref()
            .map_or("JetStream Summary".to_owned(), |account| format!("JetStream Summary for Account {account}"));
        let last = header.len() - 1;
        let mut table = Table::new(title, &header).right(&[last]);
        let names = self.names(answers.iter().map(|answer| answer.text("server.name").to_owned()).collect());
        let counts: Vec<_> = answers.iter().map(|answer| self.count(answer)).collect();
        for ((answer, name), counted) in answers.iter().zip(names).zip(&counts) {
            let mark = if is_leader(answer) { "*" } else { "" };
            let mut row = cells![format!("{name}{mark}"), answer.text("server.cluster")];
            row.extend(has_domain.then(|| answer.text("data.config.domain").figure()));
            row.extend(counted.cells());
            table.row(row);
        }
        let mut footer = cells!["", ""];
        footer.extend(has_domain.then(String::new));
        footer.extend(sum(&counts).cells());
        table.footer(footer);
        table
    }

    fn names(&self, names: Vec<String>) -> Vec<String> {
        if self.compact.is_on() { compacted(&names) } else { names }
    }

    /// The whole server, or one account of it.
    fn count(&self, answer: &Value) -> Counted {
        let data = answer.dig("data");
        let pending = data.whole("meta_cluster.pending");
        match (&self.account, data.list("account_details")) {
            (Some(_), [account]) => {
                let streams = account.list("stream_detail");
                let total = |path: &str| streams.iter().map(|stream| stream.whole(path)).sum();
                Counted {
                    streams: streams.len() as u64,
                    consumers: total("state.consumer_count"),
                    messages: total("state.messages"),
                    bytes: account.whole("memory") + account.whole("storage"),
                    memory: account.whole("memory"),
                    store: account.whole("storage"),
                    api: account.whole("api.total"),
                    pending,
                }
            }
            _ => Counted {
                streams: data.whole("streams"),
                consumers: data.whole("consumers"),
                messages: data.whole("messages"),
                bytes: data.whole("bytes"),
                memory: data.whole("memory"),
                store: data.whole("storage"),
                api: data.whole("api.total"),
                pending,
            },
        }
    }

    /// The meta group as its leader sees it.
    fn meta(&self, answers: &[Value]) {
        let expected = answers.iter().map(|answer| answer.whole("data.meta_cluster.cluster_size")).max().unwrap_or(0);
        if expected == 0 {
            return;
        }
        let leaders: Vec<_> = answers.iter().filter(|answer| is_leader(answer)).collect();
        if leaders.is_empty() {
            outln!(
                "\nWARNING: No cluster meta leader found. The cluster expects {expected} nodes but only {} responded. JetStream operation requires at least {} up nodes.",
                answers.len(),
                expected / 2 + 1
            );
        }
        for answer in leaders {
            out!("{}\n", self.meta_group(answer.dig("data.meta_cluster")).render());
        }
    }

    fn meta_group(&self, meta: &Value) -> Table {
        let leader = meta.text("leader");
        let mut peers = meta.list("replicas").to_vec();
        peers.push(json!({"name": leader, "current": true, "peer": meta.text("peer")}));
        peers.sort_by_key(|peer| peer.text("name").to_owned());
        let names = self.names(peers.iter().map(|peer| peer.text("name").to_owned()).collect());
        let title = format!("RAFT Meta Group Information - Lead cluster: {}", meta.text("name"));
        let mut table = Table::new(title, &["Connection Name", "ID", "Leader", "Current", "Online", "Active", "Lag"]);
        for (peer, name) in peers.iter().zip(names) {
            let is_leader = if peer.text("name") == leader { "yes" } else { "" };
            let active = humanize(peer.span("active"));
            let online = !peer.flag("offline");
            table.row(cells![
                name,
                peer.text("peer"),
                is_leader,
                peer.flag("current"),
                online,
                active,
                peer.whole("lag")
            ]);
        }
        table
    }
}

fn is_leader(answer: &Value) -> bool {
    let leader = answer.text("data.meta_cluster.leader");
    !leader.is_empty() && leader == answer.text("server.name")
}

impl Counted {
    fn cells(&self) -> Vec<String> {
        cells![
            self.streams,
            self.consumers,
            self.messages,
            ibytes(self.bytes),
            ibytes(self.memory),
            ibytes(self.store),
            self.api,
            self.pending,
        ]
    }
}

fn sum(counts: &[Counted]) -> Counted {
    let total = |of: fn(&Counted) -> u64| counts.iter().map(of).sum();
    Counted {
        streams: total(|c| c.streams),
        consumers: total(|c| c.consumers),
        messages: total(|c| c.messages),
        bytes: total(|c| c.bytes),
        memory: total(|c| c.memory),
        store: total(|c| c.store),
        api: total(|c| c.api),
        pending: total(|c| c.pending),
    }
}

/// How many streams and consumers each server leads.
fn leaders(answers: &[Value]) {
    let led = |key: &str| answers.iter().map(|answer| answer.whole(&format!("data.{key}"))).sum::<u64>();
    if led("streams_leader") + led("consumers_leader") == 0 {
        outln!("\nNo JetStream asset leader data reported");
        return;
    }
    for (title, key) in [("Stream Leaders", "data.streams_leader"), ("Consumer Leaders", "data.consumers_leader")] {
        leader_table(answers, title, key).print();
    }
}

fn leader_table(answers: &[Value], title: &str, key: &str) -> Table {
    let mut table = Table::new("RAFT Leader Report", &["Server", "Cluster", title, "Distribution"]);
    let in_cluster = |cluster: &str| {
        answers
            .iter()
            .filter(|answer| answer.text("server.cluster") == cluster)
            .map(|answer| answer.whole(key))
            .sum::<u64>()
    };
    let mut rows: Vec<_> = answers.iter().collect();
    rows.sort_by_key(|answer| (answer.text("server.cluster").to_owned(), answer.whole(key)));
    let mut last: Option<&str> = None;
    for answer in rows {
        let (cluster, groups) = (answer.text("server.cluster"), answer.whole(key));
        if last.is_some_and(|last| last != cluster) {
            table.separator();
        }
        last = Some(cluster);
        let share = (groups as f64 * 10.0 / in_cluster(cluster).max(1) as f64).round() as usize;
        let stars = if groups > 0 { share.max(1) } else { 0 };
        table.row(cells![answer.text("server.name"), cluster, comma(groups), "*".repeat(stars)]);
    }
    table
}
