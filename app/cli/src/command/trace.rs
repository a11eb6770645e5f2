//! `nats trace`: shows the way of a message through servers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use async_nats::HeaderMap;
use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::timeout;

use crate::command::dig::Dig;
use crate::command::sender::append;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::parse::pair;
use crate::show::{Columns, go_duration, outln};

/// Interest in the answers needs a moment to get around.
const SPREAD: Duration = Duration::from_millis(250);
/// Servers a message can pass.
const MAX_EVENTS: usize = 10_000;
/// No way is deeper than this, whatever the answers say.
const MAX_DEPTH: usize = 64;

const CLIENT: u64 = 0;
const ROUTER: u64 = 1;
const GATEWAY: u64 = 2;
const SYSTEM: u64 = 3;
const LEAF: u64 = 4;
const JETSTREAM: u64 = 5;
const ACCOUNT: u64 = 6;

/// Show the way of a message through servers
#[derive(Args, Debug)]
pub(crate) struct Trace {
    /// Subject to publish to
    subject: String,
    /// Body of the message
    #[arg(default_value = "")]
    payload: String,
    /// Deliver the message too
    #[arg(long)]
    deliver: bool,
    /// Show the time of each step
    #[arg(long, short = 'T')]
    timestamp: bool,
    /// Add a header, may be given several times
    #[arg(long = "header", short = 'H', value_name = "K:V")]
    headers: Vec<String>,
}

/// What one server saw, by the hop it was for the message; the origin has none.
struct Seen {
    origin: Option<Value>,
    hops: BTreeMap<String, Value>,
}

impl Trace {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        if !link.client.is_server_compatible(2, 11, 0) {
            bail!("tracing messages require NATS Server 2.11");
        }
        let deliver = if self.deliver { "with delivery to the final destination" } else { "" };
        outln!("Tracing message route to subject {} {deliver}\n", self.subject);
        let seen = link.unless_fault(self.send(invocation, &link)).await?;
        let Some(origin) = &seen.origin else { bail!("nats: timeout") };
        let start = ingress(origin).and_then(|event| event.time("ts")).or_else(|| origin.time("server.time"));
        let mut drawing = Drawing { seen: &seen, start, has_time: self.timestamp, egress: BTreeMap::new() };
        drawing.event(origin, 0);
        drawing.legend();
        Ok(())
    }

    async fn send(&self, invocation: &Invocation, link: &Link) -> Result<Seen> {
        let inbox = link.client.new_inbox();
        let mut answers = link.client.subscribe(inbox.clone()).await?;
        link.client.flush().await?;
        tokio::time::sleep(SPREAD).await;
        link.client
            .publish_with_headers(self.subject.clone(), self.header_map(&inbox)?, self.payload.clone().into())
            .await?;
        let mut seen = Seen { origin: None, hops: BTreeMap::new() };
        for _ in 0..MAX_EVENTS {
            let Ok(Some(answer)) = timeout(invocation.timeout(), answers.next()).await else { break };
            if invocation.is_traced() {
                outln!(">>> {}", String::from_utf8_lossy(&answer.payload));
            }
            seen.add(serde_json::from_slice(&answer.payload)?)?;
            if seen.is_complete() {
                break;
            }
        }
        Ok(seen)
    }

    fn header_map(&self, inbox: &str) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for typed in &self.headers {
            let by = if typed.contains(':') { ':' } else { '=' };
            let (name, value) = pair(typed, by).ok_or_else(|| anyhow!("invalid header {typed:?}: expected K:V"))?;
            append(&mut headers, &name, &value)?;
        }
        append(&mut headers, "Nats-Trace-Dest", inbox)?;
        if !self.deliver {
            append(&mut headers, "Nats-Trace-Only", "true")?;
        }
        Ok(headers)
    }
}

fn events<'a>(event: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    event.list("events").iter().filter(move |event| event.text("type") == kind)
}

fn ingress(event: &Value) -> Option<&Value> {
    events(event, "in").next()
}

impl Seen {
    fn add(&mut self, event: Value) -> Result<()> {
        let entry = ingress(&event).ok_or_else(|| anyhow!("missing ingress in trace event"))?;
        if entry.whole("kind") == CLIENT {
            self.origin = Some(event);
            return Ok(());
        }
        let hop = event.dig("request.header").as_object().and_then(|headers| {
            headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("Nats-Trace-Hop"))
                .and_then(|(_, values)| values.get(0))
        });
        if let Some(hop) = hop.and_then(Value::as_str) {
            self.hops.insert(hop.to_owned(), event);
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| self.has_all_below(origin, 0))
    }

    fn has_all_below(&self, event: &Value, depth: usize) -> bool {
        event.whole("hops") == 0
            || depth > MAX_DEPTH
            || events(event, "eg")
                .filter(|egress| !egress.text("hop").is_empty())
                .all(|egress| self.hops.get(egress.text("hop")).is_some_and(|next| self.has_all_below(next, depth + 1)))
    }
}

struct Drawing<'a> {
    seen: &'a Seen,
    start: Option<Timestamp>,
    has_time: bool,
    egress: BTreeMap<&'static str, u64>,
}

