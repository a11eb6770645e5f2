//! Waiting between handshake and login: what the issuers of a peer's certificate say.
//!
//! What is known already is asked for on the thread that did the handshake. Asking somebody over the network takes
//! threads of its own, so that a slow responder delays nobody but those whose certificates it issued.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use broker::{ConnectionKey, LinkKind, Mailbox, Note};
use parking_lot::{Condvar, Mutex};
use tls::Fault;
use tls::ocsp::PeerAsking;

use crate::securing::{Secured, SecuredParts};
use crate::worker::DriverNote;

/// Threads that ask.
const THREADS: usize = 4;

/// Peers that may wait for a thread. More are refused.
const WAITING_MAX: usize = 4096;

/// Knows, or finds out, whether the issuers of a certificate still stand by it.
pub trait PeerCheck: Send + Sync {
    /// The verdict, if it can be had without asking anybody.
    fn known(&self, asking: &PeerAsking, chain: &[Vec<u8>]) -> Option<Result<(), String>>;

    /// The peer with this chain is refused, on a link of this kind. `came` if it connected to us.
    fn refused(&self, kind: LinkKind, came: bool, chain: &[Vec<u8>]);

    /// The verdict, by asking those who are not known. May take its time.
    ///
    /// # Errors
    /// Why the peer is refused, for the log.
    fn ask(&self, asking: &PeerAsking, chain: &[Vec<u8>]) -> Result<(), String>;
}

/// What a peer has to pass after its handshake.
#[derive(Clone)]
pub(crate) struct Check {
    pub(crate) asking: Arc<PeerAsking>,
    pub(crate) by: Arc<dyn PeerCheck>,
    pub(crate) kind: LinkKind,
    /// The peer connected to us.
    pub(crate) came: bool,
}

impl Check {
    /// A handshake has succeeded: what comes next. `out` is what the handshake still has to send.
    pub(crate) fn judge(&self, parts: Box<SecuredParts>, out: Vec<u8>) -> Secured {
        match self.by.known(&self.asking, &parts.chain) {
            Some(verdict) => self.conclude(parts, verdict, out),
            None => Secured::Ask(parts, out),
        }
    }

    /// The peer is in order, or hears that it is not.
    fn conclude(&self, mut parts: Box<SecuredParts>, verdict: Result<(), String>, mut out: Vec<u8>) -> Secured {
        match verdict {
            Ok(()) => Secured::Done(parts, out),
            Err(why) => {
                self.by.refused(self.kind, self.came, &parts.chain);
                let fault = Fault::OcspInvalid(why);
                parts.sealer.0.fail(&fault, &mut out);
                Secured::Failed(fault, out)
            }
        }
    }
}

struct Question {
    key: ConnectionKey,
    parts: Box<SecuredParts>,
    check: Check,
}

#[derive(Default)]
struct Waiting {
    questions: VecDeque<Question>,
    stopping: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

/// The threads. They begin when there is the first question.
pub(crate) struct Asking {
    shared: Arc<Shared>,
    mailboxes: Arc<[Mailbox]>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Asking {
    pub(crate) fn new(mailboxes: Arc<[Mailbox]>) -> Self {
        Self { shared: Arc::default(), mailboxes, threads: Mutex::default() }
    }

    /// Takes a question in; `false` if too many wait already.
    pub(crate) fn ask(&self, key: ConnectionKey, parts: Box<SecuredParts>, check: Check) -> bool {
        let mut waiting = self.shared.waiting.lock();
        if waiting.questions.len() >= WAITING_MAX || !self.has_threads() {
            return false;
        }
        waiting.questions.push_back(Question { key, parts, check });
        drop(waiting);
        self.shared.more.notify_one();
        true
    }

    fn has_threads(&self) -> bool {
        let mut threads = self.threads.lock();
        while threads.len() < THREADS {
            let (shared, mailboxes) = (self.shared.clone(), self.mailboxes.clone());
            let name = format!("ocsp-{}", threads.len());
            match std::thread::Builder::new().name(name).spawn(move || work(&shared, &mailboxes)) {
                Ok(thread) => threads.push(thread),
                Err(_) => break,
            }
        }
        !threads.is_empty()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // Whoever waits for an answer from far away is not waited for: it ends by its own time.
        self.shared.waiting.lock().stopping = true;
        self.shared.more.notify_all();
    }
}

fn work(shared: &Shared, mailboxes: &[Mailbox]) {
    loop {
        let mut waiting = shared.waiting.lock();
        let question = loop {
            if waiting.stopping {
                return;
            }
            match waiting.questions.pop_front() {
                Some(question) => break question,
                None => shared.more.wait(&mut waiting),
            }
        };
        drop(waiting);
        let Question { key, parts, check } = question;
        let asked = catch_unwind(AssertUnwindSafe(|| check.by.ask(&check.asking, &parts.chain)));
        let verdict = asked.unwrap_or_else(|_| Err("the check broke off".to_owned()));
        if let Some(mailbox) = mailboxes.get(usize::from(key.worker)) {
            let secured = check.conclude(parts, verdict, Vec::new());
            mailbox.post(Note::Driver(Box::new(DriverNote::Secured(key, secured))));
        }
    }
}
