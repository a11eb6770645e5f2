//! Floods: the first of a kind at once, the rest as a number.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use moment::Instant;

use crate::record::{Class, Outcome, Record};

/// Kinds of records counted at the same time. What comes beyond them in a window is counted together.
pub const GATE_KINDS_MAX: usize = 4096;

/// Kinds that come from one user at one address; of those of whom no user is known, from one address. What comes beyond them in a
/// window is counted together for that user: whoever floods with ever new names or subjects neither fills the disk nor takes the
/// places of others, not even of those behind the same gateway or leaf node.
pub const GATE_KINDS_OF_ONE_USER_MAX: usize = 64;

/// Kinds that come from all users of one account at one address: an account may have as many users as it likes.
pub const GATE_KINDS_OF_ONE_ACCOUNT_MAX: usize = 512;

/// Lets the first record of a kind pass and counts its repetitions until the window is over.
///
/// Two records are of one kind if they differ in nothing but their number.
pub struct Gate {
    window: Duration,
    begun: Instant,
    counts: Counts,
}

/// What was counted in a window. To put it in order takes a while, so that is not done where others wait.
#[derive(Default)]
pub struct Counts {
    kinds: HashMap<Record, u64>,
    sources: HashMap<Source, Placed>,
    /// Records for which there was no room, of sources that have no place.
    beyond: Beyond,
}

/// Where records come from: the address, and if it is known who is there the account and the user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Source {
    from: String,
    account: String,
    user: String,
}

/// What came from one source.
#[derive(Default)]
struct Placed {
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
        Self { window, begun: now, counts: Counts::default() }
    }

    /// Whether the record is to be written now. A record that is counted takes no memory unless it is the first of its kind.
    pub fn passes(&mut self, record: &Record) -> bool {
        self.counts.passes(record)
    }

    /// When the window ends.
    pub fn due(&self) -> Instant {
        self.begun + self.window
    }

    /// Ends the window if it is over: what was counted.
    pub fn end_window(&mut self, now: Instant) -> Option<Counts> {
        if now < self.due() {
            return None;
        }
        self.begun = now;
        Some(std::mem::take(&mut self.counts))
    }
}

impl Counts {
    fn passes(&mut self, record: &Record) -> bool {
        if let Some(count) = self.kinds.get_mut(record) {
            *count += 1;
            return false;
        }
        let sources = Source::all_of(record);
        let has_place = |(source, most): &(Source, usize)| self.kinds_of(source) < *most;
        if self.kinds.len() < GATE_KINDS_MAX && sources.iter().all(has_place) {
            sources.into_iter().for_each(|(source, _)| self.sources.entry(source).or_default().kinds += 1);
            self.kinds.insert(record.clone(), 0);
            return true;
        }
        // A source that never had a place has no line of its own: there may be as many as there are addresses.
        let known = sources.iter().rev().find(|(source, _)| self.sources.contains_key(source));
        let beyond = known.and_then(|(source, _)| self.sources.get_mut(source)).map(|source| &mut source.beyond);
        *beyond.unwrap_or(&mut self.beyond).entry((record.class, record.outcome)).or_default() += 1;
        false
    }

    fn kinds_of(&self, source: &Source) -> usize {
        self.sources.get(source).map_or(0, |source| source.kinds)
    }

    /// As records, in a stable order.
    pub fn records(self) -> Vec<Record> {
        let Self { kinds, sources, beyond } = self;
        let kinds = kinds.into_iter().filter(|(_, count)| *count > 0).map(|(record, count)| Record { count, ..record });
        let mut records: Vec<Record> = kinds.collect();
        let sources = sources.into_iter().map(|(source, counted)| (source, counted.beyond));
        for (source, beyond) in sources.chain([(Source::default(), beyond)]) {
            records.extend(beyond.into_iter().map(|(kind, count)| source.others(kind, count)));
        }
        records.sort_by(|a, b| {
            (a.class, &a.account, &a.user, &a.what, &a.from).cmp(&(b.class, &b.account, &b.user, &b.what, &b.from))
        });
        records
    }
}

impl Source {
    /// Whose places a record takes, the wider first, with how many there are. Who somebody says to be who is not let in is not
    /// known: only of members of an account the user is.
    fn all_of(record: &Record) -> Vec<(Self, usize)> {
        let from = network(&record.from);
        if record.account.is_empty() {
            return vec![(Self { from, ..Self::default() }, GATE_KINDS_OF_ONE_USER_MAX)];
        }
        let account = Self { from, account: record.account.clone(), user: String::new() };
        if record.user.is_empty() {
            return vec![(account, GATE_KINDS_OF_ONE_ACCOUNT_MAX)];
        }
        let user = Self { user: record.user.clone(), ..account.clone() };
        vec![(account, GATE_KINDS_OF_ONE_ACCOUNT_MAX), (user, GATE_KINDS_OF_ONE_USER_MAX)]
    }

    /// What is said of records for which there was no room.
    fn others(&self, (class, outcome): (Class, Outcome), count: u64) -> Record {
        let Self { from, account, user } = self.clone();
        Record { from, account, user, what: "and others like it".to_owned(), count, ..Record::new(class, outcome) }
    }
}

/// What counts as one address: of the newer protocol a network, as everybody has at least one whole.
fn network(from: &str) -> String {
    const PREFIX_BITS: u32 = 64;
    match from.parse() {
        Ok(IpAddr::V6(address)) => {
            let network = address.to_bits() >> PREFIX_BITS << PREFIX_BITS;
            format!("{}/{PREFIX_BITS}", std::net::Ipv6Addr::from_bits(network))
        }
        _ => from.to_owned(),
    }
}
