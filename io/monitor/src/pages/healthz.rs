//! `/healthz`: a probe for whoever restarts or chooses servers.

use api::monitoring::Healthz;
use api::monitoring::healthz::HealthError;

use crate::answer::Answer;
use crate::pages::House;
use crate::query::{Fault, Query};

/// What is wrong, and how it is told.
struct Illness {
    status: u16,
    kind: &'static str,
    text: String,
}

impl House {
    pub(super) fn healthz(&self, query: &Query) -> Result<Answer, Fault> {
        query.flags(["js-enabled", "js-enabled-only", "js-server-only", "js-meta-only"])?;
        let details = query.flag("details")?;
        let Some(illness) = self.illness(query) else {
            return Ok(Answer::health(200, &Healthz { status: "ok", error: None, errors: Vec::new() }));
        };
        self.facts.warn(&match details {
            true => "Healthcheck failed: 1 errors".to_owned(),
            false => format!("Healthcheck failed: {}", subject::Quoted(illness.text.as_bytes())),
        });
        Ok(Answer::health(illness.status, &told(illness, details)))
    }

    /// Streams are not part of this server yet, so their health is no question.
    fn illness(&self, query: &Query) -> Option<Illness> {
        let bad = |text: &str| Some(Illness { status: 400, kind: "BAD_REQUEST", text: text.to_owned() });
        let [account, stream, consumer] = ["account", "stream", "consumer"].map(|name| query.text(name));
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
        return Healthz { status: "error", error: Some(text), errors: Vec::new() };
    }
    let error = HealthError { kind, account: None, stream: None, consumer: None, error: Some(text) };
    Healthz { status: "error", error: None, errors: vec![error] }
}
