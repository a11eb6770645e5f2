//! One question, many answers: what servers and services are asked.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use async_nats::StatusCode;
use futures::StreamExt;
use serde_json::Value;
use tokio::time::timeout_at;

use crate::command::dig::Dig;
use crate::failure::advise;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::log;

/// When the number of answers is unknown, this long a silence is the end.
const SILENCE: Duration = Duration::from_millis(300);
/// More answers than any deployment gives.
const MAX_ANSWERS: usize = 100_000;

/// What servers say to those who may not ask.
pub(crate) const NO_RESULTS: &str =
    "no results received, ensure the account used has system privileges and appropriate permissions";

/// One answer and the time it took.
pub(crate) struct Answer {
    pub(crate) value: Value,
    pub(crate) took: Duration,
}

/// A question to all who listen.
pub(crate) struct Question<'a> {
    pub(crate) subject: &'a str,
    pub(crate) body: Value,
    /// How many answers are expected; 0 when nobody knows.
    pub(crate) expect: usize,
}

/// Nobody listens on the subject.
#[derive(Debug)]
pub(crate) struct NoResponders;

impl std::fmt::Display for NoResponders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nats: no responders available for request")
    }
}

impl std::error::Error for NoResponders {}

/// Asks and hands each answer over as it comes; ends when there are enough, after a silence, or at the timeout.
pub(crate) async fn ask_each(
    invocation: &Invocation,
    link: &Link,
    question: &Question<'_>,
    mut heard: impl FnMut(Answer) -> bool,
) -> Result<()> {
    let body = if question.body.is_null() { "{}".to_owned() } else { question.body.to_string() };
    if invocation.is_traced() {
        log!(">>> {}: {body}", question.subject);
    }
    let work = async {
        let inbox = link.client.new_inbox();
        let mut answers = link.client.subscribe(inbox.clone()).await?;
        let start = Instant::now();
        let deadline = start + invocation.timeout();
        link.client.publish_with_reply(question.subject.to_owned(), inbox, body.into()).await?;
        let mut until = deadline;
        let mut seen = 0;
        while let Ok(Some(message)) = timeout_at(until.into(), answers.next()).await {
            if message.status == Some(StatusCode::NO_RESPONDERS) {
                return Err(NoResponders.into());
            }
            if invocation.is_traced() {
                log!("<<< ({}B) {}", message.payload.len(), String::from_utf8_lossy(&message.payload));
            }
            let value = serde_json::from_slice(&message.payload)
                .map_err(|error| anyhow!("could not decode response: {error}"))?;
            seen += 1;
            let wants_more = heard(Answer { value, took: start.elapsed() });
            if !wants_more || seen == question.expect || seen >= MAX_ANSWERS {
                break;
            }
            if question.expect == 0 {
                until = deadline.min(Instant::now() + SILENCE);
            }
        }
        Ok(())
    };
    link.unless_fault(work).await
}

/// Asks and collects the answers.
pub(crate) async fn ask(invocation: &Invocation, link: &Link, question: &Question<'_>) -> Result<Vec<Value>> {
    let mut answers = Vec::new();
    ask_each(invocation, link, question, |answer| {
        answers.push(answer.value);
        true
    })
    .await?;
    Ok(answers)
}

/// Asks one who must answer.
pub(crate) async fn ask_one(invocation: &Invocation, link: &Link, subject: &str, body: Value) -> Result<Value> {
    let answers = ask(invocation, link, &Question { subject, body, expect: 1 }).await?;
    answers.into_iter().next().ok_or_else(|| anyhow!("nats: timeout"))
}

/// Asks servers through the system account. Not being allowed to is explained.
pub(crate) async fn ask_servers(invocation: &Invocation, link: &Link, question: &Question<'_>) -> Result<Vec<Value>> {
    match ask(invocation, link, question).await {
        Ok(answers) if answers.is_empty() => Err(no_results()),
        Err(error) if error.is::<NoResponders>() => Err(no_results()),
        other => other,
    }
}

/// How many servers the one we are connected to knows of.
pub(crate) async fn active_servers(invocation: &Invocation, link: &Link) -> Result<usize> {
    let question = Question { subject: "$SYS.REQ.SERVER.PING", body: Value::Null, expect: 1 };
    let answers = ask_servers(invocation, link, &question).await?;
    Ok(answers.first().map_or(0, |answer| answer.whole("statsz.active_servers") as usize))
}

pub(crate) fn no_results() -> anyhow::Error {
    advise(NO_RESULTS, "log in as a user of the system account: --user and --password, --creds or --context")
}

/// The error in an answer, if it has one.
pub(crate) fn check(answer: &Value) -> Result<()> {
    if !answer.has("error") {
        return Ok(());
    }
    let text = answer.text("error.description");
    bail!(
        "invalid response received: {}",
        if text.is_empty() { answer.dig("error").to_string() } else { text.to_owned() }
    )
}
