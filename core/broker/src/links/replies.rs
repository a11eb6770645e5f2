//! Replies that cross clusters.
//!
//! A request that leaves the cluster bears a marked reply if its sender has only just begun to listen: over there the
//! interest may not be known yet. Who is asked sees the reply without the mark; what he answers gets the mark back and so
//! the way to the cluster, and to the server of it, that asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hashbrown::HashMap;
use moment::Instant;
use parking_lot::Mutex;
use subject::{Filter, MappedReply, Sublist};
use topology::{Peer as Place, ReplyRoute, split_shown};
use wire::client::Publish;
use wire::server::Message;

use crate::account_state::AccountState;
use crate::delivery::Nobody;
use crate::engine::Engine;
use crate::internal::Rights;
use crate::link::Link;
use crate::links::crossing::Whence;
use crate::links::gateways::GatewayClock;
use crate::links::wants::Wants;
use crate::orders::is_order;
use crate::plan::{Entered, Plan, Route as PlanRoute};
use crate::publish::{Sending, Source};
use crate::sharing::doors::Journey;
use crate::sharing::requester::Requester;

/// For so long a filter counts as new, and so long who was asked may answer by the marked reply.
const RECENT: Duration = Duration::from_secs(2);

/// New filters of an account that are remembered. While there are more, all replies are marked.
const RECENT_MAX: usize = 65_536;

/// Marked replies that one client is remembered to be asked with. The oldest goes first.
const ASKED_MAX: usize = 4096;

/// Filters of an account that somebody began to listen to only just now.
pub(crate) struct Recent {
    clock: Arc<GatewayClock>,
    seed: u64,
    list: Mutex<Option<Box<RecentList>>>,
}

struct RecentList {
    filters: Sublist<()>,
    order: VecDeque<(Instant, Filter)>,
    too_many_until: Instant,
}

impl Recent {
    pub(crate) fn new(clock: Arc<GatewayClock>, seed: u64) -> Self {
        Self { clock, seed, list: Mutex::new(None) }
    }

    /// Somebody listens from now on.
    pub(crate) fn note(&self, filter: &Filter) {
        if !self.clock.runs() {
            return;
        }
        let now = self.clock.now();
        let mut list = self.list.lock();
        let list = list.get_or_insert_with(|| {
            let filters = Sublist::with_seed(self.seed);
            Box::new(RecentList { filters, order: VecDeque::new(), too_many_until: Instant::START })
        });
        list.forget(now);
        if list.order.len() >= RECENT_MAX {
            list.too_many_until = now + RECENT;
            return;
        }
        list.filters.insert(filter, ());
        list.order.push_back((now, filter.clone()));
    }

    /// Whether somebody listens to this reply only since a moment ago.
    pub(crate) fn has(&self, reply: &[u8]) -> bool {
        let now = self.clock.now();
        let mut list = self.list.lock();
        let Some(list) = list.as_deref_mut() else { return false };
        list.forget(now);
        now < list.too_many_until || list.filters.has_match(reply)
    }
}

impl RecentList {
    fn forget(&mut self, now: Instant) {
        while let Some((since, _)) = self.order.front()
            && now.since(*since) >= RECENT
            && let Some((_, filter)) = self.order.pop_front()
        {
            self.filters.remove(&filter, |()| true);
        }
    }
}

/// Marked replies that a client was asked with, by the reply that it saw.
#[derive(Default)]
pub(crate) struct Asked {
    marked: HashMap<Box<[u8]>, Question>,
    order: VecDeque<(Box<[u8]>, Instant)>,
}

/// One of them.
struct Question {
    marked: Box<[u8]>,
    since: Instant,
}

impl Asked {
    /// The client is asked.
    pub(crate) fn note(&mut self, reply: &[u8], marked: &[u8], now: Instant) {
        self.forget(now);
        while self.order.len() >= ASKED_MAX {
            self.forget_oldest();
        }
        self.marked.insert(reply.into(), Question { marked: marked.into(), since: now });
        self.order.push_back((reply.into(), now));
    }

    /// The marked form of a reply on which the client answers.
    pub(crate) fn marked(&self, reply: &[u8], now: Instant) -> Option<Box<[u8]>> {
        let question = self.marked.get(reply)?;
        (now.since(question.since) < RECENT).then(|| question.marked.clone())
    }

