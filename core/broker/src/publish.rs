//! Publishing: the path of a message from the read buffer to the stages of whom it reaches.

use std::rc::Rc;
use std::sync::Arc;

use auth::{Denial, Permissions};
use moment::Instant;
use subject::Subject;
use wire::client::Publish;

use crate::buffers::BufferId;
use crate::connection::Active;
use crate::internal::{Message, Sender};
use crate::link::Link;
use crate::mailbox::ConnectionKey;
use crate::observer::Event;
use crate::plan::{Judged, Plan, PlanTarget};
use crate::stage::{BORROW_BYTES, Borrowed, Laid};
use crate::subscription::{Target, Turn};
use crate::worker::Engine;

/// Where a message lies: the buffer, and where in it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The buffer the bytes may be borrowed from, and where they begin in it.
    pub(crate) lender: Option<(BufferId, usize)>,
    /// The bytes from which the operation was parsed.
    pub(crate) bytes: &'a [u8],
}

/// What the permissions say to a publish. Bytes that are no subject reach nobody, and under an allow list are denied.
fn judge<'a>(permissions: &Permissions, subject: &'a [u8]) -> Judged<'a> {
    match Subject::parse(subject) {
        Ok(subject) => permissions.publish(subject).map(Some),
        Err(_) => permissions.publish_malformed(subject).map_or(Ok(None), Err),
    }
}

/// Room for `[reply ][header-size ]size CRLF`.
#[derive(Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    fn set(&mut self, reply: Option<&[u8]>, header_bytes: usize, size: usize) {
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

