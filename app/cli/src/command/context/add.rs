//! `nats context add` and `copy`.

use anyhow::{Result, bail};
use clap::Args;

use crate::command::context::info;
use crate::context::{Record, Shelf, check_name, overlay};
use crate::invocation::Invocation;

/// Make a context, or change one, from the connection flags
///
/// --creds, --nkey, --jwt and --seed take
///
///   /some/path                  a file
///   file://path                 the same
///   op://vault/item/field       a 1Password item, read with 'op read'
///   nsc://Operator/Account/User a user of 'nsc'
///   env://NAME                  an environment variable
///
/// With --embed the content of files goes into the context itself.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Add {
    /// Name of the context
    name: String,
    #[command(flatten)]
    how: How,
}

/// Make a context from another one
#[derive(Args, Debug)]
pub(crate) struct Copy {
    /// The context to copy
    source: String,
    /// Name of the new context
    name: String,
    #[command(flatten)]
    how: How,
}

#[derive(Args, Debug)]
struct How {
    /// What this context is for
    #[arg(long)]
    description: Option<String>,
    /// Select the context
    #[arg(long)]
    select: bool,
    /// Take the content of credential files into the context
    #[arg(long)]
    embed: bool,
}

impl Add {
    pub(crate) async fn run(&self, invocation: &Invocation, shelf: &Shelf) -> Result<()> {
        check_name(&self.name)?;
        let base =
            if shelf.knows(&self.name) { Some(self.name.as_str()) } else { invocation.global.context.as_deref() };
        let record = match base {
            Some(name) => shelf.load(name)?,
            None => Record::default(),
        };
        self.how.save(invocation, shelf, &self.name, record).await
    }
}

impl Copy {
    pub(crate) async fn run(&self, invocation: &Invocation, shelf: &Shelf) -> Result<()> {
        if !shelf.knows(&self.source) {
            bail!("unknown context {:?}", self.source);
        }
        if shelf.knows(&self.name) {
            bail!("context {:?} already exist", self.name);
        }
        self.how.save(invocation, shelf, &self.name, shelf.load(&self.source)?).await
    }
}

impl How {
    async fn save(&self, invocation: &Invocation, shelf: &Shelf, name: &str, mut record: Record) -> Result<()> {
        overlay(&mut record, &invocation.global);
        if let Some(description) = &self.description {
            description.clone_into(&mut record.description);
        }
        if record.url.is_empty() {
            crate::context::DEFAULT_URL.clone_into(&mut record.url);
        }
        if self.embed {
            record.embed()?;
        }
        shelf.save(name, &record)?;
        if self.select {
            shelf.select(name)?;
        }
        info::show(invocation, shelf, name, false).await?;
        Ok(())
    }
}
