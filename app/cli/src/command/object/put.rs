//! `nats object put`.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use async_nats::header::HeaderMap;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use clap::Args;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::command::api::Api;
use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::object::{Bucket, digest_text, info};
use crate::command::stream::backup::Progress;
use crate::parse::existing_file;
use crate::show::{bytes_bar, outln, stderr_is_terminal};
use crate::template::unique_id;

const CHUNK_SIZE: u32 = 128 * 1024;
/// Chunks that are on their way and not stored yet.
const MAX_ON_THE_WAY: usize = 16;
/// Smaller files are stored before a bar is seen.
const SMALLEST_WITH_BAR: u64 = 20 * 1024;

/// Store a file
#[derive(Args, Debug)]
pub(crate) struct Put {
    /// The bucket
    bucket: String,
    /// The file; stdin when there is none
    #[arg(value_parser = existing_file)]
    file: Option<String>,
    /// Name in the bucket
    #[arg(long)]
    name: Option<String>,
    /// What the file is for
    #[arg(long)]
    description: Option<String>,
    /// Add a header, may be given several times
    #[arg(long = "header", short = 'H', value_name = "K:V")]
    headers: Vec<String>,
    /// Bytes of a chunk
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    chunk_size: Option<u32>,
    #[command(flatten)]
    progress: Progress,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Put {
    pub(super) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        let Some(name) = self.name.as_ref().or(self.file.as_ref()) else {
            bail!("--name is required when reading from stdin");
        };
        let name = clean(name);
        let before = bucket.record(&name).await?;
        if let Some(before) = before.as_ref().filter(|before| !before.flag("deleted") && !self.force) {
            info::file_page(before).print();
            outln!();
            if !confirmed(false, &format!("Replace existing file {} > {name}", self.bucket))? {
                return Ok(());
            }
            outln!();
        }
        let record = self.send(&bucket, &name).await?;
        if let Some(before) = before.filter(|before| !before.text("nuid").is_empty()) {
            bucket.remove_chunks(before.text("nuid")).await.context("could not remove the chunks of the old file")?;
        }
        outln!();
        info::file_page(&record).print();
        Ok(())
    }

    async fn send(&self, bucket: &Bucket<'_>, name: &str) -> Result<Value> {
        let mut record = json!({
            "name": name,
            "bucket": self.bucket,
            "nuid": unique_id(),
            "options": {"max_chunk_size": self.chunk_size.unwrap_or(CHUNK_SIZE)},
        });
        if let Some(description) = &self.description {
            record["description"] = description.as_str().into();
        }
        if !self.headers.is_empty() {
            record["headers"] = self.header_map()?.into();
        }
        let id = record.text("nuid").to_owned();
        let sent = match &self.file {
            None => self.send_chunks(bucket, &id, tokio::io::stdin(), None).await,
            Some(path) => {
                let file = tokio::fs::File::open(path).await.with_context(|| format!("could not open {path}"))?;
                let size = file.metadata().await?.len();
                let has_bar = self.progress.is_on()
                    && size > SMALLEST_WITH_BAR
                    && !bucket.api.invocation.is_traced()
                    && stderr_is_terminal();
                self.send_chunks(bucket, &id, file, has_bar.then(|| bytes_bar(size, ""))).await
            }
        };
        let (size, chunks, digest) = match sent {
            Ok(sent) => sent,
            Err(error) => {
                // Chunks without a record would stay forever. What was wrong is told even when they cannot be removed.
                let _ = bucket.remove_chunks(&id).await;
                return Err(error);
            }
        };
        record["size"] = size.into();
        record["chunks"] = chunks.into();
        record["digest"] = digest.into();
        bucket.write_record(&record).await?;
        record["mtime"] = Timestamp::now().to_string().into();
        Ok(record)
    }

    async fn send_chunks(
        &self,
        bucket: &Bucket<'_>,
        id: &str,
        mut source: impl AsyncRead + Unpin,
        bar: Option<ProgressBar>,
    ) -> Result<(u64, u64, String)> {
        let subject = bucket.chunk_subject(id);
        let mut digest = Context::new(&SHA256);
        let (mut size, mut chunks) = (0, 0);
        let mut on_the_way = FuturesUnordered::new();
        loop {
            let chunk = read_chunk(&mut source, self.chunk_size.unwrap_or(CHUNK_SIZE) as usize).await?;
            if chunk.is_empty() {
                break;
            }
            digest.update(&chunk);
            size += chunk.len() as u64;
            chunks += 1;
            on_the_way.push(bucket.api.store(subject.clone(), HeaderMap::new(), chunk));
            if on_the_way.len() >= MAX_ON_THE_WAY {
                on_the_way.next().await.transpose()?;
            }
            if let Some(bar) = &bar {
                bar.set_position(size);
            }
        }
        while let Some(stored) = on_the_way.next().await {
            stored?;
        }
        if let Some(bar) = bar {
            bar.finish();
        }
        Ok((size, chunks, digest_text(digest.finish().as_ref())))
    }

    fn header_map(&self) -> Result<Map<String, Value>> {
        let mut map: Map<String, Value> = Map::new();
        for text in &self.headers {
            let (name, value) =
                crate::parse::pair(text, ':').with_context(|| format!("invalid header {text:?}: expected K:V"))?;
            let values = map.entry(name).or_insert_with(|| json!([]));
            if let Some(values) = values.as_array_mut() {
                values.push(value.into());
            }
        }
        Ok(map)
    }
}

async fn read_chunk(source: &mut (impl AsyncRead + Unpin), size: usize) -> Result<Bytes> {
    let mut chunk = Vec::with_capacity(size);
    source.take(size as u64).read_to_end(&mut chunk).await.context("could not read the file")?;
    Ok(chunk.into())
}

/// A name without `.`, `..` and doubled slashes.
fn clean(name: &str) -> String {
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if path.file_name().is_some() => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned() {
        for (typed, name) in [("a", "a"), ("./a//b", "a/b"), ("a/../b", "b"), ("/a/b", "/a/b"), ("../a", "../a")] {
            assert_eq!(clean(typed), name);
        }
    }
}
