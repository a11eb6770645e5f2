//! The ways of a message beside rules: mappings move it, imports carry it into other accounts.
//!
//! Forward, ways are followed over as many accounts as there are. Backward, from a subject to those who may publish to
//! it, over one import: what lies further back is found by asking about the account before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use account::{Account, AccountName, Mapped};
use subject::{Filter, Quoted, Subject};

use super::{Outcome, Wish};
use crate::directory::Directory;
use crate::settings::Place;

/// Places that are looked at for one question. Whatever shares more with itself is not followed further.
const PLACES_MAX: usize = 256;

/// One step of a message from where it was published to where it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A mapping of the account moves it; so many of a hundred.
    Mapped {
        /// The account.
        account: AccountName,
        /// From this subject.
        from: String,
        /// To this one.
        to: String,
        /// How many of a hundred.
        percent: usize,
    },
    /// An account imports it, as a stream or as a service that it asks.
    Imported {
        /// It is a stream: the importer reads. Otherwise the exporter does.
        stream: bool,
        /// Whose import it is.
        importer: AccountName,
        /// From whom.
        exporter: AccountName,
        /// What it is called after the step.
        to: String,
        /// Where the import is written, if in a configuration.
        place: Option<Place>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mapped { account, from, to, percent } => {
                let (from, to) = (Quoted(from.as_bytes()), Quoted(to.as_bytes()));
                write!(f, "a mapping of {account} moves {percent} % of {from} to {to}")
            }
            Self::Imported { stream, importer, exporter, to, place } => {
                let kind = if *stream { "stream" } else { "service" };
                let to = Quoted(to.as_bytes());
                write!(f, "{importer} imports the {kind} of {exporter}: ")?;
                let home = if *stream { importer } else { exporter };
                write!(f, "it arrives in {home} as {to}")?;
                match place {
                    Some(place) if place.line > 0 => write!(f, " ({place})"),
                    Some(_) => Ok(()),
                    None => f.write_str(" (account JWT)"),
                }
            }
        }
    }
}

/// A place where a message arrives, and how it got there.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The account.
    pub account: Arc<Account>,
    /// What it is called there.
    pub subject: String,
    /// The steps to it; none where it was published.
    pub steps: Vec<Step>,
}

/// Somebody, and what comes of the wish that leads to a subject.
#[derive(Debug, Clone)]
pub struct Party {
    /// The account.
    pub account: AccountName,
    /// The user.
    pub user: String,
    /// What the subject is called where the user is.
    pub subject: String,
    /// What comes of publishing to it, or subscribing to it.
    pub outcome: Outcome,
    /// The steps between the user and the subject that was asked about.
    pub steps: Vec<Step>,
}

impl Directory {
    /// Where a message arrives that a client publishes in this account.
    pub fn arrivals(&self, account: &Arc<Account>, subject: Subject<'_>) -> Vec<Arrival> {
        let mut arrivals = moved(account, subject);
        let mut next = 0;
        while let Some(from) = arrivals.get(next).cloned() {
            next += 1;
            for step in self.carried(&from) {
                let is_known =
                    |known: &Arrival| known.account.name == step.account.name && known.subject == step.subject;
                if !arrivals.iter().any(is_known) && arrivals.len() < PLACES_MAX {
                    arrivals.push(step);
                }
            }
        }
        arrivals
    }

    /// The next steps from a place: services that its account asks, and accounts that read its streams.
    fn carried(&self, from: &Arrival) -> Vec<Arrival> {
        let crossed = |stream: bool| {
            let is = |step: &Step| matches!(step, Step::Imported { stream: is_stream, .. } if *is_stream == stream);
            from.steps.iter().any(is)
        };
        // Whoever imports a stream does not pass it on, and a request does not leave by a stream where it arrives.
        let Some(subject) = Subject::parse(from.subject.as_bytes()).ok().filter(|_| !crossed(true)) else {
            return Vec::new();
        };
        let mut carried = self.asked(from, subject);
        if !crossed(false) {
            carried.extend(self.read_elsewhere(from, subject));
        }
        carried.sort_by(|a, b| (a.account.name.as_str(), &a.subject).cmp(&(b.account.name.as_str(), &b.subject)));
        carried
    }

