//! Whether a date exists. Its form has been checked while reading.

/// `YYYY-MM-DDTHH:MM:SSZ` with a day that month has and a time that day has.
pub(crate) fn is_datetime(text: &str) -> bool {
    let field = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<u32>().ok());
    let fields = (field(0, 4), field(5, 7), field(8, 10), field(11, 13), field(14, 16), field(17, 19));
    let (Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)) = fields else {
        return false;
    };
    (1..=days_of(month, year)).contains(&day) && hour < 24 && minute < 60 && second < 60
}

const fn days_of(month: u32, year: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_that_exist_are_dates() {
        for text in ["2016-05-04T18:53:41Z", "2024-02-29T00:00:00Z", "2000-02-29T23:59:59Z"] {
            assert!(is_datetime(text), "{text}");
        }
        for text in ["2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2016-13-01T00:00:00Z", "2016-00-01T00:00:00Z"] {
            assert!(!is_datetime(text), "{text}");
        }
        for text in ["2016-04-31T00:00:00Z", "2016-05-04T24:00:00Z", "2016-05-04T00:60:00Z", "2016-05-00T00:00:00Z"] {
            assert!(!is_datetime(text), "{text}");
        }
    }
}
