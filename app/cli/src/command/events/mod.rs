//! `nats events`: shows what servers and JetStream announce.

mod kinds;

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use async_nats::{Message, Subscriber};
use clap::Args;
use futures::StreamExt;
use futures::stream::select_all;
use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use crate::command::api::event_subject;
use crate::command::dig::Dig;
use crate::command::wait::interrupted;
use crate::global::negatable;
use crate::invocation::Invocation;
use crate::parse::{duration, split_subjects};
use crate::show::outln;

negatable! {
    /// Show what servers announce: connections, disconnections, failed logins
    ServerAdvisories, "srv-advisory", "no-srv-advisory", true
}

/// Show what servers and JetStream announce
#[derive(Args, Debug)]
pub(crate) struct Events {
    /// Show all events
    #[arg(long, short = 'a')]
    all: bool,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Show CloudEvents v1
    #[arg(long)]
    cloudevent: bool,
    /// A line for each event
    #[arg(long)]
    short: bool,
    /// Only events that match this regular expression
    #[arg(long, default_value = ".", value_name = "REGEX")]
    filter: String,
    /// Show metrics of JetStream
    #[arg(long)]
    js_metric: bool,
    /// Show advisories of JetStream
    #[arg(long)]
    js_advisory: bool,
    #[command(flatten)]
    srv_advisory: ServerAdvisories,
    /// Show events of these subjects
    #[arg(long)]
    subjects: Vec<String>,
    /// Read events from this stream
    #[arg(long)]
    stream: Option<String>,
    /// Read a stream from this long ago
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    since: Option<Duration>,
}

impl Events {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let stop = interrupted();
        let chosen = self.all || self.js_advisory || self.js_metric || !self.subjects.is_empty();
        if !chosen && !self.srv_advisory.is_on() && self.stream.is_none() {
            bail!("no events were chosen");
        }
        if chosen && self.stream.is_some() {
            bail!("cannot specify both Stream and specific advisories or extra subjects");
        }
        let filter = RegexBuilder::new(&self.filter).case_insensitive(true).build();
        let filter = filter.map_err(|error| anyhow!("invalid body regular expression: {error}"))?;
        let shown = async {
            match &self.stream {
                Some(stream) => self.stored(invocation, stream, &filter).await,
                None => self.live(invocation, &filter).await,
            }
        };
        tokio::select! {
            ended = shown => ended,
            () = stop => Ok(()),
        }
    }

    fn announce(&self, text: &str) {
        if !self.is_json() {
            outln!("{text}");
        }
    }

    const fn is_json(&self) -> bool {
        self.json || self.cloudevent
    }

    async fn live(&self, invocation: &Invocation, filter: &Regex) -> Result<()> {
        let link = invocation.connect().await?;
        let mut subscribers: Vec<Subscriber> = Vec::new();
        for (announcement, subject) in self.sources(invocation)? {
            subscribers.push(link.client.subscribe(subject).await?);
            self.announce(&announcement);
        }
        link.client.flush().await?;
        let mut events = select_all(subscribers);
        let shown = async {
            while let Some(event) = events.next().await {
                self.show(&event, filter);
            }
            bail!("nats: connection closed")
        };
        link.unless_fault(shown).await
    }

    /// What is listened to: the line that says so, and the subject.
    fn sources(&self, invocation: &Invocation) -> Result<Vec<(String, String)>> {
        let settings = invocation.settings()?;
        let mut sources = Vec::new();
        let mut add =
            |what: &str, subject: String| sources.push((format!("Listening for {what} on {subject}"), subject));
        if self.js_advisory || self.all {
            add("Advisories", format!("{}.>", event_subject(&settings, "ADVISORY")));
        }
        if self.js_metric || self.all {
            add("Metrics", format!("{}.>", event_subject(&settings, "METRIC")));
        }
        if self.srv_advisory.is_on() || self.all {
            add("Client Connection events", "$SYS.ACCOUNT.*.CONNECT".to_owned());
            add("Client Disconnection events", "$SYS.ACCOUNT.*.DISCONNECT".to_owned());
            add("Authentication Errors events", "$SYS.SERVER.*.CLIENT.AUTH.ERR".to_owned());
        }
        for subject in split_subjects(&self.subjects) {
            add("advisories", subject);
        }
        Ok(sources)
    }

    async fn stored(&self, invocation: &Invocation, stream: &str, filter: &Regex) -> Result<()> {
        use async_nats::jetstream::consumer::{DeliverPolicy, pull};
        let (link, jetstream) = invocation.jetstream().await?;
        let mut config = pull::OrderedConfig::default();
        match self.since {
            Some(since) => {
                let start = std::time::SystemTime::now() - since;
                config.deliver_policy = DeliverPolicy::ByStartTime { start_time: start.into() };
                let start = jiff::Timestamp::now() - since;
                self.announce(&format!(
                    "Listening for Events in stream {stream} since {}",
                    crate::show::local_time(start)
                ));
            }
            None => self.announce(&format!("Listening for Events in stream {stream}")),
        }
        let consumer = jetstream.create_consumer_on_stream(config, stream).await.map_err(|error| anyhow!("{error}"))?;
        let mut events = consumer.messages().await.map_err(|error| anyhow!("{error}"))?;
        let shown = async {
            while let Some(event) = events.next().await {
                self.show(&event.map_err(|error| anyhow!("{error}"))?.message, filter);
            }
            bail!("nats: connection closed")
        };
        link.unless_fault(shown).await
    }

    fn show(&self, message: &Message, filter: &Regex) {
        if !filter.is_match(&message.payload) {
            return;
        }
        if self.json && !self.cloudevent {
            outln!("{}", String::from_utf8_lossy(&message.payload));
            return;
        }
        let event = serde_json::from_slice::<Value>(&message.payload);
        match event.as_ref().map(|event| (event, event.text("type"))) {
            Ok((event, kind)) if kinds::is_event(kind) => self.print(event),
            Ok(_) => self.unknown(message, &format!("unknown event schema on subject {}", message.subject)),
            Err(error) => self.unknown(message, &format!("parsing failed: {error}")),
        }
    }

    fn print(&self, event: &Value) {
        if self.cloudevent {
            outln!("{}", kinds::cloud_event(event));
        } else if self.short {
            outln!("{}", kinds::short(event));
        } else {
            outln!("{}\n", kinds::long(event));
        }
    }

    fn unknown(&self, message: &Message, error: &str) {
        let text = String::from_utf8_lossy(&message.payload);
        let padded: Vec<_> = text.lines().map(|line| format!("{:10}{line}", "")).collect();
        outln!("Event error: {error}\n\n{}", padded.join("\n"));
    }
}
