//! `nats stream seal`.

use anyhow::{Context as _, Result};
use clap::Args;

use crate::command::api::Api;
use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::stream::config::strip_server_metadata;
use crate::command::stream::info;

/// Forbid all changes of a stream, forever
#[derive(Args, Debug)]
pub(crate) struct Seal {
    /// The stream
    stream: String,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Seal {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        let name = api.pick_stream(Some(&self.stream), true, is_all).await?;
        let question = format!("Really seal Stream {name}, sealed streams can not be unsealed or modified");
        if !confirmed(self.force, &question)? {
            return Ok(());
        }
        let stream = api.stream(&name).await.context("could not seal Stream")?;
        let mut config = stream.dig("config").as_object().cloned().unwrap_or_default();
        strip_server_metadata(&mut config);
        config.insert("sealed".to_owned(), true.into());
        let sealed =
            api.call(&format!("STREAM.UPDATE.{name}"), config.into()).await.context("could not seal Stream")?;
        info::page(&sealed, info::What::All).print();
        Ok(())
    }
}
