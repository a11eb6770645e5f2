//! `nats reply`: answers requests with a text, the output of a command, or the request itself.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use async_nats::{HeaderMap, Message};
use clap::Args;
use futures::StreamExt;
use tokio::process::Command;

use crate::command::body::header_lines;
use crate::command::sender::{append, header_map};
use crate::command::wait::interrupted;
use crate::failure::Ended;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::parse::{duration, words};
use crate::show::{log, outln, write_out};
use crate::template::{Facts, fill, random_below};

/// Answer requests
///
/// A command may use the tokens of the subject, and the body of the request:
///
///   nats reply 'weather.>' --command "curl -s wttr.in/{{1}}?format=3"
///   nats reply echo --command "printenv NATS_REQUEST_BODY"
///
/// It is run with NATS_REQUEST_SUBJECT and NATS_REQUEST_BODY in its environment. A body may contain templates:
/// Count, TimeStamp, Unix, UnixNano, Time, ID, Random MIN MAX and Request.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Reply {
    /// Subject to listen on
    subject: String,
    /// Body of the reply
    body: Option<String>,
    /// Reply with what was received
    #[arg(long)]
    echo: bool,
    /// Reply with the output of this command
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// Queue group
    #[arg(long, short = 'q', default_value = "NATS-RPLY-22")]
    queue: String,
    /// Wait a random time up to this long before each reply
    #[arg(long, value_parser = duration, value_name = "MAX")]
    sleep: Option<Duration>,
    /// Add a header, may be given several times
    #[arg(long = "header", short = 'H', value_name = "K:V")]
    headers: Vec<String>,
    /// End after this many requests
    #[arg(long)]
    count: Option<u64>,
}

