//! Logins that take too long for a worker.

use std::sync::Arc;

use auth::{Attempt, Directory, Verdict};

use crate::mailbox::ConnectionKey;

/// A login to be judged elsewhere.
pub struct LoginJob {
    /// Whose login.
    pub key: ConnectionKey,
    /// What it is judged by.
    pub directory: Arc<Directory>,
    /// What the peer showed.
    pub attempt: Attempt,
}

/// The answer to a login.
pub struct LoginOutcome {
    /// What was shown, handed back.
    pub attempt: Attempt,
    /// The verdict.
    pub verdict: Verdict,
}

/// Threads that judge logins and post [`Note::Login`](crate::Note::Login).
pub trait LoginDesk: Send + Sync {
    /// Takes a login in. `false` if too many wait already: the login is refused.
    fn submit(&self, job: LoginJob) -> bool;
}
