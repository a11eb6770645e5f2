//! `nats stream purge`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Map, Value};

use crate::command::api::Api;
use crate::command::confirmed::{confirmed, warn_of_bucket};
use crate::command::dig::Dig;
use crate::command::stream::info;
use crate::show::{outln, print_json};

/// Remove messages
#[derive(Args, Debug)]
pub(crate) struct Purge {
    /// The stream
    stream: Option<String>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
    /// Only messages of this subject
    #[arg(long)]
    subject: Option<String>,
    /// Only messages before this sequence
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "keep")]
    seq: Option<u64>,
    /// Keep so many messages
    #[arg(long, value_name = "MESSAGES")]
    keep: Option<u64>,
}

impl Purge {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let name = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        if !confirmed(self.force, &format!("Really purge Stream {name}"))? {
            return Ok(());
        }
        warn_of_bucket(&name)?;
        let answer = api.call(&format!("STREAM.PURGE.{name}"), self.body()).await.context("could not purge Stream")?;
        if !answer.flag("success") {
            bail!("could not purge Stream: the server does not say why");
        }
        let info = api.stream(&name).await?;
        if self.json {
            return print_json(&info::without_type(info));
        }
        outln!("Purged {} messages from {name}\n", answer.whole("purged"));
        info::page(&info, info::What::State).print();
        Ok(())
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        if let Some(subject) = &self.subject {
            body.insert("filter".to_owned(), subject.clone().into());
        }
        if let Some(sequence) = self.seq {
            body.insert("seq".to_owned(), sequence.into());
        }
        if let Some(keep) = self.keep {
            body.insert("keep".to_owned(), keep.into());
        }
        if body.is_empty() { Value::Null } else { body.into() }
    }
}
