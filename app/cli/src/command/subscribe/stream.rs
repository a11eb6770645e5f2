//! Messages of a stream: through a consumer of our own, through one that is there, or asked for directly.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_nats::{Message, StatusCode, Subscriber};
use clap::Args;
use futures::StreamExt;
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use crate::command::api::{Api, CONSUMER_NOT_FOUND, is_api_error, subject};
use crate::command::delivery::Delivery;
use crate::command::dig::Dig;
use crate::command::reader::{Reader, Until};
use crate::command::stored::Stored;
use crate::failure::advise;
use crate::parse::{ago, duration};
use crate::show::{comma, humanize, local_time, log};

/// Messages that one direct question asks for.
const DIRECT_BATCH: u64 = 250;
/// How long to wait before a stream without new messages is asked again.
const DIRECT_PAUSE: Duration = Duration::from_millis(250);

/// Where messages of a stream come from and where they start.
#[derive(Args, Debug)]
#[command(next_help_heading = "JetStream")]
pub(crate) struct FromStream {
    /// Show messages of this stream
    #[arg(long)]
    pub(crate) stream: Option<String>,
    /// Use this consumer of the stream
    #[arg(long, value_name = "CONSUMER")]
    durable: Option<String>,
    /// Start at a sequence of the stream
    #[arg(long, value_name = "SEQUENCE")]
    start_sequence: Option<u64>,
    /// Show all messages of the stream
    #[arg(long)]
    all: bool,
    /// Show only messages that come from now on
    #[arg(long)]
    new: bool,
    /// Show the last message and all that come
    #[arg(long)]
    last: bool,
    /// Show messages received since a duration like 1d3h5m2s ago
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// Show the last message of each subject and all that come
    #[arg(long)]
    last_per_subject: bool,
    /// End when all messages of the stream were shown
    #[arg(long, short = 'T')]
    terminate_at_end: bool,
    /// Ask the stream for messages instead of using a consumer
    #[arg(long)]
    direct: bool,
}

/// A message of a stream, and what is said of it in the line above it.
pub(crate) struct Arrived {
    pub(crate) message: Message,
    pub(crate) sequence: u64,
    pub(crate) at: jiff::Timestamp,
    pub(crate) headline: String,
    pub(crate) wants_ack: bool,
}

