//! `nats consumer rm` and `reset`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::check_name;
use crate::command::confirmed::confirmed;
use crate::command::consumer::{Desk, Which, info};
use crate::command::dig::Dig;

/// Remove a consumer
#[derive(Args, Debug)]
pub(crate) struct Rm {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

/// Set a consumer back
#[derive(Args, Debug)]
pub(crate) struct Reset {
    #[command(flatten)]
    which: Which,
    /// The sequence to go on from; without it, all that is not acknowledged is delivered again
    #[arg(long)]
    sequence: Option<u64>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Rm {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let (stream, name) = match (&self.which.stream, &self.which.consumer) {
            (Some(stream), Some(name)) if self.force => (stream.clone(), name.clone()),
            _ if self.force => bail!("--force requires a stream and consumer name"),
            _ => {
                let info = desk.consumer(&self.which).await?;
                (info.text("stream_name").to_owned(), info.text("name").to_owned())
            }
        };
        check_name("stream", &stream)?;
        check_name("consumer", &name)?;
        if !confirmed(self.force, &format!("Really delete Consumer {stream} > {name}"))? {
            return Ok(());
        }
        desk.api.call(&format!("CONSUMER.DELETE.{stream}.{name}"), Value::Null).await.map(drop)
    }
}

impl Reset {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let info = desk.consumer(&self.which).await?;
        if !confirmed(self.force, "Really reset the consumer")? {
            return Ok(());
        }
        let call = format!("CONSUMER.RESET.{}.{}", info.text("stream_name"), info.text("name"));
        let body = self.sequence.map_or_else(|| json!({}), |sequence| json!({"seq": sequence}));
        info::page(&desk.api.call(&call, body).await?, info::What::State).print();
        Ok(())
    }
}
