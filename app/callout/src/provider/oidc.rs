//! An OpenID provider: a token that it signed, for us, and that is good now.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::metrics::Metrics;
use crate::provider::keys::Keys;
use crate::provider::{Identity, Shown, Verdict, dig};
use crate::settings::OidcSettings;
use crate::tls;

/// The longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 64 << 10;
/// More groups than anybody is in.
const MAX_GROUPS: usize = 1000;

/// A provider and what its tokens must say.
pub(crate) struct Issuer {
    name: String,
    issuer: String,
    keys: Keys,
    validation: Validation,
    name_claim: String,
    groups_claim: String,
    require: Map<String, Value>,
}

impl Issuer {
    pub(crate) fn new(settings: &OidcSettings, metrics: Arc<Metrics>) -> Result<Self> {
        let what = format!("provider {}", settings.name);
        if settings.audience.is_empty() {
            bail!("{what}: audience is empty: tokens that are meant for others would be taken");
        }
        let tls = tls::client(settings.ca.as_deref()).with_context(|| what.clone())?;
        let keys = Keys::new(&settings.issuer, tls, settings.keys_max_age.0, settings.keys_min_pause.0, metrics)
            .context(what.clone())?;
        Ok(Self {
            name: settings.name.clone(),
            issuer: settings.issuer.clone(),
            keys,
            validation: validation(settings).context(what)?,
            name_claim: settings.name_claim.clone(),
            groups_claim: settings.groups_claim.clone(),
            require: settings.require.clone().into_iter().collect(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn judge(&self, shown: &Shown) -> Verdict {
        let Some(token) = shown.bearer().filter(|token| token.len() <= MAX_TOKEN_BYTES) else {
            return Verdict::NotMine;
        };
        if issuer_of(token).as_deref() != Some(self.issuer.as_str()) {
            return Verdict::NotMine;
        }
        let wrong = |why: String| Verdict::Wrong(format!("token of {}: {why}", self.name));
        let header = match decode_header(token) {
            Ok(header) => header,
            Err(error) => return wrong(error.to_string()),
        };
        if !self.validation.algorithms.contains(&header.alg) {
            return wrong(format!("algorithm {:?} is not one of those that are taken", header.alg));
        }
        let key = match self.keys.find(header.kid.as_deref()).await {
            Ok(Some(key)) => key,
            Ok(None) => {
                return wrong(format!(
                    "signed by key {:?}, which the provider does not have",
                    header.kid.unwrap_or_default()
                ));
            }
            Err(error) => return Verdict::Away(error),
        };
        let is_for_another =
            key.common.key_algorithm.is_some_and(|alg| Algorithm::try_from(alg).ok() != Some(header.alg));
        if is_for_another {
            return wrong(format!("the key is not for algorithm {:?}", header.alg));
        }
        // Algorithms of other families than the key's never reach the verification.
        let validation = Validation { algorithms: vec![header.alg], ..self.validation.clone() };
        let checked =
            DecodingKey::from_jwk(&key).and_then(|key| decode::<Map<String, Value>>(token, &key, &validation));
        match checked {
            Ok(checked) => self.identity(checked.claims).map_or_else(wrong, |identity| Verdict::Known(identity.into())),
            Err(error) => wrong(error.to_string()),
        }
    }

    fn identity(&self, claims: Map<String, Value>) -> Result<Identity, String> {
        if let Some((path, wanted)) = self.require.iter().find(|(path, wanted)| dig(&claims, path) != Some(wanted)) {
            return Err(format!("claim {path:?} is not {wanted}"));
        }
        let name = dig(&claims, &self.name_claim).and_then(Value::as_str).filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| format!("claim {:?}, which names the user, is missing", self.name_claim))?.to_owned();
        let groups = match dig(&claims, &self.groups_claim) {
            Some(Value::Array(list)) => {
                list.iter().take(MAX_GROUPS).filter_map(|group| group.as_str().map(str::to_owned)).collect()
            }
            Some(Value::String(text)) => text.split_whitespace().take(MAX_GROUPS).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let expires = claims.get("exp").and_then(|exp| exp.as_i64().or_else(|| exp.as_f64().map(|exp| exp as i64)));
        Ok(Identity { provider: self.name.clone(), name, groups, expires, claims })
    }
}

fn validation(settings: &OidcSettings) -> Result<Validation> {
    let mut algorithms = Vec::new();
    for word in &settings.algorithms {
        let algorithm = Algorithm::from_str(word).ok().with_context(|| format!("unknown algorithm {word:?}"))?;
        if matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            bail!("algorithm {word} is a shared secret, and the provider's keys are public");
        }
        algorithms.push(algorithm);
    }
    let Some(first) = algorithms.first() else { bail!("algorithms is empty") };
    let mut validation = Validation::new(*first);
    validation.algorithms = algorithms;
    validation.leeway = settings.leeway.0.as_secs();
    validation.validate_nbf = true;
    validation.set_audience(&settings.audience);
    validation.set_issuer(&[&settings.issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    Ok(validation)
}

/// Whose token it says it is: who is asked, not a ground to trust it.
fn issuer_of(token: &str) -> Option<String> {
    let claims = BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> OidcSettings {
        toml::from_str(&format!("issuer = \"https://id.example.com\"\naudience = [\"nats\"]\n{text}")).unwrap()
    }

    #[test]
    fn shared_secrets_and_nothing_are_no_algorithms() {
        assert!(validation(&settings("")).is_ok());
        for (odd, why) in [("[\"HS256\"]", "shared secret"), ("[\"none\"]", "unknown algorithm"), ("[]", "empty")] {
            let error = validation(&settings(&format!("algorithms = {odd}"))).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_empty_audience_is_refused() {
        let odd = OidcSettings { audience: vec![], ..settings("") };
        let error = Issuer::new(&odd, Arc::default()).err().unwrap().to_string();
        assert!(error.contains("meant for others"), "{error}");
    }
}
