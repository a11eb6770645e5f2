use std::collections::BTreeMap;
use std::net::IpAddr;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use moment::Timestamp;
use nkeys::PublicKey;

use crate::chain::{OperatorTrust, TrustedAccount, UserRefusal};
use crate::connection::{ConnectionType, ConnectionTypes};
use crate::limits::bound;
use crate::permission::{Permissions, Rules};
use crate::template::{self, Names};
use crate::user::{UserClaims, UserRights};
use crate::window::{Zones, open_until};

/// What a connection shows besides its token.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The nonce as it was sent in INFO, as bytes of that text.
    pub nonce: &'a [u8],
    /// `sig` of CONNECT.
    pub signature: Option<&'a str>,
    /// Where it comes from.
    pub address: Option<IpAddr>,
    /// How it connects.
    pub connection: ConnectionType,
    /// Whether a trusted proxy stands between.
    pub via_trusted_proxy: bool,
}

/// Where a user's rights were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the user's own claims.
    User,
    /// In the scope of the key that signed the user.
    Scope {
        /// The signing key.
        key: PublicKey,
        /// The scope's name.
        role: String,
        /// Entries that were filled in, each with its template.
        templates: BTreeMap<String, String>,
    },
    /// In the account's default permissions.
    AccountDefault,
}

/// What a user may do, whatever the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Everything but the permissions: from the user's claims or from the scope, templates filled in.
    pub rights: UserRights,
    /// The permissions; `None` when nobody restricted anything.
    pub rules: Option<Rules>,
    /// Who wrote the permissions.
    pub origin: Origin,
}

/// What an admitted user has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserGrant {
    /// Who it is.
    pub user: PublicKey,
    /// The user's name, for people.
    pub name: String,
    /// The user's tags.
    pub tags: Vec<String>,
    /// The account.
    pub account: PublicKey,
    /// The account's name, for people.
    pub account_name: String,
    /// The key that signed the user: the account's or a signing key.
    pub issuer: PublicKey,
    /// When the user was signed; revocations compare with this.
    pub issued_at: i64,
    /// The permissions; `None` when nobody restricted anything.
    pub rules: Option<Rules>,
    /// Who wrote the permissions.
    pub origin: Origin,
    /// Most subscriptions of the connection.
    pub max_subscriptions: Option<u64>,
    /// Largest message of the connection.
    pub max_payload: Option<u64>,
    /// Whether the token alone was enough.
    pub is_bearer: bool,
    /// When the user has to go: the end of the claim or of the time window.
    pub expires: Option<Timestamp>,
    /// When everybody of the account has to go.
    pub account_expires: Option<Timestamp>,
}

/// Judges a login. The user's token was decoded already, so its signature holds; everything else is judged here, in the
/// order of the reference. Costs one signature check, unless the token is a bearer's.
pub fn admit_user(
    trust: &OperatorTrust,
    account: &TrustedAccount,
    user: &UserClaims,
    attempt: &Attempt<'_>,
    zones: &dyn Zones,
    now: Timestamp,
) -> Result<UserGrant, UserRefusal> {
    check_claims(user, now)?;
    trust.account_of(user)?;
    account.check(trust, now).map_err(UserRefusal::Account)?;
    let granted = rights_of(trust, account, user)?;
    let rights = &granted.rights;
    if rights.proxy_required && !attempt.via_trusted_proxy {
        return Err(UserRefusal::ProxyRequired);
    }
    if rights.bearer_token && account.claims().limits.account.disallow_bearer {
        return Err(UserRefusal::BearerDisallowed);
    }
    check_connection(rights, attempt.connection)?;
    if !rights.bearer_token {
        check_signature(&user.common.subject, attempt)?;
    }
    if account.claims().revocations.hit(&user.common.subject, user.common.issued_at) {
        return Err(UserRefusal::Revoked);
    }
    check_source(rights, attempt.address)?;
    let window_ends = check_times(rights, zones, now)?;
    Ok(grant(account, user, granted, window_ends))
}

/// What is left to judge of a user for whom an authorization service vouches: the claims themselves, the proxy, the kind
/// of connection, the place and the time. The chain was judged by [`rights_of`] or is not ours, and nothing is signed.
/// Gives the moment when the user has to go.
pub fn admit_vouched(
    user: &UserClaims,
    rights: &UserRights,
    attempt: &Attempt<'_>,
    zones: &dyn Zones,
    now: Timestamp,
) -> Result<Option<Timestamp>, UserRefusal> {
    check_claims(user, now)?;
    if rights.proxy_required && !attempt.via_trusted_proxy {
        return Err(UserRefusal::ProxyRequired);
    }
    check_connection(rights, attempt.connection)?;
    check_source(rights, attempt.address)?;
    let window_ends = check_times(rights, zones, now)?;
    Ok(claim_ends(user).into_iter().chain(window_ends).min())
}

fn claim_ends(user: &UserClaims) -> Option<Timestamp> {
    Some(user.common.expires).filter(|&at| at != 0).map(Timestamp::from_secs)
}

