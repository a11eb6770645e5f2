//! Words of a line.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether a byte ends a word or has no place in one: blanks, control characters, DEL.
const fn is_odd(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

/// The high bit of every byte that is odd, and perhaps of some above it: exact about "none" and about the lowest.
#[inline(always)]
const fn odd_bytes(eight: u64) -> u64 {
    let below_0x21 = eight.wrapping_sub(ONES * 0x21) & !eight;
    let del = eight ^ (ONES * 0x7f);
    (below_0x21 | (del.wrapping_sub(ONES) & !del)) & HIGHS
}

/// Where the first blank, control character or DEL stands.
#[inline(always)]
pub(crate) fn first_odd(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let odd = odd_bytes(u64::from_le_bytes(*eight));
        if odd != 0 {
            return Some(at + odd.trailing_zeros() as usize / 8);
        }
        at += 8;
        rest = after;
    }
    match bytes.last_chunk::<8>() {
        // The last eight bytes overlap those that are known to be fine.
        Some(eight) => {
            let odd = odd_bytes(u64::from_le_bytes(*eight));
            (odd != 0).then(|| bytes.len() - 8 + odd.trailing_zeros() as usize / 8)
        }
        None => rest.iter().position(|&byte| is_odd(byte)).map(|place| at + place),
    }
}

/// A word can stand in a line: it is not empty and has no blank, control character or DEL.
#[inline(always)]
pub(crate) fn is_clean(word: &[u8]) -> bool {
    !word.is_empty() && first_odd(word).is_none()
}

/// The words of a line, separated by blanks and tabs.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty())
}

/// The words of a line whose separators include a stray CR, as in the operations about subscriptions.
pub(crate) fn words_cr(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty())
}

/// The words of a line as an array filled from the front, and their number; `None` if there are more than `N`.
pub(crate) fn up_to<'a, const N: usize>(words: impl Iterator<Item = &'a [u8]>) -> Option<([&'a [u8]; N], usize)> {
    let mut found: [&[u8]; N] = [b""; N];
    let mut count = 0;
    for word in words {
        *found.get_mut(count)? = word;
        count += 1;
    }
    Some((found, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_odd_byte_is_found_wherever_it_stands() {
        for odd in (0..=255).filter(|&byte| is_odd(byte)) {
            for length in 1..40 {
                for place in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = odd;
                    assert_eq!(first_odd(&bytes), Some(place));
                    bytes[length - 1] = odd;
                    assert_eq!(first_odd(&bytes), Some(place));
                }
            }
        }
        for fine in (0..=255).filter(|&byte| !is_odd(byte)) {
            assert_eq!(first_odd(&[fine; 21]), None);
        }
    }
}
