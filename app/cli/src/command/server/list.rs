//! `nats server list`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use crate::command::dig::Dig;
use crate::command::gather::{Answer, NoResponders, Question, ask_each, no_results};
use crate::command::server::source::{Among, FromArchive, Source};
use crate::global::negatable;
use crate::invocation::Invocation;
use crate::show::{Table, cells, comma, humanize, ibytes, out, print_json};

negatable! {
    /// Leave out what all server names end with
    Compact, "compact", "no-compact", true
}

/// List known servers
#[derive(Args, Debug)]
pub(crate) struct List {
    /// How many servers to expect
    expect: Option<usize>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Sort by this
    #[arg(long, default_value = "rtt", value_name = "KEY")]
    sort: Key,
    /// Sort the other way round
    #[arg(long, short = 'R')]
    reverse: bool,
    #[command(flatten)]
    compact: Compact,
    #[command(flatten)]
    from: FromArchive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Key {
    Name,
    Cluster,
    #[value(alias = "conn")]
    Conns,
    #[value(alias = "sub")]
    Subs,
    #[value(alias = "route")]
    Routes,
    #[value(alias = "gw")]
    Gws,
    Mem,
    Cpu,
    Slow,
    Uptime,
    Rtt,
}

impl List {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let mut servers = match self.from.archive {
            Some(_) => self.remembered(invocation).await?,
            None => self.asked(invocation).await?,
        };
        if servers.is_empty() {
            return Err(no_results());
        }
        if self.json {
            return print_json(&servers.iter().map(|answer| &answer.value).collect::<Vec<_>>());
        }
        self.arrange(&mut servers);
        out!("{}\n", self.overview(&servers).render());
        let clusters = clusters(&servers);
        if !clusters.is_empty() {
            out!("\n{}\n", cluster_overview(&clusters).render());
        }
        Ok(())
    }

    async fn asked(&self, invocation: &Invocation) -> Result<Vec<Answer>> {
        let link = invocation.connect().await?;
        let mut servers = Vec::new();
        let subject = "$SYS.REQ.SERVER.PING";
        let question = Question { subject, body: Value::Null, expect: self.expect.unwrap_or(0) };
        let asked = ask_each(invocation, &link, &question, |answer| {
            servers.push(answer);
            true
        });
        match asked.await {
            Err(error) if error.is::<NoResponders>() => Err(no_results()),
            other => other.map(|()| servers),
        }
    }

    /// What an archive tells; nobody was waited for.
    async fn remembered(&self, invocation: &Invocation) -> Result<Vec<Answer>> {
        let source = Source::open(invocation, self.from.archive.as_deref()).await?;
        let answers = source.ask("", Map::new(), &Among::default(), None).await?;
        Ok(answers.into_iter().map(|value| Answer { value, took: Duration::ZERO }).collect())
    }

    /// Largest first, names from the beginning of the alphabet.
    fn arrange(&self, servers: &mut [Answer]) {
        servers.sort_by(|a, b| {
            let name = |answer: &Answer| answer.value.text("server.name").to_owned();
            let by = |path: &str| b.value.number(path).total_cmp(&a.value.number(path));
            let by_count = |path: &str| b.value.list(path).len().cmp(&a.value.list(path).len());
            let order = match self.sort {
                Key::Name => std::cmp::Ordering::Equal,
                Key::Cluster => a.value.text("server.cluster").cmp(b.value.text("server.cluster")),
                Key::Conns => by("statsz.connections"),
                Key::Subs => by("statsz.subscriptions"),
                Key::Routes => by_count("statsz.routes"),
                Key::Gws => by_count("statsz.gateways"),
                Key::Mem => by("statsz.mem"),
                Key::Cpu => by("statsz.cpu"),
                Key::Slow => by("statsz.slow_consumers"),
                Key::Uptime => a.value.time("statsz.start").cmp(&b.value.time("statsz.start")),
                Key::Rtt => a.took.cmp(&b.took),
            };
            order.then_with(|| name(a).cmp(&name(b)))
        });
        if self.reverse {
            servers.reverse();
        }
    }

    fn overview(&self, servers: &[Answer]) -> Table {
        let header = [
            "Name", "Cluster", "Host", "Version", "JS", "Conns", "Subs", "Routes", "GWs", "Mem", "CPU %", "Cores",
            "Slow", "Uptime", "RTT",
        ];
        let mut table = Table::new("Server Overview", &header).right(&[7, 8, 11]);
        let texts = |path: &str| servers.iter().map(|answer| answer.value.text(path).to_owned()).collect::<Vec<_>>();
        let (mut names, mut hosts) = (texts("server.name"), texts("server.host"));
        if self.compact.is_on() {
            (names, hosts) = (compacted(&names), compacted(&hosts));
        }
        for ((answer, name), host) in servers.iter().zip(&names).zip(&hosts) {
            table.row(row(answer, name, host));
        }
        table.footer(footer(servers));
        table
    }
}

fn row(answer: &Answer, name: &str, host: &str) -> Vec<String> {
    let (server, stats) = (answer.value.dig("server"), answer.value.dig("statsz"));
    let domain = server.text("domain");
    let jetstream = match (server.flag("jetstream"), domain) {
        (false, _) => "no",
        (true, "") => "yes",
        (true, domain) => domain,
    };
    let uptime = server.time("time").zip(stats.time("start")).map(|(now, start)| {
        Duration::from_nanos(u64::try_from(now.as_nanosecond() - start.as_nanosecond()).unwrap_or(0))
    });
    cells![
        name,
        server.text("cluster"),
        host,
        server.text("ver"),
        jetstream,
        stats.whole("connections"),
        stats.whole("subscriptions"),
        stats.list("routes").len(),
        stats.list("gateways").len(),
        ibytes(stats.whole("mem")),
        format!("{:.0}", stats.number("cpu")),
        stats.whole("cores"),
        slow(stats),
        humanize(uptime.unwrap_or_default()),
        humanize(Duration::from_millis((answer.took.as_micros() as u64 + 500) / 1000)),
    ]
}

