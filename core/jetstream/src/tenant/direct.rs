//! Direct reads: messages as messages, not as JSON.

use super::messages::{find, is_subject, wanted};
use super::part_read::{Course, PartRead};
use super::reading::sees;
use super::{CROWD_A_UNIT, Surroundings, Tenant};
use crate::asker::Asker;
use crate::log::{Log, LogError, Shelves, Stored};
use crate::outbox::status;
use crate::search::{Lasts, LastsThen, Tally};
use crate::stream::{Incoming, Stream};
use crate::work::Work;
use api::requests::MessageGet;
use api::{API_LEVEL, Call, CallKind, Name, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use subject::Filter;
use wire::headers::Headers;

/// Subjects one request may ask the last messages of.
const MAX_SUBJECTS: usize = 1024;
/// Filters one request may ask them by.
const MAX_FILTERS: usize = 10_000;
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
    /// Whether it is done with.
    pub(super) fn direct_get(
        &mut self,
        call: &Call<'_>,
        message: &Incoming<'_>,
        reply: &[u8],
        around: &mut Surroundings<'_, S>,
    ) -> bool {
        let most = i64::try_from(self.settings.max_batch_bytes).unwrap_or(i64::MAX);
        let Some(name) = self.answering(call.stream) else {
            Self::nobody_there(message, reply, around);
            return true;
        };
        let known = self.work.progress().read.take();
        let begun = match known.map_or_else(|| read_request(call, message, most).map(Box::new), Ok) {
            Ok(request) => {
                let Some(stream) = self.streams.get_mut(&name) else { return true };
                let serve = Serve { name, log: &mut stream.log, reply, asker: around.asker, work: &mut self.work };
                let begun = serve.begin(&request);
                self.work.spend(stream.log.take_toll());
                if !self.streams.contains_key(call.stream) {
                    self.work.spend(self.streams.len() as u64 / CROWD_A_UNIT);
                }
                match begun {
                    Err(LogError::Unfinished) => {
                        self.work.progress().read = Some(request);
                        return false;
                    }
                    Err(LogError::Failed(_)) => Err(STORE_FAILED),
                    Ok(begun) => begun,
                }
            }
            Err(refused) => Err(refused),
        };
        if let Err(Refused(line)) = begun.and_then(|read| self.read_on(read, around)) {
            around.out.say(reply, status(line, &[]), Vec::new());
        }
        true
    }

    /// Sends a part of what was asked for. What is left of it waits for the next round.
    fn read_on(&mut self, mut read: PartRead, around: &mut Surroundings<'_, S>) -> Result<(), Refused> {
        // Whoever asked for a stream that is gone by now hears no more of it.
        let Some(stream) = self.streams.get_mut(&read.stream) else { return Ok(()) };
        let sent = read.send_part(&mut stream.log, &mut self.work, around.out);
        self.work.spend(stream.log.take_toll());
        match sent {
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
            if around.out.bytes().saturating_sub(before) > ROUND_BYTES || self.work.is_over() {
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
    fn answering(&self, name: &str) -> Option<Name> {
        match self.streams.get(name).map(|stream| (&stream.name, stream.config.allow_direct)) {
            Some((name, true)) => return Some(name.clone()),
            Some((_, false)) => return None,
            None => {}
        }
        let mirrors = |stream: &&Stream<S::Log>| {
            let of = stream.config.mirror.as_ref().filter(|mirror| mirror.name == name);
            of.is_some() && stream.config.mirror_direct && stream.copies.iter().any(|copying| copying.has_met())
        };
        self.streams.values().find(mirrors).map(|stream| stream.name.clone())
    }
}

/// A direct read, as it is understood.
pub(crate) struct Read {
    request: MessageGet,
    /// Of what subjects the last messages are wanted, if of many; `None` if they are none.
    lasts: Option<Vec<Filter>>,
}

/// Reads a request. One that sets no bound may have so many bytes.
fn read_request(call: &Call<'_>, message: &Incoming<'_>, most: i64) -> Result<Read, Refused> {
    let mut request = parse_request(call, message)?;
    if request.max_bytes <= 0 {
        request.max_bytes = most;
    }
    if request.multi_last.len() > MAX_FILTERS {
        return Err(Refused("413 Too Many Results"));
    }
    let parse = |text: String| Filter::parse(text.as_bytes()).ok();
    // Each subject is met once, however often it is asked for.
    let lasts: Option<BTreeSet<Filter>> = std::mem::take(&mut request.multi_last).into_iter().map(parse).collect();
    Ok(Read { request, lasts: lasts.map(|lasts| lasts.into_iter().collect()) })
}

fn parse_request(call: &Call<'_>, message: &Incoming<'_>) -> Result<MessageGet, Refused> {
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
    work: &'a mut Work,
}

type Begun = Result<Result<PartRead, Refused>, LogError>;

impl<L: Log> Serve<'_, L> {
    /// What is to be sent for a request.
    fn begin(mut self, Read { request, lasts }: &Read) -> Begun {
        match lasts.as_deref() {
            Some([]) => {}
            Some(filters) => return self.last_of_many(request, filters),
            None => return Ok(Err(Refused("408 Bad Request"))),
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
        match find(self.log, &wanted, self.work)?.filter(|message| sees(self.asker, message.subject())) {
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
        let mut tally = self.work.progress().tally.unwrap_or_else(|| Tally::from(at, (&filters, &[]), self.log));
        let left = tally.go_on((&filters, &[]), self.log, self.work);
        self.work.progress().tally = Some(tally);
        let left = left?;
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
            is_paused: false,
        }
    }

    /// The last message of each of many subjects, as of now or of an earlier moment.
    fn last_of_many(&mut self, request: &MessageGet, filters: &[Filter]) -> Begun {
        let is_odd = request.seq > 0 && request.start_time.is_some()
            || !request.last_by_subj.is_empty()
            || !request.next_by_subj.is_empty()
            || (request.up_to_seq > 0 && request.up_to_time.is_some());
        if is_odd {
            return Ok(Err(Refused("408 Bad Request")));
        }
        let up_to = match (request.up_to_seq, request.up_to_time) {
            (0, None) => self.log.readable(),
            (0, Some(time)) => self.log.seq_at(time)?.saturating_sub(1),
            (seq, _) => seq.min(self.log.readable()),
        };
        let from = request.seq;
        let seqs = match up_to == self.log.readable() {
            true => self.lasts_now(filters, from)?,
            false => self.lasts_then(filters, from, up_to)?,
        };
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

    /// In order; more than there may be, if there are more.
    fn lasts_now(&mut self, filters: &[Filter], from: u64) -> Result<Vec<u64>, LogError> {
        let (asker, progress) = (self.asker, self.work.progress());
        let mut lasts = progress.lasts.take().unwrap_or_else(|| Lasts::new(from, MAX_SUBJECTS));
        let outcome = lasts.go_on(filters, self.log, &|subject| sees(asker, subject), self.work);
        let seqs = outcome.map(|()| lasts.found.iter().copied().collect());
        self.work.progress().lasts = Some(lasts);
        seqs
    }

    fn lasts_then(&mut self, filters: &[Filter], from: u64, up_to: u64) -> Result<Vec<u64>, LogError> {
        let (asker, progress) = (self.asker, self.work.progress());
        let mut lasts = progress.lasts_then.take().unwrap_or_else(|| LastsThen::new(from, MAX_SUBJECTS));
        let outcome = lasts.go_on(filters, up_to, self.log, &|subject| sees(asker, subject), self.work);
        let seqs = outcome.map(|()| {
            let mut seqs: Vec<u64> = lasts.found.values().copied().collect();
            seqs.sort_unstable();
            seqs
        });
        self.work.progress().lasts_then = Some(lasts);
        seqs
    }
}
