//! What the broker tells, as log lines that operators and test suites know.

use std::sync::Arc;

use broker::{ConnectionLabel, Event, Link, LinkKind, Observer};
use wire::CloseReason;

use crate::log::Log;

/// Writes what happens to connections into the log.
pub struct Chronicle(pub Arc<Log>);

/// The short name of a kind of link in the log.
fn kind(link: &Link) -> &'static str {
    match link.kind {
        LinkKind::Client => "cid",
        LinkKind::Route => "rid",
        LinkKind::Gateway => "gid",
        LinkKind::Leaf => "lid",
    }
}

/// `host:port - cid:N`, then client details and user once they are known.
fn name(link: &Link, label: &ConnectionLabel) -> String {
    let address = std::net::SocketAddr::new(link.address.ip().to_canonical(), link.address.port());
    format!("{address} - {}:{}{}{}", kind(link), link.key.id, label.client, label.user)
}

impl Observer for Chronicle {
    fn event(&self, link: &Arc<Link>, label: &ConnectionLabel, event: &Event<'_>) {
        let Self(log) = self;
        let name = || name(link, label);
        match event {
            Event::Accepted => {
                if log.debugs() {
                    log.debug(&format!("{} - Client connection created", name()));
                }
            }
            Event::Admitted => {}
            Event::LoginRefused(refusal) => {
                let text = format!("{} - authentication error - {refusal}", name());
                log.error_once(&format!("{}{refusal}", link.address.ip()), &text);
            }
            Event::Denied { denial, sid } => {
                let text = format!("{} - {}: {}", name(), denial.violation(*sid), denial.because);
                log.error_once(&format!("{}{}{}", link.key.id, denial.violation(None), denial.because), &text);
            }
            Event::ProtocolError(text) | Event::Error(text) => log.error(&format!("{} - {text}", name())),
            Event::Closed { .. } => closed(log, &name(), event),
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
        self.0.traces()
    }

    fn traces_system(&self) -> bool {
        self.0.traces_system()
    }
}

fn closed(log: &Log, name: &str, event: &Event<'_>) {
    let Event::Closed { reason, pending_bytes, max_pending_bytes, write_deadline } = *event else { return };
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
    if log.debugs() {
        log.debug(&format!("{name} - Client connection closed: {reason}"));
    }
}
