//! From what happened to what is told: the JSON of each event, and where it is told.

use api::system::events::{self, CertificateInfo, ClientInfo, Count, Stamp};
use api::system::statsz::ServerStats;
use broker::{AccountState, Carrier, ClosedConnection, ConnectionFacts, Hub, Link, LinkKind};
use moment::Timestamp;
use monitor::Observatory;
use wire::CloseReason;

use super::identity::server_info;
use crate::system;

/// The account of whoever has not logged in.
pub(super) const GLOBAL: &str = "$G";

/// A peer whose issuers do not stand by it.
pub struct CertificateRefused {
    pub peer: CertificateInfo,
    pub why: Refused,
}

/// What was found.
pub enum Refused {
    /// The peer is not let in.
    Peer { kind: &'static str, reason: &'static str },
    /// This certificate of its chain is the reason.
    Link { link: CertificateInfo, reason: String },
}

impl CertificateRefused {
    /// Where it is told, behind the server's id.
    pub(super) fn subject(&self) -> &'static str {
        match self.why {
            Refused::Peer { .. } => "OCSP.PEER.CONN.REJECT",
            Refused::Link { .. } => "OCSP.PEER.LINK.INVALID",
        }
    }
}

/// Makes events.
pub(super) struct Press<'a> {
    pub(super) hub: &'a Hub,
    pub(super) observatory: &'a Observatory,
}

impl Press<'_> {
    fn stamped(&self, at: Timestamp, write: impl FnOnce(Stamp<'_>) -> Vec<u8>) -> Vec<u8> {
        let (id, timestamp, server) = (system::event_id(), at.to_string(), server_info(self.hub));
        write(Stamp { id: &id, timestamp: &timestamp, server: &server })
    }

    /// A client has logged in.
    pub(super) fn came(&self, link: &Link, facts: &ConnectionFacts, account: &str) -> Vec<u8> {
        let start = self.hub.ledger().time_of(link.started);
        let client = client((link.kind, link.carrier), (link.key.id, link.address, start), facts, account);
        self.stamped(system::wall(), |stamp| events::connect(stamp, &client))
    }

    /// A client is gone, or was not let in.
    pub(super) fn went(&self, closed: &ClosedConnection, account: &str) -> Vec<u8> {
        let ledger = self.hub.ledger();
        let stop = ledger.time_of(closed.stopped);
        let place = (closed.id, closed.address, ledger.time_of(closed.started));
        let client = client((closed.kind, closed.carrier), place, &closed.facts, account);
        let client = ClientInfo { rtt: closed.numbers.rtt, stop: Some(stop.to_string()), ..client };
        let sent = Count { msgs: closed.numbers.in_msgs, bytes: closed.numbers.in_bytes };
        let received = Count { msgs: closed.numbers.out_msgs, bytes: closed.numbers.out_bytes };
        let reason = closed.reason.as_str();
        self.stamped(stop, |stamp| events::disconnect(stamp, &client, sent, received, reason))
    }

    /// How many connections an account has.
    pub(super) fn connections(&self, account: &AccountState) -> Vec<u8> {
        let stat = self.observatory.account_stat(account);
        self.stamped(system::wall(), |stamp| events::account_connections(stamp, &stat))
    }

    /// A peer was refused, or a certificate of its chain found invalid.
    pub(super) fn certificate(&self, refused: &CertificateRefused) -> Vec<u8> {
        let CertificateRefused { peer, why } = refused;
        self.stamped(system::wall(), |stamp| match why {
            Refused::Peer { kind, reason } => events::ocsp_peer_reject(stamp, kind, peer, reason),
            Refused::Link { link, reason } => events::ocsp_peer_link_invalid(stamp, link, peer, reason),
        })
    }

    /// The configuration was read again.
    pub(super) fn reloaded(&self, changes: &[String], error: Option<&str>) -> Vec<u8> {
        self.stamped(system::wall(), |stamp| events::reloaded(stamp, changes, error))
    }

    /// The server's statistics.
    pub(super) fn statistics(&self) -> Vec<u8> {
        let server = server_info(self.hub);
        api::json::to_vec(&ServerStats { server: &server, statsz: self.observatory.statsz() })
    }

    /// A leaf node of the account has connected: servers of other clusters are to send by interest from now on.
    pub(super) fn leaf_connected(&self, account: &str) -> Vec<u8> {
        events::leaf_connected(&server_info(self.hub), account)
    }

    /// The server and nothing else.
    pub(super) fn server(&self) -> Vec<u8> {
        api::json::to_vec(&server_info(self.hub))
    }
}

fn client(
    (kind, carrier): (LinkKind, Carrier),
    (id, address, start): (u64, std::net::SocketAddr, Timestamp),
    facts: &ConnectionFacts,
    account: &str,
) -> ClientInfo {
    let claims = facts.claims.as_deref();
    let tag = claims.map(|claims| claims.account_name.clone()).filter(|name| !name.is_empty());
    ClientInfo {
        start: start.to_string(),
        host: address.ip().to_canonical().to_string(),
        id,
        acc: account.to_owned(),
        user: facts.user.clone(),
        name: facts.name.clone(),
        lang: facts.lang.clone(),
        ver: facts.version.clone(),
        issuer_key: claims.map(|claims| claims.issuer.to_string()).unwrap_or_default(),
        name_tag: tag.unwrap_or_else(|| account.to_owned()),
        tags: claims.map(|claims| claims.tags.clone()).unwrap_or_default(),
        kind: if kind == LinkKind::Leaf { "Leafnode" } else { "Client" },
        client_type: if kind == LinkKind::Leaf { "" } else { carrier.word() },
        ..ClientInfo::default()
    }
}

/// Whether a connection ended because of its login.
pub(super) fn is_refusal(reason: CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::AuthenticationFailure
            | CloseReason::CredentialsRevoked
            | CloseReason::ProxyNotTrusted
            | CloseReason::ProxyRequired
    )
}
