//! One context as it stands in its file.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::context::{expand, scheme_of};

/// The settings of a context. All keys are written, also empty ones; unknown keys survive a rewrite. It holds secrets in
/// the clear, as its file does, and therefore has no `Debug`.
#[derive(Clone, Default, Deserialize, Serialize, PartialEq)]
#[serde(default)]
pub(crate) struct Record {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) url: String,
    pub(crate) socks_proxy: String,
    pub(crate) token: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) creds: String,
    pub(crate) nkey: String,
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) ca: String,
    pub(crate) nsc: String,
    pub(crate) jetstream_domain: String,
    pub(crate) jetstream_api_prefix: String,
    pub(crate) jetstream_event_prefix: String,
    pub(crate) inbox_prefix: String,
    pub(crate) user_jwt: String,
    pub(crate) user_seed: String,
    pub(crate) color_scheme: String,
    pub(crate) tls_first: bool,
    pub(crate) windows_cert_store: String,
    pub(crate) windows_cert_match_by: String,
    pub(crate) windows_cert_match: String,
    pub(crate) windows_ca_certs_match: Option<Vec<String>>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

impl Record {
    /// How many ways to log in it names: more than one would be a guess.
    pub(crate) fn ways_to_log_in(&self) -> usize {
        [&self.user, &self.creds, &self.nkey, &self.nsc, &self.user_jwt]
            .iter()
            .filter(|field| !field.is_empty())
            .count()
    }

    /// Forgets how to log in, before another way takes its place.
    pub(crate) fn clear_login(&mut self) {
        for field in [
            &mut self.user,
            &mut self.password,
            &mut self.token,
            &mut self.creds,
            &mut self.nkey,
            &mut self.nsc,
            &mut self.user_jwt,
            &mut self.user_seed,
        ] {
            field.clear();
        }
    }

    /// Takes the content of credential files into the record itself.
    pub(crate) fn embed(&mut self) -> std::io::Result<()> {
        for field in [&mut self.creds, &mut self.nkey, &mut self.user_jwt, &mut self.user_seed] {
            if field.is_empty() || !matches!(scheme_of(field), None | Some("file")) {
                continue;
            }
            let path = expand(field.strip_prefix("file://").unwrap_or(field));
            let content = std::fs::read(&path)
                .map_err(|error| std::io::Error::new(error.kind(), format!("could not read {path}: {error}")))?;
            *field = format!("data:;base64,{}", BASE64.encode(&content));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_written_even_when_empty() {
        let text = serde_json::to_string(&Record::default()).unwrap();
        for key in [
            "description",
            "url",
            "socks_proxy",
            "token",
            "user",
            "password",
            "creds",
            "nkey",
            "cert",
            "key",
            "ca",
            "nsc",
            "jetstream_domain",
            "inbox_prefix",
            "user_jwt",
            "user_seed",
            "color_scheme",
            "tls_first",
            "windows_cert_store",
            "windows_ca_certs_match",
        ] {
            assert!(text.contains(&format!("\"{key}\":")), "{key} in {text}");
        }
        assert!(!text.contains("\"name\""));
    }

    #[test]
    fn unknown_keys_survive() {
        let read: Record = serde_json::from_str(r#"{"url":"a","from_the_future":[1]}"#).unwrap();
        assert!(serde_json::to_string(&read).unwrap().contains("\"from_the_future\":[1]"));
    }
}
