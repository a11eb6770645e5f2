//! `nats auth account keys`: keys that sign users, plain or within a role.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jwt::{Entry, Responses, Scope, UserRights};
use nkeys::Role;

use crate::command::auth::desk::{Desk, signing_key};
use crate::command::auth::plan::{Ended, Publishing};
use crate::command::auth::show;
use crate::command::confirmed::confirmed;
use crate::parse::{duration, signed_size};
use crate::show::{Table, ask, cells, is_interactive, outln, print_json};

/// Manage Scoped Signing Keys
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Adds a signing key
    #[command(visible_aliases = ["new", "a", "n"])]
    Add(Add),
    /// Changes the role of a Scoped Signing Key
    #[command(visible_alias = "update")]
    Edit(Edit),
    /// Show information for a Scoped Signing Key
    #[command(visible_aliases = ["i", "show", "view"])]
    Info(Info),
    /// List Scoped Signing Keys
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Remove a scoped signing key, and with it all users that it signed
    Rm(Rm),
    /// Puts a new key in the place of an old one, and signs the users kept here with it
    Rotate(Rm),
}

/// What the users of a role may do.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Role")]
pub(crate) struct RightsArgs {
    /// Maximum allowed subscriptions
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) subscriptions: Option<i64>,
    /// Maximum allowed payload
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_negative_numbers = true)]
    pub(crate) payload: Option<i64>,
    /// Allows bearer tokens
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) bearer: Option<bool>,
    /// Time zone of the connection times
    #[arg(long)]
    pub(crate) locale: Option<String>,
    /// Set the allowed connections
    #[arg(long, value_parser = ["nats", "ws", "leaf", "wsleaf", "mqtt", "wsmqtt", "inprocess"])]
    pub(crate) connection: Vec<String>,
    /// Networks that connections may come from
    #[arg(long, value_name = "CIDR")]
    pub(crate) source: Vec<String>,
    /// Sets subjects where publishing is allowed; an empty one takes all away
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) pub_allow: Vec<String>,
    /// Sets subjects where publishing is denied
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) pub_deny: Vec<String>,
    /// Sets subjects where subscribing is allowed
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) sub_allow: Vec<String>,
    /// Sets subjects where subscribing is denied
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) sub_deny: Vec<String>,
    /// How many answers a request may get where publishing is not allowed otherwise; 0 takes the right away
    #[arg(long, value_name = "MESSAGES", allow_negative_numbers = true)]
    pub(crate) responses: Option<i64>,
    /// For how long such answers may be sent
    #[arg(long, value_parser = duration, value_name = "DURATION", requires = "responses")]
    pub(crate) responses_ttl: Option<Duration>,
}

impl RightsArgs {
    pub(crate) fn is_empty(&self) -> bool {
        let lists = [&self.connection, &self.source, &self.pub_allow, &self.pub_deny, &self.sub_allow, &self.sub_deny];
        self.subscriptions.is_none()
            && self.payload.is_none()
            && self.bearer.is_none()
            && self.locale.is_none()
            && self.responses.is_none()
            && lists.iter().all(|list| list.is_empty())
    }

    /// Writes what was typed over what is there.
    pub(crate) fn apply(&self, rights: &mut UserRights) {
        let set = |field: &mut i64, given: Option<i64>| given.into_iter().for_each(|value| *field = value);
        set(&mut rights.limits.subs, self.subscriptions);
        set(&mut rights.limits.payload, self.payload);
        if let Some(bearer) = self.bearer {
            rights.bearer_token = bearer;
        }
        if let Some(locale) = &self.locale {
            rights.times_location.clone_from(locale);
        }
        if !self.connection.is_empty() {
            rights.allowed_connection_types = connection_types(&self.connection);
        }
        let replace = |field: &mut Vec<String>, given: &[String]| {
            if !given.is_empty() {
                *field = given.iter().filter(|entry| !entry.is_empty()).cloned().collect();
            }
        };
        replace(&mut rights.sources, &self.source);
        replace(&mut rights.permissions.publish.allow, &self.pub_allow);
        replace(&mut rights.permissions.publish.deny, &self.pub_deny);
        replace(&mut rights.permissions.subscribe.allow, &self.sub_allow);
        replace(&mut rights.permissions.subscribe.deny, &self.sub_deny);
        match self.responses {
            None => {}
            Some(0) => rights.permissions.responses = None,
            Some(max) => {
                let ttl = self.responses_ttl.map_or(0, |ttl| i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX));
                rights.permissions.responses = Some(Responses { max, ttl });
            }
        }
    }
}

