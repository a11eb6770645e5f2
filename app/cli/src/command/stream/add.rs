//! `nats stream add`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::command::api::{Api, check_name};
use crate::command::dig::Dig;
use crate::command::stream::config::{StreamFlags, defaults, from_file};
use crate::command::stream::info;
use crate::parse::{existing_file, signed_size};
use crate::show::{ask, outln, pick, print_json};

/// Create a stream
#[derive(Args, Debug)]
pub(crate) struct Add {
    /// Name of the stream
    stream: Option<String>,
    /// Read the configuration from this JSON file
    #[arg(long, value_parser = existing_file, value_name = "FILE")]
    config: Option<String>,
    /// Check the configuration and do not create the stream
    #[arg(long)]
    validate: bool,
    /// Write the configuration to this file and do not create the stream
    #[arg(long, value_name = "FILE")]
    output: Option<String>,
    /// Take defaults instead of asking
    #[arg(long)]
    defaults: bool,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    #[command(flatten)]
    flags: StreamFlags,
}

impl Add {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let config = self.config()?;
        let name = config.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        check_name("stream", &name)?;
        check(&config)?;
        if self.validate {
            print_json(&config)?;
            outln!("\nConfiguration is a valid Stream matching io.nats.jetstream.api.v1.stream_configuration");
            return Ok(());
        }
        if let Some(path) = &self.output {
            let text = serde_json::to_string_pretty(&config)?;
            return std::fs::write(path, text).with_context(|| format!("could not write {path}"));
        }
        let created =
            api.call(&format!("STREAM.CREATE.{name}"), config.into()).await.context("could not create Stream")?;
        if self.json {
            return print_json(&info::without_type(created));
        }
        outln!("Stream {name} was created\n");
        info::page(&created, info::What::All).print();
        Ok(())
    }

    fn config(&self) -> Result<Map<String, Value>> {
        let mut config = match &self.config {
            Some(path) => from_file(path)?,
            None => defaults(),
        };
        self.flags.apply(&mut config)?;
        if let Some(name) = &self.stream {
            config.insert("name".to_owned(), name.clone().into());
        }
        if self.config.is_none() {
            self.complete(&mut config)?;
        }
        Ok(config)
    }

    /// Asks for what a stream cannot be without.
    fn complete(&self, config: &mut Map<String, Value>) -> Result<()> {
        if !config.contains_key("name") {
            config.insert("name".to_owned(), ask("Stream Name", "")?.into());
        }
        let is_fed = self.flags.is_fed_by_streams();
        if is_fed && config.contains_key("mirror") && config.contains_key("subjects") {
            bail!("mirrors cannot listen for messages on subjects");
        }
        if !is_fed && !config.contains_key("subjects") {
            let subjects = crate::parse::split_subjects(&[ask("Subjects", "")?]);
            config.insert("subjects".to_owned(), json!(subjects));
        }
        if config.contains_key("mirror") {
            config.remove("duplicate_window");
        }
        if self.defaults {
            return Ok(());
        }
        self.ask_for_the_rest(config)
    }

    /// What people are asked unless they said it, or said that defaults are fine.
    fn ask_for_the_rest(&self, config: &mut Map<String, Value>) -> Result<()> {
        let mut given = Map::new();
        self.flags.apply(&mut given)?;
        let is_asked = |key: &str| !given.contains_key(key);
        if self.flags.storage().is_none() {
            let storage = pick("Storage", &["file".to_owned(), "memory".to_owned()])?;
            config.insert("storage".to_owned(), storage.into());
        }
        if is_asked("num_replicas") {
            let replicas: u8 = ask("Replication", "1")?.parse().context("replicas should be >= 1")?;
            config.insert("num_replicas".to_owned(), replicas.into());
        }
        if is_asked("retention") {
            let names = ["limits", "interest", "workqueue"].map(str::to_owned);
            config.insert("retention".to_owned(), pick("Retention Policy", &names)?.into());
        }
        if is_asked("discard") {
            config.insert("discard".to_owned(), pick("Discard Policy", &["old".to_owned(), "new".to_owned()])?.into());
        }
        for (key, question) in
            [("max_msgs", "Stream Messages Limit"), ("max_msgs_per_subject", "Per Subject Messages Limit")]
        {
            if is_asked(key) {
                let limit: i64 = ask(question, "-1")?.parse().context("expected a number")?;
                config.insert(key.to_owned(), limit.into());
            }
        }
        for (key, question) in [("max_bytes", "Total Stream Size"), ("max_msg_size", "Max Message Size")] {
            if is_asked(key) {
                let limit = signed_size(&ask(question, "-1")?).map_err(|error| anyhow::anyhow!(error))?;
                config.insert(key.to_owned(), limit.into());
            }
        }
        Ok(())
    }
}

/// What a server would refuse, said before it is asked.
fn check(config: &Map<String, Value>) -> Result<()> {
    let value = Value::from(config.clone());
    let is_everything = value.list("subjects").iter().any(|subject| subject == ">");
    if is_everything && !value.flag("no_ack") {
        bail!("Validation Failed: subjects cannot be '>' when acknowledgement is enabled");
    }
    Ok(())
}
