//! How long a service takes whose responder is a client of another server.
//!
//! The server of the requester sees when the answer comes in, but neither how far away the responder is nor how long it
//! took there. So the reply of a request that is measured ends in a tag, `.<hash of the server's name>.T`. The server of
//! the responder notes when a tagged request is handed over; when the answer comes by, it tells the other server what it
//! measured, in the system account on `$SYS.LATENCY.M2.<hash>`. The halves may arrive in either order. If the second does
//! not come, the first is told alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use moment::{Instant, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use subject::{Filter, MappedReply};
use topology::NodeHash;

use super::answers::{Answer, Name, OPEN_REQUESTS_MAX, name_of};
use super::latency::{self, Answered};
use super::requester::{Requester, Told};
use crate::account_state::AccountState;
use crate::connection::Active;
use crate::engine::Engine;
use crate::house::OwnMessage;
use crate::hub::Hub;
use crate::link::{Link, LinkKind};
use crate::publish::Sending;
use crate::subscription::ClientTarget;
use crate::trace::json::{field, key, text_field};

/// Where servers tell each other.
const SUBJECT: &str = "$SYS.LATENCY.M2.";

/// What the replies of exported services begin with, and how those end that are measured.
const REPLY: &[u8] = b"_R_.";
const TAG: &[u8] = b".T";

/// How long an answer that came waits for what its server has measured.
const FAR_PATIENCE: Duration = Duration::from_secs(2);

/// What the measured requests may take that one client is remembered to have been handed. The oldest goes first.
const HANDED_BYTES_MAX: usize = 1 << 20;

/// What such a request takes beside its reply, which is kept twice: its places in a table and in a queue that are half empty.
const HANDED_BYTES: usize = 192;

/// Whether the server of the requester wants to hear how long the answer to this reply took.
pub(crate) fn is_tagged(reply: &[u8]) -> bool {
    reply.starts_with(REPLY) && reply.ends_with(TAG)
}

/// What stands behind the replies of requests that this server measures.
pub(crate) fn tag(server_name: &str) -> Vec<u8> {
    [b".".as_slice(), NodeHash::of(server_name).as_bytes(), TAG].concat()
}

/// The hash of the server that measures a request with this reply.
fn server_of(reply: &[u8]) -> Option<&str> {
    let tagged = reply.strip_suffix(TAG).filter(|_| is_tagged(reply))?;
    let hash = tagged.rsplit(|&byte| byte == b'.').next()?;
    let is_hash = hash.len() == topology::NODE_HASH_LEN && hash.iter().all(u8::is_ascii_alphanumeric);
    std::str::from_utf8(hash).ok().filter(|_| is_hash)
}

/// What the server of a responder has measured.
pub(crate) struct FarLatency {
    /// Who answered, as JSON, and how far away from its server it is in nanoseconds.
    responder: Vec<u8>,
    rtt: u64,
    service: u64,
}

/// The same as another server tells it.
#[derive(Clone, Debug)]
pub struct FarReport<'a> {
    /// The account that exports the service.
    pub account: &'a str,
    /// The reply on which was answered.
    pub reply: &'a [u8],
    /// Who answered, as JSON.
    pub responder: Vec<u8>,
    /// How far away from its server it is.
    pub rtt: Duration,
    /// How long it took.
    pub service: Duration,
}

/// An answer that came from another server, before that has told what it measured.
pub(crate) struct Half {
    answer: Answer,
    /// When it came.
    at: Instant,
    /// Over which link, as JSON, and how far away that is.
    responder: Vec<u8>,
    rtt: u64,
}

impl Half {
    /// Puts both halves together, or makes do with this one.
    fn tell(&self, hub: &Hub, exporter: &Arc<AccountState>, far: Option<&FarLatency>, wall: Timestamp) {
        let (Some(latency), Some(measured)) = (self.answer.import.latency(), &self.answer.measured) else { return };
        let took = nanos(self.at.since(measured.at));
        let (service, total) = (took.saturating_sub(self.rtt), took.saturating_add(measured.rtt));
        let answered = match far {
            None => Answered { responder: &self.responder, service, system: 0, total },
            Some(far) => Answered {
                responder: &far.responder,
                service: far.service,
                system: service.saturating_sub(far.service.saturating_add(far.rtt)),
                total,
            },
        };
        latency::tell_answer(hub, exporter, latency, measured, &answered, wall);
    }
}

/// Answers of an account's services that wait for their other half.
#[derive(Default)]
pub(crate) struct Halves {
    waiting: Mutex<Waiting>,
    /// How many, to be asked without the lock.
    count: AtomicUsize,
}

/// By the names of their requests.
pub(crate) type Waiting = HashMap<Name, Half>;

