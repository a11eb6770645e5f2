//! What the broker tells the rest of the house about what happened: for the log, the audit, events and monitoring.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use auth::{Denial, Refusal};
use session::{ClientLabel, MemberLabel};

use crate::account_state::AccountState;
use crate::ledger::{ClosedConnection, ConnectionFacts};
use crate::link::Link;

/// What a connection is called in the log beside its address: client details and user, once they are known. Its text is what
/// stands behind the number of the connection.
#[derive(Clone, Default, Debug)]
pub struct ConnectionLabel {
    /// What the client says of itself.
    pub client: Option<Arc<ClientLabel>>,
    /// Who it is, and in which account.
    pub member: Option<Arc<MemberLabel>>,
}

impl fmt::Display for ConnectionLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        session::write_labels(f, self.client.as_deref(), self.member.as_deref())
    }
}

/// Something that happened. Borrowed; an observer copies what it keeps.
pub enum Event<'a> {
    /// A connection was accepted.
    Accepted,
    /// A link between servers is ready.
    LinkReady(&'a str),
    /// A login succeeded.
    Admitted {
        /// Who it is.
        facts: &'a Arc<ConnectionFacts>,
        /// Where it is.
        account: &'a Arc<AccountState>,
    },
    /// A login was refused. The peer only heard the standard text.
    LoginRefused(&'a Refusal),
    /// The certificate of a peer was not accepted: it never came to a login. The text says why.
    CertificateRefused(&'a str),
    /// A publish, a reply or a subscription was denied, or a subscription taken back when permissions changed.
    Denied {
        /// What was wanted, and the rule that decided.
        denial: &'a Denial,
        /// The subscription's id.
        sid: Option<&'a [u8]>,
    },
    /// The peer broke the protocol.
    ProtocolError(&'a str),
    /// The connection is over.
    Closed {
        /// The last lines about it.
        closed: &'a Arc<ClosedConnection>,
        /// The account it was in, if it had logged in.
        account: Option<&'a Arc<AccountState>>,
        /// What may wait at most.
        max_pending_bytes: usize,
        /// How long it may wait.
        write_deadline: Duration,
    },
    /// A protocol line came in (only while tracing).
    TraceIn(&'a str),
    /// A protocol line goes out (only while tracing).
    TraceOut(&'a str),
    /// Something ended within the server because of a line (only while tracing).
    TraceWithin(&'a str),
    /// Worth a line for whoever looks for trouble.
    Debug(&'a str),
    /// Works, and not as somebody might think.
    Warning(&'a str),
    /// Worth a line for everybody.
    Error(&'a str),
    /// A request that asked for a connection, and why it does not become one. Anybody can send any.
    UpgradeRefused(&'a str),
    /// There is no room for a client. Anybody can come.
    TurnedAway(&'a str),
}

/// Hears what happens. Called on workers: it must neither block nor take long.
pub trait Observer: Send + Sync {
    /// Takes an event of one connection.
    fn event(&self, link: &Arc<Link>, label: &ConnectionLabel, event: &Event<'_>);

    /// Whether protocol lines are wanted. Asked once per batch.
    fn traces(&self) -> bool {
        false
    }

    /// Whether those of the system account are wanted too.
    fn traces_system(&self) -> bool {
        false
    }
}

/// An observer for tests and for parts that nobody watches.
pub struct NobodyWatches;

impl Observer for NobodyWatches {
    fn event(&self, _: &Arc<Link>, _: &ConnectionLabel, _: &Event<'_>) {}
}
