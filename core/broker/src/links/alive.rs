//! What all registered links have in common: they are pinged, they count, and they say when they have had enough.

use std::mem;
use std::sync::atomic::Ordering;

use moment::Instant;
use session::{ConnectOptions, Due, PingRules, Session};
use wire::CloseReason;

use crate::connection::{BatchCount, Connection};
use crate::engine::Engine;
use crate::link::Link;
use crate::links::Said;
use crate::observer::{ConnectionLabel, Event};

/// How a link that carries messages lives.
pub(crate) struct Alive {
    pub(crate) session: Session,
    pub(crate) batch: BatchCount,
}

impl Alive {
    /// A batch is over: what it counted is added up. `subscriptions` is what the far end wants, where that is told.
    pub(crate) fn end_run(&mut self, link: &Link, subscriptions: Option<usize>) {
        let batch = mem::take(&mut self.batch);
        link.stats.in_msgs.fetch_add(batch.msgs, Ordering::Relaxed);
        link.stats.in_bytes.fetch_add(batch.bytes, Ordering::Relaxed);
        link.stats.last_activity.fetch_max(self.session.last_in().as_nanos(), Ordering::Relaxed);
        if let Some(subscriptions) = subscriptions {
            link.stats.subscriptions.store(subscriptions as u64, Ordering::Relaxed);
        }
        if let Some(rtt) = self.session.rtt() {
            link.stats.rtt.store(rtt.as_nanos() as u64, Ordering::Relaxed);
        }
    }

    /// A message came.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.batch.msgs += 1;
        self.batch.bytes += bytes as u64;
    }
}

impl Engine {
    /// A link begins to carry messages. Pinged `steadily`, its round trip time is always fresh.
    pub(crate) fn bring_to_life(&mut self, ping: PingRules, expires: Option<Instant>, steadily: bool) -> Alive {
        let options = ConnectOptions { introduced: true, ..ConnectOptions::default() };
        let mut session = Session::open(&options, true, ping, expires, self.now, self.chance.next());
        session.heard(self.now);
        if steadily {
            session.ping_steadily();
        }
        Alive { session, batch: BatchCount::default() }
    }

    /// What the session of a link waited for has come.
    pub(crate) fn link_due(&mut self, connection: &Connection, due: Option<Due>) -> Said {
        let (text, reason) = match due {
            None => return Said::Done,
            Some(Due::Ping) => {
                self.say(&connection.link, wire::encode::PING);
                return Said::Done;
            }
            Some(Due::Stale) => ("Stale Connection", CloseReason::StaleConnection),
            Some(Due::Expired) => ("User Authentication Expired", CloseReason::AuthenticationExpired),
        };
        self.say(&connection.link, &wire::encode::err(text));
        Said::Close(reason)
    }

    /// The far end took too long to introduce itself. One that came to us is told; one that we went to is not.
    pub(crate) fn link_overdue(&mut self, connection: &Connection, text: &str, is_told: bool) -> Said {
        if is_told {
            self.say(&connection.link, &wire::encode::err(text));
        }
        self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::Error(text));
        Said::Close(CloseReason::AuthenticationTimeout)
    }

    /// The far end says what is wrong; it closes the connection itself. `what` is the kind of link in the log. The text.
    pub(crate) fn link_error(
        &mut self,
        connection: &Connection,
        label: &ConnectionLabel,
        what: &str,
        text: &[u8],
    ) -> String {
        let text = String::from_utf8_lossy(text);
        let text = text.trim_matches(|c: char| c == '\'' || c.is_whitespace());
        let line = format!("{what} Error {}", subject::Quoted(text.as_bytes()));
        self.hub.observer.event(&connection.link, label, &Event::Error(&line));
        text.to_owned()
    }
}
