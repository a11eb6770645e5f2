//! Hubs to which this server goes, and leaf nodes to which it is the hub.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use auth::settings::RuleText;
use broker::{Arrival, LeafSolicit, LinkCredentials, RemoteId, Signer};
use config::{LeafRemote, Leafnodes, Proxy, Settings, Url};
use data_encoding::BASE64URL_NOPAD;
use net::{Dial, DialFrames, DialTls, Tunnel};
use nkeys::{Creds, KeyPair};
use secret::Secret;
use session::Greeting;
use topology::{LeafConnect, MAX_URLS};

use crate::links::{compression, shuffle};

/// Where proxies are found that name no port.
const HTTP_PORT: u16 = 80;

/// A hub, or a leaf node to which this server is the hub.
pub struct LeafWay {
    pub config: LeafRemote,
    pub facts: Facts,
    pub credentials: LinkCredentials,
    pub tls: Option<Arc<tls::ClientTls>>,
    /// The proxy on the way.
    tunnel: Option<Arc<Tunnel>>,
    /// Where its cluster takes leaf nodes as well, as it told.
    discovered: Vec<Url>,
    /// Which of its URLs comes next.
    at: usize,
}

/// What all remotes share of the configuration.
#[derive(Clone)]
pub struct Facts {
    pub domain: String,
    pub jetstream: bool,
    pub headers: bool,
    pub reconnect: Duration,
    pub dial_timeout: Duration,
    /// Failures are told at error level at the first attempt and then every so many.
    pub report_every: u32,
    /// The same once the connection had been there.
    pub report_again_every: u32,
}

struct SeedSigner(KeyPair);

impl Signer for SeedSigner {
    fn sign(&self, nonce: &[u8]) -> Secret<String> {
        Secret::new(BASE64URL_NOPAD.encode(self.0.sign(nonce).as_ref()))
    }
}

impl LeafWay {
    pub fn new(settings: &Settings, block: &Leafnodes, config: &LeafRemote) -> Result<Self, String> {
        let is_secure = |url: &Url| matches!(url.scheme.as_str(), "tls" | "wss");
        let tls_wanted = config.urls.iter().any(is_secure) || config.tls.is_some();
        let plain = tls::Settings::default();
        let read = |path: &std::path::Path| std::fs::read(path);
        let tls = tls_wanted
            .then(|| tls::ClientTls::build(config.tls.as_ref().unwrap_or(&plain), &read))
            .transpose()
            .map_err(|error| format!("leafnode remote: {error}"))?;
        let mut config = config.clone();
        let dial_timeout = config.dial_timeout.unwrap_or(block.dial_timeout);
        if !config.no_randomize {
            shuffle(&mut config.urls);
        }
        Ok(Self {
            credentials: credentials(&config)?,
            tunnel: config.proxy.as_ref().map(|proxy| Arc::new(tunnel(proxy, dial_timeout))),
            tls: tls.map(Arc::new),
            facts: Facts {
                domain: settings.jetstream.domain.clone().unwrap_or_default(),
                jetstream: settings.jetstream.enabled,
                headers: !settings.clients.no_header_support,
                reconnect: block.reconnect_interval,
                dial_timeout,
                report_every: u32::try_from(settings.limits.connect_error_reports).unwrap_or(u32::MAX),
                report_again_every: u32::try_from(settings.limits.reconnect_error_reports).unwrap_or(u32::MAX),
            },
            config,
            discovered: Vec::new(),
            at: 0,
        })
    }

    /// Whether the configuration still says the same of it. Its URLs have been shuffled.
    pub fn is_still(&self, wanted: &LeafRemote) -> bool {
        self.config.says_the_same(wanted)
    }

    /// It stays, and from the next connection on goes there with what the files of the configuration hold now.
    pub fn renew(&mut self, wanted: Self) {
        let (at, discovered) = (self.at, std::mem::take(&mut self.discovered));
        *self = Self { at, discovered, ..wanted };
    }

    /// The hub tells where its cluster takes leaf nodes. What it told before counts no more.
    pub fn hear(&mut self, texts: &[String]) {
        if self.config.ignore_discovered_servers {
            return;
        }
        let scheme = match self.config.urls.iter().any(Url::is_websocket) {
            true if self.tls.is_some() => "wss",
            true => "ws",
            false => "nats-leaf",
        };
        let urls = texts.iter().filter_map(|text| Url::parse(&format!("{scheme}://{text}")));
        // An address that stands for all of a server's own is none.
        self.discovered = urls.filter(|url| !is_unspecified(&url.host)).take(MAX_URLS).collect();
    }

    /// What the hub has told, then what the configuration names and the hub did not.
    fn urls(&self) -> impl Iterator<Item = &Url> {
        let port = |url: &Url| url.port.map_or(config::DEFAULT_LEAFNODE_PORT, std::num::NonZero::get);
        let is_told =
            move |url: &Url| self.discovered.iter().any(|told| (&told.host, port(told)) == (&url.host, port(url)));
        self.discovered.iter().chain(self.config.urls.iter().filter(move |url| !is_told(url)))
    }

    /// The next URL. One that was told comes with the login of the configuration.
    fn next_url(&mut self) -> Option<Url> {
        let urls: Vec<&Url> = self.urls().collect();
        let next = (*urls.get(self.at % urls.len().max(1))?).clone();
        self.at = self.at.wrapping_add(1);
        let named = self.config.urls.iter().find(|url| url.user.is_some());
        Some(match named {
            Some(named) if next.user.is_none() => {
                Url { user: named.user.clone(), password: named.password.clone(), ..next }
            }
            _ => next,
        })
    }