fn grant(account: &TrustedAccount, user: &UserClaims, granted: Rights, window_ends: Option<Timestamp>) -> UserGrant {
    let Rights { rights, rules, origin } = granted;
    UserGrant {
        user: user.common.subject,
        name: user.common.name.clone(),
        tags: user.common.tags.clone(),
        account: account.key(),
        account_name: account.claims().common.name.clone(),
        issuer: user.common.issuer,
        issued_at: user.common.issued_at,
        rules,
        origin,
        max_subscriptions: bound(rights.limits.subs),
        max_payload: bound(rights.limits.payload),
        is_bearer: rights.bearer_token,
        expires: claim_ends(user).into_iter().chain(window_ends).min(),
        account_expires: account.expires(),
    }
}

fn check_claims(user: &UserClaims, now: Timestamp) -> Result<(), UserRefusal> {
    if user.common.is_expired(now.as_secs()) {
        return Err(UserRefusal::Expired);
    }
    if user.common.is_early(now.as_secs()) {
        return Err(UserRefusal::Early);
    }
    let issues = user.validate(now.as_secs());
    if issues.is_blocking() { Err(UserRefusal::Invalid(issues.blocking())) } else { Ok(()) }
}

/// What the user may do by the chain alone: the account knows the issuer, and the issuer's scope, if it has one, speaks
/// instead of the user's own claims. Nothing is asked about times, places or signatures.
pub fn rights_of(trust: &OperatorTrust, account: &TrustedAccount, user: &UserClaims) -> Result<Rights, UserRefusal> {
    if user.account() != account.key() {
        return Err(UserRefusal::OtherAccount(user.account()));
    }
    let issuer = user.common.issuer;
    if !account.may_sign(trust, &issuer) {
        let own = issuer == account.key();
        return Err(if own { UserRefusal::IdentityKey } else { UserRefusal::UnknownIssuer(issuer) });
    }
    let (rights, origin) = match account.claims().signing_keys.get(&issuer).flatten() {
        None => (user.rights.clone(), Origin::User),
        Some(_) if !user.rights.is_empty() => return Err(UserRefusal::ScopedWithRights(issuer)),
        Some(scope) => {
            let (written, names) = (&scope.template.permissions, names(account, user));
            let permissions = template::fill_in(written, &names).map_err(UserRefusal::Template)?;
            let templates = template::sources(written, &names);
            let rights = UserRights { permissions, ..scope.template.clone() };
            (rights, Origin::Scope { key: issuer, role: scope.role.clone(), templates })
        }
    };
    with_rules(account, rights, origin)
}

fn with_rules(account: &TrustedAccount, rights: UserRights, origin: Origin) -> Result<Rights, UserRefusal> {
    let defaults = &account.claims().default_permissions;
    let compile = |permissions: &Permissions| Rules::of(permissions).map(Some).ok_or(UserRefusal::Permissions);
    let (rules, origin) = match (rights.permissions.is_empty(), defaults.is_empty()) {
        (false, _) => (compile(&rights.permissions)?, origin),
        (true, false) => (compile(defaults)?, Origin::AccountDefault),
        (true, true) => (None, origin),
    };
    Ok(Rights { rights, rules, origin })
}

fn names<'a>(account: &'a TrustedAccount, user: &'a UserClaims) -> Names<'a> {
    let (user, account) = (&user.common, &account.claims().common);
    Names {
        name: &user.name,
        subject: user.subject.to_string(),
        tags: &user.tags,
        account_name: &account.name,
        account_subject: account.subject.to_string(),
        account_tags: &account.tags,
    }
}

fn check_connection(rights: &UserRights, connection: ConnectionType) -> Result<(), UserRefusal> {
    let allowed = ConnectionTypes::parse(&rights.allowed_connection_types);
    let allowed = allowed.ok_or(UserRefusal::NoKnownConnectionType)?;
    if allowed.allows(connection) { Ok(()) } else { Err(UserRefusal::ConnectionType(connection)) }
}

/// The signature is unpadded base64url, or, for old clients, padded base64.
fn check_signature(user: &PublicKey, attempt: &Attempt<'_>) -> Result<(), UserRefusal> {
    let text = attempt.signature.filter(|text| !text.is_empty()).ok_or(UserRefusal::SignatureMissing)?;
    let signature = BASE64URL_NOPAD.decode(text.as_bytes()).or_else(|_| BASE64.decode(text.as_bytes()));
    let signature = signature.map_err(|_| UserRefusal::SignatureEncoding)?;
    user.verify(attempt.nonce, &signature).map_err(|_| UserRefusal::Signature)
}

fn check_source(rights: &UserRights, address: Option<IpAddr>) -> Result<(), UserRefusal> {
    if rights.sources.is_empty() {
        return Ok(());
    }
    let networks = rights.networks().ok_or(UserRefusal::Source(address))?;
    let inside = |address: IpAddr| networks.iter().any(|network| network.contains(address));
    if address.is_some_and(inside) { Ok(()) } else { Err(UserRefusal::Source(address)) }
}

/// When the open window closes; `None` when there are no windows.
fn check_times(rights: &UserRights, zones: &dyn Zones, now: Timestamp) -> Result<Option<Timestamp>, UserRefusal> {
    if rights.times.is_empty() {
        return Ok(None);
    }
    let windows = rights.windows().ok_or(UserRefusal::OutsideTimes)?;
    if zones.offset_at(rights.zone(), now.as_secs()).is_none() {
        return Err(UserRefusal::UnknownZone(rights.times_location.clone()));
    }
    let closes = open_until(&windows, rights.zone(), zones, now.as_nanos()).ok_or(UserRefusal::OutsideTimes)?;
    Ok(Some(Timestamp::from_nanos(closes)))
}
