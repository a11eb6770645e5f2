//! Rewriting subjects: the rule language of mappings, imports, republish and sources.
//!
//! A [`Transform`] has a source filter and a destination. The wildcards `*` of the source are numbered from one; a token
//! of the destination is literal, `$2` for the second wildcard, or a function: `{{wildcard(2)}}`, `{{partition(3,1,2)}}`,
//! `{{split(1,-)}}`, `{{splitfromleft(1,3)}}`, `{{slicefromright(1,2)}}`, `{{left(1,3)}}`, `{{random(5)}}` and so on.
//!
//! ```
//! use subject::Subject;
//! use subject::transform::Transform;
//!
//! let transform = Transform::new(b"part.*", b"part.{{partition(3,1)}}.{{wildcard(1)}}")?;
//! let subject = Subject::parse(b"part.abc").unwrap();
//! assert_eq!(transform.apply(subject, 0), b"part.2.abc");
//! # Ok::<(), subject::transform::TransformError>(())
//! ```

mod function;

use std::fmt;

use crate::algebra::tokens;
use crate::filter::Filter;
use crate::literal::Subject;
use function::{Call, Function, token_of};

/// Longest destination, in bytes.
pub const MAX_DESTINATION_BYTES: usize = 4096;

/// Why a transform is not one. Always the fault of whoever wrote it. The texts are known to operators and tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransformError {
    /// Source or destination is not a subject, only one of them ends in `>`, or the destination holds `*`.
    Subject,
    /// A literal token of the destination is empty or holds a blank.
    Token(String),
    /// Not all wildcards are used, where the transform must be reversible.
    UnusedWildcards(String),
    /// No function has this name, or its form is broken.
    UnknownFunction(String),
    /// The source has no wildcard of this number.
    IndexOutOfRange(String, Option<i64>),
    /// Too few arguments.
    NotEnoughArguments(String),
    /// An argument is not a number, or not a possible one.
    InvalidArgument(String),
    /// Too many arguments.
    TooManyArguments(String),
    /// Only `wildcard` can be undone.
    NotReversible(String),
    /// More than [`MAX_DESTINATION_BYTES`].
    TooLong,
}

impl fmt::Display for TransformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, token) = match self {
            Self::Subject => return f.write_str("invalid subject"),
            Self::TooLong => return f.write_str("invalid mapping destination: too long"),
            Self::Token(token) => ("invalid transform", token),
            Self::UnusedWildcards(token) => ("not using all of the token wildcard(s)", token),
            Self::UnknownFunction(token) => ("unknown function", token),
            Self::IndexOutOfRange(token, index) => {
                write!(f, "invalid mapping destination: wildcard index out of range in {token}")?;
                return index.map_or(Ok(()), |index| write!(f, ": [{index}]"));
            }
            Self::NotEnoughArguments(token) => ("not enough arguments passed to the function", token),
            Self::InvalidArgument(token) => ("function argument is invalid or in the wrong format", token),
            Self::TooManyArguments(token) => ("too many arguments passed to the function", token),
            Self::NotReversible(token) => {
                ("the only mapping function allowed for import transforms is {{Wildcard()}}", token)
            }
        };
        write!(f, "invalid mapping destination: {what} in {token}")
    }
}

impl std::error::Error for TransformError {}

/// A rule that turns subjects of its source into subjects of its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    source: Filter,
    destination: Box<[u8]>,
    parts: Vec<Part>,
    /// The number of source tokens before `>`, if the rest is carried over.
    rest: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<[u8]>),
    Call(Call),
}

impl Transform {
    /// A rule. An empty source is `>`.
    pub fn new(source: &[u8], destination: &[u8]) -> Result<Self, TransformError> {
        let source = if source.is_empty() { b">" } else { source };
        let filter = Filter::parse(source).map_err(|_| TransformError::Subject)?;
        if destination.len() > MAX_DESTINATION_BYTES {
            return Err(TransformError::TooLong);
        }
        let (last, rest) = (tokens(destination).last(), tokens(source).last() == Some(b">"));
        let has_star = tokens(destination).any(|token| token == b"*");
        if destination.is_empty() || has_star || (last == Some(b">")) != rest {
            return Err(TransformError::Subject);
        }
        let wildcards: Vec<usize> =
            tokens(source).enumerate().filter(|(_, token)| *token == b"*").map(|(at, _)| at).collect();
        let written = tokens(destination).take(tokens(destination).count() - usize::from(rest));
        let parts = written.map(|token| part(token, &wildcards, rest)).collect::<Result<_, _>>()?;
        let rest = rest.then(|| tokens(source).count() - 1);
        Ok(Self { source: filter, destination: destination.into(), parts, rest })
    }

    /// A rule that can be undone: nothing but `wildcard`, and all of them.
    pub fn reversible(source: &[u8], destination: &[u8]) -> Result<Self, TransformError> {
        let transform = Self::new(source, destination)?;
        let texts = tokens(&transform.destination).map(text);
        let mut used = 0;
        for (part, token) in transform.parts.iter().zip(texts) {
            match part {
                Part::Call(call) if call.function != Function::Wildcard => {
                    return Err(TransformError::NotReversible(token));
                }
                Part::Call(_) => used += 1,
                Part::Literal(_) => {}
            }
        }
        if used < transform.source.tokens().filter(|token| *token == b"*").count() {
            return Err(TransformError::UnusedWildcards(text(destination)));
        }
        Ok(transform)
    }

