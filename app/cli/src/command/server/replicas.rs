//! What servers say about the streams they hold, replica by replica.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Deserializer, Value, json};

use crate::command::dig::Dig;
use crate::command::server::source::{Among, Source};
use crate::invocation::Invocation;
use crate::show::{Table, out, outln};

/// Streams of one account that are asked for at a time.
const PAGE: u64 = 10_000;
/// Text on stdin is read up to here.
const INPUT_MAX_BYTES: u64 = 1 << 30;
/// Letters of an account's name that are shown; its id stands beside it.
const ACCOUNT_LETTERS: usize = 10;

/// What both checks take.
#[derive(Args, Debug)]
pub(super) struct Choice {
    /// Only this stream
    #[arg(long)]
    pub(super) stream: Option<String>,
    /// Only this group
    #[arg(long, value_name = "GROUP")]
    pub(super) raft_group: Option<String>,
    /// Ask the servers how healthy each one is, too
    #[arg(long, conflicts_with_all = ["archive", "stdin"])]
    pub(super) health: bool,
    /// How many servers to expect
    #[arg(long, value_name = "SERVERS")]
    expected: Option<usize>,
    /// Only those that differ
    #[arg(long)]
    pub(super) unsynced: bool,
    /// Read what "nats server request jsz --all --config --raft" printed from stdin
    #[arg(long, conflicts_with = "archive")]
    stdin: bool,
    /// How long to wait for answers, in seconds
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    read_timeout: u64,
    /// Show CSV
    #[arg(long)]
    csv: bool,
    /// Read an archive of nats audit gather instead of asking servers
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
}

/// A replica: where it is, and what is said of it there.
pub(super) struct Replica {
    pub(super) server: String,
    pub(super) server_id: String,
    pub(super) account: String,
    pub(super) account_id: String,
    pub(super) group: String,
    /// What the server says of the stream.
    pub(super) stream: Value,
    /// What it says of the consumer; nothing when the replica is one of a stream.
    pub(super) consumer: Value,
}

/// Replicas that belong together, in the order of their accounts and groups.
pub(super) type Groups = BTreeMap<(String, String, String), Vec<Replica>>;

impl Choice {
    /// Whether this one was asked for.
    pub(super) fn wants(&self, replica: &Replica) -> bool {
        let is = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        is(&self.raft_group, &replica.group) && is(&self.stream, replica.stream.text("name"))
    }
}

impl Replica {
    pub(super) fn account_shown(&self) -> String {
        self.account.chars().take(ACCOUNT_LETTERS).collect::<String>().replace(' ', "_")
    }

    /// The name of the server, with a mark when it leads.
    pub(super) fn node(&self, cluster: &Value) -> String {
        format!("{}{}", self.server, if cluster.text("leader") == self.server { "*" } else { "" })
    }
}

/// The other replicas as one of them sees them.
pub(super) fn peers(cluster: &Value) -> String {
    let peer = |peer: &Value| {
        format!("{}(current={},offline={})", peer.text("name"), peer.flag("current"), peer.flag("offline"))
    };
    cluster.list("replicas").iter().map(peer).collect::<Vec<_>>().join(" ")
}

/// A number of a replica beside that of its leader: `95 (-5)`.
pub(super) fn drift(own: u64, leaders: u64) -> String {
    match i128::from(own) - i128::from(leaders) {
        0 => own.to_string(),
        difference => format!("{own} ({difference:+})"),
    }
}

/// A check at work: who answers, and what they said.
pub(super) struct Survey<'a> {
    source: Option<Source<'a>>,
    answers: Vec<Value>,
    choice: &'a Choice,
}

impl<'a> Survey<'a> {
    pub(super) async fn make(
        choice: &'a Choice,
        invocation: &'a mut Invocation,
        wants_consumers: bool,
    ) -> Result<Self> {
        if choice.read_timeout > 0 {
            invocation.global.timeout = Duration::from_secs(choice.read_timeout);
        }
        let start = Instant::now();
        let (source, answers) = if choice.stdin {
            (None, from_stdin()?)
        } else {
            let source = Source::open(invocation, choice.archive.as_deref()).await?;
            let body = json!({
                "accounts": true, "streams": true, "config": true, "raft": true, "limit": PAGE, "consumer": wants_consumers,
            });
            let Value::Object(body) = body else { bail!("the question is an object") };
            let answers = source.ask("JSZ", body, &Among::default(), choice.expected).await?;
            (Some(source), answers)
        };
        if answers.is_empty() {
            bail!("no JSZ responses received");
        }
        let survey = Self { source, answers, choice };
        survey.introduce(start.elapsed());
        Ok(survey)
    }

    fn introduce(&self, took: Duration) {
        if self.choice.csv {
            return;
        }
        outln!("Response took {:.3}s", took.as_secs_f64());
        outln!("Servers: {}", self.answers.len());
        if let Some(expected) = self.choice.expected.filter(|expected| self.answers.len() < *expected) {
            outln!("Warning: expected {expected} responses got {}", self.answers.len());
        }
    }

