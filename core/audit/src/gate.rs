//! Floods: the first of a kind at once, the rest as a number.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use moment::Instant;

use crate::record::{Class, Outcome, Record};

/// Kinds of records counted at the same time. What comes beyond them in a window is counted together.
pub const GATE_KINDS_MAX: usize = 4096;

/// Kinds that come from one address. What comes beyond them in a window is counted together for that address: whoever floods
/// with ever new names or subjects neither fills the disk nor takes the others' places.
pub const GATE_KINDS_OF_ONE_ADDRESS_MAX: usize = 64;

/// Lets the first record of a kind pass and counts its repetitions until the window is over.
///
/// Two records are of one kind if they differ in nothing but their number.
pub struct Gate {
    window: Duration,
    begun: Instant,
    counted: HashMap<Record, u64>,
    addresses: HashMap<String, Address>,
    /// Records for which there was no room, of addresses that have no place.
    beyond: Beyond,
}

/// What came from one address.
#[derive(Default)]
struct Address {
    /// How many kinds of it are counted.
    kinds: usize,
    /// Records for which there was no room.
    beyond: Beyond,
}

/// Records that are told apart no further than this.
type Beyond = BTreeMap<(Class, Outcome), u64>;

impl Gate {
    /// A gate with windows of this length.
    pub fn new(window: Duration, now: Instant) -> Self {
        let (counted, addresses, beyond) = Default::default();
        Self { window, begun: now, counted, addresses, beyond }
    }

    /// Whether the record is to be written now. A record that is counted takes no memory unless it is the first of its kind.
    pub fn passes(&mut self, record: &Record) -> bool {
        if let Some(count) = self.counted.get_mut(record) {
            *count += 1;
            return false;
        }
        let has_place = self.counted.len() < GATE_KINDS_MAX;
        let beyond = match self.addresses.get_mut(&record.from) {
            Some(address) if has_place && address.kinds < GATE_KINDS_OF_ONE_ADDRESS_MAX => {
                address.kinds += 1;
                self.counted.insert(record.clone(), 0);
                return true;
            }
            Some(address) => &mut address.beyond,
            None if has_place => {
                self.addresses.insert(record.from.clone(), Address { kinds: 1, ..Address::default() });
                self.counted.insert(record.clone(), 0);
                return true;
            }
            // An address that never had a place has no line of its own: there may be as many as there are addresses.
            None => &mut self.beyond,
        };
        *beyond.entry((record.class, record.outcome)).or_default() += 1;
        false
    }

    /// When the window ends.
    pub fn due(&self) -> Instant {
        self.begun + self.window
    }

    /// Ends the window if it is over: what was counted, in a stable order.
    pub fn end_window(&mut self, now: Instant) -> Vec<Record> {
        if now < self.due() {
            return Vec::new();
        }
        self.begun = now;
        let kinds =
            self.counted.drain().filter(|(_, count)| *count > 0).map(|(record, count)| Record { count, ..record });
        let mut records: Vec<Record> = kinds.collect();
        let addresses = self.addresses.drain().map(|(from, address)| (from, address.beyond));
        for (from, beyond) in addresses.chain([(String::new(), std::mem::take(&mut self.beyond))]) {
            records.extend(beyond.into_iter().map(|(kind, count)| others(&from, kind, count)));
        }
        records.sort_by(|a, b| {
            (a.class, &a.account, &a.user, &a.what, &a.from).cmp(&(b.class, &b.account, &b.user, &b.what, &b.from))
        });
        records
    }
}

/// What is said of records for which there was no room.
fn others(from: &str, (class, outcome): (Class, Outcome), count: u64) -> Record {
    Record { from: from.to_owned(), what: "and others like it".to_owned(), count, ..Record::new(class, outcome) }
}
