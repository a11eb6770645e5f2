//! `nats service ping`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::gather::{NoResponders, Question, ask_each};
use crate::command::service::subject;
use crate::invocation::Invocation;
use crate::show::{humanize, outln};

/// Ask services for a sign of life
#[derive(Args, Debug)]
pub(crate) struct Ping {
    /// Only this service
    service: Option<String>,
}

impl Ping {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        let subject = subject("PING", self.service.as_deref().unwrap_or_default(), "");
        let question = Question { subject: &subject, body: Value::Null, expect: 0 };
        let asked = ask_each(invocation, &link, &question, |answer| {
            if answer.value.text("type") == "io.nats.micro.v1.ping_response" {
                let who = format!("{} {}", answer.value.text("name"), answer.value.text("id"));
                outln!("{who:<50} rtt={}", humanize(answer.took));
            }
            true
        });
        match asked.await {
            Err(error) if error.is::<NoResponders>() => {
                outln!("No responses received");
                Ok(())
            }
            other => other,
        }
    }
}
