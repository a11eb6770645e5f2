//! Routes between the servers of clusters.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::server::report::{Desk, short_account, unless_same};
use crate::show::{Table, cells, humanize, ibytes};

/// Show routes
#[derive(Args, Debug)]
pub(crate) struct Routes {
    /// Wait for so many servers
    limit: Option<usize>,
    /// Sort by this
    #[arg(long, default_value = "server", value_name = "KEY")]
    sort: Key,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    Server,
    Cluster,
    Name,
    Account,
    Subs,
    InBytes,
    OutBytes,
}

impl Routes {
    pub(crate) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let answers = desk.ask("ROUTEZ", Value::Null, self.limit).await?;
        let mut routes: Vec<(&Value, &Value)> = answers
            .iter()
            .flat_map(|answer| answer.list("data.routes").iter().map(move |route| (answer, route)))
            .collect();
        desk.sort(&mut routes, |(answer, route)| self.key(answer, route));
        let header =
            ["Server", "Cluster", "Name", "Account", "Address", "ID", "Uptime", "RTT", "Subs", "Bytes In", "Bytes Out"];
        let mut table = Table::new("Cluster Report", &header);
        let (mut server, mut cluster, mut remote) = (String::new(), String::new(), String::new());
        for (answer, route) in &routes {
            let name = unless_same(answer.text("server.name"), &mut server);
            if !name.is_empty() {
                (cluster, remote) = (String::new(), String::new());
            }
            table.row(cells![
                name,
                unless_same(answer.text("server.cluster"), &mut cluster),
                unless_same(route.text("remote_name"), &mut remote),
                short_account(route.text("account")),
                format!("{}:{}", route.text("ip"), route.whole("port")),
                format!("rid:{}", route.whole("rid")),
                uptime(answer, route),
                route.text("rtt"),
                route.whole("subscriptions"),
                ibytes(route.whole("in_bytes")),
                ibytes(route.whole("out_bytes")),
            ]);
        }
        table.footer(footer(&routes));
        table.print();
        Ok(())
    }

    fn key(&self, answer: &Value, route: &Value) -> (u64, String, String, String) {
        let text = |value: &Value, path: &str| value.text(path).to_owned();
        let (number, first) = match self.sort {
            Key::Server => (0, text(answer, "server.name")),
            Key::Cluster => (0, text(answer, "server.cluster")),
            Key::Name => (0, text(route, "remote_name")),
            Key::Account => (0, text(route, "account")),
            Key::Subs => (route.whole("subscriptions"), String::new()),
            Key::InBytes => (route.whole("in_bytes"), String::new()),
            Key::OutBytes => (route.whole("out_bytes"), String::new()),
        };
        (number, first, text(answer, "server.name"), text(route, "remote_name"))
    }
}

fn uptime(answer: &Value, route: &Value) -> String {
    let nanos = |at: jiff::Timestamp| at.as_nanosecond();
    match (answer.time("server.time"), route.time("start")) {
        (Some(now), Some(start)) => {
            humanize(Duration::from_nanos(u64::try_from(nanos(now) - nanos(start)).unwrap_or(0)))
        }
        _ => route.text("uptime").to_owned(),
    }
}

fn footer(routes: &[(&Value, &Value)]) -> Vec<String> {
    let distinct = |path: &str| routes.iter().map(|(answer, _)| answer.text(path)).collect::<BTreeSet<_>>().len();
    let sum = |key: &str| routes.iter().map(|(_, route)| route.whole(key)).sum::<u64>();
    cells![
        distinct("server.name"),
        distinct("server.cluster"),
        "",
        "",
        routes.len(),
        "",
        "",
        "",
        sum("subscriptions"),
        ibytes(sum("in_bytes")),
        ibytes(sum("out_bytes")),
    ]
}
