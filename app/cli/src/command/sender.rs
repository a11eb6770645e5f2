//! What `pub` and `request` share: where bodies come from, templates, headers.

use std::io::IsTerminal;

use anyhow::{Result, anyhow, bail};
use async_nats::{HeaderMap, HeaderName, HeaderValue};
use clap::{Args, ValueEnum};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Stdin};

use crate::global::negatable;
use crate::show::{is_interactive, log};
use crate::template::{Facts, fill};

/// More messages than this show a progress bar instead of a line each.
pub(crate) const LINES_UP_TO: u64 = 20;
/// The largest body read from stdin; servers take far less.
const MAX_BODY_BYTES: u64 = 1 << 30;

negatable! {
    /// Expand templates such as {{Count}} in subjects and bodies
    Templates, "templates", "no-templates", true
}

/// When a body read from stdin is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SendOn {
    Eof,
    Newline,
}

/// Where bodies come from, and what becomes of them.
#[derive(Args, Debug)]
pub(crate) struct Bodies {
    /// Add a header, may be given several times
    #[arg(long = "header", short = 'H', value_name = "K:V")]
    pub(crate) headers: Vec<String>,
    /// Read the body from stdin even when it is a terminal
    #[arg(long)]
    pub(crate) force_stdin: bool,
    /// When to send what is read from stdin
    #[arg(long, default_value = "eof", value_name = "WHEN")]
    pub(crate) send_on: SendOn,
    #[command(flatten)]
    pub(crate) templates: Templates,
}

/// The bodies to send, one after the other.
pub(crate) enum Source {
    Given(Option<Vec<u8>>),
    Whole(Box<Option<Stdin>>),
    Lines(Box<BufReader<Stdin>>),
}

impl Bodies {
    /// The body on the command line, or stdin: piped, typed by a person, or forced.
    pub(crate) fn source(&self, body: Option<&String>, is_quiet: bool) -> Source {
        let from_stdin = body.is_none() && (!std::io::stdin().is_terminal() || is_interactive() || self.force_stdin);
        if !from_stdin {
            return Source::Given(Some(body.map(|body| body.clone().into_bytes()).unwrap_or_default()));
        }
        if !is_quiet {
            log!("Reading payload from STDIN");
        }
        match self.send_on {
            SendOn::Eof => Source::Whole(Box::new(Some(tokio::io::stdin()))),
            SendOn::Newline => Source::Lines(Box::new(BufReader::new(tokio::io::stdin()))),
        }
    }

    /// Expands a text; a broken template is reported and sent as it is.
    pub(crate) fn expand(&self, what: &str, text: &str, count: u64) -> String {
        if !self.templates.is_on() || !text.contains("{{") {
            return text.to_owned();
        }
        fill(text, &Facts::counted(count)).unwrap_or_else(|error| {
            log!("Could not parse {what} template: {error}");
            text.to_owned()
        })
    }

    /// Expands a body; one that is not text has no templates.
    pub(crate) fn expand_body(&self, body: &[u8], count: u64) -> Vec<u8> {
        match std::str::from_utf8(body) {
            Ok(text) => self.expand("body", text, count).into_bytes(),
            Err(_) => body.to_vec(),
        }
    }

    pub(crate) fn header_map(&self, count: u64) -> Result<HeaderMap> {
        header_map(&self.headers, count)
    }
}

impl Source {
    /// The next body, or nothing when there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Given(body) => Ok(body.take()),
            Self::Whole(stdin) => match stdin.take() {
                None => Ok(None),
                Some(stdin) => {
                    let mut body = Vec::new();
                    stdin.take(MAX_BODY_BYTES).read_to_end(&mut body).await?;
                    Ok(Some(body))
                }
            },
            Self::Lines(stdin) => next_line(stdin).await,
        }
    }
}

/// The next line without its end; a last line without one counts too, when it is not empty.
async fn next_line(stdin: &mut BufReader<Stdin>) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if stdin.take(MAX_BODY_BYTES).read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(Some(line))
}

/// Headers typed as `K:V`, with templates in the values.
pub(crate) fn header_map(typed: &[String], count: u64) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for text in typed {
        let Some((name, value)) = crate::parse::pair(text, ':') else {
            bail!("invalid header {text:?}: expected K:V");
        };
        let value = fill(&value, &Facts::counted(count))
            .map_err(|error| anyhow!("failed to parse Header template for {name}: {error}"))?;
        append(&mut headers, &name, &value)?;
    }
    Ok(headers)
}

/// Adds a header whose name and value may come from anywhere.
pub(crate) fn append(headers: &mut HeaderMap, name: &str, value: &str) -> Result<()> {
    let checked: HeaderName = name.parse().map_err(|error| anyhow!("invalid header {name:?}: {error}"))?;
    let value: HeaderValue = value.parse().map_err(|error| anyhow!("invalid value of header {name:?}: {error}"))?;
    headers.append(checked, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_a_colon_and_templates() {
        let headers = header_map(&["A: x ".into(), "B:{{Count}}".into(), "A:y".into()], 3).unwrap();
        let all: Vec<_> = headers.get_all("A").map(ToString::to_string).collect();
        assert_eq!(all, ["x", "y"]);
        assert_eq!(headers.get("B").unwrap().as_str(), "3");
        assert!(header_map(&["nonsense".into()], 1).is_err());
        assert!(header_map(&["A:x\r\nB:y".into()], 1).is_err());
    }
}
