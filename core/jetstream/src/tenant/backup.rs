//! Calls that send a whole stream, or take one in.

use super::calls::{Answer, Body, Failed, Outcome};
use super::{Surroundings, Tenant, kept};
use crate::asker::Asker;
use crate::backup::consumer_state::Progress;
use crate::backup::restoring::Restoring;
use crate::backup::sending::Sending;
use crate::consumer::Consumer;
use crate::log::{LogError, MAX_FIRST_SEQUENCE, Shelves};
use crate::outbox::After;
use crate::stream::{Incoming, Stream};
use crate::stream_config;
use api::advisories::{Event, StreamAction};
use api::errors::*;
use api::requests::{Restore as RestoreRequest, Snapshot as SnapshotRequest};
use api::responses::{Nothing, Restore, Snapshot, answer, failure};
use api::{ApiError, Call, Name, StreamRequest};
use auth::Reading;
use moment::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;
use subject::Subject;

/// What the subjects of both begin with.
pub(super) const PREFIX: &str = "$JS.SNAPSHOT.";
/// Streams of one account that are sent at the same time, and that are taken in.
const MAX_SENDING: usize = 16;
const MAX_RESTORING: usize = 8;

/// Streams on their way.
pub(crate) struct Transfers<L> {
    sending: BTreeMap<String, Sending>,
    pub(super) restoring: BTreeMap<String, Restoring<L>>,
}

impl<L> Default for Transfers<L> {
    fn default() -> Self {
        Transfers { sending: BTreeMap::new(), restoring: BTreeMap::new() }
    }
}

impl<S: Shelves> Tenant<S> {
    pub(super) fn snapshot_stream(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        message: &Incoming<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        if body.must_be_empty().is_ok() {
            return Err(BAD_REQUEST.into());
        }
        if !self.streams.contains_key(call.stream) {
            return Err(STREAM_NOT_FOUND.into());
        }
        let request = SnapshotRequest::read(&body.value()?, self.settings.mode)?;
        if !Subject::parse(request.deliver_subject.as_bytes()).is_ok_and(Subject::is_literal) {
            return Err(SNAPSHOT_DELIVER_SUBJECT_INVALID.into());
        }
        if self.transfers.sending.len() >= MAX_SENDING {
            return Err(STREAM_SNAPSHOT.with("too many streams are being sent").into());
        }
        let stream = self.streams.get_mut(call.stream).ok_or(STREAM_NOT_FOUND)?;
        stream.may_read_whole(around.asker, &mut self.work)?;
        super::reading::may_deliver(&request.deliver_subject, "", around.asker)?;
        let state = self.info(call.stream, around.now)?.state;
        let mut sent = state.clone();
        if request.no_consumers {
            sent.consumer_count = 0;
        }
        let id = self.word();
        let client = self.client_of(message);
        let Some(stream) = self.streams.get_mut(call.stream) else { return Err(STREAM_NOT_FOUND.into()) };
        let config = stream.config.clone();
        let sending = Sending::new(&request, &id, stream, &sent, client.clone(), around.now);
        self.transfers.sending.insert(id, sending);
        let event = Event::SnapshotCreate { stream: call.stream.to_owned(), state: state.clone(), client };
        self.advise(&event, around);
        Answer::now(answer("stream_snapshot", Snapshot { config, state }))
    }

    fn word(&mut self) -> String {
        crate::random_word(self.chance.roll(), 11) + &crate::random_word(self.chance.roll(), 11)
    }

    /// Sends what clients can take. Whether there is more to send at once.
    pub(super) fn send_streams(&mut self, around: &mut Surroundings<'_, S>) -> bool {
        let mut ended = Vec::new();
        for (id, sending) in &mut self.transfers.sending {
            let stream = self.streams.get_mut(&sending.stream);
            if let Some(how) = sending.pump(stream, around.now, around.interest, &mut self.work, around.out) {
                ended.push((id.clone(), how));
            }
        }
        for (id, how) in ended {
            let Some(sending) = self.transfers.sending.remove(&id) else { continue };
            let event = Event::SnapshotComplete {
                stream: sending.stream.to_string(),
                start: Some(sending.start),
                end: Some(around.now.wall),
                client: sending.client,
                error: how.error().to_owned(),
            };
            self.advise(&event, around);
        }
        self.transfers.sending.values().any(|sending| sending.deadline() <= around.now.tick)
    }

