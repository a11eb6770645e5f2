//! What an account offers to others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use subject::{Filter, Subject};

use super::{Import, SharingError};
use crate::name::AccountName;

/// How long an answer may take where nothing else is written.
pub const DEFAULT_RESPONSE_THRESHOLD: Duration = Duration::from_secs(120);

/// Who may import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    #[default]
    Public,
    /// These.
    Approved(BTreeSet<AccountName>),
    /// Whoever has a token.
    Token,
    /// Whose name is this token of the imported subject, counted from one.
    Position(u32),
}

/// How a service answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResponseType {
    /// One message.
    #[default]
    Singleton,
    /// Any number of messages.
    Stream,
    /// One answer in several messages.
    Chunked,
}

/// How often the latency of a service is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatencySampling {
    /// For this share of the requests, 1 to 100.
    Percent(u8),
    /// For requests whose headers ask for it.
    Headers,
}

/// Where latencies of a service are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latency {
    /// How often.
    pub sampling: LatencySampling,
    /// On which subject of the exporting account.
    pub subject: String,
}

/// Messages that others may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamExport {
    /// Which.
    pub subject: Filter,
    /// Who.
    pub access: Access,
}

/// An endpoint that others may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceExport {
    /// Where.
    pub subject: Filter,
    /// Who.
    pub access: Access,
    /// How it answers.
    pub response: ResponseType,
    /// How long an answer, or the next part of it, may take.
    pub threshold: Duration,
    /// Whether latencies are told.
    pub latency: Option<Latency>,
    /// A trace may follow requests into the account.
    pub allow_trace: bool,
}

impl ServiceExport {
    /// One answer, within the usual time.
    pub fn new(subject: Filter, access: Access) -> Self {
        let (response, threshold) = (ResponseType::Singleton, DEFAULT_RESPONSE_THRESHOLD);
        Self { subject, access, response, threshold, latency: None, allow_trace: false }
    }
}

/// Everything an account offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exports {
    streams: BTreeMap<Filter, StreamExport>,
    services: BTreeMap<Filter, ServiceExport>,
}

impl Exports {
    /// Offers a stream. One that is offered twice is offered to all who are named in either place.
    pub fn add_stream(&mut self, mut export: StreamExport) -> Result<(), SharingError> {
        check_position(&export.subject, &export.access)?;
        if let Some(before) = self.streams.remove(&export.subject) {
            export.access = joined(before.access, export.access);
        }
        self.streams.insert(export.subject.clone(), export);
        Ok(())
    }

    /// Offers a service.
    pub fn add_service(&mut self, mut export: ServiceExport) -> Result<(), SharingError> {
        check_position(&export.subject, &export.access)?;
        if let Some(latency) = &export.latency {
            self.check_latency(&export, latency)?;
        }
        if let Some(before) = self.services.remove(&export.subject) {
            export.access = joined(before.access, export.access);
        }
        self.services.insert(export.subject.clone(), export);
        Ok(())
    }

    fn check_latency(&self, export: &ServiceExport, latency: &Latency) -> Result<(), SharingError> {
        let subject = Subject::parse(latency.subject.as_bytes()).ok().filter(|subject| subject.is_literal());
        let subject = subject.ok_or(SharingError::LatencySubject)?;
        let loops = export.subject.matches(subject) || self.services.keys().any(|other| other.matches(subject));
        match (loops, export.response) {
            (true, _) => Err(SharingError::LatencySubject),
            (false, ResponseType::Singleton) => Ok(()),
            (false, _) => Err(SharingError::LatencyOfMany),
        }
    }

    /// The streams, in the order of their subjects.
    pub fn streams(&self) -> impl Iterator<Item = &StreamExport> {
        self.streams.values()
    }

    /// The services, in the order of their subjects.
    pub fn services(&self) -> impl Iterator<Item = &ServiceExport> {
        self.services.values()
    }

    /// Whether nothing is offered.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.services.is_empty()
    }

    /// The stream that an imported subject is, or is a part of.
    pub fn stream_of(&self, subject: &Filter) -> Option<&StreamExport> {
        self.streams.get(subject).or_else(|| self.streams.values().find(|export| export.subject.covers(subject)))
    }

    /// The service that an imported subject is, or is a part of.
    pub fn service_of(&self, subject: &Filter) -> Option<&ServiceExport> {
        self.services.get(subject).or_else(|| self.services.values().find(|export| export.subject.covers(subject)))
    }
}

impl Access {
    /// Whether `importer` may import `subject` of what is exported as `exported`.
    pub(super) fn admits(&self, exported: &Filter, importer: &AccountName, subject: &Filter, import: &Import) -> bool {
        match self {
            Self::Public => true,
            Self::Approved(approved) => approved.contains(importer),
            Self::Token => import.activated,
            // What is exported as a whole has everybody's token in it.
            Self::Position(_) if exported == subject => false,
            Self::Position(position) => {
                let token = subject.tokens().nth(*position as usize - 1);
                token == Some(importer.as_str().as_bytes())
            }
        }
    }
}

fn check_position(subject: &Filter, access: &Access) -> Result<(), SharingError> {
    let Access::Position(position) = access else { return Ok(()) };
    let token = (*position as usize).checked_sub(1).and_then(|at| subject.tokens().nth(at));
    if token == Some(b"*") { Ok(()) } else { Err(SharingError::Subject) }
}

fn joined(before: Access, now: Access) -> Access {
    match (before, now) {
        (Access::Approved(mut before), Access::Approved(now)) => {
            before.extend(now);
            Access::Approved(before)
        }
        // Naming nobody takes nothing back.
        (before, Access::Public) => before,
        (_, now) => now,
    }
}
