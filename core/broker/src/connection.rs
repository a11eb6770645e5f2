//! A connection as the worker that reads it knows it.

use std::sync::Arc;

use auth::{Admission, Attempt, CertificateName, Permissions};
use moment::Instant;
use session::{ConnectOptions, Handshake, Session};
use wire::CloseReason;
use wire::client::Limits;

use crate::account_state::AccountState;
use crate::layer::Opener;
use crate::link::Link;
use crate::mailbox::ConnectionKey;
use crate::observer::ConnectionLabel;
use crate::plan::Route;
use crate::subscription::Peer;
use crate::subscriptions::Subscriptions;

/// What a step leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Go on.
    Continue,
    /// Close the connection.
    Close(CloseReason),
}

/// What came of a read.
pub enum ReadOutcome {
    /// Bytes were read and taken.
    Step {
        /// What they lead to.
        step: Step,
        /// The read filled its buffer, so there may be more.
        filled: bool,
    },
    /// There was nothing to read.
    Nothing,
    /// The far end has closed.
    End,
    /// The transport failed.
    Failed,
}

/// What has been counted since the last flush.
#[derive(Default)]
pub(crate) struct BatchCount {
    pub(crate) msgs: u64,
    pub(crate) bytes: u64,
}

/// A connection that is logged in.
pub(crate) struct Active {
    pub(crate) session: Session,
    pub(crate) account: Arc<AccountState>,
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) peer: Arc<Peer>,
    pub(crate) route: Route,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) batch: BatchCount,
    /// Something is on that most connections do not use: publishes take the careful way.
    pub(crate) extraordinary: bool,
    pub(crate) label: ConnectionLabel,
    pub(crate) admission: Admission,
    /// What was shown at login, to be judged again when the directory changes.
    pub(crate) attempt: Option<Attempt>,
    pub(crate) options: Box<ConnectOptions>,
    pub(crate) max_subscriptions: Option<usize>,
}

/// A login under way on another thread.
pub(crate) struct Judging {
    pub(crate) handshake: Handshake,
    pub(crate) options: Box<ConnectOptions>,
    /// The login was asked for with CONNECT, so verbose mode answers it.
    pub(crate) by_connect: bool,
}

/// Where a connection is in its life.
pub(crate) enum Phase {
    /// Nobody has introduced himself yet.
    Opening(Handshake),
    /// The login is being judged.
    Judging(Box<Judging>),
    /// Logged in. The flag says that a second CONNECT is being judged.
    Active(Box<Active>),
    /// Logged in, and a second CONNECT is being judged.
    Rejoining(Box<Active>, Box<ConnectOptions>),
    /// Over.
    Over,
}

/// Bytes read but not yet taken.
#[derive(Default)]
pub(crate) struct Carry {
    pub(crate) bytes: Vec<u8>,
    /// How many bytes the operation at the front needs in all, as far as that is known.
    pub(crate) need: usize,
}

/// A connection. Only the worker that reads it has it.
pub struct Connection {
    pub(crate) link: Arc<Link>,
    pub(crate) phase: Phase,
    pub(crate) carry: Carry,
    /// Still counted among the strangers of its address.
    pub(crate) is_stranger: bool,
    /// The reading half of a byte layer.
    pub(crate) opener: Option<Box<dyn Opener>>,
    /// Names in the certificate that the peer proved to own.
    pub(crate) certificate: Option<Vec<CertificateName>>,
    pub(crate) limits: Limits,
    pub(crate) nonce: Option<Box<str>>,
    pub(crate) client_label: String,
    /// The write deadline, while bytes wait.
    pub(crate) write_check: Option<Instant>,
}

impl Connection {
    /// Who it is.
    pub fn key(&self) -> ConnectionKey {
        self.link.key
    }

    /// Its way out.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Whether nothing is to be read now, because a login is being judged.
    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Judging(_) | Phase::Rejoining(..))
    }

    /// When to ask [`Worker::deadline`](crate::Worker::deadline).
    pub fn next_deadline(&self) -> Option<Instant> {
        let own = match &self.phase {
            Phase::Opening(handshake) => handshake.deadline(),
            Phase::Judging(judging) => judging.handshake.deadline(),
            Phase::Active(active) | Phase::Rejoining(active, _) => active.session.next_deadline(),
            Phase::Over => None,
        };
        [own, self.write_check].into_iter().flatten().min()
    }

    pub(crate) fn label(&self) -> ConnectionLabel {
        match &self.phase {
            Phase::Active(active) | Phase::Rejoining(active, _) => active.label.clone(),
            _ => ConnectionLabel { client: self.client_label.clone(), user: String::new() },
        }
    }
}
