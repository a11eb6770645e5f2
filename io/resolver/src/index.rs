//! What is known of every stored token, the order of use, and the combined hash.

use std::collections::{BTreeMap, HashMap};

use nkeys::PublicKey;

use crate::description::{Description, Hash};
use crate::store::{Mark, Stored};

/// The index of a store: one flat list in the order of the keys, since a directory may hold a hundred thousand accounts and
/// most of them are never asked for. For the same reason a token's hash is not in it, but its mark only: whoever replaces or
/// removes a token still has its text to take the hash from.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: Vec<Entry>,
    /// Who was used when, for stores that let the oldest go. The others do not pay for it.
    order: Option<Order>,
    /// The hashes of all tokens whose mark is known.
    hash: Hash,
    /// A token went whose text was another one by then, so the combined hash is not that of the others.
    is_off: bool,
}

/// An account and its token, in 51 bytes.
#[derive(Debug)]
struct Entry {
    account: PublicKey,
    mark: Mark,
    issued_at: Seconds,
    expires: Seconds,
}

impl Entry {
    const fn new(account: PublicKey, stored: &Stored) -> Self {
        let Stored { issued_at, expires, mark } = *stored;
        let expires = if expires == 0 { Seconds::NEVER } else { Seconds::at_least_one(expires) };
        Self { account, mark, issued_at: Seconds::of(issued_at), expires }
    }

    const fn stored(&self) -> Stored {
        Stored { issued_at: self.issued_at.get(), expires: self.expires.get(), mark: self.mark }
    }
}

/// Seconds since 1970 up to the year 36812, in five bytes. What lies beyond is the last of them, what lies before the first.
#[derive(Debug, Clone, Copy)]
struct Seconds([u8; 5]);

impl Seconds {
    const NEVER: Self = Self([0; 5]);
    const LAST: i64 = (1 << 40) - 1;

    const fn of(seconds: i64) -> Self {
        let seconds = if seconds < 0 { 0 } else { seconds };
        let [_, _, _, rest @ ..] = (if seconds > Self::LAST { Self::LAST } else { seconds }).to_be_bytes();
        Self(rest)
    }

    /// The same for an end: one that is over stays over.
    const fn at_least_one(seconds: i64) -> Self {
        Self::of(if seconds < 1 { 1 } else { seconds })
    }

    const fn get(self) -> i64 {
        let [a, b, c, d, e] = self.0;
        i64::from_be_bytes([0, 0, 0, a, b, c, d, e])
    }
}

#[derive(Debug, Default)]
struct Order {
    accounts: BTreeMap<u64, PublicKey>,
    /// When an account was used, by number, and the nanoseconds after which it goes if it is not used again.
    used: HashMap<PublicKey, (u64, i64)>,
    uses: u64,
}

impl Order {
    /// Puts an account at the end.
    fn append(&mut self, account: PublicKey, until: i64) {
        self.forget(&account);
        self.uses += 1;
        self.accounts.insert(self.uses, account);
        self.used.insert(account, (self.uses, until));
    }

    fn forget(&mut self, account: &PublicKey) {
        if let Some((used, _)) = self.used.remove(account) {
            self.accounts.remove(&used);
        }
    }
}

impl Index {
    /// An index that knows the order of use.
    pub(crate) fn ordered() -> Self {
        Self { order: Some(Order::default()), ..Self::default() }
    }

    /// Takes in what a directory holds, each account once. It is in order when all are in and [`Self::settle`] was called.
    pub(crate) fn take_in(&mut self, account: PublicKey, described: &Description) {
        combine(&mut self.hash, &described.hash);
        self.entries.push(Entry::new(account, &described.stored));
    }

    /// All are in.
    pub(crate) fn settle(&mut self, until: i64) {
        self.entries.sort_unstable_by_key(|entry| entry.account);
        self.entries.shrink_to_fit();
        if let Some(order) = &mut self.order {
            self.entries.iter().for_each(|entry| order.append(entry.account, until));
        }
    }

    fn place(&self, account: &PublicKey) -> Result<usize, usize> {
        self.entries.binary_search_by_key(account, |entry| entry.account)
    }

    pub(crate) fn get(&self, account: &PublicKey) -> Option<Stored> {
        self.entries.get(self.place(account).ok()?).map(Entry::stored)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) const fn hash(&self) -> Hash {
        self.hash
    }

    /// Puts a token in, or in the place of the account's `former` one. `until`: nanoseconds after which an unused one goes.
    pub(crate) fn put(&mut self, account: PublicKey, described: &Description, former: Option<Hash>, until: i64) {
        let entry = Entry::new(account, &described.stored);
        match self.place(&account) {
            Ok(at) => {
                if let Some(known) = self.entries.get_mut(at) {
                    let mark = known.mark;
                    *known = entry;
                    self.count_no_more(mark, former);
                }
            }
            Err(at) => self.entries.insert(at, entry),
        }
        combine(&mut self.hash, &described.hash);
        self.touch(&account, until);
    }

    /// Takes an account out; `former` is the hash of its token.
    pub(crate) fn remove(&mut self, account: &PublicKey, former: Option<Hash>) {
        let Ok(at) = self.place(account) else { return };
        let entry = self.entries.remove(at);
        if let Some(order) = &mut self.order {
            order.forget(account);
        }
        self.count_no_more(entry.mark, former);
    }

