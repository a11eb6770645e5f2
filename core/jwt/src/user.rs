use nkeys::{KeyPair, PublicKey, Role};
use serde_json::{Map, Value};

use crate::bounds::{MAX_SOURCES, MAX_TEXT_BYTES, MAX_TEXTS, MAX_WINDOWS};
use crate::common::{Common, Kind, Top, UnixSeconds};
use crate::issue::Issues;
use crate::limits::NatsLimits;
use crate::network::Network;
use crate::permission::Permissions;
use crate::read::{self, Fields};
use crate::token::{self, Unsigned};
use crate::window::{TimeOfDay, Window};
use crate::write::Object;
use crate::{DecodeError, EncodeError};

/// A time of day to another, as texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// `15:04:05`
    pub start: String,
    /// `15:04:05`
    pub end: String,
}

/// What a user may do and how: in a user's own claims, or in the template of a scoped signing key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserRights {
    /// What may be published, subscribed, answered.
    pub permissions: Permissions,
    /// `src`: networks the user may come from; empty for anywhere.
    pub sources: Vec<String>,
    /// `times`: when the user may be connected; empty for always.
    pub times: Vec<TimeRange>,
    /// `times_location`: the zone of these times; empty for the server's.
    pub times_location: String,
    /// Limits of the connection.
    pub limits: NatsLimits,
    /// `bearer_token`: whoever holds the token is the user; no nonce is signed.
    pub bearer_token: bool,
    /// `proxy_required`: only through a trusted proxy.
    pub proxy_required: bool,
    /// `allowed_connection_types`: empty for all.
    pub allowed_connection_types: Vec<String>,
}

pub(crate) const RIGHTS_FIELDS: &[&str] = &[
    "pub",
    "sub",
    "resp",
    "src",
    "times",
    "times_location",
    "subs",
    "data",
    "payload",
    "bearer_token",
    "proxy_required",
    "allowed_connection_types",
    "issuer_account",
    "tags",
    "type",
    "version",
];

impl UserRights {
    /// Nothing is restricted.
    pub fn unlimited() -> Self {
        Self { limits: NatsLimits::UNLIMITED, ..Self::default() }
    }

    /// Nothing is said at all, as a scoped user's own claims must be.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn read(fields: Fields<'_>, limits: NatsLimits) -> Result<Self, DecodeError> {
        Ok(Self {
            permissions: Permissions::read(fields)?,
            sources: fields.read("src", read_sources)?.unwrap_or_default(),
            times: fields.list("times", MAX_WINDOWS, read_range)?,
            times_location: fields.text("times_location")?,
            limits: NatsLimits::read(fields, limits)?,
            bearer_token: fields.flag("bearer_token")?,
            proxy_required: fields.flag("proxy_required")?,
            allowed_connection_types: fields.texts("allowed_connection_types", MAX_TEXTS)?,
        })
    }

    pub(crate) fn write(&self, object: &mut Object) {
        self.permissions.write(object);
        object.texts("src", &self.sources).list("times", self.times.iter().map(write_range));
        object.text("times_location", &self.times_location);
        self.limits.write(object);
        object
            .flag("bearer_token", self.bearer_token)
            .flag("proxy_required", self.proxy_required)
            .texts("allowed_connection_types", &self.allowed_connection_types);
    }

    pub(crate) fn validate(&self, issues: &mut Issues) {
        self.permissions.validate(issues);
        for source in &self.sources {
            if source.parse::<Network>().is_err() {
                issues.block(format_args!("invalid cidr {source:?} in user src limits"));
            }
        }
        for range in &self.times {
            validate_time("start", &range.start, issues);
            validate_time("end", &range.end, issues);
        }
    }

    /// The networks, or `None` when one of them is not one.
    pub fn networks(&self) -> Option<Vec<Network>> {
        self.sources.iter().map(|source| source.parse().ok()).collect()
    }

    /// The windows, or `None` when one of them is not one.
    pub fn windows(&self) -> Option<Vec<Window>> {
        let window = |range: &TimeRange| {
            Some(Window { start: TimeOfDay::parse(&range.start)?, end: TimeOfDay::parse(&range.end)? })
        };
        self.times.iter().map(window).collect()
    }

    /// The zone of the windows, `None` for the server's.
    pub fn zone(&self) -> Option<&str> {
        Some(self.times_location.as_str()).filter(|zone| !zone.is_empty())
    }
}

