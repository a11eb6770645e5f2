//! The public keys of an OpenID provider: found by discovery, kept for a while, asked for again when an unknown one is named.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::http;
use crate::metrics::Metrics;

/// More keys than a provider has.
const MAX_KEYS: usize = 128;
/// For how long keys are good when the provider does not answer.
const GRACE: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The keys and when they were asked for.
struct Kept {
    keys: Vec<Jwk>,
    at: Instant,
}

/// The keys of one provider.
pub(crate) struct Keys {
    issuer: String,
    tls: Arc<ClientConfig>,
    max_age: Duration,
    min_pause: Duration,
    /// One question at a time; others wait for its answer.
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    tried: Option<Instant>,
}

impl Keys {
    pub(crate) fn new(
        issuer: &str,
        tls: Arc<ClientConfig>,
        max_age: Duration,
        min_pause: Duration,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        http::check_url(issuer)?;
        Ok(Self { issuer: issuer.to_owned(), tls, max_age, min_pause, state: Mutex::default(), metrics })
    }

    /// The key that a token names, or the only one where it names none. Nothing when the provider has no such key.
    pub(crate) async fn find(&self, kid: Option<&str>) -> Result<Option<Jwk>> {
        let mut state = self.state.lock().await;
        let is_old = state.kept.as_ref().is_none_or(|kept| kept.at.elapsed() > self.max_age);
        let is_unknown = state.kept.as_ref().is_some_and(|kept| pick(&kept.keys, kid).is_none());
        let may_ask = state.tried.is_none_or(|tried| tried.elapsed() > self.min_pause);
        if (is_old || is_unknown) && may_ask {
            state.tried = Some(Instant::now());
            match self.ask().await {
                Ok(keys) => {
                    self.metrics.keys_asked(true);
                    state.kept = Some(Kept { keys, at: Instant::now() });
                }
                Err(error) => {
                    self.metrics.keys_asked(false);
                    let is_usable = state.kept.as_ref().is_some_and(|kept| kept.at.elapsed() < self.max_age + GRACE);
                    if !is_usable {
                        return Err(error);
                    }
                    eprintln!("nats-callout: keys of {} are kept, because: {error:#}", self.issuer);
                }
            }
        }
        let kept = state.kept.as_ref().filter(|kept| kept.at.elapsed() < self.max_age + GRACE);
        let kept = kept.with_context(|| format!("the keys of {} are not known", self.issuer))?;
        Ok(pick(&kept.keys, kid).cloned())
    }

    async fn ask(&self) -> Result<Vec<Jwk>> {
        let base = self.issuer.trim_end_matches('/');
        let uri = http::check_url(&format!("{base}/.well-known/openid-configuration"))?;
        let found: Discovery =
            serde_json::from_slice(&http::get(&uri, &self.tls).await?).context("the discovery document")?;
        if found.issuer != self.issuer {
            bail!("{uri} speaks for issuer {:?}, not for {:?}", found.issuer, self.issuer);
        }
        let uri = http::check_url(&found.jwks_uri)?;
        let set: JwkSet = serde_json::from_slice(&http::get(&uri, &self.tls).await?).context("the key set")?;
        if set.keys.len() > MAX_KEYS {
            bail!("{uri} holds more than {MAX_KEYS} keys");
        }
        Ok(set.keys.into_iter().filter(verifies).collect())
    }
}

/// Whether a key is a public one for signatures. A shared secret in a public document is no key.
fn verifies(key: &Jwk) -> bool {
    let is_public = matches!(
        key.algorithm,
        AlgorithmParameters::RSA(_) | AlgorithmParameters::EllipticCurve(_) | AlgorithmParameters::OctetKeyPair(_)
    );
    let is_for_signatures = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    is_public && is_for_signatures && DecodingKey::from_jwk(key).is_ok()
}

fn pick<'a>(keys: &'a [Jwk], kid: Option<&str>) -> Option<&'a Jwk> {
    match (kid, keys) {
        (Some(_), keys) => keys.iter().find(|key| key.common.key_id.as_deref() == kid),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}
