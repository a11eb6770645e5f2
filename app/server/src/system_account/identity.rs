//! What the server says of itself in answers and events.

use api::system::ServerInfo;
use api::system::filter::Candidate;
use broker::{ClientSettings, Hub};

use crate::system;

/// The server, as the next of its messages tells of it.
pub(super) fn server_info(hub: &Hub) -> ServerInfo {
    let settings = hub.settings();
    let ClientSettings { greeting, about, .. } = &*settings;
    ServerInfo {
        name: greeting.server_name.clone(),
        host: greeting.host.clone(),
        id: greeting.server_id.clone(),
        cluster: greeting.cluster.clone().unwrap_or_default(),
        domain: greeting.domain.clone().unwrap_or_default(),
        ver: greeting.version.clone(),
        tags: about.tags.clone(),
        metadata: about.metadata.clone(),
        feature_flags: about.feature_flags.clone(),
        jetstream: greeting.jetstream,
        flags: about.capabilities,
        seq: hub.next_event(),
        time: system::wall().to_string(),
    }
}

/// What filters look at.
pub(super) fn candidate(settings: &ClientSettings) -> Candidate<'_> {
    let greeting = &settings.greeting;
    Candidate {
        name: &greeting.server_name,
        cluster: greeting.cluster.as_deref().unwrap_or_default(),
        host: &greeting.host,
        tags: &settings.about.tags,
        domain: greeting.domain.as_deref().unwrap_or_default(),
    }
}
