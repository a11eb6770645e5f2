//! The listener for other clusters: what this server says there, and whom it takes.

use std::net::SocketAddr;
use std::sync::Arc;

use auth::Directory;
use broker::GatewaySettings;
use config::{Gateway, MAX_GATEWAY_PING_INTERVAL, Settings};
use net::{PeerCheck, Security};
use session::{Greeting, PingRules};
use tls::HandshakeFirst;
use topology::{GatewayRules, Info, RIGHTS_LEVEL, ReplyMapper};

use crate::links::{advertised_one, info, login_time};
use crate::serve::security_of;

/// The handshake comes before the first line, in both directions.
pub fn security(block: &Gateway, check: &Arc<dyn PeerCheck>) -> Result<Option<Security>, String> {
    let security = security_of(block.tls.as_ref(), check)?;
    Ok(security.map(|security| Security { first: HandshakeFirst::On, ..security }))
}

/// What the broker has to know about gateways.
pub fn settings(
    settings: &Settings,
    block: &Gateway,
    greeting: &Greeting,
    at: SocketAddr,
    directory: Option<Directory>,
) -> GatewaySettings {
    let ((host, port), address) = advertised_one(block.advertise.as_ref(), &block.listen.host, at.port());
    let info = Info {
        auth_required: block.login.user.is_some(),
        tls_required: block.tls.is_some(),
        tls_verify: block.tls.is_some(),
        cluster: String::new(),
        gateway: block.name.clone(),
        gateway_urls: vec![address.clone()],
        gateway_url: address,
        gateway_nrp: true,
        gateway_iom: true,
        bulwark_rights: RIGHTS_LEVEL,
        ..info(settings, greeting, host, port)
    };
    let limits = &settings.limits;
    let interval = limits.ping_interval.min(MAX_GATEWAY_PING_INTERVAL);
    let max_out = u32::try_from(limits.ping_max).unwrap_or(u32::MAX);
    GatewaySettings {
        require_rights: block.require_rights,
        mapper: ReplyMapper::new(&block.name, &greeting.server_id),
        rules: GatewayRules {
            server_names: vec![info.server_name.clone()],
            reject_unknown: block.reject_unknown,
            known: block.remotes.iter().map(|remote| remote.name.clone()).collect(),
            info,
        },
        directory: directory.map(Arc::new),
        auth_timeout: login_time(block.login.timeout, block.tls.as_ref()),
        ping: PingRules { interval, max_out },
    }
}
