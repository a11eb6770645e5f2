//! What a subscription or a rule names.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::algebra::{self, is_wildcard, tokens};
use crate::literal::{Subject, SubjectError, check};

/// Most tokens of a filter. A default control line of 4 KiB cannot hold more; the bound keeps the depth of the
/// sublist's trie, and with it the depth of every walk, small.
pub const MAX_FILTER_TOKENS: usize = 2048;

/// A subject filter: a subject whose tokens may be `*` (any one token) and, at the end, `>` (one token or more).
///
/// Tokens that merely contain these characters (`foo*`, `a>b`) are literal. A clone shares the bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter(Arc<[u8]>);

impl Filter {
    /// Checks and keeps the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, SubjectError> {
        check(bytes)?;
        let mut rest_seen = false;
        for (index, token) in tokens(bytes).enumerate() {
            if rest_seen {
                return Err(SubjectError::RestNotLast);
            }
            if index == MAX_FILTER_TOKENS {
                return Err(SubjectError::TooManyTokens);
            }
            rest_seen = token == b">";
        }
        Ok(Self(bytes.into()))
    }

    /// `>`: every subject.
    pub fn everything() -> Self {
        Self(b">".as_slice().into())
    }

    /// The checked bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// No token is a wildcard, so exactly one subject is matched.
    pub fn is_literal(&self) -> bool {
        !tokens(&self.0).any(is_wildcard)
    }

    /// The only subject this filter matches, if it is literal.
    pub fn as_subject(&self) -> Option<Subject<'_>> {
        // The bytes were checked by the rules of a subject when this filter was made.
        self.is_literal().then(|| Subject::parse(&self.0).ok()).flatten()
    }

    /// The parts between the dots.
    pub fn tokens(&self) -> impl Iterator<Item = &[u8]> {
        tokens(&self.0)
    }

    /// How many parts there are, at least one.
    pub fn token_count(&self) -> usize {
        tokens(&self.0).count()
    }

    /// The part before the first dot.
    pub fn first_token(&self) -> &[u8] {
        algebra::first_token(&self.0)
    }

    /// Whether this filter matches the subject.
    #[inline]
    pub fn matches(&self, subject: Subject<'_>) -> bool {
        algebra::matches(&self.0, subject.as_bytes())
    }

    /// The same for bytes that are known to be a subject: whoever stored them has seen that. Of others the answer means nothing.
    #[inline]
    pub fn matches_stored(&self, subject: &[u8]) -> bool {
        algebra::matches(&self.0, subject)
    }

    /// Whether every subject that `narrow` matches is matched by this filter too.
    pub fn covers(&self, narrow: &Self) -> bool {
        algebra::covers(&self.0, &narrow.0)
    }

    /// Whether some subject is matched by both filters.
    pub fn overlaps(&self, other: &Self) -> bool {
        algebra::overlaps(&self.0, &other.0)
    }

    /// The filter of all subjects that both match. `None`: there is no such subject.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        algebra::intersection(&self.0, &other.0).map(|both| Self(both.into()))
    }
}

impl Borrow<[u8]> for Filter {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Filter {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({self})")
    }
}
