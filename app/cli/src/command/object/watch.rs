//! `nats object watch`.

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::command::object::Bucket;
use crate::command::reader::{Reader, Until};
use crate::show::{comma, ibytes, local_time, outln, stdout_is_terminal};

/// Show what happens to files
#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// The bucket
    bucket: String,
}

impl Watch {
    pub(super) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        let config = json!({"deliver_policy": "all", "filter_subject": bucket.all_records()});
        let mut reader = Reader::open(api, &bucket.stream(), config, Until::Stopped).await?;
        while let Some(entry) = reader.next().await? {
            let record: Value =
                serde_json::from_slice(&entry.message.payload).context("the record of a file is not valid")?;
            let (at, name) = (local_time(entry.facts.at), record.text("name"));
            if record.flag("deleted") {
                outln!("[{at}] {} {} > {name}", coloured("DEL"), self.bucket);
            } else {
                let (size, chunks) = (ibytes(record.whole("size")), comma(record.whole("chunks")));
                outln!("[{at}] {} {} > {name}: {size} bytes in {chunks} chunks", coloured("PUT"), self.bucket);
            }
        }
        Ok(())
    }
}

fn coloured(word: &'static str) -> String {
    if !stdout_is_terminal() {
        return word.to_owned();
    }
    let text = console::style(word);
    if word == "PUT" { text.green() } else { text.red() }.to_string()
}
