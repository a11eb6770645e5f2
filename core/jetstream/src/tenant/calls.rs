//! API calls: who answers which, and what every answer has in common.

use super::{Surroundings, Tenant};
use crate::limits::Limits;
use crate::log::{LogError, Shelves};
use crate::outbox::{After, status};
use crate::stream::{Incoming, Stream};
use api::advisories::Event;
use api::errors::*;
use api::responses::{AccountInfo, AccountLimits, ApiUse, Nothing, Tier, failure};
use api::{API_LEVEL, ApiError, Call, CallKind, json};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use wire::headers::Headers;

/// Names on one page.
pub(super) const NAMES_PAGE: u64 = 1024;
/// Infos on one page.
pub(super) const INFOS_PAGE: u64 = 256;

/// What a call came to.
pub(super) struct Answer {
    pub headers: Vec<u8>,
    pub body: Vec<u8>,
    pub after: After,
}

/// Why a call is not answered as it should be.
pub(super) enum Failed {
    /// It failed: what it is told, beside what an error of this call always says.
    Refused {
        error: ApiError,
        /// The whole body, where it holds more than the error.
        body: Option<Vec<u8>>,
    },
    /// The turn was not enough for it. It is answered again from the beginning.
    Unfinished,
}

impl Failed {
    /// With a body that holds more than the error.
    pub(super) fn telling(self, body: impl FnOnce(&ApiError) -> Vec<u8>) -> Failed {
        match self {
            Failed::Refused { error, .. } => Failed::Refused { body: Some(body(&error)), error },
            Failed::Unfinished => Failed::Unfinished,
        }
    }

    /// What went wrong, where nothing is put off.
    pub(super) fn into_error(self) -> ApiError {
        match self {
            Failed::Refused { error, .. } => error,
            Failed::Unfinished => crate::stream::failed(),
        }
    }
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Failed {
        Failed::Refused { error, body: None }
    }
}

impl From<ErrorKind> for Failed {
    fn from(kind: ErrorKind) -> Failed {
        ApiError::from(kind).into()
    }
}

impl From<json::Fault> for Failed {
    fn from(fault: json::Fault) -> Failed {
        ApiError::from(fault).into()
    }
}

impl From<LogError> for Failed {
    fn from(error: LogError) -> Failed {
        match error {
            LogError::Failed(_) => crate::stream::failed().into(),
            LogError::Unfinished => Failed::Unfinished,
        }
    }
}

pub(super) type Outcome = Result<Answer, Failed>;

impl Answer {
    /// An answer that waits for nothing.
    pub(super) fn now(body: Vec<u8>) -> Outcome {
        Ok(Answer { headers: Vec::new(), body, after: After::Nothing })
    }

    /// An answer that must not leave before the metadata is durable.
    pub(super) fn durable(body: Vec<u8>) -> Outcome {
        Ok(Answer { headers: Vec::new(), body, after: After::Metadata })
    }
}

/// The body of a request, and the headers beside it.
pub(super) struct Body<'a>(pub &'a [u8], pub &'a [u8]);

impl Body<'_> {
    pub(super) fn value(&self) -> Result<Value, json::Fault> {
        json::parse(self.0)
    }

    pub(super) fn must_be_empty(&self) -> Result<(), ApiError> {
        if self.asks_nothing() { Ok(()) } else { Err(NOT_EMPTY_REQUEST.into()) }
    }

    /// Nothing, or an object with nothing in it.
    pub(super) fn asks_nothing(&self) -> bool {
        match self.0.trim_ascii() {
            b"" | b"{}" => true,
            body => body.strip_prefix(b"{").is_some_and(|rest| rest.trim_ascii_start() == b"}"),
        }
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        Headers::new(self.1).get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.trim_ascii().is_empty()
    }
}

