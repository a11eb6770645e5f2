//! Calls about consumers.

use super::calls::{Answer, Body, Failed, INFOS_PAGE, NAMES_PAGE, Outcome, keep_metadata, page, show_metadata};
use super::{CROWD_A_UNIT, Surroundings, Tenant, kept, reading};
use crate::consumer::{Consumer, Unpinned};
use crate::consumer_config as check;
use crate::log::{LogError, Shelves};
use crate::outbox::{After, Effect, Now};
use crate::stream::{Incoming, Stream, with_header};
use api::advisories::{ConsumerAct, Event};
use api::errors::*;
use api::requests::{ConsumerPause, ConsumerReset, ConsumerUnpin, ConsumersPage, Next};
use api::responses::{
    ConsumerInfo, ConsumerWasReset, Consumers, Nothing, Page, Paused, Success, WasReset, answer, failure,
};
use api::{ApiError, Call, CallKind, ConsumerAction, ConsumerConfig, ConsumerRequest, Name, Retention};
use subject::Filter;

/// What is told of one consumer in a list costs so many units.
const INFO_UNITS: u64 = 16;

impl<S: Shelves> Tenant<S> {
    pub(super) fn create_consumer(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        if let Some(making) = self.work.progress().making.take() {
            return self.finish_consumer(call.stream, making, around);
        }
        let request = ConsumerRequest::read(&body.value()?, self.settings.mode)?;
        if request.stream_name != call.stream {
            return Err(STREAM_MISMATCH.into());
        }
        // Who says nothing gets the consumer that nothing stands for.
        let mut config = request.config.unwrap_or_default();
        let name = self.name_of(call, &mut config)?;
        let max_batch = self.settings.max_request_batch;
        let stream = self.streams.get_mut(call.stream).ok_or(STREAM_NOT_FOUND)?;
        let limits = self.settings.limits.of(stream.config.num_replicas).ok_or(NO_LIMITS)?;
        let limit = self.settings.max_ack_pending(limits);
        check::set_defaults(&mut config, &stream.config, limit, request.pedantic)?;
        check::bound_batch(&mut config, max_batch)?;
        let level = check::required_level(&config);
        keep_metadata(&mut config.metadata, level);
        let filters = check::check(&config, &stream.config, &stream.rules.subjects, limit)?;
        let identity = stream.identity();
        let wanted = body.header("Nats-Stream-Identity").filter(|wanted| !wanted.is_empty() && *wanted != identity);
        if wanted.is_some() {
            return Err(CONSUMER_STREAM_IDENTITY_MISMATCH.with(identity).into());
        }
        stream.may_receive(&filters, around.asker)?;
        let before = stream
            .consumers
            .get(&name)
            .map(|existing| (&existing.config.deliver_subject, &existing.config.deliver_group));
        if before != Some((&config.deliver_subject, &config.deliver_group)) {
            reading::may_deliver(&config.deliver_subject, &config.deliver_group, around.asker)?;
        }
        match (stream.consumers.get(&name), request.action) {
            (None, ConsumerAction::Update) => Err(CONSUMER_DOES_NOT_EXIST.into()),
            (None, _) => self.add_consumer(call.stream, name, config, filters, around),
            (Some(existing), ConsumerAction::Create) if existing.config != config => {
                Err(CONSUMER_ALREADY_EXISTS.into())
            }
            (Some(_), _) => self.change_consumer(call.stream, name, config, filters, around),
        }
    }

    /// The consumer's name, from the subject, the configuration, or chance.
    fn name_of(&mut self, call: &Call<'_>, config: &mut ConsumerConfig) -> Result<Name, ApiError> {
        if call.row.kind == CallKind::ConsumerDurableCreate {
            if config.durable_name.is_empty() {
                return Err(CONSUMER_DURABLE_NAME_NOT_SET.into());
            }
            if config.durable_name != call.consumer {
                return Err(CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT.into());
            }
        } else if call.consumer.is_empty() {
            if !config.durable_name.is_empty() {
                return Err(CONSUMER_EPHEMERAL_WITH_DURABLE_NAME.into());
            }
        } else {
            if !config.durable_name.is_empty() && config.durable_name != call.consumer {
                return Err(CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT.into());
            }
            check_filter_token(call.rest, config)?;
        }
        if !call.consumer.is_empty() {
            config.name = call.consumer.to_owned();
        }
        if config.name.is_empty() {
            let word = crate::random_word(self.chance.roll(), 8);
            return check::check_name(&word);
        }
        check::check_name(&config.name)
    }

