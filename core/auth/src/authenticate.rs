//! Who are you? One pure function for every kind of peer that logs in like a client.

use std::sync::Arc;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use moment::Timestamp;
use nkeys::PublicKey;

use crate::attempt::{Attempt, CertificateName, UserLabel};
use crate::callout::{self, CalloutQuestion};
use crate::claims::by_claims;
use crate::directory::{Anonymous, Common, Directory, Operators, Single, User};
use crate::known_peers::by_known_peer;
use crate::settings::Distinguished;
use crate::verdict::{Admission, Proof, Refusal, Verdict};

/// Decides about an attempt. The same arguments give the same verdict, so it can be asked again when the directory has
/// changed, with the remembered attempt.
pub fn authenticate(directory: &Directory, attempt: &Attempt, now: Timestamp) -> Verdict {
    match judge(directory, attempt, now) {
        Ok(admission) => Verdict::Admit(admission),
        Err(Stop::Refuse(refusal)) => Verdict::Refuse(refusal),
        Err(Stop::NeedAccount(key)) => Verdict::NeedAccount(key),
        Err(Stop::AskCallout(question)) => Verdict::AskCallout(question),
    }
}

/// Why there is no admission.
pub(crate) enum Stop {
    Refuse(Refusal),
    NeedAccount(PublicKey),
    AskCallout(Box<CalloutQuestion>),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

fn judge(directory: &Directory, attempt: &Attempt, now: Timestamp) -> Result<Admission, Stop> {
    if attempt.credentials.names_account {
        return Err(Refusal::NamesAccount.into());
    }
    let proxy = proxy(directory, attempt)?;
    let mut admission = match &directory.operators {
        Some(operators) if is_local(directory, operators, attempt) => required(directory, attempt, proxy.is_some())?,
        Some(operators) => {
            toll_of_strangers(directory, attempt);
            by_claims(operators, attempt, proxy.as_ref(), now)?
        }
        None => by_config(directory, attempt, proxy.as_ref())?,
    };
    admission.proxy = proxy.map(|key| key.to_string());
    Ok(admission)
}

/// Whether the peer is for the configuration to judge, where there are claims as well: it is known there, and shows no claims
/// or shows them where users of the configuration come first. A wrong password is no reason to ask the next judge.
fn is_local(directory: &Directory, operators: &Operators, attempt: &Attempt) -> bool {
    let said = &attempt.credentials;
    if said.jwt.is_some() && !operators.users_first {
        return false;
    }
    let by_key = said.nkey.as_ref().is_some_and(|nkey| directory.nkeys.contains(nkey));
    let by_user = || match directory.maps_certificates(attempt.kind) {
        true => attempt.certificate.as_ref().and_then(|names| certified(directory, attempt, names)).is_some(),
        false => said.user.as_ref().is_some_and(|user| directory.users.contains(user)),
    };
    by_key || by_user()
}

/// Where passwords are hashed, a name that is no user's takes the time of one that is.
fn toll_of_strangers(directory: &Directory, attempt: &Attempt) {
    let said = &attempt.credentials;
    if said.user.is_some() && said.jwt.is_none() {
        directory.toll.check(None, said.password.as_ref());
    }
}

/// What the configuration says, unless a callout service has the last word.
fn by_config(directory: &Directory, attempt: &Attempt, proxy: Option<&PublicKey>) -> Result<Admission, Stop> {
    let found = match directory.requires_auth_of(attempt.kind) {
        true => required(directory, attempt, proxy.is_some()),
        false => Ok(nobody_is_asked(directory, attempt)),
    };
    match callout::question(directory, attempt, &found, proxy) {
        Some(question) => Err(Stop::AskCallout(Box::new(question))),
        None => Ok(found?),
    }
}

/// The trusted proxy that vouches for the connection. A signature that none of them made is refused, where there are
/// trusted proxies at all.
fn proxy(directory: &Directory, attempt: &Attempt) -> Result<Option<PublicKey>, Refusal> {
    let Some(text) = attempt.credentials.proxy_signature.as_ref().filter(|_| !directory.proxies.is_empty()) else {
        return Ok(None);
    };
    let signature = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Refusal::ProxyNotTrusted)?;
    let nonce = attempt.nonce.as_deref().ok_or(Refusal::ProxyNotTrusted)?;
    let signer = directory.proxies.iter().find(|key| key.verify(nonce, &signature).is_ok());
    signer.map(|key| Some(*key)).ok_or(Refusal::ProxyNotTrusted)
}

