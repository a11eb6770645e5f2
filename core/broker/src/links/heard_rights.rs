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

/// Publishers of one link whose rights are kept ready. More than so many, and those go that have been silent for longest.
const KNOWN_MAX: usize = 256;

/// What the rights that are kept ready for one link take at most. One more than that may be there, alone.
const KNOWN_BYTES_MAX: usize = 8 << 20;

/// What an entry of a list takes when it is compiled, beside its text: rules, and their places in the tries.
const ENTRY_BYTES: usize = 160;

/// Somebody who published in another cluster.
pub(crate) struct FarPublisher {
    rights: FarRights,
    label: ConnectionLabel,
}

enum FarRights {
    Client(Arc<Permissions>),
    Leaf(Arc<LinkRights>),
    /// Nothing is told of it, and that binds it to nothing. What it says of itself is not believed.
    Free(Arc<Permissions>),
}

impl FarPublisher {
    /// By what rights it published.
    pub(crate) fn rights(&self) -> Rights<'_> {
        match &self.rights {
            FarRights::Client(permissions) | FarRights::Free(permissions) => Rights::Client(permissions, &self.label),
            FarRights::Leaf(rights) => Rights::Leaf(rights, &self.label),
        }
    }

    /// By what rights it answered.
    pub(crate) fn rights_of_answer(&self) -> Rights<'_> {
        match &self.rights {
            FarRights::Client(_) | FarRights::Leaf(_) => self.rights(),
            FarRights::Free(_) => Rights::Answering,
        }
    }

    /// What it takes to keep it ready, about.
    fn bytes(&self, told: &[u8]) -> usize {
        let entries = match &self.rights {
            FarRights::Client(permissions) | FarRights::Free(permissions) => permissions.entries(),
            FarRights::Leaf(rights) => rights.entries(),
        };
        // Once as the key, and about once as the texts of the entries.
        entries
            .saturating_mul(ENTRY_BYTES)
            .saturating_add(told.len().saturating_mul(2))
            .saturating_add(size_of::<Self>())
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

    /// Somebody of whom nothing is told, which is not refused.
    fn free() -> Self {
        Self { rights: FarRights::Free(Arc::new(Permissions::everything())), label: ConnectionLabel::default() }
    }

    /// Somebody of whom it is not known what it may do: nothing.
    fn barred(why: &str) -> Self {
        let nothing = || SideSettings { allow: None, deny: Some(vec![RuleText::from(">")]) };
        let settings =
            PermissionsSettings { publish: nothing(), subscribe: nothing(), ..PermissionsSettings::default() };
        let source = Source::Given(Origin::Told(why.into()));
        let permissions = Permissions::compile(&settings, &source, Binding::default()).expect("everything is a filter");
        Self { rights: FarRights::Client(Arc::new(permissions.of_stranger())), label: ConnectionLabel::default() }
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
    /// Whoever publishes there, where nothing is told.
    unknown: Option<Arc<FarPublisher>>,
    /// Whoever publishes there is bound by nothing.
    leaves_open: bool,
    /// What was told about the message that follows.
    next: Vec<u8>,
    is_next: bool,
    known: KnownRights,
    key: Vec<u8>,
}

/// Publishers whose rights are kept ready, by the account and what was told.
#[derive(Default)]
struct KnownRights {
    all: HashMap<Box<[u8]>, Known>,
    bytes: usize,
    /// How often somebody was asked for.
    asked: u64,
}

struct Known {
    publisher: Arc<FarPublisher>,
    /// What it takes, about.
    bytes: usize,
    /// When it was asked for last, by [`KnownRights::asked`].
    asked: u64,
}

impl KnownRights {
    fn get(&mut self, key: &[u8]) -> Option<Arc<FarPublisher>> {
        let known = self.all.get_mut(key)?;
        self.asked += 1;
        known.asked = self.asked;
        Some(known.publisher.clone())
    }

    fn insert(&mut self, key: &[u8], publisher: Arc<FarPublisher>) {
        let bytes = publisher.bytes(key);
        while self.all.len() >= KNOWN_MAX || !self.all.is_empty() && self.bytes.saturating_add(bytes) > KNOWN_BYTES_MAX
        {
            self.forget_oldest();
        }
        self.asked += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.all.insert(key.into(), Known { publisher, bytes, asked: self.asked });
    }

    /// There are few, and it takes longer to compile the rights of the one that comes.
    fn forget_oldest(&mut self) {
        let oldest = self.all.iter().min_by_key(|(_, known)| known.asked).map(|(key, _)| key.clone());
        if let Some(gone) = oldest.and_then(|oldest| self.all.remove(&oldest)) {
            self.bytes = self.bytes.saturating_sub(gone.bytes);
        }
    }
}

impl HeardRights {
    /// Nothing yet. `level` is what the far end said in INFO.
    pub(crate) fn new(server: &str, level: u8, is_required: bool) -> Self {
        let tells = level >= RIGHTS_LEVEL;
        let server = format!("server {server:?}");
        let unknown = || match is_required {
            true => FarPublisher::barred(&format!("{server} does not tell what binds its users")),
            false => FarPublisher::free(),
        };
        let unknown = (!tells).then(unknown).map(Arc::new);
        let leaves_open = !tells && !is_required;
        let (next, is_next, known, key) = Default::default();
        Self { server, tells, unknown, leaves_open, next, is_next, known, key }
    }

    /// Whether whoever publishes there is bound by nothing here.
    pub(crate) fn leaves_open(&self) -> bool {
        self.leaves_open
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
            return known;
        }
        let publisher = Arc::new(FarPublisher::told(&self.next, account, &self.server));
        self.known.insert(&self.key, publisher.clone());
        publisher
    }
}

