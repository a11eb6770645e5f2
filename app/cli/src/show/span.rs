//! Spans of time in two looks: exact, as Go prints them, and short, for people.

use std::time::Duration;

/// A duration as Go prints it: `0s`, `1.5ms`, `2m0s`, `1h2m3.5s`.
pub(crate) fn go_duration(span: Duration) -> String {
    let nanos = span.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return format!("{}µs", fraction(nanos, 1_000));
    }
    if nanos < 1_000_000_000 {
        return format!("{}ms", fraction(nanos, 1_000_000));
    }
    let seconds = span.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = fraction(nanos - u128::from(seconds - seconds % 60) * 1_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// `nanos / unit` with the decimals it needs and no zeros at the end.
fn fraction(nanos: u128, unit: u128) -> String {
    let (whole, rest) = (nanos / unit, nanos % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

/// A duration for people: three digits below a second, then `1.50s`, `2m3s`, `1d2h3m4s`.
pub(crate) fn humanize(span: Duration) -> String {
    if span == Duration::MAX || span.as_nanos() >= i64::MAX as u128 {
        return "never".to_owned();
    }
    if span < Duration::from_millis(1) {
        return go_duration(rounded(span, 1_000));
    }
    if span < Duration::from_secs(1) {
        return go_duration(rounded(span, 1_000_000));
    }
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let clock = (hours % 24, minutes % 60, seconds % 60);
    match (days / 365, days, hours, minutes) {
        (years @ 1.., ..) => format!("{years}y{}d{}h{}m{}s", days % 365, clock.0, clock.1, clock.2),
        (_, 1.., ..) => format!("{days}d{}h{}m{}s", clock.0, clock.1, clock.2),
        (.., 1.., _) => format!("{hours}h{}m{}s", clock.1, clock.2),
        (.., 1..) => format!("{minutes}m{}s", clock.2),
        _ => format!("{:.2}s", span.as_secs_f64()),
    }
}

fn rounded(span: Duration, to: u128) -> Duration {
    let nanos = (span.as_nanos() + to / 2) / to * to;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (1_234_567, "1.234567ms"),
            (1_500_000_000, "1.5s"),
            (120_000_000_000, "2m0s"),
            (3_723_500_000_000, "1h2m3.5s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn people_get_few_digits() {
        for (millis, text) in [
            (0, "0s"),
            (12, "12ms"),
            (1_500, "1.50s"),
            (123_000, "2m3s"),
            (3_723_000, "1h2m3s"),
            (93_784_000, "1d2h3m4s"),
            (31_536_000_000, "1y0d0h0m0s"),
        ] {
            assert_eq!(humanize(Duration::from_millis(millis)), text);
        }
        assert_eq!(humanize(Duration::from_nanos(1_234_567)), "1ms");
        assert_eq!(humanize(Duration::from_nanos(123_456)), "123µs");
        assert_eq!(humanize(Duration::MAX), "never");
    }
}
