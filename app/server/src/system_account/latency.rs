//! What other servers tell of answers that came from their clients: how long a service took there.

use std::sync::Arc;
use std::time::Duration;

use broker::{AccountState, FarReport, Hub, InternalSubscriber, LinkKind, Message, Sender};
use serde_json::Value;
use subject::Filter;

/// What a server tells at most. More is not read.
const TOLD_BYTES_MAX: usize = 16 * 1024;

/// Hears what other servers tell.
struct Ear(Arc<Hub>);

/// Listens from now on.
pub(super) fn listen(hub: &Arc<Hub>, home: &AccountState) {
    let filter = Filter::parse(hub.latency_subject().as_bytes()).expect("a hash is a token");
    hub.listen(home, filter, None, Arc::new(Ear(hub.clone())));
}

impl InternalSubscriber for Ear {
    fn is_listed(&self) -> bool {
        false
    }

    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>) {
        // Users of the system account may read this, but it is servers who say it.
        let is_server =
            sender.link.is_some_and(|link| matches!(link.kind, LinkKind::Route | LinkKind::Gateway | LinkKind::Leaf));
        if !is_server || message.payload.len() > TOLD_BYTES_MAX {
            return;
        }
        let Ok(told) = serde_json::from_slice::<Value>(message.payload) else { return };
        let (Some(account), Some(reply)) = (told["account"].as_str(), told["req_id"].as_str()) else { return };
        let (measured, responder) = (&told["m2"], &told["m2"]["responder"]);
        if !responder.is_object() {
            return;
        }
        let nanos = |value: &Value| Duration::from_nanos(value.as_u64().unwrap_or(0));
        let report = FarReport {
            account,
            reply: reply.as_bytes(),
            responder: api::json::to_vec(responder),
            rtt: nanos(&responder["rtt"]),
            service: nanos(&measured["service"]),
        };
        self.0.note_latency(report, crate::system::wall());
    }
}
