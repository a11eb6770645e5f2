//! Threads for what takes milliseconds: password hashes, signatures, TLS handshakes.
//!
//! What takes longer than that (an account that has to be fetched, a service that decides) takes no thread: the login is
//! parked until the word comes or its time is over.

mod counsel;
mod lines;
mod login;
mod parked;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use auth::{CalloutQuestion, Directory, MAX_ANSWER_BYTES, Refusal, Verdict};
use broker::{ConnectionKey, LoginDesk, LoginJob, Mailbox, Note, Secure};
use nkeys::PublicKey;
use parking_lot::{Condvar, Mutex};

use crate::securing::{self, Shaking};
use crate::worker::DriverNote;
use crate::workers::wall;
pub use counsel::{Counsel, Inquiry, NoCounsel, Question, Sought, Ticket};
use lines::{Job, Lines};
use login::Login;
use parked::{Parked, Wanted};

/// Bounds of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginPoolLimits {
    /// Threads.
    pub threads: usize,
    /// Threads that may compute a hash at the same time. With fewer than all of them, somebody is always there for
    /// handshakes and signatures.
    pub hashing_max: usize,
    /// Logins that may wait for a thread.
    pub waiting_max: usize,
    /// Logins from one address that may wait for a thread, so that one host cannot keep others out.
    pub waiting_per_address_max: usize,
    /// Logins that may wait for an account or for a service's answer.
    pub parked_max: usize,
    /// The same from one address.
    pub parked_per_address_max: usize,
}

/// How far the threads stand back behind the workers: a handshake may wait a little, a message between clients that
/// are logged in may not. They still get a quarter of a core that is fought for.
const NICENESS: i32 = 5;

/// Threads that hash even on a small machine, and at most.
const HASHING_MIN: usize = 2;
const HASHING_MAX: usize = 16;

impl LoginPoolLimits {
    /// For a machine with so many cores: a flood of logins may use them all, and one more thread is kept free of hashes.
    pub fn for_cores(cores: usize) -> Self {
        let hashing_max = cores.clamp(HASHING_MIN, HASHING_MAX);
        Self { threads: hashing_max + 1, hashing_max, ..Self::default() }
    }
}

impl Default for LoginPoolLimits {
    fn default() -> Self {
        Self {
            threads: HASHING_MIN + 1,
            hashing_max: HASHING_MIN,
            waiting_max: 16_384,
            waiting_per_address_max: 4_096,
            parked_max: 16_384,
            parked_per_address_max: 4_096,
        }
    }
}

#[derive(Default)]
struct Room {
    lines: Lines,
    parked: Parked,
    /// What logins waited for, and has come. They were counted when they began to wait.
    words: VecDeque<Word>,
    /// Hashes that are being computed.
    hashing: usize,
    stopping: bool,
}

/// What a login waited for. `None`: it did not come in time.
struct Word {
    login: Box<Login>,
    wanted: Wanted,
    answer: Option<Vec<u8>>,
}

struct Shared {
    room: Mutex<Room>,
    more: Condvar,
    limits: LoginPoolLimits,
    mailboxes: Arc<[Mailbox]>,
    counsel: Arc<dyn Counsel>,
    secure: Arc<dyn Secure>,
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
        counsel: Arc<dyn Counsel>,
        secure: Arc<dyn Secure>,
    ) -> std::io::Result<Self> {
        let (room, more) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { room, more, limits, mailboxes, counsel, secure });
        let mut threads = Vec::new();
        for number in 0..limits.threads.max(1) {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name(format!("login-{number}"));
            let work = move || {
                // Where it is refused, logins are no worse off than everybody else.
                let _ = rustix::process::setpriority_process(None, NICENESS);
                shared.work();
            };
            threads.push(thread.spawn(work)?);
        }
        Ok(Self { shared, threads })
    }

    /// An account was fetched, or was not: logins that wait for it go on.
    pub fn supplied(&self, account: &PublicKey, supply: &Result<Arc<Directory>, Refusal>) {
        let mut room = self.shared.room.lock();
        let Room { parked, lines, .. } = &mut *room;
        for mut login in parked.of_account(account) {
            match supply {
                Ok(directory) => {
                    login.supplied(directory.clone());
                    lines.come_back(login);
                }
                Err(refusal) => self.shared.conclude(*login, Verdict::Refuse(refusal.clone())),
            }
        }
        drop(room);
        self.shared.more.notify_all();
    }

    /// A service has answered. An answer to nobody is passed over.
    pub fn answered(&self, ticket: Ticket, answer: &[u8]) {
        let mut room = self.shared.room.lock();
        if let Some((login, wanted)) = room.parked.unpark(ticket) {
            // One byte more than is looked at is enough to tell that it is too long.
            let answer = answer.iter().take(MAX_ANSWER_BYTES + 1).copied().collect();
            room.words.push_back(Word { login, wanted, answer: Some(answer) });
            drop(room);
            self.shared.more.notify_one();
        }
    }

    fn enter(&self, job: Job) -> Result<(), Job> {
        let taken = self.shared.room.lock().lines.enter(job, &self.shared.limits);
        if taken.is_ok() {
            self.shared.more.notify_one();
        }
        taken
    }

    /// Takes a handshake in; `false` if too many wait already.
    pub(crate) fn secure(&self, key: ConnectionKey, address: IpAddr, handshake: Box<Shaking>) -> bool {
        self.enter(Job::Handshake(key, address, handshake)).is_ok()
    }
}

