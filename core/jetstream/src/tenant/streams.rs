//! Calls about streams.

use super::calls::{Answer, Body, Failed, INFOS_PAGE, NAMES_PAGE, Outcome, keep_metadata, page, show_metadata};
use super::reading::sees;
use super::{CROWD_A_UNIT, Surroundings, Tenant, kept};
use crate::Consumer;
use crate::log::{Log, LogError, LogState, Shelves, Stored};
use crate::outbox::{Effect, Now};
use crate::stream::Stream;
use crate::stream_config::{self, StreamRules};
use crate::work::{MADE_UNITS, Work};
use api::advisories::{Event, StreamAction};
use api::errors::*;
use api::requests::{Purge, StreamInfo as InfoRequest, StreamsPage};
use api::responses::{
    Cluster, Lost, Page, Purged, StreamCreated, StreamInfo, StreamInfoPage, StreamState, Streams, Success, answer,
    failure, stream_info_with,
};
use api::{ApiError, Call, Name, StreamConfig, StreamRequest};
use std::collections::BTreeSet;
use subject::Filter;

/// Comparisons of subjects of a stream that was restored with those of others, which were compared when that began.
const RECOMPARED: u64 = 1_000_000;
/// What is told of one stream in a list costs so many units.
const INFO_UNITS: u64 = 16;
/// Subjects on one page of a stream's info.
const SUBJECTS_PAGE: usize = 100_000;
/// Deleted sequences that an info lists at most.
const MAX_DELETED_LISTED: usize = 1_000_000;

impl<S: Shelves> Tenant<S> {
    fn read_stream_request(&self, call: &Call<'_>, body: &Body<'_>) -> Result<StreamRequest, Failed> {
        let request = StreamRequest::read(&body.value()?, self.settings.mode)?;
        if request.config.name != call.stream {
            return Err(STREAM_MISMATCH.into());
        }
        Ok(request)
    }

    pub(super) fn create_stream(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        let (config, rules) = match self.work.progress().checked.take() {
            Some(checked) => *checked,
            None => {
                let request = self.read_stream_request(call, body)?;
                self.check(request)?
            }
        };
        if config.sealed {
            return Err(STREAM_INVALID_CONFIG.with("stream configuration for create can not be sealed").into());
        }
        let existing = self.streams.get(config.name.as_str());
        if let Some(existing) = existing {
            return match existing.config == config {
                true => self.created(&config.name, around.now),
                false => Err(STREAM_NAME_EXIST.into()),
            };
        }
        if let Err(failed) = self.check_overlap(&config.name, &rules) {
            self.work.progress().checked = Some(Box::new((config, rules)));
            return Err(failed);
        }
        self.check_account(&config, around.shelves)?;
        self.may_order(&config, None, around)?;
        self.add_stream(config, rules, around)
    }

    pub(super) fn check(&self, request: StreamRequest) -> Result<(StreamConfig, StreamRules), ApiError> {
        let StreamRequest { config, pedantic } = request;
        let find = |name: &str| self.streams.get(name).map(|stream| &stream.config).filter(|_| name != config.name);
        let max_window = self.settings.max_duplicate_window;
        let neighbours = stream_config::Neighbours { max_window, find: &find };
        let mut config = stream_config::check(config.clone(), pedantic, &neighbours)?;
        let level = stream_config::required_level(&config);
        keep_metadata(&mut config.metadata, level);
        let rules = stream_config::compile(&config)?;
        Ok((config, rules))
    }

    /// Whether no other stream takes anything of these subjects.
    pub(super) fn check_overlap(&mut self, name: &str, rules: &StreamRules) -> Result<(), Failed> {
        let compared = usize::try_from(self.work.progress().at.unwrap_or(0)).unwrap_or(usize::MAX);
        for (number, filter) in rules.subjects.iter().enumerate().skip(compared) {
            if self.work.is_over() {
                self.work.progress().at = Some(number as u64);
                return Err(Failed::Unfinished);
            }
            let mut overlaps = false;
            self.index.reverse_matches(filter, &mut |other: &Name| overlaps |= other.as_str() != name);
            if overlaps {
                return Err(STREAM_SUBJECT_OVERLAP.into());
            }
            self.work.spend(if filter.is_literal() { 1 } else { 1 + self.index.len() as u64 / CROWD_A_UNIT });
        }
        Ok(())
    }