    fn add_consumer(
        &mut self,
        stream_name: &str,
        name: Name,
        config: ConsumerConfig,
        filters: Vec<Filter>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        let default_max = self.settings.default_max_consumers;
        let stream = self.streams.get_mut(stream_name).ok_or(STREAM_NOT_FOUND)?;
        let account_max = self.settings.limits.of(stream.config.num_replicas).ok_or(NO_LIMITS)?.max_consumers;
        check_count(stream, default_max, account_max)?;
        check_unique(stream, &name, &filters)?;
        let mut consumer = Consumer::new(name, config, filters, around.now.wall, around.now);
        consumer.bind(reading::reading_of(around.asker));
        self.finish_consumer(stream_name, Box::new(consumer), around)
    }

    /// Brings a consumer to its place, and puts it among the others.
    fn finish_consumer(
        &mut self,
        stream_name: &str,
        mut consumer: Box<Consumer>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        let (stream, work) = (self.streams.get_mut(stream_name).ok_or(STREAM_NOT_FOUND)?, &mut self.work);
        if let Err(error) = consumer.left(&mut stream.log, around.now, work) {
            work.progress().making = Some(consumer);
            return Err(error.into());
        }
        consumer.see_interest(stream_name, around.now, around.interest, around.out);
        let name = consumer.name.clone();
        stream.consumers.insert(name.clone(), *consumer);
        stream.has_news = true;
        let (stream, consumer) = (stream_name.to_owned(), name.to_string());
        self.advise(&Event::Consumer { stream, consumer, action: ConsumerAct::Create }, around);
        self.keep_consumer(stream_name, &name, around)?;
        self.consumer_answer(stream_name, &name, around)
    }

    fn change_consumer(
        &mut self,
        stream_name: &str,
        name: Name,
        config: ConsumerConfig,
        filters: Vec<Filter>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        let stream = self.streams.get_mut(stream_name).ok_or(STREAM_NOT_FOUND)?;
        let old = stream.consumers.get(&name).ok_or(CONSUMER_NOT_FOUND)?;
        check::check_update(&old.config, &config)?;
        let moves = old.config.deliver_subject != config.deliver_subject;
        if moves && around.interest.is_wanted(old.config.deliver_subject.as_bytes()) {
            return Err(CONSUMER_NAME_EXIST.into());
        }
        if old.config != config {
            check_unique(stream, &name, &filters)?;
            if let Some(consumer) = stream.consumers.get_mut(&name) {
                around.out.extend(consumer.awaited(stream_name).map(Effect::Forget));
                consumer.reconfigure(config, filters, around.now);
                // What bound it binds it until somebody who is bound himself changes it.
                let reading = reading::reading_of(around.asker);
                consumer.bind(reading.or_else(|| consumer.reading.clone()));
            }
            stream.has_news = true;
            self.keep_consumer(stream_name, &name, around)?;
        }
        self.consumer_answer(stream_name, &name, around)
    }

    fn keep_consumer(&mut self, stream: &str, name: &Name, around: &mut Surroundings<'_, S>) -> Result<(), LogError> {
        let account = &self.settings.account;
        let Some(consumer) = self.streams.get_mut(stream).and_then(|stream| stream.consumers.get_mut(name)) else {
            return Ok(());
        };
        if consumer.is_kept() {
            let key = kept::consumer_key(account, stream, name.as_str());
            around.shelves.put(&key, &kept::consumer_value(consumer))?;
            let key = kept::state_key(account, stream, name.as_str());
            around.shelves.put(&key, &consumer.encode_state())?;
            consumer.is_dirty = false;
        }
        Ok(())
    }

    fn consumer_answer(&mut self, stream_name: &str, name: &Name, around: &mut Surroundings<'_, S>) -> Outcome {
        let info = self.told_consumer(stream_name, name.as_str(), around.now)?;
        let is_sourcing = info.config.as_ref().is_some_and(|config| config.sourcing);
        let answer = Answer::durable(answer("consumer_create", info))?;
        let stream = self.streams.get(stream_name).filter(|_| is_sourcing);
        // Who copies the stream finds out by this whether it is still the same.
        let identity = stream.map(|stream| with_header(b"", "Nats-Stream-Identity", stream.identity().as_bytes()));
        Ok(Answer { headers: identity.unwrap_or_default(), ..answer })
    }

