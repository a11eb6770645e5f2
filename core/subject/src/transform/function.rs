//! The functions of a destination: how they are written and what they write.

use crate::algebra::tokens;
use crate::transform::{TransformError, text};

/// A function with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) function: Function,
    /// First the numbers of wildcards as written; after compilation, indices of the subject's tokens.
    pub(super) tokens: Vec<usize>,
}

/// What to do with the tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Function {
    Wildcard,
    /// The hash of the tokens, or of the whole subject if there are none, modulo this.
    Partition(u32),
    Random(u32),
    /// The pieces between these bytes.
    Split(Box<[u8]>),
    SplitFromLeft(usize),
    SplitFromRight(usize),
    SliceFromLeft(usize),
    SliceFromRight(usize),
    Left(usize),
    Right(usize),
}

impl Function {
    /// Whether it fills one token, and not as many as there happen to be.
    pub(super) fn gives_one_token(&self) -> bool {
        match self {
            Self::Wildcard | Self::Partition(_) | Self::Random(_) | Self::Left(_) | Self::Right(_) => true,
            Self::Split(_)
            | Self::SplitFromLeft(_)
            | Self::SplitFromRight(_)
            | Self::SliceFromLeft(_)
            | Self::SliceFromRight(_) => false,
        }
    }
}

type Measured = fn(usize) -> Function;

/// Functions of a wildcard and a length. The capital letters, and the first one, may be written small or large.
const MEASURED: [(&str, Measured); 6] = [
    ("SplitFromLeft", Function::SplitFromLeft),
    ("SplitFromRight", Function::SplitFromRight),
    ("SliceFromLeft", Function::SliceFromLeft),
    ("SliceFromRight", Function::SliceFromRight),
    ("Right", Function::Right),
    ("Left", Function::Left),
];

/// Reads a token of a destination. `None` if it is literal.
pub(super) fn token_of(token: &[u8]) -> Result<Option<Call>, TransformError> {
    if let Some(number) = token.strip_prefix(b"$").filter(|number| !number.is_empty()) {
        // Subjects like `$JS` begin with a dollar, so what is no number is literal.
        return match integer(number) {
            Some(number) => index(number, token).map(|index| Some(wildcard(index))),
            None => Ok(None),
        };
    }
    let inner = token.strip_prefix(b"{{").and_then(|rest| rest.strip_suffix(b"}}"));
    match inner.filter(|inner| !inner.is_empty()) {
        None => Ok(None),
        Some(inner) => call(inner, token).map(Some),
    }
}

fn wildcard(index: usize) -> Call {
    Call { function: Function::Wildcard, tokens: vec![index] }
}

fn call(inner: &[u8], token: &[u8]) -> Result<Call, TransformError> {
    let unknown = || TransformError::UnknownFunction(text(token));
    let inner = inner.trim_ascii().strip_suffix(b")").ok_or_else(unknown)?;
    let open = inner.iter().position(|byte| *byte == b'(').ok_or_else(unknown)?;
    let (name, arguments) = inner.split_at(open);
    let name = name.trim_ascii_end();
    let arguments = split_arguments(arguments.get(1..).unwrap_or_default());
    match name {
        _ if is_named(name, "Wildcard") => call_wildcard(&arguments, token),
        _ if is_named(name, "Partition") => call_partition(&arguments, token),
        _ if is_named(name, "Random") => call_random(&arguments, token),
        _ if is_named(name, "Split") => call_split(&arguments, token),
        _ => {
            let (_, make) = MEASURED.iter().find(|(wanted, _)| is_named(name, wanted)).ok_or_else(unknown)?;
            let (first, second) = two(&arguments, token)?;
            Ok(Call { function: make(length(argument(second, token)?, token)?), tokens: vec![first] })
        }
    }
}

