//! Coming in: greeting, login, second CONNECT, and being judged again.

use std::mem;
use std::sync::Arc;

use auth::{Admission, Attempt, Cost, Refusal, Verdict};
use session::{ConnectOptions, EarlyDue, Handshake, LoginError, Opening, Session};
use wire::CloseReason;

use crate::connection::{Active, BatchCount, Connection, Judging, Phase, Step};
use crate::hub::Registered;
use crate::ledger::ConnectionFacts;
use crate::link::Link;
use crate::login::{LoginJob, LoginOutcome};
use crate::observer::{ConnectionLabel, Event};
use crate::plan::Route;
use crate::subscription::{Peer, Target};
use crate::subscriptions::Subscriptions;
use crate::worker::{Engine, Taken};

/// What every refused login hears, whatever the reason.
const LOGIN_REFUSED_TEXT: &str = "Authorization Violation";

/// What a user hears whose time is over.
const USER_EXPIRED_TEXT: &str = "User Authentication Expired";

/// What users hear when the time of their account is over.
const ACCOUNT_EXPIRED_TEXT: &str = "Account Authentication Expired";

impl Engine {
    /// Sends the first INFO.
    pub(crate) fn greet(&mut self, connection: &Connection) {
        let mut greeting = self.hub.settings().greeting.clone();
        greeting.client_id = connection.link.key.id;
        greeting.client_ip = connection.link.address.ip().to_canonical().to_string();
        greeting.nonce = connection.nonce.as_deref().map(str::to_owned);
        self.stages.line(&connection.link, &greeting.line());
        self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::Accepted);
    }

    /// The INFO that answers the first PING after login.
    pub(crate) fn info_after_login(&self, link: &Link, active: &Active) -> Vec<u8> {
        let mut greeting = self.hub.settings().greeting.clone();
        greeting.client_id = link.key.id;
        greeting.client_ip = link.address.ip().to_canonical().to_string();
        greeting.connect_info = true;
        let account = active.account.settings();
        greeting.remote_account = Some(account.name.to_string());
        greeting.acc_is_sys = account.system;
        if let Some(limit) = account.limits.max_payload {
            greeting.max_payload = greeting.max_payload.min(i64::try_from(limit).unwrap_or(i64::MAX));
        }
        greeting.line()
    }

    pub(crate) fn opening(&mut self, connection: &mut Connection, opening: Opening) -> Taken {
        match opening {
            Opening::Refuse(error) => Taken::Close(self.refuse_opening(connection, &error)),
            Opening::Login(options) => self.log_in(connection, options, true),
            Opening::Anonymous(options) => self.log_in(connection, options, false),
        }
    }

    pub(crate) fn refuse_opening(&mut self, connection: &mut Connection, error: &LoginError) -> CloseReason {
        if let Some(text) = error.wire_text() {
            self.say_error(connection, text);
        }
        match error {
            LoginError::Violation => self.tell(connection, &Event::LoginRefused(&Refusal::NoCredentials)),
            LoginError::Timeout => self.tell(connection, &Event::Debug("Authorization Timeout")),
            LoginError::Unreadable(error) => self.tell(connection, &Event::Error(&error.to_string())),
            LoginError::InvalidProtocol | LoginError::NoRespondersNeedsHeaders => {}
        }
        error.close_reason()
    }

    /// Has a login judged: at once if that is cheap, on another thread if not.
    fn log_in(&mut self, connection: &mut Connection, options: Box<ConnectOptions>, by_connect: bool) -> Taken {
        let Phase::Opening(handshake) = mem::replace(&mut connection.phase, Phase::Over) else {
            return Taken::Done;
        };
        connection.client_label = client_label(&options);
        let attempt = attempt(connection, &options);
        connection.phase = Phase::Judging(Box::new(Judging { handshake, options, by_connect }));
        match self.judge(connection, attempt) {
            None => Taken::Wait { consumed: by_connect },
            Some(outcome) => match self.judged(connection, outcome) {
                Step::Close(reason) => Taken::Close(reason),
                Step::Continue if by_connect => Taken::Done,
                Step::Continue => Taken::Again,
            },
        }
    }

    /// The verdict, if it is had at once.
    fn judge(&mut self, connection: &Connection, attempt: Attempt) -> Option<LoginOutcome> {
        let directory = self.hub.directory();
        if directory.cost(&attempt) == Cost::Cheap {
            let verdict = auth::authenticate(&directory, &attempt, self.wall);
            return Some(LoginOutcome { attempt, verdict });
        }
        let key = connection.link.key;
        match self.hub.logins.submit(LoginJob { key, directory, attempt }) {
            Ok(()) => None,
            Err(LoginJob { attempt, .. }) => {
                Some(LoginOutcome { attempt, verdict: Verdict::Refuse(Refusal::TooManyLogins) })
            }
        }
    }

    /// A verdict has come: the first one, or that of a second CONNECT, or of a review.
    pub(crate) fn judged(&mut self, connection: &mut Connection, outcome: LoginOutcome) -> Step {
        let LoginOutcome { attempt, verdict } = outcome;
        match (mem::replace(&mut connection.phase, Phase::Over), verdict) {
            (Phase::Judging(judging), Verdict::Admit(admission)) => {
                self.admit(connection, *judging, attempt, admission)
            }
            (Phase::Rejoining(active, options), Verdict::Admit(admission)) => {
                self.rejoin(connection, active, options, admission)
            }
            (Phase::Active(mut active), Verdict::Admit(admission)) => {
                active.attempt = Some(attempt);
                self.readmit(connection, active, admission)
            }
            (Phase::Active(active), verdict) => {
                // A review found the login gone.
                connection.phase = Phase::Active(active);
                self.turn_out(connection, verdict)
            }
            (phase, verdict) => {
                connection.phase = phase;
                self.refuse(connection, verdict)
            }
        }
    }

    fn refuse(&mut self, connection: &mut Connection, verdict: Verdict) -> Step {
        self.say_error(connection, LOGIN_REFUSED_TEXT);
        let refusal = match verdict {
            Verdict::Refuse(refusal) => refusal,
            Verdict::NeedAccount(account) => Refusal::UnknownAccount(account),
            Verdict::Admit(_) | Verdict::AskCallout(_) => Refusal::NoCredentials,
        };
        self.tell(connection, &Event::LoginRefused(&refusal));
        Step::Close(CloseReason::AuthenticationFailure)
    }

    fn turn_out(&mut self, connection: &mut Connection, verdict: Verdict) -> Step {
        if let Verdict::Refuse(refusal) = &verdict {
            self.tell(connection, &Event::LoginRefused(refusal));
            // A user that is gone altogether is not told why.
            let gone = matches!(refusal, Refusal::UnknownUser(_) | Refusal::UnknownNkey(_));
            if let Some(text) = refusal.farewell_text().filter(|_| !gone) {
                self.say_error(connection, text);
            }
        }
        Step::Close(CloseReason::AuthenticationExpired)
    }

    fn admit(&mut self, connection: &mut Connection, judging: Judging, attempt: Attempt, admission: Admission) -> Step {
        let Judging { handshake, options, by_connect } = judging;
        let account = self.hub.account(&admission.account);
        if account.join().is_err() {
            self.say_error(connection, "maximum account active connections exceeded");
            return Step::Close(CloseReason::MaxAccountConnectionsExceeded);
        }
        let settings = self.hub.settings();
        let expires = self.expiry(&admission);
        let chance = self.chance.next();
        let headers = handshake.offers_headers();
        let session = Session::open(&options, headers, settings.ping, expires, self.now, chance);
        let active = self.activate(connection, session, account, admission, attempt, options);
        connection.limits = settings.limits_after_login(&active);
        let label = active.label.clone();
        let account = active.account.clone();
        if by_connect {
            self.ok(&connection.link, &active);
        }
        let facts = ConnectionFacts::new(&active.options, &active.admission);
        connection.link.stats.note(&active);
        connection.phase = Phase::Active(Box::new(active));
        self.known(connection);
        self.hub.register(Registered { link: connection.link.clone(), label, account: Some(account), facts });
        self.tell(connection, &Event::Admitted);
        Step::Continue
    }

    /// Puts together what an admitted connection is made of.
    fn activate(
        &mut self,
        connection: &Connection,
        session: Session,
        account: Arc<crate::AccountState>,
        admission: Admission,
        attempt: Attempt,
        options: Box<ConnectOptions>,
    ) -> Active {
        let permissions = admission.permissions.clone();
        let peer = Arc::new(Peer {
            link: connection.link.clone(),
            account: account.clone(),
            name: options.name.as_str().into(),
            headers: session.has_headers(),
            permissions: permissions.clone().into(),
        });
        self.allow_responses(connection, &permissions);
        let label = ConnectionLabel { client: connection.client_label.clone(), user: user_label(&account, &admission) };
        Active {
            route: self.route(&account, &permissions),
            extraordinary: session.is_verbose() || session.is_pedantic(),
            max_subscriptions: self.hub.settings().max_subscriptions_of(&admission),
            subscriptions: Subscriptions::new(self.hub.seed()),
            batch: BatchCount::default(),
            attempt: Some(attempt),
            session,
            account,
            permissions,
            peer,
            label,
            admission,
            options,
        }
    }

    fn route(&self, account: &crate::AccountState, permissions: &Arc<auth::Permissions>) -> Route {
        Route(u64::from(account.id.get()) << 32 | u64::from(self.hub.permission_number(permissions)))
    }

    fn allow_responses(&self, connection: &Connection, permissions: &auth::Permissions) {
        let mut queue = connection.link.queue.lock();
        match permissions.responses() {
            None => queue.reply_grants = None,
            Some(responses) => queue.reply_grants = Some(Box::new(auth::ReplyGrants::new(responses, self.hub.seed()))),
        }
    }

    /// When a login ends, on the clock of the house: with its user or its account, whichever ends first.
    fn expiry(&self, admission: &Admission) -> Option<moment::Instant> {
        let ends = admission.expires.into_iter().chain(admission.account_expires).min();
        ends.map(|at| self.now + at.since(self.wall))
    }

    /// A login has ended.
    pub(crate) fn login_expired(&mut self, connection: &Connection) -> Step {
        let text = match &connection.phase {
            Phase::Active(active) | Phase::Rejoining(active, _) => expired_text(&active.admission),
            _ => USER_EXPIRED_TEXT,
        };
        self.say_error(connection, text);
        Step::Close(CloseReason::AuthenticationExpired)
    }

    /// A CONNECT on a connection that is logged in.
    pub(crate) fn reconnect(&mut self, connection: &mut Connection, json: &[u8]) -> Taken {
        let settings = self.hub.settings();
        let mut handshake = Handshake::new(settings.handshake, self.now);
        let Phase::Active(active) = &connection.phase else { return Taken::Done };
        let options = match handshake.on_connect_again(json, &active.options) {
            Opening::Login(options) => options,
            Opening::Refuse(error) => return Taken::Close(self.refuse_opening(connection, &error)),
            Opening::Anonymous(_) => return Taken::Done,
        };
        let attempt = attempt(connection, &options);
        let Phase::Active(mut active) = mem::replace(&mut connection.phase, Phase::Over) else { return Taken::Done };
        // A further CONNECT ends earlier subscriptions, and ends them before the verdict: who is asking anew for a login
        // gets nothing on the strength of the old one meanwhile.
        if active.session.is_introduced() {
            for subscription in active.subscriptions.drain() {
                active.account.graph.leave(&subscription);
            }
        }
        connection.phase = Phase::Rejoining(active, options);
        match self.judge(connection, attempt) {
            None => Taken::Wait { consumed: true },
            Some(outcome) => match self.judged(connection, outcome) {
                Step::Close(reason) => Taken::Close(reason),
                Step::Continue => Taken::Done,
            },
        }
    }

    /// A second CONNECT was admitted. It never changes who a connection is: another identity ends it.
    fn rejoin(
        &mut self,
        connection: &mut Connection,
        mut active: Box<Active>,
        options: Box<ConnectOptions>,
        admission: Admission,
    ) -> Step {
        if !admission.is_same_identity(&active.admission) {
            connection.phase = Phase::Active(active);
            self.say_error(connection, LOGIN_REFUSED_TEXT);
            self.tell(connection, &Event::LoginRefused(&Refusal::IdentityChanged));
            return Step::Close(CloseReason::AuthenticationFailure);
        }
        active.session.reopen(&options, self.hub.settings().handshake.headers);
        active.extraordinary = active.session.is_verbose() || active.session.is_pedantic();
        connection.client_label = client_label(&options);
        active.label.client.clone_from(&connection.client_label);
        active.options = options;
        self.replace_peer(connection, &mut active, admission);
        // A client that introduces itself late keeps what it asked for before, under what it says now.
        self.judge_subscriptions(connection, &mut active);
        let facts = ConnectionFacts::new(&active.options, &active.admission);
        let (label, account) = (active.label.clone(), Some(active.account.clone()));
        self.hub.register(Registered { link: connection.link.clone(), label, account, facts });
        self.ok(&connection.link, &active);
        connection.phase = Phase::Active(active);
        Step::Continue
    }

    fn replace_peer(&mut self, connection: &mut Connection, active: &mut Active, admission: Admission) {
        let permissions = admission.permissions.clone();
        active.peer = Arc::new(Peer {
            link: connection.link.clone(),
            account: active.account.clone(),
            name: active.options.name.as_str().into(),
            headers: active.session.has_headers(),
            permissions: permissions.clone().into(),
        });
        self.allow_responses(connection, &permissions);
        active.route = self.route(&active.account, &permissions);
        active.permissions = permissions;
        active.session.expire_at(self.expiry(&admission));
        active.admission = admission;
        connection.limits = self.hub.settings().limits_after_login(active);
    }

    /// Directory or settings changed: the same function that admitted the connection judges it again.
    pub(crate) fn review(&mut self, connection: &mut Connection) -> Step {
        let Phase::Active(active) = &mut connection.phase else { return Step::Continue };
        let Some(attempt) = active.attempt.take() else { return Step::Continue };
        match self.judge(connection, attempt) {
            None => Step::Continue,
            Some(outcome) => self.judged(connection, outcome),
        }
    }

    /// The greeting changed (lame duck mode, other servers): clients that understand it are told.
    pub(crate) fn announce(&mut self, connection: &Connection) {
        let Phase::Active(active) = &connection.phase else { return };
        if !active.session.takes_infos() {
            return;
        }
        let mut greeting = self.hub.settings().greeting.clone();
        greeting.client_id = connection.link.key.id;
        greeting.client_ip = connection.link.address.ip().to_canonical().to_string();
        self.stages.line(&connection.link, &greeting.line());
    }

    /// A review admitted the connection again, perhaps with other permissions.
    fn readmit(&mut self, connection: &mut Connection, mut active: Box<Active>, admission: Admission) -> Step {
        if !admission.is_same_identity(&active.admission) {
            connection.phase = Phase::Active(active);
            return Step::Close(CloseReason::AuthenticationExpired);
        }
        let settings = self.hub.settings();
        let permissions = admission.permissions.clone();
        active.peer.permissions.store(permissions.clone());
        self.allow_responses(connection, &permissions);
        active.route = self.route(&active.account, &permissions);
        active.permissions = permissions;
        active.max_subscriptions = settings.max_subscriptions_of(&admission);
        active.session.expire_at(self.expiry(&admission));
        active.admission = admission;
        connection.limits = settings.limits_after_login(&active);
        self.judge_subscriptions(connection, &mut active);
        connection.phase = Phase::Active(active);
        Step::Continue
    }

    /// Subscriptions that are no longer allowed end with a word; the others get the grant that holds now.
    fn judge_subscriptions(&mut self, connection: &Connection, active: &mut Active) {
        // What was delivered in this batch is still with the plans.
        self.plans.settle();
        let all: Vec<_> = active.subscriptions.drain().collect();
        for subscription in all {
            let Target::Client(client) = &subscription.target else { continue };
            let (filter, queue) = (subscription.grant.filter.clone(), subscription.grant.queue.clone());
            let renewed = active.permissions.subscribe(filter, queue.as_ref());
            match renewed {
                Ok(grant) if is_as_before(&grant, &subscription.grant) && Arc::ptr_eq(&client.peer, &active.peer) => {
                    active.subscriptions.insert(subscription);
                }
                Ok(grant) => {
                    let target = Target::Client(client.moved(active.peer.clone()));
                    let renewed = active.account.graph.replace(&subscription, grant, target);
                    active.subscriptions.insert(renewed);
                }
                Err(denial) => {
                    active.account.graph.leave(&subscription);
                    let text = denial.wire_text_removed(&client.sid);
                    self.stages.line(&connection.link, &wire::encode::err(&text));
                    let event = Event::Denied { denial: &denial, sid: Some(&client.sid) };
                    self.hub.observer.event(&connection.link, &active.label, &event);
                }
            }
        }
    }

    /// No login in time, or nothing said at all.
    pub(crate) fn login_deadline(&mut self, connection: &mut Connection) -> Step {
        let due = match &mut connection.phase {
            Phase::Opening(handshake) => handshake.due(self.now),
            Phase::Judging(judging) => judging.handshake.due(self.now),
            _ => None,
        };
        match due {
            None => Step::Continue,
            Some(EarlyDue::LoginTimeout) => Step::Close(self.refuse_opening(connection, &LoginError::Timeout)),
            Some(EarlyDue::Session(due)) => self.session_due(connection, due),
        }
    }
}

