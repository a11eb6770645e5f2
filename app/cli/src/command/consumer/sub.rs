//! `nats consumer sub`: messages of any consumer.

use anyhow::Result;
use async_nats::{Message, StatusCode};
use clap::Args;
use futures::StreamExt;

use crate::command::body::header_lines;
use crate::command::consumer::info::ack_policy;
use crate::command::consumer::next::{headline, pull, show_and_ack};
use crate::command::consumer::{Desk, Which};
use crate::command::dig::Dig;
use crate::global::negatable;
use crate::show::{humanize, outln, write_out};

negatable! {
    /// Acknowledge what is received
    Ack, "ack", "no-ack", true
}

/// Receive messages
#[derive(Args, Debug)]
pub(crate) struct Sub {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    ack: Ack,
    /// Show nothing but bodies
    #[arg(long, short = 'r')]
    raw: bool,
    /// The deliver group of the consumer
    #[arg(long, value_name = "GROUP")]
    deliver_group: Option<String>,
}

impl Sub {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let info = desk.consumer(&self.which).await?;
        let is_acked = self.ack.is_on() && info.text("config.ack_policy") != "none";
        let target = info.text("config.deliver_subject");
        if target.is_empty() {
            let message = pull(desk, info.text("stream_name"), info.text("name")).await?;
            return show_and_ack(desk, &message, self.raw, is_acked).await;
        }
        if !self.raw {
            outln!("Subscribing to topic {target} auto acknowledgment: {is_acked}\n");
            outln!("Consumer Info:\n  Ack Policy: {}", ack_policy(info.dig("config")));
            if info.text("config.ack_policy") != "none" {
                outln!("    Ack Wait: {}", humanize(info.span("config.ack_wait")));
            }
            outln!();
        }
        let client = &desk.api.link.client;
        let group = self.deliver_group.clone().unwrap_or_else(|| info.text("config.deliver_group").to_owned());
        let mut messages = if group.is_empty() {
            client.subscribe(target.to_owned()).await?
        } else {
            client.queue_subscribe(target.to_owned(), group).await?
        };
        desk.api
            .link
            .unless_fault(async {
                while let Some(message) = messages.next().await {
                    self.handle(desk, &message, is_acked).await?;
                }
                Ok(())
            })
            .await
    }

    async fn handle(&self, desk: &Desk<'_>, message: &Message, is_acked: bool) -> Result<()> {
        let client = &desk.api.link.client;
        if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
            return go_on(desk, message).await;
        }
        if self.raw {
            write_out(&message.payload);
            outln!();
        } else {
            headline(message);
            let lines = header_lines(message.headers.as_ref());
            if !lines.is_empty() {
                outln!("\nHeaders:\n");
                lines.iter().for_each(|line| outln!("   {line}"));
                outln!("\nData:");
            }
            write_out(&message.payload);
            outln!();
            if !message.payload.ends_with(b"\n") {
                outln!();
            }
        }
        if let Some(reply) = message.reply.clone().filter(|_| is_acked) {
            client.publish(reply, Default::default()).await?;
        }
        Ok(())
    }
}

/// The server waits until we say that we follow.
async fn go_on(desk: &Desk<'_>, message: &Message) -> Result<()> {
    let stalled = message.headers.as_ref().and_then(|headers| headers.get("Nats-Consumer-Stalled"));
    let reply = stalled.map(|subject| subject.as_str().to_owned().into()).or_else(|| message.reply.clone());
    if let Some(reply) = reply {
        desk.api.link.client.publish(reply, Default::default()).await?;
    }
    Ok(())
}
