//! `nats auth account push`, `query` and `rm`: what the servers keep.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use jwt::{AccountClaims, GenericClaims};

use crate::command::auth::claims::changes;
use crate::command::auth::desk::{Desk, now};
use crate::command::auth::live::{self, Target};
use crate::command::auth::plan::{Publishing, keep};
use crate::command::auth::show;
use crate::command::confirmed::confirmed;
use crate::failure::advise;
use crate::link::Link;
use crate::show::{outln, print_json};
use crate::vault::{Place, write_new};

#[derive(Args, Debug)]
pub(crate) struct Push {
    /// Account to act on
    account: Option<String>,
    /// All accounts of the operator
    #[arg(long, conflicts_with = "account")]
    all: bool,
    /// Show the Account JWT before pushing
    #[arg(long)]
    show: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Query {
    /// Account to act on: a name or a public key
    account: String,
    /// Saves the JWT to a file
    output: Option<PathBuf>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Rm {
    /// Account to remove
    account: String,
    /// Remove without prompting
    #[arg(long, short = 'f')]
    force: bool,
    /// Remove it here only
    #[arg(long)]
    no_push: bool,
}

async fn servers(desk: &Desk<'_>, operator: &str) -> Result<Link> {
    match Target::of(desk, operator, &Publishing { push: true, ..Publishing::default() }) {
        Target::Servers(settings) => live::connect(desk, operator, &settings).await,
        Target::Nowhere(why) => bail!("{why}"),
    }
}

impl Push {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let (operator, names) = if self.all {
            let operator = desk.operator(None)?;
            let names = desk.vault.library.accounts(&operator)?;
            (operator, names)
        } else {
            let chosen = desk.account(None, self.account.as_deref())?;
            (chosen.operator, vec![chosen.account])
        };
        let link = servers(desk, &operator).await?;
        for name in names {
            let token = desk.vault.library.token(&operator, &Place::Account(name.clone()))?;
            if self.show {
                outln!("Account JWT for {name}\n\n{token}\n");
            }
            live::push(desk, &link, &name, &token, false).await?;
        }
        Ok(())
    }
}

impl Query {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let operator = desk.operator(None)?;
        let kept = desk.account(Some(&operator), Some(&self.account)).ok();
        let subject = kept.as_ref().map_or_else(|| self.account.clone(), |kept| kept.claims.common.subject.to_string());
        if !nkeys::PublicKey::is(nkeys::Role::Account, &subject) {
            return Err(advise(
                format!("unknown Account: {}", self.account),
                "name one that is kept here, or give its public key",
            ));
        }
        let link = servers(desk, &operator).await?;
        let token = live::look_up(desk, &link, &subject).await?.ok_or_else(|| {
            advise(
                "did not receive a valid token from the server",
                "the servers keep no such account, or read accounts from their configuration",
            )
        })?;
        if let Some(path) = &self.output {
            write_new(path, token.as_bytes(), true)?;
        }
        let claims = AccountClaims::decode(&token).context("the server's token cannot be read")?;
        if self.json {
            return print_json(&claims.to_json());
        }
        show::account(desk, &operator, &claims.common.name, &claims)?.print();
        if let Some(kept) = kept {
            let text = changes(Some(&claims.to_json()), &kept.claims.to_json());
            match text.as_str() {
                "" => outln!("\nThe servers have what is kept here"),
                text => outln!("\nWhat is kept here differs from what the servers have:\n{text}"),
            }
        }
        Ok(())
    }
}

impl Rm {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, Some(&self.account))?;
        let operator = desk.vault.library.operator(&chosen.operator)?;
        if operator.system_account == Some(chosen.claims.common.subject) {
            bail!("{} is the system account of operator {}", chosen.account, chosen.operator);
        }
        let users = desk.vault.library.users(&chosen.operator, &chosen.account)?.len();
        if !confirmed(self.force, &format!("Really remove the Account {} with {users} user(s)", chosen.account))? {
            return Ok(());
        }
        if !self.no_push {
            let signer = desk.pair(&desk.account_signer(&operator), "the request to delete accounts")?;
            let mut request = GenericClaims::new(&signer.public().to_string(), signer.public());
            request.data.insert("accounts".to_owned(), vec![chosen.claims.common.subject.to_string()].into());
            let request = request.encode(&signer, now())?;
            if let Target::Servers(settings) = Target::of(desk, &chosen.operator, &Publishing::default()) {
                let link = live::connect(desk, &chosen.operator, &settings).await?;
                live::delete(desk, &link, request).await.map_err(|error| {
                    advise(
                        format!("{error:#}"),
                        "remove it here only with --no-push; nats auth account suspend closes its connections",
                    )
                })?;
            }
        }
        keep(desk, &chosen.operator, &[], &[Place::Account(chosen.account.clone())])?;
        outln!("Removed account {}", chosen.account);
        Ok(())
    }
}
