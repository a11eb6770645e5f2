//! The top of the file: which key belongs to which block.

use conf::{Map, Node, Place};

use crate::accounts::{self, Accounts};
use crate::operator::Implied;
use crate::report::Report;
use crate::settings::{CLIENT_KEYS, Settings};
use crate::support::Feature;
use crate::tls::Context;
use crate::{
    audit, authorization, before_login, cluster, gateway, identity, jetstream, leafnodes, limits, logging, mqtt, ocsp,
    operator, process, proxies, tls, tracing, websocket,
};

/// Keys that belong to no file of their own.
const OTHER_KEYS: &[&str] = &[
    "system_account",
    "system",
    "no_system_account",
    "no_system",
    "no_sys_acc",
    "no_auth_user",
    "authorization",
    "accounts",
    "mappings",
    "maps",
    "tls",
    "ocsp",
    "ocsp_cache",
    "cluster",
    "gateway",
    "leafnodes",
    "leaf",
    "jetstream",
    "store_dir",
    "storedir",
    "default_js_domain",
    "websocket",
    "ws",
    "mqtt",
    "proxies",
    "audit",
    "tracing",
    "before_login",
    "prof_port",
    "prof_block_rate",
    "disable_sublist_cache",
    "no_sublist_cache",
];

/// Every key that may stand at the top.
pub(crate) fn keys() -> Vec<&'static str> {
    let groups = [CLIENT_KEYS, identity::KEYS, limits::KEYS, logging::KEYS, process::KEYS, operator::KEYS, OTHER_KEYS];
    groups.concat()
}

/// The settings while they are being read, and what only the checks at the end need.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) settings: Settings,
    pub(crate) accounts: Accounts,
    pub(crate) implied: Implied,
    pub(crate) authorization_place: Option<Place>,
    pub(crate) no_auth_user_place: Option<Place>,
    pub(crate) callout_place: Option<Place>,
    pub(crate) operator_place: Option<Place>,
    pub(crate) resolver_place: Option<Place>,
    pub(crate) jetstream_place: Option<Place>,
}

impl Draft {
    /// Reads a tree over what is there already. The last of several keys for one thing wins.
    pub(crate) fn read(&mut self, map: &Map, report: &mut Report<'_>) {
        for (key, node) in map.iter() {
            self.read_key(key, node, report);
        }
    }

    fn read_key(&mut self, written: &str, node: &Node, report: &mut Report<'_>) {
        let key = written.to_ascii_lowercase();
        let settings = &mut self.settings;
        let is_known = settings.clients.read(&key, node, report)
            || settings.identity.read(&key, node, report)
            || settings.limits.read(&key, written, node, report)
            || settings.logging.read(&key, node, report)
            || settings.monitoring.read(&key, node, report)
            || settings.files.read(&key, node, report)
            || settings.lame_duck.read(&key, node, report)
            || self.read_operator(&key, node, report)
            || self.read_block(&key, node, report)
            || self.read_idle(&key, node, report);
        if !is_known {
            return report.unknown(written, node, &keys());
        }
        if key == "feature_flags" {
            report.nothing_to_do("feature_flags", &node.place);
        }
    }

    fn read_block(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        let settings = &mut self.settings;
        let place = &node.place;
        match key {
            "system_account" | "system" => match node.as_str() {
                Some(name) => settings.auth.system_account = Some(name.to_owned()).filter(|name| !name.is_empty()),
                None => report.error(place, "system account name must be a string"),
            },
            "no_system_account" | "no_system" | "no_sys_acc" => {
                report.set_bool(node, &mut settings.no_system_account);
            }
            "no_auth_user" => {
                report.set_optional_text(node, &mut settings.auth.authorization.no_auth_user);
                self.no_auth_user_place = Some(place.clone());
            }
            "authorization" => {
                authorization::read(node, &mut settings.auth.authorization, report);
                self.authorization_place = Some(place.clone());
                if settings.auth.authorization.auth_callout.is_some() {
                    self.callout_place = Some(place.clone());
                    report.needs(Feature::AuthCallout, place);
                }
            }
            "accounts" => accounts::read(node, &mut self.accounts, report),
            "mappings" | "maps" => {
                settings.auth.global_mappings = accounts::read_global_mappings(node, report);
            }
            "tls" => {
                settings.tls = tls::read(node, Context::Listener, report);
                report.needs(Feature::Tls, place);
            }
            "ocsp" => {
                settings.ocsp = ocsp::read_staple(node, report);
                let is_on = settings.ocsp.as_ref().is_some_and(|staple| staple.mode != ocsp::StapleMode::Never);
                needs_if(is_on, Feature::Ocsp, place, report);
            }
            "ocsp_cache" => {
                settings.ocsp_cache = ocsp::read_cache(node, report);
                needs_if(settings.ocsp_cache.is_some(), Feature::Ocsp, place, report);
            }
            "proxies" => {
                settings.auth.trusted_proxies = proxies::read(node, report);
                let is_on = !settings.auth.trusted_proxies.is_empty();
                needs_if(is_on, Feature::Proxies, place, report);
            }
            "audit" => settings.audit = audit::read(node, report),
            "tracing" => settings.tracing = tracing::read(node, report),
            "before_login" => before_login::read(node, &mut settings.before_login, report),
            _ => return self.read_link(key, node, report),
        }
        true
    }

