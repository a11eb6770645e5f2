//! Limits of one user: from its entry in the configuration, or from tags of signed claims.
//!
//! Claims have no field for rates, so tags carry them: `limit.messages_per_second:100`. A tag that begins like a limit
//! and cannot be read as one is an error: a limit that somebody wrote is never silently none.

use std::fmt;
use std::num::NonZeroU64;

use account::{Limits, Rate, Rates};
use subject::Quoted;

/// Tags that begin so are limits.
const PREFIX: &str = "limit.";

/// What all connections of one user may use together, beside the limits of each. `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Connections at the same time.
    pub max_connections: Option<u64>,
    /// What they may publish.
    pub rates: Rates,
}

impl Allowance {
    /// Nothing is limited.
    pub const fn is_unlimited(&self) -> bool {
        self.max_connections.is_none() && self.rates.is_unlimited()
    }
}

/// Limits as they are written one by one, in a block or as tags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WrittenLimits {
    /// Connections of the user.
    pub max_connections: Option<u64>,
    /// Subscriptions of one connection.
    pub max_subscriptions: Option<u64>,
    /// Bytes of one message.
    pub max_payload: Option<u64>,
    /// Messages in a second.
    pub messages_per_second: Option<NonZeroU64>,
    /// Messages at once.
    pub messages_burst: Option<NonZeroU64>,
    /// Bytes in a second.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Bytes at once.
    pub bytes_burst: Option<NonZeroU64>,
}

impl WrittenLimits {
    /// What is said about rates.
    pub fn rates(&self) -> Rates {
        Rates {
            messages: self.messages_per_second.map(|rate| Rate::new(rate, self.messages_burst)),
            bytes: self.bytes_per_second.map(|rate| Rate::new(rate, self.bytes_burst)),
        }
    }

    /// What holds for all connections of a user.
    pub fn allowance(&self) -> Allowance {
        Allowance { max_connections: self.max_connections, rates: self.rates() }
    }

    /// A burst that stands beside no rate.
    pub const fn burst_without_rate(&self) -> Option<&'static str> {
        if self.messages_burst.is_some() && self.messages_per_second.is_none() {
            return Some("messages_burst");
        }
        if self.bytes_burst.is_some() && self.bytes_per_second.is_none() {
            return Some("bytes_burst");
        }
        None
    }

    /// Limits among the tags of claims.
    ///
    /// # Errors
    /// The first tag that begins like a limit and is none, or a burst without a rate.
    pub fn of_tags(tags: &[String]) -> Result<Self, TagFault> {
        let mut limits = Self::default();
        for tag in tags {
            if let Some(written) = tag.strip_prefix(PREFIX) {
                limits.take(written).ok_or_else(|| TagFault(tag.clone()))?;
            }
        }
        limits.burst_without_rate().map_or(Ok(limits), |burst| Err(TagFault(format!("{PREFIX}{burst}"))))
    }

    fn take(&mut self, written: &str) -> Option<()> {
        let (name, number) = written.split_once(':')?;
        let number: u64 = number.trim().parse().ok()?;
        match name {
            "max_connections" => self.max_connections = Some(number),
            "max_subscriptions" => self.max_subscriptions = Some(number),
            "max_payload" => self.max_payload = Some(number),
            "messages_per_second" => self.messages_per_second = Some(NonZeroU64::new(number)?),
            "messages_burst" => self.messages_burst = Some(NonZeroU64::new(number)?),
            "bytes_per_second" => self.bytes_per_second = Some(NonZeroU64::new(number)?),
            "bytes_burst" => self.bytes_burst = Some(NonZeroU64::new(number)?),
            _ => return None,
        }
        Some(())
    }
}

/// What tags say of an account's limits, beside what its claims say in fields: the tighter holds. Tags that cannot be
/// read limit nothing here; they let nobody in, which is for the login to say.
pub(crate) fn account_limits(tags: &[String], fields: Limits) -> Limits {
    let Ok(tags) = WrittenLimits::of_tags(tags) else { return fields };
    let tags = Limits {
        max_connections: tags.max_connections,
        max_subscriptions: tags.max_subscriptions,
        max_payload: tags.max_payload,
        max_leafnodes: None,
        rates: tags.rates(),
    };
    fields.within(tags)
}

/// A tag that begins like a limit and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFault(String);

impl fmt::Display for TagFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tag {} is not a limit", Quoted(self.0.as_bytes()))
    }
}

impl std::error::Error for TagFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tags: &[&str]) -> Result<WrittenLimits, TagFault> {
        WrittenLimits::of_tags(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn tags_that_are_no_limits_are_none_of_our_business() {
        assert_eq!(read(&["team:blue", "limits", "rate.messages:1"]), Ok(WrittenLimits::default()));
    }

    #[test]
    fn limits_are_read() {
        let limits = read(&["limit.messages_per_second:100", "limit.messages_burst:300", "limit.max_connections:0"]);
        let limits = limits.unwrap();
        assert_eq!(limits.max_connections, Some(0));
        let rate = limits.rates().messages.unwrap();
        assert_eq!((rate.per_second().get(), rate.burst().get()), (100, 300));
        assert_eq!(limits.rates().bytes, None);
    }

    #[test]
    fn what_begins_like_a_limit_must_be_one() {
        for tag in [
            "limit.messages_per_second",
            "limit.messages_per_second:",
            "limit.messages_per_second:0",
            "limit.messages_per_second:-1",
            "limit.messages_per_second:many",
            "limit.message_per_second:1",
            "limit.bytes_burst:10",
        ] {
            assert!(read(&[tag]).is_err(), "{tag}");
        }
    }

    #[test]
    fn the_tighter_of_field_and_tag_holds() {
        let fields = Limits { max_connections: Some(5), max_payload: Some(9), ..Limits::default() };
        let tags = ["limit.max_connections:7".to_owned(), "limit.max_payload:8".to_owned()];
        let limits = account_limits(&tags, fields);
        assert_eq!((limits.max_connections, limits.max_payload), (Some(5), Some(8)));
    }
}
