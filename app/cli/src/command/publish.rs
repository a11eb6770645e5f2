//! `nats publish`: sends messages and waits until the server has seen each of them.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use async_nats::HeaderMap;
use clap::Args;
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Deserialize;

use crate::command::sender::{Bodies, LINES_UP_TO, SendOn, Source, append};
use crate::command::wait::interrupted;
use crate::invocation::Invocation;
use crate::link::{Line, Link, Outgoing};
use crate::parse::duration;
use crate::show::{bar, comma, go_duration, log, outln};
use crate::template::unique_id;

/// Publish messages
///
/// Bodies, subjects and header values may contain templates:
///
///   nats pub test --count 10 "Message {{Count}} @ {{Time}}"
///   nats pub test --count 10 "Message {{Count}}: {{ Random 10 100 }}"
///
/// Functions: Count, TimeStamp (RFC3339), Unix, UnixNano, Time, ID, Random MIN MAX.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Publish {
    /// Subject to publish to
    subject: String,
    /// Body of the message; stdin when left out
    body: Option<String>,
    /// Subject to which answers should go
    #[arg(long, value_name = "SUBJECT")]
    reply: Option<String>,
    /// Publish this many messages
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    count: i64,
    /// Pause between messages
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    sleep: Option<Duration>,
    /// Publish to JetStream and wait for its acknowledgement
    #[arg(long, short = 'J')]
    jetstream: bool,
    /// Say nothing but errors
    #[arg(long, short = 'q')]
    quiet: bool,
    /// Publish all lines of stdin as one atomic batch to JetStream
    #[arg(long)]
    atomic: bool,
    #[command(flatten)]
    bodies: Bodies,
    #[command(flatten)]
    schedule: Schedule,
}

/// Messages that JetStream sends later. All of these imply `--jetstream`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Schedule")]
struct Schedule {
    /// Send after this time
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    schedule_after: Option<Duration>,
    /// Send at this time, as RFC3339
    #[arg(long, value_name = "TIME")]
    schedule_at: Option<String>,
    /// Send when this cron expression says
    #[arg(long, value_name = "CRON")]
    schedule_cron: Option<String>,
    /// Subject to which the scheduled message goes
    #[arg(long, value_name = "SUBJECT")]
    schedule_dest: Option<String>,
    /// Send again after every such time
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    schedule_every: Option<Duration>,
    /// Take the body from the last message of this subject
    #[arg(long, value_name = "SUBJECT")]
    schedule_source: Option<String>,
    /// How long scheduled messages live
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    schedule_ttl: Option<Duration>,
}

/// What a stream answers to a stored message.
#[derive(Deserialize)]
struct PubAck {
    #[serde(default)]
    stream: String,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    domain: String,
    #[serde(default)]
    duplicate: bool,
    #[serde(default, rename = "val")]
    value: String,
    #[serde(default)]
    batch: String,
    #[serde(default)]
    count: u64,
    error: Option<ApiFault>,
}

#[derive(Deserialize)]
struct ApiFault {
    #[serde(default)]
    description: String,
    #[serde(default)]
    err_code: u32,
}

