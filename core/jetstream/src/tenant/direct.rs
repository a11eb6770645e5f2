//! Direct reads: messages as messages, not as JSON.

use super::messages::{find, is_subject, wanted};
use super::reading::sees;
use super::{Surroundings, Tenant};
use crate::asker::Asker;
use crate::log::{Found, Log, LogError, Shelves, Stored};
use crate::outbox::status;
use crate::stream::{Incoming, Stream, append_headers};
use api::requests::MessageGet;
use api::{API_LEVEL, Call, CallKind, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use subject::Filter;
use wire::headers::Headers;

/// Subjects one request may ask the last messages of.
const MAX_SUBJECTS: usize = 1024;
/// Messages of one batch.
const MAX_BATCH: u64 = 1_000_000;

/// A refusal, as its status line.
struct Refused(&'static str);

impl<S: Shelves> Tenant<S> {
    pub(super) fn direct_get(
        &mut self,
        call: &Call<'_>,
        message: &Incoming<'_>,
        reply: &[u8],
        around: &mut Surroundings<'_, S>,
    ) {
        let most = i64::try_from(self.settings.max_batch_bytes).unwrap_or(i64::MAX);
        let Some(stream) = self.answering(call.stream) else {
            return Self::nobody_there(message, reply, around);
        };
        let name = stream.name.clone();
        let served = read_request(call, message).and_then(|mut request| {
            if request.max_bytes <= 0 {
                request.max_bytes = most;
            }
            let serve =
                Serve { name: name.as_str(), log: &mut stream.log, reply, out: around.out, asker: around.asker };
            serve.serve(&request).unwrap_or(Err(Refused("500 the store failed")))
        });
        if let Err(Refused(line)) = served {
            around.out.say(reply, status(line, &[]), Vec::new());
        }
    }
}

impl<S: Shelves> Tenant<S> {
    /// Who answers direct reads of a stream: itself, or, if it is not here, a mirror of it that has found it once.
    fn answering(&mut self, name: &str) -> Option<&mut Stream<S::Log>> {
        match self.streams.get(name).map(|stream| stream.config.allow_direct) {
            Some(true) => return self.streams.get_mut(name),
            Some(false) => return None,
            None => {}
        }
        let mirrors = |stream: &&mut Stream<S::Log>| {
            let of = stream.config.mirror.as_ref().filter(|mirror| mirror.name == name);
            of.is_some() && stream.config.mirror_direct && stream.copies.iter().any(|copying| copying.has_met())
        };
        self.streams.values_mut().find(mirrors)
    }
}

fn read_request(call: &Call<'_>, message: &Incoming<'_>) -> Result<MessageGet, Refused> {
    if let Some(wanted) = Headers::new(message.headers).get("Nats-Required-Api-Level") {
        let level = std::str::from_utf8(wanted).ok().and_then(|text| text.trim().parse::<u32>().ok());
        if level.is_none_or(|level| level > API_LEVEL) {
            return Err(Refused("412 Required Api Level"));
        }
    }
    if call.row.kind == CallKind::DirectGetLast {
        return match is_subject(call.rest) {
            true => Ok(MessageGet { last_by_subj: call.rest.to_owned(), ..MessageGet::default() }),
            false => Err(Refused("408 Bad Request")),
        };
    }
    if message.payload.trim_ascii().is_empty() {
        return Err(Refused("408 Empty Request"));
    }
    let value = json::parse(message.payload).map_err(|_| Refused("408 Malformed Request"))?;
    MessageGet::read(&value, json::Mode::Lenient).map_err(|_| Refused("408 Malformed Request"))
}

/// Whether a request names no message, nor several.
fn says_nothing(request: &MessageGet) -> bool {
    let subjects = [&request.last_by_subj, &request.next_by_subj];
    request.seq == 0 && request.start_time.is_none() && subjects.iter().all(|text| text.is_empty())
}

struct Serve<'a, L> {
    name: &'a str,
    log: &'a mut L,
    reply: &'a [u8],
    out: &'a mut crate::Outbox,
    asker: Option<&'a Arc<dyn Asker>>,
}

type Served = Result<Result<(), Refused>, LogError>;

impl<L: Log> Serve<'_, L> {
    fn serve(mut self, request: &MessageGet) -> Served {
        if !request.multi_last.is_empty() {
            return self.last_of_many(request);
        }
        if says_nothing(request) {
            return Ok(Err(Refused("408 Empty Request")));
        }
        if request.up_to_seq > 0 || request.up_to_time.is_some() {
            return Ok(Err(Refused("408 Bad Request")));
        }
        if request.batch > 0 {
            return self.batch(request);
        }
        let Some(wanted) = wanted(request) else { return Ok(Err(Refused("408 Bad Request"))) };
        // What may not be seen is answered as what is not there.
        match find(self.log, &wanted)?.filter(|message| sees(self.asker, message.subject())) {
            Some(message) => self.send(&message, request.no_hdr, &[]),
            None => return Ok(Err(Refused("404 Message Not Found"))),
        }
        Ok(Ok(()))
    }

    fn send(&mut self, message: &L::Message, no_headers: bool, more: &[(&str, &[u8])]) {
        let mut headers = Vec::new();
        if !no_headers {
            let (seq, time) = (message.seq().to_string(), message.time().to_string());
            let own: [(&str, &[u8]); 4] = [
                ("Nats-Stream", self.name.as_bytes()),
                ("Nats-Subject", message.subject()),
                ("Nats-Sequence", seq.as_bytes()),
                ("Nats-Time-Stamp", time.as_bytes()),
            ];
            let lines: Vec<(&str, &[u8])> = own.into_iter().chain(more.iter().copied()).collect();
            append_headers(&mut headers, message.headers(), &lines);
        }
        self.out.say(self.reply, headers, message.payload().to_vec());
    }

    fn batch(&mut self, request: &MessageGet) -> Served {
        let has_last = !request.last_by_subj.is_empty();
        if has_last || (request.seq > 0 && request.start_time.is_some()) {
            return Ok(Err(Refused("408 Bad Request")));
        }
        let filters = match request.next_by_subj.as_str() {
            "" => Vec::new(),
            text => match Filter::parse(text.as_bytes()) {
                Ok(filter) => vec![filter],
                Err(_) => return Ok(Err(Refused("408 Bad Request"))),
            },
        };
        let mut at = match request.start_time {
            Some(time) => self.log.seq_at(time)?,
            None => request.seq.max(1),
        };
        let mut left = self.log.count(&filters, at)?;
        let (mut batch, mut bytes) = ((request.batch as u64).min(MAX_BATCH), max_bytes(request));
        let (mut last, mut sent) = (0, 0);
        while batch > 0 {
            let Found::Message(message) = self.log.next(&filters, at)? else { break };
            let size = (message.headers().len() + message.payload().len() + message.subject().len()) as u64;
            if sent > 0 && size > bytes {
                break;
            }
            at = message.seq() + 1;
            left = left.saturating_sub(1);
            if !sees(self.asker, message.subject()) {
                continue;
            }
            self.send_of_many(&message, request.no_hdr, left, last);
            (last, sent) = (message.seq(), sent + 1);
            batch -= 1;
            bytes = bytes.saturating_sub(size);
        }
        if sent == 0 {
            return Ok(Err(Refused("404 Message Not Found")));
        }
        self.end_of_batch(left, last, None);
        Ok(Ok(()))
    }

    fn send_of_many(&mut self, message: &L::Message, no_headers: bool, left: u64, last: u64) {
        let (left, last) = (left.to_string(), last.to_string());
        let more: [(&str, &[u8]); 2] = [("Nats-Num-Pending", left.as_bytes()), ("Nats-Last-Sequence", last.as_bytes())];
        self.send(message, no_headers, &more);
    }

    fn end_of_batch(&mut self, left: u64, last: u64, up_to: Option<u64>) {
        let mut lines = vec![("Nats-Num-Pending", left.to_string()), ("Nats-Last-Sequence", last.to_string())];
        lines.extend(up_to.map(|seq| ("Nats-UpTo-Sequence", seq.to_string())));
        self.out.say(self.reply, status("204 EOB", &lines), Vec::new());
    }

    /// The last message of each of many subjects, as of now or of an earlier moment.
    fn last_of_many(&mut self, request: &MessageGet) -> Served {
        let is_odd = request.seq > 0 && request.start_time.is_some()
            || !request.last_by_subj.is_empty()
            || !request.next_by_subj.is_empty()
            || (request.up_to_seq > 0 && request.up_to_time.is_some());
        let filters: Result<Vec<Filter>, _> =
            request.multi_last.iter().map(|text| Filter::parse(text.as_bytes())).collect();
        let Some(filters) = filters.ok().filter(|_| !is_odd) else { return Ok(Err(Refused("408 Bad Request"))) };
        let up_to = match (request.up_to_seq, request.up_to_time) {
            (0, None) => self.log.readable(),
            (0, Some(time)) => self.log.seq_at(time)?.saturating_sub(1),
            (seq, _) => seq.min(self.log.readable()),
        };
        let seqs = match up_to == self.log.readable() {
            true => self.lasts_now(&filters)?,
            false => self.lasts_then(&filters, up_to)?,
        };
        let from = request.seq;
        let seqs: Vec<u64> = seqs.into_iter().filter(|&seq| seq >= from).collect();
        if seqs.is_empty() {
            return Ok(Err(Refused("404 No Results")));
        }
        if seqs.len() > MAX_SUBJECTS {
            return Ok(Err(Refused("413 Too Many Results")));
        }
        self.send_many(request, &seqs, up_to)
    }

    fn send_many(&mut self, request: &MessageGet, seqs: &[u64], up_to: u64) -> Served {
        let batch = u64::try_from(request.batch).ok().filter(|&batch| batch > 0).unwrap_or(u64::MAX);
        let (mut bytes, mut last, mut left) = (max_bytes(request), 0, seqs.len() as u64);
        for &seq in seqs.iter().take(usize::try_from(batch).unwrap_or(usize::MAX)) {
            let Some(message) = self.log.load(seq)? else { continue };
            let size = (message.headers().len() + message.payload().len() + message.subject().len()) as u64;
            if last > 0 && size > bytes {
                break;
            }
            left -= 1;
            self.send_of_many(&message, request.no_hdr, left, last);
            last = seq;
            bytes = bytes.saturating_sub(size);
        }
        self.end_of_batch(left, last, Some(up_to));
        Ok(Ok(()))
    }

    fn lasts_now(&mut self, filters: &[Filter]) -> Result<Vec<u64>, LogError> {
        let mut seqs = Vec::new();
        for filter in filters {
            for (subject, _) in self.log.subjects(filter).iter().filter(|(subject, _)| sees(self.asker, subject)) {
                seqs.extend(self.log.last_of(subject)?);
            }
        }
        seqs.sort_unstable();
        seqs.dedup();
        Ok(seqs)
    }

    fn lasts_then(&mut self, filters: &[Filter], up_to: u64) -> Result<Vec<u64>, LogError> {
        let (mut lasts, mut at) = (BTreeMap::new(), 1);
        while let Found::Message(message) = self.log.next(filters, at)? {
            at = message.seq() + 1;
            if message.seq() > up_to {
                break;
            }
            if sees(self.asker, message.subject()) {
                lasts.insert(message.subject().to_vec(), message.seq());
            }
        }
        let mut seqs: Vec<u64> = lasts.into_values().collect();
        seqs.sort_unstable();
        Ok(seqs)
    }
}

fn max_bytes(request: &MessageGet) -> u64 {
    u64::try_from(request.max_bytes).unwrap_or_default()
}
