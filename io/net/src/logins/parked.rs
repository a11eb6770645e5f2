//! Logins that wait for somebody's word, without a thread.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use auth::Asked;
use nkeys::PublicKey;

use super::LoginPoolLimits;
use super::counsel::Ticket;
use super::login::Login;

/// What a login waits for.
pub(super) enum Wanted {
    /// The claims of an account.
    Account(PublicKey),
    /// A service's answer.
    Answer(Asked),
}

/// Logins that wait, in their bounds. Each has an end.
#[derive(Default)]
pub(super) struct Parked {
    logins: HashMap<Ticket, (Box<Login>, Wanted)>,
    ends: BTreeSet<(Instant, Ticket)>,
    by_account: HashMap<PublicKey, Vec<Ticket>>,
    by_address: HashMap<Option<IpAddr>, usize>,
}

impl Parked {
    /// Takes a login in, unless too many wait.
    pub(super) fn park(
        &mut self,
        ticket: Ticket,
        login: Box<Login>,
        wanted: Wanted,
        limits: &LoginPoolLimits,
    ) -> Result<(), Box<Login>> {
        let of_address = self.by_address.get(&login.address()).copied().unwrap_or_default();
        if self.logins.len() >= limits.parked_max || of_address >= limits.parked_per_address_max {
            return Err(login);
        }
        self.by_address.insert(login.address(), of_address + 1);
        self.ends.insert((login.until, ticket));
        if let Wanted::Account(account) = &wanted {
            self.by_account.entry(*account).or_default().push(ticket);
        }
        self.logins.insert(ticket, (login, wanted));
        Ok(())
    }

    /// Takes a login out, if it is still there.
    pub(super) fn unpark(&mut self, ticket: Ticket) -> Option<(Box<Login>, Wanted)> {
        let (login, wanted) = self.logins.remove(&ticket)?;
        self.ends.remove(&(login.until, ticket));
        let address = login.address();
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        if let Wanted::Account(account) = &wanted
            && let Some(tickets) = self.by_account.get_mut(account)
        {
            tickets.retain(|other| *other != ticket);
            if tickets.is_empty() {
                self.by_account.remove(account);
            }
        }
        Some((login, wanted))
    }

    /// Takes out every login that waits for this account.
    pub(super) fn of_account(&mut self, account: &PublicKey) -> impl Iterator<Item = Box<Login>> {
        let tickets = self.by_account.remove(account).unwrap_or_default();
        tickets.into_iter().filter_map(|ticket| Some(self.unpark(ticket)?.0))
    }

    /// Takes out a login whose end has come.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<(Box<Login>, Wanted)> {
        let (end, ticket) = *self.ends.first()?;
        if end <= now { self.unpark(ticket) } else { None }
    }

    /// When the next login has its end.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(end, _)| *end)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.logins.is_empty() && self.ends.is_empty() && self.by_account.is_empty() && self.by_address.is_empty()
    }
}