impl Publish {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let schedule = self.schedule.headers(Timestamp::now())?;
        if self.atomic && !schedule.is_empty() {
            bail!("atomic batch publishing does not support schedules");
        }
        if self.atomic && (self.body.is_some() || self.bodies.send_on != SendOn::Newline) {
            bail!("atomic batch publishing requires JetStream and STDIN with --send-on=newline");
        }
        let stop = interrupted();
        let work = async {
            if self.atomic || self.jetstream || !schedule.is_empty() {
                self.to_jetstream(invocation, &schedule).await
            } else {
                self.to_core(invocation).await
            }
        };
        tokio::select! {
            done = work => done,
            () = stop => bail!("context canceled"),
        }
    }

    fn count(&self) -> u64 {
        self.count.max(1).unsigned_abs()
    }

    fn source(&self) -> Source {
        self.bodies.source(self.body.as_ref(), self.quiet)
    }

    fn progress(&self) -> Option<ProgressBar> {
        (self.count() > LINES_UP_TO).then(|| bar(self.count(), ""))
    }

    async fn to_core(&self, invocation: &Invocation) -> Result<()> {
        let mut line = invocation.line().await?;
        let mut source = self.source();
        let progress = self.progress();
        while let Some(body) = source.next().await? {
            for count in 1..=self.count() {
                let (subject, sent) = self.publish_one(&mut line, &body, count).await?;
                self.pause(Duration::ZERO).await;
                self.tell(progress.as_ref(), || format!("Published {sent} bytes to {subject:?}"));
            }
        }
        Ok(())
    }

    async fn publish_one(&self, line: &mut Line, body: &[u8], count: u64) -> Result<(String, usize)> {
        let subject = self.bodies.expand("subject", &self.subject, count);
        let body = self.bodies.expand_body(body, count);
        let headers = self.bodies.header_map(count)?;
        let message = Outgoing { subject: &subject, reply: self.reply.as_deref(), headers: &headers, body: &body };
        line.publish(&message).await?;
        line.flush().await?;
        Ok((subject, body.len()))
    }

    async fn pause(&self, spent: Duration) {
        if let Some(sleep) = self.sleep.filter(|_| self.count() > 1) {
            tokio::time::sleep(sleep.saturating_sub(spent)).await;
        }
    }

    /// Moves the bar, or says what happened, or nothing.
    fn tell(&self, progress: Option<&ProgressBar>, text: impl FnOnce() -> String) {
        match progress {
            Some(bar) => bar.inc(1),
            None if self.quiet => {}
            None => log!("{}", text()),
        }
    }

    async fn to_jetstream(&self, invocation: &Invocation, schedule: &[(&str, String)]) -> Result<()> {
        let link = invocation.connect().await?;
        let mut source = self.source();
        if self.atomic {
            return self.atomic_batch(invocation, &link, &mut source).await;
        }
        let progress = self.progress();
        while let Some(body) = source.next().await? {
            for count in 1..=self.count() {
                let start = Instant::now();
                let stored = self.store_one(invocation, &link, (&body, count), schedule, progress.is_none()).await;
                match (stored, self.bodies.send_on) {
                    (Ok(ack), _) => self.tell(progress.as_ref(), || ack.text()),
                    (Err(error), SendOn::Newline) if self.body.is_none() => {
                        log!("Could not publish message: {error:#}");
                        break;
                    }
                    (Err(error), _) => return Err(error),
                }
                self.pause(start.elapsed()).await;
            }
        }
        Ok(())
    }

    async fn store_one(
        &self,
        invocation: &Invocation,
        link: &Link,
        (body, count): (&[u8], u64),
        schedule: &[(&str, String)],
        is_told: bool,
    ) -> Result<PubAck> {
        let subject = self.bodies.expand("subject", &self.subject, count);
        let body = self.bodies.expand_body(body, count);
        let mut headers = self.bodies.header_map(count)?;
        for (name, value) in schedule {
            append(&mut headers, name, value)?;
        }
        if is_told && !self.quiet {
            log!("Published {} bytes to {subject:?}", body.len());
        }
        ask(invocation, link, &subject, headers, body).await
    }

    /// All lines of stdin, stored together or not at all.
    async fn atomic_batch(&self, invocation: &Invocation, link: &Link, source: &mut Source) -> Result<()> {
        let mut batch = Vec::new();
        while let Some(body) = source.next().await? {
            for count in 1..=self.count() {
                let subject = self.bodies.expand("subject", &self.subject, count);
                let body = self.bodies.expand_body(&body, count);
                if !self.quiet {
                    log!("Adding {} bytes to batch on subject {subject:?}", body.len());
                }
                batch.push((subject, self.bodies.header_map(count)?, body));
            }
        }
        let Some((last_subject, last_headers, last_body)) = batch.pop() else {
            bail!("no messages to publish in atomic batch");
        };
        let id = unique_id();
        let mut sequence = 0u64;
        for (subject, mut headers, body) in batch {
            sequence += 1;
            mark(&mut headers, &id, sequence)?;
            if sequence == 1 {
                // The first message is acknowledged alone: it says whether the stream takes batches at all.
                ask(invocation, link, &subject, headers, body).await?;
            } else {
                link.client.publish_with_headers(subject, headers, body.into()).await?;
            }
        }
        let mut headers = last_headers;
        mark(&mut headers, &id, sequence + 1)?;
        append(&mut headers, "Nats-Batch-Commit", "1")?;
        let ack = ask(invocation, link, &last_subject, headers, last_body).await?;
        if !self.quiet {
            log!("{}", ack.batch_text());
        }
        Ok(())
    }
}

