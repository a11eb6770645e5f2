//! `nats consumer add`.

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use serde_json::{Map, Value};

use crate::command::consumer::config::{CreationFlags, defaults, heartbeat, number, set_filter, start};
use crate::command::consumer::{Desk, info};
use crate::command::dig::Dig;
use crate::command::stream::config::from_file;
use crate::command::stream::info::without_type;
use crate::parse::{existing_file, split_subjects};
use crate::show::{ask, confirm, outln, pick, print_json};
use crate::template::random_letters;

/// Create a consumer
#[derive(Args, Debug)]
pub(crate) struct Add {
    /// The stream
    stream: Option<String>,
    /// Name of the consumer
    consumer: Option<String>,
    /// Read the configuration from this JSON file
    #[arg(long, value_parser = existing_file, value_name = "FILE")]
    config: Option<String>,
    /// Check the configuration and do not create the consumer
    #[arg(long)]
    validate: bool,
    /// Write the configuration to this file and do not create the consumer
    #[arg(long, value_name = "FILE")]
    output: Option<String>,
    /// Take defaults instead of asking
    #[arg(long)]
    defaults: bool,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    #[command(flatten)]
    flags: CreationFlags,
}

impl Add {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let is_dry = self.validate || self.output.is_some();
        let stream = match &self.stream {
            Some(stream) if is_dry => stream.clone(),
            stream => desk.stream(stream.as_deref()).await?,
        };
        let config = self.configuration()?;
        if self.validate {
            print_json(&config)?;
            outln!("\nConfiguration is a valid Consumer");
            return Ok(());
        }
        if let Some(path) = &self.output {
            let text = serde_json::to_string_pretty(&config)?;
            return std::fs::write(path, text).with_context(|| format!("could not write {path}"));
        }
        let created = desk.put(&stream, config).await.context("Consumer creation failed")?;
        if self.json {
            return print_json(&without_type(created));
        }
        info::page(&created, info::What::All).print();
        Ok(())
    }

    fn configuration(&self) -> Result<Map<String, Value>> {
        let mut config = match &self.config {
            Some(path) => from_file(path)?,
            None => self.asked()?,
        };
        self.flags.apply(&mut config)?;
        self.name(&mut config)?;
        crate::command::stream::config::strip_server_metadata(&mut config);
        Ok(config)
    }

    fn name(&self, config: &mut Map<String, Value>) -> Result<()> {
        if let Some(name) = &self.consumer {
            config.insert("name".to_owned(), name.clone().into());
            if config.contains_key("durable_name") {
                config.insert("durable_name".to_owned(), name.clone().into());
            }
        }
        if self.config.is_none() && !self.flags.ephemeral {
            let name = match &self.consumer {
                Some(name) => name.clone(),
                None => ask("Consumer name", "")?,
            };
            config.insert("durable_name".to_owned(), name.clone().into());
            config.insert("name".to_owned(), name.into());
        }
        if !config.contains_key("name") {
            let durable = config.get("durable_name").cloned();
            config.insert("name".to_owned(), durable.unwrap_or_else(|| random_letters(8).into()));
        }
        Ok(())
    }

    /// What people are asked unless they said it, or said that defaults are fine.
    fn asked(&self) -> Result<Map<String, Value>> {
        let mut config = defaults();
        let flags = &self.flags;
        let target = match &flags.common.target {
            Some(target) => target.clone(),
            None if flags.pull || self.defaults => String::new(),
            None => ask("Delivery target (empty for Pull Consumers)", "")?,
        };
        let is_push = !target.is_empty();
        if is_push {
            config.insert("deliver_subject".to_owned(), target.into());
            config.insert("ack_policy".to_owned(), "none".into());
        }
        if self.defaults {
            return Ok(last_of_all(config, flags));
        }
        if is_push && flags.deliver_group.is_none() {
            set_text(&mut config, "deliver_group", ask("Delivery Queue Group", "")?);
        }
        if flags.deliver.is_none() {
            let policy = ask("Start policy (all, new, last, subject, 1h, msg sequence)", "all")?;
            start(&policy).map_err(|error| anyhow!(error))?.apply(&mut config);
        }
        if flags.ack.is_none() {
            let names = ["explicit", "all", "none"].map(str::to_owned);
            config.insert("ack_policy".to_owned(), pick("Acknowledgment policy", &names)?.into());
        }
        if flags.replay.is_none() {
            let names = ["instant", "original"].map(str::to_owned);
            config.insert("replay_policy".to_owned(), pick("Replay policy", &names)?.into());
        }
        self.ask_for_limits(&mut config, is_push)?;
        Ok(last_of_all(config, flags))
    }

    fn ask_for_limits(&self, config: &mut Map<String, Value>, is_push: bool) -> Result<()> {
        let flags = &self.flags;
        if flags.common.filter.is_empty() {
            let answer = ask("Filter Stream by subjects (blank for all)", "")?;
            set_filter(config, &split_subjects(&[answer]));
        }
        let acks = flags.ack.is_none_or(|ack| ack != super::config::Ack::None);
        let is_acked = acks && config.get("ack_policy").and_then(Value::as_str) != Some("none");
        if is_acked && flags.common.max_deliver.is_none() {
            let limit = number(&ask("Maximum Allowed Deliveries", "-1")?)?;
            config.insert("max_deliver".to_owned(), limit.into());
        }
        if is_acked && flags.common.max_pending.is_none() {
            let limit = number(&ask("Maximum Acknowledgments Pending", "0")?)?;
            config.insert("max_ack_pending".to_owned(), limit.into());
        }
        if is_push && flags.heartbeat.is_none() {
            let answer = heartbeat(&ask("Idle Heartbeat", "0s")?).map_err(|error| anyhow!(error))?;
            config.insert("idle_heartbeat".to_owned(), answer.nanos());
        }
        if is_push && !flags.flow_control {
            config.insert("flow_control".to_owned(), confirm("Enable Flow Control, ie --flow-control")?.into());
        }
        if flags.common.headers_only.given().is_none() {
            config.insert("headers_only".to_owned(), confirm("Deliver headers only without bodies")?.into());
        }
        Ok(())
    }
}

fn set_text(config: &mut Map<String, Value>, key: &str, text: String) {
    if !text.is_empty() {
        config.insert(key.to_owned(), text.into());
    }
}

/// The last message of each subject is a wish that needs a filter.
fn last_of_all(mut config: Map<String, Value>, flags: &CreationFlags) -> Map<String, Value> {
    let is_last = flags.deliver == Some(super::config::Start::Policy("last_per_subject"))
        || Value::from(config.clone()).text("deliver_policy") == "last_per_subject";
    if is_last && flags.common.filter.is_empty() && !config.contains_key("filter_subject") {
        config.insert("filter_subject".to_owned(), ">".into());
    }
    config
}
