use std::fmt;

use moment::Timestamp;
use nkeys::PublicKey;

use crate::DecodeError;
use crate::activation::ActivationClaims;
use crate::chain::{OperatorTrust, TrustedAccount};
use crate::export::Export;
use crate::import::Import;
use crate::subjects;

/// An import that may stand, for as long as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    /// When it has to be judged again; `None` for never.
    pub expires: Option<Timestamp>,
}

/// Why an import may not stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivationRefusal {
    /// The export wants an activation, and the import has none.
    Missing,
    /// Not an activation.
    Token(DecodeError),
    /// Given by another account than the one imported from.
    Exporter(PublicKey),
    /// Signed by a key the exporter does not let sign.
    Issuer(PublicKey),
    /// Given to another account.
    Importer(PublicKey),
    /// For a stream where a service is imported, or the other way round.
    Sharing,
    /// For other subjects.
    Subject(String),
    /// Not valid in itself.
    Invalid(String),
    /// Its time is over.
    Expired,
    /// Its time has not come.
    Early,
    /// Revoked by the export.
    Revoked,
}

impl fmt::Display for ActivationRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the export requires an activation token"),
            Self::Token(error) => write!(f, "activation token: {error}"),
            Self::Exporter(found) => write!(f, "activation token is of account {found}, not of the exporter"),
            Self::Issuer(found) => {
                write!(f, "activation token is signed by {found}, which may not sign for the exporter")
            }
            Self::Importer(found) => write!(f, "activation token was given to account {found}"),
            Self::Sharing => f.write_str("activation token is for the other kind of import"),
            Self::Subject(found) => write!(f, "activation token is for subject {found:?}"),
            Self::Invalid(issues) => write!(f, "activation token is not valid: {issues}"),
            Self::Expired => f.write_str("activation token is expired"),
            Self::Early => f.write_str("activation token is not yet valid"),
            Self::Revoked => f.write_str("activation token is revoked"),
        }
    }
}

impl std::error::Error for ActivationRefusal {}

/// Judges whether an import may use an export. An export that wants no activation lets everybody in; a token that is
/// there all the same must be right.
pub fn activate(
    trust: &OperatorTrust,
    exporter: &TrustedAccount,
    importer: &PublicKey,
    import: &Import,
    export: &Export,
    now: Timestamp,
) -> Result<Activation, ActivationRefusal> {
    if import.token.is_empty() {
        return if export.token_req { Err(ActivationRefusal::Missing) } else { Ok(Activation { expires: None }) };
    }
    let claims = ActivationClaims::decode(&import.token).map_err(ActivationRefusal::Token)?;
    check_binding(trust, exporter, importer, import, &claims)?;
    let issues = claims.validate();
    if issues.is_blocking() {
        return Err(ActivationRefusal::Invalid(issues.blocking()));
    }
    if claims.common.is_expired(now.as_secs()) {
        return Err(ActivationRefusal::Expired);
    }
    if claims.common.is_early(now.as_secs()) {
        return Err(ActivationRefusal::Early);
    }
    if export.revokes(importer, claims.common.issued_at) {
        return Err(ActivationRefusal::Revoked);
    }
    let expires = Some(claims.common.expires).filter(|&at| at != 0);
    Ok(Activation { expires: expires.map(Timestamp::from_secs) })
}

/// A token is bound to who gives it, to whom, for what and in which way; each of the four is checked.
fn check_binding(
    trust: &OperatorTrust,
    exporter: &TrustedAccount,
    importer: &PublicKey,
    import: &Import,
    claims: &ActivationClaims,
) -> Result<(), ActivationRefusal> {
    if claims.exporter() != exporter.key() || import.account != exporter.key() {
        return Err(ActivationRefusal::Exporter(claims.exporter()));
    }
    // The account's own key always speaks for itself, strict operator or not: an activation is no user.
    let own = claims.common.issuer == exporter.key();
    if !own && !exporter.may_sign(trust, &claims.common.issuer) {
        return Err(ActivationRefusal::Issuer(claims.common.issuer));
    }
    if claims.common.subject != *importer {
        return Err(ActivationRefusal::Importer(claims.common.subject));
    }
    if claims.sharing != import.sharing {
        return Err(ActivationRefusal::Sharing);
    }
    if !subjects::is_contained_in(import.exported_subject(), &claims.import_subject) {
        return Err(ActivationRefusal::Subject(claims.import_subject.clone()));
    }
    Ok(())
}
