//! `nats audit gather`: every server is asked about everything, and all answers go into an archive.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::archive::{Kind, LOG, METADATA, Place, UNCLUSTERED, Writer};
use crate::command::dig::Dig;
use crate::command::gather::{Question, ask, ask_servers, check};
use crate::global::negatable;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::{clock, log};

/// Records of a list that are asked for at a time.
const PAGE: usize = 1024;
/// An archive has no more pages of one list.
const PAGES_MAX: usize = 9999;
/// How much longer than a profile the answer with it may take.
const PROFILE_GRACE: Duration = Duration::from_secs(2);

negatable! {
    /// Tell what is being asked
    Progress, "progress", "no-progress", true
}
negatable! {
    /// Ask each server for its documents
    ServerEndpoints, "server-endpoints", "no-server-endpoints", true
}
negatable! {
    /// Ask each server for profiles of its process
    ServerProfiles, "server-profiles", "no-server-profiles", true
}
negatable! {
    /// Ask about each account
    AccountEndpoints, "account-endpoints", "no-account-endpoints", true
}
negatable! {
    /// Ask about each stream
    Streams, "streams", "no-streams", true
}
negatable! {
    /// With streams, ask about their consumers
    Consumers, "consumers", "no-consumers", true
}
negatable! {
    /// Ask for subscriptions and other details
    Details, "details", "no-details", true
}

/// Ask all servers about everything and keep it in an archive
///
/// The archive tells who is connected, what accounts are called and what streams are for; it holds no messages. It is
/// readable by its owner only.
#[derive(Args, Debug)]
pub(super) struct Gather {
    /// The archive; audit-archive-TIME.zip in the folder for temporary files when left out
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only servers of this cluster
    #[arg(long)]
    cluster: Option<String>,
    #[command(flatten)]
    progress: Progress,
    #[command(flatten)]
    server_endpoints: ServerEndpoints,
    #[command(flatten)]
    server_profiles: ServerProfiles,
    #[command(flatten)]
    account_endpoints: AccountEndpoints,
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    consumers: Consumers,
    #[command(flatten)]
    details: Details,
}

/// What each server is asked, and the list of it that comes in pages.
const OF_SERVERS: [(&str, Kind, &str); 10] = [
    ("VARZ", Kind::Variables, ""),
    ("EXPVARZ", Kind::ExpVariables, ""),
    ("CONNZ", Kind::Connections, "connections"),
    ("ROUTEZ", Kind::Routes, ""),
    ("GATEWAYZ", Kind::Gateways, ""),
    ("LEAFZ", Kind::Leafs, ""),
    ("SUBSZ", Kind::Subs, "subscriptions_list"),
    ("JSZ", Kind::JetStream, "account_details"),
    ("ACCOUNTZ", Kind::Accounts, ""),
    ("HEALTHZ", Kind::Health, ""),
];

/// What is asked about each account.
const OF_ACCOUNTS: [(&str, Kind); 7] = [
    ("CONNZ", Kind::AccountConnections),
    ("LEAFZ", Kind::AccountLeafs),
    ("SUBSZ", Kind::AccountSubs),
    ("INFO", Kind::AccountInfo),
    ("JSZ", Kind::AccountJetStream),
    ("RAFTZ", Kind::AccountRaft),
    ("IPQUEUESZ", Kind::AccountIpqueues),
];

const PROFILES: [(&str, u64); 8] = [
    ("goroutine", 1),
    ("goroutine", 2),
    ("heap", 0),
    ("allocs", 0),
    ("mutex", 0),
    ("threadcreate", 0),
    ("block", 0),
    ("cpu", 0),
];

impl Gather {
    pub(super) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let start = Timestamp::now();
        let link = invocation.connect().await?;
        let path = self
            .output
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join(format!("audit-archive-{}.zip", start.as_second())));
        let writer = Writer::create(&path, start)?;
        let mut round = Round { choice: self, invocation, link, writer, said: String::new(), servers: Vec::new() };
        round.discover().await?;
        round.ask_all().await?;
        round.add_metadata(start)?;
        round.tell(format!("Archive created at: {}", path.display()));
        let Round { mut writer, said, .. } = round;
        writer.add_bytes(&Place::Special { name: LOG, extension: "log" }, said.as_bytes())?;
        writer.finish()
    }
}

/// One round through all servers.
struct Round<'a> {
    choice: &'a Gather,
    invocation: &'a Invocation,
    link: Link,
    writer: Writer,
    /// What was told, which goes into the archive, too.
    said: String,
    servers: Vec<Server>,
}

struct Server {
    id: String,
    name: String,
    cluster: String,
    has_jetstream: bool,
}

impl Server {
    fn of(answer: &Value) -> Self {
        let server = answer.dig("server");
        let text = |key: &str| server.text(key).to_owned();
        Self {
            id: text("id"),
            name: text("name"),
            cluster: cluster_of(server.text("cluster")),
            has_jetstream: server.flag("jetstream"),
        }
    }
}

