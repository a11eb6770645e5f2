//! Subscribers inside the server: system services, streams, the callout.

/// A message as it is handed to a part of this server. Borrowed from the read buffer: copy what outlives the call.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it was published to, after mappings.
    pub subject: &'a [u8],
    /// Where an answer goes.
    pub reply: Option<&'a [u8]>,
    /// The header block, with its final empty line; empty if there is none.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// Who published a message, for subscribers that answer or account for it.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// The connection, unless the server itself published.
    pub link: Option<&'a std::sync::Arc<crate::Link>>,
    /// The account in which it was published.
    pub account: &'a std::sync::Arc<crate::AccountState>,
}

/// A subscriber inside the server. Called on a worker, between parsing and flushing: it must neither block nor take
/// long, so it usually puts the message on a bounded queue of its own.
pub trait InternalSubscriber: Send + Sync {
    /// Takes a message that matched.
    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>);
}
