//! Gateways between the clusters of a super cluster.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::command::server::report::{Desk, unless_same};
use crate::show::{Table, cells, ibytes};

/// Show gateways
#[derive(Args, Debug)]
pub(crate) struct Gateways {
    /// Wait for so many servers
    limit: Option<usize>,
    /// Only gateways of this name
    #[arg(long, value_name = "NAME")]
    filter_name: Option<String>,
    /// Sort by this
    #[arg(long, default_value = "cluster", value_name = "KEY")]
    sort: Key,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    Server,
    Cluster,
}

/// One connection of a gateway.
struct Link<'a> {
    kind: &'static str,
    gateway: &'a str,
    facts: &'a Value,
    bytes: u64,
}

impl Gateways {
    pub(crate) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let mut body = json!({"accounts": true});
        if let Some(name) = &self.filter_name {
            body["name"] = name.clone().into();
        }
        let mut answers = desk.ask("GATEWAYZ", body, self.limit).await?;
        desk.sort(&mut answers, |answer| {
            let (server, cluster) = (answer.text("server.name").to_owned(), answer.text("server.cluster").to_owned());
            if matches!(self.sort, Key::Server) { (server, cluster) } else { (cluster, server) }
        });
        let header = ["Server", "Name", "Port", "Kind", "Connection", "ID", "Uptime", "RTT", "Bytes", "Accounts"];
        let mut table = Table::new("Super Cluster Report", &header);
        let (mut count, mut bytes) = (0usize, 0u64);
        let (mut server, mut cluster) = (String::new(), String::new());
        for answer in &answers {
            let name = unless_same(answer.text("server.name"), &mut server);
            let (cluster, port) =
                (unless_same(answer.text("server.cluster"), &mut cluster), answer.whole("data.port").to_string());
            table.row(cells![name, cluster, port, "", "", "", "", "", "", ""]);
            let mut kind = String::new();
            for link in links(answer) {
                count += 1;
                bytes += link.bytes;
                table.row(row(&link, unless_same(link.kind, &mut kind)));
            }
        }
        let clusters: BTreeSet<_> = answers.iter().map(|answer| answer.text("server.cluster")).collect();
        table.footer(cells![answers.len(), clusters.len(), "", "", count, "", "", "", ibytes(bytes), ""]);
        table.print();
        Ok(())
    }
}

fn links(answer: &Value) -> Vec<Link<'_>> {
    let entries = |path| answer.dig(path).as_object().into_iter().flatten();
    let inbound = entries("data.inbound_gateways").flat_map(|(gateway, connections)| {
        connections.as_array().into_iter().flatten().map(move |facts| Link {
            kind: "Inbound",
            gateway,
            facts,
            bytes: facts.whole("connection.in_bytes"),
        })
    });
    let outbound = entries("data.outbound_gateways").map(|(gateway, facts)| Link {
        kind: "Outbound",
        gateway,
        facts,
        bytes: facts.whole("connection.out_bytes"),
    });
    inbound.chain(outbound).collect()
}

fn row(link: &Link<'_>, kind: &str) -> Vec<String> {
    let connection = link.facts.dig("connection");
    cells![
        "",
        "",
        "",
        kind,
        format!("{} {}:{}", link.gateway, connection.text("ip"), connection.whole("port")),
        format!("gid:{}", connection.whole("cid")),
        connection.text("uptime"),
        connection.text("rtt"),
        ibytes(link.bytes),
        link.facts.list("accounts").len(),
    ]
}
