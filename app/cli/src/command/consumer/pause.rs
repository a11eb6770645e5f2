//! `nats consumer pause`, `resume` and `unpin`.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::command::confirmed::confirmed;
use crate::command::consumer::{Desk, Which};
use crate::command::dig::Dig;
use crate::parse::point_in_time;
use crate::show::{ask, go_duration, local_time, outln, pick};

/// Pause a consumer
#[derive(Args, Debug)]
pub(crate) struct Pause {
    #[command(flatten)]
    which: Which,
    /// Until when: a duration, or a time such as '2026-03-04 15:00:00' (UTC)
    #[arg(value_name = "TIME", value_parser = point_in_time)]
    until: Option<Timestamp>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

/// Let a paused consumer go on
#[derive(Args, Debug)]
pub(crate) struct Resume {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

/// Take the pin off the client of a group
#[derive(Args, Debug)]
pub(crate) struct Unpin {
    #[command(flatten)]
    which: Which,
    /// The group
    group: Option<String>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Pause {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let info = desk.consumer(&self.which).await?;
        desk.api.require_level(1, "pausing Consumers requires NATS Server 2.11").await?;
        let until = match self.until {
            Some(until) => until,
            None => point_in_time(&ask("Pause until (time or duration)", "1h")?).map_err(|error| anyhow!(error))?,
        };
        let (stream, name) = (info.text("stream_name"), info.text("name"));
        if !confirmed(self.force, &format!("Really pause Consumer {stream} > {name} until {}", local_time(until)))? {
            return Ok(());
        }
        let call = format!("CONSUMER.PAUSE.{stream}.{name}");
        let paused = desk.api.call(&call, json!({"pause_until": until.to_string()})).await?;
        if !paused.flag("paused") {
            bail!("consumer failed to pause, perhaps a time in the past was given");
        }
        let remaining = Duration::from_secs(paused.span("pause_remaining").as_secs_f64().round() as u64);
        outln!("Paused {stream} > {name} until {} ({})", local_time(until), go_duration(remaining));
        Ok(())
    }
}

impl Resume {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let info = desk.consumer(&self.which).await?;
        desk.api.require_level(1, "resuming Consumers requires NATS Server 2.11").await?;
        if !info.flag("paused") {
            bail!("consumer is not paused");
        }
        let (stream, name) = (info.text("stream_name"), info.text("name"));
        if !confirmed(self.force, &format!("Really resume Consumer {stream} > {name}"))? {
            return Ok(());
        }
        let answer = desk.api.call(&format!("CONSUMER.PAUSE.{stream}.{name}"), Value::Null).await?;
        if answer.flag("paused") {
            bail!("the consumer is still paused");
        }
        let until = info.time("config.pause_until").map(local_time).unwrap_or_default();
        outln!("Consumer {stream} > {name} was resumed while previously paused until {until}");
        Ok(())
    }
}

impl Unpin {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let info = desk.consumer(&self.which).await?;
        if info.text("config.priority_policy") != "pinned_client" {
            bail!("consumer is not a pinned priority consumer");
        }
        let pinned: Vec<_> =
            info.list("priority_groups").iter().filter(|group| !group.text("pinned_client_id").is_empty()).collect();
        if pinned.is_empty() {
            bail!("no priority groups have pinned clients");
        }
        let names: Vec<_> = pinned.iter().map(|group| group.text("group").to_owned()).collect();
        let group = match &self.group {
            Some(group) => group.clone(),
            None => pick("Select a Group", &names)?,
        };
        let (stream, name) = (info.text("stream_name"), info.text("name"));
        if !confirmed(self.force, &format!("Really unpin client from group {stream} > {name} > {group}"))? {
            return Ok(());
        }
        desk.api.call(&format!("CONSUMER.UNPIN.{stream}.{name}"), json!({"group": group})).await?;
        let client = pinned.iter().find(|seen| seen.text("group") == group).map_or("", |g| g.text("pinned_client_id"));
        outln!("Unpinned client {client} from Priority Group {stream} > {name} > {group}");
        Ok(())
    }
}
