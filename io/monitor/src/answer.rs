//! An answer, before it is HTTP.

use api::monitoring;

/// Content types.
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a visitor gets.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    /// Pages of other origins may read it.
    pub(crate) is_open: bool,
}

impl Answer {
    /// A document.
    pub(crate) fn document(document: &impl serde_free::Document) -> Self {
        Self { status: 200, content_type: JSON, body: document.bytes(), is_open: true }
    }

    /// A health report.
    pub(crate) fn health(status: u16, report: &monitoring::Healthz) -> Self {
        Self { status, content_type: JSON, body: monitoring::compact(report), is_open: true }
    }

    /// The visitor asked for something that makes no sense.
    pub(crate) fn fault(text: &str) -> Self {
        Self { status: 400, content_type: TEXT, body: text.as_bytes().to_vec(), is_open: false }
    }

    /// There are no groups of servers that agree on anything.
    pub(crate) fn no_groups() -> Self {
        Self { status: 404, content_type: TEXT, body: b"No Raft nodes registered".to_vec(), is_open: false }
    }

    /// No queue of a name that the reference has.
    pub(crate) fn no_queues() -> Self {
        Self { status: 200, content_type: JSON, body: b"{}".to_vec(), is_open: true }
    }

    /// There is no such page.
    pub(crate) fn nowhere() -> Self {
        Self { status: 404, content_type: TEXT, body: b"404 page not found\n".to_vec(), is_open: false }
    }

    /// The visitor has to say who it is.
    pub(crate) fn who() -> Self {
        Self { status: 401, content_type: TEXT, body: b"401 unauthorized\n".to_vec(), is_open: false }
    }

    /// The page could not be made.
    pub(crate) fn broken() -> Self {
        Self { status: 500, content_type: TEXT, body: b"500 internal server error\n".to_vec(), is_open: false }
    }

    /// A file that belongs to the first page.
    pub(crate) fn asset(content_type: &'static str, body: &'static str) -> Self {
        Self { status: 200, content_type, body: body.as_bytes().to_vec(), is_open: false }
    }

    /// The first page.
    pub(crate) fn html(body: String) -> Self {
        Self { status: 200, content_type: HTML, body: body.into_bytes(), is_open: false }
    }

    /// Samples for Prometheus.
    pub(crate) fn metrics(body: String) -> Self {
        Self { status: 200, content_type: METRICS, body: body.into_bytes(), is_open: false }
    }
}

/// Documents, without naming the library that writes them.
pub(crate) mod serde_free {
    use api::monitoring::{Accountz, Accstatz, Connz, Gatewayz, Jsz, Leafz, Routez, Subsz, Trustz, Varz, pretty};

    /// Something of `api::monitoring` that travels indented.
    pub(crate) trait Document {
        /// Its bytes.
        fn bytes(&self) -> Vec<u8>;
    }

    macro_rules! documents {
        ($($name:ident),+) => {
            $(impl Document for $name {
                fn bytes(&self) -> Vec<u8> {
                    pretty(self)
                }
            })+
        };
    }

    documents!(Accountz, Accstatz, Connz, Gatewayz, Jsz, Leafz, Routez, Subsz, Trustz, Varz);
}