#[cfg(test)]
mod tests {
    use account::{Account, AccountName};

    use super::*;

    fn account() -> Arc<AccountState> {
        AccountState::new(Arc::new(Account::named(AccountName::parse("A").unwrap())), 1, Arc::default())
    }

    /// Somebody who may not read these subjects.
    fn hear(heard: &mut HeardRights, account: &AccountState, who: usize, entries: usize) -> Arc<FarPublisher> {
        let denied: Vec<String> = (0..entries).map(|entry| format!("\"{entry}\"")).collect();
        let json = format!(r#"{{"who":"user:{who}","publish":{{}},"subscribe":{{"deny":[{}]}}}}"#, denied.join(","));
        assert!(heard.heard(json.as_bytes()));
        heard.publisher(account).unwrap()
    }

    #[test]
    fn who_was_silent_for_longest_is_forgotten_first_and_alone() {
        let (account, mut heard) = (account(), HeardRights::new("B", RIGHTS_LEVEL, false));
        let first: Vec<_> = (0..KNOWN_MAX).map(|who| hear(&mut heard, &account, who, 1)).collect();
        assert!(Arc::ptr_eq(&hear(&mut heard, &account, 0, 1), &first[0]), "it is kept ready");
        hear(&mut heard, &account, KNOWN_MAX, 1);
        assert_eq!(heard.known.all.len(), KNOWN_MAX);
        for (who, known) in first.iter().enumerate().skip(2) {
            assert!(Arc::ptr_eq(&hear(&mut heard, &account, who, 1), known), "{who}");
        }
        assert!(Arc::ptr_eq(&hear(&mut heard, &account, 0, 1), &first[0]), "it was heard of lately");
        assert!(!Arc::ptr_eq(&hear(&mut heard, &account, 1, 1), &first[1]), "it was not");
    }

    #[test]
    fn long_lists_are_kept_ready_as_far_as_there_is_room() {
        let (account, mut heard) = (account(), HeardRights::new("B", RIGHTS_LEVEL, false));
        for who in 0..KNOWN_MAX {
            hear(&mut heard, &account, who, 2000);
            assert!(heard.known.bytes <= KNOWN_BYTES_MAX, "{who}");
        }
        assert!((10..KNOWN_MAX / 4).contains(&heard.known.all.len()), "{}", heard.known.all.len());
        assert_eq!(heard.known.bytes, heard.known.all.values().map(|known| known.bytes).sum::<usize>());
        let last = hear(&mut heard, &account, KNOWN_MAX - 1, 2000);
        let small: Vec<_> = (0..20).map(|who| hear(&mut heard, &account, who, 1)).collect();
        assert!(Arc::ptr_eq(&hear(&mut heard, &account, KNOWN_MAX - 1, 2000), &last), "others are small");
        assert!(small.iter().enumerate().all(|(who, known)| Arc::ptr_eq(&hear(&mut heard, &account, who, 1), known)));
    }
}
