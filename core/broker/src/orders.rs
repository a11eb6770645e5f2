//! Subjects by which a server is told to change or show what is stored.
//!
//! The server publishes with every right, and often where somebody else has said: an answer goes to the reply of a request, a
//! message to a consumer's delivery subject. Whoever could have it publish an order that way would command with the
//! server's rights (a confused deputy). So what the server says is an order only where the server means it as one
//! ([`crate::HouseMessage::orders`]); everything else that leads there goes nowhere.

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
}
