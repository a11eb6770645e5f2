//! One login on its way to a verdict.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::{Asked, CalloutQuestion, CalloutServer, Cost, Directory, Refusal, Verdict, Vouched};
use broker::{ConnectionKey, LoginJob, LoginOutcome};
use moment::Timestamp;

/// Accounts a single login may ask for: its own and, where a service places it elsewhere, that one; each may be forgotten
/// once meanwhile.
const ACCOUNTS_ASKED_MAX: usize = 4;

/// A login that is judged, perhaps in several turns.
pub(super) struct Login {
    pub(super) job: LoginJob,
    /// When it must be over.
    pub(super) until: Instant,
    accounts_asked: usize,
    /// What a service was asked, once it has answered.
    question: Option<CalloutQuestion>,
}

impl Login {
    pub(super) fn new(job: LoginJob, now: Instant) -> Self {
        let until = now + job.patience;
        Self { job, until, accounts_asked: 0, question: None }
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.job.attempt.address
    }

    pub(super) fn patience(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    /// Whether judging it computes a hash.
    pub(super) fn hashes(&self) -> bool {
        self.job.directory.cost(&self.job.attempt) == Cost::Hash
    }

    /// Waits half as long from now on: there is something else to fall back on, and it needs its time, too.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.until = now + self.patience(now) / 2;
    }

    /// The verdict as far as it can be had.
    pub(super) fn verdict(&mut self, server: Option<&CalloutServer>, now: Timestamp) -> Verdict {
        let verdict = match &self.question {
            None => auth::authenticate(&self.job.directory, &self.job.attempt, now),
            Some(_) => self.concluded(server, now),
        };
        match verdict {
            // A service has spoken for this user before.
            Verdict::AskCallout(question) if self.question.is_none() && self.job.vouched.is_some() => {
                self.question = Some(*question);
                self.concluded(server, now)
            }
            verdict => verdict,
        }
    }

    fn concluded(&self, server: Option<&CalloutServer>, now: Timestamp) -> Verdict {
        let LoginJob { directory, attempt, vouched, .. } = &self.job;
        match (&self.question, vouched, server) {
            (Some(question), Some(vouched), Some(server)) => question.admit(directory, attempt, vouched, server, now),
            _ => Verdict::Refuse(Refusal::NoCredentials),
        }
    }

    /// Whether it may ask for one more account.
    pub(super) fn may_ask(&mut self) -> bool {
        self.accounts_asked += 1;
        self.accounts_asked <= ACCOUNTS_ASKED_MAX
    }

    /// Goes on by another directory.
    pub(super) fn supplied(&mut self, directory: Arc<Directory>) {
        self.job.directory = directory;
    }

    /// A service has spoken, or has not in time.
    pub(super) fn heard(
        &mut self,
        asked: &Asked,
        server: Option<&CalloutServer>,
        answer: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let server = server.ok_or(Refusal::NoCredentials)?;
        self.recalled(Arc::new(asked.heard(server, answer, now)?), asked.question());
        Ok(())
    }

    /// What a service said, now or a moment ago.
    pub(super) fn recalled(&mut self, vouched: Arc<Vouched>, question: &CalloutQuestion) {
        self.job.vouched = Some(vouched);
        self.question = Some(question.clone());
    }

    /// What the worker is told.
    pub(super) fn outcome(self, verdict: Verdict) -> (ConnectionKey, LoginOutcome) {
        let LoginJob { key, attempt, vouched, directory, epoch, .. } = self.job;
        (key, LoginOutcome { attempt, verdict, vouched, directory, epoch })
    }
}
