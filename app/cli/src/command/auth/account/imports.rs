//! `nats auth account imports`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use jwt::{AccountClaims, ActivationClaims, Import, Sharing};
use nkeys::{PublicKey, Role};

use crate::command::auth::desk::Desk;
use crate::command::auth::plan::{Ended, Publishing};
use crate::command::confirmed::confirmed;
use crate::failure::advise;
use crate::show::{Columns, Table, cells, outln, print_json};
use crate::vault::read_bounded;

const MAX_TOKEN_BYTES: u64 = 2 << 20;

/// Manage account Imports
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Imports {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Adds an Import
    #[command(visible_aliases = ["new", "a", "n"])]
    Add(Add),
    /// Show information for an Import
    #[command(visible_aliases = ["i", "show", "view"])]
    Info(Info),
    /// Edits an Import
    #[command(visible_alias = "update")]
    Edit(Edit),
    /// List Imports
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Removes an Import
    Rm(Rm),
    /// Imports a KV bucket
    #[command(hide = true)]
    Kv(Kv),
}

#[derive(Args, Debug)]
struct Add {
    /// A unique name for the import
    name: String,
    /// The Subject to import
    subject: String,
    /// Account to import into
    account: Option<String>,
    /// The account to import from: a name of this operator, or a public key
    #[arg(long)]
    source: Option<String>,
    /// The local Subject to use for the import
    #[arg(long)]
    local: Option<String>,
    /// File with the activation of an Export that needs one
    #[arg(long, value_name = "FILE")]
    activation: Option<PathBuf>,
    /// Shares connection information with the exporter
    #[arg(long)]
    share: bool,
    /// Enable tracing messages across Stream imports
    #[arg(long)]
    traceable: bool,
    /// Sets the import to be a Service rather than a Stream
    #[arg(long)]
    service: bool,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Info {
    /// Import to view by local subject
    subject: Option<String>,
    /// Account to act on
    account: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
struct Edit {
    /// The Local import Subject to edit
    subject: String,
    /// Account to act on
    account: Option<String>,
    /// The local Subject to use for the import
    #[arg(long)]
    local: Option<String>,
    /// Shares connection information with the exporter
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    share: Option<bool>,
    /// Enable tracing messages across Stream imports
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    traceable: Option<bool>,
    /// File with a new activation
    #[arg(long, value_name = "FILE")]
    activation: Option<PathBuf>,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Ls {
    /// Account to act on
    account: Option<String>,
    /// Operator to act on
    operator: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
struct Rm {
    /// Import to remove by local subject
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
    /// The bucket to import
    bucket: String,
    /// The prefix to mount the bucket on
    prefix: String,
    /// The account public key to import from
    source: String,
    /// Account to act on
    account: Option<String>,
    #[command(flatten)]
    publishing: Publishing,
}

impl Imports {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        match self.command {
            Command::Add(command) => command.run(desk).await,
            Command::Info(command) => command.run(desk),
            Command::Edit(command) => command.run(desk).await,
            Command::Ls(command) => command.run(desk),
            Command::Rm(command) => command.run(desk).await,
            Command::Kv(command) => command.run(desk).await,
        }
    }
}

/// The name of the import where it is used.
fn local(import: &Import) -> &str {
    let renamed = match import.sharing {
        Sharing::Service if !import.to.is_empty() => return &import.subject,
        _ => [&import.local_subject, &import.to],
    };
    renamed.into_iter().find(|name| !name.is_empty()).unwrap_or(&import.subject)
}

/// The name of the import where it comes from.
fn remote(import: &Import) -> &str {
    import.exported_subject()
}

fn find(claims: &AccountClaims, subject: &str) -> Result<usize> {
    claims.imports.iter().position(|import| local(import) == subject).ok_or_else(|| {
        let known: Vec<_> = claims.imports.iter().map(local).collect();
        let advice = if known.is_empty() {
            "there are no imports".to_owned()
        } else {
            format!("imported as: {}", known.join(", "))
        };
        advise(format!("subject {subject:?} is not imported"), advice)
    })
}

const fn kind(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::Stream => "Stream",
        Sharing::Service => "Service",
    }
}

fn page(desk: &Desk<'_>, operator: &str, import: &Import) -> Columns {
    let mut page = Columns::new(format!("Import info for import {:?} importing {:?}", import.name, local(import)));
    let from = match desk.name_of(operator, &import.account) {
        name if name == import.account.to_string() => name,
        name => format!("{name} ({})", import.account),
    };
    page.section("Configuration");
    page.row("Name", import.name.as_str()).row("From Account", from).row("Local Subject", local(import));
    page.row("Kind", kind(import.sharing)).row("Remote Subject", remote(import));
    page.row("Sharing Connection Info", import.share);
    page.row_if(import.sharing == Sharing::Stream, "Allows Message Tracing", import.allow_trace);
    page.row_if(!import.token.is_empty(), "Activation", true);
    page
}

/// An activation from a file, for this importer and nobody else.
fn activation(path: &std::path::Path, importer: &PublicKey) -> Result<(String, ActivationClaims)> {
    let content = read_bounded(path, MAX_TOKEN_BYTES)?;
    let token = nkeys::undecorate_jwt(&content).context("no token found")?;
    let claims = ActivationClaims::decode(token).context("this is no activation")?;
    if claims.common.subject != *importer {
        bail!("the activation is for account {}, not for {importer}", claims.common.subject);
    }
    Ok((token.to_owned(), claims))
}

impl Add {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let token =
            self.activation.as_deref().map(|path| activation(path, &chosen.claims.common.subject)).transpose()?;
        let source = self.source(desk, &chosen.operator, token.as_ref().map(|(_, claims)| claims))?;
        let sharing = match (&token, self.service) {
            (Some((_, claims)), is_service) if is_service && claims.sharing != Sharing::Service => {
                bail!("the activation is for a stream")
            }
            (Some((_, claims)), _) => claims.sharing,
            (None, true) => Sharing::Service,
            (None, false) => Sharing::Stream,
        };
        let mut import = Import::new(sharing, source, &self.subject);
        import.name = self.name;
        import.local_subject = self.local.unwrap_or_else(|| self.subject.clone());
        import.share = self.share;
        import.allow_trace = self.traceable;
        if self.traceable && sharing == Sharing::Service {
            bail!("service imports cannot allow tracing");
        }
        import.token = token.map(|(token, _)| token).unwrap_or_default();
        warn_of_missing_export(desk, &chosen.operator, &import)?;
        chosen.claims.imports.push(import.clone());
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            page(desk, &chosen.operator, &import).print();
        }
        Ok(())
    }