    /// Services that the account asks by this subject. Where a request arrives, mappings apply again.
    fn asked(&self, from: &Arrival, subject: Subject<'_>) -> Vec<Arrival> {
        let here = &from.account;
        let mut asked = Vec::new();
        for import in here.sharing.services.iter().filter(|import| import.local().matches(subject)) {
            let Some(account) = self.account(import.exporter().as_str()) else { continue };
            let to = import.carry(subject);
            let step = Step::Imported {
                stream: false,
                importer: here.name.clone(),
                exporter: account.name.clone(),
                to: text(&to),
                place: self.import_place(here, import.exporter(), import.subject()),
            };
            let Ok(arrives) = Subject::parse(&to) else { continue };
            asked.extend(moved(account, arrives).into_iter().map(|arrival| arrival.behind(&from.steps, &step)));
        }
        asked
    }

    /// Accounts that import this subject as a stream.
    fn read_elsewhere(&self, from: &Arrival, subject: Subject<'_>) -> Vec<Arrival> {
        let here = &from.account;
        let mut read = Vec::new();
        for account in self.accounts().iter() {
            let of_us = |import: &&Arc<account::StreamImport>| *import.exporter() == here.name;
            for import in
                account.sharing.streams.iter().filter(of_us).filter(|import| import.subject().matches(subject))
            {
                let to = text(&import.carry(subject));
                let step = Step::Imported {
                    stream: true,
                    importer: account.name.clone(),
                    exporter: here.name.clone(),
                    to: to.clone(),
                    place: self.import_place(account, &here.name, import.subject()),
                };
                let arrival = Arrival { account: account.clone(), subject: to, steps: Vec::new() };
                read.push(arrival.behind(&from.steps, &step));
            }
        }
        read
    }

    /// Where an import is written; nothing where accounts are claims.
    fn import_place(&self, importer: &Account, exporter: &AccountName, subject: &Filter) -> Option<Place> {
        let written = self.import_places.get(&importer.name)?;
        let found = written
            .iter()
            .find(|(import, _)| import.account == *exporter && import.subject.as_bytes() == subject.as_bytes());
        Some(found.map(|(_, place)| place.clone()).unwrap_or_default())
    }

    /// Who may read what is published to this subject of the account, in it or elsewhere, and who may not.
    pub fn readers(&self, account: &Arc<Account>, subject: Subject<'_>) -> Vec<Party> {
        let mut parties = Vec::new();
        for arrival in self.arrivals(account, subject) {
            let Ok(filter) = Filter::parse(arrival.subject.as_bytes()) else { continue };
            let wish = Wish::Subscribe { filter: &filter, queue: None };
            parties.extend(self.parties(&arrival, wish));
        }
        parties
    }

    /// Who may publish so that this subject of the account hears it, from there or over one import, and who may not.
    pub fn publishers(&self, account: &Arc<Account>, subject: Subject<'_>) -> Vec<Party> {
        let mut parties = Vec::new();
        for (from, steps) in self.origins(account, subject) {
            let Ok(published) = Subject::parse(from.subject.as_bytes()) else { continue };
            let arrival = Arrival { steps, ..from.clone() };
            parties.extend(self.parties(&arrival, Wish::Publish(published)));
        }
        parties
    }

    /// Subjects from which a message gets here, each with its steps. Every one was followed forward.
    fn origins(&self, account: &Arc<Account>, subject: Subject<'_>) -> Vec<(Arrival, Vec<Step>)> {
        // Mappings of the account apply to what others ask of it, too.
        let arriving: Vec<Vec<u8>> = before_mappings(account, subject);
        let mut candidates = Vec::new();
        for name in &arriving {
            candidates.push((account.clone(), text(name)));
            let Ok(asked) = Subject::parse(name) else { continue };
            for importer in self.accounts().iter() {
                let of_us = |import: &&Arc<account::ServiceImport>| *import.exporter() == account.name;
                let names = importer.sharing.services.iter().filter(of_us).filter_map(|import| import.asked_as(asked));
                candidates.extend(names.flat_map(|name| published_as(importer, &name)));
            }
        }
        let filter = Filter::parse(subject.as_bytes()).ok();
        for import in &account.sharing.streams {
            let Some(exporter) = self.account(import.exporter().as_str()) else { continue };
            let wanted = filter.as_ref().and_then(|filter| import.wanted(filter));
            candidates.extend(wanted.into_iter().flat_map(|wanted| published_as(exporter, wanted.as_bytes())));
        }
        let mut origins: Vec<(Arrival, Vec<Step>)> = Vec::new();
        for (home, name) in candidates {
            let Ok(published) = Subject::parse(name.as_bytes()) else { continue };
            let known = |(from, _): &(Arrival, Vec<Step>)| from.account.name == home.name && from.subject == name;
            if !published.is_literal() || origins.iter().any(known) {
                continue;
            }
            let arrivals = self.arrivals(&home, published);
            let here = |arrival: &&Arrival| {
                arrival.account.name == account.name && arrival.subject.as_bytes() == subject.as_bytes()
            };
            if let Some(arrival) = arrivals.iter().find(here) {
                let steps = arrival.steps.clone();
                origins.push((Arrival { account: home.clone(), subject: name, steps: Vec::new() }, steps));
            }
        }
        origins
    }

