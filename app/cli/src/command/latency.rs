//! `nats latency`: how long messages take from one server to another.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use futures::StreamExt;

use crate::invocation::Invocation;
use crate::link::{self, Link};
use crate::parse::duration;
use crate::show::{go_duration, log};

const RULER: &str = "==============================";
/// The time of sending stands at the beginning of each message.
const STAMP_BYTES: usize = 8;
/// How long interest may take to get from one server to the other.
const ROUTE_PATIENCE: Duration = Duration::from_secs(2);
const PERCENTILES: [f64; 11] = [10.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999, 99.99999, 100.0];

/// Measure how long messages take from one server to another
#[derive(Args, Debug)]
pub(crate) struct Latency {
    /// The server to receive from
    #[arg(long, value_name = "URL")]
    server_b: String,
    /// Size of the messages
    #[arg(long, default_value_t = STAMP_BYTES)]
    size: usize,
    /// Messages per second
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// How long to send
    #[arg(long, default_value = "5s", value_parser = duration, value_name = "DURATION")]
    duration: Duration,
    /// Write the latencies to FILE.raw and their distribution to FILE.histogram
    #[arg(long, value_name = "FILE")]
    histogram: Option<PathBuf>,
}

impl Latency {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        if self.size < STAMP_BYTES {
            bail!("message Payload Size must be at least {STAMP_BYTES} bytes");
        }
        let start = Instant::now();
        let mut far = Invocation::new(invocation.global.clone());
        far.global.server = Some(self.server_b.clone());
        log!("{RULER}");
        for (name, side) in [("Pub", invocation), ("Sub", &far)] {
            let mut line = side.line().await?;
            log!("{name} Server RTT : {}", micros(line.flush().await?));
        }
        let sender = invocation.connect().await.context("first connection failed")?;
        let receiver = link::connect(&far, &far.settings()?).await.context("second connection failed")?;
        wait_for_route(&sender, &receiver).await?;
        self.announce();
        let measured = self.measure(invocation, &sender, &receiver).await?;
        self.report(start, measured)
    }

    fn count(&self) -> u64 {
        (self.duration.as_secs_f64() * f64::from(self.rate)).round().max(1.0) as u64
    }

    fn announce(&self) {
        log!("Message Payload: {}", short_bytes(self.size as u64));
        log!("Target Duration: {}", go_duration(self.duration));
        log!("Target Msgs/Sec: {}", self.rate);
        log!("Target Band/Sec: {}", short_bytes(u64::from(self.rate) * self.size as u64 * 2));
        log!("{RULER}");
    }

    async fn measure(&self, invocation: &Invocation, sender: &Link, receiver: &Link) -> Result<Measured> {
        let subject = receiver.client.new_inbox();
        let mut messages = receiver.client.subscribe(subject.clone()).await?;
        receiver.client.flush().await?;
        let count = self.count();
        let begin = Instant::now();
        let patience = self.duration + invocation.timeout();
        let receive = async {
            let mut latencies = Vec::new();
            while (latencies.len() as u64) < count
                && let Ok(Some(message)) = tokio::time::timeout(patience, messages.next()).await
            {
                let stamp =
                    message.payload.get(..STAMP_BYTES).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
                let sent = Duration::from_nanos(stamp.unwrap_or(0));
                latencies.push(begin.elapsed().saturating_sub(sent));
            }
            Ok::<_, anyhow::Error>((latencies, begin.elapsed()))
        };
        let send = async {
            let mut body = vec![0u8; self.size];
            for number in 0..count {
                let due = Duration::from_secs_f64(number as f64 / f64::from(self.rate));
                tokio::time::sleep_until((begin + due).into()).await;
                let now = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
                body[..STAMP_BYTES].copy_from_slice(&now.to_le_bytes());
                sender.client.publish(subject.clone(), body.clone().into()).await?;
            }
            sender.client.flush().await?;
            Ok(begin.elapsed())
        };
        let both = async { tokio::try_join!(sender.unless_fault(send), receiver.unless_fault(receive)) };
        let (sent_for, (latencies, received_for)) = both.await?;
        if (latencies.len() as u64) < count {
            bail!("only {} of {count} messages arrived", latencies.len());
        }
        Ok(Measured { begin, sent_for, received_for, latencies })
    }

    fn report(&self, start: Instant, mut measured: Measured) -> Result<()> {
        if let Some(path) = &self.histogram {
            let raw: String =
                measured.latencies.iter().map(|took| format!("{:.6}\n", took.as_secs_f64() * 1e3)).collect();
            std::fs::write(path.with_extension("raw"), raw).context("unable to write raw output file")?;
        }
        measured.latencies.sort_unstable();
        log!("HDR Percentiles:");
        for percent in PERCENTILES {
            log!("{:<9} {}", format!("{percent}:"), micros(measured.percentile(percent)));
        }
        log!("{RULER}");
        if let Some(path) = &self.histogram {
            std::fs::write(path.with_extension("histogram"), measured.distribution())
                .context("unable to write histogram")?;
        }
        let rate = (self.count() as f64 / measured.sent_for.as_secs_f64()) as u64;
        log!("Actual Msgs/Sec: {rate}");
        log!("Actual Band/Sec: {}", short_bytes(rate * self.size as u64 * 2));
        log!("Minimum Latency: {}", micros(measured.percentile(0.0)));
        log!("Median Latency : {}", micros(measured.percentile(50.0)));
        log!("Maximum Latency: {}", micros(measured.percentile(100.0)));
        log!("1st Sent Wall Time : {}", micros(measured.begin - start));
        log!("Last Sent Wall Time: {}", micros(measured.sent_for));
        log!("Last Recv Wall Time: {}", micros(measured.received_for));
        Ok(())
    }
}

