//! Connections, open and closed, as one kind of row that can be filtered and sorted.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::Arc;

use api::monitoring::options::ConnectionState;
use broker::{
    AccountState, Carrier, ClosedConnection, ConnectionFacts, ConnectionKey, KnownLink, Ledger, Link, LinkKind,
    Numbers, Registered,
};
use moment::Timestamp;

use super::Fault;

/// A connection at a moment.
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) kind: LinkKind,
    pub(super) carrier: Carrier,
    pub(super) address: SocketAddr,
    pub(super) start: Timestamp,
    pub(super) last_activity: Timestamp,
    pub(super) numbers: Numbers,
    pub(super) pending_bytes: usize,
    pub(super) stalls: u64,
    pub(super) account: Option<String>,
    pub(super) facts: Arc<ConnectionFacts>,
    stop: Timestamp,
    pub(super) end: End,
}

/// Whether a connection is over.
pub(super) enum End {
    /// It lives; this names it.
    Open(ConnectionKey),
    /// It is over; the last lines about it.
    Closed(Arc<ClosedConnection>),
}

impl Row {
    pub(super) fn open(registered: &Registered, ledger: &Ledger) -> Self {
        let Registered { link, account, facts, .. } = registered;
        Self::living(link, account.as_ref(), facts, ledger)
    }

    /// A leaf connection.
    pub(super) fn leaf(known: &KnownLink, ledger: &Ledger) -> Self {
        Self::living(&known.link, known.account.as_ref(), &known.facts, ledger)
    }

    fn living(link: &Link, account: Option<&Arc<AccountState>>, facts: &Arc<ConnectionFacts>, ledger: &Ledger) -> Self {
        let numbers = link.stats.numbers();
        Self {
            id: link.key.id,
            kind: link.kind,
            carrier: link.carrier,
            address: link.address,
            start: ledger.time_of(link.started),
            last_activity: ledger.time_of(numbers.last_activity.max(link.started)),
            numbers,
            pending_bytes: link.pending_bytes(),
            stalls: link.stalls(),
            account: account.map(|account| account.settings().name.to_string()),
            facts: facts.clone(),
            stop: Timestamp::EPOCH,
            end: End::Open(link.key),
        }
    }

    pub(super) fn closed(closed: &Arc<ClosedConnection>, ledger: &Ledger) -> Self {
        Self {
            id: closed.id,
            kind: closed.kind,
            carrier: closed.carrier,
            address: closed.address,
            start: ledger.time_of(closed.started),
            last_activity: ledger.time_of(closed.numbers.last_activity),
            numbers: closed.numbers,
            pending_bytes: closed.pending_bytes,
            stalls: closed.stalls,
            account: closed.account.as_ref().map(ToString::to_string),
            facts: closed.facts.clone(),
            stop: ledger.time_of(closed.stopped),
            end: End::Closed(closed.clone()),
        }
    }

    /// When it ended.
    pub(super) fn stop(&self) -> Timestamp {
        self.stop
    }

    fn reason(&self) -> &'static str {
        match &self.end {
            End::Open(_) => "",
            End::Closed(closed) => closed.reason.as_str(),
        }
    }
}

/// The order of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    Id,
    Subscriptions,
    Pending,
    MessagesTo,
    MessagesFrom,
    BytesTo,
    BytesFrom,
    LastActivity,
    Idle,
    Uptime,
    Stop,
    Reason,
    RoundTrip,
}

impl Sort {
    pub(super) fn parse(text: &str, state: ConnectionState) -> Result<Self, Fault> {
        let sort = match text {
            "" | "cid" | "start" => Self::Id,
            "subs" => Self::Subscriptions,
            "pending" => Self::Pending,
            "msgs_to" => Self::MessagesTo,
            "msgs_from" => Self::MessagesFrom,
            "bytes_to" => Self::BytesTo,
            "bytes_from" => Self::BytesFrom,
            "last" => Self::LastActivity,
            "idle" => Self::Idle,
            "uptime" => Self::Uptime,
            "stop" => Self::Stop,
            "reason" => Self::Reason,
            "rtt" => Self::RoundTrip,
            other => return Err(Fault(format!("invalid sorting option: {other}"))),
        };
        match sort {
            Self::Stop | Self::Reason if state != ConnectionState::Closed => {
                Err(Fault(format!("sort by {text} only valid on closed connections")))
            }
            sort => Ok(sort),
        }
    }

    /// Sorts; equal rows stay in the order of their ids.
    pub(super) fn apply(self, rows: &mut [Row], now: Timestamp) {
        rows.sort_by_key(|row| row.id);
        match self {
            Self::Id => {}
            Self::Subscriptions => rows.sort_by_key(|row| Reverse(row.numbers.subscriptions)),
            Self::Pending => rows.sort_by_key(|row| Reverse(row.pending_bytes)),
            Self::MessagesTo => rows.sort_by_key(|row| Reverse(row.numbers.out_msgs)),
            Self::MessagesFrom => rows.sort_by_key(|row| Reverse(row.numbers.in_msgs)),
            Self::BytesTo => rows.sort_by_key(|row| Reverse(row.numbers.out_bytes)),
            Self::BytesFrom => rows.sort_by_key(|row| Reverse(row.numbers.in_bytes)),
            Self::LastActivity => rows.sort_by_key(|row| Reverse(row.last_activity)),
            Self::Idle => rows.sort_by_key(|row| row.last_activity),
            Self::Uptime => rows.sort_by_key(|row| match &row.end {
                End::Open(_) => now.since(row.start),
                End::Closed(_) => row.stop.since(row.start),
            }),
            Self::Stop => rows.sort_by_key(|row| Reverse(row.stop())),
            Self::Reason => rows.sort_by_key(Row::reason),
            Self::RoundTrip => rows.sort_by_key(|row| Reverse(row.numbers.rtt)),
        }
    }
}
