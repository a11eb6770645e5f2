//! `nats stream graph`.

use anyhow::Result;
use clap::Args;

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::command::live::{Plot, Rate, check, decimal, every_second, paint, whole};

/// Draw what happens in a stream
#[derive(Args, Debug)]
pub(crate) struct Graph {
    /// The stream
    stream: Option<String>,
}

impl Graph {
    pub(crate) async fn run(&self, api: &Api<'_>, is_all: bool) -> Result<()> {
        check()?;
        let name = api.pick_stream(self.stream.as_deref(), true, is_all).await?;
        let info = api.stream(&name).await?;
        let mut stored = Rate::from(info.number("state.last_seq"));
        let mut removed = Rate::from(info.number("state.first_seq"));
        let mut plots = [
            Plot::new("Messages Stored", whole),
            Plot::new("Messages Removed / second", decimal),
            Plot::new("Messages Stored / second", decimal),
        ];
        every_second(async || {
            // A server that does not answer in time may do so the next time.
            let Ok(info) = api.stream(&name).await else { return Ok(()) };
            plots[0].push(info.number("state.messages"));
            plots[1].push(removed.step(info.number("state.first_seq")));
            plots[2].push(stored.step(info.number("state.last_seq")));
            paint(&format!("Stream Statistics for {name}"), &plots)
        })
        .await
    }
}
