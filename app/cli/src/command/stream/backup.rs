//! `nats stream backup`: a stream in a directory, as the server packs it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use async_nats::{Message, StatusCode};
use clap::Args;
use futures::StreamExt;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::command::api::{Api, check_name};
use crate::command::dig::Dig;
use crate::command::stream::frames::Unpacked;
use crate::global::negatable;
use crate::parse::size;
use crate::show::{bytes_bar, comma, ibytes, outln, stderr_is_terminal};

pub(crate) const DATA_FILE: &str = "stream.tar.s2";
pub(crate) const FACTS_FILE: &str = "backup.json";
/// What the server sends at a time unless told otherwise.
const CHUNK_SIZE: u64 = 128 * 1024;
/// Without data for this long, the backup is given up.
const PATIENCE: Duration = Duration::from_secs(5);

negatable! {
    /// Show a progress bar
    Progress, "progress", "no-progress", true
}
negatable! {
    /// Save consumers too
    Consumers, "consumers", "no-consumers", true
}

/// Write a stream to a directory
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The stream
    stream: String,
    /// The directory to write
    target: PathBuf,
    #[command(flatten)]
    progress: Progress,
    /// Let the server check the stream first
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    consumers: Consumers,
    /// Bytes that the server sends at a time
    #[arg(long, value_parser = size, value_name = "BYTES")]
    chunk_size: Option<u64>,
    /// Bytes that the server sends before it waits for us
    #[arg(long, value_parser = size, value_name = "BYTES")]
    window_size: Option<u64>,
}

/// How a backup is made.
pub(crate) struct Plan<'a> {
    pub(crate) target: &'a Path,
    pub(crate) has_progress: bool,
    pub(crate) is_checked: bool,
    pub(crate) has_consumers: bool,
    pub(crate) chunk_size: Option<u64>,
    pub(crate) window_size: Option<u64>,
}

/// Streams in memory cannot be saved.
#[derive(Debug)]
pub(crate) struct MemoryStream;

impl fmt::Display for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory streams do not support snapshots")
    }
}

impl std::error::Error for MemoryStream {}

impl Backup {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        check_name("stream", &self.stream)?;
        let plan = Plan {
            target: &self.target,
            has_progress: self.progress.is_on(),
            is_checked: self.check,
            has_consumers: self.consumers.is_on(),
            chunk_size: self.chunk_size,
            window_size: self.window_size,
        };
        back_up(api, &self.stream, &plan).await.context("snapshot failed")
    }
}

/// Saves one stream.
pub(crate) async fn back_up(api: &Api<'_>, stream: &str, plan: &Plan<'_>) -> Result<()> {
    if api.stream(stream).await?.text("config.storage") == "memory" {
        return Err(MemoryStream.into());
    }
    let client = &api.link.client;
    let inbox = client.new_inbox();
    let mut chunks = client.subscribe(inbox.clone()).await?;
    let mut question = json!({
        "deliver_subject": inbox,
        "no_consumers": !plan.has_consumers,
        "jsck": plan.is_checked,
        "chunk_size": plan.chunk_size.unwrap_or(CHUNK_SIZE),
    });
    if let Some(window) = plan.window_size {
        question["window_size"] = window.into();
    }
    let facts = api.call(&format!("STREAM.SNAPSHOT.{stream}"), question).await?;
    private_folder(plan.target)?;
    let mut taken = Taken::start(api, stream, plan, facts.whole("state.bytes"))?;
    let patience = api.invocation.timeout().max(PATIENCE);
    let receive = async {
        loop {
            let next = timeout(patience, chunks.next()).await;
            let next = next.map_err(|_| anyhow!("backup timed out after receiving no data for a long period"))?;
            let chunk = next.context("the connection ended before the backup did")?;
            if chunk.payload.is_empty() {
                return check_end(&chunk);
            }
            if let Some(reply) = chunk.reply {
                client.publish(reply, Default::default()).await?;
            }
            taken.keep(&chunk.payload)?;
        }
    };
    api.link.unless_fault(receive).await?;
    taken.finish(&facts)
}

/// The empty message at the end says whether all went well.
fn check_end(chunk: &Message) -> Result<()> {
    match chunk.status {
        Some(status) if status != StatusCode::from_u16(204)? => {
            bail!("{status} {}", chunk.description.as_deref().unwrap_or_default())
        }
        _ => Ok(()),
    }
}

/// What has arrived so far.
struct Taken<'a> {
    stream: &'a str,
    plan: &'a Plan<'a>,
    file: File,
    bar: Option<ProgressBar>,
    is_traced: bool,
    start: Instant,
    bytes: u64,
    chunks: u64,
    unpacked: Unpacked,
}

impl<'a> Taken<'a> {
    fn start(api: &Api<'_>, stream: &'a str, plan: &'a Plan<'a>, expected: u64) -> Result<Self> {
        outln!("Starting backup of Stream \"{stream}\" with {}", ibytes(expected));
        let is_traced = api.invocation.is_traced();
        let has_bar = plan.has_progress && !is_traced && stderr_is_terminal();
        if plan.has_progress && !is_traced {
            outln!();
        }
        if plan.is_checked {
            outln!("Health Check was requested, this can take a long time without progress reports\n");
        }
        Ok(Self {
            stream,
            plan,
            file: private_file(&plan.target.join(DATA_FILE))?,
            bar: has_bar.then(|| bytes_bar(expected.max(1), "")),
            is_traced,
            start: Instant::now(),
            bytes: 0,
            chunks: 0,
            unpacked: Unpacked::default(),
        })
    }

    fn keep(&mut self, chunk: &[u8]) -> Result<()> {
        self.file.write_all(chunk).with_context(|| format!("could not write to {}", self.plan.target.display()))?;
        self.bytes += chunk.len() as u64;
        self.chunks += 1;
        self.unpacked.pass(chunk);
        if self.is_traced {
            outln!("Received {} chunk {}", ibytes(chunk.len() as u64), comma(self.chunks));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.unpacked.bytes().min(bar.length().unwrap_or(u64::MAX)));
        }
        Ok(())
    }

    /// The facts are written last: without them, a directory is no backup.
    fn finish(self, facts: &Value) -> Result<()> {
        self.file.sync_all()?;
        let facts = json!({"config": facts.dig("config"), "state": facts.dig("state")});
        let mut file = private_file(&self.plan.target.join(FACTS_FILE))?;
        file.write_all(serde_json::to_string_pretty(&facts)?.as_bytes())?;
        file.sync_all()?;
        if let Some(bar) = self.bar {
            bar.finish();
        }
        let took = Duration::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX));
        outln!(
            "\nReceived {} compressed data in {} chunks for stream \"{}\" in {}, {} uncompressed ",
            ibytes(self.bytes),
            comma(self.chunks),
            self.stream,
            crate::show::go_duration(took),
            ibytes(self.unpacked.bytes()),
        );
        Ok(())
    }
}

/// A directory that only its owner may look into.
pub(crate) fn private_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("could not create {}", path.display()))
}

fn private_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).with_context(|| format!("could not write {}", path.display()))
}
