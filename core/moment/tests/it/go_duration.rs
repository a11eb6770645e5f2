use bulwark_moment::{Duration, DurationError, GoDuration, uptime};
use proptest::prelude::*;

#[test]
fn durations_print_as_the_reference_prints_them() {
    for (nanos, text) in [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (120_000_000_000, "2m0s"),
        (3_723_500_000_000, "1h2m3.5s"),
        (3_600_000_000_000, "1h0m0s"),
        (-1_500_000_000, "-1.5s"),
        (245_001_000_000, "4m5.001s"),
        (i64::MAX, "2562047h47m16.854775807s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ] {
        assert_eq!(GoDuration(nanos).to_string(), text);
        assert_eq!(text.parse(), Ok(GoDuration(nanos)), "{text}");
    }
}

#[test]
fn durations_are_read_in_every_form_operators_write() {
    for (text, nanos) in [
        ("0", 0),
        ("+5s", 5_000_000_000),
        ("1.5h", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("10us", 10_000),
        ("10μs", 10_000),
        ("3h30m", 12_600_000_000_000),
        ("0.3333333333333333333333h", 1_199_999_999_999),
    ] {
        assert_eq!(text.parse(), Ok(GoDuration(nanos)), "{text}");
    }
}

#[test]
fn what_is_no_duration_says_why() {
    use DurationError::*;
    for (text, why) in [
        ("", Malformed),
        ("-", Malformed),
        ("s", Malformed),
        (".s", Malformed),
        ("3", MissingUnit),
        ("1h3", MissingUnit),
        ("3x", UnknownUnit),
        ("1 s", UnknownUnit),
        ("9223372036854775808ns", TooLong),
        ("99999999999999999999s", TooLong),
        ("3000000h", TooLong),
    ] {
        assert_eq!(text.parse::<GoDuration>(), Err(why), "{text}");
    }
}

#[test]
fn uptime_leaves_out_leading_units_only() {
    for (seconds, text) in
        [(0, "0s"), (61, "1m1s"), (3_600, "1h0m0s"), (90_061, "1d1h1m1s"), (31_536_000, "1y0d0h0m0s")]
    {
        assert_eq!(uptime(Duration::from_secs(seconds)), text);
    }
}

proptest! {
    #[test]
    fn a_printed_duration_reads_back_as_itself(nanos: i64) {
        prop_assert_eq!(GoDuration(nanos).to_string().parse(), Ok(GoDuration(nanos)));
    }

    #[test]
    fn no_text_panics(text in "[-+0-9.a-zµ ]{0,30}") {
        let _ = text.parse::<GoDuration>();
    }
}
