//! `nats stream restore`: a stream out of a directory.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};

use crate::command::api::{Api, STREAM_NOT_FOUND, check_name, is_api_error};
use crate::command::dig::Dig;
use crate::command::stream::backup::{DATA_FILE, FACTS_FILE, MemoryStream, Progress};
use crate::command::stream::config::from_file;
use crate::command::stream::info;
use crate::parse::existing_file;
use crate::show::{bytes_bar, go_duration, ibytes, outln, stderr_is_terminal};

/// What newer servers call the packed stream.
const ARCHIVE_FILE: &str = "stream.arc.s2";
const CHUNK_SIZE: usize = 64 * 1024;
/// The server may work this long once it has everything.
const LONGEST_WORK: Duration = Duration::from_secs(3600);

/// Read a stream from a directory
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The directory of the backup
    #[arg(value_parser = existing_folder)]
    file: PathBuf,
    #[command(flatten)]
    progress: Progress,
    /// Give the stream the configuration in this JSON file
    #[arg(long, value_parser = existing_file, value_name = "FILE")]
    config: Option<String>,
    /// Place the stream in this cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Place the stream on servers with this tag, may be given several times
    #[arg(long)]
    tag: Vec<String>,
    /// Copies in a cluster
    #[arg(long)]
    replicas: Option<u8>,
}

/// Where a restored stream goes.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    pub(crate) has_progress: bool,
    pub(crate) config: Option<&'a str>,
    pub(crate) cluster: Option<&'a str>,
    pub(crate) tags: &'a [String],
    pub(crate) replicas: Option<u8>,
}

pub(crate) fn existing_folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err(format!("directory '{text}' does not exist")) }
}

impl Restore {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let plan = Plan {
            has_progress: self.progress.is_on(),
            config: self.config.as_deref(),
            cluster: self.cluster.as_deref(),
            tags: &self.tag,
            replicas: self.replicas,
        };
        restore(api, &self.file, &plan).await
    }
}

/// Brings one stream back.
pub(crate) async fn restore(api: &Api<'_>, folder: &Path, plan: &Plan<'_>) -> Result<()> {
    let facts = facts(folder)?;
    let name = facts.text("config.name").to_owned();
    check_name("stream", &name)?;
    match api.stream(&name).await {
        Ok(_) => bail!("Stream \"{name}\" already exist"),
        Err(error) if is_api_error(&error, STREAM_NOT_FOUND) => {}
        Err(error) => return Err(error.context("Could not check if the stream already exist")),
    }
    let config = config(facts.dig("config"), plan)?;
    outln!("Starting restore of Stream \"{name}\" from file \"{}\"\n", folder.display());
    let start = Instant::now();
    let question = json!({"config": config, "state": facts.dig("state")});
    send(api, folder, &name, question, plan.has_progress).await.context("restore failed")?;
    let took = Duration::from_secs(start.elapsed().as_secs_f64().round() as u64);
    outln!("\nRestored stream \"{name}\" in {}\n", go_duration(took));
    let info = api.stream(&name).await.context("could not request Stream info")?;
    info::page(&info, info::What::All).print();
    outln!();
    Ok(())
}

fn facts(folder: &Path) -> Result<Value> {
    let path = folder.join(FACTS_FILE);
    let text = fs::read(&path).with_context(|| format!("restore failed: open {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("restore failed: {} is not valid", path.display()))
}

fn config(saved: &Value, plan: &Plan<'_>) -> Result<Value> {
    let mut config = match plan.config {
        None => saved.clone(),
        Some(path) => {
            let config = Value::from(from_file(path)?);
            if config.text("name") != saved.text("name") {
                bail!("stream names may not be changed during restore");
            }
            config
        }
    };
    if plan.cluster.is_some() || !plan.tags.is_empty() {
        let mut placement = json!({"cluster": plan.cluster.unwrap_or_default()});
        if !plan.tags.is_empty() {
            placement["tags"] = json!(plan.tags);
        }
        config["placement"] = placement;
    }
    if let Some(replicas) = plan.replicas {
        config["num_replicas"] = replicas.into();
    }
    if config.text("storage") == "memory" {
        return Err(MemoryStream.into());
    }
    Ok(config)
}

async fn send(api: &Api<'_>, folder: &Path, name: &str, question: Value, has_progress: bool) -> Result<()> {
    let path = [DATA_FILE, ARCHIVE_FILE].iter().map(|file| folder.join(file)).find(|path| path.is_file());
    let path = path.with_context(|| format!("{} holds no {DATA_FILE}", folder.display()))?;
    let mut file = fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
    let total = file.metadata()?.len();
    let answer = api.call(&format!("STREAM.RESTORE.{name}"), question).await?;
    let subject = answer.text("deliver_subject").to_owned();
    let is_traced = api.invocation.is_traced();
    let bar = (has_progress && !is_traced && stderr_is_terminal()).then(|| bytes_bar(total, ""));
    let mut buffer = vec![0; CHUNK_SIZE];
    let (mut sent, mut chunks, start) = (0, 0u64, Instant::now());
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        let answer = ask(api, &subject, Bytes::copy_from_slice(&buffer[..length]), api.invocation.timeout()).await?;
        if !answer.is_empty() {
            check_answer(&answer)?;
        }
        sent += length as u64;
        if let Some(bar) = &bar {
            bar.set_position(sent);
        }
        chunks += 1;
        if is_traced {
            let rate = sent as f64 / start.elapsed().as_secs_f64().max(0.001);
            let size = ibytes(CHUNK_SIZE as u64);
            outln!("Sent {size} chunk {chunks} / {} at {} / s", total / CHUNK_SIZE as u64 + 1, ibytes(rate as u64));
        }
    }
    let answer = ask(api, &subject, Bytes::new(), LONGEST_WORK).await?;
    if let Some(bar) = bar {
        bar.finish();
    }
    check_answer(&answer)
}

async fn ask(api: &Api<'_>, subject: &str, chunk: Bytes, patience: Duration) -> Result<Bytes> {
    let request = async_nats::Request::new().payload(chunk).timeout(Some(patience));
    let sent = async { Ok(api.link.client.send_request(subject.to_owned(), request).await?) };
    Ok(api.link.unless_fault(sent).await?.payload)
}

fn check_answer(answer: &[u8]) -> Result<()> {
    let answer: Value = serde_json::from_slice(answer).map_err(|_| anyhow!("{:?}", String::from_utf8_lossy(answer)))?;
    match answer.dig("error") {
        Value::Null => Ok(()),
        error => bail!("{} ({})", error.text("description"), error.whole("err_code")),
    }
}
