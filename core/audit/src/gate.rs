//! Floods: the first of a kind at once, the rest as a number.

use std::collections::HashMap;
use std::time::Duration;

use moment::Instant;

use crate::record::Record;

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
    /// How many of them came from each address.
    addresses: HashMap<String, usize>,
    /// Records for which there was no room, by address as far as these are among those that are known.
    beyond: HashMap<Record, u64>,
}

impl Gate {
    /// A gate with windows of this length.
    pub fn new(window: Duration, now: Instant) -> Self {
        Self { window, begun: now, counted: HashMap::new(), addresses: HashMap::new(), beyond: HashMap::new() }
    }

    /// Whether the record is to be written now.
    pub fn passes(&mut self, record: &Record) -> bool {
        if let Some(count) = self.counted.get_mut(record) {
            *count += 1;
            return false;
        }
        let of_address = self.addresses.get(&record.from).copied().unwrap_or_default();
        if self.counted.len() < GATE_KINDS_MAX && of_address < GATE_KINDS_OF_ONE_ADDRESS_MAX {
            self.counted.insert(record.clone(), 0);
            *self.addresses.entry(record.from.clone()).or_default() += 1;
            return true;
        }
        // An address that never had a place has no line of its own: there may be as many as there are addresses.
        let from = if of_address > 0 { record.from.clone() } else { String::new() };
        let kind = Record { from, what: "and others like it".to_owned(), ..Record::new(record.class, record.outcome) };
        *self.beyond.entry(kind).or_default() += 1;
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
        self.addresses.clear();
        let counted = self.counted.drain().chain(self.beyond.drain()).filter(|(_, count)| *count > 0);
        let mut records: Vec<Record> = counted.map(|(record, count)| Record { count, ..record }).collect();
        records.sort_by(|a, b| (a.class, &a.account, &a.user, &a.what).cmp(&(b.class, &b.account, &b.user, &b.what)));
        records
    }
}
