//! Subjects in claims: texts until they are checked here.

use std::collections::HashMap;

use subject::Filter;

use crate::issue::Issues;

/// Notes what is wrong with a subject, and returns it as a filter if nothing is.
pub(crate) fn check(subject: &str, issues: &mut Issues) -> Option<Filter> {
    let problem = if subject.is_empty() {
        "subject cannot be empty".to_owned()
    } else if subject.contains(' ') {
        format!("subject {subject:?} cannot have spaces")
    } else if subject.starts_with('.') || subject.ends_with('.') {
        format!("subject {subject:?} cannot start or end with a `.`")
    } else if subject.contains("..") {
        format!("subject {subject:?} cannot contain consecutive `.`")
    } else {
        match Filter::parse(subject.as_bytes()) {
            Ok(filter) => return Some(filter),
            Err(error) => format!("subject {subject:?} is not valid: {error}"),
        }
    };
    issues.block(problem);
    None
}

/// Whether a token of the subject is a wildcard.
pub(crate) fn has_wildcards(subject: &str) -> bool {
    subject.split('.').any(|token| token == "*" || token == ">")
}

/// Whether every subject of `narrow` is one of `wide`'s. Texts that are no filters contain nothing.
pub(crate) fn is_contained_in(narrow: &str, wide: &str) -> bool {
    match (Filter::parse(narrow.as_bytes()), Filter::parse(wide.as_bytes())) {
        (Ok(narrow), Ok(wide)) => wide.covers(&narrow),
        _ => false,
    }
}

/// A set of subjects that is asked for the ones that cover or are covered by another, without comparing all pairs.
#[derive(Default)]
pub(crate) struct Coverage {
    root: Branch,
}

#[derive(Default)]
struct Branch {
    below: HashMap<Box<str>, Branch>,
    ends: Option<usize>,
}

/// Walks beyond this many branches count as an overlap; no list that fits a token and means well comes near.
const MAX_WALK: usize = 1 << 20;

impl Coverage {
    /// Adds a subject under its number; says the number of an equal one that is there already.
    pub(crate) fn add(&mut self, subject: &str, number: usize) -> Option<usize> {
        let mut branch = &mut self.root;
        for token in subject.split('.') {
            branch = branch.below.entry(token.into()).or_default();
        }
        match branch.ends {
            Some(other) => Some(other),
            None => {
                branch.ends = Some(number);
                None
            }
        }
    }

    /// Another subject than the numbered one that covers this one.
    pub(crate) fn covering(&self, subject: &str, number: usize) -> Option<usize> {
        let tokens: Vec<&str> = subject.split('.').collect();
        let mut walk = vec![(&self.root, tokens.as_slice())];
        let mut steps = 0;
        while let Some((branch, rest)) = walk.pop() {
            steps += 1;
            if steps > MAX_WALK {
                return Some(number);
            }
            let Some((token, rest)) = rest.split_first() else {
                match branch.ends {
                    Some(found) if found != number => return Some(found),
                    _ => continue,
                }
            };
            if let Some(found) = branch.below.get(">").and_then(|end| end.ends).filter(|&found| found != number) {
                return Some(found);
            }
            if *token != ">" {
                walk.extend(branch.below.get("*").map(|next| (next, rest)));
            }
            if *token != "*" && *token != ">" {
                walk.extend(branch.below.get(*token).map(|next| (next, rest)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_subjects_are_named() {
        for odd in ["", " ", "a b", ".a", "a.", "a..b", "a\tb", "a\0", "a.>.b"] {
            let mut issues = Issues::default();
            assert_eq!(check(odd, &mut issues), None, "{odd:?}");
            assert!(issues.is_blocking(), "{odd:?}");
        }
        assert!(check("a.*.>", &mut Issues::default()).is_some());
    }

    #[test]
    fn coverage_agrees_with_the_filters_own_word() {
        let tokens = ["a", "b", "*", ">"];
        let mut all = Vec::new();
        for one in tokens {
            all.push(one.to_owned());
            for two in tokens {
                all.push(format!("{one}.{two}"));
                all.extend(tokens.map(|three| format!("{one}.{two}.{three}")));
            }
        }
        all.retain(|text| Filter::parse(text.as_bytes()).is_ok());
        for (at, narrow) in all.iter().enumerate() {
            for (other, wide) in all.iter().enumerate().filter(|(other, _)| *other != at) {
                let mut coverage = Coverage::default();
                coverage.add(narrow, at);
                coverage.add(wide, other);
                let covered = coverage.covering(narrow, at) == Some(other);
                assert_eq!(covered, is_contained_in(narrow, wide), "{narrow} in {wide}");
            }
        }
    }
}
