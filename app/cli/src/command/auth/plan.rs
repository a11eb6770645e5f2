//! A change on its way: drafted, shown, signed, kept, pushed.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use jwt::{AccountClaims, OperatorClaims, UserClaims};
use nkeys::{KeyPair, PublicKey, Role};
use serde_json::Value;

use crate::command::auth::claims::{Claim, changes};
use crate::command::auth::desk::{Desk, now};
use crate::command::auth::live::{self, Target};
use crate::command::auth::offline;
use crate::show::{log, outln};
use crate::vault::{Place, fresh_key};

/// What shall happen to a change.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What happens to the change")]
pub(crate) struct Publishing {
    /// Show what would change and whose connections would be closed, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Bring the change to the servers, also when the operator names none
    #[arg(long, conflicts_with = "no_push")]
    pub(crate) push: bool,
    /// Keep the change here
    #[arg(long)]
    pub(crate) no_push: bool,
    /// Write what has to be signed into a file, for the machine that has the key
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(crate) sign_request: Option<PathBuf>,
}

/// One claim that changes.
pub(crate) struct Edit {
    pub(crate) place: Place,
    before: Option<Value>,
    claim: Claim,
    issuer: PublicKey,
}

impl Edit {
    /// Servers keep the claims of an account that were issued later, and time counts in seconds: two changes within one
    /// must not be taken for each other.
    fn issued_at(&self, now: i64) -> i64 {
        let former = self.before.as_ref().and_then(|before| before.get("iat")?.as_i64());
        match (&self.place, former) {
            (Place::Account(_), Some(former)) => now.max(former.saturating_add(1)),
            _ => now,
        }
    }
}

/// Everything one intent changes.
pub(crate) struct Plan<'a> {
    desk: &'a Desk<'a>,
    operator: String,
    edits: Vec<Edit>,
    removed: Vec<Place>,
    keys: Vec<KeyPair>,
    quiet: bool,
}

/// How a plan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is signed and kept, and pushed where that was asked for.
    Done,
    /// Nothing happened yet: it was only shown, or waits for a signature.
    Pending,
}

impl<'a> Plan<'a> {
    pub(crate) fn of(desk: &'a Desk<'a>, operator: &str) -> Self {
        Self {
            desk,
            operator: operator.to_owned(),
            edits: Vec::new(),
            removed: Vec::new(),
            keys: Vec::new(),
            quiet: false,
        }
    }

    /// Says nothing on stdout, which belongs to a program.
    pub(crate) const fn quiet(mut self, is_quiet: bool) -> Self {
        self.quiet = is_quiet;
        self
    }

    /// A fresh key that is kept with the change.
    pub(crate) fn new_key(&mut self, role: Role) -> Result<PublicKey> {
        let pair = fresh_key(role)?;
        let public = pair.public();
        self.keys.push(pair);
        Ok(public)
    }

    pub(crate) fn edit_operator(&mut self, claims: OperatorClaims) -> Result<()> {
        let issuer = claims.common.subject;
        let before = self.before(&Place::Operator, |desk, op| Ok(desk.vault.library.operator(op)?.to_json()))?;
        self.edit(Place::Operator, before, Claim::Operator(claims.into()), issuer);
        Ok(())
    }

    /// An account, signed by the operator as it is after this plan.
    pub(crate) fn edit_account(&mut self, name: &str, claims: AccountClaims) -> Result<()> {
        let operator = self.operator_claims()?;
        let fresh = operator.signing_keys.iter().copied().chain([operator.common.subject]);
        let fresh = fresh.into_iter().find(|key| self.keys.iter().any(|pair| pair.public() == *key));
        let issuer = fresh.unwrap_or_else(|| self.desk.account_signer(&operator));
        self.edit_account_by(name, claims, issuer)
    }

    /// An account, signed by a key that was chosen.
    pub(crate) fn edit_account_by(&mut self, name: &str, claims: AccountClaims, issuer: PublicKey) -> Result<()> {
        let place = Place::Account(name.to_owned());
        let before = self.before(&place, |desk, op| Ok(desk.vault.library.account(op, name)?.to_json()))?;
        self.edit(place, before, Claim::Account(claims.into()), issuer);
        Ok(())
    }

    pub(crate) fn edit_user(&mut self, account: &str, name: &str, claims: UserClaims) -> Result<()> {
        let issuer = claims.common.issuer;
        let place = Place::User(account.to_owned(), name.to_owned());
        let before = self.before(&place, |desk, op| Ok(desk.vault.library.user(op, account, name)?.to_json()))?;
        self.edit(place, before, Claim::User(claims.into()), issuer);
        Ok(())
    }

    pub(crate) fn remove(&mut self, place: Place) {
        self.removed.push(place);
    }

