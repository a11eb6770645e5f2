//! The configuration file, as it is typed. An unknown name is an error with its place.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use crate::rules::RuleSettings;
use crate::secret_text::SecretText;

const MAX_CONFIG_BYTES: u64 = 4 << 20;
/// More providers than anybody has.
const MAX_PROVIDERS: usize = 32;
const MAX_RULES: usize = 10_000;

/// Everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) nats: NatsSettings,
    pub(crate) callout: CalloutSettings,
    #[serde(default)]
    pub(crate) monitor: MonitorSettings,
    /// Accounts that users are placed in, by the name the rules use.
    #[serde(default)]
    pub(crate) accounts: BTreeMap<String, AccountSettings>,
    #[serde(default, rename = "provider")]
    pub(crate) providers: Vec<ProviderSettings>,
    #[serde(default, rename = "rule")]
    pub(crate) rules: Vec<RuleSettings>,
}

/// How we log in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NatsSettings {
    pub(crate) servers: Vec<String>,
    #[serde(default)]
    pub(crate) user: Option<String>,
    #[serde(default)]
    pub(crate) password: Option<SecretText>,
    /// Seed of a user key.
    #[serde(default)]
    pub(crate) nkey: Option<SecretText>,
    #[serde(default)]
    pub(crate) creds: Option<PathBuf>,
    /// Authorities to trust instead of the system's.
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
    /// Refuse servers without TLS.
    #[serde(default)]
    pub(crate) tls: bool,
}

/// How we answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CalloutSettings {
    /// Seed of the account key that signs answers.
    pub(crate) issuer: SecretText,
    /// The account that the issuer signs for, where it is a signing key (operator mode).
    #[serde(default)]
    pub(crate) issuer_account: Option<String>,
    /// Seed of the curve key that questions are sealed for.
    #[serde(default)]
    pub(crate) xkey: Option<SecretText>,
    /// Public keys of the servers that may ask; empty for all that can reach us.
    #[serde(default)]
    pub(crate) servers: Vec<String>,
    #[serde(default = "default_queue")]
    pub(crate) queue: String,
    /// Questions at a time; more are refused at once.
    #[serde(default = "default_in_flight")]
    pub(crate) max_in_flight: usize,
    /// How long a decision may take. Servers wait two seconds.
    #[serde(default = "default_timeout")]
    pub(crate) timeout: Span,
    /// How long users are let in where neither the rule nor the provider says.
    #[serde(default = "default_expire")]
    pub(crate) expire: Span,
}

/// Figures and health.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MonitorSettings {
    #[serde(default)]
    pub(crate) listen: Option<SocketAddr>,
}

/// An account in operator mode. Without any, rules name accounts of the servers' configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountSettings {
    /// The account's public key.
    pub(crate) id: String,
    /// Seed of the account's key, or of one of its signing keys.
    pub(crate) signing_key: SecretText,
}

/// Somebody who knows who people are.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum ProviderSettings {
    File(FileSettings),
    Ldap(Box<LdapSettings>),
    Oidc(Box<OidcSettings>),
}

/// Users in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSettings {
    #[serde(default = "file_name")]
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// A directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LdapSettings {
    #[serde(default = "ldap_name")]
    pub(crate) name: String,
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) starttls: bool,
    /// Send passwords in the clear to another machine.
    #[serde(default)]
    pub(crate) allow_plain: bool,
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
    /// The user's name in the directory, with `{user}` in it. Without it the user is searched.
    #[serde(default)]
    pub(crate) user_dn: Option<String>,
    /// Who searches.
    #[serde(default)]
    pub(crate) bind_dn: Option<String>,
    #[serde(default)]
    pub(crate) bind_password: Option<SecretText>,
    #[serde(default)]
    pub(crate) user_base: Option<String>,
    #[serde(default = "user_filter")]
    pub(crate) user_filter: String,
    /// The attribute that is the user's name.
    #[serde(default = "name_attribute")]
    pub(crate) name_attribute: String,
    /// Attributes that rules may ask for.
    #[serde(default)]
    pub(crate) attributes: Vec<String>,
    #[serde(default)]
    pub(crate) group_base: Option<String>,
    #[serde(default = "group_filter")]
    pub(crate) group_filter: String,
    #[serde(default = "group_attribute")]
    pub(crate) group_attribute: String,
    #[serde(default = "ldap_timeout")]
    pub(crate) timeout: Span,
    #[serde(default = "ldap_connections")]
    pub(crate) max_connections: usize,
}

/// An OpenID provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcSettings {
    #[serde(default = "oidc_name")]
    pub(crate) name: String,
    /// As it stands in `iss`.
    pub(crate) issuer: String,
    /// One of these must stand in `aud`.
    pub(crate) audience: Vec<String>,
    #[serde(default = "algorithms")]
    pub(crate) algorithms: Vec<String>,
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
    /// The claim that is the user's name; dots lead into objects.
    #[serde(default = "name_claim")]
    pub(crate) name_claim: String,
    #[serde(default = "groups_claim")]
    pub(crate) groups_claim: String,
    /// Claims that must have these values.
    #[serde(default)]
    pub(crate) require: BTreeMap<String, serde_json::Value>,
    /// Clocks may differ by this much.
    #[serde(default = "leeway")]
    pub(crate) leeway: Span,
    /// Keys are asked for again after this time.
    #[serde(default = "keys_age")]
    pub(crate) keys_max_age: Span,
    /// An unknown key leads to a question at most this often.
    #[serde(default = "keys_pause")]
    pub(crate) keys_min_pause: Span,
}

