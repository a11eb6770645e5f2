//! A leaf connection, from both ends: its handshake carried out, its registration, its end.

use std::sync::Arc;
use std::time::Duration;

use account::Account;
use auth::settings::{RuleText, SideSettings};
use auth::{Attempt, ConnectionKind, Credentials, LinkRights, UserLabel, Verdict};
use moment::Instant;
use session::{ConnectOptions, MemberLabel};
use topology::{
    Compression, DomainFacts, Info, LOOP_DETECTION_PREFIX, LeafConnect, LeafEffect, LeafHandshake, LeafInterest,
    LeafRegistration, LeafRole, LinkError, MAPPED_REPLIES, Peer as Place, SubjectRules, delay_after, judge_domains,
};
use wire::CloseReason;

use crate::account_state::AccountState;
use crate::connection::Connection;
use crate::engine::Engine;
use crate::ledger::ConnectionFacts;
use crate::link::{Carrier, Link};
use crate::links::Said;
use crate::links::alive::Alive;
use crate::links::book::LeafReader;
use crate::links::registry::KnownLink;
use crate::links::remote::{RemotePeer, TRACE_LEVEL};
use crate::links::settings::{LeafListening, LeafSolicit, LinkEnd};
use crate::links::wants::Wants;
use crate::login::{LoginJob, LoginOutcome, facts};
use crate::mailbox::Note;
use crate::observer::{ConnectionLabel, Event};

/// What a server on the way may have added to a message that was as large as its publisher may send: who asks, the hop of a trace,
/// the parent of a span.
const ADDED_HEADERS_BYTES: usize = 8 * 1024;

/// How long the far end may take to answer CONNECT.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a leaf node may take to log in where nothing is configured.
const AUTH_TIMEOUT: Duration = Duration::from_secs(2);

/// What a leaf node hears that is no longer who it was.
const REFUSED: &str = "Authorization Violation";

/// A leaf connection.
pub(crate) struct Leaf {
    pub(crate) solicited: Option<Arc<LeafSolicit>>,
    pub(crate) stage: Stage,
    deadline: Option<Instant>,
    /// How long to wait before coming again.
    delay: Option<Duration>,
}

/// Where a leaf connection is in its life.
pub(crate) enum Stage {
    /// Nothing has been said.
    Silent,
    /// Being introduced.
    Greeting(LeafHandshake),
    /// The login is being judged.
    Judging(LeafHandshake),
    /// Registered.
    Active(Box<LeafActive>),
    /// Over.
    Over,
}

/// A leaf connection that carries messages.
pub(crate) struct LeafActive {
    pub(crate) alive: Alive,
    pub(crate) wants: Wants,
    pub(crate) peer: Arc<RemotePeer>,
    pub(crate) rights: Arc<LinkRights>,
    pub(crate) role: LeafRole,
    pub(crate) max_subscriptions: Option<u64>,
    pub(crate) label: ConnectionLabel,
    /// What was shown at login, to be judged again when the directory changes.
    attempt: Option<Attempt>,
    /// What it was admitted as.
    permissions: Arc<auth::Permissions>,
}

/// Whom a leaf node was admitted as, until it is registered.
struct Admitted {
    account: Arc<AccountState>,
    permissions: Arc<auth::Permissions>,
    max_subscriptions: Option<u64>,
    max_payload: Option<u64>,
    user: UserLabel,
    proof: Option<auth::Proof>,
    claims: Option<Arc<auth::UserFacts>>,
    expires: Option<Instant>,
    attempt: Option<Attempt>,
}

impl Leaf {
    pub(crate) fn new(solicited: Option<Arc<LeafSolicit>>, now: Instant) -> Self {
        // Whatever comes first must come soon; the handshake says more once it has begun.
        let deadline = Some(now + solicited.as_ref().map_or(AUTH_TIMEOUT, |solicit| solicit.first_info_timeout));
        Self { solicited, stage: Stage::Silent, deadline, delay: None }
    }

    /// Where it carries messages.
    pub(crate) fn account(&self) -> Option<&Arc<AccountState>> {
        if let Stage::Active(active) = &self.stage { Some(&active.wants.state) } else { None }
    }