impl Halves {
    /// Nobody else takes halves in as long as this is held, so that none misses the other. Nothing where the answer is
    /// not measured.
    pub(crate) fn in_hand(&self, reply: &[u8]) -> Option<MutexGuard<'_, Waiting>> {
        is_tagged(reply).then(|| self.waiting.lock())
    }

    /// Those whose other half did not come in time.
    fn overdue(&self, now: Instant) -> Vec<Half> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let mut waiting = self.waiting.lock();
        let over = waiting.extract_if(|_, half| now.since(half.at) >= FAR_PATIENCE).map(|(_, half)| half).collect();
        self.count.store(waiting.len(), Ordering::Relaxed);
        over
    }
}

/// A measured request that a client was handed.
struct Request {
    account: Arc<AccountState>,
    at: Instant,
    until: Instant,
}

/// Measured requests of other servers that a client was handed, by their replies.
#[derive(Default)]
pub(crate) struct Handed {
    requests: HashMap<Box<[u8]>, Request>,
    order: VecDeque<(Box<[u8]>, Instant)>,
    bytes: usize,
}

impl Handed {
    fn note(&mut self, reply: &[u8], account: Arc<AccountState>, at: Instant, until: Instant) {
        self.bytes += bytes_of_handed(reply);
        self.requests.insert(reply.into(), Request { account, at, until });
        self.order.push_back((reply.into(), until));
        while self.bytes > HANDED_BYTES_MAX || self.order.front().is_some_and(|(_, until)| *until <= at) {
            let Some((reply, _)) = self.order.pop_front() else { break };
            self.bytes -= bytes_of_handed(&reply);
            self.requests.remove(&reply);
        }
    }

    fn take(&mut self, reply: &[u8], now: Instant) -> Option<Request> {
        let request = self.requests.remove(reply)?;
        if self.requests.is_empty() {
            self.order.clear();
            self.bytes = 0;
        }
        (now < request.until).then_some(request)
    }
}

const fn bytes_of_handed(reply: &[u8]) -> usize {
    2 * reply.len() + HANDED_BYTES
}

impl ClientTarget {
    /// The client is handed a request that another server measures.
    #[cold]
    pub(crate) fn hand_measured(&self, subject: &[u8], reply: &[u8], now: Instant) {
        let account = &self.peer.account;
        let Ok(filter) = Filter::parse(subject) else { return };
        let settings = account.settings();
        let Some(export) = settings.exports.service_of(&filter) else { return };
        let until = now + export.threshold;
        let link = &self.peer.link;
        link.queue.lock().handed.get_or_insert_default().note(reply, account.clone(), now, until);
        link.handed_until.fetch_max(until.as_nanos(), Ordering::Release);
    }
}

impl Link {
    /// The measured request that the peer answers by publishing here. Once it has answered them all, it is looked at no
    /// longer.
    fn answers_measured(&self, reply: &[u8], now: Instant) -> Option<Request> {
        let mut queue = self.queue.lock();
        let handed = queue.handed.as_deref_mut()?;
        let request = handed.take(reply, now);
        if handed.requests.is_empty() {
            self.handed_until.store(0, Ordering::Release);
        }
        request
    }
}

impl Engine {
    /// A client of this server publishes: if that answers a measured request, the other server hears how long it took.
    #[cold]
    pub(crate) fn tell_far_latency(&self, link: &Arc<Link>, active: &Active, reply: &[u8]) {
        let Some(server) = server_of(reply) else { return };
        let Some(request) = link.answers_measured(reply, self.now) else { return };
        let responder = Requester::Client(link, active);
        let took = nanos(self.now.since(request.at));
        let service = took.saturating_sub(responder.rtt());
        let mut out = b"{".to_vec();
        text_field(&mut out, "account", request.account.settings().name.as_str().as_bytes());
        text_field(&mut out, "req_id", reply);
        key(&mut out, "m2");
        out.push(b'{');
        for (name, nothing) in [("type", b"".as_slice()), ("id", b""), ("timestamp", b"0001-01-01T00:00:00Z")] {
            text_field(&mut out, name, nothing);
        }
        field(&mut out, "status", 200);
        key(&mut out, "responder");
        responder.write(&mut out, Told { all: true, ..Told::default() }, &self.hub);
        text_field(&mut out, "start", self.hub.ledger().time_of(request.at).to_string().as_bytes());
        field(&mut out, "service", service);
        field(&mut out, "system", 0);
        field(&mut out, "total", service.saturating_add(responder.rtt()));
        out.extend_from_slice(b"}}");
        let system = self.hub.account(self.hub.directory().accounts().system());
        self.hub.publish(vec![OwnMessage::new(system, format!("{SUBJECT}{server}"), out)]);
    }

