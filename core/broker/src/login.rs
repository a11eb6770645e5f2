//! Logins that take too long for a worker.

use std::sync::Arc;
use std::time::Duration;

use auth::{Attempt, ClientFacts, ClientTls, ConnectionKind, Credentials, Directory, Verdict, Vouched};
use secret::Secret;
use session::ConnectOptions;

use crate::link::{Carrier, Link, LinkKind};
use crate::mailbox::ConnectionKey;

/// A login to be judged elsewhere.
pub struct LoginJob {
    /// Whose login.
    pub key: ConnectionKey,
    /// What it is judged by.
    pub directory: Arc<Directory>,
    /// What the peer showed.
    pub attempt: Attempt,
    /// What a service that decides may want to know beside it.
    pub client: ClientFacts,
    /// What a service said about the user before, when its login is judged again.
    pub vouched: Option<Arc<Vouched>>,
    /// How long it may take.
    pub patience: Duration,
    /// How often the house had been reconfigured when it was asked.
    pub epoch: u64,
}

/// The answer to a login.
pub struct LoginOutcome {
    /// What was shown, handed back.
    pub attempt: Attempt,
    /// The verdict.
    pub verdict: Verdict,
    /// What a service said about the user, where one was asked.
    pub vouched: Option<Arc<Vouched>>,
    /// What it was judged by.
    pub directory: Arc<Directory>,
    /// That of the job. A login that was judged before a reload is judged again.
    pub epoch: u64,
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

/// Credentials that a peer showed before the protocol began, in cookies. What a login says itself counts more.
#[derive(Debug, Default)]
pub struct Presented {
    /// A user's claims.
    pub jwt: Option<Secret<String>>,
    /// A name.
    pub user: Option<Secret<String>>,
    /// A password.
    pub password: Option<Secret<String>>,
    /// A token.
    pub token: Option<Secret<String>>,
}

impl Presented {
    /// Fills in what a login leaves out.
    pub(crate) fn fill(&self, options: &mut ConnectOptions) {
        let fill = |empty: &mut Option<Secret<String>>, shown: &Option<Secret<String>>| {
            if empty.as_ref().is_none_or(|said| said.expose().is_empty()) {
                empty.clone_from(shown);
            }
        };
        fill(&mut options.jwt, &self.jwt);
        fill(&mut options.pass, &self.password);
        fill(&mut options.auth_token, &self.token);
        if options.user.as_ref().is_none_or(String::is_empty) {
            options.user = self.user.as_ref().map(|user| user.expose().clone());
        }
    }
}

/// Everything a peer showed, as the room that judges it wants it.
pub(crate) fn attempt(link: &Link, nonce: Option<&str>, options: &ConnectOptions) -> Attempt {
    let text = |secret: &Option<secret::Secret<String>>| secret.as_ref().map(|secret| secret.expose().clone());
    Attempt {
        kind: match link.carrier {
            Carrier::Stream => ConnectionKind::Standard,
            Carrier::WebSocket => ConnectionKind::WebSocket,
        },
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

/// How long a login may take where nobody has said it: as long as clients are usually given.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(2);

/// How long a login may be judged.
pub(crate) fn patience(timeout: Option<Duration>) -> Duration {
    timeout.unwrap_or(PATIENCE_DEFAULT)
}

/// What a service that decides about logins reads about a peer.
pub(crate) fn facts(link: &Link, tls: Option<&ClientTls>, options: &ConnectOptions) -> ClientFacts {
    ClientFacts {
        host: link.address.ip().to_canonical().to_string(),
        id: link.key.id,
        name: options.name.clone(),
        lang: options.lang.clone(),
        version: options.version.clone(),
        protocol: options.protocol,
        kind: if link.kind == LinkKind::Leaf { "Leafnode" } else { "Client" },
        connection_type: link.carrier.word(),
        mqtt_id: String::new(),
        tls: tls.cloned(),
    }
}