    /// A consumer, told as to whoever asks for it alone.
    fn told_consumer(&mut self, stream: &str, name: &str, now: Now) -> Result<ConsumerInfo, Failed> {
        let version = self.settings.version.clone();
        let stream = self.streams.get_mut(stream).ok_or(STREAM_NOT_FOUND)?;
        let consumer = stream.consumers.get_mut(name).ok_or(CONSUMER_NOT_FOUND)?;
        let mut info = consumer.info(stream.name.as_str(), &mut stream.log, now, &mut self.work)?;
        if let Some(config) = &mut info.config {
            show_metadata(&mut config.metadata, &version);
        }
        Ok(info)
    }

    pub(super) fn consumer_names(&mut self, call: &Call<'_>, body: &Body<'_>) -> Outcome {
        let request = ConsumersPage::read(&body.value()?, self.settings.mode)?;
        let stream = self.streams.get(call.stream).ok_or_else(|| no_consumers("consumer_names"))?;
        self.work.spend(stream.consumers.len() as u64 / CROWD_A_UNIT);
        let names: Vec<String> = stream.consumers.keys().map(Name::to_string).collect();
        let (page, consumers) = page(names, request.offset, NAMES_PAGE);
        Answer::now(answer("consumer_names", Consumers { page, consumers }))
    }

    pub(super) fn consumer_list(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        let request = ConsumersPage::read(&body.value()?, self.settings.mode)?;
        let stream = self.streams.get_mut(call.stream).ok_or_else(|| no_consumers("consumer_list"))?;
        let names: Vec<Name> = stream.consumers.keys().cloned().collect();
        let (page, names) = page(names, request.offset, INFOS_PAGE);
        let mut consumers = Vec::with_capacity(names.len());
        // What one turn is not enough for is known in the next.
        let mut counted = Ok(0);
        for name in &names {
            if let Some(consumer) = stream.consumers.get_mut(name).filter(|_| counted.is_ok()) {
                counted = consumer.left(&mut stream.log, around.now, &mut self.work);
            }
        }
        self.work.spend(stream.consumers.len() as u64 / CROWD_A_UNIT);
        counted?;
        for name in names {
            self.work.spend(INFO_UNITS);
            if let Some(consumer) = stream.consumers.get_mut(&name) {
                let told = consumer.info(stream.name.as_str(), &mut stream.log, around.now, &mut self.work)?;
                consumers.push(told);
            }
        }
        Answer::now(answer("consumer_list", Consumers { page, consumers }))
    }

    pub(super) fn consumer_info(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        body.must_be_empty()?;
        let info = self.told_consumer(call.stream, call.consumer, around.now)?;
        Answer::now(answer("consumer_info", info))
    }

    pub(super) fn delete_consumer(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        body.must_be_empty()?;
        let stream = self.streams.get(call.stream).ok_or(STREAM_NOT_FOUND)?;
        let name =
            stream.consumers.get_key_value(call.consumer).map(|(name, _)| name.clone()).ok_or(CONSUMER_NOT_FOUND)?;
        let stream = stream.name.clone();
        self.remove_consumer(&stream, &name, around)?;
        Answer::durable(answer("consumer_delete", Success { success: true }))
    }

    /// Removes a consumer, and with interest retention the messages that only it needed.
    pub(super) fn remove_consumer(
        &mut self,
        stream: &Name,
        name: &Name,
        around: &mut Surroundings<'_, S>,
    ) -> Result<(), LogError> {
        if let Some(stream) = self.streams.get_mut(stream)
            && let Some(mut gone) = stream.consumers.remove(name)
        {
            gone.say_goodbye(stream.name.as_str(), around.out);
            stream.settle_all();
            stream.leaving.extend(stream.has_chores().then(|| name.clone()));
        }
        self.note_chores(stream.as_str());
        let is_put_off = self.streams.get(stream).is_some_and(|stream| stream.leaving.contains(name));
        let (in_stream, consumer) = (stream.to_string(), name.to_string());
        self.advise(&Event::Consumer { stream: in_stream, consumer, action: ConsumerAct::Delete }, around);
        if is_put_off { Ok(()) } else { self.forget_consumer(stream.as_str(), name, around) }
    }

