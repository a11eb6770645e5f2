//! Threads for what takes milliseconds: password hashes, signatures, TLS handshakes.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use auth::{Attempt, Directory, Refusal, Verdict};
use broker::{ConnectionKey, LoginDesk, LoginJob, LoginOutcome, Mailbox, Note};
use moment::Timestamp;
use nkeys::PublicKey;
use parking_lot::{Condvar, Mutex};
use tls::Handshake;

use crate::securing;
use crate::worker::DriverNote;

/// Accounts a single login may ask for. One is enough, unless the directory forgets it meanwhile.
const ACCOUNTS_ASKED_MAX: usize = 2;

/// Where accounts come from that the directory does not know yet.
pub trait AccountSource: Send + Sync {
    /// The same directory with this account in it. May take its time: a thread of the pool waits.
    ///
    /// # Errors
    /// Why there is no such account, or none that is trusted.
    fn supply(&self, directory: &Directory, account: &PublicKey, now: Timestamp) -> Result<Directory, Refusal>;
}

/// No accounts beside those of the directory: it comes from the configuration.
pub struct NoAccounts;

impl AccountSource for NoAccounts {
    fn supply(&self, _: &Directory, account: &PublicKey, _: Timestamp) -> Result<Directory, Refusal> {
        Err(Refusal::UnknownAccount(*account))
    }
}

/// The verdict about a login, with the accounts it needs.
fn verdict(source: &dyn AccountSource, mut directory: Arc<Directory>, attempt: &Attempt, now: Timestamp) -> Verdict {
    let mut verdict = auth::authenticate(&directory, attempt, now);
    for _ in 0..ACCOUNTS_ASKED_MAX {
        let Verdict::NeedAccount(account) = &verdict else { break };
        match source.supply(&directory, account, now) {
            Ok(wider) => directory = Arc::new(wider),
            Err(refusal) => return Verdict::Refuse(refusal),
        }
        verdict = auth::authenticate(&directory, attempt, now);
    }
    verdict
}

/// Something that takes too long for a worker.
enum Job {
    Login(Box<LoginJob>),
    Handshake(ConnectionKey, IpAddr, Box<Handshake>),
}

impl Job {
    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Login(job) => job.attempt.address,
            Self::Handshake(_, address, _) => Some(*address),
        }
    }
}

/// Bounds of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginPoolLimits {
    /// Threads.
    pub threads: usize,
    /// Logins that may wait.
    pub waiting_max: usize,
    /// Logins from one address that may wait, so that one host cannot keep others out.
    pub waiting_per_address_max: usize,
}

impl Default for LoginPoolLimits {
    fn default() -> Self {
        Self { threads: 2, waiting_max: 16_384, waiting_per_address_max: 4_096 }
    }
}

#[derive(Default)]
struct Waiting {
    /// One line per address; addresses take turns.
    lines: HashMap<Option<IpAddr>, VecDeque<Job>>,
    turns: VecDeque<Option<IpAddr>>,
    count: usize,
    stopping: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    more: Condvar,
    limits: LoginPoolLimits,
    mailboxes: Arc<[Mailbox]>,
    accounts: Arc<dyn AccountSource>,
}

/// Threads that judge logins and do the arithmetic of handshakes. Addresses take turns, so a flood from one does not
/// delay the others.
pub struct LoginPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl LoginPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        limits: LoginPoolLimits,
        mailboxes: Arc<[Mailbox]>,
        accounts: Arc<dyn AccountSource>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { waiting: Mutex::default(), more: Condvar::new(), limits, mailboxes, accounts });
        let mut threads = Vec::new();
        for number in 0..limits.threads.max(1) {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name(format!("login-{number}"));
            threads.push(thread.spawn(move || shared.work())?);
        }
        Ok(Self { shared, threads })
    }
}

