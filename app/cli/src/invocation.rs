//! One run of the program: what was typed, and what follows from it for connecting and showing.

use std::time::Duration;

use anyhow::Result;
use async_nats::jetstream;

use crate::context::{Origin, Record, Shelf, effective};
use crate::global::GlobalArgs;
use crate::link::{self, Line, Link};
use crate::show::Scheme;

/// What every command gets.
pub(crate) struct Invocation {
    pub(crate) global: GlobalArgs,
}

impl Invocation {
    pub(crate) fn new(global: GlobalArgs) -> Self {
        if let Some(scheme) = global.colors {
            scheme.choose();
        }
        Self { global }
    }

    pub(crate) const fn timeout(&self) -> Duration {
        self.global.timeout
    }

    pub(crate) const fn is_traced(&self) -> bool {
        self.global.trace
    }

    /// The settings that hold for this run.
    pub(crate) fn settings(&self) -> Result<Record> {
        Ok(self.settings_and_origin()?.0)
    }

    pub(crate) fn settings_and_origin(&self) -> Result<(Record, Origin)> {
        let (settings, origin) = effective(&self.global, &Shelf::open()?)?;
        if let Some(scheme) = Scheme::named(&settings.color_scheme) {
            scheme.choose();
        }
        Ok((settings, origin))
    }

    /// The name this connection has in the server's lists.
    pub(crate) fn connection_name(&self) -> String {
        match self.global.connection_name.as_deref().map(str::trim) {
            None | Some("") => format!("NATS CLI Version {}", env!("CARGO_PKG_VERSION")),
            Some(name) => name.to_owned(),
        }
    }

    /// A connection for everything that goes on in parallel.
    pub(crate) async fn connect(&self) -> Result<Link> {
        link::connect(self, &self.settings()?).await
    }

    /// A sequential connection, for when one must know that the server has seen what was sent.
    pub(crate) async fn line(&self) -> Result<Line> {
        let settings = self.settings()?;
        Line::dial(&settings, &self.connection_name(), self.timeout()).await
    }

    /// A connection and its JetStream, in the domain or behind the prefix that was asked for.
    pub(crate) async fn jetstream(&self) -> Result<(Link, jetstream::Context)> {
        let settings = self.settings()?;
        let link = link::connect(self, &settings).await?;
        let builder = jetstream::context::ContextBuilder::new().timeout(self.timeout());
        let client = link.client.clone();
        let context = match (settings.jetstream_domain.as_str(), settings.jetstream_api_prefix.as_str()) {
            ("", "") => builder.build(client),
            ("", prefix) => builder.api_prefix(prefix.trim_end_matches('.')).build(client),
            (domain, _) => builder.domain(domain).build(client),
        };
        Ok((link, context))
    }
}