    fn source(&self, desk: &Desk<'_>, operator: &str, activation: Option<&ActivationClaims>) -> Result<PublicKey> {
        match (&self.source, activation) {
            (Some(named), _) => match PublicKey::parse_as(Role::Account, named) {
                Ok(key) => Ok(key),
                Err(_) => Ok(desk
                    .account(Some(operator), Some(named))
                    .context("could not select source account")?
                    .claims
                    .common
                    .subject),
            },
            (None, Some(claims)) => Ok(claims.exporter()),
            (None, None) => self.only_exporter(desk, operator),
        }
    }

    /// The one account of this operator that exports the subject.
    fn only_exporter(&self, desk: &Desk<'_>, operator: &str) -> Result<PublicKey> {
        let sharing = if self.service { Sharing::Service } else { Sharing::Stream };
        let mut found = Vec::new();
        for name in desk.vault.library.accounts(operator)? {
            let claims = desk.vault.library.account(operator, &name)?;
            if claims.exports.iter().any(|export| export.sharing == sharing && covers(&export.subject, &self.subject)) {
                found.push(claims.common.subject);
            }
        }
        match found.as_slice() {
            [only] => Ok(*only),
            [] => Err(advise(
                format!("no account of {operator} exports {:?} as a {sharing}", self.subject),
                "name the account with --source",
            )),
            _ => Err(advise(
                format!("more than one account exports {:?}", self.subject),
                "name the account with --source",
            )),
        }
    }
}

fn covers(export: &str, import: &str) -> bool {
    let parsed = (subject::Filter::parse(export.as_bytes()), subject::Filter::parse(import.as_bytes()));
    matches!(parsed, (Ok(export), Ok(import)) if export.covers(&import))
}

/// The exporter is ours and does not export this: the servers would take it and deliver nothing.
fn warn_of_missing_export(desk: &Desk<'_>, operator: &str, import: &Import) -> Result<()> {
    let name = desk.name_of(operator, &import.account);
    let Ok(exporter) = desk.vault.library.account(operator, &name) else { return Ok(()) };
    let export = exporter.exports.iter().find(|e| e.sharing == import.sharing && covers(&e.subject, &import.subject));
    match export {
        None => Err(advise(
            format!("account {name} does not export {:?} as a {}", import.subject, import.sharing),
            format!("export it first: nats auth account exports add NAME {:?} {name}", import.subject),
        )),
        Some(export) if export.token_req && import.token.is_empty() => Err(advise(
            format!("account {name} wants an activation for {:?}", import.subject),
            format!(
                "make it with nats auth account exports activate {:?} IMPORTER {name} --output FILE, then add --activation FILE",
                export.subject
            ),
        )),
        Some(_) => Ok(()),
    }
}

