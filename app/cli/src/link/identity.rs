//! Who we say we are when we connect.

use anyhow::{Context as _, Result};
use async_nats::ServerAddr;
use data_encoding::BASE64URL_NOPAD;
use nkeys::{Creds, KeyPair};
use secret::Secret;

use crate::context::{Record, read_bytes, read_text};

/// Everything that answers "who are you?". It shows what kind it is, never what it holds.
#[derive(Clone, Default)]
pub(crate) struct Identity {
    user: Option<(String, Secret<String>)>,
    token: Option<Secret<String>>,
    jwt: Option<Secret<String>>,
    key: Option<KeyPair>,
}

/// What goes into the CONNECT message.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) jwt: Option<String>,
    pub(crate) nkey: Option<String>,
    pub(crate) signature: Option<Vec<u8>>,
}

impl Identity {
    /// Reads the credentials that the settings name. The first way in this order is taken: user, creds, nkey, JWT; a
    /// token goes along with any of them.
    pub(crate) fn of(settings: &Record) -> Result<Self> {
        let mut identity = Self::default();
        if !settings.user.is_empty() {
            identity.user = Some((settings.user.clone(), read_text(&settings.password).context("password")?));
        } else if !settings.creds.is_empty() {
            let creds = Creds::parse(read_bytes(&settings.creds).context("creds")?.expose())
                .with_context(|| format!("the credentials {} cannot be used", shown(&settings.creds)))?;
            identity.jwt = Some(Secret::new(creds.jwt));
            identity.key = Some(creds.key);
        } else if !settings.nkey.is_empty() {
            let seed = read_bytes(&settings.nkey).context("nkey")?;
            let key = Creds::seed_of(seed.expose())
                .with_context(|| format!("the nkey {} cannot be used", shown(&settings.nkey)))?;
            identity.key = Some(key);
        } else if !settings.user_jwt.is_empty() {
            identity.jwt = Some(read_text(&settings.user_jwt).context("user_jwt")?);
            if !settings.user_seed.is_empty() {
                let seed = read_text(&settings.user_seed).context("user_seed")?;
                identity.key = Some(KeyPair::from_seed(seed.expose()).context("the user seed cannot be used")?);
            }
        }
        if !settings.token.is_empty() {
            identity.token = Some(read_text(&settings.token).context("token")?);
        }
        Ok(identity)
    }

    /// What a server's own url says about us wins over the rest.
    pub(crate) fn for_server(&self, server: &ServerAddr) -> Self {
        let mut identity = self.clone();
        let decoded = |text: &str| percent_decoded(text);
        match (server.username(), server.password()) {
            (Some(user), Some(password)) => identity.user = Some((decoded(user), Secret::new(decoded(password)))),
            (Some(token), None) => identity.token = Some(Secret::new(decoded(token))),
            _ => {}
        }
        identity
    }

    /// The answer to a server's nonce.
    pub(crate) fn answer(&self, nonce: &str) -> Answer {
        let is_jwt = self.jwt.is_some();
        Answer {
            user: self.user.as_ref().map(|(user, _)| user.clone()),
            password: self.user.as_ref().map(|(_, password)| password.expose().clone()),
            token: self.token.as_ref().map(|token| token.expose().clone()),
            jwt: self.jwt.as_ref().map(|jwt| jwt.expose().clone()),
            nkey: self.key.as_ref().filter(|_| !is_jwt).map(|key| key.public().to_string()),
            signature: self.key.as_ref().map(|key| key.sign(nonce.as_bytes()).to_vec()),
        }
    }

    /// How a person would name this identity in an error.
    pub(crate) fn label(&self) -> Option<String> {
        if let Some((user, _)) = &self.user {
            return Some(format!("user {user:?}"));
        }
        match (&self.jwt, &self.key, &self.token) {
            (Some(_), Some(key), _) => Some(format!("the credentials of user {}", key.public())),
            (Some(_), None, _) => Some("the user JWT".to_owned()),
            (None, Some(key), _) => Some(format!("nkey {}", key.public())),
            (None, None, Some(_)) => Some("the token".to_owned()),
            _ => None,
        }
    }
}

/// Embedded credentials are not printed.
fn shown(reference: &str) -> &str {
    if reference.starts_with("data:") { "in the context" } else { reference }
}

pub(crate) fn base64_url(signature: &[u8]) -> String {
    BASE64URL_NOPAD.encode(signature)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_server_names_its_user() {
        let server: ServerAddr = "nats://al%40x:p%3Aw@h:1".parse().unwrap();
        let answer = Identity::default().for_server(&server).answer("");
        assert_eq!((answer.user.as_deref(), answer.password.as_deref()), (Some("al@x"), Some("p:w")));
        let server: ServerAddr = "nats://tok@h:1".parse().unwrap();
        assert_eq!(Identity::default().for_server(&server).answer("").token.as_deref(), Some("tok"));
    }

    #[test]
    fn an_nkey_signs_and_shows_its_public_half() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::from_raw_seed(nkeys::Role::User, Secret::new([7; 32]));
        let path = folder.path().join("user.nk");
        std::fs::write(&path, key.seed().expose()).unwrap();
        let settings = Record { nkey: path.to_str().unwrap().into(), ..Record::default() };
        let identity = Identity::of(&settings).unwrap();
        let answer = identity.answer("nonce");
        assert_eq!(answer.nkey, Some(key.public().to_string()));
        assert!(key.public().verify(b"nonce", &answer.signature.unwrap()).is_ok());
        assert!(identity.label().unwrap().starts_with("nkey U"));
    }
}