    pub(crate) fn is_judging(&self) -> bool {
        matches!(self.stage, Stage::Judging(_))
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Active(active) => active.alive.session.next_deadline(),
            Stage::Over => None,
            _ => self.deadline,
        }
    }

    pub(crate) fn label(&self) -> Option<ConnectionLabel> {
        match &self.stage {
            Stage::Active(active) => Some(active.label.clone()),
            _ => None,
        }
    }

    /// Remembers what the far end said about coming again.
    pub(crate) fn heard_error(&mut self, text: &str) {
        if self.solicited.is_some() {
            self.delay = delay_after(text).or(self.delay);
        }
    }

    /// The connection is not to be made again before this time is over.
    pub(crate) fn wait_before_next(&mut self, delay: Duration) {
        self.delay = Some(delay);
    }

    pub(crate) fn end_run(&mut self, link: &Link) {
        if let Stage::Active(active) = &mut self.stage {
            let wants = active.wants.len();
            active.alive.end_run(link, Some(wants));
        }
    }

    pub(crate) fn is_solicited(&self) -> bool {
        self.solicited.is_some()
    }
}

impl Engine {
    pub(crate) fn leaf_listening(&self) -> Option<Arc<LeafListening>> {
        self.hub.links.settings.load().leafs.clone()
    }

    pub(crate) fn begin_leaf(&mut self, link: &Arc<Link>, leaf: &mut Leaf, nonce: Option<&str>) {
        let mut effects = Vec::new();
        match (&leaf.solicited, self.leaf_listening()) {
            (Some(solicit), _) => {
                leaf.deadline = Some(self.now + solicit.first_info_timeout);
                let mut remote = solicit.remote.clone();
                if link.carrier == Carrier::WebSocket {
                    remote.compression = Compression::Off;
                }
                leaf.stage = Stage::Greeting(LeafHandshake::solicit(remote));
            }
            (None, Some(listening)) => {
                leaf.deadline = Some(self.now + listening.auth_timeout);
                let nonce = nonce.unwrap_or_default().to_owned();
                let rules = self.hub.leaf_rules(&listening, link.carrier);
                let handshake = LeafHandshake::accept(link.key.id, nonce, &rules, &mut effects);
                leaf.stage = Stage::Greeting(handshake);
            }
            (None, None) => {}
        }
        for effect in effects {
            if let LeafEffect::SendInfo(info) = effect {
                self.say_info(link, &info);
            }
        }
    }

    /// Before login: INFO, CONNECT, and what may come between them.
    pub(crate) fn leaf_greeting(
        &mut self,
        connection: &mut Connection,
        leaf: &mut Leaf,
        op: &wire::leaf::Op<'_>,
    ) -> Said {
        use wire::leaf::Op;
        let Stage::Greeting(handshake) = &mut leaf.stage else { return Said::Done };
        if let Err(error) = handshake.may_come(op) {
            return self.refuse_link(connection, &error);
        }
        let mut effects = Vec::new();
        let rtt = self.now.since(connection.link.started);
        match op {
            Op::Info(json) => match Info::parse(json) {
                Ok(info) => match self.leaf_listening() {
                    _ if leaf.solicited.is_some() => {
                        if handshake.may_name_others(&info) {
                            self.heard_of_hubs(leaf.solicited.as_deref(), &info);
                        }
                        handshake.on_info(info, &no_rules(), rtt, &mut effects);
                    }
                    Some(listening) => {
                        let rules = self.hub.leaf_rules(&listening, connection.link.carrier);
                        handshake.on_info(info, &rules, rtt, &mut effects);
                    }
                    None => handshake.on_info(info, &no_rules(), rtt, &mut effects),
                },
                Err(error) => return self.refuse_link(connection, &error),
            },
            Op::Connect(json) => match self.leaf_listening() {
                Some(listening) => handshake.on_connect(json, &listening.rules, &mut effects),
                None => return Said::Close(CloseReason::ProtocolViolation),
            },
            Op::Ping => self.say(&connection.link, wire::encode::PONG),
            Op::Err(text) => return self.leaf_error(connection, leaf, text),
            Op::Pong | Op::Ok | Op::Subscribe(_) | Op::Unsubscribe(_) | Op::Message(_) => {}
        }
        self.leaf_effects(connection, leaf, effects)
    }

