//! The handshake of a leaf connection, from both ends.

use std::time::Duration;

use wire::leaf::Op;

use crate::compression::{Compression, Levels};
use crate::connect::LeafConnect;
use crate::error::LinkError;
use crate::hop::LeafRole;
use crate::info::{Info, SubjectRules};
use crate::retry::{LEAF_LOOP_DELAY, LEAF_SAME_CLUSTER_DELAY, LEAF_VERSION_DELAY};

/// What this server is on its leaf connections.
#[derive(Clone, Debug)]
pub struct LeafRules {
    /// Its own INFO.
    pub info: Info,
    /// What it wants of compression.
    pub compression: Compression,
    /// Levels by round trip time.
    pub levels: Levels,
    /// Older leaf nodes are refused.
    pub min_version: Option<String>,
}

/// What a step wants done, in order.
#[derive(Clone, Debug)]
pub enum LeafEffect {
    /// Send INFO.
    SendInfo(Box<Info>),
    /// Begin TLS, then [`LeafHandshake::on_tls`].
    StartTls,
    /// From here on bytes are framed in both directions.
    Compress(Compression),
    /// Sign the nonce and send CONNECT; the sender fills in the credentials.
    SendConnect {
        /// The text to sign.
        nonce: String,
        /// Everything but the credentials.
        connect: Box<LeafConnect>,
    },
    /// Judge the login, reading nothing more meanwhile; then [`LeafHandshake::on_admitted`].
    Authenticate(Box<LeafConnect>),
    /// The connection carries messages: send the interest.
    Register(Box<LeafRegistration>),
    /// Say so, if there is something to say, and close.
    Close(LinkError),
}

/// A leaf connection that is ready.
#[derive(Clone, Debug)]
pub struct LeafRegistration {
    /// Which end this server is.
    pub role: LeafRole,
    /// The far end's name.
    pub server: String,
    /// Its version, where it came here and said so.
    pub version: String,
    /// Its cluster.
    pub cluster: String,
    /// Its JetStream domain.
    pub domain: String,
    /// The account over there.
    pub remote_account: String,
    /// Headers may be sent.
    pub headers: bool,
    /// Interest of other leaf nodes is not sent.
    pub isolated: bool,
    /// Subjects that may not be sent to it.
    pub deny_pub: Vec<String>,
    /// Its protocol level.
    pub protocol: i64,
    /// What was agreed.
    pub compression: Compression,
    /// What the hub lets its leaf node take in.
    pub import: Option<SubjectRules>,
    /// What the hub lets its leaf node send.
    pub export: Option<SubjectRules>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Solicitor: the first INFO.
    Info,
    /// Solicitor: TLS after the first INFO.
    Tls,
    /// Solicitor: the second INFO, framed.
    FramedInfo,
    /// Solicitor: the INFO that answers CONNECT.
    Answer,
    /// Acceptor: CONNECT, before it at most one INFO about compression.
    Connect {
        may_settle: bool,
    },
    Verdict,
    Over,
    Closed,
}

/// What a soliciting end brings with it.
#[derive(Clone, Debug)]
pub struct LeafRemote {
    /// Everything this end says of itself but the credentials.
    pub connect: LeafConnect,
    /// What it wants of compression on this remote.
    pub compression: Compression,
    /// Levels by round trip time.
    pub levels: Levels,
    /// TLS is configured for the remote.
    pub tls: bool,
    /// TLS stands already: it came first, or the bytes travel over WebSocket.
    pub tls_done: bool,
    /// Headers may be used here.
    pub headers: bool,
}

/// A leaf connection that is not registered yet. It has no way to say anything about subjects.
#[derive(Debug)]
pub struct LeafHandshake {
    remote: Option<Box<LeafRemote>>,
    /// The client id and the nonce that an accepting end has told. Both stay the same.
    told: (u64, String),
    /// The INFO that waits for TLS.
    held: Option<Box<Info>>,
    peer: Option<Box<LeafRegistration>>,
    wait: Wait,
    agreed: Option<Compression>,
}

impl LeafHandshake {
    /// This end made the connection.
    pub fn solicit(remote: LeafRemote) -> Self {
        let told = (0, String::new());
        Self { remote: Some(Box::new(remote)), told, held: None, peer: None, wait: Wait::Info, agreed: None }
    }

