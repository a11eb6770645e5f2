//! Connections, in a table with sums, and how many each server has.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::command::gather::{Question, ask_servers};
use crate::command::server::report::Desk;
use crate::command::server::request::State;
use crate::expression::{self, Expression, of_connection};
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::{Figure, Table, cells, comma, ibytes, out, print_json};

/// Records asked for at a time.
const PAGE: u64 = 1024;

/// Show connections
#[derive(Args, Debug)]
#[command(after_help = expression::HELP)]
pub(crate) struct Connections {
    /// Wait for so many servers
    limit: Option<usize>,
    /// Only this account
    #[arg(long)]
    account: Option<String>,
    #[command(flatten)]
    pub(crate) choice: Choice,
    /// Only connections of which this expression is true
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "closed_reason")]
    filter: Option<Expression>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

/// Which connections, and in what order.
#[derive(Args, Debug)]
pub(crate) struct Choice {
    /// Sort by this
    #[arg(long, default_value = "subs", value_name = "KEY")]
    pub(crate) sort: Key,
    /// Show only the first so many
    #[arg(long, default_value_t = 1000)]
    pub(crate) top: usize,
    /// Only connections that get messages of this subject
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// Only connections of this user
    #[arg(long)]
    pub(crate) username: Option<String>,
    /// Only connections in this state
    #[arg(long, default_value = "open")]
    pub(crate) state: State,
    /// Only connections that were closed for this reason
    #[arg(long, value_name = "REASON")]
    pub(crate) closed_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Key {
    InBytes,
    OutBytes,
    InMsgs,
    OutMsgs,
    Uptime,
    Cid,
    Subs,
}

/// A connection and its server.
pub(crate) struct Connection {
    pub(crate) facts: Value,
    pub(crate) server: Value,
}

impl Connections {
    pub(crate) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let body = self.choice.body(self.account.as_deref());
        let connections = gather(desk, &body, self.limit).await?;
        let connections = self.described(self.choice.pick(connections))?;
        if self.json {
            return print_json(&connections.iter().map(Connection::json).collect::<Vec<_>>());
        }
        self.choice.show(connections, desk.is_reversed);
        Ok(())
    }

    /// The connections of which the expression, if there is one, is true.
    fn described(&self, connections: Vec<Connection>) -> Result<Vec<Connection>> {
        let Some(filter) = &self.filter else { return Ok(connections) };
        let mut found = Vec::new();
        for connection in connections {
            if filter.holds(&of_connection(&connection.facts, &connection.server))? {
                found.push(connection);
            }
        }
        Ok(found)
    }
}

/// All connections of all servers, page by page.
pub(crate) async fn gather(desk: &Desk<'_>, body: &Value, limit: Option<usize>) -> Result<Vec<Connection>> {
    let mut found = Vec::new();
    for answer in desk.ask("CONNZ", body.clone(), limit).await? {
        let server = answer.dig("server").clone();
        let (mut seen, total) = (answer.list("data.connections").len() as u64, answer.whole("data.total"));
        found.extend(rows(&answer, &server));
        while seen > 0 && seen < total {
            let mut body = body.clone();
            body["offset"] = seen.into();
            let more = desk.source.ask_one(server.text("id"), "CONNZ", body).await?;
            let rows: Vec<_> = more.iter().flat_map(|answer| rows(answer, &server)).collect();
            if rows.is_empty() {
                break;
            }
            seen += rows.len() as u64;
            found.extend(rows);
        }
    }
    Ok(found)
}

fn rows(answer: &Value, server: &Value) -> Vec<Connection> {
    let connections = answer.list("data.connections").iter();
    connections.map(|facts| Connection { facts: facts.clone(), server: server.clone() }).collect()
}

/// The connections of the account that asks, which needs no system account.
pub(crate) async fn of_own_account(invocation: &Invocation, link: &Link, choice: &Choice) -> Result<Vec<Connection>> {
    let question = Question { subject: "$SYS.REQ.ACCOUNT.PING.CONNZ", body: choice.body(None), expect: 0 };
    let answers = ask_servers(invocation, link, &question).await?;
    Ok(choice.pick(answers.iter().flat_map(|answer| rows(answer, answer.dig("server"))).collect()))
}

impl Connection {
    fn json(&self) -> Value {
        let mut json = self.facts.clone();
        json["server"] = self.server.clone();
        json
    }

    fn name(&self) -> String {
        let name = self.facts.text("name");
        let name = if name.is_empty() { self.facts.text("mqtt_client") } else { name };
        if name.chars().count() > 40 {
            format!("{} ..", name.chars().take(40).collect::<String>())
        } else {
            name.to_owned()
        }
    }

    fn account(&self) -> String {
        let account = self.facts.text("account");
        if account.len() > 46 {
            format!("{} ..", account.chars().take(12).collect::<String>())
        } else {
            account.to_owned()
        }
    }

