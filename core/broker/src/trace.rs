//! Message tracing: a message whose headers ask for it is followed, and what became of it is told on a subject.
//!
//! The publisher must be allowed to publish to that subject; else the message is refused as a whole. On this server a
//! trace says where the message came in ([`event`]) and, for each client it met, that it was delivered or why not. A
//! trace may ask that the message be followed only, and delivered to nobody.

mod encoding;
pub(crate) mod event;
pub(crate) mod json;
mod request;

use std::sync::Arc;

use subject::Subject;
use wire::ProtocolError;
use wire::client::Publish;
use wire::headers;

use crate::connection::{Active, Connection, Phase};
use crate::delivery::{Missed, Witness};
use crate::link::Link;
use crate::observer::Event;
use crate::protocol_log::ProtocolLog;
use crate::publish::{Sending, Source};
use crate::stage::Laid;
use crate::subscription::{ClientTarget, Subscription, Target};
use crate::worker::Engine;
use encoding::Encoding;
use event::{Ingress, Report};
use request::{DESTINATION, DISABLED, Request};

pub(crate) use request::is_asked;

/// What a maximum payload violation is called in a trace.
const OVERSIZED: &str = "maximum payload exceeded";

/// A message that is being followed.
pub(crate) struct Trace {
    /// Where the report goes.
    destination: Box<[u8]>,
    /// The message is not delivered.
    only: bool,
    /// The publisher named encodings it can read, and hears which one it gets.
    encoding: Option<Encoding>,
    report: Report,
}

/// What the headers of a message lead to.
enum Answer {
    /// They ask for nothing that is to be had.
    Plain,
    /// The message is delivered with the mark that says it is not traced.
    Marked,
    /// The message goes no further.
    Refused,
    /// The message is followed.
    Traced(Box<Trace>),
}

/// Who looks on while a message is delivered: its trace, the protocol log, or both.
pub(crate) struct Watching<'a> {
    pub(crate) trace: Option<&'a mut Trace>,
    pub(crate) log: Option<&'a ProtocolLog>,
}

impl Witness for Watching<'_> {
    const LOOKS_CLOSELY: bool = true;

    fn delivers(&self) -> bool {
        self.trace.as_ref().is_none_or(|trace| !trace.only)
    }

    fn reached(&mut self, subscription: &Subscription, client: &ClientTarget) {
        if let Some(trace) = &mut self.trace {
            trace.report.egress(subscription, client, None);
        }
    }

    fn missed(&mut self, subscription: &Subscription, missed: Missed) {
        if let (Some(trace), Target::Client(client)) = (&mut self.trace, &subscription.target) {
            trace.report.egress(subscription, client, Some(missed));
        }
    }

    fn staged(&mut self, client: &ClientTarget, head: &[u8], laid: &Laid<'_>, header_len: usize) {
        if let Some(log) = self.log {
            log.message_out(&client.peer.link, head, laid, header_len);
        }
    }
}

impl Trace {
    /// The message was refused where it came in.
    pub(crate) fn refused(&mut self, error: String) {
        self.report.ingress.error = Some(error);
    }
}

impl Engine {
    /// Takes a message whose headers seem to ask for a trace.
    #[cold]
    pub(crate) fn publish_asking(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        publish: &Publish<'_>,
        source: Source<'_>,
    ) -> bool {
        let Some(body) = source.bytes.get(publish.body.clone()) else { return false };
        let Some((block, payload)) = body.split_at_checked(publish.header_len) else { return false };
        match self.answer(link, active, publish.subject, block, body.len(), None) {
            Answer::Plain => self.publish_plain(link, active, publish, source),
            Answer::Marked => self.publish_marked(link, active, publish, block, payload),
            Answer::Refused => false,
            Answer::Traced(trace) => self.publish_traced(link, active, publish, source, *trace),
        }
    }

    /// Delivers the message with the mark behind its headers.
    fn publish_marked(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        publish: &Publish<'_>,
        block: &[u8],
        payload: &[u8],
    ) -> bool {
        let mut bytes = Vec::with_capacity(block.len() + payload.len() + 64);
        headers::set(&mut bytes, block, DESTINATION, DISABLED).expect("the key is a word");
        let header_len = bytes.len();
        bytes.extend_from_slice(payload);
        let body = 0..bytes.len();
        bytes.extend_from_slice(b"\r\n");
        let marked = Publish { header_len, body, ..*publish };
        self.publish_plain(link, active, &marked, Source { lender: None, bytes: &bytes })
    }

    /// Delivers the message, follows it, and reports.
    fn publish_traced(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        publish: &Publish<'_>,
        source: Source<'_>,
        mut trace: Trace,
    ) -> bool {
        let plan = self.plan(active, publish.subject);
        let taken = self.publish_with_care(link, active, publish, source, plan, Some(&mut trace));
        if let (true, Ok(subject)) = (taken, Subject::parse(publish.subject)) {
            for subscription in active.account.graph.withheld(subject) {
                if let Target::Client(client) = &subscription.target {
                    trace.report.egress(&subscription, client, Some(Missed::Withheld));
                }
            }
        }
        self.report(link, active, &trace);
        taken
    }

