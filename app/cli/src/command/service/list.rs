//! `nats service list`.

use anyhow::Result;
use clap::Args;

use crate::command::dig::Dig;
use crate::command::service::{INFO, gather};
use crate::invocation::Invocation;
use crate::show::{Table, cells, outln, print_json};

/// List services, or the instances of one
#[derive(Args, Debug)]
pub(crate) struct List {
    /// List instances of this service
    service: Option<String>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

impl List {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        let name = self.service.as_deref().unwrap_or_default();
        let found = gather(invocation, &link, INFO, (name, ""), 0).await?;
        if self.json {
            return print_json(&found);
        }
        if found.is_empty() {
            outln!("No results received");
            return Ok(());
        }
        let title = if name.is_empty() { "All Services".to_owned() } else { format!("{name} Service Instances") };
        let mut table = Table::new(title, &["Name", "Version", "ID", "Description"]);
        let mut last: Option<&serde_json::Value> = None;
        for service in &found {
            let unless_same = |key: &str| match last {
                Some(last) if last.text(key) == service.text(key) => "",
                _ => service.text(key),
            };
            table.row(cells![
                unless_same("name"),
                unless_same("version"),
                service.text("id"),
                unless_same("description")
            ]);
            last = Some(service);
        }
        table.print();
        Ok(())
    }
}
