//! Times of day at which a user may be connected.

use std::fmt;

use crate::common::UnixSeconds;

/// What this room must be told about the world's clocks.
pub trait Zones {
    /// Seconds east of UTC in a zone at a moment: an IANA name, or `None` for the server's own zone. `None` when there is
    /// no such zone.
    fn offset_at(&self, zone: Option<&str>, at: UnixSeconds) -> Option<i32>;
}

/// A world in which every clock shows UTC and no other zone has a name.
#[derive(Debug, Clone, Copy, Default)]
pub struct UtcOnly;

impl Zones for UtcOnly {
    fn offset_at(&self, zone: Option<&str>, _: UnixSeconds) -> Option<i32> {
        matches!(zone, None | Some("UTC")).then_some(0)
    }
}

/// A second of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u32);

const DAY: i64 = 86_400;
const NANOS: i128 = 1_000_000_000;

impl TimeOfDay {
    /// Reads `15:04:05`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || minutes.len() != 2 || seconds.len() != 2 || hours.len() > 2 {
            return None;
        }
        let part = |text: &str, below: u32| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|value| digits && *value < below)
        };
        Some(Self(part(hours, 24)? * 3600 + part(minutes, 60)? * 60 + part(seconds, 60)?))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.0 / 3600, self.0 / 60 % 60, self.0 % 60)
    }
}

/// From one time of day to another; over midnight when the end is the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// After this second.
    pub start: TimeOfDay,
    /// Before this second.
    pub end: TimeOfDay,
}

/// Nanoseconds since the epoch until which the latest open window stays open, or `None` when all are shut. Both ends of a
/// window are outside of it.
pub fn open_until(windows: &[Window], zone: Option<&str>, zones: &dyn Zones, now_nanos: i64) -> Option<i64> {
    let now = now_nanos.div_euclid(NANOS as i64);
    let local = now.checked_add(zones.offset_at(zone, now)?.into())?;
    let midnight = local - local.rem_euclid(DAY);
    let instant = |day: i64, time: TimeOfDay| {
        let local = midnight.checked_add(day * DAY)?.checked_add(time.0.into())?;
        from_local(local, zone, zones)
    };
    windows.iter().filter_map(|window| window.closes(&instant, now_nanos)).max()
}

impl Window {
    fn closes(&self, instant: &dyn Fn(i64, TimeOfDay) -> Option<i64>, now: i64) -> Option<i64> {
        let (start, end) = (instant(0, self.start)?, instant(0, self.end)?);
        if start < now && now < end {
            return Some(end);
        }
        if self.start <= self.end {
            return None;
        }
        // Over midnight: either the window began yesterday, or it ends tomorrow.
        if now < end {
            return Some(end);
        }
        instant(1, self.end).filter(|&end| start < now && now < end)
    }
}

/// Nanoseconds since the epoch at which a clock in the zone shows these seconds. Where it never does, or does twice, one
/// of the two sides of the change is taken.
fn from_local(local: i64, zone: Option<&str>, zones: &dyn Zones) -> Option<i64> {
    let first = zones.offset_at(zone, local)?;
    let guess = local.checked_sub(first.into())?;
    let second = zones.offset_at(zone, guess)?;
    let seconds = i128::from(local) - i128::from(second);
    i64::try_from(seconds * NANOS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hours east of UTC in summer, one in winter; the change is at second 1000 days.
    struct Changing;

    impl Zones for Changing {
        fn offset_at(&self, zone: Option<&str>, at: UnixSeconds) -> Option<i32> {
            match zone {
                Some("Europe/Test") => Some(if at < 1000 * DAY { 3600 } else { 7200 }),
                _ => UtcOnly.offset_at(zone, at),
            }
        }
    }

    fn window(start: &str, end: &str) -> Window {
        Window { start: TimeOfDay::parse(start).expect("a time"), end: TimeOfDay::parse(end).expect("a time") }
    }

    /// The nanoseconds of a time of day on the tenth day.
    fn at(text: &str) -> i64 {
        (10 * DAY + i64::from(TimeOfDay::parse(text).expect("a time").0)) * NANOS as i64
    }

    fn open(start: &str, end: &str, now: &str) -> Option<i64> {
        open_until(&[window(start, end)], None, &UtcOnly, at(now))
    }

    #[test]
    fn a_window_is_open_between_its_ends() {
        assert_eq!(open("11:00:00", "22:00:00", "13:00:00"), Some(at("22:00:00")));
        for shut in ["10:59:59", "11:00:00", "22:00:00", "23:00:00"] {
            assert_eq!(open("11:00:00", "22:00:00", shut), None, "{shut}");
        }
    }

    #[test]
    fn fix_4f404cf_a_window_may_cross_midnight() {
        let tomorrow = at("06:00:00") + DAY * NANOS as i64;
        assert_eq!(open("22:00:00", "06:00:00", "23:30:00"), Some(tomorrow));
        assert_eq!(open("22:00:00", "06:00:00", "05:00:00"), Some(at("06:00:00")));
        for shut in ["06:00:00", "12:00:00", "22:00:00"] {
            assert_eq!(open("22:00:00", "06:00:00", shut), None, "{shut}");
        }
    }

    #[test]
    fn an_empty_window_is_never_open() {
        assert_eq!(open("10:00:00", "10:00:00", "10:00:00"), None);
        assert_eq!(open("10:00:00", "10:00:00", "11:00:00"), None);
    }

    #[test]
    fn of_several_open_windows_the_longest_counts() {
        let windows = [window("10:00:00", "12:00:00"), window("09:00:00", "15:00:00"), window("20:00:00", "21:00:00")];
        assert_eq!(open_until(&windows, None, &UtcOnly, at("11:00:00")), Some(at("15:00:00")));
    }

    #[test]
    fn the_zone_decides_what_time_it_is() {
        let windows = [window("11:00:00", "13:00:00")];
        let zone = Some("Europe/Test");
        assert_eq!(open_until(&windows, zone, &Changing, at("10:30:00")), Some(at("12:00:00")));
        assert_eq!(open_until(&windows, zone, &Changing, at("12:30:00")), None);
        assert_eq!(open_until(&windows, Some("Nowhere"), &Changing, at("10:30:00")), None);
    }

    #[test]
    fn the_extremes_of_time_are_no_trouble() {
        for now in [i64::MIN, i64::MAX, 0] {
            open_until(&[window("22:00:00", "06:00:00")], None, &UtcOnly, now);
        }
    }

    #[test]
    fn odd_times_are_refused() {
        for odd in ["", "24:00:00", "1:2:3", "10:00", "10:60:00", "10:00:60", "10:00:00:00", "+1:00:00", "10:0a:00"] {
            assert_eq!(TimeOfDay::parse(odd), None, "{odd}");
        }
        assert_eq!(TimeOfDay::parse("9:05:07").map(|time| time.to_string()), Some("09:05:07".to_owned()));
    }
}
