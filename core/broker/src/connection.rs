//! A connection as the worker that reads it knows it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use auth::{Admission, Attempt, CertificateName, ClientTls, Directory, Permissions, Vouched};
use moment::Instant;
use session::{ClientLabel, ConnectOptions, Handshake, Session};
use wire::CloseReason;
use wire::client::Limits;

use crate::account_state::AccountState;
use crate::layer::Opener;
use crate::link::Link;
use crate::links::ServerLink;
use crate::login::Presented;
use crate::mailbox::ConnectionKey;
use crate::meter::Meter;
use crate::observer::ConnectionLabel;
use crate::plan::Route;
use crate::squeeze::Squeeze;
use crate::subscription::Peer;
use crate::subscriptions::Subscriptions;
use crate::user_state::Seat;

/// What a step leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Go on.
    Continue,
    /// A TLS handshake begins, as its client.
    StartTls,
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
    /// What a service said about the user, to be judged again with it.
    pub(crate) vouched: Option<Arc<Vouched>>,
    /// What the login was judged by last; kept only where that spares proving it anew.
    pub(crate) judged_by: Option<Arc<Directory>>,
    pub(crate) options: Box<ConnectOptions>,
    pub(crate) max_subscriptions: Option<usize>,
    /// Its place among the connections of its user, if they share limits.
    pub(crate) seat: Option<Seat>,
    /// What limits how much it may publish, if anything does.
    pub(crate) meter: Option<Box<Meter>>,
}

impl Active {
    /// Adds up what was counted of messages since the last time.
    pub(crate) fn settle(&mut self, link: &Link) {
        let batch = std::mem::take(&mut self.batch);
        if batch.msgs > 0 {
            link.stats.in_msgs.fetch_add(batch.msgs, Ordering::Relaxed);
            link.stats.in_bytes.fetch_add(batch.bytes, Ordering::Relaxed);
        }
        link.stats.note(self);
    }
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
    /// The login was refused; the peer hears of it then. Until then nothing is read.
    Refused(Box<Judging>, Instant),
    /// Logged in. The flag says that a second CONNECT is being judged.
    Active(Box<Active>),
    /// Logged in, and a second CONNECT is being judged.
    Rejoining(Box<Active>, Box<ConnectOptions>),
    /// A link to another server, in whatever part of its life.
    Server(Box<ServerLink>),
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
    /// Counted among the clients.
    pub(crate) is_counted: bool,
    /// Still counted among the strangers of its address.
    pub(crate) is_stranger: bool,
    /// Bytes kept for it as a stranger.
    pub(crate) lent: usize,
    /// A header that tells its address is still to come.
    pub(crate) awaits_address: bool,
    /// The reading half of a byte layer.
    pub(crate) opener: Option<Box<dyn Opener>>,
    /// Names in the certificate that the peer proved to own.
    pub(crate) certificate: Option<Vec<CertificateName>>,
    /// What it showed before the protocol began.
    pub(crate) presented: Option<Box<Presented>>,
    /// What the byte layer agreed on with the peer.
    pub(crate) tls: Option<Box<ClientTls>>,
    /// The handshake of the byte layer came before the greeting.
    pub(crate) tls_first: bool,
    pub(crate) limits: Limits,
    pub(crate) nonce: Option<Box<str>>,
    pub(crate) client_label: Option<Arc<ClientLabel>>,
    /// Bytes are framed and perhaps compressed.
    pub(crate) squeeze: Option<Box<Squeeze>>,
    /// A layer has just been put up: what is left of the last read belongs to it.
    pub(crate) new_layer: bool,
    /// It has published its share: nothing is read or taken until then.
    pub(crate) held_until: Option<Instant>,
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

    /// Whether nothing is to be read now, because a login is being judged or a limit has been reached.
    pub fn is_waiting(&self) -> bool {
        match &self.phase {
            _ if self.held_until.is_some() => true,
            Phase::Judging(_) | Phase::Refused(..) | Phase::Rejoining(..) => true,
            Phase::Server(server) => server.is_waiting(),
            Phase::Opening(_) | Phase::Active(_) | Phase::Over => false,
        }
    }

    /// Whether a layer has more to open: the connection is read although nothing came.
    pub fn has_more(&self) -> bool {
        self.opener.as_ref().is_some_and(|opener| opener.has_more())
    }

    /// When to ask [`Worker::deadline`](crate::Worker::deadline).
    pub fn next_deadline(&self) -> Option<Instant> {
        let own = match &self.phase {
            Phase::Opening(handshake) => handshake.deadline(),
            Phase::Judging(judging) => judging.handshake.deadline(),
            Phase::Active(active) | Phase::Rejoining(active, _) => active.session.next_deadline(),
            Phase::Server(server) => server.next_deadline(),
            Phase::Refused(_, until) => Some(*until),
            Phase::Over => None,
        };
        [own, self.write_check, self.held_until].into_iter().flatten().min()
    }

    /// Whether a layer has just been put up; asked once.
    pub(crate) fn takes_layer(&mut self) -> bool {
        std::mem::take(&mut self.new_layer)
    }

    pub(crate) fn label(&self) -> ConnectionLabel {
        match &self.phase {
            Phase::Active(active) | Phase::Rejoining(active, _) => active.label.clone(),
            Phase::Server(server) => server.label().unwrap_or_default(),
            _ => ConnectionLabel { client: self.client_label.clone(), member: None },
        }
    }
}
