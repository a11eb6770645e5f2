//! Logins that an external service decides.
//!
//! [`crate::authenticate`] answers [`Verdict::AskCallout`] with a [`CalloutQuestion`]. Whoever does the asking turns it into
//! a request ([`CalloutQuestion::ask`]), publishes that in the question's account with a reply subject of its own, waits no
//! longer than the login may take, and gives what came back (or did not) to [`conclude`]. Nothing here waits or sends.
//! [`Asked::heard`] and [`CalloutQuestion::admit`] are its two halves: the word of the service, and what follows from it,
//! again whenever the directory changes.

mod answer;
mod memory;
mod refusal;
mod request;

use std::sync::Arc;

use account::Account;
use jwt::UserClaims;
use nkeys::{PublicKey, XPublicKey};

use crate::attempt::{Attempt, UserLabel};
use crate::directory::{Directory, Tenant};
use crate::settings::AuthChain;
use crate::verdict::{Admission, Proof, Refusal, Verdict};

pub use answer::{Vouched, conclude};
pub use jwt::callout::ClientTls;
pub use memory::{DECISION_SALT_BYTES, DecisionKey, Decisions, MAX_DECISION_TIME, MAX_DECISIONS};
pub use refusal::CalloutRefusal;
pub use request::{Asked, CalloutRequest, CalloutServer, Chance, ClientFacts};

/// On this subject the service is asked.
pub const CALLOUT_SUBJECT: &str = crate::permissions::CALLOUT_SUBJECT;
/// The header with the server's public curve key, where requests are sealed.
pub const CALLOUT_XKEY_HEADER: &str = "Nats-Server-Xkey";
/// Longest answer that is looked at.
pub const MAX_ANSWER_BYTES: usize = 2 << 20;

/// An attempt that the service is to decide.
#[derive(Debug, Clone)]
pub struct CalloutQuestion {
    /// The account in which the service listens.
    pub account: Arc<Account>,
    /// Who the peer is, as far as this server can tell.
    pub user: UserLabel,
    /// Who must have signed the answer: the configured issuer, or the account itself in operator mode.
    authority: PublicKey,
    /// Accounts are claims.
    operator_mode: bool,
    /// Requests are sealed for this key.
    xkey: Option<XPublicKey>,
    /// The trusted proxy that vouches for the connection.
    proxy: Option<String>,
    name_tag: String,
    tags: Vec<String>,
    /// As whom the peer comes in if the service does not answer.
    fallback: Option<Box<Admission>>,
}

impl CalloutQuestion {
    /// Whether the peer may come in without an answer. Then the answer is not waited for as long as a login may take.
    pub const fn has_fallback(&self) -> bool {
        self.fallback.is_some()
    }

    /// What follows if the service does not answer, or cannot be asked.
    pub fn unanswered(&self) -> Verdict {
        match &self.fallback {
            Some(admission) => Verdict::Admit(Admission { proxy: self.proxy.clone(), ..Admission::clone(admission) }),
            None => Verdict::Refuse(Refusal::Callout(CalloutRefusal::NoAnswer)),
        }
    }
}

/// The callout of the configuration, compiled.
pub(crate) struct Callout {
    pub(crate) account: Arc<Account>,
    pub(crate) issuer: PublicKey,
    pub(crate) xkey: Option<XPublicKey>,
    pub(crate) auth_users: Vec<String>,
    pub(crate) allowed_accounts: Vec<String>,
}

