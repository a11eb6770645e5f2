use moment::Timestamp;
use nkeys::PublicKey;

use crate::account::AccountClaims;
use crate::chain::{AccountRefusal, OperatorTrust};

/// An account whose claims were judged whole: signed by a trusted operator, valid, current at that moment.
///
/// Time goes on afterwards: [`TrustedAccount::check`] asks again, and every function that takes one does so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedAccount {
    claims: AccountClaims,
    token: Box<str>,
}

impl OperatorTrust {
    /// Judges an account's token. `wanted` is the account it was asked for or stored under.
    pub fn admit_account(
        &self,
        token: &str,
        wanted: &PublicKey,
        now: Timestamp,
    ) -> Result<TrustedAccount, AccountRefusal> {
        let claims = AccountClaims::decode(token).map_err(AccountRefusal::Token)?;
        if claims.common.subject != *wanted {
            return Err(AccountRefusal::Subject { wanted: *wanted, found: claims.common.subject });
        }
        let account = TrustedAccount { claims, token: token.into() };
        // Trust first: validating a large claim costs more than a stranger may spend.
        account.check(self, now)?;
        let issues = account.claims.validate(now.as_secs());
        if issues.is_blocking() {
            return Err(AccountRefusal::Invalid(issues.blocking()));
        }
        Ok(account)
    }
}

impl TrustedAccount {
    /// Whether the account is still current and its operator still trusted.
    pub fn check(&self, trust: &OperatorTrust, now: Timestamp) -> Result<(), AccountRefusal> {
        let common = &self.claims.common;
        if !trust.trusts(&common.issuer, now) {
            return Err(AccountRefusal::Untrusted(common.issuer));
        }
        if common.is_expired(now.as_secs()) {
            return Err(AccountRefusal::Expired);
        }
        if common.is_early(now.as_secs()) {
            return Err(AccountRefusal::Early);
        }
        Ok(())
    }

    /// What it says.
    pub const fn claims(&self) -> &AccountClaims {
        &self.claims
    }

    /// The token.
    pub const fn token(&self) -> &str {
        &self.token
    }

    /// The account's key.
    pub const fn key(&self) -> PublicKey {
        self.claims.common.subject
    }

    /// When its users have to go; `None` for never.
    pub fn expires(&self) -> Option<Timestamp> {
        Some(self.claims.common.expires).filter(|&at| at != 0).map(Timestamp::from_secs)
    }

    /// Whether this account lets a key sign users and activations. Under a strict operator its own key may not.
    pub fn may_sign(&self, trust: &OperatorTrust, issuer: &PublicKey) -> bool {
        if *issuer == self.key() {
            return !trust.is_strict(&self.claims.common.issuer);
        }
        self.claims.signing_keys.contains(issuer)
    }
}
