//! Tokens by name, in the layout of `nsc`: `OP/OP.jwt`, `OP/accounts/A/A.jwt`, `OP/accounts/A/users/U.jwt`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use jwt::{AccountClaims, OperatorClaims, UserClaims};

use crate::failure::advise;
use crate::vault::files::{private_dir, read_bounded, write_private};

const MAX_TOKEN_FILE_BYTES: u64 = (1 << 20) + (64 << 10);

/// A directory of operators.
pub(crate) struct Library {
    root: PathBuf,
}

/// Whose token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Operator,
    Account(String),
    User(String, String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Account(account) => write!(f, "account {account}"),
            Self::User(account, user) => write!(f, "user {user} of account {account}"),
        }
    }
}

/// A name is one part of a path and nothing else.
pub(crate) fn check_name(kind: &str, name: &str) -> Result<()> {
    let is_odd = name.is_empty()
        || name.starts_with('.')
        || name.trim() != name
        || name.len() > 200
        || name.contains(['/', '\\', '\0', ':'])
        || name.chars().any(char::is_control);
    if is_odd {
        bail!("invalid {kind} name {name:?}: it must be a plain file name without '/', '\\', ':' and a leading '.'");
    }
    Ok(())
}

impl Library {
    pub(crate) const fn at(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The names of all operators, sorted.
    pub(crate) fn operators(&self) -> Result<Vec<String>> {
        let known =
            |name: &String| self.path(name, &Place::Operator).is_file() || self.folder(name).join(".nsc").is_file();
        Ok(names(&self.root, true)?.into_iter().filter(known).collect())
    }

    pub(crate) fn accounts(&self, operator: &str) -> Result<Vec<String>> {
        let known = |name: &String| self.path(operator, &Place::Account(name.clone())).is_file();
        Ok(names(&self.folder(operator).join("accounts"), true)?.into_iter().filter(known).collect())
    }

    pub(crate) fn users(&self, operator: &str, account: &str) -> Result<Vec<String>> {
        let folder = self.folder(operator).join("accounts").join(account).join("users");
        let files = names(&folder, false)?;
        Ok(files.iter().filter_map(|name| name.strip_suffix(".jwt")).map(str::to_owned).collect())
    }

    pub(crate) fn has(&self, operator: &str, place: &Place) -> bool {
        self.path(operator, place).is_file()
    }

    /// The token at a place, bare.
    pub(crate) fn token(&self, operator: &str, place: &Place) -> Result<String> {
        let path = self.path(operator, place);
        if !path.is_file() {
            return Err(self.unknown(operator, place));
        }
        let content = read_bounded(&path, MAX_TOKEN_FILE_BYTES)?;
        let token = nkeys::undecorate_jwt(&content).with_context(|| format!("{} holds no token", path.display()))?;
        Ok(token.to_owned())
    }

    pub(crate) fn operator(&self, name: &str) -> Result<OperatorClaims> {
        let token = self.token(name, &Place::Operator)?;
        OperatorClaims::decode(&token).with_context(|| format!("the token of operator {name} cannot be read"))
    }

    pub(crate) fn account(&self, operator: &str, name: &str) -> Result<AccountClaims> {
        let token = self.token(operator, &Place::Account(name.to_owned()))?;
        AccountClaims::decode(&token).with_context(|| format!("the token of account {name} cannot be read"))
    }

    pub(crate) fn user(&self, operator: &str, account: &str, name: &str) -> Result<UserClaims> {
        let token = self.token(operator, &Place::User(account.to_owned(), name.to_owned()))?;
        UserClaims::decode(&token).with_context(|| format!("the token of user {name} cannot be read"))
    }

    /// Keeps a token; the directory of an operator is made when it is the operator's.
    pub(crate) fn put(&self, operator: &str, place: &Place, token: &str) -> Result<()> {
        check_names(operator, place)?;
        if *place == Place::Operator {
            let about = self.folder(operator).join(".nsc");
            if !about.exists() {
                let content =
                    serde_json::json!({"managed": false, "name": operator, "kind": "operator", "version": "1"});
                write_private(&about, content.to_string().as_bytes())?;
            }
            private_dir(&self.folder(operator).join("accounts"))?;
        }
        write_private(&self.path(operator, place), token.as_bytes())
    }

    /// Forgets a user's token, or an account's with those of its users.
    pub(crate) fn remove(&self, operator: &str, place: &Place) -> Result<()> {
        let path = self.path(operator, place);
        let removed = match place {
            Place::Operator => bail!(
                "an operator is not removed by this program; its directory is {}",
                self.folder(operator).display()
            ),
            Place::Account(name) => fs::remove_dir_all(self.folder(operator).join("accounts").join(name)),
            Place::User(..) => fs::remove_file(&path),
        };
        removed.with_context(|| format!("could not remove {}", path.display()))
    }

    fn unknown(&self, operator: &str, place: &Place) -> anyhow::Error {
        let listed = |names: Result<Vec<String>>, none: &str| match names.unwrap_or_default().as_slice() {
            [] => none.to_owned(),
            names => format!("known: {}", names.join(", ")),
        };
        match place {
            Place::Operator => advise(
                format!("unknown operator: {operator}"),
                listed(self.operators(), "there are none yet; make one with: nats auth init"),
            ),
            Place::Account(name) => advise(
                format!("unknown Account: {name}"),
                listed(self.accounts(operator), "there are none yet; make one with: nats auth account add NAME"),
            ),
            Place::User(account, name) => advise(
                format!("user {name} not found in account {account}"),
                listed(
                    self.users(operator, account),
                    "there are none yet; make one with: nats auth user add NAME ACCOUNT",
                ),
            ),
        }
    }

    fn folder(&self, operator: &str) -> PathBuf {
        self.root.join(operator)
    }

    fn path(&self, operator: &str, place: &Place) -> PathBuf {
        let folder = self.folder(operator);
        match place {
            Place::Operator => folder.join(format!("{operator}.jwt")),
            Place::Account(name) => folder.join("accounts").join(name).join(format!("{name}.jwt")),
            Place::User(account, name) => {
                folder.join("accounts").join(account).join("users").join(format!("{name}.jwt"))
            }
        }
    }
}

fn check_names(operator: &str, place: &Place) -> Result<()> {
    check_name("operator", operator)?;
    match place {
        Place::Operator => Ok(()),
        Place::Account(account) => check_name("account", account),
        Place::User(account, user) => check_name("account", account).and_then(|()| check_name("user", user)),
    }
}

fn names(folder: &Path, directories: bool) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("could not read {}", folder.display()))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| anyhow!("{name:?} is not a name"))?;
        if entry.file_type()?.is_dir() == directories && !name.starts_with('.') {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jwt::testing::Chain;

    #[test]
    fn tokens_lie_where_nsc_looks_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library::at(folder.path().to_owned());
        let chain = Chain::new("acme");
        let shop = chain.account("shop");
        library.put("acme", &Place::Operator, &chain.token()).unwrap();
        library.put("acme", &Place::Account("shop".into()), &shop.token()).unwrap();
        library.put("acme", &Place::User("shop".into(), "joe".into()), &shop.user("joe").token()).unwrap();
        for path in [".nsc", "acme.jwt", "accounts/shop/shop.jwt", "accounts/shop/users/joe.jwt"] {
            assert!(folder.path().join("acme").join(path).is_file(), "{path}");
        }
        assert_eq!(library.operators().unwrap(), ["acme"]);
        assert_eq!(library.accounts("acme").unwrap(), ["shop"]);
        assert_eq!(library.users("acme", "shop").unwrap(), ["joe"]);
        assert_eq!(library.user("acme", "shop", "joe").unwrap().common.name, "joe");
        let unknown = library.account("acme", "shipping").unwrap_err();
        assert_eq!(unknown.to_string(), "unknown Account: shipping");
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        for odd in ["", ".", "..", "../x", "a/b", "a\\b", " a", "a\n", ".hidden", "a\0"] {
            assert!(check_name("account", odd).is_err(), "{odd:?}");
        }
        for fine in ["acme", "My Account", "a.b", "ö-1_2"] {
            assert!(check_name("account", fine).is_ok(), "{fine:?}");
        }
    }
}
