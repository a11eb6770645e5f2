//! `nats context select`, `unselect` and `previous`.

use anyhow::{Result, bail};
use clap::Args;

use crate::command::context::info;
use crate::context::Shelf;
use crate::failure::advise;
use crate::invocation::Invocation;
use crate::show::{outln, pick};

/// Select the context that is used when none is named
#[derive(Args, Debug)]
pub(crate) struct Select {
    /// The context to select
    name: Option<String>,
}

impl Select {
    pub(crate) async fn run(&self, invocation: &Invocation, shelf: &Shelf) -> Result<()> {
        let known = shelf.names()?;
        if known.is_empty() {
            return Err(advise("no context defined", "nats context add NAME --server URL --select makes one"));
        }
        let name = match &self.name {
            Some(name) => name.clone(),
            None => pick("Select a Context", &known)?,
        };
        shelf.select(&name)?;
        info::show(invocation, shelf, &name, false).await?;
        Ok(())
    }
}

pub(crate) fn unselect(shelf: &Shelf) -> Result<()> {
    match shelf.selected() {
        None => outln!("No context currently selected"),
        Some(name) => {
            shelf.unselect()?;
            outln!("Unselected the {name:?} context");
        }
    }
    Ok(())
}

pub(crate) async fn previous(invocation: &Invocation, shelf: &Shelf) -> Result<()> {
    if let Some(name) = shelf.previous() {
        shelf.select(&name)?;
    }
    match shelf.selected() {
        Some(name) => info::show(invocation, shelf, &name, false).await.map(drop),
        None => bail!("no default context and no name supplied"),
    }
}
