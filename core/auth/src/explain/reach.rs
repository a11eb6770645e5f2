//! How much of a filter somebody may use: for comparing two sets of rules.

use subject::{Filter, Queue};

use crate::permissions::{Allow, Permissions};

/// How much of what a filter matches is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// None of it.
    Nothing,
    /// Some of it.
    Part,
    /// All of it.
    All,
}

impl Permissions {
    /// How much of this filter may be published to. The subjects of the server itself do not count.
    pub fn publish_reach(&self, filter: &Filter) -> Reach {
        let allowed = match &self.publish_allow {
            Allow::Everything => Reach::All,
            Allow::Only(rules) if rules.covers(filter) => Reach::All,
            Allow::Only(rules) if rules.overlaps(filter, None) => Reach::Part,
            Allow::Only(_) => Reach::Nothing,
        };
        let left = if self.publish_deny.covers(filter) {
            Reach::Nothing
        } else if self.publish_deny.overlaps(filter, None) {
            Reach::Part
        } else {
            Reach::All
        };
        allowed.min(left)
    }

    /// How much of this filter a subscription to it receives.
    pub fn subscribe_reach(&self, filter: &Filter, queue: Option<&Queue>) -> Reach {
        match self.subscribe(filter.clone(), queue) {
            Err(_) => Reach::Nothing,
            Ok(grant) if grant.is_filtered() => Reach::Part,
            Ok(_) => Reach::All,
        }
    }
}
