//! Calls about single messages.

use super::Tenant;
use super::calls::{Answer, Body, Outcome};
use super::reading::sees;
use crate::asker::Asker;
use crate::log::{Found, Log, LogError, Shelves, Stored};
use crate::outbox::After;
use crate::stream::Stream;
use crate::work::Work;
use api::errors::*;
use api::requests::{MessageDelete, MessageGet};
use api::responses::{GotMessage, StoredMessage, Success, answer};
use api::{ApiError, Call, StorageKind};
use std::sync::Arc;
use subject::{Filter, Subject};

/// Which one message a request means.
pub(super) enum Wanted {
    Seq(u64),
    Last(Filter),
    Next(u64, Filter),
    Since(moment::Timestamp, Option<Filter>),
    /// What no subject can be: there is no such message.
    None,
}

/// Reads which message is meant. `None`: nothing, or two things at once.
pub(super) fn wanted(request: &MessageGet) -> Option<Wanted> {
    let filtered = |text: &str, wanted: &dyn Fn(Filter) -> Wanted| match Filter::parse(text.as_bytes()) {
        Ok(filter) => wanted(filter),
        Err(_) => Wanted::None,
    };
    let (last, next) = (&request.last_by_subj, &request.next_by_subj);
    match (request.seq, !last.is_empty(), !next.is_empty(), request.start_time) {
        (0, true, false, None) => Some(filtered(last, &Wanted::Last)),
        (seq, false, true, None) => Some(filtered(next, &|filter| Wanted::Next(seq.max(1), filter))),
        (0, false, true, Some(time)) => Some(filtered(next, &|filter| Wanted::Since(time, Some(filter)))),
        (0, false, false, Some(time)) => Some(Wanted::Since(time, None)),
        (seq @ 1.., false, false, None) => Some(Wanted::Seq(seq)),
        _ => None,
    }
}

/// Finds the message.
pub(super) fn find<L: Log>(log: &mut L, wanted: &Wanted, work: &mut Work) -> Result<Option<L::Message>, LogError> {
    match wanted {
        Wanted::None => Ok(None),
        Wanted::Seq(seq) => log.load(*seq),
        Wanted::Next(seq, filter) => next(log, *seq, std::slice::from_ref(filter), work),
        Wanted::Since(time, filter) => {
            let from = log.seq_at(*time)?;
            next(log, from, filter.as_slice(), work)
        }
        Wanted::Last(filter) => {
            let mut newest = work.progress().newest.remove(filter).unwrap_or_default();
            let found = newest.go_on(std::slice::from_ref(filter), log, work);
            work.progress().newest.insert(filter.clone(), newest);
            found?.map_or(Ok(None), |seq| log.load(seq))
        }
    }
}

fn next<L: Log>(log: &mut L, from: u64, filters: &[Filter], work: &mut Work) -> Result<Option<L::Message>, LogError> {
    let at = work.progress().at.unwrap_or(from);
    match log.next(filters, at, work)? {
        Found::Message(message) => Ok(Some(message)),
        Found::NothingBefore(_) => Ok(None),
        Found::Unfinished(at) => {
            work.progress().at = Some(at);
            Err(LogError::Unfinished)
        }
    }
}

impl<S: Shelves> Tenant<S> {
    pub(super) fn get_message(&mut self, call: &Call<'_>, body: &Body<'_>, asker: Option<&Arc<dyn Asker>>) -> Outcome {
        if body.asks_nothing() {
            return Err(BAD_REQUEST.into());
        }
        let request = MessageGet::read(&body.value()?, self.settings.mode)?;
        let stream = self.streams.get_mut(call.stream).ok_or(STREAM_NOT_FOUND)?;
        let wanted = wanted(&request).ok_or(BAD_REQUEST)?;
        // What may not be seen is answered as what is not there.
        let message = find(&mut stream.log, &wanted, &mut self.work)?.filter(|message| sees(asker, message.subject()));
        let message = message.ok_or(NO_MESSAGE_FOUND)?;
        let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
        let message = StoredMessage {
            subject: String::from_utf8_lossy(message.subject()).into_owned(),
            seq: message.seq(),
            hdrs: if request.no_hdr { String::new() } else { base64(message.headers()) },
            data: base64(message.payload()),
            time: Some(message.time()),
        };
        Answer::now(answer("stream_msg_get", GotMessage { message }))
    }

    pub(super) fn delete_message(&mut self, call: &Call<'_>, body: &Body<'_>) -> Outcome {
        if body.asks_nothing() {
            return Err(BAD_REQUEST.into());
        }
        let request = MessageDelete::read(&body.value()?, self.settings.mode)?;
        let stream = self.streams.get_mut(call.stream).ok_or(STREAM_NOT_FOUND)?;
        if stream.config.sealed {
            return Err(STREAM_SEALED.into());
        }
        if stream.config.deny_delete {
            return Err(STREAM_MSG_DELETE_FAILED.with("message delete not permitted").into());
        }
        missing(stream, request.seq)?;
        let work = &mut self.work;
        if request.no_erase {
            stream.remove(request.seq, work)?
        } else {
            stream.erase(request.seq, work)?
        };
        let body = answer("stream_msg_delete", Success { success: true });
        Ok(Answer { headers: Vec::new(), body, after: After::Log(stream.id) })
    }
}

/// Why there is no message of this sequence to be removed, if there is none. A stream in memory does not tell what it never
/// had from what it has no more.
fn missing<L: Log>(stream: &Stream<L>, seq: u64) -> Result<(), ApiError> {
    let state = stream.state();
    match stream.config.storage {
        _ if stream.log.is_live(seq) => Ok(()),
        StorageKind::File if seq > state.last_seq => Err(STREAM_MSG_DELETE_FAILED.with("stream store EOF")),
        StorageKind::File if seq < state.first_seq => Err(STREAM_MSG_DELETE_FAILED.with("no message found")),
        StorageKind::File | StorageKind::Memory => Err(SEQUENCE_NOT_FOUND.with(seq)),
    }
}

/// Whether a subject of a request is one a message can have.
pub(super) fn is_subject(text: &str) -> bool {
    Subject::parse(text.as_bytes()).is_ok()
}
