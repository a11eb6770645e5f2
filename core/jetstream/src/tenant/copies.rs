//! Streams that copy from each other.

use super::{Surroundings, Tenant, from};
use crate::log::{LogError, Shelves};
use crate::outbox::Now;
use crate::stream::{Incoming, Wanted};
use crate::stream_config::is_on_disk;
use api::responses::SourceInfo;
use api::{Name, Retention};

impl<S: Shelves> Tenant<S> {
    /// Notes which streams may have something to copy by now.
    pub(super) fn note_copying(&mut self) {
        if self.copiers.is_empty() {
            return;
        }
        for stream in self.streams.values().filter(|stream| stream.has_news || stream.has_unsettled_copies()) {
            self.copying.extend(self.copiers.get(stream.name.as_str()).into_iter().flatten().cloned());
            self.copying.extend((!stream.copies.is_empty()).then(|| stream.name.clone()));
        }
    }

    /// Copies what became readable. Whether there is more.
    pub(super) fn copy(&mut self, around: &mut Surroundings<'_, S>) -> bool {
        let mut has_more = false;
        for target in from(self.copying.iter().cloned().collect(), self.next_copying.take()) {
            if self.work.is_over() || !self.do_chores(around) {
                self.next_copying = Some(target);
                return true;
            }
            // The log has said what is wrong where it happened; copying goes on at the next occasion.
            let more = self.copy_into(&target, around).unwrap_or_else(|error| error == LogError::Unfinished);
            self.note_chores(target.as_str());
            if !more {
                self.copying.remove(&target);
            }
            has_more |= more;
        }
        has_more
    }

    fn copy_into(&mut self, target: &Name, around: &mut Surroundings<'_, S>) -> Result<bool, LogError> {
        let Some(stream) = self.streams.get_mut(target) else { return Ok(false) };
        let wanted = stream.wanted_copies(around.now, &mut self.work)?;
        let settled = stream.settled_copies();
        let on_disk = is_on_disk(&stream.config);
        for (origin, seqs) in settled {
            if let Some(origin) = self.streams.get_mut(&origin) {
                origin.settle_copies(target, &seqs);
            }
            self.note_chores(origin.as_str());
        }
        let mut has_more = false;
        let is_full = self.is_full(on_disk, around.shelves);
        for (at, wanted) in wanted {
            if self.work.is_over() {
                // It is the first in the next turn.
                self.streams.get_mut(target).into_iter().for_each(|stream| stream.next_copied = at);
                return Ok(true);
            }
            if is_full {
                self.streams.get_mut(target).into_iter().for_each(|stream| stream.wait_for_room(at, around.now));
                continue;
            }
            let chance = self.chance.roll() as u32;
            let copies = match self.streams.get_mut(&wanted.stream) {
                Some(origin) => {
                    if origin.config.retention != Retention::Limits {
                        origin.note_copier(target.clone(), &wanted);
                    }
                    Some(origin.read_copies(&wanted, &mut self.work)?)
                }
                None => None,
            };
            let Some(stream) = self.streams.get_mut(target) else { break };
            match copies {
                Some(copies) => {
                    let at_all = (around.now, chance);
                    has_more |= stream.store_copies(at, copies, at_all, &mut self.work, around.out);
                }
                None => stream.note_missing_origin(at),
            }
        }
        Ok(has_more)
    }

    /// Whether the account or the server stores all that it may. Copies wait then; whoever publishes is refused.
    fn is_full(&mut self, on_disk: bool, shelves: &S) -> bool {
        let used = self.used.get_or_insert_with(|| super::used(&self.streams))[usize::from(on_disk)];
        // One server keeps everything once.
        let limit =
            self.settings.limits.of(1).map_or(0, |limits| if on_disk { limits.max_storage } else { limits.max_memory });
        shelves.room(on_disk) < 0 || u64::try_from(limit).is_ok_and(|limit| used >= limit)
    }

    /// Takes what a stream of another account or domain sent.
    pub(super) fn hear(&mut self, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) {
        let chance = self.chance.roll() as u32;
        let is_full = [false, true].map(|on_disk| self.is_full(on_disk, around.shelves));
        let mut copying = self.streams.values_mut().filter(|stream| stream.has_remotes());
        let work = &mut self.work;
        let found = copying.find_map(|stream| {
            let is_full = is_full[usize::from(is_on_disk(&stream.config))];
            stream.hear(message, is_full, (around.now, chance), work, around.out).then_some(stream)
        });
        if let Some(stream) = found {
            stream.wake = [stream.wake, stream.deadline(around.now)].into_iter().flatten().min();
            let name = stream.name.clone();
            self.note_chores(name.as_str());
        }
    }

    /// How copying into a stream goes.
    pub(super) fn origins(&mut self, name: &str, now: Now) -> (Option<SourceInfo>, Vec<SourceInfo>) {
        let Some((name, stream)) = self.streams.remove_entry(name) else { return (None, Vec::new()) };
        let Tenant { streams, work, .. } = self;
        let lag = |wanted: &Wanted| streams.get_mut(&wanted.stream).map_or(0, |origin| origin.lag_of(wanted, work));
        let told = stream.origins_told(now, lag);
        self.streams.insert(name, stream);
        told
    }

    /// A stream does not copy any more, or something else.
    pub(super) fn forget_copier(&mut self, name: &Name) {
        for targets in self.copiers.values_mut() {
            targets.remove(name);
        }
        self.copiers.retain(|_, targets| !targets.is_empty());
        for origin in self.streams.values_mut() {
            origin.copiers.remove(name);
        }
    }
}
