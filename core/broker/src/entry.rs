//! Coming in: greeting, login, second CONNECT, and being judged again.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use auth::{Admission, Attempt, ClientFacts, Cost, Directory, Refusal, Verdict, Vouched};
use session::{ClientLabel, ConnectOptions, EarlyDue, Greeting, Handshake, LoginError, MemberLabel, Opening, Session};
use wire::CloseReason;

use crate::connection::{Active, BatchCount, Connection, Judging, Phase, Step};
use crate::engine::{Engine, Taken};
use crate::hub::Registered;
use crate::ledger::ConnectionFacts;
use crate::link::{Link, LinkStats};
use crate::login::{LoginJob, LoginOutcome, patience};
use crate::meter::Meter;
use crate::observer::{ConnectionLabel, Event};
use crate::plan::Route;
use crate::subscription::{Peer, Target};
use crate::subscriptions::Subscriptions;
use crate::user_state::Seat;

/// What every refused login hears, whatever the reason.
const LOGIN_REFUSED_TEXT: &str = "Authorization Violation";

/// What a user hears whose time is over.
const USER_EXPIRED_TEXT: &str = "User Authentication Expired";

/// What users hear when the time of their account is over.
const ACCOUNT_EXPIRED_TEXT: &str = "Account Authentication Expired";

impl Engine {
    /// Sends the first INFO.
    pub(crate) fn greet(&mut self, connection: &Connection) {
        let mut greeting = self.greeting_for(&connection.link);
        if connection.awaits_address {
            greeting.client_ip.clear();
        }
        greeting.nonce = connection.nonce.as_deref().map(str::to_owned);
        self.stages.line(&connection.link, &greeting.line());
        let (label, facts) = (ConnectionLabel::default(), Arc::default());
        self.hub.observer.event(&connection.link, &label, &Event::Accepted);
        self.hub.register(Registered { link: connection.link.clone(), label, account: None, facts, peer: None });
    }

    /// What the server says of itself to this peer.
    pub(crate) fn greeting_for(&self, link: &Link) -> Greeting {
        let mut greeting = self.hub.settings().greeting_of(link.carrier);
        greeting.client_id = link.key.id;
        greeting.client_ip = link.address.ip().to_canonical().to_string();
        greeting
    }

