//! `nats object get`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf, absolute};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::digest::{Context, SHA256};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::command::api::Api;
use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::object::{Bucket, digest_text};
use crate::command::reader::{Reader, Until};
use crate::command::stream::backup::Progress;
use crate::show::{bytes_bar, humanize, ibytes, outln, stderr_is_terminal};

/// Smaller files are fetched before a bar is seen.
const SMALLEST_WITH_BAR: u64 = 20 * 1024;
/// Only after this long, the rate says something.
const SHORTEST_WITH_RATE: Duration = Duration::from_secs(2);
/// A link may lead to a link, but not forever.
const MAX_LINKS: usize = 8;

/// Fetch a file
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// The bucket
    bucket: String,
    /// The file
    file: String,
    /// Where to write it
    #[arg(long, short = 'O', value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    progress: Progress,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Get {
    pub(super) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let (bucket, record) = find(api, &self.bucket, &self.file).await?;
        let target = self.target(&record)?;
        if target.exists() && !confirmed(self.force, &format!("Replace existing target file {}", target.display()))? {
            return Ok(());
        }
        let part = beside(&target);
        let start = Instant::now();
        let file = File::create(&part).with_context(|| format!("could not write {}", part.display()))?;
        if let Err(error) = self.fetch(&bucket, &record, file).await {
            // Half a file is of no use; when it cannot be removed, the error below matters more.
            let _ = std::fs::remove_file(&part);
            return Err(error);
        }
        std::fs::rename(&part, &target).with_context(|| format!("could not write {}", target.display()))?;
        let (took, size) = (start.elapsed(), record.whole("size"));
        let rate = if took > SHORTEST_WITH_RATE {
            format!(" average {}/s", ibytes((size as f64 / took.as_secs_f64()) as u64))
        } else {
            String::new()
        };
        outln!("Wrote: {} to {} in {}{rate}", ibytes(size), target.display(), humanize(took));
        Ok(())
    }

    /// The name in the bucket may hold a path: only its end is taken.
    fn target(&self, record: &Value) -> Result<PathBuf> {
        let name = Path::new(record.text("name")).file_name().map(PathBuf::from);
        let name = self.output.clone().or(name).context("the file has no name that can be used here, pass --output")?;
        Ok(absolute(name)?)
    }

    async fn fetch(&self, bucket: &Bucket<'_>, record: &Value, mut file: File) -> Result<()> {
        let size = record.whole("size");
        let bar = self.bar(bucket.api, size);
        let mut digest = Context::new(&SHA256);
        let mut written = 0;
        if size > 0 {
            let config = json!({"filter_subject": bucket.chunk_subject(record.text("nuid"))});
            let mut reader = Reader::open(bucket.api, &bucket.stream(), config, Until::End).await?;
            while let Some(chunk) = reader.next().await? {
                let body = &chunk.message.payload;
                digest.update(body);
                file.write_all(body)?;
                written += body.len() as u64;
                if let Some(bar) = &bar {
                    bar.set_position(written);
                }
            }
            reader.close().await;
        }
        file.flush()?;
        if let Some(bar) = bar {
            bar.finish();
        }
        if written != size {
            bail!("wrote {}, expected {}", ibytes(written), ibytes(size));
        }
        if digest_text(digest.finish().as_ref()) != record.text("digest") {
            bail!("nats: received a corrupt object, digests do not match");
        }
        Ok(())
    }

    fn bar(&self, api: &Api<'_>, size: u64) -> Option<ProgressBar> {
        let is_seen = self.progress.is_on() && size > SMALLEST_WITH_BAR && !api.invocation.is_traced();
        (is_seen && stderr_is_terminal()).then(|| bytes_bar(size, ""))
    }
}

/// The file, or the one that it links to.
async fn find<'a>(api: &'a Api<'a>, bucket: &str, file: &str) -> Result<(Bucket<'a>, Value)> {
    let (mut bucket, mut file) = (bucket.to_owned(), file.to_owned());
    for _ in 0..MAX_LINKS {
        let opened = Bucket::open(api, &bucket).await?;
        let record = opened.file(&file).await?;
        let link = record.dig("options.link");
        if link.is_null() {
            return Ok((opened, record));
        }
        if link.text("name").is_empty() {
            bail!("nats: not allowed to get the object: it is a link to the bucket {:?}", link.text("bucket"));
        }
        (bucket, file) = (link.text("bucket").to_owned(), link.text("name").to_owned());
    }
    bail!("the links of {file:?} lead nowhere")
}

/// Where a file grows until it is complete.
fn beside(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".{}.part", crate::template::random_letters(6)));
    name.into()
}
