//! The news: what happens to connections, and the server's statistics, told in the system account.
//!
//! Workers leave what happened in a bounded queue and go on; one thread tells it, where somebody listens. What finds no
//! room is counted and said in the log: news may be late or lost, a worker never waits.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use account::AccountId;
use broker::{AccountState, ClosedConnection, ConnectionFacts, Event, Hub, Link, LinkKind, OwnMessage};
use monitor::Observatory;

use super::elsewhere;
use super::events::{CertificateRefused, GLOBAL, Press, is_refusal};
use crate::log::Log;
use crate::queue::{Entrance, Exit, queue};

/// What happened and was not told yet, at most.
const HAPPENINGS_MAX: usize = 16 * 1024;

/// So much is told in one go.
const BATCH_MAX: usize = 1024;

/// After telling, so much time is left for more to happen: then a flood of logins wakes this thread two hundred times a
/// second and not once for each.
const PAUSE: Duration = Duration::from_millis(5);

/// The first statistics come after this, the next after twice of it, and so on.
const STATISTICS_FIRST: Duration = Duration::from_millis(250);

/// Statistics come at least this often.
const STATISTICS_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// Who asks for statistics by no reply gets them not more often than this.
const STATISTICS_PAUSE_MIN: Duration = Duration::from_secs(1);

/// How often the number of an account's connections is told though it did not change.
const CONNECTIONS_INTERVAL: Duration = Duration::from_secs(30);

/// Something that happened.
enum Happening {
    Came { link: Arc<Link>, facts: Arc<ConnectionFacts>, account: Arc<AccountState> },
    Went { closed: Arc<ClosedConnection>, account: Option<Arc<AccountState>> },
    Reloaded { changes: Vec<String>, error: Option<String> },
    CertificateRefused(Box<CertificateRefused>),
    StatisticsWanted,
    LameDuck,
    End,
}

/// Where happenings are left. Open before the hub is, because the hub's observer leaves them.
pub struct News {
    desk: NewsDesk,
    happenings: Exit<Happening>,
}

/// The end of the queue that workers have.
#[derive(Clone)]
pub struct NewsDesk {
    happenings: Entrance<Happening>,
    lost: Arc<AtomicU64>,
}

impl NewsDesk {
    fn leave(&self, happening: Happening) {
        if !self.happenings.leave(happening) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The issuers of a peer do not stand by it.
    pub fn certificate(&self, refused: CertificateRefused) {
        self.leave(Happening::CertificateRefused(Box::new(refused)));
    }

    /// Something happened to a connection. Called on workers.
    pub fn event(&self, link: &Arc<Link>, event: &Event<'_>) {
        if !matches!(link.kind, LinkKind::Client | LinkKind::Leaf) {
            return;
        }
        match event {
            Event::Admitted { facts, account } => {
                let (facts, account) = (Arc::clone(facts), Arc::clone(account));
                self.leave(Happening::Came { link: link.clone(), facts, account });
            }
            Event::Closed { closed, account, .. } => {
                self.leave(Happening::Went { closed: Arc::clone(closed), account: account.map(Arc::clone) });
            }
            _ => {}
        }
    }
}

impl News {
    /// A queue that nobody reads yet.
    pub fn new() -> Self {
        let (sender, happenings) = queue(HAPPENINGS_MAX);
        Self { desk: NewsDesk { happenings: sender, lost: Arc::default() }, happenings }
    }

    /// Where workers leave what happens.
    pub fn desk(&self) -> NewsDesk {
        self.desk.clone()
    }