    /// The same at once, for a stream that was compared before.
    pub(super) fn check_free(&mut self, name: &str, rules: &StreamRules) -> Result<(), ApiError> {
        let wild = rules.subjects.iter().filter(|filter| !filter.is_literal()).count() as u64;
        if wild.saturating_mul(self.index.len() as u64) > RECOMPARED {
            return Err(STREAM_INVALID_CONFIG.with("too many subjects to compare"));
        }
        let mut overlaps = false;
        let mut note = |other: &Name| overlaps |= other.as_str() != name;
        rules.subjects.iter().for_each(|filter| self.index.reverse_matches(filter, &mut note));
        if overlaps { Err(STREAM_SUBJECT_OVERLAP.into()) } else { Ok(()) }
    }

    /// Whether the account has room for one more stream like this.
    pub(super) fn check_account(&self, config: &StreamConfig, shelves: &S) -> Result<(), ApiError> {
        let limits = self.settings.limits.of(config.num_replicas).ok_or(NO_LIMITS)?;
        let own = self.streams.get(config.name.as_str());
        if own.is_none() && limits.max_streams > 0 && self.streams.len() as i64 >= limits.max_streams {
            return Err(MAXIMUM_STREAMS_LIMIT.into());
        }
        if limits.max_consumers > 0 && config.max_consumers > limits.max_consumers {
            return Err(MAXIMUM_CONSUMERS_LIMIT.into());
        }
        let on_disk = stream_config::is_on_disk(config);
        let (total, each) = match on_disk {
            true => (limits.max_storage, limits.storage_max_stream_bytes),
            false => (limits.max_memory, limits.memory_max_stream_bytes),
        };
        if config.max_bytes <= 0 && (limits.max_bytes_required || each > 0) {
            return Err(STREAM_MAX_BYTES_REQUIRED.into());
        }
        if each > 0 && config.max_bytes > each {
            return Err(STREAM_MAX_STREAM_BYTES_EXCEEDED.into());
        }
        let of_kind = self.streams.values().filter(|other| stream_config::is_on_disk(&other.config) == on_disk);
        let reserved: i64 = of_kind.map(|other| other.config.max_bytes.max(0)).sum();
        // A new stream without a bound needs room for something at least.
        let more = own.map_or(config.max_bytes.max(1), |own| config.max_bytes.max(0) - own.config.max_bytes.max(0));
        let exceeds_account = total >= 0 && reserved.saturating_add(more) > total;
        if more > 0 && (exceeds_account || more > shelves.reservable(on_disk)) {
            return Err(if on_disk { STORAGE_RESOURCES_EXCEEDED } else { MEMORY_RESOURCES_EXCEEDED }.into());
        }
        Ok(())
    }

    /// Bytes that a new stream of this kind may hold before the account is full.
    pub(super) fn room_for(&self, config: &StreamConfig) -> u64 {
        let on_disk = stream_config::is_on_disk(config);
        let Some(limits) = self.settings.limits.of(config.num_replicas) else { return 0 };
        let limit = if on_disk { limits.max_storage } else { limits.max_memory };
        let Ok(limit) = u64::try_from(limit) else { return u64::MAX };
        let others = self.streams.values().filter(|other| stream_config::is_on_disk(&other.config) == on_disk);
        limit.saturating_sub(others.map(|other| other.state().bytes).sum())
    }

    pub(super) fn make_log(
        &mut self,
        id: u64,
        config: &StreamConfig,
        around: &mut Surroundings<'_, S>,
    ) -> Result<S::Log, LogError> {
        if stream_config::is_on_disk(config) {
            self.work.spend(MADE_UNITS);
        }
        around.shelves.create(&self.settings.account, id, config)
    }

    fn add_stream(&mut self, config: StreamConfig, rules: StreamRules, around: &mut Surroundings<'_, S>) -> Outcome {
        let id = around.shelves.new_id()?;
        let log = self.make_log(id, &config, around)?;
        let name = config.name.clone();
        let stream = Stream::new(id, config, rules, around.now.wall, log, &self.settings);
        let key = kept::stream_key(&self.settings.account, &name);
        around.shelves.put(&key, &kept::stream_value(&stream))?;
        self.enlist(&stream, around.out);
        self.streams.insert(stream.name.clone(), stream);
        self.advise(&Event::Stream { stream: name.clone(), action: StreamAction::Create }, around);
        self.created(&name, around.now)
    }

    fn created(&mut self, name: &str, now: Now) -> Outcome {
        // As at the reference, whoever makes a stream is not told the domain.
        let info = StreamInfo { domain: String::new(), ..self.info(name, now)? };
        Answer::durable(answer("stream_create", StreamCreated { info, did_create: true }))
    }

