//! The pages: what is asked for over HTTP, and which document answers it.

mod dashboard;

use std::sync::Arc;

use api::monitoring::options::{
    AccstatzOptions, ConnectionState, ConnzOptions, GatewayzOptions, HealthzOptions, JszOptions, LeafzOptions, Page,
    RoutezOptions, SubszOptions,
};

use crate::answer::Answer;
use crate::observatory::{Fault, Observatory, Place};
use crate::query::Query;
use crate::settings::MonitorSettings;

/// What visitors find.
pub(crate) struct House {
    pub(crate) observatory: Arc<Observatory>,
    pub(crate) settings: MonitorSettings,
}

impl House {
    /// `port` is the one that was got.
    pub(crate) fn new(observatory: Arc<Observatory>, settings: MonitorSettings, port: u16, is_secure: bool) -> Self {
        let (http_port, https_port) = if is_secure { (0, port) } else { (port, 0) };
        let (host, base_path) = (settings.host.clone(), settings.base().to_owned());
        // The first monitor is the one that is told of.
        let _ = observatory.place.set(Place { host, http_port, https_port, base_path });
        Self { observatory, settings }
    }

    /// The page of this path, without the base path; nothing if there is none.
    pub(crate) fn page(&self, path: &str, query: &Query) -> Option<Result<Answer, Fault>> {
        let counted = match path {
            "/" => "/",
            // Not counted.
            "/raftz" => return Some(Ok(Answer::no_groups())),
            "/ipqueuesz" => return Some(query.flag("all").map(|_| Answer::no_queues())),
            "/dashboard.css" | "/dashboard.js" => return dashboard::part(path).map(Ok),
            "/trustz" => "/trustz",
            "/varz" => "/varz",
            "/connz" => "/connz",
            "/routez" => "/routez",
            "/gatewayz" => "/gatewayz",
            "/leafz" => "/leafz",
            "/subsz" | "/subscriptionsz" => "/subsz",
            "/accountz" => "/accountz",
            "/accstatz" => "/accstatz",
            "/jsz" => "/jsz",
            "/healthz" => "/healthz",
            "/metrics" => "/metrics",
            _ => return None,
        };
        self.observatory.state().visits.count(counted);
        Some(self.counted_page(counted, query))
    }

    fn counted_page(&self, page: &'static str, query: &Query) -> Result<Answer, Fault> {
        let sky = &self.observatory;
        Ok(match page {
            "/" => self.dashboard(),
            "/trustz" => Answer::document(&sky.trustz()),
            "/varz" => Answer::document(&sky.varz()),
            "/connz" => Answer::document(&sky.connz(&connz(query)?)?),
            "/routez" => Answer::document(&sky.routez(&RoutezOptions { subscriptions: query.subscriptions()? })),
            "/gatewayz" => Answer::document(&sky.gatewayz(&gatewayz(query)?)),
            "/leafz" => Answer::document(&sky.leafz(&leafz(query)?)),
            "/subsz" => Answer::document(&sky.subsz(&subsz(query)?)?),
            "/accountz" => Answer::document(&sky.accountz(query.text("acc"))?),
            "/accstatz" => Answer::document(&sky.accstatz(&accstatz(query)?)),
            "/jsz" => {
                let not_leader = || Fault("filtered response: not leader".to_owned());
                Answer::document(&sky.jsz(&jsz(query)?)?.ok_or_else(not_leader)?)
            }
            "/healthz" => {
                let options = healthz(query)?;
                if query.flag("js-enabled")? {
                    sky.facts.warn("Healthcheck: js-enabled deprecated, use js-enabled-only instead");
                }
                let (status, report) = sky.healthz(&options);
                Answer::health(status, &report)
            }
            _ => sky.metrics(),
        })
    }
}

fn connz(query: &Query) -> Result<ConnzOptions, Fault> {
    let auth = query.flag("auth")?;
    let subscriptions = query.subscriptions()?;
    let page = query.page()?;
    let id = query.number("cid")?;
    let state = match query.text("state").to_ascii_lowercase().as_str() {
        "" | "open" => ConnectionState::Open,
        "closed" => ConnectionState::Closed,
        "any" | "all" => ConnectionState::Any,
        _ => return Err(Fault(format!("Error decoding state for {}", query.text("state")))),
    };
    let [sort, user, account, mqtt_client] = ["sort", "user", "acc", "mqtt_client"].map(|name| query.owned(name));
    let filter_subject = String::new();
    Ok(ConnzOptions { sort, state, page, subscriptions, auth, id, user, account, mqtt_client, filter_subject })
}

fn subsz(query: &Query) -> Result<SubszOptions, Fault> {
    let subscriptions = query.flag("subs")?;
    Ok(SubszOptions { page: query.page()?, subscriptions, account: query.owned("acc"), test: query.owned("test") })
}

fn gatewayz(query: &Query) -> Result<GatewayzOptions, Fault> {
    let subscriptions = query.subscriptions()?;
    let account = query.owned("acc_name");
    let accounts = query.flag("accs")? || !account.is_empty();
    Ok(GatewayzOptions { name: query.owned("gw_name"), accounts, account, subscriptions })
}

fn leafz(query: &Query) -> Result<LeafzOptions, Fault> {
    Ok(LeafzOptions { subscriptions: query.flag("subs")?, account: query.owned("acc") })
}

fn accstatz(query: &Query) -> Result<AccstatzOptions, Fault> {
    Ok(AccstatzOptions { accounts: Vec::new(), include_unused: query.flag("unused")? })
}

fn jsz(query: &Query) -> Result<JszOptions, Fault> {
    let [accounts, streams, consumers, direct_consumers, config, leader_only, raft, stream_leader_only] =
        query.flags([
            "accounts",
            "streams",
            "consumers",
            "direct-consumers",
            "config",
            "leader-only",
            "raft",
            "stream-leader-only",
        ])?;
    let page: Page = query.page()?;
    Ok(JszOptions {
        account: query.owned("acc"),
        accounts,
        streams,
        consumers,
        direct_consumers,
        config,
        leader_only,
        page,
        raft,
        stream_leader_only,
    })
}

fn healthz(query: &Query) -> Result<HealthzOptions, Fault> {
    let [enabled, enabled_only, server_only, meta_only, details] =
        query.flags(["js-enabled", "js-enabled-only", "js-server-only", "js-meta-only", "details"])?;
    let [account, stream, consumer] = ["account", "stream", "consumer"].map(|name| query.owned(name));
    Ok(HealthzOptions {
        enabled_only: enabled || enabled_only,
        server_only,
        meta_only,
        account,
        stream,
        consumer,
        details,
    })
}
