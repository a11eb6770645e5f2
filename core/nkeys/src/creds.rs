//! The decorated text in which JWTs and seeds are kept: a line of dashes, the value alone on a line, a line of dashes.

use std::fmt;

use secret::Secret;

use crate::{KeyError, KeyPair, Role};

/// The largest credentials file: a JWT of 1 MiB and its decoration.
pub const MAX_CREDS_BYTES: usize = (1 << 20) + (64 << 10);
const MAX_BLOCKS: usize = 16;

/// What a client shows to log in: its JWT and the key that signs the nonce.
#[derive(Clone)]
pub struct Creds {
    /// The user JWT, not yet looked at.
    pub jwt: String,
    /// The user's key.
    pub key: KeyPair,
}

impl Creds {
    /// Reads a `.creds` file: the first decorated value is the JWT; the second, or a bare line, is the user's seed.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let text = bounded(text)?;
        let blocks = decorated(text);
        let jwt = *blocks.first().ok_or(KeyError::NoJwt)?;
        let seed = blocks.get(1).copied().or_else(|| bare_seed(text)).ok_or(KeyError::NoSeed)?;
        let key = KeyPair::from_seed(seed)?;
        match key.role() {
            Role::User => Ok(Self { jwt: jwt.to_owned(), key }),
            found => Err(KeyError::Role { wanted: Role::User, found }),
        }
    }

    /// Reads the seed alone, from a creds file or from a file that holds little else.
    pub fn seed_of(text: &[u8]) -> Result<KeyPair, KeyError> {
        let text = bounded(text)?;
        let seed = decorated(text).get(1).copied().or_else(|| bare_seed(text)).ok_or(KeyError::NoSeed)?;
        KeyPair::from_seed(seed)
    }

    /// The text of the file.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(format!(
            "{}\n{NOTICE}\n-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n\n{STARS}\n",
            decorate_jwt("USER", &self.jwt),
            self.key.seed().expose(),
        ))
    }
}

const STARS: &str = "*************************************************************";
const NOTICE: &str = "\
************************* IMPORTANT *************************
Whoever holds the seed below is this user. Keep it secret.
";

impl fmt::Debug for Creds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Creds({})", self.key.public())
    }
}

/// A JWT between its two lines; `kind` is `USER`, `ACCOUNT`, `OPERATOR` or `ACTIVATION`.
pub fn decorate_jwt(kind: &str, jwt: &str) -> String {
    format!("-----BEGIN NATS {kind} JWT-----\n{jwt}\n------END NATS {kind} JWT------\n")
}

/// The JWT in a decorated text, or the text itself without blanks around it when nothing in it is decorated.
pub fn undecorate_jwt(text: &[u8]) -> Result<&str, KeyError> {
    let text = bounded(text)?;
    let found = decorated(text).first().copied().unwrap_or(text.trim_ascii());
    if found.is_empty() { Err(KeyError::NoJwt) } else { Ok(found) }
}

fn bounded(text: &[u8]) -> Result<&str, KeyError> {
    if text.len() > MAX_CREDS_BYTES {
        return Err(KeyError::TooLarge);
    }
    std::str::from_utf8(text).map_err(|_| KeyError::NoJwt)
}

/// The values that stand alone between two lines of dashes, in order.
fn decorated(text: &str) -> Vec<&str> {
    let mut lines = text.lines().map(str::trim_ascii).peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if !is_rule(line) {
            continue;
        }
        let Some(value) = lines.next_if(|next| is_value(next)) else { continue };
        if lines.next_if(|next| is_rule(next)).is_some() {
            found.push(value);
        }
        if found.len() == MAX_BLOCKS {
            break;
        }
    }
    found
}

/// A line that begins and ends with at least three dashes each.
fn is_rule(line: &str) -> bool {
    line.len() >= 6 && line.starts_with("---") && line.ends_with("---")
}

fn is_value(line: &str) -> bool {
    !line.is_empty() && !is_rule(line) && line.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.=".contains(&b))
}

fn bare_seed(text: &str) -> Option<&str> {
    text.lines().map(str::trim_ascii).find(|line| ["SO", "SA", "SU"].iter().any(|kind| line.starts_with(kind)))
}
