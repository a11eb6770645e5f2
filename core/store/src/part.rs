//! Work that is done in parts: a request is no more work at a time than others are, however much it asks for.
//!
//! What such work may cost is counted in looks: at a message, or at a subject, by a few filters. Whoever asks says how many it may
//! be, and is left with those that were not needed; with none left it asks again later, and goes on.

use std::any::Any;

/// What came of work that is done in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<T> {
    /// It is done.
    Done(T),
    /// There is more to look at than was allowed; asked again it goes on.
    Unfinished,
}

impl<T> Part<T> {
    /// What came of it, if it is done.
    pub fn done(self) -> Option<T> {
        match self {
            Part::Done(done) => Some(done),
            Part::Unfinished => None,
        }
    }
}

/// What came of a look for a message among older and older ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// The newest that fits.
    Found(u64),
    /// There is none.
    End,
    /// It would take longer than was allowed.
    Stopped,
}

/// Memory that nothing needs any more. To give it back takes long, and need not be done where others wait.
pub struct Garbage(#[expect(dead_code, reason = "it is only there to be dropped")] Box<dyn Any + Send>);

impl Garbage {
    /// Takes something over.
    pub fn of(what: impl Send + 'static) -> Garbage {
        Garbage(Box::new(what))
    }
}
