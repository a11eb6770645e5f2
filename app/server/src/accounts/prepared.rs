//! A configuration takes effect in two steps: what may fail makes a [`Prepared`] and changes nothing; installing it cannot
//! fail. Between the two the server goes on, and claims may change. Accounts that did are looked at again when the directory
//! is installed, under the lock by which claims change, so that the newest claims win.

use std::collections::{HashMap, HashSet};

use auth::settings::Judge;
use auth::{Directory, Refusal};
use config::Settings;
use moment::Timestamp;
use nkeys::PublicKey;
use resolver::{Resolver, World};

use super::source::Source;
use super::{Accounts, Opened, State, lines, trust};
use crate::system::wall;

/// What a configuration would change about who may come in.
pub struct Prepared<'a> {
    watch: Watch<'a>,
    directory: Directory,
    claims: Option<Claims>,
}

/// What would change beside the directory, where accounts are claims.
struct Claims {
    system: Option<PublicKey>,
    /// Another resolver than the one that is open.
    opened: Option<Opened>,
    /// Tokens of the configuration that the resolver is to keep.
    fresh: HashMap<PublicKey, String>,
    unusable: HashMap<PublicKey, Refusal>,
    in_use: Vec<PublicKey>,
}

/// Claims that change are noted as long as this is there.
struct Watch<'a>(&'a Accounts);

impl<'a> Watch<'a> {
    fn begin(accounts: &'a Accounts, state: &mut State) -> Self {
        state.touched = Some(HashSet::new());
        Self(accounts)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.state().touched = None;
    }
}

impl Accounts {
    /// Makes the directory of a configuration. Nothing changes by that. One at a time.
    ///
    /// # Errors
    /// With the text for the user: which setting is wrong.
    pub fn prepare(&self, settings: &Settings) -> Result<Prepared<'_>, String> {
        let mut state = self.state();
        let (directory, claims) = match settings.operator.is_on() {
            true => {
                self.of_operators(&mut state, settings, wall()).map(|(directory, claims)| (directory, Some(claims)))
            }
            false => self.of_configuration(&mut state, settings).map(|directory| (directory, None)),
        }?;
        let watch = Watch::begin(self, &mut state);
        drop(state);
        Ok(Prepared { watch, directory, claims })
    }

    fn of_configuration(&self, state: &mut State, settings: &Settings) -> Result<Directory, String> {
        let directory = Directory::build(&settings.auth, &mut state.ids).map_err(|errors| lines(&errors))?;
        for user in directory.missing_callout_users() {
            self.log.error(&format!("Authorization callout user {user:?} not valid"));
        }
        Ok(directory)
    }

    /// Accounts that cannot be used are told and left out: the others' users must come in all the same.
    fn of_operators(
        &self,
        state: &mut State,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(Directory, Claims), String> {
        let operators = trust::operators(settings, now)?;
        let directory = match settings.auth.authorization.judges.contains(&Judge::Users) {
            true => Directory::of_operators_and_users(operators, &settings.auth, &mut state.ids),
            false => Directory::of_operators(operators, &mut state.ids),
        };
        let mut directory = directory.map_err(|errors| lines(&errors))?;
        let mut claims = Claims {
            system: trust::system_account(settings)?.or_else(|| directory.trust()?.system_account()),
            opened: state.open(settings, now)?,
            fresh: HashMap::new(),
            unusable: HashMap::new(),
            in_use: Vec::new(),
        };
        if claims.opened.is_none() {
            state.look_again(&directory, claims.system, now)?;
        }
        let mut wanted = self.preload(state, &mut claims, settings, &directory, now)?;
        // Whoever is logged in keeps its account without anybody being asked again.
        if let Some(hub) = self.hub() {
            claims.in_use = hub.directory().claims().map(|trusted| trusted.key()).collect();
            wanted.extend(&claims.in_use);
        }
        let resolver = claims.opened.as_mut().or(state.resolver.as_mut()).map(|opened| &mut opened.resolver);
        let mut source = Source { resolver, fresh: Some(&claims.fresh), ids: &mut state.ids, now };
        for account in wanted {
            match source.at_hand(&directory, &account) {
                Some(Ok((wider, _))) => directory = wider,
                Some(Err(why)) => self.log.warn(&format!("Account [{account}] is not used: {why}")),
                None => {}
            }
        }
        Ok((directory, claims))
    }

    /// Judges the tokens of the configuration. Those that count are named.
    fn preload(
        &self,
        state: &State,
        claims: &mut Claims,
        settings: &Settings,
        directory: &Directory,
        now: Timestamp,
    ) -> Result<Vec<PublicKey>, String> {
        let preload = &settings.operator.preload;
        if !preload.is_empty() && matches!(settings.operator.resolver, Some(config::Resolver::Url(_))) {
            return Err("resolver preloads only available for writeable resolver types MEM/DIR/CACHE_DIR".into());
        }
        let Some(trust) = directory.trust() else { return Ok(Vec::new()) };
        let world = World { trust, system: claims.system, known: &|_| true, server: "{}", now };
        let mut wanted = Vec::with_capacity(preload.len());
        for (key, token) in preload {
            let account: PublicKey = key.parse().map_err(|error: nkeys::KeyError| error.to_string())?;
            match claims.keep(state.resolver.as_ref(), &account, token, &world) {
                Ok(()) => wanted.push(account),
                Err(why) => {
                    self.log.warn(&format!("Preloaded account [{key}] is not used: {why}"));
                    if let Err(refusal) = trust.admit_account(token, &account, now) {
                        claims.unusable.insert(account, Refusal::Account(account, refusal));
                    }
                }
            }
        }
        Ok(wanted)
    }
}

