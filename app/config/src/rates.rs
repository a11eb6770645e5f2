//! How much users and accounts may publish, and what else one user may use.

use std::num::NonZeroU64;

use account::Limits;
use auth::WrittenLimits;
use conf::Node;

use crate::go_text::quoted;
use crate::report::{Report, lowered};

pub(crate) const USER_KEYS: &[&str] = &[
    "max_connections",
    "max_conn",
    "max_subscriptions",
    "max_subs",
    "max_payload",
    "max_pay",
    "messages_per_second",
    "messages_burst",
    "bytes_per_second",
    "bytes_burst",
];

/// Reads the `limits` of a user.
pub(crate) fn read_user_limits(node: &Node, limits: &mut WrittenLimits, report: &mut Report<'_>) {
    let Some(map) = report.map_or_shown(node, "Expected user limits to be a map/struct") else {
        return;
    };
    for (key, value) in map.iter() {
        if read(key, value, limits, report) {
            continue;
        }
        let target = match &*lowered(key) {
            "max_connections" | "max_conn" => &mut limits.max_connections,
            "max_subscriptions" | "max_subs" => &mut limits.max_subscriptions,
            "max_payload" | "max_pay" => &mut limits.max_payload,
            _ => {
                let text = format!("Unknown field {} parsing user limits", quoted(key));
                report.unknown_as(key, value, USER_KEYS, text);
                continue;
            }
        };
        if let Some(number) = report.integer(value) {
            *target = Limits::from_written(number);
        }
    }
    check(limits, node, report);
}

/// Reads a rate or a burst; false when the key is neither.
pub(crate) fn read(key: &str, node: &Node, rates: &mut WrittenLimits, report: &mut Report<'_>) -> bool {
    let target = match &*lowered(key) {
        "messages_per_second" => &mut rates.messages_per_second,
        "messages_burst" => &mut rates.messages_burst,
        "bytes_per_second" => &mut rates.bytes_per_second,
        "bytes_burst" => &mut rates.bytes_burst,
        _ => return false,
    };
    let Some(number) = report.integer(node) else { return true };
    // Negative is unlimited, as with the other limits. Nothing at all is not a rate: nobody would ever be read again.
    match NonZeroU64::new(number.unsigned_abs()).filter(|_| number > 0) {
        None if number == 0 => report.error_with(
            &node.place,
            format!("{key} can not be zero"),
            "leave it out for no limit; permissions say who may not publish at all".to_owned(),
        ),
        number => *target = number,
    }
    true
}

/// A burst belongs to a rate.
pub(crate) fn check(rates: &WrittenLimits, node: &Node, report: &mut Report<'_>) {
    if let Some(burst) = rates.burst_without_rate() {
        let rate = burst.replace("_burst", "_per_second");
        report.error(&node.place, format!("{burst} has no effect without {rate}"));
    }
}
