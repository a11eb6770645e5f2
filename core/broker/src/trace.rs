//! Message tracing: a message whose headers ask for it is followed, and what became of it is told on a subject.
//!
//! The publisher must be allowed to publish to that subject; else the message is refused as a whole. On this server a
//! trace says where the message came in ([`event`]), for each client it met that it was delivered or why not, and to
//! which servers it went on, each with the number of the hop; they tell the rest ([`links`]). A trace may ask that the
//! message be followed only, and delivered to nobody.

mod encoding;
pub(crate) mod event;
mod hop;
pub(crate) mod json;
mod links;
mod parent;
mod request;
mod streams;

use std::sync::Arc;

use auth::{Authorized, Denial, Publish as Permitted};
use subject::{MappedReply, Subject};
use wire::ProtocolError;
use wire::client::Publish;
use wire::headers;

use crate::account_state::AccountState;
use crate::connection::{Active, Connection, Phase};
use crate::delivery::{Carried, Crossing, Missed, Witness};
use crate::engine::Engine;
use crate::house::OwnMessage;
use crate::hub::Hub;
use crate::internal::{InternalSubscriber, Rights};
use crate::link::{Link, LinkKind};
use crate::links::crossing::Whence;
use crate::links::remote::RemotePeer;
use crate::observer::{ConnectionLabel, Event};
use crate::protocol_log::ProtocolLog;
use crate::publish::{Sending, Source};
use crate::stage::Laid;
use crate::subscription::{ClientTarget, Subscription, Target};
use encoding::Encoding;
use event::{Ingress, Report};
use hop::OpenHop;
use request::{DESTINATION, DISABLED, HOP, Request};
use streams::{Rest, Waiting};

pub(crate) use request::is_asked;
pub use streams::{Follower, StreamPart};

/// What a maximum payload violation is called in a trace.
const OVERSIZED: &str = "maximum payload exceeded";

/// A message that is being followed: for whoever asked by its headers, for whoever takes hops, or for both.
pub(crate) struct Trace {
    told: Option<Told>,
    hop: Option<OpenHop>,
}

/// What is told on a subject.
pub(crate) struct Told {
    /// Where the report goes.
    destination: Box<[u8]>,
    /// The message is not delivered.
    only: bool,
    /// The publisher named encodings it can read, and hears which one it gets.
    encoding: Option<Encoding>,
    report: Report,
    /// Streams that have something to add.
    waiting: Option<Arc<Waiting>>,
}

/// Whose message it is that asks for a trace.
#[derive(Clone, Copy)]
struct Asker<'a> {
    link: &'a Arc<Link>,
    account: &'a Arc<AccountState>,
    /// What it calls itself.
    name: &'a str,
    rights: Rights<'a>,
}

impl<'a> Asker<'a> {
    fn client(link: &'a Arc<Link>, active: &'a Active) -> Self {
        let rights = Rights::Client(&active.permissions, &active.label);
        Self { link, account: &active.account, name: &active.options.name, rights }
    }

    fn is_client(&self) -> bool {
        self.link.kind == LinkKind::Client
    }

    fn label(&self) -> ConnectionLabel {
        match self.rights {
            Rights::Client(_, label) | Rights::Leaf(_, label) => label.clone(),
            Rights::Granted | Rights::Passing | Rights::Answering | Rights::Imported(_) => ConnectionLabel::default(),
        }
    }
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
    Traced(Box<Told>),
}

/// Who looks on while a message is delivered: its trace, the protocol log, or both.
pub(crate) struct Watching<'a> {
    pub(crate) trace: Option<&'a mut Trace>,
    pub(crate) log: Option<&'a ProtocolLog>,
}