fn nobody_is_asked(directory: &Directory, attempt: &Attempt) -> Admission {
    let account = directory.accounts().global().clone();
    Admission::new(account, directory.plain.clone(), attempt.claimed(), Proof::NotRequired)
}

/// By nkey, else by certificate or user, else by the one token or the one user.
fn required(directory: &Directory, attempt: &Attempt, proxied: bool) -> Result<Admission, Refusal> {
    if let Some(peers) = &directory.known_peers {
        return by_known_peer(directory, peers, attempt);
    }
    let said = &attempt.credentials;
    if !directory.nkeys.is_empty() {
        if let Some(nkey) = &said.nkey {
            return by_nkey(directory, attempt, nkey, proxied);
        }
        if let Some(Anonymous::Named(name)) = directory.anonymous(attempt.kind).filter(|_| said.names_nobody())
            && directory.nkeys.contains(name)
        {
            return by_nkey(directory, attempt, name, proxied);
        }
    }
    if let Some(single) = directory.single(attempt.kind) {
        return by_single(directory, single, attempt, proxied);
    }
    if directory.maps_certificates(attempt.kind) && !directory.users.is_empty() {
        return by_certificate(directory, attempt, proxied);
    }
    match (directory.anonymous(attempt.kind), &said.user) {
        (Some(Anonymous::Named(name)), _) if said.names_nobody() => by_anonymous(directory, attempt, name, proxied),
        (Some(Anonymous::Global), _) if said.names_nobody() => Ok(into_global(directory)),
        (_, Some(name)) => by_password(directory, attempt, name, proxied),
        (_, None) => Err(Refusal::NoCredentials),
    }
}

fn by_nkey(directory: &Directory, attempt: &Attempt, nkey: &str, proxied: bool) -> Result<Admission, Refusal> {
    let label = UserLabel::Nkey(nkey.to_owned());
    let user = directory.nkeys.get(nkey).ok_or_else(|| Refusal::UnknownNkey(nkey.to_owned()))?;
    may_connect(&user.common, &label, attempt, proxied)?;
    if directory.is_anonymous(nkey, attempt.kind) {
        return Ok(admit(&user.common, label, Proof::Anonymous));
    }
    check_signature(&user.key, &label, attempt)?;
    Ok(admit(&user.common, label, Proof::Signature))
}

/// The nonce, signed. Base64 in its URL form, or in the common form that some clients write.
fn check_signature(key: &PublicKey, label: &UserLabel, attempt: &Attempt) -> Result<(), Refusal> {
    let text = attempt.credentials.signature.as_ref().ok_or_else(|| Refusal::SignatureMissing(label.clone()))?;
    let signature = BASE64URL_NOPAD.decode(text.as_bytes()).or_else(|_| BASE64.decode(text.as_bytes()));
    let signature = signature.map_err(|_| Refusal::SignatureMalformed(label.clone()))?;
    // Without a challenge there is nothing that only the owner could have signed just now.
    let nonce = attempt.nonce.as_deref().filter(|nonce| !nonce.is_empty());
    let verified = nonce.is_some_and(|nonce| key.verify(nonce, &signature).is_ok());
    if verified { Ok(()) } else { Err(Refusal::SignatureWrong(label.clone())) }
}

fn by_anonymous(directory: &Directory, attempt: &Attempt, name: &str, proxied: bool) -> Result<Admission, Refusal> {
    let label = User::label(name);
    let user = directory.users.get(name).ok_or_else(|| Refusal::UnknownUser(name.to_owned()))?;
    may_connect(&user.common, &label, attempt, proxied)?;
    Ok(admit(&user.common, label, Proof::Anonymous))
}

fn into_global(directory: &Directory) -> Admission {
    let account = directory.accounts().global().clone();
    Admission::new(account, directory.plain.clone(), UserLabel::Unknown, Proof::Anonymous)
}

