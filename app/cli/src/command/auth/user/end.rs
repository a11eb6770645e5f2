//! `nats auth user rm`, `revoke`, `rotate` and `expire`: ends of a user.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use jwt::Revoked;
use nkeys::Role;

use crate::command::auth::account::after;
use crate::command::auth::desk::{Desk, now};
use crate::command::auth::plan::{Ended, Publishing};
use crate::command::auth::show;
use crate::command::auth::user::creds;
use crate::command::confirmed::confirmed;
use crate::parse::duration;
use crate::show::outln;
use crate::vault::Place;

#[derive(Args, Debug)]
pub(crate) struct Rm {
    /// Name of the user
    name: Option<String>,
    /// Account of the user
    account: Option<String>,
    /// Also revokes the user before deleting it
    #[arg(long)]
    revoke: bool,
    /// Removes without prompting
    #[arg(long, short = 'f')]
    force: bool,
    #[command(flatten)]
    publishing: Publishing,
}

impl Rm {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let name = desk.user(&chosen, self.name.as_deref())?;
        if !confirmed(self.force || self.publishing.dry_run, &format!("Really remove the User {name}"))? {
            return Ok(());
        }
        let subject = desk.vault.library.user(&chosen.operator, &chosen.account, &name)?.common.subject;
        let mut plan = desk.plan(&chosen.operator);
        plan.remove(Place::User(chosen.account.clone(), name.clone()));
        if self.revoke {
            chosen.claims.revocations.revoke(Revoked::Key(subject), now());
            plan.edit_account(&chosen.account, chosen.claims)?;
        }
        if plan.commit(&self.publishing).await? == Ended::Done {
            desk.vault.keys.remove(&subject.to_string())?;
            outln!("Removed user {name}");
            if !self.revoke {
                outln!("Whoever holds the user's credentials can still log in: --revoke makes them void");
            }
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// Name of the user
    name: String,
    /// Account of the user
    account: Option<String>,
    #[command(flatten)]
    publishing: Publishing,
}

impl Revoke {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let name = desk.user(&chosen, Some(&self.name))?;
        let subject = desk.vault.library.user(&chosen.operator, &chosen.account, &name)?.common.subject;
        chosen.claims.revocations.revoke(Revoked::Key(subject), now());
        if chosen.keep(desk, &self.publishing).await? == Ended::Done {
            outln!(
                "Revoked user {name} ({subject}): what was issued up to now is void; nats auth user rotate gives a new key"
            );
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Rotate {
    /// Name of the user
    name: Option<String>,
    /// Account of the user
    account: Option<String>,
    /// Writes the new credentials to a file
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long, short = 'f')]
    force: bool,
    /// Leave the old key valid, so that the new credentials can be handed out first
    #[arg(long)]
    keep_old: bool,
    #[command(flatten)]
    publishing: Publishing,
}

impl Rotate {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        if let Some(path) = self.credential.as_ref().filter(|path| !self.force && path.exists()) {
            bail!("file {} already exist", path.display());
        }
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let name = desk.user(&chosen, self.name.as_deref())?;
        let mut claims = desk.vault.library.user(&chosen.operator, &chosen.account, &name)?;
        let old = claims.common.subject;
        let mut plan = desk.plan(&chosen.operator);
        claims.common.subject = plan.new_key(Role::User)?;
        let fresh = claims.common.subject;
        plan.edit_user(&chosen.account, &name, claims)?;
        if !self.keep_old {
            chosen.claims.revocations.revoke(Revoked::Key(old), now());
            plan.edit_account(&chosen.account, chosen.claims.clone())?;
        }
        if plan.commit(&self.publishing).await? == Ended::Pending {
            return Ok(());
        }
        outln!("User {name} is {fresh} now, and was {old}");
        match &self.credential {
            None => outln!("nats auth user credential writes its new credentials"),
            Some(path) => {
                creds::write(desk, &chosen, &name, path, self.force, None)?;
                outln!("Wrote credential for {name} to {}", path.display());
            }
        }
        if self.keep_old {
            outln!("The old key stays valid until: nats auth account revocations add {old} {}", chosen.account);
        } else {
            desk.vault.keys.remove(&old.to_string())?;
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Expire {
    /// Name of the user
    name: String,
    /// When, from now on; 0 for never
    #[arg(value_parser = duration)]
    span: Duration,
    /// Account of the user
    account: Option<String>,
    /// Writes credentials to a file
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,
    #[command(flatten)]
    publishing: Publishing,
}

impl Expire {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        let name = desk.user(&chosen, Some(&self.name))?;
        let mut claims = desk.vault.library.user(&chosen.operator, &chosen.account, &name)?;
        claims.common.expires = if self.span.is_zero() { 0 } else { after(self.span) };
        let mut plan = desk.plan(&chosen.operator);
        plan.edit_user(&chosen.account, &name, claims)?;
        if plan.commit(&self.publishing).await? == Ended::Pending {
            return Ok(());
        }
        match &self.credential {
            None => outln!(
                "Credentials that are out keep their old end: write new ones with nats auth user credential, and make the old ones void with nats auth user revoke\n"
            ),
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