fn call_wildcard(arguments: &[&[u8]], token: &[u8]) -> Result<Call, TransformError> {
    match *arguments {
        [] | [b""] => Err(TransformError::NotEnoughArguments(text(token))),
        [number] => Ok(wildcard(index(argument(number, token)?, token)?)),
        _ => Err(TransformError::TooManyArguments(text(token))),
    }
}

fn call_partition(arguments: &[&[u8]], token: &[u8]) -> Result<Call, TransformError> {
    let [buckets, numbers @ ..] = arguments else { return Err(TransformError::NotEnoughArguments(text(token))) };
    let function = Function::Partition(bounded(argument(buckets, token)?, token)?);
    let tokens = numbers.iter().map(|number| index(argument(number, token)?, token)).collect::<Result<_, _>>()?;
    Ok(Call { function, tokens })
}

fn call_random(arguments: &[&[u8]], token: &[u8]) -> Result<Call, TransformError> {
    // The reference says "not enough" for too many as well.
    let [ceiling] = *arguments else { return Err(TransformError::NotEnoughArguments(text(token))) };
    Ok(Call { function: Function::Random(bounded(argument(ceiling, token)?, token)?), tokens: Vec::new() })
}

fn call_split(arguments: &[&[u8]], token: &[u8]) -> Result<Call, TransformError> {
    let (first, by) = two(arguments, token)?;
    if by.contains(&b' ') {
        return Err(TransformError::InvalidArgument(text(token)));
    }
    Ok(Call { function: Function::Split(by.into()), tokens: vec![first] })
}

/// The number of a wildcard, and something else.
fn two<'a>(arguments: &[&'a [u8]], token: &[u8]) -> Result<(usize, &'a [u8]), TransformError> {
    match *arguments {
        [] | [_] => Err(TransformError::NotEnoughArguments(text(token))),
        [number, second] => Ok((index(argument(number, token)?, token)?, second)),
        _ => Err(TransformError::TooManyArguments(text(token))),
    }
}

/// Blanks after a comma do not count.
fn split_arguments(arguments: &[u8]) -> Vec<&[u8]> {
    let pieces = arguments.split(|byte| *byte == b',').enumerate();
    pieces.map(|(index, piece)| if index == 0 { piece } else { piece.trim_ascii_start() }).collect()
}

/// Each word of the name may begin small or large.
fn is_named(name: &[u8], wanted: &str) -> bool {
    let same = |(ours, theirs): (&u8, u8)| match theirs {
        b'A'..=b'Z' => ours.eq_ignore_ascii_case(&theirs),
        _ => *ours == theirs,
    };
    name.len() == wanted.len() && name.iter().zip(wanted.bytes()).all(same)
}

fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn argument(number: &[u8], token: &[u8]) -> Result<i64, TransformError> {
    let trimmed = std::str::from_utf8(number).map(|text| text.trim_matches(' ').as_bytes()).unwrap_or_default();
    integer(trimmed).ok_or_else(|| TransformError::InvalidArgument(text(token)))
}

fn index(number: i64, token: &[u8]) -> Result<usize, TransformError> {
    usize::try_from(number).map_err(|_| TransformError::IndexOutOfRange(text(token), Some(number)))
}

/// A number of buckets: what fits 31 bits.
fn bounded(number: i64, token: &[u8]) -> Result<u32, TransformError> {
    let fits = i32::try_from(number).ok().and_then(|number| u32::try_from(number).ok());
    fits.ok_or_else(|| TransformError::InvalidArgument(text(token)))
}

/// A length: 31 bits, and a negative one means the same as zero, namely to leave the token as it is.
fn length(number: i64, token: &[u8]) -> Result<usize, TransformError> {
    let number = i32::try_from(number).map_err(|_| TransformError::InvalidArgument(text(token)))?;
    Ok(usize::try_from(number).unwrap_or(0))
}