    /// A message about a stream on its way.
    pub(super) fn transferred(&mut self, rest: &str, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) {
        let tokens: Vec<&str> = rest.split('.').collect();
        match tokens.as_slice() {
            ["ACK", _, id, ..] => {
                if let Some(sending) = self.transfers.sending.get_mut(*id) {
                    sending.acknowledged();
                }
            }
            ["RESTORE", _, id] => self.take_piece(id, message, around),
            _ => {}
        }
    }

    pub(super) fn restore_stream(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        message: &Incoming<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        let nothing = || Restore { deliver_subject: String::new() };
        let outcome = self.restore_or(call, body, message, around);
        outcome.map_err(|failed| failed.telling(|error| failure("stream_restore", error, nothing())))
    }

    fn restore_or(
        &mut self,
        call: &Call<'_>,
        body: &Body<'_>,
        message: &Incoming<'_>,
        around: &mut Surroundings<'_, S>,
    ) -> Outcome {
        if body.must_be_empty().is_ok() {
            return Err(BAD_REQUEST.into());
        }
        let RestoreRequest { mut config, state } = RestoreRequest::read(&body.value()?, self.settings.mode)?;
        if config.name.is_empty() {
            config.name = call.stream.to_owned();
        }
        if config.name != call.stream {
            return Err(STREAM_MISMATCH.into());
        }
        stream_config::check_name(&config.name)?;
        let (config, rules) = self.check(StreamRequest { config, pedantic: false })?;
        if self.streams.contains_key(config.name.as_str()) || self.is_restoring(&config.name) {
            return Err(STREAM_NAME_EXIST_RESTORE_FAILED.into());
        }
        self.check_overlap(&config.name, &rules)?;
        self.check_account(&config, around.shelves)?;
        self.may_order(&config, None, around)?;
        if state.first_seq.max(state.last_seq) > MAX_FIRST_SEQUENCE {
            return Err(STREAM_RESTORE.with("the state makes no sense").into());
        }
        if self.transfers.restoring.len() >= MAX_RESTORING {
            return Err(STREAM_RESTORE.with("too many streams are being restored").into());
        }
        let room = self.room_for(&config);
        let number = around.shelves.new_id()?;
        let log = self.make_log(number, &config, around)?;
        around.shelves.hold(number)?;
        let name = config.name.clone();
        let stream = Stream::new(number, config, rules, around.now.wall, log, &self.settings);
        let (id, client) = (self.word(), self.client_of(message));
        let deliver_subject = format!("{PREFIX}RESTORE.{name}.{id}");
        let by = (client.clone(), around.asker.cloned());
        self.transfers.restoring.insert(id, Restoring::new(stream, state, room, by, around.now));
        self.advise(&Event::RestoreCreate { stream: name, client }, around);
        Answer::durable(answer("stream_restore", Restore { deliver_subject }))
    }

    fn is_restoring(&self, name: &str) -> bool {
        self.transfers.restoring.values().any(|restoring| restoring.stream.name.as_str() == name)
    }

    fn take_piece(&mut self, id: &str, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) {
        let Some(restoring) = self.transfers.restoring.get_mut(id) else { return };
        let Some(reply) = message.reply else {
            // Without a place for the answer nobody would hear that it failed.
            return self.give_up_restore(id, around);
        };
        match restoring.push(message.payload, reply, around.now) {
            Ok(()) => self.go_on_restoring(id, around),
            Err(error) => self.refuse_piece(id, &error, vec![reply.into()], around),
        }
    }

