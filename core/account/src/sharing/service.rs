//! A service import that may stand.

use std::time::Duration;

use subject::transform::Transform;
use subject::{Filter, Subject};

use super::export::{Latency, ResponseType};
use crate::name::AccountName;

/// An endpoint of another account that an account may ask. Made by the compiler only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceImport {
    pub(super) exporter: AccountName,
    pub(super) subject: Filter,
    pub(super) exported: Filter,
    pub(super) local: Filter,
    pub(super) naming: Naming,
    pub(super) share: bool,
    pub(super) response: ResponseType,
    pub(super) threshold: Duration,
    pub(super) latency: Option<Latency>,
    pub(super) allow_trace: bool,
}

/// What a request is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Naming {
    /// As here.
    Same,
    /// Always so.
    Fixed,
    /// By its wildcards.
    By(Transform),
}

impl ServiceImport {
    /// Whose it is.
    pub fn exporter(&self) -> &AccountName {
        &self.exporter
    }

    /// The subject there.
    pub fn subject(&self) -> &Filter {
        &self.subject
    }

    /// What the exporter offers, of which the subject may be a part. A request passes it once.
    pub fn exported(&self) -> &Filter {
        &self.exported
    }

    /// The subject here.
    pub fn local(&self) -> &Filter {
        &self.local
    }

    /// Whether the exporter learns who asks.
    pub fn shares(&self) -> bool {
        self.share
    }

    /// How it answers.
    pub fn response(&self) -> ResponseType {
        self.response
    }

    /// How long an answer, or the next part of it, may take.
    pub fn threshold(&self) -> Duration {
        self.threshold
    }

    /// Whether and where latencies are told.
    pub fn latency(&self) -> Option<&Latency> {
        self.latency.as_ref()
    }

    /// Whether a trace may follow requests there.
    pub fn allows_trace(&self) -> bool {
        self.allow_trace
    }

    /// What has to be asked here for a request of this subject there; nothing if none leads to it.
    pub fn asked_as(&self, there: Subject<'_>) -> Option<Vec<u8>> {
        if !self.subject.matches(there) {
            return None;
        }
        match &self.naming {
            Naming::Same => Some(there.as_bytes().to_vec()),
            Naming::Fixed => Some(self.local.as_bytes().to_vec()),
            Naming::By(transform) => Some(transform.reverse()?.apply(there, 0)),
        }
    }

    /// What a request of this subject is called there.
    pub fn carry(&self, subject: Subject<'_>) -> Vec<u8> {
        match &self.naming {
            Naming::Same => subject.as_bytes().to_vec(),
            Naming::Fixed => self.subject.as_bytes().to_vec(),
            Naming::By(transform) => transform.apply(subject, 0),
        }
    }
}
