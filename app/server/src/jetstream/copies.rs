//! What the system account is shown of calls: the request, with who asks, and the answer.
//!
//! At the reference calls are served in the system account, so whoever listens there hears them. Here they are served where they are made,
//! and clients of this server in the system account are shown copies: nothing is done twice. What a stored message says is not shown.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::calls::PREFIX;
use api::{Call, CallKind};
use broker::{AccountState, Hub, Message, OwnMessage, Sender};
use wire::headers::Headers;

use crate::system;

/// Requests whose answers are still to be shown, at most; of more the oldest is forgotten. Every message that streams deliver meanwhile is
/// compared with each of them.
const OPEN_MAX: usize = 256;

/// An answer is awaited so long, as at the reference.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);

/// In this header an import says who asks.
const WHO_ASKS: &str = "Nats-Request-Info";

/// Digits of a name in a reply: that of this server, or that of the request.
const NAME_DIGITS: u32 = 6;

/// Shows copies.
pub(super) struct Copies {
    hub: Arc<Hub>,
    /// `$JS.<domain>.API.`, if there is a domain.
    in_domain: Option<String>,
    /// The first half of all replies.
    name: String,
    open: Mutex<VecDeque<Open>>,
    /// How many are open, to be asked without the lock.
    count: AtomicUsize,
}

/// A request that was shown and is not answered yet.
struct Open {
    account: Box<str>,
    reply: Box<[u8]>,
    /// What its answer is shown under.
    shown: String,
    until: Instant,
}

impl Copies {
    pub(super) fn new(hub: &Arc<Hub>, domain: &str) -> Self {
        let in_domain = (!domain.is_empty()).then(|| format!("$JS.{domain}.API."));
        let (open, count) = (Mutex::default(), AtomicUsize::new(0));
        Self { hub: hub.clone(), in_domain, name: digits(system::random_u64()), open, count }
    }

    /// A request that is about to be served is shown. Its headers, with who asks: advisories repeat it, and only an import or the server
    /// may write it.
    pub(super) fn request<'h>(
        &self,
        account: &str,
        message: &Message<'h>,
        sender: &Sender<'_>,
        kept: &'h mut Vec<u8>,
    ) -> &'h [u8] {
        let Message { subject, headers, .. } = *message;
        let tail = self.tail(subject).filter(|tail| !is_of_messages(tail));
        let is_named = !sender.speaks_for_itself() && Headers::new(headers).get(WHO_ASKS).is_some();
        let headers = match tail {
            _ if is_named => headers,
            Some(_) => {
                *kept = self.hub.signed(headers, sender);
                kept
            }
            None if headers.is_empty() || !sender.speaks_for_itself() => headers,
            None => {
                wire::headers::remove(kept, headers, WHO_ASKS);
                kept
            }
        };
        if let Some(tail) = tail {
            self.show(account, format!("{PREFIX}{tail}"), message, headers);
        }
        headers
    }

    fn show(&self, account: &str, subject: String, message: &Message<'_>, headers: &[u8]) {
        let system = self.system();
        let shown = message.reply.map(|_| format!("_R_.{}.{}", self.name, digits(system::random_u64())));
        let is_seen = |subject: &str| self.hub.is_shown(&system, subject.as_bytes());
        if !is_seen(&subject) && !shown.as_deref().is_some_and(is_seen) {
            return;
        }
        if let (Some(reply), Some(shown)) = (message.reply, &shown)
            && is_answer_shown(&subject)
        {
            self.open(account, reply, shown);
        }
        let (reply, headers) = (shown.map(String::into_bytes), headers.to_vec());
        let copy = OwnMessage::new(system, subject, message.payload);
        self.hub.publish(vec![OwnMessage { reply, headers, is_copy: true, ..copy }]);
    }

    /// Something that the server says in an account: perhaps an answer that is to be shown.
    pub(super) fn answer(&self, account: &str, to: &[u8], headers: &[u8], payload: &[u8]) {
        if self.count.load(Ordering::Relaxed) > 0
            && let Some(shown) = self.take(account, to)
        {
            let copy = OwnMessage::new(self.system(), shown, payload);
            self.hub.publish(vec![OwnMessage { headers: headers.to_vec(), is_copy: true, ..copy }]);
        }
    }

    fn system(&self) -> Arc<AccountState> {
        self.hub.account(self.hub.directory().accounts().system())
    }

    /// What stands behind `$JS.API.` in the subject of a call, or behind the same with the domain.
    fn tail<'s>(&self, subject: &'s [u8]) -> Option<&'s str> {
        let subject = std::str::from_utf8(subject).ok()?;
        // Before the other: a domain may have the name `API`.
        let in_domain = self.in_domain.as_deref().and_then(|prefix| subject.strip_prefix(prefix));
        in_domain.or_else(|| subject.strip_prefix(PREFIX))
    }

    fn open(&self, account: &str, reply: &[u8], shown: &str) {
        let now = Instant::now();
        let mut open = self.all();
        open.retain(|open| open.until > now);
        if open.len() >= OPEN_MAX {
            open.pop_front();
        }
        let (account, until) = (account.into(), now + ANSWER_TIME_MAX);
        open.push_back(Open { account, reply: reply.into(), shown: shown.to_owned(), until });
        self.count.store(open.len(), Ordering::Relaxed);
    }

    fn take(&self, account: &str, to: &[u8]) -> Option<String> {
        let mut open = self.all();
        let at = open.iter().position(|open| *open.reply == *to && *open.account == *account)?;
        let taken = open.remove(at)?;
        self.count.store(open.len(), Ordering::Relaxed);
        Some(taken.shown)
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Open>> {
        // Each change is whole, so a panic elsewhere leaves nothing half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What messages are fetched by, or written to a bucket of another domain. Of these there are too many, and the reference does not serve
/// them in the system account either.
const OF_MESSAGES: [&str; 4] = ["CONSUMER.MSG.NEXT.", "DIRECT.GET.", "$KV.", "$OBJ."];

fn is_of_messages(tail: &str) -> bool {
    OF_MESSAGES.iter().any(|word| tail.starts_with(word))
}

/// Whether the answer to a call is shown. What nobody answers is not waited for, what a stored message says is its account's business, and a
/// consumer is not reset in the system account of the reference either.
fn is_answer_shown(subject: &str) -> bool {
    Call::parse(subject).is_some_and(|call| !matches!(call.row.kind, CallKind::MessageGet | CallKind::ConsumerReset))
}

/// Some letters and digits.
fn digits(random: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digit = |at: u32| char::from(DIGITS[(random / 62u64.pow(at) % 62) as usize]);
    (0..NAME_DIGITS).map(digit).collect()
}
