//! The listener for leaf nodes: what this server says there, and whom it takes.

use std::net::SocketAddr;
use std::sync::Arc;

use account::AccountIds;
use auth::Directory;
use auth::settings::{AccountSettings, AuthorizationSettings, UserSettings};
use broker::LeafListening;
use config::{LeafAuthorization, Leafnodes, Settings};
use session::Greeting;
use topology::{Info, LeafRules};

use crate::links::{advertised_one, build, compression, info, is_everywhere, login_time};

/// What the broker has to know about leaf nodes that come to us.
pub fn listening(
    settings: &Settings,
    block: &Leafnodes,
    greeting: &Greeting,
    at: SocketAddr,
    directory: Option<Directory>,
) -> Result<LeafListening, String> {
    let ((host, port), address) = advertised_one(block.advertise.as_ref(), &block.listen.host, at.port());
    let (compression, levels) = compression(&block.compression);
    let info = Info {
        auth_required: true,
        tls_required: block.tls.is_some(),
        tls_verify: block.tls.as_ref().is_some_and(tls::Settings::wants_peer_certificate),
        ip: address,
        api_lvl: u32::from(greeting.api_lvl),
        jetstream: settings.jetstream.enabled,
        domain: settings.jetstream.domain.clone().unwrap_or_default(),
        leafnode_urls: urls(block, at),
        ..info(settings, greeting, host, port)
    };
    let min_version = block.min_version.map(|[major, minor, patch]| format!("{major}.{minor}.{patch}"));
    Ok(LeafListening {
        rules: LeafRules { info, compression, levels, min_version },
        directory: directory.map(Arc::new),
        auth_timeout: login_time(block.authorization.timeout, block.tls.as_ref()),
        isolate: block.isolate_interest,
    })
}

/// Where leaf nodes are told to come. A machine without an address that others know says none.
pub fn urls(block: &Leafnodes, at: SocketAddr) -> Option<Vec<String>> {
    let ((host, _), address) = advertised_one(block.advertise.as_ref(), &block.listen.host, at.port());
    (!block.no_advertise).then(|| if is_everywhere(&host) { Vec::new() } else { vec![address] })
}

/// The users of the block, if it has its own; else the server's users may come as leaf nodes too.
pub fn directory(
    settings: &Settings,
    authorization: &LeafAuthorization,
    ids: &mut AccountIds,
) -> Result<Option<Directory>, String> {
    let single = authorization.user.is_some() || authorization.nkey.is_some();
    if !single && authorization.users.is_empty() {
        return Ok(None);
    }
    let mut users: Vec<(Option<String>, UserSettings)> = Vec::new();
    if single {
        let user = UserSettings {
            user: authorization.user.clone(),
            password: authorization.password.clone(),
            nkey: authorization.nkey.clone(),
            proxy_required: authorization.proxy_required,
            ..UserSettings::default()
        };
        users.push((authorization.account.clone(), user));
    }
    for user in &authorization.users {
        let settings = UserSettings {
            user: Some(user.user.clone()),
            password: user.password.clone(),
            proxy_required: user.proxy_required || authorization.proxy_required,
            ..UserSettings::default()
        };
        users.push((user.account.clone(), settings));
    }
    let of = |name: Option<&str>| -> Vec<UserSettings> {
        users.iter().filter(|(account, _)| account.as_deref() == name).map(|(_, user)| user.clone()).collect()
    };
    for (account, user) in &users {
        let known =
            |name: &str| name == account::GLOBAL || settings.auth.accounts.iter().any(|known| known.name == name);
        if let Some(account) = account.as_deref().filter(|name| !known(name)) {
            let user = user.user.clone().or_else(|| user.nkey.clone()).unwrap_or_default();
            return Err(format!("leafnode authorization: user {user:?}: account {account:?} is not defined"));
        }
    }
    let accounts = settings
        .auth
        .accounts
        .iter()
        .map(|account| AccountSettings { users: of(Some(&account.name)), ..account.clone() });
    let global = [of(None), of(Some(account::GLOBAL))].concat();
    let mut certificate_kinds = settings.auth.certificate_kinds.clone();
    if single {
        // The one user logs in with what it knows, whatever its certificate says.
        certificate_kinds.retain(|kind| *kind != auth::ConnectionKind::Leaf);
    }
    let own = auth::Settings {
        certificate_kinds,
        authorization: AuthorizationSettings { defined: true, users: Some(global), ..AuthorizationSettings::default() },
        accounts: accounts.collect(),
        // Whom other listeners let in without credentials is none of these.
        doors: Vec::new(),
        ..settings.auth.clone()
    };
    build(&own, ids).map(Some)
}
