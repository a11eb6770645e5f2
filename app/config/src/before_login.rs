//! The `before_login` block: what strangers may cost. Bulwark's own; the reference has no such bounds.

use std::time::Duration;

use broker::BeforeLogin;
use conf::Node;

use crate::report::Report;

pub(crate) const KEYS: &[&str] = &[
    "connections",
    "connections_per_address",
    "bytes",
    "bytes_per_address",
    "free_failures",
    "delay_min",
    "delay_max",
    "half_life",
    "held_per_address",
];

/// No answer waits longer: clients would take the server for dead.
const DELAY_LIMIT: Duration = Duration::from_secs(60);
/// Failures are not forgotten faster than they are counted.
const HALF_LIFE_MIN: Duration = Duration::from_secs(1);
/// A handshake with a certificate of usual size must fit.
const BYTES_MIN: usize = 64 << 10;

/// Reads the block.
pub(crate) fn read(node: &Node, bounds: &mut BeforeLogin, report: &mut Report<'_>) {
    let Some(map) = report.map_or(node, "expected before_login to be a map/struct") else { return };
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "connections" => set_count("connections", value, &mut bounds.connections, 1, report),
            "connections_per_address" => {
                set_small("connections_per_address", value, &mut bounds.connections_per_address, 1, report);
            }
            "bytes" => set_bytes("bytes", value, &mut bounds.bytes, report),
            "bytes_per_address" => set_bytes("bytes_per_address", value, &mut bounds.bytes_per_address, report),
            "free_failures" => set_small("free_failures", value, &mut bounds.free_failures, 0, report),
            "delay_min" => report.set_duration("delay_min", value, &mut bounds.delay_min),
            "delay_max" => report.set_duration("delay_max", value, &mut bounds.delay_max),
            "half_life" => report.set_duration("half_life", value, &mut bounds.half_life),
            "held_per_address" => set_small("held_per_address", value, &mut bounds.held_per_address, 1, report),
            _ => report.unknown(key, value, KEYS),
        }
    }
    check(node, bounds, report);
}

/// What fits together only as a whole.
fn check(node: &Node, bounds: &BeforeLogin, report: &mut Report<'_>) {
    let wrong = [
        (bounds.delay_min > bounds.delay_max, "before_login: delay_min is longer than delay_max"),
        (bounds.delay_max > DELAY_LIMIT, "before_login: delay_max is longer than a minute"),
        (bounds.half_life < HALF_LIFE_MIN, "before_login: half_life is shorter than a second"),
        (
            bounds.connections_per_address as usize > bounds.connections,
            "before_login: connections_per_address is more than connections",
        ),
        (bounds.bytes_per_address > bounds.bytes, "before_login: bytes_per_address is more than bytes"),
    ];
    wrong.iter().filter(|(is_wrong, _)| *is_wrong).for_each(|(_, text)| report.error(&node.place, *text));
}

fn set_count(key: &str, node: &Node, target: &mut usize, least: usize, report: &mut Report<'_>) {
    let Some(number) = report.integer(node) else { return };
    match usize::try_from(number) {
        Ok(count) if count >= least => *target = count,
        _ => report.error(&node.place, format!("before_login: {key} must be at least {least}")),
    }
}

fn set_small(key: &str, node: &Node, target: &mut u32, least: usize, report: &mut Report<'_>) {
    let mut count = *target as usize;
    set_count(key, node, &mut count, least, report);
    match u32::try_from(count) {
        Ok(count) => *target = count,
        Err(_) => report.error(&node.place, format!("before_login: {key} is too large")),
    }
}

fn set_bytes(key: &str, node: &Node, target: &mut usize, report: &mut Report<'_>) {
    set_count(key, node, target, BYTES_MIN, report);
}
