//! `nats kv`: buckets of keys and values, each the last message of a subject.

mod config;
mod history;
pub(crate) mod info;
mod ls;
mod rm;
mod value;
mod watch;

use anyhow::{Result, anyhow, bail};
use async_nats::header::HeaderMap;
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::command::api::{Api, STREAM_NOT_FOUND, is_api_error};
use crate::command::dig::Dig;
use crate::command::stored::{Stored, Wanted};
use crate::failure::advise;
use crate::invocation::Invocation;

pub(crate) const STREAM_PREFIX: &str = "KV_";
const OPERATION: &str = "KV-Operation";

/// Keep values under keys
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct KeyValue {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a bucket
    #[command(visible_alias = "new")]
    Add(Box<config::Add>),
    /// Give back the space of deleted keys
    Compact(rm::Compact),
    /// Store a value under a key that is new or deleted
    Create(value::Create),
    /// Delete a key, or the bucket
    #[command(visible_alias = "rm")]
    Del(rm::Del),
    /// Change the configuration of a bucket
    Edit(Box<config::Edit>),
    /// Show a value
    Get(value::Get),
    /// Show all values a key had
    History(history::History),
    /// Show a bucket
    #[command(visible_aliases = ["view", "status"])]
    Info(info::Info),
    /// List buckets, or the keys of a bucket
    #[command(visible_alias = "list")]
    Ls(ls::Ls),
    /// Delete a key and its history
    Purge(rm::Purge),
    /// Store a value
    Put(value::Put),
    /// Give a key the value it had
    Revert(history::Revert),
    /// Store a value when the key was not changed since
    Update(value::Update),
    /// Show values as they change
    Watch(watch::Watch),
}

impl KeyValue {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let api = &Api::open(invocation).await?;
        match self.command {
            Command::Add(command) => command.run(api).await,
            Command::Compact(command) => command.run(api).await,
            Command::Create(command) => command.run(api).await,
            Command::Del(command) => command.run(api).await,
            Command::Edit(command) => command.run(api).await,
            Command::Get(command) => command.run(api).await,
            Command::History(command) => command.run(api).await,
            Command::Info(command) => command.run(api).await,
            Command::Ls(command) => command.run(api).await,
            Command::Purge(command) => command.run(api).await,
            Command::Put(command) => command.run(api).await,
            Command::Revert(command) => command.run(api).await,
            Command::Update(command) => command.run(api).await,
            Command::Watch(command) => command.run(api).await,
        }
    }
}

/// What a stored message did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Put,
    Delete,
    Purge,
}

impl Operation {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Purge => "PURGE",
        }
    }

    /// People and servers delete in different words.
    pub(crate) fn of(headers: Option<&HeaderMap>) -> Self {
        let value = |name: &str| headers.and_then(|headers| headers.get(name)).map_or("", |value| value.as_str());
        match (value(OPERATION), value("Nats-Marker-Reason")) {
            ("DEL", _) | (_, "Remove") => Self::Delete,
            ("PURGE", _) | (_, "MaxAge" | "Purge") => Self::Purge,
            _ => Self::Put,
        }
    }
}

/// A bucket that is there.
pub(crate) struct Bucket<'a> {
    pub(crate) api: &'a Api<'a>,
    pub(crate) name: String,
    pub(crate) info: Value,
    /// What stands before a key where values are read, and where they are written.
    prefix: String,
    put_prefix: String,
}

impl<'a> Bucket<'a> {
    pub(crate) async fn open(api: &'a Api<'a>, name: &str) -> Result<Self> {
        check_bucket(name)?;
        let info = match api.stream(&stream_of(name)).await {
            Ok(info) => info,
            Err(error) if is_api_error(&error, STREAM_NOT_FOUND) => return Err(unknown(api).await),
            Err(error) => return Err(error),
        };
        if info.signed("config.max_msgs_per_subject") < 1 {
            bail!("nats: bucket not valid key-value store");
        }
        let mut prefix = format!("$KV.{name}.");
        let mut put_prefix = with_api_prefix(api, &prefix);
        let origin = info.text("config.mirror.name").trim_start_matches(STREAM_PREFIX);
        if !origin.is_empty() {
            prefix = format!("$KV.{origin}.");
            put_prefix = match info.text("config.mirror.external.api") {
                "" => with_api_prefix(api, &prefix),
                external => format!("{external}.{prefix}"),
            };
        }
        Ok(Self { api, name: name.to_owned(), info, prefix, put_prefix })
    }

