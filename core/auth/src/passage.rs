//! Rights that follow from a publish that was permitted.

use account::{Mapped, Mappings, ServiceImport};
use subject::Subject;

use crate::authorized::{Authorized, Publish};

/// The right to publish on another subject, or in another account, that follows from a publish that was permitted: a
/// mapping moves it, an import carries it, an answer comes back by it. The only ways to one are those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    subject: Box<[u8]>,
}

/// What the mappings of an account make of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// No mapping applies.
    Stays,
    /// It goes on so.
    To(Passage),
    /// It goes nowhere.
    Nowhere,
}

impl Authorized<Publish<'_>> {
    /// The same right, to be kept.
    pub fn kept(&self) -> Passage {
        Passage { subject: self.subject.as_bytes().into() }
    }

    /// What the mappings of its account make of it in this cluster, where it was permitted by the name it came with.
    pub fn moved(&self, mappings: &Mappings, cluster: Option<&str>, chance: u64) -> Moved {
        match mappings.apply(self.subject, cluster, chance) {
            Mapped::Same => Moved::Stays,
            Mapped::To(subject) => Moved::To(Passage { subject: subject.into() }),
            Mapped::Dropped => Moved::Nowhere,
        }
    }

    /// What a service import makes of it, in the account that exports the service.
    pub fn imported(&self, import: &ServiceImport) -> Passage {
        Passage { subject: import.carry(self.subject).into() }
    }
}

impl Passage {
    /// The bytes. A mapping may make some that are no subject.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The right itself; nothing if the bytes are no subject, which reach nobody.
    pub fn publish(&self) -> Option<Authorized<Publish<'_>>> {
        Subject::parse(&self.subject).ok().map(|subject| Authorized::new(Publish { subject }))
    }

    /// The right to answer the request that goes this way, where its sender waits.
    pub fn answer(&self, reply: &[u8]) -> Self {
        Self { subject: reply.into() }
    }
}