impl Drawing<'_> {
    fn event(&mut self, event: &Value, depth: usize) {
        if let Some(entry) = ingress(event) {
            self.line(depth, entry, &ingress_text(event, entry));
            self.error(depth, entry, "--X Error");
        }
        for mapping in events(event, "sm") {
            self.line(depth, mapping, &format!("    Mapping subject:{:?}", mapping.text("to")));
        }
        for import in events(event, "si") {
            let (from, to, account) = (import.text("from"), import.text("to"), import.text("acc"));
            self.line(depth, import, &format!("    Service Import from:{from:?} to:{to:?} account:{account:?}"));
        }
        for export in events(event, "se") {
            let (to, account) = (export.text("to"), export.text("acc"));
            self.line(depth, export, &format!("    Stream Export subject:{to:?} account:{account:?}"));
        }
        for stored in events(event, "js") {
            self.stored(depth, stored);
        }
        self.egresses(event, depth);
    }

    fn stored(&mut self, depth: usize, stored: &Value) {
        let action = if stored.flag("nointerest") { "no interest" } else { "stored" };
        let (stream, subject) = (stored.text("stream"), stored.text("subject"));
        let text = format!("{} JetStream action:{action:?} stream:{stream:?} subject:{subject:?}", arrow(JETSTREAM));
        self.line(depth, stored, &text);
        self.error(depth, stored, "--X Error");
        *self.egress.entry(kind_name(JETSTREAM)).or_default() += 1;
    }

    fn egresses(&mut self, event: &Value, depth: usize) {
        let egresses: Vec<_> = events(event, "eg").collect();
        let is_from_client =
            ingress(event).is_some_and(|entry| entry.whole("kind") == CLIENT && entry.text("error").is_empty());
        if egresses.is_empty() && is_from_client {
            outln!("{}--X No active interest", indent(depth));
        }
        for egress in egresses {
            let kind = egress.whole("kind");
            self.line(depth, egress, &egress_text(egress));
            self.error(depth, egress, "  --X Error");
            *self.egress.entry(kind_name(kind)).or_default() += 1;
            if let Some(next) = self.seen.hops.get(egress.text("hop")).filter(|_| depth < MAX_DEPTH) {
                self.event(next, depth + 1);
            }
        }
    }

    fn error(&self, depth: usize, event: &Value, label: &str) {
        let error = event.text("error");
        if !error.is_empty() {
            self.line(depth, event, &format!("{label}: {error}"));
        }
    }

    fn line(&self, depth: usize, event: &Value, text: &str) {
        let time = if self.has_time { format!("[{}] ", self.since(event.time("ts"))) } else { String::new() };
        outln!("{}{time}{text}", indent(depth));
    }

    /// The time since the message came in; clocks of servers may disagree.
    fn since(&self, at: Option<Timestamp>) -> String {
        let (Some(start), Some(at)) = (self.start, at) else { return "0s".to_owned() };
        match u64::try_from(at.as_nanosecond() - start.as_nanosecond()) {
            Ok(nanos) => go_duration(Duration::from_micros((nanos + 500) / 1000)),
            Err(_) => "Skew".to_owned(),
        }
    }

    fn legend(&self) {
        let [client, router, gateway, leaf, jetstream] = [CLIENT, ROUTER, GATEWAY, LEAF, JETSTREAM].map(arrow);
        outln!(
            "\nLegend: Client: {client} Router: {router} Gateway: {gateway} Leafnode: {leaf} JetStream: {jetstream} Error: --X\n"
        );
        if self.egress.is_empty() {
            return;
        }
        let mut page = Columns::new("Egress Count:");
        let mut counts: Vec<_> = self.egress.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (kind, count) in counts {
            page.row(kind, *count);
        }
        page.print();
        if let Some(count) = self.egress.get(kind_name(JETSTREAM)).filter(|count| **count > 1) {
            outln!("WARNING: The message was received by {count} streams");
        }
    }
}

fn indent(depth: usize) -> String {
    " ".repeat(depth * 4)
}

fn ingress_text(event: &Value, entry: &Value) -> String {
    let kind = entry.whole("kind");
    let mut text = connection(entry);
    let cluster = event.text("server.cluster");
    if !cluster.is_empty() && (kind == GATEWAY || kind == CLIENT) {
        text.push_str(&format!(" cluster:{cluster:?}"));
    }
    text.push_str(&format!(" server:{:?} version:{:?}", event.text("server.name"), event.text("server.ver")));
    text
}

fn egress_text(egress: &Value) -> String {
    let mut text = format!("{} {}", arrow(egress.whole("kind")), connection(egress));
    for (label, key) in [("account", "acc"), ("subject", "sub"), ("queue", "queue")] {
        let value = egress.text(key);
        if !value.is_empty() {
            text.push_str(&format!(" {label}:{value:?}"));
        }
    }
    text
}

/// `Client "name" cid:7`
fn connection(event: &Value) -> String {
    let kind = event.whole("kind");
    let name = match event.text("name") {
        "" => String::new(),
        name => format!("{name:?} "),
    };
    let id = match kind {
        CLIENT => "cid",
        ROUTER => "rid",
        GATEWAY => "gid",
        LEAF => "lid",
        _ => "id",
    };
    format!("{} {name}{id}:{}", kind_name(kind), event.whole("cid"))
}

const fn kind_name(kind: u64) -> &'static str {
    match kind {
        CLIENT => "Client",
        ROUTER => "Router",
        GATEWAY => "Gateway",
        SYSTEM => "System",
        LEAF => "Leafnode",
        JETSTREAM => "JetStream",
        ACCOUNT => "Account",
        _ => "Unknown Kind",
    }
}

const fn arrow(kind: u64) -> &'static str {
    match kind {
        CLIENT => "--C",
        JETSTREAM => "--J",
        ROUTER => "-->",
        GATEWAY => "==>",
        LEAF => "~~>",
        _ => "",
    }
}