    /// The id, with the first letter of the kind before it unless it is a client.
    fn cid(&self) -> String {
        let kind = self.facts.text("kind").chars().next().filter(|_| self.facts.text("kind") != "Client");
        format!("{}{}", kind.map(String::from).unwrap_or_default(), self.facts.whole("cid"))
    }

    fn subscriptions(&self) -> u64 {
        let listed = self.facts.list("subscriptions_list").len() as u64;
        if listed > 0 { listed } else { self.facts.whole("subscriptions") }
    }
}

impl Choice {
    pub(crate) fn body(&self, account: Option<&str>) -> Value {
        let mut body = json!({"subscriptions": true, "auth": true, "limit": PAGE, "state": self.state.code()});
        for (key, value) in
            [("filter_subject", self.subject.as_deref()), ("user", self.username.as_deref()), ("acc", account)]
        {
            if let Some(value) = value {
                body[key] = value.into();
            }
        }
        body
    }

    fn pick(&self, mut connections: Vec<Connection>) -> Vec<Connection> {
        if let Some(reason) = &self.closed_reason {
            connections.retain(|connection| connection.facts.text("reason").eq_ignore_ascii_case(reason));
        }
        connections
    }

    pub(crate) fn show(&self, mut connections: Vec<Connection>, is_reversed: bool) {
        self.arrange(&mut connections, is_reversed);
        out!("{}\n", self.table(&connections).render());
        if !connections.is_empty() {
            out!("\n{}\n", per_server(&connections).render());
        }
    }

    fn arrange(&self, connections: &mut [Connection], is_reversed: bool) {
        connections.sort_by_key(|connection| match self.sort {
            Key::InBytes => connection.facts.signed("in_bytes"),
            Key::OutBytes => connection.facts.signed("out_bytes"),
            Key::InMsgs => connection.facts.signed("in_msgs"),
            Key::OutMsgs => connection.facts.signed("out_msgs"),
            Key::Uptime => -connection.facts.time("start").map_or(0, jiff::Timestamp::as_millisecond),
            Key::Cid => connection.facts.signed("cid"),
            Key::Subs => i64::try_from(connection.subscriptions()).unwrap_or(i64::MAX),
        });
        if is_reversed {
            connections.reverse();
        }
    }

    fn table(&self, connections: &[Connection]) -> Table {
        let total = connections.len();
        let limit = if self.top > 0 && self.top <= total { self.top } else { total };
        let key = self.sort.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut header = vec![
            "CID",
            "Name",
            "Server",
            "Cluster",
            "IP",
            "Account",
            "Uptime",
            "In Msgs",
            "Out Msgs",
            "In Bytes",
            "Out Bytes",
            "Subs",
        ];
        let has_reason = self.state != State::Open;
        header.extend(has_reason.then_some("Reason"));
        let mut table = Table::new(format!("Top {limit} Connections out of {} by {key}", comma(total as u64)), &header);
        for connection in connections.iter().take(limit) {
            table.row(row(connection, has_reason));
        }
        if total > 1 {
            table.footer(footer(connections, has_reason));
        }
        table
    }
}

fn row(connection: &Connection, has_reason: bool) -> Vec<String> {
    let facts = &connection.facts;
    let mut row = cells![
        connection.cid(),
        connection.name(),
        connection.server.text("name"),
        connection.server.text("cluster"),
        format!("{}:{}", facts.text("ip"), facts.whole("port")),
        connection.account(),
        facts.text("uptime"),
        facts.whole("in_msgs"),
        facts.whole("out_msgs"),
        ibytes(facts.whole("in_bytes")),
        ibytes(facts.whole("out_bytes")),
        connection.subscriptions(),
    ];
    row.extend(has_reason.then(|| facts.text("reason").figure()));
    row
}

fn footer(connections: &[Connection], has_reason: bool) -> Vec<String> {
    let sum = |key: &str| connections.iter().map(|connection| connection.facts.whole(key)).sum::<u64>();
    let mut row = cells![
        "",
        format!("Totals for {} connections", comma(connections.len() as u64)),
        "",
        "",
        "",
        "",
        "",
        sum("in_msgs"),
        sum("out_msgs"),
        ibytes(sum("in_bytes")),
        ibytes(sum("out_bytes")),
        connections.iter().map(Connection::subscriptions).sum::<u64>(),
    ];
    row.extend(has_reason.then(String::new));
    row
}

fn per_server(connections: &[Connection]) -> Table {
    let mut counts: Vec<(String, String, usize)> = Vec::new();
    for connection in connections {
        let name = connection.server.text("name");
        match counts.iter_mut().find(|(known, ..)| known == name) {
            Some((.., count)) => *count += 1,
            None => counts.push((name.to_owned(), connection.server.text("cluster").to_owned(), 1)),
        }
    }
    counts.sort_by_key(|(.., count)| *count);
    let mut table = Table::new("Connections per server", &["Server", "Cluster", "Connections"]).right(&[2]);
    for (name, cluster, count) in counts {
        table.row(cells![name, cluster, count]);
    }
    table
}