    /// The far end says what is wrong; it closes the connection itself.
    pub(crate) fn leaf_error(&mut self, connection: &Connection, leaf: &mut Leaf, text: &[u8]) -> Said {
        let label = leaf.label().unwrap_or_default();
        let text = self.link_error(connection, &label, "Leafnode", text);
        leaf.heard_error(&text);
        Said::Close(CloseReason::ProtocolViolation)
    }

    fn leaf_effects(&mut self, connection: &mut Connection, leaf: &mut Leaf, effects: Vec<LeafEffect>) -> Said {
        for effect in effects {
            match effect {
                LeafEffect::SendInfo(info) => self.say_info(&connection.link, &info),
                LeafEffect::StartTls => return Said::StartTls,
                LeafEffect::Compress(level) => self.squeeze(connection, level),
                LeafEffect::SendConnect { nonce, connect } => self.introduce_leaf(connection, leaf, &nonce, *connect),
                LeafEffect::Authenticate(connect) => return self.judge_leaf(connection, leaf, &connect),
                LeafEffect::Register(registration) => {
                    let said = self.register_solicited(connection, leaf, *registration);
                    if !matches!(said, Said::Done) {
                        return said;
                    }
                }
                LeafEffect::Close(error) => return self.refuse_link(connection, &error),
            }
        }
        Said::Done
    }

    /// Sends CONNECT with what this server has to show.
    fn introduce_leaf(&mut self, connection: &Connection, leaf: &mut Leaf, nonce: &str, connect: LeafConnect) {
        let Some(solicit) = &leaf.solicited else { return };
        let shown = &solicit.credentials;
        let sig = shown.signer.as_ref().map(|signer| signer.sign(nonce.as_bytes()));
        let connect = LeafConnect {
            user: shown.user.clone().unwrap_or_default(),
            pass: shown.password.clone(),
            auth_token: shown.token.clone(),
            jwt: shown.jwt.clone(),
            nkey: shown.nkey.clone().unwrap_or_default(),
            sig,
            ..connect
        };
        let mut line = b"CONNECT ".to_vec();
        line.extend_from_slice(&connect.to_json());
        line.extend_from_slice(b"\r\n");
        self.say_secret(&connection.link, &line);
        leaf.deadline = Some(self.now + ANSWER_TIMEOUT);
    }

    pub(crate) fn leaf_secured(&mut self, connection: &mut Connection, leaf: &mut Leaf) -> Said {
        let Stage::Greeting(handshake) = &mut leaf.stage else { return Said::Done };
        if leaf.solicited.is_some() {
            // TLS had a deadline of its own.
            leaf.deadline = Some(self.now + ANSWER_TIMEOUT);
        }
        let mut effects = Vec::new();
        handshake.on_tls(self.now.since(connection.link.started), &mut effects);
        self.leaf_effects(connection, leaf, effects)
    }

    fn judge_leaf(&mut self, connection: &mut Connection, leaf: &mut Leaf, connect: &LeafConnect) -> Said {
        let Some(listening) = self.leaf_listening() else { return Said::Close(CloseReason::ServerShutdown) };
        let epoch = self.hub.epoch();
        let directory = listening.directory.clone().unwrap_or_else(|| self.hub.directory());
        let Stage::Greeting(handshake) = std::mem::replace(&mut leaf.stage, Stage::Over) else { return Said::Done };
        leaf.stage = Stage::Judging(handshake);
        let options = ConnectOptions {
            name: connect.name.clone(),
            version: connect.version.clone(),
            protocol: connect.protocol,
            ..ConnectOptions::default()
        };
        let attempt = attempt(connection, connect);
        match self.judge_server(connection, (epoch, directory), attempt, &options, listening.auth_timeout) {
            None => Said::Wait,
            Some(outcome) => self.leaf_judged(connection, leaf, outcome),
        }
    }

