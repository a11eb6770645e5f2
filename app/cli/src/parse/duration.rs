//! Durations as people write them: `1.5s`, `2m30s`, `1d3h`, `2w`, `1M`, `1y`.

use std::time::Duration;

const SECOND: f64 = 1.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;

/// Reads a duration. A day has 24 hours, a month 30 days, a year 365 days; `0` needs no unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err("invalid duration".to_owned());
    }
    if text.starts_with('-') {
        return Err(format!("invalid duration {text:?}: it must not be negative"));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (part, left) = term(rest).ok_or_else(|| {
            format!("invalid duration {text:?}: expected a number and one of ns, us, ms, s, m, h, d, w, M, y")
        })?;
        sum = sum.checked_add(part).ok_or_else(|| format!("invalid duration {text:?}: too long"))?;
        rest = left;
    }
    Ok(sum)
}

/// One number with its unit, and what follows it.
fn term(text: &str) -> Option<(Duration, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, left) = rest.split_at(letters);
    let seconds = number.parse::<f64>().ok()? * unit_seconds(unit)?;
    Some((Duration::try_from_secs_f64(seconds).ok()?, left))
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => SECOND / 1e9,
        "us" | "µs" | "μs" => SECOND / 1e6,
        "ms" => SECOND / 1e3,
        "s" => SECOND,
        "m" => 60.0,
        "h" => HOUR,
        "d" | "D" => DAY,
        "w" | "W" => 7.0 * DAY,
        "M" => 30.0 * DAY,
        "y" | "Y" => 365.0 * DAY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        let rows = [
            ("0", 0),
            ("5s", 5_000),
            ("300ms", 300),
            ("1.5s", 1_500),
            ("2m30s", 150_000),
            ("1d3h5m2s", 97_502_000),
            ("1w", 604_800_000),
            ("1M", 2_592_000_000),
            ("1y", 31_536_000_000),
            (" 1h ", 3_600_000),
        ];
        for (text, millis) in rows {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_text_in_the_error() {
        for text in ["", "5", "s", "5 s", "1x", "-1s", "1..2s", "1s2"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
        assert!(duration("5").unwrap_err().contains("\"5\""));
    }
}
