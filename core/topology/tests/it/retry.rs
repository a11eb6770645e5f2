use std::time::Duration;

use bulwark_topology::{Attempts, Retry, delay_after, jittered};

#[test]
fn a_configured_server_is_tried_for_ever_ever_more_slowly() {
    let mut retry = Retry::new(Attempts::Forever, true);
    let delays: Vec<_> = (0..8).map(|_| retry.failed().map(|delay| delay.as_secs())).collect();
    assert_eq!(delays, [Some(1), Some(2), Some(4), Some(8), Some(16), Some(30), Some(30), Some(30)]);
    let mut steady = Retry::new(Attempts::Forever, false);
    assert!((0..50).all(|_| steady.failed() == Some(Duration::from_secs(1))));
}

#[test]
fn a_server_one_has_heard_of_is_given_up() {
    let mut retry = Retry::new(Attempts::Retries(2), false);
    assert_eq!([(); 4].map(|()| retry.failed().is_some()), [true, true, false, false]);
    let mut once = Retry::new(Attempts::Retries(0), false);
    assert_eq!(once.failed(), None);
}

#[test]
fn the_first_failure_and_every_so_many_are_reported() {
    let mut retry = Retry::new(Attempts::Forever, false);
    let reported: Vec<_> = (1..=8).filter(|_| retry.failed().is_some() && retry.is_worth_reporting(3)).collect();
    assert_eq!(reported, [1, 3, 6]);
    assert_eq!(retry.made(), 8);
}

#[test]
fn jitter_stays_below_the_double() {
    let second = Duration::from_secs(1);
    for chance in [0, 1, 999_999_999, 1_000_000_000, u64::MAX] {
        let delay = jittered(second, chance);
        assert!(delay >= second && delay < second * 2);
    }
    assert_eq!(jittered(Duration::ZERO, 5), Duration::ZERO);
}

#[test]
fn a_leaf_node_comes_back_later_if_the_hub_says_why() {
    for (text, seconds) in [
        ("'Loop detected for leafnode account=\"A\". Delaying attempt to reconnect for 30s'", Some(30)),
        ("'remote leafnode has same cluster name'", Some(30)),
        ("'connection rejected since minimum version required is \"2.16.0\"'", Some(5)),
        ("'Permissions Violation for Publish to \"x\"'", Some(30)),
        ("'Authorization Violation'", None),
    ] {
        assert_eq!(delay_after(text).map(|delay| delay.as_secs()), seconds, "{text}");
    }
}
