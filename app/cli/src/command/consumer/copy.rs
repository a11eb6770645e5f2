//! `nats consumer copy`.

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;

use crate::command::consumer::config::CreationFlags;
use crate::command::consumer::{Desk, info};
use crate::command::dig::Dig;
use crate::command::stream::config::strip_server_metadata;

/// Create a consumer with the configuration of another one
#[derive(Args, Debug)]
pub(crate) struct Copy {
    /// The stream
    stream: String,
    /// The consumer to copy from
    #[arg(id = "from", value_name = "SOURCE")]
    from: String,
    /// Name of the new consumer
    destination: String,
    #[command(flatten)]
    flags: CreationFlags,
}

impl Copy {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let source = desk.api.consumer(&self.stream, &self.from).await.context("could not load source Consumer")?;
        let mut config = source.dig("config").as_object().cloned().unwrap_or_default();
        strip_server_metadata(&mut config);
        config.insert("name".to_owned(), self.destination.clone().into());
        if self.flags.ephemeral {
            config.remove("durable_name");
        } else {
            config.insert("durable_name".to_owned(), self.destination.clone().into());
        }
        self.flags.apply(&mut config)?;
        let is_pull = config.get("deliver_subject").and_then(Value::as_str).unwrap_or_default().is_empty();
        let pushed_only: &[&str] = if is_pull { &["idle_heartbeat", "flow_control", "deliver_group"] } else { &[] };
        config.retain(|key, _| !pushed_only.contains(&key.as_str()));
        let created = desk.put(&self.stream, config).await.context("Consumer creation failed")?;
        info::page(&created, info::What::All).print();
        Ok(())
    }
}