    /// Stores what came of a stream, as much as may be in this round, and answers who waits for that.
    fn go_on_restoring(&mut self, id: &str, around: &mut Surroundings<'_, S>) {
        let Some(restoring) = self.transfers.restoring.get_mut(id) else { return };
        let log = restoring.stream.id;
        match restoring.work(around.shelves, around.now, &mut self.work) {
            Ok(stored) => {
                let failed = STREAM_RESTORE.with("the store can not make the messages durable");
                let failed: Arc<[u8]> = failure("stream_create", &failed, Nothing {}).into();
                for reply in stored {
                    around.out.answer(&reply, Vec::new(), Vec::new(), After::Log(log), Some(failed.clone()));
                }
            }
            Err(error) => return self.refuse_piece(id, &error, Vec::new(), around),
        }
        let Some(reply) = restoring.take_end() else { return };
        if let Err(error) = restoring.finish() {
            return self.refuse_piece(id, &error, vec![reply], around);
        }
        let told = self.finish_restore(id, around);
        let body = told.unwrap_or_else(|error| failure("stream_create", &error, Nothing {}));
        let failed = STREAM_RESTORE.with("the store can not make the stream durable");
        let failed = failure("stream_create", &failed, Nothing {});
        around.out.answer(&reply, Vec::new(), body, After::Metadata, Some(failed.into()));
    }

    /// Tells why a stream can not be restored to whoever waits, and gives it up.
    fn refuse_piece(
        &mut self,
        id: &str,
        error: &ApiError,
        mut waiting: Vec<Box<[u8]>>,
        around: &mut Surroundings<'_, S>,
    ) {
        if let Some(restoring) = self.transfers.restoring.get_mut(id) {
            waiting.extend(restoring.take_waiting());
        }
        let text = error.description.strip_prefix("restore failed: ").unwrap_or(&error.description);
        let error = STREAM_RESTORE.with(text);
        for reply in waiting {
            around.out.say(&reply, Vec::new(), failure("stream_create", &error, Nothing {}));
        }
        self.give_up_restore(id, around);
    }

