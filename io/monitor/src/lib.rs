//! HTTP monitoring over snapshots: what a server is doing, for people, dashboards, probes and Prometheus.
//!
//! This room answers `GET` over HTTP or HTTPS on a port of its own: `/varz`, `/connz` and the others in the documents that
//! tools for NATS read (`api::monitoring` has their fields), and `/metrics` for Prometheus. It reads snapshots of the
//! [`broker::Hub`] and never asks a worker anything but to list the subscriptions of a connection. It changes nothing,
//! and does not decide who may look: whoever reaches the port may, so that the port belongs on an inner network, unless
//! [`ServerFacts::asks_who`] says that visitors log in, and [`ServerFacts::admits`] knows them.
//!
//! Everything a visitor sends has a bound ([`CONNECTIONS_MAX`], [`HEADER_BYTES_MAX`], [`HEADER_TIME_MAX`],
//! [`VISIT_TIME_MAX`], [`PAGE_MAX`]); numbers past them are cut, never added up.
//!
//! * [`Observatory`]: the documents, for whoever asks; the system account's services ask it too.
//! * [`Monitor`]: the running listener, one thread, and few that make pages.
//! * [`MonitorSettings`]: where it listens.
//! * [`ServerFacts`]: what the whole server has to tell, asked at each request.
//!
//! ```no_run
//! # fn sample(hub: std::sync::Arc<broker::Hub>) -> Result<(), bulwark_monitor::MonitorError> {
//! use std::sync::Arc;
//! use bulwark_monitor::{Monitor, MonitorSettings, Observatory, Portrait, ServerFacts};
//!
//! struct Facts;
//! impl ServerFacts for Facts {
//!     fn portrait(&self) -> Portrait {
//!         Portrait::default()
//!     }
//! }
//!
//! let settings = MonitorSettings { host: "127.0.0.1".into(), port: 8222, ..MonitorSettings::default() };
//! let monitor = Monitor::start(settings, Observatory::new(hub, Arc::new(Facts)), None)?;
//! println!("http://{}/varz", monitor.address());
//! monitor.stop();
//! # Ok(())
//! # }
//! ```

mod answer;
mod clock;
mod facts;
mod listener;
mod login;
mod metrics;
mod neighbours;
mod observatory;
mod pages;
mod query;
mod router;
mod settings;
mod totals;
mod usage;
mod visits;

pub use facts::{AccountPortrait, Busy, OperatorPortrait, Portrait, ServerFacts, TraceTotals};
pub use listener::{
    CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADER_TIME_MAX, Monitor, PAGES_AT_ONCE_MAX, SharedTls, VISIT_TIME_MAX,
};
pub use metrics::METRIC_ACCOUNTS_MAX;
pub use observatory::{Fault, Observatory, PAGE_MAX, SUBSCRIPTIONS_SHOWN_MAX};
pub use settings::{MonitorError, MonitorSettings};
