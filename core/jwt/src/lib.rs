//! Operator, account and user claims, their chain of trust and revocation