    /// Tells, on a thread of its own.
    pub(super) fn open(
        self,
        hub: Arc<Hub>,
        observatory: Arc<Observatory>,
        home: Arc<AccountState>,
        log: Arc<Log>,
    ) -> io::Result<Newsroom> {
        let id = hub.settings().greeting.server_id.clone();
        let (desk, happenings) = (self.desk, self.happenings);
        let lost = desk.lost.clone();
        let now = Instant::now();
        let reporter = Reporter {
            hub: hub.clone(),
            observatory: observatory.clone(),
            home,
            id,
            interval: STATISTICS_FIRST,
            statistics_at: now + STATISTICS_FIRST,
            told_statistics: None,
            connections_at: now + CONNECTIONS_INTERVAL,
            asked: HashSet::new(),
            out: Vec::new(),
        };
        let run = move || reporter.run(&happenings, &lost, &log);
        let thread = std::thread::Builder::new().name("news".to_owned()).spawn(run)?;
        Ok(Newsroom { desk, hub, observatory, thread: Arc::new(Mutex::new(Some(thread))) })
    }
}

/// What others have to tell.
#[derive(Clone)]
pub struct Newsroom {
    desk: NewsDesk,
    hub: Arc<Hub>,
    observatory: Arc<Observatory>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Newsroom {
    /// The configuration was read again, or could not be.
    pub fn reloaded(&self, changes: Vec<String>, error: Option<String>) {
        self.desk.leave(Happening::Reloaded { changes, error });
    }

    /// The server takes nobody in any more.
    pub fn lame_duck(&self) {
        self.desk.leave(Happening::LameDuck);
    }

    /// Somebody wants the statistics where everybody gets them.
    pub(super) fn statistics_wanted(&self) {
        self.desk.leave(Happening::StatisticsWanted);
    }

    /// The number of an account's connections, as it is told.
    pub(super) fn connections_of(&self, account: &AccountState) -> Vec<u8> {
        Press { hub: &self.hub, observatory: &self.observatory }.connections(account)
    }

    /// Tells what happened so far, and last that the server ends.
    pub(super) fn close(&self) {
        self.desk.happenings.order(Happening::End);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// Tells.
struct Reporter {
    hub: Arc<Hub>,
    observatory: Arc<Observatory>,
    home: Arc<AccountState>,
    id: String,
    interval: Duration,
    statistics_at: Instant,
    told_statistics: Option<Instant>,
    connections_at: Instant,
    /// Accounts about which other servers have been asked.
    asked: HashSet<AccountId>,
    /// What is told next.
    out: Vec<OwnMessage>,
}

impl Reporter {
    fn run(mut self, happenings: &Exit<Happening>, lost: &AtomicU64, log: &Log) {
        let (mut is_over, mut has_told) = (false, false);
        while !is_over {
            if std::mem::take(&mut has_told) {
                std::thread::sleep(PAUSE);
            }
            let due = self.statistics_at.min(self.connections_at);
            let mut changed = HashMap::new();
            match happenings.take_within(due.saturating_duration_since(Instant::now())) {
                Ok(first) => {
                    has_told = true;
                    let more = happenings.waiting().take(BATCH_MAX);
                    // Everything that waits is told in one go, and the number of connections once.
                    for happening in std::iter::once(first).chain(more) {
                        is_over |= self.take(happening, &mut changed);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            changed.values().for_each(|account| self.tell_connections(account));
            self.on_time(Instant::now());
            if is_over {
                self.tell(format!("$SYS.SERVER.{}.SHUTDOWN", self.id), |press| press.server());
            }
            self.hub.publish(std::mem::take(&mut self.out));
            let lost = lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                log.warn(&format!("{lost} events were not told: too much happened at once"));
            }
        }
    }

    /// Takes one thing that happened. Whether it was the last.
    fn take(&mut self, happening: Happening, changed: &mut HashMap<AccountId, Arc<AccountState>>) -> bool {
        match happening {
            Happening::Came { link, facts, account } => {
                let name = account.settings().name.to_string();
                self.tell(format!("$SYS.ACCOUNT.{name}.CONNECT"), |press| press.came(&link, &facts, &name));
                if link.kind == LinkKind::Leaf && self.hub.link_settings().gateways.is_some() {
                    self.tell(format!("$SYS.ACCOUNT.{name}.LEAFNODE.CONNECT"), |press| press.leaf_connected(&name));
                }
                self.ask_others(&account, &name);
                changed.insert(account.id, account);
            }
            Happening::Went { closed, account } => {
                let name = account.as_ref().map_or(GLOBAL.to_owned(), |account| account.settings().name.to_string());
                if is_refusal(closed.reason) {
                    self.tell_refusal(&closed, &name, account.as_ref());
                }
                self.tell(format!("$SYS.ACCOUNT.{name}.DISCONNECT"), |press| press.went(&closed, &name));
                changed.extend(account.map(|account| (account.id, account)));
            }
            Happening::Reloaded { changes, error } => {
                let subject = format!("$SYS.SERVER.{}.RELOADED", self.id);
                self.tell(subject, |press| press.reloaded(&changes, error.as_deref()));
            }
            Happening::CertificateRefused(refused) => {
                let subject = format!("$SYS.SERVER.{}.{}", self.id, refused.subject());
                self.tell(subject, |press| press.certificate(&refused));
            }
            Happening::StatisticsWanted => self.tell_statistics(Instant::now()),
            Happening::LameDuck => self.tell(format!("$SYS.SERVER.{}.LAMEDUCK", self.id), |press| press.server()),
            Happening::End => return true,
        }
        false
    }

    /// A refused login is told in the system account, and in the account it was for.
    fn tell_refusal(&mut self, closed: &ClosedConnection, name: &str, account: Option<&Arc<AccountState>>) {
        self.tell(format!("$SYS.SERVER.{}.CLIENT.AUTH.ERR", self.id), |press| press.went(closed, name));
        let concerned = account.cloned().or_else(|| self.hub.account_named(GLOBAL));
        if let Some(account) = concerned {
            self.tell_in(&account, "$SYS.ACCOUNT.CLIENT.AUTH.ERR".to_owned(), |press| press.went(closed, name));
        }
    }

    /// How many connections an account has at other servers is asked when it has its first one here.
    fn ask_others(&mut self, account: &AccountState, name: &str) {
        if self.asked.insert(account.id) {
            let question = elsewhere::question(&self.hub, &self.home, name);
            if self.hub.is_wanted(&self.home, &question.to) {
                self.out.push(question);
            }
        }
    }

    fn tell_connections(&mut self, account: &AccountState) {
        let name = account.settings().name.to_string();
        if name == GLOBAL {
            return;
        }
        let subjects = [format!("$SYS.SERVER.ACCOUNT.{name}.CONNS"), format!("$SYS.ACCOUNT.{name}.SERVER.CONNS")];
        for subject in subjects {
            self.tell(subject, |press| press.connections(account));
        }
    }

    /// Whatever is due.
    fn on_time(&mut self, now: Instant) {
        if now >= self.statistics_at {
            self.tell_statistics(now);
            self.interval = (self.interval * 2).min(STATISTICS_INTERVAL_MAX);
            self.statistics_at = now + self.interval;
        }
        if now >= self.connections_at {
            self.connections_at = now + CONNECTIONS_INTERVAL;
            let accounts = self.hub.accounts();
            accounts.iter().for_each(|account| account.look_elsewhere());
            let inhabited = accounts.into_iter().filter(|account| account.connections() + account.leafs() > 0);
            inhabited.for_each(|account| self.tell_connections(&account));
        }
    }

    fn tell_statistics(&mut self, now: Instant) {
        let pause = STATISTICS_PAUSE_MIN.min(self.interval);
        if self.told_statistics.is_some_and(|told| now.duration_since(told) < pause) {
            return;
        }
        self.told_statistics = Some(now);
        self.tell(format!("$SYS.SERVER.{}.STATSZ", self.id), |press| press.statistics());
    }

    fn tell(&mut self, subject: String, write: impl FnOnce(&Press<'_>) -> Vec<u8>) {
        let home = self.home.clone();
        self.tell_in(&home, subject, write);
    }

    /// Writes what somebody wants to hear.
    fn tell_in(&mut self, account: &Arc<AccountState>, subject: String, write: impl FnOnce(&Press<'_>) -> Vec<u8>) {
        if self.hub.is_wanted(account, subject.as_bytes()) {
            let press = Press { hub: &self.hub, observatory: &self.observatory };
            self.out.push(OwnMessage::new(account.clone(), subject, write(&press)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_never_waits_and_what_found_no_room_is_counted() {
        let news = News::new();
        let desk = news.desk();
        (0..HAPPENINGS_MAX + 3).for_each(|_| desk.leave(Happening::StatisticsWanted));
        assert_eq!(desk.lost.load(Ordering::Relaxed), 3);
    }
}
