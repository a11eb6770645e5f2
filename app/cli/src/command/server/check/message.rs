//! `nats server check message`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use jiff::Timestamp;
use regex::bytes::Regex;

use crate::command::api::{Api, check_name};
use crate::command::server::check::outcome::{Metric, Outcome};
use crate::command::stored::{Stored, Wanted};
use crate::invocation::Invocation;
use crate::parse::duration;
use crate::show::go_duration;

/// Check the last message of a subject in a stream
#[derive(Args, Debug)]
pub(crate) struct Message {
    /// The stream
    #[arg(long)]
    stream: String,
    /// The subject; with wildcards, the last message of all that match
    #[arg(long, default_value = ">")]
    subject: String,
    /// Warn when the message is older
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    age_warn: Option<Duration>,
    /// Critical when the message is older
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    age_critical: Option<Duration>,
    /// Regular expression that the body must match
    #[arg(long, value_name = "REGEX")]
    content: Option<Regex>,
    /// The body is a time in seconds since 1970, which counts instead of the time of the message
    #[arg(long)]
    body_timestamp: bool,
}

impl Message {
    pub(crate) async fn run(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        let Some(api) = outcome.needs(Api::open(invocation).await, "could not load info") else { return Ok(()) };
        let loaded = async {
            check_name("stream", &self.stream)?;
            api.message(&self.stream, false, Wanted::LastOf(&self.subject)).await
        };
        match outcome.needs(loaded.await, "msg load failed") {
            Some(Some(message)) => self.judge(&message, Timestamp::now(), outcome),
            Some(None) => outcome.critical("no message found"),
            None => {}
        }
        Ok(())
    }

    fn judge(&self, message: &Stored, now: Timestamp, outcome: &mut Outcome) {
        let Some(at) = outcome.needs(self.time_of(message), "invalid timestamp body") else { return };
        let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
        let age = Duration::from_millis(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let seconds = |limit: Option<Duration>| limit.unwrap_or_default().as_secs_f64();
        outcome.metric(
            Metric::count("age", age.as_secs_f64(), "The age of the message")
                .limits(seconds(self.age_warn), seconds(self.age_critical))
                .unit("s"),
        );
        outcome.metric(Metric::count("size", message.body.len() as f64, "The size of the message").unit("B"));
        let is_older = |limit: Option<Duration>| limit.is_some_and(|limit| !limit.is_zero() && age > limit);
        if is_older(self.age_critical) {
            outcome.critical(format!("{} old", go_duration(age)));
        } else if is_older(self.age_warn) {
            outcome.warn(format!("{} old", go_duration(age)));
        }
        if let Some(wanted) = self.content.as_ref().filter(|wanted| !wanted.is_match(&message.body)) {
            outcome.critical(format!("does not match regex: {wanted}"));
        }
        outcome.ok_if_fine(&format!("Valid message on {} > {}", self.stream, message.subject));
    }

    fn time_of(&self, message: &Stored) -> Result<Timestamp> {
        if !self.body_timestamp {
            return Ok(message.at);
        }
        let text = std::str::from_utf8(&message.body)?.trim();
        Timestamp::from_second(text.parse().with_context(|| format!("{text:?}"))?).context("no such time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Typed {
        #[command(flatten)]
        check: Message,
    }

    fn judged(args: &[&str], body: &'static str) -> String {
        let check = <Typed as clap::Parser>::parse_from([&["check", "--stream", "S"], args].concat()).check;
        let at = "2026-11-24T10:00:00Z".parse().unwrap();
        let message = Stored { subject: "a".into(), sequence: 1, at, headers: Default::default(), body: body.into() };
        let mut outcome = Outcome::new("Stream Message", "message");
        check.judge(&message, "2026-11-24T10:01:00Z".parse().unwrap(), &mut outcome);
        outcome.nagios()
    }

    #[test]
    fn age_and_content_are_checked() {
        assert_eq!(judged(&[], "hello"), "OK Stream Message OK:Valid message on S > a | age=60.0000s size=5B");
        assert!(
            judged(&["--age-warn", "30s", "--age-critical", "2m"], "x")
                .starts_with("WARNING Stream Message Warn:1m0s old")
        );
        assert!(judged(&["--age-critical", "59s"], "x").starts_with("CRITICAL Stream Message Crit:1m0s old"));
        assert!(judged(&["--content", "^h"], "x").starts_with("CRITICAL Stream Message Crit:does not match regex: ^h"));
    }

    #[test]
    fn the_body_may_be_the_time() {
        let args = ["--body-timestamp", "--age-critical", "10s"];
        assert!(judged(&args, "1795514455\n").starts_with("OK"), "{}", judged(&args, "1795514455\n"));
        assert!(judged(&args, "1795514400").starts_with("CRITICAL"));
        assert!(judged(&args, "soon").starts_with("CRITICAL Stream Message Crit:invalid timestamp body: \"soon\""));
    }
}
