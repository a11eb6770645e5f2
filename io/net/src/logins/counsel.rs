//! Whom the pool asks about what the directory does not know.

use std::sync::Arc;
use std::time::Duration;

use auth::{Admission, Asked, Attempt, CalloutQuestion, CalloutServer, ClientFacts, Directory, Refusal, Vouched};
use moment::Timestamp;
use nkeys::PublicKey;

/// Names a login that waits. Nobody can guess one, so it may stand in a reply subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What came of asking for an account.
pub enum Sought {
    /// The directory with the account in it, or why there is none.
    Now(Result<Arc<Directory>, Refusal>),
    /// [`crate::LoginPool::supplied`] will tell.
    Later,
}

/// A question to a service, ready to go.
pub struct Question {
    /// For the answer.
    pub asked: Asked,
    /// Sends it. The answer goes to [`crate::LoginPool::answered`].
    pub send: Box<dyn FnOnce() + Send>,
}

/// Everything about a login that a service is told.
pub struct Inquiry<'a> {
    /// What is asked.
    pub question: &'a CalloutQuestion,
    /// What the peer showed.
    pub attempt: &'a Attempt,
    /// What is known of it beside that.
    pub client: &'a ClientFacts,
    /// By this the answer finds the login again.
    pub ticket: Ticket,
    /// How long the answer may take.
    pub patience: Duration,
    /// The time.
    pub now: Timestamp,
    /// How often the house had been reconfigured when the login came.
    pub epoch: u64,
}

/// Where accounts come from, and where services are asked. Called on a thread of the pool, which must not be kept: what
/// takes a while is answered later, and the login waits without a thread.
pub trait Counsel: Send + Sync {
    /// The directory with this account in it. Asked once for each login that needs it; whoever fetches sees to it that
    /// one fetch serves them all.
    fn account(&self, account: &PublicKey, now: Timestamp) -> Sought;

    /// Prepares a question to a service.
    ///
    /// # Errors
    /// Why it cannot be asked.
    fn callout(&self, inquiry: &Inquiry<'_>) -> Result<Question, Refusal>;

    /// What a service said to the same question a moment ago, where that is kept.
    fn recalled(&self, _inquiry: &Inquiry<'_>) -> Option<Arc<Vouched>> {
        None
    }

    /// A login is good: `then` lets it in, at once or when the account that came with it is ready.
    fn admitted(&self, _admission: &Admission, then: Box<dyn FnOnce() + Send>) {
        then();
    }

    /// A service has said this about an attempt.
    fn said(&self, _inquiry: &Inquiry<'_>, _vouched: &Arc<Vouched>) {}

    /// This server as services know it; `None` where no service can be asked.
    fn callout_server(&self) -> Option<Arc<CalloutServer>>;
}

/// No accounts beside those of the directory, and no services.
pub struct NoCounsel;

impl Counsel for NoCounsel {
    fn account(&self, account: &PublicKey, _: Timestamp) -> Sought {
        Sought::Now(Err(Refusal::UnknownAccount(*account)))
    }

    fn callout(&self, _: &Inquiry<'_>) -> Result<Question, Refusal> {
        Err(Refusal::NoCredentials)
    }

    fn callout_server(&self) -> Option<Arc<CalloutServer>> {
        None
    }
}
