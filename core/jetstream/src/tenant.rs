//! Everything of one account: its streams, and what it may ask of them.

mod calls;
mod consumers;
mod direct;
mod kept;
mod messages;
mod streams;

pub use kept::{KeptConsumer, KeptStream};

use crate::ack::{Ack, AckSubject};
use crate::chance::Chance;
use crate::log::{LogError, Shelves};
use crate::outbox::{After, Effect, Interest, Now, Outbox};
use crate::stream::{Incoming, Stream};
use api::responses::AccountLimits;
use api::{Call, Mode, Name};
use moment::Instant;
use std::collections::BTreeMap;
use subject::{Filter, Subject, Sublist};

/// What the server says about itself and this account.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account, as metadata names it.
    pub account: String,
    /// The JetStream domain; empty without.
    pub domain: String,
    /// This server's id, which is the leader of everything.
    pub server_id: String,
    /// The version that clients are told.
    pub version: String,
    /// Bounds of the account.
    pub limits: AccountLimits,
    /// How requests are read.
    pub mode: Mode,
    /// Longest duplicate window in nanoseconds; zero is no bound.
    pub max_duplicate_window: i64,
    /// Most consumers of a stream that sets no bound; zero is none.
    pub default_max_consumers: i64,
}

/// The streams of one account.
pub struct Tenant<S: Shelves> {
    pub(crate) settings: Settings,
    pub(crate) streams: BTreeMap<Name, Stream<S::Log>>,
    index: Sublist<Name>,
    pub(crate) chance: Chance,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
}

/// What handlers need from outside.
pub struct Surroundings<'a, S> {
    /// Where logs and metadata are kept.
    pub shelves: &'a mut S,
    /// The present.
    pub now: Now,
    /// Who listens.
    pub interest: &'a dyn Interest,
    /// What is wanted done.
    pub out: &'a mut Outbox,
}

