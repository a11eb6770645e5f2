//! `nats stream copy`.

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::command::api::{Api, check_name};
use crate::command::dig::Dig;
use crate::command::stream::config::{StreamFlags, strip_server_metadata};
use crate::command::stream::info;
use crate::show::{outln, print_json};

/// Create a stream with the configuration of another one; messages are not copied
#[derive(Args, Debug)]
pub(crate) struct Copy {
    /// The stream to copy from
    #[arg(id = "from", value_name = "SOURCE")]
    from: String,
    /// Name of the new stream
    destination: String,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    #[command(flatten)]
    flags: StreamFlags,
}

impl Copy {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        if self.from == self.destination {
            bail!("source and destination Stream names cannot be the same");
        }
        check_name("stream", &self.destination)?;
        let source = api
            .stream(&self.from)
            .await
            .with_context(|| format!("could not request Stream {} configuration", self.from))?;
        let mut config = source.dig("config").as_object().cloned().unwrap_or_default();
        strip_server_metadata(&mut config);
        self.flags.apply(&mut config)?;
        config.insert("name".to_owned(), self.destination.clone().into());
        let call = format!("STREAM.CREATE.{}", self.destination);
        let created = api.call(&call, config.into()).await.context("could not create Stream")?;
        if self.json {
            return print_json(&info::without_type(created));
        }
        outln!("Stream {} was created\n", self.destination);
        info::page(&created, info::What::All).print();
        Ok(())
    }
}
