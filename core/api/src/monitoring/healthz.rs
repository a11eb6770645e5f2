//! `/healthz`: whether the server can serve.

use serde::Serialize;

/// The answer of a health probe. It travels on one line.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Healthz {
    /// `ok`, `unavailable` or `error`.
    pub status: &'static str,
    /// The status over HTTP, in the answer of the system service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is wrong, one by one, if details were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<HealthError>,
}

/// One thing that is wrong.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct HealthError {
    /// What kind of thing: `CONNECTION`, `BAD_REQUEST`, `JETSTREAM`, `ACCOUNT`, `STREAM`, `CONSUMER`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The account concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The stream concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The consumer concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
