//! A message that a consumer delivered, and what its reply subject says about it.

use async_nats::Message;
use jiff::Timestamp;

/// A delivered message.
pub(crate) struct Delivery {
    pub(crate) message: Message,
    pub(crate) facts: Facts,
}

/// Where a message came from, and the how manieth it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) domain: String,
    pub(crate) stream: String,
    pub(crate) consumer: String,
    /// How often this message was delivered.
    pub(crate) deliveries: u64,
    pub(crate) stream_sequence: u64,
    pub(crate) consumer_sequence: u64,
    pub(crate) at: Timestamp,
    /// Messages that are still to come.
    pub(crate) pending: u64,
}

impl Delivery {
    /// Nothing when the message does not come from a consumer.
    #[expect(clippy::result_large_err, reason = "the message is handed back as it came")]
    pub(crate) fn of(message: Message) -> Result<Self, Message> {
        match message.reply.as_ref().and_then(|reply| Facts::parse(reply)) {
            Some(facts) => Ok(Self { message, facts }),
            None => Err(message),
        }
    }
}

impl Facts {
    /// Reads `$JS.ACK.…`, with or without domain and account in it.
    pub(crate) fn parse(reply: &str) -> Option<Self> {
        let mut tokens = reply.strip_prefix("$JS.ACK.")?.split('.');
        let count = reply.split('.').count();
        let domain = match count {
            9 => "",
            11.. => {
                let domain = tokens.next()?;
                tokens.next()?;
                domain.trim_start_matches('_')
            }
            _ => return None,
        };
        let (stream, consumer) = (tokens.next()?.to_owned(), tokens.next()?.to_owned());
        let mut number = || tokens.next()?.parse::<i64>().ok();
        let (deliveries, stream_sequence, consumer_sequence) = (number()?, number()?, number()?);
        let (at, pending) = (number()?, number()?);
        Some(Self {
            domain: domain.to_owned(),
            stream,
            consumer,
            deliveries: deliveries.try_into().ok()?,
            stream_sequence: stream_sequence.try_into().ok()?,
            consumer_sequence: consumer_sequence.try_into().ok()?,
            at: Timestamp::from_nanosecond(at.into()).ok()?,
            pending: pending.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_the_reply_are_read() {
        for (reply, domain) in [
            ("$JS.ACK.S.C.1.20.3.1700000000000000001.4", ""),
            ("$JS.ACK._.AHASH.S.C.1.20.3.1700000000000000001.4", ""),
            ("$JS.ACK.hub.AHASH.S.C.1.20.3.1700000000000000001.4.rand", "hub"),
        ] {
            let facts = Facts::parse(reply).expect(reply);
            assert_eq!((facts.domain.as_str(), facts.stream.as_str(), facts.consumer.as_str()), (domain, "S", "C"));
            assert_eq!(
                (facts.deliveries, facts.stream_sequence, facts.consumer_sequence, facts.pending),
                (1, 20, 3, 4)
            );
            assert_eq!(facts.at.as_nanosecond(), 1_700_000_000_000_000_001);
        }
        for reply in ["", "$JS.ACK.S.C.1.2.3", "$JS.ACK.S.C.x.20.3.17.4", "_INBOX.x.y"] {
            assert_eq!(Facts::parse(reply), None, "{reply}");
        }
    }
}