    /// The verdict about a leaf node.
    pub(crate) fn leaf_judged(&mut self, connection: &mut Connection, leaf: &mut Leaf, outcome: LoginOutcome) -> Said {
        if let Stage::Active(_) = &leaf.stage {
            return self.leaf_judged_again(connection, leaf, outcome);
        }
        let Stage::Judging(_) = &leaf.stage else { return Said::Done };
        let (admission, attempt) = match self.admitted_server(connection, outcome) {
            Ok(admitted) => admitted,
            Err(said) => return said,
        };
        let admitted = Admitted {
            account: self.account_of(&admission.account),
            permissions: admission.permissions.clone(),
            max_subscriptions: admission.limits.max_subscriptions,
            max_payload: admission.limits.max_payload,
            user: admission.user.clone(),
            proof: Some(admission.by),
            claims: admission.claims.clone(),
            expires: self.expiry(&admission),
            attempt: Some(attempt),
        };
        self.admit_leaf(connection, leaf, &admitted)
    }

    /// Users or settings changed: the login of a leaf node is judged again.
    pub(crate) fn review_leaf(&mut self, connection: &mut Connection, leaf: &mut Leaf) -> Said {
        let Stage::Active(active) = &mut leaf.stage else { return Said::Done };
        let (Some(attempt), Some(listening)) = (active.attempt.take(), self.leaf_listening()) else {
            return Said::Done;
        };
        let directory = listening.directory.clone().unwrap_or_else(|| self.hub.directory());
        let (key, epoch) = (connection.link.key, self.hub.epoch());
        let client = facts(&connection.link, connection.tls.as_deref(), &ConnectOptions::default());
        let patience = listening.auth_timeout;
        match self.hub.logins.submit(LoginJob { key, directory, attempt, client, vouched: None, patience, epoch }) {
            Ok(()) => Said::Done,
            // It comes again when there is time to judge it.
            Err(_) => Said::Close(CloseReason::AuthenticationExpired),
        }
    }

    /// The same user with the same rights stays; everybody else may come again as what it is now.
    fn leaf_judged_again(&mut self, connection: &mut Connection, leaf: &mut Leaf, outcome: LoginOutcome) -> Said {
        let Stage::Active(active) = &mut leaf.stage else { return Said::Done };
        if outcome.epoch != self.hub.epoch() {
            // The house was reconfigured meanwhile: by what holds now.
            active.attempt = Some(outcome.attempt);
            return self.review_leaf(connection, leaf);
        }
        let is_same = |admission: &auth::Admission| {
            admission.account.name == active.wants.state.settings().name
                && admission.permissions.lists() == active.permissions.lists()
        };
        match self.hub.unless_banned_since(connection.link.address.ip(), outcome.verdict, self.wall) {
            Verdict::Admit(admission) if is_same(&admission) => {
                active.attempt = Some(outcome.attempt);
                let expires = self.expiry(&admission);
                active.alive.session.expire_at(expires);
                Said::Done
            }
            verdict => {
                if let Verdict::Refuse(refusal) = &verdict {
                    let label = active.label.clone();
                    self.hub.observer.event(&connection.link, &label, &Event::LoginRefused(refusal));
                }
                self.say(&connection.link, &wire::encode::err(REFUSED));
                Said::Close(CloseReason::AuthenticationExpired)
            }
        }
    }

    fn admit_leaf(&mut self, connection: &mut Connection, leaf: &mut Leaf, admitted: &Admitted) -> Said {
        let Stage::Judging(mut handshake) = std::mem::replace(&mut leaf.stage, Stage::Over) else { return Said::Done };
        let Some(listening) = self.leaf_listening() else { return Said::Close(CloseReason::ServerShutdown) };
        let mut effects = Vec::new();
        let settings = admitted.account.settings();
        let lists = admitted.permissions.lists();
        handshake.on_admitted(
            Info {
                client_id: connection.link.key.id,
                remote_account: settings.name.to_string(),
                acc_is_sys: settings.system,
                import: subject_rules(lists.subscribe_allow.as_deref(), &lists.subscribe_deny),
                export: subject_rules(lists.publish_allow.as_deref(), &lists.publish_deny),
                ..self.hub.leaf_rules(&listening, connection.link.carrier).info
            },
            &mut effects,
        );
        let mut registration = None;
        for effect in effects {
            match effect {
                LeafEffect::SendInfo(info) => self.say_info(&connection.link, &info),
                LeafEffect::Register(register) => registration = Some(register),
                _ => {}
            }
        }
        let Some(registration) = registration else { return Said::Close(CloseReason::ProtocolViolation) };
        let rights = LinkRights::of_user(&admitted.permissions, &registration.deny_pub);
        let isolated = listening.isolate || registration.isolated;
        let registration = LeafRegistration { isolated, ..*registration };
        match rights {
            Ok(rights) => self.register_leaf(connection, leaf, admitted, rights, registration),
            Err(error) => {
                self.hub.observer.event(
                    &connection.link,
                    &ConnectionLabel::default(),
                    &Event::Error(&format!("deny_pub of the leaf node: {error}")),
                );
                Said::Close(CloseReason::ProtocolViolation)
            }
        }
    }

