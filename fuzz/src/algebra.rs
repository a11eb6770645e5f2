//! Subjects: what `matches`, `covers` and `overlaps` owe each other.

use subject::transform::Transform;
use subject::{Filter, Subject};

/// Three lines: two filters and a subject.
pub(crate) fn filters(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (wide, narrow, subject) = (Filter::parse(next()), Filter::parse(next()), Subject::parse(next()));
    let (Ok(wide), Ok(narrow)) = (wide, narrow) else { return };
    assert!(wide.covers(&wide) && wide.overlaps(&wide), "a filter covers itself");
    assert_eq!(wide.overlaps(&narrow), narrow.overlaps(&wide), "overlap has no direction");
    assert!(!wide.covers(&narrow) || wide.overlaps(&narrow), "what covers overlaps");
    assert!(Filter::everything().covers(&narrow), "everything covers all");
    let Ok(subject) = subject else { return };
    let both = wide.matches(subject) && narrow.matches(subject);
    assert!(!both || wide.overlaps(&narrow), "one subject in both is an overlap");
    assert!(!(wide.covers(&narrow) && narrow.matches(subject)) || wide.matches(subject), "the wider matches too");
}

/// Three lines: a source, a destination and a subject.
pub(crate) fn transform(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (source, destination, subject) = (next(), next(), Subject::parse(next()));
    let Ok(transform) = Transform::new(source, destination) else { return };
    let Ok(subject) = subject else { return };
    if transform.matches(subject) {
        let made = transform.apply(subject, 7);
        assert_eq!(made, transform.apply(subject, 7), "the same chance gives the same subject");
    }
}