    fn read_link(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        let settings = &mut self.settings;
        let place = &node.place;
        match key {
            "cluster" => {
                cluster::read(node, &mut settings.cluster, report);
                report.needs(Feature::Cluster, place);
            }
            "gateway" => {
                settings.gateway = gateway::read(node, report);
                report.needs(Feature::Gateway, place);
            }
            "leafnodes" | "leaf" => {
                settings.leafnodes = leafnodes::read(node, report);
                report.needs(Feature::Leafnodes, place);
            }
            "jetstream" => {
                jetstream::read(node, &mut settings.jetstream, report);
                needs_if(settings.jetstream.enabled, Feature::JetStream, place, report);
                self.jetstream_place = Some(place.clone());
            }
            "store_dir" | "storedir" => jetstream::read_store_dir(node, &mut settings.jetstream, report),
            "default_js_domain" => {
                jetstream::read_default_domains(node, &mut settings.jetstream, report);
                report.needs(Feature::DefaultDomains, place);
            }
            "websocket" | "ws" => {
                settings.websocket = websocket::read(node, report);
                report.needs(Feature::WebSocket, place);
            }
            "mqtt" => {
                settings.mqtt = mqtt::read(node, report);
                report.needs(Feature::Mqtt, place);
            }
            _ => return false,
        }
        true
    }

    fn read_operator(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        let operator = &mut self.settings.operator;
        match key {
            "operator" | "operators" | "root" | "roots" | "root_operator" | "root_operators" => {
                operator.read_operators(node, &mut self.implied, report);
                report.needs(Feature::Operator, &node.place);
                self.operator_place = Some(node.place.clone());
            }
            "trusted" | "trusted_keys" => {
                operator.read_trusted(node, report);
                report.needs(Feature::TrustedKeys, &node.place);
            }
            "resolver" | "account_resolver" | "accounts_resolver" => {
                operator.read_resolver(node, report);
                self.resolver_place = Some(node.place.clone());
            }
            "resolver_tls" => {
                operator.read_tls(node, report);
                report.needs(Feature::UrlResolver, &node.place);
            }
            "resolver_preload" => {
                operator.read_preload(node, report);
                self.resolver_place.get_or_insert_with(|| node.place.clone());
            }
            "resolver_pinned_accounts" => {
                operator.read_pinned(node, report);
                self.resolver_place.get_or_insert_with(|| node.place.clone());
            }
            "default_sentinel" => {
                report.set_secret(node, &mut operator.default_sentinel);
                report.needs(Feature::Operator, &node.place);
            }
            _ => return false,
        }
        true
    }

    /// Options of the reference's runtime, which are right and idle here.
    fn read_idle(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        match key {
            "prof_port" => self.settings.prof_port = report.integer(node).unwrap_or_default(),
            "prof_block_rate" => self.settings.prof_block_rate = report.integer(node).unwrap_or_default(),
            "disable_sublist_cache" | "no_sublist_cache" => {
                report.set_bool(node, &mut self.settings.disable_sublist_cache);
                report.nothing_to_do("disable_sublist_cache", &node.place);
                return true;
            }
            _ => return false,
        }
        report.nothing_to_do(key, &node.place);
        true
    }
}

fn needs_if(is_on: bool, feature: Feature, place: &Place, report: &mut Report<'_>) {
    if is_on {
        report.needs(feature, place);
    }
}

/// Every key of every block, for the tests that go through all of them.
#[doc(hidden)]
pub fn known_keys() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("top", keys()),
        ("audit", audit::KEYS.to_vec()),
        ("tracing", tracing::KEYS.to_vec()),
        ("before_login", before_login::KEYS.to_vec()),
        ("authorization", authorization::KEYS.to_vec()),
        ("auth_callout", authorization::CALLOUT_KEYS.to_vec()),
        ("account", accounts::KEYS.to_vec()),
        ("limits", accounts::LIMIT_KEYS.to_vec()),
        ("account jetstream", crate::account_jetstream::KEYS.to_vec()),
        ("export", crate::exports::KEYS.to_vec()),
        ("import", crate::imports::KEYS.to_vec()),
        ("user", crate::users::KEYS.to_vec()),
        ("user limits", crate::rates::USER_KEYS.to_vec()),
        ("permissions", crate::permissions::KEYS.to_vec()),
        ("tls", tls::KEYS.to_vec()),
        ("cluster", cluster::KEYS.to_vec()),
        ("gateway", gateway::KEYS.to_vec()),
        ("leafnodes", leafnodes::KEYS.to_vec()),
        ("leaf authorization", leafnodes::AUTHORIZATION_KEYS.to_vec()),
        ("remote", crate::leaf_remote::KEYS.to_vec()),
        ("jetstream", jetstream::KEYS.to_vec()),
        ("jetstream limits", jetstream::LIMIT_KEYS.to_vec()),
        ("websocket", websocket::KEYS.to_vec()),
        ("mqtt", mqtt::KEYS.to_vec()),
    ]
}
