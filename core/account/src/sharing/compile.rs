//! From exports and imports as written to imports that may stand.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use subject::Filter;
use subject::transform::Transform;

use super::cycles::{Step, on_circles};
use super::service::Naming;
use super::{Import, ImportKind, LocalName, MAX_IMPORTS, ServiceImport, Sharing, SharingError, StreamImport};
use crate::name::AccountName;
use crate::tenant::Account;

/// One import that may stand, unless it closes a circle.
enum Candidate {
    Stream(StreamImport),
    Service(ServiceImport),
}

/// What is made of an import, with its place among those of its account.
type Placed = (usize, Result<Candidate, SharingError>);

/// The imports of all accounts.
type All<'a> = BTreeMap<&'a AccountName, Vec<Placed>>;

/// Compiles the imports of all accounts together.
pub(crate) fn compile<'a>(
    accounts: impl Iterator<Item = &'a Account>,
    find: &dyn Fn(&AccountName) -> Option<&'a Account>,
) -> HashMap<AccountName, Sharing> {
    let mut all = All::new();
    for account in accounts.filter(|account| !account.imports.is_empty()) {
        all.insert(&account.name, candidates(account, find));
    }
    let circles = circles(&all);
    let mut compiled = HashMap::new();
    for (name, candidates) in all {
        let mut sharing = Sharing::default();
        for (at, candidate) in candidates {
            match candidate {
                _ if circles.contains(&(name, at)) => sharing.refused.push((at, SharingError::Cycle)),
                Err(error) => sharing.refused.push((at, error)),
                Ok(Candidate::Stream(stream)) => sharing.streams.push(Arc::new(stream)),
                Ok(Candidate::Service(service)) => sharing.services.push(Arc::new(service)),
            }
        }
        compiled.insert(name.clone(), sharing);
    }
    compiled
}

/// The places of imports on circles. Streams and services never meet.
fn circles<'a>(all: &All<'a>) -> HashSet<(&'a AccountName, usize)> {
    let mut found = HashSet::new();
    for streams in [true, false] {
        let (mut places, mut steps) = (Vec::new(), Vec::new());
        for (name, candidates) in all {
            for (at, candidate) in candidates {
                let (exporter, subject, local) = match candidate {
                    Ok(Candidate::Stream(stream)) if streams => (&stream.exporter, &stream.subject, &stream.local),
                    Ok(Candidate::Service(service)) if !streams => {
                        (&service.exporter, &service.subject, &service.local)
                    }
                    _ => continue,
                };
                places.push((*name, *at));
                steps.push(Step { account: name, local, exporter, subject });
            }
        }
        let circles = on_circles(&steps);
        found.extend(places.into_iter().zip(circles).filter(|(_, circle)| *circle).map(|(place, _)| place));
    }
    found
}

fn candidates<'a>(account: &'a Account, find: &dyn Fn(&AccountName) -> Option<&'a Account>) -> Vec<Placed> {
    let mut known = Known::default();
    let compiled = account.imports.iter().enumerate().map(|(at, import)| {
        if at >= MAX_IMPORTS {
            return (at, Err(SharingError::TooMany));
        }
        let exporter = find(&import.account).ok_or(SharingError::MissingAccount);
        (at, exporter.and_then(|exporter| known.candidate(account, exporter, import)))
    });
    compiled.collect()
}

/// What an account has imported so far.
#[derive(Default)]
struct Known<'a> {
    streams: HashSet<(&'a AccountName, &'a str)>,
    services: HashMap<(&'a AccountName, &'a str), &'a str>,
}

impl<'a> Known<'a> {
    fn candidate(
        &mut self,
        account: &Account,
        exporter: &Account,
        import: &'a Import,
    ) -> Result<Candidate, SharingError> {
        match &import.kind {
            ImportKind::Stream { local, allow_trace } => {
                let stream = stream(account, exporter, import, local, *allow_trace)?;
                if !self.streams.insert((&import.account, &import.subject)) {
                    return Err(SharingError::DuplicateStream);
                }
                Ok(Candidate::Stream(stream))
            }
            ImportKind::Service { to, share } => {
                let to = if to.is_empty() { &import.subject } else { to };
                let service = service(account, exporter, import, to, *share)?;
                if let Some(before) = self.services.insert((&import.account, to), &import.subject) {
                    let (account, subject) = (import.account.clone(), before.to_owned());
                    return Err(SharingError::DuplicateService { to: to.clone(), account, subject });
                }
                Ok(Candidate::Service(service))
            }
        }
    }
}