    pub(crate) fn stream(&self) -> String {
        stream_of(&self.name)
    }

    /// The subject under which a key, or all keys that match, can be read.
    pub(crate) fn subject(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The key that a subject stands for.
    pub(crate) fn key_of<'s>(&self, subject: &'s str) -> &'s str {
        subject.strip_prefix(&self.prefix).unwrap_or(subject)
    }

    /// The last thing that happened to a key, or what happened at a revision.
    pub(crate) async fn entry(&self, key: &str, revision: Option<u64>) -> Result<Option<Stored>> {
        check_key(key)?;
        let subject = self.subject(key);
        let wanted = match revision {
            Some(revision) => Wanted::Sequence(revision),
            None => Wanted::LastOf(&subject),
        };
        let found = self.api.message(&self.stream(), self.info.flag("config.allow_direct"), wanted).await?;
        Ok(found.filter(|entry| entry.subject == subject))
    }

    /// The value of a key.
    pub(crate) async fn get(&self, key: &str, revision: Option<u64>) -> Result<Stored> {
        let entry = self.entry(key, revision).await?;
        entry
            .filter(|entry| Operation::of(Some(&entry.headers)) == Operation::Put)
            .ok_or_else(|| advise("nats: key not found", format!("nats kv ls {} shows the keys", self.name)))
    }

    /// Writes to a key, and gives the revision.
    pub(crate) async fn put(&self, key: &str, headers: HeaderMap, body: Bytes) -> Result<u64> {
        check_key(key)?;
        let ack = self.api.store(format!("{}{key}", self.put_prefix), headers, body).await?;
        Ok(ack.whole("seq"))
    }
}

/// In another domain or account, writes go through the API's own prefix.
fn with_api_prefix(api: &Api<'_>, prefix: &str) -> String {
    let settings = api.settings();
    match (settings.jetstream_domain.as_str(), settings.jetstream_api_prefix.as_str()) {
        ("", "") => prefix.to_owned(),
        _ => crate::command::api::subject(settings, prefix),
    }
}

pub(crate) fn stream_of(bucket: &str) -> String {
    format!("{STREAM_PREFIX}{bucket}")
}

async fn unknown(api: &Api<'_>) -> anyhow::Error {
    let streams = api.stream_names(None).await.unwrap_or_default();
    let names: Vec<_> = streams.iter().filter_map(|name| name.strip_prefix(STREAM_PREFIX)).collect();
    let advice = if names.is_empty() {
        "there are no buckets: nats kv add makes one".to_owned()
    } else {
        format!("known buckets: {}", names.join(", "))
    };
    advise("nats: bucket not found", advice)
}

pub(crate) fn check_bucket(name: &str) -> Result<()> {
    let is_valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_valid { Ok(()) } else { Err(advise("nats: invalid bucket name", "letters, digits, - and _ may be used")) }
}

fn check_key(key: &str) -> Result<()> {
    let is_valid = !key.is_empty()
        && !key.starts_with('.')
        && !key.ends_with('.')
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/_=.".contains(&b));
    if is_valid {
        Ok(())
    } else {
        Err(advise("nats: invalid key", "letters, digits and -/_=. may be used, no . at an end"))
    }
}

/// One header.
fn header(headers: &mut HeaderMap, name: &str, value: impl ToString) -> Result<()> {
    let name: async_nats::HeaderName = name.parse().map_err(|_| anyhow!("invalid header name"))?;
    headers.insert(name, value.to_string().as_str());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_are_checked() {
        for name in ["a", "A-b_9"] {
            assert!(check_bucket(name).is_ok(), "{name}");
        }
        for name in ["", "a.b", "a b", "ä"] {
            assert!(check_bucket(name).is_err(), "{name}");
        }
        for key in ["a", "a.b/c=d_e-f"] {
            assert!(check_key(key).is_ok(), "{key}");
        }
        for key in ["", ".a", "a.", "a*", "a b"] {
            assert!(check_key(key).is_err(), "{key}");
        }
    }
}
