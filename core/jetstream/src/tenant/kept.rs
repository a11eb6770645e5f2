//! Streams and consumers as they are kept in the metadata.

use super::Tenant;
use crate::consumer::Consumer;
use crate::log::Shelves;
use crate::outbox::Now;
use crate::stream::Stream;
use api::{ConsumerConfig, Mode, Name, StreamConfig, json};
use auth::{Reading, ReadingTexts};
use moment::Timestamp;
use serde::Serialize;
use subject::Filter;

/// A stream, as kept.
#[derive(Clone, Debug)]
pub struct KeptStream {
    /// Its number in the store.
    pub id: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Its configuration.
    pub config: StreamConfig,
    /// Its consumers.
    pub consumers: Vec<KeptConsumer>,
}

/// A consumer, as kept.
#[derive(Clone, Debug)]
pub struct KeptConsumer {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its configuration.
    pub config: ConsumerConfig,
    /// What whoever made it may read, if not everything.
    pub reading: Option<Reading>,
    /// Its state, as the consumer wrote it.
    pub state: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct StreamValue<'a> {
    id: u64,
    created: i64,
    config: &'a StreamConfig,
}

#[derive(Serialize)]
struct ConsumerValue<'a> {
    created: i64,
    config: &'a ConsumerConfig,
    /// What whoever made it may read, if not everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<ReadingValue>,
}

/// Entries of permissions as written.
#[derive(Serialize)]
struct ReadingValue {
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<Vec<String>>,
    deny: Vec<String>,
}

const STREAM: u8 = b's';
const CONSUMER: u8 = b'c';
const STATE: u8 = b't';

fn key(kind: u8, parts: &[&str]) -> Vec<u8> {
    let mut key = vec![kind];
    for part in parts {
        key.push(0);
        key.extend_from_slice(part.as_bytes());
    }
    key
}

pub(crate) fn stream_key(account: &str, stream: &str) -> Vec<u8> {
    key(STREAM, &[account, stream])
}

pub(crate) fn consumer_key(account: &str, stream: &str, consumer: &str) -> Vec<u8> {
    key(CONSUMER, &[account, stream, consumer])
}

pub(crate) fn state_key(account: &str, stream: &str, consumer: &str) -> Vec<u8> {
    key(STATE, &[account, stream, consumer])
}

pub(crate) fn stream_value<L>(stream: &Stream<L>) -> Vec<u8> {
    json::to_vec(&StreamValue { id: stream.id, created: stream.created.as_nanos(), config: &stream.config })
}

pub(crate) fn consumer_value(consumer: &Consumer) -> Vec<u8> {
    let reading = consumer.reading.as_ref().map(|reading| {
        let ReadingTexts { allow, deny } = reading.texts();
        ReadingValue { allow, deny }
    });
    json::to_vec(&ConsumerValue { created: consumer.created.as_nanos(), config: &consumer.config, reading })
}

impl KeptStream {
    /// Everything that the metadata keeps of an account stands under keys that begin so.
    pub fn beginnings(account: &str) -> [Vec<u8>; 3] {
        [STREAM, CONSUMER, STATE].map(|kind| [key(kind, &[account]), vec![0]].concat())
    }

    /// The account that the metadata keeps something of under this key.
    pub fn account_of(key: &[u8]) -> Option<&str> {
        let (&kind, rest) = key.split_first()?;
        let account = rest.strip_prefix(&[0])?.split(|&byte| byte == 0).next()?;
        [STREAM, CONSUMER, STATE].contains(&kind).then_some(std::str::from_utf8(account).ok()?)
    }

