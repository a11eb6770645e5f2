//! The chain of trust as pure functions: operator, account, user, and leave to import.
//!
//! ```text
//! OperatorTrust::of_operators / of_keys        whose accounts are ours
//!   .account_of(&user)                          which account must be fetched (pinned accounts are checked here)
//!   .admit_account(token, &key, now)            -> TrustedAccount, the only way to one
//! admit_user(&trust, &account, &user, &attempt, &zones, now)   -> Result<UserGrant, UserRefusal>
//! rights_of(&trust, &account, &user)            the same without the connection: for a callout's answer
//! admit_vouched(&user, &rights, &attempt, &zones, now)  and its connection without the chain
//! activate(&trust, &exporter, &importer, &import, &export, now) -> Result<Activation, ActivationRefusal>
//! ```
//!
//! Every function can be called again with the remembered arguments when a claim changed or time went by: whoever is no
//! longer admitted is closed. Nothing here reads a clock or a zone table; both are arguments.

mod account;
mod activation;
mod login;
mod refusal;
mod trust;

pub use account::TrustedAccount;
pub use activation::{Activation, ActivationRefusal, activate};
pub use login::{Attempt, Origin, Rights, UserGrant, admit_user, admit_vouched, rights_of};
pub use refusal::{AccountRefusal, OperatorRefusal, UserRefusal};
pub use trust::{OperatorTrust, TrustedOperator, judge_sentinel};