    fn forget(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, since)| now.since(*since) >= RECENT) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((reply, noted)) = self.order.pop_front()
            && self.marked.get(&reply).is_some_and(|question| question.since == noted)
        {
            self.marked.remove(&reply);
        }
    }
}

impl Link {
    /// The peer is asked from another cluster: for as long as it may answer by the marked reply, what it publishes is looked
    /// at more closely.
    pub(crate) fn note_asked(&self, reply: &[u8], marked: &[u8], now: Instant) {
        self.queue.lock().asked.get_or_insert_default().note(reply, marked, now);
        self.asked_until.fetch_max((now + RECENT).as_nanos(), Ordering::Release);
    }

    /// Whether the peer may still answer by a marked reply, or a request that is measured.
    #[inline]
    pub(crate) fn was_asked(&self, now: Instant) -> bool {
        let until = self.asked_until.load(Ordering::Acquire).max(self.handed_until.load(Ordering::Acquire));
        now.as_nanos() < until
    }
}

/// A message that came over a link and may be an answer on its way back.
#[derive(Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) link: &'a Arc<Link>,
    pub(crate) wants: &'a Wants,
    pub(crate) place: Place,
    pub(crate) message: &'a Message<'a>,
    pub(crate) source: Source<'a>,
    /// By what rights it was published.
    pub(crate) rights: Rights<'a>,
}

impl Engine {
    /// Takes the message if it is an answer that is on its way back to the cluster that asked.
    pub(crate) fn take_returned(&mut self, answer: &Answer<'_>) -> bool {
        let Answer { wants, place, message, .. } = *answer;
        let Some(mapped) = MappedReply::parse(message.subject) else { return false };
        // A mark behind a mark is nobody's: each hop would take one off, and none would know whose word it is.
        if MappedReply::parse(mapped.reply).is_some() {
            return true;
        }
        let links = self.hub.links.settings.load();
        let Some(gateways) = &links.gateways else { return false };
        match gateways.mapper.route(&mapped, place == Place::Gateway) {
            ReplyRoute::Drop => {}
            ReplyRoute::Here(reply) => self.bring_home(answer, reply),
            ReplyRoute::Server { hash, reply } => {
                let account = wants.state.settings().name.clone();
                match self.hub.links.route_to(hash, account.as_str()) {
                    None => self.bring_home(answer, reply),
                    Some(peer) => {
                        let plan = Plan::straight(&wants.state, peer, message.subject).into();
                        self.send_returned(answer, message.subject, &plan);
                    }
                }
            }
        }
        true
    }

    /// An answer has arrived where it was asked for. Where it goes the requester has said: it is no order.
    fn bring_home(&mut self, answer: &Answer<'_>, reply: &[u8]) {
        let Answer { link, wants, place, .. } = *answer;
        let whence = Whence { place, slot: link.slot, cluster: "", entered: Entered::Returned };
        let rights = self.own.rights();
        let plan =
            self.plans.get(wants.returned, &wants.state, whence, reply, |reply| crate::publish::judge(&rights, reply));
        if !is_order(plan.routed(reply)) && !answer.rights.withhold(plan.routed(reply)) {
            self.send_returned(answer, reply, &plan);
        }
    }

    fn send_returned(&mut self, answer: &Answer<'_>, subject: &[u8], plan: &std::rc::Rc<Plan>) {
        let Answer { link, message, source, rights, .. } = *answer;
        let account = &answer.wants.state;
        let (reply, shown) = match message.reply.and_then(split_shown) {
            None => (message.reply, None),
            Some((reply, shown)) => (Some(reply), Some(shown)),
        };
        let publish = Publish { subject, reply, header_len: message.header_len, body: message.body.clone() };
        let sending = Sending { link, account, no_echo: true, shown, arrived: None, publish: &publish, source, rights };
        if plan.is_special() || shown.is_some() {
            let settings = account.settings();
            self.send_far(&sending, plan, &Journey::of(Requester::Server(&settings.name)), None);
        } else {
            self.send(&sending, plan, &mut Nobody);
        }
    }

