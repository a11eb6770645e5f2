//! `nats consumer graph`.

use anyhow::Result;
use clap::Args;

use crate::command::consumer::{Desk, Which};
use crate::command::dig::Dig;
use crate::command::live::{Plot, Rate, check, decimal, every_second, paint, whole};

/// Draw what a consumer does
#[derive(Args, Debug)]
pub(crate) struct Graph {
    #[command(flatten)]
    which: Which,
}

impl Graph {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        check()?;
        let info = desk.consumer(&self.which).await?;
        let (stream, name) = (info.text("stream_name"), info.text("name"));
        let mut delivered = Rate::from(info.number("delivered.consumer_seq"));
        let mut acknowledged = Rate::from(info.number("ack_floor.consumer_seq"));
        let mut plots = [
            Plot::new("Messages Pending", whole),
            Plot::new("Messages Waiting for Ack", whole),
            Plot::new("Messages Acknowledged / second", decimal),
            Plot::new("Messages Delivered / second", decimal),
        ];
        every_second(async || {
            // A server that does not answer in time may do so the next time.
            let Ok(info) = desk.api.consumer(stream, name).await else { return Ok(()) };
            plots[0].push(info.number("num_pending"));
            plots[1].push(info.number("num_ack_pending"));
            plots[2].push(acknowledged.step(info.number("ack_floor.consumer_seq")));
            plots[3].push(delivered.step(info.number("delivered.consumer_seq")));
            paint(&format!("Consumer Statistics for {stream} > {name}"), &plots)
        })
        .await
    }
}
