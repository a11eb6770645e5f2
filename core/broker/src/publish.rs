//! Publishing: the path of a message from the read buffer to the stages of whom it reaches.

use std::rc::Rc;
use std::sync::Arc;

use auth::{Denial, Permissions};
use subject::Subject;
use wire::client::Publish;

use crate::account_state::AccountState;
use crate::buffers::BufferId;
use crate::connection::Active;
use crate::delivery::{Delivery, Flight, Nobody, Witness};
use crate::link::Link;
use crate::observer::Event;
use crate::plan::{Judged, Plan};
use crate::stage::{BORROW_BYTES, Borrowed, Laid};
use crate::subscription::Target;
use crate::trace::{self, Trace, Watching};
use crate::user_info;
use crate::worker::Engine;

/// Where a message lies: the buffer, and where in it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The buffer the bytes may be borrowed from, and where they begin in it.
    pub(crate) lender: Option<(BufferId, usize)>,
    /// The bytes from which the operation was parsed.
    pub(crate) bytes: &'a [u8],
}

/// A message on its way out: whose it is, and where it lies.
pub(crate) struct Sending<'a> {
    pub(crate) link: &'a Arc<Link>,
    pub(crate) account: &'a Arc<AccountState>,
    /// It is not to come back to its publisher.
    pub(crate) no_echo: bool,
    pub(crate) publish: &'a Publish<'a>,
    pub(crate) source: Source<'a>,
}

impl<'a> Sending<'a> {
    /// A message of a client.
    #[inline(always)]
    fn of(link: &'a Arc<Link>, active: &'a Active, publish: &'a Publish<'a>, source: Source<'a>) -> Self {
        Self { link, account: &active.account, no_echo: !active.session.echoes(), publish, source }
    }
}

/// Whether the headers are worth a closer look.
#[inline]
fn asks_for_trace(publish: &Publish<'_>, source: Source<'_>) -> bool {
    let start = publish.body.start;
    source.bytes.get(start..start + publish.header_len).is_some_and(trace::is_asked)
}

/// What the permissions say to a publish. Bytes that are no subject reach nobody, and under an allow list are denied.
fn judge<'a>(permissions: &Permissions, subject: &'a [u8]) -> Judged<'a> {
    match Subject::parse(subject) {
        Ok(subject) => permissions.publish(subject).map(Some),
        Err(_) => permissions.publish_malformed(subject).map_or(Ok(None), Err),
    }
}

/// `[reply ][header-size ]size CRLF`, kept from message to message: publishers repeat their sizes.
#[derive(Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// The size the bytes are for, if they are only that.
    bare: Option<usize>,
}

impl Tail {
    #[inline]
    fn set(&mut self, reply: Option<&[u8]>, header_bytes: usize, size: usize) {
        let bare = (reply.is_none() && header_bytes == 0).then_some(size);
        if bare.is_none() || bare != self.bare {
            self.write(reply, header_bytes, size);
            self.bare = bare;
        }
    }