/// The password is compared before anything else is said, so that unknown user, wrong password and wrong kind of
/// connection take the same time.
fn by_password(directory: &Directory, attempt: &Attempt, name: &str, proxied: bool) -> Result<Admission, Refusal> {
    let known = directory.users.get(name);
    let known = known.filter(|user| user.has_password() || !directory.known_by_certificate(user));
    let shown = attempt.credentials.password.as_ref();
    let good = directory.toll.check(known.map(User::password), shown);
    let Some(user) = known else {
        return Err(match directory.users.contains(name) {
            true => Refusal::CertificateRequired(name.to_owned()),
            false => Refusal::UnknownUser(name.to_owned()),
        });
    };
    if !good {
        return Err(Refusal::WrongPassword(name.to_owned()));
    }
    let label = User::label(name);
    may_connect(&user.common, &label, attempt, proxied)?;
    Ok(admit(&user.common, label, Proof::Password))
}

fn by_single(directory: &Directory, single: &Single, attempt: &Attempt, proxied: bool) -> Result<Admission, Refusal> {
    let said = &attempt.credentials;
    if directory.proxy_required && !proxied {
        return Err(Refusal::ProxyRequired(attempt.claimed()));
    }
    let admit =
        |label, by| Ok(Admission::new(directory.accounts().global().clone(), single.permissions.clone(), label, by));
    let Some(name) = &single.user else {
        let good = said.token.is_some() && directory.toll.check(Some(single.stored()), said.token.as_ref());
        return if good { admit(UserLabel::Token, Proof::Token) } else { Err(Refusal::WrongToken) };
    };
    let Some(shown) = &said.user else { return Err(Refusal::NoCredentials) };
    let known = (shown == name).then(|| single.stored());
    let good = directory.toll.check(known, said.password.as_ref());
    match (known, good) {
        (None, _) => Err(Refusal::UnknownUser(shown.clone())),
        (Some(_), false) => Err(Refusal::WrongPassword(shown.clone())),
        (Some(_), true) => admit(User::label(name), Proof::Password),
    }
}

/// The first name in the certificate that belongs to a user who may use this kind of connection. What CONNECT says about
/// user and password is not asked.
fn by_certificate(directory: &Directory, attempt: &Attempt, proxied: bool) -> Result<Admission, Refusal> {
    let names = attempt.certificate.as_ref().ok_or(Refusal::CertificateMissing)?;
    let found = certified(directory, attempt, names);
    let user = found.ok_or_else(|| Refusal::CertificateUnknown(names.iter().map(CertificateName::text).collect()))?;
    let label = User::label(user.name());
    may_connect(&user.common, &label, attempt, proxied)?;
    Ok(admit(&user.common, label, Proof::Certificate))
}

fn certified<'a>(directory: &'a Directory, attempt: &Attempt, names: &[CertificateName]) -> Option<&'a User> {
    let eligible = |user: &User| user.common.kinds.holds(attempt.kind);
    names.iter().find_map(|name| match name {
        CertificateName::Distinguished(subject) => by_distinguished(directory, subject, eligible),
        CertificateName::Email(text)
        | CertificateName::Dns(text)
        | CertificateName::Uri(text)
        | CertificateName::Subject(text) => directory.users.get(text).filter(|user| eligible(user)),
    })
}

/// A user whose name equals the subject, else one whose name has the same parts in another order.
fn by_distinguished<'a>(
    directory: &'a Directory,
    subject: &Distinguished,
    eligible: impl Fn(&User) -> bool,
) -> Option<&'a User> {
    let mut named = directory.distinguished.matching(subject).filter_map(|name| directory.users.get(name));
    named.find(|user| eligible(user))
}

/// What every user must satisfy, however it proved who it is.
pub(crate) fn may_connect(user: &Common, label: &UserLabel, attempt: &Attempt, proxied: bool) -> Result<(), Refusal> {
    if !user.kinds.holds(attempt.kind) {
        return Err(Refusal::KindNotAllowed(label.clone(), attempt.kind));
    }
    if user.proxy_required && !proxied {
        return Err(Refusal::ProxyRequired(label.clone()));
    }
    Ok(())
}

pub(crate) fn admit(user: &Common, label: UserLabel, by: Proof) -> Admission {
    let mut admission = Admission::new(user.account.clone(), Arc::clone(&user.permissions), label, by);
    admission.limit(&user.limits);
    admission
}