    /// The plan of an answer to another cluster, if this client was asked from there. What it may answer was judged by the
    /// reply that it saw.
    pub(crate) fn answer_abroad(
        &mut self,
        link: &Link,
        account: &Arc<AccountState>,
        subject: &[u8],
    ) -> Option<(Box<[u8]>, std::rc::Rc<Plan>)> {
        let marked = link.queue.lock().asked.as_ref()?.marked(subject, self.now)?;
        let rights = self.own.rights();
        let route = PlanRoute::inside(account, Entered::Marked);
        let whence = Whence { entered: Entered::Marked, ..Whence::HERE };
        let plan = self.plans.get(route, account, whence, &marked, |marked| crate::publish::judge(&rights, marked));
        Some((marked, plan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_client_answers_by_the_way_it_was_asked_and_only_for_a_while() {
        let mut asked = Asked::default();
        asked.note(b"inbox.1", b"_GR_.abcdef.ghijkl.inbox.1", at(0));
        assert_eq!(asked.marked(b"inbox.1", at(1999)).as_deref(), Some(b"_GR_.abcdef.ghijkl.inbox.1".as_slice()));
        assert_eq!(asked.marked(b"inbox.2", at(0)), None);
        assert_eq!(asked.marked(b"inbox.1", at(2000)), None);
    }

    #[test]
    fn who_is_asked_again_keeps_the_newer_way() {
        let mut asked = Asked::default();
        asked.note(b"inbox", b"_GR_.aaaaaa.ghijkl.inbox", at(0));
        asked.note(b"inbox", b"_GR_.bbbbbb.ghijkl.inbox", at(1500));
        asked.note(b"other", b"_GR_.bbbbbb.ghijkl.other", at(2500));
        assert_eq!(asked.marked(b"inbox", at(2500)).as_deref(), Some(b"_GR_.bbbbbb.ghijkl.inbox".as_slice()));
    }

    #[test]
    fn the_oldest_question_is_forgotten_first() {
        let mut asked = Asked::default();
        for number in 0..=ASKED_MAX {
            asked.note(number.to_string().as_bytes(), b"_GR_.aaaaaa.ghijkl.x", at(0));
        }
        assert_eq!(asked.marked.len(), ASKED_MAX);
        assert!(asked.marked(b"0", at(0)).is_none() && asked.marked(b"1", at(0)).is_some());
    }

    struct Nowhere;

    impl crate::Transport for Nowhere {
        fn write(&self, _: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
            Ok(0)
        }

        fn shut_down(&self) {}
    }

    fn link(id: u64) -> Arc<Link> {
        let parts = crate::link::LinkParts {
            key: crate::ConnectionKey { worker: 0, place: 0, id },
            kind: crate::LinkKind::Client,
            carrier: crate::Carrier::Stream,
            address: ([127, 0, 0, 1], 1).into(),
            transport: Box::new(Nowhere),
            limits: crate::QueueLimits::new(1 << 20, false),
            now: at(0),
        };
        Link::new(parts, Arc::new([]), Arc::default())
    }

    #[test]
    fn who_is_asked_from_abroad_is_looked_at_for_two_seconds_and_nobody_else_is() {
        let (asked, other) = (link(1), link(2));
        assert!(!asked.was_asked(at(0)));
        asked.note_asked(b"inbox", b"_GR_.abcdef.ghijkl.inbox", at(1000));
        assert!(asked.was_asked(at(2999)) && !other.was_asked(at(1000)));
        assert!(!asked.was_asked(at(3000)), "then publishing is as quick as before");
        asked.note_asked(b"inbox", b"_GR_.abcdef.ghijkl.inbox", at(4000));
        assert!(asked.was_asked(at(4000)));
    }

    #[test]
    fn a_filter_is_new_for_two_seconds() {
        let gateways = super::super::gateways::Gateways::default();
        let recent = Recent::new(gateways.clock.clone(), 7);
        let filter = Filter::parse(b"_INBOX.abc.*").unwrap();
        recent.note(&filter);
        assert!(!recent.has(b"_INBOX.abc.1"), "nobody asks while there are no gateways");
        gateways.switch_on();
        gateways.clock.tick(at(1000));
        recent.note(&filter);
        assert!(recent.has(b"_INBOX.abc.1") && !recent.has(b"_INBOX.xyz.1"));
        gateways.clock.tick(at(2999));
        assert!(recent.has(b"_INBOX.abc.1"));
        gateways.clock.tick(at(3000));
        assert!(!recent.has(b"_INBOX.abc.1"));
    }
}
