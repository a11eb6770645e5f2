//! Subject mappings: what clients publish to one subject is delivered on another, or on several by weight.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use subject::transform::{Transform, TransformError, identity_destination};
use subject::{Filter, Quoted, Subject};

/// Most mappings of one account.
pub const MAX_MAPPINGS: usize = 10_000;

/// A destination as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Where to, with functions.
    pub subject: String,
    /// How many of a hundred messages.
    pub weight: u8,
    /// Only in the cluster of this name.
    pub cluster: Option<String>,
}

impl Destination {
    /// All messages, everywhere.
    pub fn all(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), weight: 100, cluster: None }
    }
}

/// Why a mapping is not one. Always the fault of whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappingError {
    /// The source is not a subject filter.
    Source,
    /// A destination stands twice.
    Duplicate(String),
    /// A weight above a hundred.
    Weight,
    /// Weights of one scope that add up to more than a hundred.
    TotalWeight,
    /// A destination is no transform of the source.
    Transform(TransformError),
    /// More than [`MAX_MAPPINGS`].
    TooMany,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("invalid subject"),
            Self::Duplicate(subject) => write!(f, "duplicate entry for {}", Quoted(subject.as_bytes())),
            Self::Weight => f.write_str("individual weights need to be <= 100"),
            Self::TotalWeight => f.write_str("total weight needs to be <= 100"),
            Self::Transform(error) => error.fmt(f),
            Self::TooMany => write!(f, "more than {MAX_MAPPINGS} mappings"),
        }
    }
}

impl std::error::Error for MappingError {}

impl From<TransformError> for MappingError {
    fn from(error: TransformError) -> Self {
        Self::Transform(error)
    }
}

/// One mapping, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    source: Filter,
    everywhere: Choice,
    by_cluster: BTreeMap<String, Choice>,
}

/// Transforms with the chance, of a hundred, below which each is taken. What is left is dropped.
type Choice = Vec<(u8, Transform)>;

impl Mapping {
    /// Compiles destinations for a source. If their weights leave something over, those messages keep their subject,
    /// unless the source itself is written as a destination: then they are dropped.
    pub fn compile(source: &str, destinations: &[Destination]) -> Result<Self, MappingError> {
        let filter: Filter = source.parse().map_err(|_| MappingError::Source)?;
        let mut seen = HashSet::new();
        let (mut everywhere, mut by_cluster) = (Vec::new(), BTreeMap::<String, Vec<_>>::new());
        for destination in destinations {
            if !seen.insert(destination.subject.as_str()) {
                return Err(MappingError::Duplicate(destination.subject.clone()));
            }
            if destination.weight > 100 {
                return Err(MappingError::Weight);
            }
            let scope = match &destination.cluster {
                None => &mut everywhere,
                Some(cluster) => by_cluster.entry(cluster.clone()).or_default(),
            };
            let transform = Transform::new(source.as_bytes(), destination.subject.as_bytes())?;
            scope.push((destination.weight, transform));
            if scope.iter().map(|(weight, _)| u32::from(*weight)).sum::<u32>() > 100 {
                return Err(MappingError::TotalWeight);
            }
        }
        let keeps = !seen.contains(source);
        let by_cluster = by_cluster.into_iter().map(|(name, scope)| Ok((name, choice(&filter, scope, keeps)?)));
        let by_cluster = by_cluster.collect::<Result<_, MappingError>>()?;
        Ok(Self { everywhere: choice(&filter, everywhere, keeps)?, by_cluster, source: filter })
    }

    /// What it applies to.
    pub fn source(&self) -> &Filter {
        &self.source
    }

    /// Where it leads: the cluster a destination is for, the sum of the weights up to it, the destination as written.
    pub fn destinations(&self) -> impl Iterator<Item = (Option<&str>, u8, &[u8])> {
        let everywhere = self.everywhere.iter().map(|(weight, to)| (None, *weight, to.destination()));
        let scoped = self.by_cluster.iter().flat_map(|(cluster, choice)| {
            choice.iter().map(move |(weight, to)| (Some(cluster.as_str()), *weight, to.destination()))
        });
        everywhere.chain(scoped)
    }

