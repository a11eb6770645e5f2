//! Accounts and users for tests: a few words for each user, and one set of three accounts that many tests share.
//!
//! ```
//! use bulwark_testkit::accounts::{Words, directory, user};
//!
//! let users = vec![user("clerk").password("c").subscribes(&["orders.>"]).never_subscribes(&["orders.*.card"])];
//! let directory = directory(vec![("SHOP", users)]);
//! assert!(directory.account("SHOP").is_some());
//! ```

use std::time::Duration;

use account::AccountIds;
use auth::settings::{
    AccountSettings, PermissionsSettings, Place, ResponsePermission, RuleText, Settings, SideSettings, UserSettings,
};
use auth::{Attempt, ConnectionKind, Credentials, Directory};
use nkeys::{KeyPair, Role, Secret};

/// A user that may do everything and needs no password.
pub fn user(name: &str) -> UserSettings {
    UserSettings { user: Some(name.into()), ..UserSettings::default() }
}

/// A user known by its public key.
pub fn nkey_user(key: &str) -> UserSettings {
    UserSettings { nkey: Some(key.into()), ..UserSettings::default() }
}

/// Words that make users. Each can be said after [`user`].
pub trait Words: Sized {
    /// It has a password, plain or hashed.
    fn password(self, password: &str) -> Self;
    /// It may publish to these only.
    fn publishes(self, to: &[&str]) -> Self;
    /// It never publishes to these.
    fn never_publishes(self, to: &[&str]) -> Self;
    /// It may subscribe to these only.
    fn subscribes(self, to: &[&str]) -> Self;
    /// It never receives these.
    fn never_subscribes(self, to: &[&str]) -> Self;
    /// It may answer what it is asked.
    fn answers(self, max: Option<u32>, expires: Duration) -> Self;
    /// It may use these kinds of connection only.
    fn connects_by(self, kinds: &[ConnectionKind]) -> Self;
    /// It is written on this line, and so are its rules.
    fn on_line(self, line: u32) -> Self;
}

impl Words for UserSettings {
    fn password(self, password: &str) -> Self {
        Self { password: Some(password.into()), ..self }
    }

    fn publishes(mut self, to: &[&str]) -> Self {
        rules(&mut self).publish.allow = Some(texts(to));
        self
    }

    fn never_publishes(mut self, to: &[&str]) -> Self {
        rules(&mut self).publish.deny = Some(texts(to));
        self
    }

    fn subscribes(mut self, to: &[&str]) -> Self {
        rules(&mut self).subscribe.allow = Some(texts(to));
        self
    }

    fn never_subscribes(mut self, to: &[&str]) -> Self {
        rules(&mut self).subscribe.deny = Some(texts(to));
        self
    }

    fn answers(mut self, max: Option<u32>, expires: Duration) -> Self {
        rules(&mut self).allow_responses = Some(ResponsePermission { max, expires });
        self
    }

    fn connects_by(self, kinds: &[ConnectionKind]) -> Self {
        Self { allowed_connection_types: kinds.to_vec(), ..self }
    }

    fn on_line(mut self, line: u32) -> Self {
        self.origin = Place::new("shop.conf", line, 1);
        if let Some(permissions) = &mut self.permissions {
            place(permissions, line);
        }
        self
    }
}

fn rules(user: &mut UserSettings) -> &mut PermissionsSettings {
    user.permissions.get_or_insert_default()
}

fn texts(texts: &[&str]) -> Vec<RuleText> {
    texts.iter().map(|text| (*text).into()).collect()
}

/// Gives every rule a place of its own on the line.
fn place(permissions: &mut PermissionsSettings, line: u32) {
    let PermissionsSettings { publish, subscribe, .. } = permissions;
    let lists = [&mut publish.allow, &mut publish.deny, &mut subscribe.allow, &mut subscribe.deny];
    for (column, rule) in (10..).step_by(10).zip(lists.into_iter().flatten().flatten()) {
        rule.place = Place::new("shop.conf", line, column);
    }
}

/// Accounts with users, as settings.
pub fn settings(accounts: Vec<(&str, Vec<UserSettings>)>) -> Settings {
    let accounts = accounts.into_iter().map(|(name, users)| AccountSettings {
        name: name.into(),
        users,
        ..AccountSettings::default()
    });
    Settings { accounts: accounts.collect(), ..Settings::default() }
}

/// Accounts with users, compiled.
///
/// # Panics
/// If the settings are wrong.
pub fn directory(accounts: Vec<(&str, Vec<UserSettings>)>) -> Directory {
    compiled(&settings(accounts))
}

/// Settings, compiled.
///
/// # Panics
/// If the settings are wrong.
pub fn compiled(settings: &Settings) -> Directory {
    Directory::build(settings, &mut AccountIds::default()).expect("the settings of the test are sound")
}

/// A client that shows a name and a password.
pub fn attempt(name: &str, password: &str) -> Attempt {
    let mut attempt = Attempt::silent(ConnectionKind::Standard);
    attempt.credentials =
        Credentials { user: Some(name.into()), password: Some(password.into()), ..Credentials::default() }.tidy();
    attempt
}

/// The key of the bank's robot.
pub fn robot() -> KeyPair {
    KeyPair::from_raw_seed(Role::User, Secret::new([7; 32]))
}

/// A shop and its bank, which use the same subjects and never hear each other, and the system account. Every password is
/// the user's name.
pub fn shop() -> Settings {
    let two_minutes = Duration::from_secs(120);
    let shop = vec![
        user("owner"),
        user("alice").publishes(&["orders.>"]).subscribes(&["_INBOX.>"]),
        user("clerk")
            .publishes(&["orders.>", "users.signup"])
            .subscribes(&["orders.>"])
            .never_subscribes(&["orders.*.card"]),
        user("auditor").publishes(&[]).subscribes(&["events.>"]).never_subscribes(&["events.audit.>"]),
        user("worker")
            .subscribes(&["jobs.> w1", "jobs.> batch.*", "jobs.open"])
            .never_subscribes(&["jobs.secret batch.b"]),
        user("guest"),
        user("responder").subscribes(&["svc.>"]).answers(Some(1), two_minutes),
        user("narrow").publishes(&["a.*", "b"]).subscribes(&["a.*", "*"]),
    ];
    let bank = vec![
        user("teller").publishes(&["orders.>"]).subscribes(&["orders.>"]),
        user("vault").never_publishes(&["admin.>"]).never_subscribes(&["admin.>", "*.secret", "> restricted"]),
    ];
    let numbered = |first, users: Vec<UserSettings>| -> Vec<UserSettings> {
        let written = |(line, user): (u32, UserSettings)| {
            let name = user.user.clone().expect("these users have names");
            user.password(&name).on_line(line)
        };
        (first..).zip(users).map(written).collect()
    };
    let mut bank = numbered(20, bank);
    bank.push(nkey_user(&robot().public().to_string()).publishes(&["jobs.>"]).on_line(29));
    let mut settings =
        settings(vec![("SHOP", numbered(1, shop)), ("BANK", bank), ("$SYS", numbered(30, vec![user("root")]))]);
    let mut public = PermissionsSettings {
        publish: SideSettings { allow: Some(Vec::new()), deny: None },
        subscribe: SideSettings { allow: Some(texts(&["public.>"])), deny: None },
        ..PermissionsSettings::default()
    };
    place(&mut public, 12);
    for user in &mut settings.accounts[0].users {
        // The owner is to have no rules at all.
        if user.user.as_deref() == Some("owner") {
            user.permissions = Some(Box::new(PermissionsSettings::default()));
        }
    }
    settings.accounts[0].default_permissions = Some(public);
    settings
}
