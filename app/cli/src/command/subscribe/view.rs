//! How a received message looks: as a page, as its bare body, or as JSON in a file.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use async_nats::{HeaderMap, Message};
use clap::Args;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use crate::command::body::{Translator, header_lines};
use crate::command::subscribe::dump::dump;
use crate::command::subscribe::stream::Arrived;
use crate::invocation::Invocation;
use crate::show::{go_duration, outln};

/// How messages are shown.
#[derive(Args, Debug)]
#[command(next_help_heading = "View")]
pub(crate) struct View {
    /// Show nothing but bodies
    #[arg(long, short = 'r')]
    raw: bool,
    /// Send bodies through this command before showing them; {{Subject}} is filled in
    #[arg(long, value_name = "COMMAND")]
    translate: Option<String>,
    /// Write messages as JSON into this directory, a file each; - writes them to stdout, each ended by NUL
    #[arg(long, value_name = "DIRECTORY")]
    dump: Option<String>,
    /// Show headers without bodies
    #[arg(long)]
    headers_only: bool,
    /// Show only the subjects
    #[arg(long)]
    subjects_only: bool,
    /// Show when each message came
    #[arg(long, short = 't', conflicts_with = "delta_time")]
    timestamp: bool,
    /// Show the time since the start
    #[arg(long, short = 'd')]
    delta_time: bool,
}

impl View {
    pub(crate) fn check(&self, is_inbox: bool) -> Result<()> {
        match self.dump.as_deref() {
            Some("-") if is_inbox => {
                bail!("generating inboxes is not compatible with dumping to stdout using null terminated strings")
            }
            Some("-") | None => Ok(()),
            Some(folder) => Ok(std::fs::create_dir_all(folder)?),
        }
    }

    /// Whether the output is for a program.
    pub(crate) const fn is_bare(&self) -> bool {
        self.raw || self.dump.is_some()
    }

    /// Shows a message, and the reply that was matched to it.
    pub(crate) async fn show(
        &self,
        invocation: &Invocation,
        message: &Message,
        reply: Option<&Message>,
        number: u64,
        start: Instant,
    ) {
        if let Some(reply) = message.reply.as_ref().filter(|_| invocation.is_traced()) {
            outln!("<<< Reply Subject: {reply}");
        }
        if let Some(folder) = &self.dump {
            return self.dump_both(folder, message, reply, number).await;
        }
        if self.raw {
            self.translator().print_compact(&message.payload, "", "").await;
            if let Some(reply) = reply {
                outln!("{}", String::from_utf8_lossy(&reply.payload));
            }
            return;
        }
        let time = self.time(start);
        let with_reply = message.reply.as_ref().map(|reply| format!(" with reply {:?}", reply.as_str()));
        outln!("[#{number}]{time} Received on {:?}{}", message.subject.as_str(), with_reply.unwrap_or_default());
        if !self.subjects_only {
            self.page(message.headers.as_ref(), &message.payload, &message.subject).await;
        }
        if let Some(reply) = reply {
            outln!("[#{number}]{time} Matched reply on {:?}", reply.subject.as_str());
            self.page(reply.headers.as_ref(), &reply.payload, &reply.subject).await;
        }
    }

    /// Whether bodies are never looked at.
    pub(crate) const fn is_without_bodies(&self) -> bool {
        self.headers_only || self.subjects_only
    }

    /// Shows a message of a stream.
    pub(crate) async fn show_stored(&self, invocation: &Invocation, arrived: &Arrived, number: u64) {
        let message = &arrived.message;
        if let Some(reply) = message.reply.as_ref().filter(|_| invocation.is_traced()) {
            outln!("<<< Reply Subject: {reply}");
        }
        if let Some(folder) = &self.dump {
            return self.dump_both(folder, message, None, arrived.sequence).await;
        }
        if self.raw {
            self.translator().print_compact(&message.payload, "", "").await;
            return;
        }
        let time = if self.timestamp {
            arrived.at.to_zoned_datetime(TimeZone::system()).strftime(" @ %b %e %H:%M:%S%.6f").to_string()
        } else if self.delta_time {
            let age = Timestamp::now().duration_since(arrived.at);
            format!(" @ {}", go_duration(Duration::try_from(age).unwrap_or_default()))
        } else {
            String::new()
        };
        outln!("[#{number}]{time} {}", arrived.headline);
        if !self.subjects_only {
            self.page(message.headers.as_ref(), &message.payload, &message.subject).await;
        }
    }

    fn translator(&self) -> Translator<'_> {
        Translator(self.translate.as_deref())
    }

    fn time(&self, start: Instant) -> String {
        if self.timestamp {
            ZonedDateTime::now().strftime(" @ %b %e %H:%M:%S%.6f").to_string()
        } else if self.delta_time {
            format!(" @ {}", go_duration(start.elapsed()))
        } else {
            String::new()
        }
    }

    async fn page(&self, headers: Option<&HeaderMap>, body: &[u8], subject: &str) {
        let lines = header_lines(headers);
        for line in &lines {
            outln!("{line}");
        }
        if !lines.is_empty() {
            outln!();
        }
        if !self.headers_only {
            self.translator().print(body, subject, "").await;
        }
    }

    async fn dump_both(&self, folder: &str, message: &Message, reply: Option<&Message>, number: u64) {
        let name = |suffix: &str| (folder != "-").then(|| PathBuf::from(folder).join(format!("{number}{suffix}.json")));
        dump(message, &self.translator(), name("").as_deref(), number).await;
        if let Some(reply) = reply {
            dump(reply, &self.translator(), name("_reply").as_deref(), number).await;
        }
    }
}