    /// Subjects that this mapping moves to this one somewhere, as far as that can be told from its destinations.
    pub fn moved_from(&self, subject: Subject<'_>) -> Vec<Vec<u8>> {
        let scopes = [&self.everywhere].into_iter().chain(self.by_cluster.values());
        let back = |(_, transform): &(u8, Transform)| match self.source.is_literal() {
            true => Some(self.source.as_bytes().to_vec()),
            false => transform.reverse().map(|back| back.apply(subject, 0)),
        };
        scopes.flatten().filter_map(back).collect()
    }

    fn choose(&self, cluster: Option<&str>, chance: u32) -> Option<&Transform> {
        let scoped = cluster.and_then(|cluster| self.by_cluster.get(cluster));
        let choice = scoped.unwrap_or(&self.everywhere);
        choice.iter().find(|(below, _)| chance % 100 < u32::from(*below)).map(|(_, transform)| transform)
    }
}

/// The lightest first, each with the sum of the weights up to it.
fn choice(source: &Filter, mut scope: Vec<(u8, Transform)>, keeps: bool) -> Result<Choice, MappingError> {
    let total: u8 = scope.iter().map(|(weight, _)| weight).sum();
    if keeps && total < 100 {
        let identity = Transform::new(source.as_bytes(), &identity_destination(source))?;
        scope.push((100 - total, identity));
    }
    scope.sort_by_key(|(weight, _)| *weight);
    let mut below = 0;
    for (weight, _) in &mut scope {
        below += *weight;
        *weight = below;
    }
    Ok(scope)
}

/// What becomes of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapped {
    /// No mapping applies.
    Same,
    /// The message goes on this subject instead.
    To(Vec<u8>),
    /// The message goes nowhere.
    Dropped,
}

/// The mappings of an account, in order: the first whose source matches applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mappings(Vec<Mapping>);

impl Mappings {
    /// Adds a mapping, in the place of one with the same source if there is one.
    pub fn add(&mut self, mapping: Mapping) -> Result<(), MappingError> {
        if let Some(old) = self.0.iter_mut().find(|old| old.source == mapping.source) {
            *old = mapping;
        } else if self.0.len() < MAX_MAPPINGS {
            self.0.push(mapping);
        } else {
            return Err(MappingError::TooMany);
        }
        Ok(())
    }