    /// Whether what the far end says of others may be believed. Said in the clear where TLS is to come, it may be anybody's
    /// word: whoever is on the way would lead us, with our login, to a server of his.
    pub fn may_name_others(&self, info: &Info) -> bool {
        let Some(remote) = &self.remote else { return false };
        let is_clear = matches!(self.wait, Wait::Info | Wait::Tls) && !remote.tls_done;
        !(is_clear && (remote.tls || info.tls_required))
    }

    /// The other end made the connection. `client_id` and `nonce` go into the INFO.
    pub fn accept(client_id: u64, nonce: String, rules: &LeafRules, out: &mut Vec<LeafEffect>) -> Self {
        let compression = rules.compression.as_str().map(str::to_owned);
        let told = (client_id, nonce.clone());
        let info = Info { client_id, nonce, compression, info_on_connect: true, ..rules.info.clone() };
        out.push(LeafEffect::SendInfo(Box::new(info)));
        let wait = Wait::Connect { may_settle: rules.compression.negotiates() };
        Self { remote: None, told, held: None, peer: None, wait, agreed: None }
    }

    /// Whether an operation may come now. An acceptor hears CONNECT first, or one INFO before it if compression is to
    /// be settled, and nothing else: neither interest nor errors nor pings.
    ///
    /// # Errors
    /// The reason to close.
    pub fn may_come(&self, op: &Op<'_>) -> Result<(), LinkError> {
        match (self.wait, op) {
            (Wait::Connect { .. }, Op::Connect(_)) => Ok(()),
            (Wait::Connect { may_settle: true }, Op::Info(_)) => Ok(()),
            (Wait::Connect { .. }, Op::Err(_)) => Err(LinkError::TurnedAway),
            (Wait::Connect { .. } | Wait::Verdict, _) => Err(LinkError::Violation),
            (Wait::Closed, _) => Err(LinkError::OutOfTurn),
            (_, Op::Info(_) | Op::Ping | Op::Pong | Op::Ok | Op::Err(_)) => Ok(()),
            // The hub may send its interest right behind its answer's login, before the answer itself.
            (Wait::Answer, Op::Subscribe(_) | Op::Unsubscribe(_)) => Ok(()),
            _ => Err(LinkError::OutOfTurn),
        }
    }

    /// INFO has come.
    pub fn on_info(&mut self, info: Info, rules: &LeafRules, rtt: Duration, out: &mut Vec<LeafEffect>) {
        let result = match (self.wait, self.remote.take()) {
            (Wait::Connect { may_settle: true }, None) => self.settle_as_acceptor(&info, rules, rtt, out),
            (wait, Some(remote)) => {
                let result = self.take_info(wait, info, &remote, rtt, out);
                self.remote = Some(remote);
                result
            }
            (_, None) => Err(LinkError::OutOfTurn),
        };
        if let Err(error) = result {
            self.close(error, out);
        }
    }

    fn settle_as_acceptor(
        &mut self,
        info: &Info,
        rules: &LeafRules,
        rtt: Duration,
        out: &mut Vec<LeafEffect>,
    ) -> Result<(), LinkError> {
        self.wait = Wait::Connect { may_settle: false };
        let agreed = settle(rules.compression, info, &rules.levels, rtt)?;
        self.agreed = Some(agreed);
        if agreed.is_framed() {
            // No other field of this INFO counts: not the nonce, not permissions, not an account.
            let compression = agreed.as_str().map(str::to_owned);
            out.push(LeafEffect::Compress(agreed));
            // The far end may sign what it hears last.
            let (client_id, nonce) = self.told.clone();
            let info = Info { client_id, nonce, compression, info_on_connect: true, ..rules.info.clone() };
            out.push(LeafEffect::SendInfo(Box::new(info)));
        }
        Ok(())
    }

    fn take_info(
        &mut self,
        wait: Wait,
        info: Info,
        remote: &LeafRemote,
        rtt: Duration,
        out: &mut Vec<LeafEffect>,
    ) -> Result<(), LinkError> {
        match wait {
            Wait::Info => {
                judge_hub(&info)?;
                if (remote.tls || info.tls_required) && !remote.tls_done {
                    self.held = Some(Box::new(info));
                    self.wait = Wait::Tls;
                    out.push(LeafEffect::StartTls);
                    return Ok(());
                }
                self.settle_as_solicitor(info, remote, rtt, out)
            }
            Wait::FramedInfo => {
                self.introduce(info, remote, out);
                Ok(())
            }
            Wait::Answer if info.connect_info => {
                self.register(info, out);
                Ok(())
            }
            Wait::Answer => Ok(()),
            _ => Err(LinkError::OutOfTurn),
        }
    }