impl Info {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        let at = match (&self.subject, chosen.claims.imports.as_slice()) {
            (Some(subject), _) => find(&chosen.claims, subject)?,
            (None, []) => bail!("no imports defined"),
            (None, [_]) => 0,
            (None, imports) => {
                let subjects: Vec<_> = imports.iter().map(|import| local(import).to_owned()).collect();
                find(&chosen.claims, &crate::show::pick("Select an Import", &subjects)?)?
            }
        };
        if self.json {
            return print_json(&chosen.claims.to_json()["nats"]["imports"][at]);
        }
        chosen.claims.imports.get(at).into_iter().for_each(|import| page(desk, &chosen.operator, import).print());
        Ok(())
    }
}

impl Edit {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let at = find(&chosen.claims, &self.subject)?;
        let importer = chosen.claims.common.subject;
        let Some(import) = chosen.claims.imports.get_mut(at) else { bail!("unknown import") };
        if self.traceable.is_some() && import.sharing == Sharing::Service {
            bail!("service imports cannot allow tracing");
        }
        import.allow_trace = self.traceable.unwrap_or(import.allow_trace);
        import.share = self.share.unwrap_or(import.share);
        if let Some(name) = self.local {
            import.local_subject = name;
            import.to.clear();
        }
        if let Some(path) = &self.activation {
            import.token = activation(path, &importer)?.0;
        }
        let shown = page(desk, &chosen.operator, import);
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            shown.print();
        }
        Ok(())
    }
}

impl Ls {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(self.operator.as_deref(), self.account.as_deref())?;
        if self.json {
            return print_json(&chosen.claims.to_json()["nats"]["imports"]);
        }
        if chosen.claims.imports.is_empty() {
            outln!("No Imports defined");
            return Ok(());
        }
        let mut imports: Vec<_> = chosen.claims.imports.iter().collect();
        imports.sort_by(|one, other| remote(one).cmp(remote(other)));
        let header =
            &["Name", "Kind", "Source", "Local Subject", "Remote Subject", "Allows Tracing", "Sharing Connection Info"];
        let mut table = Table::new(format!("Imports for account {}", chosen.account), header);
        for import in imports {
            let source = desk.name_of(&chosen.operator, &import.account);
            let tracing =
                if import.sharing == Sharing::Stream { import.allow_trace.to_string() } else { String::new() };
            table.row(cells![
                import.name,
                kind(import.sharing),
                source,
                local(import),
                remote(import),
                tracing,
                import.share
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
        if !confirmed(is_sure, &format!("Really remove the {} import", self.subject))? {
            return Ok(());
        }
        let import = chosen.claims.imports.remove(at);
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            let from = import.account.to_string();
            outln!(
                "Removing {} Import for local Subject {:?} imported from Account {from:?}",
                import.sharing,
                local(&import)
            );
        }
        Ok(())
    }
}

impl Kv {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let source = PublicKey::parse_as(Role::Account, &self.source).context("the source is a public key")?;
        let (bucket, prefix) = (&self.bucket, &self.prefix);
        let import = |sharing: Sharing, subject: String, target: String| {
            outln!("Importing {} Subject: {target}", kind(sharing));
            let mut import = Import::new(sharing, source, &subject);
            import.name = format!("KV_{bucket}");
            import.local_subject = target;
            import
        };
        let tails = [
            format!("STREAM.INFO.KV_{bucket}"),
            format!("DIRECT.GET.KV_{bucket}.$KV.{bucket}.>"),
            format!("CONSUMER.CREATE.KV_{bucket}.>"),
        ];
        for tail in tails {
            chosen.claims.imports.push(import(Sharing::Service, format!("$JS.API.{tail}"), format!("{prefix}.{tail}")));
        }
        let keys = format!("$KV.{bucket}.>");
        chosen.claims.imports.push(import(Sharing::Service, keys.clone(), format!("{prefix}.{keys}")));
        let inbox = format!("_INBOX.KV_{bucket}.>");
        chosen.claims.imports.push(import(Sharing::Stream, inbox.clone(), inbox));
        chosen.keep(desk, &self.publishing).await.map(drop)
    }
}
