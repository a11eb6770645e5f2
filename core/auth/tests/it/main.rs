//! What must be true of logins and permissions, seen from outside.

mod advisories;
mod beside;
mod callout;
mod claims;
mod explain;
mod imports;
mod login;
mod matrix;
mod monotony;
mod permissions;
mod random;
mod rules;
mod settings;
mod wire_texts;

use auth::{Admission, Attempt, Directory, Refusal, Verdict, authenticate};
use moment::Timestamp;
use subject::{Filter, Queue, Subject};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn admitted(directory: &Directory, attempt: &Attempt) -> Admission {
    match authenticate(directory, attempt, NOW) {
        Verdict::Admit(admission) => admission,
        other => panic!("{other:?}"),
    }
}

fn refused(directory: &Directory, attempt: &Attempt) -> Refusal {
    match authenticate(directory, attempt, NOW) {
        Verdict::Refuse(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn subject(text: &str) -> Subject<'_> {
    Subject::parse(text.as_bytes()).expect("the test names a subject")
}

fn filter(text: &str) -> Filter {
    text.parse().expect("the test names a filter")
}

fn queue(text: &str) -> Queue {
    Queue::parse(text.as_bytes()).expect("the test names a queue")
}