    /// The users of an account, and what comes of a wish there.
    fn parties(&self, arrival: &Arrival, wish: Wish<'_>) -> Vec<Party> {
        let of_account =
            |name: &&str| self.permissions_of(name).is_some_and(|(account, _)| account.name == arrival.account.name);
        let mut parties = BTreeMap::new();
        for user in self.user_names().filter(of_account) {
            let Some((account, permissions)) = self.permissions_of(user) else { continue };
            let party = Party {
                account: account.name.clone(),
                user: user.to_owned(),
                subject: arrival.subject.clone(),
                outcome: permissions.explain_in(account, wish),
                steps: arrival.steps.clone(),
            };
            parties.insert(user.to_owned(), party);
        }
        parties.into_values().collect()
    }
}

impl Arrival {
    /// The same at the end of these steps.
    fn behind(mut self, before: &[Step], step: &Step) -> Self {
        let own = std::mem::take(&mut self.steps);
        self.steps = before.iter().chain([step]).cloned().chain(own).collect();
        self
    }
}

/// What the mappings of the account make of a subject.
fn moved(account: &Arc<Account>, subject: Subject<'_>) -> Vec<Arrival> {
    let from = text(subject.as_bytes());
    let mut chances: BTreeMap<Option<String>, usize> = BTreeMap::new();
    for chance in 0..100 {
        match account.mappings.apply(subject, None, chance) {
            Mapped::Same => *chances.entry(Some(from.clone())).or_default() += 1,
            Mapped::To(to) => *chances.entry(Some(text(&to))).or_default() += 1,
            Mapped::Dropped => {}
        }
    }
    let arrival = |(to, percent): (Option<String>, usize)| {
        let to = to?;
        let step = Step::Mapped { account: account.name.clone(), from: from.clone(), to: to.clone(), percent };
        let stays = to == from && percent == 100;
        let steps = if stays { Vec::new() } else { vec![step] };
        Some(Arrival { account: account.clone(), subject: to, steps })
    };
    chances.into_iter().filter_map(arrival).collect()
}

/// The names that the mappings of the account may give a subject; none if they drop it.
pub(super) fn named(account: &Account, subject: Subject<'_>) -> Vec<Vec<u8>> {
    if account.mappings.is_empty() {
        return vec![subject.as_bytes().to_vec()];
    }
    let name = |chance| match account.mappings.apply(subject, None, chance) {
        Mapped::Same => Some(subject.as_bytes().to_vec()),
        Mapped::To(to) => Some(to),
        Mapped::Dropped => None,
    };
    (0..100).filter_map(name).collect::<BTreeSet<_>>().into_iter().collect()
}

/// This subject, and those that mappings of the account move to it.
fn before_mappings(account: &Account, subject: Subject<'_>) -> Vec<Vec<u8>> {
    let moved = account.mappings.iter().flat_map(|mapping| mapping.moved_from(subject));
    [subject.as_bytes().to_vec()].into_iter().chain(moved).collect()
}

/// What has to be published in an account for this subject there.
fn published_as(account: &Arc<Account>, name: &[u8]) -> Vec<(Arc<Account>, String)> {
    let Ok(subject) = Subject::parse(name) else { return Vec::new() };
    before_mappings(account, subject).iter().map(|name| (account.clone(), text(name))).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
