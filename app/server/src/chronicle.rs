//! What the broker tells, as log lines that operators and test suites know.

use std::sync::Arc;

use auth::Refusal;
use broker::{ConnectionLabel, Event, Link, LinkKind, Observer};
use jwt::chain::UserRefusal;
use wire::CloseReason;

use crate::audit::{Auditor, record_of};
use crate::log::{About, Log, LogOf, Matter};
use crate::system_account::NewsDesk;
use crate::trust::Trust;

/// Writes what happens to connections into the log and the trail, and leaves it for the news.
pub struct Chronicle {
    /// The log.
    pub log: Arc<Log>,
    /// The trail.
    pub audit: Arc<Auditor>,
    /// What was refused lately.
    pub trust: Arc<Trust>,
    /// The news, if there is a system account.
    pub news: Option<NewsDesk>,
}

/// The kind of link in words.
fn word(link: &Link) -> &'static str {
    match link.kind {
        LinkKind::Client | LinkKind::House => "Client",
        LinkKind::Route => "Route",
        LinkKind::Gateway => "Gateway",
        LinkKind::Leaf => "Leafnode",
    }
}

/// What an event says of a wish of the peer.
fn matter<'a>(event: &Event<'a>) -> Matter<'a> {
    match *event {
        Event::LoginRefused(refusal) => Matter::Refused(refusal),
        Event::CertificateRefused(why) => Matter::CertificateRefused(why),
        Event::Denied { denial, .. } => Matter::Denied(denial),
        Event::Closed { closed, .. } => Matter::Closed(closed.reason),
        _ => Matter::Connection,
    }
}

impl Observer for Chronicle {
    fn event(&self, link: &Arc<Link>, label: &ConnectionLabel, event: &Event<'_>) {
        let Self { log, audit, trust, news } = self;
        if let Some(news) = news {
            news.event(link, event);
        }
        let is_refused = matches!(event, Event::LoginRefused(_) | Event::CertificateRefused(_) | Event::Denied { .. });
        if (is_refused || audit.is_on())
            && let Some(record) = record_of(link, label, event)
        {
            if let Event::LoginRefused(Refusal::User(_, UserRefusal::NotPinned(_))) = event {
                trust.note_not_pinned();
            }
            audit.note(&record);
            if is_refused {
                trust.note(record, crate::system::wall());
            }
        }
        let about = About::new(link, label, matter(event));
        let log = log.of(&about);
        match event {
            Event::Accepted => log.debug(|| format!("{} connection created", word(link))),
            Event::Admitted { .. } => {}
            Event::LinkReady(text) => log.notice(text),
            Event::LoginRefused(refusal) => {
                let key = format!("{}{refusal}", link.address.ip());
                log.error_once(&key, || format!("authentication error - {refusal}"));
            }
            Event::Denied { denial, sid } => {
                // Over a link between servers come many.
                let who = label.member.as_deref();
                let who = who.map(|who| format!("{}/{}", who.account, who.tag)).unwrap_or_default();
                let key = format!("{}{who}{}{}", link.key.id, denial.violation(None), denial.because);
                log.error_once(&key, || format!("{}: {}", denial.violation(*sid), denial.because));
            }
            Event::Warning(text) => log.warn(text),
            Event::ProtocolError(text) | Event::Error(text) | Event::CertificateRefused(text) => log.error(text),
            Event::UpgradeRefused(text) => {
                log.error_once(&format!("{}{text}", link.address.ip()), || {
                    format!("websocket handshake error: {text}")
                });
            }
            Event::TurnedAway(text) => {
                log.error_once(&format!("{}{text}", link.address.ip()), || (*text).to_owned());
            }
            Event::Closed { .. } => closed(log, link, event),
            Event::TraceIn(text) => log.trace("<<-", text),
            Event::TraceWithin(text) => log.trace("<->", text),
            Event::TraceOut(text) => log.trace("->>", text),
            Event::Debug(text) => log.debug(|| (*text).to_owned()),
        }
    }

    fn traces(&self) -> bool {
        self.log.traces()
    }

    fn traces_system(&self) -> bool {
        self.log.traces_system()
    }
}

fn closed(log: LogOf<'_>, link: &Link, event: &Event<'_>) {
    let Event::Closed { closed, max_pending_bytes, write_deadline, .. } = *event else { return };
    let (reason, pending_bytes) = (closed.reason, closed.pending_bytes);
    match reason {
        CloseReason::SlowConsumerPendingBytes => {
            log.notice(&format!("Slow Consumer Detected: MaxPending of {max_pending_bytes} Exceeded"));
        }
        CloseReason::SlowConsumerWriteDeadline => {
            let deadline = moment::GoDuration(i64::try_from(write_deadline.as_nanos()).unwrap_or(i64::MAX));
            log.notice(&format!(
                "Slow Consumer Detected: WriteDeadline of {deadline} exceeded with {pending_bytes} total bytes."
            ));
        }
        _ => {}
    }
    let text = || format!("{} connection closed: {reason}", word(link));
    match link.kind {
        LinkKind::Client | LinkKind::House => log.debug(text),
        LinkKind::Route | LinkKind::Gateway | LinkKind::Leaf => log.notice(&text()),
    }
}
