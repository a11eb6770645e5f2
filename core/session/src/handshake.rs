//! Before login.

use std::time::Duration;

use moment::{Deadline, Deadlines, Instant};
use wire::CloseReason;

use crate::active::{Due, PingRules};
use crate::connect::{ConnectError, ConnectOptions};

/// What the listener asks of those who come.
#[derive(Clone, Copy, Debug, Default)]
pub struct HandshakeRules {
    /// A login is asked for.
    pub auth_required: bool,
    /// Who says nothing is logged in as the listener's `no_auth_user`.
    pub anonymous_allowed: bool,
    /// The server supports headers.
    pub headers: bool,
    /// A login must have succeeded within this time; `None` where no login is asked for.
    pub auth_timeout: Option<Duration>,
}

/// A verdict may be so much later than the time for it.
const VERDICT_GRACE: Duration = Duration::from_secs(1);

/// What a handshake waits for.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Login,
    Ping,
}

impl Deadline for Wait {
    const ALL: &'static [Self] = &[Self::Login, Self::Ping];

    fn index(self) -> usize {
        self as usize
    }
}

/// What is due before login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyDue {
    /// Refuse with [`LoginError::Timeout`].
    LoginTimeout,
    /// Send a PING, or close as stale.
    Session(Due),
}

/// Why the handshake ends. The texts are facts of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginError {
    /// Something came that may not come before login, or asked for what nobody gets.
    Violation,
    /// A protocol version we do not speak.
    InvalidProtocol,
    /// 503 answers were asked for without headers.
    NoRespondersNeedsHeaders,
    /// CONNECT cannot be read; the peer is told nothing.
    Unreadable(ConnectError),
    /// No login within the time.
    Timeout,
}

impl LoginError {
    /// The text of the `-ERR`, if there is one.
    pub fn wire_text(&self) -> Option<&'static str> {
        match self {
            Self::Violation => Some("Authorization Violation"),
            Self::InvalidProtocol => Some("invalid client protocol"),
            Self::NoRespondersNeedsHeaders => Some("no responders requires headers support"),
            Self::Timeout => Some("Authentication Timeout"),
            Self::Unreadable(_) => None,
        }
    }
}

impl LoginError {
    /// The reason under which monitoring lists the connection.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            Self::Violation => CloseReason::AuthenticationFailure,
            Self::InvalidProtocol => CloseReason::BadClientProtocolVersion,
            Self::NoRespondersNeedsHeaders => CloseReason::NoRespondersRequiresHeaders,
            Self::Unreadable(_) => CloseReason::ProtocolViolation,
            Self::Timeout => CloseReason::AuthenticationTimeout,
        }
    }
}

/// What the first operation leads to.
#[derive(Debug)]
pub enum Opening {
    /// Judge this login.
    Login(Box<ConnectOptions>),
    /// Judge an anonymous login, then take the operation again.
    Anonymous(Box<ConnectOptions>),
    /// Say so and close.
    Refuse(LoginError),
}

/// A connection before login. There is no way from here to the subject graph.
#[derive(Debug)]
pub struct Handshake {
    rules: HandshakeRules,
    ping: Option<PingRules>,
    waits: Deadlines<Wait, 2>,
    pings_out: u32,
}

impl Handshake {
    /// The login was asked for and is judged from now on. Whoever judges keeps to the same time, so the end that is set
    /// here is for a verdict that never comes.
    pub fn is_judged(&mut self, now: Instant) {
        let limit = |timeout| now + timeout + VERDICT_GRACE;
        self.waits.set(Wait::Login, self.rules.auth_timeout.map_or(Instant::NEVER, limit));
    }

    /// Begins at `now`; with TLS that is when TLS stands.
    pub fn new(rules: HandshakeRules, now: Instant) -> Self {
        let mut waits = Deadlines::new();
        waits.set(Wait::Login, rules.auth_timeout.map_or(Instant::NEVER, |timeout| now + timeout));
        Self { rules, ping: None, waits, pings_out: 0 }
    }

    /// Pings whoever says nothing, from `now` on. With this, [`Handshake::due`] decides what a deadline means.
    #[must_use]
    pub fn with_pings(mut self, ping: PingRules, now: Instant) -> Self {
        self.waits.set(Wait::Ping, now + ping.interval);
        self.ping = Some(ping);
        self
    }

