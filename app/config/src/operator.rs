//! Operator mode: who is trusted, and where account JWTs come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use conf::{Map, Node, Place, Value};
use jwt::{AccountClaims, OperatorClaims};
use moment::GoDuration;
use nkeys::{PublicKey, Role, Secret, undecorate_jwt};

use crate::go_text::{self, quoted};
use crate::report::Report;
use crate::support::Feature;
use crate::tls::{self, Context};
use crate::url::Url;

/// An operator that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedOperator {
    /// The JWT as it was read.
    pub jwt: String,
    /// The operator's public key.
    pub subject: String,
}

/// Operator mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// Trusted operators.
    pub operators: Vec<TrustedOperator>,
    /// Trusted public operator keys, without a JWT.
    pub trusted_keys: Vec<String>,
    /// Where account JWTs come from.
    pub resolver: Option<Resolver>,
    /// Encryption towards a resolver on the web.
    pub resolver_tls: Option<::tls::Settings>,
    /// Account JWTs that are known from the start, by public key.
    pub preload: BTreeMap<String, String>,
    /// Only these accounts may log in; all if empty.
    pub pinned_accounts: Vec<String>,
    /// The user JWT of peers that show none. It needs no key, so it is a secret.
    pub default_sentinel: Option<Secret<String>>,
}

/// Where account JWTs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolver {
    /// What is preloaded.
    Memory,
    /// Asked on the web: the account's key follows the address.
    Url(String),
    /// A folder with all of them, kept equal among servers.
    Full {
        /// The folder.
        dir: PathBuf,
        /// What a delete request does.
        delete: Deletion,
        /// Most JWTs; no limit if zero.
        limit: u64,
        /// How often servers compare what they have; the default if absent.
        interval: Option<Duration>,
        /// How long others may take to answer; the default if absent.
        timeout: Option<Duration>,
    },
    /// A folder with those that were asked for.
    Cache {
        /// The folder.
        dir: PathBuf,
        /// Most JWTs; no limit if zero.
        limit: u64,
        /// How long one is kept; the default if absent.
        ttl: Option<Duration>,
        /// How long others may take to answer; the default if absent.
        timeout: Option<Duration>,
    },
}

/// What a delete request does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deletion {
    /// It is refused.
    #[default]
    Refused,
    /// The file is renamed.
    Renames,
    /// The file goes.
    Removes,
}

impl Operator {
    /// Whether accounts come from JWTs.
    pub fn is_on(&self) -> bool {
        !self.operators.is_empty() || !self.trusted_keys.is_empty()
    }
}

pub(crate) const KEYS: &[&str] = &[
    "operator",
    "operators",
    "root",
    "roots",
    "root_operator",
    "root_operators",
    "trusted_keys",
    "trusted",
    "resolver",
    "account_resolver",
    "accounts_resolver",
    "resolver_tls",
    "resolver_preload",
    "resolver_pinned_accounts",
    "default_sentinel",
];

/// What reading an operator JWT says about other options.
#[derive(Debug, Default)]
pub(crate) struct Implied {
    pub(crate) system_account: Option<String>,
    pub(crate) resolver: Option<Resolver>,
}

impl Operator {
    /// Reads `operator`: paths of files, or JWTs in place.
    pub(crate) fn read_operators(&mut self, node: &Node, implied: &mut Implied, report: &mut Report<'_>) {
        let mut claims = Vec::new();
        for text in report.strings("operators", node).unwrap_or_default() {
            match read_operator(&text, report) {
                Ok((operator, claim)) => {
                    self.operators.push(operator);
                    claims.push(claim);
                }
                Err(why) => report.error(&node.place, format!("error parsing operator JWT: {why}")),
            }
        }
        if let [claim] = claims.as_slice() {
            imply(claim, implied);
        }
    }

