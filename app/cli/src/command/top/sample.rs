//! What servers say when they are asked, as rows.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use async_nats::Subscriber;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::command::gather::{Question, ask_servers, check};
use crate::command::top::sheet::{Cell, Column, Row, View};
use crate::invocation::Invocation;
use crate::link::Link;

/// Connections that one server is asked for.
const CONNECTIONS_MAX: u64 = 1024;
/// Subjects that are counted one by one; what comes beyond is counted together.
const SUBJECTS_MAX: usize = 10_000;
/// Subscribed messages are taken for this long at most before they are shown.
const TAKE_MAX: Duration = Duration::from_millis(200);

pub(crate) static SERVERS: View = View {
    title: "Servers",
    columns: &[
        Column::Text("Server"),
        Column::CountRate("Msgs In"),
        Column::CountRate("Msgs Out"),
        Column::BytesRate("Bytes In"),
        Column::BytesRate("Bytes Out"),
        Column::Count("CPU %"),
        Column::Bytes("Memory"),
        Column::Count("Connections"),
        Column::Count("Subscriptions"),
        Column::Count("Slow"),
    ],
    sort: "Msgs In",
};

pub(crate) static ACCOUNTS: View = View {
    title: "Accounts",
    columns: &[
        Column::Text("Account"),
        Column::CountRate("Msgs In"),
        Column::CountRate("Msgs Out"),
        Column::BytesRate("Bytes In"),
        Column::BytesRate("Bytes Out"),
        Column::Count("Connections"),
        Column::Count("Subscriptions"),
        Column::Count("Slow"),
    ],
    sort: "Msgs In",
};

pub(crate) static CONNECTIONS: View = View {
    title: "Connections",
    columns: &[
        Column::Text("Server"),
        Column::Count("CID"),
        Column::Text("Account"),
        Column::Text("User"),
        Column::Text("Name"),
        Column::Text("Address"),
        Column::CountRate("Msgs In"),
        Column::CountRate("Msgs Out"),
        Column::BytesRate("Bytes In"),
        Column::BytesRate("Bytes Out"),
        Column::Bytes("Pending"),
        Column::Count("Subs"),
        Column::Text("RTT"),
    ],
    sort: "Msgs In",
};

pub(crate) static STREAMS: View = View {
    title: "Streams",
    columns: &[
        Column::Text("Account"),
        Column::Text("Stream"),
        Column::CountRate("Stored"),
        Column::Count("Messages"),
        Column::Bytes("Bytes"),
        Column::Count("Subjects"),
        Column::Count("Consumers"),
    ],
    sort: "Stored",
};

pub(crate) static JETSTREAM: View = View {
    title: "JetStream",
    columns: &[
        Column::Text("Server"),
        Column::CountRate("API"),
        Column::Count("API Errors"),
        Column::Count("API Pending"),
        Column::Count("HA Assets"),
        Column::Count("Streams"),
        Column::Count("Consumers"),
        Column::Bytes("Memory"),
        Column::Bytes("File"),
    ],
    sort: "API",
};

pub(crate) static SUBJECTS: View = View {
    title: "Subjects",
    columns: &[Column::Text("Subject"), Column::CountRate("Msgs"), Column::BytesRate("Bytes"), Column::Count("Total")],
    sort: "Msgs",
};

/// Answers of all servers about one document.
async fn ask(invocation: &Invocation, link: &Link, document: &str, body: Value) -> Result<Vec<Value>> {
    let subject = format!("$SYS.REQ.{document}");
    let answers = ask_servers(invocation, link, &Question { subject: &subject, body, expect: 0 }).await?;
    answers.iter().try_for_each(check)?;
    Ok(answers)
}

fn text(value: &Value, path: &str) -> Cell {
    Cell::Text(value.text(path).to_owned())
}

fn number(value: &Value, path: &str) -> Cell {
    Cell::Number(value.number(path))
}

pub(crate) async fn servers(invocation: &Invocation, link: &Link) -> Result<Vec<Row>> {
    let answers = ask(invocation, link, "SERVER.PING.VARZ", json!({})).await?;
    let row = |answer: &Value| {
        let data = answer.dig("data");
        let numbers = ["in_msgs", "out_msgs", "in_bytes", "out_bytes", "cpu", "mem", "connections", "subscriptions"];
        let mut cells = vec![text(data, "server_name")];
        cells.extend(numbers.map(|path| number(data, path)));
        cells.push(number(data, "slow_consumers"));
        Row { key: data.text("server_id").to_owned(), cells }
    };
    Ok(answers.iter().map(row).collect())
}

