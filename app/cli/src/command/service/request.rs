//! `nats service request`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::request::Request as Ask;
use crate::command::sender::Bodies;
use crate::command::service::{INFO, gather};
use crate::invocation::Invocation;

/// Send a request to an endpoint of a service
#[derive(Args, Debug)]
pub(crate) struct Request {
    /// The service
    service: String,
    /// The endpoint
    endpoint: String,
    /// Body of the request
    payload: Option<String>,
    /// Show nothing but the body of the reply
    #[arg(long, short = 'r')]
    raw: bool,
    /// Send the request so many times
    #[arg(long, default_value_t = 1)]
    count: i64,
    /// Send the reply through this command before showing it
    #[arg(long, value_name = "COMMAND")]
    translate: Option<String>,
    #[command(flatten)]
    bodies: Bodies,
}

impl Request {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        let found = gather(invocation, &link, INFO, (&self.service, ""), 1).await?;
        let info = found.first().with_context(|| format!("no instances of service {:?} found", self.service))?;
        let subject = resolve(info, &self.endpoint)?;
        drop(link);
        // A person who types no payload means an empty one; only what is piped in is read.
        let is_typed = std::io::IsTerminal::is_terminal(&std::io::stdin()) && !self.bodies.force_stdin;
        let payload = self.payload.or_else(|| is_typed.then(String::new));
        Ask::new(subject, payload, self.raw, self.count, self.translate, self.bodies).run(invocation).await
    }
}

/// The subject of an endpoint.
fn resolve(info: &Value, endpoint: &str) -> Result<String> {
    let endpoints = info.list("endpoints");
    if let Some(found) = endpoints.iter().find(|known| known.text("name") == endpoint) {
        return Ok(found.text("subject").to_owned());
    }
    let name = info.text("name");
    if endpoints.is_empty() {
        bail!("service {name:?} has no endpoints");
    }
    let known: Vec<_> = endpoints.iter().map(|endpoint| endpoint.text("name")).collect();
    bail!("service {name:?} has no endpoint {endpoint:?} (available: {})", known.join(", "))
}
