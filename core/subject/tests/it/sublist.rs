//! The sublist against a model that keeps everything in one list and asks each filter.

use std::collections::HashMap;

use proptest::prelude::*;
use subject::{Filter, Subject, Sublist};

#[derive(Default)]
struct Model(Vec<(Filter, u32)>);

impl Model {
    fn found(&self, wanted: impl Fn(&Filter) -> bool) -> Vec<u32> {
        let mut found: Vec<u32> = self.0.iter().filter(|(filter, _)| wanted(filter)).map(|(_, id)| *id).collect();
        found.sort_unstable();
        found
    }
}

fn sorted(collect: impl FnOnce(&mut dyn FnMut(&u32))) -> Vec<u32> {
    let mut found = Vec::new();
    collect(&mut |id| found.push(*id));
    found.sort_unstable();
    found
}

fn token() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("a"), 3 => Just("b"), 1 => Just("cc"), 1 => Just("a*"), 3 => Just("*")]
}

fn filter() -> impl Strategy<Value = Filter> {
    (prop::collection::vec(token(), 1..6), any::<bool>()).prop_map(|(mut tokens, open)| {
        if open {
            tokens.push(">");
        }
        tokens.join(".").parse().unwrap()
    })
}

fn subject() -> impl Strategy<Value = String> {
    prop::collection::vec(token(), 1..7).prop_map(|tokens| tokens.join("."))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_sublist_agrees_with_the_model(
        filters in prop::collection::vec(filter(), 0..60),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        subjects in prop::collection::vec(subject(), 1..20),
        asked in prop::collection::vec(filter(), 1..20),
        seed in any::<u64>(),
    ) {
        let (mut list, mut model) = (Sublist::with_seed(seed), Model::default());
        for (id, filter) in (0..).zip(&filters) {
            list.insert(filter, id);
            model.0.push((filter.clone(), id));
        }
        for index in removed {
            if model.0.is_empty() { break; }
            let (filter, id) = model.0.swap_remove(index.index(model.0.len()));
            prop_assert_eq!(list.remove(&filter, |kept| *kept == id), Some(id));
            prop_assert_eq!(list.remove(&filter, |kept| *kept == id), None);
        }
        prop_assert_eq!(list.len(), model.0.len());
        prop_assert_eq!(list.wildcard_len(), model.0.iter().filter(|(filter, _)| !filter.is_literal()).count());
        prop_assert_eq!(sorted(|found| list.for_each(&mut |id| found(id))), model.found(|_| true));
        for text in &subjects {
            let subject = Subject::parse(text.as_bytes()).unwrap();
            let expected = model.found(|filter| filter.matches(subject));
            prop_assert_eq!(list.has_match(text.as_bytes()), !expected.is_empty());
            prop_assert_eq!(sorted(|found| list.matches(text.as_bytes(), &mut |id| found(id))), expected, "{}", text);
        }
        for asked in &asked {
            let overlapping = model.found(|filter| filter.overlaps(asked));
            prop_assert_eq!(sorted(|found| list.reverse_matches(asked, &mut |id| found(id))), overlapping, "{}", asked);
            let covering = model.found(|filter| filter.covers(asked));
            prop_assert_eq!(sorted(|found| list.covering(asked, &mut |id| found(id))), covering, "{}", asked);
            let exact = model.found(|filter| filter == asked);
            prop_assert_eq!(sorted(|found| list.exact(asked, &mut |id| found(id))), exact, "{}", asked);
        }
    }

    #[test]
    fn the_algebra_is_exact_for_long_filters_too(one in filter(), other in filter(), subjects in prop::collection::vec(subject(), 64)) {
        for text in &subjects {
            let subject = Subject::parse(text.as_bytes()).unwrap();
            if other.matches(subject) && one.covers(&other) {
                prop_assert!(one.matches(subject));
            }
            if one.matches(subject) && other.matches(subject) && subject.is_literal() {
                prop_assert!(one.overlaps(&other));
            }
        }
        prop_assert_eq!(one.overlaps(&other), other.overlaps(&one));
        prop_assert_eq!(one.covers(&other) && other.covers(&one), one == other);
        prop_assert!(!one.covers(&other) || one.overlaps(&other));
    }
}

#[test]
fn a_subject_with_an_empty_token_matches_nothing() {
    let mut list = Sublist::with_seed(1);
    for filter in [">", "*.*", "a.>", "*.>", "*.*.*", "a.*"] {
        list.insert(&filter.parse().unwrap(), ());
    }
    for subject in ["", ".", "a.", ".a", "a..b", "a.b."] {
        assert!(!list.has_match(subject.as_bytes()), "{subject:?}");
    }
}

#[test]
fn what_was_emptied_keeps_no_memory() {
    let mut list = Sublist::with_seed(1);
    let filters: Vec<Filter> =
        (0..20_000).map(|n| format!("a{n}.b.{}", if n % 2 == 0 { "*" } else { "c" }).parse().unwrap()).collect();
    filters.iter().for_each(|filter| list.insert(filter, 0_u64));
    filters.iter().for_each(|filter| assert!(list.remove(filter, |_| true).is_some()));
    assert!(list.is_empty() && list.wildcard_len() == 0);
    assert!(list.table_bytes() < 64 * 1024, "{} bytes remain", list.table_bytes());
}

#[test]
fn a_literal_subscription_costs_little() {
    let mut list = Sublist::with_seed(1);
    let filters: Vec<Filter> = (0..100_000).map(|n| format!("_INBOX.abcdefgh.{n}").parse().unwrap()).collect();
    filters.iter().for_each(|filter| list.insert(filter, 0_u64));
    let each = list.table_bytes() / filters.len();
    assert!(each <= 150, "{each} bytes for each literal filter");
}

#[test]
fn the_deepest_filter_is_walked_without_fear() {
    let mut list = Sublist::with_seed(1);
    let deep = vec!["*"; subject::MAX_FILTER_TOKENS].join(".");
    let filter: Filter = deep.parse().unwrap();
    list.insert(&filter, 1);
    let subject = vec!["a"; subject::MAX_FILTER_TOKENS].join(".");
    assert!(list.has_match(subject.as_bytes()));
    list.reverse_matches(&filter, &mut |_| {});
    list.covering(&filter, &mut |_| {});
    assert_eq!(list.remove(&filter, |_| true), Some(1));
    assert!(format!("{deep}.*").parse::<Filter>().is_err());
}

#[test]
fn filters_spread_over_the_table() {
    // Not a proof against collisions, only that the seed and the bytes both count.
    let mut seen = HashMap::new();
    for seed in 0..4_u64 {
        let mut list = Sublist::with_seed(seed);
        for n in 0..64 {
            list.insert(&format!("s.{n}").parse().unwrap(), n);
        }
        let mut order = Vec::new();
        list.for_each(&mut |n| order.push(*n));
        *seen.entry(order).or_insert(0) += 1;
    }
    assert!(seen.len() > 1, "the order does not depend on the seed");
}
