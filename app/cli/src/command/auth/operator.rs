//! `nats auth operator`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use jwt::{AccountClaims, OperatorClaims};
use nkeys::{PublicKey, Role, XKey, XPublicKey};

use crate::command::auth::desk::Desk;
use crate::command::auth::nkey;
use crate::command::auth::plan::{Ended, Publishing};
use crate::command::auth::show;
use crate::command::confirmed::confirmed;
use crate::global::negatable;
use crate::show::{Table, ask, cells, outln, print_json};
use crate::vault::{Backup, Place, check_name, random_bytes, read_bounded, select, write_new};

const MAX_BACKUP_BYTES: u64 = 256 << 20;
const MAX_TOKEN_BYTES: u64 = 2 << 20;

negatable! {
    /// Creates a signing key for this Operator
    SigningKey, "signing-key", "no-signing-key", true
}

/// Manage NATS Operators
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Operators {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Adds a new Operator
    Add(Add),
    /// Show Operator information
    #[command(visible_aliases = ["i", "show", "view"])]
    Info(Info),
    /// List Operators
    #[command(visible_alias = "ls")]
    List(List),
    /// Edit an Operator
    #[command(visible_alias = "update")]
    Edit(Edit),
    /// Imports an operator
    Import(Import),
    /// Selects the default operator
    Select(Name),
    /// Creates a backup of an operator
    Backup(BackupArgs),
    /// Restores an operator from a backup
    Restore(BackupArgs),
    /// Manage Operator Signing Keys
    #[command(visible_aliases = ["sk", "s"])]
    Keys(Keys),
}

#[derive(Args, Debug)]
struct Name {
    /// Operator to act on
    name: Option<String>,
}

#[derive(Args, Debug)]
struct Add {
    /// Unique name for this Operator
    name: Option<String>,
    /// URLs for the Operator services
    #[arg(long, value_name = "URL")]
    service: Vec<String>,
    /// URL for the account server
    #[arg(long, value_name = "URL")]
    account_server: Option<String>,
    #[command(flatten)]
    signing_key: SigningKey,
    /// Tags to assign to this Operator
    #[arg(long)]
    tags: Vec<String>,
}