    /// Reads `trusted_keys`.
    pub(crate) fn read_trusted(&mut self, node: &Node, report: &mut Report<'_>) {
        for key in report.strings("trusted", node).unwrap_or_default() {
            if PublicKey::is(Role::Operator, &key) {
                self.trusted_keys.push(key);
            } else {
                let text = format!("trust key {} required to be a valid public operator nkey", quoted(&key));
                report.error(&node.place, text);
            }
        }
    }

    /// Reads `resolver_tls`.
    pub(crate) fn read_tls(&mut self, node: &Node, report: &mut Report<'_>) {
        self.resolver_tls = tls::read(node, Context::Remote, report);
    }

    /// Reads `resolver_preload`.
    pub(crate) fn read_preload(&mut self, node: &Node, report: &mut Report<'_>) {
        let Some(map) = node.as_map() else {
            return report.error(&node.place, "preload should be a map of account_public_key:account_jwt");
        };
        for (key, value) in map.iter().filter(|(_, value)| !value.is_used_variable) {
            match value.as_str() {
                Some(token) => match AccountClaims::decode(token) {
                    Ok(claims) => {
                        needs_of_account(&claims, &value.place, report);
                        self.preload.insert(key.to_owned(), token.to_owned());
                    }
                    Err(_) => report.error(&value.place, "invalid account JWT"),
                },
                None => report.error(&value.place, "preload map value should be a string JWT"),
            }
        }
    }

    /// Reads `resolver_pinned_accounts`.
    pub(crate) fn read_pinned(&mut self, node: &Node, report: &mut Report<'_>) {
        for key in report.strings("resolver_pinned_accounts", node).unwrap_or_default() {
            if PublicKey::is(Role::Account, &key) {
                self.pinned_accounts.push(key);
            } else {
                let text = format!("pinned account key {} is not a valid public account nkey", quoted(&key));
                report.error(&node.place, text);
            }
        }
    }

    /// Reads `resolver`.
    pub(crate) fn read_resolver(&mut self, node: &Node, report: &mut Report<'_>) {
        let before = report.errors.len();
        self.resolver = match &node.value {
            Value::String(text) => named_resolver(text.as_str()),
            Value::Map(map) => folder_resolver(node, map, report),
            _ => {
                let kind = node.kind().go_type();
                let text = format!("error parsing operator resolver, wrong type {kind}");
                return report.error(&node.place, text);
            }
        };
        if self.resolver.is_none() && report.errors.len() == before {
            let text = "error parsing account resolver, should be MEM or  URL(\"url\") or a map containing dir and \
                        type state=[FULL|CACHE])";
            report.error(&node.place, text);
        }
    }
}

/// What the claims of an account need of the server.
fn needs_of_account(claims: &AccountClaims, place: &Place, report: &mut Report<'_>) {
    if !claims.authorization.auth_users.is_empty() {
        report.needs(Feature::AuthCallout, place);
    }
}

/// The text is the JWT itself or names a file with it.
fn read_operator(text: &str, report: &Report<'_>) -> Result<(TrustedOperator, OperatorClaims), String> {
    let token = if text.starts_with("eyJ") {
        text.to_owned()
    } else {
        let bytes = (report.world.read_file)(text)?;
        undecorate_jwt(bytes.expose()).map_err(|error| error.to_string())?.to_owned()
    };
    let claims = OperatorClaims::decode(&token).map_err(|error| error.to_string())?;
    let subject = claims.common.subject.to_string();
    Ok((TrustedOperator { jwt: token, subject }, claims))
}

fn imply(claims: &OperatorClaims, implied: &mut Implied) {
    implied.system_account = claims.system_account.as_ref().map(ToString::to_string);
    let server = claims.account_server_url.as_str();
    if !server.is_empty() {
        implied.resolver = Some(Resolver::Url(format!("{server}/accounts")));
    }
}

