//! What `/varz` says of the blocks of links.

use std::time::Duration;

use api::monitoring::{
    ClusterVarz, DenyVarz, GatewayVarz, LeafVarz, LinkTls, LinksVarz, RemoteGatewayVarz, RemoteLeafVarz, WebSocketVarz,
};
use auth::settings::RuleText;
use config::{Gateway, Leafnodes, Settings, Url, WebSocket};

use crate::links::login_time;

/// How long a handshake may take where there is no TLS, as the reference has it.
const TLS_TIMEOUT: Duration = Duration::from_secs(2);

/// The blocks as they are configured. Ports and certificates are known to whoever listens.
pub(crate) fn links(settings: &Settings) -> LinksVarz {
    LinksVarz {
        cluster: cluster(settings),
        gateway: settings.gateway.as_ref().map(gateway).unwrap_or_default(),
        leaf: settings.leafnodes.as_ref().map(leafnodes).unwrap_or_default(),
        websocket: settings.websocket.as_ref().map(websocket).unwrap_or_default(),
    }
}

fn cluster(settings: &Settings) -> ClusterVarz {
    let block = &settings.cluster;
    let name = block.name.clone().unwrap_or_default();
    if block.listen.port.is_none() {
        return ClusterVarz { name, ..ClusterVarz::default() };
    }
    ClusterVarz {
        name,
        addr: block.listen.host.clone(),
        auth_timeout: login_time(block.login.timeout, block.tls.as_ref()).as_secs_f64(),
        urls: places(&block.routes),
        tls: tls_of(block.tls.as_ref()),
        pool_size: block.pool_size.map(std::num::NonZero::get),
        write_deadline: nanos(block.write_deadline),
        write_timeout: block.write_timeout.chosen(),
        ..ClusterVarz::default()
    }
}

fn websocket(block: &WebSocket) -> WebSocketVarz {
    if block.listen.port.is_none() {
        return WebSocketVarz::default();
    }
    let pins = block.tls.iter().flat_map(|tls| tls.pinned_certs.iter());
    WebSocketVarz {
        host: block.listen.host.clone(),
        advertise: block.advertise.as_ref().map(ToString::to_string).unwrap_or_default(),
        no_auth_user: block.no_auth_user.clone().unwrap_or_default(),
        jwt_cookie: block.jwt_cookie.clone().unwrap_or_default(),
        handshake_timeout: nanos(block.handshake_timeout),
        auth_timeout: block.login.timeout.map(|time| time.as_secs_f64()),
        no_tls: block.no_tls,
        tls_map: block.tls.as_ref().is_some_and(|tls| tls.verify_and_map),
        tls_pinned_certs: pins.map(ToString::to_string).collect(),
        same_origin: block.same_origin,
        allowed_origins: block.allowed_origins.clone(),
        compression: block.compression,
        tls_ocsp_peer_verify: block.tls.as_ref().is_some_and(|tls| tls.ocsp_peer.is_some()),
        ..WebSocketVarz::default()
    }
}

fn gateway(block: &Gateway) -> GatewayVarz {
    let remotes = block.remotes.iter().map(|remote| RemoteGatewayVarz {
        name: remote.name.clone(),
        tls_timeout: remote.tls.as_ref().map_or(0.0, |tls| tls.timeout.as_secs_f64()),
        urls: places(&remote.urls),
    });
    GatewayVarz {
        name: block.name.clone(),
        host: block.listen.host.clone(),
        auth_timeout: login_time(block.login.timeout, block.tls.as_ref()).as_secs_f64(),
        tls: tls_of(block.tls.as_ref()),
        advertise: block.advertise.as_ref().map(ToString::to_string).unwrap_or_default(),
        connect_retries: Some(block.connect_retries).filter(|retries| *retries > 0),
        gateways: remotes.collect(),
        reject_unknown: block.reject_unknown,
        write_deadline: nanos(block.write_deadline),
        write_timeout: block.write_timeout.chosen(),
        ..GatewayVarz::default()
    }
}

fn leafnodes(block: &Leafnodes) -> LeafVarz {
    let remotes = block.remotes.iter().map(|remote| RemoteLeafVarz {
        local_account: remote.account.clone().unwrap_or_else(|| account::GLOBAL.to_owned()),
        tls_timeout: remote.tls.as_ref().map_or(0.0, |tls| tls.timeout.as_secs_f64()),
        urls: places(&remote.urls),
        deny: denies(&remote.deny_exports, &remote.deny_imports),
        tls_ocsp_peer_verify: remote.tls.as_ref().is_some_and(|tls| tls.ocsp_peer.is_some()),
    });
    let remotes = remotes.collect();
    if block.listen.port.is_none() {
        return LeafVarz { remotes, ..LeafVarz::default() };
    }
    LeafVarz {
        host: block.listen.host.clone(),
        auth_timeout: login_time(block.authorization.timeout, block.tls.as_ref()).as_secs_f64(),
        tls: LinkTls {
            tls_verify: block.tls.as_ref().is_some_and(tls::Settings::wants_peer_certificate),
            ..tls_of(block.tls.as_ref())
        },
        remotes,
        tls_ocsp_peer_verify: block.tls.as_ref().is_some_and(|tls| tls.ocsp_peer.is_some()),
        write_deadline: nanos(block.write_deadline),
        write_timeout: block.write_timeout.chosen(),
        ..LeafVarz::default()
    }
}

fn nanos(time: Option<Duration>) -> Option<u64> {
    time.and_then(|time| u64::try_from(time.as_nanos()).ok()).filter(|nanos| *nanos > 0)
}

/// Clusters and gateways verify each other wherever there is TLS.
fn tls_of(block: Option<&tls::Settings>) -> LinkTls {
    LinkTls {
        tls_timeout: block.map_or(TLS_TIMEOUT, |tls| tls.timeout).as_secs_f64(),
        tls_required: block.is_some(),
        tls_verify: block.is_some(),
    }
}

fn denies(exports: &[RuleText], imports: &[RuleText]) -> Option<DenyVarz> {
    let texts = |rules: &[RuleText]| rules.iter().map(|rule| rule.text.clone()).collect::<Vec<_>>();
    let denies = DenyVarz { exports: texts(exports), imports: texts(imports) };
    (denies != DenyVarz::default()).then_some(denies)
}

/// Hosts and ports alone: what else stands in a URL may be a secret.
fn places(urls: &[Url]) -> Vec<String> {
    let place = |url: &Url| {
        let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
        url.port.map_or(host.clone(), |port| format!("{host}:{port}"))
    };
    urls.iter().map(place).collect()
}
