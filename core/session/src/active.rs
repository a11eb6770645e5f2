//! After login.

use std::time::Duration;

use moment::{Deadline, Deadlines, Instant};

use crate::connect::ConnectOptions;

/// A round trip time older than this is measured again.
const RTT_VALID: Duration = Duration::from_secs(3600);

/// The first PING comes early, to learn the round trip time.
const FIRST_PING_MAX: Duration = Duration::from_secs(2);

/// The first PING comes up to this share of its delay later, so that many connections do not ping at once.
const FIRST_PING_SPREAD: u32 = 5;

/// When to ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingRules {
    /// Between pings.
    pub interval: Duration,
    /// Pings that may be unanswered.
    pub max_out: u32,
}

/// What a session waits for.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Ping,
    Expiry,
}

impl Deadline for Wait {
    const ALL: &'static [Self] = &[Self::Ping, Self::Expiry];

    fn index(self) -> usize {
        self as usize
    }
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a PING.
    Ping,
    /// The peer has not answered; close.
    Stale,
    /// The login has expired; close.
    Expired,
}

/// How a PING is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// An INFO about the login follows.
    pub info: bool,
}

/// A connection that is logged in.
#[derive(Debug)]
pub struct Session {
    introduced: bool,
    verbose: bool,
    pedantic: bool,
    echo: bool,
    headers: bool,
    no_responders: bool,
    takes_infos: bool,
    ponged: bool,
    /// It is pinged at each interval, whatever it says.
    steadily: bool,
    pings_out: u32,
    last_in: Instant,
    /// The value before the last change of `last_in`.
    earlier_in: Instant,
    ping_sent: Option<Instant>,
    rtt: Option<(Duration, Instant)>,
    /// What stands for it until it is measured.
    assumed_rtt: Option<Duration>,
    waits: Deadlines<Wait, 2>,
}

impl Session {
    /// Opens after a login. `chance` (any number) spreads the first ping; `expires` is when the login ends.
    ///
    /// Who has said nothing about himself yet is pinged at the interval: the early ping belongs to CONNECT.
    pub fn open(
        options: &ConnectOptions,
        headers: bool,
        ping: PingRules,
        expires: Option<Instant>,
        now: Instant,
        chance: u64,
    ) -> Self {
        let first = if options.introduced { first_ping(ping, chance) } else { ping.interval };
        let mut session = Self {
            introduced: false,
            verbose: false,
            pedantic: false,
            echo: false,
            headers: false,
            no_responders: false,
            takes_infos: false,
            ponged: false,
            steadily: false,
            pings_out: 0,
            last_in: now,
            earlier_in: now,
            ping_sent: None,
            rtt: None,
            assumed_rtt: None,
            waits: Deadlines::new(),
        };
        session.waits.set(Wait::Ping, now + first);
        session.expire_at(expires);
        session.reopen(options, headers);
        session
    }

    /// A second CONNECT of the same identity changed the options.
    pub fn reopen(&mut self, options: &ConnectOptions, headers: bool) {
        self.introduced = options.introduced;
        self.verbose = options.verbose;
        self.pedantic = options.pedantic;
        self.echo = options.echo;
        self.headers = options.headers && headers;
        self.no_responders = options.no_responders;
        self.takes_infos = options.protocol >= 1;
    }

    /// The peer is pinged at each interval from now on, whatever it says: its round trip time is always fresh, as servers
    /// want it of each other.
    pub fn ping_steadily(&mut self) {
        self.steadily = true;
    }

    /// A CONNECT has been read. The first one leaves the subscriptions made before it alone; a further one ends them.
    pub fn is_introduced(&self) -> bool {
        self.introduced
    }

    /// Operations are answered with `+OK`.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Subjects of publishes are checked.
    pub fn is_pedantic(&self) -> bool {
        self.pedantic
    }

    /// Own messages come back.
    pub fn echoes(&self) -> bool {
        self.echo
    }

    /// Headers are understood.
    pub fn has_headers(&self) -> bool {
        self.headers
    }

    /// A publish with reply that reaches nobody is answered with 503.
    pub fn wants_no_responders(&self) -> bool {
        self.no_responders
    }

    /// An INFO may be sent at any time now: the client understands it, and has had its first PONG.
    pub fn takes_infos(&self) -> bool {
        self.takes_infos && self.ponged
    }

    /// Bytes arrived.
    pub fn heard(&mut self, now: Instant) {
        if now != self.last_in {
            self.earlier_in = self.last_in;
            self.last_in = now;
        }
    }

    /// Nothing of the peer is read until then: it is not silent, it is not listened to.
    pub fn excuse_until(&mut self, until: Instant) {
        self.last_in = self.last_in.max(until);
        self.pings_out = 0;
    }