    /// TLS stands.
    pub fn on_tls(&mut self, rtt: Duration, out: &mut Vec<LeafEffect>) {
        let (Some(info), Some(remote)) = (self.held.take(), self.remote.take()) else { return };
        if let Err(error) = self.settle_as_solicitor(*info, &remote, rtt, out) {
            self.close(error, out);
        }
        self.remote = Some(remote);
    }

    fn settle_as_solicitor(
        &mut self,
        info: Info,
        remote: &LeafRemote,
        rtt: Duration,
        out: &mut Vec<LeafEffect>,
    ) -> Result<(), LinkError> {
        let agreed = settle(remote.compression, &info, &remote.levels, rtt)?;
        self.agreed = Some(agreed);
        if agreed.is_framed() {
            let compression = agreed.as_str().map(str::to_owned);
            let name = remote.connect.name.clone();
            let settled =
                Info { server_id: remote.connect.server_id.clone(), server_name: name, compression, ..Info::default() };
            out.push(LeafEffect::SendInfo(Box::new(settled)));
            out.push(LeafEffect::Compress(agreed));
            self.held = Some(Box::new(info));
            self.wait = Wait::FramedInfo;
            return Ok(());
        }
        self.introduce(info, remote, out);
        Ok(())
    }

    /// Sends CONNECT. The nonce is that of the very first INFO.
    fn introduce(&mut self, info: Info, remote: &LeafRemote, out: &mut Vec<LeafEffect>) {
        let first = self.held.take().map_or_else(|| info.clone(), |first| *first);
        let compress_mode = self.agreed.and_then(Compression::as_str).map(str::to_owned);
        let connect = LeafConnect { compress_mode, ..remote.connect.clone() };
        out.push(LeafEffect::SendConnect { nonce: first.nonce, connect: Box::new(connect) });
        let server = if info.server_name.is_empty() { info.server_id } else { info.server_name };
        self.peer = Some(Box::new(LeafRegistration {
            role: if remote.connect.is_hub { LeafRole::Hub } else { LeafRole::Spoke },
            server,
            version: String::new(),
            cluster: info.cluster,
            domain: info.domain,
            remote_account: String::new(),
            headers: remote.headers && info.headers,
            isolated: remote.connect.isolate,
            deny_pub: Vec::new(),
            protocol: info.proto,
            compression: self.agreed.unwrap_or(Compression::NotSupported),
            import: None,
            export: None,
        }));
        self.wait = Wait::Answer;
        if !first.info_on_connect {
            self.register(Info::default(), out);
        }
    }

    fn register(&mut self, answer: Info, out: &mut Vec<LeafEffect>) {
        let Info { remote_account, import, export, .. } = answer;
        if let Some(peer) = self.peer.take() {
            out.push(LeafEffect::Register(Box::new(LeafRegistration { remote_account, import, export, ..*peer })));
        }
        self.wait = Wait::Over;
    }

    /// CONNECT has come.
    pub fn on_connect(&mut self, json: &[u8], rules: &LeafRules, out: &mut Vec<LeafEffect>) {
        match self.take_connect(json, rules) {
            Ok(connect) => {
                self.wait = Wait::Verdict;
                self.peer = Some(Box::new(self.peer_of(&connect, rules)));
                out.push(LeafEffect::Authenticate(Box::new(connect)));
            }
            Err(error) => self.close(error, out),
        }
    }

