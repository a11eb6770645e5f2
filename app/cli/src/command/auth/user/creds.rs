//! `nats auth user credential` and `import`: the file a client logs in with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use jwt::UserClaims;
use nkeys::{Creds, MAX_CREDS_BYTES};

use crate::command::auth::account::after;
use crate::command::auth::desk::{Chosen, Desk, now};
use crate::parse::duration;
use crate::show::outln;
use crate::vault::{Place, check_name, read_bounded, write_new};

#[derive(Args, Debug)]
pub(crate) struct Credential {
    /// The file to create
    file: PathBuf,
    /// User to generate a credential for
    name: Option<String>,
    /// Account of the user
    account: Option<String>,
    /// Duration till expiry
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    expire: Option<Duration>,
    /// Overwrite existing files
    #[arg(long, short = 'f')]
    force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The credential file
    file: PathBuf,
    /// Overwrite a user of the same name
    #[arg(long, short = 'f')]
    force: bool,
}

/// Writes a user's credentials, with an end of their own where one is given.
pub(crate) fn write(
    desk: &Desk<'_>,
    chosen: &Chosen,
    name: &str,
    path: &Path,
    may_replace: bool,
    expire: Option<Duration>,
) -> Result<()> {
    let place = Place::User(chosen.account.clone(), name.to_owned());
    let token = desk.vault.library.token(&chosen.operator, &place)?;
    let mut claims = UserClaims::decode(&token)?;
    let key = desk
        .vault
        .keys
        .get(&claims.common.subject.to_string())?
        .ok_or_else(|| anyhow!("the key of user {name}, {}, is not in this keystore", claims.common.subject))?;
    let jwt = match expire {
        None => token,
        Some(span) => {
            let signer = desk.pair(&claims.common.issuer, &format!("user {name}"))?;
            claims.common.expires = after(span);
            claims.encode(&signer, now())?
        }
    };
    write_new(path, Creds { jwt, key }.to_text().expose().as_bytes(), may_replace)
}

impl Credential {
    pub(crate) fn run(self, desk: &Desk<'_>) -> Result<()> {
        if !self.force && self.file.exists() {
            bail!("file {} already exist", self.file.display());
        }
        let chosen = desk.account(None, self.account.as_deref())?;
        let name = desk.user(&chosen, self.name.as_deref())?;
        write(desk, &chosen, &name, &self.file, self.force, self.expire)?;
        outln!("Wrote credential for {name} to {}", self.file.display());
        Ok(())
    }
}

impl Import {
    pub(crate) fn run(self, desk: &Desk<'_>) -> Result<()> {
        let bytes = secret::Secret::new(read_bounded(&self.file, MAX_CREDS_BYTES as u64)?);
        let creds =
            Creds::parse(bytes.expose()).with_context(|| format!("{} holds no credentials", self.file.display()))?;
        let claims = UserClaims::decode(&creds.jwt).context("the user's token cannot be read")?;
        if claims.common.subject != creds.key.public() {
            bail!("the seed belongs to {}, the token to {}", creds.key.public(), claims.common.subject);
        }
        let account = claims.account();
        let chosen = desk
            .account(None, Some(&account.to_string()))
            .with_context(|| format!("the user belongs to account {account}, which is not kept here"))?;
        if !chosen.claims.may_sign(&claims.common.issuer) {
            bail!("account {} does not know {}, which signed the user", chosen.account, claims.common.issuer);
        }
        let name = claims.common.name.clone();
        check_name("user", &name)?;
        let place = Place::User(chosen.account.clone(), name.clone());
        if !self.force && desk.vault.library.has(&chosen.operator, &place) {
            bail!("user {name} already exist");
        }
        desk.vault.keys.put(&creds.key)?;
        desk.vault.library.put(&chosen.operator, &place, &creds.jwt)?;
        outln!("Took over user {name} of account {}", chosen.account);
        Ok(())
    }
}
