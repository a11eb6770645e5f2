//! The `proxies` block: whose word about a client counts.

use conf::Node;
use nkeys::{PublicKey, Role, XPublicKey};

use crate::go_text::quoted;
use crate::report::Report;

/// Reads the block: the public keys of trusted proxies.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Vec<String> {
    let Some(map) = report.map_or(node, "expected proxies to be a map/struct") else {
        return Vec::new();
    };
    let mut keys = Vec::new();
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "trusted" => keys = read_trusted(value, report),
            _ => report.unknown(key, value, &["trusted"]),
        }
    }
    keys
}

fn read_trusted(node: &Node, report: &mut Report<'_>) -> Vec<String> {
    let Some(elements) = report.array_or(node, "expected proxies' trusted field to be an array") else {
        return Vec::new();
    };
    let mut keys = Vec::with_capacity(elements.len());
    for element in elements {
        let Some(map) = report.map_or(element, "expected proxies' trusted entry to be a map/struct") else {
            continue;
        };
        for (key, value) in map.iter() {
            match key.to_ascii_lowercase().as_str() {
                "key" | "public_key" => keys.extend(read_key(value, report)),
                _ => report.unknown(key, value, &["key", "public_key"]),
            }
        }
    }
    keys
}

fn read_key(node: &Node, report: &mut Report<'_>) -> Option<String> {
    let key = report.text(node)?;
    if !is_public(key) {
        report.error(&node.place, format!("invalid proxy key {}", quoted(key)));
        return None;
    }
    Some(key.to_owned())
}

fn is_public(key: &str) -> bool {
    Role::ALL.into_iter().any(|role| PublicKey::is(role, key)) || XPublicKey::is(key)
}