/// Whether it was the user or the whole account that had its time.
fn expired_text(admission: &Admission) -> &'static str {
    match (admission.expires, admission.account_expires) {
        (Some(user), Some(account)) if account < user => ACCOUNT_EXPIRED_TEXT,
        (None, Some(_)) => ACCOUNT_EXPIRED_TEXT,
        _ => USER_EXPIRED_TEXT,
    }
}

/// Who did not say who it is has no name in the log.
fn user_label(account: &crate::AccountState, admission: &Admission) -> String {
    let tag = admission.user.tag();
    if tag.is_empty() { String::new() } else { format!(" - \"{}/{tag}\"", account.settings().name) }
}

/// Nothing is withheld, and nothing was.
fn is_as_before(grant: &auth::SubscribeGrant, before: &auth::SubscribeGrant) -> bool {
    !grant.is_filtered() && !before.is_filtered()
}

fn client_label(options: &ConnectOptions) -> String {
    let label = options.label();
    if label.is_empty() { String::new() } else { format!(" - {}", subject::Quoted(label.as_bytes())) }
}

/// Everything the peer showed, for the room that judges it.
fn attempt(connection: &Connection, options: &ConnectOptions) -> Attempt {
    let shown = crate::login::attempt(&connection.link, connection.nonce.as_deref(), options);
    Attempt { certificate: connection.certificate.clone(), ..shown }
}
