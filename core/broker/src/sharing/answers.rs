//! What an account has been asked from outside and not answered yet.
//!
//! A request that comes in by a service import gets a reply that only this account knows, `_R_.` with six characters of
//! the account and six of the request. Whoever answers there answers in the account of the requester. Who could guess
//! one could answer for another, so they are secret randomness.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use account::{ResponseType, ServiceImport};
use auth::Passage;
use hashbrown::HashMap;
use moment::Instant;
use parking_lot::Mutex;
use subject::{Filter, Subject};

use super::latency::Measured;
use super::latency_far::FarLatency;
use crate::account_state::AccountState;
use crate::chance::Secure;

/// Requests from outside that an account may have open. Further ones find nobody who answers.
pub(crate) const OPEN_REQUESTS_MAX: usize = 1 << 20;

/// What the replies begin with.
const PREFIX: &[u8] = b"_R_.";

/// Characters of the account, and of the request.
const NAME_BYTES: usize = 6;

/// `_R_.` and twice six characters with a dot, and what may stand behind.
const REPLY_BYTES: usize = PREFIX.len() + NAME_BYTES + 1 + NAME_BYTES + 16;

/// Names drawn for one request, should they all be taken.
const DRAWS_MAX: usize = 8;

/// A reply that leads back.
pub(crate) type Reply = Vec<u8>;

/// The part of a reply by which a request is found.
pub(crate) type Name = [u8; NAME_BYTES];

/// Secret random names, drawn from the system some at a time.
#[derive(Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
}

impl Names {
    /// A name nobody can guess.
    pub(crate) fn draw(&mut self, secure: &dyn Secure) -> Name {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        std::array::from_fn(|_| {
            loop {
                let Some(byte) = self.bytes.pop() else {
                    self.bytes.resize(512, 0);
                    secure.fill(&mut self.bytes);
                    continue;
                };
                // Of six bits the last two values are nobody's digit, so that all digits are as likely.
                if let Some(&digit) = DIGITS.get(usize::from(byte & 63)) {
                    return digit;
                }
            }
        })
    }
}

/// Where the answer to a request goes.
#[derive(Clone)]
pub(crate) struct Answer {
    /// The account of the requester.
    pub(crate) to: Arc<AccountState>,
    /// The right to answer there.
    pub(crate) right: Passage,
    /// The import by which it was asked.
    pub(crate) import: Arc<ServiceImport>,
    /// How long it takes is told.
    pub(crate) measured: Option<Arc<Measured>>,
    /// What the responder's server has measured, if it said so before the answer came.
    pub(crate) far: Option<Arc<FarLatency>>,
    /// When it was asked, or last answered.
    pub(crate) at: Instant,
    /// Reports of a trace come back, one of each server.
    pub(crate) reports: bool,
}

impl Answer {
    /// Whether one message is all there is.
    pub(crate) fn is_single(&self) -> bool {
        !self.reports && self.import.response() == ResponseType::Singleton
    }
}

/// The open requests of an account.
#[derive(Default)]
pub(crate) struct Answers {
    open: Mutex<HashMap<Name, Answer>>,
    /// How many, to be asked without the lock.
    count: AtomicUsize,
    account: std::sync::OnceLock<Name>,
}

impl Answers {
    /// What replies of this account look like; the first one who asks draws the name.
    pub(crate) fn filter(&self, draw: impl FnOnce() -> Name) -> Option<Filter> {
        let mut fresh = false;
        let name = self.account.get_or_init(|| {
            fresh = true;
            draw()
        });
        fresh.then(|| Filter::parse(&[PREFIX, name, b".>"].concat()).expect("six digits are a token"))
    }

    /// A request is open from now on: its name, and the reply that leads back, with this behind it. Nothing if too many
    /// are.
    pub(crate) fn open(&self, mut draw: impl FnMut() -> Name, behind: &[u8], answer: Answer) -> Option<(Name, Reply)> {
        let account = self.account.get().copied().unwrap_or([b'0'; NAME_BYTES]);
        let mut open = self.open.lock();
        if open.len() >= OPEN_REQUESTS_MAX {
            return None;
        }
        let name = (0..DRAWS_MAX).map(|_| draw()).find(|name| !open.contains_key(name))?;
        let mut reply = Vec::with_capacity(REPLY_BYTES);
        for piece in [PREFIX, &account, b".", &name, behind] {
            reply.extend_from_slice(piece);
        }
        open.insert(name, answer);
        self.count.store(open.len(), Ordering::Relaxed);
        Some((name, reply))
    }

    /// The request that is answered on this subject: its name, and where the answer goes. One that gets a single answer
    /// has it now; of several the first is measured.
    pub(crate) fn answered(&self, subject: &[u8], now: Instant) -> Option<(Name, Answer)> {
        let name = name_of(subject)?;
        let mut open = self.open.lock();
        let answer = open.get_mut(&name)?;
        if answer.is_single() {
            let answer = open.remove(&name)?;
            self.count.store(open.len(), Ordering::Relaxed);
            return Some((name, answer));
        }
        answer.at = now;
        let first = Answer { measured: answer.measured.take(), ..answer.clone() };
        Some((name, first))
    }

