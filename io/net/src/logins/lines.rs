//! The lines in which jobs wait for a thread.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::securing::Shaking;
use broker::ConnectionKey;

use super::{LoginPoolLimits, login::Login};

/// Something that takes too long for a worker.
pub(super) enum Job {
    Login(Box<Login>),
    Handshake(ConnectionKey, IpAddr, Box<Shaking>),
}

impl Job {
    /// Whether it takes so long that a thread is kept free of its kind.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Self::Login(login) if login.hashes())
    }

    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Login(login) => login.address(),
            Self::Handshake(_, address, _) => Some(*address),
        }
    }
}

/// What waits: for a hash in one room, for everything else in another, so that a flood of passwords delays no handshake.
#[derive(Default)]
pub(super) struct Lines {
    quick: Turns,
    slow: Turns,
    /// Logins that waited for somebody's word and got it. They were counted when they began to wait.
    back: VecDeque<Box<Login>>,
}

/// One line per address; addresses take turns.
#[derive(Default)]
struct Turns {
    lines: HashMap<Option<IpAddr>, VecDeque<Job>>,
    turns: VecDeque<Option<IpAddr>>,
    count: usize,
}

impl Turns {
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

impl Lines {
    pub(super) fn enter(&mut self, job: Job, limits: &LoginPoolLimits) -> Result<(), Job> {
        let room = if job.is_slow() { &mut self.slow } else { &mut self.quick };
        room.enter(job, limits)
    }

    /// A login that had its turn before goes on.
    pub(super) fn come_back(&mut self, login: Box<Login>) {
        self.back.push_back(login);
    }

    /// Whose turn it is. Slow ones go first where they may: they have fewer threads to wait for.
    pub(super) fn next(&mut self, may_be_slow: bool) -> Option<Job> {
        if let Some(login) = self.back.pop_front() {
            return Some(Job::Login(login));
        }
        let slow = may_be_slow.then(|| self.slow.next()).flatten();
        slow.or_else(|| self.quick.next())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.slow.lines.is_empty() && self.quick.lines.is_empty() && self.back.is_empty()
    }
}
