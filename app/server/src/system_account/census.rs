//! How many listen to a subject, at this server and at the others.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use broker::{AccountState, Hub, InternalSubscriber, LinkKind, Message, OwnMessage, Sender, Subscription, Target};
use data_encoding::BASE64;
use serde_json::json;
use subject::{Filter, Subject};

/// Where servers ask each other.
pub(super) const QUESTION: &str = "$SYS.REQ.ACCOUNT.NSUBS";

/// How long other servers may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Counts that go on at once. Further questions are answered with what is known here.
const COUNTS_MAX: usize = 16;

/// Answers of one count that may wait.
const ANSWERS_MAX: usize = 64;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 32;

/// What is counted: who listens to a subject, or to part of a filter; of one queue group, if it is named.
pub(super) struct Wanted {
    filter: Filter,
    queue: Option<Vec<u8>>,
}

impl Wanted {
    /// Nothing, if the text is neither a subject nor a filter.
    pub(super) fn parse(subject: &str, queue: Option<&[u8]>) -> Option<Self> {
        let filter = Filter::parse(subject.as_bytes()).ok()?;
        Some(Self { filter, queue: queue.map(<[u8]>::to_vec) })
    }

    /// How many there are at this server: clients, and leaf nodes.
    pub(super) fn count(&self, account: &AccountState) -> u64 {
        let mut count = 0;
        account.graph.for_each(&mut |subscription| count += u64::from(self.takes(subscription)));
        count
    }

    fn takes(&self, subscription: &Subscription) -> bool {
        let grant = &subscription.grant;
        let is_in_group = self
            .queue
            .as_deref()
            .is_none_or(|queue| grant.queue.as_ref().is_some_and(|known| known.as_bytes() == queue));
        let is_counted = match &subscription.target {
            Target::Client(_) => true,
            Target::Remote(remote) => remote.peer.link.kind == LinkKind::Leaf,
            _ => false,
        };
        is_counted && is_in_group && self.is_met_by(&grant.filter)
    }

    /// Whoever listens to a subject has a filter that matches it; whoever listens to part of a filter has one that it covers.
    fn is_met_by(&self, filter: &Filter) -> bool {
        match Subject::parse(self.filter.as_bytes()) {
            Ok(subject) if subject.is_literal() => filter.matches(subject),
            _ => self.filter.covers(filter),
        }
    }
}

/// Asks other servers.
pub(super) struct Census {
    hub: Arc<Hub>,
    home: Arc<AccountState>,
    /// What the replies begin with.
    inbox: String,
    open: Mutex<HashMap<Vec<u8>, SyncSender<u64>>>,
}

impl Census {
    /// Listens for answers from now on.
    pub(super) fn open(hub: &Arc<Hub>, home: &Arc<AccountState>) -> Arc<Self> {
        let inbox = format!("$SYS._INBOX.{}.", hub.node_hash());
        let census = Arc::new(Self { hub: hub.clone(), home: home.clone(), inbox, open: Mutex::default() });
        let filter = Filter::parse(format!("{}*", census.inbox).as_bytes()).expect("a hash is a token");
        hub.listen(home, filter, None, census.clone());
        census
    }

    /// Answers with what is here and what other servers say; at once, if none has connections of the account.
    pub(super) fn count(self: &Arc<Self>, account: &Arc<AccountState>, wanted: &Wanted, reply: Answering) {
        let here = wanted.count(account);
        let expected = account.servers_elsewhere();
        match (expected > 0).then(|| self.ask(account, wanted)).flatten() {
            None => reply.answer(&self.hub, here),
            Some((name, answers)) => {
                let (census, asked) = (self.clone(), name.clone());
                let gather = move || {
                    let there = gathered(&answers, expected);
                    census.lock().remove(&asked);
                    reply.answer(&census.hub, here.saturating_add(there));
                };
                // Without a thread nobody is answered: the server is too busy.
                if thread::Builder::new().name("census".to_owned()).spawn(gather).is_err() {
                    self.lock().remove(&name);
                }
            }
        }
    }

    fn ask(&self, account: &AccountState, wanted: &Wanted) -> Option<(Vec<u8>, Receiver<u64>)> {
        let name = format!("{}{}", self.inbox, crate::system::event_id()).into_bytes();
        let (sender, answers) = sync_channel(ANSWERS_MAX);
        let mut open = self.lock();
        if open.len() >= COUNTS_MAX {
            return None;
        }
        open.insert(name.clone(), sender);
        drop(open);
        let mut body = json!({
            "acc": account.settings().name.as_str(),
            "subject": wanted.filter.to_string(),
        });
        if let Some(queue) = &wanted.queue {
            body["queue"] = BASE64.encode(queue).into();
        }
        let question = OwnMessage::new(self.home.clone(), QUESTION.to_owned(), body.to_string().into_bytes());
        self.hub.publish(vec![OwnMessage { reply: Some(name.clone()), ..question }]);
        Some((name, answers))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, SyncSender<u64>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sum of so many answers, or of those that come in time.
fn gathered(answers: &Receiver<u64>, expected: usize) -> u64 {
    let until = Instant::now() + PATIENCE;
    let next = || answers.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
    std::iter::from_fn(next).take(expected).fold(0, u64::saturating_add)
}

/// Who asked, and where the answer goes.
pub(super) struct Answering {
    pub(super) home: Arc<AccountState>,
    pub(super) reply: Vec<u8>,
}

impl Answering {
    fn answer(self, hub: &Hub, count: u64) {
        hub.publish(vec![OwnMessage::new(self.home, self.reply, count.to_string().into_bytes())]);
    }
}

impl InternalSubscriber for Census {
    fn is_listed(&self) -> bool {
        false
    }

    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>) {
        // Users of the system account may read this, but it is servers who say it.
        let is_server = sender.link.is_some_and(|link| matches!(link.kind, LinkKind::Route | LinkKind::Gateway));
        let Some(count) = message.payload.get(..ANSWER_BYTES_MAX.min(message.payload.len())) else { return };
        let count = std::str::from_utf8(count).ok().and_then(|text| text.trim().parse().ok());
        if let (true, Some(count)) = (is_server, count)
            && let Some(open) = self.lock().get(message.subject)
        {
            // More answers than are waited for are none.
            let _ = open.try_send(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_met(wanted: &str, filter: &str) -> bool {
        let filter = Filter::parse(filter.as_bytes()).unwrap();
        Wanted::parse(wanted, None).unwrap().is_met_by(&filter)
    }

    #[test]
    fn a_subject_is_met_by_what_matches_it_and_a_filter_by_what_it_covers() {
        assert!(is_met("a.b", "a.*") && is_met("a.b", "a.b") && !is_met("a.b", "a"));
        assert!(is_met("a.*", "a.b") && is_met("a.>", "a.*") && !is_met("a.*", "a.>") && !is_met("a.*", "b.c"));
        assert!(Wanted::parse("a..b", None).is_none());
    }

    #[test]
    fn answers_are_added_up_as_far_as_they_come() {
        let (sender, answers) = sync_channel(ANSWERS_MAX);
        (1..=3).for_each(|count| sender.try_send(count).unwrap());
        assert_eq!(gathered(&answers, 2), 3);
        drop(sender);
        assert_eq!(gathered(&answers, 2), 3, "who is gone answers nothing");
    }
}
