//! Whether filters overlap, of many: each is compared with those only whose tokens go the same way.

use std::collections::BTreeMap;

use crate::filter::Filter;

/// Filters that others are compared with.
#[derive(Default)]
pub struct Overlaps {
    root: Node,
}

/// A place that is reached by some tokens.
#[derive(Default)]
struct Node {
    /// A filter ends here, or ends with `>` after this place.
    ends: bool,
    rest: bool,
    star: Option<Box<Node>>,
    branches: BTreeMap<Box<[u8]>, Node>,
}

impl Overlaps {
    /// Adds a filter.
    pub fn insert(&mut self, filter: &Filter) {
        let mut node = &mut self.root;
        for token in filter.tokens() {
            node = match token {
                b">" => {
                    node.rest = true;
                    return;
                }
                b"*" => node.star.get_or_insert_default(),
                _ => node.branches.entry(token.into()).or_default(),
            };
        }
        node.ends = true;
    }

    /// Whether any of them overlaps the filter. Each place that is looked at is a look; `None`: there are none left.
    pub fn overlap(&self, filter: &Filter, looks: &mut u64) -> Option<bool> {
        let tokens: Vec<&[u8]> = filter.tokens().collect();
        self.root.overlap(&tokens, looks)
    }
}

impl Node {
    fn overlap(&self, ahead: &[&[u8]], looks: &mut u64) -> Option<bool> {
        *looks = looks.checked_sub(1)?;
        let Some((token, after)) = ahead.split_first() else { return Some(self.ends) };
        if self.rest {
            return Some(true);
        }
        if *token == b">" {
            // Whatever goes on from here has a token more.
            return Some(self.star.is_some() || !self.branches.is_empty());
        }
        if let Some(star) = &self.star
            && star.overlap(after, looks)?
        {
            return Some(true);
        }
        if *token != b"*" {
            return self.branches.get(*token).map_or(Some(false), |branch| branch.overlap(after, looks));
        }
        for branch in self.branches.values() {
            if branch.overlap(after, looks)? {
                return Some(true);
            }
        }
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_the_same_as_comparing_each_with_each() {
        let tokens = ["a", "b", "*"];
        let mut all = Vec::new();
        for first in tokens {
            all.push(first.to_owned());
            all.push(format!("{first}.>"));
            for second in tokens {
                all.push(format!("{first}.{second}"));
                all.push(format!("{first}.{second}.>"));
                all.extend(tokens.map(|third| format!("{first}.{second}.{third}")));
            }
        }
        all.push(">".to_owned());
        let all: Vec<Filter> = all.iter().map(|text| Filter::parse(text.as_bytes()).unwrap()).collect();
        for step in 1..all.len() {
            let some: Vec<&Filter> = all.iter().step_by(step).collect();
            let mut overlaps = Overlaps::default();
            some.iter().for_each(|filter| overlaps.insert(filter));
            for filter in &all {
                let is_so = some.iter().any(|other| other.overlaps(filter));
                assert_eq!(overlaps.overlap(filter, &mut 1_000), Some(is_so), "{filter} among {some:?}");
            }
        }
        assert_eq!(Overlaps::default().overlap(&all[0], &mut 10), Some(false));
    }

    #[test]
    fn it_gives_up_when_there_are_too_many_to_look_at() {
        let mut overlaps = Overlaps::default();
        (0..100).for_each(|n| overlaps.insert(&Filter::parse(format!("a.{n}.x").as_bytes()).unwrap()));
        let wide = Filter::parse(b"a.*.y").unwrap();
        assert_eq!(overlaps.overlap(&wide, &mut 50), None);
        let mut looks = 1_000;
        assert_eq!(overlaps.overlap(&wide, &mut looks), Some(false));
        assert!(looks < 900);
        assert_eq!(overlaps.overlap(&Filter::parse(b"a.7.y").unwrap(), &mut 4), Some(false), "few go its way");
    }
}