impl<S: Shelves> Tenant<S> {
    /// An account without streams.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let index = Sublist::with_seed(chance.roll());
        Tenant { settings, streams: BTreeMap::new(), index, chance, calls: 0, errors: 0 }
    }

    /// Puts back a stream that was kept, with its consumers.
    pub fn restore(&mut self, kept: KeptStream, log: S::Log, around: &mut Surroundings<'_, S>) -> Result<(), LogError> {
        let refuse = |error: api::ApiError| LogError(format!("stream {}: {}", kept.config.name, error.description));
        let rules = crate::stream_config::compile(&kept.config).map_err(refuse)?;
        let mut stream = Stream::new(kept.id, kept.config, rules, kept.created, log, &self.settings.domain);
        stream.remember_ids(around.now)?;
        for consumer in kept.consumers {
            self.restore_consumer(&mut stream, consumer, around.now)?;
        }
        stream.enforce_all()?;
        stream.expire(around.now)?;
        self.enlist(&stream, around.out);
        self.streams.insert(stream.name.clone(), stream);
        Ok(())
    }

    fn enlist(&mut self, stream: &Stream<S::Log>, out: &mut Outbox) {
        for filter in &stream.rules.subjects {
            self.index.insert(filter, stream.name.clone());
            out.push(Effect::Listen(filter.clone()));
        }
    }

    fn delist(&mut self, name: &Name, subjects: &[Filter], out: &mut Outbox) {
        for filter in subjects {
            self.index.remove(filter, |other| other == name);
            out.push(Effect::Unlisten(filter.clone()));
        }
    }

    /// Takes a message of this account: an API call, an acknowledgement, or something to be stored.
    pub fn receive(&mut self, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) {
        let text = std::str::from_utf8(message.subject).unwrap_or_default();
        if let Some(tail) = self.api_tail(text) {
            let plain = format!("{}{tail}", api::calls::PREFIX);
            if let Some(call) = Call::parse(&plain) {
                self.call(&call, message, around);
            }
        } else if text.starts_with(crate::ack::PREFIX) {
            self.acknowledge(text, message, around);
        } else if let Some(rest) = text.strip_prefix("$JS.FC.") {
            self.flow_answered(rest, message.subject);
        }
        self.publish(message, around);
    }

    /// What follows the API's prefix, with or without the domain in it.
    fn api_tail<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let in_domain = || {
            let rest = subject.strip_prefix("$JS.")?.strip_prefix(self.settings.domain.as_str())?;
            rest.strip_prefix(".API.").filter(|_| !self.settings.domain.is_empty())
        };
        subject.strip_prefix(api::calls::PREFIX).or_else(in_domain)
    }

    fn publish(&mut self, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) {
        if Subject::parse(message.subject).is_err() {
            return;
        }
        let mut name = None;
        self.index.matches(message.subject, &mut |found: &Name| name = Some(found.clone()));
        let Some(stream) = name.and_then(|name| self.streams.get_mut(&name)) else { return };
        let chance = self.chance.roll() as u32;
        stream.publish(message, around.now, chance, around.out);
    }

    fn acknowledge(&mut self, subject: &str, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) {
        let Some(ack) = AckSubject::parse(subject) else { return };
        let Some(stream) = self.streams.get_mut(ack.stream) else { return };
        let Some(consumer) = stream.consumers.get_mut(ack.consumer) else { return };
        let acked = consumer.acknowledge(Ack::parse(message.payload), ack.stream_seq, around.now);
        stream.has_news = true;
        if let Some(next) = acked.next
            && let Some(reply) = message.reply
        {
            let asked = consumer.ask(&next, reply, &mut stream.log, around.now, around.out);
            drop_log_error(asked);
            return;
        }
        for seq in acked.settled {
            drop_log_error(stream.settle(seq));
        }
        if let Some(reply) = message.reply {
            // Whoever asks for a confirmation gets it when the acknowledgement can not be forgotten any more.
            let kept = self.keep_state(ack.stream, ack.consumer, around.shelves);
            let after = if kept.is_ok() { After::Metadata } else { After::Nothing };
            if kept.is_ok() {
                around.out.answer(reply, Vec::new(), Vec::new(), after, None);
            }
        }
    }

    fn keep_state(&mut self, stream: &str, consumer: &str, shelves: &mut S) -> Result<(), LogError> {
        let account = &self.settings.account;
        let Some(consumer) = self.streams.get_mut(stream).and_then(|stream| stream.consumers.get_mut(consumer)) else {
            return Ok(());
        };
        if consumer.is_kept() && consumer.is_dirty {
            let key = kept::state_key(account, stream, consumer.name.as_str());
            shelves.put(&key, &consumer.encode_state())?;
            consumer.is_dirty = false;
        }
        Ok(())
    }

    fn flow_answered(&mut self, rest: &str, subject: &[u8]) {
        let mut tokens = rest.split('.');
        let (Some(stream), Some(consumer)) = (tokens.next(), tokens.next()) else { return };
        let Some(stream) = self.streams.get_mut(stream) else { return };
        let Some(consumer) = stream.consumers.get_mut(consumer) else { return };
        stream.has_news |= consumer.flow_answered(subject);
    }

    /// Delivers what became readable, to whoever wants it. Call after each commit. Whether there is more to deliver.
    pub fn deliver(&mut self, around: &mut Surroundings<'_, S>) -> bool {
        let mut has_more = false;
        let chance = &mut self.chance;
        for stream in self.streams.values_mut().filter(|stream| stream.has_news) {
            stream.has_news = pump(stream, chance, around);
            has_more |= stream.has_news;
        }
        has_more
    }

    /// Does what is due: deliveries again, signs of life, expiry, ephemeral consumers that nobody wants.
    pub fn tick(&mut self, around: &mut Surroundings<'_, S>) {
        let now = around.now;
        let mut abandoned = Vec::new();
        for stream in self.streams.values_mut() {
            if stream.expiry().is_some_and(|at| at <= now.tick) {
                drop_log_error(stream.expire(now));
            }
            let is_due = |consumer: &crate::Consumer| consumer.deadline().is_some_and(|at| at <= now.tick);
            stream.has_news |= stream.consumers.values().any(is_due);
            if stream.has_news {
                stream.has_news = pump(stream, &mut self.chance, around);
            }
            for consumer in stream.consumers.values() {
                if consumer.inactive_at().is_some_and(|at| at <= now.tick) {
                    abandoned.push((stream.name.clone(), consumer.name.clone()));
                }
            }
        }
        for (stream, consumer) in abandoned {
            drop_log_error(self.remove_consumer(&stream, &consumer, around));
        }
    }

    /// When to tick, at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let of_stream = |stream: &Stream<S::Log>| {
            let consumers = stream.consumers.values().filter_map(crate::Consumer::deadline).min();
            [stream.expiry(), consumers].into_iter().flatten().min()
        };
        self.streams.values().filter_map(of_stream).min()
    }

    /// Stages the states of consumers that changed, to be durable with the next commit.
    pub fn keep_states(&mut self, shelves: &mut S) -> Result<(), LogError> {
        let account = &self.settings.account;
        for stream in self.streams.values_mut() {
            let name = stream.name.clone();
            for consumer in stream.consumers.values_mut().filter(|consumer| consumer.is_dirty && consumer.is_kept()) {
                let key = kept::state_key(account, name.as_str(), consumer.name.as_str());
                shelves.put(&key, &consumer.encode_state())?;
                consumer.is_dirty = false;
            }
        }
        Ok(())
    }

    /// Whether a consumer's state changed since it was kept.
    pub fn has_unkept_states(&self) -> bool {
        let mut consumers = self.streams.values().flat_map(|stream| stream.consumers.values());
        consumers.any(|consumer| consumer.is_dirty && consumer.is_kept())
    }

    /// The streams.
    pub fn streams(&self) -> impl Iterator<Item = &Stream<S::Log>> {
        self.streams.values()
    }

    /// The streams, to be committed.
    pub fn streams_mut(&mut self) -> impl Iterator<Item = &mut Stream<S::Log>> {
        self.streams.values_mut()
    }

    /// Takes changed settings.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.settings = settings;
    }
}

/// Lets the consumers of a stream deliver. Whether one of them has more.
fn pump<S: Shelves>(stream: &mut Stream<S::Log>, chance: &mut Chance, around: &mut Surroundings<'_, S>) -> bool {
    let mut settled = Vec::new();
    let mut has_more = false;
    let name = stream.name.clone();
    for consumer in stream.consumers.values_mut() {
        let mut roll = || chance.roll();
        let pumped = consumer.pump(name.as_str(), &mut stream.log, around.now, around.interest, &mut roll, around.out);
        if let Ok(pumped) = pumped {
            settled.extend(pumped.settled);
            has_more |= pumped.has_more;
        }
    }
    if stream.config.retention != api::Retention::Limits {
        settled.into_iter().for_each(|seq| drop_log_error(stream.settle(seq)));
    }
    has_more
}

/// The log has said what is wrong where it happened; here the work stops and is tried again at the next occasion.
fn drop_log_error<T>(outcome: Result<T, LogError>) {
    drop(outcome);
}
