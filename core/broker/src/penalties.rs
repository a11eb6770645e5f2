//! Logins that failed: whoever fails often waits longer for the answer, and an address that fails often in many places at
//! once is not judged for a moment.
//!
//! A login that succeeds never waits, so nobody can lock out a user by guessing at the name.

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use moment::Instant;
use parking_lot::Mutex;

use crate::BeforeLogin;

/// A full table is swept at most this often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Addresses and users that are remembered.
const REMEMBERED_MAX: usize = 65_536;

/// Failures by address and by user.
pub(crate) struct Penalties {
    known: Mutex<Table>,
    /// Connections that wait for their answer, so that a house without any asks nothing.
    held: AtomicUsize,
    hasher: FixedState,
}

#[derive(Default)]
struct Table {
    records: HashMap<u64, Record>,
    /// When what has faded was last thrown out.
    swept: Instant,
}

#[derive(Clone, Copy)]
struct Record {
    failures: u32,
    /// When the failures were last halved.
    since: Instant,
    held: u32,
}

impl Record {
    fn fade(&mut self, half_life: Duration, now: Instant) {
        while self.failures > 0 && now.since(self.since) >= half_life {
            self.failures /= 2;
            self.since += half_life;
        }
        if self.failures == 0 {
            self.since = now;
        }
    }

    fn delay(&self, bounds: &BeforeLogin) -> Duration {
        match self.failures.checked_sub(bounds.free_failures.saturating_add(1)) {
            None => Duration::ZERO,
            Some(times) => bounds.delay_min.saturating_mul(1 << times.min(16)).min(bounds.delay_max),
        }
    }
}

impl Penalties {
    pub(crate) fn new(seed: u64) -> Self {
        Self { known: Mutex::default(), held: AtomicUsize::new(0), hasher: FixedState::with_seed(seed) }
    }

    /// A login failed. How long its answer is to wait; if at all, [`Penalties::released`] must follow.
    pub(crate) fn failed(&self, address: IpAddr, user: Option<&str>, bounds: &BeforeLogin, now: Instant) -> Duration {
        let mut known = self.known.lock();
        let of_user = user.map_or(Duration::ZERO, |user| known.note(self.user(user), bounds, now));
        let place = self.address(address);
        let delay = known.note(place, bounds, now).max(of_user);
        if !delay.is_zero() {
            if let Some(record) = known.records.get_mut(&place) {
                record.held += 1;
            }
            self.held.fetch_add(1, Ordering::Relaxed);
        }
        delay
    }

    /// A connection has its answer, or is gone.
    pub(crate) fn released(&self, address: IpAddr) {
        self.held.fetch_sub(1, Ordering::Relaxed);
        if let Some(record) = self.known.lock().records.get_mut(&self.address(address)) {
            record.held = record.held.saturating_sub(1);
        }
    }

    /// Whether a login from this address is judged now.
    pub(crate) fn judges(&self, address: IpAddr, bounds: &BeforeLogin) -> bool {
        self.held.load(Ordering::Relaxed) == 0
            || self
                .known
                .lock()
                .records
                .get(&self.address(address))
                .is_none_or(|record| record.held < bounds.held_per_address)
    }

    fn user(&self, name: &str) -> u64 {
        self.hash(&(1, name))
    }

    /// One host of IPv6 has many addresses: the network counts.
    fn address(&self, address: IpAddr) -> u64 {
        match address.to_canonical() {
            IpAddr::V4(address) => self.hash(&(2, address.octets())),
            IpAddr::V6(address) => self.hash(&(3, address.segments().first_chunk::<4>())),
        }
    }

    fn hash(&self, what: &impl Hash) -> u64 {
        self.hasher.hash_one(what)
    }
}

impl Table {
    /// One more failure. When there is no room for another name it waits the first delay.
    fn note(&mut self, name: u64, bounds: &BeforeLogin, now: Instant) -> Duration {
        if self.records.len() >= REMEMBERED_MAX && !self.records.contains_key(&name) {
            self.sweep(bounds, now);
            if self.records.len() >= REMEMBERED_MAX {
                return bounds.delay_min;
            }
        }
        let record = self.records.entry(name).or_insert(Record { failures: 0, since: now, held: 0 });
        record.fade(bounds.half_life, now);
        record.failures = record.failures.saturating_add(1);
        record.delay(bounds)
    }

