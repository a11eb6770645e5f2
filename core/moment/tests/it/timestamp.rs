use bulwark_moment::{Duration, Timestamp};
use proptest::prelude::*;

#[test]
fn timestamps_print_with_as_many_decimals_as_needed() {
    for (nanos, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (951_782_400_500_000_000, "2000-02-29T00:00:00.5Z"),
        (1_764_000_000_000_000_000, "2025-11-24T16:00:00Z"),
        (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
    ] {
        assert_eq!(Timestamp::from_nanos(nanos).to_string(), text);
        assert_eq!(text.parse(), Ok(Timestamp::from_nanos(nanos)), "{text}");
    }
}

#[test]
fn an_offset_is_taken_off() {
    let utc: Timestamp = "2025-11-24T16:00:00Z".parse().expect("valid");
    assert_eq!("2025-11-24T18:30:00+02:30".parse(), Ok(utc));
    assert_eq!("2025-11-24T11:00:00.000-05:00".parse(), Ok(utc));
}

#[test]
fn what_is_no_timestamp_is_refused() {
    for text in [
        "",
        "2025-11-24",
        "2025-11-24T16:00:00",
        "2025-02-29T00:00:00Z",
        "2025-13-01T00:00:00Z",
        "2025-00-01T00:00:00Z",
        "2025-01-01T24:00:00Z",
        "2025-01-01T00:00:00.Z",
        "2025-01-01T00:00:00+2:00",
        "9999-01-01T00:00:00Z",
        "2025-01-01 00:00:00Z",
        "-025-01-01T00:00:00Z",
    ] {
        assert!(text.parse::<Timestamp>().is_err(), "{text}");
    }
}

#[test]
fn arithmetic_saturates() {
    assert_eq!(Timestamp::EPOCH + Duration::MAX, Timestamp::MAX);
    assert_eq!(Timestamp::MAX.since(Timestamp::from_nanos(i64::MIN)), Duration::from_nanos(u64::MAX));
    assert_eq!(Timestamp::EPOCH.since(Timestamp::MAX), Duration::ZERO);
    assert_eq!(Timestamp::from_secs(i64::MAX), Timestamp::MAX);
}

proptest! {
    #[test]
    fn a_printed_timestamp_reads_back_as_itself(nanos: i64) {
        let moment = Timestamp::from_nanos(nanos);
        prop_assert_eq!(moment.to_string().parse(), Ok(moment));
    }
}
