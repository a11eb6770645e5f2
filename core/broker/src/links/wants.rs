//! What the far end of a link wants of one account, and what it publishes there.

use std::rc::Rc;
use std::sync::Arc;

use auth::{Denial, LinkRights};
use hashbrown::HashMap;
use subject::{Filter, Queue, Subject};
use topology::split_shown;
use wire::client::Publish;
use wire::server::{Disinterest, Interest, Message, QueueInterest};

use crate::account_state::AccountState;
use crate::delivery::Nobody;
use crate::engine::Engine;
use crate::hub::Hub;
use crate::internal::Rights;
use crate::link::Link;
use crate::links::crossing::{Arrived, Whence};
use crate::links::early::Early;
use crate::links::heard_rights::FarPublisher;
use crate::links::remote::{RemotePeer, RemoteTarget};
use crate::plan::{Entered, Plan, Route as PlanRoute};
use crate::publish::{Sending, Source, asks_for_trace};
use crate::sharing::doors::Journey;
use crate::sharing::requester::Requester;
use crate::subscription::{Subscription, Target};

/// Filters of one account that one far end may want at once, where no limit of the account is lower.
pub(crate) const INTEREST_MAX: usize = 8 << 20;

/// The leaf cluster it is for, the filter and the queue group, as the far end named them.
pub(crate) type Key = (Option<Box<[u8]>>, Box<[u8]>, Option<Box<[u8]>>);

/// What the far end of a link has of one account.
pub(crate) struct Wants {
    pub(crate) state: Arc<AccountState>,
    /// Plans of what the far end publishes.
    pub(crate) plan: PlanRoute,
    /// The same for answers that come back to this cluster.
    pub(crate) returned: PlanRoute,
    interest: HashMap<Key, Arc<Subscription>>,
}

/// Why the far end does not get what it wants.
pub(crate) enum Unmet {
    /// It may not have it.
    Denied(Denial),
    /// It wants too much.
    TooMuch,
}

/// How a message came over a link.
#[derive(Clone, Copy)]
pub(crate) struct Incoming<'a> {
    pub(crate) whence: Whence<'a>,
    /// The leaf cluster in which it was published.
    pub(crate) origin: &'a [u8],
    /// Who asks, if it is a request into another account.
    pub(crate) requester: Requester<'a>,
    /// By what rights it was published.
    pub(crate) rights: Rights<'a>,
    /// What the far end calls itself.
    pub(crate) server: &'a str,
}

impl<'a> Incoming<'a> {
    /// From a server whose mappings have applied.
    pub(crate) fn from_server(
        place: topology::Peer,
        link: &Link,
        origin: &'a [u8],
        name: &'a account::AccountName,
        server: &'a str,
    ) -> Self {
        let whence = Whence { place, slot: link.slot, cluster: "", entered: Entered::Moved };
        Self { whence, origin, requester: Requester::Server(name), rights: Rights::Granted, server }
    }

    /// The same, by the rights of whoever published there, if they were told.
    pub(crate) fn by(self, publisher: Option<&'a FarPublisher>) -> Self {
        Self { rights: publisher.map_or(self.rights, FarPublisher::rights), ..self }
    }
}

impl Wants {
    pub(crate) fn new(state: Arc<AccountState>, hub: &Hub) -> Self {
        let next = || PlanRoute::of(&state, hub.next_route());
        Self { plan: next(), returned: next(), state, interest: HashMap::new() }
    }

    /// How many filters it wants.
    pub(crate) fn len(&self) -> usize {
        self.interest.len()
    }
}

/// What one link has of many accounts, by name.
#[derive(Default)]
pub(crate) struct WantsByAccount {
    known: HashMap<Box<[u8]>, Wants>,
    early: Early,
}

impl WantsByAccount {
    /// What the link has of this account; nothing if there is none of this name.
    pub(crate) fn of(&mut self, name: &[u8], hub: &Hub) -> Option<&mut Wants> {
        if !self.known.contains_key(name) {
            let state = hub.account_named(std::str::from_utf8(name).ok()?)?;
            self.known.insert(name.into(), Wants::new(state, hub));
        }
        self.known.get_mut(name)
    }

    /// What the link has of this account is nothing any more.
    pub(crate) fn forget(&mut self, name: &[u8]) -> Option<Wants> {
        self.early.take(name);
        self.known.remove(name)
    }

