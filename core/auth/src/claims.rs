//! Logins with user claims. The chain of trust itself is judged in `jwt`; here it becomes an admission.

use std::sync::Arc;

use jwt::chain::{self, UserGrant, UserRefusal, admit_user};
use jwt::{Allow, Entry, Rule, Rules, UserClaims};
use moment::Timestamp;
use nkeys::PublicKey;

use crate::attempt::{Attempt, UserLabel};
use crate::authenticate::Stop;
use crate::directory::{Operators, Tenant};
use crate::permissions::{Binding, Permissions, Source};
use crate::rule::Origin;
use crate::settings::{PermissionsSettings, Place, ResponsePermission, RuleText, SideSettings};
use crate::verdict::{Admission, ConnectionLimits, Proof, Refusal, UserFacts};

/// Judges an attempt by the claims it shows, or else by the sentinel's.
pub(crate) fn by_claims(
    operators: &Operators,
    attempt: &Attempt,
    proxied: bool,
    now: Timestamp,
) -> Result<Admission, Stop> {
    let user = shown(operators, attempt)?;
    let refuse = |refusal| Refusal::User(user.common.subject, refusal);
    let key = operators.trust.account_of(&user).map_err(refuse)?;
    let tenant = operators.tenants.get(&key).ok_or(Stop::NeedAccount(key))?;
    let nonce = attempt.nonce.as_deref().unwrap_or_default();
    let shown = chain::Attempt {
        nonce,
        // Without a challenge there is nothing that only the owner could have signed just now.
        signature: attempt.credentials.signature.as_deref().filter(|_| !nonce.is_empty()),
        address: attempt.address,
        connection: attempt.kind.in_claims(),
        via_trusted_proxy: proxied,
    };
    let grant = admit_user(&operators.trust, &tenant.trusted, &user, &shown, &*operators.zones, now).map_err(refuse)?;
    Ok(admission(tenant, grant, Proof::Jwt, false)?)
}

/// The claims in CONNECT, or in an MQTT password, if they are claims at all; else the sentinel's.
fn shown(operators: &Operators, attempt: &Attempt) -> Result<UserClaims, Refusal> {
    let said = &attempt.credentials;
    let in_password = said.password.as_ref().filter(|_| attempt.kind.is_mqtt());
    let decoded = said.jwt.as_ref().or(in_password).map(|token| UserClaims::decode(token.expose()));
    match (decoded, &operators.sentinel) {
        (Some(Ok(claims)), _) => Ok(claims),
        (_, Some(sentinel)) => UserClaims::decode(sentinel.expose()).map_err(Refusal::JwtMalformed),
        (Some(Err(error)), None) => Err(Refusal::JwtMalformed(error)),
        (None, None) => Err(Refusal::JwtMissing),
    }
}

/// What was granted, as an admission.
pub(crate) fn admission(tenant: &Tenant, grant: UserGrant, by: Proof, callout: bool) -> Result<Admission, Refusal> {
    let account = tenant.account.clone();
    let binding = Binding { system: account.system, callout };
    let permissions = permissions(grant.rules.as_ref(), origin(&grant.origin), binding, &grant.user)?;
    let label = UserLabel::Jwt(grant.user.to_string());
    let mut admission = Admission::new(account, Arc::new(permissions), label, by);
    let own = ConnectionLimits { max_subscriptions: grant.max_subscriptions, max_payload: grant.max_payload };
    admission.limits = admission.limits.within(own);
    admission.expires = grant.expires;
    admission.account_expires = grant.account_expires;
    admission.claims = Some(Arc::new(UserFacts {
        user: grant.user,
        name: grant.name,
        tags: grant.tags,
        account_name: grant.account_name,
        issuer: grant.issuer,
        issued_at: grant.issued_at,
    }));
    Ok(admission)
}

fn origin(origin: &chain::Origin) -> Origin {
    match origin {
        chain::Origin::User => Origin::User,
        chain::Origin::Scope { key, .. } => Origin::Scope(key.to_string().into()),
        chain::Origin::AccountDefault => Origin::AccountDefault,
    }
}

/// The rules of claims, compiled.
pub(crate) fn permissions(
    rules: Option<&Rules>,
    origin: Origin,
    binding: Binding,
    user: &PublicKey,
) -> Result<Permissions, Refusal> {
    let Some(rules) = rules else {
        return Ok(Permissions::unrestricted(binding));
    };
    let responses = rules.responses.map(|answers| ResponsePermission {
        max: answers.max,
        expires: answers.expires.unwrap_or(std::time::Duration::MAX),
    });
    let settings = PermissionsSettings {
        publish: side(&rules.publish),
        subscribe: side(&rules.subscribe),
        allow_responses: responses,
        place: Place::default(),
    };
    Permissions::compile(&settings, &Source::Given(origin), binding)
        .map_err(|_| Refusal::User(*user, UserRefusal::Permissions))
}

fn side(rule: &Rule) -> SideSettings {
    let texts = |entries: &[Entry]| -> Vec<RuleText> {
        entries.iter().map(|entry| RuleText { text: entry.to_string(), place: Place::default() }).collect()
    };
    let allow = match &rule.allow {
        Allow::Everything => None,
        Allow::Only(entries) => Some(texts(entries)),
    };
    SideSettings { allow, deny: Some(texts(&rule.deny)) }
}
