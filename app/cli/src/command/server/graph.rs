//! `nats server graph`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::command::gather::{ask_one, check as check_answer, no_results};
use crate::command::live::{Plot, Rate, check, decimal, every_second, paint, whole};
use crate::invocation::Invocation;
use crate::link::Link;

/// Ids of servers are as long as nkeys.
const ID_LENGTH: usize = 56;
const MEBIBYTE: f64 = 1024.0 * 1024.0;
const GIBIBYTE: f64 = 1024.0 * MEBIBYTE;

/// Draw what a server does
#[derive(Args, Debug)]
pub(crate) struct Graph {
    /// Name or id of the server
    server: String,
    /// Draw what JetStream does
    #[arg(long, short = 'j')]
    jetstream: bool,
}

impl Graph {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        check()?;
        let link = invocation.connect().await?;
        let first = self.variables(invocation, &link).await?;
        let cores = first.number("cores").max(1.0);
        let (mut plots, mut rates) = self.plots(&first);
        let kind = if self.jetstream { "JetStream" } else { "Server" };
        let title = format!("{kind} Statistics for {}", self.server);
        every_second(async || {
            let now = self.variables(invocation, &link).await?;
            let steps = self.counters(&now);
            let steps: Vec<f64> = rates.iter_mut().zip(steps).map(|(rate, value)| rate.step(value)).collect();
            for (plot, value) in plots.iter_mut().zip(self.values(&now, cores, &steps)) {
                plot.push(value);
            }
            paint(&title, &plots)
        })
        .await
    }

    async fn variables(&self, invocation: &Invocation, link: &Link) -> Result<Value> {
        let is_id =
            self.server.len() == ID_LENGTH && self.server.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let (subject, body) = if is_id {
            (format!("$SYS.REQ.SERVER.{}.VARZ", self.server), json!({}))
        } else {
            ("$SYS.REQ.SERVER.PING.VARZ".to_owned(), json!({"server_name": self.server, "exact_match": true}))
        };
        let answer = ask_one(invocation, link, &subject, body).await.map_err(|_| no_results())?;
        check_answer(&answer)?;
        if !answer.has("data") {
            bail!("no data received in response");
        }
        Ok(answer.dig("data").clone())
    }

    fn plots(&self, first: &Value) -> (Vec<Plot>, Vec<Rate>) {
        let cpu = format!("CPU % Used (normalized for {} cores)", first.whole("cores"));
        let plots = if self.jetstream {
            vec![
                Plot::new(cpu, decimal),
                Plot::new("HA Assets", whole),
                Plot::new("API Requests / second", decimal),
                Plot::new("Pending API Requests", whole),
                Plot::new("File Storage in GB", decimal),
                Plot::new("Memory Storage in GB", decimal),
            ]
        } else {
            vec![
                Plot::new(cpu, decimal),
                Plot::new("Memory Used in MB", decimal),
                Plot::new("Connections", whole),
                Plot::new("Subscriptions", whole),
                Plot::new("Messages In+Out / second", decimal),
                Plot::new("Bytes In+Out / second", whole),
            ]
        };
        (plots, self.counters(first).into_iter().map(Rate::from).collect())
    }

    /// What grows, and is drawn as what it grows by.
    fn counters(&self, now: &Value) -> Vec<f64> {
        if self.jetstream {
            return vec![now.number("jetstream.stats.api.total")];
        }
        vec![now.number("in_msgs") + now.number("out_msgs"), now.number("in_bytes") + now.number("out_bytes")]
    }

    fn values(&self, now: &Value, cores: f64, steps: &[f64]) -> Vec<f64> {
        let cpu = now.number("cpu") / cores;
        let step = |at: usize| steps.get(at).copied().unwrap_or(0.0);
        if self.jetstream {
            let stats = now.dig("jetstream.stats");
            return vec![
                cpu,
                stats.number("ha_assets"),
                step(0),
                now.number("jetstream.meta.pending"),
                stats.number("storage") / GIBIBYTE,
                stats.number("memory") / GIBIBYTE,
            ];
        }
        vec![
            cpu,
            now.number("mem") / MEBIBYTE,
            now.number("connections"),
            now.number("subscriptions"),
            step(0),
            step(1),
        ]
    }
}
