//! What the far end of a link wants in accounts that this server has not loaded yet: a resolver may bring them later.

use hashbrown::HashMap;

use super::wants::Key;

/// What all that is remembered of one far end may take, its texts and the tables around them. Further filters are not remembered.
const EARLY_BYTES_MAX: usize = 32 << 20;

/// What a filter or an account takes beside its texts: its places in tables that are half empty, and what the allocator adds.
const PLACE_BYTES: usize = 128;

/// Filters by account, with the weights of queue groups.
#[derive(Default)]
pub(crate) struct Early {
    accounts: HashMap<Box<[u8]>, HashMap<Key, u32>>,
    bytes: usize,
}

impl Early {
    /// Remembers a filter as far as there is room for it. One that is known gets another weight.
    pub(crate) fn want(&mut self, account: &[u8], key: Key, weight: u32) {
        let known = self.accounts.get_mut(account);
        let of_account = if known.is_some() { 0 } else { bytes_of_account(account) };
        if let Some(known_weight) = known.and_then(|wanted| wanted.get_mut(&key)) {
            *known_weight = weight;
            return;
        }
        let bytes = self.bytes + of_account + bytes_of(&key);
        if bytes <= EARLY_BYTES_MAX {
            self.bytes = bytes;
            self.accounts.entry(account.into()).or_default().insert(key, weight);
        }
    }

    /// Forgets a filter.
    pub(crate) fn want_no_more(&mut self, account: &[u8], key: &Key) {
        let Some(wanted) = self.accounts.get_mut(account) else { return };
        if wanted.remove(key).is_some() {
            self.bytes -= bytes_of(key);
        }
        if wanted.is_empty() {
            self.accounts.remove(account);
            self.bytes -= bytes_of_account(account);
        }
    }

    /// The account is here now: what is wanted in it, which is no longer remembered.
    pub(crate) fn take(&mut self, account: &[u8]) -> HashMap<Key, u32> {
        let Some(wanted) = self.accounts.remove(account) else { return HashMap::new() };
        self.bytes -= bytes_of_account(account) + wanted.keys().map(bytes_of).sum::<usize>();
        wanted
    }
}

fn bytes_of((origin, filter, queue): &Key) -> usize {
    let length = |text: &Option<Box<[u8]>>| text.as_ref().map_or(0, |text| text.len());
    length(origin) + filter.len() + length(queue) + PLACE_BYTES
}

const fn bytes_of_account(account: &[u8]) -> usize {
    account.len() + PLACE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(filter: &[u8]) -> Key {
        (None, filter.into(), None)
    }

    #[test]
    fn what_is_remembered_has_a_bound_in_bytes() {
        let mut early = Early::default();
        let long = [b'x'; 4000];
        for number in 0..9000_u32 {
            early.want(b"A", key(&[long.as_slice(), &number.to_be_bytes()].concat()), 1);
            assert!(early.bytes <= EARLY_BYTES_MAX);
        }
        let kept = early.take(b"A").len();
        assert!((8000..8500).contains(&kept), "{kept} of four thousand bytes each");
        assert_eq!(early.bytes, 0);
        // Accounts count as well, each with a filter of its own.
        for number in 0..130_000_u32 {
            early.want(&number.to_be_bytes(), key(b"x"), 1);
        }
        assert_eq!(early.accounts.len(), EARLY_BYTES_MAX / (2 * PLACE_BYTES + 5));
    }

    #[test]
    fn what_is_forgotten_makes_room_again() {
        let mut early = Early::default();
        let full = (Some(b"leaf".as_slice().into()), b"orders.*".as_slice().into(), Some(b"q".as_slice().into()));
        for _ in 0..2 {
            early.want(b"A", full.clone(), 3);
            early.want(b"A", full.clone(), 5);
            early.want(b"A", key(b"orders.*"), 1);
            early.want(b"B", key(b"x"), 1);
            early.want_no_more(b"B", &key(b"y"));
            early.want_no_more(b"C", &key(b"x"));
            assert_eq!(early.accounts.len(), 2);
            early.want_no_more(b"B", &key(b"x"));
            early.want_no_more(b"A", &key(b"orders.*"));
            assert_eq!(early.bytes, 1 + 4 + 8 + 1 + 2 * PLACE_BYTES);
            assert_eq!(early.take(b"A").into_iter().collect::<Vec<_>>(), [(full.clone(), 5)]);
            assert_eq!((early.bytes, early.take(b"A").len()), (0, 0));
        }
    }
}