impl<S: Shelves> Tenant<S> {
    /// Answers a call. Whether it is done with.
    pub(super) fn call(&mut self, call: &Call<'_>, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) -> bool {
        // Who does not wait for the answer has what was asked for done all the same.
        let reply = message.reply.unwrap_or_default();
        match call.row.kind {
            CallKind::ConsumerNext | CallKind::DirectGet | CallKind::DirectGetLast if reply.is_empty() => return true,
            CallKind::ConsumerNext => return self.next(call, message, reply, around),
            CallKind::DirectGet | CallKind::DirectGetLast => return self.direct_get(call, message, reply, around),
            _ => {}
        }
        let outcome = match self.check_level(message) {
            Ok(()) => self.answer(call, message, around),
            Err(error) => Some(Err(error.into())),
        };
        let Some(outcome) = outcome else { return true };
        if matches!(outcome, Err(Failed::Unfinished)) {
            return false;
        }
        // What the reference counts: a read message and a reset consumer are no calls, a message that is not there to be
        // deleted is no error.
        let reads = matches!(call.row.kind, CallKind::MessageGet | CallKind::ConsumerReset);
        self.calls += u64::from(!reads || outcome.is_err());
        match outcome {
            Ok(answer) => {
                // What a message says is nobody's business.
                if call.row.kind != CallKind::MessageGet {
                    self.audit(call, message, &answer.body, around);
                }
                let error = STREAM_STORE_FAILED.with("the server can not make the change durable");
                let failed = failure(call.row.answer, &error, Nothing {});
                around.out.answer(reply, answer.headers, answer.body, answer.after, Some(failed.into()));
            }
            Err(Failed::Unfinished) => {}
            Err(Failed::Refused { error, body }) => {
                let is_absent = call.row.kind == CallKind::MessageDelete
                    && [STREAM_MSG_DELETE_FAILED, SEQUENCE_NOT_FOUND]
                        .iter()
                        .any(|kind| kind.err_code == error.err_code);
                self.errors += u64::from(!is_absent);
                let body = body.unwrap_or_else(|| failure(call.row.answer, &error, Nothing {}));
                self.audit(call, message, &body, around);
                around.out.say(reply, Vec::new(), body);
            }
        }
        true
    }

