//! `nats stream find`, and what selects streams.

use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use jiff::Timestamp;
use regex::Regex;
use serde_json::{Value, json};

use crate::command::api::{Api, is_internal};
use crate::command::dig::Dig;
use crate::command::stream::info::since_then;
use crate::expression::{self, Expression, of_stream};
use crate::parse::duration;
use crate::show::{Table, cells, ibytes, outln};

/// Find streams
#[derive(Args, Debug)]
#[command(after_help = expression::HELP)]
pub(crate) struct Find {
    #[command(flatten)]
    selectors: Selectors,
    /// Show only names
    #[arg(long, short = 'n')]
    names: bool,
}

/// Which streams; several selectors must all fit.
#[derive(Args, Debug)]
pub(crate) struct Selectors {
    /// On a server that matches this regular expression
    #[arg(long, value_name = "REGEX")]
    server_name: Option<Regex>,
    /// In a cluster that matches this regular expression
    #[arg(long, value_name = "REGEX")]
    cluster: Option<Regex>,
    /// Without messages
    #[arg(long)]
    empty: bool,
    /// Without new messages or deliveries for this long
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    idle: Option<Duration>,
    /// Older than this
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    created: Option<Duration>,
    /// With at most so many consumers
    #[arg(long, value_name = "THRESHOLD")]
    consumers: Option<u64>,
    /// That hold this subject
    #[arg(long)]
    subject: Option<String>,
    /// With at most so many replicas
    #[arg(long, value_name = "REPLICAS")]
    replicas: Option<u64>,
    /// That take in messages of other streams
    #[arg(long)]
    sourced: bool,
    /// That copy another stream
    #[arg(long)]
    mirrored: bool,
    /// That are led by this server
    #[arg(long, value_name = "SERVER")]
    leader: Option<String>,
    /// That need at least this level of the API
    #[arg(long, value_name = "LEVEL")]
    api_level: Option<u64>,
    /// Of which this expression is true
    #[arg(long, value_name = "EXPRESSION")]
    expression: Option<Expression>,
    /// Those that do not fit
    #[arg(long)]
    invert: bool,
}

impl Selectors {
    /// All streams that fit.
    pub(crate) async fn select(&self, api: &Api<'_>, is_all: bool) -> Result<Vec<Value>> {
        let filter = self.subject.as_ref().map_or(Value::Null, |subject| json!({"subject": subject}));
        let mut streams = api.pages("STREAM.LIST", "streams", filter).await?;
        streams.retain(|stream| is_all || !is_internal(stream.text("config.name")));
        let mut found = Vec::new();
        for stream in streams {
            if self.fits(api, &stream).await? != self.invert {
                found.push(stream);
            }
        }
        Ok(found)
    }

    async fn fits(&self, api: &Api<'_>, stream: &Value) -> Result<bool> {
        let is_at_least = |age: Option<Duration>, limit: Duration| age.is_none_or(|age| age >= limit);
        let age = |path: &str| stream.time(path).map(|at| since_then(stream, at));
        let level = stream.dig("config.metadata").get("_nats.req.level").and_then(Value::as_str);
        let fits = self.server_name.as_ref().is_none_or(|wanted| is_on(stream, wanted))
            && self.cluster.as_ref().is_none_or(|wanted| wanted.is_match(stream.text("cluster.name")))
            && (!self.empty || stream.whole("state.messages") == 0)
            && self.created.is_none_or(|limit| is_at_least(age("created"), limit))
            && self.consumers.is_none_or(|limit| stream.whole("state.consumer_count") <= limit)
            && self.replicas.is_none_or(|limit| stream.whole("config.num_replicas") <= limit)
            && (!self.sourced || !stream.list("config.sources").is_empty())
            && (!self.mirrored || stream.has("config.mirror"))
            && self.leader.as_ref().is_none_or(|leader| stream.text("cluster.leader") == leader)
            && self
                .api_level
                .is_none_or(|limit| level.and_then(|level| level.parse::<u64>().ok()).unwrap_or(0) >= limit);
        if !fits || !self.is_described(stream)? {
            return Ok(false);
        }
        match self.idle {
            Some(limit) => self.is_idle(api, stream, limit).await,
            None => Ok(true),
        }
    }

    /// Whether the expression, if there is one, is true of the stream.
    fn is_described(&self, stream: &Value) -> Result<bool> {
        self.expression.as_ref().map_or(Ok(true), |expression| expression.holds(&of_stream(stream)))
    }

    /// No message came and none was delivered for this long.
    async fn is_idle(&self, api: &Api<'_>, stream: &Value, limit: Duration) -> Result<bool> {
        let is_old = |info: &Value, path: &str| info.time(path).is_none_or(|last| since_then(info, last) >= limit);
        if !is_old(stream, "state.last_ts") {
            return Ok(false);
        }
        let name = stream.text("config.name");
        let consumers = api.pages(&format!("CONSUMER.LIST.{name}"), "consumers", Value::Null).await?;
        Ok(consumers.iter().all(|consumer| is_old(consumer, "delivered.last_active")))
    }
}

fn is_on(stream: &Value, wanted: &Regex) -> bool {
    let replicas = stream.list("cluster.replicas").iter().map(|replica| replica.text("name"));
    replicas.chain([stream.text("cluster.leader")]).any(|server| wanted.is_match(server))
}

impl Find {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let found = self.selectors.select(api, is_all).await?;
        if self.names {
            found.iter().for_each(|stream| outln!("{}", stream.text("config.name")));
            return Ok(());
        }
        if found.is_empty() {
            return Err(anyhow!("no Streams matched the selectors"));
        }
        let mut table =
            Table::new("Matching Streams", &["Name", "Description", "Created", "Messages", "Size", "Consumers"]);
        for stream in &found {
            let created = stream.time("created").unwrap_or(Timestamp::UNIX_EPOCH);
            table.row(cells![
                stream.text("config.name"),
                stream.text("config.description"),
                created,
                stream.whole("state.messages"),
                ibytes(stream.whole("state.bytes")),
                stream.whole("state.consumer_count"),
            ]);
        }
        table.print();
        Ok(())
    }
}