#[derive(Args, Debug)]
struct Info {
    /// Operator to view
    name: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
struct List {
    /// Show just the Operator names
    #[arg(long)]
    names: bool,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
struct Edit {
    /// Operator to edit
    name: Option<String>,
    /// URLs for the Operator Services; an empty one takes all away
    #[arg(long, value_name = "URL")]
    service: Vec<String>,
    /// URL for the Account Server
    #[arg(long, value_name = "URL")]
    account_server: Option<String>,
    /// Account that servers use for themselves
    #[arg(long, value_name = "ACCOUNT")]
    system_account: Option<String>,
    /// Accounts and users must be signed by signing keys
    #[arg(long, value_name = "BOOL")]
    require_signing_keys: Option<bool>,
    /// Tags to add to this Operator
    #[arg(long)]
    tags: Vec<String>,
    /// Tags to remove from the Operator
    #[arg(long)]
    no_tags: Vec<String>,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Import {
    /// The JWT file containing the operator to import
    token: PathBuf,
    /// Files with keys to import
    keys: Vec<PathBuf>,
}

#[derive(Args, Debug)]
struct BackupArgs {
    /// Operator to act on
    name: String,
    /// File to write the backup to, or to read it from
    file: PathBuf,
    /// Curve or X25519 NKey to seal or open the backup with
    #[arg(long)]
    key: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List Signing Keys
    #[command(visible_alias = "ls")]
    List(Name),
    /// Adds a new Signing Key
    #[command(visible_aliases = ["new", "create"])]
    Add(KeyAdd),
    /// Removes a Signing Key, and signs its accounts with another one
    #[command(visible_alias = "delete")]
    Rm(KeyRm),
    /// Puts a new Signing Key in the place of an old one, and signs all accounts with it
    Rotate(KeyRm),
}

#[derive(Args, Debug)]
struct KeyAdd {
    /// Operator to act on
    name: Option<String>,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct KeyRm {
    /// The public key to remove; before it may stand the operator's name
    #[arg(num_args = 1..=2, value_names = ["OPERATOR", "KEY"])]
    words: Vec<String>,
    /// Remove without prompting
    #[arg(long, short = 'f')]
    force: bool,
    #[command(flatten)]
    publishing: Publishing,
}

impl Operators {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        match self.command {
            Command::Add(command) => command.run(desk).await,
            Command::Info(command) => command.run(desk),
            Command::List(command) => command.run(desk),
            Command::Edit(command) => command.run(desk).await,
            Command::Import(command) => command.run(desk),
            Command::Select(command) => {
                let name = desk.operator(command.name.as_deref())?;
                select(&name)?;
                outln!("Selected operator {name:?} as default");
                Ok(())
            }
            Command::Backup(command) => command.back_up(desk),
            Command::Restore(command) => command.restore(desk),
            Command::Keys(keys) => match keys.command {
                KeysCommand::List(command) => {
                    let claims = desk.vault.library.operator(&desk.operator(command.name.as_deref())?)?;
                    claims.signing_keys.iter().for_each(|key| outln!("{}", show::held(desk, key)));
                    Ok(())
                }
                KeysCommand::Add(command) => command.run(desk).await,
                KeysCommand::Rm(command) => command.run(desk, false).await,
                KeysCommand::Rotate(command) => command.run(desk, true).await,
            },
        }
    }
}

/// Shows an operator as it is kept.
pub(crate) fn print(desk: &Desk<'_>, name: &str) -> Result<()> {
    let claims = desk.vault.library.operator(name)?;
    show::operator(desk, name, &claims)?.print();
    Ok(())
}

/// A new operator with a system account, ready to be committed.
pub(crate) fn draft(
    plan: &mut crate::command::auth::plan::Plan<'_>,
    name: &str,
    system: &str,
    has_signing_key: bool,
    change: impl FnOnce(&mut OperatorClaims),
) -> Result<OperatorClaims> {
    let identity = plan.new_key(Role::Operator)?;
    let mut claims = OperatorClaims::new(identity);
    name.clone_into(&mut claims.common.name);
    let account = plan.new_key(Role::Account)?;
    claims.system_account = Some(account);
    if has_signing_key {
        claims.signing_keys.push(plan.new_key(Role::Operator)?);
    }
    change(&mut claims);
    plan.edit_operator(claims.clone())?;
    let mut system_claims = AccountClaims::new(account, identity);
    system.clone_into(&mut system_claims.common.name);
    system_claims.exports = system_exports();
    plan.edit_account(system, system_claims)?;
    Ok(claims)
}

/// What system accounts offer their tenants: figures about themselves.
fn system_exports() -> Vec<jwt::Export> {
    let mut events = jwt::Export::new(jwt::Sharing::Stream, "$SYS.ACCOUNT.*.>");
    "account-monitoring-streams".clone_into(&mut events.name);
    "Account specific monitoring stream".clone_into(&mut events.description);
    events.account_token_position = 3;
    let mut questions = jwt::Export::new(jwt::Sharing::Service, "$SYS.REQ.ACCOUNT.*.*");
    "account-monitoring-services".clone_into(&mut questions.name);
    "Request account specific monitoring services for: SUBSZ, CONNZ, LEAFZ, JSZ and INFO"
        .clone_into(&mut questions.description);
    questions.account_token_position = 4;
    questions.response_type = jwt::ResponseType::Stream;
    vec![events, questions]
}

impl Add {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let name = match self.name {
            Some(name) => name,
            None => ask("Operator Name", "")?,
        };
        check_name("operator", &name)?;
        if desk.vault.library.has(&name, &Place::Operator) {
            bail!("operator {name} already exist");
        }
        let mut plan = desk.plan(&name);
        draft(&mut plan, &name, "SYSTEM", self.signing_key.is_on(), |claims| {
            self.tags.iter().for_each(|tag| claims.common.add_tag(tag));
            claims.operator_service_urls = self.service;
            claims.account_server_url = self.account_server.unwrap_or_default();
        })?;
        plan.commit(&Publishing { no_push: true, ..Publishing::default() }).await?;
        print(desk, &name)
    }
}

impl Info {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let name = desk.operator(self.name.as_deref())?;
        if self.json {
            return print_json(&desk.vault.library.operator(&name)?.to_json());
        }
        print(desk, &name)
    }
}

impl List {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let names = desk.vault.library.operators()?;
        if self.json {
            return print_json(&names);
        }
        if names.is_empty() {
            outln!("No Operators found");
            return Ok(());
        }
        if self.names {
            names.iter().for_each(|name| outln!("{name}"));
            return Ok(());
        }
        let mut table = Table::new("Operators", &["Name", "Subject", "Accounts", "Account Server", "Signing Keys"]);
        for name in names {
            let claims = desk.vault.library.operator(&name)?;
            let accounts = desk.vault.library.accounts(&name)?.len() as u64;
            let keys = claims.signing_keys.len() as u64;
            table.row(cells![name, claims.common.subject.to_string(), accounts, claims.account_server_url, keys]);
        }
        table.print();
        Ok(())
    }
}

