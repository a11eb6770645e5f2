//! Bars for comparing a few values.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A line with a bar for each value, the smallest first.
pub(crate) fn bars(values: &BTreeMap<String, f64>, width: usize, show: impl Fn(f64) -> String) -> String {
    let mut rows: Vec<_> = values.iter().collect();
    rows.sort_by(|a, b| a.1.total_cmp(b.1));
    let longest = values.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let (min, max) =
        rows.iter().fold((f64::MAX, f64::MIN), |(min, max), (_, value)| (min.min(**value), max.max(**value)));
    let mut text = String::new();
    for (name, value) in rows.iter().map(|(name, value)| (*name, **value)) {
        let blocks = if value == 0.0 {
            0
        } else if rows.len() == 1 || min >= max {
            width
        } else {
            ((value - min) / (max - min) * width as f64) as usize
        };
        let bar = if blocks == 0 { "▏".to_owned() } else { "█".repeat(blocks) };
        let _ = writeln!(text, "{:>indent$}: {bar} ({})", name, show(value), indent = longest + 2);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_has_the_longest_bar() {
        let values = BTreeMap::from([("a".to_owned(), 1.0), ("long".to_owned(), 5.0), ("b".to_owned(), 3.0)]);
        let text = bars(&values, 4, |value| value.to_string());
        assert_eq!(text, "     a: ▏ (1)\n     b: ██ (3)\n  long: ████ (5)\n");
    }
}
