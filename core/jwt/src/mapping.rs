use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::bounds::{MAX_MAPPINGS, MAX_SUBJECT_BYTES};
use crate::issue::Issues;
use crate::read::{self, Fields};
use crate::subjects;
use crate::write::Object;
use crate::{DecodeError, Problem};

/// One place a mapped subject may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedMapping {
    /// The new subject.
    pub subject: String,
    /// `weight`: of a hundred; zero stands for a hundred.
    pub weight: u8,
    /// The cluster in which it counts; empty for everywhere.
    pub cluster: String,
}

/// From subject to weighted destinations.
pub type Mappings = BTreeMap<String, Vec<WeightedMapping>>;

const ALL: u8 = 100;

impl WeightedMapping {
    /// The weight, with the default in place.
    pub const fn percent(&self) -> u8 {
        if self.weight == 0 { ALL } else { self.weight }
    }

    fn read(value: &Value) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, &["subject", "weight", "cluster"])?;
        Ok(Self {
            subject: fields.text_within("subject", MAX_SUBJECT_BYTES)?,
            weight: fields.narrow("weight")?,
            cluster: fields.text("cluster")?,
        })
    }

    fn write(&self) -> Map<String, Value> {
        Object::default()
            .put("subject", self.subject.as_str())
            .int("weight", self.weight.into())
            .text("cluster", &self.cluster)
            .done()
    }
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Mappings, DecodeError> {
    let entries = fields.entries("mappings", MAX_MAPPINGS, |from, value| {
        if from.len() > MAX_SUBJECT_BYTES {
            return Err(DecodeError::field(Problem::TooMany(MAX_SUBJECT_BYTES)));
        }
        Ok((from.to_owned(), read::list(value, MAX_MAPPINGS, WeightedMapping::read)?))
    })?;
    Ok(entries.into_iter().collect())
}

pub(crate) fn write(mappings: &Mappings) -> Map<String, Value> {
    let list = |to: &Vec<WeightedMapping>| to.iter().map(|one| Value::Object(one.write())).collect::<Vec<_>>();
    mappings.iter().map(|(from, to)| (from.clone(), list(to).into())).collect()
}

pub(crate) fn validate(mappings: &Mappings, issues: &mut Issues) {
    for (from, destinations) in mappings {
        subjects::check(from, issues);
        let mut totals: HashMap<&str, u32> = HashMap::new();
        for to in destinations {
            subjects::check(&to.subject, issues);
            let percent = to.percent();
            if percent > ALL {
                issues.block(format_args!("Mapping {from:?} has a weight {percent} that exceeds 100"));
            }
            *totals.entry(&to.cluster).or_default() += u32::from(percent);
        }
        for (cluster, _) in totals.iter().filter(|(_, total)| **total > u32::from(ALL)) {
            let place = if cluster.is_empty() { String::new() } else { format!(" in cluster {cluster:?}") };
            issues.block(format_args!("Mapping {from:?}{place} exceeds 100% among all of it's weighted to mappings"));
        }
    }
}
