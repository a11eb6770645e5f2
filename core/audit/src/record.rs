//! One thing that somebody did, or tried to.

use serde::{Deserialize, Serialize};

/// Longer texts of peers are cut: a subject may be as long as a control line.
pub const MAX_TEXT_BYTES: usize = 1024;

/// What kind of thing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The trail itself: opened, continued, signed.
    Trail,
    /// A peer logged in, or was refused.
    Login,
    /// A connection that had logged in ended.
    Logout,
    /// A publish, a reply or a subscription was denied.
    Denial,
    /// The configuration was loaded anew, or that was refused.
    Reload,
    /// An account, its claims or its users changed.
    Account,
    /// An administrator asked the server for something.
    Admin,
    /// A key was drawn, replaced or destroyed.
    Key,
    /// Something stored turned out to be damaged or forged.
    Store,
}

impl Class {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trail => "trail",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Denial => "denial",
            Self::Reload => "reload",
            Self::Account => "account",
            Self::Admin => "admin",
            Self::Key => "key",
            Self::Store => "store",
        }
    }

    /// The class of this word.
    pub fn of(word: &str) -> Option<Self> {
        let all = [
            Self::Trail,
            Self::Login,
            Self::Logout,
            Self::Denial,
            Self::Reload,
            Self::Account,
            Self::Admin,
            Self::Key,
            Self::Store,
        ];
        all.into_iter().find(|class| class.word() == word)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not.
    Refused,
}

/// Who did what. Empty texts are left out of the line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// What kind of thing.
    pub class: Class,
    /// What came of it.
    pub outcome: Outcome,
    /// The account it happened in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// The user: a name or a public key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The address it came from, without the port: that differs from try to try.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// By which kind of credential: `password`, `token`, `nkey`, `jwt`, `certificate`, `callout`, `none`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub credential: String,
    /// What was done or wanted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// The rule, claim or reason that decided.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// How often, where repetitions are counted.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub count: u64,
}

fn once() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_once(count: &u64) -> bool {
    *count == 1
}

impl Record {
    /// A record of which only kind and outcome are known yet.
    pub const fn new(class: Class, outcome: Outcome) -> Self {
        Self {
            class,
            outcome,
            account: String::new(),
            user: String::new(),
            from: String::new(),
            credential: String::new(),
            what: String::new(),
            rule: String::new(),
            count: 1,
        }
    }

    /// The same with every text within its bound.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let Self { account, user, from, credential, what, rule, .. } = &mut self;
        [account, user, from, credential, what, rule].into_iter().for_each(cut);
        self
    }
}

fn cut(text: &mut String) {
    if text.len() > MAX_TEXT_BYTES {
        let end = (0..=MAX_TEXT_BYTES).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}