    /// A PING arrived.
    pub fn on_ping(&mut self) -> Pong {
        if !self.introduced {
            return Pong { info: false };
        }
        let first = !std::mem::replace(&mut self.ponged, true);
        Pong { info: first && self.takes_infos }
    }

    /// A PONG arrived. The answer to our own question is no sign that the peer has something to say, so it does not put
    /// the next ping off.
    pub fn on_pong(&mut self, now: Instant) {
        if self.last_in == now {
            self.last_in = self.earlier_in;
        }
        self.pings_out = 0;
        if let Some(sent) = self.ping_sent.take() {
            self.rtt = Some((now.since(sent).max(Duration::from_nanos(1)), now));
        }
    }

    /// Until a PING has been answered, the time from the greeting to the CONNECT stands for the round trip.
    pub fn assume_rtt(&mut self, answered_in: Duration) {
        self.assumed_rtt = Some(answered_in.max(Duration::from_nanos(1)));
    }

    /// The round trip time, once measured or assumed.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.map(|(rtt, _)| rtt).or(self.assumed_rtt)
    }

    /// When bytes last arrived.
    pub fn last_in(&self) -> Instant {
        self.last_in
    }

    /// When to ask [`Session::due`] again.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waits.next()
    }

    /// The login ends at another time now.
    pub fn expire_at(&mut self, expires: Option<Instant>) {
        self.waits.set(Wait::Expiry, expires.unwrap_or(Instant::NEVER));
    }

    /// What is due at `now`. Ask until it says nothing.
    pub fn due(&mut self, now: Instant, rules: PingRules) -> Option<Due> {
        while let Some(wait) = self.waits.take_expired(now) {
            let due = match wait {
                Wait::Expiry => Some(Due::Expired),
                Wait::Ping => self.ping_due(now, rules),
            };
            if due.is_some() {
                return due;
            }
        }
        None
    }

    fn ping_due(&mut self, now: Instant, rules: PingRules) -> Option<Due> {
        // An interval of nothing must not keep the caller asking for ever.
        self.waits.set(Wait::Ping, now + rules.interval.max(Duration::from_millis(1)));
        let measured = self.rtt.is_some_and(|(_, at)| now.since(at) <= RTT_VALID);
        if measured && !self.steadily && now.since(self.last_in) < rules.interval {
            return None;
        }
        if self.pings_out + 1 > rules.max_out {
            return Some(Due::Stale);
        }
        self.pings_out += 1;
        self.ping_sent = Some(now);
        Some(Due::Ping)
    }
}

