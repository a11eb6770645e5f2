//! Where each server would take orders to streams: who is heard there, and whether anything binds it.

use std::sync::{Arc, Mutex};

use auth::ReadRule;
use auth::settings::{PermissionsSettings, Settings, SideSettings, UserSettings};
use broker::{InternalSubscriber, LinkKind, Message, Sender};
use secret::Secret;

/// What orders are published to.
pub(crate) const ORDER: &str = "$JS.API.STREAM.MSG.GET.S";

/// Users of every server: nothing binds the first, and the second must not have everything.
pub(crate) const USERS: [&str; 2] = ["free", "bound"];

/// An order as it was heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) message: u64,
    /// By what it came.
    pub(crate) kind: LinkKind,
    /// There is something that whoever sent it may not read.
    pub(crate) is_bound: bool,
}

/// What a server has heard and nobody has looked at.
#[derive(Clone, Default)]
pub(crate) struct Ear(Arc<Mutex<Vec<Heard>>>);

impl Ear {
    /// What was heard since this was asked last.
    pub(crate) fn taken(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.0.lock().expect("nobody panics while listening"))
    }
}

impl InternalSubscriber for Ear {
    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>) {
        let number = std::str::from_utf8(message.payload).ok().and_then(|text| text.parse().ok());
        let (Some(message), Some(link)) = (number, sender.link) else { return };
        let is_bound = sender.reader(ReadRule::Denied).is_some();
        let heard = Heard { message, kind: link.kind, is_bound };
        self.0.lock().expect("nobody panics while listening").push(heard);
    }
}

/// The users.
pub(crate) fn users() -> Settings {
    let denied = SideSettings { allow: None, deny: Some(vec!["secret.>".into()]) };
    let bound = PermissionsSettings { subscribe: denied, ..PermissionsSettings::default() };
    let user = |name: &str, permissions: Option<PermissionsSettings>| UserSettings {
        user: Some(name.to_owned()),
        password: Some(Secret::new(name.to_owned())),
        permissions: permissions.map(Box::new),
        ..UserSettings::default()
    };
    let mut settings = Settings::default();
    settings.authorization.users = Some(vec![user(USERS[0], None), user(USERS[1], Some(bound))]);
    settings
}