    fn register_solicited(
        &mut self,
        connection: &mut Connection,
        leaf: &mut Leaf,
        mut registration: LeafRegistration,
    ) -> Said {
        let Some(solicit) = leaf.solicited.clone() else { return Said::Done };
        let take = side(registration.import.take(), &solicit.deny_imports);
        let give = side(registration.export.take(), &solicit.deny_exports);
        let rights = match LinkRights::compile(&take, &give) {
            Ok(rights) => rights,
            Err(error) => {
                let text = format!("permissions of the hub: {error}");
                self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::Error(&text));
                return Said::Close(CloseReason::ProtocolViolation);
            }
        };
        registration.isolated = solicit.isolate;
        let admitted = Admitted {
            account: self.account_of(&solicit.account),
            permissions: Arc::new(auth::Permissions::everything()),
            max_subscriptions: None,
            max_payload: None,
            user: UserLabel::Unknown,
            proof: None,
            claims: None,
            expires: None,
            attempt: None,
        };
        self.register_leaf(connection, leaf, &admitted, rights, registration)
    }

    fn account_of(&self, account: &Arc<Account>) -> Arc<AccountState> {
        let known = self.hub.directory().account(account.name.as_str()).cloned();
        self.hub.account(known.as_ref().unwrap_or(account))
    }

    /// The connection carries messages from now on.
    fn register_leaf(
        &mut self,
        connection: &mut Connection,
        leaf: &mut Leaf,
        admitted: &Admitted,
        rights: LinkRights,
        registration: LeafRegistration,
    ) -> Said {
        let account = &admitted.account;
        if account.join_leaf().is_err() {
            self.say(&connection.link, &wire::encode::err("maximum account active connections exceeded"));
            return Said::Close(CloseReason::MaxAccountConnectionsExceeded);
        }
        let rights = match self.walled(rights, account, &registration) {
            Ok(rights) => Arc::new(rights),
            Err(_) => return Said::Close(CloseReason::ProtocolViolation),
        };
        let answers = registration.role == LeafRole::Hub && self.allow_responses(connection, &admitted.permissions);
        let peer = Arc::new(RemotePeer {
            link: connection.link.clone(),
            place: Place::Leaf(registration.role),
            cluster: registration.cluster.as_str().into(),
            names_account: false,
            headers: registration.headers,
            takes_origins: false,
            old_replies: false,
            name: registration.server.as_str().into(),
            traces: registration.protocol >= TRACE_LEVEL,
            takes_rights: false,
            account: Some(account.settings().name.as_str().into()),
            answers: answers.then(|| rights.clone()),
        });
        let label = label(account, admitted.user.tag());
        let alive = self.bring_to_life(self.leaf_ping(), admitted.expires, registration.role == LeafRole::Spoke);
        let reader = LeafReader {
            peer: peer.clone(),
            interest: LeafInterest::new(registration.role, &registration.cluster, registration.isolated),
            rights: rights.clone(),
        };
        leaf.deadline = None;
        leaf.stage = Stage::Active(Box::new(LeafActive {
            alive,
            wants: Wants::new(account.clone(), &self.hub),
            peer,
            rights,
            role: registration.role,
            max_subscriptions: admitted.max_subscriptions,
            label: label.clone(),
            attempt: admitted.attempt.clone(),
            permissions: admitted.permissions.clone(),
        }));
        connection.limits = self.link_limits(self.leaf_max_payload(admitted.max_payload));
        self.known(connection);
        let loop_subject = self.loop_subject(account);
        let mut own: Vec<&[u8]> = vec![&loop_subject];
        if self.hub.links.settings.load().gateways.is_some() {
            // Answers to other clusters come up over the leaf connection.
            own.extend(MAPPED_REPLIES);
        }
        let Self { stages, .. } = self;
        account.add_leaf(reader, &own, &mut |link| stages.touch(link));
        self.announce_leaf(connection, leaf, admitted, registration, &label);
        let address = connection.link.address.ip();
        if !leaf.is_solicited() && self.hub.is_kept_out(address, Some(account), admitted.user.name(), self.wall) {
            return Said::Close(CloseReason::Kicked);
        }
        Said::Done
    }

    fn announce_leaf(
        &mut self,
        connection: &Connection,
        leaf: &Leaf,
        admitted: &Admitted,
        registration: LeafRegistration,
        label: &ConnectionLabel,
    ) {
        let account = &admitted.account;
        // What a server says where it is gone to is for the links' own documents.
        let name = if leaf.is_solicited() { "" } else { registration.server.as_str() };
        let login = (admitted.user.name(), admitted.proof, admitted.claims.clone());
        let facts = ConnectionFacts::of_leaf(name, &registration.version, login, connection);
        let older = self.hub.links.know(KnownLink {
            link: connection.link.clone(),
            account: Some(account.clone()),
            facts: facts.clone(),
            server: registration.server,
            server_id: String::new(),
            cluster: registration.cluster,
            remote_account: registration.remote_account,
            solicited: leaf.is_solicited(),
            configured: leaf.is_solicited(),
            isolated: registration.isolated,
            spoke: registration.role == LeafRole::Spoke,
            compression: registration.compression.as_str().unwrap_or("not supported"),
            remote: leaf.solicited.as_ref().map(|solicit| solicit.id),
        });
        if let Some(older) = older {
            self.hub.tell(older.key, Note::Close(older.key, LinkError::DuplicateLeaf.close_reason()));
        }
        let text = format!("Leafnode connection created for account: {}", account.settings().name);
        self.hub.observer.event(&connection.link, label, &Event::LinkReady(&text));
        self.hub.observer.event(&connection.link, label, &Event::Admitted { facts: &facts, account });
        if let Some(solicit) = &leaf.solicited
            && !self.hub.links.ready(solicit.id)
        {
            let key = connection.link.key;
            self.hub.tell(key, Note::Close(key, CloseReason::ServerShutdown));
        }
    }

    /// Interfaces that each side has for itself do not cross.
    fn walled(
        &self,
        rights: LinkRights,
        account: &AccountState,
        registration: &LeafRegistration,
    ) -> Result<LinkRights, auth::RuleError> {
        let links = self.hub.links.settings.load();
        let domain = &links.domain;
        let settings = account.settings();
        let defaults = &domain.empty_defaults;
        let verdict = judge_domains(&DomainFacts {
            local: &domain.name,
            remote: &registration.domain,
            has_jetstream: domain.has_jetstream,
            will_extend: domain.will_extend,
            is_system_account: settings.system,
            has_system_account: true,
            has_empty_default: !defaults.is_empty(),
            account_has_empty_default: defaults.iter().any(|name| name == settings.name.as_str()),
        });
        let rights = rights.walled(verdict.denies())?;
        match verdict.keeps_own_domain() && domain.has_jetstream && !domain.name.is_empty() {
            true => rights.keeping(&format!("$JS.{}.API.>", domain.name)),
            false => Ok(rights),
        }
    }

    fn leaf_ping(&self) -> session::PingRules {
        self.hub.links.settings.load().leaf_ping.unwrap_or_else(|| self.hub.settings().ping)
    }

    fn leaf_max_payload(&self, own: Option<u64>) -> usize {
        let own = own.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let limit = [self.hub.settings().max_payload_bytes, own].into_iter().flatten().min();
        limit.map_or(usize::MAX, |limit| limit.saturating_add(ADDED_HEADERS_BYTES))
    }

    pub(crate) fn loop_subject(&self, account: &AccountState) -> Box<[u8]> {
        let secure = &self.hub.secure;
        let make = || {
            let mut random = [0; 22];
            secure.fill(&mut random);
            let digit =
                |byte: &u8| b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[usize::from(byte % 62)];
            LOOP_DETECTION_PREFIX.iter().copied().chain(random.iter().map(digit)).collect()
        };
        account.loop_subject(make).into()
    }

    pub(crate) fn leaf_deadline(&mut self, connection: &mut Connection, leaf: &mut Leaf) -> Said {
        let ping = self.leaf_ping();
        match &mut leaf.stage {
            Stage::Active(active) => {
                let due = active.alive.session.due(self.now, ping);
                self.link_due(connection, due)
            }
            Stage::Silent | Stage::Greeting(_) | Stage::Judging(_)
                if leaf.deadline.is_some_and(|deadline| deadline <= self.now) =>
            {
                let solicited = leaf.solicited.is_some();
                let text = if solicited { "Leafnode handshake timed out" } else { "Authentication Timeout" };
                self.link_overdue(connection, text, !solicited)
            }
            _ => Said::Done,
        }
    }

    pub(crate) fn end_leaf(&mut self, connection: &Connection, leaf: Leaf) {
        let Leaf { solicited, stage, delay, .. } = leaf;
        let was_ready = matches!(stage, Stage::Active(_));
        if let Stage::Active(active) = stage {
            active.wants.state.forget_link(&connection.link);
            self.link_wants_nothing(&active.wants);
            active.wants.state.leave_leaf();
        }
        if let Some(solicit) = solicited {
            self.hub.links.ended(solicit.id, LinkEnd { was_ready, delay, duplicate_of: None });
        }
    }
}

