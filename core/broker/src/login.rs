//! Logins that take too long for a worker.

use std::sync::Arc;

use auth::{Attempt, ConnectionKind, Credentials, Directory, Verdict};
use session::ConnectOptions;

use crate::link::Link;
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
    /// Takes a login in.
    ///
    /// # Errors
    /// The job itself, if too many wait already: the login is refused.
    #[expect(clippy::result_large_err, reason = "the job goes back to whoever brought it, to be refused")]
    fn submit(&self, job: LoginJob) -> Result<(), LoginJob>;
}

/// Everything a peer showed, as the room that judges it wants it.
pub(crate) fn attempt(link: &Link, nonce: Option<&str>, options: &ConnectOptions) -> Attempt {
    let text = |secret: &Option<secret::Secret<String>>| secret.as_ref().map(|secret| secret.expose().clone());
    Attempt {
        kind: ConnectionKind::Standard,
        credentials: Credentials {
            user: options.user.clone(),
            password: options.pass.clone(),
            token: options.auth_token.clone(),
            nkey: options.nkey.clone(),
            jwt: options.jwt.clone(),
            signature: text(&options.sig),
            proxy_signature: text(&options.proxy_sig),
            names_account: options.account.is_some() || options.new_account,
        },
        nonce: nonce.map(|nonce| nonce.as_bytes().into()),
        address: Some(link.address.ip().to_canonical()),
        certificate: None,
    }
}
