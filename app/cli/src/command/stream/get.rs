//! `nats stream get`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::command::api::Api;
use crate::command::body::Translator;
use crate::command::dig::Dig;
use crate::show::{ask, humanize, outln, print_json};

/// Show a message
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// The stream
    stream: Option<String>,
    /// Sequence of the message
    id: Option<u64>,
    /// Show the last message of this subject
    #[arg(long, short = 'S', value_name = "SUBJECT")]
    last_for: Option<String>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Send the body through this command before showing it
    #[arg(long, value_name = "COMMAND")]
    translate: Option<String>,
}

impl Get {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let stream = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        let wanted = match (self.id, &self.last_for) {
            (Some(sequence), _) => json!({"seq": sequence}),
            (None, Some(subject)) => json!({"last_by_subj": subject}),
            (None, None) => {
                let sequence: u64 = ask("Message Sequence to retrieve", "")?.parse().context("invalid number")?;
                json!({"seq": sequence})
            }
        };
        let answer = api.call(&format!("STREAM.MSG.GET.{stream}"), wanted).await;
        let answer = answer.with_context(|| format!("could not retrieve {stream}#{}", self.id.unwrap_or(0)))?;
        let message = answer.dig("message");
        if self.json {
            return print_json(message);
        }
        self.show(&stream, message).await
    }

    async fn show(&self, stream: &str, message: &Value) -> Result<()> {
        let (sequence, subject, time) = (message.whole("seq"), message.text("subject"), message.text("time"));
        let age = message.time("time").map(|at| Timestamp::now().as_nanosecond() - at.as_nanosecond()).unwrap_or(0);
        let age = Duration::from_nanos(u64::try_from(age).unwrap_or(0));
        outln!("Item: {stream}#{sequence} received {time} ({}) on Subject {subject}\n", humanize(age));
        let headers = BASE64.decode(message.text("hdrs").as_bytes())?;
        if !headers.is_empty() {
            outln!("Headers:");
            String::from_utf8_lossy(&headers)
                .lines()
                .skip(1)
                .filter(|line| !line.is_empty())
                .for_each(|line| outln!("  {line}"));
            outln!();
        }
        let body = BASE64.decode(message.text("data").as_bytes())?;
        Translator(self.translate.as_deref()).print(&body, subject, stream).await;
        Ok(())
    }
}