impl Witness for Watching<'_> {
    const LOOKS_CLOSELY: bool = true;
    const RENAMES: bool = true;

    fn delivers(&self) -> bool {
        self.trace.as_ref().is_none_or(|trace| !trace.is_only())
    }

    fn handed(&mut self, internal: &dyn InternalSubscriber) -> Option<Follower> {
        let told = self.trace.as_mut()?.told.as_mut()?;
        internal.tells_traces().then(|| told.follower())
    }

    fn reached(&mut self, subscription: &Subscription, client: &ClientTarget) {
        if let Some(trace) = &mut self.trace {
            trace.met(subscription, client, None);
        }
    }

    fn carried(&mut self, client: &ClientTarget, subject: &[u8], traced: bool) -> Carried {
        let Some(trace) = &mut self.trace else { return Carried::On };
        let account = client.peer.account.settings();
        if let Some(hop) = &mut trace.hop {
            hop.carried(account.name.as_str(), subject);
        }
        let Some(told) = &mut trace.told else { return Carried::On };
        told.report.carried(account.name.as_str(), subject);
        match (traced, told.only) {
            (true, _) => Carried::On,
            (false, true) => Carried::NoFurther,
            (false, false) => Carried::Unseen,
        }
    }

    fn missed(&mut self, subscription: &Subscription, missed: Missed) {
        if let (Some(trace), Target::Client(client)) = (&mut self.trace, &subscription.target) {
            trace.met(subscription, client, Some(missed));
        }
    }

    fn staged(&mut self, client: &ClientTarget, head: &[u8], laid: &Laid<'_>, header_len: usize) {
        if let Some(log) = self.log {
            log.message_out(&client.peer.link, head, laid, header_len);
        }
    }

    fn crosses(&mut self, peer: &RemotePeer, _: &AccountState) -> Crossing {
        let Some(trace) = &mut self.trace else { return Crossing::AsItIs };
        let crossing = match &mut trace.told {
            None => Crossing::AsItIs,
            Some(told) => told.report.crosses(peer, told.only).map_or(Crossing::Stays, Crossing::Hop),
        };
        if let (Some(hop), true) = (&mut trace.hop, crossing != Crossing::Stays) {
            hop.crossed(peer);
        }
        crossing
    }
}

/// The headers of a message with the name of its hop among them.
pub(crate) fn with_hop(block: &[u8], hop: &str) -> Vec<u8> {
    with(block, HOP, hop.as_bytes())
}

/// The headers of a message whose trace goes elsewhere.
pub(crate) fn with_destination(block: &[u8], destination: &[u8]) -> Vec<u8> {
    with(block, DESTINATION, destination)
}

fn with(block: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(block.len() + 64);
    headers::set(&mut bytes, block, key, value).expect("the key is a word");
    bytes
}

/// The headers of a message with the mark that says it is not traced.
pub(crate) fn disabled(block: &[u8]) -> Vec<u8> {
    with(block, DESTINATION, DISABLED)
}

/// The same with the payload and its end behind. How long the headers are.
fn disabled_message(block: &[u8], payload: &[u8]) -> (Vec<u8>, usize) {
    let mut bytes = disabled(block);
    let header_len = bytes.len();
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    (bytes, header_len)
}

impl Trace {
    /// Whether the message is followed and not delivered.
    pub(crate) fn is_only(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.only)
    }

    /// What is told on a subject, if anything is.
    pub(crate) fn told(&mut self) -> Option<&mut Told> {
        self.told.as_mut()
    }

    /// Nothing more is told on a subject, until it is shown what was taken away.
    pub(crate) fn hide(&mut self) -> Option<Told> {
        self.told.take()
    }

    /// Goes on telling.
    pub(crate) fn show(&mut self, told: Option<Told>) {
        self.told = told.or(self.told.take());
    }

    /// The trace, if anybody follows it.
    fn followed(&mut self) -> Option<&mut Self> {
        (self.told.is_some() || self.hop.is_some()).then_some(self)
    }

    /// It is clear where the message goes.
    pub(crate) fn decided(&mut self) {
        if let Some(hop) = &mut self.hop {
            hop.decided();
        }
    }

    /// The message goes on in the account of a service.
    pub(crate) fn entered(&mut self, account: &str, from: &[u8], to: &[u8]) {
        if let Some(told) = &mut self.told {
            told.report.entered(account, from, to);
        }
        if let Some(hop) = &mut self.hop {
            hop.entered(account, from, to);
        }
    }

    /// The message has met a client.
    fn met(&mut self, subscription: &Subscription, client: &ClientTarget, missed: Option<Missed>) {
        if let Some(told) = &mut self.told {
            told.report.egress(subscription, client, missed);
        }
        if let Some(hop) = &mut self.hop {
            hop.met(subscription, client, missed);
        }
    }

    /// Clients whose subscriptions must not have this subject.
    fn withheld(&mut self, account: &AccountState, subject: &[u8]) {
        if self.followed().is_none() {
            return;
        }
        let Ok(subject) = Subject::parse(subject) else { return };
        for subscription in account.graph.withheld(subject) {
            if let Target::Client(client) = &subscription.target {
                self.met(&subscription, client, Some(Missed::Withheld));
            }
        }
    }

    /// The message was refused where it came in.
    pub(crate) fn refused(&mut self, denial: &Denial) {
        if let Some(told) = &mut self.told {
            told.report.ingress.error = Some(denial.wire_text());
        }
        if let Some(hop) = &mut self.hop {
            hop.decided();
            hop.denied(denial);
        }
    }
}