    fn edit(&mut self, place: Place, before: Option<Value>, claim: Claim, issuer: PublicKey) {
        self.edits.push(Edit { place, before, claim, issuer });
    }

    fn before(&self, place: &Place, read: impl Fn(&Desk<'_>, &str) -> Result<Value>) -> Result<Option<Value>> {
        let is_there = self.desk.vault.library.has(&self.operator, place);
        is_there.then(|| read(self.desk, &self.operator)).transpose()
    }

    /// The operator as it is after this plan.
    fn operator_claims(&self) -> Result<OperatorClaims> {
        let edited = self.edits.iter().find_map(|edit| match &edit.claim {
            Claim::Operator(claims) => Some((**claims).clone()),
            _ => None,
        });
        edited.map_or_else(|| self.desk.vault.library.operator(&self.operator), Ok)
    }

    /// Carries the plan out as far as was asked for.
    pub(crate) async fn commit(self, publishing: &Publishing) -> Result<Ended> {
        let at = now();
        for edit in &self.edits {
            edit.claim.check(&edit.place.to_string(), at)?;
        }
        self.tell();
        let target = Target::of(self.desk, &self.operator, publishing);
        if publishing.dry_run {
            self.tell_of_connections(&target).await?;
            self.say("Nothing was changed: this was a dry run");
            return Ok(Ended::Pending);
        }
        if let Some(path) = &publishing.sign_request {
            self.keep_keys()?;
            offline::write_request(path, &self.operator, &self.edits_to_sign(at)?, &self.removed)?;
            self.say(&format!("Wrote a request to sign {} claim(s) to {}", self.edits.len(), path.display()));
            self.say(&format!(
                "next: nats auth sign {} RESPONSE, where the key is; then nats auth apply RESPONSE here",
                path.display()
            ));
            return Ok(Ended::Pending);
        }
        let tokens = self.sign(at)?;
        self.keep_keys()?;
        keep(self.desk, &self.operator, &tokens, &self.removed)?;
        live::publish(self.desk, &self.operator, &target, &tokens, self.quiet).await?;
        Ok(Ended::Done)
    }

    fn say(&self, text: &str) {
        if self.quiet {
            log!("{text}");
        } else {
            outln!("{text}");
        }
    }

    fn tell(&self) {
        for edit in self.edits.iter().filter(|edit| edit.before.is_some()) {
            let text = changes(edit.before.as_ref(), &edit.claim.to_json());
            if text.is_empty() {
                self.say(&format!("{} is signed again and says the same", capital(&edit.place.to_string())));
            } else {
                self.say(&format!("{} changes:\n{}", capital(&edit.place.to_string()), indented(&text)));
            }
        }
        for place in &self.removed {
            self.say(&format!("{} goes", capital(&place.to_string())));
        }
    }

    /// Whose connections the servers would close.
    async fn tell_of_connections(&self, target: &Target) -> Result<()> {
        for edit in self.edits.iter().filter(|edit| edit.before.is_some()) {
            if let Claim::Account(claims) = &edit.claim {
                live::tell_of_losses(self.desk, &self.operator, target, claims).await?;
            }
        }
        Ok(())
    }

    fn edits_to_sign(&self, at: i64) -> Result<Vec<(Place, jwt::Unsigned)>> {
        let unsigned = |edit: &Edit| Ok((edit.place.clone(), edit.claim.unsigned(edit.issuer, edit.issued_at(at))?));
        self.edits.iter().map(unsigned).collect()
    }

    fn sign(&self, at: i64) -> Result<Vec<(Place, String)>> {
        // What cannot be asked for later is asked for before anything is made.
        self.desk.vault.keys.prepare()?;
        let mut tokens = Vec::new();
        for (place, unsigned) in self.edits_to_sign(at)? {
            let issuer = unsigned.issuer();
            let fresh = self.keys.iter().find(|pair| pair.public() == issuer).cloned();
            let pair = fresh.map_or_else(|| self.desk.pair(&issuer, &place.to_string()), Ok)?;
            let signature = pair.sign(unsigned.bytes());
            tokens.push((place, unsigned.finish(&signature)?));
        }
        Ok(tokens)
    }

    fn keep_keys(&self) -> Result<()> {
        self.keys.iter().try_for_each(|pair| self.desk.vault.keys.put(pair))
    }
}

/// Keeps what was signed and forgets what goes.
pub(crate) fn keep(desk: &Desk<'_>, operator: &str, tokens: &[(Place, String)], removed: &[Place]) -> Result<()> {
    for (place, token) in tokens {
        desk.vault.library.put(operator, place, token)?;
    }
    for place in removed {
        desk.vault.library.remove(operator, place).map_err(|error| anyhow!("{place}: {error:#}"))?;
    }
    Ok(())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
