//! Logins with user claims. The chain of trust itself is judged in `jwt`; here it becomes an admission.

use std::sync::Arc;

use jwt::chain::{self, UserGrant, UserRefusal, admit_user};
use jwt::{Allow, Entry, Rule, Rules, UserClaims};
use moment::Timestamp;
use nkeys::PublicKey;

use crate::allowance::WrittenLimits;
use crate::attempt::{Attempt, UserLabel};
use crate::authenticate::Stop;
use crate::callout;
use crate::directory::{Operators, Tenant};
use crate::permissions::{Binding, Permissions, Source};
use crate::rule::{Origin, RuleError};
use crate::settings::{PermissionsSettings, Place, ResponsePermission, RuleText, SideSettings};
use crate::verdict::{Admission, ConnectionLimits, Proof, Refusal, UserFacts};

/// Judges an attempt by the claims it shows, or else by the sentinel's.
pub(crate) fn by_claims(
    operators: &Operators,
    attempt: &Attempt,
    proxy: Option<&PublicKey>,
    now: Timestamp,
) -> Result<Admission, Stop> {
    let user = shown(operators, attempt)?;
    let key = operators.trust.account_of(&user).map_err(|refusal| Refusal::User(user.common.subject, refusal))?;
    let tenant = operators.tenants.get(&key).ok_or(Stop::NeedAccount(key))?;
    let found = of_tenant(operators, tenant, &user, attempt, proxy.is_some(), now);
    match callout::question_of_claims(operators.chain, tenant, attempt, &user, &found, proxy) {
        Some(question) => Err(Stop::AskCallout(Box::new(question))),
        None => Ok(found?),
    }
}

fn of_tenant(
    operators: &Operators,
    tenant: &Tenant,
    user: &UserClaims,
    attempt: &Attempt,
    proxied: bool,
    now: Timestamp,
) -> Result<Admission, Refusal> {
    let nonce = attempt.nonce.as_deref().unwrap_or_default();
    let shown = chain::Attempt {
        nonce,
        // Without a challenge there is nothing that only the owner could have signed just now.
        signature: attempt.credentials.signature.as_deref().filter(|_| !nonce.is_empty()),
        address: attempt.address,
        connection: attempt.kind.in_claims(),
        via_trusted_proxy: proxied,
    };
    let grant = admit_user(&operators.trust, &tenant.trusted, user, &shown, &*operators.zones, now);
    admission(tenant, grant.map_err(|refusal| Refusal::User(user.common.subject, refusal))?)
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
fn admission(tenant: &Tenant, grant: UserGrant) -> Result<Admission, Refusal> {
    let account = tenant.account.clone();
    // In this account a callout service listens, whose place nobody may take.
    let callout = !tenant.trusted.claims().authorization.auth_users.is_empty();
    let binding = Binding { system: account.system, callout };
    let permissions = permissions(grant.rules.as_ref(), &source(&grant.origin), binding);
    let permissions = permissions.map_err(|_| Refusal::User(grant.user, UserRefusal::Permissions))?;
    let label = UserLabel::Jwt(grant.user.to_string());
    let unreadable = |fault| Refusal::Limits(label.clone(), fault);
    // Those of the account are in force already, if they can be read.
    WrittenLimits::of_tags(&tenant.trusted.claims().common.tags).map_err(unreadable)?;
    let limits = WrittenLimits::of_tags(&grant.tags).map_err(unreadable)?;
    let mut admission = Admission::new(account, Arc::new(permissions), label, Proof::Jwt);
    let own = ConnectionLimits { max_subscriptions: grant.max_subscriptions, max_payload: grant.max_payload };
    admission.limits = admission.limits.within(own);
    admission.limit(&limits);
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

/// Where the rules of claims come from.
pub(crate) fn source(origin: &chain::Origin) -> Source {
    match origin {
        chain::Origin::User => Source::Given(Origin::User),
        chain::Origin::Scope { key, role, templates } => {
            Source::Scope { key: key.to_string().into(), role: role.as_str().into(), templates: templates.clone() }
        }
        chain::Origin::AccountDefault => Source::Given(Origin::AccountDefault),
    }
}

/// The rules of claims, compiled.
pub(crate) fn permissions(rules: Option<&Rules>, source: &Source, binding: Binding) -> Result<Permissions, RuleError> {
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
    Permissions::compile(&settings, source, binding)
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
