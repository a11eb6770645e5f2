//! Who may read what: the one place where handlers ask.
//!
//! Whoever may not read everything is named by [`Surroundings::asker`]. A consumer made on behalf of somebody is bound by
//! what that somebody may read as long as it lives, and a pull by what the puller may read. Copies are judged when they are
//! ordered: what is copied loses its name, so nothing of the origin may be withheld.

use super::calls::Failed;
use super::{Surroundings, Tenant};
use crate::asker::Asker;
use crate::consumer::Consumer;
use crate::log::{Log, Shelves};
use crate::outbox::status;
use crate::publish::Wishes;
use crate::stream::{Incoming, Stream, asked_by};
use crate::work::Work;
use api::errors::{READ_NOT_PERMITTED, STREAM_ROLLUP_FAILED};
use api::stream::StreamSource;
use api::{ApiError, StreamConfig};
use auth::{Because, Denial, Reading};
use std::sync::Arc;
use subject::transform::Transform;
use subject::{Filter, Subject};

/// Streams that copy from each other are followed this far when it is asked what a copy would hold.
const ORIGINS_FOLLOWED: usize = 8;

/// A refusal as the one who asked sees it.
fn refuse(asker: &dyn Asker, denial: &Denial) -> ApiError {
    asker.refused(denial);
    READ_NOT_PERMITTED.with(denial.wire_text())
}

/// Whether somebody sees a stored message.
pub(crate) fn sees(asker: Option<&Arc<dyn Asker>>, subject: &[u8]) -> bool {
    asker.is_none_or(|asker| Subject::parse(subject).is_ok_and(|subject| asker.reading().sees(subject)))
}

/// Whether messages may be received by filters that a stream of these subjects has; without filters everything of it is
/// meant, and it is enough if some of it may be read.
fn granted(reading: &Reading, filters: &[Filter], subjects: &[Filter]) -> Result<(), Denial> {
    for filter in filters {
        reading.read(filter)?;
    }
    if !filters.is_empty() || subjects.is_empty() {
        return Ok(());
    }
    let mut denied = None;
    let mut is_open = false;
    for subject in subjects {
        match reading.read(subject) {
            Ok(()) => is_open = true,
            Err(denial) if matches!(denial.because, Because::Denied(_)) => denied = Some(denial),
            Err(denial) => return Err(denial),
        }
    }
    denied.filter(|_| !is_open).map_or(Ok(()), Err)
}

/// Whom a pull of this consumer binds, or what the one who pulls hears.
pub(crate) fn may_pull(
    consumer: &Consumer,
    subjects: &[Filter],
    asker: Option<&Arc<dyn Asker>>,
) -> Result<Option<Arc<dyn Asker>>, Vec<u8>> {
    let Some(asker) = asker else { return Ok(None) };
    match granted(asker.reading(), &consumer.filters, subjects) {
        Ok(()) => Ok(Some(asker.clone())),
        Err(denial) => {
            asker.refused(&denial);
            Err(status("409 Permissions Violation", &[]))
        }
    }
}

/// Whether a message that is a schedule may have the server read what it produces from.
pub(crate) fn may_schedule(message: &Incoming<'_>, asker: Option<&Arc<dyn Asker>>) -> Result<(), ApiError> {
    let Some(asker) = asker else { return Ok(()) };
    let wishes = Wishes::read(message.headers);
    let Some(filter) = wishes.schedule_source().and_then(|source| Filter::parse(source).ok()) else { return Ok(()) };
    asker.reading().read_all(&filter).map_err(|denial| refuse(&**asker, &denial))
}

/// Whether a message that replaces everything in its stream may: whoever publishes it has to be free to publish to whatever the
/// stream takes, under the prefix by which it came. What is copied from elsewhere may bear any subject.
pub(crate) fn may_roll_up<L: Log>(
    stream: &Stream<L>,
    prefix: &str,
    message: &Incoming<'_>,
    asker: Option<&Arc<dyn Asker>>,
) -> Result<(), ApiError> {
    let Some(asker) = asker else { return Ok(()) };
    if !Wishes::read(message.headers).replaces_all() {
        return Ok(());
    }
    let everything = [Filter::everything()];
    let taken = if stream.config.sources.is_empty() { &stream.rules.subjects[..] } else { &everything };
    for filter in taken {
        let Ok(filter) = Filter::parse(format!("{prefix}{filter}").as_bytes()) else { continue };
        asker.may_publish_all(&filter).map_err(|denial| {
            asker.refused(&denial);
            STREAM_ROLLUP_FAILED.with("rollup not permitted")
        })?;
    }
    Ok(())
}

/// Whether the server may deliver there on behalf of whoever asks. What is no subject is refused for that.
pub(super) fn may_deliver(to: &str, group: &str, asker: Option<&Arc<dyn Asker>>) -> Result<(), ApiError> {
    let Some((asker, to)) = asker.zip(Subject::parse(to.as_bytes()).ok()) else { return Ok(()) };
    asker.may_deliver(to, group).map_err(|denial| refuse(&**asker, &denial))
}

/// What binds whatever reads on behalf of whoever asks.
pub(super) fn reading_of(asker: Option<&Arc<dyn Asker>>) -> Option<Reading> {
    asker.map(|asker| asker.reading().clone()).filter(Reading::binds)
}

impl<L: Log> Stream<L> {
    /// Whether whoever asks may receive messages of this stream by these filters.
    pub(crate) fn may_receive(&self, filters: &[Filter], asker: Option<&Arc<dyn Asker>>) -> Result<(), ApiError> {
        let Some(asker) = asker else { return Ok(()) };
        granted(asker.reading(), filters, &self.rules.subjects).map_err(|denial| refuse(&**asker, &denial))
    }