fn cluster_of(name: &str) -> String {
    if name.is_empty() { UNCLUSTERED.to_owned() } else { name.to_owned() }
}

impl Round<'_> {
    fn tell(&mut self, text: impl AsRef<str>) {
        let text = text.as_ref();
        if self.choice.progress.is_on() {
            log!("{text}");
        }
        self.said.push_str(&format!("{} {text}\n", clock()));
    }

    /// Finds the servers that answer; nobody else is asked later.
    async fn discover(&mut self) -> Result<()> {
        self.tell("Broadcasting PING to discover servers... (this may take a few seconds)");
        let question = Question { subject: "$SYS.REQ.SERVER.PING", body: Value::Null, expect: 0 };
        let answers = ask_servers(self.invocation, &self.link, &question).await?;
        let mut servers: Vec<Server> = answers.iter().map(Server::of).collect();
        if let Some(cluster) = &self.choice.cluster {
            servers.retain(|server| server.cluster == *cluster);
        }
        servers.sort_by(|one, other| (&one.cluster, &one.name).cmp(&(&other.cluster, &other.name)));
        for server in &servers {
            self.tell(format!("Discovered server '{}' ({})", server.name, server.id));
        }
        self.servers = servers;
        self.tell(format!("Discovered {} servers", self.servers.len()));
        Ok(())
    }

    async fn ask_all(&mut self) -> Result<()> {
        let servers = std::mem::take(&mut self.servers);
        for server in &servers {
            if self.choice.server_endpoints.is_on() {
                self.ask_server(server).await?;
            }
            if self.choice.server_profiles.is_on() {
                self.profile(server).await?;
            }
        }
        self.servers = servers;
        let accounts = self.accounts().await?;
        self.tell(format!("Discovered {} accounts", accounts.len()));
        for (account, holders) in &accounts {
            if self.choice.account_endpoints.is_on() {
                self.ask_about_account(account, *holders).await?;
            }
            if self.choice.streams.is_on() {
                self.ask_about_streams(account, *holders).await?;
            }
        }
        Ok(())
    }

    /// One answer of one server. What cannot be had is told and left out.
    async fn one(&mut self, server: &Server, what: &str, body: Value) -> Option<Value> {
        let subject = format!("$SYS.REQ.SERVER.{}.{what}", server.id);
        let answers = ask(self.invocation, &self.link, &Question { subject: &subject, body, expect: 1 }).await;
        let answer = answers.and_then(|answers| {
            let answer = answers.into_iter().next().ok_or_else(|| anyhow::anyhow!("no answer in time"))?;
            check(&answer).map(|()| answer)
        });
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.tell(format!("Failed to request {what} from server {}: {error:#}", server.name));
                None
            }
        }
    }

    async fn ask_server(&mut self, server: &Server) -> Result<()> {
        let mut captured = 0;
        for (what, kind, list) in OF_SERVERS {
            if what == "JSZ" && !server.has_jetstream {
                continue;
            }
            for page in 0..PAGES_MAX {
                let body = if self.choice.details.is_on() { details(what, page * PAGE) } else { Value::Null };
                let is_paged = !body.is_null() && !list.is_empty();
                let Some(answer) = self.one(server, what, body).await else { break };
                let (cluster, name) = (server.cluster.as_str(), server.name.as_str());
                self.writer.add(&Place::Server { cluster, server: name, kind }, &answer)?;
                captured += 1;
                if !is_paged || answer.dig("data").list(list).len() < PAGE {
                    break;
                }
            }
        }
        self.tell(format!("Captured {captured} answers of server {}", server.name));
        Ok(())
    }

    async fn profile(&mut self, server: &Server) -> Result<()> {
        for (name, level) in PROFILES {
            let mut body = json!({"name": name, "debug": level});
            let mut patient = Invocation::new(self.invocation.global.clone());
            if name == "cpu" {
                body["duration"] = u64::try_from(patient.timeout().as_nanos())?.into();
                patient.global.timeout += PROFILE_GRACE;
            }
            let subject = format!("$SYS.REQ.SERVER.{}.PROFILEZ", server.id);
            let answers = ask(&patient, &self.link, &Question { subject: &subject, body, expect: 1 }).await;
            let answer = answers.ok().and_then(|answers| answers.into_iter().next());
            let profile = answer.as_ref().map_or("", |answer| answer.text("data.profile"));
            let Some(content) = BASE64.decode(profile.as_bytes()).ok().filter(|content| !content.is_empty()) else {
                self.tell(format!("Server {} gave no {name} profile", server.name));
                continue;
            };
            let named = if level > 0 { format!("{name}_{level}") } else { name.to_owned() };
            let place = Place::Profile { cluster: &server.cluster, server: &server.name, profile: &named };
            self.writer.add_bytes(&place, &content)?;
        }
        Ok(())
    }

    /// The accounts that servers know, and how many know each.
    async fn accounts(&mut self) -> Result<BTreeMap<String, usize>> {
        let mut accounts = BTreeMap::new();
        let servers = std::mem::take(&mut self.servers);
        for server in &servers {
            let Some(answer) = self.one(server, "ACCOUNTZ", Value::Null).await else { continue };
            for account in answer.texts("data.accounts") {
                *accounts.entry(account).or_default() += 1;
            }
        }
        self.servers = servers;
        Ok(accounts)
    }

    /// Answers of the servers that were discovered to a question about an account.
    async fn about(&mut self, account: &str, what: &str, holders: usize) -> Vec<Value> {
        let (subject, body) = match what {
            "RAFTZ" => ("$SYS.REQ.SERVER.PING.RAFTZ".to_owned(), json!({"account": account})),
            "IPQUEUESZ" => ("$SYS.REQ.SERVER.PING.IPQUEUESZ".to_owned(), json!({"filter": account})),
            _ => (format!("$SYS.REQ.ACCOUNT.{account}.{what}"), Value::Null),
        };
        let question = Question { subject: &subject, body, expect: holders };
        match ask(self.invocation, &self.link, &question).await {
            Ok(mut answers) => {
                answers.retain(|answer| check(answer).is_ok() && self.is_known(answer.text("server.id")));
                answers
            }
            Err(error) => {
                self.tell(format!("Failed to request {what} for account {account}: {error:#}"));
                Vec::new()
            }
        }
    }

    fn is_known(&self, id: &str) -> bool {
        self.servers.iter().any(|server| server.id == id)
    }

    async fn ask_about_account(&mut self, account: &str, holders: usize) -> Result<()> {
        for (what, kind) in OF_ACCOUNTS {
            for answer in self.about(account, what, holders).await {
                let server = Server::of(&answer);
                let place = Place::Account { cluster: &server.cluster, server: &server.name, account, kind };
                self.writer.add(&place, &answer)?;
            }
        }
        Ok(())
    }

    async fn ask_about_streams(&mut self, account: &str, holders: usize) -> Result<()> {
        let body = json!({
            "account": account, "streams": true, "consumer": self.choice.consumers.is_on(), "config": true, "raft": true,
            "direct_consumer": true,
        });
        let question = Question { subject: "$SYS.REQ.SERVER.PING.JSZ", body, expect: holders };
        let mut answers = ask(self.invocation, &self.link, &question).await.unwrap_or_default();
        answers.retain(|answer| self.is_known(answer.text("server.id")));
        let mut found = 0;
        for answer in &answers {
            // A server that does not know the account tells of all others.
            let [details] = answer.list("data.account_details") else { continue };
            if details.text("name") != account && details.text("id") != account {
                continue;
            }
            let server = answer.text("server.name");
            for stream in details.list("stream_detail") {
                let cluster = cluster_of(stream.text("cluster.name"));
                let place = Place::Stream { cluster: &cluster, server, account, stream: stream.text("name") };
                self.writer.add(&place, stream)?;
                found += 1;
            }
        }
        if found > 0 {
            self.tell(format!("Discovered {found} replicas of streams in account {account}"));
        }
        Ok(())
    }

    fn add_metadata(&mut self, start: Timestamp) -> Result<()> {
        let info = self.link.client.server_info();
        let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "?".to_owned());
        let metadata = json!({
            "capture_timestamp": start.to_string(),
            "connected_server_name": info.server_name,
            "connected_server_version": info.version,
            "connect_url": format!("nats://{}:{}", info.host, info.port),
            "user_name": user,
            "version": format!("nats {}", env!("CARGO_PKG_VERSION")),
        });
        self.writer.add(&Place::Special { name: METADATA, extension: "json" }, &metadata)
    }
}

/// What makes a server tell more.
fn details(what: &str, offset: usize) -> Value {
    match what {
        "CONNZ" => json!({
            "auth": true, "subscriptions": true, "subscriptions_detail": true, "offset": offset, "limit": PAGE,
        }),
        "GATEWAYZ" => json!({"accounts": true, "subscriptions": true, "subscriptions_detail": true}),
        "HEALTHZ" => json!({"details": true}),
        "JSZ" => json!({
            "accounts": true, "streams": true, "consumer": true, "config": true, "raft": true, "offset": offset,
            "limit": PAGE,
        }),
        "LEAFZ" => json!({"subscriptions": true}),
        "ROUTEZ" => json!({"subscriptions": true, "subscriptions_detail": true}),
        "SUBSZ" => json!({"subscriptions": true, "offset": offset, "limit": PAGE}),
        _ => Value::Null,
    }
}