    /// The responder's server has measured an answer that has not come yet. Gives it back where nobody waits for it.
    pub(crate) fn note_far(&self, name: &Name, far: Arc<FarLatency>) -> Option<Arc<FarLatency>> {
        match self.open.lock().get_mut(name) {
            Some(answer) if answer.measured.is_some() => {
                answer.far = Some(far);
                None
            }
            _ => Some(far),
        }
    }

    /// The request is over.
    pub(crate) fn close(&self, name: &Name) -> Option<Answer> {
        let mut open = self.open.lock();
        let closed = open.remove(name);
        self.count.store(open.len(), Ordering::Relaxed);
        closed
    }

    fn is_open(&self, name: &Name) -> bool {
        self.open.lock().contains_key(name)
    }

    /// Requests that had no answer, or no further one, in their time.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<Answer> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let mut open = self.open.lock();
        let over = open.extract_if(|_, answer| now.since(answer.at) >= answer.import.threshold());
        let over = over.map(|(_, answer)| answer).collect();
        self.count.store(open.len(), Ordering::Relaxed);
        over
    }

    /// How many requests are open.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// A measured request whose requester may go away.
struct Wait {
    reply: Box<[u8]>,
    exporter: Weak<AccountState>,
    name: Name,
}

/// Measured requests of an account that others have not answered yet, so that it is noticed when nobody waits any more.
#[derive(Default)]
pub(crate) struct Waits {
    list: Mutex<Vec<Wait>>,
    count: AtomicUsize,
}

impl Waits {
    pub(crate) fn add(&self, reply: &[u8], exporter: &Arc<AccountState>, name: Name) {
        let mut list = self.list.lock();
        if list.len() < OPEN_REQUESTS_MAX {
            list.push(Wait { reply: reply.into(), exporter: Arc::downgrade(exporter), name });
        }
        self.count.store(list.len(), Ordering::Relaxed);
    }

    /// Requests that nobody waits for, now that this filter is gone. Their exporters forget them.
    pub(crate) fn lost(
        &self,
        filter: &Filter,
        still_waits: impl Fn(Subject<'_>) -> bool,
    ) -> Vec<(Arc<AccountState>, Answer)> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let is_lost = |wait: &mut Wait| {
            Subject::parse(&wait.reply).is_ok_and(|reply| filter.matches(reply) && !still_waits(reply))
        };
        let mut list = self.list.lock();
        let lost: Vec<_> = list.extract_if(.., is_lost).collect();
        self.count.store(list.len(), Ordering::Relaxed);
        drop(list);
        let closed = lost.into_iter().filter_map(|wait| {
            let exporter = wait.exporter.upgrade()?;
            let answer = exporter.answers.close(&wait.name)?;
            Some((exporter, answer))
        });
        closed.collect()
    }

    /// Forgets what has been answered or given up.
    pub(crate) fn prune(&self) {
        if self.count.load(Ordering::Relaxed) > 0 {
            let mut list = self.list.lock();
            let is_open =
                |wait: &Wait| wait.exporter.upgrade().is_some_and(|exporter| exporter.answers.is_open(&wait.name));
            list.retain(is_open);
            self.count.store(list.len(), Ordering::Relaxed);
        }
    }
}

/// The request's part of a reply. What may stand behind it is for other servers.
pub(crate) fn name_of(reply: &[u8]) -> Option<Name> {
    let rest = reply.strip_prefix(PREFIX)?.get(NAME_BYTES..)?.strip_prefix(b".")?;
    let (name, rest) = rest.split_at_checked(NAME_BYTES)?;
    if matches!(rest.first(), None | Some(b'.')) { name.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;

    impl Secure for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
        }
    }

    #[test]
    fn names_are_digits_and_letters_and_differ() {
        let mut names = Names::default();
        let drawn: Vec<_> = (0..200).map(|_| names.draw(&Counting)).collect();
        assert!(drawn.iter().flatten().all(u8::is_ascii_alphanumeric));
        assert_ne!(drawn.first(), drawn.get(1));
    }

    #[test]
    fn the_name_of_a_request_is_read_out_of_its_reply() {
        assert_eq!(name_of(b"_R_.abcdef.123456"), Some(*b"123456"));
        assert_eq!(name_of(b"_R_.abcdef.123456.server00.T"), Some(*b"123456"));
        for other in [b"_R_.abcdef.1234567".as_slice(), b"_R_.abcdef.12345", b"_R_.abcdef", b"_INBOX.abcdef.123456"] {
            assert_eq!(name_of(other), None);
        }
    }
}
