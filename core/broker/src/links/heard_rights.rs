//! What binds those who published in another cluster, as its servers tell it.
//!
//! Their rights are known to the server they are connected to. Here they are judged by what that one tells, through the same
//! door as everybody else; and where it tells nothing, by nothing, unless that is refused.

use std::sync::Arc;

use auth::settings::{PermissionsSettings, RuleText, SideSettings};
use auth::{Binding, LinkRights, Origin, Permissions, Source};
use hashbrown::HashMap;
use session::MemberLabel;
use topology::{RIGHTS_LEVEL, ToldLists, ToldRights};

use crate::account_state::AccountState;
use crate::internal::Rights;
use crate::observer::ConnectionLabel;

/// Publishers of one link whose rights are kept ready. More than so many, and all are compiled anew.
const KNOWN_MAX: usize = 256;

/// Somebody who published in another cluster.
pub(crate) struct FarPublisher {
    rights: FarRights,
    label: ConnectionLabel,
}

enum FarRights {
    Client(Arc<Permissions>),
    Leaf(Arc<LinkRights>),
}

impl FarPublisher {
    /// By what rights it published.
    pub(crate) fn rights(&self) -> Rights<'_> {
        match &self.rights {
            FarRights::Client(permissions) => Rights::Client(permissions, &self.label),
            FarRights::Leaf(rights) => Rights::Leaf(rights, &self.label),
        }
    }

    /// Whoever it was that was told of.
    fn told(json: &[u8], account: &AccountState, server: &str) -> Self {
        let Ok(ToldRights { who, is_leaf, lists }) = ToldRights::parse(json) else {
            return Self::barred(&format!("what {server} told of its rights cannot be read"));
        };
        let settings = account.settings();
        let member = MemberLabel::of(settings.name.as_str(), who).map(Arc::new);
        let label = ConnectionLabel { client: None, member };
        let Some([publish, subscribe]) = lists.map(|lists| lists.map(side)) else {
            return Self { label, ..Self::barred(&format!("its lists are too long to be told by {server}")) };
        };
        let source = Source::Given(Origin::Told(format!("told by {server}").into()));
        let rights = if is_leaf {
            LinkRights::compile_from(&publish, &subscribe, &source).map(|rights| FarRights::Leaf(rights.into()))
        } else {
            let settings_of = PermissionsSettings { publish, subscribe, ..PermissionsSettings::default() };
            let binding = Binding { system: settings.system, callout: false };
            Permissions::compile(&settings_of, &source, binding).map(|rights| FarRights::Client(rights.into()))
        };
        match rights {
            Ok(rights) => Self { rights, label },
            Err(error) => Self { label, ..Self::barred(&format!("told by {server}: {error}")) },
        }
    }

    /// Somebody of whom it is not known what it may do: nothing.
    fn barred(why: &str) -> Self {
        let nothing = || SideSettings { allow: None, deny: Some(vec![RuleText::from(">")]) };
        let settings =
            PermissionsSettings { publish: nothing(), subscribe: nothing(), ..PermissionsSettings::default() };
        let source = Source::Given(Origin::Told(why.into()));
        let permissions = Permissions::compile(&settings, &source, Binding::default()).expect("everything is a filter");
        Self { rights: FarRights::Client(Arc::new(permissions)), label: ConnectionLabel::default() }
    }
}

fn side(lists: ToldLists<String>) -> SideSettings {
    let texts = |texts: Vec<String>| texts.iter().map(|text| RuleText::from(text.as_str())).collect();
    SideSettings { allow: lists.allow.map(texts), deny: Some(texts(lists.deny)) }
}

/// What one link has been told.
pub(crate) struct HeardRights {
    /// What the far end calls itself, for the log.
    server: String,
    /// It tells what binds whoever publishes there, if anything does.
    tells: bool,
    /// Whoever publishes there, where nothing is told and that is refused.
    unknown: Option<Arc<FarPublisher>>,
    /// What was told about the message that follows.
    next: Vec<u8>,
    is_next: bool,
    /// By the account and what was told.
    known: HashMap<Box<[u8]>, Arc<FarPublisher>>,
    key: Vec<u8>,
}

impl HeardRights {
    /// Nothing yet. `level` is what the far end said in INFO.
    pub(crate) fn new(server: &str, level: u8, is_required: bool) -> Self {
        let tells = level >= RIGHTS_LEVEL;
        let server = format!("server {server:?}");
        let unknown = || Arc::new(FarPublisher::barred(&format!("{server} does not tell what binds its users")));
        let unknown = (!tells && is_required).then(unknown);
        Self { server, tells, unknown, next: Vec::new(), is_next: false, known: HashMap::new(), key: Vec::new() }
    }

    /// Whether whoever publishes there is bound by nothing here.
    pub(crate) fn leaves_open(&self) -> bool {
        !self.tells && self.unknown.is_none()
    }

    /// Something is told about the message that follows. `false` if the far end said that it tells nothing.
    pub(crate) fn heard(&mut self, json: &[u8]) -> bool {
        self.next.clear();
        self.next.extend_from_slice(json);
        self.is_next = true;
        self.tells
    }

    /// The message that follows goes nowhere.
    pub(crate) fn forget(&mut self) {
        self.is_next = false;
    }

    /// Who published the message that has come, if anything binds it.
    #[inline]
    pub(crate) fn publisher(&mut self, account: &AccountState) -> Option<Arc<FarPublisher>> {
        if std::mem::take(&mut self.is_next) { Some(self.told(account)) } else { self.unknown.clone() }
    }

    #[cold]
    fn told(&mut self, account: &AccountState) -> Arc<FarPublisher> {
        self.key.clear();
        for part in [account.settings().name.as_str().as_bytes(), b"\0", &self.next] {
            self.key.extend_from_slice(part);
        }
        if let Some(known) = self.known.get(self.key.as_slice()) {
            return known.clone();
        }
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        let publisher = Arc::new(FarPublisher::told(&self.next, account, &self.server));
        self.known.insert(self.key.as_slice().into(), publisher.clone());
        publisher
    }
}
