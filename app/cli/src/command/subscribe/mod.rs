//! `nats subscribe`: shows the messages of subjects as they come.

mod dump;
mod graph;
mod report;
mod stream;
mod view;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use async_nats::{Message, Subscriber};
use clap::Args;
use futures::stream::{BoxStream, SelectAll, select_all};
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant as Deadline, sleep_until};

use crate::command::api::Api;
use crate::command::subscribe::report::Report;
use crate::command::subscribe::stream::{FromStream, Opening};
use crate::command::subscribe::view::View;
use crate::command::wait::interrupted;
use crate::failure::Ended;
use crate::global::negatable;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::parse::{duration, split_subjects};
use crate::show::{log, outln};

/// Requests that wait for their reply to be matched; older ones are given up.
const MAX_UNMATCHED: usize = 100_000;

negatable! {
    /// Acknowledge messages that come from JetStream
    Ack, "ack", "no-ack", false
}

/// Subscribe to subjects and show what arrives
#[derive(Args, Debug)]
pub(crate) struct Subscribe {
    /// Subjects to subscribe to
    subjects: Vec<String>,
    /// Subscribe as a member of a queue group
    #[arg(long)]
    queue: Option<String>,
    /// Subscribe to a new inbox
    #[arg(long, short = 'i')]
    inbox: bool,
    /// Show requests together with their replies
    #[arg(long)]
    match_replies: bool,
    #[command(flatten)]
    ack: Ack,
    /// End after this many messages
    #[arg(long)]
    count: Option<u64>,
    /// End after this time without messages
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    wait: Option<Duration>,
    /// Do not show messages of these subjects
    #[arg(long = "ignore-subject", short = 'I', value_name = "SUBJECT")]
    ignore_subjects: Vec<String>,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    report: Report,
    #[command(flatten)]
    from_stream: FromStream,
    /// Draw how many messages come in a second
    #[arg(long)]
    graph: bool,
}

impl Subscribe {
    pub(crate) async fn run(mut self, invocation: &Invocation) -> Result<()> {
        if self.subjects.is_empty() && !self.inbox && self.from_stream.stream.is_none() {
            outln!("No subjects or --stream flag provided.");
            return Err(Ended(1).into());
        }
        let stop = interrupted();
        self.view.check(self.inbox)?;
        self.report.check()?;
        self.from_stream.check(&self.subjects)?;
        if self.from_stream.is_given() {
            self.check_with_stream()?;
            let api = Api::open(invocation).await?;
            return tokio::select! {
                ended = self.watch_stream(&api) => ended,
                () = stop => Ok(()),
            };
        }
        if self.graph {
            return graph::run(&self.subjects, self.queue.as_deref(), invocation).await;
        }
        let link = invocation.connect().await?;
        if self.subjects.is_empty() {
            self.subjects = vec![link.client.new_inbox()];
        }
        let watch = self.watch(invocation, &link);
        tokio::select! {
            ended = link.unless_fault(watch) => ended,
            () = stop => Ok(()),
        }
    }

    fn check_with_stream(&self) -> Result<()> {
        if self.inbox {
            bail!("generating inboxes is not compatible with JetStream subscriptions");
        }
        if self.queue.as_ref().is_some_and(|queue| !queue.is_empty()) {
            bail!("queue group subscriptions are not supported with JetStream");
        }
        if self.match_replies {
            bail!("cannot enable --match-replies for JetStream streams");
        }
        if self.graph {
            bail!("--graph draws what is published and cannot be used with JetStream flags");
        }
        Ok(())
    }

    /// Messages of a stream instead of those that are published now.
    async fn watch_stream(&self, api: &Api<'_>) -> Result<()> {
        let ignored = split_subjects(&self.ignore_subjects);
        let opening = Opening {
            subject: self.subjects.first().map(String::as_str),
            is_without_bodies: self.view.is_without_bodies(),
            is_quiet: self.view.is_bare(),
            ignored: &ignored,
            count: self.count,
        };
        let mut source = self.from_stream.open(api, &opening).await?;
        let report = self.report.start(&self.subjects);
        let (mut seen, mut deadline) = (0, self.deadline());
        while self.count.is_none_or(|limit| limit == 0 || seen < limit) {
            let arrived = tokio::select! {
                biased;
                arrived = source.next() => arrived?,
                () = sleep_until(deadline) => None,
            };
            let Some(arrived) = arrived else { break };
            deadline = self.deadline();
            if ignored.iter().any(|filter| covers(filter, &arrived.message.subject)) {
                continue;
            }
            seen += 1;
            match &report {
                Some(report) => report.count(0, &arrived.message),
                None => self.view.show_stored(api.invocation, &arrived, seen).await,
            }
            if let Some(reply) = arrived.message.reply.clone().filter(|_| arrived.wants_ack) {
                api.link.client.publish(reply, "".into()).await?;
            }
        }
        api.link.client.flush().await?;
        source.close().await;
        Ok(())
    }

    async fn watch(&self, invocation: &Invocation, link: &Link) -> Result<()> {
        let mut watch = Watch {
            shown: self,
            invocation,
            link,
            ignored: split_subjects(&self.ignore_subjects),
            start: Instant::now(),
            seen: 0,
            unmatched: HashMap::new(),
        };
        let mut replies = self.replies(invocation, link).await?;
        let mut messages = self.subscribe(link).await?;
        link.client.flush().await?;
        self.announce(&watch.ignored);
        let report = self.report.start(&self.subjects);
        let mut deadline = self.deadline();
        loop {
            tokio::select! {
                biased;
                message = messages.next() => match message {
                    Some((at, message)) => {
                        if watch.received(at, &message, report.as_ref()).await {
                            deadline = self.deadline();
                        }
                    }
                    None => bail!("nats: connection closed"),
                },
                Some(reply) = next(&mut replies) => {
                    // A request comes before its reply, so it is here by now even if it was not a moment ago.
                    while let Some(Some((at, message))) = messages.next().now_or_never() {
                        watch.received(at, &message, report.as_ref()).await;
                    }
                    watch.matched(&reply).await;
                }
                () = sleep_until(deadline) => return Ok(()),
            }
            if watch.is_done() {
                link.client.flush().await?;
                return Ok(());
            }
        }
    }