    /// Whether there are none, which is to be known before each message.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
    }

    /// Whether the subject's fate depends on chance, so that it cannot be remembered.
    pub fn is_fixed(&self, subject: Subject<'_>, cluster: Option<&str>) -> bool {
        let Some(mapping) = self.find(subject) else { return true };
        let choice = cluster.and_then(|cluster| mapping.by_cluster.get(cluster)).unwrap_or(&mapping.everywhere);
        matches!(choice.as_slice(), [(100, transform)] if !transform.is_random())
    }

    /// What becomes of the subject in this cluster. The low half of `chance` chooses among destinations, the high half
    /// serves `random`.
    pub fn apply(&self, subject: Subject<'_>, cluster: Option<&str>, chance: u64) -> Mapped {
        let [choose, random] = [chance as u32, (chance >> 32) as u32];
        match self.find(subject).map(|mapping| mapping.choose(cluster, choose)) {
            None => Mapped::Same,
            Some(None) => Mapped::Dropped,
            Some(Some(transform)) => Mapped::To(transform.apply(subject, random)),
        }
    }

    fn find(&self, subject: Subject<'_>) -> Option<&Mapping> {
        self.0.iter().find(|mapping| mapping.source.matches(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(subject: &str, weight: u8) -> Destination {
        Destination { weight, ..Destination::all(subject) }
    }

    fn mappings(source: &str, destinations: &[Destination]) -> Mappings {
        let mut mappings = Mappings::default();
        mappings.add(Mapping::compile(source, destinations).unwrap()).unwrap();
        mappings
    }

    fn share(mappings: &Mappings, subject: &str, cluster: Option<&str>) -> BTreeMap<String, u32> {
        let mut share = BTreeMap::new();
        for chance in 0..100 {
            let outcome = match mappings.apply(Subject::parse(subject.as_bytes()).unwrap(), cluster, chance) {
                Mapped::Same => "same".to_owned(),
                Mapped::Dropped => "dropped".to_owned(),
                Mapped::To(bytes) => String::from_utf8(bytes).unwrap(),
            };
            *share.entry(outcome).or_default() += 1;
        }
        share
    }

    fn shares(expected: &[(&str, u32)]) -> BTreeMap<String, u32> {
        expected.iter().map(|(subject, of)| ((*subject).to_owned(), *of)).collect()
    }

    #[test]
    fn a_plain_mapping_moves_every_message() {
        let mappings = mappings("a.*", &[Destination::all("b.$1.x")]);
        assert_eq!(share(&mappings, "a.1", None), shares(&[("b.1.x", 100)]));
        assert_eq!(share(&mappings, "c", None), shares(&[("same", 100)]));
        assert!(mappings.is_fixed(Subject::parse(b"a.1").unwrap(), None));
    }

    #[test]
    fn what_the_weights_leave_over_stays_where_it_is() {
        let mappings = mappings("a.*", &[to("b.$1", 30), to("c.$1", 20)]);
        assert_eq!(share(&mappings, "a.1", None), shares(&[("a.1", 50), ("b.1", 30), ("c.1", 20)]));
        assert!(!mappings.is_fixed(Subject::parse(b"a.1").unwrap(), None));
    }

    #[test]
    fn what_is_left_over_is_dropped_where_the_source_stands_itself() {
        let mappings = mappings("a", &[to("a", 40), to("b", 20)]);
        assert_eq!(share(&mappings, "a", None), shares(&[("a", 40), ("b", 20), ("dropped", 40)]));
    }

    #[test]
    fn a_cluster_has_its_own_destinations() {
        let west = Destination { cluster: Some("west".into()), ..to("w", 100) };
        let only = mappings("a", std::slice::from_ref(&west));
        assert_eq!(share(&only, "a", Some("west")), shares(&[("w", 100)]));
        assert_eq!(share(&only, "a", Some("east")), shares(&[("a", 100)]));
        let both = mappings("a", &[west, to("e", 10)]);
        assert_eq!(share(&both, "a", None), shares(&[("a", 90), ("e", 10)]));
    }

    #[test]
    fn the_first_source_that_matches_counts_and_a_source_is_mapped_once() {
        let mut mappings = mappings("a.b", &[Destination::all("x")]);
        mappings.add(Mapping::compile("a.*", &[Destination::all("y")]).unwrap()).unwrap();
        assert_eq!(share(&mappings, "a.b", None), shares(&[("x", 100)]));
        assert_eq!(share(&mappings, "a.c", None), shares(&[("y", 100)]));
        mappings.add(Mapping::compile("a.b", &[Destination::all("z")]).unwrap()).unwrap();
        assert_eq!((share(&mappings, "a.b", None), mappings.iter().count()), (shares(&[("z", 100)]), 2));
    }

    #[test]
    fn chance_within_a_destination_is_chance_too() {
        let mappings = mappings("a", &[Destination::all("b.{{random(9)}}")]);
        assert!(!mappings.is_fixed(Subject::parse(b"a").unwrap(), None));
        let high = mappings.apply(Subject::parse(b"a").unwrap(), None, 8 << 33);
        assert_eq!(high, Mapped::To(b"b.8".to_vec()));
    }

    #[test]
    fn what_is_no_mapping_is_refused_in_the_reference_servers_words() {
        let fault = |source: &str, destinations: &[Destination]| {
            Mapping::compile(source, destinations).unwrap_err().to_string()
        };
        assert_eq!(fault("a..b", &[]), "invalid subject");
        assert_eq!(fault("a", &[to("b", 10), to("b", 10)]), "duplicate entry for \"b\"");
        assert_eq!(fault("a", &[to("b", 101)]), "individual weights need to be <= 100");
        assert_eq!(fault("a", &[to("b", 60), to("c", 60)]), "total weight needs to be <= 100");
        assert_eq!(
            fault("a.*", &[Destination::all("b.$2")]),
            "invalid mapping destination: wildcard index out of range in $2: [2]"
        );
    }

    #[test]
    fn no_destination_at_all_changes_nothing() {
        assert_eq!(share(&mappings("a.*.>", &[]), "a.1.2.3", None), shares(&[("a.1.2.3", 100)]));
    }
}
