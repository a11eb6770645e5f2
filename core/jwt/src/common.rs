//! What every claim has: who says it, about whom, from when, until when.

use std::fmt;
use std::str::FromStr;

use nkeys::{KeyError, PublicKey, Role};
use serde_json::{Map, Value};

use crate::bounds::{MAX_TAGS, MAX_TEXT_BYTES};
use crate::read::{self, Fields};
use crate::write::Object;
use crate::{DecodeError, Problem};

/// Seconds since the epoch, as tokens count time. Zero stands for "never said".
pub type UnixSeconds = i64;

/// What a claim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The root of trust.
    Operator,
    /// A tenant.
    Account,
    /// Somebody who connects.
    User,
    /// Leave to import.
    Activation,
    /// The server asks a callout service.
    AuthorizationRequest,
    /// The callout service answers.
    AuthorizationResponse,
    /// Anything else that is signed in this form.
    Generic,
}

impl Kind {
    /// The word in the token.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Account => "account",
            Self::User => "user",
            Self::Activation => "activation",
            Self::AuthorizationRequest => "authorization_request",
            Self::AuthorizationResponse => "authorization_response",
            Self::Generic => "generic",
        }
    }

    pub(crate) fn from_word(word: &str) -> Result<Self, DecodeError> {
        Ok(match word {
            "operator" => Self::Operator,
            "account" => Self::Account,
            "user" => Self::User,
            "activation" => Self::Activation,
            "authorization_request" => Self::AuthorizationRequest,
            "authorization_response" => Self::AuthorizationResponse,
            "cluster" => return Err(DecodeError::Retired("ClusterClaims")),
            "server" => return Err(DecodeError::Retired("ServerClaims")),
            _ => Self::Generic,
        })
    }

    pub(crate) const fn refusal(self) -> &'static str {
        match self {
            Self::Operator => "not operator claim",
            Self::Account => "not account claim",
            Self::User => "not user claim",
            Self::Activation => "not activation claim",
            Self::AuthorizationRequest | Self::AuthorizationResponse => "not an authorization request claim",
            Self::Generic => "not a generic claim",
        }
    }

    /// The roles whose keys may issue such claims; none stands for all.
    pub const fn issuers(self) -> &'static [Role] {
        match self {
            Self::Operator => &[Role::Operator],
            Self::Account | Self::Activation => &[Role::Account, Role::Operator],
            Self::User | Self::AuthorizationResponse => &[Role::Account],
            Self::AuthorizationRequest => &[Role::Server],
            Self::Generic => &[],
        }
    }

    pub(crate) fn may_issue(self, role: Role) -> bool {
        self.issuers().is_empty() || self.issuers().contains(&role)
    }
}

/// Who a claim is about: for most kinds a key of one role, for generic claims any text.
pub trait Subject: fmt::Display + Clone + Sized {
    #[doc(hidden)]
    fn read(text: &str, role: Option<Role>) -> Result<Self, KeyError>;
}

impl Subject for PublicKey {
    fn read(text: &str, role: Option<Role>) -> Result<Self, KeyError> {
        role.map_or_else(|| PublicKey::from_str(text), |role| PublicKey::parse_as(role, text))
    }
}

impl Subject for String {
    fn read(text: &str, _: Option<Role>) -> Result<Self, KeyError> {
        Ok(text.to_owned())
    }
}

/// The fields that all claims share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common<S = PublicKey> {
    /// `aud`: for whom it is meant.
    pub audience: String,
    /// `exp`: from this second on it is worth nothing; zero for never.
    pub expires: UnixSeconds,
    /// `jti`: a hash of the shared fields.
    pub id: String,
    /// `iat`: when it was signed. Revocations compare with this.
    pub issued_at: UnixSeconds,
    /// `iss`: the key that signed it.
    pub issuer: PublicKey,
    /// `name`: for people.
    pub name: String,
    /// `nbf`: before this second it is worth nothing yet; zero for always.
    pub not_before: UnixSeconds,
    /// `sub`: whom it is about.
    pub subject: S,
    /// Labels of the form `word` or `name:value`, in lower case.
    pub tags: Vec<String>,
    /// The generation of the format it came in, 1 or 2.
    pub version: u8,
}

impl<S: Subject> Common<S> {
    /// The fields of a claim that is yet to be signed.
    pub fn new(subject: S, issuer: PublicKey) -> Self {
        Self {
            audience: String::new(),
            expires: 0,
            id: String::new(),
            issued_at: 0,
            issuer,
            name: String::new(),
            not_before: 0,
            subject,
            tags: Vec::new(),
            version: 2,
        }
    }

    /// Whether it is worth nothing any more.
    pub const fn is_expired(&self, now: UnixSeconds) -> bool {
        self.expires != 0 && self.expires <= now
    }

    /// Whether it is worth nothing yet.
    pub const fn is_early(&self, now: UnixSeconds) -> bool {
        self.not_before > now
    }

    /// Whether issuer and subject are the same key.
    pub fn is_self_signed(&self) -> bool {
        self.issuer.to_string() == self.subject.to_string()
    }

