//! Publishing: the path of a message from the read buffer to the stages of whom it reaches.

use std::rc::Rc;
use std::sync::Arc;

use account::Mapped;
use auth::{Denial, Permissions};
use subject::{MappedReply, Subject};
use wire::client::Publish;

use crate::account_state::AccountState;
use crate::buffers::BufferId;
use crate::connection::Active;
use crate::delivery::{Delivery, Flight, Nobody, Witness};
use crate::engine::Engine;
use crate::internal::Rights;
use crate::link::Link;
use crate::links::crossing::{Arrived, Whence};
use crate::observer::Event;
use crate::plan::{Entered, Judged, Plan};
use crate::sharing::doors::Journey;
use crate::sharing::latency_far;
use crate::sharing::requester::Requester;
use crate::stage::{BORROW_BYTES, Borrowed, Laid};
use crate::subscription::Target;
use crate::trace::{self, Trace, Watching};
use crate::user_info;

/// Where a message lies: the buffer, and where in it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The buffer the bytes may be borrowed from, and where they begin in it.
    pub(crate) lender: Option<(BufferId, usize)>,
    /// The bytes from which the operation was parsed.
    pub(crate) bytes: &'a [u8],
}

/// A message on its way out: whose it is, and where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Sending<'a> {
    pub(crate) link: &'a Arc<Link>,
    pub(crate) account: &'a Arc<AccountState>,
    /// It is not to come back to its publisher.
    pub(crate) no_echo: bool,
    /// The subject receivers see, where it is not the one it is routed by.
    pub(crate) shown: Option<&'a [u8]>,
    /// What the message says about itself, if it came from another server.
    pub(crate) arrived: Option<&'a Arrived<'a>>,
    pub(crate) publish: &'a Publish<'a>,
    pub(crate) source: Source<'a>,
    /// By what rights it was published where it is now.
    pub(crate) rights: Rights<'a>,
}

impl<'a> Sending<'a> {
    /// A message of a client.
    #[inline(always)]
    fn of(link: &'a Arc<Link>, active: &'a Active, publish: &'a Publish<'a>, source: Source<'a>) -> Self {
        Self {
            link,
            account: &active.account,
            no_echo: !active.session.echoes(),
            shown: None,
            arrived: None,
            publish,
            source,
            rights: Rights::Client(&active.permissions, &active.label),
        }
    }
}

/// Whether the headers are worth a closer look.
#[inline]
pub(crate) fn asks_for_trace(publish: &Publish<'_>, source: Source<'_>) -> bool {
    let start = publish.body.start;
    source.bytes.get(start..start + publish.header_len).is_some_and(trace::is_asked)
}

/// What the permissions say to a publish. Bytes that are no subject reach nobody, and under an allow list are denied.
pub(crate) fn judge<'a>(permissions: &Permissions, subject: &'a [u8]) -> Judged<'a> {
    match Subject::parse(subject) {
        Ok(subject) => permissions.publish(subject).map(Some),
        Err(_) => permissions.publish_malformed(subject).map_or(Ok(None), Err),
    }
}

/// `[reply ][header-size ]size CRLF`, kept from message to message: publishers repeat their sizes.
#[derive(Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// What stands behind the reply, with the blank that parts them.
    sizes: Vec<u8>,
    /// What the sizes are: of headers, and of everything.
    of: Option<(usize, usize)>,
    /// Whether the bytes are the sizes alone.
    bare: bool,
}

impl Tail {
    #[inline]
    fn set(&mut self, reply: Option<&[u8]>, header_bytes: usize, size: usize) {
        let is_same = self.of == Some((header_bytes, size));
        if !is_same {
            self.measure(header_bytes, size);
        }
        if let Some(reply) = reply {
            self.bytes.clear();
            self.bytes.extend_from_slice(reply);
            self.bytes.extend_from_slice(&self.sizes);
            self.bare = false;
        } else if !(is_same && self.bare) {
            self.bytes.clear();
            self.bytes.extend_from_slice(self.sizes.get(1..).unwrap_or_default());
            self.bare = true;
        }
    }

    fn measure(&mut self, header_bytes: usize, size: usize) {
        let mut digits = itoa::Buffer::new();
        self.sizes.clear();
        if header_bytes > 0 {
            self.sizes.push(b' ');
            self.sizes.extend_from_slice(digits.format(header_bytes).as_bytes());
        }
        self.sizes.push(b' ');
        self.sizes.extend_from_slice(digits.format(size).as_bytes());
        self.sizes.extend_from_slice(b"\r\n");
        self.of = Some((header_bytes, size));
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
        let extraordinary = active.extraordinary || publish.reply.is_some() || plan.is_special() || self.abroad;
        if extraordinary || self.stages.log.is_some() {
            return self.publish_with_care(link, active, publish, source, plan, None);
        }
        self.send(&Sending::of(link, active, publish, source), &plan, &mut Nobody);
        true
    }

