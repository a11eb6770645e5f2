//! A stream import that may stand.

use subject::transform::Transform;
use subject::{Filter, Subject};

use crate::name::AccountName;

/// Messages of another account that an account may have. Made by the compiler only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamImport {
    pub(super) exporter: AccountName,
    pub(super) subject: Filter,
    pub(super) local: Filter,
    /// From there to here, and from here to there; nothing if the name stays.
    pub(super) renaming: Option<(Transform, Transform)>,
    pub(super) allow_trace: bool,
}

impl StreamImport {
    /// From whom.
    pub fn exporter(&self) -> &AccountName {
        &self.exporter
    }

    /// The subject there.
    pub fn subject(&self) -> &Filter {
        &self.subject
    }

    /// The subject here.
    pub fn local(&self) -> &Filter {
        &self.local
    }

    /// Whether a trace may follow messages here.
    pub fn allows_trace(&self) -> bool {
        self.allow_trace
    }

    /// Whether messages keep their subject.
    pub fn keeps_names(&self) -> bool {
        self.renaming.is_none()
    }

    /// What a message of the exporter is called here.
    pub fn carry(&self, subject: Subject<'_>) -> Vec<u8> {
        match &self.renaming {
            None => subject.as_bytes().to_vec(),
            Some((there, _)) => there.apply(subject, 0),
        }
    }

    /// What a subscription here needs of the exporter: the subjects there whose names here it wants.
    pub fn wanted(&self, filter: &Filter) -> Option<Filter> {
        let common = intersection(filter, &self.local)?;
        match &self.renaming {
            None => Some(common),
            Some((_, back)) => backwards(back, &common),
        }
    }
}

/// The subjects that both filters match, as one filter.
pub(super) fn intersection(one: &Filter, other: &Filter) -> Option<Filter> {
    let (mut ones, mut others) = (one.tokens().peekable(), other.tokens().peekable());
    let mut common: Vec<&[u8]> = Vec::new();
    loop {
        match (ones.peek().copied(), others.peek().copied()) {
            (None, None) => break,
            (Some(b">"), Some(_)) => {
                common.extend(others);
                break;
            }
            (Some(_), Some(b">")) => {
                common.extend(ones);
                break;
            }
            (Some(a), Some(b)) => common.push(match (a, b) {
                (b"*", b) => b,
                (a, b"*") => a,
                (a, b) if a == b => a,
                _ => return None,
            }),
            _ => return None,
        }
        ones.next();
        others.next();
    }
    Filter::parse(&common.join(&b'.')).ok()
}

/// The filter of everything the transform makes of what the filter matches. The filter must be within its source. A
/// wildcard is a token like any other here: where the filter has one, so has the result.
pub(super) fn backwards(transform: &Transform, filter: &Filter) -> Option<Filter> {
    Filter::parse(&transform.apply(Subject::parse(filter.as_bytes()).ok()?, 0)).ok()
}
