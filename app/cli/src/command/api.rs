//! The JetStream API: where its subjects are.

use crate::context::Record;

/// The subject of an API call, in the domain or behind the prefix of the settings.
pub(crate) fn subject(settings: &Record, call: &str) -> String {
    match (settings.jetstream_domain.as_str(), settings.jetstream_api_prefix.trim_end_matches('.')) {
        ("", "") => format!("$JS.API.{call}"),
        ("", prefix) => format!("{prefix}.{call}"),
        (domain, _) => format!("$JS.{domain}.API.{call}"),
    }
}

/// The subject of advisories and metrics, behind the event prefix of the settings.
pub(crate) fn event_subject(settings: &Record, kind: &str) -> String {
    match settings.jetstream_event_prefix.trim_end_matches('.') {
        "" => format!("$JS.EVENT.{kind}"),
        prefix => format!("{prefix}.{kind}"),
    }
}
