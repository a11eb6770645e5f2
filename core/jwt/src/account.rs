use nkeys::{KeyPair, PublicKey, Role, XPublicKey};
use serde_json::{Map, Value};

use crate::bounds::{MAX_EXPORTS, MAX_IMPORTS, MAX_SUBJECT_BYTES, MAX_TEXT_BYTES, MAX_TEXTS};
use crate::common::{Common, Kind, Top, UnixSeconds};
use crate::export::{self, Export};
use crate::import::{self, Import};
use crate::issue::Issues;
use crate::limits::Limits;
use crate::mapping::{self, Mappings};
use crate::permission::Permissions;
use crate::read::{self, Fields};
use crate::revocation::Revocations;
use crate::sharing::validate_info;
use crate::signing::SigningKeys;
use crate::subjects;
use crate::token::{self, Unsigned};
use crate::write::Object;
use crate::{DecodeError, EncodeError, Problem};

/// Which accounts a callout service may place users in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AllowedAccount {
    /// `*`
    Any,
    /// One account.
    Account(PublicKey),
}

/// Logins are decided by a callout service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalAuthorization {
    /// Users that log in without it: the service itself. None means there is no callout.
    pub auth_users: Vec<PublicKey>,
    /// Accounts the service may place users in, besides this one.
    pub allowed_accounts: Vec<AllowedAccount>,
    /// The key requests are sealed for.
    pub xkey: Option<XPublicKey>,
}

/// Where traces of sampled messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageTrace {
    /// The subject.
    pub destination: String,
    /// Of a hundred; zero stands for a hundred.
    pub sampling: i64,
}

/// Which account pays for the cluster traffic of JetStream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ClusterTraffic {
    /// Nothing is said.
    #[default]
    Unset,
    /// `system`: the system account.
    System,
    /// `owner`: the account itself.
    Owner,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountClaims {
    /// The shared fields; the subject is the account's key.
    pub common: Common,
    /// What is taken from others.
    pub imports: Vec<Import>,
    /// What is offered to others.
    pub exports: Vec<Export>,
    /// What the operator grants.
    pub limits: Limits,
    /// Further keys that may sign users.
    pub signing_keys: SigningKeys,
    /// Users that are void.
    pub revocations: Revocations,
    /// What users may do that say nothing themselves.
    pub default_permissions: Permissions,
    /// Subjects that are rewritten.
    pub mappings: Mappings,
    /// Whether a service decides logins.
    pub authorization: ExternalAuthorization,
    /// Where traces go.
    pub trace: Option<MessageTrace>,
    /// Which account carries JetStream's cluster traffic.
    pub cluster_traffic: ClusterTraffic,
    /// For people.
    pub description: String,
    /// For people.
    pub info_url: String,
}

const FIELDS: &[&str] = &[
    "imports",
    "exports",
    "limits",
    "signing_keys",
    "revocations",
    "default_permissions",
    "mappings",
    "authorization",
    "trace",
    "cluster_traffic",
    "description",
    "info_url",
    "tags",
    "type",
    "version",
];

impl AccountClaims {
    /// An account without limits, that stores nothing.
    pub fn new(subject: PublicKey, issuer: PublicKey) -> Self {
        Self::blank(Common::new(subject, issuer), Limits::unlimited())
    }

    fn blank(common: Common, limits: Limits) -> Self {
        Self {
            common,
            imports: Vec::new(),
            exports: Vec::new(),
            limits,
            signing_keys: SigningKeys::default(),
            revocations: Revocations::default(),
            default_permissions: Permissions::default(),
            mappings: Mappings::new(),
            authorization: ExternalAuthorization::default(),
            trace: None,
            cluster_traffic: ClusterTraffic::Unset,
            description: String::new(),
            info_url: String::new(),
        }
    }

    /// Reads a token and checks its signature, not whether anybody trusts the signer.
    pub fn decode(token: &str) -> Result<Self, DecodeError> {
        token::decode(token, Kind::Account, Self::read, |claims| &claims.common.issuer)
    }

    pub(crate) fn read(top: &Top<'_>) -> Result<Self, DecodeError> {
        let common = Common::read(top, Some(Role::Account))?;
        Self::read_body(top, common).map_err(|error| error.within("nats"))
    }

