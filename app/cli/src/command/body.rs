//! Showing the body of a message, through another program when asked.

use std::process::Stdio;

use anyhow::{Context as _, Result, anyhow};
use async_nats::HeaderMap;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::parse::words;
use crate::show::{out, outln, write_out};
use crate::template::{Facts, fill};

/// A program that bodies are sent through before they are shown.
pub(crate) struct Translator<'a>(pub(crate) Option<&'a str>);

impl Translator<'_> {
    /// The body as it should be shown. `{{Subject}}` and `{{Stream}}` in the command line are filled in.
    pub(crate) async fn translate(&self, body: &[u8], subject: &str, stream: &str) -> Result<Vec<u8>> {
        let Some(command) = self.0 else { return Ok(body.to_vec()) };
        let facts = Facts { subject: Some(subject), stream: Some(stream), ..Facts::default() };
        let line = fill(command, &facts).map_err(|error| anyhow!(error))?;
        let words = words(&line).map_err(|error| anyhow!("the filter command line could not be parsed: {error}"))?;
        let (program, arguments) = words.split_first().context("the filter command line is empty")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not run {program:?}"))?;
        let mut stdin = child.stdin.take().context("the filter has no stdin")?;
        let body = body.to_vec();
        let feed = tokio::spawn(async move {
            // A filter that does not read its input is not an error.
            let _ = stdin.write_all(&body).await;
        });
        let output = child.wait_with_output().await?;
        feed.abort();
        let shown = [output.stdout, output.stderr].concat();
        if !output.status.success() {
            return Err(anyhow!(
                "{program:?} ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&shown).trim()
            ));
        }
        Ok(shown)
    }

    /// Prints a body and ends the line if it does not do so itself. Tells whether it did.
    pub(crate) async fn print_compact(&self, body: &[u8], subject: &str, stream: &str) -> bool {
        if body.is_empty() && self.0.is_none() {
            outln!("nil body");
            return false;
        }
        match self.translate(body, subject, stream).await {
            Ok(shown) => {
                let is_ended = shown.ends_with(b"\n");
                write_out(&shown);
                if !is_ended {
                    outln!();
                }
                is_ended
            }
            Err(error) => {
                out!("{:?}\nError while translating msg body: {error:#}\n\n", String::from_utf8_lossy(body));
                true
            }
        }
    }

    /// Prints a body and an empty line, two when the body did not end its last line.
    pub(crate) async fn print(&self, body: &[u8], subject: &str, stream: &str) {
        let is_ended = self.print_compact(body, subject, stream).await;
        outln!();
        if !is_ended {
            outln!();
        }
    }
}

/// All headers, a name as often as it has values, in the order of their names.
pub(crate) fn header_lines(headers: Option<&HeaderMap>) -> Vec<String> {
    let mut lines: Vec<String> = headers
        .into_iter()
        .flat_map(HeaderMap::iter)
        .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}")))
        .collect();
    lines.sort();
    lines
}