/// The words of claims for the words of the command line.
pub(crate) fn connection_types(words: &[String]) -> Vec<String> {
    let word = |word: &String| match word.as_str() {
        "ws" => "WEBSOCKET",
        "leaf" => "LEAFNODE",
        "wsleaf" => "LEAFNODE_WS",
        "mqtt" => "MQTT",
        "wsmqtt" => "MQTT_WS",
        "inprocess" => "IN_PROCESS",
        _ => "STANDARD",
    };
    words.iter().map(|one| word(one).to_owned()).collect()
}

#[derive(Args, Debug)]
struct Add {
    /// Account to act on
    account: Option<String>,
    /// The role to add a key for
    role: Option<String>,
    /// A key whose users bring their own rights
    #[arg(long, conflicts_with = "role")]
    no_role: bool,
    /// Description for the signing key
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    rights: RightsArgs,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Edit {
    /// Account to act on
    account: String,
    /// The role or key to change
    key: String,
    /// Description for the signing key
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    rights: RightsArgs,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Info {
    /// Account to view
    account: Option<String>,
    /// The role or key to view
    key: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
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
    /// Account to act on
    account: Option<String>,
    /// The role or key to remove
    #[arg(long)]
    key: String,
    /// Remove without prompting
    #[arg(long, short = 'f')]
    force: bool,
    #[command(flatten)]
    publishing: Publishing,
}

impl Keys {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        match self.command {
            Command::Add(command) => command.run(desk).await,
            Command::Edit(command) => command.run(desk).await,
            Command::Info(command) => command.run(desk),
            Command::Ls(command) => command.run(desk),
            Command::Rm(command) => command.remove(desk).await,
            Command::Rotate(command) => command.rotate(desk).await,
        }
    }
}

/// Subjects of a role may hold templates; what is no subject and no template is told here, not at a login.
fn check(rights: &UserRights) -> Result<()> {
    let lists = [&rights.permissions.publish, &rights.permissions.subscribe];
    for entry in lists.iter().flat_map(|list| list.allow.iter().chain(&list.deny)) {
        let is_template = entry.contains("{{");
        if is_template && entry.matches("{{").count() != entry.matches("}}").count() {
            bail!(
                "{entry:?} has an unclosed template: write {{{{name()}}}}, {{{{subject()}}}}, {{{{tag(NAME)}}}}, \
                   {{{{account-name()}}}}, {{{{account-subject()}}}} or {{{{account-tag(NAME)}}}}"
            );
        }
        if !is_template && Entry::parse(entry).is_none() {
            bail!("{entry:?} is not a valid subject");
        }
    }
    Ok(())
}

impl Add {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let scope = match (self.no_role, self.role) {
            (true, _) if !self.rights.is_empty() => {
                bail!("a key without a role has no rights to give: its users bring their own")
            }
            (true, _) => None,
            (false, Some(role)) => Some(role),
            (false, None) => Some(ask("Role Name", "")?),
        };
        let scope = scope.map(|role| {
            let mut template = UserRights::unlimited();
            self.rights.apply(&mut template);
            Scope { role, description: self.description.unwrap_or_default(), template }
        });
        if let Some(scope) = &scope {
            if scope.role.trim().is_empty() {
                bail!("a role needs a name; --no-role makes a key whose users bring their own rights");
            }
            check(&scope.template)?;
        }
        let mut plan = desk.plan(&chosen.operator);
        let key = plan.new_key(Role::Account)?;
        chosen.claims.signing_keys.add(key, scope.clone());
        plan.edit_account(&chosen.account, chosen.claims)?;
        if plan.commit(&self.publishing).await? == Ended::Done {
            show::scope(&key, scope.as_ref()).print();
        }
        Ok(())
    }
}

impl Edit {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, Some(&self.account))?;
        let (key, scope) = signing_key(&chosen.claims, &self.key)?;
        let Some(scope) = scope else { bail!("{key} has no role: its users bring their own rights") };
        let mut scope = scope.clone();
        self.rights.apply(&mut scope.template);
        if let Some(text) = self.description {
            scope.description = text;
        }
        check(&scope.template)?;
        chosen.claims.signing_keys.add(key, Some(scope.clone()));
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            show::scope(&key, Some(&scope)).print();
        }
        Ok(())
    }
}

