//! `nats auth account exports`.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jwt::{AccountClaims, Export, ResponseType, Sharing};

use crate::command::auth::account::activation;
use crate::command::auth::desk::Desk;
use crate::command::auth::plan::{Ended, Publishing};
use crate::command::auth::show::moment;
use crate::command::confirmed::confirmed;
use crate::failure::advise;
use crate::show::{Columns, Table, cells, outln, print_json};

/// Manage account Exports
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Exports {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Adds an Export
    #[command(visible_aliases = ["new", "a", "n"])]
    Add(Add),
    /// Show information for an Export
    #[command(visible_aliases = ["i", "show", "view"])]
    Info(Info),
    /// Edits an Export
    #[command(visible_alias = "update")]
    Edit(Edit),
    /// List Exports
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Removes an Export
    Rm(Rm),
    /// Gives an account leave to import, as a token for its owner
    Activate(activation::Activate),
    /// Takes the leave of an account back
    Revoke(activation::Revoke),
    /// Exports a KV bucket
    #[command(hide = true)]
    Kv(Kv),
}

/// How an export is described; what is not typed stays.
#[derive(Args, Debug)]
struct Details {
    /// Friendly description
    #[arg(long)]
    description: Option<String>,
    /// Sets a URL for further information
    #[arg(long)]
    url: Option<String>,
    /// The position to use for the Account name
    #[arg(long, value_name = "POSITION")]
    token_position: Option<u32>,
    /// Advertise the Export
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    advertise: Option<bool>,
    /// Importers need an activation
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    activation: Option<bool>,
    /// How a service answers
    #[arg(long, value_parser = ["singleton", "stream", "chunked"])]
    response: Option<String>,
    /// Traces follow requests into this account
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    traceable: Option<bool>,
}

