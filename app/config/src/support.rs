//! What the server of this version can do. An option it cannot carry out is an error at start-up, never ignored.

use conf::Place;

use crate::report::Report;

/// A part of the configuration that needs a part of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of the blocks")]
pub enum Feature {
    Cluster,
    Gateway,
    Leafnodes,
    LeafProxyTls,
    LeafMigrate,
    JetStream,
    ClusteredJetStream,
    DefaultDomains,
    Tpm,
    WebSocket,
    Mqtt,
    Operator,
    TrustedKeys,
    Resolver,
    UrlResolver,
    FolderResolver,
    AuthCallout,
    Tls,
    Monitoring,
    HttpsMonitoring,
    Ocsp,
    OcspPeer,
    Proxies,
    ProxyProtocol,
}

/// What is not supported yet. Taking a line out lifts the error.
const NOT_YET: &[Feature] = &[
    Feature::LeafProxyTls,
    Feature::LeafMigrate,
    Feature::ClusteredJetStream,
    Feature::DefaultDomains,
    Feature::Tpm,
    Feature::Mqtt,
    Feature::Resolver,
];

/// Options that are right and have nothing to do in this server, and why. One log line each.
const NOTHING_TO_DO: &[(&str, &str)] = &[
    ("prof_port", "there is no Go runtime to profile"),
    ("prof_block_rate", "there is no Go runtime to profile"),
    ("disable_sublist_cache", "the cache is part of the routing plan"),
    ("feature_flags", "no feature of this server depends on a flag"),
    ("extension_hint", "streams are not replicated yet"),
    ("unique_tag", "streams are not replicated yet"),
    ("max_outstanding_catchup", "streams are not replicated yet"),
    ("meta_compact", "streams are not replicated yet"),
    ("meta_compact_size", "streams are not replicated yet"),
    ("meta_compact_sync", "streams are not replicated yet"),
    ("max_ha_assets", "streams are not replicated yet"),
    ("cluster_traffic", "streams are not replicated yet"),
    ("info_queue_limit", "requests for information wait with the others, up to request_queue_limit"),
    ("max_concurrent_io", "one thread writes for all streams, and syncs files side by side"),
];

impl Feature {
    /// The option as the operator wrote it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Gateway => "gateway",
            Self::Leafnodes => "leafnodes",
            Self::LeafProxyTls => "leafnodes: a proxy that speaks TLS (https)",
            Self::LeafMigrate => "leafnodes: jetstream_cluster_migrate",
            Self::JetStream => "jetstream",
            Self::ClusteredJetStream => "jetstream together with cluster",
            Self::DefaultDomains => "default_js_domain",
            Self::Tpm => "jetstream: tpm",
            Self::WebSocket => "websocket",
            Self::Mqtt => "mqtt",
            Self::Operator => "operator",
            Self::TrustedKeys => "trusted_keys",
            // One that no operator uses.
            Self::Resolver => "resolver",
            Self::UrlResolver => "resolver: URL",
            Self::FolderResolver => "resolver: full or cache",
            Self::AuthCallout => "auth_callout",
            Self::Tls => "tls",
            Self::Monitoring => "http",
            Self::HttpsMonitoring => "https",
            Self::Ocsp => "ocsp",
            Self::OcspPeer => "ocsp_peer",
            Self::Proxies => "proxies",
            Self::ProxyProtocol => "proxy_protocol",
        }
    }
}

/// Which features count as supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support {
    not_yet: Vec<Feature>,
    opens_certificates: bool,
}

impl Support {
    /// What the server of this version can do.
    pub fn today() -> Self {
        Self { not_yet: NOT_YET.to_vec(), opens_certificates: true }
    }

    /// All that can be written. For tests, and for the rooms that are being built.
    pub const fn everything() -> Self {
        Self { not_yet: Vec::new(), opens_certificates: true }
    }

    /// The same without one feature. For tests.
    #[must_use]
    pub fn without(mut self, feature: Feature) -> Self {
        self.not_yet.push(feature);
        self
    }

    /// The same without a look into certificate files. For tests, whose files are only names.
    #[must_use]
    pub const fn without_certificates(mut self) -> Self {
        self.opens_certificates = false;
        self
    }

    pub(crate) const fn opens_certificates(&self) -> bool {
        self.opens_certificates
    }

    /// Whether the server can do this.
    pub fn has(&self, feature: Feature) -> bool {
        !self.not_yet.contains(&feature)
    }
}

/// Which features a configuration asks for, and where first.
#[derive(Debug, Default)]
pub(crate) struct Uses(Vec<(Feature, Place)>);

impl Uses {
    pub(crate) fn note(&mut self, feature: Feature, place: &Place) {
        if !self.0.iter().any(|(known, _)| *known == feature) {
            self.0.push((feature, place.clone()));
        }
    }

    /// Errors for what cannot be done.
    pub(crate) fn check(&self, support: &Support, report: &mut Report<'_>) {
        for (feature, place) in self.0.iter().filter(|(feature, _)| !support.has(*feature)) {
            report.error(place, format!("{:?} is not supported yet", feature.name()));
        }
    }
}

/// The log line for an option that is accepted with nothing to do.
pub(crate) fn nothing_to_do(key: &str, place: &Place) -> Option<String> {
    let (_, why) = NOTHING_TO_DO.iter().find(|(known, _)| *known == key)?;
    Some(format!("{place}: {key:?} is accepted and has nothing to do here: {why}"))
}

/// The keys that are accepted with nothing to do, with the reason.
pub fn accepted_with_nothing_to_do() -> &'static [(&'static str, &'static str)] {
    NOTHING_TO_DO
}
