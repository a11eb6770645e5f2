//! `nats consumer next`.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use async_nats::{Message, StatusCode};
use clap::Args;
use futures::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use crate::command::api::{check_name, subject};
use crate::command::body::header_lines;
use crate::command::consumer::Desk;
use crate::command::delivery::Facts;
use crate::command::dig::Dig;
use crate::command::stream::config::tristate;
use crate::failure::advise;
use crate::parse::duration;
use crate::show::{clock, comma, go_duration, log, outln, write_out};
use crate::template::random_below;

tristate!(WithAck, "ack", "no-ack", "Acknowledge what is received");

/// Pull messages
#[derive(Args, Debug)]
pub(crate) struct Next {
    /// The stream
    stream: String,
    /// The consumer
    consumer: String,
    #[command(flatten)]
    settle: Settle,
    /// How many messages
    #[arg(long, default_value_t = 1)]
    count: u64,
}

/// How messages are shown and what the server is told about them.
#[derive(Args, Debug)]
pub(crate) struct Settle {
    #[command(flatten)]
    ack: WithAck,
    /// Say that the message could not be processed
    #[arg(long, conflicts_with = "term")]
    nak: bool,
    /// Say that the message shall never be delivered again
    #[arg(long)]
    term: bool,
    /// Show nothing but bodies
    #[arg(long, short = 'r')]
    raw: bool,
    /// Wait up to this long before a message is acknowledged
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    wait: Option<Duration>,
}

impl Next {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        check_name("stream", &self.stream)?;
        check_name("consumer", &self.consumer)?;
        self.settle.check()?;
        for _ in 0..self.count {
            let message = pull(desk, &self.stream, &self.consumer).await?;
            self.settle.handle(desk, &message).await?;
        }
        Ok(())
    }
}

/// One message of a pull consumer.
pub(super) async fn pull(desk: &Desk<'_>, stream: &str, consumer: &str) -> Result<Message> {
    let client = &desk.api.link.client;
    let patience = desk.api.invocation.timeout();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await?;
    let call = subject(desk.api.settings(), &format!("CONSUMER.MSG.NEXT.{stream}.{consumer}"));
    let question = json!({"batch": 1, "expires": patience.as_nanos() as u64}).to_string();
    if desk.api.invocation.is_traced() {
        log!(">>> {call}: {question}");
    }
    client.publish_with_reply(call, inbox, question.into()).await?;
    let answer = timeout(patience, desk.api.link.unless_fault(async { Ok(answers.next().await) })).await;
    let Ok(answer) = answer else {
        must_be_pulled(desk, stream, consumer).await?;
        return Err(nothing_came(stream, consumer));
    };
    let message = answer?.context("no message received: nats: connection closed")?;
    match message.status {
        None => Ok(message),
        Some(StatusCode::NO_RESPONDERS) => {
            must_be_pulled(desk, stream, consumer).await?;
            Err(anyhow!("no message received: nats: no responders available for request"))
        }
        Some(status) if matches!(status.as_u16(), 404 | 408) => Err(nothing_came(stream, consumer)),
        Some(status) => bail!("no message received: {status} {}", message.description.unwrap_or_default()),
    }
}

fn nothing_came(stream: &str, consumer: &str) -> anyhow::Error {
    advise(
        "no message received: nats: timeout",
        format!(
            "none may be left, or as many as may be wait for acknowledgement: nats consumer info {stream} {consumer} tells"
        ),
    )
}

async fn must_be_pulled(desk: &Desk<'_>, stream: &str, consumer: &str) -> Result<()> {
    let info = desk.api.consumer(stream, consumer).await;
    let info = info.with_context(|| format!("could not load consumer {consumer:?}"))?;
    if !info.text("config.deliver_subject").is_empty() {
        bail!("consumer {consumer:?} is not a Pull consumer");
    }
    Ok(())
}

impl Settle {
    fn check(&self) -> Result<()> {
        if self.term && (self.ack.given() == Some(true) || self.nak) {
            bail!("can not both Acknowledge and Terminate message");
        }
        Ok(())
    }

    /// Shows a message and settles it.
    async fn handle(&self, desk: &Desk<'_>, message: &Message) -> Result<()> {
        if self.raw {
            write_out(&message.payload);
            outln!();
        } else {
            show(message);
        }
        if self.term {
            answer(desk, message, "+TERM").await?;
            outln!("\nTerminated message");
            return Ok(());
        }
        if self.ack.given() == Some(false) && !self.nak {
            return Ok(());
        }
        let delay = self.wait.map(random_span).filter(|delay| !delay.is_zero());
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        answer(desk, message, if self.nak { "-NAK" } else { "+ACK" }).await?;
        if !self.raw {
            let negative = if self.nak { "Negative " } else { "" };
            let after = delay.map(|delay| format!(" after {} delay", go_duration(delay))).unwrap_or_default();
            outln!("\n{negative}Acknowledged message{after}\n");
        }
        Ok(())
    }
}

/// Shows a message, and acknowledges it when it should be.
pub(super) async fn show_and_ack(desk: &Desk<'_>, message: &Message, raw: bool, is_acked: bool) -> Result<()> {
    let ack = WithAck { on: is_acked, off: !is_acked };
    Settle { ack, nak: false, term: false, raw, wait: None }.handle(desk, message).await
}

fn random_span(most: Duration) -> Duration {
    Duration::from_nanos(random_below(u64::try_from(most.as_nanos()).unwrap_or(u64::MAX).max(1)))
}

async fn answer(desk: &Desk<'_>, message: &Message, text: &'static str) -> Result<()> {
    let reply = message.reply.clone().context("could not Acknowledge message: it has no reply subject")?;
    if desk.api.invocation.is_traced() {
        log!(">>> {reply}: {text}");
    }
    desk.api.link.client.publish(reply, text.into()).await?;
    desk.api.link.client.flush().await?;
    Ok(())
}

/// The line above a message.
pub(super) fn headline(message: &Message) {
    match message.reply.as_ref().and_then(|reply| Facts::parse(reply)) {
        Some(facts) => outln!(
            "[{}] subj: {} / tries: {} / cons seq: {} / str seq: {} / pending: {}",
            clock(),
            message.subject,
            facts.deliveries,
            facts.consumer_sequence,
            facts.stream_sequence,
            comma(facts.pending)
        ),
        None => outln!("--- subject: {}", message.subject),
    }
}

fn show(message: &Message) {
    headline(message);
    let lines = header_lines(message.headers.as_ref());
    if !lines.is_empty() {
        outln!("\nHeaders:\n");
        lines.iter().for_each(|line| outln!("  {line}"));
        outln!("\nData:\n");
    }
    outln!();
    write_out(&message.payload);
    outln!();
}
