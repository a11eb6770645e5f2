//! Who asks, where that binds what may be read.

use auth::{Denial, Reading};
use std::fmt;
use subject::{Filter, Subject};

/// Somebody who may not read everything that is stored. The host knows who it is; this room only asks and tells.
pub trait Asker: Send + Sync {
    /// What may be read.
    fn reading(&self) -> &Reading;
    /// Whether the server may publish to this subject on its behalf.
    ///
    /// # Errors
    /// What refuses it.
    fn may_publish(&self, subject: Subject<'_>) -> Result<(), Denial>;
    /// Whether the server may deliver messages to this subject on its behalf, to this group if one is named.
    ///
    /// # Errors
    /// What refuses it.
    fn may_deliver(&self, to: Subject<'_>, group: &str) -> Result<(), Denial>;
    /// Whether it may publish to every subject of the filter.
    ///
    /// # Errors
    /// What keeps some of them out.
    fn may_publish_all(&self, filter: &Filter) -> Result<(), Denial>;
    /// Something was refused for this reason: the operator is to know.
    fn refused(&self, denial: &Denial);
}

impl fmt::Debug for dyn Asker + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asker").field(self.reading()).finish()
    }
}
