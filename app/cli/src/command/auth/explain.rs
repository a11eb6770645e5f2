//! `nats auth explain`: what somebody may do on running servers, and which rule decides.
//!
//! About others the system account is asked: each server answers for those who are connected to it, by the permissions they have
//! now, and for users of its configuration. Without a name one asks about oneself, as whoever logs in.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::command::dig::Dig;
use crate::command::gather::{NoResponders, Question, ask_one, ask_servers};
use crate::failure::{Ended, advise};
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::{outln, print_json};

/// Each server is asked here, or one by its id.
const OF_SERVERS: &str = "$SYS.REQ.SERVER.";
/// Everybody may ask about himself here.
const OF_ONESELF: &str = "$SYS.REQ.USER.EXPLAIN";
/// The exit code of a no.
const NO: u8 = 3;

/// What somebody may do on the running servers, and which rule decides
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The user: a name or a public key. Without it, whoever asks
    #[arg(id = "explained", value_name = "USER")]
    user: Option<String>,
    /// Only the user of this account
    #[arg(long, requires = "explained", value_name = "ACCOUNT")]
    account: Option<String>,
    /// The connection with this id, on the server that --id names
    #[arg(long, requires = "id", conflicts_with = "explained")]
    cid: Option<u64>,
    /// Only the server with this id
    #[arg(long)]
    id: Option<String>,
    /// May it publish to this subject?
    #[arg(long = "publish", visible_alias = "pub", value_name = "SUBJECT", conflicts_with_all = ["subscribe", "deliver"])]
    publish: Option<String>,
    /// May it subscribe to this filter?
    #[arg(long = "subscribe", visible_alias = "sub", value_name = "FILTER", conflicts_with = "deliver")]
    subscribe: Option<String>,
    /// May the server send messages to this subject on its word: answers, and what is stored?
    #[arg(long = "deliver", value_name = "SUBJECT", required_unless_present_any = ["publish", "subscribe"])]
    deliver: Option<String>,
    /// As a member of this queue group
    #[arg(long, conflicts_with = "publish")]
    queue: Option<String>,
    /// Write JSON
    #[arg(long, short = 'j')]
    json: bool,
}

/// An answer, and which servers gave it.
struct Row {
    answer: Value,
    servers: Vec<String>,
}

impl Explain {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        let documents = match self.user.is_some() || self.cid.is_some() {
            true => self.ask(invocation, &link).await?,
            false => vec![self.ask_about_oneself(invocation, &link).await?],
        };
        let rows = rows(&documents)?;
        if self.json {
            let row = |row: &Row| {
                let mut answer = row.answer.clone();
                answer["servers"] = json!(row.servers);
                answer
            };
            print_json(&Value::Array(rows.iter().map(row).collect()))?;
        } else {
            rows.iter().for_each(print);
        }
        if rows.iter().any(|row| row.answer.text("verdict") != "denied") { Ok(()) } else { Err(Ended(NO).into()) }
    }

    /// The question as servers read it.
    fn body(&self) -> Value {
        let mut body = Map::new();
        let texts = [
            ("user", &self.user),
            ("account", &self.account),
            ("publish", &self.publish),
            ("deliver", &self.deliver),
            ("subscribe", &self.subscribe),
            ("queue", &self.queue),
        ];
        for (name, text) in texts {
            body.extend(text.iter().map(|text| (name.to_owned(), text.as_str().into())));
        }
        body.extend(self.cid.map(|cid| ("cid".to_owned(), cid.into())));
        Value::Object(body)
    }

    async fn ask(&self, invocation: &Invocation, link: &Link) -> Result<Vec<Value>> {
        let subject = format!("{OF_SERVERS}{}.EXPLAIN", self.id.as_deref().unwrap_or("PING"));
        let expect = usize::from(self.id.is_some());
        ask_servers(invocation, link, &Question { subject: &subject, body: self.body(), expect }).await
    }

    async fn ask_about_oneself(&self, invocation: &Invocation, link: &Link) -> Result<Value> {
        match ask_one(invocation, link, OF_ONESELF, self.body()).await {
            Err(error) if error.is::<NoResponders>() => Err(advise(
                "the server does not explain, or you may not publish to $SYS.REQ.USER.EXPLAIN",
                "ask by name, as a user of the system account",
            )),
            answer => answer,
        }
    }
}

/// The answers of all servers; those that are the same stand together.
fn rows(documents: &[Value]) -> Result<Vec<Row>> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut errors = Vec::new();
    for document in documents {
        let server = document.text("server.name");
        if document.dig("data").is_null() {
            errors.push(format!("{server}: {}", document.text("error.description")));
        }
        for answer in document.list("data.explained") {
            let mut key = answer.clone();
            // Who is connected where is told beside it.
            key["connections"] = Value::Null;
            let row = rows.entry(key.to_string()).or_insert_with(|| Row { answer: key, servers: Vec::new() });
            row.servers.push(place(server, answer));
        }
    }
    if rows.is_empty() {
        bail!("{}", errors.join("; "));
    }
    for row in rows.values_mut() {
        row.answer.as_object_mut().map(|answer| answer.remove("connections"));
    }
    Ok(rows.into_values().collect())
}

/// The server, and the connections there.
fn place(server: &str, answer: &Value) -> String {
    let ids: Vec<String> = answer.list("connections").iter().map(ToString::to_string).collect();
    match ids.as_slice() {
        [] => server.to_owned(),
        ids => format!("{server} (connection {})", ids.join(", ")),
    }
}

fn print(row: &Row) {
    let answer = &row.answer;
    let may = if answer.text("verdict") == "denied" { "may not" } else { "may" };
    outln!("{}/{} {may} {}", answer.text("account"), answer.text("user"), answer.text("wish"));
    outln!("  {}  {}", answer.text("verdict"), answer.text("why"));
    for (label, list) in [("from there", "ways"), ("limit", "limits"), ("to change it", "to_change")] {
        for text in answer.texts(list) {
            outln!("  {label}: {text}");
        }
    }
    outln!("  says: {}", row.servers.join(", "));
}