/// Messages on their way.
pub(crate) enum Source<'a> {
    Reader(Box<Reader<'a>>, bool),
    Pushed(Subscriber, bool),
    Direct(Box<Direct<'a>>),
}

impl FromStream {
    /// Whether anything of this was asked for.
    pub(crate) fn is_given(&self) -> bool {
        self.stream.is_some()
            || self.durable.is_some()
            || self.start_sequence.is_some_and(|sequence| sequence > 0)
            || self.all
            || self.new
            || self.last
            || self.since.is_some()
            || self.last_per_subject
            || self.direct
    }

    pub(crate) const fn ends(&self) -> bool {
        self.terminate_at_end
    }

    pub(crate) fn check(&self, subjects: &[String]) -> Result<()> {
        if self.terminate_at_end && !self.is_given() {
            bail!("--terminate-at-end is only supported for JetStream subscriptions");
        }
        if self.durable.is_some() && !subjects.is_empty() {
            bail!("cannot specify both subjects and a durable consumer");
        }
        if self.durable.is_some() && self.direct {
            bail!("cannot use direct get when a durable name is supplied");
        }
        if self.durable.is_some() && self.stream.is_none() {
            bail!("--durable needs --stream");
        }
        if self.is_given() && subjects.len() > 1 {
            bail!("streams subscribe support only 1 subject");
        }
        Ok(())
    }

    const fn until(&self) -> Until {
        if self.terminate_at_end { Until::End } else { Until::Stopped }
    }

    /// Starts to receive, and says so unless the output is for a program.
    pub(crate) async fn open<'a>(&self, api: &'a Api<'a>, opening: &Opening<'_>) -> Result<Source<'a>> {
        let stream = self.find(api, opening.subject).await?;
        let info = api.stream(&stream).await?;
        if let Some(durable) = &self.durable {
            return self.through(api, &stream, durable, opening).await;
        }
        let is_read_once = matches!(info.text("config.retention"), "workqueue" | "interest");
        if self.direct || is_read_once {
            return Direct::open(api, self, &info, opening).await.map(|direct| Source::Direct(Box::new(direct)));
        }
        let shown = opening.subject.unwrap_or(">");
        opening.say(&format!("Subscribing to subject {shown} {}", self.start_text()));
        let reader = Reader::open(api, &stream, self.config(opening), self.until()).await;
        Ok(Source::Reader(Box::new(reader.context("failed to create consumer")?), false))
    }

    async fn find(&self, api: &Api<'_>, subject: Option<&str>) -> Result<String> {
        if let Some(stream) = &self.stream {
            return Ok(stream.clone());
        }
        let subject = subject.context("subject is required")?;
        let names = api.stream_names(Some(subject)).await?;
        names.into_iter().next().ok_or_else(|| {
            advise(
                format!("no stream found with subject: {subject}"),
                "nats stream ls shows the streams, nats sub without JetStream flags shows what is published",
            )
        })
    }

    fn config(&self, opening: &Opening<'_>) -> Value {
        let mut config = Map::new();
        let mut set = |key: &str, value: Value| drop(config.insert(key.to_owned(), value));
        set("filter_subject", opening.subject.unwrap_or(">").into());
        set("headers_only", opening.is_without_bodies.into());
        let policy = if let Some(sequence) = self.start_sequence.filter(|sequence| *sequence > 0) {
            set("opt_start_seq", sequence.into());
            "by_start_sequence"
        } else if self.last {
            "last"
        } else if self.all {
            "all"
        } else if self.new {
            "new"
        } else if let Some(since) = self.since {
            set("opt_start_time", ago(since).to_string().into());
            "by_start_time"
        } else if self.last_per_subject {
            "last_per_subject"
        } else {
            "all"
        };
        set("deliver_policy", policy.into());
        config.into()
    }

    fn start_text(&self) -> String {
        if let Some(sequence) = self.start_sequence.filter(|sequence| *sequence > 0) {
            format!("starting at sequence {sequence} ")
        } else if self.last {
            "from last received message ".to_owned()
        } else if self.new {
            "for new messages ".to_owned()
        } else if let Some(since) = self.since.filter(|_| !self.all) {
            format!("since {} ", humanize(since))
        } else if self.last_per_subject && !self.all {
            "for last message per subject ".to_owned()
        } else {
            "from first received message ".to_owned()
        }
    }

    /// Uses a consumer that is there, or makes it.
    async fn through<'a>(
        &self,
        api: &'a Api<'a>,
        stream: &str,
        name: &str,
        opening: &Opening<'_>,
    ) -> Result<Source<'a>> {
        let info = match api.consumer(stream, name).await {
            Ok(info) => info,
            Err(error) if is_api_error(&error, CONSUMER_NOT_FOUND) => {
                let mut config = self.config(opening);
                config["name"] = name.into();
                config["ack_policy"] = "none".into();
                let body = json!({"stream_name": stream, "config": config});
                let call = format!("CONSUMER.CREATE.{stream}.{name}.>");
                let made = api.call(&call, body).await;
                made.with_context(|| format!("failed to create durable consumer {name:?}"))?
            }
            Err(error) => return Err(error.context(format!("error loading durable consumer {name:?}"))),
        };
        if info.list("config.filter_subjects").len() > 1 {
            bail!("cannot subscribe to multi filter consumers");
        }
        let wants_ack = info.text("config.ack_policy") != "none";
        let (target, group) = (info.text("config.deliver_subject"), info.text("config.deliver_group"));
        let kind = if target.is_empty() { "pull" } else { "push" };
        opening.say(&format!("Subscribing to JetStream Stream {stream:?} using existing {kind} consumer {name:?}"));
        if target.is_empty() {
            let reader = Reader::bind(api, &info, self.until(), opening.count).await?;
            return Ok(Source::Reader(Box::new(reader), wants_ack));
        }
        let client = &api.link.client;
        let messages = match group {
            "" => client.subscribe(target.to_owned()).await?,
            group => client.queue_subscribe(target.to_owned(), group.to_owned()).await?,
        };
        Ok(Source::Pushed(messages, wants_ack))
    }
}

/// What a subscription to a stream needs to know of the command line.
pub(crate) struct Opening<'a> {
    pub(crate) subject: Option<&'a str>,
    pub(crate) is_without_bodies: bool,
    pub(crate) is_quiet: bool,
    pub(crate) ignored: &'a [String],
    pub(crate) count: Option<u64>,
}

impl Opening<'_> {
    fn say(&self, text: &str) {
        if self.is_quiet {
            return;
        }
        let ignored = if self.ignored.is_empty() {
            String::new()
        } else {
            format!("\nIgnored subjects: {}", self.ignored.join(", "))
        };
        log!("{text}{ignored}");
    }
}

impl Source<'_> {
    /// The next message; nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Arrived>> {
        match self {
            Self::Reader(reader, wants_ack) => Ok(reader.next().await?.map(|delivery| arrived(delivery, *wants_ack))),
            Self::Direct(direct) => Ok(direct.next().await?.map(|stored| direct.arrived(stored))),
            Self::Pushed(messages, wants_ack) => loop {
                let message = messages.next().await.context("nats: connection closed")?;
                if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
                    continue;
                }
                if let Ok(delivery) = Delivery::of(message) {
                    return Ok(Some(arrived(delivery, *wants_ack)));
                }
            },
        }
    }

    pub(crate) async fn close(self) {
        if let Self::Reader(reader, _) = self {
            reader.close().await;
        }
    }
}

fn arrived(delivery: Delivery, wants_ack: bool) -> Arrived {
    let (message, facts) = (delivery.message, delivery.facts);
    let headline = format!(
        "Received JetStream message: stream: {} seq: {} / pending: {} / subject: {} / time: {}",
        facts.stream,
        comma(facts.stream_sequence),
        comma(facts.pending),
        message.subject,
        local_time(facts.at)
    );
    Arrived { message, sequence: facts.stream_sequence, at: facts.at, headline, wants_ack }
}

