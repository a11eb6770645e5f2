//! Leave to import: `nats auth account exports activate` and `revoke`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use jwt::{ActivationClaims, Revoked};
use nkeys::{PublicKey, Role, decorate_jwt};

use crate::command::auth::account::exports::find;
use crate::command::auth::account::limits::after;
use crate::command::auth::desk::{Desk, now};
use crate::command::auth::plan::Publishing;
use crate::parse::duration;
use crate::show::{out, outln};
use crate::vault::write_new;

#[derive(Args, Debug)]
pub(crate) struct Activate {
    /// The Export, by subject
    subject: String,
    /// The importing account: a name of this operator, or a public key
    importer: String,
    /// Account that exports
    account: Option<String>,
    /// The part of the Export that may be imported
    #[arg(long, value_name = "SUBJECT")]
    only: Option<String>,
    /// How long the leave is good for
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    expire: Option<Duration>,
    /// Write the token to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// The Export, by subject
    subject: String,
    /// The importing account: a name of this operator, a public key, or * for all
    importer: String,
    /// Account that exports
    account: Option<String>,
    #[command(flatten)]
    publishing: Publishing,
}

/// An account by its name here or its public key.
fn key_of(desk: &Desk<'_>, operator: &str, named: &str) -> Result<PublicKey> {
    if let Ok(key) = PublicKey::parse_as(Role::Account, named) {
        return Ok(key);
    }
    Ok(desk.account(Some(operator), Some(named)).context("neither an account nor a public key")?.claims.common.subject)
}

impl Activate {
    pub(crate) fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        let at = find(&chosen.claims, &self.subject)?;
        let Some(export) = chosen.claims.exports.get(at) else { bail!("unknown export") };
        if !export.token_req {
            bail!(
                "the Export {:?} is open to all: nats auth account exports edit --activation makes it need leave",
                self.subject
            );
        }
        let importer = key_of(desk, &chosen.operator, &self.importer)?;
        let operator = desk.vault.library.operator(&chosen.operator)?;
        let signer = desk.user_signer(&operator, &chosen.claims)?;
        let pair = desk.pair(&signer, "activations")?;
        let subject = self.only.as_deref().unwrap_or(&self.subject);
        let mut claims = ActivationClaims::new(importer, signer, export.sharing, subject);
        export.name.clone_into(&mut claims.common.name);
        claims.issuer_account = Some(chosen.claims.common.subject).filter(|account| *account != signer);
        claims.common.expires = self.expire.map_or(0, after);
        if claims.validate().is_blocking() {
            bail!("no server would take this activation: {}", claims.validate().blocking());
        }
        let text = decorate_jwt("ACTIVATION", &claims.encode(&pair, now())?);
        match &self.output {
            None => out!("{text}"),
            Some(path) => {
                write_new(path, text.as_bytes(), false)?;
                outln!(
                    "Wrote the activation to {}; the importer adds it with: nats auth account imports add NAME SUBJECT --activation {}",
                    path.display(),
                    path.display()
                );
            }
        }
        Ok(())
    }
}

impl Revoke {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let at = find(&chosen.claims, &self.subject)?;
        let whom = match self.importer.as_str() {
            "*" => Revoked::All,
            named => Revoked::Key(key_of(desk, &chosen.operator, named)?),
        };
        let Some(export) = chosen.claims.exports.get_mut(at) else { bail!("unknown export") };
        if !export.token_req {
            bail!("the Export {:?} is open to all, there is no leave to take back", self.subject);
        }
        export.revocations.revoke(whom, now());
        chosen.keep(desk, &self.publishing).await.map(drop)
    }
}