    /// A stream, told as to whoever asks for it alone.
    pub(super) fn info(&mut self, name: &str, now: Now) -> Result<StreamInfo, Failed> {
        let version = self.settings.version.clone();
        let domain = self.settings.domain.clone();
        let stream = self.streams.get_mut(name).ok_or(STREAM_NOT_FOUND)?;
        let mut info = plain_info(stream, &domain, now)?;
        show_metadata(&mut info.config.metadata, &version);
        (info.mirror, info.sources) = self.origins(name, now);
        Ok(info)
    }

    pub(super) fn update_stream(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        let (new, rules) = match self.work.progress().checked.take() {
            Some(checked) => *checked,
            None => self.check_change(call, body)?,
        };
        if let Err(failed) = self.check_overlap(&new.name, &rules) {
            self.work.progress().checked = Some(Box::new((new, rules)));
            return Err(failed);
        }
        let Some(existing) = self.streams.get(call.stream) else { return Err(STREAM_NOT_FOUND.into()) };
        let old = existing.config.clone();
        self.check_account(&new, around.shelves)?;
        self.may_order(&new, Some(&old), around)?;
        self.change_stream(call.stream, new, rules, around)?;
        self.advise(&Event::Stream { stream: call.stream.to_owned(), action: StreamAction::Modify }, around);
        let info = self.info(call.stream, around.now)?;
        Answer::durable(answer("stream_update", info))
    }

    /// What a stream is to become, checked against what it is.
    fn check_change(&self, call: &Call<'_>, body: &Body<'_>) -> Result<(StreamConfig, StreamRules), Failed> {
        let request = StreamRequest::read(&body.value()?, self.settings.mode)?;
        stream_config::check_name(&request.config.name)?;
        if request.config.name != call.stream {
            return Err(STREAM_MISMATCH.into());
        }
        let Some(existing) = self.streams.get(call.stream) else { return Err(STREAM_NOT_FOUND.into()) };
        let (new, _) = self.check(request)?;
        let new = stream_config::check_update(&existing.config, new)?;
        check_consumers(existing.consumers.values(), &existing.config, &new)?;
        let rules = stream_config::compile(&new)?;
        Ok((new, rules))
    }

    fn change_stream(
        &mut self,
        name: &str,
        config: StreamConfig,
        rules: StreamRules,
        around: &mut Surroundings<'_, S>,
    ) -> Result<(), Failed> {
        let mut stream = self.streams.remove(name).ok_or(STREAM_NOT_FOUND)?;
        self.delist(&stream.name.clone(), &stream.rules.subjects, around.out);
        self.forget_copier(&stream.name);
        let changed = around.shelves.reconfigure(stream.id, &mut stream.log, &config);
        if changed.is_ok() {
            stream.reconfigure(config, rules, around.now);
        }
        let key = kept::stream_key(&self.settings.account, name);
        let kept = around.shelves.put(&key, &kept::stream_value(&stream));
        self.enlist(&stream, around.out);
        self.streams.insert(stream.name.clone(), stream);
        Ok(changed.and(kept)?)
    }

    pub(super) fn delete_stream(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        body.must_be_empty()?;
        self.remove_stream(call.stream, around)?;
        Answer::durable(answer("stream_delete", Success { success: true }))
    }

    /// Removes every stream, with its consumers. How many there were.
    pub fn remove_all(&mut self, around: &mut Surroundings<'_, S>) -> Result<usize, LogError> {
        let names: Vec<Name> = self.streams.keys().cloned().collect();
        for name in &names {
            let removed = self.remove_stream(name.as_str(), around);
            removed.map_err(|failed| LogError::Failed(failed.into_error().description))?;
        }
        Ok(names.len())
    }

    fn remove_stream(&mut self, name: &str, around: &mut Surroundings<'_, S>) -> Result<(), Failed> {
        let Some(mut stream) = self.streams.remove(name) else { return Err(STREAM_NOT_FOUND.into()) };
        let name = stream.name.clone();
        self.delist(&name, &stream.rules.subjects, around.out);
        around.out.extend(stream.heard().map(Effect::Deafen));
        self.forget_copier(&name);
        for (consumer, mut gone) in std::mem::take(&mut stream.consumers) {
            gone.say_goodbye(stream.name.as_str(), around.out);
            self.forget_consumer(name.as_str(), &consumer, around)?;
        }
        for consumer in std::mem::take(&mut stream.leaving) {
            self.forget_consumer(name.as_str(), &consumer, around)?;
        }
        around.shelves.remove(&kept::stream_key(&self.settings.account, name.as_str()))?;
        around.shelves.discard(stream.id, stream.log);
        self.advise(&Event::Stream { stream: name.to_string(), action: StreamAction::Delete }, around);
        Ok(())
    }