/// A stream that is asked for its messages, batch by batch.
pub(crate) struct Direct<'a> {
    api: &'a Api<'a>,
    stream: String,
    filter: Option<String>,
    next: Next,
    is_endless: bool,
    waiting: VecDeque<Stored>,
    /// Where to go on after the last messages of all subjects.
    after: u64,
}

enum Next {
    Sequence(u64),
    Since(jiff::Timestamp),
    LastOfAll,
}

impl<'a> Direct<'a> {
    async fn open(api: &'a Api<'a>, from: &FromStream, info: &Value, opening: &Opening<'_>) -> Result<Self> {
        let stream = info.text("config.name").to_owned();
        if !info.flag("config.allow_direct") {
            bail!("cannot enable direct gets: allow_direct is not set to true for stream {stream}");
        }
        api.require_level(1, "subscribing using direct get requires NATS Server 2.11").await?;
        let (first, last) = (info.whole("state.first_seq"), info.whole("state.last_seq"));
        let (next, text) = if let Some(sequence) = from.start_sequence.filter(|sequence| *sequence > 0) {
            (Next::Sequence(sequence), format!("starting with sequence {sequence} "))
        } else if from.last {
            (Next::Sequence(last.max(1)), "starting with the last message received ".to_owned())
        } else if from.all {
            (Next::Sequence(first.max(1)), "starting with the first message received ".to_owned())
        } else if from.new {
            (Next::Sequence(last + 1), "delivering any new messages received ".to_owned())
        } else if let Some(since) = from.since {
            (Next::Since(ago(since)), format!("starting with messages since {} ", humanize(since)))
        } else if from.last_per_subject {
            (Next::LastOfAll, "for the last messages for each subject in the Stream ".to_owned())
        } else {
            (Next::Sequence(first.max(1)), "starting with the first message received ".to_owned())
        };
        let subjects = info.texts("config.subjects").join(", ");
        let shown = opening.subject.unwrap_or(&subjects);
        opening.say(&format!("Subscribing to JetStream Stream (direct) holding messages with subject {shown} {text}"));
        let filter = opening.subject.map(str::to_owned);
        Ok(Self { api, stream, filter, next, is_endless: !from.ends(), waiting: VecDeque::new(), after: last + 1 })
    }

    async fn next(&mut self) -> Result<Option<Stored>> {
        loop {
            if let Some(stored) = self.waiting.pop_front() {
                return Ok(Some(stored));
            }
            self.fetch().await?;
            if self.waiting.is_empty() {
                if !self.is_endless {
                    return Ok(None);
                }
                sleep(DIRECT_PAUSE).await;
            }
        }
    }

    fn question(&self) -> Value {
        let mut question = json!({"batch": DIRECT_BATCH});
        let filter = self.filter.as_deref();
        match &self.next {
            Next::LastOfAll => {
                question = json!({"multi_last": [filter.unwrap_or(">")], "up_to_seq": self.after - 1});
            }
            Next::Since(at) => question["start_time"] = at.to_string().into(),
            Next::Sequence(sequence) => question["seq"] = (*sequence).into(),
        }
        if !matches!(self.next, Next::LastOfAll) {
            question["next_by_subj"] = filter.unwrap_or(">").into();
        }
        question
    }

    /// Asks for a batch; an empty message says where it ends.
    async fn fetch(&mut self) -> Result<()> {
        let client = &self.api.link.client;
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await?;
        let call = subject(self.api.settings(), &format!("DIRECT.GET.{}", self.stream));
        client.publish_with_reply(call, inbox, self.question().to_string().into()).await?;
        let mut found = VecDeque::new();
        loop {
            let next =
                timeout(self.api.invocation.timeout(), self.api.link.unless_fault(async { Ok(answers.next().await) }));
            let message = next.await.context("nats: timeout")??.context("nats: connection closed")?;
            match message.status.map(|status| status.as_u16()) {
                None => found.push_back(Stored::of_direct(message)?),
                Some(204 | 404) => break,
                Some(status) => bail!("nats: {status} {}", message.description.unwrap_or_default()),
            }
        }
        self.next = match (&self.next, found.back()) {
            (Next::LastOfAll, _) => Next::Sequence(self.after),
            (_, Some(last)) => Next::Sequence(last.sequence + 1),
            (Next::Since(_), None) => Next::Sequence(self.after),
            (Next::Sequence(sequence), None) => Next::Sequence(*sequence),
        };
        self.waiting = found;
        Ok(())
    }

    fn arrived(&self, stored: Stored) -> Arrived {
        let headline = format!(
            "Received JetStream message (direct): stream: {} seq {} / subject: {} / time: {}",
            self.stream,
            comma(stored.sequence),
            stored.subject,
            local_time(stored.at)
        );
        let length = stored.body.len();
        let message = Message {
            subject: stored.subject.into(),
            reply: None,
            payload: stored.body,
            headers: (!stored.headers.is_empty()).then_some(stored.headers),
            status: None,
            description: None,
            length,
        };
        Arrived { message, sequence: stored.sequence, at: stored.at, headline, wants_ack: false }
    }
}
