//! What an older server would not run: streams and consumers that need a higher level of the API.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::command::server::report::Desk;
use crate::show::{Table, cells, outln, print_json};

/// Streams of one account that are asked for at a time.
const PAGE: u64 = 10_000;

/// Show streams and consumers that an older server would not run
#[derive(Args, Debug)]
pub(crate) struct Downgrade {
    /// The level of the API that the older server knows
    #[arg(id = "api-level", value_name = "API")]
    level: u64,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Also consumers whose stream alone needs more
    #[arg(long)]
    all: bool,
}

/// A stream or consumer and the level it needs. The consumer of a stream that is in the way itself is marked.
#[derive(Debug, PartialEq, Eq)]
struct Asset {
    account: String,
    stream: String,
    consumer: String,
    level: u64,
}

impl Downgrade {
    pub(crate) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        if !self.json {
            outln!("Obtaining JetStream Asset information");
        }
        let body = json!({"accounts": true, "streams": true, "consumer": true, "config": true, "limit": PAGE});
        let answers = desk.ask("JSZ", body, None).await?;
        let (streams, consumers) = self.pick(&answers);
        if self.json {
            let row = |asset: &Asset| json!({"account": asset.account, "name": asset.stream, "api_level": asset.level});
            let consumer = |asset: &Asset| json!({"account": asset.account, "stream": asset.stream, "name": asset.consumer, "api_level": asset.level});
            let (streams, consumers): (Vec<_>, Vec<_>) =
                (streams.iter().map(row).collect(), consumers.iter().map(consumer).collect());
            return print_json(&json!({"streams": streams, "consumers": consumers}));
        }
        show(&streams, &consumers);
        Ok(())
    }

    /// What needs more than the level. Servers that share a stream tell the same of it.
    fn pick(&self, answers: &[Value]) -> (Vec<Asset>, Vec<Asset>) {
        let (mut streams, mut consumers) = (BTreeMap::new(), BTreeMap::new());
        for account in answers.iter().flat_map(|answer| answer.list("data.account_details")) {
            for stream in account.list("stream_detail") {
                let key = (account.text("name").to_owned(), stream.text("name").to_owned());
                let needed = level(stream);
                let is_in_the_way = needed > self.level;
                for consumer in stream.list("consumer_detail") {
                    if level(consumer) > self.level || (self.all && is_in_the_way) {
                        let mark = if self.all && is_in_the_way { "*" } else { "" };
                        let (account, stream) = key.clone();
                        let found = Asset {
                            account,
                            stream: stream + mark,
                            consumer: consumer.text("name").to_owned(),
                            level: level(consumer),
                        };
                        consumers.insert((key.clone(), found.consumer.clone()), found);
                    }
                }
                if is_in_the_way {
                    let (account, stream) = key.clone();
                    streams.insert(key, Asset { account, stream, consumer: String::new(), level: needed });
                }
            }
        }
        (streams.into_values().collect(), consumers.into_values().collect())
    }
}

fn level(asset: &Value) -> u64 {
    let level = asset.dig("config.metadata").get("_nats.req.level").and_then(Value::as_str);
    level.and_then(|level| level.parse().ok()).unwrap_or(0)
}

fn show(streams: &[Asset], consumers: &[Asset]) {
    if !streams.is_empty() {
        let mut table = Table::new("Assets: Streams", &["Account", "Stream", "Required API level"]);
        streams.iter().for_each(|asset| table.row(cells![&asset.account, &asset.stream, asset.level]));
        table.print();
    }
    if !consumers.is_empty() {
        let mut table = Table::new("Assets: Consumers", &["Account", "Stream", "Consumer", "Required API level"]);
        for asset in consumers {
            table.row(cells![&asset.account, &asset.stream, &asset.consumer, asset.level]);
        }
        table.print();
    }
    if streams.is_empty() && consumers.is_empty() {
        outln!("All assets are compatible with the specified API level.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Value {
        let needs = |level: &str| json!({"metadata": {"_nats.req.level": level}});
        let consumers = json!([{"name": "new", "config": needs("3")}, {"name": "old", "config": needs("0")}]);
        let streams = json!([
            {"name": "NEW", "config": needs("2"), "consumer_detail": consumers},
            {"name": "OLD", "config": {}, "consumer_detail": [{"name": "paused", "config": needs("1")}]},
        ]);
        json!({"data": {"account_details": [{"name": "APP", "stream_detail": streams}]}})
    }

    fn picked(level: u64, all: bool) -> (Vec<String>, Vec<String>) {
        let (streams, consumers) = Downgrade { level, json: false, all }.pick(&[answer(), answer()]);
        let stream = |asset: &Asset| format!("{} {}", asset.stream, asset.level);
        let consumer = |asset: &Asset| format!("{} > {} {}", asset.stream, asset.consumer, asset.level);
        (streams.iter().map(stream).collect(), consumers.iter().map(consumer).collect())
    }

    #[test]
    fn what_needs_more_is_told_once() {
        assert_eq!(picked(1, false), (vec!["NEW 2".into()], vec!["NEW > new 3".into()]));
        assert_eq!(picked(0, false).1, ["NEW > new 3", "OLD > paused 1"]);
        assert_eq!(picked(1, true).1, ["NEW* > new 3", "NEW* > old 0"]);
        assert_eq!(picked(3, true), (vec![], vec![]));
    }
}
