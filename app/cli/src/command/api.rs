//! The JetStream API: calls, pages of answers, and errors with their codes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Result, anyhow, bail};
use async_nats::{RequestErrorKind, StatusCode};
use serde_json::{Map, Value, json};

use crate::command::dig::Dig;
use crate::context::Record;
use crate::failure::advise;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::{Table, log, pick};

/// More pages than any account has.
const MAX_PAGES: usize = 100_000;

/// An answer that is an error: what JetStream says, and its code.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) description: String,
    pub(crate) code: u64,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.description, self.code)
    }
}

impl std::error::Error for ApiError {}

pub(crate) const STREAM_NOT_FOUND: u64 = 10059;
pub(crate) const CONSUMER_NOT_FOUND: u64 = 10014;

/// Whether an error is this one of JetStream.
pub(crate) fn is_api_error(error: &anyhow::Error, code: u64) -> bool {
    error.downcast_ref::<ApiError>().is_some_and(|api| api.code == code)
}

/// The subject of an API call, in the domain or behind the prefix of the settings.
pub(crate) fn subject(settings: &Record, call: &str) -> String {
    match (settings.jetstream_domain.as_str(), settings.jetstream_api_prefix.trim_end_matches('.')) {
        ("", "") => format!("$JS.API.{call}"),
        ("", prefix) => format!("{prefix}.{call}"),
        (domain, _) => format!("$JS.{domain}.API.{call}"),
    }
}

/// The subject of advisories and metrics, behind the event prefix of the settings.
pub(crate) fn event_subject(settings: &Record, kind: &str) -> String {
    match settings.jetstream_event_prefix.trim_end_matches('.') {
        "" => format!("$JS.EVENT.{kind}"),
        prefix => format!("{prefix}.{kind}"),
    }
}

/// Records of a list, and what the answers say about those that are not in it.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) found: Vec<Value>,
    /// Names whose records nobody could give.
    missing: BTreeSet<String>,
    /// Names that are offline, and why.
    offline: BTreeMap<String, String>,
}

impl Listing {
    fn note_absent(&mut self, page: &Value) {
        self.missing.extend(page.texts("missing"));
        let offline = page.dig("offline").as_object().into_iter().flatten();
        self.offline
            .extend(offline.map(|(name, reason)| (name.clone(), reason.as_str().unwrap_or_default().to_owned())));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.missing.is_empty() && self.offline.is_empty()
    }

    /// Tables of what could not be read and of what is offline, where there is any.
    pub(crate) fn print_absent(&self, what: &str) {
        if !self.missing.is_empty() {
            let mut table = Table::new(format!("Inaccessible {what}"), &["Name"]);
            self.missing.iter().for_each(|name| table.line([name.as_str()]));
            table.print();
        }
        if !self.offline.is_empty() {
            let mut table = Table::new(format!("Offline {what}"), &["Name", "Reason"]);
            self.offline.iter().for_each(|(name, reason)| table.line([name.as_str(), reason.as_str()]));
            table.print();
        }
    }
}

/// A connection to the JetStream API.
pub(crate) struct Api<'a> {
    pub(crate) invocation: &'a Invocation,
    pub(crate) link: Link,
    settings: Record,
}

impl<'a> Api<'a> {
    pub(crate) async fn open(invocation: &'a Invocation) -> Result<Self> {
        Ok(Self { invocation, link: invocation.connect().await?, settings: invocation.settings()? })
    }

    pub(crate) const fn settings(&self) -> &Record {
        &self.settings
    }

    /// Calls the API and gives the answer, unless it is an error.
    pub(crate) async fn call(&self, call: &str, body: Value) -> Result<Value> {
        let subject = subject(&self.settings, call);
        let answer = self.ask(&subject, body).await?;
        match answer.dig("error") {
            Value::Null => Ok(answer),
            error => {
                Err(ApiError { description: error.text("description").to_owned(), code: error.whole("err_code") }
                    .into())
            }
        }
    }