/// `MEMORY` or `URL(address)`.
fn named_resolver(text: &str) -> Option<Resolver> {
    let text = text.trim();
    let upper = text.to_ascii_uppercase();
    if upper == "MEM" || upper == "MEMORY" {
        return Some(Resolver::Memory);
    }
    let inner = upper.starts_with("URL").then(|| text.get(3..))??.trim();
    let address = inner.strip_prefix('(')?.strip_suffix(')')?.trim().trim_matches('"');
    let is_web = Url::parse(address).is_some_and(|url| matches!(url.scheme.as_str(), "http" | "https"));
    is_web.then(|| Resolver::Url(address.to_owned()))
}

#[derive(Default)]
struct Folder {
    kind: String,
    dir: PathBuf,
    allow_delete: bool,
    hard_delete: Option<bool>,
    limit: u64,
    ttl: Option<Duration>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
}

fn folder_resolver(node: &Node, map: &Map, report: &mut Report<'_>) -> Option<Resolver> {
    let mut folder = Folder::default();
    for (key, value) in map.iter() {
        folder.read(key, value, report);
    }
    folder.finish(node, report)
}

impl Folder {
    fn read(&mut self, key: &str, node: &Node, report: &mut Report<'_>) {
        match key {
            "type" => report.set_text(node, &mut self.kind),
            "dir" => {
                let mut path = None;
                report.set_path(node, &mut path);
                self.dir = path.unwrap_or_default();
            }
            "allow_delete" => report.set_bool(node, &mut self.allow_delete),
            "hard_delete" => self.hard_delete = report.boolean(node),
            "limit" => {
                if let Some(limit) = report.integer(node) {
                    self.limit = u64::try_from(limit).unwrap_or(0);
                }
            }
            "ttl" => self.ttl = read_duration(node, report),
            "interval" => self.interval = read_duration(node, report),
            "timeout" => self.timeout = read_duration(node, report),
            _ => report.unknown(
                key,
                node,
                &["type", "dir", "allow_delete", "hard_delete", "limit", "ttl", "interval", "timeout"],
            ),
        }
    }

    fn finish(self, node: &Node, report: &mut Report<'_>) -> Option<Resolver> {
        let kind = self.kind.to_ascii_uppercase();
        if matches!(kind.as_str(), "CACHE" | "FULL") && self.dir.as_os_str().is_empty() {
            report.error(&node.place, "dir has no value and needs to point to a directory");
        }
        match kind.as_str() {
            "CACHE" => {
                for (is_there, what) in [
                    (self.interval.is_some(), "sync"),
                    (self.allow_delete, "allow_delete"),
                    (self.hard_delete.is_some(), "hard_delete"),
                ] {
                    if is_there {
                        report.error(&node.place, format!("CACHE does not accept {what}"));
                    }
                }
                let Self { dir, limit, ttl, timeout, .. } = self;
                Some(Resolver::Cache { dir, limit, ttl, timeout })
            }
            "FULL" => {
                if self.ttl.is_some() {
                    report.error(&node.place, "FULL does not accept ttl");
                }
                if self.hard_delete.is_some() && !self.allow_delete {
                    report.error(&node.place, "hard_delete has no effect without delete");
                }
                let delete = match (self.allow_delete, self.hard_delete) {
                    (false, _) => Deletion::Refused,
                    (true, Some(true)) => Deletion::Removes,
                    (true, _) => Deletion::Renames,
                };
                let Self { dir, limit, interval, timeout, .. } = self;
                Some(Resolver::Full { dir, delete, limit, interval, timeout })
            }
            "MEM" | "MEMORY" => Some(Resolver::Memory),
            _ => None,
        }
    }
}

fn read_duration(node: &Node, report: &mut Report<'_>) -> Option<Duration> {
    let text = report.text(node)?;
    match text.parse::<GoDuration>() {
        Ok(duration) => duration.to_std().filter(|duration| !duration.is_zero()),
        Err(error) => {
            report.error(&node.place, go_text::duration_error(error, text));
            None
        }
    }
}