    /// What is due at `now`. Ask until it says nothing. Nothing a peer says answers a ping here: whatever it says is a
    /// login or the end.
    pub fn due(&mut self, now: Instant) -> Option<EarlyDue> {
        match self.waits.take_expired(now)? {
            Wait::Login => Some(EarlyDue::LoginTimeout),
            Wait::Ping => {
                let rules = self.ping?;
                self.waits.set(Wait::Ping, now + rules.interval.max(Duration::from_millis(1)));
                let is_stale = self.pings_out >= rules.max_out;
                self.pings_out += 1;
                Some(EarlyDue::Session(if is_stale { Due::Stale } else { Due::Ping }))
            }
        }
    }

    /// Bytes arrived, and nothing has been made of them yet. Where a login is asked for, whatever does not begin as a
    /// CONNECT is a violation from its first byte on, even if it is no operation at all.
    pub fn on_bytes(&self, bytes: &[u8]) -> Option<LoginError> {
        let may_be_connect = matches!(bytes.first(), None | Some(b'C' | b'c'));
        (!may_be_connect && !self.lets_anybody_in()).then_some(LoginError::Violation)
    }

    fn lets_anybody_in(&self) -> bool {
        !self.rules.auth_required || self.rules.anonymous_allowed
    }

    /// A CONNECT arrived.
    pub fn on_connect(&mut self, json: &[u8]) -> Opening {
        self.on_connect_again(json, &ConnectOptions::default())
    }

    /// A further CONNECT arrived; what it does not say stays as it was.
    pub fn on_connect_again(&mut self, json: &[u8], before: &ConnectOptions) -> Opening {
        match ConnectOptions::parse_again(json, before) {
            Err(error) => Opening::Refuse(LoginError::Unreadable(error)),
            Ok(options) => match self.object(&options) {
                Some(error) => Opening::Refuse(error),
                None => Opening::Login(Box::new(options)),
            },
        }
    }

    /// What is wrong with a CONNECT before anybody looks at its credentials.
    fn object(&self, options: &ConnectOptions) -> Option<LoginError> {
        if options.account.is_some() || options.new_account {
            return Some(LoginError::Violation);
        }
        if !(0..=1).contains(&options.protocol) {
            return Some(LoginError::InvalidProtocol);
        }
        let headers = options.headers && self.rules.headers;
        (options.no_responders && !headers).then_some(LoginError::NoRespondersNeedsHeaders)
    }

    /// Anything else arrived.
    pub fn on_other(&mut self) -> Opening {
        if !self.lets_anybody_in() {
            return Opening::Refuse(LoginError::Violation);
        }
        Opening::Anonymous(Box::default())
    }

    /// When to ask [`Handshake::due`] again; without pings, when the login must have succeeded.
    pub fn deadline(&self) -> Option<Instant> {
        self.waits.next()
    }

