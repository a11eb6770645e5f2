//! `healthz`: a probe for whoever restarts or chooses servers.

use api::monitoring::Healthz;
use api::monitoring::healthz::HealthError;
use api::monitoring::options::HealthzOptions;

use super::Observatory;

/// What is wrong, and how it is told.
struct Illness {
    status: u16,
    kind: &'static str,
    text: String,
}

impl Observatory {
    /// Whether the server can serve, and the status over HTTP that says so.
    pub fn healthz(&self, options: &HealthzOptions) -> (u16, Healthz) {
        let Some(illness) = self.illness(options) else {
            return (200, Healthz { status: "ok", status_code: None, error: None, errors: Vec::new() });
        };
        self.facts.warn(&match options.details {
            true => "Healthcheck failed: 1 errors".to_owned(),
            false => format!("Healthcheck failed: {}", subject::Quoted(illness.text.as_bytes())),
        });
        (illness.status, told(illness, options.details))
    }

    /// Streams are not part of this server yet, so their health is no question.
    fn illness(&self, options: &HealthzOptions) -> Option<Illness> {
        let bad = |text: &str| Some(Illness { status: 400, kind: "BAD_REQUEST", text: text.to_owned() });
        let HealthzOptions { account, stream, consumer, .. } = options;
        if !stream.is_empty() && account.is_empty() {
            return bad("\"account\" must not be empty when checking stream health");
        }
        if !consumer.is_empty() && stream.is_empty() {
            return bad("\"stream\" must not be empty when checking consumer health");
        }
        let missing = self.facts.missing_listeners();
        (!missing.is_empty()).then(|| Illness {
            status: 500,
            kind: "CONNECTION",
            text: format!("failed to be ready for connections after 1ms: {}", missing.join(", ")),
        })
    }
}

fn told(illness: Illness, details: bool) -> Healthz {
    let Illness { kind, text, .. } = illness;
    if !details {
        return Healthz { status: "error", status_code: None, error: Some(text), errors: Vec::new() };
    }
    let error = HealthError { kind, account: None, stream: None, consumer: None, error: Some(text) };
    Healthz { status: "error", status_code: None, error: None, errors: vec![error] }
}