impl Drop for LoginPool {
    fn drop(&mut self) {
        self.shared.waiting.lock().stopping = true;
        self.shared.more.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl LoginDesk for LoginPool {
    fn submit(&self, job: LoginJob) -> Result<(), LoginJob> {
        match self.enter(Job::Login(Box::new(job))) {
            Err(Job::Login(job)) => Err(*job),
            Ok(()) | Err(Job::Handshake(..)) => Ok(()),
        }
    }
}

impl LoginPool {
    fn enter(&self, job: Job) -> Result<(), Job> {
        let taken = self.shared.waiting.lock().enter(job, &self.shared.limits);
        if taken.is_ok() {
            self.shared.more.notify_one();
        }
        taken
    }

    /// Takes a handshake in; `false` if too many wait already.
    pub(crate) fn secure(&self, key: ConnectionKey, address: IpAddr, handshake: Box<Handshake>) -> bool {
        self.enter(Job::Handshake(key, address, handshake)).is_ok()
    }
}

impl Waiting {
    fn enter(&mut self, job: Job, limits: &LoginPoolLimits) -> Result<(), Job> {
        let address = job.address();
        let line = self.lines.entry(address).or_default();
        if self.count >= limits.waiting_max || line.len() >= limits.waiting_per_address_max {
            return Err(job);
        }
        if line.is_empty() {
            self.turns.push_back(address);
        }
        line.push_back(job);
        self.count += 1;
        Ok(())
    }

    fn next(&mut self) -> Option<Job> {
        let address = self.turns.pop_front()?;
        let line = self.lines.get_mut(&address)?;
        let job = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        self.count -= usize::from(job.is_some());
        job
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            let job = loop {
                if waiting.stopping {
                    return;
                }
                match waiting.next() {
                    Some(job) => break job,
                    None => self.more.wait(&mut waiting),
                }
            };
            drop(waiting);
            match job {
                Job::Login(job) => self.judge(*job),
                Job::Handshake(key, _, handshake) => {
                    // A panic in it ends that handshake, not the thread that all others wait for.
                    let secured = catch_unwind(AssertUnwindSafe(|| securing::step(handshake)));
                    let secured = secured.unwrap_or_else(|_| securing::broken());
                    self.post(key, Note::Driver(Box::new(DriverNote::Secured(key, secured))));
                }
            }
        }
    }

    fn judge(&self, job: LoginJob) {
        let LoginJob { key, directory, attempt } = job;
        let verdict = verdict(&*self.accounts, directory, &attempt, crate::workers::wall());
        self.post(key, Note::Login(key, Box::new(LoginOutcome { attempt, verdict })));
    }

    fn post(&self, key: ConnectionKey, note: Note) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(key.worker)) {
            mailbox.post(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auth::{Attempt, ConnectionKind, Directory, Settings};

    fn id_of(job: Job) -> u64 {
        match job {
            Job::Login(job) => job.key.id,
            Job::Handshake(key, ..) => key.id,
        }
    }

    fn job(id: u64, address: [u8; 4]) -> Job {
        let directory = Directory::build(&Settings::default(), &mut account::AccountIds::default()).unwrap();
        let attempt = Attempt { address: Some(address.into()), ..Attempt::silent(ConnectionKind::Standard) };
        let key = ConnectionKey { worker: 0, place: 0, id };
        Job::Login(Box::new(LoginJob { key, directory: Arc::new(directory), attempt }))
    }

    #[test]
    fn addresses_take_turns() {
        let mut waiting = Waiting::default();
        let limits = LoginPoolLimits::default();
        for (id, address) in [(1, [1, 1, 1, 1]), (2, [1, 1, 1, 1]), (3, [1, 1, 1, 1]), (4, [2, 2, 2, 2])] {
            assert!(waiting.enter(job(id, address), &limits).is_ok());
        }
        let order: Vec<_> = std::iter::from_fn(|| waiting.next()).map(id_of).collect();
        assert_eq!(order, [1, 4, 2, 3]);
        assert!(waiting.lines.is_empty(), "an address that has nothing waiting takes no memory");
    }

    #[test]
    fn one_address_cannot_fill_the_room() {
        let mut waiting = Waiting::default();
        let limits = LoginPoolLimits { threads: 1, waiting_max: 3, waiting_per_address_max: 2 };
        assert!(waiting.enter(job(1, [1, 1, 1, 1]), &limits).is_ok());
        assert!(waiting.enter(job(2, [1, 1, 1, 1]), &limits).is_ok());
        assert!(waiting.enter(job(3, [1, 1, 1, 1]), &limits).is_err());
        assert!(waiting.enter(job(4, [2, 2, 2, 2]), &limits).is_ok());
        assert!(waiting.enter(job(5, [3, 3, 3, 3]), &limits).is_err());
    }
}
