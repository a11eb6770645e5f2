use std::collections::BTreeMap;

use nkeys::{PublicKey, Role};

use crate::bounds::MAX_REVOCATIONS;
use crate::common::UnixSeconds;
use crate::read::{self, Fields};
use crate::{DecodeError, Problem};

/// Whom it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revoked {
    /// `*`: everybody.
    All,
    /// One user, or one account that holds an activation.
    Key(PublicKey),
}

/// Which claims are void: those about a key that were *issued* at or before a second. Renewed claims are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations(BTreeMap<Revoked, UnixSeconds>);

impl Revocations {
    pub(crate) fn read(fields: Fields<'_>) -> Result<Self, DecodeError> {
        let entries =
            fields.entries("revocations", MAX_REVOCATIONS, |name, value| Ok((revoked(name)?, read::int(value)?)))?;
        Ok(Self(entries.into_iter().collect()))
    }

    pub(crate) fn write(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut entries: Vec<(String, UnixSeconds)> = self.0.iter().map(|(who, &when)| (text(who), when)).collect();
        entries.sort();
        entries.into_iter().map(|(who, when)| (who, when.into())).collect()
    }

    /// Whether a claim about this key, issued then, is void. Where anything is revoked, a claim that does not say when it
    /// was issued is void too.
    pub fn hit(&self, subject: &PublicKey, issued_at: UnixSeconds) -> bool {
        let hit = |who| self.0.get(&who).is_some_and(|&until| until >= issued_at);
        !self.0.is_empty() && (issued_at == 0 || hit(Revoked::Key(*subject)) || hit(Revoked::All))
    }

    /// Revokes what was issued up to a second. An entry that reaches further is kept: a revocation never shrinks.
    pub fn revoke(&mut self, who: Revoked, until: UnixSeconds) {
        let kept = self.0.entry(who).or_insert(until);
        *kept = until.max(*kept);
    }

    /// Takes a revocation back, and says until when it reached.
    pub fn clear(&mut self, who: Revoked) -> Option<UnixSeconds> {
        self.0.remove(&who)
    }

    /// Drops the entries that `*` makes superfluous and returns them.
    pub fn compact(&mut self) -> Vec<(Revoked, UnixSeconds)> {
        let Some(&all) = self.0.get(&Revoked::All) else { return Vec::new() };
        let superfluous = |who: &Revoked, until: UnixSeconds| *who != Revoked::All && until <= all;
        let dropped = self.0.iter().map(|(who, until)| (*who, *until)).filter(|(who, until)| superfluous(who, *until));
        let dropped: Vec<_> = dropped.collect();
        self.0.retain(|who, until| !superfluous(who, *until));
        dropped
    }

    /// Nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (&Revoked, UnixSeconds)> {
        self.0.iter().map(|(who, &until)| (who, until))
    }
}

fn revoked(name: &str) -> Result<Revoked, DecodeError> {
    if name == "*" {
        return Ok(Revoked::All);
    }
    let key: PublicKey = name.parse().map_err(|error| DecodeError::field(Problem::Key(error)))?;
    match key.role() {
        Role::User | Role::Account => Ok(Revoked::Key(key)),
        _ => Err(DecodeError::field(Problem::Word(name.to_owned()))),
    }
}

fn text(who: &Revoked) -> String {
    match who {
        Revoked::All => "*".to_owned(),
        Revoked::Key(key) => key.to_string(),
    }
}
