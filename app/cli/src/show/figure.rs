//! Numbers as people read them, and [`Figure`]: how any value looks in columns and tables.

use std::time::Duration;

use jiff::Timestamp;

use crate::show::{humanize, local_time};

/// A whole number with a comma every three digits.
pub(crate) fn comma(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with commas and as many decimals as it has.
pub(crate) fn commaf(number: f64) -> String {
    let text = format!("{}", number.abs());
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let sign = if number < 0.0 { "-" } else { "" };
    let whole = whole.parse::<i128>().map_or_else(|_| whole.to_owned(), comma);
    match rest {
        Some(rest) => format!("{sign}{whole}.{rest}"),
        None => format!("{sign}{whole}"),
    }
}

/// A number with commas, cut (not rounded) after so many decimals, without zeros at the end.
pub(crate) fn commaf_digits(number: f64, decimals: usize) -> String {
    let text = commaf(number);
    match text.split_once('.') {
        None => text,
        Some((whole, rest)) => {
            let rest = rest.get(..decimals).unwrap_or(rest).trim_end_matches('0');
            if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
        }
    }
}

/// Bytes with a binary unit: `128 B`, `1.5 KiB`, `10 MiB`.
pub(crate) fn ibytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10) as usize;
    let unit = UNITS.get(power).copied().unwrap_or("EiB");
    let value = (bytes as f64 / 1024f64.powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// How a value looks.
pub(crate) trait Figure {
    fn figure(&self) -> String;
}

macro_rules! whole_figures {
    ($($kind:ty),*) => { $(impl Figure for $kind {
        fn figure(&self) -> String {
            comma(*self as i128)
        }
    })* };
}
whole_figures!(u8, u16, u32, u64, usize, i32, i64);

impl Figure for f64 {
    fn figure(&self) -> String {
        commaf_digits(*self, 3)
    }
}

impl Figure for bool {
    fn figure(&self) -> String {
        self.to_string()
    }
}

impl Figure for Duration {
    fn figure(&self) -> String {
        humanize(*self)
    }
}

impl Figure for Timestamp {
    fn figure(&self) -> String {
        local_time(*self)
    }
}

impl Figure for str {
    fn figure(&self) -> String {
        self.to_owned()
    }
}

impl Figure for String {
    fn figure(&self) -> String {
        self.clone()
    }
}

impl Figure for [String] {
    fn figure(&self) -> String {
        self.join(", ")
    }
}

impl Figure for Vec<String> {
    fn figure(&self) -> String {
        self.join(", ")
    }
}

impl<T: Figure + ?Sized> Figure for &T {
    fn figure(&self) -> String {
        (**self).figure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(comma(0), "0");
        assert_eq!(comma(999), "999");
        assert_eq!(comma(1_234_567), "1,234,567");
        assert_eq!(comma(-1_000), "-1,000");
        assert_eq!(comma(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn decimals_are_cut_and_zeros_dropped() {
        assert_eq!(commaf_digits(1234.5678, 2), "1,234.56");
        assert_eq!(commaf_digits(1234.0, 2), "1,234");
        assert_eq!(commaf_digits(0.1, 3), "0.1");
        assert_eq!(commaf_digits(-1500.25, 1), "-1,500.2");
    }

    #[test]
    fn bytes_have_binary_units() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (128, "128 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 << 20, "10 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(ibytes(bytes), text);
        }
    }
}
