//! Health of servers.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;

use crate::command::dig::Dig;
use crate::command::server::report::Desk;
use crate::command::server::request::HealthScope;
use crate::show::{Table, cells};

/// With more errors than this only one less is shown.
const MAX_ERRORS: usize = 10;

/// Show the health of servers
#[derive(Args, Debug)]
pub(crate) struct Health {
    /// Wait for so many servers
    limit: Option<usize>,
    #[command(flatten)]
    what: HealthScope,
}

impl Health {
    pub(crate) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let mut answers = desk.ask("HEALTHZ", self.what.body(true).into(), self.limit).await?;
        desk.sort(&mut answers, |answer| answer.text("server.name").to_owned());
        let mut table = Table::new("Health Report", &["Server", "Cluster", "Domain", "Status", "Type", "Error"]);
        let (mut fine, mut errors) = (0usize, 0usize);
        for answer in &answers {
            let (server, data) = (answer.dig("server"), answer.dig("data"));
            let code = data.whole("status_code");
            fine += usize::from(code == 200);
            let status = format!("{} ({code})", data.text("status"));
            table.row(cells![server.text("name"), server.text("cluster"), server.text("domain"), status, "", ""]);
            let found = data.list("errors");
            errors += found.len();
            let shown = if found.len() > MAX_ERRORS { MAX_ERRORS - 1 } else { found.len() };
            for error in &found[..shown] {
                table.row(cells!["", "", "", "", error.text("type"), error.text("error")]);
            }
            if shown < found.len() {
                table.row(cells!["", "", "", format!("{} more errors", found.len() - shown), "", ""]);
            }
        }
        let clusters: BTreeSet<_> = answers.iter().map(|answer| answer.text("server.cluster")).collect();
        let counts = format!("ok: {fine} / err: {}", answers.len() - fine);
        table.footer(cells![answers.len(), clusters.len(), "", counts, "", errors]);
        table.print();
        Ok(())
    }
}
