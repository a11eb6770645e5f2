//! Which lines of a trail somebody wants to see.

use moment::Timestamp;

use crate::chain::{Line, split};
use crate::record::{Class, Outcome, Record};

/// What a line must be like. What is not asked for does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The user is this one.
    pub user: Option<String>,
    /// The account is this one.
    pub account: Option<String>,
    /// What was done or wanted has this text in it.
    pub what: Option<String>,
    /// The class is this one.
    pub class: Option<Class>,
    /// The outcome is this one.
    pub outcome: Option<Outcome>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Not after this time.
    pub until: Option<Timestamp>,
}

impl Query {
    /// The line's time and record, if it is wanted. A line that cannot be read is not.
    pub fn picks(&self, line: &str) -> Option<(Timestamp, Record)> {
        let (body, _) = split(line)?;
        let line: Line = serde_json::from_str(&format!("{body}}}")).ok()?;
        let time: Timestamp = line.time.parse().ok()?;
        let record = line.record;
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        let wanted = is(&self.user, &record.user)
            && is(&self.account, &record.account)
            && self.what.as_ref().is_none_or(|part| record.what.contains(part.as_str()))
            && self.class.is_none_or(|class| class == record.class)
            && self.outcome.is_none_or(|outcome| outcome == record.outcome)
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time <= until);
        wanted.then_some((time, record))
    }
}