    fn write(&mut self, reply: Option<&[u8]>, header_bytes: usize, size: usize) {
        let mut digits = itoa::Buffer::new();
        self.bytes.clear();
        if let Some(reply) = reply {
            self.bytes.extend_from_slice(reply);
            self.bytes.push(b' ');
        }
        if header_bytes > 0 {
            self.bytes.extend_from_slice(digits.format(header_bytes).as_bytes());
            self.bytes.push(b' ');
        }
        self.bytes.extend_from_slice(digits.format(size).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// The two tails of a message: as it is, and for clients that read no headers.
#[derive(Default)]
pub(crate) struct Tails {
    whole: Tail,
    stripped: Tail,
}

impl Engine {
    /// Takes one `PUB` or `HPUB` of a client. `false` if it was refused, so that verbose mode says nothing more.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        publish: &Publish<'_>,
        source: Source<'_>,
    ) -> bool {
        active.batch.msgs += 1;
        active.batch.bytes += publish.body.len() as u64;
        if publish.header_len > 0 && asks_for_trace(publish, source) {
            return self.publish_asking(link, active, publish, source);
        }
        self.publish_plain(link, active, publish, source)
    }

    /// Takes a message that nobody follows.
    #[inline]
    pub(crate) fn publish_plain(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        publish: &Publish<'_>,
        source: Source<'_>,
    ) -> bool {
        let plan = self.plan(active, publish.subject);
        let extraordinary = active.extraordinary || publish.reply.is_some() || plan.denial.is_some();
        if extraordinary || self.stages.log.is_some() {
            return self.publish_with_care(link, active, publish, source, plan, None);
        }
        self.send(&Sending::of(link, active, publish, source), &plan, &mut Nobody);
        true
    }

    /// The plan for a subject, with the rights of the connection.
    #[inline]
    pub(crate) fn plan(&mut self, active: &Active, subject: &[u8]) -> Rc<Plan> {
        self.plans.get(active.route, &active.account, subject, || judge(&active.permissions, subject))
    }

    /// Everything that most messages do not need.
    #[inline(never)]
    pub(crate) fn publish_with_care(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        publish: &Publish<'_>,
        source: Source<'_>,
        mut plan: Rc<Plan>,
        mut trace: Option<&mut Trace>,
    ) -> bool {
        let mut refuse = |engine: &mut Self, denial: &Denial| {
            if let Some(trace) = trace.as_deref_mut() {
                trace.refused(denial.wire_text());
            }
            engine.deny_publish(link, active, denial);
            false
        };
        if let Some(denial) = &plan.denial {
            match self.by_reply_grant(link, active, publish.subject) {
                Some(granted) => plan = granted,
                None => return refuse(self, denial),
            }
        }
        if let Some(reply) = publish.reply
            && let Err(denial) = active.permissions.reply(reply)
        {
            return refuse(self, &denial);
        }
        if active.session.is_pedantic() && !Subject::parse(publish.subject).is_ok_and(Subject::is_literal) {
            self.stages.line(link, wire::encode::ERR_INVALID_PUBLISH_SUBJECT);
        }
        self.ok(link, active);
        let sending = Sending::of(link, active, publish, source);
        match self.stages.log.clone() {
            None if trace.is_none() => self.send(&sending, &plan, &mut Nobody),
            log => self.send_watched(&sending, &plan, &mut Watching { trace, log: log.as_deref() }),
        }
        if let (user_info::QUESTION, Some(reply)) = (publish.subject, publish.reply) {
            self.tell_who(link, active, reply);
            return true;
        }
        let alone = !active.session.echoes() && plan.reaches_only(link.slot);
        let unanswered = (alone || plan.reaches_nobody()) && active.session.wants_no_responders();
        if let (true, Some(reply)) = (unanswered, publish.reply) {
            self.no_responders(link, active, publish.subject, reply);
        }
        true
    }

    /// A plan for a subject that only `allow_responses` permits.
    fn by_reply_grant(&mut self, link: &Arc<Link>, active: &Active, subject: &[u8]) -> Option<Rc<Plan>> {
        active.permissions.responses()?;
        let subject = Subject::parse(subject).ok()?;
        let mut queue = link.queue.lock();
        let grants = queue.reply_grants.as_deref_mut()?;
        let granted = active.permissions.publish_with_grants(subject, grants, self.now).ok()?;
        drop(queue);
        Some(self.plans.once(&active.account, granted))
    }

    /// The same as [`Engine::send`] before witnesses, out of the way of what most messages take.
    #[cold]
    #[inline(never)]
    pub(crate) fn send_watched(&mut self, sending: &Sending<'_>, plan: &Rc<Plan>, watching: &mut Watching<'_>) {
        self.send(sending, plan, watching);
    }

    /// Lays the message out and stages it for everybody the plan names.
    #[inline]
    pub(crate) fn send<W: Witness>(&mut self, sending: &Sending<'_>, plan: &Rc<Plan>, witness: &mut W) {
        if plan.reaches_nobody() {
            return;
        }
        let Sending { link, account, no_echo, publish, source } = *sending;
        let Publish { header_len, ref body, .. } = *publish;
        let size = body.len();
        // The parser saw the CRLF behind the body; it is sent on with it.
        let Some(with_end) = source.bytes.get(body.start..body.end + 2) else { return };
        let lender = source.lender.filter(|_| size >= BORROW_BYTES);
        self.borrowed |= lender.is_some();
        let lent =
            |start: usize, len: usize| lender.map(|(buffer, offset)| Borrowed { buffer, start: offset + start, len });
        self.tails.whole.set(publish.reply, header_len, size);
        let whole = Laid {
            tail: &self.tails.whole.bytes,
            body: with_end,
            borrowed: lent(body.start, size + 2),
            counted: size as u64,
        };
        let stripped;
        let mut flight = Flight { link, no_echo, publish, whole: &whole, stripped: &whole, account, now: self.now };
        if header_len > 0 {
            self.tails.stripped.set(publish.reply, 0, size - header_len);
            stripped = Laid {
                tail: &self.tails.stripped.bytes,
                body: with_end.get(header_len..).unwrap_or_default(),
                borrowed: lent(body.start + header_len, size - header_len + 2),
                counted: (size - header_len) as u64,
            };
            flight.stripped = &stripped;
        }
        let mut delivery = Delivery { stages: &mut self.stages, chance: &mut self.chance, spent: &mut self.spent };
        delivery.fan_out(plan, &flight, witness);
        self.plans.count(plan);
    }

    /// Tells a requester that nobody answers: a 503 to its own subscription for the reply.
    #[cold]
    fn no_responders(&mut self, link: &Arc<Link>, active: &Active, subject: &[u8], reply: &[u8]) {
        let listens = |sub: &&Arc<crate::Subscription>| {
            sub.grant.queue.is_none() && Subject::parse(reply).is_ok_and(|reply| sub.grant.filter.matches(reply))
        };
        let Some(subscription) = active.subscriptions.iter().find(listens).cloned() else { return };
        let Target::Client(client) = &subscription.target else { return };
        let line = wire::encode::no_responders(reply, &client.sid, subject);
        self.stages.line(link, &line);
        client.add_delivered(1);
        if client.is_limited() && client.is_over() {
            self.spent.push(subscription);
        }
    }

    #[cold]
    pub(crate) fn deny_publish(&mut self, link: &Arc<Link>, active: &Active, denial: &Denial) {
        self.stages.line(link, &wire::encode::err(&denial.wire_text()));
        self.hub.observer.event(link, &active.label, &Event::Denied { denial, sid: None });
    }
}