    pub(super) fn forget_consumer(
        &mut self,
        stream: &str,
        name: &Name,
        around: &mut Surroundings<'_, S>,
    ) -> Result<(), LogError> {
        let account = &self.settings.account;
        around.shelves.remove(&kept::consumer_key(account, stream, name.as_str()))?;
        around.shelves.remove(&kept::state_key(account, stream, name.as_str()))
    }

    pub(super) fn pause_consumer(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        let outcome = self.pause_or(call, body, around);
        outcome.map_err(|failed| failed.telling(|error| failure("consumer_pause", error, Paused::default())))
    }

    fn pause_or(&mut self, call: &Call<'_>, body: &Body<'_>, around: &mut Surroundings<'_, S>) -> Outcome {
        let request = ConsumerPause::read(&body.value()?, self.settings.mode)?;
        let stream = self.streams.get_mut(call.stream).ok_or(STREAM_NOT_FOUND)?;
        let stream_name = stream.name.clone();
        let consumer = stream.consumers.get_mut(call.consumer).ok_or(CONSUMER_NOT_FOUND)?;
        consumer.config.pause_until = request.pause_until;
        let level = check::required_level(&consumer.config);
        keep_metadata(&mut consumer.config.metadata, level);
        let until = request.pause_until.filter(|until| *until > around.now.wall);
        let remaining = until.map_or(0, |until| until.since(around.now.wall).as_nanos());
        let paused = Paused {
            paused: until.is_some(),
            pause_until: request.pause_until,
            pause_remaining: i64::try_from(remaining).unwrap_or(i64::MAX),
        };
        let name = consumer.name.clone();
        stream.has_news = true;
        self.keep_consumer(stream_name.as_str(), &name, around)?;
        let (stream, consumer) = (stream_name.to_string(), name.to_string());
        let (is_paused, pause_until) = (paused.paused, paused.pause_until);
        self.advise(&Event::Paused { stream, consumer, paused: is_paused, pause_until }, around);
        Answer::durable(answer("consumer_pause", paused))
    }

    pub(super) fn reset_consumer(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        let outcome = self.reset_or(call, body, around);
        let nothing = || WasReset { reset_seq: 0 };
        outcome.map_err(|failed| failed.telling(|error| failure("consumer_reset", error, nothing())))
    }

    fn reset_or(&mut self, call: &Call<'_>, body: &Body<'_>, around: &mut Surroundings<'_, S>) -> Outcome {
        // Without a body it goes back behind what is acknowledged.
        let seq = match body.is_empty() {
            true => 0,
            false => ConsumerReset::read(&body.value()?, self.settings.mode)?.seq,
        };
        let stream = self.streams.get_mut(call.stream).ok_or(STREAM_NOT_FOUND)?;
        let identity = body.header("Nats-Stream-Identity").map(|_| stream.identity());
        let stream_name = stream.name.clone();
        let consumer = stream.consumers.get_mut(call.consumer).ok_or(CONSUMER_NOT_FOUND)?;
        let name = consumer.name.clone();
        let reset_seq = match self.work.progress().at {
            Some(seq) => seq,
            None => {
                let outcome = consumer.reset(seq, &mut stream.log)?;
                let reset_seq = outcome.map_err(|why| CONSUMER_INVALID_RESET.with(why))?;
                stream.has_news = true;
                self.keep_consumer(stream_name.as_str(), &name, around)?;
                self.work.progress().at = Some(reset_seq);
                reset_seq
            }
        };
        let info = self.told_consumer(call.stream, call.consumer, around.now)?;
        let answer = Answer::durable(answer("consumer_reset", ConsumerWasReset { info, reset_seq }))?;
        Ok(match identity {
            Some(identity) => {
                Answer { headers: with_header(b"", "Nats-Stream-Identity", identity.as_bytes()), ..answer }
            }
            None => answer,
        })
    }

