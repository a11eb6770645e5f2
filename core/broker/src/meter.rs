//! Meters: what a limited user or account may publish now, and until when a connection waits that has had its share.
//!
//! A limit is a *tap* that all connections under it share. It hands out portions, one connection after the other, and
//! says from when on a portion may be used: nobody takes more than its turn, and nobody is passed over. A connection
//! whose portion lies in the future is not read until then. Nothing is dropped: what it has sent waits in its socket.
//!
//! A connection under no limit has no meter, and pays nothing for those that have one.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use account::{Rate, Rates};
use moment::Instant;
use parking_lot::Mutex;

/// In this time every connection under a limit has its turn, as long as there is one message for each.
const ROUND: Duration = Duration::from_millis(100);

/// Whoever waited and is looked at late is given what it missed meanwhile, up to this time.
const LATE_MAX: Duration = Duration::from_secs(1);

/// One limit, shared by everybody under it.
#[derive(Debug)]
struct Tap {
    rate: Rate,
    /// When everything that was handed out will have been replaced, in nanoseconds of the house's clock.
    whole_at: AtomicU64,
    /// Meters that draw from it.
    sharers: AtomicUsize,
}

impl Tap {
    const fn new(rate: Rate) -> Self {
        Self { rate, whole_at: AtomicU64::new(0), sharers: AtomicUsize::new(0) }
    }

    /// What one connection is given at a time: its share of a round, or what it needs for one message.
    fn portion(&self, need: u64) -> u64 {
        let sharers = self.sharers.load(Ordering::Relaxed).max(1) as u64;
        let round = self.rate.in_time(ROUND).min(self.rate.burst());
        (round.get() / sharers).max(need).max(1)
    }

    /// Hands out so many, and says from when on they may be used. What nobody used in a time of silence is there at once,
    /// up to the burst.
    fn hand_out(&self, count: u64, now: Instant) -> Instant {
        let takes = nanos(self.rate.time_for(count));
        let saved = nanos(self.rate.time_for(self.rate.burst().get()));
        let later = |whole_at: u64| whole_at.max(now.as_nanos()).saturating_add(takes);
        let before = self.whole_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, |at| Some(later(at)));
        Instant::from_nanos(later(before.unwrap_or_default()).saturating_sub(saved))
    }
}

