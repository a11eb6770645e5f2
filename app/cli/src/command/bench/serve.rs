//! `nats bench service serve`.

use std::time::Duration;

use anyhow::{Result, anyhow};
use async_nats::service::ServiceExt;
use clap::Args;
use futures::StreamExt;
use tokio::task::JoinSet;

use crate::command::bench::plan::Plan;
use crate::command::wait::interrupted;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::parse::duration;
use crate::show::{humanize, log};

const LABEL: &str = "Core NATS service server";
const NAME: &str = "nats-bench-service";
const VERSION: &str = "1.0.0";

/// Answer requests until Ctrl-C
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Subject of the service
    subject: String,
    /// Pause before each reply
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "DURATION")]
    sleep: Duration,
    #[command(flatten)]
    plan: Plan,
}

impl Serve {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let stop = interrupted();
        let arguments = vec![("subject", self.subject.clone()), ("sleep", humanize(self.sleep))];
        log!("{}", self.plan.banner(LABEL, arguments, None));
        let mut servers = JoinSet::new();
        for number in 1..=self.plan.clients {
            let link = invocation.connect().await?;
            servers.spawn(serve(link, self.subject.clone(), self.sleep, number));
        }
        tokio::select! {
            Some(ended) = servers.join_next() => ended?,
            () = stop => Ok(()),
        }
    }
}

async fn serve(link: Link, subject: String, sleep: Duration, number: u32) -> Result<()> {
    let service = link
        .client
        .service_builder()
        .start(NAME, VERSION)
        .await
        .map_err(|error| anyhow!("adding the service: {error}"))?;
    let mut requests = service
        .endpoint_builder()
        .name("default")
        .add(subject)
        .await
        .map_err(|error| anyhow!("adding the service: {error}"))?;
    link.client.flush().await?;
    log!("[{number}] Starting {LABEL}, hit control-c to stop");
    let answer = async {
        while let Some(request) = requests.next().await {
            if !sleep.is_zero() {
                tokio::time::sleep(sleep).await;
            }
            request.respond(Ok("ok".into())).await.map_err(|error| anyhow!("replying to the request: {error}"))?;
        }
        Ok(())
    };
    link.unless_fault(answer).await
}
