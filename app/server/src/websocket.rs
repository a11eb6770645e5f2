//! The listener for clients over WebSocket: where it listens, and what the rooms are told of it.

use std::net::SocketAddr;
use std::sync::Arc;

use auth::{ConnectionKind, Directory};
use broker::WebSocketSettings;
use config::{HANDSHAKE_TIMEOUT, Settings, WebSocket};
use net::{DoorKind, Listener, PeerCheck, Security, SharedSecurity, Upgrades};
use session::{HandshakeRules, PingRules};
use tls::HandshakeFirst;
use websocket::{Cookies, Origin, Origins};

use crate::gate::StrangerGate;
use crate::log::Log;
use crate::ocsp::{Revoked, Staples, Stapling};
use crate::serve::security_of;

/// What a browser does for every page that asks.
const ANY_PAGE: &str = "Websocket takes credentials from cookies, which a browser sends along for pages of any origin: \
                        set allowed_origins, or same_origin";

/// Where it listens.
pub struct WebSocketDoor {
    pub address: SocketAddr,
    pub security: SharedSecurity,
    pub gate: Arc<StrangerGate>,
    staples: Staples,
}

/// The block, if it has a port to listen at.
fn block(settings: &Settings) -> Option<&WebSocket> {
    settings.websocket.as_ref().filter(|block| block.listen.port.is_some())
}

impl WebSocketDoor {
    /// Binds the listener, if there is to be one.
    ///
    /// # Errors
    /// With the text for the user.
    pub fn open(
        settings: &Settings,
        check: &Arc<dyn PeerCheck>,
        log: &Log,
        listeners: &mut Vec<Listener>,
    ) -> Result<Option<Self>, String> {
        let Some((block, port)) = block(settings).and_then(|block| Some((block, block.listen.port?))) else {
            return Ok(None);
        };
        let (shared, staples, gate) =
            (SharedSecurity::default(), Staples::default(), Arc::new(StrangerGate::default()));
        *shared.write() = security(settings, check, &staples, log)?;
        let failed = |error: std::io::Error| {
            format!("Unable to listen for websocket connections: {}:{port} - {error}", block.listen.host)
        };
        let host = &block.listen.host;
        let has_leafs = settings.leafnodes.as_ref().is_some_and(|leafs| leafs.listen.port.is_some());
        let listener = Listener::bind(DoorKind::WebSocket, host, port.number(), gate.clone(), shared.clone());
        let listener = listener.map_err(failed)?.upgrading(upgrades(block, has_leafs)?);
        let address = listener.address().map_err(failed)?;
        listeners.push(listener);
        Ok(Some(Self { address, security: shared, gate, staples }))
    }

    /// What a configuration makes of its TLS.
    ///
    /// # Errors
    /// With the text for the user.
    pub fn prepare(
        &self,
        settings: &Settings,
        check: &Arc<dyn PeerCheck>,
        log: &Log,
    ) -> Result<Option<Security>, String> {
        security(settings, check, &self.staples, log)
    }

    /// Renews what the issuers of its certificates say.
    ///
    /// # Errors
    /// If one does not stand by a certificate any more, and the server is to stop then.
    pub fn look(&self, log: &Log) -> Result<(), Revoked> {
        let Some(security) = self.security.read().clone() else { return Ok(()) };
        self.staples.renew(&security.tls, log)
    }

    /// The scheme of its URLs.
    pub fn scheme(&self) -> &'static str {
        if self.security.read().is_some() { "wss" } else { "ws" }
    }

    /// Lines for the log.
    pub fn announce(&self, settings: &Settings, log: &Log) {
        let Some(block) = block(settings) else { return };
        let host = &block.listen.host;
        let (scheme, port) = (self.scheme(), self.address.port());
        log.notice(&format!("Listening for websocket clients on {scheme}://{host}:{port}"));
        if scheme == "ws" {
            log.warn("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!");
        }
        let cookies = [&block.jwt_cookie, &block.user_cookie, &block.pass_cookie, &block.token_cookie];
        let is_open = block.allowed_origins.is_empty() && !block.same_origin;
        if is_open && cookies.iter().any(|cookie| cookie.is_some()) {
            log.warn(ANY_PAGE);
        }
    }
}

/// The handshake comes before the request. What clients are let in by is asked as everywhere.
fn security(
    settings: &Settings,
    check: &Arc<dyn PeerCheck>,
    staples: &Staples,
    log: &Log,
) -> Result<Option<Security>, String> {
    let Some(security) = security_of(block(settings).and_then(|block| block.tls.as_ref()), check)? else {
        return Ok(None);
    };
    staples.begin(Stapling::of(settings), &security.tls, log)?;
    Ok(Some(Security { first: HandshakeFirst::On, optional: false, ..security }))
}

/// How requests are judged.
fn upgrades(block: &WebSocket, has_leafs: bool) -> Result<Upgrades, String> {
    let allowed: Result<Vec<Origin>, String> = block
        .allowed_origins
        .iter()
        .map(|text| Origin::parse(text).map_err(|error| format!("unable to parse allowed origin {text:?}: {error}")))
        .collect();
    let settings = websocket::Settings {
        origins: Origins { same: block.same_origin, allowed: allowed? },
        compresses: block.compression,
        headers: block.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        cookies: Cookies {
            jwt: block.jwt_cookie.clone(),
            user: block.user_cookie.clone(),
            pass: block.pass_cookie.clone(),
            token: block.token_cookie.clone(),
        },
        has_mqtt: false,
        has_leafs,
    };
    Ok(Upgrades { settings, timeout: block.handshake_timeout.unwrap_or(HANDSHAKE_TIMEOUT) })
}

/// What is different for clients that come by it. `rules` are those of the listener for clients, `at` is where it listens.
pub fn settings(
    settings: &Settings,
    directory: &Directory,
    rules: HandshakeRules,
    at: SocketAddr,
) -> Option<WebSocketSettings> {
    let block = block(settings)?;
    let (kind, limits) = (ConnectionKind::WebSocket, &settings.limits);
    let auth_required = directory.requires_auth_of(kind);
    let auth_timeout = block.login.timeout.or(settings.auth.authorization.timeout).filter(|_| auth_required);
    let ping = PingRules {
        interval: block.ping_interval.unwrap_or(limits.ping_interval),
        max_out: u32::try_from(limits.ping_max).unwrap_or(u32::MAX),
    };
    Some(WebSocketSettings {
        handshake: HandshakeRules {
            auth_required,
            anonymous_allowed: directory.admits_silent_peers_of(kind),
            auth_timeout,
            ..rules
        },
        ping,
        host: block.listen.host.clone(),
        port: at.port(),
        auth_required: directory.announces_auth_required_of(kind),
        tls_required: block.tls.is_some(),
        tls_verify: block.tls.as_ref().is_some_and(tls::Settings::wants_peer_certificate),
        connect_urls: Vec::new(),
    })
}
