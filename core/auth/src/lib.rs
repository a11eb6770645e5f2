//! Who are you, and what may you do?
//!
//! Two pure questions. [`authenticate`] takes a [`Directory`] (who is known here), an [`Attempt`] (everything the peer
//! showed) and the time, and gives a [`Verdict`]. [`Permissions`] judge each publish and each subscription and give a
//! proof, [`Authorized`] or a [`SubscribeGrant`], or a [`Denial`] that names the rule. The rooms that move messages accept
//! only these proofs.
//!
//! This room does *not* read the configuration (it says in [`settings`] what it wants to know), fetch accounts, count
//! connections, keep time, write to sockets or to logs. What a peer gets to read about a refusal is the standard text;
//! why it was refused is for the operator.
//!
//! ```
//! use account::AccountIds;
//! use auth::settings::{PermissionsSettings, Settings, SideSettings, UserSettings};
//! use auth::{Attempt, ConnectionKind, Credentials, Directory, Verdict, authenticate};
//! use moment::Timestamp;
//! use subject::Subject;
//!
//! let publish = SideSettings { allow: Some(vec!["orders.>".into()]), deny: None };
//! let alice = UserSettings {
//!     user: Some("alice".into()),
//!     password: Some("s3cret".into()),
//!     permissions: Some(PermissionsSettings { publish, ..Default::default() }.into()),
//!     ..Default::default()
//! };
//! let mut settings = Settings::default();
//! settings.authorization.users = Some(vec![alice]);
//! let directory = Directory::build(&settings, &mut AccountIds::default()).expect("the settings are sound");
//!
//! let mut attempt = Attempt::silent(ConnectionKind::Standard);
//! attempt.credentials =
//!     Credentials { user: Some("alice".into()), password: Some("s3cret".into()), ..Default::default() };
//! let Verdict::Admit(admission) = authenticate(&directory, &attempt, Timestamp::EPOCH) else { panic!("refused") };
//!
//! let created = Subject::parse(b"orders.created")?;
//! assert!(admission.permissions.publish(created).is_ok());
//! let denial = admission.permissions.publish(Subject::parse(b"billing.invoice")?).unwrap_err();
//! assert_eq!(denial.wire_text(), "Permissions Violation for Publish to \"billing.invoice\"");
//! # Ok::<(), subject::SubjectError>(())
//! ```
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod again;
mod allowance;
mod attempt;
mod authenticate;
mod authorized;
mod bans;
mod callout;
mod claims;
mod denial;
mod directory;
mod explain;
mod kind;
mod known_peers;
mod link;
mod passage;
mod password;
mod permissions;
mod reading;
mod reply;
mod rule;
pub mod settings;
mod verdict;

pub use again::authenticate_again;
pub use allowance::{Allowance, TagFault, WrittenLimits};
pub use attempt::{Attempt, CertificateName, Credentials, UserLabel};
pub use authenticate::authenticate;
pub use authorized::{Authorized, Publish, SubscribeGrant};
pub use bans::{BANS_MAX, Ban, Banned, Bans, TooManyBans};
pub use callout::{
    Asked, CALLOUT_SUBJECT, CALLOUT_XKEY_HEADER, CalloutQuestion, CalloutRefusal, CalloutRequest, CalloutServer,
    Chance, ClientFacts, ClientTls, DECISION_SALT_BYTES, DecisionKey, Decisions, MAX_ANSWER_BYTES, MAX_DECISION_TIME,
    MAX_DECISIONS, Vouched, conclude,
};
pub use denial::{Action, Because, Denial, publish_denied_text, reply_denied_text};
pub use directory::{Cost, Directory, MAX_USERS, SettingsError, SettingsFault};
pub use explain::{Arrival, Explanation, Outcome, Party, Reach, Remedy, Step, Wish};
pub use kind::{ConnectionKind, UnknownKind};
pub use link::LinkRights;
pub use passage::{Moved, Passage};
pub use permissions::{Binding, Lists, Permissions, Source, is_inbox, is_reserved_reply};
pub use reading::{ReadRule, Reading, ReadingTexts};
pub use reply::{MAX_REPLY_GRANTS, ReplyGrants};
pub use rule::{MAX_RULES, Origin, Rule, RuleError, RuleFault};
pub use settings::{AuthChain, KnownPeers, OperatorSettings, ResponsePermission, Settings};
pub use verdict::{Admission, ConnectionLimits, Proof, Refusal, UserFacts, Verdict};