    pub(super) fn unpin_consumer(&mut self, call: &Call<'_>, body: &Body<'_>) -> Outcome {
        if body.is_empty() {
            return Err(INVALID_JSON.with("unexpected end of JSON input").into());
        }
        let request = ConsumerUnpin::read(&body.value()?, self.settings.mode)?;
        if request.group.is_empty() {
            return Err(INVALID_JSON.with("consumer group not specified").into());
        }
        check::check_group(&request.group)?;
        let stream = self.streams.get_mut(call.stream).ok_or(STREAM_NOT_FOUND)?;
        let consumer = stream.consumers.get_mut(call.consumer).ok_or(CONSUMER_NOT_FOUND)?;
        if !consumer.config.priority_groups.contains(&request.group) {
            return Err(CONSUMER_INVALID_PRIORITY_GROUP.into());
        }
        consumer.unpin(&request.group, Unpinned::Admin);
        stream.has_news = true;
        Answer::now(answer("consumer_unpin", Nothing {}))
    }

    /// A pull request. Whether it is done with.
    pub(super) fn next(
        &mut self,
        call: &Call<'_>,
        message: &Incoming<'_>,
        reply: &[u8],
        around: &mut Surroundings<'_, S>,
    ) -> bool {
        let Some(stream) = self.streams.get_mut(call.stream) else {
            Self::nobody_there(message, reply, around);
            return true;
        };
        let Some(consumer) = stream.consumers.get_mut(call.consumer) else {
            Self::nobody_there(message, reply, around);
            return true;
        };
        let request = match Next::parse(message.payload) {
            Ok(request) => request,
            Err(_) if message.payload.trim_ascii().first() != Some(&b'{') => Next { batch: 1, ..Next::default() },
            Err(fault) => {
                let text = ApiError::from(fault).description.replacen("invalid JSON: ", "", 1);
                let line = format!("400 Bad Request - {text}");
                around.out.say(reply, crate::outbox::status(&line, &[]), Vec::new());
                return true;
            }
        };
        let by = match reading::may_pull(consumer, &stream.rules.subjects, around.asker) {
            Ok(by) => by,
            Err(status) => {
                around.out.say(reply, status, Vec::new());
                return true;
            }
        };
        let (log, work) = (&mut stream.log, &mut self.work);
        let asked = consumer.ask((&request, reply, by), log, around.now, work, around.out);
        stream.has_news = true;
        match asked {
            Ok(()) => {}
            Err(LogError::Unfinished) => return false,
            Err(LogError::Failed(_)) => {
                let failed = crate::outbox::status("500 the store failed", &[]);
                around.out.answer(reply, failed, Vec::new(), After::Nothing, None);
            }
        }
        true
    }
}

fn no_consumers(word: &str) -> Failed {
    let error = ApiError::from(STREAM_NOT_FOUND);
    let body = failure(word, &error, Consumers::<String> { page: Page::default(), consumers: Vec::new() });
    Failed::Refused { error, body: Some(body) }
}

/// A filter in the subject must be the one in the configuration: permissions are given by subject.
fn check_filter_token(token: &str, config: &ConsumerConfig) -> Result<(), ApiError> {
    if token.is_empty() {
        return Ok(());
    }
    if !config.filter_subjects.is_empty() {
        return Err(CONSUMER_MULTIPLE_FILTERS_NOT_ALLOWED.into());
    }
    match config.filter_subject == token {
        true => Ok(()),
        false => Err(CONSUMER_CREATE_FILTER_SUBJECT_MISMATCH.into()),
    }
}

fn check_count<L>(stream: &Stream<L>, default_max: i64, account_max: i64) -> Result<(), ApiError> {
    let own = match stream.config.max_consumers {
        limit if limit > 0 => limit,
        _ => default_max,
    };
    let count = stream.consumers.len() as i64;
    let is_full = |limit: i64| limit > 0 && count >= limit;
    if is_full(own) || is_full(account_max) { Err(MAXIMUM_CONSUMERS_LIMIT.into()) } else { Ok(()) }
}

fn check_unique<L>(stream: &Stream<L>, name: &Name, filters: &[Filter]) -> Result<(), ApiError> {
    if stream.config.retention != Retention::WorkQueue {
        return Ok(());
    }
    let others = stream.consumers.values().filter(|other| other.name != *name);
    check::check_unique(filters, others.map(|other| other.filters.as_slice()))
}