impl Edit {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let name = desk.operator(self.name.as_deref())?;
        let mut claims = desk.vault.library.operator(&name)?;
        if !self.service.is_empty() {
            claims.operator_service_urls = self.service.into_iter().filter(|url| !url.is_empty()).collect();
        }
        if let Some(url) = self.account_server {
            claims.account_server_url = url;
        }
        if let Some(account) = &self.system_account {
            claims.system_account = Some(desk.account(Some(&name), Some(account))?.claims.common.subject);
        }
        if let Some(is_strict) = self.require_signing_keys {
            if is_strict && claims.signing_keys.is_empty() {
                bail!("operator {name} has no signing key yet: add one with nats auth operator keys add");
            }
            claims.strict_signing_key_usage = is_strict;
        }
        tag(&mut claims.common.tags, &self.tags, &self.no_tags);
        let mut plan = desk.plan(&name);
        plan.edit_operator(claims)?;
        match plan.commit(&self.publishing).await? {
            Ended::Done => print(desk, &name),
            Ended::Pending => Ok(()),
        }
    }
}

/// Adds and takes away tags, which are kept in lower case.
pub(crate) fn tag(tags: &mut Vec<String>, add: &[String], remove: &[String]) {
    let plain = |tag: &String| tag.trim().to_lowercase();
    for tag in add.iter().map(plain).filter(|tag| !tag.is_empty()) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let gone: Vec<String> = remove.iter().map(plain).collect();
    tags.retain(|tag| !gone.contains(tag));
}

impl Import {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let content = read_bounded(&self.token, MAX_TOKEN_BYTES)?;
        let token = nkeys::undecorate_jwt(&content).context("no token found")?;
        let claims = OperatorClaims::decode(token)?;
        let name = claims.common.name.clone();
        check_name("operator", &name)?;
        if desk.vault.library.has(&name, &Place::Operator) {
            bail!("operator {name} already exist");
        }
        let pairs = self.keys.iter().map(|path| nkey::read_pair(path)).collect::<Result<Vec<_>>>()?;
        if let Some(pair) =
            pairs.iter().find(|p| p.public() != claims.common.subject && !claims.signing_keys.contains(&p.public()))
        {
            bail!("the key {} is none of operator {name}'s", pair.public());
        }
        pairs.iter().try_for_each(|pair| desk.vault.keys.put(pair))?;
        desk.vault.library.put(&name, &Place::Operator, token)?;
        print(desk, &name)
    }
}