    async fn ask(&self, subject: &str, body: Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        if self.invocation.is_traced() {
            log!(">>> {subject}\n{body}\n");
        }
        let request = async_nats::Request::new().payload(body.into());
        let sent = async { Ok(self.link.client.send_request(subject.to_owned(), request).await) };
        let answer = self.link.unless_fault(sent).await?.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => no_jetstream(),
            RequestErrorKind::TimedOut => anyhow!("context deadline exceeded"),
            _ => anyhow!("nats: {error}"),
        })?;
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(no_jetstream());
        }
        if self.invocation.is_traced() {
            log!("<<< {subject}: {}", String::from_utf8_lossy(&answer.payload));
        }
        serde_json::from_slice(&answer.payload)
            .map_err(|error| anyhow!("the answer to {subject} is not valid: {error}"))
    }

    /// All records of a list that comes in pages.
    pub(crate) async fn pages(&self, call: &str, list: &str, filter: Value) -> Result<Vec<Value>> {
        Ok(self.listing(call, list, filter).await?.found)
    }

    /// All records of a list that comes in pages, and the names of those that could not be read.
    pub(crate) async fn listing(&self, call: &str, list: &str, filter: Value) -> Result<Listing> {
        let mut all = Listing::default();
        for _ in 0..MAX_PAGES {
            let found = &mut all.found;
            let mut body = filter.clone();
            if !body.is_object() {
                body = json!({});
            }
            body["offset"] = found.len().into();
            let page = self.call(call, body).await?;
            let records = page.list(list);
            found.extend(records.iter().cloned());
            let is_last = records.is_empty() || found.len() as u64 >= page.whole("total");
            all.note_absent(&page);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// The names of all streams, or of those that hold a subject.
    pub(crate) async fn stream_names(&self, subject: Option<&str>) -> Result<Vec<String>> {
        let filter = subject.map_or(Value::Null, |subject| json!({"subject": subject}));
        let mut names: Vec<String> = self
            .pages("STREAM.NAMES", "streams", filter)
            .await?
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The state and configuration of a stream.
    pub(crate) async fn stream(&self, name: &str) -> Result<Value> {
        check_name("stream", name)?;
        self.call(&format!("STREAM.INFO.{name}"), Value::Null).await
    }

    /// The state and configuration of a consumer.
    pub(crate) async fn consumer(&self, stream: &str, name: &str) -> Result<Value> {
        check_name("stream", stream)?;
        check_name("consumer", name)?;
        self.call(&format!("CONSUMER.INFO.{stream}.{name}"), Value::Null).await
    }

    pub(crate) async fn consumer_names(&self, stream: &str) -> Result<Vec<String>> {
        check_name("stream", stream)?;
        let mut names: Vec<String> = self
            .pages(&format!("CONSUMER.NAMES.{stream}"), "consumers", Value::Null)
            .await?
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The stream that was named, or the one a person picks.
    pub(crate) async fn pick_stream(&self, name: Option<&str>, may_ask: bool, is_all: bool) -> Result<String> {
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            return match self.stream(name).await {
                Ok(_) => Ok(name.to_owned()),
                Err(error) if is_api_error(&error, STREAM_NOT_FOUND) && !may_ask => bail!("unknown stream {name:?}"),
                Err(error) if is_api_error(&error, STREAM_NOT_FOUND) => {
                    Err(advise(format!("could not pick a Stream to operate on: {error}"), self.known_streams().await))
                }
                Err(error) => Err(error),
            };
        }
        if !crate::show::is_interactive() {
            bail!(
                "could not pick a Stream to operate on: cannot pick a Stream without a terminal and no Stream name supplied"
            );
        }
        let mut names = self.stream_names(None).await?;
        names.retain(|name| is_all || !is_internal(name));
        if names.is_empty() {
            bail!("could not pick a Stream to operate on: no Streams are defined");
        }
        pick("Select a Stream", &names)
    }

    async fn known_streams(&self) -> String {
        match self.stream_names(None).await {
            Ok(names) if names.is_empty() => "there are no streams in this account".to_owned(),
            Ok(names) => format!("known streams: {}", names.join(", ")),
            Err(_) => "nats stream ls shows the known ones".to_owned(),
        }
    }

    /// The consumer that was named, or the one a person picks.
    pub(crate) async fn pick_consumer(&self, stream: &str, name: Option<&str>) -> Result<String> {
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            return match self.consumer(stream, name).await {
                Ok(_) => Ok(name.to_owned()),
                Err(error) if is_api_error(&error, CONSUMER_NOT_FOUND) => {
                    let known = self.consumer_names(stream).await.unwrap_or_default();
                    let advice = if known.is_empty() {
                        format!("stream {stream} has no consumers")
                    } else {
                        format!("known consumers of {stream}: {}", known.join(", "))
                    };
                    Err(advise(format!("could not select Consumer: {error}"), advice))
                }
                Err(error) => Err(error),
            };
        }
        if !crate::show::is_interactive() {
            bail!("could not select Consumer: cannot pick a Consumer without a terminal and no Consumer name supplied");
        }
        let names = self.consumer_names(stream).await?;
        if names.is_empty() {
            bail!("could not select Consumer: no Consumers are defined for Stream {stream}");
        }
        pick("Select a Consumer", &names)
    }

    /// Fails unless the server knows this level of the API.
    pub(crate) async fn require_level(&self, level: u64, text: &str) -> Result<()> {
        let info = self.call("INFO", Value::Null).await?;
        if info.whole("api.level") < level {
            bail!("{text}");
        }
        Ok(())
    }
}

fn no_jetstream() -> anyhow::Error {
    advise(
        "nats: JetStream not enabled for account",
        "nobody answers the JetStream API: is the server started with -js, the account enabled, and the --js-domain right?",
    )
}

/// A name stands in a subject, so it is one token of it.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || "./\\*>".contains(c)) {
        bail!("{name:?} is not a valid {what} name: names have no blanks and none of . * > / \\");
    }
    Ok(())
}

/// Streams that stand behind buckets, object stores and MQTT.
pub(crate) fn is_internal(name: &str) -> bool {
    name.starts_with("KV_") || name.starts_with("OBJ_") || name.starts_with("$MQTT_")
}

/// Metadata that people set; the server's own is left out.
pub(crate) fn own_metadata(config: &Value) -> Map<String, Value> {
    let mut metadata = config.dig("metadata").as_object().cloned().unwrap_or_default();
    metadata.retain(|name, _| !name.starts_with("_nats."));
    metadata
}