impl Details {
    fn apply(&self, export: &mut Export) -> Result<()> {
        if let Some(text) = &self.description {
            export.description.clone_from(text);
        }
        if let Some(url) = &self.url {
            export.info_url.clone_from(url);
        }
        export.account_token_position = self.token_position.unwrap_or(export.account_token_position);
        export.advertise = self.advertise.unwrap_or(export.advertise);
        export.token_req = self.activation.unwrap_or(export.token_req);
        export.allow_trace = self.traceable.unwrap_or(export.allow_trace);
        if let Some(response) = &self.response {
            if export.sharing != Sharing::Service {
                bail!("only services answer: --response needs --service");
            }
            export.response_type = match response.as_str() {
                "stream" => ResponseType::Stream,
                "chunked" => ResponseType::Chunked,
                _ => ResponseType::Singleton,
            };
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
struct Add {
    /// A unique name for the Export
    name: String,
    /// The Subject to export
    subject: String,
    /// Account to act on
    account: Option<String>,
    /// Sets the Export to be a Service rather than a Stream
    #[arg(long)]
    service: bool,
    #[command(flatten)]
    details: Details,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Info {
    /// Export to view by subject
    subject: Option<String>,
    /// Account to act on
    account: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
struct Edit {
    /// The Export Subject to edit
    subject: String,
    /// Account to act on
    account: Option<String>,
    #[command(flatten)]
    details: Details,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Ls {
    /// Account to act on
    account: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
struct Rm {
    /// Export to remove by subject
    subject: String,
    /// Account to act on
    account: Option<String>,
    /// Remove without prompting
    #[arg(long, short = 'f')]
    force: bool,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Kv {
    /// The bucket to export
    bucket: String,
    /// Account to act on
    account: Option<String>,
    #[command(flatten)]
    publishing: Publishing,
}

impl Exports {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        match self.command {
            Command::Add(command) => command.run(desk).await,
            Command::Info(command) => command.run(desk),
            Command::Edit(command) => command.run(desk).await,
            Command::Ls(command) => command.run(desk),
            Command::Rm(command) => command.run(desk).await,
            Command::Activate(command) => command.run(desk),
            Command::Revoke(command) => command.run(desk).await,
            Command::Kv(command) => command.run(desk).await,
        }
    }
}

/// Where an export stands.
pub(super) fn find(claims: &AccountClaims, subject: &str) -> Result<usize> {
    claims.exports.iter().position(|export| export.subject == subject).ok_or_else(|| {
        let known: Vec<_> = claims.exports.iter().map(|export| export.subject.as_str()).collect();
        let advice = if known.is_empty() {
            "there are no exports".to_owned()
        } else {
            format!("exported: {}", known.join(", "))
        };
        advise(format!("subject {subject:?} is not exported"), advice)
    })
}

const fn kind(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::Stream => "Stream",
        Sharing::Service => "Service",
    }
}

fn page(export: &Export) -> Columns {
    let mut page = Columns::new(format!("Export info for {} exporting {}", export.name, export.subject));
    page.section("Configuration");
    page.row("Name", export.name.as_str()).row_not_empty("Description", &export.description);
    page.row("Kind", kind(export.sharing)).row_not_empty("Info", &export.info_url);
    page.row("Subject", export.subject.as_str()).row("Activation Required", export.token_req);
    page.row("Account Token Position", u64::from(export.account_token_position)).row("Advertised", export.advertise);
    page.section("Revocations");
    for (who, at) in export.revocations.iter() {
        let who = match who {
            jwt::Revoked::All => "*".to_owned(),
            jwt::Revoked::Key(key) => key.to_string(),
        };
        page.row(&moment(at), who);
    }
    if export.revocations.is_empty() {
        page.line("No revocations found");
    }
    page
}

impl Add {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        if chosen.claims.exports.iter().any(|export| export.subject == self.subject) {
            bail!("subject {:?} is already exported", self.subject);
        }
        let mut export = Export::new(if self.service { Sharing::Service } else { Sharing::Stream }, &self.subject);
        export.name = self.name;
        self.details.apply(&mut export)?;
        chosen.claims.exports.push(export.clone());
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            page(&export).print();
        }
        Ok(())
    }
}

impl Info {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        let at = match (&self.subject, chosen.claims.exports.as_slice()) {
            (Some(subject), _) => find(&chosen.claims, subject)?,
            (None, []) => bail!("no exports defined"),
            (None, [_]) => 0,
            (None, exports) => {
                let subjects: Vec<_> = exports.iter().map(|export| export.subject.clone()).collect();
                find(&chosen.claims, &crate::show::pick("Select an Export", &subjects)?)?
            }
        };
        if self.json {
            return print_json(&chosen.claims.to_json()["nats"]["exports"][at]);
        }
        chosen.claims.exports.get(at).into_iter().for_each(|export| page(export).print());
        Ok(())
    }
}

impl Edit {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let at = find(&chosen.claims, &self.subject)?;
        let Some(export) = chosen.claims.exports.get_mut(at) else { bail!("unknown export") };
        self.details.apply(export)?;
        let shown = page(export);
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            shown.print();
        }
        Ok(())
    }
}

impl Ls {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        if self.json {
            return print_json(&chosen.claims.to_json()["nats"]["exports"]);
        }
        if chosen.claims.exports.is_empty() {
            outln!("No Exports defined");
            return Ok(());
        }
        let mut exports: Vec<_> = chosen.claims.exports.iter().collect();
        exports.sort_by(|one, other| one.subject.cmp(&other.subject));
        let header = &["Name", "Kind", "Subject", "Activation Required", "Advertised", "Token Position", "Revocations"];
        let mut table = Table::new(format!("Exports for account {}", chosen.account), header);
        for export in exports {
            let (position, revoked) =
                (u64::from(export.account_token_position), export.revocations.iter().count() as u64);
            table.row(cells![
                export.name,
                kind(export.sharing),
                export.subject,
                export.token_req,
                export.advertise,
                position,
                revoked
            ]);
        }
        table.print();
        Ok(())
    }
}

impl Rm {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let at = find(&chosen.claims, &self.subject)?;
        let is_sure = self.force || self.publishing.dry_run;
        if !confirmed(is_sure, &format!("Really remove the {} Export", self.subject))? {
            return Ok(());
        }
        let export = chosen.claims.exports.remove(at);
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            outln!("Removing {} Export for subject {:?}", kind(export.sharing), export.subject);
        }
        Ok(())
    }
}

impl Kv {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let bucket = &self.bucket;
        let export = |sharing, subject: String| {
            outln!("Exporting {} Subject: {subject}", kind(sharing));
            let mut export = Export::new(sharing, &subject);
            export.name = format!("KV_{bucket}");
            export.description = format!("Export for KV Bucket {bucket}");
            export
        };
        let services = [
            format!("$JS.API.STREAM.INFO.KV_{bucket}"),
            format!("$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.>"),
            format!("$JS.API.CONSUMER.CREATE.KV_{bucket}.>"),
            format!("$KV.{bucket}.>"),
        ];
        chosen.claims.exports.extend(services.into_iter().map(|subject| export(Sharing::Service, subject)));
        chosen.claims.exports.push(export(Sharing::Stream, format!("_INBOX.KV_{bucket}.>")));
        chosen.keep(desk, &self.publishing).await.map(drop)
    }
}
