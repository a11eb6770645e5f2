//! Judging an update. The order of the questions and the texts are the reference's; trust, time and age are ours.

use jwt::AccountClaims;
use jwt::chain::AccountRefusal;
use nkeys::PublicKey;

use crate::outcome::Outcome;
use crate::resolver::World;
use crate::store::{Store, StoreError};

/// How a resolver of one type speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Memory and URL.
    Plain,
    /// A directory with every account.
    Full,
    /// A directory with some.
    Cache,
}

impl Manner {
    const fn updated(self) -> &'static str {
        match self {
            Self::Plain | Self::Full => "jwt updated",
            Self::Cache => "jwt updated cache",
        }
    }

    const fn skipped(self) -> &'static str {
        match self {
            Self::Plain | Self::Full => "jwt update skipped",
            Self::Cache => "jwt update cache skipped",
        }
    }

    const fn failed(self) -> &'static str {
        match self {
            Self::Plain | Self::Full => "jwt update resulted in error",
            Self::Cache => "jwt update cache resulted in error",
        }
    }

    const fn invalid(self) -> &'static str {
        match self {
            Self::Plain => "jwt update resulted in error",
            Self::Full => "jwt validation failed",
            Self::Cache => "jwt update cache validation failed",
        }
    }
}

/// An update on its way into the store.
pub(crate) struct Update<'a> {
    pub(crate) manner: Manner,
    /// The account in the subject.
    pub(crate) addressed: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// One question; an answer other than yes ends the judging.
type Step<'a> = fn(&Update<'a>, &AccountClaims, &World<'_>) -> Result<(), Outcome>;

/// A token that may be stored.
pub(crate) struct Accepted {
    pub(crate) account: PublicKey,
    pub(crate) token: String,
}

impl<'a> Update<'a> {
    pub(crate) fn judge(&self, store: &dyn Store, world: &World<'_>) -> Result<Accepted, Outcome> {
        let (claims, token) = self.read()?;
        let account = claims.common.subject;
        let steps: &[Step<'a>] = match (self.manner, self.addressed) {
            (Manner::Full, Some(_)) => &[Self::valid, Self::fits, Self::strict],
            (Manner::Full, None) => &[Self::strict, Self::valid],
            (Manner::Cache, _) => &[Self::fits, Self::strict, Self::known, Self::valid],
            (Manner::Plain, _) => &[Self::fits, Self::known, Self::strict, Self::valid],
        };
        steps.iter().try_for_each(|step| step(self, &claims, world))?;
        self.trusted(&token, &account, world)?;
        self.newest(&claims, store)?;
        Ok(Accepted { account, token })
    }

    fn read(&self) -> Result<(AccountClaims, String), Outcome> {
        if self.manner == Manner::Plain && self.body.is_empty() {
            return Err(Outcome::failed(self.named(), "jwt update error", "request body is empty"));
        }
        let unread =
            |error: &dyn ToString| Outcome::failed(self.unread_name(), self.manner.failed(), error.to_string());
        let token = std::str::from_utf8(self.body).map_err(|_| unread(&"expected 3 chunks"))?;
        let claims = AccountClaims::decode(token).map_err(|error| unread(&error))?;
        Ok((claims, token.to_owned()))
    }

    /// A full directory does not say whose token could not be read.
    fn unread_name(&self) -> &str {
        if self.manner == Manner::Full { "n/a" } else { self.named() }
    }

    fn named(&self) -> &str {
        self.addressed.unwrap_or("n/a")
    }

    fn fits(&self, claims: &AccountClaims, _: &World<'_>) -> Result<(), Outcome> {
        let subject = claims.common.subject.to_string();
        match self.addressed {
            Some(addressed) if addressed != subject => {
                Err(Outcome::failed(addressed, self.manner.failed(), "subject does not match jwt content"))
            }
            _ => Ok(()),
        }
    }

    fn strict(&self, claims: &AccountClaims, world: &World<'_>) -> Result<(), Outcome> {
        let issuer = claims.common.issuer;
        let strict = |claims: &jwt::OperatorClaims| claims.strict_signing_key_usage && claims.common.subject == issuer;
        if world.trust.operators().iter().any(|operator| strict(&operator.claims)) {
            return Err(self.refused(claims, "operator requires issuer to be a signing key"));
        }
        Ok(())
    }

    fn known(&self, claims: &AccountClaims, world: &World<'_>) -> Result<(), Outcome> {
        if (world.known)(&claims.common.subject) {
            return Ok(());
        }
        Err(Outcome::done(claims.common.subject.to_string(), self.manner.skipped()))
    }

    fn valid(&self, claims: &AccountClaims, world: &World<'_>) -> Result<(), Outcome> {
        let issues = claims.validate(world.now.as_secs());
        if issues.is_blocking() {
            return Err(self.invalid(claims.common.subject, &AccountRefusal::Invalid(issues.blocking())));
        }
        Ok(())
    }

    /// Ours: what no trusted operator signed, or what is over, is not stored.
    fn trusted(&self, token: &str, account: &PublicKey, world: &World<'_>) -> Result<(), Outcome> {
        let judged = world.trust.admit_account(token, account, world.now);
        judged.map(drop).map_err(|refusal| match self.manner {
            Manner::Plain => self.invalid(*account, &refusal),
            _ => Outcome::failed(account.to_string(), self.manner.failed(), refusal),
        })
    }

    /// Ours: a token issued before the stored one would take revocations back.
    fn newest(&self, claims: &AccountClaims, store: &dyn Store) -> Result<(), Outcome> {
        let stored = store.peek(&claims.common.subject);
        match stored {
            Some(stored) if stored.issued_at > claims.common.issued_at => {
                Err(self.refused(claims, "jwt is older than the stored one"))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, claims: &AccountClaims, error: &str) -> Outcome {
        Outcome::failed(claims.common.subject.to_string(), self.manner.failed(), error)
    }

    /// Plain resolvers say no more than that it failed; the log says more.
    fn invalid(&self, account: PublicKey, refusal: &AccountRefusal) -> Outcome {
        match self.manner {
            Manner::Plain => {
                let outcome = Outcome::failed(account.to_string(), self.manner.invalid(), "account validation failed");
                Outcome { detail: Some(refusal.to_string()), ..outcome }
            }
            _ => Outcome::failed(account.to_string(), self.manner.invalid(), refusal),
        }
    }

    pub(crate) fn stored(&self, account: &PublicKey, saved: &Result<bool, StoreError>) -> Outcome {
        match saved {
            Ok(_) => Outcome::done(account.to_string(), self.manner.updated()),
            Err(error) => Outcome::failed(account.to_string(), self.manner.failed(), error),
        }
    }
}
