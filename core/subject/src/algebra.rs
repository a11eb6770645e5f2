//! Three total functions on checked bytes. They are exact; the tests prove it by enumeration.

/// The parts between the dots.
#[inline]
pub(crate) fn tokens(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'.')
}

/// The part before the first dot.
#[inline]
pub(crate) fn first_token(bytes: &[u8]) -> &[u8] {
    tokens(bytes).next().unwrap_or_default()
}

/// One of the two wildcard tokens, `*` and `>`.
#[inline]
pub(crate) fn is_wildcard(token: &[u8]) -> bool {
    matches!(token, b"*" | b">")
}

/// Whether the filter matches the subject, whose tokens are all literal.
pub(crate) fn matches(filter: &[u8], subject: &[u8]) -> bool {
    let (mut ours, mut theirs) = (tokens(filter), tokens(subject));
    loop {
        match (ours.next(), theirs.next()) {
            (Some(b">"), Some(_)) => return true,
            (Some(b"*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether every subject that `narrow` matches is matched by `wide`.
pub(crate) fn covers(wide: &[u8], narrow: &[u8]) -> bool {
    let (mut ours, mut theirs) = (tokens(wide), tokens(narrow));
    loop {
        match (ours.next(), theirs.next()) {
            (Some(b">"), Some(_)) => return true,
            (Some(_), Some(b">")) => return false,
            (Some(b"*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether some subject is matched by both.
pub(crate) fn overlaps(one: &[u8], other: &[u8]) -> bool {
    let (mut ours, mut theirs) = (tokens(one), tokens(other));
    loop {
        match (ours.next(), theirs.next()) {
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(b"*"), Some(_)) | (Some(_), Some(b"*")) => {}
            (Some(one), Some(other)) if one == other => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}
