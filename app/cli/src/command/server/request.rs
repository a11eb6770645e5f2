//! `nats server request`: monitoring data as JSON, a document for each server.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use crate::command::dig::Dig;
use crate::command::gather::{Question, active_servers, ask_servers};
use crate::command::server::source::{Among, FromArchive, Source};
use crate::global::negatable;
use crate::invocation::Invocation;
use crate::show::{log, outln, print_json};

negatable! {
    /// Show subscription details of accounts
    GatewaySubscriptions, "subscriptions", "no-subscriptions", true
}
negatable! {
    /// Show details of all failures
    Details, "details", "no-details", true
}
negatable! {
    /// Show all available information
    All, "all", "no-all", true
}

/// How much longer than a profile the answer with it may take.
const PROFILE_GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// Request monitoring data from servers
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Request {
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    from: FromArchive,
    #[command(subcommand)]
    kind: Kind,
}

/// Which servers answer, and how much.
#[derive(Args, Debug)]
struct Scope {
    /// At most so many records of each server
    #[arg(long, global = true, default_value_t = 2048)]
    limit: u64,
    /// Begin with this record
    #[arg(long, global = true, default_value_t = 0)]
    offset: u64,
    /// Only the server of this name
    #[arg(long, global = true)]
    name: Option<String>,
    /// Only servers on this host
    #[arg(long, global = true)]
    host: Option<String>,
    /// Only servers of this cluster
    #[arg(long, global = true)]
    cluster: Option<String>,
    /// Only servers with this tag, may be given several times
    #[arg(long, global = true)]
    tags: Vec<String>,
}

