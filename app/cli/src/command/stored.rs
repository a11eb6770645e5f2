//! Messages as a stream keeps them, asked for one by one.

use anyhow::{Context as _, Result, anyhow, bail};
use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use async_nats::{Message, RequestErrorKind, StatusCode};
use bytes::Bytes;
use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::command::api::{Api, ApiError, is_api_error, subject};
use crate::command::dig::Dig;

const NO_MESSAGE_FOUND: u64 = 10037;

/// A message of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Which message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    LastOf(&'a str),
    Sequence(u64),
}

impl Stored {
    /// Reads what a direct get answers: the message itself, with where it was in headers.
    pub(crate) fn of_direct(message: Message) -> Result<Self> {
        let mut headers = message.headers.unwrap_or_default();
        let value = |name: &str| headers.get(name).map_or("", |value| value.as_str()).to_owned();
        let (subject, sequence, at) = (value("Nats-Subject"), value("Nats-Sequence"), value("Nats-Time-Stamp"));
        let kept: Vec<_> = headers
            .iter()
            .filter(|(name, _)| !DIRECT_HEADERS.contains(&name.as_ref()))
            .map(|(name, values)| (name.clone(), values.clone()))
            .collect();
        headers = HeaderMap::new();
        for (name, values) in kept {
            values.into_iter().for_each(|value| headers.append(name.clone(), value));
        }
        Ok(Self {
            subject,
            sequence: sequence.parse().context("the answer has no sequence")?,
            at: at.parse().context("the answer has no time")?,
            headers,
            body: message.payload,
        })
    }

    fn of_answer(message: &Value) -> Result<Self> {
        Ok(Self {
            subject: message.text("subject").to_owned(),
            sequence: message.whole("seq"),
            at: message.time("time").context("the message has no time")?,
            headers: parse_headers(&BASE64.decode(message.text("hdrs").as_bytes())?),
            body: BASE64.decode(message.text("data").as_bytes())?.into(),
        })
    }
}

const DIRECT_HEADERS: [&str; 7] = [
    "Nats-Subject",
    "Nats-Stream",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
    "Nats-UpTo-Sequence",
];

/// Headers as they are stored; lines that are not headers are left out.
fn parse_headers(block: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in String::from_utf8_lossy(block).lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let pair = name.trim().parse::<HeaderName>().ok().zip(value.trim().parse::<HeaderValue>().ok());
        if let Some((name, value)) = pair {
            headers.append(name, value);
        }
    }
    headers
}

impl Api<'_> {
    /// A message of a stream, if it is there. Replicas may answer when the stream allows that.
    pub(crate) async fn message(&self, stream: &str, is_direct: bool, wanted: Wanted<'_>) -> Result<Option<Stored>> {
        let question = match wanted {
            Wanted::LastOf(subject) => json!({"last_by_subj": subject}),
            Wanted::Sequence(sequence) => json!({"seq": sequence}),
        };
        if is_direct {
            return self.direct(stream, question).await;
        }
        match self.call(&format!("STREAM.MSG.GET.{stream}"), question).await {
            Ok(answer) => Stored::of_answer(answer.dig("message")).map(Some),
            Err(error) if is_api_error(&error, NO_MESSAGE_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn direct(&self, stream: &str, question: Value) -> Result<Option<Stored>> {
        let request = async_nats::Request::new().payload(question.to_string().into());
        let answer = self.request(subject(self.settings(), &format!("DIRECT.GET.{stream}")), request).await?;
        match answer.status {
            None => Stored::of_direct(answer).map(Some),
            Some(StatusCode::NOT_FOUND) => Ok(None),
            Some(status) => bail!("nats: {status} {}", answer.description.unwrap_or_default()),
        }
    }

    /// Stores a message, and gives what the stream says about it.
    pub(crate) async fn store(&self, subject: String, headers: HeaderMap, body: Bytes) -> Result<Value> {
        let mut request = async_nats::Request::new().payload(body);
        if !headers.is_empty() {
            request = request.headers(headers);
        }
        let answer = self.request(subject, request).await?;
        let ack: Value = serde_json::from_slice(&answer.payload).context("invalid publish acknowledgement")?;
        match ack.dig("error") {
            Value::Null => Ok(ack),
            error => {
                Err(ApiError { description: error.text("description").to_owned(), code: error.whole("err_code") }
                    .into())
            }
        }
    }

    async fn request(&self, subject: String, request: async_nats::Request) -> Result<Message> {
        let sent = async { Ok(self.link.client.send_request(subject, request).await) };
        self.link.unless_fault(sent).await?.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => anyhow!("nats: no responders available for request"),
            RequestErrorKind::TimedOut => anyhow!("context deadline exceeded"),
            _ => anyhow!("nats: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_headers_are_read() {
        let headers = parse_headers(b"NATS/1.0\r\nA: 1\r\nA:2\r\nnonsense\r\n\r\n");
        let values: Vec<_> = headers.get_all("A").map(|value| value.to_string()).collect();
        assert_eq!((values, headers.len()), (vec!["1".to_owned(), "2".to_owned()], 1));
    }
}