impl Told {
    /// Where reports go.
    pub(crate) fn destination(&self) -> &[u8] {
        &self.destination
    }

    /// Servers the message has gone on to.
    pub(crate) fn hops(&self) -> usize {
        self.report.hops()
    }

    /// A stream has something to add.
    fn follower(&mut self) -> Follower {
        self.report.awaits_stream();
        self.waiting.get_or_insert_default().follower(self.only)
    }

    /// The report, with what streams told, as a message of the server.
    fn message(&self, hub: &Hub, account: Arc<AccountState>, streams: &[Option<Vec<u8>>]) -> OwnMessage {
        let (headers, payload) = self.written(hub, streams);
        OwnMessage { headers, ..OwnMessage::new(account, &*self.destination, payload) }
    }

    fn written(&self, hub: &Hub, streams: &[Option<Vec<u8>>]) -> (Vec<u8>, Vec<u8>) {
        let headers = self.encoding.map_or(Vec::new(), |encoding| encoding.block().to_vec());
        let (mut json, mut payload) = (Vec::new(), Vec::new());
        self.report.write(&mut json, &hub.settings(), hub.next_event(), streams);
        self.encoding.unwrap_or(Encoding::Identity).encode(&mut payload, &json);
        (headers, payload)
    }

    /// Reports of the servers it goes on to from here go there. Where they went before.
    pub(crate) fn divert(&mut self, destination: Box<[u8]>) -> Box<[u8]> {
        std::mem::replace(&mut self.destination, destination)
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
        let asker = Asker::client(link, active);
        let answer = self.answer(&asker, publish.subject, block, body.len(), None);
        match self.open_hop(&asker, publish.subject, block, payload, body.len()) {
            None => self.publish_answered(link, active, publish, source, (answer, None)),
            Some((hop, carried)) => {
                let (publish, source) = carried.of(publish);
                self.publish_answered(link, active, &publish, source, (answer, Some(hop)))
            }
        }
    }

    /// Delivers the message as its headers lead to.
    fn publish_answered(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        publish: &Publish<'_>,
        source: Source<'_>,
        (answer, hop): (Answer, Option<OpenHop>),
    ) -> bool {
        let told = match answer {
            Answer::Plain if hop.is_none() => return self.publish_plain(link, active, publish, source),
            Answer::Plain => None,
            Answer::Marked => return self.publish_marked(link, active, publish, source, hop),
            Answer::Refused => {
                refused(hop);
                return false;
            }
            Answer::Traced(told) => Some(*told),
        };
        self.publish_traced(link, active, publish, source, Trace { told, hop })
    }

    /// Delivers the message with the mark behind its headers.
    fn publish_marked(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        publish: &Publish<'_>,
        source: Source<'_>,
        hop: Option<OpenHop>,
    ) -> bool {
        let body = source.bytes.get(publish.body.clone()).unwrap_or_default();
        let Some((block, payload)) = body.split_at_checked(publish.header_len) else { return false };
        let (bytes, header_len) = disabled_message(block, payload);
        let body = 0..bytes.len() - 2;
        let marked = Publish { header_len, body, ..*publish };
        let source = Source { lender: None, bytes: &bytes };
        match hop {
            None => self.publish_plain(link, active, &marked, source),
            hop => self.publish_traced(link, active, &marked, source, Trace { told: None, hop }),
        }
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
        let routed = plan.routed(publish.subject).to_vec();
        let taken = self.publish_with_care(link, active, publish, source, plan, Some(&mut trace));
        if taken {
            trace.withheld(&active.account, &routed);
        }
        if let Some(told) = trace.told.take() {
            self.report(&Asker::client(link, active), told);
        }
        taken
    }

