//! Calls about streams.

use super::calls::{Answer, Body, Failed, INFOS_PAGE, NAMES_PAGE, Outcome, keep_metadata, page, show_metadata};
use super::reading::sees;
use super::{Surroundings, Tenant, kept};
use crate::Consumer;
use crate::log::Log;
use crate::log::{LogError, LogState, Shelves, Stored};
use crate::outbox::{Effect, Now};
use crate::stream::Stream;
use crate::stream_config::{self, StreamRules};
use api::advisories::{Event, StreamAction};
use api::errors::*;
use api::requests::{Purge, StreamInfo as InfoRequest, StreamsPage};
use api::responses::{
    Cluster, Lost, Page, Purged, StreamCreated, StreamInfo, StreamInfoPage, StreamState, Streams, Success, answer,
    failure,
};
use api::{ApiError, Call, Name, StreamConfig, StreamRequest};
use subject::Filter;

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
        let request = self.read_stream_request(call, body)?;
        let (config, rules) = self.check(request)?;
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
        self.check_overlap(&config.name, &rules)?;
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

    pub(super) fn check_overlap(&self, name: &str, rules: &StreamRules) -> Result<(), ApiError> {
        let others = self.streams.values().filter(|other| other.name.as_str() != name);
        match others.into_iter().any(|other| stream_config::overlap(&rules.subjects, &other.rules.subjects)) {
            true => Err(STREAM_SUBJECT_OVERLAP.into()),
            false => Ok(()),
        }
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

    fn add_stream(&mut self, config: StreamConfig, rules: StreamRules, around: &mut Surroundings<'_, S>) -> Outcome {
        let id = around.shelves.new_id()?;
        let log = around.shelves.create(&self.settings.account, id, &config)?;
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
        let info = self.info(name, now)?;
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
        let request = StreamRequest::read(&body.value()?, self.settings.mode)?;
        stream_config::check_name(&request.config.name)?;
        if request.config.name != call.stream {
            return Err(STREAM_MISMATCH.into());
        }
        let Some(existing) = self.streams.get(call.stream) else { return Err(STREAM_NOT_FOUND.into()) };
        let old = existing.config.clone();
        let (new, _) = self.check(request)?;
        let new = stream_config::check_update(&old, new)?;
        check_consumers(existing.consumers.values(), &old, &new)?;
        let rules = stream_config::compile(&new)?;
        self.check_overlap(&new.name, &rules)?;
        self.check_account(&new, around.shelves)?;
        self.may_order(&new, Some(&old), around)?;
        self.change_stream(call.stream, new, rules, around)?;
        self.advise(&Event::Stream { stream: call.stream.to_owned(), action: StreamAction::Modify }, around);
        let info = self.info(call.stream, around.now)?;
        Answer::durable(answer("stream_update", info))
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
        let changed = around
            .shelves
            .reconfigure(stream.id, &mut stream.log, &config)
            .and_then(|()| stream.reconfigure(config, rules, around.now));
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
            self.remove_stream(name.as_str(), around).map_err(|failed| LogError(failed.error.description))?;
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
            if let Some(stream) = self.streams.get_mut(&name) {
                let mut info = plain_info(stream, &domain, around.now)?;
                (info.mirror, info.sources) = self.origins(name.as_str(), around.now);
                streams.push(info);
            }
        }
        Answer::now(answer("stream_list", Streams { page, streams: Some(streams) }))
    }

    fn chosen(&self, request: &StreamsPage) -> Result<Vec<Name>, Failed> {
        if request.subject.is_empty() {
            return Ok(self.streams.keys().cloned().collect());
        }
        // What no subject can be, no stream takes.
        let Ok(wanted) = Filter::parse(request.subject.as_bytes()).map(|filter| [filter]) else {
            return Ok(Vec::new());
        };
        let overlapping = self.streams.values().filter(|s| stream_config::overlap(&wanted, &s.rules.subjects));
        Ok(overlapping.map(|stream| stream.name.clone()).collect())
    }

    pub(super) fn stream_info(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        self.stream_info_or(call, body, around).map_err(|failed| {
            let body = failure("stream_info", &failed.error, Page::default());
            Failed { body: Some(body), ..failed }
        })
    }

    fn stream_info_or(&mut self, call: &Call<'_>, body: &Body<'_>, around: &mut Surroundings<'_, S>) -> Outcome {
        let request = InfoRequest::read(&body.value()?, self.settings.mode)?;
        let mut info = self.info(call.stream, around.now)?;
        info.cluster = Some(Cluster { leader: self.settings.server_name.clone() });
        let stream = self.streams.get_mut(call.stream).ok_or(STREAM_NOT_FOUND)?;
        if request.deleted_details {
            info.state.deleted = stream.log.deleted(MAX_DELETED_LISTED);
        }
        let mut page = Page::default();
        if !request.subjects_filter.is_empty() && info.state.messages > 0 {
            let filter = Filter::parse(request.subjects_filter.as_bytes());
            let mut subjects = filter.map(|filter| stream.log.subjects(&filter)).unwrap_or_default();
            subjects.retain(|(subject, _)| sees(around.asker, subject));
            subjects.sort_unstable();
            if !subjects.is_empty() {
                let offset = u64::try_from(request.offset).unwrap_or(0);
                page = Page { total: subjects.len() as u64, offset, limit: SUBJECTS_PAGE as u64 };
            }
            let shown = subjects.into_iter().skip(page.offset as usize).take(SUBJECTS_PAGE);
            info.state.subjects =
                shown.map(|(subject, count)| (String::from_utf8_lossy(&subject).into_owned(), count)).collect();
        }
        Answer::now(answer("stream_info", StreamInfoPage { page, info }))
    }

    pub(super) fn purge_stream(&mut self, call: &Call<'_>, body: &Body<'_>) -> Outcome {
        self.purge_or(call, body).map_err(|failed| {
            let body = failure("stream_purge", &failed.error, Purged { success: false, purged: 0 });
            Failed { body: Some(body), ..failed }
        })
    }

    fn purge_or(&mut self, call: &Call<'_>, body: &Body<'_>) -> Outcome {
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
        let purged = stream.purge(&request)?;
        let body = answer("stream_purge", Purged { success: true, purged });
        Ok(Answer { headers: Vec::new(), body, after: crate::outbox::After::Log(stream.id) })
    }
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
