use nkeys::PublicKey;

use crate::DecodeError;
use crate::account::AccountClaims;
use crate::activation::ActivationClaims;
use crate::callout::{AuthorizationRequest, AuthorizationResponse};
use crate::common::{Kind, Top};
use crate::generic::GenericClaims;
use crate::operator::OperatorClaims;
use crate::token::Parts;
use crate::user::UserClaims;

/// A token of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Claims {
    /// The root of trust.
    Operator(Box<OperatorClaims>),
    /// A tenant.
    Account(Box<AccountClaims>),
    /// Somebody who connects.
    User(Box<UserClaims>),
    /// Leave to import.
    Activation(Box<ActivationClaims>),
    /// The callout's question.
    AuthorizationRequest(Box<AuthorizationRequest>),
    /// The callout's answer.
    AuthorizationResponse(Box<AuthorizationResponse>),
    /// Anything else.
    Generic(Box<GenericClaims>),
}

impl Claims {
    /// Reads a token and checks its signature, not whether anybody trusts the signer.
    pub fn decode(token: &str) -> Result<Self, DecodeError> {
        let parts = Parts::of(token)?;
        let top = parts.top()?;
        let claims = Self::read(&top)?;
        parts.verify(top.kind, top.version, claims.issuer())?;
        Ok(claims)
    }

    pub(crate) fn read(top: &Top<'_>) -> Result<Self, DecodeError> {
        Ok(match top.kind {
            Kind::Operator => Self::Operator(OperatorClaims::read(top)?.into()),
            Kind::Account => Self::Account(AccountClaims::read(top)?.into()),
            Kind::User => Self::User(UserClaims::read(top)?.into()),
            Kind::Activation => Self::Activation(ActivationClaims::read(top)?.into()),
            Kind::AuthorizationRequest => Self::AuthorizationRequest(AuthorizationRequest::read(top)?.into()),
            Kind::AuthorizationResponse => Self::AuthorizationResponse(AuthorizationResponse::read(top)?.into()),
            Kind::Generic => Self::Generic(GenericClaims::read(top)?.into()),
        })
    }

    /// Who signed it.
    pub const fn issuer(&self) -> &PublicKey {
        match self {
            Self::Operator(claims) => &claims.common.issuer,
            Self::Account(claims) => &claims.common.issuer,
            Self::User(claims) => &claims.common.issuer,
            Self::Activation(claims) => &claims.common.issuer,
            Self::AuthorizationRequest(claims) => &claims.common.issuer,
            Self::AuthorizationResponse(claims) => &claims.common.issuer,
            Self::Generic(claims) => &claims.common.issuer,
        }
    }
}