/// Whether the service is asked about this attempt, whatever was found so far. The service itself is not, nor are users
/// of accounts that keep their own logins; a peer that nobody knows belongs to the global account.
pub(crate) fn question(
    directory: &Directory,
    attempt: &Attempt,
    found: &Result<Admission, Refusal>,
    proxy: Option<&PublicKey>,
) -> Option<CalloutQuestion> {
    let callout = directory.callout.as_ref()?;
    // Asking cannot bring the proxy that is missing.
    if matches!(found, Err(Refusal::ProxyRequired(_))) {
        return None;
    }
    if directory.chain == AuthChain::LocalFirst && !found.as_ref().is_err_and(is_stranger) {
        return None;
    }
    let user = found.as_ref().map_or_else(|_| attempt.claimed(), |admission| admission.user.clone());
    if callout.auth_users.iter().any(|known| known == user.name()) {
        return None;
    }
    let account = found.as_ref().map_or(account::GLOBAL, |admission| admission.account.name.as_str());
    let everywhere = attempt.kind.is_leaf() || account == account::GLOBAL || callout.allowed_accounts.is_empty();
    if !everywhere && !callout.allowed_accounts.iter().any(|allowed| allowed == account) {
        return None;
    }
    Some(CalloutQuestion {
        account: callout.account.clone(),
        user,
        authority: callout.issuer,
        operator_mode: false,
        xkey: callout.xkey,
        proxy: proxy.map(ToString::to_string),
        name_tag: String::new(),
        tags: Vec::new(),
        fallback: fallback(directory.chain, found).filter(|admission| admission.by != Proof::NotRequired),
    })
}

/// This server does not know who it is. Whoever it knows and did not prove it is refused without the service.
fn is_stranger(refusal: &Refusal) -> bool {
    use Refusal as Of;
    matches!(
        refusal,
        Of::UnknownUser(_)
            | Of::UnknownNkey(_)
            | Of::WrongToken
            | Of::NoCredentials
            | Of::CertificateMissing
            | Of::CertificateUnknown(_)
    )
}

fn fallback(chain: AuthChain, found: &Result<Admission, Refusal>) -> Option<Box<Admission>> {
    let admission = found.as_ref().ok().filter(|_| chain == AuthChain::CalloutFirst);
    admission.cloned().map(Box::new)
}

/// The same where accounts are claims: the account says whether a service decides. Claims that break the chain of trust
/// are nobody's, and the service is not bothered with them.
pub(crate) fn question_of_claims(
    chain: AuthChain,
    tenant: &Tenant,
    attempt: &Attempt,
    user: &UserClaims,
    found: &Result<Admission, Refusal>,
    proxy: Option<&PublicKey>,
) -> Option<CalloutQuestion> {
    let (authorization, user, is_bearer) =
        (&tenant.trusted.claims().authorization, &user.common.subject, user.rights.bearer_token);
    if authorization.auth_users.is_empty() || authorization.auth_users.contains(user) {
        return None;
    }
    if found.as_ref().is_err_and(|refusal| !is_for_the_service(refusal)) {
        return None;
    }
    // Who shows claims that anybody may show has not said who it is.
    if chain == AuthChain::LocalFirst && !is_bearer {
        return None;
    }
    let claims = found.as_ref().ok().and_then(|admission| admission.claims.clone());
    Some(CalloutQuestion {
        account: tenant.account.clone(),
        user: match attempt.claimed() {
            UserLabel::Jwt(_) if found.is_ok() => UserLabel::Jwt(user.to_string()),
            claimed => claimed,
        },
        authority: tenant.trusted.key(),
        operator_mode: true,
        xkey: authorization.xkey,
        proxy: proxy.map(ToString::to_string),
        name_tag: claims.as_ref().map(|claims| claims.name.clone()).unwrap_or_default(),
        tags: claims.map(|claims| claims.tags.clone()).unwrap_or_default(),
        fallback: fallback(chain, found).filter(|_| !is_bearer),
    })
}

/// The chain holds, and what is missing is something the service may make up for.
fn is_for_the_service(refusal: &Refusal) -> bool {
    use jwt::chain::UserRefusal as Of;
    let Refusal::User(_, refusal) = refusal else { return false };
    match refusal {
        Of::BearerDisallowed
        | Of::ConnectionType(_)
        | Of::NoKnownConnectionType
        | Of::SignatureMissing
        | Of::SignatureEncoding
        | Of::Signature
        | Of::Source(_)
        | Of::OutsideTimes
        | Of::UnknownZone(_) => true,
        Of::NotPinned(_)
        | Of::OtherAccount(_)
        | Of::Account(_)
        | Of::Invalid(_)
        | Of::Expired
        | Of::Early
        | Of::UnknownIssuer(_)
        | Of::IdentityKey
        | Of::ScopedWithRights(_)
        | Of::Template(_)
        | Of::Permissions
        | Of::ProxyRequired
        | Of::Revoked => false,
    }
}
