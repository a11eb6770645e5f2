//! Who somebody is: what each kind of provider says about the credentials of a login.

mod file;
mod keys;
mod ldap;
mod oidc;

use std::sync::Arc;

use anyhow::Result;
use secret::Secret;
use serde_json::{Map, Value};

use crate::metrics::Metrics;
use crate::settings::ProviderSettings;

/// Somebody whom a provider knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Identity {
    /// Which provider.
    pub(crate) provider: String,
    /// What the provider calls them.
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
    pub(crate) claims: Map<String, Value>,
    /// The second at which the provider's word ends.
    pub(crate) expires: Option<i64>,
}

impl Identity {
    pub(crate) fn label(&self) -> String {
        format!("user {:?} of {}", self.name, self.provider)
    }

    /// The claim at a path of names with dots between.
    pub(crate) fn claim(&self, path: &str) -> Option<&Value> {
        dig(&self.claims, path)
    }

    /// Whether a claim has a value, or a list has it among others.
    pub(crate) fn has_claim(&self, path: &str, wanted: &Value) -> bool {
        match self.claim(path) {
            Some(Value::Array(list)) => list.contains(wanted),
            found => found == Some(wanted),
        }
    }
}

/// The value at a path. A name that has dots itself, as an URL, is found too.
pub(crate) fn dig<'a>(map: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(found) = map.get(path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('.')?;
    dig(map.get(first)?.as_object()?, rest)
}

/// What a connection showed.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) user: String,
    pub(crate) password: Secret<String>,
    pub(crate) token: Secret<String>,
}

impl Shown {
    /// The token of an OpenID provider: where tokens belong, or in the place of a password.
    fn bearer(&self) -> Option<&str> {
        let looks_signed = |text: &&str| text.split('.').count() == 3 && text.starts_with("eyJ");
        [self.token.expose().as_str(), self.password.expose().as_str()].into_iter().find(looks_signed)
    }

    /// A user name and a password, neither of them empty. A token in the place of a password is none.
    fn password(&self) -> Option<(&str, &Secret<String>)> {
        let is_given = !self.user.is_empty() && !self.password.expose().is_empty() && self.bearer().is_none();
        is_given.then_some((self.user.as_str(), &self.password))
    }
}

/// What a provider says.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// This is who it is.
    Known(Box<Identity>),
    /// These credentials are for somebody else to judge.
    NotMine,
    /// These credentials are wrong.
    Wrong(String),
    /// It cannot say now, so nobody is let in.
    Away(anyhow::Error),
}

/// One provider.
pub(crate) enum Provider {
    File(file::Users),
    Ldap(Box<ldap::Directory>),
    Oidc(Box<oidc::Issuer>),
}

impl Provider {
    pub(crate) fn new(settings: &ProviderSettings, metrics: &Arc<Metrics>) -> Result<Self> {
        Ok(match settings {
            ProviderSettings::File(settings) => Self::File(file::Users::read(settings)?),
            ProviderSettings::Ldap(settings) => Self::Ldap(ldap::Directory::new(settings)?.into()),
            ProviderSettings::Oidc(settings) => Self::Oidc(oidc::Issuer::new(settings, Arc::clone(metrics))?.into()),
        })
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::File(users) => users.name(),
            Self::Ldap(directory) => directory.name(),
            Self::Oidc(issuer) => issuer.name(),
        }
    }

    /// Judges credentials.
    pub(crate) async fn judge(&self, shown: &Shown) -> Verdict {
        match self {
            Self::File(users) => users.judge(shown).await,
            Self::Ldap(directory) => directory.judge(shown).await,
            Self::Oidc(issuer) => issuer.judge(shown).await,
        }
    }
}
