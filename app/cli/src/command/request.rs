//! `nats request`: sends requests and shows what comes back.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use async_nats::{Message, StatusCode, Subscriber};
use clap::Args;
use futures::StreamExt;
use indicatif::ProgressBar;
use tokio::time::timeout;

use crate::command::body::{Translator, header_lines};
use crate::command::sender::{Bodies, LINES_UP_TO};
use crate::command::wait::interrupted;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::parse::duration;
use crate::show::{bar, go_duration, log};

/// As many replies or requests as there may ever be.
const UNBOUNDED: u64 = i16::MAX as u64;

/// Send a request and show the replies
///
/// Bodies, subjects and header values may contain templates, as with publish:
///
///   nats request test --count 10 "Message {{Count}} @ {{Time}}"
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Request {
    /// Subject to send the request to
    subject: String,
    /// Body of the request; stdin when left out
    body: Option<String>,
    /// Show nothing but the bodies of replies
    #[arg(long, short = 'r')]
    raw: bool,
    /// Send this many requests
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    count: i64,
    /// Wait for this many replies; 0 waits until the timeout
    #[arg(long, default_value_t = 1)]
    replies: u64,
    /// Longest time between replies when waiting for more than one
    #[arg(long, default_value = "300ms", value_parser = duration, value_name = "DURATION")]
    reply_timeout: Duration,
    /// Wait for replies until an empty one comes
    #[arg(long)]
    wait_for_empty: bool,
    /// Send the bodies of replies through this command before showing them
    #[arg(long, value_name = "COMMAND")]
    translate: Option<String>,
    #[arg(long, short = 'w', hide = true)]
    wait: bool,
    #[command(flatten)]
    bodies: Bodies,
}

impl Request {
    /// A request that waits for one reply.
    pub(crate) fn new(
        subject: String,
        body: Option<String>,
        raw: bool,
        count: i64,
        translate: Option<String>,
        bodies: Bodies,
    ) -> Self {
        let reply_timeout = Duration::from_millis(300);
        Self {
            subject,
            body,
            raw,
            count,
            replies: 1,
            reply_timeout,
            wait_for_empty: false,
            translate,
            wait: true,
            bodies,
        }
    }

    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let stop = interrupted();
        tokio::select! {
            done = self.ask_all(invocation) => done,
            () = stop => bail!("context canceled"),
        }
    }

    const fn count(&self) -> u64 {
        if self.count < 1 { UNBOUNDED } else { self.count.unsigned_abs() }
    }

    const fn replies(&self) -> u64 {
        if self.wait_for_empty { UNBOUNDED } else { self.replies }
    }

    async fn ask_all(&self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        let mut source = self.bodies.source(self.body.as_ref(), false);
        let progress = (self.count() > LINES_UP_TO && !self.raw).then(|| bar(self.count(), ""));
        while let Some(body) = source.next().await? {
            for count in 1..=self.count() {
                if self.ask(invocation, &link, &body, count, progress.as_ref()).await? == Asked::Nobody {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        invocation: &Invocation,
        link: &Link,
        body: &[u8],
        count: u64,
        progress: Option<&ProgressBar>,
    ) -> Result<Asked> {
        let is_told = !self.raw && progress.is_none();
        let subject = self.bodies.expand("subject", &self.subject, count);
        let body = self.bodies.expand_body(body, count);
        if is_told {
            log!("Sending request on {subject:?}");
        }
        let headers = self.bodies.header_map(count)?;
        let inbox = link.client.new_inbox();
        let replies = link.client.subscribe(inbox.clone()).await?;
        let start = Instant::now();
        link.client
            .publish_with_reply_and_headers(subject, inbox, headers, body.into())
            .await
            .map_err(|error| anyhow!("nats: {error}"))?;
        if let Some(bar) = progress {
            bar.inc(1);
        }
        link.unless_fault(self.show_replies(invocation, replies, start, is_told)).await
    }

    /// Shows replies until there are enough of them or time is up, which is no error.
    async fn show_replies(
        &self,
        invocation: &Invocation,
        mut replies: Subscriber,
        start: Instant,
        is_told: bool,
    ) -> Result<Asked> {
        let mut patience = invocation.timeout();
        let mut sum = Duration::ZERO;
        let mut seen = 0u64;
        while let Ok(Some(reply)) = timeout(patience, replies.next()).await {
            if reply.status == Some(StatusCode::NO_RESPONDERS) {
                log!("No responders are available");
                return Ok(Asked::Nobody);
            }
            let took = start.elapsed();
            self.show(&reply, took, is_told).await;
            seen += 1;
            sum += took;
            let is_last = self.replies() > 0 && (seen == self.replies() || reply.payload.is_empty());
            if is_last {
                break;
            }
            patience = match self.replies() {
                0 => invocation.timeout().saturating_sub(start.elapsed()),
                _ => sum / u32::try_from(seen).unwrap_or(u32::MAX) + self.reply_timeout,
            };
        }
        Ok(Asked::Somebody)
    }

    async fn show(&self, reply: &Message, took: Duration, is_told: bool) {
        let translator = Translator(self.translate.as_deref());
        if self.raw {
            translator.print(&reply.payload, &reply.subject, "").await;
        } else if is_told {
            log!("Received with rtt {}", go_duration(took));
            let headers = header_lines(reply.headers.as_ref());
            for line in &headers {
                log!("{line}");
            }
            if !headers.is_empty() {
                log!("");
            }
            translator.print(&reply.payload, &reply.subject, "").await;
        }
    }
}

/// Whether a request found anybody at all.
#[derive(PartialEq, Eq)]
enum Asked {
    Somebody,
    Nobody,
}
