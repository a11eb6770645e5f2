//! After a reload the accounts in use are asked for again where an account server has them: it does not tell of changes.

use std::collections::{HashSet, VecDeque};

use nkeys::PublicKey;
use resolver::{Effect, WebError, World};

use super::fetching::Began;
use super::{Accounts, State};
use crate::system::wall;

/// Accounts that are asked for again at once. Logins have the rest of the line.
const AT_ONCE: usize = 16;

/// Accounts that are asked for again.
#[derive(Default)]
pub(super) struct Again {
    waiting: VecDeque<PublicKey>,
    asked: HashSet<PublicKey>,
}

impl State {
    /// Has these accounts asked for again, if it is an account server that has them.
    pub(super) fn ask_again(&mut self, accounts: impl Iterator<Item = PublicKey>) {
        if self.resolver.as_ref().is_some_and(|opened| opened.web.is_some()) {
            self.again.waiting = accounts.collect();
        }
    }

    /// Whether what was fetched was asked for again. That is over now.
    pub(super) fn is_asked_again(&mut self, account: &PublicKey) -> bool {
        self.again.asked.remove(account)
    }
}

impl Accounts {
    /// Asks for as many as may be asked for at once.
    pub(super) fn go_on_asking(&self) {
        let Some(desk) = self.house.get().and_then(|house| house.desk.as_ref()) else { return };
        let mut state = self.state();
        let State { resolver: Some(opened), fetching, again, .. } = &mut *state else { return };
        while again.asked.len() < AT_ONCE
            && let Some(account) = again.waiting.pop_front()
        {
            match fetching.begin(&account, opened, desk) {
                Began::Later => drop(again.asked.insert(account)),
                Began::Nowhere => {}
                Began::TooMany => return again.waiting.push_front(account),
            }
        }
    }

    /// What the account server says of an account in use. Only a clear no ends it; a server that is away changes nothing.
    pub(super) fn told_again(&self, account: &PublicKey, found: Result<String, WebError>) {
        let (Some(house), Some(hub)) = (self.house.get(), self.hub()) else { return };
        let mut state = self.state();
        state.fetching.end(account);
        let (directory, system) = (hub.directory(), state.system);
        let (Some(opened), Some(trust)) = (&mut state.resolver, directory.trust()) else { return };
        let world = World { trust, system, known: &|_| true, server: "{}", now: wall() };
        let judged = match found {
            Ok(token) => opened.resolver.fetched(account, &token, &world),
            Err(WebError::Status(404 | 410)) if system != Some(*account) => opened
                .resolver
                .forget(account)
                .map(|()| Some(Effect::Deleted(*account)))
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match judged {
            Ok(effect) => self.apply(state, effect.into_iter().collect()),
            Err(why) => {
                drop(state);
                self.log.warn(&format!("Account [{account}] stays as it is: {why}"));
            }
        }
        // Somebody may have come meanwhile and wait for the same answer.
        let directory = hub.directory();
        let supply = match directory.claims_of(account) {
            Some(_) => Ok(directory.clone()),
            None => Err(auth::Refusal::UnknownAccount(*account)),
        };
        if let Some(pool) = house.pool.upgrade() {
            pool.supplied(account, &supply);
        }
    }
}