/// Rules for an end that listens for nobody.
fn no_rules() -> topology::LeafRules {
    topology::LeafRules {
        info: Info::default(),
        compression: topology::Compression::NotSupported,
        levels: topology::Levels::default(),
        min_version: None,
    }
}

fn label(account: &AccountState, tag: String) -> ConnectionLabel {
    let member = MemberLabel::of(account.settings().name.as_str(), tag).map(Arc::new);
    ConnectionLabel { client: None, member }
}

/// Nothing said is everything allowed.
fn subject_rules(allow: Option<&[&str]>, deny: &[&str]) -> Option<SubjectRules> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    (allow.is_some() || !deny.is_empty())
        .then(|| SubjectRules { allow: allow.map(owned).unwrap_or_default(), deny: owned(deny) })
}

fn side(told: Option<SubjectRules>, own_denies: &[RuleText]) -> SideSettings {
    let texts = |texts: &[String]| texts.iter().map(|text| RuleText::from(text.as_str())).collect::<Vec<_>>();
    let told = told.unwrap_or_default();
    let allow = (!told.allow.is_empty()).then(|| texts(&told.allow));
    let deny = texts(&told.deny).into_iter().chain(own_denies.iter().cloned()).collect();
    SideSettings { allow, deny: Some(deny) }
}

/// Everything the leaf node showed.
fn attempt(connection: &Connection, connect: &LeafConnect) -> Attempt {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Attempt {
        kind: match connection.link.carrier {
            Carrier::Stream => ConnectionKind::Leaf,
            Carrier::WebSocket => ConnectionKind::LeafWebSocket,
        },
        credentials: Credentials {
            user: text(&connect.user),
            password: connect.pass.clone(),
            token: connect.auth_token.clone(),
            nkey: text(&connect.nkey),
            jwt: connect.jwt.clone(),
            signature: connect.sig.as_ref().map(|sig| sig.expose().clone()),
            proxy_signature: connect.proxy_sig.as_ref().map(|sig| sig.expose().clone()),
            names_account: false,
        }
        .tidy(),
        nonce: connection.nonce.as_deref().map(|nonce| nonce.as_bytes().into()),
        address: Some(connection.link.address.ip().to_canonical()),
        certificate: connection.certificate.clone(),
    }
}
