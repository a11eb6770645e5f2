//! The pages, one file for each family.

mod accounts;
mod connz;
mod healthz;
mod links;
mod root;
mod rows;
mod subsz;
mod varz;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker::Hub;

use crate::answer::Answer;
use crate::facts::ServerFacts;
use crate::query::{Fault, Query};
use crate::settings::MonitorSettings;
use crate::totals::Rising;
use crate::usage::Usage;
use crate::visits::Visits;

/// The longest page of connections, subscriptions or accounts.
pub const PAGE_MAX: usize = 65_536;

/// An answer about connections lists so many subscriptions at most; connections after that are shown without.
pub const SUBSCRIPTIONS_SHOWN_MAX: usize = 262_144;

/// What pages are made from.
pub(crate) struct House {
    pub(crate) hub: Arc<Hub>,
    pub(crate) facts: Arc<dyn ServerFacts>,
    pub(crate) settings: MonitorSettings,
    /// The port that was got.
    pub(crate) port: u16,
    state: Mutex<State>,
}

/// What changes from page to page.
pub(crate) struct State {
    pub(crate) visits: Visits,
    pub(crate) usage: Usage,
    pub(crate) rising: Rising,
}

impl House {
    pub(crate) fn new(hub: Arc<Hub>, facts: Arc<dyn ServerFacts>, settings: MonitorSettings, port: u16) -> Self {
        let state = State { visits: Visits::default(), usage: Usage::new(), rising: Rising::default() };
        Self { hub, facts, settings, port, state: Mutex::new(state) }
    }

    /// A page that panicked must not take the others along.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server_id(&self) -> String {
        self.hub.settings().greeting.server_id.clone()
    }

    fn now(&self) -> String {
        crate::clock::now().to_string()
    }

    /// The page of this path, without the base path; nothing if there is none.
    pub(crate) async fn page(&self, path: &str, query: &Query) -> Option<Result<Answer, Fault>> {
        let counted = match path {
            "/" => "/",
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
        self.state().visits.count(counted);
        Some(match counted {
            "/" => Ok(self.root()),
            "/varz" => Ok(self.varz()),
            "/connz" => self.connz(query).await,
            "/routez" => self.routez(query),
            "/gatewayz" => self.gatewayz(query),
            "/leafz" => self.leafz(query),
            "/subsz" => self.subsz(query),
            "/accountz" => self.accountz(query),
            "/accstatz" => self.accstatz(query),
            "/jsz" => self.jsz(query),
            "/healthz" => self.healthz(query),
            _ => Ok(self.metrics()),
        })
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
