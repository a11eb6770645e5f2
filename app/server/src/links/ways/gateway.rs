//! Other clusters to which this one goes.

use std::sync::Arc;
use std::time::Duration;

use broker::{Arrival, ClusterNews, GatewaySolicit, RemoteId};
use config::{DEFAULT_GATEWAY_PORT, Gateway, RemoteGateway, Settings, Url};
use net::{Dial, DialTls};
use secret::Secret;
use session::Greeting;
use topology::{Attempts, MAX_URLS, Retry, ServerConnect};

use crate::links::shuffle;

/// How long a connection to another cluster may take to begin.
const GATEWAY_DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Clusters that are gone to because somebody told of them.
pub const HEARD_OF_MAX: usize = 1024;

/// What all gateways share of the configuration.
pub struct FarFacts {
    /// This cluster.
    own: String,
    tls: Option<Arc<tls::ClientTls>>,
    user: Option<String>,
    password: Option<Secret<String>>,
    retries: u32,
    backoff: bool,
    pub report_every: u32,
    pub report_again_every: u32,
}

/// Another cluster.
pub struct GatewayWay {
    pub name: String,
    /// The block of the configuration, if it names the cluster.
    configured: Option<RemoteGateway>,
    /// Servers that it or others have told of.
    heard: Vec<Url>,
    /// Those that are still to be tried before all are tried again.
    left: Vec<Url>,
    pub tls: Option<Arc<tls::ClientTls>>,
    pub retry: Retry,
}

/// What another configuration says of a cluster.
pub struct SecuredGateway {
    configured: Option<RemoteGateway>,
    tls: Option<Arc<tls::ClientTls>>,
}

impl FarFacts {
    pub fn new(settings: &Settings, gateway: &Gateway) -> Result<Self, String> {
        Ok(Self {
            own: gateway.name.clone(),
            tls: build_tls(gateway.tls.as_ref(), &gateway.name)?,
            user: gateway.login.user.clone(),
            password: gateway.login.password.clone(),
            retries: gateway.connect_retries,
            backoff: gateway.connect_backoff,
            report_every: u32::try_from(settings.limits.connect_error_reports).unwrap_or(u32::MAX),
            report_again_every: u32::try_from(settings.limits.reconnect_error_reports).unwrap_or(u32::MAX),
        })
    }

    /// Whether a cluster is this one, under whatever address.
    pub fn is_own(&self, name: &str) -> bool {
        self.own == name
    }
}

fn build_tls(block: Option<&tls::Settings>, name: &str) -> Result<Option<Arc<tls::ClientTls>>, String> {
    let read = |path: &std::path::Path| std::fs::read(path);
    let built = block.map(|block| tls::ClientTls::build(block, &read)).transpose();
    Ok(built.map_err(|error| format!("gateway {name:?}: {error}"))?.map(Arc::new))
}

impl GatewayWay {
    /// A cluster that the configuration names.
    pub fn explicit(remote: &RemoteGateway, facts: &FarFacts) -> Result<Self, String> {
        let own = build_tls(remote.tls.as_ref(), &remote.name)?;
        Ok(Self {
            name: remote.name.clone(),
            configured: Some(remote.clone()),
            heard: Vec::new(),
            left: Vec::new(),
            tls: own.or_else(|| facts.tls.clone()),
            retry: Retry::new(Attempts::Forever, facts.backoff),
        })
    }

    /// A cluster that somebody told of.
    pub fn implicit(name: String, facts: &FarFacts) -> Self {
        let retry = Retry::new(Attempts::Retries(facts.retries), facts.backoff);
        Self { name, configured: None, heard: Vec::new(), left: Vec::new(), tls: facts.tls.clone(), retry }
    }

    /// It was reached: the next failure is the first again.
    pub fn reached(&mut self, facts: &FarFacts) {
        let attempts = if self.configured.is_some() { Attempts::Forever } else { Attempts::Retries(facts.retries) };
        self.retry = Retry::new(attempts, facts.backoff);
    }

    /// The configuration was read again: certificates and pins are new. Nothing changes yet.
    pub fn secured(&self, gateway: &Gateway, facts: &FarFacts) -> Result<SecuredGateway, String> {
        let configured = gateway.remotes.iter().find(|remote| remote.name == self.name);
        let tls = configured.map(|remote| build_tls(remote.tls.as_ref(), &remote.name)).transpose()?.flatten();
        Ok(SecuredGateway { configured: configured.cloned(), tls: tls.or_else(|| facts.tls.clone()) })
    }

    /// From now on it is secured so.
    pub fn secure(&mut self, secured: SecuredGateway) {
        self.configured = secured.configured.or(self.configured.take());
        self.tls = secured.tls;
    }

    /// Somebody knows where its servers are.
    pub fn hear(&mut self, news: &ClusterNews) {
        if news.is_own_word {
            self.heard.clear();
        }
        for text in &news.urls {
            let Some(url) = Url::parse(&format!("nats://{text}")) else { continue };
            let is_known = self.urls().any(|known| (&known.host, known.port) == (&url.host, url.port));
            if !is_known && self.heard.len() < MAX_URLS {
                self.heard.push(url);
            }
        }
    }

    fn urls(&self) -> impl Iterator<Item = &Url> {
        self.configured.iter().flat_map(|remote| &remote.urls).chain(&self.heard)
    }

    /// Its servers, as other servers are told of them.
    pub fn addresses(&self) -> Vec<String> {
        self.urls().map(|url| url.address(DEFAULT_GATEWAY_PORT)).collect()
    }

    /// The connection to one of its servers. Nothing if none is known.
    pub fn dial(&mut self, id: RemoteId, greeting: &Greeting, facts: &FarFacts) -> Option<Dial> {
        if self.left.is_empty() {
            self.left = self.urls().cloned().collect();
            shuffle(&mut self.left);
        }
        let url = self.left.pop()?;
        let tls = self.tls.clone().map(|tls| DialTls {
            remote: id,
            tls,
            host: self.name_to_verify(&url),
            first: true,
            check: None,
        });
        let own = url.user.is_some();
        let user = if own { url.user.as_ref().map(|user| user.expose().clone()) } else { facts.user.clone() };
        let connect = ServerConnect {
            user: user.unwrap_or_default(),
            pass: if own { url.password.clone() } else { facts.password.clone() },
            tls_required: tls.is_some(),
            name: greeting.server_id.clone(),
            gateway: facts.own.clone(),
            ..ServerConnect::default()
        };
        let port = port_of(&url);
        let arrival = Arrival::GatewaySolicited(Arc::new(GatewaySolicit { id, name: self.name.clone(), connect }));
        Some(Dial { host: url.host, port, timeout: GATEWAY_DIAL_TIMEOUT, tls, arrival, tunnel: None, frames: None })
    }

    /// The name that a certificate must have: of a server that is only known by its address, that of the cluster's first
    /// server with a name.
    fn name_to_verify(&self, url: &Url) -> String {
        let is_address = |host: &str| host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        let named = || self.urls().map(|url| &url.host).find(|host| !is_address(host));
        if is_address(&url.host) { named().unwrap_or(&url.host).clone() } else { url.host.clone() }
    }
}

fn port_of(url: &Url) -> u16 {
    url.port.map_or(DEFAULT_GATEWAY_PORT, std::num::NonZero::get)
}