    fn read_body(top: &Top<'_>, common: Common) -> Result<Self, DecodeError> {
        let body = top.body(FIELDS)?;
        let limits = body.read("limits", |value| Limits::read(value, top.version))?.unwrap_or_default();
        let first = Self {
            imports: body.list("imports", MAX_IMPORTS, Import::read)?,
            exports: body.list("exports", MAX_EXPORTS, Export::read)?,
            signing_keys: SigningKeys::read(body)?,
            revocations: Revocations::read(body)?,
            ..Self::blank(common, limits)
        };
        // The first generation ended here.
        if top.version == 1 {
            return Ok(first);
        }
        Ok(Self {
            default_permissions: body.read("default_permissions", read_permissions)?.unwrap_or_default(),
            mappings: mapping::read(body)?,
            authorization: body.read("authorization", ExternalAuthorization::read)?.unwrap_or_default(),
            trace: body.read("trace", read_trace)?,
            cluster_traffic: body.read("cluster_traffic", read_traffic)?.unwrap_or_default(),
            description: body.text("description")?,
            info_url: body.text("info_url")?,
            ..first
        })
    }

    /// Whether the account lets a key sign users and activations.
    pub fn may_sign(&self, issuer: &PublicKey) -> bool {
        *issuer == self.common.subject || self.signing_keys.contains(issuer)
    }

    /// Everything that is wrong with it.
    pub fn validate(&self, now: UnixSeconds) -> Issues {
        let mut issues = Issues::default();
        issues.check_time(&self.common, now);
        import::validate_all(&self.imports, &self.common.subject, &mut issues);
        export::validate_all(&self.exports, &mut issues);
        self.limits.validate(&mut issues);
        self.default_permissions.validate(&mut issues);
        mapping::validate(&self.mappings, &mut issues);
        self.authorization.validate(&mut issues);
        self.validate_trace(&mut issues);
        self.validate_counts(&mut issues);
        self.signing_keys.validate(&mut issues);
        validate_info(&self.info_url, &mut issues);
        if self.common.issuer.role() == Role::Account && !self.limits.is_empty() {
            issues.warn("self-signed account JWTs shouldn't contain operator limits");
        }
        issues
    }

    fn validate_trace(&self, issues: &mut Issues) {
        let Some(trace) = &self.trace else { return };
        subjects::check(&trace.destination, issues);
        if subjects::has_wildcards(&trace.destination) {
            let subject = &trace.destination;
            issues.block(format_args!(
                "the account Trace.Destination subject {subject:?} is not a valid publish subject"
            ));
        }
        if !(0..=100).contains(&trace.sampling) {
            let sampling = trace.sampling;
            issues.block(format_args!(
                "the account Trace.Sampling value '{sampling}' is not valid, should be in the range [1..100]"
            ));
        }
    }

    fn validate_counts(&self, issues: &mut Issues) {
        let limits = &self.limits.account;
        let over = |limit: i64, len: usize| crate::limits::bound(limit).is_some_and(|limit| len as u64 > limit);
        if over(limits.imports, self.imports.len()) {
            issues.block("the account contains more imports than allowed by the operator");
        }
        if over(limits.exports, self.exports.len()) {
            issues.block("the account contains more exports than allowed by the operator");
        }
        let restricted = limits.exports >= 0 && !limits.wildcard_exports;
        if restricted && self.exports.iter().any(|export| subjects::has_wildcards(&export.subject)) {
            issues.block("the account contains wildcard exports that are not allowed by the operator");
        }
    }

    /// The claims ready to be signed by an operator key, or by the account's own.
    pub fn unsigned(&self, issuer: PublicKey, now: UnixSeconds) -> Result<Unsigned, EncodeError> {
        if self.common.subject.role() != Role::Account {
            return Err(EncodeError::Subject);
        }
        Unsigned::of(&self.common, self.body(), Kind::Account, issuer, now)
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
        let mut defaults = Object::default();
        self.default_permissions.write(&mut defaults);
        let mut object = Object::default();
        object
            .list("imports", by_subject(&self.imports, |import| &import.subject).map(Import::write))
            .list("exports", by_subject(&self.exports, |export| &export.subject).map(Export::write))
            .put("limits", self.limits.write())
            .list("signing_keys", self.signing_keys.write())
            .map("revocations", self.revocations.write())
            .put("default_permissions", defaults.done())
            .map("mappings", mapping::write(&self.mappings))
            .put("authorization", self.authorization.write())
            .maybe("trace", self.trace.as_ref().map(write_trace))
            .text("cluster_traffic", self.cluster_traffic.word())
            .text("description", &self.description)
            .text("info_url", &self.info_url);
        self.common.write_generic(&mut object, Kind::Account)
    }
}

