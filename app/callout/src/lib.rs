//! `nats-callout`: a service that decides logins for NATS servers, ready to be deployed.
//!
//! A server with `auth_callout` asks on `$SYS.REQ.USER.AUTH` about every connection that it does not know. This service finds
//! out who it is (a static file, LDAP, OpenID Connect: `provider`), what such a person may do (rules with templates:
//! `rules`), and answers with signed user claims (`answer`). Several instances share the work by a queue group.
//!
//! It decides nothing about messages, keeps no state but public keys of OpenID providers, and never lets anybody in
//! because something it depends on is away. Everything has a bound: questions at a time, bytes of an answer from outside,
//! time of a decision.

mod answer;
mod decide;
mod expand;
mod http;
mod metrics;
mod monitor;
mod provider;
mod rules;
mod secret_text;
mod service;
mod settings;
mod tls;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::decide::Decider;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::settings::Settings;

/// Reads the configuration and everything it names, and says what is wrong with it.
pub fn check(path: &Path) -> Result<()> {
    let settings = Settings::read(path)?;
    let decider = Decider::new(&settings, Arc::new(Metrics::default()))?;
    let signer = answer::Signer::new(&settings)?;
    decider.accounts().try_for_each(|account| signer.check_account(account))
}

/// Serves until the process is told to end.
pub async fn run(path: &Path) -> Result<()> {
    let settings = Settings::read(path)?;
    let metrics = Arc::new(Metrics::default());
    let decider = Decider::new(&settings, Arc::clone(&metrics))?;
    let service = Service::connect(&settings, path, decider, metrics).await.context("could not start")?;
    service.serve().await
}