    pub(super) fn stream_names(&mut self, body: &Body<'_>) -> Outcome {
        let request = StreamsPage::read(&body.value()?, self.settings.mode)?;
        let names: Vec<String> = self.chosen(&request)?.into_iter().map(|name| name.to_string()).collect();
        let (page, streams) = page(names, request.offset, NAMES_PAGE);
        let streams = (!streams.is_empty()).then_some(streams);
        Answer::now(answer("stream_names", Streams { page, streams }))
    }

    pub(super) fn stream_list(&mut self, body: &Body<'_>, around: &mut Surroundings<'_, S>) -> Outcome {
        let request = StreamsPage::read(&body.value()?, self.settings.mode)?;
        let (page, names) = page(self.chosen(&request)?, request.offset, INFOS_PAGE);
        let domain = self.settings.domain.clone();
        let mut streams = Vec::with_capacity(names.len());
        for name in names {
            self.work.spend(INFO_UNITS);
            if let Some(stream) = self.streams.get_mut(&name) {
                let mut info = plain_info(stream, &domain, around.now)?;
                (info.mirror, info.sources) = self.origins(name.as_str(), around.now);
                streams.push(info);
            }
        }
        Answer::now(answer("stream_list", Streams { page, streams: Some(streams) }))
    }

    fn chosen(&mut self, request: &StreamsPage) -> Result<Vec<Name>, Failed> {
        self.work.spend(self.streams.len() as u64 / CROWD_A_UNIT);
        if request.subject.is_empty() {
            return Ok(self.streams.keys().cloned().collect());
        }
        // What no subject can be, no stream takes.
        let Ok(wanted) = Filter::parse(request.subject.as_bytes()) else { return Ok(Vec::new()) };
        self.work.spend(if wanted.is_literal() { 1 } else { self.index.len() as u64 / CROWD_A_UNIT });
        let mut overlapping = BTreeSet::new();
        self.index.reverse_matches(&wanted, &mut |name: &Name| {
            overlapping.insert(name.clone());
        });
        Ok(overlapping.into_iter().collect())
    }

    pub(super) fn stream_info(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        let outcome = self.stream_info_or(call, body, around);
        outcome.map_err(|failed| failed.telling(|error| failure("stream_info", error, Page::default())))
    }

    fn stream_info_or(&mut self, call: &Call<'_>, body: &Body<'_>, around: &mut Surroundings<'_, S>) -> Outcome {
        let request = InfoRequest::read(&body.value()?, self.settings.mode)?;
        let (stream, work) = (self.streams.get_mut(call.stream).ok_or(STREAM_NOT_FOUND)?, &mut self.work);
        let deleted = match request.deleted_details {
            true => list_deleted(&stream.log, work)?,
            false => Vec::new(),
        };
        let mut page = Page::default();
        let mut subjects = Vec::new();
        if !request.subjects_filter.is_empty()
            && stream.state().messages > 0
            && let Ok(filter) = Filter::parse(request.subjects_filter.as_bytes())
        {
            let offset = u64::try_from(request.offset).unwrap_or(0);
            let mut listing = work.progress().subjects.take().unwrap_or_default();
            let part = (offset, SUBJECTS_PAGE);
            let is_seen = |subject: &[u8]| sees(around.asker, subject);
            let listed = listing.go_on(std::slice::from_ref(&filter), part, &mut stream.log, &is_seen, work);
            if let Err(error) = listed {
                work.progress().subjects = Some(listing);
                return Err(error.into());
            }
            if listing.total > 0 {
                page = Page { total: listing.total, offset, limit: SUBJECTS_PAGE as u64 };
            }
            subjects = listing.page;
        }
        // Last, as what it takes is spent each time it is told.
        let mut info = self.info(call.stream, around.now)?;
        info.cluster = Some(Cluster { leader: self.settings.server_name.clone() });
        Answer::now(stream_info_with(StreamInfoPage { page, info }, &subjects, &deleted))
    }

