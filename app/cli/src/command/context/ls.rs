//! `nats context ls`.

use anyhow::Result;
use clap::Args;

use crate::context::{Record, Shelf};
use crate::show::{Table, cells, log, outln, print_json};

/// List known contexts
#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Show only names
    #[arg(long)]
    names: bool,
    /// Show the list for shell completion
    #[arg(long, hide = true)]
    completion: bool,
}

impl Ls {
    pub(crate) fn run(&self, shelf: &Shelf) -> Result<()> {
        let mut records = Vec::new();
        for name in shelf.names()? {
            match shelf.load(&name) {
                Ok(record) => records.push(record),
                Err(_) if self.completion => {}
                Err(error) => log!("Could not load context {name}: {error:#}"),
            }
        }
        let selected = shelf.selected().unwrap_or_default();
        let mark = |record: &Record| if record.name == selected { "*" } else { "" };
        if self.completion {
            for record in &records {
                outln!("{}{}:{}", record.name.replace(':', "\\:"), mark(record), record.description);
            }
        } else if self.json {
            print_json(&records)?;
        } else if self.names {
            for record in &records {
                outln!("{}", record.name);
            }
        } else if records.is_empty() {
            outln!("No known contexts");
        } else {
            let mut table = Table::new("Known Contexts", &["Name", "Description"]);
            for record in &records {
                table.row(cells![format!("{}{}", record.name, mark(record)), record.description]);
            }
            table.print();
        }
        Ok(())
    }
}
