//! Servers of the cluster to which this one goes.

use std::sync::Arc;
use std::time::Duration;

use broker::{Arrival, RemoteId, RouteSolicit};
use config::{Settings, Url};
use net::{Dial, DialTls};
use secret::Secret;
use session::Greeting;
use topology::{Attempts, Gossip, Retry, RouteKind, RouteStart, ServerConnect};

/// How long a connection within the cluster may take to begin.
const ROUTE_DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// What all routes share of the configuration.
pub struct ClusterFacts {
    pub tls: Option<Arc<tls::ClientTls>>,
    pub user: Option<String>,
    pub password: Option<Secret<String>>,
    pub retries: u32,
    pub backoff: bool,
    pub pool_size: usize,
    pub report_every: u32,
    pub report_again_every: u32,
}

/// A server of the cluster.
#[derive(Clone)]
pub struct RouteWay {
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<Secret<String>>,
    pub kind: RouteKind,
    pub account: Option<String>,
    pub server_id: Option<String>,
    pub retry: Retry,
}

impl ClusterFacts {
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let cluster = &settings.cluster;
        let read = |path: &std::path::Path| std::fs::read(path);
        let tls = cluster.tls.as_ref().map(|block| tls::ClientTls::build(block, &read)).transpose();
        Ok(Self {
            tls: tls.map_err(|error| format!("cluster: {error}"))?.map(Arc::new),
            user: cluster.login.user.clone(),
            password: cluster.login.password.clone(),
            retries: cluster.connect_retries,
            backoff: cluster.connect_backoff,
            pool_size: cluster.pool_size.map_or(1, |size| size.get() as usize),
            report_every: u32::try_from(settings.limits.connect_error_reports).unwrap_or(u32::MAX),
            report_again_every: u32::try_from(settings.limits.reconnect_error_reports).unwrap_or(u32::MAX),
        })
    }
}

/// Routes that name no port go to that of clusters.
pub fn port_of(url: &Url) -> u16 {
    url.port.map_or(6222, std::num::NonZero::get)
}

impl RouteWay {
    pub fn explicit(url: &Url, settings: &Settings) -> Self {
        Self {
            host: url.host.clone(),
            port: port_of(url),
            user: url.user.as_ref().map(|user| user.expose().clone()),
            password: url.password.clone(),
            kind: RouteKind::Explicit,
            account: None,
            server_id: None,
            retry: Retry::new(Attempts::Forever, settings.cluster.connect_backoff),
        }
    }

    pub fn is_to(&self, host: &str, port: u16) -> bool {
        self.host == host && self.port == port
    }

    /// It stays, and from the next connection on shows what its URL says now.
    pub fn renew(&mut self, url: &Url) {
        self.user = url.user.as_ref().map(|user| user.expose().clone());
        self.password.clone_from(&url.password);
    }

    pub fn dial(&self, id: RemoteId, greeting: &Greeting, cluster: &ClusterFacts) -> Dial {
        let tls = cluster.tls.clone().map(|tls| DialTls {
            remote: id,
            tls,
            host: self.host.clone(),
            first: true,
            check: None,
        });
        let own = self.user.is_some();
        let connect = ServerConnect {
            user: if own { self.user.clone() } else { cluster.user.clone() }.unwrap_or_default(),
            pass: if own { self.password.clone() } else { cluster.password.clone() },
            tls_required: tls.is_some(),
            headers: true,
            name: greeting.server_id.clone(),
            lnoc: true,
            ..ServerConnect::default()
        };
        let start = RouteStart { kind: self.kind, account: self.account.clone(), gossip: Gossip::Default };
        let arrival = Arrival::RouteSolicited(Arc::new(RouteSolicit { id, start, connect }));
        let (host, port) = (self.host.clone(), self.port);
        Dial { host, port, timeout: ROUTE_DIAL_TIMEOUT, tls, arrival, tunnel: None, frames: None }
    }
}

/// A server that the configuration names is sought until it is there.
pub fn attempts(kind: RouteKind, facts: &ClusterFacts) -> Attempts {
    match kind {
        RouteKind::Explicit => Attempts::Forever,
        RouteKind::Implicit => Attempts::Retries(facts.retries),
    }
}