impl Drop for LoginPool {
    fn drop(&mut self) {
        self.shared.room.lock().stopping = true;
        self.shared.more.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl LoginDesk for LoginPool {
    fn submit(&self, job: LoginJob) -> Result<(), LoginJob> {
        match self.enter(Job::Login(Box::new(Login::new(job, Instant::now())))) {
            Err(Job::Login(login)) => Err(login.job),
            Ok(()) | Err(Job::Handshake(..)) => Ok(()),
        }
    }
}

/// What a thread does next.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Task {
    Job(Job),
    /// A login that computes a hash.
    Hash(Job),
    Word(Word),
}

impl Shared {
    fn work(&self) {
        while let Some(task) = self.next() {
            match task {
                Task::Job(job) => self.job(job),
                Task::Hash(job) => {
                    self.job(job);
                    self.room.lock().hashing -= 1;
                    // Somebody may have found a hash and not been allowed to.
                    self.more.notify_one();
                }
                Task::Word(word) => drop(catch_unwind(AssertUnwindSafe(|| self.word(word)))),
            }
        }
    }

    fn job(&self, job: Job) {
        match job {
            // A panic in one login must not take the thread that all others wait for; that login ends by its time.
            Job::Login(login) => drop(catch_unwind(AssertUnwindSafe(|| self.judge(login)))),
            Job::Handshake(key, _, handshake) => {
                let secured = catch_unwind(AssertUnwindSafe(|| securing::step(handshake)));
                let secured = secured.unwrap_or_else(|_| securing::broken());
                post(&self.mailboxes, key, Note::Driver(Box::new(DriverNote::Secured(key, secured))));
            }
        }
    }

    /// Waits for something to do; `None` when the pool stops.
    fn next(&self) -> Option<Task> {
        let mut room = self.room.lock();
        loop {
            if room.stopping {
                return None;
            }
            if let Some((login, wanted)) = room.parked.overdue(Instant::now()) {
                return Some(Task::Word(Word { login, wanted, answer: None }));
            }
            if let Some(word) = room.words.pop_front() {
                return Some(Task::Word(word));
            }
            let may_hash = room.hashing < self.limits.hashing_max;
            match room.lines.next(may_hash) {
                Some(job) if job.is_slow() => {
                    room.hashing += 1;
                    return Some(Task::Hash(job));
                }
                Some(job) => return Some(Task::Job(job)),
                None => {}
            }
            match room.parked.next_end() {
                Some(end) => {
                    self.more.wait_until(&mut room, end);
                }
                None => self.more.wait(&mut room),
            }
        }
    }

    /// Goes on with a login as far as that is possible without waiting.
    fn judge(&self, mut login: Box<Login>) {
        let server = self.counsel.callout_server();
        loop {
            match login.verdict(server.as_deref(), wall()) {
                Verdict::NeedAccount(account) => match self.seek(login, &account) {
                    Some(supplied) => login = supplied,
                    None => return,
                },
                Verdict::AskCallout(question) => return self.ask(login, &question),
                verdict => return self.conclude(*login, verdict),
            }
        }
    }

    /// The login with the account it needs, if that is at hand.
    fn seek(&self, mut login: Box<Login>, account: &PublicKey) -> Option<Box<Login>> {
        if !login.may_ask() {
            self.conclude(*login, Verdict::Refuse(Refusal::UnknownAccount(*account)));
            return None;
        }
        // Parked before it is asked for: the answer may be faster than we are.
        let ticket = self.park(login, Wanted::Account(*account))?;
        let Sought::Now(supply) = self.counsel.account(account, wall()) else { return None };
        let (mut login, _) = self.room.lock().parked.unpark(ticket)?;
        match supply {
            Ok(directory) => {
                login.supplied(directory);
                Some(login)
            }
            Err(refusal) => {
                self.conclude(*login, Verdict::Refuse(refusal));
                None
            }
        }
    }

