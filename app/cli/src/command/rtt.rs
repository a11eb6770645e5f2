//! `nats rtt`: how long a PING takes to every address of every server.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, anyhow};
use async_nats::ServerAddr;
use clap::Args;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::context::Record;
use crate::invocation::Invocation;
use crate::link::{Identity, Line, servers, without_password};
use crate::show::{humanize, log, outln, print_json};

/// Measure the round-trip time to servers
#[derive(Args, Debug)]
pub(crate) struct Rtt {
    /// How many round trips to make
    #[arg(default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Serialize)]
struct Target {
    url: String,
    results: Vec<Measured>,
}

#[derive(Serialize)]
struct Measured {
    time: Timestamp,
    address: String,
    #[serde(serialize_with = "nanos")]
    rtt: Duration,
    url: String,
}

fn nanos<S: Serializer>(rtt: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX))
}

impl Rtt {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let settings = invocation.settings()?;
        let identity = Identity::of(&settings)?;
        let mut targets = Vec::new();
        let mut failed = None;
        for server in servers(&settings.url)? {
            let mut results = Vec::new();
            for address in addresses(&server).await {
                let (measured, error) = self.measure(invocation, &settings, &identity, &server, address).await;
                failed = error.or(failed);
                results.push(measured);
            }
            targets.push(Target { url: url_of(&server), results });
        }
        self.show(&targets)?;
        let is_reached = targets.iter().flat_map(|target| &target.results).any(|result| !result.rtt.is_zero());
        match failed {
            Some(error) if !is_reached => Err(error),
            _ => Ok(()),
        }
    }

    async fn measure(
        &self,
        invocation: &Invocation,
        settings: &Record,
        identity: &Identity,
        server: &ServerAddr,
        address: Option<SocketAddr>,
    ) -> (Measured, Option<anyhow::Error>) {
        let place =
            address.map_or_else(|| format!("{}:{}", server.host(), server.port()), |address| address.to_string());
        let place = format!("{}://{place}", server.scheme());
        let time = Timestamp::now();
        match self.mean(invocation, settings, identity, server, address).await {
            Ok(rtt) => (Measured { time, url: place.clone(), address: place, rtt }, None),
            Err(error) => {
                log!("Failed to compute rtt for {place}: {error:#}");
                (Measured { time, url: String::new(), address: place, rtt: Duration::ZERO }, Some(error))
            }
        }
    }

    async fn mean(
        &self,
        invocation: &Invocation,
        settings: &Record,
        identity: &Identity,
        server: &ServerAddr,
        address: Option<SocketAddr>,
    ) -> Result<Duration> {
        let name = invocation.connection_name();
        let mut line = Line::dial_server(server, address, settings, identity, &name, invocation.timeout()).await?;
        if invocation.is_traced() {
            log!(">>> Connected to {} ({})", url_of(server), line.address);
        }
        let mut sum = Duration::ZERO;
        for number in 1..=self.iterations {
            let rtt = line.flush().await.map_err(|error| anyhow!("rtt failed: {error:#}"))?;
            if invocation.is_traced() {
                log!("#{number}:\trtt={}", humanize(rtt));
            }
            sum += rtt;
        }
        Ok(sum / self.iterations)
    }

    fn show(&self, targets: &[Target]) -> Result<()> {
        if self.json {
            return print_json(&targets);
        }
        let longest = targets.iter().flat_map(|target| &target.results).map(|result| result.address.len()).max();
        let width = longest.unwrap_or(0) + 3;
        for target in targets {
            outln!("{}:\n", target.url);
            for result in &target.results {
                let rtt = if result.rtt.is_zero() { "failed".to_owned() } else { humanize(result.rtt) };
                outln!("{:>width$}: {rtt}", result.address);
            }
            outln!();
        }
        Ok(())
    }
}

fn url_of(server: &ServerAddr) -> String {
    without_password(server.as_url_str()).trim_end_matches('/').to_owned()
}

/// All addresses of a server; nothing known means that its name is tried as it is.
async fn addresses(server: &ServerAddr) -> Vec<Option<SocketAddr>> {
    let found: Vec<_> = match tokio::net::lookup_host((server.host(), server.port())).await {
        Ok(found) => found.map(Some).collect(),
        Err(_) => Vec::new(),
    };
    if found.is_empty() { vec![None] } else { found }
}