    fn count_no_more(&mut self, mark: Mark, former: Option<Hash>) {
        match former.filter(|hash| Mark::of(hash) == mark) {
            Some(hash) => combine(&mut self.hash, &hash),
            None => self.is_off |= mark != Mark::UNSEEN,
        }
    }

    /// Takes the combined hash anew if it is off, from the texts as they are now. One that is not the text that was put in
    /// does not count, and is another one to everybody who compares, until it is put in.
    pub(crate) fn mend(&mut self, hash_of: impl Fn(&PublicKey) -> Option<Hash>) {
        if !std::mem::take(&mut self.is_off) {
            return;
        }
        self.hash = Hash::default();
        for entry in &mut self.entries {
            match hash_of(&entry.account).filter(|hash| Mark::of(hash) == entry.mark) {
                Some(hash) => combine(&mut self.hash, &hash),
                None => entry.mark = Mark::UNSEEN,
            }
        }
    }

    /// The entry was used: it moves to the end, and lives until then.
    pub(crate) fn touch(&mut self, account: &PublicKey, until: i64) {
        if self.place(account).is_ok()
            && let Some(order) = &mut self.order
        {
            order.append(*account, until);
        }
    }

    /// The account that was not used for longest.
    pub(crate) fn oldest(&self) -> Option<PublicKey> {
        self.order.as_ref().and_then(|order| order.accounts.values().next().copied())
    }

    /// The accounts that nobody used until now.
    pub(crate) fn unused(&self, now_nanos: i64) -> Vec<PublicKey> {
        let used = self.order.iter().flat_map(|order| &order.used);
        used.filter(|(_, (_, until))| *until <= now_nanos).map(|(account, _)| *account).collect()
    }

    /// The accounts whose tokens ended by now.
    pub(crate) fn expired(&self, now_seconds: i64) -> Vec<PublicKey> {
        let ended = |entry: &&Entry| matches!(entry.expires.get(), 1.. if entry.expires.get() <= now_seconds);
        self.entries.iter().filter(ended).map(|entry| entry.account).collect()
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = (PublicKey, Stored)> {
        self.entries.iter().map(|entry| (entry.account, entry.stored()))
    }
}

fn combine(all: &mut Hash, other: &Hash) {
    for (ours, theirs) in all.iter_mut().zip(other) {
        *ours ^= theirs;
    }
}

#[cfg(test)]
mod tests {
    use nkeys::Role;

    use super::*;
    use crate::description::describe;

    fn account(number: u8) -> PublicKey {
        PublicKey::from_raw(Role::Account, [number; 32]).unwrap()
    }

    #[test]
    fn an_account_takes_few_bytes_and_its_times_are_kept() {
        assert_eq!(size_of::<Entry>(), 51);
        let mark = Mark::of(&[7; 32]);
        for (given, kept) in [
            ((0, 0), (0, 0)),
            ((1_800_000_000, 1_900_000_000), (1_800_000_000, 1_900_000_000)),
            ((i64::MIN, i64::MIN), (0, 1)),
            ((i64::MAX, i64::MAX), (Seconds::LAST, Seconds::LAST)),
        ] {
            let stored = Entry::new(account(1), &Stored { issued_at: given.0, expires: given.1, mark }).stored();
            assert_eq!(stored, Stored { issued_at: kept.0, expires: kept.1, mark });
        }
    }

    #[test]
    fn the_combined_hash_is_that_of_the_tokens_that_are_there() {
        let of = |texts: &[(u8, &str)]| {
            let mut index = Index::default();
            texts.iter().for_each(|(number, text)| index.take_in(account(*number), &describe(text)));
            index.settle(0);
            index.hash()
        };
        let hash = |text: &str| Some(describe(text).hash);
        let mut index = Index::default();
        index.put(account(1), &describe("one"), None, 0);
        index.put(account(2), &describe("two"), None, 0);
        assert_eq!(index.hash(), of(&[(2, "two"), (1, "one")]));
        index.put(account(1), &describe("another"), hash("one"), 0);
        index.remove(&account(2), hash("two"));
        index.mend(|_| panic!("nothing is off"));
        assert_eq!(index.hash(), of(&[(1, "another")]));
    }

    #[test]
    fn a_text_that_others_changed_does_not_spoil_the_combined_hash() {
        let mut index = Index::default();
        for (number, text) in [(1, "one"), (2, "two"), (3, "three")] {
            index.put(account(number), &describe(text), None, 0);
        }
        // Others changed the first and the second; the first is replaced.
        index.put(account(1), &describe("new"), Some(describe("strange").hash), 0);
        let now = |key: &PublicKey| {
            let text = if *key == account(1) {
                "new"
            } else if *key == account(2) {
                "strange"
            } else {
                "three"
            };
            Some(describe(text).hash)
        };
        index.mend(now);
        let mut all = describe("new").hash;
        combine(&mut all, &describe("three").hash);
        assert_eq!(index.hash(), all);
        assert_ne!(index.get(&account(2)).unwrap().mark, describe("two").stored.mark, "it is another one to everybody");
        // The second did not count, so whatever it is when it goes, nothing is off.
        index.remove(&account(2), Some(describe("two").hash));
        index.mend(|_| panic!("nothing is off"));
        assert_eq!(index.hash(), all);
        index.remove(&account(3), None);
        index.mend(now);
        assert_eq!(index.hash(), describe("new").hash);
    }
}
