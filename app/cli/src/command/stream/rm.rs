//! `nats stream rm` and `rmm`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::{Api, check_name};
use crate::command::confirmed::{confirmed, warn_of_bucket};
use crate::show::ask;

/// Remove a stream
#[derive(Args, Debug)]
pub(crate) struct Rm {
    /// The stream
    stream: Option<String>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

/// Remove one message, and overwrite it
#[derive(Args, Debug)]
pub(crate) struct Rmm {
    /// The stream
    stream: Option<String>,
    /// Sequence of the message
    id: Option<u64>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Rm {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        if self.force && self.stream.is_none() {
            bail!("--force requires a stream name");
        }
        let name = match &self.stream {
            Some(name) if self.force => name.clone(),
            name => api.pick_stream(name.as_deref(), true, is_all).await?,
        };
        check_name("stream", &name)?;
        if !confirmed(self.force, &format!("Really delete Stream {name}"))? {
            return Ok(());
        }
        api.call(&format!("STREAM.DELETE.{name}"), Value::Null).await.context("could not remove Stream").map(drop)
    }
}

impl Rmm {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let name = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        let sequence = match self.id {
            Some(sequence) => sequence,
            None => ask("Message Sequence to remove", "")?.parse().context("invalid number")?,
        };
        if sequence == 0 {
            bail!("positive message ID required");
        }
        warn_of_bucket(&name)?;
        if !confirmed(self.force, &format!("Really remove message {sequence} from Stream {name}"))? {
            return Ok(());
        }
        api.call(&format!("STREAM.MSG.DELETE.{name}"), json!({"seq": sequence})).await.map(drop)
    }
}