    /// Decides what the headers lead to. `error` is what the message is refused for anyway.
    fn answer(
        &mut self,
        link: &Arc<Link>,
        active: &Active,
        subject: &[u8],
        block: &[u8],
        size: usize,
        error: Option<&str>,
    ) -> Answer {
        let Some(request) = Request::read(block) else { return Answer::Plain };
        let unless = |refused| if refused { Answer::Refused } else { Answer::Plain };
        if request.is_obsolete() {
            self.untraced(link, active, "its Nats-Trace-Origin-Account is obsolete");
            return if request.only { Answer::Refused } else { Answer::Marked };
        }
        let destination: Box<[u8]> = match request.destination {
            Some(destination) => destination.into(),
            None => {
                let account = active.account.settings();
                let Some(configured) = &account.trace else { return Answer::Plain };
                if self.chance.below(100) >= usize::from(configured.sampling.get()) {
                    return Answer::Marked;
                }
                configured.subject.as_bytes().into()
            }
        };
        let Some(parsed) = Subject::parse(&destination).ok().filter(|subject| subject.is_literal()) else {
            self.untraced(link, active, "its destination is no subject");
            return unless(request.only);
        };
        if let Err(denial) = active.permissions.publish(parsed) {
            self.deny_publish(link, active, &denial);
            return Answer::Refused;
        }
        let ingress = Ingress {
            connection: link.key.id,
            name: active.options.name.clone(),
            account: active.account.settings().name.to_string(),
            subject: subject.into(),
            error: error.map(str::to_owned),
        };
        let encoding = request.encodings().map(Encoding::among);
        let only = request.only;
        let report = Report::open(&request, size, ingress, self.wall);
        Answer::Traced(Box::new(Trace { destination, only, encoding, report }))
    }

    fn untraced(&self, link: &Arc<Link>, active: &Active, why: &str) {
        self.hub.observer.event(link, &active.label, &Event::Debug(&format!("Message not traced: {why}")));
    }

    /// Publishes what became of a message, in the name of its publisher.
    fn report(&mut self, link: &Arc<Link>, active: &Active, trace: &Trace) {
        let Some(proof) = Subject::parse(&trace.destination).ok().and_then(|to| active.permissions.publish(to).ok())
        else {
            return;
        };
        let plan = self.plans.once(&active.account, proof);
        let mut bytes = trace.encoding.map_or(Vec::new(), |encoding| encoding.block().to_vec());
        let header_len = bytes.len();
        let mut json = Vec::new();
        trace.report.write(&mut json, &self.hub.settings(), self.hub.next_event());
        trace.encoding.unwrap_or(Encoding::Identity).encode(&mut bytes, &json);
        let body = 0..bytes.len();
        bytes.extend_from_slice(b"\r\n");
        let publish = Publish { subject: &trace.destination, reply: None, header_len, body };
        let source = Source { lender: None, bytes: &bytes };
        // Whoever asked wants to hear it, even if it wants no echo.
        let sending = Sending { link, account: &active.account, no_echo: false, publish: &publish, source };
        let log = self.stages.log.clone();
        self.send_watched(&sending, &plan, &mut Watching { trace: None, log: log.as_deref() });
    }

    /// A message too large to be taken may ask for a trace; of its headers what came with the line is looked at.
    #[cold]
    pub(crate) fn trace_oversized(&mut self, connection: &Connection, error: &ProtocolError, bytes: &[u8]) {
        let (ProtocolError::PayloadTooLarge { .. }, Phase::Active(active)) = (error, &connection.phase) else { return };
        let Some((subject, block, size)) = oversized(bytes) else { return };
        if !is_asked(block) {
            return;
        }
        let link = &connection.link;
        if let Answer::Traced(trace) = self.answer(link, active, subject, block, size, Some(OVERSIZED)) {
            self.report(link, active, &trace);
        }
    }
}

/// Subject, headers as far as they came, and size of an HPUB.
fn oversized(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let (line, rest) = (bytes.get(..end)?, bytes.get(end + 1..)?);
    let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.next().filter(|verb| verb.eq_ignore_ascii_case(b"HPUB"))?;
    let subject = words.next()?;
    let size = number(words.next_back()?)?;
    let header_len = number(words.next_back()?)?;
    let block = rest.get(..header_len.min(rest.len()))?;
    Some((subject, block, size))
}

fn number(word: &[u8]) -> Option<usize> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_message_that_is_too_large_the_line_and_the_headers_are_read() {
        let whole = b"hpub  x.y reply 12 99\r\nNATS/1.0\r\n\r\nrest".as_slice();
        assert_eq!(oversized(whole), Some((b"x.y".as_slice(), b"NATS/1.0\r\n\r\n".as_slice(), 99)));
        assert_eq!(oversized(b"HPUB x 12 99\r\nNATS"), Some((b"x".as_slice(), b"NATS".as_slice(), 99)));
        for none in [b"PUB x 99\r\nNATS/1.0\r\n".as_slice(), b"HPUB x 12 99", b"HPUB x\r\n", b"HPUB x a b\r\n", b""] {
            assert_eq!(oversized(none), None);
        }
    }
}
