//! A fast batch: many messages, few answers.

use anyhow::{Result, anyhow, bail};
use async_nats::header::HeaderMap;
use async_nats::{Client, Message, Subscriber};
use bytes::Bytes;
use clap::Args;
use futures::StreamExt;
use serde_json::Value;

use crate::command::bench::js::publish::PATIENCE;
use crate::command::dig::Dig;
use crate::show::comma;
use crate::template::unique_id;

/// How seldom the stream answers.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// Messages between two answers, at most
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Answers that may be missing before a client waits
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    max_outstanding_acks: u16,
}

impl Flow {
    pub(crate) fn arguments(self) -> Vec<(&'static str, String)> {
        vec![("batch", comma(self.batch)), ("max-outstanding-acks", comma(self.max_outstanding_acks))]
    }
}

/// A batch of one client.
pub(crate) struct FastBatch {
    client: Client,
    answers: Subscriber,
    /// What the reply subjects begin with, up to the sequence.
    prefix: String,
    flow: Flow,
    /// The number of the last message sent.
    sent: u64,
    /// Up to which number the stream answered. `None` before its first answer.
    answered: Option<u64>,
    /// Messages between two answers, as the stream says.
    every: u64,
    whole: u64,
}

impl FastBatch {
    /// A batch that will have so many messages.
    pub(crate) async fn open(client: &Client, flow: Flow, whole: u64) -> Result<Self> {
        let inbox = client.new_inbox();
        let answers = client.subscribe(format!("{inbox}.>")).await?;
        let prefix = format!("{inbox}.{}.{}.fail", unique_id(), flow.batch);
        Ok(Self { client: client.clone(), answers, prefix, flow, sent: 0, answered: None, every: 1, whole })
    }

    /// Sends the next message, and waits if too many answers are missing. After the last one all are stored.
    pub(crate) async fn add(&mut self, subject: String, headers: HeaderMap, body: Bytes) -> Result<()> {
        self.sent += 1;
        let operation = match self.sent {
            last if last == self.whole => 2,
            1 => 0,
            _ => 1,
        };
        let reply = format!("{}.{}.{operation}.$FI", self.prefix, self.sent);
        match headers.is_empty() {
            true => self.client.publish_with_reply(subject, reply, body).await?,
            false => self.client.publish_with_reply_and_headers(subject, reply, headers, body).await?,
        }
        while self.sent == self.whole || self.is_far_ahead() {
            if self.hear().await? {
                break;
            }
        }
        Ok(())
    }

    fn is_far_ahead(&self) -> bool {
        let allowed = self.every.saturating_mul(self.flow.max_outstanding_acks.into());
        self.answered.is_none_or(|answered| self.sent - answered.min(self.sent) >= allowed)
    }

    /// Hears one answer, and says whether it was the last one.
    async fn hear(&mut self) -> Result<bool> {
        let next = tokio::time::timeout(PATIENCE, self.answers.next()).await;
        let next = next.map_err(|_| anyhow!("the stream does not answer"))?;
        let Message { payload, status, .. } = next.ok_or_else(|| anyhow!("the connection is closed"))?;
        if status.is_some_and(|status| status == async_nats::StatusCode::NO_RESPONDERS) {
            bail!("no stream takes this subject");
        }
        let answer: Value = serde_json::from_slice(&payload)?;
        if let Value::Object(_) = answer.dig("error") {
            let error = answer.dig("error");
            bail!("{} ({})", error.text("description"), error.whole("err_code"));
        }
        match answer.text("type") {
            "ack" => {
                self.answered = Some(answer.whole("seq"));
                self.every = answer.whole("msgs").max(1);
                Ok(false)
            }
            "gap" => bail!("messages before {} are missing", answer.whole("seq")),
            _ if answer.flag("duplicate") => bail!("the stream has the first message already, and takes no batch"),
            _ if answer.whole("count") != self.whole => {
                bail!("the server stored {} messages of a batch of {}", answer.whole("count"), self.whole)
            }
            _ => Ok(true),
        }
    }
}