    /// Goes on with streams of which more came than one round takes.
    pub(super) fn continue_restores(&mut self, around: &mut Surroundings<'_, S>) {
        let behind = self.transfers.restoring.iter().filter(|(_, restoring)| restoring.is_behind());
        for id in behind.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.go_on_restoring(&id, around);
        }
    }

    /// The stream is whole: it becomes one like the others.
    fn finish_restore(&mut self, id: &str, around: &mut Surroundings<'_, S>) -> Result<Vec<u8>, ApiError> {
        let Some(restoring) = self.end_restore(id, around) else { return Err(STREAM_RESTORE.with("it is over")) };
        let Restoring { mut stream, consumers, asker, .. } = restoring;
        let name = stream.name.clone();
        // Somebody may have made a stream meanwhile that is in the way.
        let is_free = !self.streams.contains_key(&name);
        let checked = if is_free {
            self.check_free(name.as_str(), &stream.rules)
        } else {
            Err(STREAM_NAME_EXIST_RESTORE_FAILED.into())
        };
        let added = checked.and_then(|()| self.add_restored(&mut stream, consumers, asker.as_ref(), around));
        if let Err(error) = added {
            around.shelves.discard(stream.id, stream.log);
            return Err(STREAM_RESTORE.with(error.description));
        }
        self.enlist(&stream, around.out);
        self.streams.insert(name.clone(), stream);
        self.advise(&Event::Stream { stream: name.to_string(), action: StreamAction::Create }, around);
        self.note_chores(name.as_str());
        let info = self.info(name.as_str(), around.now).map_err(Failed::into_error)?;
        Ok(answer("stream_create", info))
    }

    fn add_restored(
        &mut self,
        stream: &mut Stream<S::Log>,
        consumers: Vec<(String, api::ConsumerConfig, Progress)>,
        asker: Option<&Arc<dyn Asker>>,
        around: &mut Surroundings<'_, S>,
    ) -> Result<(), ApiError> {
        let failed = |_: LogError| STREAM_RESTORE.with("the store failed");
        let account = self.settings.account.clone();
        let limit = self.settings.limits.of(stream.config.num_replicas).ok_or(NO_LIMITS)?.max_ack_pending;
        let last_seq = stream.state().last_seq;
        for (text, mut config, progress) in consumers {
            let refuse = |why: &str| STREAM_RESTORE.with(format!("failed to add consumer {text:?}: {why}"));
            let name = Name::parse(&text).map_err(|_| refuse("consumer name is invalid"))?;
            config.name = text.clone();
            crate::consumer_config::set_defaults(&mut config, &stream.config, limit, false)
                .map_err(|error| refuse(&error.description))?;
            let rules = &stream.rules.subjects;
            let filters = crate::consumer_config::check(&config, &stream.config, rules, limit)
                .map_err(|error| refuse(&error.description))?;
            stream.may_receive(&filters, asker).map_err(|error| refuse(&error.description))?;
            let may = super::reading::may_deliver(&config.deliver_subject, &config.deliver_group, asker);
            may.map_err(|error| refuse(&error.description))?;
            let progress = progress.within(last_seq).ok_or_else(|| refuse("its state makes no sense"))?;
            let now = around.now;
            let mut consumer = Consumer::new(name.clone(), config, filters, now.wall, now).going_on(progress);
            consumer.bind(asker.map(|asker| asker.reading().clone()).filter(Reading::binds));
            if consumer.is_kept() {
                let key = kept::consumer_key(&account, stream.name.as_str(), name.as_str());
                around.shelves.put(&key, &kept::consumer_value(&consumer)).map_err(failed)?;
                // If one turn is not enough to find its place, its state is kept once that is found.
                match consumer.find_place(&mut stream.log, now, &mut self.work) {
                    Err(LogError::Unfinished) => {}
                    found => {
                        found.map_err(failed)?;
                        let key = kept::state_key(&account, stream.name.as_str(), name.as_str());
                        around.shelves.put(&key, &consumer.encode_state()).map_err(failed)?;
                    }
                }
            }
            stream.consumers.insert(name, consumer);
        }
        stream.recall(around.now).map_err(failed)?;
        stream.enforce_all();
        (stream.wake, stream.has_news) = (Some(around.now.tick), true);
        let key = kept::stream_key(&account, stream.name.as_str());
        around.shelves.put(&key, &kept::stream_value(stream)).map_err(failed)?;
        around.shelves.release(stream.id).map_err(failed)
    }

    /// Nothing of it stays.
    fn give_up_restore(&mut self, id: &str, around: &mut Surroundings<'_, S>) {
        if let Some(restoring) = self.end_restore(id, around) {
            around.shelves.discard(restoring.stream.id, restoring.stream.log);
        }
    }

    fn end_restore(&mut self, id: &str, around: &mut Surroundings<'_, S>) -> Option<Restoring<S::Log>> {
        let mut restoring = self.transfers.restoring.remove(id)?;
        restoring.let_go(around.shelves);
        let name = restoring.stream.name.to_string();
        let event = Event::RestoreComplete {
            stream: name,
            start: Some(restoring.start),
            end: Some(around.now.wall),
            bytes: restoring.bytes,
            client: restoring.client.clone(),
        };
        self.advise(&event, around);
        Some(restoring)
    }

    /// Gives up restores that nothing comes for.
    pub(super) fn expire_restores(&mut self, around: &mut Surroundings<'_, S>) {
        let over = self.transfers.restoring.iter().filter(|(_, restoring)| restoring.gives_up_at() <= around.now.tick);
        for id in over.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.give_up_restore(&id, around);
        }
    }

    pub(super) fn transfers_deadline(&self) -> Option<Instant> {
        let sending = self.transfers.sending.values().map(Sending::deadline);
        sending.chain(self.transfers.restoring.values().map(Restoring::deadline)).min()
    }
}
