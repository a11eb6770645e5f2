//! Counters: streams whose messages add up.

use crate::number::Number;
use crate::publish::{COUNTER_SOURCES, STREAM_SOURCE};
use api::ApiError;
use api::errors::MESSAGE_COUNTER_BROKEN;
use std::collections::{BTreeMap, HashMap};
use wire::headers::Headers;

/// Counters remembered because their last message is not readable yet.
const MAX_COUNTING: usize = 1024;

/// What a counter says, and what of it came from other streams: by stream, by subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    pub total: Number,
    sources: BTreeMap<String, BTreeMap<String, Number>>,
}

impl Counter {
    /// Reads a stored message.
    pub(super) fn read(headers: &[u8], payload: &[u8]) -> Result<Counter, ApiError> {
        let total = value(payload)?;
        let sources = match Headers::new(headers).get(COUNTER_SOURCES).filter(|json| !json.is_empty()) {
            Some(json) => read_sources(json).ok_or(MESSAGE_COUNTER_BROKEN)?,
            None => BTreeMap::new(),
        };
        Ok(Counter { total, sources })
    }

    /// The counter after a message. A copied message says what the counter says where it comes from; then the increment
    /// that it stands for here is given as well.
    pub(super) fn after(
        mut self,
        headers: &[u8],
        payload: &[u8],
        subject: &[u8],
        increment: Number,
    ) -> Result<(Counter, Option<Number>), ApiError> {
        let Some(source) = Headers::new(headers).get(STREAM_SOURCE).filter(|source| !source.is_empty()) else {
            self.total = self.total.plus(&increment);
            return Ok((self, None));
        };
        let text = String::from_utf8_lossy(source);
        let mut fields = text.split(' ');
        let stream = fields.next().unwrap_or_default().to_owned();
        let own = String::from_utf8_lossy(subject);
        let subject = fields.nth(3).map_or_else(|| own.into_owned(), str::to_owned);
        let counted = value(payload)?;
        let before = self.sources.entry(stream).or_default().insert(subject, counted.clone()).unwrap_or_default();
        let increment = counted.minus(&before);
        self.total = self.total.plus(&increment);
        Ok((self, Some(increment)))
    }

    /// What came from other streams, as the header says it.
    pub(super) fn sources_json(&self) -> Option<Vec<u8>> {
        let written: BTreeMap<&String, BTreeMap<&String, String>> = self
            .sources
            .iter()
            .map(|(stream, subjects)| (stream, subjects.iter().map(|(subject, n)| (subject, n.to_string())).collect()))
            .collect();
        (!written.is_empty()).then(|| api::json::to_vec(&written))
    }
}

fn value(payload: &[u8]) -> Result<Number, ApiError> {
    let json = serde_json::from_slice::<serde_json::Value>(payload).map_err(|_| MESSAGE_COUNTER_BROKEN)?;
    let text = json.get("val").and_then(serde_json::Value::as_str).unwrap_or("0");
    Ok(Number::parse(text.as_bytes()).unwrap_or_default())
}

fn read_sources(json: &[u8]) -> Option<BTreeMap<String, BTreeMap<String, Number>>> {
    let read: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_slice(json).ok()?;
    let subjects = |subjects: BTreeMap<String, String>| {
        subjects.into_iter().map(|(subject, n)| (subject, Number::parse(n.as_bytes()).unwrap_or_default())).collect()
    };
    Some(read.into_iter().map(|(stream, counted)| (stream, subjects(counted))).collect())
}

/// Counters whose last message was stored and can not be read yet.
#[derive(Debug, Default)]
pub(super) struct Counting(HashMap<Vec<u8>, (u64, Counter)>);

impl Counting {
    pub(super) fn get(&self, subject: &[u8], seq: u64) -> Option<&Counter> {
        self.0.get(subject).filter(|(last, _)| *last == seq).map(|(_, counter)| counter)
    }

    pub(super) fn note(&mut self, subject: &[u8], seq: u64, counter: Counter, readable: u64) {
        if self.0.len() >= MAX_COUNTING {
            self.0.retain(|_, (last, _)| *last > readable);
        }
        self.0.insert(subject.to_vec(), (seq, counter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text.as_bytes()).expect("a number")
    }

    #[test]
    fn what_is_copied_counts_once_however_often_it_comes() {
        let headers = b"NATS/1.0\r\nNats-Stream-Source: EAST 7 > > c.a\r\n\r\n";
        let copied = |counter: Counter, payload: &[u8]| {
            counter.after(headers, payload, b"c.total", number("1")).expect("a counter")
        };
        let (counter, first) = copied(Counter::default(), b"{\"val\":\"5\"}");
        assert_eq!((counter.total.to_string(), first.expect("copied").to_string()), ("5".into(), "5".into()));
        let (counter, _) = counter.after(b"", b"", b"c.total", number("3")).expect("a counter");
        let (counter, again) = copied(counter, b"{\"val\":\"6\"}");
        assert_eq!((counter.total.to_string(), again.expect("copied").to_string()), ("9".into(), "1".into()));
        let json = counter.sources_json().expect("one source");
        assert_eq!(String::from_utf8_lossy(&json), r#"{"EAST":{"c.a":"6"}}"#);
        let block = [b"NATS/1.0\r\nNats-Counter-Sources: ".as_slice(), &json, b"\r\n\r\n"].concat();
        assert_eq!(Counter::read(&block, b"{\"val\":\"9\"}"), Ok(counter));
    }

    #[test]
    fn a_message_that_is_no_counter_breaks_it() {
        assert_eq!(Counter::read(b"", b"hello").expect_err("no JSON").err_code, 10172);
        let block = b"NATS/1.0\r\nNats-Counter-Sources: {1}\r\n\r\n";
        assert_eq!(Counter::read(block, b"{\"val\":\"9\"}").expect_err("no JSON").err_code, 10172);
    }
}