    /// Asks a service, and has the login wait for the answer.
    fn ask(&self, mut login: Box<Login>, question: &CalloutQuestion) {
        let ticket = self.ticket();
        if question.has_fallback() {
            login.hurry(Instant::now());
        }
        let inquiry = inquiry(&login, question, ticket);
        if let Some(vouched) = self.counsel.recalled(&inquiry) {
            login.recalled(vouched, question);
            return self.judge(login);
        }
        match self.counsel.callout(&inquiry) {
            Err(_) if question.has_fallback() => self.conclude(*login, question.unanswered()),
            Err(refusal) => self.conclude(*login, Verdict::Refuse(refusal)),
            Ok(Question { asked, send }) => {
                if self.park_as(ticket, login, Wanted::Answer(asked)) {
                    send();
                }
            }
        }
    }

    /// What a login waited for has come, or will not.
    fn word(&self, word: Word) {
        let Word { mut login, wanted, answer } = word;
        let server = self.counsel.callout_server();
        let heard = match wanted {
            Wanted::Account(account) => Err(Refusal::AccountLate(account)),
            Wanted::Answer(asked) if answer.is_none() => {
                return self.conclude(*login, asked.question().unanswered());
            }
            Wanted::Answer(asked) => {
                let heard = login.heard(&asked, server.as_deref(), answer.as_deref(), wall());
                if let (Ok(()), Some(vouched)) = (&heard, &login.job.vouched) {
                    self.counsel.said(&inquiry(&login, asked.question(), Ticket(0)), vouched);
                }
                heard
            }
        };
        match heard {
            Ok(()) => self.judge(login),
            Err(refusal) => self.conclude(*login, Verdict::Refuse(refusal)),
        }
    }

    fn ticket(&self) -> Ticket {
        let mut bytes = [0; 8];
        self.secure.fill(&mut bytes);
        Ticket(u64::from_le_bytes(bytes))
    }

    fn park(&self, login: Box<Login>, wanted: Wanted) -> Option<Ticket> {
        let ticket = self.ticket();
        self.park_as(ticket, login, wanted).then_some(ticket)
    }

    /// Has a login wait, or refuses it.
    fn park_as(&self, ticket: Ticket, login: Box<Login>, wanted: Wanted) -> bool {
        let parked = self.room.lock().parked.park(ticket, login, wanted, &self.limits);
        match parked {
            // A thread that waits may have to wake earlier now.
            Ok(()) => {
                self.more.notify_one();
                true
            }
            Err(login) => {
                self.conclude(*login, Verdict::Refuse(Refusal::TooManyLogins));
                false
            }
        }
    }

