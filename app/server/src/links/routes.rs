//! The cluster: what this server says on its routes, and whom it takes.

use std::net::SocketAddr;
use std::sync::Arc;

use auth::{Directory, LinkRights};
use broker::RouteSettings;
use config::{MAX_ROUTE_PING_INTERVAL, Settings};
use net::{PeerCheck, Security};
use session::{Greeting, PingRules};
use tls::HandshakeFirst;
use topology::{Info, RouteRules, SubjectRules};

use crate::links::{address, advertised, compression, info, is_everywhere, login_time};
use crate::serve::security_of;
use crate::system;

/// What the cluster is called.
pub struct Name {
    pub name: String,
    pub is_made_up: bool,
}

/// Sorts before the names that people give. Of two made-up names the greater one counts, and the reference tells of a name
/// that it took over as if it were made up: a server whose own sorts lower believes it all the same.
const LOWEST: char = '0';

/// A name nobody else has.
pub fn made_up_name() -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digit = |_| char::from(DIGITS[(system::random_u64() % 62) as usize]);
    std::iter::once(LOWEST).chain((0..22).map(digit)).collect()
}

/// The handshake comes before the first line, in both directions.
pub fn security(settings: &Settings, check: &Arc<dyn PeerCheck>) -> Result<Option<Security>, String> {
    let security = security_of(settings.cluster.tls.as_ref(), check)?;
    Ok(security.map(|security| Security { first: HandshakeFirst::On, ..security }))
}

/// What the broker has to know about routes.
pub fn settings(
    settings: &Settings,
    greeting: &Greeting,
    clients: &Greeting,
    at: SocketAddr,
    name: Name,
    directory: Option<Directory>,
    (gateway_url, leafnode_urls, ws_connect_urls): (Option<String>, Option<Vec<String>>, Vec<String>),
) -> Result<RouteSettings, String> {
    let cluster = &settings.cluster;
    let ((host, port), advertised) = advertised(cluster.advertise.as_ref(), &cluster.listen.host, at.port());
    let (compression, levels) = compression(&cluster.compression);
    let nothing = auth::settings::SideSettings::default();
    let permissions = cluster.permissions.as_ref();
    let (import, export) = permissions.map_or((&nothing, &nothing), |both| (&both.import, &both.export));
    let rights = LinkRights::compile(import, export).map_err(|error| format!("cluster permissions: {error}"))?;
    let connect_urls = connect_urls(settings, clients);
    let pool_size = cluster.pool_size.map(std::num::NonZero::get);
    let info = Info {
        auth_required: cluster.login.user.is_some(),
        tls_required: cluster.tls.is_some(),
        tls_verify: cluster.tls.is_some(),
        ip: cluster.advertise.as_ref().map(|_| format!("nats-route://{advertised}/")).unwrap_or_default(),
        cluster: name.name,
        cluster_dynamic: name.is_made_up,
        domain: settings.jetstream.domain.clone().unwrap_or_default(),
        connect_urls: if cluster.no_advertise { Vec::new() } else { connect_urls.clone() },
        ws_connect_urls: if cluster.no_advertise { Vec::new() } else { ws_connect_urls.clone() },
        import: permissions.map(|both| rules(&both.import)),
        export: permissions.map(|both| rules(&both.export)),
        lnoc: true,
        lnocu: true,
        gateway_url: gateway_url.unwrap_or_default(),
        leafnode_urls: leafnode_urls.filter(|urls| !urls.is_empty()),
        ln: true,
        route_pool_size: pool_size.map_or(0, i64::from),
        ..info(settings, greeting, host, port)
    };
    let limits = &settings.limits;
    let interval = cluster.ping_interval.unwrap_or(limits.ping_interval).min(MAX_ROUTE_PING_INTERVAL);
    let max_out = u32::try_from(cluster.ping_max.unwrap_or(limits.ping_max)).unwrap_or(u32::MAX);
    let dedicated = if pool_size.is_some() { cluster.pinned_accounts.clone() } else { Vec::new() };
    Ok(RouteSettings {
        rules: RouteRules { info, pool_size, compression, levels, dedicated, named_by: None },
        directory: directory.map(Arc::new),
        auth_timeout: login_time(cluster.login.timeout, cluster.tls.as_ref()),
        rights: Arc::new(rights),
        ping: PingRules { interval, max_out },
        no_advertise: cluster.no_advertise,
        connect_urls,
        ws_connect_urls,
    })
}

/// Where clients reach this server. A listener on every address says all that this machine has.
fn connect_urls(settings: &Settings, clients: &Greeting) -> Vec<String> {
    let (host, port) = (&clients.host, clients.port);
    if settings.clients.advertise.is_none() && is_everywhere(host) {
        return net::own_addresses().iter().map(|own| address(&own.to_string(), port)).collect();
    }
    vec![address(host, port)]
}

fn rules(side: &auth::settings::SideSettings) -> SubjectRules {
    let texts =
        |texts: &Option<Vec<auth::settings::RuleText>>| texts.iter().flatten().map(|rule| rule.text.clone()).collect();
    SubjectRules { allow: texts(&side.allow), deny: texts(&side.deny) }
}
