//! Users under limits that all their connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use account::AccountId;
use auth::{Admission, UserLabel};
use hashbrown::HashMap;
use moment::Instant;
use parking_lot::Mutex;

use crate::meter::Taps;

/// Entries are looked through for users who are gone when there are so many, and then when there are twice as many.
/// Whoever comes back at once finds its limits as they were: leaving gives nobody a new burst.
const SWEEP_MIN: usize = 1024;

/// A user who is here, or was a moment ago.
#[derive(Debug, Default)]
pub(crate) struct UserState {
    connections: AtomicUsize,
    pub(crate) taps: Taps,
}

/// One connection of a user. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<UserState>);

impl Seat {
    pub(crate) fn user(&self) -> &UserState {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The user has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserFull;

/// The users under limits. Nobody else is kept.
#[derive(Default)]
pub(crate) struct Users(Mutex<Known>);

#[derive(Default)]
struct Known {
    users: HashMap<(AccountId, UserLabel), Arc<UserState>>,
    sweep_at: usize,
}

impl Users {
    /// A place for one more connection of the user; nothing where the user is under no limit of its own.
    ///
    /// # Errors
    /// It has as many as it may.
    pub(crate) fn enter(
        &self,
        account: AccountId,
        admission: &Admission,
        now: Instant,
    ) -> Result<Option<Seat>, UserFull> {
        let allowance = &admission.allowance;
        if allowance.is_unlimited() {
            return Ok(None);
        }
        let limit = allowance.max_connections.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let state = self.state(account, &admission.user, now);
        let grow = |connections: usize| (connections < limit).then_some(connections + 1);
        if state.connections.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow).is_err() {
            return Err(UserFull);
        }
        Ok(Some(Seat(state)))
    }

    /// The same for a connection that is in already: a limit that has become tighter turns nobody out.
    pub(crate) fn stay(
        &self,
        account: AccountId,
        admission: &Admission,
        seat: Option<Seat>,
        now: Instant,
    ) -> Option<Seat> {
        if admission.allowance.is_unlimited() {
            return None;
        }
        seat.or_else(|| {
            let state = self.state(account, &admission.user, now);
            state.connections.fetch_add(1, Ordering::AcqRel);
            Some(Seat(state))
        })
    }

    fn state(&self, account: AccountId, user: &UserLabel, now: Instant) -> Arc<UserState> {
        let mut known = self.0.lock();
        if known.users.len() >= known.sweep_at.max(SWEEP_MIN) {
            known.users.retain(|_, state| state.connections.load(Ordering::Acquire) > 0 || !state.taps.is_full(now));
            known.sweep_at = known.users.len() * 2;
        }
        known.users.entry((account, user.clone())).or_default().clone()
    }
}