    /// Tells those who listen who asked what, and what they were told.
    fn audit(&mut self, call: &Call<'_>, message: &Incoming<'_>, body: &[u8], around: &mut Surroundings<'_, S>) {
        let is_told = call.row.kind != CallKind::ConsumerReset;
        // Nothing of this is written down while nobody listens.
        if !is_told || !around.interest.is_wanted(b"$JS.EVENT.ADVISORY.API") {
            return;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let event = Event::Audit {
            server: self.settings.server_name.clone(),
            client: self.client_of(message),
            subject: self.in_plain_words(text(message.subject)),
            request: text(message.payload),
            response: text(body),
        };
        self.advise(&event, around);
    }

    /// The subject of a call without the domain.
    fn in_plain_words(&self, subject: String) -> String {
        self.tail_in_domain(&subject).map(|tail| format!("{}{tail}", api::calls::PREFIX)).unwrap_or(subject)
    }

    /// Who sent a message, as the broker says.
    pub(super) fn client_of(&self, message: &Incoming<'_>) -> String {
        let known = Headers::new(message.headers).get("Nats-Request-Info").map(String::from_utf8_lossy);
        known.map_or_else(|| format!("{{\"acc\":{:?}}}", self.settings.account), |info| info.into_owned())
    }

    fn check_level(&self, message: &Incoming<'_>) -> Result<(), ApiError> {
        match Headers::new(message.headers).get("Nats-Required-Api-Level") {
            None => Ok(()),
            Some(wanted) => {
                let level = std::str::from_utf8(wanted).ok().and_then(|text| text.trim().parse::<u32>().ok());
                if level.is_some_and(|level| level <= API_LEVEL) { Ok(()) } else { Err(REQUIRED_API_LEVEL.into()) }
            }
        }
    }

    /// `None` is silence.
    fn answer(&mut self, call: &Call<'_>, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) -> Option<Outcome> {
        let body = &Body(message.payload, message.headers);
        Some(match call.row.kind {
            CallKind::AccountInfo => self.account_info(),
            CallKind::StreamCreate => self.create_stream(call, body, around),
            CallKind::StreamUpdate => self.update_stream(call, body, around),
            CallKind::StreamNames => self.stream_names(body),
            CallKind::StreamList => self.stream_list(body, around),
            CallKind::StreamInfo => self.stream_info(call, body, around),
            CallKind::StreamDelete => self.delete_stream(call, body, around),
            CallKind::StreamPurge => self.purge_stream(call, body, around.now),
            CallKind::MessageGet => self.get_message(call, body, around.asker),
            CallKind::MessageDelete => self.delete_message(call, body),
            CallKind::ConsumerCreate | CallKind::ConsumerDurableCreate => self.create_consumer(call, body, around),
            CallKind::ConsumerNames => self.consumer_names(call, body),
            CallKind::ConsumerList => self.consumer_list(call, body, around),
            CallKind::ConsumerInfo => self.consumer_info(call, body, around),
            CallKind::ConsumerDelete => self.delete_consumer(call, body, around),
            CallKind::ConsumerPause => self.pause_consumer(call, body, around),
            // Nobody answers for a consumer that is not there.
            CallKind::ConsumerReset if !self.has_consumer(call) => return None,
            CallKind::ConsumerReset => self.reset_consumer(call, body, around),
            CallKind::ConsumerUnpin => self.unpin_consumer(call, body),
            CallKind::StreamSnapshot => self.snapshot_stream(call, body, message, around),
            CallKind::StreamRestore => self.restore_stream(call, body, message, around),
            CallKind::StreamPeerRemove
            | CallKind::StreamPeerEvacuate
            | CallKind::StreamCancelMove
            | CallKind::StreamLeaderStepDown
            | CallKind::ConsumerLeaderStepDown
            | CallKind::ConsumerPeerRemove
            | CallKind::ConsumerPeerEvacuate => Err(CLUSTER_REQUIRED.into()),
            CallKind::MetaLeaderStepDown
            | CallKind::ServerRemove
            | CallKind::ServerEvacuate
            | CallKind::MetaRescue
            | CallKind::AccountPurge
            | CallKind::AccountStreamMove
            | CallKind::AccountStreamCancelMove => return None,
            CallKind::ConsumerNext | CallKind::DirectGet | CallKind::DirectGetLast => return None,
        })
    }

    fn has_consumer(&self, call: &Call<'_>) -> bool {
        self.streams.get(call.stream).is_some_and(|stream| stream.consumers.contains_key(call.consumer))
    }

    fn account_info(&mut self) -> Outcome {
        self.work.spend(self.streams.len() as u64);
        let used = |on_disk: bool| {
            let of_kind = self.streams.values().filter(|s| crate::stream_config::is_on_disk(&s.config) == on_disk);
            of_kind.map(|stream| stream.state().bytes).sum::<u64>()
        };
        let reserved = |on_disk: bool| {
            let of_kind = self.streams.values().filter(|s| crate::stream_config::is_on_disk(&s.config) == on_disk);
            of_kind.filter_map(|stream| u64::try_from(stream.config.max_bytes).ok()).sum::<u64>()
        };
        let [memory, storage] = [used(false), used(true)];
        let [reserved_memory, reserved_storage] = [reserved(false), reserved(true)];
        let streams = self.streams.len() as u64;
        let copiers = |stream: &Stream<S::Log>| self.copiers.get(stream.name.as_str()).map_or(0, BTreeSet::len);
        let consumers = self.streams.values().map(|stream| (stream.consumers.len() + copiers(stream)) as u64).sum();
        let (limits, tiers) = match &self.settings.limits {
            Limits::Flat(limits) => (limits.clone(), BTreeMap::new()),
            Limits::Tiers(tiers) => (AccountLimits::NOTHING, tiers.clone()),
        };
        let tier = |(name, limits): (String, AccountLimits)| {
            // Whatever there is, one server keeps once.
            let tier = match name == "R1" {
                true => Tier { memory, storage, reserved_memory, reserved_storage, streams, consumers, limits },
                false => Tier { limits, ..Tier::default() },
            };
            (name, tier)
        };
        let info = AccountInfo {
            memory,
            storage,
            reserved_memory,
            reserved_storage,
            streams,
            consumers,
            limits,
            tiers: tiers.into_iter().map(tier).collect(),
            domain: self.settings.domain.clone(),
            api: ApiUse { level: API_LEVEL, total: self.calls, errors: self.errors, inflight: 0 },
        };
        Answer::now(api::responses::answer("account_info", info))
    }

    /// What a client hears where nobody answers.
    pub(super) fn nobody_there(message: &Incoming<'_>, reply: &[u8], around: &mut Surroundings<'_, S>) {
        let subject = String::from_utf8_lossy(message.subject).into_owned();
        around.out.say(reply, status("503", &[("Nats-Subject", subject)]), Vec::new());
    }
}

/// Metadata as answers show it: what the server knows stands beside what was kept.
pub(super) fn show_metadata(metadata: &mut BTreeMap<String, String>, version: &str) {
    metadata.insert("_nats.ver".to_owned(), version.to_owned());
    metadata.insert("_nats.level".to_owned(), API_LEVEL.to_string());
}

/// Metadata as it is kept: with the level that is needed, without what only answers show.
pub(super) fn keep_metadata(metadata: &mut BTreeMap<String, String>, level: u32) {
    metadata.remove("_nats.ver");
    metadata.remove("_nats.level");
    metadata.insert("_nats.req.level".to_owned(), level.to_string());
}

/// A page of `all`, from an offset that is forced into the list.
pub(super) fn page<T>(all: Vec<T>, offset: i64, limit: u64) -> (api::responses::Page, Vec<T>) {
    let total = all.len() as u64;
    let offset = u64::try_from(offset).unwrap_or(0).min(total);
    let items = all.into_iter().skip(offset as usize).take(limit as usize).collect();
    (api::responses::Page { total, offset, limit }, items)
}