    /// Whether headers may be used by a client that asks for them.
    pub fn offers_headers(&self) -> bool {
        self.rules.headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(rules: HandshakeRules, json: &str) -> Opening {
        Handshake::new(rules, Instant::START).on_connect(json.as_bytes())
    }

    #[test]
    fn cve_2022_24450_nobody_chooses_an_account() {
        for json in [r#"{"account":"B"}"#, r#"{"account":"$SYS"}"#, r#"{"new_account":true}"#] {
            let opening = open(HandshakeRules::default(), json);
            assert!(matches!(opening, Opening::Refuse(LoginError::Violation)), "{json}");
        }
    }

    #[test]
    fn protocols_beyond_one_are_refused() {
        for json in [r#"{"protocol":2}"#, r#"{"protocol":-1}"#] {
            assert!(matches!(open(HandshakeRules::default(), json), Opening::Refuse(LoginError::InvalidProtocol)));
        }
    }

    #[test]
    fn no_responders_needs_headers_on_both_sides() {
        let json = r#"{"headers":true,"no_responders":true}"#;
        let with = HandshakeRules { headers: true, ..HandshakeRules::default() };
        assert!(matches!(open(with, json), Opening::Login(_)));
        let without = HandshakeRules { headers: false, ..HandshakeRules::default() };
        assert!(matches!(open(without, json), Opening::Refuse(LoginError::NoRespondersNeedsHeaders)));
    }

    #[test]
    fn who_does_not_introduce_himself_needs_an_open_door() {
        let opening = |auth_required, anonymous_allowed| {
            let rules = HandshakeRules { auth_required, anonymous_allowed, ..HandshakeRules::default() };
            matches!(Handshake::new(rules, Instant::START).on_other(), Opening::Anonymous(_))
        };
        assert!(opening(false, false));
        assert!(opening(true, true));
        assert!(!opening(true, false));
    }

    #[test]
    fn ghsa_38x3_nothing_but_connect_gets_a_foot_in_the_door() {
        let closed = HandshakeRules { auth_required: true, ..HandshakeRules::default() };
        let handshake = Handshake::new(closed, Instant::START);
        for bytes in ["PING\r\n", "SUB > 1\r\n", "PUB a 1\r\nx\r\n", "-ERR x\r\n", "INFO {}\r\n", "garbage", "\0", "+"]
        {
            assert_eq!(handshake.on_bytes(bytes.as_bytes()), Some(LoginError::Violation), "{bytes:?}");
            let open = Handshake::new(HandshakeRules::default(), Instant::START);
            assert_eq!(open.on_bytes(bytes.as_bytes()), None);
        }
        for bytes in ["", "C", "connect {}\r\n"] {
            assert_eq!(handshake.on_bytes(bytes.as_bytes()), None);
        }
    }

    #[test]
    fn a_second_connect_is_judged_like_the_first() {
        let mut handshake = Handshake::new(HandshakeRules::default(), Instant::START);
        let Opening::Login(first) = handshake.on_connect(br#"{"user":"bob","verbose":false}"#) else { panic!() };
        let Opening::Login(again) = handshake.on_connect_again(b"{}", &first) else { panic!() };
        assert_eq!((again.user.as_deref(), again.verbose), (Some("bob"), false));
        let refused = handshake.on_connect_again(br#"{"account":"B"}"#, &first);
        assert!(matches!(refused, Opening::Refuse(LoginError::Violation)));
        let refused = handshake.on_connect_again(b"{", &first);
        assert!(matches!(refused, Opening::Refuse(LoginError::Unreadable(_))));
    }

    #[test]
    fn every_refusal_has_its_text_and_its_reason() {
        let unreadable = LoginError::Unreadable(ConnectError::WrongType("user"));
        for (error, text, reason) in [
            (LoginError::Violation, Some("Authorization Violation"), "Authentication Failure"),
            (LoginError::InvalidProtocol, Some("invalid client protocol"), "Bad Client Protocol Version"),
            (
                LoginError::NoRespondersNeedsHeaders,
                Some("no responders requires headers support"),
                "No Responders Requires Headers",
            ),
            (LoginError::Timeout, Some("Authentication Timeout"), "Authentication Timeout"),
            (unreadable, None, "Protocol Violation"),
        ] {
            assert_eq!((error.wire_text(), error.close_reason().as_str()), (text, reason));
        }
    }

    #[test]
    fn who_never_says_a_word_is_pinged_and_then_stale() {
        let ping = PingRules { interval: Duration::from_secs(2), max_out: 1 };
        let mut handshake = Handshake::new(HandshakeRules::default(), Instant::START).with_pings(ping, Instant::START);
        let at = |seconds| Instant::START + Duration::from_secs(seconds);
        assert_eq!(handshake.deadline(), Some(at(2)));
        assert_eq!(handshake.due(at(1)), None);
        assert_eq!(handshake.due(at(2)), Some(EarlyDue::Session(Due::Ping)));
        assert_eq!(handshake.due(at(2)), None);
        assert_eq!(handshake.due(at(4)), Some(EarlyDue::Session(Due::Stale)));
    }

    #[test]
    fn a_login_has_its_time_and_no_more() {
        let rules = HandshakeRules { auth_timeout: Some(Duration::from_secs(2)), ..HandshakeRules::default() };
        let mut handshake = Handshake::new(rules, Instant::START);
        let end = Instant::START + Duration::from_secs(2);
        assert_eq!(handshake.deadline(), Some(end));
        assert_eq!(handshake.due(Instant::START), None);
        assert_eq!(handshake.due(end), Some(EarlyDue::LoginTimeout));
        assert_eq!(Handshake::new(HandshakeRules::default(), end).deadline(), None);
    }
}
