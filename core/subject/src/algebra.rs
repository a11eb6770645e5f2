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

/// The filter of all subjects that both match, if there is any.
pub(crate) fn intersection(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let mut both = Vec::with_capacity(one.len().max(other.len()));
    let (mut ours, mut theirs) = (tokens(one), tokens(other));
    loop {
        let (our, their) = (ours.next(), theirs.next());
        if let (None, None) = (our, their) {
            return Some(both);
        }
        if !both.is_empty() {
            both.push(b'.');
        }
        let (rest, token) = match (our, their) {
            (Some(b">"), Some(token)) => (Some(&mut theirs), token),
            (Some(token), Some(b">")) => (Some(&mut ours), token),
            (Some(b"*"), Some(token)) | (Some(token), Some(b"*")) => (None, token),
            (Some(our), Some(their)) if our == their => (None, our),
            _ => return None,
        };
        both.extend_from_slice(token);
        if let Some(rest) = rest {
            // What `>` leaves open is as the other filter goes on.
            for token in rest {
                both.push(b'.');
                both.extend_from_slice(token);
            }
            return Some(both);
        }
    }
}