/// One message on its way to many targets.
struct Flight<'a> {
    publisher: ConnectionKey,
    /// The publisher's link, if its own messages are not to come back.
    no_echo: Option<u32>,
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    header_bytes: usize,
    whole: Laid<'a>,
    /// Without headers, for clients that read none.
    stripped: Laid<'a>,
    sender: Sender<'a>,
    now: Instant,
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
        let size = publish.body.len();
        active.batch.msgs += 1;
        active.batch.bytes += size as u64;
        let Active { account, permissions, route, .. } = &*active;
        let plan = self.plans.get(*route, account, publish.subject, || {
            judge(permissions, publish.subject)
        });
        if active.extraordinary || publish.reply.is_some() || plan.denial.is_some() {
            return self.publish_with_care(link, active, publish, source, plan);
        }
        self.send(link, active, publish, source, &plan);
        true
    }

    /// Everything that most messages do not need.
    fn publish_with_care(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        publish: &Publish<'_>,
        source: Source<'_>,
        mut plan: Rc<Plan>,
    ) -> bool {
        if let Some(denial) = &plan.denial {
            match self.by_reply_grant(link, active, publish.subject) {
                Some(granted) => plan = granted,
                None => {
                    self.deny_publish(link, active, denial);
                    return false;
                }
            }
        }
        if let Some(reply) = publish.reply
            && let Err(denial) = active.permissions.reply(reply)
        {
            self.deny_publish(link, active, &denial);
            return false;
        }
        if active.session.is_pedantic() && !Subject::parse(publish.subject).is_ok_and(Subject::is_literal) {
            self.stages.line(link, wire::encode::ERR_INVALID_PUBLISH_SUBJECT);
        }
        self.send(link, active, publish, source, &plan);
        let unanswered = plan.reaches_nobody() && active.session.wants_no_responders();
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

    /// Lays the message out and stages it for everybody the plan names.
    #[inline]
    fn send(&mut self, link: &Arc<Link>, active: &Active, publish: &Publish<'_>, source: Source<'_>, plan: &Rc<Plan>) {
        if plan.reaches_nobody() {
            return;
        }
        let Publish { header_len, ref body, .. } = *publish;
        let size = body.len();
        // The parser saw the CRLF behind the body; it is sent on with it.
        let Some(with_end) = source.bytes.get(body.start..body.end + 2) else { return };
        let lender = source.lender.filter(|_| size >= BORROW_BYTES);
        let lent = |start: usize, len: usize| {
            lender.map(|(buffer, offset)| Borrowed { buffer, start: offset + start, len })
        };
        let mut tails = std::mem::take(&mut self.tails);
        tails.whole.set(publish.reply, header_len, size);
        let whole = Laid {
            tail: &tails.whole.bytes,
            body: with_end,
            borrowed: lent(body.start, size + 2),
            counted: size as u64,
        };
        let mut stripped = whole;
        if header_len > 0 {
            tails.stripped.set(publish.reply, 0, size - header_len);
            stripped = Laid {
                tail: &tails.stripped.bytes,
                body: with_end.get(header_len..).unwrap_or_default(),
                borrowed: lent(body.start + header_len, size - header_len + 2),
                counted: (size - header_len) as u64,
            };
        }
        self.borrowed |= lender.is_some();
        let flight = Flight {
            publisher: link.key,
            no_echo: (!active.session.echoes()).then_some(link.slot),
            subject: publish.subject,
            reply: publish.reply,
            header_bytes: header_len,
            whole,
            stripped,
            sender: Sender { link: Some(link), account: &active.account },
            now: self.now,
        };
        self.fan_out(plan, &flight);
        self.tails = tails;
    }

    #[inline]
    fn fan_out(&mut self, plan: &Rc<Plan>, flight: &Flight<'_>) {
        for target in &plan.targets {
            self.deliver(plan, target, flight);
        }
        for group in &plan.groups {
            if let Some(member) = self.pick(group, flight) {
                self.deliver(plan, member, flight);
            }
        }
        self.plans.count(plan);
    }

    /// One member of a queue group, by chance, among those that may have the message.
    fn pick<'p>(&mut self, group: &'p [PlanTarget], flight: &Flight<'_>) -> Option<&'p PlanTarget> {
        let start = self.chance.below(group.len());
        let (before, from) = group.split_at(start);
        from.iter().chain(before).find(|member| {
            let echoed = flight.no_echo == Some(member.slot);
            !echoed && !(member.limited && member.client().is_some_and(|client| client.is_over()))
        })
    }

    #[inline(always)]
    fn deliver(&mut self, plan: &Plan, target: &PlanTarget, flight: &Flight<'_>) {
        if flight.no_echo == Some(target.slot) {
            return;
        }
        match &target.subscription.target {
            Target::Client(client) => {
                if target.limited || target.grants_replies {
                    if !self.before_delivery(target, flight) {
                        return;
                    }
                } else {
                    target.delivered.set(target.delivered.get() + 1);
                }
                let head = plan.head(target);
                let (head, laid) = match (flight.header_bytes > 0, target.headers) {
                    (true, true) => (head, &flight.whole),
                    (true, false) => (&head[1..], &flight.stripped),
                    (false, _) => (&head[1..], &flight.whole),
                };
                self.stages.message(target.slot, &client.peer.link, flight.publisher, head, laid);
            }
            Target::Internal(internal) => {
                let body = flight.whole.body;
                let (headers, payload) = body[..body.len() - 2].split_at(flight.header_bytes);
                let message = Message { subject: flight.subject, reply: flight.reply, headers, payload };
                internal.deliver(&message, &flight.sender);
            }
        }
    }

    /// What limited subscriptions and reply grants ask for. `false` if the message is not to be delivered.
    #[cold]
    fn before_delivery(&mut self, target: &PlanTarget, flight: &Flight<'_>) -> bool {
        let Some(client) = target.client() else { return true };
        if target.limited {
            match client.take_turn() {
                Turn::Over => return false,
                Turn::Last => self.spent.push(target.subscription.clone()),
                Turn::Deliver => {}
            }
        } else {
            target.delivered.set(target.delivered.get() + 1);
        }
        if let (true, Some(reply)) = (target.grants_replies, flight.reply) {
            let permissions = client.peer.permissions.load();
            if Subject::parse(reply).is_ok_and(|reply| permissions.publish(reply).is_err()) {
                self.stages.grant_reply(&client.peer.link, reply, flight.now);
            }
        }
        true
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
    fn deny_publish(&mut self, link: &Arc<Link>, active: &Active, denial: &Denial) {
        self.stages.line(link, &wire::encode::err(&denial.wire_text()));
        self.hub.observer.event(link, &active.label, &Event::Denied { denial, sid: None });
    }
}
