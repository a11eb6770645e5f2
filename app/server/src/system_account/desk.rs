//! The desk: where questions wait. Workers put them there and never wait themselves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use account::AccountId;
use api::system::body::BODY_BYTES_MAX;
use broker::{AccountState, Hub, InternalSubscriber, Link, Message, Sender};

use super::Service;
use super::encoding::Encoding;

/// A question, copied from where it was read.
pub(super) struct Question {
    pub(super) service: Service,
    /// Where it was asked, and is answered.
    pub(super) home: Arc<AccountState>,
    /// By whom: over which connection.
    pub(super) asker: Option<Arc<Link>>,
    pub(super) subject: String,
    pub(super) reply: Option<Vec<u8>>,
    pub(super) body: Vec<u8>,
    pub(super) encoding: Option<Encoding>,
}

/// What lies on a desk.
pub(super) enum Paper {
    /// A question.
    Question(Box<Question>),
    /// Nothing more comes.
    End,
}

/// A bounded queue of questions.
#[derive(Clone)]
pub(super) struct Desk {
    hub: Arc<Hub>,
    papers: SyncSender<Paper>,
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
    /// How many questions of each account wait, where that is bounded.
    shares: Option<Arc<Shares>>,
}

struct Shares {
    most: usize,
    taken: Mutex<HashMap<AccountId, usize>>,
}

impl Shares {
    fn take(&self, account: AccountId) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let share = taken.entry(account).or_default();
        let is_free = *share < self.most;
        *share += usize::from(is_free);
        is_free
    }

    fn give_back(&self, account: AccountId) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = taken.get_mut(&account) {
            *share -= 1;
            if *share == 0 {
                taken.remove(&account);
            }
        }
    }
}

impl Desk {
    /// A desk for so many questions, and for so many of one account.
    pub(super) fn new(hub: &Arc<Hub>, most: usize, most_of_one: Option<usize>) -> (Self, Receiver<Paper>) {
        let (papers, questions) = sync_channel(most);
        let shares = most_of_one.map(|most| Arc::new(Shares { most, taken: Mutex::default() }));
        (Self { hub: hub.clone(), papers, waiting: Arc::default(), lost: Arc::default(), shares }, questions)
    }

    fn put(&self, question: Question) {
        let account = question.home.id;
        if self.shares.as_ref().is_some_and(|shares| !shares.take(account)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        match self.papers.try_send(Paper::Question(Box::new(question))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.taken(account);
            }
        }
    }

    /// A question of this account waits no longer.
    pub(super) fn taken(&self, account: AccountId) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if let Some(shares) = &self.shares {
            shares.give_back(account);
        }
    }

    /// Questions that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Questions that found no room since this was asked last.
    pub(super) fn lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// Whoever works here ends after what lies here now.
    pub(super) fn close(&self) {
        // A clerk that is gone has ended already.
        let _ = self.papers.send(Paper::End);
    }
}

/// Where a worker hands a question in.
pub(super) struct Door {
    pub(super) service: Service,
    pub(super) desk: Desk,
}

impl InternalSubscriber for Door {
    fn is_listed(&self) -> bool {
        !matches!(self.service, Service::OwnRights)
    }

    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>) {
        if let Some(denial) = message.reply.and_then(|reply| sender.be_answered(reply).err()) {
            return sender.not_answered(&self.desk.hub, denial);
        }
        // One byte more than is read is enough to know that it is too long.
        let body = message.payload.get(..BODY_BYTES_MAX + 1).unwrap_or(message.payload);
        self.desk.put(Question {
            service: self.service,
            home: sender.account.clone(),
            asker: sender.link.cloned(),
            subject: String::from_utf8_lossy(message.subject).into_owned(),
            reply: message.reply.map(<[u8]>::to_vec),
            body: body.to_vec(),
            encoding: Encoding::wanted_by(message.headers),
        });
    }

    fn reads_counts(&self) -> bool {
        true
    }
}
