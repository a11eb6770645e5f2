//! Subjects by which a server is told to change or show what is stored.
//!
//! The server publishes with every right, and often where somebody else has said: an answer goes to the reply of a request, a
//! message to a consumer's delivery subject. Whoever could have it publish an order that way would command with the
//! server's rights (a confused deputy). So what the server says is an order only where the server means it as one
//! ([`crate::HouseMessage::orders`]); everything else that leads there goes nowhere. The same holds for acknowledgements: an
//! answer without a body would be one, and done is what it says.

use subject::MappedReply;

use crate::sharing::requester::HEADER;

/// The first token of what belongs to streams.
const STREAMS: &[u8] = b"$JS.";

/// The interface of streams: `$JS.API.>`, and `$JS.<domain>.API.>` of another domain.
const INTERFACE: &[u8] = b"API.";

/// Whether whoever listens to this subject takes it for an order.
pub(crate) fn is_order(subject: &[u8]) -> bool {
    let Some(rest) = subject.strip_prefix(STREAMS) else { return false };
    let behind_domain = || {
        let dot = rest.iter().position(|byte| *byte == b'.')?;
        rest.get(dot + 1..)
    };
    rest.starts_with(INTERFACE) || behind_domain().is_some_and(|rest| rest.starts_with(INTERFACE))
}

/// On these the consumers of streams are acknowledged.
const ACKS: &[u8] = b"$JS.ACK.";

/// An acknowledgement that begins like this asks for the next message.
const AND_NEXT: &[u8] = b"+NXT";

/// What a message may have a server do that keeps streams, as far as its subject says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weight {
    /// To store it.
    Light,
    /// An acknowledgement: perhaps to send the next message.
    Ack,
    /// To do what it says.
    Order,
}

impl Weight {
    /// Of a subject; of an answer on its way to another cluster, of what arrives there.
    pub(crate) fn of(subject: &[u8]) -> Self {
        let subject = MappedReply::parse(subject).map_or(subject, |mapped| mapped.reply);
        match () {
            () if is_order(subject) => Self::Order,
            () if subject.starts_with(ACKS) => Self::Ack,
            () => Self::Light,
        }
    }

    /// Whether whoever listens there does what it is told.
    pub(crate) fn commands(self) -> bool {
        self != Self::Light
    }

    /// Whether a server that keeps streams has to judge by the rights of whoever published this.
    pub(crate) fn is_judged(self, headers: &[u8], payload: &[u8]) -> bool {
        match self {
            Self::Order => true,
            Self::Ack if payload.starts_with(AND_NEXT) => true,
            Self::Ack | Self::Light => acts(headers),
        }
    }
}

/// What headers go on with that have a stream read, remove or publish something, or tell the last of what it has.
const ACTING: [&[u8]; 4] = [b"Rollup", b"Schedule", b"Expected-Last-", b"Incr"];

/// What all of a stream's headers begin with.
const STREAM_HEADER: &[u8] = b"Nats-";

/// Whether there may be a header by which a message has a stream do more than to store it. Wherever it stands: a reader may be
/// more generous than another about where a line begins.
pub fn acts(headers: &[u8]) -> bool {
    let begins =
        |bytes: &[u8], with: &[u8]| bytes.get(..with.len()).is_some_and(|part| part.eq_ignore_ascii_case(with));
    memchr::memchr2_iter(b'n', b'N', headers).any(|at| {
        let rest = headers.get(at..).unwrap_or_default();
        begins(rest, STREAM_HEADER)
            && ACTING.iter().any(|acting| begins(rest.get(STREAM_HEADER.len()..).unwrap_or_default(), acting))
    })
}

/// Whether there may be a header that says who asks.
pub(crate) fn says_who_asks(headers: &[u8]) -> bool {
    let header = HEADER.as_bytes();
    memchr::memchr2_iter(b'n', b'N', headers)
        .any(|at| headers.get(at..at + header.len()).is_some_and(|part| part.eq_ignore_ascii_case(header)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_of_streams_in_any_domain_takes_orders() {
        for order in ["$JS.API.STREAM.DELETE.X", "$JS.API.INFO", "$JS.hub.API.STREAM.PURGE.X"] {
            assert!(is_order(order.as_bytes()), "{order}");
        }
        for none in [
            "$JS.ACK.S.C.1.2.3.4.5",
            "$JS.FC.S.C.x",
            "$JS.API",
            "$JS.a.b.API.X",
            "$JSC.R.x",
            "orders.$JS.API.X",
            "$JS.",
        ] {
            assert!(!is_order(none.as_bytes()), "{none}");
        }
    }

    #[test]
    fn what_is_judged_is_what_orders_reads_or_acts() {
        let is_judged = |subject: &str, headers: &str, payload: &str| {
            Weight::of(subject.as_bytes()).is_judged(headers.as_bytes(), payload.as_bytes())
        };
        assert!(is_judged("$JS.API.DIRECT.GET.S", "", "") && is_judged("$JS.hub.API.INFO", "", ""));
        assert!(is_judged("_GR_.abcdef.ghijkl.$JS.API.DIRECT.GET.S", "", ""), "a mark hides nothing");
        assert!(is_judged("$JS.ACK.S.C.1.1.1.1.0", "", "+NXT 5") && !is_judged("$JS.ACK.S.C.1.1.1.1.0", "", "+ACK"));
        assert!(is_judged("$GR.abcd.$JS.ACK.S.C.1.1.1.1.0", "", "+NXT"));
        assert!(!is_judged("orders.new", "NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n", "+NXT"));
        for line in [
            "Nats-Rollup: all",
            "nats-rollup : sub",
            "x: y\n NATS-SCHEDULE-TARGET: a",
            "Nats-Scheduler: b",
            "Nats-Expected-Last-Msg-Id: c",
        ] {
            assert!(is_judged("orders.new", &format!("NATS/1.0\r\n{line}\r\n\r\n"), ""), "{line}");
        }
    }
}