    /// A measured answer is here. It is told how long it took, as soon as everything is known. `halves` are in hand since
    /// before the answer was taken.
    pub(crate) fn answer_measured(
        &self,
        sending: &Sending<'_>,
        requester: Requester<'_>,
        (name, answer): (Name, &Answer),
        halves: Option<MutexGuard<'_, Waiting>>,
    ) {
        if answer.measured.is_none() {
            return;
        }
        let is_far = matches!(sending.link.kind, LinkKind::Route | LinkKind::Gateway | LinkKind::Leaf);
        let told = Told { all: !matches!(requester, Requester::Server(_)), ..Told::default() };
        let mut responder = Vec::new();
        requester.write(&mut responder, told, &self.hub);
        let half = Half { answer: answer.clone(), at: self.now, responder, rtt: requester.rtt() };
        match (halves, &answer.far) {
            (Some(mut waiting), None) if is_far && waiting.len() < OPEN_REQUESTS_MAX => {
                waiting.insert(name, half);
                sending.account.halves.count.store(waiting.len(), Ordering::Relaxed);
            }
            (_, far) => half.tell(&self.hub, sending.account, far.as_deref().filter(|_| is_far), self.wall),
        }
    }

    /// Answers whose other half did not come are told alone.
    pub(crate) fn tell_halves(&self, exporter: &Arc<AccountState>) {
        for half in exporter.halves.overdue(self.now) {
            half.tell(&self.hub, exporter, None, self.wall);
        }
    }
}

impl Hub {
    /// Where other servers tell this one how long answers took.
    pub fn latency_subject(&self) -> String {
        format!("{SUBJECT}{}", self.node_hash())
    }

    /// The word by which other servers name this one in subjects.
    pub fn node_hash(&self) -> String {
        NodeHash::of(&self.settings().greeting.server_name).to_string()
    }

    /// Another server tells how long an answer took. What nobody waits for is forgotten.
    pub fn note_latency(&self, report: FarReport<'_>, wall: Timestamp) {
        let Some(exporter) = self.living_account(report.account) else { return };
        let reply = MappedReply::seen(report.reply).unwrap_or(report.reply);
        let (Some(name), Some(mut waiting)) = (name_of(reply), exporter.halves.in_hand(reply)) else { return };
        let FarReport { responder, rtt, service, .. } = report;
        let far = FarLatency { responder, rtt: nanos(rtt), service: nanos(service) };
        let Some(far) = exporter.answers.note_far(&name, Arc::new(far)) else { return };
        let half = waiting.remove(&name);
        exporter.halves.count.store(waiting.len(), Ordering::Relaxed);
        drop(waiting);
        if let Some(half) = half {
            half.tell(self, &exporter, Some(&far), wall);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use account::{Account, AccountName};

    use super::*;

    #[test]
    fn what_was_handed_is_remembered_within_a_bound_in_bytes() {
        let account = AccountState::new(Arc::new(Account::named(AccountName::parse("A").unwrap())), 1, Arc::default());
        let (at, mut handed) = (Instant::from_nanos(1), Handed::default());
        let until = at + Duration::from_secs(1);
        let reply = |number: u32| [[b'x'; 4000].as_slice(), &number.to_be_bytes()].concat();
        for number in 0..1000 {
            handed.note(&reply(number), account.clone(), at, until);
            assert!(handed.bytes <= HANDED_BYTES_MAX && handed.order.len() == handed.requests.len());
        }
        assert_eq!(handed.requests.len(), HANDED_BYTES_MAX / bytes_of_handed(&reply(0)));
        assert!(handed.take(&reply(0), at).is_none() && handed.take(&reply(999), at).is_some(), "the oldest goes");
        // What is over goes as well.
        handed.note(b"_R_.short", account, until, until + Duration::from_secs(1));
        assert_eq!((handed.requests.len(), handed.bytes), (1, bytes_of_handed(b"_R_.short")));
        assert!(handed.take(b"_R_.short", until).is_some());
        assert_eq!(handed.bytes, 0);
    }

    #[test]
    fn a_tag_names_the_server_that_measures() {
        let reply = [b"_R_.abcdef.123456".as_slice(), &tag("ONE")].concat();
        assert!(is_tagged(&reply));
        assert_eq!(server_of(&reply), Some(&*NodeHash::of("ONE").to_string()));
        assert_eq!(name_of(&reply), Some(*b"123456"), "the request is found by it");
        for other in [
            b"_R_.abcdef.123456".as_slice(),
            b"_INBOX.abcdefgh.T",
            b"_R_.abcdef.123456.short.T",
            b"_R_.abcdef.123456.********.T",
            b"_R_.abcdef.123456.>.T",
            b"_R_.T",
            b".T",
        ] {
            assert_eq!(server_of(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
