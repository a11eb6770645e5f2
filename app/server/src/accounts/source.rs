//! From tokens that are here to accounts of a directory.

use std::collections::{HashMap, HashSet};

use account::{AccountIds, Changed};
use auth::{Directory, Refusal};
use jwt::chain::{AccountRefusal, TrustedAccount};
use moment::Timestamp;
use nkeys::PublicKey;
use resolver::Resolver;

/// Where tokens are looked for, and what accounts are numbered by.
pub(super) struct Source<'a> {
    pub(super) resolver: Option<&'a mut Resolver>,
    /// Tokens that a resolver is to keep once the configuration holds which has them.
    pub(super) fresh: Option<&'a HashMap<PublicKey, String>>,
    /// Numbers are given for good, so it does no harm if the directory is never used.
    pub(super) ids: &'a mut AccountIds,
    pub(super) now: Timestamp,
}

impl Source<'_> {
    /// The directory with an account whose token is here, and with those that it needs; `None` if it is not here.
    pub(super) fn at_hand(
        &mut self,
        directory: &Directory,
        account: &PublicKey,
    ) -> Option<Result<(Directory, Changed), Refusal>> {
        let wider = match self.trusted(directory, account)? {
            Ok(trusted) => directory.with_account(trusted, self.ids, self.now),
            Err(refusal) => return Some(Err(Refusal::Account(*account, refusal))),
        };
        Some(Ok(self.with_exporters(wider)))
    }

    fn trusted(
        &mut self,
        directory: &Directory,
        account: &PublicKey,
    ) -> Option<Result<TrustedAccount, AccountRefusal>> {
        let trust = directory.trust()?;
        if let Some(token) = self.fresh.and_then(|fresh| fresh.get(account)) {
            return Some(trust.admit_account(token, account, self.now));
        }
        let token = self.resolver.as_mut()?.load(account, self.now).ok().flatten()?;
        Some(trust.admit_account(&token, account, self.now))
    }

    /// The same with the accounts from which those that changed import, as far as their tokens are here, and those from
    /// which these do.
    fn with_exporters(&mut self, wider: (Directory, Changed)) -> (Directory, Changed) {
        let (mut directory, mut changed) = wider;
        let mut asked = HashSet::new();
        loop {
            let missing = directory.missing_exporters(&changed);
            let missing: Vec<_> = missing.into_iter().filter(|key| asked.insert(*key)).collect();
            if missing.is_empty() {
                return (directory, changed);
            }
            for exporter in missing {
                if let Some(Ok(trusted)) = self.trusted(&directory, &exporter) {
                    let (wider, more) = directory.with_account(trusted, self.ids, self.now);
                    directory = wider;
                    changed.extend(more);
                }
            }
        }
    }
}