    fn conclude(&self, login: Login, verdict: Verdict) {
        let admission = if let Verdict::Admit(admission) = &verdict { Some(admission.clone()) } else { None };
        let (key, outcome) = login.outcome(verdict);
        let (mailboxes, note) = (self.mailboxes.clone(), Note::Login(key, Box::new(outcome)));
        let let_in = move || post(&mailboxes, key, note);
        match admission {
            Some(admission) => self.counsel.admitted(&admission, Box::new(let_in)),
            None => let_in(),
        }
    }
}

fn post(mailboxes: &[Mailbox], key: ConnectionKey, note: Note) {
    if let Some(mailbox) = mailboxes.get(usize::from(key.worker)) {
        mailbox.post(note);
    }
}

fn inquiry<'a>(login: &'a Login, question: &'a CalloutQuestion, ticket: Ticket) -> Inquiry<'a> {
    let (attempt, client, patience) = (&login.job.attempt, &login.job.client, login.patience(Instant::now()));
    Inquiry { question, attempt, client, ticket, patience, now: wall(), epoch: login.job.epoch }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auth::settings::AuthorizationSettings;
    use auth::{Attempt, ClientFacts, ConnectionKind, Settings};
    use std::time::Duration;

    fn login(id: u64, address: [u8; 4]) -> Box<Login> {
        let directory = Directory::build(&Settings::default(), &mut account::AccountIds::default()).unwrap();
        let attempt = Attempt { address: Some(address.into()), ..Attempt::silent(ConnectionKind::Standard) };
        let key = ConnectionKey { worker: 0, place: 0, id };
        let job = LoginJob {
            key,
            directory: Arc::new(directory),
            attempt,
            client: ClientFacts::default(),
            vouched: None,
            patience: Duration::from_secs(2),
            epoch: 0,
        };
        Box::new(Login::new(job, Instant::now()))
    }

    fn id_of(job: Job) -> u64 {
        match job {
            Job::Login(login) => login.job.key.id,
            Job::Handshake(key, ..) => key.id,
        }
    }

    fn account(byte: u8) -> PublicKey {
        let seed = nkeys::Secret::new([byte; 32]);
        nkeys::KeyPair::from_raw_seed(nkeys::Role::Account, seed).public()
    }

    #[test]
    fn addresses_take_turns() {
        let mut lines = Lines::default();
        let limits = LoginPoolLimits::default();
        for (id, address) in [(1, [1, 1, 1, 1]), (2, [1, 1, 1, 1]), (3, [1, 1, 1, 1]), (4, [2, 2, 2, 2])] {
            assert!(lines.enter(Job::Login(login(id, address)), &limits).is_ok());
        }
        let order: Vec<_> = std::iter::from_fn(|| lines.next(true)).map(id_of).collect();
        assert_eq!(order, [1, 4, 2, 3]);
        assert!(lines.is_empty(), "an address that has nothing waiting takes no memory");
    }

    /// A login that computes a hash.
    fn slow(id: u64, address: [u8; 4]) -> Box<Login> {
        let hash = "$2b$04$abcdefghijklmnopqrstuuH3ULDq0mFJPhyPOCwQDKRw3LmrEHDq6";
        let authorization = AuthorizationSettings { token: Some(hash.into()), ..AuthorizationSettings::default() };
        let settings = Settings { authorization, ..Settings::default() };
        let mut login = login(id, address);
        login.job.directory = Arc::new(Directory::build(&settings, &mut account::AccountIds::default()).unwrap());
        login.job.attempt.credentials.token = Some("shown".into());
        login
    }

    #[test]
    fn hashes_leave_a_thread_to_the_others() {
        let (mut lines, limits) = (Lines::default(), LoginPoolLimits::default());
        for login in [slow(1, [1, 1, 1, 1]), slow(2, [1, 1, 1, 1]), slow(3, [2, 2, 2, 2]), login(4, [1, 1, 1, 1])] {
            assert!(lines.enter(Job::Login(login), &limits).is_ok());
        }
        let mut next = |may_be_slow| lines.next(may_be_slow).map(id_of);
        assert_eq!(
            [next(true), next(false), next(false), next(true), next(true)],
            [1, 4, 0, 3, 2].map(|id| (id > 0).then_some(id))
        );
        assert!(limits.hashing_max < limits.threads);
        for cores in [1, 2, 4, 64] {
            let limits = LoginPoolLimits::for_cores(cores);
            assert_eq!(limits.hashing_max + 1, limits.threads, "{cores}");
        }
    }

    #[test]
    fn one_address_cannot_fill_the_room() {
        let mut lines = Lines::default();
        let limits = LoginPoolLimits { waiting_max: 3, waiting_per_address_max: 2, ..LoginPoolLimits::default() };
        assert!(lines.enter(Job::Login(login(1, [1, 1, 1, 1])), &limits).is_ok());
        assert!(lines.enter(Job::Login(login(2, [1, 1, 1, 1])), &limits).is_ok());
        assert!(lines.enter(Job::Login(login(3, [1, 1, 1, 1])), &limits).is_err());
        assert!(lines.enter(Job::Login(login(4, [2, 2, 2, 2])), &limits).is_ok());
        assert!(lines.enter(Job::Login(login(5, [3, 3, 3, 3])), &limits).is_err());
    }

    #[test]
    fn those_who_wait_for_a_word_have_a_bound_of_their_own() {
        let mut parked = Parked::default();
        let limits = LoginPoolLimits { parked_max: 3, parked_per_address_max: 2, ..LoginPoolLimits::default() };
        let mut park = |ticket, address| {
            let wanted = Wanted::Account(account(1));
            parked.park(Ticket(ticket), login(ticket, address), wanted, &limits).is_ok()
        };
        assert!(park(1, [1, 1, 1, 1]) && park(2, [1, 1, 1, 1]) && !park(3, [1, 1, 1, 1]));
        assert!(park(4, [2, 2, 2, 2]) && !park(5, [3, 3, 3, 3]));
        assert_eq!(parked.of_account(&account(1)).count(), 3);
        assert!(parked.of_account(&account(1)).next().is_none() && parked.is_empty());
    }

    #[test]
    fn a_word_finds_its_login_once_and_who_waits_too_long_is_found_by_time() {
        let mut parked = Parked::default();
        let limits = LoginPoolLimits::default();
        for ticket in [1, 2] {
            let wanted = Wanted::Account(account(2));
            assert!(parked.park(Ticket(ticket), login(ticket, [1, 1, 1, 1]), wanted, &limits).is_ok());
        }
        assert!(parked.unpark(Ticket(1)).is_some() && parked.unpark(Ticket(1)).is_none());
        assert!(parked.overdue(Instant::now()).is_none());
        let end = parked.next_end().unwrap();
        assert_eq!(parked.overdue(end).map(|(login, _)| login.job.key.id), Some(2));
        assert!(parked.next_end().is_none() && parked.is_empty());
    }
}
