//! Floods become numbers.

use std::time::Duration;

use audit::{Class, GATE_KINDS_MAX, GATE_KINDS_OF_ONE_ADDRESS_MAX, Gate, Outcome, Record};
use moment::Instant;

const WINDOW: Duration = Duration::from_secs(10);

fn refused(user: &str) -> Record {
    Record { user: user.to_owned(), ..Record::new(Class::Login, Outcome::Refused) }
}

#[test]
fn the_first_passes_and_repetitions_are_counted_per_window() {
    let mut gate = Gate::new(WINDOW, Instant::START);
    assert!(gate.passes(&refused("eve")));
    assert!((0..99).all(|_| !gate.passes(&refused("eve"))));
    assert!(gate.passes(&refused("bob")));
    assert_eq!(gate.end_window(Instant::START + Duration::from_secs(9)), []);
    let counted = gate.end_window(Instant::START + WINDOW);
    assert_eq!(counted, [Record { count: 99, ..refused("eve") }], "what came once was written already");
    assert!(gate.passes(&refused("eve")), "the next window begins anew");
}

#[test]
fn more_kinds_than_there_is_room_for_are_counted_together() {
    let mut gate = Gate::new(WINDOW, Instant::START);
    let from = |number: usize| Record { from: number.to_string(), ..refused("eve") };
    let passed = (0..GATE_KINDS_MAX + 500).filter(|number| gate.passes(&from(*number))).count();
    assert_eq!(passed, GATE_KINDS_MAX);
    let counted = gate.end_window(Instant::START + WINDOW);
    assert_eq!(counted.len(), 1);
    assert_eq!((counted[0].count, counted[0].what.as_str()), (500, "and others like it"));
}

#[test]
fn who_floods_with_ever_new_names_takes_neither_the_others_places_nor_a_line_for_each() {
    let mut gate = Gate::new(WINDOW, Instant::START);
    let by = |from: &str, user: &str| Record { from: from.to_owned(), ..refused(user) };
    let passed = (0..10_000).filter(|user| gate.passes(&by("10.0.0.1", &user.to_string()))).count();
    assert_eq!(passed, GATE_KINDS_OF_ONE_ADDRESS_MAX);
    assert!(gate.passes(&by("10.0.0.2", "joe")), "the others are told of");
    let counted = gate.end_window(Instant::START + WINDOW);
    assert_eq!(counted.len(), 1);
    let rest = (10_000 - GATE_KINDS_OF_ONE_ADDRESS_MAX) as u64;
    assert_eq!((counted[0].count, counted[0].from.as_str()), (rest, "10.0.0.1"));
    assert!(gate.passes(&by("10.0.0.1", "one more")), "the next window begins anew");
}
