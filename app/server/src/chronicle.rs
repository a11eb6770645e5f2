//! What the broker tells, as log lines that operators and test suites know.

use std::sync::Arc;

use broker::{ConnectionLabel, Event, Link, LinkKind, Observer};
use wire::CloseReason;

use crate::audit::{Auditor, record_of};
use crate::log::Log;
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

/// The short name of a kind of link in the log.
fn kind(link: &Link) -> &'static str {
    match link.kind {
        LinkKind::Client => "cid",
        LinkKind::Route => "rid",
        LinkKind::Gateway => "gid",
        LinkKind::Leaf => "lid",
        LinkKind::House => "sid",
    }
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

/// `host:port - cid:N`, then client details and user once they are known.
fn name(link: &Link, label: &ConnectionLabel) -> String {
    let address = std::net::SocketAddr::new(link.address.ip().to_canonical(), link.address.port());
    format!("{address} - {}:{}{}{}", kind(link), link.key.id, label.client, label.user)
}

impl Observer for Chronicle {
    fn event(&self, link: &Arc<Link>, label: &ConnectionLabel, event: &Event<'_>) {
        let Self { log, audit, trust, news } = self;
        if let Some(news) = news {
            news.event(link, event);
        }
        let is_refused = matches!(event, Event::LoginRefused(_) | Event::CertificateRefused(_) | Event::Denied { .. });
        if (is_refused || audit.is_on())
            && let Some(record) = record_of(link, &label.user, event)
        {
            if is_refused {
                trust.note(&record, crate::system::wall());
            }
            audit.note(record);
        }
        let name = || name(link, label);
        match event {
            Event::Accepted => {
                if log.debugs() {
                    log.debug(&format!("{} - {} connection created", name(), word(link)));
                }
            }
            Event::Admitted { .. } => {}
            Event::LinkReady(text) => log.notice(&format!("{} - {text}", name())),
            Event::LoginRefused(refusal) => {
                let text = format!("{} - authentication error - {refusal}", name());
                log.error_once(&format!("{}{refusal}", link.address.ip()), &text);
            }
            Event::Denied { denial, sid } => {
                let text = format!("{} - {}: {}", name(), denial.violation(*sid), denial.because);
                log.error_once(&format!("{}{}{}", link.key.id, denial.violation(None), denial.because), &text);
            }
            Event::ProtocolError(text) | Event::Error(text) | Event::CertificateRefused(text) => {
                log.error(&format!("{} - {text}", name()))
            }
            Event::Closed { .. } => closed(log, link, &name(), event),
            Event::TraceIn(text) => log.trace(&format!("{} - <<- {text}", name())),
            Event::TraceWithin(text) => log.trace(&format!("{} - <-> {text}", name())),
            Event::TraceOut(text) => log.trace(&format!("{} - ->> {text}", name())),
            Event::Debug(text) => {
                if log.debugs() {
                    log.debug(&format!("{} - {text}", name()));
                }
            }
        }
    }

    fn traces(&self) -> bool {
        self.log.traces()
    }

    fn traces_system(&self) -> bool {
        self.log.traces_system()
    }
}

fn closed(log: &Log, link: &Link, name: &str, event: &Event<'_>) {
    let Event::Closed { closed, max_pending_bytes, write_deadline, .. } = *event else { return };
    let (reason, pending_bytes) = (closed.reason, closed.pending_bytes);
    match reason {
        CloseReason::SlowConsumerPendingBytes => {
            log.notice(&format!("{name} - Slow Consumer Detected: MaxPending of {max_pending_bytes} Exceeded"));
        }
        CloseReason::SlowConsumerWriteDeadline => {
            let deadline = moment::GoDuration(i64::try_from(write_deadline.as_nanos()).unwrap_or(i64::MAX));
            log.notice(&format!(
                "{name} - Slow Consumer Detected: WriteDeadline of {deadline} exceeded with {pending_bytes} total bytes."
            ));
        }
        _ => {}
    }
    let text = format!("{name} - {} connection closed: {reason}", word(link));
    match link.kind {
        LinkKind::Client | LinkKind::House => {
            if log.debugs() {
                log.debug(&text);
            }
        }
        LinkKind::Route | LinkKind::Gateway | LinkKind::Leaf => log.notice(&text),
    }
}