pub(crate) async fn accounts(invocation: &Invocation, link: &Link) -> Result<Vec<Row>> {
    let answers = ask(invocation, link, "ACCOUNT.PING.STATZ", json!({ "include_unused": true })).await?;
    // An account lives on several servers.
    let mut sums: HashMap<String, [f64; 7]> = HashMap::new();
    for account in answers.iter().flat_map(|answer| answer.list("data.account_statz")) {
        let paths = [
            "received.msgs",
            "sent.msgs",
            "received.bytes",
            "sent.bytes",
            "conns",
            "num_subscriptions",
            "slow_consumers",
        ];
        let name = if account.text("name").is_empty() { account.text("acc") } else { account.text("name") };
        let sum = sums.entry(name.to_owned()).or_default();
        sum.iter_mut().zip(paths).for_each(|(sum, path)| *sum += account.number(path));
    }
    let row = |(name, numbers): (String, [f64; 7])| {
        let cells = [Cell::Text(name.clone())].into_iter().chain(numbers.map(Cell::Number)).collect();
        Row { key: name, cells }
    };
    Ok(sums.into_iter().map(row).collect())
}

pub(crate) async fn connections(invocation: &Invocation, link: &Link) -> Result<Vec<Row>> {
    let body = json!({ "auth": true, "limit": CONNECTIONS_MAX, "sort": "last" });
    let answers = ask(invocation, link, "SERVER.PING.CONNZ", body).await?;
    let row = |(server, facts): (&Value, &Value)| Row {
        key: format!("{} {}", server.text("id"), facts.whole("cid")),
        cells: vec![
            text(server, "name"),
            number(facts, "cid"),
            text(facts, "account"),
            text(facts, "authorized_user"),
            text(facts, "name"),
            Cell::Text(format!("{}:{}", facts.text("ip"), facts.whole("port"))),
            number(facts, "in_msgs"),
            number(facts, "out_msgs"),
            number(facts, "in_bytes"),
            number(facts, "out_bytes"),
            number(facts, "pending_bytes"),
            number(facts, "subscriptions"),
            text(facts, "rtt"),
        ],
    };
    let facts = |answer| Value::list(answer, "data.connections").iter().map(move |facts| (answer.dig("server"), facts));
    Ok(answers.iter().flat_map(facts).map(row).collect())
}

pub(crate) async fn streams(invocation: &Invocation, link: &Link) -> Result<Vec<Row>> {
    let body = json!({ "accounts": true, "streams": true });
    let answers = ask(invocation, link, "SERVER.PING.JSZ", body).await?;
    let mut rows = Vec::new();
    for account in answers.iter().flat_map(|answer| answer.list("data.account_details")) {
        for stream in account.list("stream_detail") {
            let cells = vec![
                text(account, "name"),
                text(stream, "name"),
                number(stream, "state.last_seq"),
                number(stream, "state.messages"),
                number(stream, "state.bytes"),
                number(stream, "state.num_subjects"),
                number(stream, "state.consumer_count"),
            ];
            rows.push(Row { key: format!("{} {}", account.text("name"), stream.text("name")), cells });
        }
    }
    Ok(rows)
}

pub(crate) async fn jetstream(invocation: &Invocation, link: &Link) -> Result<Vec<Row>> {
    let answers = ask(invocation, link, "SERVER.PING.JSZ", json!({})).await?;
    let row = |answer: &Value| {
        let (server, data) = (answer.dig("server"), answer.dig("data"));
        let numbers = ["api.total", "api.errors", "meta_cluster.pending", "ha_assets", "streams", "consumers"];
        let mut cells = vec![text(server, "name")];
        cells.extend(numbers.map(|path| number(data, path)));
        cells.extend([number(data, "memory"), number(data, "storage")]);
        Row { key: server.text("id").to_owned(), cells }
    };
    Ok(answers.iter().filter(|answer| !answer.flag("data.disabled")).map(row).collect())
}

/// Messages that we may read, counted by subject. Needs no system account.
#[derive(Default)]
pub(crate) struct Subjects {
    arriving: Option<Subscriber>,
    counted: HashMap<String, (f64, f64)>,
}

impl Subjects {
    /// Takes what has arrived since the last look.
    pub(crate) async fn look(&mut self, link: &Link, filter: &str) -> Result<Vec<Row>> {
        let arriving = match &mut self.arriving {
            Some(arriving) => arriving,
            none => none.insert(link.client.subscribe(filter.to_owned()).await?),
        };
        let until = tokio::time::Instant::now() + TAKE_MAX;
        while let Ok(Some(message)) = tokio::time::timeout_at(until, arriving.next()).await {
            let is_known = self.counted.contains_key(message.subject.as_str());
            let has_room = is_known || self.counted.len() < SUBJECTS_MAX;
            let name = if has_room { message.subject.as_str() } else { "(others)" };
            let counted = self.counted.entry(name.to_owned()).or_default();
            counted.0 += 1.0;
            counted.1 += message.length as f64;
        }
        let row = |(subject, (messages, bytes)): (&String, &(f64, f64))| Row {
            key: subject.clone(),
            cells: vec![
                Cell::Text(subject.clone()),
                Cell::Number(*messages),
                Cell::Number(*bytes),
                Cell::Number(*messages),
            ],
        };
        Ok(self.counted.iter().map(row).collect())
    }
}
