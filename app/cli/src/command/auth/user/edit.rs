//! `nats auth user add` and `edit`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use jwt::UserClaims;
use nkeys::Role;

use crate::command::auth::account::RightsArgs;
use crate::command::auth::account::after;
use crate::command::auth::desk::{Desk, signing_key};
use crate::command::auth::operator::tag;
use crate::command::auth::plan::{Ended, Publishing};
use crate::command::auth::show;
use crate::command::auth::user::creds;
use crate::failure::advise;
use crate::parse::{duration, signed_size};
use crate::show::{ask, is_interactive, outln};
use crate::vault::{Place, check_name};

/// What a user may send at once when nothing was said, as people know it.
const USUAL_PAYLOAD: i64 = 1 << 20;

#[derive(Args, Debug)]
pub(crate) struct Add {
    /// Unique name for this User
    name: String,
    /// Account to add the user to
    account: Option<String>,
    /// The role or public key to use when signing the user
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    rights: RightsArgs,
    /// Maximum message data size to allow
    #[arg(long, allow_negative_numbers = true)]
    data: Option<i64>,
    /// How long the user is good for
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    expire: Option<Duration>,
    /// Tags to assign to this User
    #[arg(long)]
    tags: Vec<String>,
    /// Overwrite existing files
    #[arg(long, short = 'f')]
    force: bool,
    /// Writes credentials to a file
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,
    /// Accept default values without prompting
    #[arg(long)]
    defaults: bool,
    #[command(flatten)]
    publishing: Publishing,
}

impl Add {
    pub(crate) async fn run(mut self, desk: &Desk<'_>) -> Result<()> {
        check_name("user", &self.name)?;
        let chosen = desk.account(None, self.account.as_deref())?;
        if desk.vault.library.has(&chosen.operator, &Place::User(chosen.account.clone(), self.name.clone())) {
            bail!("user {} already exist", self.name);
        }
        if let Some(path) = self.credential.as_ref().filter(|path| !self.force && path.exists()) {
            bail!("file {} already exist", path.display());
        }
        let operator = desk.vault.library.operator(&chosen.operator)?;
        let (issuer, scope) = match &self.key {
            Some(choice) if *choice != chosen.claims.common.subject.to_string() => signing_key(&chosen.claims, choice)?,
            _ => (desk.user_signer(&operator, &chosen.claims)?, None),
        };
        let mut plan = desk.plan(&chosen.operator);
        let key = plan.new_key(Role::User)?;
        let mut claims = match scope {
            Some(scope) if !self.rights.is_empty() => {
                return Err(advise(
                    format!("role {} decides what its users may do", scope.role),
                    format!("change the role with: nats auth account keys edit {} {}", chosen.account, scope.role),
                ));
            }
            Some(_) => UserClaims::scoped(key, issuer, chosen.claims.common.subject),
            None => self.unscoped(UserClaims::new(key, issuer))?,
        };
        claims.issuer_account = Some(chosen.claims.common.subject).filter(|account| *account != issuer);
        self.name.clone_into(&mut claims.common.name);
        tag(&mut claims.common.tags, &self.tags, &[]);
        claims.common.expires = self.expire.map_or(0, after);
        plan.edit_user(&chosen.account, &self.name, claims)?;
        if plan.commit(&self.publishing).await? == Ended::Pending {
            return Ok(());
        }
        if let Some(path) = &self.credential {
            creds::write(desk, &chosen, &self.name, path, self.force, None)?;
            outln!("Wrote credential for {} to {}\n", self.name, path.display());
        }
        let claims = desk.vault.library.user(&chosen.operator, &chosen.account, &self.name)?;
        show::user(&self.name, &claims, &chosen.claims).print();
        Ok(())
    }

    fn unscoped(&mut self, mut claims: UserClaims) -> Result<UserClaims> {
        claims.rights.limits.payload = USUAL_PAYLOAD;
        if !self.defaults && is_interactive() {
            if self.rights.payload.is_none() {
                self.rights.payload = Some(signed_size(&ask("Maximum Payload", "-1")?).map_err(anyhow::Error::msg)?);
            }
            if self.rights.subscriptions.is_none() {
                self.rights.subscriptions = Some(ask("Maximum Subscriptions", "-1")?.parse()?);
            }
        }
        self.rights.apply(&mut claims.rights);
        claims.rights.limits.data = self.data.unwrap_or(claims.rights.limits.data);
        Ok(claims)
    }
}

#[derive(Args, Debug)]
pub(crate) struct Edit {
    /// Name of the user
    name: Option<String>,
    /// Account of the user
    account: Option<String>,
    #[command(flatten)]
    rights: RightsArgs,
    /// Maximum message data size to allow
    #[arg(long, allow_negative_numbers = true)]
    data: Option<i64>,
    /// Tags to assign to this User
    #[arg(long)]
    tags: Vec<String>,
    /// Tags to remove from this User
    #[arg(long)]
    no_tags: Vec<String>,
    /// Writes credentials to a file
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,
    #[command(flatten)]
    publishing: Publishing,
}

impl Edit {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        let name = desk.user(&chosen, self.name.as_deref())?;
        let mut claims = desk.vault.library.user(&chosen.operator, &chosen.account, &name)?;
        let scope = chosen.claims.signing_keys.get(&claims.common.issuer).flatten();
        if let Some(scope) = scope.filter(|_| !self.rights.is_empty() || self.data.is_some()) {
            return Err(advise(
                format!("role {} decides what user {name} may do", scope.role),
                format!("change the role with: nats auth account keys edit {} {}", chosen.account, scope.role),
            ));
        }
        self.rights.apply(&mut claims.rights);
        claims.rights.limits.data = self.data.unwrap_or(claims.rights.limits.data);
        tag(&mut claims.common.tags, &self.tags, &self.no_tags);
        let mut plan = desk.plan(&chosen.operator);
        plan.edit_user(&chosen.account, &name, claims)?;
        if plan.commit(&self.publishing).await? == Ended::Pending {
            return Ok(());
        }
        match &self.credential {
            None => {
                outln!("The user's old credentials hold the old rights: nats auth user credential writes new ones\n")
            }
            Some(path) => {
                creds::write(desk, &chosen, &name, path, true, None)?;
                outln!("Wrote credential for {name} to {}\n", path.display());
            }
        }
        let claims = desk.vault.library.user(&chosen.operator, &chosen.account, &name)?;
        show::user(&name, &claims, &chosen.claims).print();
        Ok(())
    }
}