/// How many answers to wait for.
#[derive(Args, Debug, Default)]
struct Wait {
    /// Wait for so many answers
    wait: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Accounts
    #[command(visible_aliases = ["accountz", "acct"])]
    Accounts {
        #[command(flatten)]
        wait: Wait,
        /// Details of this account
        #[arg(long)]
        account: Option<String>,
    },
    /// Connections
    #[command(visible_aliases = ["conn", "connz"])]
    Connections(Connections),
    /// Gateways
    #[command(visible_aliases = ["gateway", "gwy", "gatewayz"])]
    Gateways {
        #[command(flatten)]
        wait: Wait,
        /// Only the gateway of this name
        filter_name: Option<String>,
        /// Only this account
        #[arg(long, value_name = "ACCOUNT")]
        filter_account: Option<String>,
        /// Show accounts
        #[arg(long)]
        accounts: bool,
        #[command(flatten)]
        subscriptions: GatewaySubscriptions,
    },
    /// Queues inside servers
    #[command(visible_aliases = ["ipq", "ipqueuesz"])]
    Ipqueue {
        #[command(flatten)]
        all: All,
        /// Only queues of this name
        #[arg(long)]
        filter: Option<String>,
    },
    /// Health of JetStream
    #[command(visible_alias = "healthz")]
    JetstreamHealth {
        #[command(flatten)]
        wait: Wait,
        #[command(flatten)]
        health: HealthScope,
        #[command(flatten)]
        details: Details,
    },
    /// JetStream
    #[command(visible_aliases = ["jsz", "js"])]
    Jetstream(Jetstream),
    /// Disconnect a client
    Kick {
        /// Id of the client
        client: u64,
        /// Id of its server
        #[arg(id = "kick-server", value_name = "SERVER")]
        server: String,
    },
    /// Leaf nodes
    #[command(visible_aliases = ["leaf", "leafz"])]
    Leafnodes {
        #[command(flatten)]
        wait: Wait,
        /// Show subscriptions
        #[arg(long)]
        subscriptions: bool,
    },
    /// Make a profile of servers
    Profile {
        /// What to profile
        profile: Profile,
        /// Directory for the files
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Level of detail
        #[arg(long, default_value_t = 0)]
        level: u32,
    },
    /// Raft groups
    #[command(visible_alias = "raftz")]
    Raft {
        /// Only this account
        #[arg(long)]
        account: Option<String>,
        /// Only this group
        #[arg(long)]
        group: Option<String>,
    },
    /// Routes
    #[command(visible_aliases = ["route", "routez"])]
    Routes {
        #[command(flatten)]
        wait: Wait,
        /// Show subscriptions
        #[arg(long)]
        subscriptions: bool,
    },
    /// Subscriptions
    #[command(visible_aliases = ["sub", "subsz"])]
    Subscriptions {
        #[command(flatten)]
        wait: Wait,
        /// Show each subscription
        #[arg(long)]
        detail: bool,
        /// Only this account
        #[arg(long, value_name = "ACCOUNT")]
        filter_account: Option<String>,
        /// Only subscriptions that get messages of this subject
        #[arg(long, value_name = "SUBJECT")]
        filter_subject: Option<String>,
    },
    /// Variables of the server
    #[command(visible_aliases = ["var", "varz"])]
    Variables {
        #[command(flatten)]
        wait: Wait,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    Allocs,
    Heap,
    Goroutine,
    Mutex,
    Threadcreate,
    Block,
    Cpu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    Open,
    Closed,
    All,
}

#[derive(Args, Debug)]
struct Connections {
    #[command(flatten)]
    wait: Wait,
    /// Sort by this
    #[arg(long, default_value = "cid", value_name = "KEY", value_parser = ["cid", "start", "subs", "pending", "msgs_to", "msgs_from", "bytes_to", "bytes_from", "last", "idle", "uptime", "stop", "reason", "rtt"])]
    sort: String,
    /// Show subscriptions
    #[arg(long)]
    subscriptions: bool,
    /// Only the connection of this id
    #[arg(long, value_name = "CID")]
    filter_cid: Option<u64>,
    /// Only connections in this state
    #[arg(long, default_value = "open", value_name = "STATE")]
    filter_state: State,
    /// Only connections of this user
    #[arg(long, value_name = "USER")]
    filter_user: Option<String>,
    /// Only connections of this account
    #[arg(long, value_name = "ACCOUNT")]
    filter_account: Option<String>,
    /// Only connections that get messages of this subject
    #[arg(long, value_name = "SUBJECT")]
    filter_subject: Option<String>,
    /// Leave out servers without connections
    #[arg(long)]
    filter_empty: bool,
}

/// What a health check looks at.
#[derive(Args, Debug)]
pub(crate) struct HealthScope {
    /// Every server must have JetStream
    #[arg(long, short = 'J')]
    pub(crate) js_enabled: bool,
    /// Do not look at streams and consumers
    #[arg(long, short = 'S')]
    pub(crate) server_only: bool,
    /// Only this account
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Only this stream
    #[arg(long)]
    pub(crate) stream: Option<String>,
    /// Only this consumer
    #[arg(long)]
    pub(crate) consumer: Option<String>,
}

#[derive(Args, Debug)]
struct Jetstream {
    #[command(flatten)]
    wait: Wait,
    /// Only this account
    #[arg(long)]
    account: Option<String>,
    /// Show accounts
    #[arg(long)]
    accounts: bool,
    /// Show streams
    #[arg(long)]
    streams: bool,
    /// Show consumers
    #[arg(long)]
    consumer: bool,
    /// Show configurations
    #[arg(long)]
    config: bool,
    /// Show raft groups
    #[arg(long)]
    raft: bool,
    /// Ask the leader of the meta group only
    #[arg(long)]
    leader: bool,
    /// Ask leaders of streams only
    #[arg(long)]
    stream_leader: bool,
    /// Show accounts, streams, consumers and configurations
    #[arg(long)]
    all: bool,
}

impl State {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Closed => 1,
            Self::All => 2,
        }
    }
}

impl HealthScope {
    pub(crate) fn body(&self, wants_details: bool) -> Map<String, Value> {
        let mut body = object(json!({
            "js-enabled-only": self.js_enabled,
            "js-server-only": self.server_only,
            "details": wants_details,
        }));
        put(&mut body, "account", &self.account);
        put(&mut body, "stream", &self.stream);
        put(&mut body, "consumer", &self.consumer);
        body
    }
}

/// A question to the servers in scope: what it is called, what it says, how many answers.
struct Ask {
    name: &'static str,
    body: Map<String, Value>,
    wait: Option<usize>,
}