    /// The name that a certificate must have: of a server that is only known by its address, that of the first with a name.
    fn name_to_verify(&self, url: &Url) -> String {
        let named = || self.config.urls.iter().map(|url| &url.host).find(|host| address_of(host).is_none());
        if address_of(&url.host).is_some() { named().unwrap_or(&url.host).clone() } else { url.host.clone() }
    }

    /// The connection to the next of its URLs. A server without a cluster is one by itself.
    pub fn dial(
        &mut self,
        id: RemoteId,
        greeting: &Greeting,
        cluster: Option<&str>,
        account: Arc<account::Account>,
    ) -> Option<Dial> {
        let url = self.next_url()?;
        let is_framed = url.is_websocket();
        let first =
            is_framed || self.config.tls.as_ref().is_some_and(|tls| tls.handshake_first != tls::HandshakeFirst::Off);
        let host = self.name_to_verify(&url);
        let tls = self.tls.clone().map(|tls| DialTls { remote: id, tls, host, first, check: None });
        let (compression, levels) = compression(&self.config.compression);
        let facts = &self.facts;
        let texts = |rules: &[RuleText]| rules.iter().map(|rule| rule.text.clone()).collect();
        let connect = LeafConnect {
            version: greeting.version.clone(),
            server_id: greeting.server_id.clone(),
            name: greeting.server_name.clone(),
            cluster: cluster.unwrap_or(&greeting.server_name).to_owned(),
            domain: facts.domain.clone(),
            is_hub: self.config.hub,
            headers: facts.headers,
            jetstream: facts.jetstream,
            deny_pub: texts(&self.config.deny_imports),
            isolate: self.config.request_isolation,
            remote_account: account.name.to_string(),
            protocol: crate::links::SERVER_PROTO,
            ..LeafConnect::default()
        };
        let remote = topology::LeafRemote {
            connect,
            compression,
            levels,
            tls: tls.is_some(),
            tls_done: first,
            headers: facts.headers,
        };
        let solicit = LeafSolicit {
            id,
            remote,
            account,
            credentials: with_url(&self.credentials, &url),
            deny_imports: self.config.deny_imports.clone(),
            deny_exports: self.config.deny_exports.clone(),
            isolate: self.config.isolate_interest,
            first_info_timeout: self.config.first_info_timeout,
            by_websocket: is_framed,
        };
        let arrival = Arrival::LeafSolicited(Arc::new(solicit));
        let port = url.port.map_or(config::DEFAULT_LEAFNODE_PORT, std::num::NonZero::get);
        let frames = is_framed.then(|| self.frames(&url));
        let (timeout, tunnel) = (facts.dial_timeout, self.tunnel.clone());
        Some(Dial { host: url.host, port, timeout, tls, arrival, tunnel, frames })
    }

    /// What is asked for where a listener for WebSocket is gone to. A proxy before it may have put it under a path.
    fn frames(&self, url: &Url) -> DialFrames {
        let under = url.path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        DialFrames {
            host: url.address(config::DEFAULT_LEAFNODE_PORT),
            path: format!("{under}/leafnode"),
            compresses: self.config.websocket_compression,
            unmasked: self.config.websocket_no_masking,
            timeout: self.config.first_info_timeout,
        }
    }
}

fn tunnel(proxy: &Proxy, dial_timeout: Duration) -> Tunnel {
    Tunnel {
        host: proxy.url.host.clone(),
        port: proxy.url.port.map_or(HTTP_PORT, std::num::NonZero::get),
        login: proxy.username.clone().zip(proxy.password.clone()),
        timeout: proxy.timeout.unwrap_or(dial_timeout),
    }
}

/// The address that a URL names instead of a host.
fn address_of(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

fn is_unspecified(host: &str) -> bool {
    address_of(host).is_some_and(|address| address.is_unspecified())
}

/// What a remote shows besides what its URL says.
fn credentials(config: &LeafRemote) -> Result<LinkCredentials, String> {
    if let Some(path) = &config.credentials {
        let refused = |why: String| format!("leafnode remote: credentials {}: {why}", path.display());
        let text = std::fs::read(path).map(Secret::new).map_err(|error| refused(error.to_string()))?;
        let creds = Creds::parse(text.expose()).map_err(|error| refused(error.to_string()))?;
        return Ok(LinkCredentials {
            jwt: Some(Secret::new(creds.jwt)),
            signer: Some(Arc::new(SeedSigner(creds.key))),
            ..LinkCredentials::default()
        });
    }
    if let Some(seed) = &config.seed {
        let key = KeyPair::from_seed(seed.expose()).map_err(|error| format!("leafnode remote: nkey: {error}"))?;
        let nkey = Some(key.public().to_string());
        return Ok(LinkCredentials { nkey, signer: Some(Arc::new(SeedSigner(key))), ..LinkCredentials::default() });
    }
    Ok(LinkCredentials::default())
}

/// A user of the URL that has no password may be a token as well.
fn with_url(credentials: &LinkCredentials, url: &Url) -> LinkCredentials {
    if credentials.signer.is_some() {
        return credentials.clone();
    }
    LinkCredentials {
        user: url.user.as_ref().map(|user| user.expose().clone()),
        password: url.password.clone(),
        token: url.user.clone().filter(|_| url.password.is_none()),
        ..credentials.clone()
    }
}
