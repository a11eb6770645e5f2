//! After login.

use std::time::Duration;

use moment::Instant;

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
    verbose: bool,
    pedantic: bool,
    echo: bool,
    headers: bool,
    no_responders: bool,
    takes_infos: bool,
    ponged: bool,
    pings_out: u32,
    last_in: Instant,
    ping_sent: Option<Instant>,
    rtt: Option<(Duration, Instant)>,
    next_ping: Instant,
    expires: Instant,
}

impl Session {
    /// Opens after a login. `chance` (any number) spreads the first ping; `expires` is when the login ends.
    pub fn open(
        options: &ConnectOptions,
        headers: bool,
        ping: PingRules,
        expires: Option<Instant>,
        now: Instant,
        chance: u64,
    ) -> Self {
        let first = ping.interval.min(FIRST_PING_MAX);
        let spread = (first / FIRST_PING_SPREAD).as_nanos() as u64;
        let late = Duration::from_nanos(if spread == 0 { 0 } else { chance % spread });
        Self {
            verbose: options.verbose,
            pedantic: options.pedantic,
            echo: options.echo,
            headers: options.headers && headers,
            no_responders: options.no_responders,
            takes_infos: options.protocol >= 1,
            ponged: false,
            pings_out: 0,
            last_in: now,
            ping_sent: None,
            rtt: None,
            next_ping: now + first + late,
            expires: expires.unwrap_or(Instant::NEVER),
        }
    }

    /// A second CONNECT of the same identity changed the options.
    pub fn reopen(&mut self, options: &ConnectOptions, headers: bool) {
        self.verbose = options.verbose;
        self.pedantic = options.pedantic;
        self.echo = options.echo;
        self.headers = options.headers && headers;
        self.no_responders = options.no_responders;
        self.takes_infos = options.protocol >= 1;
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
        self.last_in = now;
    }

    /// A PING arrived.
    pub fn on_ping(&mut self) -> Pong {
        let first = !std::mem::replace(&mut self.ponged, true);
        Pong { info: first && self.takes_infos }
    }

    /// A PONG arrived.
    pub fn on_pong(&mut self, now: Instant) {
        self.pings_out = 0;
        if let Some(sent) = self.ping_sent.take() {
            self.rtt = Some((now.since(sent).max(Duration::from_nanos(1)), now));
        }
    }

    /// The round trip time, once measured.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.map(|(rtt, _)| rtt)
    }

    /// When bytes last arrived.
    pub fn last_in(&self) -> Instant {
        self.last_in
    }

    /// When to ask [`Session::due`] again.
    pub fn next_deadline(&self) -> Option<Instant> {
        Some(self.next_ping.min(self.expires)).filter(|at| *at != Instant::NEVER)
    }

    /// The login ends at another time now.
    pub fn expire_at(&mut self, expires: Option<Instant>) {
        self.expires = expires.unwrap_or(Instant::NEVER);
    }

    /// What is due at `now`. Ask until it says nothing.
    pub fn due(&mut self, now: Instant, rules: PingRules) -> Option<Due> {
        if now >= self.expires {
            self.expires = Instant::NEVER;
            return Some(Due::Expired);
        }
        if now < self.next_ping {
            return None;
        }
        self.next_ping = now + rules.interval;
        let measured = self.rtt.is_some_and(|(_, at)| now.since(at) <= RTT_VALID);
        if measured && now.since(self.last_in) < rules.interval {
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
        let options = ConnectOptions::default();
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
        session.heard(at(100));
        assert_eq!(session.due(at(122), RULES), None);
        assert_eq!(session.due(at(242), RULES), Some(Due::Ping));
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
}
