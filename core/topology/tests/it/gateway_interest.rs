use bulwark_topology::{MAX_NO_INTEREST, Optimism};
use subject::Filter;

fn filter(text: &str) -> Filter {
    Filter::parse(text.as_bytes()).expect("a filter")
}

#[test]
fn an_optimistic_server_gets_everything_until_it_refuses() {
    let mut there = Optimism::default();
    assert!(there.sends("A", b"foo"));
    assert!(!there.unsubscribes("A", b"foo"), "no interest ends");
    assert!(!there.sends("A", b"foo") && there.sends("A", b"bar") && there.sends("B", b"foo"));
    assert!(!there.subscribes("A", &filter("foo")), "no interest begins");
    assert!(there.sends("A", b"foo"));
    for subject in ["x.1", "x.2", "y"] {
        there.unsubscribes("A", subject.as_bytes());
    }
    there.subscribes("A", &filter("x.*"));
    assert!(there.sends("A", b"x.1") && there.sends("A", b"x.2") && !there.sends("A", b"y"));
    there.account_wants_nothing("A");
    assert!(!there.sends("A", b"x.1"));
    there.account_wants("A");
    assert!(there.sends("A", b"y"));
}

#[test]
fn who_tells_what_he_wants_gets_that_and_nothing_else() {
    let mut there = Optimism::default();
    there.unsubscribes("A", b"refused");
    there.all_follows("A");
    assert!(there.sends("A", b"other") && !there.sends("A", b"refused"), "until everything was told");
    assert!(there.subscribes("A", &filter("foo.*")), "it is interest");
    there.all_sent("A");
    assert!(!there.sends("A", b"other") && !there.sends("A", b"foo.1"), "by interest alone");
    assert!(there.unsubscribes("A", b"foo.*"), "interest ends");
    there.account_wants_nothing("A");
    there.account_wants("A");
    assert!(!there.sends("A", b"other"), "it has told what it wants");
    assert!(there.sends("B", b"other"), "of another account nothing is known");
}

#[test]
fn a_server_that_refuses_without_end_fills_no_memory() {
    let mut there = Optimism::default();
    for number in 0..=MAX_NO_INTEREST {
        there.unsubscribes("A", number.to_string().as_bytes());
    }
    assert!(!there.sends("A", b"0") && there.sends("A", MAX_NO_INTEREST.to_string().as_bytes()));
}
