//! What the service said, as a verdict.

use std::sync::Arc;

use account::Account;
use jwt::chain::{self, UserRefusal, admit_vouched, rights_of};
use jwt::{AllowedAccount, AuthorizationResponse, Rules, UserClaims, UserRights, bound};
use moment::Timestamp;
use nkeys::{PublicKey, Role};

use super::{Asked, CalloutRefusal, CalloutServer, MAX_ANSWER_BYTES};
use crate::attempt::{Attempt, UserLabel};
use crate::authenticate::Stop;
use crate::claims;
use crate::directory::{Directory, Tenant};
use crate::permissions::{Binding, Permissions};
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
    let judged = answer.ok_or(CalloutRefusal::NoAnswer).and_then(|answer| opened(asked, server, answer));
    let judged = judged.and_then(|text| user_in(directory, asked, server, &text, now));
    match judged.map_err(Stop::from).and_then(|user| placed(directory, attempt, asked, server, &user, now)) {
        Ok(mut admission) => {
            admission.proxy.clone_from(&asked.question.proxy);
            Verdict::Admit(admission)
        }
        Err(Stop::Refuse(refusal)) => Verdict::Refuse(refusal),
        Err(Stop::NeedAccount(key)) => Verdict::NeedAccount(key),
        Err(Stop::AskCallout(question)) => Verdict::AskCallout(question),
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

/// The user claims in the answer, about the right user and from the right hands.
fn user_in(
    directory: &Directory,
    asked: &Asked,
    server: &CalloutServer,
    token: &str,
    now: Timestamp,
) -> Result<UserClaims, CalloutRefusal> {
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
    if asked.question.operator_mode && asked.question.xkey.is_none() && !may_answer(directory, asked, &signer) {
        return Err(CalloutRefusal::UnknownSigner);
    }
    let user = UserClaims::decode(&answer.jwt).map_err(CalloutRefusal::UserMalformed)?;
    if user.common.subject != asked.user {
        return Err(CalloutRefusal::UserOther { expected: asked.user, found: user.common.subject });
    }
    Ok(user)
}

/// The account itself, or one of its signing keys.
fn may_answer(directory: &Directory, asked: &Asked, signer: &PublicKey) -> bool {
    let service = asked.question.authority;
    let known = |tenant: &Arc<Tenant>| tenant.trusted.claims().signing_keys.contains(signer);
    *signer == service || tenant(directory, &service).is_some_and(known)
}

fn tenant<'a>(directory: &'a Directory, key: &PublicKey) -> Option<&'a Arc<Tenant>> {
    directory.operators.as_ref()?.tenants.get(key)
}

/// The user in its account, with the rights that its claims give it.
fn placed(
    directory: &Directory,
    attempt: &Attempt,
    asked: &Asked,
    server: &CalloutServer,
    user: &UserClaims,
    now: Timestamp,
) -> Result<Admission, Stop> {
    let seat = match asked.question.operator_mode {
        true => seat_in_claims(directory, asked, user, now)?,
        false => seat_in_config(directory, asked, user)?,
    };
    let shown = chain::Attempt {
        nonce: b"",
        signature: None,
        address: attempt.address,
        connection: attempt.kind.in_claims(),
        via_trusted_proxy: asked.question.proxy.is_some(),
    };
    let expires = admit_vouched(user, &seat.rights, &shown, &*server.zones, now).map_err(CalloutRefusal::User)?;
    Ok(admission(asked, user, seat, expires, attempt))
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
fn seat_in_config(directory: &Directory, asked: &Asked, user: &UserClaims) -> Result<Seat, CalloutRefusal> {
    if user.issuer_account.is_some() {
        return Err(CalloutRefusal::IssuerAccount);
    }
    let (expected, found) = (asked.question.authority, user.common.issuer);
    if expected != found {
        return Err(CalloutRefusal::WrongIssuer { expected, found });
    }
    let name = &user.common.audience;
    let account = directory.account(name).ok_or_else(|| CalloutRefusal::AccountUnknown(name.clone()))?;
    let written = &user.rights.permissions;
    let binding = binding(asked, account);
    let permissions = match directory.default_permissions(account) {
        Some(defaults) if written.is_empty() => defaults,
        _ => {
            let rules = Rules::of(written).ok_or(CalloutRefusal::User(UserRefusal::Permissions))?;
            let rules = Some(&rules).filter(|_| !written.is_empty());
            Arc::new(compiled(rules, Origin::User, binding)?)
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
fn seat_in_claims(directory: &Directory, asked: &Asked, user: &UserClaims, now: Timestamp) -> Result<Seat, Stop> {
    let operators = directory.operators.as_ref().ok_or(CalloutRefusal::IssuerAccount)?;
    let (service, key) = (asked.question.authority, user.account());
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
    let binding = binding(asked, &tenant.account);
    let permissions = compiled(granted.rules.as_ref(), claims::origin(&granted.origin), binding)?;
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

fn binding(asked: &Asked, account: &Account) -> Binding {
    Binding { system: account.system, callout: account.name == asked.question.account.name }
}

fn compiled(rules: Option<&Rules>, origin: Origin, binding: Binding) -> Result<Permissions, CalloutRefusal> {
    claims::permissions(rules, origin, binding).map_err(|error| CalloutRefusal::Permissions(error.to_string()))
}

fn admission(asked: &Asked, user: &UserClaims, seat: Seat, expires: Option<Timestamp>, attempt: &Attempt) -> Admission {
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
        user: asked.user,
        name: user.common.name.clone(),
        tags: user.common.tags.clone(),
        account_name: seat.account_name,
        issuer: user.common.issuer,
        issued_at: user.common.issued_at,
    }));
    admission
}
