//! The keys that may sign users in an account's name, plain or within a scope.

use std::collections::BTreeMap;

use nkeys::{PublicKey, Role};
use serde_json::{Map, Value};

use crate::bounds::{MAX_SIGNING_KEYS, MAX_TEXT_BYTES};
use crate::issue::Issues;
use crate::limits::NatsLimits;
use crate::read::{self, Fields};
use crate::user::{RIGHTS_FIELDS, UserRights};
use crate::write::Object;
use crate::{DecodeError, Problem};

/// What the users of one signing key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Its name.
    pub role: String,
    /// For people.
    pub description: String,
    /// The users' rights; subjects may hold templates such as `{{name()}}`.
    pub template: UserRights,
}

impl Default for Scope {
    fn default() -> Self {
        Self { role: String::new(), description: String::new(), template: UserRights::unlimited() }
    }
}

/// An account's signing keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigningKeys(BTreeMap<PublicKey, Option<Scope>>);

impl SigningKeys {
    /// Adds a key, with a scope or without one, in place of an entry that was there.
    pub fn add(&mut self, key: PublicKey, scope: Option<Scope>) {
        self.0.insert(key, scope);
    }

    /// Takes a key out, and says whether it was there.
    pub fn remove(&mut self, key: &PublicKey) -> bool {
        self.0.remove(key).is_some()
    }

    /// Whether the key may sign.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.0.contains_key(key)
    }

    /// The key's entry: outer `None` when it may not sign, inner `None` when it has no scope.
    pub fn get(&self, key: &PublicKey) -> Option<Option<&Scope>> {
        self.0.get(key).map(Option::as_ref)
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = (&PublicKey, Option<&Scope>)> {
        self.0.iter().map(|(key, scope)| (key, scope.as_ref()))
    }

    pub(crate) fn read(fields: Fields<'_>) -> Result<Self, DecodeError> {
        let entries = fields.list("signing_keys", MAX_SIGNING_KEYS, read_entry)?;
        Ok(Self(entries.into_iter().collect()))
    }

    pub(crate) fn write(&self) -> Vec<Value> {
        let mut entries: Vec<(String, &Option<Scope>)> =
            self.0.iter().map(|(key, scope)| (key.to_string(), scope)).collect();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        entries.into_iter().map(|(key, scope)| write_entry(key, scope.as_ref())).collect()
    }

    pub(crate) fn validate(&self, issues: &mut Issues) {
        // Subjects with templates are judged when a user fills them in.
        for key in self.0.keys().filter(|key| key.role() != Role::Account) {
            issues.block(format_args!("\"{key}\" is not a valid account signing key"));
        }
    }
}

const KIND: &str = "user_scope";

fn read_entry(value: &Value) -> Result<(PublicKey, Option<Scope>), DecodeError> {
    if value.is_string() {
        return Ok((read::key(value, Role::Account)?, None));
    }
    if value.is_null() {
        return Err(read::wrong(value, "a signing key"));
    }
    let fields = Fields::of(value, &["kind", "key", "role", "template", "description"])?;
    let kind = fields.text("kind")?;
    if kind != KIND {
        return Err(DecodeError::field(Problem::Word(kind)).within("kind"));
    }
    let template =
        fields.read("template", |value| UserRights::read(Fields::of(value, RIGHTS_FIELDS)?, NatsLimits::UNLIMITED))?;
    let scope = Scope {
        role: fields.text_within("role", MAX_TEXT_BYTES)?,
        description: fields.text_within("description", MAX_TEXT_BYTES)?,
        template: template.unwrap_or_else(UserRights::unlimited),
    };
    Ok((fields.key("key", Role::Account)?, Some(scope)))
}

fn write_entry(key: String, scope: Option<&Scope>) -> Value {
    match scope {
        None => key.into(),
        Some(scope) => write_scope(key, scope).into(),
    }
}

fn write_scope(key: String, scope: &Scope) -> Map<String, Value> {
    let mut template = Object::default();
    scope.template.write(&mut template);
    Object::default()
        .put("kind", KIND)
        .put("key", key)
        .put("role", scope.role.as_str())
        .put("template", template.done())
        .put("description", scope.description.as_str())
        .done()
}