/// A list, or one text with commas.
fn read_sources(value: &Value) -> Result<Vec<String>, DecodeError> {
    let Some(text) = value.as_str() else {
        return read::list(value, MAX_SOURCES, |entry| read::text(entry, MAX_TEXT_BYTES));
    };
    let entries = text.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty());
    let entries: Vec<String> = entries.take(MAX_SOURCES + 1).collect();
    if entries.len() > MAX_SOURCES {
        return Err(DecodeError::field(crate::Problem::TooMany(MAX_SOURCES)));
    }
    Ok(entries)
}

fn read_range(value: &Value) -> Result<TimeRange, DecodeError> {
    let fields = Fields::of(value, &["start", "end"])?;
    Ok(TimeRange { start: fields.text("start")?, end: fields.text("end")? })
}

fn write_range(range: &TimeRange) -> Map<String, Value> {
    Object::default().text("start", &range.start).text("end", &range.end).done()
}

fn validate_time(name: &str, text: &str, issues: &mut Issues) {
    if text.is_empty() {
        let article = if name == "end" { "an" } else { "a" };
        issues.block(format_args!("time ranges {name} must contain {article} {name}"));
    } else if TimeOfDay::parse(text).is_none() {
        issues.block(format_args!("{name} in time range is invalid {text:?}"));
    }
}

/// Somebody who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserClaims {
    /// The shared fields; the subject is the user's key.
    pub common: Common,
    /// What the user may do. Empty where a scope speaks instead.
    pub rights: UserRights,
    /// The user's account, where a signing key of it issued the claim.
    pub issuer_account: Option<PublicKey>,
}

impl UserClaims {
    /// A user without restrictions.
    pub fn new(subject: PublicKey, issuer: PublicKey) -> Self {
        Self { common: Common::new(subject, issuer), rights: UserRights::unlimited(), issuer_account: None }
    }

    /// A user whose rights come from the signing key's scope.
    pub fn scoped(subject: PublicKey, issuer: PublicKey, account: PublicKey) -> Self {
        Self { common: Common::new(subject, issuer), rights: UserRights::default(), issuer_account: Some(account) }
    }

    /// Reads a token and checks its signature, not whether the signer may make users.
    pub fn decode(token: &str) -> Result<Self, DecodeError> {
        token::decode(token, Kind::User, Self::read, |claims| &claims.common.issuer)
    }

    pub(crate) fn read(top: &Top<'_>) -> Result<Self, DecodeError> {
        let common = Common::read(top, Some(Role::User))?;
        Self::read_body(top, common).map_err(|error| error.within("nats"))
    }

    fn read_body(top: &Top<'_>, common: Common) -> Result<Self, DecodeError> {
        let body = top.body(RIGHTS_FIELDS)?;
        // Absent limits meant none in the first generation, and mean zero since.
        let limits = if top.version == 1 { NatsLimits::UNLIMITED } else { NatsLimits::default() };
        Ok(Self { common, rights: UserRights::read(body, limits)?, issuer_account: top.issuer_account(body)? })
    }

    /// The account the user belongs to, if the account agrees.
    pub fn account(&self) -> PublicKey {
        self.issuer_account.unwrap_or(self.common.issuer)
    }

    /// Everything that is wrong with it.
    pub fn validate(&self, now: UnixSeconds) -> Issues {
        let mut issues = Issues::default();
        issues.check_time(&self.common, now);
        self.rights.validate(&mut issues);
        issues
    }

    /// The claims ready to be signed by an account key.
    pub fn unsigned(&self, issuer: PublicKey, now: UnixSeconds) -> Result<Unsigned, EncodeError> {
        if self.common.subject.role() != Role::User {
            return Err(EncodeError::Subject);
        }
        Unsigned::of(&self.common, self.body(), Kind::User, issuer, now)
    }

    /// Signs.
    pub fn encode(&self, signer: &KeyPair, now: UnixSeconds) -> Result<String, EncodeError> {
        self.unsigned(signer.public(), now)?.sign(signer)
    }

    /// The claims as JSON.
    pub fn to_json(&self) -> Value {
        self.common.write(&self.common.id).put("nats", self.body()).done().into()
    }

    fn body(&self) -> Map<String, Value> {
        let mut object = Object::default();
        self.rights.write(&mut object);
        object.maybe("issuer_account", self.issuer_account.map(|key| key.to_string()));
        self.common.write_generic(&mut object, Kind::User)
    }
}