    /// When idle time is up; far away when it never is.
    fn deadline(&self) -> Deadline {
        Deadline::now() + self.wait.unwrap_or(Duration::from_secs(365 * 86_400))
    }

    fn announce(&self, ignored: &[String]) {
        if self.view.is_bare() && !self.inbox {
            return;
        }
        let ignored =
            if ignored.is_empty() { String::new() } else { format!("\nIgnored subjects: {}", ignored.join(", ")) };
        if self.ack.is_on() {
            let first = self.subjects.first().map_or("", String::as_str);
            log!("Subscribing on {first} with acknowledgement of JetStream messages {ignored}");
        } else {
            log!("Subscribing on {} {ignored}", self.subjects.join(", "));
        }
    }

    /// All subscriptions in one stream; each message comes with the number of its subscription.
    async fn subscribe(&self, link: &Link) -> Result<SelectAll<BoxStream<'static, (usize, Message)>>> {
        let mut subscribers = Vec::new();
        for (at, subject) in self.subjects.iter().cloned().enumerate() {
            let subscriber = match self.queue.as_ref().filter(|queue| !queue.is_empty()) {
                Some(queue) => link.client.queue_subscribe(subject, queue.clone()).await?,
                None => link.client.subscribe(subject).await?,
            };
            subscribers.push(subscriber.map(move |message| (at, message)).boxed());
        }
        Ok(select_all(subscribers))
    }

    /// All inboxes, when replies are to be matched.
    async fn replies(&self, invocation: &Invocation, link: &Link) -> Result<Option<Subscriber>> {
        if !self.match_replies {
            return Ok(None);
        }
        let prefix = invocation.settings()?.inbox_prefix;
        let prefix = if prefix.is_empty() { "_INBOX" } else { prefix.trim_end_matches('.') };
        if !self.view.is_bare() {
            log!("Matching replies with inbox prefix {prefix}.>");
        }
        Ok(Some(link.client.subscribe(format!("{prefix}.>")).await?))
    }
}

async fn next(replies: &mut Option<Subscriber>) -> Option<Message> {
    match replies {
        Some(replies) => replies.next().await,
        None => std::future::pending().await,
    }
}

/// A subscription on its way: what was seen and what is still waited for.
struct Watch<'a> {
    shown: &'a Subscribe,
    invocation: &'a Invocation,
    link: &'a Link,
    ignored: Vec<String>,
    start: Instant,
    seen: u64,
    unmatched: HashMap<String, (u64, Message)>,
}

impl Watch<'_> {
    /// Takes a message in; tells whether it counted.
    async fn received(&mut self, at: usize, message: &Message, report: Option<&report::Live>) -> bool {
        let is_ignored = self.ignored.iter().any(|filter| covers(filter, &message.subject));
        if is_ignored || self.is_full() {
            return false;
        }
        self.seen += 1;
        match (report, &message.reply) {
            (Some(report), _) => report.count(at, message),
            (None, Some(reply)) if self.shown.match_replies => self.remember(reply.to_string(), message),
            (None, _) => self.shown.view.show(self.invocation, message, None, self.seen, self.start).await,
        }
        self.acknowledge(message).await;
        true
    }

    fn remember(&mut self, reply: String, message: &Message) {
        if self.unmatched.len() >= MAX_UNMATCHED
            && let Some(oldest) = self.unmatched.iter().min_by_key(|(_, (seen, _))| *seen).map(|(key, _)| key.clone())
        {
            self.unmatched.remove(&oldest);
        }
        self.unmatched.insert(reply, (self.seen, message.clone()));
    }

    async fn matched(&mut self, reply: &Message) {
        if let Some((seen, request)) = self.unmatched.remove(reply.subject.as_str()) {
            self.shown.view.show(self.invocation, &request, Some(reply), seen, self.start).await;
        }
    }

    async fn acknowledge(&self, message: &Message) {
        let Some(reply) = message.reply.as_ref().filter(|reply| self.shown.ack.is_on() && is_ack_subject(reply)) else {
            return;
        };
        if let Err(error) = self.link.client.publish(reply.clone(), "".into()).await
            && !self.shown.view.is_bare()
        {
            log!("Acknowledging message via subject {reply} failed: {error}");
        }
    }

    fn is_full(&self) -> bool {
        self.shown.count.is_some_and(|limit| limit > 0 && self.seen >= limit)
    }

    /// Enough was seen, and every request has its reply.
    fn is_done(&self) -> bool {
        self.is_full() && self.unmatched.is_empty()
    }
}

/// Whether a reply subject is where JetStream waits for an acknowledgement.
fn is_ack_subject(reply: &str) -> bool {
    reply.starts_with("$JS.ACK.") && reply.split('.').count() >= 9
}

/// Whether a filter with wildcards covers a subject.
fn covers(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_cover_subjects() {
        for (filter, subject, is_covered) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.>", "a.b.c", true),
            (">", "a", true),
            ("a.>", "a", false),
            ("a.*", "a.b.c", false),
            ("a.b", "a.b.c", false),
            ("a.b.c", "a.b", false),
        ] {
            assert_eq!(covers(filter, subject), is_covered, "{filter} {subject}");
        }
    }
}
