//! `nats auth account mappings`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use jwt::{Mappings as Claims, WeightedMapping};

use crate::command::auth::account::mapping_file::{self, Target};
use crate::command::auth::desk::Desk;
use crate::command::auth::plan::{Ended, Publishing};
use crate::failure::advise;
use crate::show::{Columns, Table, ask, cells, outln, pick, print_json};
use crate::vault::read_bounded;

const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Manage account level subject mapping and partitioning
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Mappings {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a new mapping
    #[command(visible_aliases = ["new", "a"])]
    Add(Add),
    /// List mappings
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Remove a mapping
    Rm(Rm),
    /// Show information about a mapping
    #[command(visible_aliases = ["i", "show", "view"])]
    Info(Info),
}

#[derive(Args, Debug)]
struct Add {
    /// Account to create the mappings on
    account: Option<String>,
    /// The source subject of the mapping
    source: Option<String>,
    /// The target subject of the mapping
    target: Option<String>,
    /// The weight (%) of the mapping
    #[arg(default_value_t = 100)]
    weight: u8,
    /// Limit the mappings to a specific cluster
    #[arg(default_value = "")]
    cluster: String,
    /// JSON or YAML file to read mappings from: { "source": [ { "subject": "target", "weight": 50 } ] }
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "target"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Ls {
    /// Account to list the mappings from
    account: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
struct Rm {
    /// Account to remove the mappings from
    account: Option<String>,
    /// The source subject of the mapping
    source: Option<String>,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Info {
    /// Account to inspect the mappings from
    account: Option<String>,
    /// The source subject of the mapping
    source: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

impl Mappings {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        match self.command {
            Command::Add(command) => command.run(desk).await,
            Command::Ls(command) => command.run(desk),
            Command::Rm(command) => command.run(desk).await,
            Command::Info(command) => command.run(desk),
        }
    }
}

fn page(mappings: &Claims) -> Columns {
    let mut page = Columns::new("Subject mappings");
    page.section("Configuration");
    for (source, targets) in mappings {
        for to in targets {
            page.row("Source", source.as_str()).row("Target", to.subject.as_str());
            page.row("Weight", u64::from(to.percent())).row("Cluster", to.cluster.as_str()).line("");
        }
        page.row("Total weight", targets.iter().map(|to| u64::from(to.percent())).sum::<u64>()).line("");
    }
    page
}

impl Add {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let added = self.added(&chosen.claims.mappings)?;
        chosen.claims.mappings.extend(added.clone());
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            page(&added).print();
        }
        Ok(())
    }

    fn added(&self, known: &Claims) -> Result<Claims> {
        if let Some(path) = &self.config {
            let content = read_bounded(path, MAX_CONFIG_BYTES)?;
            let read = mapping_file::read(&content)
                .with_context(|| format!("unable to load config file {}", path.display()))?;
            let target = |to: Target| WeightedMapping { subject: to.subject, weight: to.weight, cluster: to.cluster };
            return Ok(read.into_iter().map(|(from, to)| (from, to.into_iter().map(target).collect())).collect());
        }
        let source = self.source.clone().map_or_else(|| ask("Source subject", ""), Ok)?;
        let target = self.target.clone().map_or_else(|| ask("Target subject", ""), Ok)?;
        let mut targets = known.get(&source).cloned().unwrap_or_default();
        if targets.iter().any(|to| to.subject == target && to.cluster == self.cluster) {
            bail!("mapping {source} -> {target} already exists");
        }
        targets.push(WeightedMapping { subject: target, weight: self.weight, cluster: self.cluster.clone() });
        Ok(Claims::from([(source, targets)]))
    }
}

impl Ls {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        if self.json {
            return print_json(&chosen.claims.to_json()["nats"]["mappings"]);
        }
        if chosen.claims.mappings.is_empty() {
            outln!("No mappings defined");
            return Ok(());
        }
        let title = format!("Subject mappings for account {}", chosen.account);
        let mut table = Table::new(title, &["Source Subject", "Target Subject", "Weight", "Cluster"]);
        for (source, targets) in &chosen.claims.mappings {
            for to in targets {
                table.row(cells![source.as_str(), to.subject, u64::from(to.percent()), to.cluster]);
            }
        }
        table.print();
        Ok(())
    }
}

/// The source subject that is meant.
fn source(known: &Claims, named: Option<String>, question: &str) -> Result<String> {
    let names: Vec<String> = known.keys().cloned().collect();
    match named {
        Some(named) if known.contains_key(&named) => Ok(named),
        Some(named) => Err(advise(format!("no mapping of {named:?}"), format!("mapped: {}", names.join(", ")))),
        None => pick(question, &names),
    }
}

impl Rm {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        if chosen.claims.mappings.is_empty() {
            outln!("No mappings defined");
            return Ok(());
        }
        let source = source(&chosen.claims.mappings, self.source, "Select a mapping to delete")?;
        chosen.claims.mappings.remove(&source);
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            outln!("Deleted mapping {{{source}}}");
        }
        Ok(())
    }
}

impl Info {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        if chosen.claims.mappings.is_empty() {
            outln!("No mappings defined");
            return Ok(());
        }
        let source = source(&chosen.claims.mappings, self.source, "Select a mapping to inspect")?;
        if self.json {
            return print_json(&chosen.claims.to_json()["nats"]["mappings"][&source]);
        }
        let targets = chosen.claims.mappings.get(&source).cloned().unwrap_or_default();
        page(&Claims::from([(source, targets)])).print();
        Ok(())
    }
}