impl Request {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        if let (Kind::Kick { .. } | Kind::Profile { .. }, Some(_)) = (&self.kind, &self.from.archive) {
            bail!("an archive can be asked for documents only");
        }
        if let Kind::Kick { client, server } = &self.kind {
            return kick(invocation, *client, server).await;
        }
        if let Kind::Profile { profile, dir, .. } = &self.kind {
            let answers = self.answers(invocation).await?;
            return save_profiles(*profile, dir, &answers);
        }
        let is_filtered = matches!(&self.kind, Kind::Connections(connections) if connections.filter_empty);
        for answer in self.answers(invocation).await? {
            if !is_filtered || answer.whole("data.num_connections") > 0 {
                outln!("{answer}");
            }
        }
        Ok(())
    }

    async fn answers(&self, invocation: &Invocation) -> Result<Vec<Value>> {
        let Ask { name, mut body, wait } = self.ask();
        if let Some(archive) = &self.from.archive {
            let source = Source::open(invocation, Some(archive)).await?;
            return source.ask(name, body, &self.scope.among(), wait).await;
        }
        self.scope.among().narrow(&mut body);
        // A profile of the processor runs for as long as the timeout, and the answer comes after that.
        let mut invocation = Invocation::new(invocation.global.clone());
        if let Kind::Profile { profile: Profile::Cpu, .. } = &self.kind {
            let nanos = u64::try_from(invocation.timeout().as_nanos())?;
            body.insert("duration".to_owned(), nanos.into());
            invocation.global.timeout += PROFILE_GRACE;
        }
        let invocation = &invocation;
        let link = invocation.connect().await?;
        let expect = match wait {
            Some(count) if count > 0 => count,
            _ if self.scope.name.is_some() || self.scope.host.is_some() => 1,
            _ => active_servers(invocation, &link).await?,
        };
        let subject = format!("$SYS.REQ.SERVER.PING.{name}");
        ask_servers(invocation, &link, &Question { subject: &subject, body: body.into(), expect }).await
    }

    fn ask(&self) -> Ask {
        let (limit, offset) = (self.scope.limit, self.scope.offset);
        let page = || object(json!({"limit": limit, "offset": offset}));
        match &self.kind {
            Kind::Accounts { wait, account } => {
                let mut body = Map::new();
                put(&mut body, "account", account);
                Ask { name: "ACCOUNTZ", body, wait: wait.wait }
            }
            Kind::Connections(connections) => {
                Ask { name: "CONNZ", body: connections.body(page()), wait: connections.wait.wait }
            }
            Kind::Gateways { wait, filter_name, filter_account, accounts, subscriptions } => {
                let mut body = object(json!({"accounts": *accounts || filter_account.is_some()}));
                put(&mut body, "name", filter_name);
                put(&mut body, "account_name", filter_account);
                if filter_account.is_some() {
                    body.insert("subscriptions".to_owned(), subscriptions.is_on().into());
                    body.insert("subscriptions_detail".to_owned(), subscriptions.is_on().into());
                }
                Ask { name: "GATEWAYZ", body, wait: wait.wait }
            }
            Kind::Ipqueue { all, filter } => {
                let mut body = object(json!({"all": all.is_on()}));
                put(&mut body, "filter", filter);
                Ask { name: "IPQUEUESZ", body, wait: None }
            }
            Kind::JetstreamHealth { wait, health, details } => {
                Ask { name: "HEALTHZ", body: health.body(details.is_on()), wait: wait.wait }
            }
            Kind::Jetstream(jetstream) => jetstream.ask(page()),
            Kind::Leafnodes { wait, subscriptions } => {
                Ask { name: "LEAFZ", body: object(json!({"subscriptions": subscriptions})), wait: wait.wait }
            }
            Kind::Profile { profile, level, .. } => {
                let name = profile.to_possible_value().map(|value| value.get_name().to_owned());
                Ask { name: "PROFILEZ", body: object(json!({"name": name, "debug": level})), wait: None }
            }
            Kind::Raft { account, group } => {
                let mut body = Map::new();
                put(&mut body, "account", account);
                put(&mut body, "group", group);
                Ask { name: "RAFTZ", body, wait: None }
            }
            Kind::Routes { wait, subscriptions } => {
                let body = object(json!({"subscriptions": subscriptions, "subscriptions_detail": subscriptions}));
                Ask { name: "ROUTEZ", body, wait: wait.wait }
            }
            Kind::Subscriptions { wait, detail, filter_account, filter_subject } => {
                let mut body = page();
                body.insert("subscriptions".to_owned(), (*detail).into());
                put(&mut body, "account", filter_account);
                put(&mut body, "test", filter_subject);
                Ask { name: "SUBSZ", body, wait: wait.wait }
            }
            Kind::Variables { wait } => Ask { name: "VARZ", body: Map::new(), wait: wait.wait },
            Kind::Kick { .. } => Ask { name: "KICK", body: Map::new(), wait: Some(1) },
        }
    }
}