    /// Filters in all accounts.
    pub(crate) fn len(&self) -> usize {
        self.known.values().map(Wants::len).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Wants> {
        self.known.values()
    }

    /// Something is wanted in an account that is not here.
    pub(crate) fn want_early(&mut self, name: &[u8], origin: Option<&[u8]>, interest: &Interest<'_>) {
        let weight = interest.queue.map_or(1, |queue| queue.weight);
        self.early.want(name, key_of(origin, interest), weight);
    }

    /// It is not wanted any more.
    pub(crate) fn want_early_no_more(&mut self, name: &[u8], origin: Option<&[u8]>, gone: &Disinterest<'_>) {
        self.early.want_no_more(name, &key_of_gone(origin, gone));
    }
}

fn key_of(origin: Option<&[u8]>, interest: &Interest<'_>) -> Key {
    (origin.map(Into::into), interest.subject.into(), interest.queue.map(|queue| queue.name.into()))
}

fn key_of_gone(origin: Option<&[u8]>, gone: &Disinterest<'_>) -> Key {
    (origin.map(Into::into), gone.subject.into(), gone.queue.map(Into::into))
}

impl Engine {
    /// The far end wants something. `most` is how much it may want.
    pub(crate) fn link_wants(
        &mut self,
        wants: &mut Wants,
        (peer, rights): (&Arc<RemotePeer>, &Arc<LinkRights>),
        origin: Option<&[u8]>,
        interest: &Interest<'_>,
        most: usize,
    ) -> Result<(), Unmet> {
        let weight = interest.queue.map_or(1, |queue| queue.weight);
        let key = key_of(origin, interest);
        if let Some(known) = wants.interest.get(&key) {
            if interest.queue.is_some() {
                let Self { stages, .. } = self;
                wants.state.weigh(known, weight, &mut |link| stages.touch(link));
            }
            return Ok(());
        }
        if wants.interest.len() >= most {
            return Err(Unmet::TooMuch);
        }
        let Ok(filter) = Filter::parse(interest.subject) else { return Ok(()) };
        let Ok(queue) = interest.queue.map(|queue| Queue::parse(queue.name)).transpose() else { return Ok(()) };
        let grant = rights.give(filter, queue.as_ref()).map_err(Unmet::Denied)?;
        let origin = origin.and_then(|origin| std::str::from_utf8(origin).ok()).map(Into::into);
        let target = Target::Remote(RemoteTarget::new(peer.clone(), origin, weight));
        let subscription = self.enter(&wants.state, grant, target);
        wants.interest.insert(key, subscription);
        Ok(())
    }

    /// The far end wants it no more.
    pub(crate) fn link_wants_no_more(&mut self, wants: &mut Wants, origin: Option<&[u8]>, gone: &Disinterest<'_>) {
        if let Some(subscription) = wants.interest.remove(&key_of_gone(origin, gone)) {
            self.withdraw(&wants.state, &subscription);
        }
    }

    /// An account has come to life: what the far end wanted in it before is remembered now.
    pub(crate) fn link_wanted_early(
        &mut self,
        all: &mut WantsByAccount,
        far: (&Arc<RemotePeer>, &Arc<LinkRights>),
        name: &[u8],
    ) {
        let hub = self.hub.clone();
        for ((origin, subject, queue), weight) in all.early.take(name) {
            let queue = queue.as_deref().map(|name| QueueInterest { name, weight });
            let interest = Interest { subject: &subject, queue };
            if let Some(wants) = all.of(name, &hub) {
                // What may not cross is not taken, as if it had come now.
                let _ = self.link_wants(wants, far, origin.as_deref(), &interest, INTEREST_MAX);
            }
        }
    }

    /// The far end is gone, and with it what it wanted.
    pub(crate) fn link_wants_nothing(&mut self, wants: &Wants) {
        for subscription in wants.interest.values() {
            self.withdraw(&wants.state, subscription);
        }
    }

    /// One message of the far end.
    ///
    /// # Errors
    /// It may not be taken in.
    pub(crate) fn link_message(
        &mut self,
        link: &Arc<Link>,
        wants: &Wants,
        rights: &LinkRights,
        incoming: &Incoming<'_>,
        message: &Message<'_>,
        source: Source<'_>,
    ) -> Result<(), Denial> {
        let plan = self.plans.get(wants.plan, &wants.state, incoming.whence, message.subject, |subject| {
            // Bytes that are no subject reach nobody.
            Subject::parse(subject).map_or(Ok(None), |subject| rights.take(subject).map(Some))
        });
        let plan = match &plan.denial {
            Some(denial) => {
                self.by_far_reply_grant(link, wants, rights, incoming.whence, message.subject).ok_or_else(|| {
                    self.tell_denied(link, &wants.state, incoming, message, source, denial);
                    denial.clone()
                })?
            }
            None => plan,
        };
        let Message { subject, reply, header_len, .. } = *message;
        let (reply, shown) = match reply.and_then(split_shown) {
            None => (reply, None),
            // Whoever may not publish to a subject may not show one either.
            Some((reply, shown)) => (Some(reply), Some(shown).filter(|shown| may_show(rights, shown))),
        };
        let publish = Publish { subject, reply, header_len, body: message.body.clone() };
        let arrived = Arrived { place: incoming.whence.place, origin: incoming.origin, queues: message.queues };
        let sending = Sending {
            link,
            account: &wants.state,
            no_echo: true,
            shown,
            arrived: Some(&arrived),
            publish: &publish,
            source,
            rights: incoming.rights,
        };
        if header_len > 0 && asks_for_trace(&publish, source) {
            self.link_message_asking(&sending, &plan, incoming);
        } else if plan.is_special() || shown.is_some() {
            self.send_far(&sending, &plan, &Journey::of(incoming.requester), None);
        } else {
            self.send(&sending, &plan, &mut Nobody);
        }
        Ok(())
    }
}

impl Engine {
    /// A plan for a subject that the far end may publish to only because it was asked with it.
    #[cold]
    fn by_far_reply_grant(
        &mut self,
        link: &Link,
        wants: &Wants,
        rights: &LinkRights,
        whence: Whence<'_>,
        subject: &[u8],
    ) -> Option<Rc<Plan>> {
        let subject = Subject::parse(subject).ok()?;
        let mut queue = link.queue.lock();
        let granted = rights.take_with_grants(subject, queue.reply_grants.as_deref_mut()?, self.now).ok()?;
        drop(queue);
        Some(self.plans.once(&wants.state, whence, &granted.kept()))
    }
}

/// Whether receivers may see this subject in the place of the one by which a message came.
fn may_show(rights: &LinkRights, shown: &[u8]) -> bool {
    Subject::parse(shown).is_ok_and(|subject| rights.take(subject).is_ok())
}