struct Measured {
    begin: Instant,
    sent_for: Duration,
    received_for: Duration,
    latencies: Vec<Duration>,
}

impl Measured {
    /// A latency of the sorted ones.
    fn percentile(&self, percent: f64) -> Duration {
        let rank = (percent / 100.0 * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(rank.max(1) - 1).copied().unwrap_or_default()
    }

    /// The table that HDR histogram tools read.
    fn distribution(&self) -> String {
        let mut text = "Value\tPercentile\tTotalCount\t1/(1-Percentile)\n\n".to_owned();
        for percent in PERCENTILES {
            let count = (percent / 100.0 * self.latencies.len() as f64).round();
            let inverse = 1.0 / (1.0 - percent / 100.0);
            let millis = self.percentile(percent).as_secs_f64() * 1e3;
            text.push_str(&format!("{millis:.6}\t{:.8}\t{count}\t{inverse:.2}\n", percent / 100.0));
        }
        text
    }
}

/// Sends until a message has come through, so that the first one measured does.
async fn wait_for_route(sender: &Link, receiver: &Link) -> Result<()> {
    let subject = receiver.client.new_inbox();
    let mut messages = receiver.client.subscribe(subject.clone()).await?;
    receiver.client.flush().await?;
    let send = async {
        loop {
            sender.client.publish(subject.clone(), "".into()).await?;
            sender.client.flush().await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let arrived = async {
        tokio::select! {
            message = messages.next() => message.map(drop).context("the second connection was closed"),
            failed = send => failed,
        }
    };
    match tokio::time::timeout(ROUTE_PATIENCE, sender.unless_fault(receiver.unless_fault(arrived))).await {
        Ok(arrived) => arrived,
        Err(_) => bail!("couldn't receive end-to-end test message: are the two servers connected, and in one account?"),
    }
}

fn micros(span: Duration) -> String {
    go_duration(Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
}

/// Bytes with a single letter: `8B`, `7.8K`.
fn short_bytes(bytes: u64) -> String {
    crate::show::ibytes(bytes).replace("iB", "").replace(' ', "")
}
