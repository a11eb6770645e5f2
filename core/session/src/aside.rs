//! Operations that need neither the graph nor a login: what servers say, said by a client.

use subject::Quoted;
use wire::CloseReason;
use wire::client::Op;

/// What an operation that is none of a client's business leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aside {
    /// Nothing.
    Ignore,
    /// Close without a word, with this line in the log.
    Close(CloseReason, String),
    /// It is not one of these operations; whoever has the session decides.
    NotMine,
}

/// Decides about `INFO`, `+OK` and `-ERR` of a client.
pub fn aside(op: &Op<'_>) -> Aside {
    match op {
        Op::Ok => Aside::Ignore,
        Op::Info(json) => match serde_json::from_slice::<Option<serde_json::Map<String, serde_json::Value>>>(json) {
            Ok(_) => Aside::Ignore,
            Err(error) => Aside::Close(CloseReason::ProtocolViolation, format!("INFO is not a JSON object: {error}")),
        },
        Op::Err(text) => {
            let quoted = Quoted(text).to_string();
            let text = quoted.trim_matches('"');
            Aside::Close(CloseReason::ParseError, format!("Client Error {text}"))
        }
        Op::Connect(_) | Op::Publish(_) | Op::Subscribe { .. } | Op::Unsubscribe { .. } | Op::Ping | Op::Pong => {
            Aside::NotMine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_client_ends_the_connection_and_cannot_forge_a_log_line() {
        let close = |text: &str| Aside::Close(CloseReason::ParseError, text.into());
        assert_eq!(aside(&Op::Err(b"foo")), close("Client Error foo"));
        assert_eq!(aside(&Op::Err(b"'a'\r[INF] b")), close("Client Error 'a'\\r[INF] b"));
    }

    #[test]
    fn an_info_is_ignored_if_it_is_one() {
        assert_eq!(aside(&Op::Info(b"{}")), Aside::Ignore);
        assert_eq!(aside(&Op::Info(br#"{"nonce":"mine"}"#)), Aside::Ignore);
        assert!(matches!(aside(&Op::Info(b"x")), Aside::Close(CloseReason::ProtocolViolation, _)));
        assert_eq!(aside(&Op::Ok), Aside::Ignore);
    }
}
