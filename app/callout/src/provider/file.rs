//! Users in a file: bcrypt hashes, as `nats server passwd` makes them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::provider::{Identity, Shown, Verdict};
use crate::settings::FileSettings;

const MAX_FILE_BYTES: u64 = 16 << 20;
/// The hash that strangers are compared with, so that they wait as long as others.
const NOBODY: &str = "$2b$11$abcdefghijklmnopqrstuuBl7pFbgGSHYfSFGdaqPGwxOC1RcHkQe";
/// A hash that costs more would keep a thread for seconds.
const MAX_COST: u32 = 15;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    users: BTreeMap<String, User>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    password: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    claims: Map<String, Value>,
}

/// The users of a file.
pub(crate) struct Users {
    name: String,
    users: BTreeMap<String, User>,
}

impl Users {
    pub(crate) fn read(settings: &FileSettings) -> Result<Self> {
        let path = &settings.path;
        let size = std::fs::metadata(path).with_context(|| format!("could not read {}", path.display()))?.len();
        if size > MAX_FILE_BYTES {
            bail!("{} has more than {MAX_FILE_BYTES} bytes", path.display());
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        // The parser's own message quotes the line, which may hold a hash.
        let content: Content =
            toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {}", path.display(), error.message()))?;
        for (name, user) in &content.users {
            let cost = user.password.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok());
            if !user.password.starts_with("$2") || cost.is_none_or(|cost| cost > MAX_COST) {
                bail!(
                    "{}: the password of {name:?} is no bcrypt hash of cost {MAX_COST} or less: make it with nats server passwd",
                    path.display()
                );
            }
        }
        Ok(Self { name: settings.name.clone(), users: content.users })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn judge(&self, shown: &Shown) -> Verdict {
        let Some((name, password)) = shown.password() else { return Verdict::NotMine };
        let user = self.users.get(name).cloned();
        let hash = user.as_ref().map_or_else(|| NOBODY.to_owned(), |user| user.password.clone());
        let password = password.clone();
        let compared = tokio::task::spawn_blocking(move || bcrypt::verify(password.expose().as_bytes(), &hash)).await;
        match (user, compared) {
            (None, _) => Verdict::NotMine,
            (Some(user), Ok(Ok(true))) => Verdict::Known(Box::new(Identity {
                provider: self.name.clone(),
                name: name.to_owned(),
                groups: user.groups,
                claims: user.claims,
                expires: None,
            })),
            (Some(_), Ok(_)) => Verdict::Wrong(format!("wrong password for user {name:?} of {}", self.name)),
            (Some(_), Err(error)) => Verdict::Away(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secret::Secret;

    fn shown(user: &str, password: &str) -> Shown {
        Shown { user: user.into(), password: Secret::from(password), token: Secret::from("") }
    }

    fn users(text: &str) -> Result<Users> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        std::fs::write(&path, text).unwrap();
        Users::read(&FileSettings { name: "file".into(), path })
    }

    #[tokio::test]
    async fn a_password_is_compared_with_its_hash() {
        let hash = bcrypt::hash("s3cret", 4).unwrap();
        let users = users(&format!("[users.alice]\npassword = \"{hash}\"\ngroups = [\"sales\"]\n")).unwrap();
        match users.judge(&shown("alice", "s3cret")).await {
            Verdict::Known(alice) => {
                assert_eq!((alice.name.as_str(), alice.groups), ("alice", vec!["sales".to_owned()]))
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(users.judge(&shown("alice", "secret")).await, Verdict::Wrong(_)));
        assert!(matches!(users.judge(&shown("bob", "s3cret")).await, Verdict::NotMine));
        assert!(matches!(users.judge(&shown("alice", "")).await, Verdict::NotMine));
    }

    #[test]
    fn the_hash_of_nobody_is_a_hash() {
        assert!(!bcrypt::verify("anything", NOBODY).unwrap());
    }

    #[test]
    fn a_bare_password_is_refused_and_not_repeated() {
        let refused = users("[users.alice]\npassword = \"marker-55\"\n").err().unwrap().to_string();
        assert!(refused.contains("nats server passwd") && !refused.contains("marker-55"), "{refused}");
        let refused = users("[users.alice]\npassword = \"marker-55\"\nx = 1\n").err().unwrap().to_string();
        assert!(refused.contains("unknown field") && !refused.contains("marker-55"), "{refused}");
    }
}
