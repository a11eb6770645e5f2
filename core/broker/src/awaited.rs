//! Subjects that somebody waits for until somebody listens to them.
//!
//! A consumer that pushes has nothing to do before anybody listens to where it delivers, and must begin at once when
//! somebody does. Looking now and then is too late: what is removed from a stream in between would never be delivered.

use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use subject::{Filter, Subject};

/// What is done once, when somebody listens. It must neither block nor take long.
pub type Told = Box<dyn FnOnce() + Send>;

/// Who waits for a subject, by a name of its own.
struct Waiting {
    by: Box<[u8]>,
    told: Told,
}

/// The subjects of one account that are waited for.
#[derive(Default)]
pub(crate) struct Awaited {
    /// Subjects, to be asked without the lock: nearly always there are none.
    count: AtomicUsize,
    subjects: Mutex<HashMap<Box<[u8]>, Vec<Waiting>>>,
}

impl Awaited {
    /// `by` waits for the subject from now on, and is told once. Who waits already is not added again.
    pub(crate) fn add(&self, subject: &[u8], by: &[u8], told: Told) {
        let mut subjects = self.subjects.lock();
        let waiting = subjects.entry(subject.into()).or_default();
        if waiting.iter().all(|waiting| &*waiting.by != by) {
            waiting.push(Waiting { by: by.into(), told });
        }
        self.count.store(subjects.len(), Ordering::Release);
    }

    /// `by` does not wait any more.
    pub(crate) fn remove(&self, subject: &[u8], by: &[u8]) {
        let mut subjects = self.subjects.lock();
        let Some(waiting) = subjects.get_mut(subject) else { return };
        waiting.retain(|waiting| &*waiting.by != by);
        if waiting.is_empty() {
            subjects.remove(subject);
        }
        self.count.store(subjects.len(), Ordering::Release);
    }

    /// Somebody listens to this. It stands in the graph already, so whoever adds a subject and then asks the graph misses
    /// nothing.
    pub(crate) fn heard(&self, filter: &Filter) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut subjects = self.subjects.lock();
        let matching: Vec<Box<[u8]>> = match filter.is_literal() {
            true => subjects.get_key_value(filter.as_bytes()).map(|(subject, _)| subject.clone()).into_iter().collect(),
            false => {
                let matches = |subject: &[u8]| Subject::parse(subject).is_ok_and(|subject| filter.matches(subject));
                subjects.keys().filter(|subject| matches(subject)).cloned().collect()
            }
        };
        let found: Vec<Waiting> = matching.iter().filter_map(|subject| subjects.remove(subject)).flatten().collect();
        self.count.store(subjects.len(), Ordering::Release);
        drop(subjects);
        found.into_iter().for_each(|waiting| (waiting.told)());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::parse(text.as_bytes()).unwrap()
    }

    fn waiting(awaited: &Awaited, subject: &str, by: &str) -> Arc<AtomicUsize> {
        let told = Arc::new(AtomicUsize::new(0));
        let counted = told.clone();
        let tell = Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        awaited.add(subject.as_bytes(), by.as_bytes(), tell);
        told
    }

    #[test]
    fn who_waits_is_told_once() {
        let awaited = Awaited::default();
        let (one, two) = (waiting(&awaited, "a.b", "one"), waiting(&awaited, "a.b", "two"));
        let other = waiting(&awaited, "a.c", "other");
        awaited.heard(&filter("a.d"));
        let told = || [&one, &two, &other].map(|told| told.load(Ordering::Relaxed));
        assert_eq!(told(), [0, 0, 0]);
        awaited.heard(&filter("a.b"));
        awaited.heard(&filter("a.b"));
        assert_eq!(told(), [1, 1, 0]);
        awaited.heard(&filter("a.*"));
        assert_eq!(told(), [1, 1, 1]);
        assert_eq!(awaited.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_left_is_not_told() {
        let awaited = Awaited::default();
        let (gone, stays) = (waiting(&awaited, "a", "gone"), waiting(&awaited, "a", "stays"));
        awaited.remove(b"a", b"gone");
        awaited.remove(b"b", b"nobody");
        awaited.heard(&filter(">"));
        assert_eq!((gone.load(Ordering::Relaxed), stays.load(Ordering::Relaxed)), (0, 1));
    }
}