impl BackupArgs {
    fn back_up(self, desk: &Desk<'_>) -> Result<()> {
        let name = desk.operator(Some(&self.name))?;
        let text = Backup::take(&desk.vault, &name)?.to_text()?;
        let Some(path) = &self.key else {
            write_new(&self.file, text.expose().as_bytes(), true)?;
            outln!("Wrote backup for {name} to {}\n", self.file.display());
            outln!(
                "WARNING: The output file is unencrypted and contains secrets,\nconsider encrypting it with --key or 'nats auth nkey seal'"
            );
            return Ok(());
        };
        let (key, own) = curve(path)?;
        let sealed = key.seal(text.expose().as_bytes(), &own, &random_bytes()?);
        write_new(&self.file, data_encoding::BASE64.encode(&sealed).as_bytes(), true)?;
        outln!("Wrote backup for {name} to {}", self.file.display());
        Ok(())
    }

    fn restore(self, desk: &Desk<'_>) -> Result<()> {
        if desk.vault.library.has(&self.name, &Place::Operator) {
            bail!("operator {} already exist", self.name);
        }
        let mut content = secret::Secret::new(read_bounded(&self.file, MAX_BACKUP_BYTES)?);
        if let Some(path) = &self.key {
            let (key, own) = curve(path)?;
            let sealed =
                data_encoding::BASE64.decode(content.expose().trim_ascii()).context("the backup is not sealed")?;
            content = secret::Secret::new(key.open(&sealed, &own).context("open failed")?);
        }
        Backup::parse(content.expose())?.restore(&desk.vault, &self.name)?;
        print(desk, &self.name)
    }
}

fn curve(path: &std::path::Path) -> Result<(XKey, XPublicKey)> {
    let key = nkey::read_curve(path)?;
    let own = key.public();
    Ok((key, own))
}

impl KeyAdd {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let name = desk.operator(self.name.as_deref())?;
        let mut claims = desk.vault.library.operator(&name)?;
        let mut plan = desk.plan(&name);
        let key = plan.new_key(Role::Operator)?;
        claims.signing_keys.push(key);
        plan.edit_operator(claims)?;
        if plan.commit(&self.publishing).await? == Ended::Done {
            outln!("{key}");
        }
        Ok(())
    }
}

impl KeyRm {
    async fn run(self, desk: &Desk<'_>, is_rotation: bool) -> Result<()> {
        let (named, key) = match self.words.as_slice() {
            [key] => (None, key),
            [name, key] => (Some(name.as_str()), key),
            _ => bail!("public key is required"),
        };
        let name = desk.operator(named)?;
        let key = PublicKey::parse_as(Role::Operator, key).context("public key is required")?;
        let mut claims = desk.vault.library.operator(&name)?;
        if !claims.signing_keys.contains(&key) {
            bail!("signing key was not found");
        }
        if !confirmed(self.force || self.publishing.dry_run, &format!("Really remove the signing key {key}"))? {
            return Ok(());
        }
        let mut plan = desk.plan(&name);
        claims.signing_keys.retain(|known| *known != key);
        if is_rotation {
            claims.signing_keys.insert(0, plan.new_key(Role::Operator)?);
        }
        if claims.signing_keys.is_empty() && claims.strict_signing_key_usage {
            bail!("operator {name} wants accounts signed by signing keys: add another one first");
        }
        plan.edit_operator(claims)?;
        // Servers would refuse the accounts that this key signed.
        for account in desk.vault.library.accounts(&name)? {
            let claims = desk.vault.library.account(&name, &account)?;
            if claims.common.issuer == key {
                plan.edit_account(&account, claims)?;
            }
        }
        if plan.commit(&self.publishing).await? == Ended::Done {
            desk.vault.keys.remove(&key.to_string())?;
            outln!("Signing key removed");
        }
        Ok(())
    }
}
