//! `mappings`: subjects that are rewritten on entry.

use std::collections::BTreeMap;

use conf::{Map, Node, Place, Value};
use subject::Filter;
use subject::transform::Transform;

use crate::go_text::{Shown, quoted};
use crate::report::Report;

/// One source subject and where its messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// What is rewritten.
    pub source: String,
    /// Where to, as written. Weights that do not add up to 100 leave the rest to the source itself.
    pub destinations: Vec<Destination>,
    /// Where it is written.
    pub place: Place,
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The subject, with references to the wildcards of the source.
    pub subject: String,
    /// Its share in percent, at most 100.
    pub weight: u8,
    /// Only in this cluster; everywhere if absent.
    pub cluster: Option<String>,
}

/// Reads the map.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Vec<Mapping> {
    let Some(map) = report.map(node) else {
        return Vec::new();
    };
    let mut mappings = Vec::with_capacity(map.len());
    for (source, value) in map.iter().filter(|(_, value)| !value.is_used_variable) {
        if Filter::parse(source.as_bytes()).is_err() {
            report.error(&node.place, format!("Subject {} is not a valid subject", quoted(source)));
            continue;
        }
        mappings.extend(read_mapping(source, value, report));
    }
    mappings
}

fn read_mapping(source: &str, node: &Node, report: &mut Report<'_>) -> Option<Mapping> {
    let destinations = match &node.value {
        Value::String(text) => {
            let subject = text.as_str().to_owned();
            if let Err(error) = Transform::new(source.as_bytes(), subject.as_bytes()) {
                let (from, to) = (quoted(source), quoted(&subject));
                report.error(&node.place, format!("Error adding mapping for {from} to {to} : {error}"));
                return None;
            }
            vec![Destination { subject, weight: 100, cluster: None }]
        }
        Value::Array(elements) => {
            let read: Vec<_> = elements.iter().map(|element| read_destination(element, report)).collect();
            read.into_iter().collect::<Option<_>>()?
        }
        _ => vec![read_destination(node, report)?],
    };
    if let Err(why) = check(source, &destinations) {
        report.error(&node.place, format!("Error adding mapping for {} : {why}", quoted(source)));
        return None;
    }
    Some(Mapping { source: source.to_owned(), destinations, place: node.place.clone() })
}

fn check(source: &str, destinations: &[Destination]) -> Result<(), String> {
    let mut totals: BTreeMap<Option<&str>, u32> = BTreeMap::new();
    for (at, destination) in destinations.iter().enumerate() {
        let is_same = |earlier: &&Destination| {
            (&earlier.subject, &earlier.cluster) == (&destination.subject, &destination.cluster)
        };
        if destinations.iter().take(at).any(|earlier| is_same(&earlier)) {
            return Err(format!("duplicate entry for {}", quoted(&destination.subject)));
        }
        let total = totals.entry(destination.cluster.as_deref()).or_default();
        *total += u32::from(destination.weight);
        if *total > 100 {
            return Err("total weight needs to be <= 100".to_owned());
        }
        let transform = Transform::new(source.as_bytes(), destination.subject.as_bytes());
        transform.map_err(|error| error.to_string())?;
    }
    Ok(())
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
    finish(node, map, subject, weight, cluster, report)
}

fn finish(
    node: &Node,
    map: &Map,
    subject: String,
    weight: Option<u8>,
    cluster: Option<String>,
    report: &mut Report<'_>,
) -> Option<Destination> {
    let Some(weight) = weight else {
        let place = map.iter().last().map_or(&node.place, |(_, last)| &last.place);
        report.error(place, format!("Missing weight for mapping destination {}", quoted(&subject)));
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