    /// The plan for a subject, with the rights of the connection.
    #[inline]
    pub(crate) fn plan(&mut self, active: &Active, subject: &[u8]) -> Rc<Plan> {
        self.plans.get(active.route, &active.account, Whence::HERE, subject, |named| judge(&active.permissions, named))
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
        if plan.is_open() {
            return self.publish_by_chance(link, active, publish, source, trace);
        }
        let mut refuse = |engine: &mut Self, denial: &Denial| {
            if let Some(trace) = trace.as_deref_mut() {
                trace.refused(denial);
            }
            engine.deny_publish(link, active, denial);
            false
        };
        if let Some(denial) = &plan.denial {
            match self.by_reply_grant(link, active, plan.routed(publish.subject)) {
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
        if let Some(trace) = trace.as_deref_mut() {
            trace.decided();
        }
        // Who asks the server is counted in the answer.
        if plan.asks_for_counts() {
            active.settle(link);
        }
        if self.abroad {
            self.tell_far_latency(link, active, publish.subject);
        }
        if self.abroad
            && let Some((marked, plan)) = self.answer_abroad(link, &active.account, publish.subject)
        {
            let publish = Publish { subject: &marked, body: publish.body.clone(), ..*publish };
            let sending = Sending::of(link, active, &publish, source);
            self.send_far(&sending, &plan, &Journey::of(Requester::Client(link, active)), trace);
            return true;
        }
        let sending = Sending::of(link, active, publish, source);
        let reached = self.send_far(&sending, &plan, &Journey::of(Requester::Client(link, active)), trace);
        if let (user_info::QUESTION, Some(reply)) = (publish.subject, publish.reply) {
            self.tell_who(link, active, reply);
            return true;
        }
        let unanswered = !reached && active.session.wants_no_responders();
        if let (true, Some(reply)) = (unanswered, publish.reply) {
            self.no_responders(link, active, plan.routed(publish.subject), reply);
        }
        true
    }

    /// A mapping by chance moves the message, and rights are asked about the name it gets.
    #[cold]
    fn publish_by_chance(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        publish: &Publish<'_>,
        source: Source<'_>,
        trace: Option<&mut Trace>,
    ) -> bool {
        let Ok(subject) = Subject::parse(publish.subject) else { return false };
        let (settings, hub) = (active.account.settings(), self.hub.settings());
        let chance = self.chance.next();
        let named = match settings.mappings.apply(subject, hub.greeting.cluster.as_deref(), chance) {
            Mapped::To(named) => named,
            Mapped::Same => publish.subject.to_vec(),
            Mapped::Dropped => {
                self.ok(link, active);
                if let (true, Some(reply)) = (active.session.wants_no_responders(), publish.reply) {
                    self.no_responders(link, active, publish.subject, reply);
                }
                return true;
            }
        };
        let rights = &active.permissions;
        let (route, whence) = (active.route.moved(), Whence { entered: Entered::Moved, ..Whence::HERE });
        let plan = self.plans.get(route, &active.account, whence, &named, |named| judge(rights, named));
        let publish = Publish { subject: &named, body: publish.body.clone(), ..*publish };
        self.publish_with_care(link, active, &publish, source, plan, trace)
    }

    /// A plan for a subject that only `allow_responses` permits, after mappings.
    fn by_reply_grant(&mut self, link: &Arc<Link>, active: &Active, subject: &[u8]) -> Option<Rc<Plan>> {
        active.permissions.responses()?;
        let subject = Subject::parse(subject).ok()?;
        let mut queue = link.queue.lock();
        let grants = queue.reply_grants.as_deref_mut()?;
        let granted = active.permissions.publish_with_grants(subject, grants, self.now).ok()?;
        drop(queue);
        let whence = Whence { entered: Entered::Moved, ..Whence::HERE };
        Some(self.plans.once(&active.account, whence, &granted.kept()))
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
        let Sending { link, account, no_echo, shown, arrived, publish, source, rights } = *sending;
        let bare;
        let (publish, marked) = match publish.reply.and_then(|reply| Some((reply, MappedReply::seen(reply)?))) {
            None => (publish, None),
            Some((marked, seen)) => {
                bare = Publish { reply: Some(seen), body: publish.body.clone(), ..*publish };
                (&bare, Some(marked))
            }
        };
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
        let mut flight = Flight {
            link,
            no_echo,
            shown,
            publish,
            marked,
            measured: arrived.is_some() && publish.reply.is_some_and(latency_far::is_tagged),
            whole: &whole,
            stripped: &whole,
            account,
            arrived,
            now: self.now,
            rights,
        };
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
        let mut delivery = Delivery {
            stages: &mut self.stages,
            chance: &mut self.chance,
            spent: &mut self.spent,
            picked: &mut self.picked,
            head: &mut self.head,
            telling: &mut self.telling,
            tally: &mut self.tally,
            hub: &self.hub,
            unanswered: false,
        };
        delivery.fan_out(plan, &flight, witness);
        self.refusals += u32::from(delivery.unanswered);
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
        self.refusals += 1;
        self.stages.line(link, &wire::encode::err(&denial.wire_text()));
        self.hub.observer.event(link, &active.label, &Event::Denied { denial, sid: None });
    }
}
