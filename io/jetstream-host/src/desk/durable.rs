//! What is staged becomes durable: at the end of a round, or now and then beside it; and what came of that.

use super::{Desk, Failed, REOPEN_FIRST};
use crate::Report;
use crate::shelf::{Shelf, Shelving};
use crate::syncing::{self, Syncing};
use jetstream::{After, Now, Tenant};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use store::{MetaLog, StoreError, SyncTicket};

/// Between two rounds of syncs there is at least this: a thread with nothing to do rests.
pub(super) const SYNC_EVERY_MIN: Duration = Duration::from_millis(10);
/// At the end a sync that runs beside is waited for so long.
pub(super) const SYNC_AWAITED: Duration = Duration::from_secs(60);
/// Syncs that run at the same time.
const PARALLEL_SYNCS: usize = 8;

/// What a commit came to.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) failed: HashSet<u64>,
    pub(super) meta_failed: bool,
    pub(super) why: Option<Why>,
}

/// What was the first thing that went wrong.
#[derive(Clone)]
pub(crate) struct Why {
    pub(super) text: String,
    stream: Option<u64>,
    is_full: bool,
}

impl Why {
    pub(crate) fn new(stream: Option<u64>, error: &StoreError) -> Why {
        let is_full =
            matches!(error, StoreError::Disk { source, .. } if source.kind() == std::io::ErrorKind::StorageFull);
        Why { text: error.to_string(), stream, is_full }
    }
}

impl Outcome {
    pub(super) fn fail(&mut self, stream: Option<u64>, error: &StoreError) {
        match stream {
            Some(id) => {
                self.failed.insert(id);
            }
            None => self.meta_failed = true,
        }
        self.why.get_or_insert_with(|| Why::new(stream, error));
    }

    /// Whether what waited for this may leave.
    pub(super) fn holds(&self, after: After) -> bool {
        match after {
            After::Nothing => true,
            After::Log(id) => !self.failed.contains(&id),
            After::Metadata => !self.meta_failed,
        }
    }
}