fn by_subject<T>(list: &[T], subject: impl Fn(&T) -> &String) -> impl Iterator<Item = &T> {
    let mut sorted: Vec<&T> = list.iter().collect();
    sorted.sort_by(|one, other| subject(one).cmp(subject(other)));
    sorted.into_iter()
}

fn read_permissions(value: &Value) -> Result<Permissions, DecodeError> {
    Permissions::read(Fields::of(value, &["pub", "sub", "resp"])?)
}

fn read_trace(value: &Value) -> Result<MessageTrace, DecodeError> {
    let fields = Fields::of(value, &["dest", "sampling"])?;
    Ok(MessageTrace { destination: fields.text_within("dest", MAX_SUBJECT_BYTES)?, sampling: fields.int("sampling")? })
}

fn write_trace(trace: &MessageTrace) -> Map<String, Value> {
    Object::default().text("dest", &trace.destination).int("sampling", trace.sampling).done()
}

fn read_traffic(value: &Value) -> Result<ClusterTraffic, DecodeError> {
    let known = [ClusterTraffic::Unset, ClusterTraffic::System, ClusterTraffic::Owner];
    let word = read::text(value, MAX_TEXT_BYTES)?;
    let found = known.into_iter().find(|kind| kind.word() == word);
    found.ok_or_else(|| DecodeError::field(Problem::Word(word)))
}

impl ClusterTraffic {
    const fn word(self) -> &'static str {
        match self {
            Self::Unset => "",
            Self::System => "system",
            Self::Owner => "owner",
        }
    }
}

impl ExternalAuthorization {
    /// Whether a service is asked at all.
    pub fn is_enabled(&self) -> bool {
        !self.auth_users.is_empty()
    }

    /// Whether the service may place users in that account, which is not its own.
    pub fn allows(&self, account: &PublicKey) -> bool {
        let fits = |allowed: &AllowedAccount| match allowed {
            AllowedAccount::Any => true,
            AllowedAccount::Account(one) => one == account,
        };
        self.allowed_accounts.iter().any(fits)
    }

    fn read(value: &Value) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, &["auth_users", "allowed_accounts", "xkey"])?;
        let allowed = |value: &Value| match value.as_str() {
            Some("*") => Ok(AllowedAccount::Any),
            _ => read::key(value, Role::Account).map(AllowedAccount::Account),
        };
        Ok(Self {
            auth_users: fields.list("auth_users", MAX_TEXTS, |value| read::key(value, Role::User))?,
            allowed_accounts: fields.list("allowed_accounts", MAX_TEXTS, allowed)?,
            xkey: fields.read("xkey", read_xkey)?.flatten(),
        })
    }

    fn write(&self) -> Map<String, Value> {
        let account = |allowed: &AllowedAccount| match allowed {
            AllowedAccount::Any => "*".to_owned(),
            AllowedAccount::Account(key) => key.to_string(),
        };
        Object::default()
            .list("auth_users", self.auth_users.iter().map(PublicKey::to_string))
            .list("allowed_accounts", self.allowed_accounts.iter().map(account))
            .maybe("xkey", self.xkey.map(|key| key.to_string()))
            .done()
    }

    fn validate(&self, issues: &mut Issues) {
        if !self.allowed_accounts.is_empty() && self.auth_users.is_empty() {
            issues.block("External authorization cannot have accounts without users specified");
        }
        if self.allowed_accounts.len() > 1 && self.allowed_accounts.contains(&AllowedAccount::Any) {
            issues.block("AllowedAccounts can only be a list of accounts or \"*\"");
        }
    }
}

fn read_xkey(value: &Value) -> Result<Option<XPublicKey>, DecodeError> {
    let text = read::text(value, MAX_TEXT_BYTES)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| DecodeError::field(Problem::Key(error)))
}
