//! Who follows a message by a trace.

use moment::Timestamp;

/// Somebody who follows a message to the stream that takes it, and wants to hear what became of it there.
pub trait Follower: Send + Sync {
    /// The message is only followed: it is looked at, and nothing is stored or acknowledged.
    fn is_only(&self) -> bool;
    /// What a stream made of it. Nothing is heard if it came to none.
    fn tell(&self, made: &Made<'_>);
}

/// What a stream made of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The subject it has there; `None` if it did not come that far.
    pub subject: Option<&'a [u8]>,
    /// Nobody is interested in it, so that it is not kept.
    pub no_interest: bool,
    /// Why it was not taken.
    pub error: Option<String>,
    /// When that was.
    pub at: Timestamp,
}