impl Desk {
    /// Makes everything staged durable: one write and one sync for each file, the syncs side by side.
    pub(super) fn commit(&mut self, now: Now) -> Outcome {
        let mut outcome = Outcome::default();
        let mut due: Vec<(Due<'_>, Option<SyncTicket>)> = Vec::new();
        for tenant in self.tenants.values_mut().filter(|tenant| tenant.is_awake()) {
            // What failed in an earlier round fails whatever waits for it in this one.
            for stream in tenant.streams_mut().filter(|stream| stream.log.is_dirty() || stream.log.is_poisoned()) {
                match stream.log.flush() {
                    Ok(ticket) => due.push((Due::Log(stream.id, &mut stream.log), ticket)),
                    Err(error) => outcome.fail(Some(stream.id), &error),
                }
            }
        }
        if self.shelving.meta.is_dirty() || self.shelving.meta.is_poisoned() {
            match self.shelving.meta.flush() {
                Ok(ticket) => due.push((Due::Meta(&mut self.shelving.meta), ticket)),
                Err(error) => outcome.fail(None, &error),
            }
        }
        let outcomes = run_all(due.iter().map(|(_, ticket)| ticket.as_ref()).collect());
        for ((due, ticket), synced) in due.into_iter().zip(outcomes) {
            if ticket.is_none() {
                continue;
            }
            match due {
                Due::Log(id, log) => log.synced(synced).unwrap_or_else(|error| outcome.fail(Some(id), &error)),
                Due::Meta(meta) => meta.synced(synced).unwrap_or_else(|error| outcome.fail(None, &error)),
            }
        }
        if let Some(why) = &outcome.why {
            self.note_failure(why.clone(), now);
        }
        outcome
    }

    pub(crate) fn note_failure(&mut self, why: Why, now: Now) {
        if self.failed.is_none() {
            let Why { text, stream, is_full } = why;
            let stream = stream.and_then(|id| self.name_of(id));
            self.port.report(Report::StoreFailed { why: text, stream, is_full });
            self.failed = Some(Failed { reopen_at: now.tick + REOPEN_FIRST, wait: REOPEN_FIRST });
        }
    }

    fn name_of(&self, id: u64) -> Option<(String, String)> {
        let of = |(account, tenant): (&Arc<str>, &Tenant<Shelving>)| {
            let stream = tenant.streams().find(|stream| stream.id == id)?;
            Some((account.to_string(), stream.name.to_string()))
        };
        self.tenants.iter().find_map(of)
    }

    /// From now on syncs that come now and then run on a thread of their own.
    pub fn sync_beside(&mut self) {
        self.syncs_beside = true;
        self.freeing.beside();
    }

    pub(super) fn sync_now_and_then(&mut self, now: Now) {
        self.take_synced(Duration::ZERO, now);
        if now.tick < self.sync_at || self.syncing.is_some() {
            return;
        }
        self.sync_at = now.tick + self.settings.sync_every.max(SYNC_EVERY_MIN);
        let due = self.due_syncs();
        if self.syncs_beside && !due.is_empty() {
            self.syncing = Some(Syncing::begin(due));
        } else {
            let outcome = self.settle_syncs(syncing::run(due));
            outcome.why.into_iter().for_each(|why| self.note_failure(why, now));
        }
    }

    /// Takes up what came of syncs that ran beside, if they have all run within this time.
    pub(super) fn take_synced(&mut self, within: Duration, now: Now) {
        let Some(running) = &self.syncing else { return };
        let done = running.done(within);
        if matches!(done, Ok(None)) {
            return;
        }
        self.syncing = None;
        let outcome = match done {
            Ok(done) => self.settle_syncs(done.unwrap_or_default()),
            Err(_) => {
                let mut outcome = Outcome::default();
                outcome.fail(None, &StoreError::Poisoned);
                outcome
            }
        };
        outcome.why.into_iter().for_each(|why| self.note_failure(why, now));
    }

    fn due_syncs(&mut self) -> Vec<syncing::Due> {
        let streams = self.tenants.values_mut().flat_map(Tenant::streams_mut);
        let due = streams.filter_map(|stream| {
            let (number, ticket) = stream.log.sync_beside()?;
            Some(syncing::Due { stream: stream.id, number, ticket })
        });
        due.collect()
    }

    fn settle_syncs(&mut self, done: Vec<syncing::Done>) -> Outcome {
        let mut outcome = Outcome::default();
        if done.is_empty() {
            return outcome;
        }
        let mut by_stream: BTreeMap<u64, syncing::Done> = done.into_iter().map(|done| (done.stream, done)).collect();
        for tenant in self.tenants.values_mut() {
            let mut is_leaving = false;
            for stream in tenant.streams_mut() {
                let Some(syncing::Done { number, outcome: synced, .. }) = by_stream.remove(&stream.id) else {
                    continue;
                };
                if let Err(error) = stream.log.synced_beside(number, synced) {
                    outcome.fail(Some(stream.id), &error);
                }
                is_leaving |= stream.log.is_leaving();
            }
            if is_leaving {
                tenant.wake();
            }
        }
        outcome
    }

    pub(super) fn sync_all(&mut self) -> Outcome {
        let due = self.due_syncs();
        self.settle_syncs(syncing::run(due))
    }
}

enum Due<'a> {
    Log(u64, &'a mut Shelf),
    Meta(&'a mut MetaLog),
}

/// Runs syncs side by side and gives their outcomes in order.
fn run_all(tickets: Vec<Option<&SyncTicket>>) -> Vec<std::io::Result<()>> {
    let run = |ticket: Option<&SyncTicket>| ticket.map_or(Ok(()), SyncTicket::run);
    let due = tickets.iter().flatten().count();
    if due < 2 {
        return tickets.into_iter().map(run).collect();
    }
    let share = due.div_ceil(PARALLEL_SYNCS).max(1);
    std::thread::scope(|scope| {
        let chunks: Vec<_> = tickets
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(|ticket| run(*ticket)).collect::<Vec<_>>()))
            .collect();
        let panicked = || vec![Err(std::io::Error::other("the syncing thread panicked"))];
        chunks.into_iter().flat_map(|chunk| chunk.join().unwrap_or_else(|_| panicked())).collect()
    })
}