    pub(super) fn purge_stream(&mut self, call: &Call<'_>, body: &Body<'_>, now: Now) -> Outcome {
        let outcome = self.purge_or(call, body, now);
        let nothing = Purged { success: false, purged: 0 };
        outcome.map_err(|failed| failed.telling(|error| failure("stream_purge", error, nothing)))
    }

    fn purge_or(&mut self, call: &Call<'_>, body: &Body<'_>, now: Now) -> Outcome {
        let request = Purge::read(&body.value()?, self.settings.mode)?;
        if request.seq > 0 && request.keep > 0 {
            return Err(BAD_REQUEST.into());
        }
        let stream = self.streams.get_mut(call.stream).ok_or(STREAM_NOT_FOUND)?;
        if stream.config.sealed {
            return Err(STREAM_SEALED.into());
        }
        if stream.config.deny_purge {
            return Err(STREAM_PURGE_FAILED.with("stream purge not permitted").into());
        }
        let purged = stream.purge(&request, now, &mut self.work)?;
        let body = answer("stream_purge", Purged { success: true, purged });
        Ok(Answer { headers: Vec::new(), body, after: crate::outbox::After::Log(stream.id) })
    }
}

/// Sequences of a stream that are gone, as JSON.
fn list_deleted<L: Log>(log: &L, work: &mut Work) -> Result<Vec<u8>, LogError> {
    let mut listed = std::mem::take(&mut work.progress().deleted);
    if !listed.is_over {
        let mut gone = Vec::new();
        let on = log.deleted(listed.at, MAX_DELETED_LISTED - listed.count, work, &mut gone);
        gone.iter().for_each(|seq| api::json::put_number(&mut listed.text, *seq));
        listed.count += gone.len();
        (listed.at, listed.is_over) = (on.unwrap_or(listed.at), on.is_none());
    }
    let told = if listed.is_over { Ok(listed.text.clone()) } else { Err(LogError::Unfinished) };
    // What comes behind it may not be done with.
    work.progress().deleted = listed;
    told
}

/// Whether the consumers that are there keep to new limits.
fn check_consumers<'a>(
    consumers: impl Iterator<Item = &'a Consumer>,
    old: &StreamConfig,
    new: &StreamConfig,
) -> Result<(), ApiError> {
    let (before, limits) = (old.consumer_limits, new.consumer_limits);
    let exceeds = |is: i64, limit: i64| limit > 0 && is > limit;
    let violates = |consumer: &&Consumer| {
        exceeds(consumer.config.inactive_threshold, limits.inactive_threshold)
            || exceeds(consumer.config.max_ack_pending, limits.max_ack_pending)
    };
    let names = |consumer: &Consumer| consumer.name.to_string();
    let violating: Vec<String> = match before == limits {
        true => Vec::new(),
        false => consumers.filter(violates).map(names).collect(),
    };
    if violating.is_empty() {
        return Ok(());
    }
    Err(STREAM_UPDATE.with(format!("change to limits violates consumers: {}", violating.join(", "))))
}

/// A stream, told as in a list.
pub(super) fn plain_info<L: Log>(stream: &mut Stream<L>, domain: &str, now: Now) -> Result<StreamInfo, LogError> {
    let state = stream.state();
    let first = match state.messages {
        0 => None,
        // The oldest may be staged only; then its time is that of the last, near enough.
        _ => stream.log.load(state.first_seq)?.map(|message| message.time()).or(state.last_time),
    };
    Ok(StreamInfo {
        config: stream.config.clone(),
        created: Some(stream.created),
        state: told(&state, first, (stream.consumers.len() + stream.copiers.len()) as u64),
        domain: domain.to_owned(),
        cluster: None,
        mirror: None,
        sources: Vec::new(),
        ts: Some(now.wall),
    })
}

fn told(state: &LogState, first: Option<moment::Timestamp>, consumers: u64) -> StreamState {
    let never_used = state.messages == 0 && state.last_seq == 0;
    let span = (state.last_seq + 1).saturating_sub(state.first_seq);
    StreamState {
        messages: state.messages,
        bytes: state.bytes,
        first_seq: if never_used { 0 } else { state.first_seq },
        first_ts: first,
        last_seq: state.last_seq,
        last_ts: state.last_time,
        num_subjects: state.subjects,
        num_deleted: span.saturating_sub(state.messages),
        lost: (state.lost_messages > 0).then(|| Lost { msgs: Vec::new(), bytes: state.lost_bytes }),
        consumer_count: consumers,
        ..StreamState::default()
    }
}