impl Scope {
    fn among(&self) -> Among {
        Among {
            name: self.name.clone(),
            host: self.host.clone(),
            cluster: self.cluster.clone(),
            tags: self.tags.clone(),
        }
    }
}

impl Connections {
    fn body(&self, mut body: Map<String, Value>) -> Map<String, Value> {
        body.extend(object(json!({
            "sort": self.sort,
            "auth": true,
            "subscriptions": self.subscriptions,
            "subscriptions_detail": self.subscriptions,
            "state": self.filter_state.code(),
        })));
        if let Some(cid) = self.filter_cid {
            body.insert("cid".to_owned(), cid.into());
        }
        put(&mut body, "user", &self.filter_user);
        put(&mut body, "acc", &self.filter_account);
        put(&mut body, "filter_subject", &self.filter_subject);
        body
    }
}

impl Jetstream {
    fn ask(&self, mut body: Map<String, Value>) -> Ask {
        body.extend(object(json!({
            "accounts": self.accounts || self.all,
            "streams": self.streams || self.all,
            "consumer": self.consumer || self.all,
            "config": self.config || self.all,
            "raft": self.raft || self.all,
            "leader_only": self.leader,
            "stream_leader_only": self.stream_leader,
        })));
        put(&mut body, "account", &self.account);
        Ask { name: "JSZ", body, wait: if self.leader { Some(1) } else { self.wait.wait } }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn put(body: &mut Map<String, Value>, key: &str, value: &Option<String>) {
    if let Some(value) = value {
        body.insert(key.to_owned(), value.clone().into());
    }
}

async fn kick(invocation: &Invocation, client: u64, server: &str) -> Result<()> {
    let link = invocation.connect().await?;
    let subject = format!("$SYS.REQ.SERVER.{server}.KICK");
    let question = Question { subject: &subject, body: json!({"cid": client}), expect: 1 };
    let answers = ask_servers(invocation, &link, &question).await?;
    for answer in &answers {
        print_json(answer)?;
        if answer.has("error") {
            bail!("{}", answer.text("error.description"));
        }
    }
    Ok(())
}

fn save_profiles(profile: Profile, dir: &std::path::Path, answers: &[Value]) -> Result<()> {
    let kind = profile.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let time = jiff::ZonedDateTime::now().strftime("%Y%m%d-%H%M%S").to_string();
    let mut saved = 0;
    for answer in answers {
        let server = answer.text("server.name");
        let error = answer.text("data.error");
        let error = if error.is_empty() { answer.text("error.description") } else { error };
        if !error.is_empty() {
            log!("Server {server:?} error: {error}");
            continue;
        }
        let content = BASE64.decode(answer.text("data.profile").as_bytes()).context("the profile is not base64")?;
        let safe: String = server.chars().map(|c| if c == '/' || c == '\\' { '_' } else { c }).collect();
        let path = dir.join(format!("{kind}-{time}-{safe}"));
        std::fs::write(&path, content).with_context(|| format!("could not write {}", path.display()))?;
        outln!("Server {server:?} profile written: {}", path.display());
        saved += 1;
    }
    if saved == 0 {
        bail!("no server gave a profile");
    }
    Ok(())
}
