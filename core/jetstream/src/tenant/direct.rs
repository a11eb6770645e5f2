//! Direct reads: messages as messages, not as JSON.

use super::messages::{find, is_subject, wanted};
use super::part_read::{Course, PartRead};
use super::reading::sees;
use super::{Surroundings, Tenant};
use crate::asker::Asker;
use crate::log::{Found, Log, LogError, Shelves, Stored};
use crate::outbox::status;
use crate::stream::{Incoming, Stream};
use api::requests::MessageGet;
use api::{API_LEVEL, Call, CallKind, Name, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use subject::Filter;
use wire::headers::Headers;

/// Subjects one request may ask the last messages of.
const MAX_SUBJECTS: usize = 1024;
/// Messages of one batch.
const MAX_BATCH: u64 = 1_000_000;

/// Reads of an account that are on their way at the same time.
const MAX_READS: usize = 1024;
/// Bytes that the reads of an account send in one round.
const ROUND_BYTES: usize = 4 * 1024 * 1024;

/// A refusal, as its status line.
struct Refused(&'static str);

const STORE_FAILED: Refused = Refused("500 the store failed");

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
        let begun = read_request(call, message).and_then(|mut request| {
            if request.max_bytes <= 0 {
                request.max_bytes = most;
            }
            let (name, asker) = (stream.name.clone(), around.asker);
            let serve = Serve { name, log: &mut stream.log, reply, asker };
            serve.begin(&request).unwrap_or(Err(STORE_FAILED))
        });
        if let Err(Refused(line)) = begun.and_then(|read| self.read_on(read, around)) {
            around.out.say(reply, status(line, &[]), Vec::new());
        }
    }

    /// Sends a part of what was asked for. What is left of it waits for the next round.
    fn read_on(&mut self, mut read: PartRead, around: &mut Surroundings<'_, S>) -> Result<(), Refused> {
        // Whoever asked for a stream that is gone by now hears no more of it.
        let Some(stream) = self.streams.get_mut(&read.stream) else { return Ok(()) };
        match read.send_part(&mut stream.log, around.out) {
            Ok(true) => Ok(()),
            Ok(false) if self.reads.len() >= MAX_READS => Err(Refused("503 Too Many Requests")),
            Ok(false) => {
                self.reads.push_back(read);
                Ok(())
            }
            Err(_) => Err(STORE_FAILED),
        }
    }

    /// Goes on with reads that are on their way, as far as somebody still listens. Whether there is more to send.
    pub(super) fn continue_reads(&mut self, around: &mut Surroundings<'_, S>) -> bool {
        let before = around.out.bytes();
        for _ in 0..self.reads.len() {
            if around.out.bytes().saturating_sub(before) > ROUND_BYTES {
                break;
            }
            let Some(read) = self.reads.pop_front() else { break };
            if !around.interest.is_wanted(&read.reply) {
                continue;
            }
            let reply = read.reply.clone();
            if let Err(Refused(line)) = self.read_on(read, around) {
                around.out.say(&reply, status(line, &[]), Vec::new());
            }
        }
        !self.reads.is_empty()
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
    name: Name,
    log: &'a mut L,
    reply: &'a [u8],
    asker: Option<&'a Arc<dyn Asker>>,
}

type Begun = Result<Result<PartRead, Refused>, LogError>;

impl<L: Log> Serve<'_, L> {
    /// What is to be sent for a request.
    fn begin(mut self, request: &MessageGet) -> Begun {
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
            Some(message) => Ok(Ok(self.reading(request, Course::Only(message.seq()), 0, 1))),
            None => Ok(Err(Refused("404 Message Not Found"))),
        }
    }

    fn batch(&mut self, request: &MessageGet) -> Begun {
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
        let at = match request.start_time {
            Some(time) => self.log.seq_at(time)?,
            None => request.seq.max(1),
        };
        let left = self.log.count(&filters, at)?;
        let batch = (request.batch as u64).min(MAX_BATCH);
        Ok(Ok(self.reading(request, Course::On { filters, at }, left, batch)))
    }

    fn reading(&self, request: &MessageGet, course: Course, left: u64, batch: u64) -> PartRead {
        PartRead {
            stream: self.name.clone(),
            reply: self.reply.to_vec(),
            asker: self.asker.cloned(),
            no_headers: request.no_hdr,
            course,
            left,
            batch,
            bytes: u64::try_from(request.max_bytes).unwrap_or_default(),
            last: 0,
            sent: 0,
        }
    }

    /// The last message of each of many subjects, as of now or of an earlier moment.
    fn last_of_many(&mut self, request: &MessageGet) -> Begun {
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
        let batch = u64::try_from(request.batch).ok().filter(|&batch| batch > 0).unwrap_or(u64::MAX);
        let left = seqs.len() as u64;
        Ok(Ok(self.reading(request, Course::These { seqs: seqs.into_iter(), up_to }, left, batch)))
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
