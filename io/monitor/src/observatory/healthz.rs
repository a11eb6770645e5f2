//! `healthz`: a probe for whoever restarts or chooses servers.

use api::monitoring::Healthz;
use api::monitoring::healthz::HealthError;
use api::monitoring::options::HealthzOptions;

use super::Observatory;

const BAD_REQUEST: &str = "BAD_REQUEST";
const CONNECTION: &str = "CONNECTION";

/// What is wrong, with the status over HTTP that says so.
type Illness = (u16, HealthError);

impl Observatory {
    /// Whether the server can serve, and the status over HTTP that says so.
    pub fn healthz(&self, options: &HealthzOptions) -> (u16, Healthz) {
        let illnesses = self.illnesses(options);
        let Some((status, first)) = illnesses.first() else {
            return (200, Healthz { status: "ok", status_code: None, error: None, errors: Vec::new() });
        };
        let (status, text) = (*status, first.error.clone().unwrap_or_default());
        self.facts.warn(&match options.details {
            true => format!("Healthcheck failed: {} errors", illnesses.len()),
            false => format!("Healthcheck failed: {}", subject::Quoted(text.as_bytes())),
        });
        // A probe that can not be answered, and a server that is not up, are errors; what is not there is unavailable.
        let word =
            if options.details || matches!(first.kind, BAD_REQUEST | CONNECTION) { "error" } else { "unavailable" };
        let mut told = Healthz { status: word, status_code: None, error: None, errors: Vec::new() };
        match options.details {
            true => told.errors = illnesses.into_iter().map(|(_, illness)| illness).collect(),
            false => told.error = Some(text),
        }
        (status, told)
    }

    fn illnesses(&self, options: &HealthzOptions) -> Vec<Illness> {
        let one = |status, kind, text: String| {
            vec![(status, HealthError { kind, account: None, stream: None, consumer: None, error: Some(text) })]
        };
        let HealthzOptions { account, stream, consumer, .. } = options;
        if !stream.is_empty() && account.is_empty() {
            return one(400, BAD_REQUEST, "\"account\" must not be empty when checking stream health".to_owned());
        }
        if !consumer.is_empty() && stream.is_empty() {
            return one(400, BAD_REQUEST, "\"stream\" must not be empty when checking consumer health".to_owned());
        }
        let missing = self.facts.missing_listeners();
        if !missing.is_empty() {
            let text = format!("failed to be ready for connections after 1ms: {}", missing.join(", "));
            return one(500, CONNECTION, text);
        }
        if options.server_only { Vec::new() } else { self.facts.stream_troubles(options) }
    }
}