    /// Whether whoever asks sees every message that is stored.
    pub(super) fn may_read_whole(&mut self, asker: Option<&Arc<dyn Asker>>, work: &mut Work) -> Result<(), Failed> {
        let Some(asker) = asker.filter(|asker| asker.reading().binds()) else { return Ok(()) };
        let (mut walk, mut denied) = (work.progress().walk.unwrap_or_default(), None);
        let may_read = |filter: &Filter| asker.reading().read_all(filter);
        let is_over = self.log.walk(&[], &mut walk, work, &mut |known| {
            denied = Filter::parse(known.subject).ok().and_then(|filter| may_read(&filter).err());
            denied.is_none()
        });
        let denied = denied.or_else(|| self.rules.subjects.iter().find_map(|filter| may_read(filter).err()));
        if let Some(denial) = denied {
            return Err(refuse(&**asker, &denial).into());
        }
        work.progress().walk = Some(walk);
        if is_over { Ok(()) } else { Err(Failed::Unfinished) }
    }
}

impl<S: Shelves> Tenant<S> {
    /// Whether whoever asks may have done what a configuration has the server do: copy, rewrite and repeat messages. What
    /// was so before is not asked again.
    pub(super) fn may_order(
        &self,
        config: &StreamConfig,
        before: Option<&StreamConfig>,
        around: &Surroundings<'_, S>,
    ) -> Result<(), ApiError> {
        let Some(asker) = around.asker else { return Ok(()) };
        for filter in self.ordered(config, before) {
            asker.reading().read_all(&filter).map_err(|denial| refuse(&**asker, &denial))?;
        }
        if let Some(filter) = repeated(config, before) {
            asker.may_publish_all(&filter).map_err(|denial| refuse(&**asker, &denial))?;
        }
        for subject in asked(config, before) {
            // What is no literal subject is published by nobody: filters may have wildcards.
            let Some(subject) = Subject::parse(subject.as_bytes()).ok() else { continue };
            asker.may_publish(subject).map_err(|denial| refuse(&**asker, &denial))?;
        }
        Ok(())
    }

    /// What is read on behalf of whoever wants the configuration.
    fn ordered(&self, config: &StreamConfig, before: Option<&StreamConfig>) -> Vec<Filter> {
        let mut read = Vec::new();
        let origins = config.mirror.iter().chain(&config.sources).filter(|source| !is_known(before, source));
        origins.for_each(|source| self.read_of(source, ORIGINS_FOLLOWED, &mut read));
        if before.is_none_or(|before| before.subject_transform != config.subject_transform)
            && let Some(transform) = &config.subject_transform
        {
            read.extend(filters([transform.src.as_str()]));
        }
        if before.is_none_or(|before| before.republish != config.republish)
            && let Some(republish) = &config.republish
        {
            match republish.src.as_str() {
                "" | ">" => read.extend(filters(config.subjects.iter().map(String::as_str))),
                src => read.extend(filters([src])),
            }
        }
        read
    }

    /// What is read of an origin: its filters, or everything that the stream may hold.
    fn read_of(&self, source: &StreamSource, follow: usize, read: &mut Vec<Filter>) {
        if let Some(consumer) = &source.consumer {
            // The server listens to where it delivers.
            read.extend(filters([consumer.deliver_subject.as_str()]));
        }
        if source.external.is_some() {
            // What lies elsewhere bears names of its own, so it is read as a whole or not at all.
            return read.push(Filter::everything());
        }
        let transforms = source.subject_transforms.iter().map(|transform| transform.src.as_str());
        let own = std::iter::once(source.filter_subject.as_str()).filter(|text| !text.is_empty());
        let wanted: Vec<&str> = own.chain(transforms).collect();
        if !wanted.is_empty() {
            return read.extend(filters(wanted));
        }
        match self.streams.get(source.name.as_str()) {
            Some(origin) if follow > 0 => {
                read.extend(origin.rules.subjects.iter().cloned());
                let further = origin.config.mirror.iter().chain(&origin.config.sources);
                further.for_each(|source| self.read_of(source, follow - 1, read));
            }
            _ => read.push(Filter::everything()),
        }
    }
}

fn is_known(before: Option<&StreamConfig>, source: &StreamSource) -> bool {
    before.is_some_and(|before| before.mirror.as_ref() == Some(source) || before.sources.contains(source))
}

/// Where the server publishes again what is stored, on behalf of whoever wants the configuration. What is no transform is refused for
/// that.
fn repeated(config: &StreamConfig, before: Option<&StreamConfig>) -> Option<Filter> {
    let republish = config.republish.as_ref()?;
    let is_new = before.is_none_or(|before| before.republish.as_ref() != Some(republish));
    let transform = Transform::new(republish.src.as_bytes(), republish.dest.as_bytes()).ok()?;
    transform.reach().filter(|_| is_new)
}

/// The subjects that origins elsewhere are asked by, which the server publishes to on behalf of whoever wants the configuration.
fn asked(config: &StreamConfig, before: Option<&StreamConfig>) -> Vec<String> {
    let mirror = config.mirror.iter().map(|mirror| (mirror, true));
    let origins = mirror.chain(config.sources.iter().map(|source| (source, false)));
    let is_asked = |source: &StreamSource| source.external.is_some() || source.consumer.is_some();
    let elsewhere = origins.filter(|(source, _)| is_asked(source) && !is_known(before, source));
    elsewhere.map(|(source, is_mirror)| asked_by(source, is_mirror)).collect()
}

/// Subjects as filters; nothing is everything.
fn filters<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Filter> {
    let parse = |text: &str| Filter::parse(if text.is_empty() { b">" } else { text.as_bytes() }).ok();
    texts.into_iter().filter_map(parse).collect()
}