impl Call {
    pub(super) fn write(&self, subject: &[u8], chance: u32, out: &mut Vec<u8>) {
        let first = || self.tokens.first().and_then(|index| tokens(subject).nth(*index)).unwrap_or_default();
        match &self.function {
            Function::Wildcard => out.extend_from_slice(first()),
            Function::Partition(buckets) => number(out, self.hash(subject).checked_rem(*buckets)),
            // Like the reference, 31 bits of chance.
            Function::Random(ceiling) => number(out, (chance >> 1).checked_rem(*ceiling)),
            Function::Split(by) => split(first(), by, out),
            Function::SplitFromLeft(at) => pieces(out, first(), *at, |token| token.split_at_checked(*at)),
            Function::SplitFromRight(at) => {
                pieces(out, first(), *at, |token| token.split_at_checked(token.len().checked_sub(*at)?));
            }
            Function::SliceFromLeft(size) => join(out, slices(first(), *size, 0)),
            Function::SliceFromRight(size) => {
                let token = first();
                join(out, slices(token, *size, token.len().checked_rem(*size).unwrap_or(0)));
            }
            Function::Left(length) => {
                let token = first();
                out.extend_from_slice(if *length == 0 { token } else { token.get(..*length).unwrap_or(token) });
            }
            Function::Right(length) => {
                let token = first();
                let start = token.len().checked_sub(*length).filter(|_| *length > 0);
                out.extend_from_slice(start.and_then(|start| token.get(start..)).unwrap_or(token));
            }
        }
    }

    fn hash(&self, subject: &[u8]) -> u32 {
        if self.tokens.is_empty() {
            return fnv1a([subject].into_iter());
        }
        fnv1a(self.tokens.iter().map(|index| tokens(subject).nth(*index).unwrap_or_default()))
    }
}

/// FNV-1a of 32 bits.
fn fnv1a<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u32 {
    parts.flatten().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// A remainder by zero is zero.
fn number(out: &mut Vec<u8>, number: Option<u32>) {
    out.extend_from_slice(number.unwrap_or(0).to_string().as_bytes());
}

/// Two pieces, unless one of them would be the whole token.
fn pieces<'a>(out: &mut Vec<u8>, token: &'a [u8], at: usize, cut: impl Fn(&'a [u8]) -> Option<(&'a [u8], &'a [u8])>) {
    match cut(token).filter(|_| at > 0 && at < token.len()) {
        Some((left, right)) => join(out, [left, right].into_iter()),
        None => out.extend_from_slice(token),
    }
}

/// Slices of this size, after a first one of another size if that is not zero; what remains comes last.
fn slices(token: &[u8], size: usize, first: usize) -> impl Iterator<Item = &[u8]> {
    let whole = size == 0 || size >= token.len();
    let (size, first) = if whole { (token.len().max(1), 0) } else { (size, first) };
    let (head, rest) = token.split_at_checked(first).unwrap_or((&[], token));
    Some(head).filter(|head| !head.is_empty()).into_iter().chain(rest.chunks(size))
}

/// The non-empty pieces. Without a delimiter every character is a piece.
fn split(token: &[u8], by: &[u8], out: &mut Vec<u8>) {
    if by.is_empty() {
        let mut rest = token;
        let characters = std::iter::from_fn(|| {
            let length = (1..=4).find(|length| rest.get(..*length).is_some_and(|head| str::from_utf8(head).is_ok()));
            let (head, tail) = rest.split_at_checked(length.unwrap_or(1).min(rest.len()))?;
            rest = tail;
            Some(head).filter(|head| !head.is_empty())
        });
        return join(out, characters);
    }
    let mut rest = Some(token);
    let between = std::iter::from_fn(|| {
        let now = rest?;
        let at = now.windows(by.len()).position(|window| window == by);
        let (piece, tail) = match at {
            Some(at) => (now.get(..at)?, now.get(at + by.len()..)),
            None => (now, None),
        };
        rest = tail;
        Some(piece)
    });
    join(out, between.filter(|piece| !piece.is_empty()));
}

fn join<'a>(out: &mut Vec<u8>, pieces: impl Iterator<Item = &'a [u8]>) {
    for (index, piece) in pieces.enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(piece);
    }
}
