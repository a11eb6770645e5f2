//! `nats account report`.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::gather::{Question, ask_servers, check};
use crate::command::server::report::connections::{Choice, of_own_account};
use crate::invocation::Invocation;
use crate::show::{Table, cells, ibytes};

/// Show tables over the connections of the account
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Report {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connections of the account
    #[command(visible_aliases = ["conn", "connz", "conns"])]
    Connections(Connections),
    /// What the account uses on each server
    #[command(visible_aliases = ["stats", "statsz"])]
    Statistics,
}

/// Show the connections of the account
#[derive(Args, Debug)]
struct Connections {
    #[command(flatten)]
    choice: Choice,
    /// Sort the other way round
    #[arg(long, short = 'R')]
    reverse: bool,
}

impl Report {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        match &self.command {
            Command::Connections(Connections { choice, reverse }) => {
                let connections = of_own_account(invocation, &link, choice).await?;
                choice.show(connections, *reverse);
                Ok(())
            }
            Command::Statistics => {
                let question = Question { subject: "$SYS.REQ.ACCOUNT.PING.STATZ", body: Value::Null, expect: 0 };
                let answers = ask_servers(invocation, &link, &question).await?;
                answers.iter().try_for_each(check)?;
                statistics(&answers).print();
                Ok(())
            }
        }
    }
}

fn statistics(answers: &[Value]) -> Table {
    let header = [
        "Server",
        "Cluster",
        "Version",
        "Tags",
        "Connections",
        "Subscriptions",
        "Leafnodes",
        "Sent Bytes",
        "Sent Messages",
        "Received Bytes",
        "Received Messages",
        "Slow Consumers",
    ];
    let mut table = Table::new("Server Statistics", &header);
    let rows: Vec<(&Value, &Value)> = answers
        .iter()
        .filter_map(|answer| Some((answer.dig("server"), answer.list("data.account_statz").first()?)))
        .collect();
    for (server, account) in &rows {
        table.row(cells![
            server.text("host"),
            server.text("cluster"),
            server.text("ver"),
            server.texts("tags"),
            account.whole("conns"),
            account.whole("num_subscriptions"),
            account.whole("leafnodes"),
            ibytes(account.whole("sent.bytes")),
            account.whole("sent.msgs"),
            ibytes(account.whole("received.bytes")),
            account.whole("received.msgs"),
            account.whole("slow_consumers"),
        ]);
    }
    let sum = |path: &str| rows.iter().map(|(_, account)| account.whole(path)).sum::<u64>();
    table.footer(cells![
        answers.len(),
        "",
        "",
        "",
        sum("conns"),
        sum("num_subscriptions"),
        sum("leafnodes"),
        ibytes(sum("sent.bytes")),
        sum("sent.msgs"),
        ibytes(sum("received.bytes")),
        sum("received.msgs"),
        sum("slow_consumers"),
    ]);
    table
}