    /// The same rule backwards. `None` unless it is reversible.
    pub fn reverse(&self) -> Option<Self> {
        Self::reversible(self.source.as_bytes(), &self.destination).ok()?;
        // The n-th wildcard of the new source is whatever stood there in the old destination.
        let (mut order, mut source) = (Vec::new(), Vec::new());
        for part in &self.parts {
            source.push(match part {
                Part::Literal(token) => &**token,
                Part::Call(call) => {
                    order.push(*call.tokens.first()?);
                    b"*"
                }
            });
        }
        let destination = self.source.tokens().enumerate().map(|(at, token)| match token {
            b"*" => format!("${}", order.iter().position(|from| *from == at)? + 1).into_bytes().into(),
            _ => Some(token.to_vec()),
        });
        let destination = destination.collect::<Option<Vec<_>>>()?.join(&b'.');
        source.extend(self.rest.map(|_| b">".as_slice()));
        Self::reversible(&source.join(&b'.'), &destination).ok()
    }

    /// What the rule applies to.
    pub fn source(&self) -> &Filter {
        &self.source
    }

    /// The destination as written.
    pub fn destination(&self) -> &[u8] {
        &self.destination
    }

    /// A filter of all subjects that it may give. `None` if none of them can be one.
    pub fn reach(&self) -> Option<Filter> {
        let mut reach: Vec<&[u8]> = Vec::with_capacity(self.parts.len() + 1);
        for part in &self.parts {
            match part {
                Part::Literal(token) => reach.push(token),
                Part::Call(call) if call.function.gives_one_token() => reach.push(b"*"),
                Part::Call(_) => {
                    reach.push(b">");
                    return Filter::parse(&reach.join(&b'.')).ok();
                }
            }
        }
        reach.extend(self.rest.map(|_| &b">"[..]));
        Filter::parse(&reach.join(&b'.')).ok()
    }

    /// Whether chance takes part, so that the same subject may be rewritten in several ways.
    pub fn is_random(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Call(call) if matches!(call.function, Function::Random(_))))
    }

    /// Whether the rule applies.
    pub fn matches(&self, subject: Subject<'_>) -> bool {
        self.source.matches(subject)
    }

    /// The subject rewritten. `chance` decides what `random` gives. The caller has asked [`Transform::matches`]; for a
    /// subject outside the source, missing tokens are empty.
    ///
    /// The result is bytes: a token may have become empty (`{{split(1,-)}}` of `--`), and such a subject reaches nobody.
    pub fn apply(&self, subject: Subject<'_>, chance: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(subject.as_bytes().len() + self.destination.len());
        self.apply_into(subject, chance, &mut out);
        out
    }

    /// The same, appended to a buffer.
    pub fn apply_into(&self, subject: Subject<'_>, chance: u32, out: &mut Vec<u8>) {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                out.push(b'.');
            }
            match part {
                Part::Literal(token) => out.extend_from_slice(token),
                Part::Call(call) => call.write(subject.as_bytes(), chance, out),
            }
        }
        for (index, token) in self.rest.map(|before| subject.tokens().skip(before)).into_iter().flatten().enumerate() {
            if index > 0 || !self.parts.is_empty() {
                out.push(b'.');
            }
            out.extend_from_slice(token);
        }
    }
}

/// Turns the wildcards of a filter into a destination that changes nothing: `a.*.*` into `a.$1.$2`.
pub fn identity_destination(source: &Filter) -> Vec<u8> {
    let mut next = 0;
    let written = source.tokens().map(|token| match token {
        b"*" => {
            next += 1;
            format!("${next}").into_bytes()
        }
        _ => token.to_vec(),
    });
    written.collect::<Vec<_>>().join(&b'.')
}

/// `wildcards`: where the source's wildcards stand. `open`: the source has `>`, so it has wildcards even if none is `*`.
fn part(token: &[u8], wildcards: &[usize], open: bool) -> Result<Part, TransformError> {
    let Some(mut call) = token_of(token)? else {
        let clean = !token.is_empty() && token != b">" && token.iter().all(|byte| *byte >= 0x21 && *byte != 0x7f);
        return if clean { Ok(Part::Literal(token.into())) } else { Err(TransformError::Token(text(token))) };
    };
    if wildcards.is_empty() && !open {
        // Nothing to take tokens from; only what looks at the whole subject, or at none, makes sense.
        return match call.function {
            Function::Random(_) => Ok(Part::Call(call)),
            Function::Partition(_) => {
                call.tokens.clear();
                Ok(Part::Call(call))
            }
            _ => Err(TransformError::IndexOutOfRange(text(token), None)),
        };
    }
    for index in &mut call.tokens {
        *index = match *index {
            // The reference reads the number zero as the first token, and there are mappings that say so.
            0 => 0,
            number => *wildcards
                .get(number - 1)
                .ok_or_else(|| TransformError::IndexOutOfRange(text(token), i64::try_from(number).ok()))?,
        };
    }
    Ok(Part::Call(call))
}

fn text(token: &[u8]) -> String {
    String::from_utf8_lossy(token).into_owned()
}