    /// Adds a tag as tools do: trimmed, lower case, once.
    pub fn add_tag(&mut self, tag: &str) {
        let tag = tag.trim().to_lowercase();
        if !tag.is_empty() && !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }

    pub(crate) fn read(top: &Top<'_>, role: Option<Role>) -> Result<Self, DecodeError> {
        let fields = top.fields;
        let issuer = fields.text("iss")?;
        let issuer = issuer.parse().map_err(|error| DecodeError::field(Problem::Key(error)).within("iss"))?;
        let subject = fields.text("sub")?;
        let subject = S::read(&subject, role).map_err(|error| DecodeError::field(Problem::Key(error)).within("sub"))?;
        Ok(Self {
            audience: fields.text("aud")?,
            expires: fields.int("exp")?,
            id: fields.text("jti")?,
            issued_at: fields.int("iat")?,
            issuer,
            name: fields.text("name")?,
            not_before: fields.int("nbf")?,
            subject,
            tags: top.tags()?,
            version: top.version,
        })
    }

    /// The shared fields in the order in which they are hashed and written.
    pub(crate) fn write(&self, id: &str) -> Object {
        let mut object = Object::default();
        object
            .text("aud", &self.audience)
            .int("exp", self.expires)
            .text("jti", id)
            .int("iat", self.issued_at)
            .text("iss", &self.issuer.to_string())
            .text("name", &self.name)
            .int("nbf", self.not_before)
            .text("sub", &self.subject.to_string());
        object
    }

    /// The last fields of every `nats` object.
    pub(crate) fn write_generic(&self, object: &mut Object, kind: Kind) -> Map<String, Value> {
        object.texts("tags", &self.tags).text("type", kind.word()).int("version", 2).done()
    }
}

/// A claim's JSON with the question of its generation answered.
pub(crate) struct Top<'a> {
    pub(crate) fields: Fields<'a>,
    pub(crate) nats: &'a Value,
    pub(crate) kind: Kind,
    pub(crate) version: u8,
}

const NOTHING: &Value = &Value::Null;
const TOP_FIELDS: &[&str] =
    &["aud", "exp", "jti", "iat", "iss", "name", "nbf", "sub", "nats", "type", "tags", "issuer_account"];
const NEWEST: i64 = 2;

impl<'a> Top<'a> {
    /// In the first generation the kind stands beside the other fields, later inside `nats`.
    pub(crate) fn read(value: &'a Value) -> Result<Self, DecodeError> {
        if !value.is_object() {
            return Err(read::wrong(value, "an object").within("claims"));
        }
        let fields = Fields::of(value, TOP_FIELDS)?;
        let nats = fields.get("nats").unwrap_or(NOTHING);
        let outer = fields.text("type")?;
        let inner = Fields::of(nats, &["type", "version", "tags"]).map_err(|error| error.within("nats"))?;
        let (word, version) = if outer.is_empty() { (kind_word(inner)?, inner_version(inner)?) } else { (outer, 1) };
        if version > NEWEST {
            return Err(DecodeError::NewerVersion);
        }
        let kind = Kind::from_word(&word)?;
        // The callout's two kinds and generic claims never had to say a version.
        let lax = matches!(kind, Kind::Generic | Kind::AuthorizationRequest | Kind::AuthorizationResponse);
        let version = match version {
            2 => 2,
            1 => 1,
            _ if lax => 1,
            other => return Err(DecodeError::Version(other)),
        };
        Ok(Self { fields, nats, kind, version })
    }

    /// Tags stood beside the other fields in the first generation, and stand inside `nats` since.
    fn tags(&self) -> Result<Vec<String>, DecodeError> {
        if self.version == 1 && self.kind != Kind::Generic {
            return self.fields.texts("tags", MAX_TAGS);
        }
        let read = Fields::of(self.nats, &["tags"]).and_then(|nats| nats.texts("tags", MAX_TAGS));
        read.map_err(|error| error.within("nats"))
    }

    /// The fields of `nats`.
    pub(crate) fn body(&self, known: &'static [&'static str]) -> Result<Fields<'a>, DecodeError> {
        Fields::of(self.nats, known)
    }

    pub(crate) fn issuer_account(&self, body: Fields<'a>) -> Result<Option<PublicKey>, DecodeError> {
        let fields = if self.version == 1 { self.fields } else { body };
        optional_key(fields, "issuer_account", Role::Account)
    }
}

/// Only generic claims may keep other things than a word under `type`, and then they are generic.
fn kind_word(inner: Fields<'_>) -> Result<String, DecodeError> {
    inner.text_within("type", MAX_TEXT_BYTES).map_err(|error| error.within("nats"))
}

fn inner_version(inner: Fields<'_>) -> Result<i64, DecodeError> {
    inner.int("version").map_err(|error| error.within("nats"))
}

/// A key that may be absent; an empty text is absent.
pub(crate) fn optional_key(fields: Fields<'_>, name: &str, role: Role) -> Result<Option<PublicKey>, DecodeError> {
    let read = fields.read(name, |value| match value.as_str() {
        Some("") => Ok(None),
        _ => read::key(value, role).map(Some),
    })?;
    Ok(read.flatten())
}