fn mark(headers: &mut HeaderMap, batch: &str, sequence: u64) -> Result<()> {
    append(headers, "Nats-Batch-Id", batch)?;
    append(headers, "Nats-Batch-Sequence", &sequence.to_string())
}

/// Sends a message as a request and reads the stream's acknowledgement.
async fn ask(invocation: &Invocation, link: &Link, subject: &str, headers: HeaderMap, body: Vec<u8>) -> Result<PubAck> {
    let request = async_nats::Request::new().headers(headers).payload(body.into());
    let sent = async { Ok(link.client.send_request(subject.to_owned(), request).await) };
    let answer = link.unless_fault(sent).await?.map_err(|error| match error.kind() {
        async_nats::RequestErrorKind::NoResponders => crate::failure::advise(
            "nats: no responders available for request",
            format!("no stream listens on {subject:?}: nats stream add makes one, or leave out --jetstream"),
        ),
        async_nats::RequestErrorKind::TimedOut => anyhow::anyhow!("nats: timeout"),
        _ => anyhow::anyhow!("nats: {error}"),
    })?;
    if invocation.is_traced() {
        outln!("<<< {}", String::from_utf8_lossy(&answer.payload));
    }
    if answer.payload.is_empty() {
        return Ok(PubAck::nothing());
    }
    let ack: PubAck = serde_json::from_slice(&answer.payload)
        .map_err(|_| anyhow::anyhow!("invalid response from JetStream: is {subject:?} answered by something else?"))?;
    match ack.error {
        Some(fault) => bail!("{} ({})", fault.description, fault.err_code),
        None if ack.stream.is_empty() => bail!("invalid publish acknowledgement"),
        None => Ok(ack),
    }
}

impl PubAck {
    fn nothing() -> Self {
        Self {
            stream: String::new(),
            seq: 0,
            domain: String::new(),
            duplicate: false,
            value: String::new(),
            batch: String::new(),
            count: 0,
            error: None,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("Stored in Stream: {} Sequence: {}", self.stream, comma(self.seq));
        self.add_domain(&mut text);
        if self.duplicate {
            text.push_str(" Duplicate: true");
        }
        self.add_value(&mut text);
        text
    }

    fn batch_text(&self) -> String {
        let (count, sequence) = (comma(self.count), comma(self.seq));
        let mut text = format!("Wrote batch ID: {} Messages: {count} Sequence: {sequence}", self.batch);
        self.add_domain(&mut text);
        self.add_value(&mut text);
        text
    }

    fn add_domain(&self, text: &mut String) {
        if !self.domain.is_empty() {
            text.push_str(&format!(" Domain: {:?}", self.domain));
        }
    }

    fn add_value(&self, text: &mut String) {
        if !self.value.is_empty() {
            text.push_str(&format!(" Counter Value: {}", self.value));
        }
    }
}

impl Schedule {
    /// The headers that make a message a schedule; none when nothing was asked for.
    fn headers(&self, now: Timestamp) -> Result<Vec<(&'static str, String)>> {
        if !self.is_asked_for() {
            return Ok(Vec::new());
        }
        let Some(destination) = &self.schedule_dest else {
            bail!("schedule destination is required when setting schedule properties");
        };
        let mut headers = vec![("Nats-Schedule-Target", destination.clone())];
        headers.extend(self.pattern(now)?.map(|pattern| ("Nats-Schedule", pattern)));
        headers.extend(self.schedule_ttl.map(|ttl| ("Nats-Schedule-TTL", go_duration(ttl))));
        headers.extend(self.schedule_source.clone().map(|source| ("Nats-Schedule-Source", source)));
        Ok(headers)
    }

