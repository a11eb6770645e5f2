//! `nats server check request`.

use std::time::{Duration, Instant};

use anyhow::Result;
use async_nats::{HeaderMap, Request as NatsRequest};
use clap::Args;
use regex::bytes::Regex;

use crate::command::sender::append;
use crate::command::server::check::outcome::{Metric, Outcome};
use crate::invocation::Invocation;
use crate::parse::duration;

/// Check that a service answers
#[derive(Args, Debug)]
pub(crate) struct Request {
    /// Subject to send the request to
    #[arg(long)]
    subject: String,
    /// Body of the request
    #[arg(long, default_value = "")]
    payload: String,
    /// Headers of the request
    #[arg(long, value_name = "K=V", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// Regular expression that the response must match
    #[arg(long, value_name = "REGEX")]
    match_payload: Option<Regex>,
    /// Headers that the response must have
    #[arg(long, value_name = "K=V", value_parser = pair)]
    match_headers: Vec<(String, String)>,
    /// Critical when the response takes longer
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    response_critical: Option<Duration>,
    /// Warn when the response takes longer
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    response_warn: Option<Duration>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    crate::parse::pair(text, if text.contains('=') { '=' } else { ':' }).ok_or_else(|| "expected K=V".to_owned())
}

impl Request {
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    pub(crate) async fn run(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        let link = match invocation.connect().await {
            Ok(link) => link,
            Err(error) => {
                outcome.critical(format!("could not load info: {error:#}"));
                return Ok(());
            }
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            append(&mut headers, name, value)?;
        }
        let request = NatsRequest::new().headers(headers).payload(self.payload.clone().into());
        let start = Instant::now();
        let sent = async { Ok(link.client.send_request(self.subject.clone(), request).await?) };
        let response = link.unless_fault(sent).await;
        let took = start.elapsed();
        outcome.metric(self.metric(took));
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                outcome.critical(format!("could not send request: {error:#}"));
                return Ok(());
            }
        };
        self.judge_content(&response, outcome);
        self.judge_time(took, outcome);
        Ok(())
    }

    fn metric(&self, took: Duration) -> Metric {
        let seconds = |limit: Option<Duration>| limit.unwrap_or_default().as_secs_f64();
        Metric {
            help: "How long the request took",
            name: "time".to_owned(),
            value: millis(took).as_secs_f64(),
            warning: seconds(self.response_warn),
            critical: seconds(self.response_critical),
            unit: "s",
        }
    }

    fn judge_content(&self, response: &async_nats::Message, outcome: &mut Outcome) {
        if self.match_payload.as_ref().is_some_and(|wanted| !wanted.is_match(&response.payload)) {
            outcome.critical("response does not match regexp");
        }
        for (name, wanted) in &self.match_headers {
            let found = response.headers.as_ref().and_then(|headers| headers.get(name.as_str()));
            let found = found.map_or("", |value| value.as_str());
            if found != wanted {
                outcome.critical(format!("invalid header {name:?} = {found:?}"));
            }
        }
    }

    fn judge_time(&self, took: Duration, outcome: &mut Outcome) {
        let text = format!("response took {}", crate::show::go_duration(millis(took)));
        if self.response_critical.is_some_and(|limit| took > limit) {
            outcome.critical(text);
        } else if self.response_warn.is_some_and(|limit| took > limit) {
            outcome.warn(text);
        }
        outcome.ok_if_fine("Valid response");
    }
}

fn millis(took: Duration) -> Duration {
    Duration::from_millis(u64::try_from((took.as_micros() + 500) / 1000).unwrap_or(u64::MAX))
}