impl Tap {
    /// What one connection missed that could have used it from `due` on: its share of what nobody was given meanwhile.
    fn missed(&self, due: Instant, now: Instant) -> u64 {
        let whole_at = self.whole_at.load(Ordering::Acquire);
        let earliest = now.as_nanos().saturating_sub(nanos(LATE_MAX));
        let from = Instant::from_nanos(whole_at.max(due.as_nanos()).max(earliest));
        if from >= now {
            return 0;
        }
        // The last one is not quite there yet: what is rounded is made up for by the next.
        let missed = self.rate.whole_in(now.since(from)) / self.sharers.load(Ordering::Relaxed).max(1) as u64 + 1;
        let until = (from + self.rate.time_for(missed)).as_nanos();
        // Whoever comes in between has been given it.
        let taken = self.whole_at.compare_exchange(whole_at, until, Ordering::AcqRel, Ordering::Acquire);
        taken.map_or(0, |_| missed)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The taps of one user or one account, for each of the rates under which it is there: two tokens of one user may say two
/// rates, and a reload may change one. Whoever comes again under a rate finds what was handed out under it.
#[derive(Debug, Default)]
pub(crate) struct Taps(Mutex<Vec<Shared>>);

#[derive(Debug)]
struct Shared {
    rates: Rates,
    messages: Option<Arc<Tap>>,
    bytes: Option<Arc<Tap>>,
}

impl Shared {
    fn new(rates: Rates) -> Self {
        let tap = |rate: Option<Rate>| rate.map(|rate| Arc::new(Tap::new(rate)));
        Self { rates, messages: tap(rates.messages), bytes: tap(rates.bytes) }
    }

    fn taps(&self) -> impl Iterator<Item = &Arc<Tap>> {
        self.messages.iter().chain(&self.bytes)
    }

    /// Whether everything that was handed out has been replaced.
    fn is_full(&self, now: Instant) -> bool {
        self.taps().all(|tap| tap.whole_at.load(Ordering::Acquire) <= now.as_nanos())
    }

    /// Whether nothing would be lost with it.
    fn is_idle(&self, now: Instant) -> bool {
        self.is_full(now) && self.taps().all(|tap| tap.sharers.load(Ordering::Relaxed) == 0)
    }
}

impl Taps {
    /// Whether everything that was handed out has been replaced.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.0.lock().iter().all(|shared| shared.is_full(now))
    }

    /// The taps for these rates.
    fn of(&self, rates: Rates, now: Instant) -> [Option<Draw>; 2] {
        let mut all = self.0.lock();
        all.retain(|shared| shared.rates == rates || !shared.is_idle(now));
        let at = all.iter().position(|shared| shared.rates == rates).unwrap_or_else(|| {
            all.push(Shared::new(rates));
            all.len() - 1
        });
        let draw = |tap: &Option<Arc<Tap>>, unit| tap.clone().map(|tap| Draw::new(tap, unit));
        [draw(&all[at].messages, Unit::Messages), draw(&all[at].bytes, Unit::Bytes)]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Messages,
    Bytes,
}

/// One connection at one tap.
#[derive(Debug)]
struct Draw {
    tap: Arc<Tap>,
    unit: Unit,
    /// Handed out and not used.
    left: u64,
}

impl Draw {
    fn new(tap: Arc<Tap>, unit: Unit) -> Self {
        tap.sharers.fetch_add(1, Ordering::Relaxed);
        Self { tap, unit, left: 0 }
    }

    const fn need(&self, bytes: u64) -> u64 {
        match self.unit {
            Unit::Messages => 1,
            Unit::Bytes => bytes,
        }
    }

    /// Sees to it that there is enough for one message, and says from when on it may be used if that is later.
    fn provide(&mut self, bytes: u64, now: Instant) -> Option<Instant> {
        let missing = NonZeroU64::new(self.need(bytes).saturating_sub(self.left))?;
        let portion = self.tap.portion(missing.get());
        let ready = self.tap.hand_out(portion, now);
        self.left = self.left.saturating_add(portion);
        (ready > now).then_some(ready)
    }
}

impl Drop for Draw {
    fn drop(&mut self) {
        self.tap.sharers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// So many messages and bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    messages: u64,
    bytes: u64,
}

impl Amount {
    const fn of(self, unit: Unit) -> u64 {
        match unit {
            Unit::Messages => self.messages,
            Unit::Bytes => self.bytes,
        }
    }
}

/// What limits one connection: the taps of its user and of its account.
#[derive(Debug)]
pub(crate) struct Meter {
    draws: Box<[Draw]>,
    /// What every draw still has: so much may be taken without looking at each of them.
    at_hand: Amount,
    /// What was taken from there since the draws were looked at.
    used: Amount,
    /// It was sent away until then and has not come back yet.
    due: Option<Instant>,
}

impl Meter {
    /// A meter for these limits; none where nothing is limited.
    pub(crate) fn new<'a>(limits: impl IntoIterator<Item = (&'a Taps, Rates)>, now: Instant) -> Option<Box<Self>> {
        let limits = limits.into_iter().filter(|(_, rates)| !rates.is_unlimited());
        let draws: Box<[Draw]> = limits.flat_map(|(taps, rates)| taps.of(rates, now)).flatten().collect();
        let none = Amount::default();
        (!draws.is_empty()).then(|| Box::new(Self { draws, at_hand: none, used: none, due: None }))
    }

    /// Asks for one message of so many bytes. It is counted if it may be taken now.
    ///
    /// # Errors
    /// From when on it may be taken. It has been provided for: whoever asks again then is not sent away again.
    #[inline]
    pub(crate) fn take(&mut self, bytes: u64, now: Instant) -> Result<(), Instant> {
        if self.at_hand.messages == 0 || self.at_hand.bytes < bytes {
            self.look(bytes, now)?;
        }
        self.at_hand.messages -= 1;
        self.at_hand.bytes -= bytes;
        self.used.messages += 1;
        self.used.bytes = self.used.bytes.saturating_add(bytes);
        Ok(())
    }

    /// Looks at each draw, and has all provide for one message of so many bytes.
    #[cold]
    fn look(&mut self, bytes: u64, now: Instant) -> Result<(), Instant> {
        let used = std::mem::take(&mut self.used);
        self.draws.iter_mut().for_each(|draw| draw.left = draw.left.saturating_sub(used.of(draw.unit)));
        // Nothing is at hand before all draws have provided.
        self.at_hand = Amount::default();
        if let Some(due) = self.due.take().filter(|due| *due < now) {
            self.draws.iter_mut().for_each(|draw| draw.left = draw.left.saturating_add(draw.tap.missed(due, now)));
        }
        match self.draws.iter_mut().filter_map(|draw| draw.provide(bytes, now)).max() {
            Some(ready) => {
                self.due = Some(ready);
                Err(ready)
            }
            None => {
                self.at_hand = Amount { messages: self.least(Unit::Messages), bytes: self.least(Unit::Bytes) };
                Ok(())
            }
        }
    }

    /// What every draw of a kind has left; what is not limited has no end.
    fn least(&self, unit: Unit) -> u64 {
        let lefts = self.draws.iter().filter(|draw| draw.unit == unit).map(|draw| draw.left);
        lefts.min().unwrap_or(u64::MAX)
    }
}

/// How often connections were held up, and how long.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    count: AtomicU64,
    nanos: AtomicU64,
}