/// Slow consumers, by kind when others than clients are among them.
fn slow(stats: &Value) -> String {
    let kinds = [("c", "clients"), ("r", "routes"), ("g", "gateways"), ("l", "leafs")];
    let counts: Vec<_> = kinds
        .iter()
        .map(|(short, kind)| (short, kind, stats.whole(&format!("slow_consumer_stats.{kind}"))))
        .filter(|(.., count)| *count > 0)
        .collect();
    let total = comma(stats.whole("slow_consumers"));
    if counts.iter().all(|(_, kind, _)| **kind == "clients") {
        return total;
    }
    let counts: Vec<_> = counts.iter().map(|(short, _, count)| format!("{short}: {}", comma(*count))).collect();
    format!("{total} ({})", counts.join(" "))
}

/// Sums, and an X below what should be the same everywhere and is not.
fn footer(servers: &[Answer]) -> Vec<String> {
    let sum = |path: &str| servers.iter().map(|answer| answer.value.whole(path)).sum::<u64>();
    let differs = |is_same: bool| if is_same { "" } else { "X" };
    let first = &servers[0].value;
    let versions = servers.iter().all(|answer| answer.value.text("server.ver") == first.text("server.ver"));
    let gateways =
        servers.iter().all(|answer| answer.value.list("statsz.gateways").len() == first.list("statsz.gateways").len());
    let clusters = clusters(servers);
    let routes = clusters.values().all(|cluster| cluster.routes.iter().all(|count| *count == cluster.routes[0]));
    cells![
        "",
        clusters.len(),
        servers.len(),
        differs(versions),
        servers.iter().filter(|answer| answer.value.flag("server.jetstream")).count(),
        sum("statsz.connections"),
        sum("statsz.subscriptions"),
        differs(routes),
        differs(gateways),
        ibytes(sum("statsz.mem")),
        "",
        "",
        sum("statsz.slow_consumers"),
        "",
        "",
    ]
}

/// What servers of one cluster have in common.
#[derive(Default)]
struct Cluster {
    nodes: usize,
    outgoing: usize,
    incoming: u64,
    connections: u64,
    routes: Vec<usize>,
}

fn clusters(servers: &[Answer]) -> BTreeMap<String, Cluster> {
    let mut clusters: BTreeMap<String, Cluster> = BTreeMap::new();
    for answer in servers.iter().map(|answer| &answer.value).filter(|answer| !answer.text("server.cluster").is_empty())
    {
        let cluster = clusters.entry(answer.text("server.cluster").to_owned()).or_default();
        let gateways = answer.list("statsz.gateways");
        cluster.nodes += 1;
        cluster.outgoing += gateways.len();
        cluster.incoming += gateways.iter().map(|gateway| gateway.whole("inbound_connections")).sum::<u64>();
        cluster.connections += answer.whole("statsz.connections");
        cluster.routes.push(answer.list("statsz.routes").len());
    }
    clusters
}

fn cluster_overview(clusters: &BTreeMap<String, Cluster>) -> Table {
    let header = ["Cluster", "Node Count", "Outgoing Gateways", "Incoming Gateways", "Connections"];
    let mut table = Table::new("Cluster Overview", &header).right(&[1, 2, 3, 4]);
    let mut sorted: Vec<_> = clusters.iter().collect();
    sorted.sort_by_key(|(_, cluster)| cluster.connections);
    for (name, cluster) in &sorted {
        table.row(cells![name, cluster.nodes, cluster.outgoing, cluster.incoming, cluster.connections]);
    }
    table.footer(cells![
        "",
        clusters.values().map(|cluster| cluster.nodes).sum::<usize>(),
        clusters.values().map(|cluster| cluster.outgoing).sum::<usize>(),
        clusters.values().map(|cluster| cluster.incoming).sum::<u64>(),
        clusters.values().map(|cluster| cluster.connections).sum::<u64>(),
    ]);
    table
}

/// Names without the domain that all of them end with. The first part always stays, and an address is one part.
pub(crate) fn compacted(names: &[String]) -> Vec<String> {
    let split = |name: &String| match name.parse::<IpAddr>() {
        Ok(_) => vec![name.clone()],
        Err(_) => name.split('.').map(str::to_owned).collect(),
    };
    let parts: Vec<Vec<String>> = names.iter().map(split).collect();
    let shortest = parts.iter().map(Vec::len).min().unwrap_or(0);
    let common = (1..shortest)
        .take_while(|&back| parts.iter().all(|name| name[name.len() - back] == parts[0][parts[0].len() - back]))
        .count();
    parts.iter().map(|name| name[..name.len() - common].join(".")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_domain_is_left_out() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(compacted(&names(&["a.x.net", "b.x.net"])), ["a", "b"]);
        assert_eq!(compacted(&names(&["a.x.net", "b.y.net"])), ["a.x", "b.y"]);
        assert_eq!(compacted(&names(&["one"])), ["one"]);
        assert_eq!(compacted(&names(&["one.two"])), ["one"]);
        assert_eq!(compacted(&names(&["127.0.0.1", "10.0.0.1"])), ["127.0.0.1", "10.0.0.1"]);
        assert!(compacted(&[]).is_empty());
    }
}
