//! Every filter of up to three tokens over `{a, b, *, >}` against every subject of up to four tokens over `{a, b}`, which
//! is enough to tell any two such filters apart. Brute force is the judge.

use subject::{Filter, Subject};

/// All texts of one to `longest` tokens from the alphabet.
fn texts(alphabet: &[&str], longest: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut last = vec![String::new()];
    for _ in 0..longest {
        last = last
            .iter()
            .flat_map(|start| {
                alphabet
                    .iter()
                    .map(move |token| if start.is_empty() { (*token).into() } else { format!("{start}.{token}") })
            })
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

fn filters() -> Vec<Filter> {
    texts(&["a", "b", "*", ">"], 3).iter().filter_map(|text| text.parse().ok()).collect()
}

/// The definition, written as slowly as possible.
fn naive(filter: &[&str], subject: &[&str]) -> bool {
    match (filter, subject) {
        ([], []) => true,
        ([">"], [_, ..]) => true,
        (["*", filter @ ..], [_, subject @ ..]) => naive(filter, subject),
        ([one, filter @ ..], [other, subject @ ..]) => one == other && naive(filter, subject),
        _ => false,
    }
}

fn split(text: &[u8]) -> Vec<&str> {
    std::str::from_utf8(text).unwrap().split('.').collect()
}

#[test]
fn a_filter_matches_exactly_the_subjects_of_its_definition() {
    let subjects = texts(&["a", "b", "c"], 4);
    let mut hits = 0;
    for filter in filters() {
        for text in &subjects {
            let expected = naive(&split(filter.as_bytes()), &split(text.as_bytes()));
            assert_eq!(filter.matches(Subject::parse(text.as_bytes()).unwrap()), expected, "{filter} on {text}");
            hits += usize::from(expected);
        }
    }
    assert!(hits > 300, "the enumeration reached only {hits} matches");
}

#[test]
fn covers_and_overlaps_are_exact() {
    let subjects = texts(&["a", "b", "c"], 4);
    let reach = |filter: &Filter| -> Vec<bool> {
        subjects.iter().map(|text| filter.matches(Subject::parse(text.as_bytes()).unwrap())).collect()
    };
    let filters: Vec<(Filter, Vec<bool>)> = filters().into_iter().map(|f| (f.clone(), reach(&f))).collect();
    assert_eq!(filters.len(), 52);
    for (one, ours) in &filters {
        for (other, theirs) in &filters {
            let covers = theirs.iter().zip(ours).all(|(theirs, ours)| !theirs || *ours);
            let overlaps = theirs.iter().zip(ours).any(|(theirs, ours)| *theirs && *ours);
            assert_eq!(one.covers(other), covers, "{one} covers {other}");
            assert_eq!(one.overlaps(other), overlaps, "{one} overlaps {other}");
            let both: Vec<bool> = theirs.iter().zip(ours).map(|(theirs, ours)| *theirs && *ours).collect();
            let intersection = one.intersection(other).map(|filter| reach(&filter));
            assert_eq!(intersection.is_some(), overlaps, "{one} and {other}");
            assert_eq!(intersection.unwrap_or(vec![false; both.len()]), both, "{one} and {other}");
        }
    }
}
