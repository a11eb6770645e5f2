//! Whole numbers of any size, as counters need them: read, add, subtract, write.

use std::cmp::Ordering;
use std::fmt;

/// What one digit of ours counts to.
const BASE: u32 = 1_000_000_000;
const DIGITS: usize = 9;

/// A whole number. Its digits stand low first and without zeros at the top, so that equal numbers are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Number {
    is_negative: bool,
    digits: Vec<u32>,
}

impl Number {
    /// Reads a sign and decimal digits.
    pub(crate) fn parse(text: &[u8]) -> Option<Number> {
        let (is_negative, digits) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let value = |chunk: &[u8]| chunk.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        Some(Number { is_negative, digits: digits.rchunks(DIGITS).map(value).collect() }.trimmed())
    }

    fn trimmed(mut self) -> Number {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        self.is_negative &= !self.digits.is_empty();
        self
    }

    pub(crate) fn plus(&self, other: &Number) -> Number {
        if self.is_negative == other.is_negative {
            return Number { is_negative: self.is_negative, digits: sum(&self.digits, &other.digits) };
        }
        match compare(&self.digits, &other.digits) {
            Ordering::Equal => Number::default(),
            Ordering::Greater => Number { is_negative: self.is_negative, digits: rest(&self.digits, &other.digits) },
            Ordering::Less => Number { is_negative: other.is_negative, digits: rest(&other.digits, &self.digits) },
        }
        .trimmed()
    }

    pub(crate) fn minus(&self, other: &Number) -> Number {
        let negated = Number { is_negative: !other.is_negative, digits: other.digits.clone() };
        self.plus(&negated.trimmed())
    }
}

fn compare(left: &[u32], right: &[u32]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.iter().rev().cmp(right.iter().rev()))
}

fn sum(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut carry = 0;
    let mut digits = Vec::with_capacity(left.len().max(right.len()) + 1);
    for at in 0..left.len().max(right.len()) {
        let digit = |digits: &[u32]| digits.get(at).copied().unwrap_or(0);
        let total = digit(left) + digit(right) + carry;
        digits.push(total % BASE);
        carry = total / BASE;
    }
    digits.extend((carry > 0).then_some(carry));
    digits
}

/// `left` without `right`, which is not greater.
fn rest(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut borrow = 0;
    let mut digits = Vec::with_capacity(left.len());
    for (at, &digit) in left.iter().enumerate() {
        let away = right.get(at).copied().unwrap_or(0) + borrow;
        borrow = u32::from(digit < away);
        digits.push(digit + borrow * BASE - away);
    }
    digits
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((top, below)) = self.digits.split_last() else { return f.write_str("0") };
        let sign = if self.is_negative { "-" } else { "" };
        write!(f, "{sign}{top}")?;
        below.iter().rev().try_for_each(|digit| write!(f, "{digit:0DIGITS$}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: i128) -> Number {
        Number::parse(value.to_string().as_bytes()).expect("a number")
    }

    #[test]
    fn sums_and_differences_are_those_of_ordinary_numbers() {
        let mut chance = crate::Chance::new(7);
        for round in 0..2_000 {
            let mut roll = || {
                let wide = (i128::from(chance.roll()) << 60) ^ i128::from(chance.roll());
                (wide >> (round % 120)) * if chance.roll().is_multiple_of(2) { 1 } else { -1 }
            };
            let (left, right) = (roll(), roll());
            assert_eq!(number(left).plus(&number(right)).to_string(), (left + right).to_string());
            assert_eq!(number(left).minus(&number(right)).to_string(), (left - right).to_string());
        }
    }

    #[test]
    fn only_digits_with_a_sign_are_numbers() {
        for (text, value) in [("007", "7"), ("+41", "41"), ("-0", "0"), ("-1000000000", "-1000000000")] {
            assert_eq!(Number::parse(text.as_bytes()).map(|number| number.to_string()).as_deref(), Some(value));
        }
        for text in ["", "-", "1.5", "1e3", " 1", "x", "--1"] {
            assert_eq!(Number::parse(text.as_bytes()), None, "{text}");
        }
    }
}