fn default_queue() -> String {
    "nats-callout".to_owned()
}
const fn default_in_flight() -> usize {
    256
}
fn default_timeout() -> Span {
    Span(Duration::from_millis(1800))
}
fn default_expire() -> Span {
    Span(Duration::from_secs(3600))
}
fn file_name() -> String {
    "file".to_owned()
}
fn ldap_name() -> String {
    "ldap".to_owned()
}
fn oidc_name() -> String {
    "oidc".to_owned()
}
fn user_filter() -> String {
    "(uid={user})".to_owned()
}
fn name_attribute() -> String {
    "uid".to_owned()
}
fn group_filter() -> String {
    "(member={dn})".to_owned()
}
fn group_attribute() -> String {
    "cn".to_owned()
}
fn ldap_timeout() -> Span {
    Span(Duration::from_millis(1500))
}
const fn ldap_connections() -> usize {
    32
}
fn algorithms() -> Vec<String> {
    ["RS256", "PS256", "ES256", "ES384", "EdDSA"].map(str::to_owned).to_vec()
}
fn name_claim() -> String {
    "sub".to_owned()
}
fn groups_claim() -> String {
    "groups".to_owned()
}
fn leeway() -> Span {
    Span(Duration::from_secs(30))
}
fn keys_age() -> Span {
    Span(Duration::from_secs(600))
}
fn keys_pause() -> Span {
    Span(Duration::from_secs(10))
}

/// A duration: `500ms`, `2s`, `10m`, `1h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.checked_mul(millis).map(|millis| Self(Duration::from_millis(millis)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"500ms\", \"2s\", \"10m\", \"1h\" or \"7d\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl Settings {
    /// Reads a file. Paths in it are relative to its directory.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).with_context(|| format!("could not read {}", path.display()))?.len();
        if size > MAX_CONFIG_BYTES {
            bail!("{} has more than {MAX_CONFIG_BYTES} bytes", path.display());
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        let mut settings: Self =
            toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        settings.check()?;
        settings.settle(path.parent().unwrap_or(Path::new(".")));
        Ok(settings)
    }

    fn check(&self) -> Result<()> {
        if self.nats.servers.is_empty() {
            bail!("nats.servers names no server");
        }
        let ways = [self.nats.user.is_some(), self.nats.nkey.is_some(), self.nats.creds.is_some()];
        if ways.iter().filter(|is_given| **is_given).count() > 1 {
            bail!("nats.user, nats.nkey and nats.creds are three ways to log in: choose one");
        }
        if self.nats.user.is_some() != self.nats.password.is_some() {
            bail!("nats.user and nats.password go together");
        }
        if self.providers.is_empty() || self.providers.len() > MAX_PROVIDERS {
            bail!("there must be one [[provider]] at least, and {MAX_PROVIDERS} at most");
        }
        if self.rules.is_empty() || self.rules.len() > MAX_RULES {
            bail!("there must be one [[rule]] at least, and {MAX_RULES} at most: without a rule nobody is let in");
        }
        if self.callout.max_in_flight == 0 {
            bail!("callout.max_in_flight must be one at least");
        }
        Ok(())
    }

    fn settle(&mut self, folder: &Path) {
        let mut paths: Vec<&mut PathBuf> = self.nats.creds.iter_mut().chain(&mut self.nats.ca).collect();
        for provider in &mut self.providers {
            match provider {
                ProviderSettings::File(file) => paths.push(&mut file.path),
                ProviderSettings::Ldap(ldap) => paths.extend(&mut ldap.ca),
                ProviderSettings::Oidc(oidc) => paths.extend(&mut oidc.ca),
            }
        }
        for path in paths {
            *path = folder.join(&*path);
        }
    }
}

#[cfg(test)]
pub(crate) const SAMPLE: &str = r#"
[nats]
servers = ["nats://127.0.0.1:4222"]
user = "auth"
password = "secret"
[callout]
issuer = "env:ISSUER"
[[provider]]
kind = "file"
path = "users.toml"
[[rule]]
account = "APP"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl Fn(&str) -> String) -> String {
        let read = toml::from_str::<Settings>(&change(SAMPLE));
        match read {
            Err(error) => error.to_string(),
            Ok(settings) => settings.check().expect_err("it is refused").to_string(),
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let odd = problem(|text| text.replace("issuer =", "isuer ="));
        assert!(odd.contains("unknown field `isuer`") && odd.contains("line 7"), "{odd}");
        let odd = problem(|text| text.replace("[callout]", "[callout]\ntimeout = \"2 seconds\""));
        assert!(odd.contains("a duration such as"), "{odd}");
        let odd = problem(|text| text.replace("password = \"secret\"", ""));
        assert!(odd.contains("go together"), "{odd}");
        let odd = problem(|text| text.replace("[[rule]]\naccount = \"APP\"\n", ""));
        assert!(odd.contains("without a rule nobody is let in"), "{odd}");
    }

    #[test]
    fn the_example_is_valid() {
        let settings: Settings = toml::from_str(include_str!("../../../examples/callout.toml")).unwrap();
        settings.check().unwrap();
        assert_eq!((settings.providers.len(), settings.rules.len()), (3, 4));
    }

    #[test]
    fn secrets_never_show() {
        let settings: Settings = toml::from_str(&SAMPLE.replace("\"secret\"", "\"marker-77\"")).unwrap();
        assert!(!format!("{settings:?}").contains("marker-77"));
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(Span::parse("1500ms"), Some(Span(Duration::from_millis(1500))));
        assert_eq!(Span::parse("2h"), Some(Span(Duration::from_secs(7200))));
        for odd in ["", "1", "s", "1y", "-1s", "99999999999999999999s"] {
            assert_eq!(Span::parse(odd), None, "{odd}");
        }
    }
}
