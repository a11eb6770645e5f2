//! What the service said, as a verdict.

use std::sync::Arc;

use account::Account;
use jwt::chain::{self, UserRefusal, admit_vouched, rights_of};
use jwt::{AllowedAccount, AuthorizationResponse, Rules, UserClaims, UserRights, bound};
use moment::Timestamp;
use nkeys::{PublicKey, Role};
use secret::Secret;

use super::{Asked, CalloutQuestion, CalloutRefusal, CalloutServer, MAX_ANSWER_BYTES};
use crate::allowance::WrittenLimits;
use crate::attempt::{Attempt, UserLabel};
use crate::authenticate::Stop;
use crate::claims;
use crate::directory::{Directory, Tenant};
use crate::permissions::{Binding, Permissions, Source};
use crate::rule::Origin;
use crate::verdict::{Admission, ConnectionLimits, Proof, Refusal, UserFacts, Verdict};

/// The verdict that follows from the service's answer; `None` if none came in time. Like [`crate::authenticate`] it may
/// ask for an account, and can then be called again with the same answer.
pub fn conclude(
    directory: &Directory,
    attempt: &Attempt,
    asked: &Asked,
    server: &CalloutServer,
    answer: Option<&[u8]>,
    now: Timestamp,
) -> Verdict {
    match asked.heard(server, answer, now) {
        Err(Refusal::Callout(CalloutRefusal::NoAnswer)) => asked.question.unanswered(),
        Ok(vouched) => asked.question.admit(directory, attempt, &vouched, server, now),
        Err(refusal) => Verdict::Refuse(refusal),
    }
}

/// What the service said about a user. It is kept as long as the user stays: when the directory changes, the same word is
/// judged again and the service is left in peace.
#[derive(Clone)]
pub struct Vouched {
    /// By this name the service calls the user.
    user: PublicKey,
    /// Who signed the answer, or for which account.
    signer: PublicKey,
    /// The user's claims.
    claims: Secret<String>,
}

impl Vouched {
    /// When the user has to leave, as far as its claims say so.
    pub fn expires(&self) -> Option<Timestamp> {
        let user = UserClaims::decode(self.claims.expose()).ok()?;
        Some(user.common.expires).filter(|expires| *expires != 0).map(Timestamp::from_secs)
    }
}

impl Asked {
    /// What was asked.
    pub const fn question(&self) -> &CalloutQuestion {
        &self.question
    }

    /// Reads the service's answer; `None` if none came in time.
    pub fn heard(&self, server: &CalloutServer, answer: Option<&[u8]>, now: Timestamp) -> Result<Vouched, Refusal> {
        let answer = answer.ok_or(CalloutRefusal::NoAnswer).and_then(|answer| opened(self, server, answer));
        answer.and_then(|token| vouched(self, server, &token, now)).map_err(Refusal::Callout)
    }
}

impl CalloutQuestion {
    /// The verdict that follows from the service's word. May ask for an account, like [`crate::authenticate`].
    pub fn admit(
        &self,
        directory: &Directory,
        attempt: &Attempt,
        vouched: &Vouched,
        server: &CalloutServer,
        now: Timestamp,
    ) -> Verdict {
        let user = user_in(self, directory, vouched).map_err(Stop::from);
        match user.and_then(|user| placed(self, directory, attempt, server, &user, now)) {
            Ok(mut admission) => {
                admission.proxy.clone_from(&self.proxy);
                Verdict::Admit(admission)
            }
            Err(Stop::Refuse(refusal)) => Verdict::Refuse(refusal),
            Err(Stop::NeedAccount(key)) => Verdict::NeedAccount(key),
            Err(Stop::AskCallout(question)) => Verdict::AskCallout(question),
        }
    }
}

impl From<CalloutRefusal> for Stop {
    fn from(refusal: CalloutRefusal) -> Self {
        Self::Refuse(Refusal::Callout(refusal))
    }
}

/// Where requests are sealed, so are answers: one in the clear could come from anybody in the account.
fn opened(asked: &Asked, server: &CalloutServer, answer: &[u8]) -> Result<String, CalloutRefusal> {
    if answer.is_empty() {
        return Err(CalloutRefusal::Empty);
    }
    if answer.len() > MAX_ANSWER_BYTES {
        return Err(CalloutRefusal::TooLong);
    }
    let token = match &asked.question.xkey {
        None => answer.to_vec(),
        Some(_) if answer.starts_with(b"eyJ") => return Err(CalloutRefusal::InTheClear),
        Some(service) => server.xkey.open(answer, service).map_err(CalloutRefusal::Sealed)?,
    };
    String::from_utf8(token).map_err(|_| CalloutRefusal::Malformed(jwt::DecodeError::Chunks))
}

