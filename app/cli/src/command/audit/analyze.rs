//! `nats audit analyze`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::archive::Archive;
use crate::command::audit::checks;
use crate::command::audit::report::Report;
use crate::show::{out, print_json};

/// Check an archive
#[derive(Args, Debug)]
pub(super) struct Analyze {
    /// The archive
    #[arg(required_unless_present = "load")]
    archive: Option<PathBuf>,
    /// Show at most so many examples for each check; 0 shows all
    #[arg(long, default_value_t = 5, value_name = "EXAMPLES")]
    max_examples: usize,
    /// Leave out the check of this code, may be given several times
    #[arg(long, value_name = "CODE")]
    skip: Vec<String>,
    /// Show a report that was saved
    #[arg(long, value_name = "FILE", conflicts_with = "archive")]
    load: Option<PathBuf>,
    /// Save the report
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Replace a report that was saved
    #[arg(long, short = 'f')]
    force: bool,
    /// Show JSON
    #[arg(long, short = 'j', conflicts_with = "markdown")]
    json: bool,
    /// Show Markdown
    #[arg(long)]
    markdown: bool,
    /// Tell what is missing in the archive
    #[arg(long)]
    verbose: bool,
}

impl Analyze {
    pub(super) fn run(&self) -> Result<()> {
        if let Some(path) = &self.save
            && path.exists()
            && !self.force
        {
            bail!("result file {path:?} already exist, use --force to overwrite");
        }
        let (name, report) = self.report()?;
        match (self.json, self.markdown) {
            (true, _) => print_json(&report)?,
            (_, true) => out!("{}\n", report.markdown(self.max_examples)),
            _ => report.print(&name, self.max_examples),
        }
        if let Some(path) = &self.save {
            let json = serde_json::to_vec_pretty(&report)?;
            std::fs::write(path, json).with_context(|| format!("could not write {}", path.display()))?;
        }
        Ok(())
    }

    /// The report of an archive, or one that was saved, and the name of its file.
    fn report(&self) -> Result<(String, Report)> {
        if let Some(path) = &self.load {
            return Ok((path.display().to_string(), Report::load(path)?));
        }
        let path = self.archive.as_ref().context("archive path is required")?;
        let archive = Archive::open(path).context("failed to open archive")?;
        let report = checks::run_all(&archive, &self.skip, self.max_examples, self.verbose)?;
        Ok((path.display().to_string(), report))
    }
}
