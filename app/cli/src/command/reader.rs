//! Reading a stream in order, through a consumer that nobody else sees.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_nats::{Message, StatusCode, Subscriber};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::command::api::{Api, CONSUMER_NOT_FOUND, is_api_error, subject};
use crate::command::delivery::Delivery;
use crate::command::dig::Dig;

/// Messages asked for at a time.
const BATCH: u64 = 500;
/// One question for messages stands this long.
const STANDING: Duration = Duration::from_secs(30);
/// The server tells in between that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The consumer of a reader who went away disappears after this.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
const REQUEST_TIMEOUT: u16 = 408;
const CONFLICT: u16 = 409;

/// How far to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the last message there is.
    End,
    /// On and on, as messages come.
    Stopped,
}

/// A stream that is read from front to back.
pub(crate) struct Reader<'a> {
    api: &'a Api<'a>,
    stream: String,
    config: Value,
    until: Until,
    consumer: String,
    /// Whether the consumer is ours, to be made again and to be removed.
    is_own: bool,
    batch: u64,
    inbox: String,
    arriving: Subscriber,
    /// Messages still to come when the consumer was made, or after the last one that came.
    pending: u64,
    /// Messages that may still come for the last question.
    asked: u64,
    last: u64,
}

impl<'a> Reader<'a> {
    /// Starts to read. The configuration says where, and which subjects.
    pub(crate) async fn open(api: &'a Api<'a>, stream: &str, config: Value, until: Until) -> Result<Self> {
        let inbox = api.link.client.new_inbox();
        let arriving = api.link.client.subscribe(inbox.clone()).await?;
        let mut reader = Self {
            api,
            stream: stream.to_owned(),
            config,
            until,
            consumer: String::new(),
            is_own: true,
            batch: BATCH,
            inbox,
            arriving,
            pending: 0,
            asked: 0,
            last: 0,
        };
        reader.create().await?;
        Ok(reader)
    }

    /// Reads through a consumer that is there, asking for no more messages than are wanted.
    pub(crate) async fn bind(api: &'a Api<'a>, info: &Value, until: Until, most: Option<u64>) -> Result<Self> {
        let inbox = api.link.client.new_inbox();
        let arriving = api.link.client.subscribe(inbox.clone()).await?;
        Ok(Self {
            api,
            stream: info.text("stream_name").to_owned(),
            config: Value::Null,
            until,
            consumer: info.text("name").to_owned(),
            is_own: false,
            batch: most.filter(|most| *most > 0).map_or(BATCH, |most| most.min(BATCH)),
            inbox,
            arriving,
            pending: info.whole("num_pending"),
            asked: 0,
            last: 0,
        })
    }

    /// How many messages are still to come.
    pub(crate) const fn pending(&self) -> u64 {
        self.pending
    }

    async fn create(&mut self) -> Result<()> {
        let mut config = json!({
            "ack_policy": "none",
            "mem_storage": true,
            "num_replicas": 1,
            "inactive_threshold": FORGOTTEN_AFTER.as_nanos() as u64,
        });
        for (key, value) in self.config.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        if self.last > 0 {
            config["deliver_policy"] = "by_start_sequence".into();
            config["opt_start_seq"] = (self.last + 1).into();
        }
        let body = json!({"stream_name": self.stream, "config": config});
        let made = self.api.call(&format!("CONSUMER.CREATE.{}", self.stream), body).await?;
        self.consumer = made.text("name").to_owned();
        self.pending = made.whole("num_pending");
        self.asked = 0;
        Ok(())
    }

    /// The next message; nothing at the end of the stream, when that is where we stop.
    pub(crate) async fn next(&mut self) -> Result<Option<Delivery>> {
        loop {
            if self.until == Until::End && self.pending == 0 {
                return Ok(None);
            }
            if self.asked == 0 {
                self.ask().await?;
            }
            let waiting = timeout(HEARTBEAT * 2, self.arriving.next());
            let arrived = self.api.link.unless_fault(async { Ok(waiting.await) }).await?;
            let Ok(message) = arrived else {
                self.again().await?;
                continue;
            };
            match Delivery::of(message.context("the connection was closed")?) {
                Ok(delivery) if delivery.facts.consumer != self.consumer => {}
                Ok(delivery) => {
                    self.asked -= 1;
                    self.pending = delivery.facts.pending;
                    self.last = delivery.facts.stream_sequence;
                    return Ok(Some(delivery));
                }
                Err(status) => self.status(&status).await?,
            }
        }
    }

    async fn ask(&mut self) -> Result<()> {
        let question = json!({
            "batch": self.batch,
            "expires": STANDING.as_nanos() as u64,
            "idle_heartbeat": HEARTBEAT.as_nanos() as u64,
        });
        let call = format!("CONSUMER.MSG.NEXT.{}.{}", self.stream, self.consumer);
        let subject = subject(self.api.settings(), &call);
        let inbox = self.inbox.clone();
        self.api.link.client.publish_with_reply(subject, inbox, question.to_string().into()).await?;
        self.asked = self.batch;
        Ok(())
    }

    /// What the server says instead of a message.
    async fn status(&mut self, message: &Message) -> Result<()> {
        let Some(status) = message.status else { return Ok(()) };
        let text = message.description.as_deref().unwrap_or_default();
        match status.as_u16() {
            // A heartbeat.
            100 => {}
            404 | REQUEST_TIMEOUT => self.asked = 0,
            CONFLICT if text.eq_ignore_ascii_case("Consumer Deleted") => self.again().await?,
            CONFLICT => self.asked = 0,
            _ if status == StatusCode::NO_RESPONDERS => self.again().await?,
            _ => bail!("the server ended delivery: {status} {text}"),
        }
        Ok(())
    }

    /// Goes on where it was, with a new consumer when the old one is gone.
    async fn again(&mut self) -> Result<()> {
        match self.api.consumer(&self.stream, &self.consumer).await {
            Ok(_) => self.asked = 0,
            Err(error) if self.is_own && is_api_error(&error, CONSUMER_NOT_FOUND) => self.create().await?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Removes the consumer; when that fails, it disappears by itself.
    pub(crate) async fn close(mut self) {
        let _ = self.arriving.unsubscribe().await;
        if !self.is_own {
            return;
        }
        let _ = self.api.call(&format!("CONSUMER.DELETE.{}.{}", self.stream, self.consumer), Value::Null).await;
    }
}