/// The answer, about the right user and for this server.
fn vouched(asked: &Asked, server: &CalloutServer, token: &str, now: Timestamp) -> Result<Vouched, CalloutRefusal> {
    let answer = AuthorizationResponse::decode(token).map_err(CalloutRefusal::Malformed)?;
    if let Some(issue) = answer.validate(now.as_secs()).iter().next() {
        return Err(CalloutRefusal::Invalid(issue.text.clone()));
    }
    if answer.common.subject != asked.user {
        return Err(CalloutRefusal::OtherUser);
    }
    if answer.common.audience != server.key.public().to_string() {
        return Err(CalloutRefusal::OtherServer);
    }
    if !answer.error.is_empty() {
        return Err(CalloutRefusal::Denied(answer.error));
    }
    let signer = answer.issuer_account.unwrap_or(answer.common.issuer);
    Ok(Vouched { user: asked.user, signer, claims: Secret::new(answer.jwt) })
}

/// The user claims in the answer, from the right hands and about the right user.
fn user_in(question: &CalloutQuestion, directory: &Directory, vouched: &Vouched) -> Result<UserClaims, CalloutRefusal> {
    if question.operator_mode && question.xkey.is_none() && !may_answer(question, directory, &vouched.signer) {
        return Err(CalloutRefusal::UnknownSigner);
    }
    let user = UserClaims::decode(vouched.claims.expose()).map_err(CalloutRefusal::UserMalformed)?;
    if user.common.subject != vouched.user {
        return Err(CalloutRefusal::UserOther { expected: vouched.user, found: user.common.subject });
    }
    Ok(user)
}

/// The account itself, or one of its signing keys.
fn may_answer(question: &CalloutQuestion, directory: &Directory, signer: &PublicKey) -> bool {
    let service = question.authority;
    let known = |tenant: &Arc<Tenant>| tenant.trusted.claims().signing_keys.contains(signer);
    *signer == service || tenant(directory, &service).is_some_and(known)
}

fn tenant<'a>(directory: &'a Directory, key: &PublicKey) -> Option<&'a Arc<Tenant>> {
    directory.operators.as_ref()?.tenants.get(key)
}

/// The user in its account, with the rights that its claims give it.
fn placed(
    question: &CalloutQuestion,
    directory: &Directory,
    attempt: &Attempt,
    server: &CalloutServer,
    user: &UserClaims,
    now: Timestamp,
) -> Result<Admission, Stop> {
    let seat = match question.operator_mode {
        true => seat_in_claims(question, directory, user, now)?,
        false => seat_in_config(question, directory, user)?,
    };
    let shown = chain::Attempt {
        nonce: b"",
        signature: None,
        address: attempt.address,
        connection: attempt.kind.in_claims(),
        via_trusted_proxy: question.proxy.is_some(),
    };
    let expires = admit_vouched(user, &seat.rights, &shown, &*server.zones, now).map_err(CalloutRefusal::User)?;
    let limits = limits(user, &seat, directory, attempt)?;
    let mut admission = admission(user, seat, expires, attempt);
    admission.limit(&limits);
    Ok(admission)
}

/// The limits in the tags of the user. Those of its account are in force already, if they can be read.
fn limits(user: &UserClaims, seat: &Seat, directory: &Directory, attempt: &Attempt) -> Result<WrittenLimits, Refusal> {
    let tenant = seat.account.nkey.as_ref().and_then(|key| directory.claims_of(key));
    let of_account = tenant.map_or(&[][..], |tenant| &tenant.claims().common.tags);
    let read = WrittenLimits::of_tags(of_account).and_then(|_| WrittenLimits::of_tags(&user.common.tags));
    read.map_err(|fault| Refusal::Limits(attempt.claimed(), fault))
}

/// Where a user is placed, and with what.
struct Seat {
    account: Arc<Account>,
    account_name: String,
    account_expires: Option<Timestamp>,
    permissions: Arc<Permissions>,
    rights: UserRights,
}