impl Info {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        let choice = match self.key {
            Some(choice) => choice,
            None => the_only_key(&chosen.claims)?,
        };
        let (key, scope) = signing_key(&chosen.claims, &choice)?;
        if self.json {
            let all = chosen.claims.to_json();
            let keys = all["nats"]["signing_keys"].as_array().cloned().unwrap_or_default();
            let text = key.to_string();
            return print_json(&keys.into_iter().find(|entry| entry["key"] == text || *entry == text));
        }
        show::scope(&key, scope).print();
        Ok(())
    }
}

fn the_only_key(claims: &jwt::AccountClaims) -> Result<String> {
    let keys: Vec<String> = claims.signing_keys.iter().map(|(key, _)| key.to_string()).collect();
    match keys.as_slice() {
        [] => bail!("no signing keys found"),
        [only] => Ok(only.clone()),
        keys if is_interactive() => crate::show::pick("Select Signing Key", keys),
        _ => bail!("cannot pick a Signing Key without a terminal and no key supplied"),
    }
}

impl Ls {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        if self.json {
            return print_json(&chosen.claims.to_json()["nats"]["signing_keys"]);
        }
        if chosen.claims.signing_keys.iter().next().is_none() {
            outln!("No Scoped Signing Keys or Roles defined");
            return Ok(());
        }
        let header = &["Role", "Key", "Description", "Max Subscriptions", "Pub Perms", "Sub Perms"];
        let mut table = Table::new("Scoped Signing Keys", header);
        for (key, scope) in chosen.claims.signing_keys.iter() {
            match scope {
                None => table.row(cells!["(none)", key.to_string(), "", "", "", ""]),
                Some(scope) => {
                    let permissions = &scope.template.permissions;
                    let count = |one: &jwt::Permission| (one.allow.len() + one.deny.len()) as u64;
                    let subs = scope.template.limits.subs;
                    table.row(cells![
                        scope.role,
                        key.to_string(),
                        scope.description,
                        subs,
                        count(&permissions.publish),
                        count(&permissions.subscribe)
                    ]);
                }
            }
        }
        table.print();
        Ok(())
    }
}

impl Rm {
    async fn remove(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let (key, scope) = signing_key(&chosen.claims, &self.key)?;
        let role = scope.map_or("none", |scope| scope.role.as_str()).to_owned();
        let question = format!("Really remove the Scoped Signing Key {key} with role {role}");
        if !confirmed(self.force || self.publishing.dry_run, &question)? {
            return Ok(());
        }
        chosen.claims.signing_keys.remove(&key);
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            desk.vault.keys.remove(&key.to_string())?;
            outln!("key {:?} removed", key.to_string());
        }
        Ok(())
    }

    /// The old key stays valid for nobody: its users are signed again, and get new credentials.
    async fn rotate(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let (key, scope) = signing_key(&chosen.claims, &self.key)?;
        let scope = scope.cloned();
        if !confirmed(self.force || self.publishing.dry_run, &format!("Really replace the Signing Key {key}"))? {
            return Ok(());
        }
        let mut plan = desk.plan(&chosen.operator);
        let fresh = plan.new_key(Role::Account)?;
        chosen.claims.signing_keys.remove(&key);
        chosen.claims.signing_keys.add(fresh, scope);
        plan.edit_account(&chosen.account, chosen.claims.clone())?;
        let mut signed = Vec::new();
        for name in desk.vault.library.users(&chosen.operator, &chosen.account)? {
            let mut user = desk.vault.library.user(&chosen.operator, &chosen.account, &name)?;
            if user.common.issuer == key {
                user.common.issuer = fresh;
                plan.edit_user(&chosen.account, &name, user)?;
                signed.push(name);
            }
        }
        if plan.commit(&self.publishing).await? == Ended::Done {
            desk.vault.keys.remove(&key.to_string())?;
            outln!("{fresh} signs in the place of {key}");
            if !signed.is_empty() {
                outln!("These users need their new credentials (nats auth user credential): {}", signed.join(", "));
            }
        }
        Ok(())
    }
}
