//! What was refused, and why. The peer sees the standard text; the operator sees the rule.

use std::fmt;

use subject::{Filter, Queue, Quoted};

use crate::rule::Rule;

/// What a peer wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// To publish to this subject.
    Publish(Box<[u8]>),
    /// To be answered on this subject.
    Reply(Box<[u8]>),
    /// To subscribe.
    Subscribe {
        /// To this.
        filter: Filter,
        /// As a member of this queue group.
        queue: Option<Queue>,
    },
}

/// Which rule decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// There is an allow list and nothing in it is wide enough. The first entry that speaks of some of it, if any.
    NotAllowed(Option<Rule>),
    /// Allowed for other queues only; one such entry.
    OtherQueue(Rule),
    /// This deny entry speaks of it.
    Denied(Rule),
    /// The subject belongs to the server itself.
    ReservedSubject(&'static str),
    /// The reply subject belongs to the server itself.
    ReservedReply(&'static str),
    /// The queue name belongs to the server itself.
    ReservedQueue,
    /// More tokens than the server takes in a subscription.
    TooManyTokens(usize),
}

impl Because {
    /// The same without the file in which the rule is written.
    #[must_use]
    pub fn without_place(self) -> Self {
        match self {
            Self::NotAllowed(rule) => Self::NotAllowed(rule.map(Rule::without_place)),
            Self::OtherQueue(rule) => Self::OtherQueue(rule.without_place()),
            Self::Denied(rule) => Self::Denied(rule.without_place()),
            other => other,
        }
    }
}

/// A wish that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What was wanted.
    pub action: Action,
    /// Why not.
    pub because: Because,
}

impl Denial {
    pub(crate) fn publish(subject: &[u8], because: Because) -> Self {
        Self { action: Action::Publish(subject.into()), because }
    }

    pub(crate) fn subscribe(filter: &Filter, queue: Option<&Queue>, because: Because) -> Self {
        Self { action: Action::Subscribe { filter: filter.clone(), queue: queue.cloned() }, because }
    }

    /// A subscription with more tokens than the server takes.
    pub fn too_many_tokens(filter: &Filter, queue: Option<&Queue>, limit: usize) -> Self {
        Self::subscribe(filter, queue, Because::TooManyTokens(limit))
    }

    /// The same, where an answer was to go to this subject.
    #[must_use]
    pub fn of_reply(self, reply: &[u8]) -> Self {
        Self { action: Action::Reply(reply.into()), ..self }
    }

    /// The text that the peer gets.
    pub fn wire_text(&self) -> String {
        match &self.action {
            Action::Publish(subject) => publish_denied_text(subject),
            Action::Reply(reply) => reply_denied_text(reply),
            Action::Subscribe { filter, queue } => {
                let mut text = format!("Permissions Violation for Subscription to {}", Quoted(filter.as_bytes()));
                if matches!(self.because, Because::TooManyTokens(_)) {
                    text.push_str(", too many tokens");
                } else if let Some(queue) = queue {
                    text.push_str(&format!(" using queue {}", Quoted(queue.as_bytes())));
                }
                text
            }
        }
    }

    /// The text that the peer gets when an existing subscription is taken away.
    pub fn wire_text_removed(&self, sid: &[u8]) -> String {
        format!("{} (sid {})", self.wire_text(), Quoted(sid))
    }

    /// What the peer did, in the words that operators search their logs for.
    pub fn violation(&self, sid: Option<&[u8]>) -> String {
        let sid = sid.map(|sid| format!(", SID {}", String::from_utf8_lossy(sid))).unwrap_or_default();
        match &self.action {
            Action::Publish(subject) => format!("Publish Violation - Subject {}", Quoted(subject)),
            Action::Reply(reply) => format!("Publish Violation - Reply {}", Quoted(reply)),
            Action::Subscribe { filter, queue } => {
                let kind = match self.because {
                    Because::TooManyTokens(_) => "Subscription Violation Too Many Tokens",
                    _ => "Subscription Violation",
                };
                let queue = queue.as_ref().map(|queue| format!(", Queue: {}", Quoted(queue.as_bytes())));
                format!("{kind} - Subject {}{}{sid}", Quoted(filter.as_bytes()), queue.unwrap_or_default())
            }
        }
    }
}

/// `Permissions Violation for Publish to "…"`.
pub fn publish_denied_text(subject: &[u8]) -> String {
    format!("Permissions Violation for Publish to {}", Quoted(subject))
}

/// `Permissions Violation for Publish with Reply of "…"`.
pub fn reply_denied_text(reply: &[u8]) -> String {
    format!("Permissions Violation for Publish with Reply of {}", Quoted(reply))
}

/// For the operator: what was wanted and which rule decided.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.violation(None), self.because)
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed(None) => f.write_str("no allow entry speaks of it"),
            Self::NotAllowed(Some(rule)) => write!(f, "allow {rule} is too narrow"),
            Self::OtherQueue(rule) => write!(f, "allow {rule} is for another queue"),
            Self::Denied(rule) => write!(f, "deny {rule}"),
            Self::ReservedSubject(prefix) => write!(f, "subjects \"{prefix}\" are reserved for servers"),
            Self::ReservedReply(prefix) => write!(f, "replies \"{prefix}\" are reserved for servers"),
            Self::ReservedQueue => f.write_str("the queue name is reserved for servers"),
            Self::TooManyTokens(limit) => write!(f, "more than {limit} tokens"),
        }
    }
}

impl std::error::Error for Denial {}
