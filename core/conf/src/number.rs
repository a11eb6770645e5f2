//! Tokens that begin with a digit or a minus: integers with sizes, floats, dates, addresses, or strings after all.

use crate::cursor::{Mark, is_blank, is_line_end};
use crate::datetime::is_datetime;
use crate::world::{Parser, Step};
use crate::{Fault, Node, Unexpected, Value};

/// A date has its first dash here.
const YEAR_DIGITS: usize = 4;

impl Parser<'_, '_> {
    /// The cursor stands on a digit.
    pub(crate) fn number(&mut self) -> Step<Node> {
        let mark = self.cursor.mark();
        self.digits();
        match self.cursor.peek() {
            Some('-') if self.cursor.since(mark).len() == YEAR_DIGITS => self.datetime(mark),
            Some('-') => self.unexpected_next(|_| Unexpected::DateForm),
            Some('.') => self.fraction(mark),
            Some(c) if is_size_letter(c) => self.sized(mark),
            next if ends_number(next) => self.integer(mark),
            _ => {
                // This character belongs to the string even where it would end or escape one.
                self.cursor.bump();
                self.bare_string_from(mark)
            }
        }
    }

    /// The cursor stands on the minus.
    pub(crate) fn negative_number(&mut self) -> Step<Node> {
        let mark = self.cursor.mark();
        self.cursor.bump();
        match self.cursor.peek() {
            Some(c) if c.is_ascii_digit() => self.digits(),
            Some('.') => return self.unexpected_next(|_| Unexpected::LeadingPointOfNegative),
            _ => return self.unexpected_next(Unexpected::NoDigit),
        }
        match self.cursor.peek() {
            Some('.') => self.fraction(mark),
            Some(c) if is_size_letter(c) => self.sized(mark),
            _ => self.integer(mark),
        }
    }

    fn digits(&mut self) {
        self.cursor.bump_while(|c| c.is_ascii_digit());
    }

    /// A size such as `64mb`, or a string that only looks like one.
    fn sized(&mut self, mark: Mark) -> Step<Node> {
        self.cursor.bump();
        self.cursor.bump_while(|c| matches!(c, 'b' | 'B' | 'i' | 'I'));
        if ends_number(self.cursor.peek()) { self.integer(mark) } else { self.bare_string_from(mark) }
    }

    fn integer(&mut self, mark: Mark) -> Step<Node> {
        let text = self.cursor.since(mark);
        let number = match sized_integer(text) {
            Ok(number) => number,
            Err(fault) => {
                let place = self.place(self.cursor.column_of(mark, text.len()));
                self.shared.note(place, fault)?;
                0
            }
        };
        self.node(mark, text.len(), Value::Integer(number))
    }

    /// The cursor stands on the point. A second point makes it an address.
    fn fraction(&mut self, mark: Mark) -> Step<Node> {
        self.cursor.bump();
        if !self.cursor.peek().is_some_and(|c| c.is_ascii_digit()) {
            return self.unexpected_next(Unexpected::NoFraction);
        }
        self.digits();
        if self.cursor.peek() == Some('.') {
            self.cursor.bump_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':' | '-'));
            return self.text(mark);
        }
        self.float(mark)
    }

    fn float(&mut self, mark: Mark) -> Step<Node> {
        let text = self.cursor.since(mark);
        let number = text.parse::<f64>().unwrap_or(f64::INFINITY);
        if !number.is_finite() {
            let place = self.place(self.cursor.column_of(mark, text.len()));
            self.shared.note(place, Fault::FloatRange { text: text.to_owned() })?;
        }
        self.node(mark, text.len(), Value::Float(number))
    }

    /// The cursor stands behind the year.
    fn datetime(&mut self, mark: Mark) -> Step<Node> {
        for wanted in "-00-00T00:00:00Z".chars() {
            match (wanted, self.cursor.peek()) {
                ('0', Some(c)) if c.is_ascii_digit() => self.cursor.bump(),
                ('0', _) => return self.unexpected_next(Unexpected::DateDigit),
                (_, Some(c)) if c == wanted => self.cursor.bump(),
                _ => return self.unexpected_next(|got| Unexpected::DateChar(wanted, got)),
            };
        }
        let text = self.cursor.since(mark);
        if !is_datetime(text) {
            let place = self.place(self.cursor.column_of(mark, text.len()));
            self.shared.note(place, Fault::NotADatetime { text: text.to_owned() })?;
        }
        self.node(mark, text.len(), Value::Datetime(text.into()))
    }
}

const fn is_size_letter(c: char) -> bool {
    matches!(c.to_ascii_lowercase(), 'k' | 'm' | 'g' | 't' | 'p' | 'e')
}

/// What may follow a number. The reference forgets the closing bracket, so that `[1]` is an error there.
fn ends_number(next: Option<char>) -> bool {
    next.is_none_or(|c| is_line_end(c) || is_blank(c) || matches!(c, '}' | ';' | ',' | ']'))
}

/// The number with its suffix applied. Sizes that do not fit are refused, they do not wrap.
fn sized_integer(text: &str) -> Result<i64, Fault> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(split);
    let out_of_range = || Fault::IntegerRange { text: text.to_owned() };
    let number: i64 = digits.parse().map_err(|_| out_of_range())?;
    let factor = factor(suffix).ok_or_else(|| Fault::NotAnInteger { text: text.to_owned() })?;
    number.checked_mul(factor).ok_or_else(out_of_range)
}

fn factor(suffix: &str) -> Option<i64> {
    let suffix = suffix.to_ascii_lowercase();
    let Some(letter) = suffix.chars().next() else {
        return Some(1);
    };
    let power = "kmgtpe".find(letter).and_then(|at| u32::try_from(at + 1).ok())?;
    match suffix.get(1..)? {
        "" => 1000_i64.checked_pow(power),
        "b" | "i" | "ib" => 1024_i64.checked_pow(power),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_is_a_power_of_a_thousand_and_with_a_second_letter_of_1024() {
        for (power, letter) in "kmgtp".chars().enumerate() {
            let power = u32::try_from(power).unwrap() + 1;
            let upper = letter.to_ascii_uppercase();
            assert_eq!(sized_integer(&format!("3{letter}")), Ok(3 * 1000_i64.pow(power)));
            for suffix in [format!("{letter}b"), format!("{letter}i"), format!("{letter}ib"), format!("{upper}iB")] {
                assert_eq!(sized_integer(&format!("-3{suffix}")), Ok(-3 * 1024_i64.pow(power)), "{suffix}");
            }
        }
        assert_eq!(sized_integer("1e"), Ok(1_000_000_000_000_000_000));
        assert_eq!(sized_integer("1EiB"), Ok(1 << 60));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_wraps() {
        for text in ["9223372036854775808", "9eb", "99999999999999999999k", "-9223372036854775809"] {
            assert_eq!(sized_integer(text), Err(Fault::IntegerRange { text: text.to_owned() }), "{text}");
        }
        assert_eq!(sized_integer("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(sized_integer("1kbb"), Err(Fault::NotAnInteger { text: "1kbb".to_owned() }));
    }
}
