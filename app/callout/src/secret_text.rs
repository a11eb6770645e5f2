//! A secret in the configuration: `env:NAME`, `file:PATH`, or the text itself.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use secret::Secret;
use serde::{Deserialize, Deserializer};

const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Where a secret is. What stands in the configuration itself is kept as a secret from the first moment on.
#[derive(Clone)]
pub(crate) struct SecretText(Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(secret::REDACTED)
    }
}

impl SecretText {
    /// The secret itself.
    pub(crate) fn read(&self, what: &str) -> Result<Secret<String>> {
        let text = self.0.expose();
        if let Some(name) = text.strip_prefix("env:") {
            let value =
                std::env::var(name).with_context(|| format!("{what}: environment variable {name} is not set"))?;
            return Ok(Secret::new(value));
        }
        let Some(path) = text.strip_prefix("file:") else { return Ok(self.0.clone()) };
        let size = std::fs::metadata(path).with_context(|| format!("{what}: could not read {path}"))?.len();
        if size > MAX_SECRET_BYTES {
            bail!("{what}: {path} has more than {MAX_SECRET_BYTES} bytes");
        }
        let content = std::fs::read_to_string(path).with_context(|| format!("{what}: could not read {path}"))?;
        Ok(Secret::new(content.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_where_it_is_and_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        std::fs::write(&path, "from file\n").unwrap();
        let of = |text: &str| SecretText(Secret::new(text.to_owned()));
        assert_eq!(of("plain").read("x").unwrap().expose(), "plain");
        assert_eq!(of(&format!("file:{}", path.display())).read("x").unwrap().expose(), "from file");
        let missing = of("env:NO_SUCH_VARIABLE_HERE").read("ldap password").unwrap_err();
        assert!(missing.to_string().starts_with("ldap password: environment variable"), "{missing}");
        assert_eq!(format!("{:?}", of("marker-1b2c")), "[REDACTED]");
    }
}
