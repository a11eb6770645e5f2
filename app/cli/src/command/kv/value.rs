//! `nats kv put`, `create`, `update` and `get`.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::header::HeaderMap;
use clap::Args;
use data_encoding::BASE64;

use crate::command::api::{Api, is_api_error};
use crate::command::kv::{Bucket, Operation, header};
use crate::parse::duration;
use crate::show::{comma, local_time, outln, write_out};

/// Longer values are cut.
const LONGEST_SHOWN: usize = 120;
const WRONG_LAST_SEQUENCE: u64 = 10071;
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

/// Store a value
#[derive(Args, Debug)]
pub(crate) struct Put {
    /// The bucket
    bucket: String,
    /// The key
    key: String,
    /// The value; read from stdin when there is none
    value: Option<String>,
}

/// Store a value under a key that is new or deleted
#[derive(Args, Debug)]
pub(crate) struct Create {
    #[command(flatten)]
    put: Put,
    /// How long the key lives
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    ttl: Option<Duration>,
}

/// Store a value when the key was not changed since
#[derive(Args, Debug)]
pub(crate) struct Update {
    /// The bucket
    bucket: String,
    /// The key
    key: String,
    /// The value
    value: String,
    /// The revision of the value that is there
    revision: u64,
}

/// Show a value
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// The bucket
    bucket: String,
    /// The key
    key: String,
    /// The value at this revision
    #[arg(long)]
    revision: Option<u64>,
    /// Show nothing but the value
    #[arg(long)]
    raw: bool,
}

impl Put {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        bucket.put(&self.key, HeaderMap::new(), self.value()?.into()).await?;
        self.echo();
        Ok(())
    }

    fn value(&self) -> Result<Vec<u8>> {
        let typed = self.value.as_deref().unwrap_or_default();
        if !typed.is_empty() || std::io::stdin().is_terminal() {
            return Ok(typed.as_bytes().to_vec());
        }
        let mut value = Vec::new();
        std::io::stdin().read_to_end(&mut value).context("could not read the value")?;
        Ok(value)
    }

    fn echo(&self) {
        outln!("{}", self.value.as_deref().unwrap_or_default());
    }
}

impl Create {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.put.bucket).await?;
        let value: bytes::Bytes = self.put.value()?.into();
        match bucket.put(&self.put.key, self.headers(0)?, value.clone()).await {
            Err(error) if is_api_error(&error, WRONG_LAST_SEQUENCE) => {
                let mark = bucket.entry(&self.put.key, None).await?;
                let mark = mark.filter(|entry| Operation::of(Some(&entry.headers)) != Operation::Put);
                let Some(mark) = mark else { return Err(error.context("nats: key exists")) };
                bucket.put(&self.put.key, self.headers(mark.sequence)?, value).await?;
            }
            other => drop(other?),
        }
        self.put.echo();
        Ok(())
    }

    fn headers(&self, revision: u64) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        header(&mut headers, EXPECTED, revision)?;
        if let Some(ttl) = self.ttl {
            header(&mut headers, "Nats-TTL", crate::show::go_duration(ttl))?;
        }
        Ok(headers)
    }
}

impl Update {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        replace(&bucket, &self.key, self.value.clone().into(), self.revision).await?;
        outln!("{}", self.value);
        Ok(())
    }
}

/// Writes a value when the key is still at a revision.
pub(super) async fn replace(bucket: &Bucket<'_>, key: &str, value: bytes::Bytes, revision: u64) -> Result<u64> {
    let mut headers = HeaderMap::new();
    header(&mut headers, EXPECTED, revision)?;
    bucket.put(key, headers, value).await
}

impl Get {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        let entry = bucket.get(&self.key, self.revision.filter(|revision| *revision > 0)).await?;
        if self.raw {
            write_out(&entry.body);
            return Ok(());
        }
        let created = local_time(entry.at);
        outln!("{} > {} revision: {} created @ {created}\n", self.bucket, self.key, entry.sequence);
        let value = printable(&entry.body);
        let length = value.len();
        if length > LONGEST_SHOWN {
            outln!("Showing first {LONGEST_SHOWN} bytes of {}, use --raw for full data\n", comma(length as u64));
            let cut = (0..=LONGEST_SHOWN).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
            outln!("{}", &value[..cut]);
        } else {
            outln!("{value}");
        }
        outln!();
        Ok(())
    }
}

/// A value as text, or in base64 when it is none.
pub(super) fn printable(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if text.chars().all(|c| !c.is_control()) => text.to_owned(),
        _ => BASE64.encode(value),
    }
}

/// A value short enough for a cell of a table.
pub(super) fn shortened(value: &[u8]) -> String {
    const LONGEST: usize = 40;
    const ENDS: usize = 15;
    let text = printable(value);
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= LONGEST {
        return text;
    }
    let (first, last) = (&letters[..ENDS], &letters[letters.len() - ENDS..]);
    format!("{}...{}", first.iter().collect::<String>(), last.iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_a_cell() {
        assert_eq!(shortened(b"short"), "short");
        assert_eq!(shortened(&[b'x'; 50]), format!("{}...{}", "x".repeat(15), "x".repeat(15)));
        assert_eq!(shortened(&[0, 1]), "AAE=");
    }
}
