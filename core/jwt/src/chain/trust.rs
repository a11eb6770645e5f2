use std::collections::{HashMap, HashSet};

use moment::Timestamp;
use nkeys::{PublicKey, Role, undecorate_jwt};

use crate::DecodeError;
use crate::chain::{OperatorRefusal, UserRefusal};
use crate::common::UnixSeconds;
use crate::operator::OperatorClaims;
use crate::user::UserClaims;

/// An operator of the configuration, with the token it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedOperator {
    /// What it says.
    pub claims: OperatorClaims,
    /// The token.
    pub token: String,
}

/// Whose accounts are ours.
#[derive(Debug, Clone, Default)]
pub struct OperatorTrust {
    keys: HashMap<PublicKey, Trusted>,
    operators: Vec<TrustedOperator>,
    pinned: Option<HashSet<PublicKey>>,
}

/// For how long and how strictly a key is trusted.
#[derive(Debug, Clone, Copy)]
struct Trusted {
    expires: UnixSeconds,
    strict: bool,
}

impl OperatorTrust {
    /// Trusts the operators of these tokens, decorated or bare, each of which must be whole, current and content with this
    /// server's version.
    pub fn of_operators(tokens: &[String], server: [u64; 3], now: Timestamp) -> Result<Self, OperatorRefusal> {
        let mut trust = Self::default();
        for token in tokens {
            let token = undecorate_jwt(token.as_bytes()).map_err(|_| OperatorRefusal::Token(DecodeError::Chunks))?;
            let claims = OperatorClaims::decode(token).map_err(OperatorRefusal::Token)?;
            judge(&claims, server, now)?;
            trust.add(&claims);
            trust.operators.push(TrustedOperator { claims, token: token.to_owned() });
        }
        Ok(trust)
    }

    /// Trusts bare keys.
    pub fn of_keys(keys: &[PublicKey]) -> Result<Self, OperatorRefusal> {
        if let Some(key) = keys.iter().find(|key| key.role() != Role::Operator) {
            return Err(OperatorRefusal::NotOperatorKey(*key));
        }
        let trusted = Trusted { expires: 0, strict: false };
        Ok(Self { keys: keys.iter().map(|key| (*key, trusted)).collect(), ..Self::default() })
    }

    /// Admits users of these accounts only. The system account is one of them whether named or not.
    pub fn pinned_to(mut self, accounts: impl IntoIterator<Item = PublicKey>) -> Self {
        let system = self.system_account();
        self.pinned = Some(accounts.into_iter().chain(system).collect());
        self
    }

    fn add(&mut self, operator: &OperatorClaims) {
        let (expires, strict) = (operator.common.expires, operator.strict_signing_key_usage);
        for key in &operator.signing_keys {
            self.keys.insert(*key, Trusted { expires, strict });
        }
        if !strict {
            self.keys.insert(operator.common.subject, Trusted { expires, strict });
        }
    }

    /// Whether accounts signed by this key are ours.
    pub fn trusts(&self, issuer: &PublicKey, now: Timestamp) -> bool {
        let current = |trusted: &Trusted| trusted.expires == 0 || trusted.expires > now.as_secs();
        self.keys.get(issuer).is_some_and(current)
    }

    /// Whether users of accounts signed by this key must be signed by signing keys, never by the account's own.
    pub fn is_strict(&self, issuer: &PublicKey) -> bool {
        self.keys.get(issuer).is_some_and(|trusted| trusted.strict)
    }

    /// The operators, where trust came from tokens.
    pub fn operators(&self) -> &[TrustedOperator] {
        &self.operators
    }

    /// Every key that may sign accounts.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.keys()
    }

    /// The first system account an operator names.
    pub fn system_account(&self) -> Option<PublicKey> {
        self.operators.iter().find_map(|operator| operator.claims.system_account)
    }

    /// The account that has to be at hand before the user can be judged, if users of it are admitted here at all.
    pub fn account_of(&self, user: &UserClaims) -> Result<PublicKey, UserRefusal> {
        let account = user.account();
        match &self.pinned {
            Some(pinned) if !pinned.contains(&account) => Err(UserRefusal::NotPinned(account)),
            _ => Ok(account),
        }
    }
}

fn judge(claims: &OperatorClaims, server: [u64; 3], now: Timestamp) -> Result<(), OperatorRefusal> {
    let subject = claims.common.subject;
    if claims.common.is_expired(now.as_secs()) {
        return Err(OperatorRefusal::Expired(subject));
    }
    if claims.common.is_early(now.as_secs()) {
        return Err(OperatorRefusal::Early(subject));
    }
    if !claims.common.is_self_signed() && !claims.signing_keys.contains(&claims.common.issuer) {
        return Err(OperatorRefusal::NotSelfSigned(subject));
    }
    let issues = claims.validate(now.as_secs());
    if issues.is_blocking() {
        return Err(OperatorRefusal::Invalid(issues.blocking()));
    }
    match claims.asserted_version() {
        Ok(Some(wanted)) if wanted > server => Err(OperatorRefusal::Version { operator: subject, wanted, server }),
        _ => Ok(()),
    }
}

/// Judges a `default_sentinel`: the user that connections without claims stand for. It must be a bearer, or a scoped user
/// whose scope, judged at login, makes it one.
pub fn judge_sentinel(token: &str) -> Result<UserClaims, OperatorRefusal> {
    let user = UserClaims::decode(token).map_err(OperatorRefusal::Sentinel)?;
    let scoped = user.issuer_account.is_some() && user.rights.is_empty();
    if user.rights.bearer_token || scoped { Ok(user) } else { Err(OperatorRefusal::SentinelNotBearer) }
}
