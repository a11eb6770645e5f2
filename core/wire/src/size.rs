//! Sizes as decimal digits.

/// Digits of a size at most. One more is an error, so no size overflows anything.
pub const MAX_SIZE_DIGITS: usize = 9;

/// One more than the largest size.
const SIZE_END: usize = 1_000_000_000;

/// The size a whole word says: one to nine digits and nothing else.
pub(crate) fn size(word: &[u8]) -> Option<usize> {
    if word.is_empty() || word.len() > MAX_SIZE_DIGITS {
        return None;
    }
    word.iter().try_fold(0, |sum: usize, byte| byte.is_ascii_digit().then(|| sum * 10 + usize::from(byte - b'0')))
}

/// The size at the end of a line and what stands before the one blank in front of it. `None` if the line is not that
/// plain; then it is taken apart word by word.
#[inline(always)]
pub(crate) fn size_at_end(line: &[u8]) -> Option<(usize, &[u8])> {
    let (mut value, mut scale, mut rest) = (0, 1, line);
    loop {
        let (&last, before) = rest.split_last()?;
        let digit = last.wrapping_sub(b'0');
        if digit > 9 {
            return (last == b' ' && scale > 1).then_some((value, before));
        }
        if scale == SIZE_END {
            return None;
        }
        value += usize::from(digit) * scale;
        scale *= 10;
        rest = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_one_to_nine_digits() {
        for (word, value) in [
            (&b"0"[..], Some(0)),
            (b"002", Some(2)),
            (b"999999999", Some(999_999_999)),
            (b"1000000000", None),
            (b"0000000002", None),
            (b"", None),
            (b"-1", None),
            (b"+1", None),
            (b"1x", None),
            (b"9999999999999999999999999", None),
        ] {
            assert_eq!(size(word), value);
            let line = [b"a ", word].concat();
            assert_eq!(size_at_end(&line), value.map(|value| (value, &b"a"[..])), "{line:?}");
        }
        assert_eq!(size_at_end(b"12"), None);
        assert_eq!(size_at_end(b"a\t12"), None);
        assert_eq!(size_at_end(b"a "), None);
    }
}