impl Holds {
    pub(crate) fn add(&self, time: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos(time), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> (u64, Duration) {
        (self.count.load(Ordering::Relaxed), Duration::from_nanos(self.nanos.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u64, burst: u64) -> Rate {
        Rate::new(NonZeroU64::new(per_second).unwrap(), NonZeroU64::new(burst))
    }

    fn messages(per_second: u64, burst: u64) -> Rates {
        Rates { messages: Some(rate(per_second, burst)), bytes: None }
    }

    /// The times at which a connection that always has something to say says it, until the end.
    fn flood(meter: &mut Meter, bytes: u64, from: Instant, until: Instant) -> Vec<Instant> {
        let (mut now, mut taken) = (from, Vec::new());
        while now < until {
            match meter.take(bytes, now) {
                Ok(()) => taken.push(now),
                Err(ready) => now = ready,
            }
        }
        taken
    }

    const START: Instant = Instant::from_nanos(3_600_000_000_000);

    fn seconds(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn without_a_limit_there_is_no_meter() {
        assert!(Meter::new([(&Taps::default(), Rates::default())], START).is_none());
    }

    #[test]
    fn a_rate_holds_and_the_burst_comes_on_top_once() {
        for per_second in [1, 7, 100, 12_345, 3_000_000] {
            let taps = Taps::default();
            let limit = rate(per_second, per_second / 5);
            let mut meter = Meter::new([(&taps, Rates { messages: Some(limit), bytes: None })], START).unwrap();
            let taken = flood(&mut meter, 1, START, seconds(2)).len() as u64;
            let (least, most) = (2 * per_second, 2 * per_second + limit.burst().get() + 1);
            assert!((least..=most).contains(&taken), "{per_second}/s: {taken} in two seconds");
        }
    }

    #[test]
    fn bytes_and_messages_both_hold() {
        let rates = Rates { messages: Some(rate(1_000, 100)), bytes: Some(rate(10_000, 1_000)) };
        let taps = Taps::default();
        let mut meter = Meter::new([(&taps, rates)], START).unwrap();
        // A hundred bytes each: bytes are the tighter limit.
        let taken = flood(&mut meter, 100, START, seconds(10)).len();
        assert!((1_000..=1_011).contains(&taken), "{taken}");
        // Without a body: messages are.
        let mut meter = Meter::new([(&taps, rates)], START).unwrap();
        let taken = flood(&mut meter, 0, seconds(20), seconds(30)).len();
        assert!((10_000..=10_101).contains(&taken), "{taken}");
    }

    #[test]
    fn a_message_larger_than_the_burst_takes_its_time_and_comes_through() {
        let rates = Rates { messages: None, bytes: Some(rate(1_000, 100)) };
        let taps = Taps::default();
        let mut meter = Meter::new([(&taps, rates)], START).unwrap();
        let ready = meter.take(5_000, START).unwrap_err();
        assert_eq!(ready.since(START), Duration::from_millis(4_900));
        assert_eq!(meter.take(5_000, ready), Ok(()));
    }

    #[test]
    fn whoever_floods_takes_no_more_than_its_turn() {
        let (account, limit) = (Taps::default(), messages(1_000, 100));
        let mut meters: Vec<_> = (0..10).map(|_| Meter::new([(&account, limit)], START).unwrap()).collect();
        let mut wakes = [START; 10];
        let mut taken = [0_u32; 10];
        // Nine always have something to say; the last one has one message every tenth of a second.
        let mut quiet_waits = Duration::ZERO;
        while let Some((at, &now)) =
            wakes.iter().enumerate().min_by_key(|(_, wake)| **wake).filter(|(_, wake)| **wake < seconds(10))
        {
            match meters[at].take(1, now) {
                Ok(()) => {
                    // Whoever comes first has what was saved up before.
                    taken[at] += u32::from(now >= seconds(1));
                    wakes[at] = if at == 9 { now + Duration::from_millis(100) } else { now };
                }
                Err(ready) => {
                    if at == 9 {
                        quiet_waits = quiet_waits.max(ready.since(now));
                    }
                    wakes[at] = ready;
                }
            }
        }
        let all: u32 = taken.iter().sum();
        assert!((8_900..=9_100).contains(&all), "{all}");
        let (least, most) = (taken[..9].iter().min().unwrap(), taken[..9].iter().max().unwrap());
        assert!(most - least <= most / 20, "{taken:?}");
        assert!(quiet_waits <= ROUND + Duration::from_millis(1), "{quiet_waits:?}");
    }

    #[test]
    fn whoever_is_looked_at_late_has_lost_nothing_by_it() {
        for (per_second, late) in [(17, 150), (1_000, 40), (1_000, 400)] {
            let taps = Taps::default();
            let mut meter = Meter::new([(&taps, messages(per_second, 1))], START).unwrap();
            let (mut now, mut taken) = (START, 0);
            while now < seconds(20) {
                match meter.take(1, now) {
                    Ok(()) => taken += 1,
                    Err(ready) => now = ready + Duration::from_millis(late),
                }
            }
            let due = per_second * 20;
            assert!(taken >= due - due / 50 && taken <= due + due / 20, "{taken} of {due}, {late} ms late");
        }
    }

    #[test]
    fn coming_again_under_another_rate_begins_nothing_anew() {
        let taps = Taps::default();
        let rates = [messages(1_000, 100), messages(1_000, 101)];
        let mut taken = 0;
        for at in 0..100 {
            let now = START + Duration::from_millis(at * 10);
            let mut meter = Meter::new([(&taps, rates[at as usize % 2])], now).unwrap();
            taken += flood(&mut meter, 1, now, now + Duration::from_millis(1)).len();
        }
        assert!(taken <= 2 * (1_000 + 101), "{taken} in a second at twice 1,000 a second");
        drop(Meter::new([(&taps, rates[0])], seconds(60)));
        assert_eq!(taps.0.lock().len(), 1, "a rate under which nobody is there takes no room");
    }

    #[test]
    fn limits_of_user_and_account_hold_together() {
        let (account, user) = (Taps::default(), Taps::default());
        let limits = [(&user, messages(100, 10)), (&account, messages(1_000, 100))];
        let mut meter = Meter::new(limits, START).unwrap();
        let taken = flood(&mut meter, 1, START, seconds(10)).len();
        assert!((1_000..=1_020).contains(&taken), "{taken}");
    }

    #[test]
    fn whoever_leaves_leaves_its_share_to_the_others() {
        let taps = Taps::default();
        let first = Meter::new([(&taps, messages(1_000, 100))], START).unwrap();
        let second = Meter::new([(&taps, messages(1_000, 100))], START).unwrap();
        assert_eq!(first.draws[0].tap.portion(1), 50);
        drop(second);
        assert_eq!(first.draws[0].tap.portion(1), 100);
    }
}
