//! The `authorization` block, `auth_callout` in it, and the small form of it that other listeners have.

use std::time::Duration;

use auth::settings::{AuthorizationSettings, CalloutSettings};
use conf::{Map, Node, Place};
use nkeys::{PublicKey, Role, Secret, XPublicKey};

use crate::auth_chain;
use crate::go_text::quoted;
use crate::permissions::{self, auth_place};
use crate::report::Report;
use crate::support::Feature;
use crate::users;

pub(crate) const KEYS: &[&str] = &[
    "user",
    "username",
    "pass",
    "password",
    "token",
    "timeout",
    "users",
    "default_permissions",
    "default_permission",
    "permissions",
    "auth_callout",
    "auth_hook",
    "auth_chain",
    "callout_cache",
    "proxy_required",
];

/// Reads the block over what is there already.
pub(crate) fn read(node: &Node, target: &mut AuthorizationSettings, report: &mut Report<'_>) {
    let Some(map) = report.map(node) else {
        return;
    };
    target.defined = true;
    target.origin = auth_place(&node.place);
    for (key, value) in map.iter() {
        read_key(target, key, value, report);
    }
    check(&node.place, target, report);
}

fn read_key(target: &mut AuthorizationSettings, key: &str, node: &Node, report: &mut Report<'_>) {
    match key.to_ascii_lowercase().as_str() {
        "user" | "username" => report.set_optional_text(node, &mut target.user),
        "pass" | "password" => report.set_secret(node, &mut target.password),
        "token" => report.set_secret(node, &mut target.token),
        "timeout" => {
            if let Some(timeout) = report.login_timeout("authorization", node) {
                target.timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
            }
        }
        "users" => target.users = Some(users::read(node, report)),
        "default_permission" | "default_permissions" | "permissions" => {
            target.default_permissions = permissions::read(node, report);
        }
        "auth_callout" | "auth_hook" => target.auth_callout = read_callout(node, report),
        "auth_chain" => target.judges = auth_chain::read_chain(node, report),
        "callout_cache" => target.callout_cache = auth_chain::read_cache(node, report),
        "proxy_required" => {
            report.set_bool(node, &mut target.proxy_required);
            if target.proxy_required {
                report.needs(Feature::Proxies, &node.place);
            }
        }
        _ => report.unknown(key, node, KEYS),
    }
}

fn check(place: &Place, settings: &AuthorizationSettings, report: &mut Report<'_>) {
    if (settings.user.is_some() || settings.password.is_some()) && settings.token.is_some() {
        report.error(place, "Cannot have a user/pass and token");
    }
    if settings.users.is_some() && settings.user.is_some() {
        report.error(place, "Can not have a single user/pass and a users array");
    }
    if settings.users.is_some() && settings.token.is_some() {
        report.error(place, "Can not have a token and a users array");
    }
}

pub(crate) const CALLOUT_KEYS: &[&str] =
    &["issuer", "account", "acc", "auth_users", "users", "xkey", "key", "allowed_accounts"];

fn read_callout(node: &Node, report: &mut Report<'_>) -> Option<CalloutSettings> {
    let map = report.map_or_shown(node, "Expected authorization callout to be a map/struct")?;
    let mut callout = CalloutSettings {
        issuer: String::new(),
        account: None,
        auth_users: Vec::new(),
        xkey: None,
        allowed_accounts: Vec::new(),
        origin: auth_place(&node.place),
    };
    let before = report.errors.len();
    for (key, value) in map.iter() {
        read_callout_key(&mut callout, key, value, report);
    }
    check_callout(&callout, node, map, report);
    (report.errors.len() == before).then_some(callout)
}

