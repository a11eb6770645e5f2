//! What an account without streams is told.

use serde_json::{Value, json};

use crate::errors::{CLUSTER_REQUIRED, NOT_ENABLED_FOR_ACCOUNT};
use crate::responses::failure;
use crate::{Action, ApiError, Call, CallKind};

/// The answer to a call of an account that has no streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This body.
    Body(Vec<u8>),
    /// As if nobody listened.
    NobodyThere,
    /// None.
    Silence,
    /// It is no refusal: everything that this account stores is to be removed.
    Purge(String),
}

/// What an account without streams hears. What follows the error is as empty as the answer would be.
pub fn without_streams(call: &Call<'_>) -> Refusal {
    let page = |list: Option<(&str, Value)>| {
        let mut body = json!({ "total": 0, "offset": 0, "limit": 0 });
        if let (Some((name, empty)), Some(fields)) = (list, body.as_object_mut()) {
            fields.insert(name.to_owned(), empty);
        }
        body
    };
    let body = match call.row.kind {
        CallKind::ConsumerNext | CallKind::DirectGet | CallKind::DirectGetLast => return Refusal::NobodyThere,
        CallKind::ConsumerReset => return Refusal::Silence,
        CallKind::StreamNames => page(Some(("streams", Value::Null))),
        CallKind::StreamList => page(Some(("streams", json!([])))),
        CallKind::ConsumerNames | CallKind::ConsumerList => page(Some(("consumers", json!([])))),
        CallKind::StreamInfo => page(None),
        CallKind::StreamPurge => json!({ "purged": 0 }),
        CallKind::StreamRestore => json!({ "deliver_subject": "" }),
        CallKind::ConsumerPause => json!({ "paused": false, "pause_until": "0001-01-01T00:00:00Z" }),
        _ => json!({}),
    };
    let error = match call.row.action {
        Action::Administer => return Refusal::Silence,
        Action::Place => ApiError::from(CLUSTER_REQUIRED),
        _ => ApiError::from(NOT_ENABLED_FOR_ACCOUNT),
    };
    Refusal::Body(failure(call.row.answer, &error, body))
}

/// What the system account hears: it has nothing of its own to ask for, but may have the streams of others removed.
pub fn in_system_account(call: Option<&Call<'_>>) -> Refusal {
    let word = match call.map(|call| (call.row.kind, call.row.action)) {
        Some((CallKind::AccountPurge, _)) => {
            return Refusal::Purge(call.map(|call| call.stream.to_owned()).unwrap_or_default());
        }
        Some((_, Action::Administer)) => return Refusal::Silence,
        Some((CallKind::AccountInfo, _)) => "account_info",
        _ => "system",
    };
    Refusal::Body(failure(word, &ApiError::from(NOT_ENABLED_FOR_ACCOUNT), json!({})))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(subject: &str) -> String {
        match without_streams(&Call::parse(subject).expect("a call")) {
            Refusal::Body(body) => String::from_utf8(body).expect("JSON"),
            other => format!("{other:?}"),
        }
    }

    const NOT_ENABLED: &str =
        r#""error":{"code":503,"err_code":10039,"description":"JetStream not enabled for account"}"#;

    #[test]
    fn the_answers_are_those_of_the_reference() {
        let info = told("$JS.API.STREAM.NAMES");
        assert_eq!(
            info,
            format!(
                r#"{{"type":"io.nats.jetstream.api.v1.stream_names_response",{NOT_ENABLED},"total":0,"offset":0,"limit":0,"streams":null}}"#
            )
        );
        assert!(told("$JS.API.CONSUMER.LIST.X").ends_with(r#","total":0,"offset":0,"limit":0,"consumers":[]}"#));
        assert!(told("$JS.API.STREAM.CANCEL_MOVE.X").contains("10010"));
        assert_eq!(told("$JS.API.CONSUMER.MSG.NEXT.X.C"), "NobodyThere");
        assert_eq!(told("$JS.API.META.LEADER.STEPDOWN"), "Silence");
    }

    #[test]
    fn the_system_account_is_told_the_same_whatever_it_asks() {
        let body = format!(r#"{{"type":"io.nats.jetstream.api.v1.system_response",{NOT_ENABLED}}}"#);
        assert_eq!(in_system_account(None), Refusal::Body(body.clone().into_bytes()));
        let call = Call::parse("$JS.API.STREAM.NAMES").expect("a call");
        assert_eq!(in_system_account(Some(&call)), Refusal::Body(body.into_bytes()));
        let call = Call::parse("$JS.API.ACCOUNT.PURGE.SHOP").expect("a call");
        assert_eq!(in_system_account(Some(&call)), Refusal::Purge("SHOP".to_owned()));
        assert_eq!(without_streams(&call), Refusal::Silence, "whoever is not the operator");
    }
}
