//! Chance from a seed: names of ephemeral consumers, flow control subjects.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Numbers that follow from a seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Begins with a seed.
    pub const fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A word of letters and digits that follows from a number.
pub fn random_word(mut number: u64, len: usize) -> String {
    let mut word = String::with_capacity(len);
    for _ in 0..len {
        word.push(char::from(ALPHABET[(number % 62) as usize]));
        number /= 62;
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_words() {
        let word = |seed| random_word(Chance::new(seed).roll(), 8);
        assert_eq!(word(1), word(1));
        assert_ne!(word(1), word(2));
        assert_eq!(word(1).len(), 8);
    }
}
