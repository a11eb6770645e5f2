//! `users` arrays.

use auth::ConnectionKind;
use auth::settings::{Distinguished, UserSettings};
use conf::{Map, Node};
use nkeys::{PublicKey, Role};

use crate::go_text::quoted_list;
use crate::permissions;
use crate::rates;
use crate::report::{Report, lowered};
use crate::support::Feature;

pub(crate) const KEYS: &[&str] = &[
    "user",
    "username",
    "pass",
    "password",
    "nkey",
    "permissions",
    "permission",
    "authorization",
    "allowed_connection_types",
    "connection_types",
    "clients",
    "proxy_required",
    "limits",
];

/// Reads an array of users.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Vec<UserSettings> {
    let Some(elements) = node.as_array() else {
        let shown = crate::go_text::Shown(node);
        report.error(&node.place, format!("Expected users field to be an array, got {shown}"));
        return Vec::new();
    };
    let mut users = Vec::with_capacity(elements.len());
    users.extend(elements.iter().filter_map(|element| read_user(element, report)));
    users
}

fn read_user(node: &Node, report: &mut Report<'_>) -> Option<UserSettings> {
    let Some(map) = node.as_map() else {
        // The text is not shown: it may be a password in the wrong place.
        let kind = node.kind().words();
        report.error(&node.place, format!("Expected user entry to be a map/struct, got {kind}"));
        return None;
    };
    let mut user = UserSettings { origin: permissions::auth_place(&node.place), ..UserSettings::default() };
    let before = report.errors.len();
    for (key, value) in map.iter() {
        read_key(&mut user, key, value, report);
    }
    // A name of the wrong type is not a missing one.
    let is_half_read = report.errors.len() > before && user.user.is_none() && user.nkey.is_none();
    let has_name =
        || map.iter().any(|(key, _)| ["user", "username", "nkey"].contains(&key.to_ascii_lowercase().as_str()));
    if is_half_read && has_name() {
        return None;
    }
    check(node, map, user, report)
}

fn read_key(user: &mut UserSettings, key: &str, node: &Node, report: &mut Report<'_>) {
    match &*lowered(key) {
        "user" | "username" => report.set_optional_text(node, &mut user.user),
        "pass" | "password" => report.set_secret(node, &mut user.password),
        "nkey" => report.set_optional_text(node, &mut user.nkey),
        "permission" | "permissions" | "authorization" => {
            user.permissions = permissions::read(node, report).map(Box::new)
        }
        "allowed_connection_types" | "connection_types" | "clients" => {
            user.allowed_connection_types = read_kinds(node, report);
        }
        "limits" => rates::read_user_limits(node, user.limits.get_or_insert_default(), report),
        "proxy_required" => {
            report.set_bool(node, &mut user.proxy_required);
            if user.proxy_required {
                report.needs(Feature::Proxies, &node.place);
            }
        }
        _ => report.unknown(key, node, KEYS),
    }
}

fn check(node: &Node, map: &Map, mut user: UserSettings, report: &mut Report<'_>) -> Option<UserSettings> {
    // The reference points at the last field it has seen.
    let place = map.iter().last().map_or(&node.place, |(_, last)| &last.place);
    match (&user.user, &user.nkey) {
        (None, None) => report.error(place, "User entry requires a user"),
        (_, Some(nkey)) if !PublicKey::is(Role::User, nkey) => {
            report.error(place, "Not a valid public nkey for a user");
        }
        (user, Some(_)) if user.is_some() => {
            report.error(place, "Nkey users do not take usernames or passwords");
        }
        (None, Some(_)) if user.password.is_some() => {
            report.error(place, "Nkey users do not take usernames or passwords");
        }
        _ => {
            user.distinguished = user.user.as_deref().and_then(distinguished).map(Box::new);
            return Some(user);
        }
    }
    None
}

/// A user name that is a distinguished name can be compared with a certificate's subject.
fn distinguished(name: &str) -> Option<Distinguished> {
    if !name.contains('=') {
        return None;
    }
    let dn = tls::Dn::parse(name).ok()?;
    Some(Distinguished { ordered: dn.ordered(), any_order: dn.any_order() })
}

fn read_kinds(node: &Node, report: &mut Report<'_>) -> Vec<ConnectionKind> {
    let words = report.strings("allowed connection types", node).unwrap_or_default();
    let mut kinds = Vec::with_capacity(words.len());
    let mut unknown = Vec::new();
    for word in &words {
        match word.parse() {
            Ok(kind) if kinds.contains(&kind) => {}
            Ok(kind) => kinds.push(kind),
            Err(_) => unknown.push(word.to_uppercase()),
        }
    }
    if !unknown.is_empty() {
        let shown = quoted_list(unknown.iter().map(String::as_str));
        let all: Vec<&str> = ConnectionKind::ALL.iter().map(|kind| kind.word()).collect();
        report.error_with(
            &node.place,
            format!("invalid connection types {shown}"),
            format!("known are {}", all.join(", ")),
        );
    }
    kinds
}