/// The first ping comes early, and up to a fifth later than that.
fn first_ping(rules: PingRules, chance: u64) -> Duration {
    let first = rules.interval.min(FIRST_PING_MAX);
    let spread = u64::try_from((first / FIRST_PING_SPREAD).as_nanos()).unwrap_or(u64::MAX);
    first + Duration::from_nanos(chance.checked_rem(spread).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: PingRules = PingRules { interval: Duration::from_secs(120), max_out: 2 };

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn session(json: &str, ping: PingRules) -> Session {
        let options = ConnectOptions::parse(json.as_bytes()).unwrap();
        Session::open(&options, true, ping, None, at(0), 0)
    }

    #[test]
    fn the_first_ping_comes_early_and_the_next_at_the_interval() {
        let mut session = session("{}", RULES);
        assert_eq!(session.next_deadline(), Some(at(2)));
        assert_eq!(session.due(at(1), RULES), None);
        assert_eq!(session.due(at(2), RULES), Some(Due::Ping));
        assert_eq!(session.next_deadline(), Some(at(122)));
    }

    #[test]
    fn the_first_ping_is_spread_by_a_fifth_at_most() {
        let options = ConnectOptions::parse(b"{}").unwrap();
        for chance in [0, 1, 399_999_999, 400_000_000, u64::MAX] {
            let session = Session::open(&options, true, RULES, None, at(0), chance);
            let first = session.next_deadline().unwrap();
            assert!(first >= at(2) && first < Instant::from_nanos(2_400_000_000), "{chance}: {first:?}");
        }
    }

    #[test]
    fn who_speaks_is_not_pinged_once_the_round_trip_is_known() {
        let mut session = session("{}", RULES);
        assert_eq!(session.due(at(2), RULES), Some(Due::Ping));
        session.on_pong(at(3));
        assert_eq!(session.rtt(), Some(Duration::from_secs(1)));
        session.assume_rtt(Duration::ZERO);
        assert_eq!(session.rtt(), Some(Duration::from_secs(1)), "what was measured is not assumed");
        session.heard(at(100));
        assert_eq!(session.due(at(122), RULES), None);
        assert_eq!(session.due(at(242), RULES), Some(Due::Ping));
    }

    #[test]
    fn a_server_is_pinged_at_each_interval_whatever_it_says() {
        let mut session = session("{}", RULES);
        session.ping_steadily();
        for turn in [2, 122, 242] {
            assert_eq!(session.due(at(turn), RULES), Some(Due::Ping));
            session.heard(at(turn + 1));
            session.on_pong(at(turn + 1));
            session.heard(at(turn + 100));
        }
    }

    #[test]
    fn who_does_not_answer_is_stale() {
        let rules = PingRules { interval: Duration::from_secs(2), max_out: 1 };
        let mut session = session("{}", rules);
        assert_eq!(session.due(at(2), rules), Some(Due::Ping));
        assert_eq!(session.due(at(4), rules), Some(Due::Stale));
    }

    #[test]
    fn a_login_expires() {
        let options = ConnectOptions::default();
        let mut session = Session::open(&options, true, RULES, Some(at(1)), at(0), 0);
        assert_eq!(session.next_deadline(), Some(at(1)));
        assert_eq!(session.due(at(1), RULES), Some(Due::Expired));
    }

    #[test]
    fn the_first_pong_brings_the_info_for_clients_that_take_it() {
        let mut new = session(r#"{"protocol":1}"#, RULES);
        assert!(!new.takes_infos());
        assert_eq!(new.on_ping(), Pong { info: true });
        assert_eq!(new.on_ping(), Pong { info: false });
        assert!(new.takes_infos());
        assert_eq!(session("{}", RULES).on_ping(), Pong { info: false });
    }

    #[test]
    fn headers_need_both_sides() {
        let options = ConnectOptions::parse(br#"{"headers":true}"#).unwrap();
        assert!(Session::open(&options, true, RULES, None, at(0), 0).has_headers());
        assert!(!Session::open(&options, false, RULES, None, at(0), 0).has_headers());
    }

    #[test]
    fn an_idle_client_is_pinged_at_every_interval_though_it_answers() {
        let mut session = session("{}", RULES);
        assert_eq!(session.due(at(2), RULES), Some(Due::Ping));
        for turn in 0..5 {
            let answered = at(3 + turn * 120);
            session.heard(answered);
            session.on_pong(answered);
            assert_eq!(session.due(at(122 + turn * 120), RULES), Some(Due::Ping), "{turn}");
        }
    }

    #[test]
    fn a_round_trip_older_than_an_hour_is_measured_again() {
        let mut session = session("{}", RULES);
        assert_eq!(session.due(at(2), RULES), Some(Due::Ping));
        session.on_pong(at(3));
        let mut pings = Vec::new();
        for seconds in 4..8_000 {
            session.heard(at(seconds));
            match session.due(at(seconds), RULES) {
                Some(Due::Ping) => {
                    pings.push(seconds);
                    session.on_pong(at(seconds));
                }
                other => assert_eq!(other, None),
            }
        }
        assert_eq!(pings, [3_602 + 120, 7_322 + 120]);
    }

    #[test]
    fn who_has_not_introduced_himself_is_not_pinged_early_and_gets_no_info() {
        let mut session = Session::open(&ConnectOptions::default(), true, RULES, None, at(0), 9);
        assert!(!session.is_introduced());
        assert_eq!(session.next_deadline(), Some(at(120)));
        assert_eq!(session.on_ping(), Pong { info: false });
        session.reopen(&ConnectOptions::parse(br#"{"protocol":1}"#).unwrap(), true);
        assert!(session.is_introduced());
        assert_eq!(session.on_ping(), Pong { info: true });
    }

    #[test]
    fn an_interval_of_nothing_ends_in_stale_not_in_a_loop() {
        let rules = PingRules { interval: Duration::ZERO, max_out: 2 };
        let mut session = session("{}", rules);
        assert_eq!(session.due(at(1), rules), Some(Due::Ping));
        assert_eq!(session.due(at(1), rules), None);
        assert_eq!(session.due(at(2), rules), Some(Due::Ping));
        assert_eq!(session.due(at(3), rules), Some(Due::Stale));
    }

    #[test]
    fn an_expiry_comes_before_a_ping_that_is_due_later() {
        let options = ConnectOptions::parse(b"{}").unwrap();
        let mut session = Session::open(&options, true, RULES, Some(at(1)), at(0), 0);
        assert_eq!(session.due(at(5), RULES), Some(Due::Expired));
        assert_eq!(session.due(at(5), RULES), Some(Due::Ping));
        session.expire_at(Some(at(6)));
        assert_eq!(session.due(at(6), RULES), Some(Due::Expired));
        session.expire_at(None);
        assert_eq!(session.next_deadline(), Some(at(125)));
    }
}
