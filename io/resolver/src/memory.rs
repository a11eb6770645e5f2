use std::collections::HashMap;
use std::io;

use moment::Timestamp;
use nkeys::PublicKey;

use crate::description::{describe, hash_of};
use crate::index::Index;
use crate::store::{Store, StoreError, Stored};

/// Tokens in memory.
#[derive(Debug, Default)]
pub struct Memory {
    tokens: HashMap<PublicKey, Box<str>>,
    index: Index,
}

impl Store for Memory {
    fn peek(&self, account: &PublicKey) -> Option<Stored> {
        self.index.get(account)
    }

    fn load(&mut self, account: &PublicKey, _: Timestamp) -> io::Result<Option<String>> {
        Ok(self.tokens.get(account).map(|token| token.to_string()))
    }

    fn save(&mut self, account: &PublicKey, token: &str, _: Timestamp) -> Result<bool, StoreError> {
        let described = describe(token);
        let changed = self.index.get(account).is_none_or(|former| former.mark != described.stored.mark);
        if changed {
            let former = self.tokens.insert(*account, token.into());
            self.index.put(*account, &described, former.map(|token| hash_of(&token)), i64::MAX);
        }
        Ok(changed)
    }

    fn delete(&mut self, account: &PublicKey) -> Result<(), StoreError> {
        let former = self.tokens.remove(account);
        self.index.remove(account, former.map(|token| hash_of(&token)));
        Ok(())
    }

    fn deleted(&self, _: &PublicKey) -> Option<i64> {
        None
    }

    fn accounts(&self, _: Timestamp) -> Vec<PublicKey> {
        let mut accounts: Vec<PublicKey> = self.tokens.keys().copied().collect();
        accounts.sort_unstable();
        accounts
    }

    fn hash(&self) -> [u8; 32] {
        self.index.hash()
    }

    fn prune(&mut self, _: Timestamp) -> Vec<PublicKey> {
        Vec::new()
    }

    fn reload(&mut self, _: Timestamp) -> io::Result<Vec<PublicKey>> {
        Ok(Vec::new())
    }
}
