//! A directory: the user's own password opens it, and its groups say what they are.
//!
//! What a user types is escaped before it becomes part of a name or a filter. An empty password is never tried: directories take
//! it for an anonymous visit and say yes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, dn_escape, ldap_escape,
};
use rustls::ClientConfig;
use secret::Secret;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::http::is_here;
use crate::provider::{Identity, Shown, Verdict};
use crate::settings::LdapSettings;
use crate::tls;

const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
/// What a directory says to wrong credentials.
const INVALID_CREDENTIALS: u32 = 49;
/// More groups than anybody is in.
const MAX_GROUPS: i32 = 1000;
const MAX_NAME_BYTES: usize = 256;

/// How a user's name in the directory is found.
enum Finding {
    /// It is made from what was typed.
    Made(String),
    /// It is searched by somebody who may.
    Searched { dn: String, password: Secret<String>, base: String, filter: String },
}

/// A directory and how it is asked.
pub(crate) struct Directory {
    name: String,
    url: String,
    starttls: bool,
    tls: Arc<ClientConfig>,
    finding: Finding,
    name_attribute: String,
    attributes: Vec<String>,
    groups: Option<(String, String, String)>,
    timeout: Duration,
    places: Semaphore,
}

impl Directory {
    pub(crate) fn new(settings: &LdapSettings) -> Result<Self> {
        let what = format!("provider {}", settings.name);
        check_transport(settings).with_context(|| what.clone())?;
        let finding = match (&settings.user_dn, &settings.user_base) {
            (Some(template), None) if template.contains("{user}") => Finding::Made(template.clone()),
            (Some(_), None) => bail!("{what}: user_dn must hold {{user}}"),
            (None, Some(base)) => {
                let (Some(dn), Some(password)) = (&settings.bind_dn, &settings.bind_password) else {
                    bail!("{what}: searching users needs bind_dn and bind_password");
                };
                if !settings.user_filter.contains("{user}") {
                    bail!("{what}: user_filter must hold {{user}}");
                }
                let password = password.read(&format!("{what}: bind_password"))?;
                if password.expose().is_empty() {
                    bail!("{what}: bind_password is empty");
                }
                Finding::Searched { dn: dn.clone(), password, base: base.clone(), filter: settings.user_filter.clone() }
            }
            _ => bail!("{what}: give either user_dn, or user_base with bind_dn and bind_password"),
        };
        let groups = settings
            .group_base
            .as_ref()
            .map(|base| (base.clone(), settings.group_filter.clone(), settings.group_attribute.clone()));
        Ok(Self {
            name: settings.name.clone(),
            url: settings.url.clone(),
            starttls: settings.starttls,
            tls: tls::client(settings.ca.as_deref()).context(what)?,
            finding,
            name_attribute: settings.name_attribute.clone(),
            attributes: settings.attributes.iter().cloned().chain([settings.name_attribute.clone()]).collect(),
            groups,
            timeout: settings.timeout.0,
            places: Semaphore::new(settings.max_connections.max(1)),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn judge(&self, shown: &Shown) -> Verdict {
        let Some((user, password)) = shown.password() else { return Verdict::NotMine };
        if user.len() > MAX_NAME_BYTES || user.contains('\0') {
            return Verdict::Wrong(format!("a user name of {} cannot be that long", self.name));
        }
        let asked = async {
            let _place = self.places.acquire().await?;
            self.ask(user, password).await
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(Some(identity))) => Verdict::Known(identity.into()),
            Ok(Ok(None)) => Verdict::Wrong(format!("{} does not know user {user:?} with this password", self.name)),
            Ok(Err(error)) => Verdict::Away(error.context(format!("{} at {}", self.name, self.url))),
            Err(_) => Verdict::Away(anyhow!("{} at {} did not answer within {:?}", self.name, self.url, self.timeout)),
        }
    }

    async fn ask(&self, user: &str, password: &Secret<String>) -> Result<Option<Identity>> {
        let settings = LdapConnSettings::new()
            .set_conn_timeout(self.timeout)
            .set_starttls(self.starttls)
            .set_config(Arc::clone(&self.tls));
        let (connection, mut ldap) =
            LdapConnAsync::with_settings(settings, &self.url).await.context("could not connect")?;
        let driver = tokio::spawn(async move { connection.drive().await });
        let found = self.look_up(&mut ldap, user, password).await;
        let _ = ldap.unbind().await;
        driver.abort();
        found
    }

    async fn look_up(&self, ldap: &mut Ldap, user: &str, password: &Secret<String>) -> Result<Option<Identity>> {
        let Some(dn) = self.find(ldap, user).await? else { return Ok(None) };
        if !bind(ldap, &dn, password).await? {
            return Ok(None);
        }
        // A directory may not show users what it shows to whoever searches.
        if let Finding::Searched { dn, password, .. } = &self.finding
            && !bind(ldap, dn, password).await?
        {
            bail!("bind_dn and bind_password are wrong");
        }
        let claims = self.claims(ldap, &dn).await?;
        let groups = self.groups(ldap, user, &dn).await?;
        // Directories take `ALICE ` for `alice`: the name is the one they keep, not the one that was typed.
        let name =
            claims.iter().find(|(name, _)| name.eq_ignore_ascii_case(&self.name_attribute)).map(
                |(_, value)| match value {
                    Value::Array(values) => values.first().and_then(Value::as_str).unwrap_or_default().to_owned(),
                    value => value.as_str().unwrap_or_default().to_owned(),
                },
            );
        let name = name.filter(|name| !name.is_empty());
        let name =
            name.with_context(|| format!("{dn} shows no attribute {}, which names the user", self.name_attribute))?;
        Ok(Some(Identity { provider: self.name.clone(), name, groups, claims, expires: None }))
    }

    /// The user's name in the directory; nothing when there is no such user, or more than one.
    async fn find(&self, ldap: &mut Ldap, user: &str) -> Result<Option<String>> {
        match &self.finding {
            Finding::Made(template) => Ok(Some(template.replace("{user}", &dn_escape(user)))),
            Finding::Searched { dn, password, base, filter } => {
                if !bind(ldap, dn, password).await? {
                    bail!("bind_dn and bind_password are wrong");
                }
                let filter = filter.replace("{user}", &ldap_escape(user));
                let options = SearchOptions::new().sizelimit(2);
                let found =
                    ldap.with_search_options(options).search(base, Scope::Subtree, &filter, vec!["1.1"]).await?;
                if !matches!(found.1.rc, SUCCESS | SIZE_LIMIT_EXCEEDED) {
                    bail!("the search for users fails: {}", found.1);
                }
                let entries: Vec<_> =
                    found.0.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate()).collect();
                let mut entries = entries.into_iter().map(SearchEntry::construct);
                match (entries.next(), entries.next()) {
                    (Some(only), None) => Ok(Some(only.dn)),
                    _ => Ok(None),
                }
            }
        }
    }

    async fn claims(&self, ldap: &mut Ldap, dn: &str) -> Result<Map<String, Value>> {
        let mut claims = Map::from_iter([("dn".to_owned(), Value::from(dn))]);
        let found = ldap.search(dn, Scope::Base, "(objectClass=*)", self.attributes.clone()).await?.success()?;
        for entry in found.0.into_iter().map(SearchEntry::construct) {
            for (name, mut values) in entry.attrs {
                let value = if values.len() == 1 { values.remove(0).into() } else { values.into() };
                claims.insert(name, value);
            }
        }
        Ok(claims)
    }

    async fn groups(&self, ldap: &mut Ldap, user: &str, dn: &str) -> Result<Vec<String>> {
        let Some((base, filter, attribute)) = &self.groups else { return Ok(Vec::new()) };
        let filter = filter.replace("{dn}", &ldap_escape(dn)).replace("{user}", &ldap_escape(user));
        let options = SearchOptions::new().sizelimit(MAX_GROUPS);
        let found = ldap
            .with_search_options(options)
            .search(base, Scope::Subtree, &filter, vec![attribute.as_str()])
            .await?
            .success()?;
        let entries = found.0.into_iter().map(SearchEntry::construct);
        Ok(entries.filter_map(|mut entry| entry.attrs.remove(attribute)).flatten().collect())
    }
}

/// Whether the directory takes a name and a password.
async fn bind(ldap: &mut Ldap, dn: &str, password: &Secret<String>) -> Result<bool> {
    match ldap.simple_bind(dn, password.expose()).await?.success() {
        Ok(_) => Ok(true),
        Err(LdapError::LdapResult { result }) if result.rc == INVALID_CREDENTIALS => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Passwords travel in the clear only within this machine, or where somebody insists.
fn check_transport(settings: &LdapSettings) -> Result<()> {
    let (scheme, rest) = settings.url.split_once("://").ok_or_else(|| anyhow!("url must be ldap:// or ldaps://"))?;
    let host = rest.split('/').next().unwrap_or_default();
    let host = if host.starts_with('[') {
        host.split(']').next().unwrap_or_default()
    } else {
        host.split(':').next().unwrap_or_default()
    };
    match scheme {
        "ldaps" if settings.starttls => bail!("ldaps:// is TLS from the first byte: leave starttls out"),
        "ldaps" => Ok(()),
        "ldap" if settings.starttls || settings.allow_plain || is_here(host) => Ok(()),
        "ldap" => {
            bail!("passwords would travel in the clear: use ldaps://, starttls = true, or say allow_plain = true")
        }
        _ => bail!("url must be ldap:// or ldaps://"),
    }
}
