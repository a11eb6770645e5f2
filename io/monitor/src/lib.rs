//! HTTP monitoring over snapshots: what a server is doing, for people, dashboards, probes and Prometheus.
//!
//! This room answers `GET` over plain HTTP on a port of its own: `/varz`, `/connz` and the others in the documents that
//! tools for NATS read (`api::monitoring` has their fields), and `/metrics` for Prometheus. It reads snapshots of the
//! [`broker::Hub`] and never asks a worker anything but to list the subscriptions of a connection. It changes nothing,
//! knows no password, and does not decide who may look: whoever reaches the port may, so the port belongs on an inner
//! network.
//!
//! Everything a visitor sends has a bound ([`CONNECTIONS_MAX`], [`HEADER_BYTES_MAX`], [`HEADER_TIME_MAX`],
//! [`VISIT_TIME_MAX`], [`PAGE_MAX`]); numbers past them are cut, never added up.
//!
//! * [`Monitor`]: the running listener, one thread.
//! * [`MonitorSettings`]: where it listens.
//! * [`ServerFacts`]: what the whole server has to tell, asked at each request.
//!
//! ```no_run
//! # fn sample(hub: std::sync::Arc<broker::Hub>) -> Result<(), bulwark_monitor::MonitorError> {
//! use std::sync::Arc;
//! use bulwark_monitor::{Monitor, MonitorSettings, Portrait, ServerFacts};
//!
//! struct Facts;
//! impl ServerFacts for Facts {
//!     fn portrait(&self) -> Portrait {
//!         Portrait::default()
//!     }
//! }
//!
//! let settings = MonitorSettings { host: "127.0.0.1".into(), port: 8222, ..MonitorSettings::default() };
//! let monitor = Monitor::start(settings, hub, Arc::new(Facts))?;
//! println!("http://{}/varz", monitor.address());
//! monitor.stop();
//! # Ok(())
//! # }
//! ```

mod answer;
mod clock;
mod facts;
mod listener;
mod metrics;
mod pages;
mod query;
mod router;
mod settings;
mod totals;
mod usage;
mod visits;

pub use facts::{Portrait, ServerFacts};
pub use listener::{CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADER_TIME_MAX, Monitor, VISIT_TIME_MAX};
pub use metrics::METRIC_ACCOUNTS_MAX;
pub use pages::{PAGE_MAX, SUBSCRIPTIONS_SHOWN_MAX};
pub use settings::{MonitorError, MonitorSettings};