    /// Makes room, if it was not tried a moment ago: a flood of names must not make every failure expensive.
    fn sweep(&mut self, bounds: &BeforeLogin, now: Instant) {
        if now.since(self.swept) < SWEEP_EVERY && self.swept != Instant::default() {
            return;
        }
        self.swept = now;
        self.records.retain(|_, record| {
            record.fade(bounds.half_life, now);
            record.failures > bounds.free_failures / 2 || record.held > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn bounds() -> BeforeLogin {
        BeforeLogin::default()
    }

    fn guess(penalties: &Penalties, address: IpAddr, user: &str, now: Instant) -> Duration {
        let delay = penalties.failed(address, Some(user), &bounds(), now);
        if !delay.is_zero() {
            penalties.released(address);
        }
        delay
    }

    #[test]
    fn a_few_failures_cost_nothing_and_then_each_costs_twice_as_much() {
        let penalties = Penalties::new(1);
        let delays: Vec<_> = (0..20).map(|n| guess(&penalties, HERE, &n.to_string(), at(0)).as_millis()).collect();
        assert_eq!(delays[..10], [0; 10]);
        assert_eq!(delays[10..16], [50, 100, 200, 400, 800, 1000]);
        assert_eq!(guess(&penalties, THERE, "other", at(0)), Duration::ZERO, "another address has its own budget");
    }

    #[test]
    fn a_user_that_is_guessed_at_from_everywhere_is_guessed_slowly() {
        let penalties = Penalties::new(1);
        let from = |n: u8| IpAddr::from([10, 0, 0, n]);
        let last = (0..20).map(|n| guess(&penalties, from(n), "joe", at(0))).last().unwrap();
        assert_eq!(last, bounds().delay_max);
        assert_eq!(guess(&penalties, from(1), "jane", at(0)), Duration::ZERO);
    }

    #[test]
    fn failures_are_forgotten_with_time() {
        let penalties = Penalties::new(1);
        for _ in 0..16 {
            guess(&penalties, HERE, "joe", at(0));
        }
        assert_eq!(guess(&penalties, HERE, "joe", at(60)), Duration::ZERO, "half of them after a minute");
        assert_eq!(guess(&penalties, HERE, "joe", at(100_000)), Duration::ZERO);
    }

    #[test]
    fn what_failing_costs_is_as_configured() {
        let penalties = Penalties::new(1);
        let bounds = BeforeLogin {
            free_failures: 1,
            delay_min: Duration::from_millis(10),
            delay_max: Duration::from_millis(25),
            half_life: Duration::from_secs(5),
            held_per_address: 2,
            ..bounds()
        };
        let fail = |now| penalties.failed(HERE, None, &bounds, now).as_millis();
        assert_eq!([fail(at(0)), fail(at(0)), fail(at(0)), fail(at(0))], [0, 10, 20, 25]);
        assert!(!penalties.judges(HERE, &bounds), "more than two wait");
        (0..3).for_each(|_| penalties.released(HERE));
        assert!(penalties.judges(HERE, &bounds));
        assert_eq!(fail(at(10)), 10, "one of four is left after two half lives");
    }

    #[test]
    fn an_address_with_many_refused_connections_waits() {
        let penalties = Penalties::new(1);
        assert!((0..bounds().free_failures).all(|_| penalties.failed(HERE, None, &bounds(), at(0)).is_zero()));
        (0..bounds().held_per_address).for_each(|_| assert!(!penalties.failed(HERE, None, &bounds(), at(0)).is_zero()));
        assert!(!penalties.judges(HERE, &bounds()) && penalties.judges(THERE, &bounds()));
        penalties.released(HERE);
        assert!(penalties.judges(HERE, &bounds()));
    }

    #[test]
    fn a_network_of_many_addresses_counts_as_one_and_the_table_has_a_bound() {
        let penalties = Penalties::new(1);
        let host = |network: u16, n: u16| IpAddr::from([0x2001, 0xdb8, network, 0, 0, 0, 0, n]);
        let last = (0..20).map(|n| guess(&penalties, host(0, n), &n.to_string(), at(0))).last().unwrap();
        assert_eq!(last, bounds().delay_max);
        assert_eq!(guess(&penalties, host(1, 0), "x", at(0)), Duration::ZERO);
        for n in 0..2 * REMEMBERED_MAX {
            guess(&penalties, THERE, &n.to_string(), at(0));
        }
        assert!(penalties.known.lock().records.len() <= REMEMBERED_MAX);
    }
}
