//! SUB and UNSUB.

use std::sync::Arc;

use auth::Denial;
use subject::{Filter, Queue};

use crate::connection::Active;
use crate::engine::Engine;
use crate::link::Link;
use crate::observer::Event;
use crate::subscription::{ClientTarget, Subscription, Target};

/// Why a SUB changes nothing. The connection stays.
enum NotSubscribed {
    /// The filter or the queue name is none.
    Invalid,
    /// The connection has as many subscriptions as it may.
    TooMany,
    /// The user may not.
    Denied(Denial),
}

impl Engine {
    /// Takes a SUB. A known id keeps its first subscription.
    pub(crate) fn subscribe(
        &mut self,
        link: &Arc<Link>,
        active: &mut Active,
        filter: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
    ) {
        match self.try_subscribe(active, filter, queue, sid) {
            Ok(()) => self.ok(link, active),
            Err(refused) => self.not_subscribed(link, active, sid, &refused),
        }
    }

    fn try_subscribe(
        &mut self,
        active: &mut Active,
        filter: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
    ) -> Result<(), NotSubscribed> {
        let settings = self.hub.settings();
        let filter = Filter::parse(filter).map_err(|_| NotSubscribed::Invalid)?;
        let queue = queue.map(Queue::parse).transpose().map_err(|_| NotSubscribed::Invalid)?;
        let tokens = filter.token_count();
        if let Some(most) = settings.max_subscription_tokens.filter(|most| tokens > *most) {
            return Err(NotSubscribed::Denied(Denial::too_many_tokens(&filter, queue.as_ref(), most)));
        }
        let grant = active.permissions.subscribe(filter, queue.as_ref()).map_err(NotSubscribed::Denied)?;
        if active.max_subscriptions.is_some_and(|most| active.subscriptions.len() >= most) {
            return Err(NotSubscribed::TooMany);
        }
        // The owner may not have heard yet that a subscription had its last message.
        if let Some(over) = active.subscriptions.get(sid).filter(|known| is_over(known)).cloned() {
            active.subscriptions.forget(&over);
        }
        if active.subscriptions.get(sid).is_none() {
            let target = Target::Client(ClientTarget::new(active.peer.clone(), sid));
            let subscription = self.enter(&active.account, grant, target);
            active.subscriptions.insert(subscription);
        }
        Ok(())
    }

    #[cold]
    fn not_subscribed(&mut self, link: &Arc<Link>, active: &Active, sid: &[u8], refused: &NotSubscribed) {
        let text = match refused {
            NotSubscribed::Invalid => "Invalid Subject".to_owned(),
            NotSubscribed::TooMany => "maximum subscriptions exceeded".to_owned(),
            NotSubscribed::Denied(denial) => {
                self.refusals += 1;
                let event = Event::Denied { denial, sid: Some(sid) };
                self.hub.observer.event(link, &active.label, &event);
                denial.wire_text()
            }
        };
        self.stages.line(link, &wire::encode::err(&text));
    }

    /// Takes an UNSUB: at once, or after so many messages in all.
    pub(crate) fn unsubscribe(&mut self, link: &Arc<Link>, active: &mut Active, sid: &[u8], max: Option<u64>) {
        if let Some(subscription) = active.subscriptions.get(sid).cloned() {
            self.end(active, &subscription, max.unwrap_or(0));
        }
        self.ok(link, active);
    }

    fn end(&mut self, active: &mut Active, subscription: &Arc<Subscription>, max: u64) {
        let Target::Client(client) = &subscription.target else { return };
        // Counts of this batch are still with the plans.
        self.plans.settle();
        if max == 0 || client.end_after(max) {
            self.log_end(client);
            active.subscriptions.forget(subscription);
            self.withdraw(&active.account, subscription);
        } else {
            self.hub.touch(&active.account, subscription);
        }
    }

    /// `+OK`, if it is wanted.
    pub(crate) fn ok(&mut self, link: &Arc<Link>, active: &Active) {
        if active.session.is_verbose() {
            self.stages.line(link, wire::encode::OK);
        }
    }
}

/// Whether a subscription has had all its messages.
fn is_over(subscription: &Subscription) -> bool {
    matches!(&subscription.target, Target::Client(client) if client.is_over())
}