    /// Under which keys the metadata keeps anything of an account.
    pub fn keys_of<'a>(account: &str, entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<Vec<u8>> {
        let beginnings = KeptStream::beginnings(account);
        let is_of = |key: &&[u8]| beginnings.iter().any(|beginning| key.starts_with(beginning));
        entries.map(|(key, _)| key).filter(is_of).map(<[u8]>::to_vec).collect()
    }

    /// Reads every stream of every account out of the metadata. What makes no sense is named, not dropped.
    pub fn read_all<'a>(
        entries: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> (Vec<(String, KeptStream)>, Vec<String>) {
        let (mut streams, mut wrong) = (std::collections::BTreeMap::new(), Vec::new());
        // Keys sort so that consumers (c) come before streams (s) before states (t).
        let (mut consumers, mut states) = (Vec::new(), std::collections::HashMap::new());
        for (key, value) in entries {
            let Ok(text) = std::str::from_utf8(key) else { continue };
            let parts: Vec<&str> = text.split('\0').collect();
            match parts.as_slice() {
                ["s", account, name] => match read_stream(value) {
                    Some(stream) => {
                        streams.insert(((*account).to_owned(), (*name).to_owned()), stream);
                    }
                    None => wrong.push(format!("stream {name} of account {account}")),
                },
                ["c", account, stream, name] => match read_consumer(name, value) {
                    Some(consumer) => consumers.push((*account, *stream, consumer)),
                    None => wrong.push(format!("consumer {name} of stream {stream} of account {account}")),
                },
                ["t", account, stream, name] => {
                    let key = [*account, *stream, *name].map(str::to_owned);
                    states.insert(key, value.to_vec());
                }
                _ => {}
            }
        }
        for (account, stream, mut consumer) in consumers {
            consumer.state = states.remove(&[account.to_owned(), stream.to_owned(), consumer.name.clone()]);
            match streams.get_mut(&(account.to_owned(), stream.to_owned())) {
                Some(kept) => kept.consumers.push(consumer),
                None => wrong.push(format!("consumer {} of stream {stream}, which is not there", consumer.name)),
            }
        }
        (streams.into_iter().map(|((account, _), stream)| (account, stream)).collect(), wrong)
    }
}

fn read_stream(value: &[u8]) -> Option<KeptStream> {
    let value = json::parse(value).ok()?;
    Some(KeptStream {
        id: value.get("id")?.as_u64()?,
        created: Timestamp::from_nanos(value.get("created")?.as_i64()?),
        config: StreamConfig::read(value.get("config")?, Mode::Lenient).ok()?,
        consumers: Vec::new(),
    })
}

fn read_consumer(name: &str, value: &[u8]) -> Option<KeptConsumer> {
    let value = json::parse(value).ok()?;
    Some(KeptConsumer {
        name: name.to_owned(),
        created: Timestamp::from_nanos(value.get("created")?.as_i64()?),
        config: ConsumerConfig::read(value.get("config")?, Mode::Lenient).ok()?,
        reading: value.get("reading").map(|value| read_reading(value).ok_or(())).transpose().ok()?,
        state: None,
    })
}

fn read_reading(value: &serde_json::Value) -> Option<Reading> {
    let texts = |value: &serde_json::Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let allow = value.get("allow").map(|allow| texts(allow).ok_or(())).transpose().ok()?;
    Reading::of_texts(&ReadingTexts { allow, deny: texts(value.get("deny")?)? }).ok()
}

impl<S: Shelves> Tenant<S> {
    pub(super) fn restore_consumer(&self, stream: &mut Stream<S::Log>, kept: KeptConsumer, now: Now) {
        let Ok(name) = Name::parse(&kept.name) else { return };
        let config = &kept.config;
        let texts = std::iter::once(&config.filter_subject).chain(&config.filter_subjects);
        let filters = texts.filter(|text| !text.is_empty()).filter_map(|text| Filter::parse(text.as_bytes()).ok());
        let filters: Vec<Filter> = filters.collect();
        let mut consumer = Consumer::blank(name.clone(), kept.config.clone(), filters.clone(), kept.created, now);
        let restored = kept.state.as_deref().and_then(|state| consumer.restore_state(state, now));
        if restored.is_none() {
            // Without its state it begins where it began; what was acknowledged may come again.
            consumer = Consumer::new(name.clone(), kept.config, filters, kept.created, now);
        }
        consumer.bind(kept.reading);
        stream.consumers.insert(name, consumer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_tells_its_account_and_begins_as_those_of_its_account_do() {
        let keys = [stream_key("ACME", "S"), consumer_key("ACME", "S", "C"), state_key("ACME", "S", "C")];
        for key in &keys {
            assert_eq!(KeptStream::account_of(key), Some("ACME"));
            let begins = |account| KeptStream::beginnings(account).iter().any(|beginning| key.starts_with(beginning));
            assert!(begins("ACME") && !begins("ACM") && !begins("ACME2"));
        }
        for other in [&b"n"[..], b"", b"g12345678", b"k\0ACME\0S", b"sACME"] {
            assert_eq!(KeptStream::account_of(other), None, "{other:?}");
        }
    }
}
