//! `nats server check connection`.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use futures::StreamExt;

use crate::command::server::check::outcome::{Metric, Outcome};
use crate::invocation::Invocation;
use crate::link::without_password;
use crate::parse::duration;
use crate::show::go_duration;
use crate::template::random_letters;

/// Check that connecting and a round trip are quick
#[derive(Args, Debug)]
pub(crate) struct Connection {
    /// Warn when connecting takes longer
    #[arg(long, default_value = "500ms", value_parser = duration, value_name = "DURATION")]
    connect_warn: Duration,
    /// Critical when connecting takes longer
    #[arg(long, default_value = "1s", value_parser = duration, value_name = "DURATION")]
    connect_critical: Duration,
    /// Warn when a PING takes longer
    #[arg(long, default_value = "500ms", value_parser = duration, value_name = "DURATION")]
    rtt_warn: Duration,
    /// Critical when a PING takes longer
    #[arg(long, default_value = "1s", value_parser = duration, value_name = "DURATION")]
    rtt_critical: Duration,
    /// Warn when a message to ourselves takes longer
    #[arg(long, default_value = "500ms", value_parser = duration, value_name = "DURATION")]
    req_warn: Duration,
    /// Critical when a message to ourselves takes longer
    #[arg(long, default_value = "1s", value_parser = duration, value_name = "DURATION")]
    req_critical: Duration,
}

/// A measured time and what it is held against.
struct Timed {
    took: Duration,
    warn: Duration,
    critical: Duration,
}

impl Timed {
    fn metric(&self, name: &str, help: &'static str) -> Metric {
        Metric {
            help,
            name: name.to_owned(),
            value: self.took.as_secs_f64(),
            warning: self.warn.as_secs_f64(),
            critical: self.critical.as_secs_f64(),
            unit: "s",
        }
    }

    /// Files the time under what it means.
    fn judge(&self, outcome: &mut Outcome, late: impl Fn(Duration) -> String, fine: String) {
        if !self.critical.is_zero() && self.took >= self.critical {
            outcome.critical(late(self.critical));
        } else if !self.warn.is_zero() && self.took >= self.warn {
            outcome.warn(late(self.warn));
        } else {
            outcome.ok(fine);
        }
    }
}

impl Connection {
    pub(crate) async fn run(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        let start = Instant::now();
        let mut line = match invocation.line().await {
            Ok(line) => line,
            Err(error) => {
                outcome.critical(format!("connection failed: {error:#}"));
                return Ok(());
            }
        };
        let connect = Timed { took: start.elapsed(), warn: self.connect_warn, critical: self.connect_critical };
        let url = without_password(line.server.as_url_str());
        outcome.metric(connect.metric("connect_time", "Time taken to connect to NATS"));
        connect.judge(
            outcome,
            |limit| format!("connected to {url}, connect time exceeded {}", limit.as_secs_f64()),
            format!("connected to {url} in {}", go_duration(connect.took)),
        );
        let rtt = Timed { took: line.flush().await?, warn: self.rtt_warn, critical: self.rtt_critical };
        outcome.metric(rtt.metric("rtt", "The round-trip-time of the connection"));
        rtt.judge(
            outcome,
            |limit| format!("rtt time exceeded {}", limit.as_secs_f64()),
            format!("rtt time {}", go_duration(rtt.took)),
        );
        self.round_trip(invocation, outcome).await
    }

    /// A message from us to us, through the server.
    async fn round_trip(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        let link = invocation.connect().await?;
        let inbox = link.client.new_inbox();
        let body = random_letters(100);
        let sent = async {
            let mut messages = link.client.subscribe(inbox.clone()).await?;
            let start = Instant::now();
            link.client.publish(inbox.clone(), body.clone().into()).await?;
            let message = tokio::time::timeout(invocation.timeout(), messages.next()).await;
            Ok((message.ok().flatten(), start.elapsed()))
        };
        let (message, took) = link.unless_fault(sent).await?;
        let Some(message) = message else {
            outcome.critical(format!("did not receive from {inbox}: nats: timeout"));
            return Ok(());
        };
        let request = Timed { took, warn: self.req_warn, critical: self.req_critical };
        outcome.metric(request.metric("request_time", "Time taken for a full Request-Reply operation"));
        if message.payload != body.as_bytes() {
            outcome.critical("did not receive expected message");
        }
        let seconds = took.as_secs_f64();
        request.judge(
            outcome,
            |_| format!("round trip request took {seconds:.6}"),
            format!("round trip took {seconds:.6}s"),
        );
        Ok(())
    }
}