    const fn is_asked_for(&self) -> bool {
        self.schedule_after.is_some()
            || self.schedule_at.is_some()
            || self.schedule_cron.is_some()
            || self.schedule_dest.is_some()
            || self.schedule_every.is_some()
            || self.schedule_source.is_some()
            || self.schedule_ttl.is_some()
    }

    fn pattern(&self, now: Timestamp) -> Result<Option<String>> {
        for (flag, value) in [("--schedule-after", self.schedule_after), ("--schedule-every", self.schedule_every)] {
            if value == Some(Duration::ZERO) {
                bail!("{flag} must be greater than 0");
            }
        }
        Ok(match (&self.schedule_at, self.schedule_after, self.schedule_every, &self.schedule_cron) {
            (None, None, None, None) => None,
            (Some(at), None, None, None) => Some(format!("@at {}", second(at.parse()?))),
            (None, Some(after), None, None) => Some(format!("@at {}", second(now + after))),
            (None, None, Some(every), None) => Some(format!("@every {}", go_duration(every))),
            (None, None, None, Some(cron)) => Some(cron.clone()),
            (Some(_), Some(_), ..) => bail!("--schedule-at and --schedule-after are mutually exclusive"),
            (.., None) => bail!("--schedule-every may not be used with --schedule-at or --schedule-after"),
            _ => bail!("--schedule-at, --schedule-every and --schedule-after may not be used with --schedule-cron"),
        })
    }
}

/// A point in time to the second, as RFC3339.
fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule {
            schedule_after: None,
            schedule_at: None,
            schedule_cron: None,
            schedule_dest: Some("dest".into()),
            schedule_every: None,
            schedule_source: None,
            schedule_ttl: None,
        }
    }

    #[test]
    fn a_schedule_becomes_headers() {
        let now: Timestamp = "2026-11-24T10:00:00.5Z".parse().unwrap();
        let after = Schedule { schedule_after: Some(Duration::from_secs(60)), ..schedule() };
        assert_eq!(after.headers(now).unwrap()[1], ("Nats-Schedule", "@at 2026-11-24T10:01:00Z".into()));
        let every = Schedule { schedule_every: Some(Duration::from_secs(90)), ..schedule() };
        assert_eq!(every.headers(now).unwrap()[1].1, "@every 1m30s");
        let at = Schedule { schedule_at: Some("2026-11-24T12:00:00+01:00".into()), ..schedule() };
        assert_eq!(at.headers(now).unwrap()[1].1, "@at 2026-11-24T11:00:00Z");
    }

    #[test]
    fn a_schedule_needs_a_destination_and_one_time() {
        let now = Timestamp::UNIX_EPOCH;
        let nowhere = Schedule { schedule_dest: None, schedule_cron: Some("@daily".into()), ..schedule() };
        assert!(nowhere.headers(now).is_err());
        let both = Schedule {
            schedule_after: Some(Duration::from_secs(1)),
            schedule_at: Some("2026-11-24T12:00:00Z".into()),
            ..schedule()
        };
        assert_eq!(
            both.headers(now).unwrap_err().to_string(),
            "--schedule-at and --schedule-after are mutually exclusive"
        );
    }
}