    fn take_connect(&self, json: &[u8], rules: &LeafRules) -> Result<LeafConnect, LinkError> {
        if !matches!(self.wait, Wait::Connect { .. }) {
            return Err(LinkError::OutOfTurn);
        }
        let connect = LeafConnect::parse(json)?;
        if !connect.lang.is_empty() {
            return Err(LinkError::ClientOnLeafPort);
        }
        if connect.cluster.contains(' ') {
            return Err(LinkError::ClusterNameHasSpaces);
        }
        if !connect.cluster.is_empty() && connect.cluster == rules.info.cluster {
            return Err(LinkError::SameClusterName);
        }
        if !connect.gateway.is_empty() {
            return Err(LinkError::GatewayElsewhere { gateway: connect.gateway, port: "leafnode" });
        }
        match &rules.min_version {
            Some(least) if !is_at_least(&connect.version, least) => Err(LinkError::MinimumVersion(least.clone())),
            _ => Ok(connect),
        }
    }

    fn peer_of(&self, connect: &LeafConnect, rules: &LeafRules) -> LeafRegistration {
        let told = Compression::parse(connect.compress_mode.as_deref()).unwrap_or(Compression::NotSupported);
        LeafRegistration {
            role: if connect.is_hub { LeafRole::Spoke } else { LeafRole::Hub },
            server: connect.name.clone(),
            version: connect.version.clone(),
            cluster: connect.cluster.clone(),
            domain: connect.domain.clone(),
            remote_account: connect.remote_account.clone(),
            headers: rules.info.headers && connect.headers,
            isolated: connect.isolate,
            deny_pub: connect.deny_pub.clone(),
            protocol: connect.protocol,
            compression: self.agreed.unwrap_or(told),
            import: None,
            export: None,
        }
    }

    /// The login was good. `answer` is the INFO with account and permissions in it.
    pub fn on_admitted(&mut self, answer: Info, out: &mut Vec<LeafEffect>) {
        if self.wait != Wait::Verdict {
            return;
        }
        out.push(LeafEffect::SendInfo(Box::new(Info {
            connect_info: true,
            info_on_connect: true,
            nonce: String::new(),
            ..answer
        })));
        if let Some(peer) = self.peer.take() {
            out.push(LeafEffect::Register(peer));
        }
        self.wait = Wait::Over;
    }

    /// The handshake is over and the connection may carry messages.
    pub fn is_registered(&self) -> bool {
        self.wait == Wait::Over
    }

    fn close(&mut self, error: LinkError, out: &mut Vec<LeafEffect>) {
        self.wait = Wait::Closed;
        out.push(LeafEffect::Close(error));
    }
}

fn settle(local: Compression, info: &Info, levels: &Levels, rtt: Duration) -> Result<Compression, LinkError> {
    let agreed = Compression::agree(local, Compression::parse(info.compression.as_deref())?);
    Ok(if agreed == Compression::S2Auto { levels.pick(rtt) } else { agreed })
}

/// Only a leaf node port says a client id and does not say client URLs or a gateway. Its own URLs it may leave out.
fn judge_hub(info: &Info) -> Result<(), LinkError> {
    if info.client_id == 0 || !info.connect_urls.is_empty() || !info.gateway.is_empty() || info.client_is_welcome() {
        return Err(LinkError::WrongPort);
    }
    if info.cluster.contains(' ') {
        return Err(LinkError::ClusterNameHasSpaces);
    }
    Ok(())
}

impl Info {
    /// Servers speak to clients at protocol level 1 and to each other above it.
    fn client_is_welcome(&self) -> bool {
        self.leafnode_urls.is_none() && self.proto == 1 && !self.info_on_connect
    }
}

/// Whether a version such as `2.15.1-beta` is at least another.
fn is_at_least(version: &str, least: &str) -> bool {
    matches!((numbers(version), numbers(least)), (Some(version), Some(least)) if version >= least)
}

fn numbers(version: &str) -> Option<[u32; 3]> {
    let plain = version.strip_prefix('v').unwrap_or(version);
    let plain = plain.split(['-', '+']).next()?;
    let mut parts = plain.split('.').map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// How long a soliciting end waits before it comes again, given the `-ERR` it got. `None` for the usual time.
pub fn delay_after(error: &str) -> Option<Duration> {
    let delays = [
        ("remote leafnode has same cluster name", LEAF_SAME_CLUSTER_DELAY),
        ("connection rejected since minimum version required is", LEAF_VERSION_DELAY),
        ("Loop detected", LEAF_LOOP_DELAY),
        ("Permissions Violation", LEAF_LOOP_DELAY),
    ];
    delays.into_iter().find(|(text, _)| error.contains(text)).map(|(_, delay)| delay)
}