    /// The replicas of streams, those of one stream together.
    pub(super) fn streams(&self) -> Groups {
        let mut groups = Groups::new();
        self.each_stream(|server, account, stream| {
            let replica = replica(server, account, stream, &Value::Null, group_of_stream(stream));
            let key = (replica.account.clone(), replica.group.clone(), stream.text("name").to_owned());
            groups.entry(key).or_default().push(replica);
        });
        groups
    }

    /// The replicas of consumers, those of one consumer together.
    pub(super) fn consumers(&self) -> Groups {
        let mut groups = Groups::new();
        self.each_stream(|server, account, stream| {
            for consumer in stream.list("consumer_detail") {
                let replica = replica(server, account, stream, consumer, group_of_consumer(stream, consumer));
                let name = format!("{} > {}", stream.text("name"), consumer.text("name"));
                let key = (replica.account.clone(), replica.group.clone(), name);
                groups.entry(key).or_default().push(replica);
            }
        });
        groups
    }

    fn each_stream(&self, mut see: impl FnMut(&Value, &Value, &Value)) {
        for answer in &self.answers {
            for account in answer.list("data.account_details") {
                account.list("stream_detail").iter().for_each(|stream| see(answer.dig("server"), account, stream));
            }
        }
    }

    /// What a server says about the health of a replica.
    async fn health(&self, replica: &Replica) -> String {
        let Some(source) = self.source.as_ref().filter(|source| self.choice.health && source.is_live()) else {
            return String::new();
        };
        let body = json!({
            "account": replica.account,
            "stream": replica.stream.text("name"),
            "consumer": replica.consumer.text("name"),
        });
        match source.ask_one(&replica.server_id, "HEALTHZ", body).await {
            Ok(answers) => answers.first().map_or(String::new(), |answer| {
                let said = [answer.text("data.status"), answer.text("data.error")];
                said.iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join(": ")
            }),
            Err(error) => format!("{error:#}"),
        }
    }

    /// Prints a row for each replica of the groups that are wanted: as `row` makes it, which says too whether all is well.
    pub(super) async fn compare(
        &self,
        (title, header): (&str, &[&str]),
        groups: &Groups,
        wanted: impl Fn(&Replica) -> bool,
        row: impl Fn(&Replica, &[Replica]) -> (Vec<String>, bool),
    ) {
        let mut table = self.table(title, groups.values().map(Vec::len).sum(), header);
        for replicas in groups.values().filter(|replicas| replicas.first().is_some_and(&wanted)) {
            if !table.is_empty() {
                table.separator();
            }
            for replica in replicas {
                let (mut row, is_sound) = row(replica, replicas);
                if self.choice.unsynced && is_sound {
                    continue;
                }
                row.extend(if self.choice.health { Some(self.health(replica).await) } else { None });
                table.row(row);
            }
        }
        self.print(&table);
    }

    /// A table with these columns, and the health when it is asked for.
    fn table(&self, title: &str, count: usize, header: &[&str]) -> Table {
        if !self.choice.csv {
            outln!("{title}: {count}");
        }
        let mut header = header.to_vec();
        header.extend(self.choice.health.then_some("Health"));
        Table::new(if self.choice.csv { "" } else { title }, &header)
    }

    fn print(&self, table: &Table) {
        if self.choice.csv { out!("{}\n", table.csv()) } else { table.print() }
    }
}

fn replica(server: &Value, account: &Value, stream: &Value, consumer: &Value, group: &str) -> Replica {
    Replica {
        server: server.text("name").to_owned(),
        server_id: server.text("id").to_owned(),
        account: account.text("name").to_owned(),
        account_id: account.text("id").to_owned(),
        group: group.to_owned(),
        stream: stream.clone(),
        consumer: consumer.clone(),
    }
}

fn group_of_stream(stream: &Value) -> &str {
    match stream.text("stream_raft_group") {
        "" => stream.text("cluster.raft_group"),
        group => group,
    }
}

fn group_of_consumer<'a>(stream: &'a Value, consumer: &'a Value) -> &'a str {
    let groups = stream.list("consumer_raft_groups");
    match groups.iter().find(|group| group.text("name") == consumer.text("name")) {
        Some(group) => group.text("raft_group"),
        None => consumer.text("cluster.raft_group"),
    }
}

fn from_stdin() -> Result<Vec<Value>> {
    let mut text = String::new();
    std::io::stdin().lock().take(INPUT_MAX_BYTES).read_to_string(&mut text).context("stdin cannot be read")?;
    let answers = Deserializer::from_str(&text).into_iter::<Value>();
    answers.map(|answer| answer.context("what came on stdin is not the output of nats server request jsz")).collect()
}