    /// Decides what the headers lead to. `error` is what the message is refused for anyway.
    fn answer(&mut self, asker: &Asker<'_>, subject: &[u8], block: &[u8], size: usize, error: Option<&str>) -> Answer {
        let Some(request) = Request::read(block) else { return Answer::Plain };
        let unless = |refused| if refused { Answer::Refused } else { Answer::Plain };
        if request.is_obsolete() {
            self.untraced(asker, "its Nats-Trace-Origin-Account is obsolete");
            return if request.only { Answer::Refused } else { Answer::Marked };
        }
        let destination: Box<[u8]> = match request.destination {
            Some(destination) => destination.into(),
            None => {
                let account = asker.account.settings();
                let Some(configured) = &account.trace else { return Answer::Plain };
                // Chance decides once, at the server of the publisher.
                if asker.is_client() && self.chance.below(100) >= usize::from(configured.sampling.get()) {
                    return Answer::Marked;
                }
                configured.subject.as_bytes().into()
            }
        };
        let Some(parsed) = Subject::parse(&destination).ok().filter(|subject| subject.is_literal()) else {
            self.untraced(asker, "its destination is no subject");
            return unless(request.only);
        };
        if MappedReply::parse(&destination).is_some() && !asker.is_client() {
            self.untraced(asker, "its destination is an answer to another cluster");
            return Answer::Refused;
        }
        if let Err(denial) = self.may_tell(asker, parsed) {
            if asker.is_client() {
                self.stages.line(asker.link, &wire::encode::err(&denial.wire_text()));
            }
            self.hub.observer.event(asker.link, &asker.label(), &Event::Denied { denial: &denial, sid: None });
            return Answer::Refused;
        }
        let ingress = Ingress {
            kind: asker.link.kind,
            connection: asker.link.key.id,
            name: asker.name.to_owned(),
            account: asker.account.settings().name.to_string(),
            subject: subject.into(),
            error: error.map(str::to_owned),
        };
        let encoding = request.encodings().map(Encoding::among);
        let only = request.only;
        let report = Report::open(&request, size, ingress, self.wall);
        Answer::Traced(Box::new(Told { destination, only, encoding, report, waiting: None }))
    }

    /// Whether what became of the message may be told there.
    fn may_tell<'s>(&self, asker: &Asker<'_>, to: Subject<'s>) -> Result<Authorized<Permitted<'s>>, Denial> {
        match asker.rights {
            Rights::Client(permissions, _) => permissions.publish(to),
            Rights::Leaf(rights, _) => rights.take(to),
            // It was asked where the message was published.
            Rights::Granted | Rights::Passing | Rights::Answering | Rights::Imported(_) => {
                self.own.rights().publish(to)
            }
        }
    }

    fn untraced(&self, asker: &Asker<'_>, why: &str) {
        self.hub.observer.event(asker.link, &asker.label(), &Event::Debug(&format!("Message not traced: {why}")));
    }

    /// Publishes what became of a message, in the name of its publisher. If streams have something to add it leaves when they
    /// did.
    fn report(&mut self, asker: &Asker<'_>, mut told: Told) {
        let Some(proof) = Subject::parse(&told.destination).ok().and_then(|to| self.may_tell(asker, to).ok()) else {
            return;
        };
        if let Some(waiting) = told.waiting.take() {
            return waiting.end(Rest { hub: self.hub.clone(), account: asker.account.clone(), told });
        }
        let plan = self.plans.once(asker.account, Whence::SERVER, &proof.kept());
        if Rights::Passing.withhold(plan.routed(&told.destination)) {
            return;
        }
        let (mut bytes, payload) = told.written(&self.hub, &[]);
        let header_len = bytes.len();
        bytes.extend_from_slice(&payload);
        let body = 0..bytes.len();
        bytes.extend_from_slice(b"\r\n");
        let publish = Publish { subject: &told.destination, reply: None, header_len, body };
        let source = Source { lender: None, bytes: &bytes };
        // Whoever asked wants to hear it, even if it wants no echo.
        let sending = Sending {
            link: asker.link,
            account: asker.account,
            no_echo: false,
            shown: None,
            arrived: None,
            publish: &publish,
            source,
            rights: Rights::Passing,
        };
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
        let asker = Asker::client(link, active);
        if let Some((mut hop, _)) = self.open_hop(&asker, subject, block, b"", size) {
            hop.refused(OVERSIZED, OVERSIZED.to_owned());
        }
        if let Answer::Traced(told) = self.answer(&asker, subject, block, size, Some(OVERSIZED)) {
            self.report(&asker, *told);
        }
    }
}

/// The publisher may not have the report where it wants it.
fn refused(hop: Option<OpenHop>) {
    if let Some(mut hop) = hop {
        hop.refused("trace denied", "its report may not be published where it is to go".to_owned());
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
