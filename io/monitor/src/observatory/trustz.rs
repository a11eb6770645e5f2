//! `/trustz`.

use api::monitoring::Trustz;

use crate::observatory::Observatory;

impl Observatory {
    /// Who was refused, and how long certificates hold.
    pub fn trustz(&self) -> Trustz {
        self.facts.trust()
    }
}
