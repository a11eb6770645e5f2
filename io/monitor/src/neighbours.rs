//! Other servers that told something lately.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Servers that are remembered. Those beyond are not counted.
const SERVERS_MAX: usize = 4_096;

/// Who has told nothing for so long is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(150);

/// The longest name that is remembered: servers have ids of 56 characters.
const ID_BYTES_MAX: usize = 64;

/// The servers, and when they were heard last.
#[derive(Default)]
pub(crate) struct Neighbours(Mutex<HashMap<Box<str>, Instant>>);

impl Neighbours {
    /// A server has told something.
    pub(crate) fn heard(&self, id: &str, now: Instant) {
        let mut known = self.lock();
        if let Some(at) = known.get_mut(id) {
            *at = now;
            return;
        }
        if known.len() >= SERVERS_MAX {
            forget(&mut known, now);
        }
        if known.len() < SERVERS_MAX && id.len() <= ID_BYTES_MAX {
            known.insert(id.into(), now);
        }
    }

    /// A server has said that it goes.
    pub(crate) fn gone(&self, id: &str) {
        self.lock().remove(id);
    }

    /// How many there are.
    pub(crate) fn count(&self, now: Instant) -> usize {
        let mut known = self.lock();
        forget(&mut known, now);
        known.len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget(known: &mut HashMap<Box<str>, Instant>, now: Instant) {
    known.retain(|_, at| now.saturating_duration_since(*at) < FORGOTTEN_AFTER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_for_long_or_says_goodbye_counts_no_more() {
        let (neighbours, start) = (Neighbours::default(), Instant::now());
        neighbours.heard("A", start);
        neighbours.heard("B", start);
        neighbours.heard("A", start + FORGOTTEN_AFTER / 2);
        assert_eq!(neighbours.count(start + FORGOTTEN_AFTER / 2), 2);
        assert_eq!(neighbours.count(start + FORGOTTEN_AFTER), 1);
        neighbours.gone("A");
        assert_eq!(neighbours.count(start + FORGOTTEN_AFTER), 0);
    }

    #[test]
    fn however_many_names_are_told_the_list_is_bounded() {
        let (neighbours, start) = (Neighbours::default(), Instant::now());
        (0..SERVERS_MAX + 10).for_each(|name| neighbours.heard(&name.to_string(), start));
        neighbours.heard(&"x".repeat(ID_BYTES_MAX + 1), start);
        assert_eq!(neighbours.count(start), SERVERS_MAX);
        neighbours.heard("late", start + FORGOTTEN_AFTER);
        assert_eq!(neighbours.count(start + FORGOTTEN_AFTER), 1, "the old ones made room");
    }
}
