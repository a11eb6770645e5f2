use bulwark_moment::{Deadline, Deadlines, Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wait {
    Login,
    Ping,
    Expiry,
}

impl Deadline for Wait {
    const ALL: &'static [Wait] = &[Wait::Login, Wait::Ping, Wait::Expiry];
    fn index(self) -> usize {
        self as usize
    }
}

fn at(seconds: u64) -> Instant {
    Instant::START + Duration::from_secs(seconds)
}

#[test]
fn what_is_due_is_taken_once_and_in_order() {
    let mut waits: Deadlines<Wait, 3> = Deadlines::new();
    waits.set(Wait::Expiry, at(9));
    waits.set(Wait::Login, at(2));
    waits.set(Wait::Ping, at(1));
    assert_eq!(waits.next(), Some(at(1)));
    assert_eq!(waits.take_expired(at(2)), Some(Wait::Ping));
    assert_eq!(waits.take_expired(at(2)), Some(Wait::Login));
    assert_eq!(waits.take_expired(at(2)), None);
    assert_eq!(waits.next(), Some(at(9)));
}

#[test]
fn a_moved_or_cleared_deadline_does_not_fire_at_its_old_time() {
    let mut waits: Deadlines<Wait, 3> = Deadlines::new();
    waits.set(Wait::Ping, at(1));
    waits.set(Wait::Ping, at(5));
    waits.set(Wait::Login, at(1));
    waits.clear(Wait::Login);
    assert_eq!(waits.take_expired(at(4)), None);
    assert_eq!(waits.get(Wait::Ping), Some(at(5)));
    waits.clear_all();
    assert_eq!(waits.next(), None);
    assert_eq!(waits.take_expired(Instant::NEVER), None);
}

#[test]
fn a_huge_duration_means_never() {
    assert_eq!(at(1) + Duration::MAX, Instant::NEVER);
    assert_eq!(at(1).since(at(2)), Duration::ZERO);
    assert_eq!(at(3).since(at(2)), Duration::from_secs(1));
}