impl Reply {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let body = self.body.as_deref().filter(|body| !body.is_empty());
        let is_echo = self.echo || (body.is_none() && self.command.is_none());
        if is_echo && !self.echo {
            log!("No body or command supplied, enabling echo mode");
        }
        let stop = interrupted();
        let link = invocation.connect().await?;
        let mut requests = link.client.queue_subscribe(self.subject.clone(), self.queue.clone()).await?;
        link.client.flush().await?;
        log!("Listening on {:?} in group {:?}", self.subject, self.queue);
        let serve = async {
            let mut count = 0u64;
            while self.count.is_none_or(|limit| count < limit)
                && let Some(request) = requests.next().await
            {
                if self.answer(invocation, &link, &request, count, is_echo).await {
                    count += 1;
                }
            }
            link.client.flush().await?;
            Ok(())
        };
        tokio::select! {
            served = link.unless_fault(serve) => served?,
            () = stop => {}
        }
        log!("\nDraining...");
        // The answer to the last request must have reached the server before the connection goes away.
        let _ = tokio::time::timeout(invocation.timeout(), link.client.drain()).await;
        log!("Exiting");
        Err(Ended(1).into())
    }

    /// Answers one request; tells whether it did.
    async fn answer(&self, invocation: &Invocation, link: &Link, request: &Message, count: u64, is_echo: bool) -> bool {
        log!("[#{count}] Received on subject {:?}:", &*request.subject);
        for line in header_lines(request.headers.as_ref()) {
            log!("{line}");
        }
        outln!();
        write_out(&request.payload);
        outln!();
        if let Some(most) = self.sleep {
            let nanos = random_below(u64::try_from(most.as_nanos()).unwrap_or(u64::MAX));
            tokio::time::sleep(Duration::from_nanos(nanos)).await;
        }
        let sent = async {
            let reply = request.reply.clone().context("the message has no reply subject")?;
            let (headers, body) = self.reply_to(invocation, request, count, is_echo).await?;
            link.client.publish_with_headers(reply, headers, body.into()).await?;
            Ok::<_, anyhow::Error>(())
        };
        match sent.await {
            Ok(()) => true,
            Err(error) => {
                log!("Could not publish reply: {error:#}");
                false
            }
        }
    }

    async fn reply_to(
        &self,
        invocation: &Invocation,
        request: &Message,
        count: u64,
        is_echo: bool,
    ) -> Result<(HeaderMap, Vec<u8>)> {
        let mut headers = header_map(&self.headers, count)?;
        let text = String::from_utf8_lossy(&request.payload);
        let facts = Facts { count, request: Some(&text), ..Facts::default() };
        if is_echo {
            for (name, values) in request.headers.iter().flat_map(HeaderMap::iter) {
                for value in values {
                    headers.append(name.clone(), value.clone());
                }
            }
            append(&mut headers, "NATS-Reply-Counter", &count.to_string())?;
            return Ok((headers, request.payload.to_vec()));
        }
        if let Some(command) = &self.command {
            return Ok((headers, self.output(invocation, command, request, &facts).await?));
        }
        let body = self.body.as_deref().unwrap_or_default();
        let body = fill(body, &facts).unwrap_or_else(|error| {
            log!("Could not parse body template: {error}");
            body.to_owned()
        });
        Ok((headers, body.into_bytes()))
    }

    /// Runs the command for a request; a failure is logged and its output is the reply all the same.
    async fn output(
        &self,
        invocation: &Invocation,
        command: &str,
        request: &Message,
        facts: &Facts<'_>,
    ) -> Result<Vec<u8>> {
        let words = command_words(command, &request.subject, facts)?;
        let (program, arguments) = words.split_first().context("the command is empty")?;
        if invocation.is_traced() {
            log!("Executing: {}", words.join(" "));
        }
        let output = Command::new(program)
            .args(arguments)
            .env("NATS_REQUEST_SUBJECT", &*request.subject)
            .env("NATS_REQUEST_BODY", &*String::from_utf8_lossy(&request.payload).replace('\0', ""))
            .stdin(Stdio::null())
            .output()
            .await;
        match output {
            Ok(output) => {
                if !output.status.success() {
                    log!("Command {:?} failed to run: {}", words.join(" "), output.status);
                }
                Ok([output.stdout, output.stderr].concat())
            }
            Err(error) => {
                log!("Command {:?} failed to run: {error}", words.join(" "));
                Ok(Vec::new())
            }
        }
    }
}

/// Splits the command into words first and fills in what strangers sent afterwards, word by word: a request cannot add
/// words to the command.
fn command_words(command: &str, subject: &str, facts: &Facts<'_>) -> Result<Vec<String>> {
    let tokens: Vec<&str> = subject.split('.').collect();
    let words = words(&joined_actions(command)).map_err(|error| anyhow!("could not parse command: {error}"))?;
    let facts = Facts { tokens: &tokens, ..*facts };
    words
        .iter()
        .map(|word| fill(word, &facts).map_err(|error| anyhow!("could not parse command template: {error}")))
        .collect()
}

/// `{{ .Request }}` is one word: blanks inside braces do not separate.
fn joined_actions(command: &str) -> String {
    let mut text = String::new();
    let mut rest = command;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((action, left)) = after.split_once("}}") else { break };
        let is_simple = !action.contains(['"', '\'']) && action.split_whitespace().count() == 1;
        let action = if is_simple { action.trim() } else { action };
        text.push_str(&format!("{before}{{{{{action}}}}}"));
        rest = left;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_cannot_add_words_to_the_command() {
        let facts = Facts { request: Some("x; rm -rf / 'q"), ..Facts::default() };
        let words = command_words("sh -c {{1}} '{{ .Request }}' tail", "a.b.c", &facts).unwrap();
        assert_eq!(words, ["sh", "-c", "b", "x; rm -rf / 'q", "tail"]);
    }

    #[test]
    fn a_subject_is_no_template() {
        let words = command_words("echo {{0}}", "{{ID}}.b", &Facts::default()).unwrap();
        assert_eq!(words, ["echo", "{{ID}}"]);
    }
}