impl Claims {
    /// A token of the configuration counts. What is only in memory, and not in use yet, has it at once.
    fn keep(
        &mut self,
        open: Option<&Opened>,
        account: &PublicKey,
        token: &str,
        world: &World<'_>,
    ) -> Result<(), String> {
        let wants = |resolver: &Resolver| resolver.wants(account, token, world);
        let is_wanted = match &mut self.opened {
            Some(Opened { settings: resolver::Settings::Memory, resolver, .. }) => {
                return resolver.preload(account, token, world);
            }
            Some(opened) => wants(&opened.resolver)?,
            None => open.map_or(Ok(false), |opened| wants(&opened.resolver))?,
        };
        if is_wanted {
            self.fresh.insert(*account, token.to_owned());
        }
        Ok(())
    }
}

impl Prepared<'_> {
    /// The directory, as it would be now.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The directory alone, of which nothing takes effect.
    pub fn into_directory(self) -> Directory {
        self.directory
    }

    /// Takes effect. `put` puts the directory in its place; no claims change before it returns.
    pub fn install<T>(self, put: impl FnOnce(Directory) -> T) -> T {
        let Self { watch, directory, claims } = self;
        let accounts = watch.0;
        let mut state = accounts.state();
        let directory = match claims {
            Some(claims) => accounts.take_over(&mut state, claims, directory, wall()),
            None => directory,
        };
        let done = put(directory);
        drop(state);
        drop(watch);
        done
    }
}

impl Accounts {
    /// From now on accounts are as was prepared, but for those that changed meanwhile.
    fn take_over(&self, state: &mut State, claims: Claims, prepared: Directory, now: Timestamp) -> Directory {
        let touched = state.touched.take().unwrap_or_default();
        state.system = claims.system;
        state.unusable = claims.unusable;
        state.unusable.retain(|account, _| !touched.contains(account));
        let warn = |account: &PublicKey, why: &str| {
            self.log.warn(&format!("The token of account [{account}] is not kept: {why}"));
        };
        if let Some(opened) = claims.opened {
            let before = state.resolver.replace(opened);
            let known = before.map(|mut before| {
                let load = |account: &PublicKey| Some((*account, before.resolver.load(account, now).ok().flatten()?));
                touched.iter().filter_map(load).collect::<Vec<_>>()
            });
            // It was changed after the configuration was read.
            for (account, token) in known.unwrap_or_default() {
                state.keep(&prepared, &account, &token, now).unwrap_or_else(|why| warn(&account, &why));
            }
        }
        for (account, token) in claims.fresh {
            state.keep(&prepared, &account, &token, now).unwrap_or_else(|why| warn(&account, &why));
        }
        state.ask_again(claims.in_use.into_iter());
        let directory = self.renewed_meanwhile(state, prepared, &touched, now);
        // What ended meanwhile stays ended.
        match directory.next_token_end().is_some_and(|end| end <= now) {
            true => directory.shared_at(&mut state.ids, now).0,
            false => directory,
        }
    }

    /// The directory with accounts as they are now that changed while it was made.
    fn renewed_meanwhile(
        &self,
        state: &mut State,
        mut directory: Directory,
        touched: &HashSet<PublicKey>,
        now: Timestamp,
    ) -> Directory {
        let current = self.hub().map(|hub| hub.directory());
        let is_used = |directory: &Directory, account| directory.claims_of(account).is_some();
        for account in touched {
            if !is_used(&directory, account) && !current.as_ref().is_some_and(|current| is_used(current, account)) {
                continue;
            }
            directory = match state.source(now).at_hand(&directory, account) {
                Some(Ok((renewed, _))) => renewed,
                Some(Err(_)) | None => directory.without_account(account, &mut state.ids, now).0,
            };
        }
        directory
    }
}

#[cfg(test)]
mod tests;