/// The audience names the account; the configured issuer has signed.
fn seat_in_config(
    question: &CalloutQuestion,
    directory: &Directory,
    user: &UserClaims,
) -> Result<Seat, CalloutRefusal> {
    if user.issuer_account.is_some() {
        return Err(CalloutRefusal::IssuerAccount);
    }
    let (expected, found) = (question.authority, user.common.issuer);
    if expected != found {
        return Err(CalloutRefusal::WrongIssuer { expected, found });
    }
    let name = &user.common.audience;
    let account = directory.account(name).ok_or_else(|| CalloutRefusal::AccountUnknown(name.clone()))?;
    let written = &user.rights.permissions;
    let binding = binding(question, account);
    let permissions = match directory.default_permissions(account) {
        Some(defaults) if written.is_empty() => defaults,
        _ => {
            let rules = Rules::of(written).ok_or(CalloutRefusal::User(UserRefusal::Permissions))?;
            let rules = Some(&rules).filter(|_| !written.is_empty());
            Arc::new(compiled(rules, &Source::Given(Origin::Answer), binding)?)
        }
    };
    Ok(Seat {
        account: account.clone(),
        account_name: name.clone(),
        account_expires: None,
        permissions,
        rights: user.rights.clone(),
    })
}

/// The issuing account is the service's own, or one in which it may place users; the chain holds down to the user.
fn seat_in_claims(
    question: &CalloutQuestion,
    directory: &Directory,
    user: &UserClaims,
    now: Timestamp,
) -> Result<Seat, Stop> {
    let operators = directory.operators.as_ref().ok_or(CalloutRefusal::IssuerAccount)?;
    let (service, key) = (question.authority, user.account());
    if key != service && !may_place(directory, &service, &key) {
        return Err(CalloutRefusal::AccountNotAllowed(key).into());
    }
    if key.role() != Role::Account {
        return Err(CalloutRefusal::AccountUnknown(key.to_string()).into());
    }
    let tenant = operators.tenants.get(&key).ok_or(Stop::NeedAccount(key))?;
    let current = tenant.trusted.check(&operators.trust, now).map_err(UserRefusal::Account);
    current.map_err(CalloutRefusal::User)?;
    let granted = rights_of(&operators.trust, &tenant.trusted, user).map_err(CalloutRefusal::User)?;
    let binding = binding(question, &tenant.account);
    let source = match claims::source(&granted.origin) {
        Source::Given(Origin::User) => Source::Given(Origin::Answer),
        by_account => by_account,
    };
    let permissions = compiled(granted.rules.as_ref(), &source, binding)?;
    Ok(Seat {
        account: tenant.account.clone(),
        account_name: tenant.trusted.claims().common.name.clone(),
        account_expires: tenant.trusted.expires(),
        permissions: Arc::new(permissions),
        rights: granted.rights,
    })
}

fn may_place(directory: &Directory, service: &PublicKey, account: &PublicKey) -> bool {
    let Some(tenant) = tenant(directory, service) else { return false };
    let allowed = &tenant.trusted.claims().authorization.allowed_accounts;
    allowed.iter().any(|allowed| match allowed {
        AllowedAccount::Any => true,
        AllowedAccount::Account(key) => key == account,
    })
}

fn binding(question: &CalloutQuestion, account: &Account) -> Binding {
    Binding { system: account.system, callout: account.name == question.account.name }
}

fn compiled(rules: Option<&Rules>, source: &Source, binding: Binding) -> Result<Permissions, CalloutRefusal> {
    claims::permissions(rules, source, binding).map_err(|error| CalloutRefusal::Permissions(error.to_string()))
}

fn admission(user: &UserClaims, seat: Seat, expires: Option<Timestamp>, attempt: &Attempt) -> Admission {
    // The service may call the user what it likes; otherwise it is who it said it is.
    let label = match user.common.name.as_str() {
        "" => attempt.claimed(),
        name => UserLabel::User(name.to_owned()),
    };
    let mut admission = Admission::new(seat.account, seat.permissions, label, Proof::Callout);
    let limits = seat.rights.limits;
    let own = ConnectionLimits { max_subscriptions: bound(limits.subs), max_payload: bound(limits.payload) };
    admission.limits = admission.limits.within(own);
    admission.expires = expires;
    admission.account_expires = seat.account_expires;
    admission.claims = Some(Arc::new(UserFacts {
        user: user.common.subject,
        name: user.common.name.clone(),
        tags: user.common.tags.clone(),
        account_name: seat.account_name,
        issuer: user.common.issuer,
        issued_at: user.common.issued_at,
    }));
    admission
}
