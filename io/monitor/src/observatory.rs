//! The observatory: documents from snapshots of the hub, for whoever asks, over HTTP or as a system service.

mod accounts;
mod connz;
mod healthz;
mod links;
mod rows;
mod sharing;
mod statsz;
mod streams;
mod subsz;
mod trustz;
mod varz;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use broker::Hub;

use crate::clock;
use crate::facts::ServerFacts;
use crate::neighbours::Neighbours;
use crate::totals::Rising;
use crate::usage::Usage;
use crate::visits::Visits;

/// The longest page of connections, subscriptions or accounts.
pub const PAGE_MAX: usize = 65_536;

/// An answer about connections lists so many subscriptions at most; connections after that are shown without.
pub const SUBSCRIPTIONS_SHOWN_MAX: usize = 262_144;

/// Why a document cannot be had; the text for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub(crate) String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// Where the monitor listens, for `varz`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) http_port: u16,
    pub(crate) https_port: u16,
    pub(crate) base_path: String,
}

/// What documents are made from. Asked on any thread; it may wait for workers, so not on theirs.
pub struct Observatory {
    pub(crate) hub: Arc<Hub>,
    pub(crate) facts: Arc<dyn ServerFacts>,
    pub(crate) place: OnceLock<Place>,
    pub(crate) neighbours: Neighbours,
    state: Mutex<State>,
}

/// What changes from document to document.
pub(crate) struct State {
    pub(crate) visits: Visits,
    pub(crate) usage: Usage,
    pub(crate) rising: Rising,
}

impl Observatory {
    /// An observatory over a hub.
    pub fn new(hub: Arc<Hub>, facts: Arc<dyn ServerFacts>) -> Arc<Self> {
        let state = State { visits: Visits::default(), usage: Usage::new(), rising: Rising::default() };
        let (place, neighbours) = (OnceLock::new(), Neighbours::default());
        Arc::new(Self { hub, facts, place, neighbours, state: Mutex::new(state) })
    }

    /// Another server has told something.
    pub fn hear_of(&self, server: &str) {
        self.neighbours.heard(server, Instant::now());
    }

    /// Another server has said that it goes.
    pub fn server_gone(&self, server: &str) {
        self.neighbours.gone(server);
    }

    /// A document that panicked must not take the others along.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server_id(&self) -> String {
        self.hub.settings().greeting.server_id.clone()
    }

    fn now(&self) -> String {
        clock::now().to_string()
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
