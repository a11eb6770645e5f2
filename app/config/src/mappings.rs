//! `mappings`: subjects that are rewritten on entry.

use account::{Destination, Mapping, Mappings};
use conf::{Node, Value};
use subject::Filter;

use crate::go_text::{Shown, quoted};
use crate::report::Report;

/// Reads the map.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Mappings {
    let mut mappings = Mappings::default();
    let Some(map) = report.map(node) else {
        return mappings;
    };
    for (source, value) in map.iter().filter(|(_, value)| !value.is_used_variable) {
        if Filter::parse(source.as_bytes()).is_err() {
            report.error(&node.place, format!("Subject {} is not a valid subject", quoted(source)));
            continue;
        }
        if let Some(mapping) = read_mapping(source, value, report)
            && let Err(error) = mappings.add(mapping)
        {
            report.error(&value.place, format!("Error adding mapping for {} : {error}", quoted(source)));
        }
    }
    mappings
}

fn read_mapping(source: &str, node: &Node, report: &mut Report<'_>) -> Option<Mapping> {
    let (destinations, to) = match &node.value {
        Value::String(text) => (vec![Destination::all(text.as_str())], format!(" to {}", quoted(text.as_str()))),
        Value::Array(elements) => {
            let read: Vec<_> = elements.iter().map(|element| read_destination(element, report)).collect();
            (read.into_iter().collect::<Option<_>>()?, String::new())
        }
        _ => (vec![read_destination(node, report)?], String::new()),
    };
    let compiled = Mapping::compile(source, &destinations);
    let why = |error| format!("Error adding mapping for {}{to} : {error}", quoted(source));
    compiled.map_err(|error| report.error(&node.place, why(error))).ok()
}

fn read_destination(node: &Node, report: &mut Report<'_>) -> Option<Destination> {
    let Some(map) = node.as_map() else {
        report.error(&node.place, "Expected an entry for the mapping destination");
        return None;
    };
    let before = report.errors.len();
    let (mut subject, mut weight, mut cluster) = (String::new(), None, None);
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "dest" | "destination" => report.set_text(value, &mut subject),
            "weight" => weight = read_weight(value, report),
            "cluster" => report.set_optional_text(value, &mut cluster),
            _ => {
                let text = format!("Unknown field {} for mapping destination", quoted(key));
                report.unknown_as(key, value, &["dest", "destination", "weight", "cluster"], text);
            }
        }
    }
    if report.errors.len() > before {
        return None;
    }
    finish(node, subject, weight, cluster, report)
}

fn finish(
    node: &Node,
    subject: String,
    weight: Option<u8>,
    cluster: Option<String>,
    report: &mut Report<'_>,
) -> Option<Destination> {
    let Some(weight) = weight else {
        report.error(&node.place, format!("Missing weight for mapping destination {}", quoted(&subject)));
        return None;
    };
    Some(Destination { subject, weight, cluster })
}

fn read_weight(node: &Node, report: &mut Report<'_>) -> Option<u8> {
    let weight: i64 = match &node.value {
        Value::Integer(weight) => *weight,
        Value::String(text) => {
            let digits = text.as_str().strip_suffix('%').unwrap_or(text.as_str());
            match digits.parse() {
                Ok(weight) => weight,
                Err(_) => {
                    report.error(&node.place, format!("Invalid weight {} for mapping destination", quoted(digits)));
                    return None;
                }
            }
        }
        _ => {
            report.error(&node.place, format!("Unknown entry type for weight of {}", Shown(node)));
            return None;
        }
    };
    let checked = u8::try_from(weight).ok().filter(|&weight| weight <= 100);
    if checked.is_none() {
        report.error(&node.place, format!("Invalid weight {weight} for mapping destination"));
    }
    checked
}