fn filter(text: &str) -> Result<Filter, SharingError> {
    Filter::parse(text.as_bytes()).map_err(|_| SharingError::Subject)
}

fn stream(
    account: &Account,
    exporter: &Account,
    import: &Import,
    local: &LocalName,
    allow_trace: bool,
) -> Result<StreamImport, SharingError> {
    let subject = filter(&import.subject)?;
    let offered = exporter.exports.stream_of(&subject);
    if !offered.is_some_and(|offered| offered.access.admits(&offered.subject, &account.name, &subject, import)) {
        return Err(SharingError::StreamNotAuthorized);
    }
    let to = match local {
        LocalName::Same => import.subject.clone(),
        LocalName::Mapped(to) if to.is_empty() => import.subject.clone(),
        LocalName::Mapped(to) => to.clone(),
        LocalName::Prefixed(prefix) => prefixed(prefix, &import.subject)?,
    };
    let keeps = to == import.subject;
    let local = filter(&untokenized(&to))?;
    let renaming = if keeps { None } else { Some(renaming(&subject, &to)?) };
    Ok(StreamImport { exporter: exporter.name.clone(), subject, local, renaming, allow_trace })
}

fn prefixed(prefix: &str, subject: &str) -> Result<String, SharingError> {
    let bare = prefix.strip_suffix('.').unwrap_or(prefix);
    match filter(bare) {
        _ if prefix.is_empty() => Ok(subject.to_owned()),
        Ok(literal) if literal.is_literal() => Ok(format!("{bare}.{subject}")),
        _ => Err(SharingError::Prefix),
    }
}

/// From there to here and back.
fn renaming(subject: &Filter, to: &str) -> Result<(Transform, Transform), SharingError> {
    let failed = |error| SharingError::Transform { stream: true, from: subject.to_string(), to: to.to_owned(), error };
    let there = Transform::reversible(subject.as_bytes(), tokenized(to).as_bytes()).map_err(failed)?;
    let back = there.reverse().ok_or(SharingError::Subject)?;
    Ok((there, back))
}

fn service(
    account: &Account,
    exporter: &Account,
    import: &Import,
    to: &str,
    share: bool,
) -> Result<ServiceImport, SharingError> {
    let (subject, local) = (filter(&import.subject)?, filter(&untokenized(to))?);
    let offered = exporter.exports.service_of(&subject);
    let offered = offered.filter(|offered| offered.access.admits(&offered.subject, &account.name, &subject, import));
    let offered = offered.ok_or(SharingError::ServiceNotAuthorized)?;
    let naming = if subject.is_literal() {
        Naming::Fixed
    } else if to == import.subject {
        Naming::Same
    } else {
        let failed =
            |error| SharingError::Transform { stream: false, from: to.to_owned(), to: import.subject.clone(), error };
        let here = Transform::reversible(subject.as_bytes(), tokenized(to).as_bytes()).map_err(failed)?;
        Naming::By(here.reverse().ok_or(SharingError::Subject)?)
    };
    Ok(ServiceImport {
        exporter: exporter.name.clone(),
        exported: offered.subject.clone(),
        subject,
        local,
        naming,
        share,
        response: offered.response,
        threshold: offered.threshold,
        latency: offered.latency.clone(),
        allow_trace: offered.allow_trace,
    })
}

/// Wildcards in their order become references to those of the other side.
fn tokenized(subject: &str) -> String {
    let mut next = 0;
    let tokens = subject.split('.').map(|token| match token {
        "*" => {
            next += 1;
            format!("${next}")
        }
        _ => token.to_owned(),
    });
    tokens.collect::<Vec<_>>().join(".")
}

/// References become wildcards.
fn untokenized(subject: &str) -> String {
    let is_reference = |token: &str| {
        let number = token.strip_prefix('$').is_some_and(|digits| digits.parse::<u32>().is_ok());
        number || token.starts_with("{{") && token.ends_with("}}")
    };
    subject.split('.').map(|token| if is_reference(token) { "*" } else { token }).collect::<Vec<_>>().join(".")
}