    /// The INFO that answers the first PING after login.
    pub(crate) fn info_after_login(&self, link: &Link, active: &Active) -> Vec<u8> {
        let mut greeting = self.greeting_for(link);
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
    fn log_in(&mut self, connection: &mut Connection, mut options: Box<ConnectOptions>, by_connect: bool) -> Taken {
        let Phase::Opening(mut handshake) = mem::replace(&mut connection.phase, Phase::Over) else {
            return Taken::Done;
        };
        handshake.is_judged(self.now);
        if by_connect {
            connection.presented.iter().for_each(|presented| presented.fill(&mut options));
            connection.link.stats.assume_rtt(self.now.since(connection.link.started));
        }
        connection.client_label = client_label(&options);
        let attempt = attempt(connection, &options);
        let facts = facts(connection, &options);
        connection.phase = Phase::Judging(Box::new(Judging { handshake, options, by_connect }));
        match self.judge(connection, attempt, facts, None) {
            None => Taken::Wait { consumed: by_connect },
            Some(outcome) => match self.judged(connection, outcome) {
                Step::Close(reason) => Taken::Close(reason),
                Step::Continue | Step::StartTls if by_connect => Taken::Done,
                Step::Continue | Step::StartTls => Taken::Again,
            },
        }
    }

    /// The verdict, if it is had at once.
    fn judge(
        &mut self,
        connection: &Connection,
        attempt: Attempt,
        client: ClientFacts,
        vouched: Option<Arc<Vouched>>,
    ) -> Option<LoginOutcome> {
        let epoch = self.hub.epoch();
        let directory = self.hub.directory();
        let is_stranger = matches!(connection.phase, Phase::Judging(_));
        let settings = self.hub.settings();
        if is_stranger && !self.hub.penalties.judges(connection.link.address.ip(), &settings.before_login) {
            let verdict = Verdict::Refuse(Refusal::TooManyLogins);
            return Some(LoginOutcome { attempt, verdict, vouched, directory, epoch });
        }
        if directory.cost(&attempt) == Cost::Cheap {
            let verdict = auth::authenticate(&directory, &attempt, self.wall);
            // What is not final, somebody else has to be asked about.
            if verdict.is_final() {
                return Some(LoginOutcome { attempt, verdict, vouched: None, directory, epoch });
            }
        }
        let key = connection.link.key;
        let patience = patience(settings.handshake_of(connection.link.carrier).auth_timeout);
        let job = LoginJob { key, directory, attempt, client, vouched, patience, epoch };
        match self.hub.logins.submit(job) {
            Ok(()) => None,
            Err(LoginJob { attempt, vouched, directory, .. }) => {
                let verdict = Verdict::Refuse(Refusal::TooManyLogins);
                Some(LoginOutcome { attempt, verdict, vouched, directory, epoch })
            }
        }
    }

    /// A verdict has come: the first one, or that of a second CONNECT, or of a review.
    pub(crate) fn judged(&mut self, connection: &mut Connection, outcome: LoginOutcome) -> Step {
        if matches!(connection.phase, Phase::Server(_)) {
            return self.link_judged(connection, outcome);
        }
        if outcome.epoch != self.hub.epoch() && matches!(outcome.verdict, Verdict::Admit(_)) {
            return self.judged_too_early(connection, outcome);
        }
        let LoginOutcome { attempt, verdict, vouched, directory, .. } = outcome;
        let address = connection.link.address.ip();
        let verdict = match &connection.phase {
            Phase::Active(_) => self.hub.unless_banned_since(address, verdict, self.wall),
            _ => self.hub.unless_banned(address, verdict, self.wall),
        };
        let judged_by = spares_proof(&directory).then_some(directory);
        match (mem::replace(&mut connection.phase, Phase::Over), verdict) {
            (Phase::Judging(judging), Verdict::Admit(admission)) => {
                self.admit(connection, *judging, Remembered { attempt, vouched, judged_by }, admission)
            }
            (Phase::Rejoining(mut active, options), Verdict::Admit(admission)) => {
                (active.attempt, active.vouched, active.judged_by) = (Some(attempt), vouched, judged_by);
                self.rejoin(connection, active, options, admission)
            }
            (Phase::Active(mut active), Verdict::Admit(admission)) => {
                (active.attempt, active.vouched, active.judged_by) = (Some(attempt), vouched, judged_by);
                self.readmit(connection, active, admission)
            }
            (Phase::Active(active), verdict) => {
                // A review found the login gone.
                connection.phase = Phase::Active(active);
                self.turn_out(connection, verdict)
            }
            (phase, verdict) => {
                connection.phase = phase;
                self.refuse(connection, &attempt, verdict)
            }
        }
    }

    /// The house was reconfigured while the login was judged: what let it in may be gone.
    fn judged_too_early(&mut self, connection: &mut Connection, outcome: LoginOutcome) -> Step {
        let options = match &connection.phase {
            Phase::Judging(judging) => judging.options.clone(),
            Phase::Active(active) => active.options.clone(),
            Phase::Rejoining(_, options) => options.clone(),
            Phase::Opening(_) | Phase::Refused(..) | Phase::Server(_) | Phase::Over => return Step::Continue,
        };
        let facts = facts(connection, &options);
        match self.judge(connection, outcome.attempt, facts, outcome.vouched) {
            None => Step::Continue,
            Some(outcome) => self.judged(connection, outcome),
        }
    }

    /// Whoever fails often waits for the answer.
    fn refuse(&mut self, connection: &mut Connection, attempt: &Attempt, verdict: Verdict) -> Step {
        let refusal = match verdict {
            Verdict::Refuse(refusal) => refusal,
            Verdict::NeedAccount(account) => Refusal::UnknownAccount(account),
            Verdict::Admit(_) | Verdict::AskCallout(_) => Refusal::NoCredentials,
        };
        self.tell(connection, &Event::LoginRefused(&refusal));
        let delay = match (&connection.phase, &refusal) {
            (_, Refusal::TooManyLogins) => Duration::ZERO,
            (Phase::Judging(_), _) => {
                let said = &attempt.credentials;
                let user = said.user.as_deref().or(said.nkey.as_deref());
                let bounds = &self.hub.settings().before_login;
                self.hub.penalties.failed(connection.link.address.ip(), user, bounds, self.now)
            }
            _ => Duration::ZERO,
        };
        match mem::replace(&mut connection.phase, Phase::Over) {
            Phase::Judging(judging) if !delay.is_zero() => {
                connection.phase = Phase::Refused(judging, self.now + delay);
                Step::Continue
            }
            phase => {
                connection.phase = phase;
                self.answer_refused(connection)
            }
        }
    }

    /// A refused peer hears that it is.
    pub(crate) fn answer_refused(&mut self, connection: &Connection) -> Step {
        self.say_error(connection, LOGIN_REFUSED_TEXT);
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

    fn admit(
        &mut self,
        connection: &mut Connection,
        judging: Judging,
        shown: Remembered,
        admission: Admission,
    ) -> Step {
        let Judging { handshake, options, by_connect } = judging;
        let account = self.hub.account(&admission.account);
        if account.join().is_err() {
            self.say_error(connection, "maximum account active connections exceeded");
            return Step::Close(CloseReason::MaxAccountConnectionsExceeded);
        }
        let Ok(seat) = self.hub.users.enter(account.id, &admission, self.now) else {
            account.leave(&LinkStats::default());
            self.say_error(connection, "maximum user active connections exceeded");
            return Step::Close(CloseReason::MaxConnectionsExceeded);
        };
        let settings = self.hub.settings();
        let expires = self.expiry(&admission);
        let chance = self.chance.next();
        let headers = handshake.offers_headers();
        let mut session =
            Session::open(&options, headers, settings.ping_of(connection.link.carrier), expires, self.now, chance);
        if by_connect {
            session.assume_rtt(Duration::from_nanos(connection.link.stats.numbers().rtt));
        }
        let mut active = self.activate(connection, session, account, admission, shown, options);
        active.meter = meter(seat.as_ref(), &active.account, &active.admission, self.now);
        active.seat = seat;
        connection.limits = settings.limits_after_login(&active);
        let label = active.label.clone();
        let (account, peer) = (active.account.clone(), Some(active.peer.clone()));
        if by_connect {
            self.ok(&connection.link, &active);
        }
        let facts = ConnectionFacts::new(&active.options, &active.admission, connection);
        connection.link.stats.note(&active);
        connection.phase = Phase::Active(Box::new(active));
        self.known(connection);
        let (link, home) = (connection.link.clone(), Some(account.clone()));
        self.hub.register(Registered { link, label, account: home, facts: facts.clone(), peer });
        self.tell(connection, &Event::Admitted { facts: &facts, account: &account });
        if self.hub.is_kept_out(connection.link.address.ip(), Some(&account), &facts.user, self.wall) {
            return Step::Close(CloseReason::Kicked);
        }
        self.review_if_stale(connection)
    }

    /// The account may have changed while the login was judged: then it is judged once more.
    fn review_if_stale(&mut self, connection: &mut Connection) -> Step {
        let Phase::Active(active) = &connection.phase else { return Step::Continue };
        let judged_by = &active.admission.account;
        let directory = self.hub.directory();
        let is_stale = directory.account(judged_by.name.as_str()).is_none_or(|now| !Arc::ptr_eq(now, judged_by));
        if is_stale { self.review(connection) } else { Step::Continue }
    }

    /// Puts together what an admitted connection is made of.
    fn activate(
        &mut self,
        connection: &Connection,
        session: Session,
        account: Arc<crate::AccountState>,
        admission: Admission,
        shown: Remembered,
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
        let label =
            ConnectionLabel { client: connection.client_label.clone(), member: member_label(&account, &admission) };
        Active {
            route: self.route(&account, &permissions),
            extraordinary: session.is_verbose() || session.is_pedantic(),
            max_subscriptions: self.hub.settings().max_subscriptions_of(&admission),
            subscriptions: Subscriptions::new(self.hub.seed()),
            batch: BatchCount::default(),
            attempt: Some(shown.attempt),
            vouched: shown.vouched,
            judged_by: shown.judged_by,
            session,
            account,
            permissions,
            peer,
            label,
            admission,
            options,
            seat: None,
            meter: None,
        }
    }

    fn route(&self, account: &crate::AccountState, permissions: &Arc<auth::Permissions>) -> Route {
        Route::of(account, self.hub.permission_number(permissions))
    }

    /// Whether the peer may answer where it is asked. From now on it is remembered where it was.
    pub(crate) fn allow_responses(&self, connection: &Connection, permissions: &auth::Permissions) -> bool {
        let grants = permissions.responses().map(|responses| auth::ReplyGrants::new(responses, self.hub.seed()));
        let allowed = grants.is_some();
        connection.link.queue.lock().reply_grants = grants.map(Box::new);
        allowed
    }

    /// When a login ends, on the clock of the house: with its user or its account, whichever ends first.
    pub(crate) fn expiry(&self, admission: &Admission) -> Option<moment::Instant> {
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
        let mut handshake = Handshake::new(settings.handshake_of(connection.link.carrier), self.now);
        let Phase::Active(active) = &connection.phase else { return Taken::Done };
        let options = match handshake.on_connect_again(json, &active.options) {
            Opening::Login(options) => options,
            Opening::Refuse(error) => return Taken::Close(self.refuse_opening(connection, &error)),
            Opening::Anonymous(_) => return Taken::Done,
        };
        let attempt = attempt(connection, &options);
        let facts = facts(connection, &options);
        let Phase::Active(mut active) = mem::replace(&mut connection.phase, Phase::Over) else { return Taken::Done };
        // A further CONNECT ends earlier subscriptions, and ends them before the verdict: who is asking anew for a login
        // gets nothing on the strength of the old one meanwhile.
        if active.session.is_introduced() {
            for subscription in active.subscriptions.drain() {
                self.withdraw(&active.account, &subscription);
            }
        }
        connection.phase = Phase::Rejoining(active, options);
        match self.judge(connection, attempt, facts, None) {
            None => Taken::Wait { consumed: true },
            Some(outcome) => match self.judged(connection, outcome) {
                Step::Close(reason) => Taken::Close(reason),
                Step::Continue | Step::StartTls => Taken::Done,
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
        let facts = ConnectionFacts::new(&active.options, &active.admission, connection);
        let (label, account) = (active.label.clone(), Some(active.account.clone()));
        let (link, peer) = (connection.link.clone(), Some(active.peer.clone()));
        self.hub.register(Registered { link, label, account, facts, peer });
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
        self.limit_anew(connection, active, &admission);
        active.admission = admission;
        connection.limits = self.hub.settings().limits_after_login(active);
    }

    /// Limits may be other ones now. Whoever waits for the older ones asks again.
    fn limit_anew(&self, connection: &mut Connection, active: &mut Active, admission: &Admission) {
        let of_account = |admission: &Admission| admission.account.limits.rates;
        let is_as_before =
            admission.allowance == active.admission.allowance && of_account(admission) == of_account(&active.admission);
        if is_as_before {
            return;
        }
        active.seat = self.hub.users.stay(active.account.id, admission, active.seat.take(), self.now);
        active.meter = meter(active.seat.as_ref(), &active.account, admission, self.now);
        connection.held_until = connection.held_until.map(|_| self.now);
    }

    /// Directory or settings changed: the same function that admitted the connection judges it again.
    pub(crate) fn review(&mut self, connection: &mut Connection) -> Step {
        if matches!(connection.phase, Phase::Server(_)) {
            return self.review_link(connection);
        }
        let Phase::Active(active) = &mut connection.phase else { return Step::Continue };
        let Some(attempt) = active.attempt.take() else { return Step::Continue };
        let (epoch, directory) = (self.hub.epoch(), self.hub.directory());
        let again = active.judged_by.take();
        let again = again.and_then(|older| auth::authenticate_again(&directory, &older, &attempt, &active.admission));
        if let Some(verdict) = again {
            return self.judged(connection, LoginOutcome { attempt, verdict, vouched: None, directory, epoch });
        }
        let (vouched, options) = (active.vouched.take(), active.options.clone());
        let facts = facts(connection, &options);
        match self.judge(connection, attempt, facts, vouched) {
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
        let greeting = self.greeting_for(&connection.link);
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
        self.limit_anew(connection, &mut active, &admission);
        active.admission = admission;
        connection.limits = settings.limits_after_login(&active);
        self.judge_subscriptions(connection, &mut active);
        connection.phase = Phase::Active(active);
        self.review_if_stale(connection)
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
                    let renewed = self.hub.replace(&active.account, &subscription, grant, target);
                    active.subscriptions.insert(renewed);
                }
                Err(denial) => {
                    self.withdraw(&active.account, &subscription);
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
fn member_label(account: &crate::AccountState, admission: &Admission) -> Option<Arc<MemberLabel>> {
    MemberLabel::of(account.settings().name.as_str(), admission.user.tag()).map(Arc::new)
}

/// What limits how much a connection may publish: limits of its user, and of its account.
fn meter(
    seat: Option<&Seat>,
    account: &crate::AccountState,
    admission: &Admission,
    now: moment::Instant,
) -> Option<Box<Meter>> {
    let of_user = seat.map(|seat| (&seat.user().taps, admission.allowance.rates));
    Meter::new(of_user.into_iter().chain([(&account.taps, admission.account.limits.rates)]), now)
}

/// Nothing is withheld, and nothing was.
fn is_as_before(grant: &auth::SubscribeGrant, before: &auth::SubscribeGrant) -> bool {
    !grant.is_filtered() && !before.is_filtered()
}

fn client_label(options: &ConnectOptions) -> Option<Arc<ClientLabel>> {
    ClientLabel::of(options).map(Arc::new)
}

/// Everything the peer showed, for the room that judges it.
fn attempt(connection: &Connection, options: &ConnectOptions) -> Attempt {
    let shown = crate::login::attempt(&connection.link, connection.nonce.as_deref(), options);
    Attempt { certificate: connection.certificate.clone(), ..shown }
}

/// What a service that decides may want to know beside that.
fn facts(connection: &Connection, options: &ConnectOptions) -> ClientFacts {
    crate::login::facts(&connection.link, connection.tls.as_deref(), options)
}

/// What a login was judged by, for the time when it is judged again.
struct Remembered {
    attempt: Attempt,
    vouched: Option<Arc<Vouched>>,
    judged_by: Option<Arc<Directory>>,
}

/// Whether logins that this directory admitted can be judged again without proof. That of operators changes with each
/// account, so that keeping it would keep many.
fn spares_proof(directory: &Directory) -> bool {
    directory.trust().is_none()
}
