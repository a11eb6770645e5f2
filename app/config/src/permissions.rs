//! `permissions` blocks: what a user may publish and subscribe to.

use auth::settings::{PermissionsSettings, Place as AuthPlace, ResponsePermission, RuleText, SideSettings};
use conf::{Node, Place, Value};
use moment::GoDuration;
use subject::Filter;

use crate::go_text::{self, quoted};
use crate::report::{Report, lowered};

pub(crate) const KEYS: &[&str] =
    &["publish", "pub", "import", "subscribe", "sub", "export", "allow_responses", "publish_allow_responses"];

/// Whether an entry may name a queue group behind the subject.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queues {
    Allowed,
    Refused,
}

/// The same place in the words of the auth room.
pub(crate) fn auth_place(place: &Place) -> AuthPlace {
    AuthPlace::new(place.file.clone(), place.line, place.column)
}

/// Reads a block.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<PermissionsSettings> {
    let map = report.map_or_shown(node, "Expected permissions to be a map/struct")?;
    let mut permissions = PermissionsSettings { place: auth_place(&node.place), ..PermissionsSettings::default() };
    for (key, value) in map.iter() {
        match &*lowered(key) {
            "pub" | "publish" | "import" => permissions.publish = read_side(value, Queues::Refused, report),
            "sub" | "subscribe" | "export" => permissions.subscribe = read_side(value, Queues::Allowed, report),
            "publish_allow_responses" | "allow_responses" => {
                permissions.allow_responses = read_responses(value, report);
            }
            _ => report.unknown_as(key, value, KEYS, format!("Unknown field {} parsing permissions", quoted(key))),
        }
    }
    Some(permissions)
}

/// Subjects alone are allowed ones; a map tells allowed from denied. An empty map restricts nothing.
fn read_side(node: &Node, queues: Queues, report: &mut Report<'_>) -> SideSettings {
    let mut side = SideSettings::default();
    let Some(map) = node.as_map() else {
        side.allow = read_subjects(node, queues, report);
        return side;
    };
    for (key, value) in map.iter() {
        match &*lowered(key) {
            "allow" => side.allow = read_subjects(value, queues, report),
            "deny" => side.deny = read_subjects(value, queues, report),
            _ => {
                let text = format!(
                    "Unknown field name {} parsing subject permissions, only 'allow' or 'deny' are permitted",
                    quoted(key)
                );
                report.unknown_as(key, value, &["allow", "deny"], text);
            }
        }
    }
    side
}

/// One subject or an array of them. An empty array allows nothing, or denies nothing: it is not the same as no array.
pub(crate) fn read_subjects(node: &Node, queues: Queues, report: &mut Report<'_>) -> Option<Vec<RuleText>> {
    let elements = match &node.value {
        Value::String(_) => std::slice::from_ref(node),
        Value::Array(elements) => elements,
        _ => {
            let kind = node.kind().go_type();
            let text = format!("Expected subject permissions to be a subject, or array of subjects, got {kind}");
            report.error(&node.place, text);
            return None;
        }
    };
    let mut rules = Vec::with_capacity(elements.len());
    for element in elements {
        let Some(text) = element.as_str() else {
            report.error(&element.place, "Subject in permissions array cannot be cast to string");
            continue;
        };
        match check_subject(text, queues) {
            Ok(()) => rules.push(RuleText { text: text.to_owned(), place: auth_place(&element.place) }),
            Err(why) => report.error(&node.place, why),
        }
    }
    Some(rules)
}

/// Why an entry is not one.
pub(crate) fn check_subject(text: &str, queues: Queues) -> Result<(), String> {
    let is_valid = |text: &str| Filter::parse(text.as_bytes()).is_ok();
    if is_valid(text) {
        return Ok(());
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    match (queues, words.as_slice()) {
        (Queues::Allowed, [subject, _]) if !is_valid(subject) => Err(invalid(subject)),
        (Queues::Allowed, [_, queue]) if !is_valid(queue) => {
            Err(format!("queue {} is not a valid queue", quoted(queue)))
        }
        (Queues::Allowed, [_, _]) => Ok(()),
        _ => Err(invalid(text)),
    }
}

fn invalid(subject: &str) -> String {
    format!("subject {} is not a valid subject", quoted(subject))
}

fn read_responses(node: &Node, report: &mut Report<'_>) -> Option<ResponsePermission> {
    match &node.value {
        Value::Bool(true) => return Some(ResponsePermission::default()),
        Value::Bool(false) => return None,
        Value::Map(_) => {}
        _ => {
            report.error(&node.place, "error parsing response permissions, expected a boolean or a map");
            return None;
        }
    }
    let (mut max, mut expires) = (0, 0);
    for (key, value) in node.as_map()?.iter() {
        match &*lowered(key) {
            "max" | "max_msgs" | "max_messages" | "max_responses" => max = report.integer(value)?,
            "expires" | "expiration" | "ttl" => expires = read_expires(value, report)?,
            _ => {
                let text = format!("Unknown field {} parsing permissions", quoted(key));
                report.unknown_as(key, value, &["max", "max_msgs", "expires", "expiration", "ttl"], text);
            }
        }
    }
    Some(ResponsePermission::from_written(max, expires))
}

fn read_expires(node: &Node, report: &mut Report<'_>) -> Option<i64> {
    let Some(text) = node.as_str() else {
        report.error(&node.place, "error parsing expires, not a duration string");
        return None;
    };
    match text.parse::<GoDuration>() {
        Ok(duration) => Some(duration.0),
        Err(error) => {
            report.error(&node.place, format!("error parsing expires: {}", go_text::duration_error(error, text)));
            None
        }
    }
}

/// What routes may tell each other; the lists of a `permissions` block in the words of servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkPermissions {
    /// Interest we ask the other side for.
    pub import: SideSettings,
    /// Interest we take from the other side.
    pub export: SideSettings,
}

/// Reads the permissions of a cluster.
pub(crate) fn read_link(node: &Node, report: &mut Report<'_>) -> Option<LinkPermissions> {
    let before = report.errors.len();
    let permissions = read(node, report)?;
    if permissions.allow_responses.is_some() {
        report.error(&node.place, "Cluster permissions do not support dynamic responses");
    }
    for (direction, side) in [("import", &permissions.publish), ("export", &permissions.subscribe)] {
        for (list, rules) in [("allow", &side.allow), ("deny", &side.deny)] {
            for rule in rules.iter().flatten() {
                if let Err(why) = check_subject(&rule.text, Queues::Refused) {
                    report.error(&node.place, format!("cluster {direction} {list}: {why}"));
                }
            }
        }
    }
    let PermissionsSettings { publish: import, subscribe: export, .. } = permissions;
    (report.errors.len() == before).then_some(LinkPermissions { import, export })
}
