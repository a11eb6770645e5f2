//! Floods become numbers.

use std::time::Duration;

use audit::{
    Class, Counts, GATE_KINDS_MAX, GATE_KINDS_OF_ONE_ACCOUNT_MAX, GATE_KINDS_OF_ONE_USER_MAX, Gate, Outcome, Record,
};
use moment::Instant;

const WINDOW: Duration = Duration::from_secs(10);

/// What the window that ends has counted.
fn counted(gate: &mut Gate) -> Vec<Record> {
    gate.end_window(gate.due()).map(Counts::records).unwrap()
}

fn refused(user: &str) -> Record {
    Record { user: user.to_owned(), ..Record::new(Class::Login, Outcome::Refused) }
}

#[test]
fn the_first_passes_and_repetitions_are_counted_per_window() {
    let mut gate = Gate::new(WINDOW, Instant::START);
    assert!(gate.passes(&refused("eve")));
    assert!((0..99).all(|_| !gate.passes(&refused("eve"))));
    assert!(gate.passes(&refused("bob")));
    assert!(gate.end_window(Instant::START + Duration::from_secs(9)).is_none());
    let counted = counted(&mut gate);
    assert_eq!(counted, [Record { count: 99, ..refused("eve") }], "what came once was written already");
    assert!(gate.passes(&refused("eve")), "the next window begins anew");
}

#[test]
fn more_kinds_than_there_is_room_for_are_counted_together() {
    let mut gate = Gate::new(WINDOW, Instant::START);
    let from = |number: usize| Record { from: number.to_string(), ..refused("eve") };
    let passed = (0..GATE_KINDS_MAX + 500).filter(|number| gate.passes(&from(*number))).count();
    assert_eq!(passed, GATE_KINDS_MAX);
    let counted = counted(&mut gate);
    assert_eq!(counted.len(), 1);
    assert_eq!((counted[0].count, counted[0].what.as_str()), (500, "and others like it"));
}

#[test]
fn who_floods_with_ever_new_names_takes_neither_the_others_places_nor_a_line_for_each() {
    let mut gate = Gate::new(WINDOW, Instant::START);
    let by = |from: &str, user: &str| Record { from: from.to_owned(), ..refused(user) };
    let passed = (0..10_000).filter(|user| gate.passes(&by("10.0.0.1", &user.to_string()))).count();
    assert_eq!(passed, GATE_KINDS_OF_ONE_USER_MAX);
    assert!(gate.passes(&by("10.0.0.2", "joe")), "the others are told of");
    let counted = counted(&mut gate);
    assert_eq!(counted.len(), 1);
    let rest = (10_000 - GATE_KINDS_OF_ONE_USER_MAX) as u64;
    assert_eq!((counted[0].count, counted[0].from.as_str()), (rest, "10.0.0.1"));
    assert!(gate.passes(&by("10.0.0.1", "one more")), "the next window begins anew");
}

/// Whoever is behind a gateway or a leaf node comes from its address.
#[test]
fn who_floods_takes_no_places_of_others_behind_the_same_address() {
    let mut gate = Gate::new(WINDOW, Instant::START);
    let denied = |account: &str, user: &str, what: usize| Record {
        from: "10.0.0.1".to_owned(),
        account: account.to_owned(),
        user: user.to_owned(),
        what: what.to_string(),
        ..Record::new(Class::Denial, Outcome::Refused)
    };
    let passed = (0..10_000).filter(|what| gate.passes(&denied("A", "eve", *what))).count();
    assert_eq!(passed, GATE_KINDS_OF_ONE_USER_MAX);
    assert!(gate.passes(&denied("A", "bob", 1)) && gate.passes(&denied("B", "eve", 1)), "the others are told of");
    // An account has as many users as it likes.
    let users = (0..10_000).filter(|user| gate.passes(&denied("A", &user.to_string(), 1))).count();
    assert_eq!(users, GATE_KINDS_OF_ONE_ACCOUNT_MAX - GATE_KINDS_OF_ONE_USER_MAX - 1);
    assert!(gate.passes(&denied("B", "eve", 2)), "another account's places are its own");
    let counted = counted(&mut gate);
    let told: Vec<_> =
        counted.iter().map(|c| (c.account.as_str(), c.user.as_str(), c.count, c.what.as_str())).collect();
    let others = "and others like it";
    assert_eq!(told, [("A", "", 10_000 - users as u64, others), ("A", "eve", 10_000 - passed as u64, others)]);
}

#[test]
fn a_network_of_the_newer_protocol_is_one_address() {
    let mut gate = Gate::new(WINDOW, Instant::START);
    let by = |from: String, user: usize| Record { from, ..refused(&user.to_string()) };
    let passed = (0..10_000).filter(|n| gate.passes(&by(format!("2001:db8:1:2:{n:x}::1"), *n))).count();
    assert_eq!(passed, GATE_KINDS_OF_ONE_USER_MAX);
    assert!(gate.passes(&by("2001:db8:1:3::1".to_owned(), 1)), "its neighbours are others");
    let counted = counted(&mut gate);
    assert_eq!((counted.len(), counted[0].from.as_str()), (1, "2001:db8:1:2::/64"));
}
