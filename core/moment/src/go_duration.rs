//! The text form of durations that configuration files, monitoring and logs use: `2m0s`, `1h2m3.5s`, `250ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A signed duration in nanoseconds, written as `1h2m3.5s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub i64);

impl GoDuration {
    /// The same length as a plain duration; `None` when negative.
    pub fn to_std(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }
}

impl From<Duration> for GoDuration {
    /// Saturates at about 292 years.
    fn from(duration: Duration) -> GoDuration {
        GoDuration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

const SECOND: u64 = 1_000_000_000;

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let nanos = self.0.unsigned_abs();
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => fraction(f, nanos, 1_000, "µs"),
            1_000_000..SECOND => fraction(f, nanos, 1_000_000, "ms"),
            _ => clock(f, nanos),
        }
    }
}

fn clock(f: &mut fmt::Formatter<'_>, nanos: u64) -> fmt::Result {
    let (minutes, rest) = (nanos / (60 * SECOND), nanos % (60 * SECOND));
    if minutes >= 60 {
        write!(f, "{}h", minutes / 60)?;
    }
    if minutes > 0 {
        write!(f, "{}m", minutes % 60)?;
    }
    fraction(f, rest, SECOND, "s")
}

/// `value / unit` with as many decimals as needed and no more.
fn fraction(f: &mut fmt::Formatter<'_>, value: u64, unit: u64, name: &str) -> fmt::Result {
    let (whole, mut rest) = (value / unit, value % unit);
    write!(f, "{whole}")?;
    if rest > 0 {
        let mut width = unit.ilog10() as usize;
        while rest % 10 == 0 {
            rest /= 10;
            width -= 1;
        }
        write!(f, ".{rest:0width$}")?;
    }
    f.write_str(name)
}

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// Nothing but perhaps a sign, or a number without digits.
    Malformed,
    /// A number without a unit.
    MissingUnit,
    /// A unit that is not one of `ns us µs ms s m h`.
    UnknownUnit,
    /// More than about 292 years.
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DurationError::Malformed => "invalid duration",
            DurationError::MissingUnit => "missing unit in duration",
            DurationError::UnknownUnit => "unknown unit in duration (use ns, us, ms, s, m or h)",
            DurationError::TooLong => "duration out of range",
        })
    }
}

impl std::error::Error for DurationError {}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<GoDuration, DurationError> {
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(GoDuration(0));
        }
        if rest.is_empty() {
            return Err(DurationError::Malformed);
        }
        let mut total: u128 = 0;
        while !rest.is_empty() {
            let (part, after) = one_part(rest)?;
            total = total.checked_add(part).filter(|&sum| sum <= 1 << 63).ok_or(DurationError::TooLong)?;
            rest = after;
        }
        let total = if negative { -(total as i128) } else { total as i128 };
        i64::try_from(total).map(GoDuration).map_err(|_| DurationError::TooLong)
    }
}

/// One `number unit` pair at the start of the text: its nanoseconds and what follows.
fn one_part(text: &str) -> Result<(u128, &str), DurationError> {
    let (whole, rest) = digits(text);
    let (decimals, rest) = match rest.strip_prefix('.') {
        Some(after) => digits(after),
        None => ("", rest),
    };
    if whole.is_empty() && decimals.is_empty() {
        return Err(DurationError::Malformed);
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let unit = unit_nanos(&rest[..end])?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| DurationError::TooLong)? };
    let nanos = (u128::from(whole) * u128::from(unit)).checked_add(decimal_nanos(decimals, unit));
    Ok((nanos.ok_or(DurationError::TooLong)?, &rest[end..]))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Decimals beyond the eighteenth are below a nanosecond in every unit.
fn decimal_nanos(decimals: &str, unit: u64) -> u128 {
    let (mut value, mut scale) = (0_u128, 1_u128);
    for digit in decimals.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    value * u128::from(unit) / scale
}

fn unit_nanos(unit: &str) -> Result<u64, DurationError> {
    Ok(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "" => return Err(DurationError::MissingUnit),
        _ => return Err(DurationError::UnknownUnit),
    })
}

/// The form monitoring uses for running times: `1y2d3h4m5s`, leading units left out, seconds always there.
pub fn uptime(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let (s, m, h, d, y) = (seconds % 60, minutes % 60, hours % 24, days % 365, days / 365);
    match (y, days, hours, minutes) {
        (1.., ..) => format!("{y}y{d}d{h}h{m}m{s}s"),
        (_, 1.., ..) => format!("{d}d{h}h{m}m{s}s"),
        (_, _, 1.., _) => format!("{h}h{m}m{s}s"),
        (_, _, _, 1..) => format!("{m}m{s}s"),
        _ => format!("{s}s"),
    }
}