fn read_callout_key(callout: &mut CalloutSettings, key: &str, node: &Node, report: &mut Report<'_>) {
    match key.to_ascii_lowercase().as_str() {
        "issuer" => {
            report.set_text(node, &mut callout.issuer);
            if node.as_str().is_some_and(|issuer| !PublicKey::is(Role::Account, issuer)) {
                let shown = quoted(&callout.issuer);
                let text = format!("Expected callout user to be a valid public account nkey, got {shown}");
                report.error(&node.place, text);
            }
        }
        "account" | "acc" => report.set_optional_text(node, &mut callout.account),
        "auth_users" | "users" => {
            callout.auth_users = read_list(node, "Expected auth_users field to be an array", report);
        }
        "xkey" | "key" => {
            report.set_optional_text(node, &mut callout.xkey);
            if let Some(key) = callout.xkey.as_ref().filter(|key| !XPublicKey::is(key)) {
                let text = format!("Expected callout xkey to be a valid public xkey, got {}", quoted(key));
                report.error(&node.place, text);
            }
        }
        "allowed_accounts" => {
            callout.allowed_accounts = read_list(node, "Expected allowed accounts field to be an array", report);
        }
        _ => {
            let text = format!("Unknown field {} parsing authorization callout", quoted(key));
            report.unknown_as(key, node, CALLOUT_KEYS, text);
        }
    }
}

fn read_list(node: &Node, sentence: &str, report: &mut Report<'_>) -> Vec<String> {
    match report.array_or(node, sentence) {
        Some(_) => report.string_array(node).unwrap_or_default(),
        None => Vec::new(),
    }
}

fn check_callout(callout: &CalloutSettings, node: &Node, map: &Map, report: &mut Report<'_>) {
    let place = map.iter().last().map_or(&node.place, |(_, last)| &last.place);
    if callout.issuer.is_empty() {
        report.error(place, "Authorization callouts require an issuer to be specified");
    }
    if callout.auth_users.is_empty() {
        report.error(place, "Authorization callouts require authorized users to be specified");
    }
}

/// A single login: of a cluster, a gateway, a WebSocket or MQTT listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SingleLogin {
    /// The user.
    pub user: Option<String>,
    /// The password, plain or bcrypt.
    pub password: Option<Secret<String>>,
    /// A token instead.
    pub token: Option<Secret<String>>,
    /// How long a peer may take to log in; the default of the link if absent.
    pub timeout: Option<Duration>,
}

/// Reads the login of a listener for clients: user, password, token and timeout.
pub(crate) fn read_single(node: &Node, target: &mut SingleLogin, report: &mut Report<'_>) {
    let Some(map) = report.map(node) else {
        return;
    };
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "user" | "username" => report.set_optional_text(value, &mut target.user),
            "pass" | "password" => report.set_secret(value, &mut target.password),
            "token" => report.set_secret(value, &mut target.token),
            "timeout" => {
                if let Some(timeout) = report.seconds("authorization", value) {
                    target.timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
                }
            }
            _ => report.unknown(key, value, &["user", "username", "pass", "password", "token", "timeout"]),
        }
    }
}

/// Reads the login of servers, which is a single user without a token. `what` names the block.
pub(crate) fn read_server_login(
    node: &Node,
    what: &str,
    target: &mut SingleLogin,
    report: &mut Report<'_>,
) -> Option<auth::settings::PermissionsSettings> {
    let mut full = AuthorizationSettings {
        user: target.user.take(),
        password: target.password.take(),
        ..AuthorizationSettings::default()
    };
    read(node, &mut full, report);
    for (is_there, why) in [
        (full.users.is_some(), "does not allow multiple users"),
        (full.token.is_some(), "does not support tokens"),
        (full.auth_callout.is_some(), "does not support callouts"),
        (!full.judges.is_empty() || full.callout_cache.is_some(), "does not support a chain or a cache"),
    ] {
        if is_there {
            report.error(&node.place, format!("{what} authorization {why}"));
        }
    }
    *target = SingleLogin { user: full.user, password: full.password, token: None, timeout: full.timeout };
    full.default_permissions
}
