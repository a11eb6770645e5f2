//! `nats consumer find`, and what selects consumers.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::consumer::Desk;
use crate::command::dig::Dig;
use crate::command::stream::info::since_then;
use crate::expression::{self, Expression, of_consumer};
use crate::parse::duration;
use crate::show::outln;

/// Find consumers
#[derive(Args, Debug)]
#[command(after_help = expression::HELP)]
pub(crate) struct Find {
    /// The stream
    stream: Option<String>,
    #[command(flatten)]
    selectors: Selectors,
}

/// Which consumers; several selectors must all fit.
#[derive(Args, Debug)]
pub(crate) struct Selectors {
    /// That are pulled from
    #[arg(long)]
    pull: bool,
    /// That push
    #[arg(long)]
    push: bool,
    /// That somebody listens to
    #[arg(long)]
    bound: bool,
    /// With fewer waiting pulls
    #[arg(long, value_name = "PULLS")]
    waiting: Option<u64>,
    /// With fewer messages that are not acknowledged
    #[arg(long, value_name = "MESSAGES")]
    ack_pending: Option<u64>,
    /// With fewer messages to deliver
    #[arg(long, value_name = "MESSAGES")]
    pending: Option<u64>,
    /// Without deliveries for this long
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    idle: Option<Duration>,
    /// Older than this
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    created: Option<Duration>,
    /// With at most so many replicas
    #[arg(long)]
    replicas: Option<u64>,
    /// That are led by this server
    #[arg(long, value_name = "SERVER")]
    leader: Option<String>,
    /// With a pinned client in every group
    #[arg(long)]
    pinned: bool,
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
    pub(super) async fn select(&self, desk: &Desk<'_>, stream: &str) -> Result<Vec<Value>> {
        let consumers = desk.consumers(stream).await?;
        let mut found = Vec::new();
        for info in consumers {
            if (self.fits(&info) && self.is_described(&info)?) != self.invert {
                found.push(info);
            }
        }
        Ok(found)
    }

    /// Whether the expression, if there is one, is true of the consumer.
    fn is_described(&self, info: &Value) -> Result<bool> {
        self.expression.as_ref().map_or(Ok(true), |expression| expression.holds(&of_consumer(info)))
    }

    fn fits(&self, info: &Value) -> bool {
        let is_push = !info.text("config.deliver_subject").is_empty();
        let is_long = |path: &str, limit: Duration| info.time(path).is_none_or(|at| since_then(info, at) >= limit);
        let is_fewer = |path: &str, limit: u64| info.whole(path) < limit;
        let level = info.dig("config.metadata").get("_nats.req.level").and_then(Value::as_str);
        let level = level.and_then(|level| level.parse::<u64>().ok()).unwrap_or(0);
        (!self.pull || !is_push)
            && (!self.push || is_push)
            && (!self.bound || info.flag("push_bound") || info.whole("num_waiting") > 0)
            && self.waiting.is_none_or(|limit| is_fewer("num_waiting", limit))
            && self.ack_pending.is_none_or(|limit| is_fewer("num_ack_pending", limit))
            && self.pending.is_none_or(|limit| is_fewer("num_pending", limit))
            && self.idle.is_none_or(|limit| is_long("delivered.last_active", limit))
            && self.created.is_none_or(|limit| is_long("created", limit))
            && self.replicas.is_none_or(|limit| info.whole("config.num_replicas") <= limit)
            && self.leader.as_ref().is_none_or(|leader| info.text("cluster.leader") == leader)
            && (!self.pinned || is_pinned(info))
            && self.api_level.is_none_or(|limit| level >= limit)
    }
}

fn is_pinned(info: &Value) -> bool {
    let pinned = info.list("priority_groups").iter().filter(|group| !group.text("pinned_client_id").is_empty());
    info.text("config.priority_policy") == "pinned_client"
        && pinned.count() == info.list("config.priority_groups").len()
}

impl Find {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let stream = desk.stream(self.stream.as_deref()).await?;
        for info in self.selectors.select(desk, &stream).await? {
            outln!("{}", info.text("name"));
        }
        Ok(())
    }
}
