//! `nats auth sign` and `nats auth apply`: keys that never meet a network.
//!
//! A request holds the claims as they will be signed, so that whoever has the key sees what it says. A response holds the
//! signatures; it is believed only where a signature belongs to the claims and the key.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use data_encoding::BASE64URL_NOPAD;
use jwt::{Claims, Unsigned};
use serde::{Deserialize, Serialize};

use crate::command::auth::claims::changes;
use crate::command::auth::desk::Desk;
use crate::command::auth::live::{self, Target};
use crate::command::auth::plan::{Publishing, keep};
use crate::command::confirmed::confirmed;
use crate::show::outln;
use crate::vault::{Place, check_name, read_bounded, write_new};

const VERSION: u32 = 1;
const MAX_FILE_BYTES: u64 = 64 << 20;
const MAX_CLAIMS: usize = 10_000;

/// A file that asks for signatures, or brings them.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Paper {
    /// The version of this form.
    nats_auth_signing: u32,
    operator: String,
    claims: Vec<Line>,
    #[serde(default)]
    removed: Vec<Where>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    place: Where,
    /// The key that has to sign, for people; the claims say it too.
    issuer: String,
    /// `header.claims`.
    unsigned: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    signature: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Where {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    account: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    user: String,
}

impl Where {
    fn of(place: &Place) -> Self {
        let (account, user) = match place {
            Place::Operator => (String::new(), String::new()),
            Place::Account(account) => (account.clone(), String::new()),
            Place::User(account, user) => (account.clone(), user.clone()),
        };
        Self { account, user }
    }

    fn place(&self) -> Result<Place> {
        if !self.account.is_empty() {
            check_name("account", &self.account)?;
        }
        if !self.user.is_empty() {
            check_name("user", &self.user)?;
        }
        match (self.account.as_str(), self.user.as_str()) {
            ("", "") => Ok(Place::Operator),
            ("", _) => bail!("a user without an account"),
            (account, "") => Ok(Place::Account(account.to_owned())),
            (account, user) => Ok(Place::User(account.to_owned(), user.to_owned())),
        }
    }
}

impl Paper {
    fn read(path: &Path) -> Result<Self> {
        let content = read_bounded(path, MAX_FILE_BYTES)?;
        let paper: Self =
            serde_json::from_slice(&content).with_context(|| format!("{} is no signing request", path.display()))?;
        if paper.nats_auth_signing != VERSION {
            bail!("{} is of version {}, which this program does not know", path.display(), paper.nats_auth_signing);
        }
        if paper.claims.len() > MAX_CLAIMS {
            bail!("{} holds more than {MAX_CLAIMS} claims", path.display());
        }
        check_name("operator", &paper.operator)?;
        Ok(paper)
    }
}

impl Line {
    /// What is to be signed; the claims must fit the place they are for.
    fn unsigned(&self) -> Result<(Place, Unsigned, Claims)> {
        let place = self.place.place()?;
        let (unsigned, claims) = Unsigned::read(&self.unsigned).with_context(|| format!("the claims of {place}"))?;
        let fits = matches!(
            (&place, &claims),
            (Place::Operator, Claims::Operator(_))
                | (Place::Account(_), Claims::Account(_))
                | (Place::User(..), Claims::User(_))
        );
        if !fits {
            bail!("the claims for {place} are of another kind");
        }
        if unsigned.issuer().to_string() != self.issuer {
            bail!(
                "the request names {} as the key for {place}, and the claims name {}",
                self.issuer,
                unsigned.issuer()
            );
        }
        Ok((place, unsigned, claims))
    }
}

/// Writes a request for signatures.
pub(crate) fn write_request(path: &Path, operator: &str, edits: &[(Place, Unsigned)], removed: &[Place]) -> Result<()> {
    let line = |(place, unsigned): &(Place, Unsigned)| Line {
        place: Where::of(place),
        issuer: unsigned.issuer().to_string(),
        unsigned: String::from_utf8_lossy(unsigned.bytes()).into_owned(),
        signature: String::new(),
    };
    let paper = Paper {
        nats_auth_signing: VERSION,
        operator: operator.to_owned(),
        claims: edits.iter().map(line).collect(),
        removed: removed.iter().map(Where::of).collect(),
    };
    write_new(path, &serde_json::to_vec_pretty(&paper)?, false)
}

/// Sign a request that another machine wrote
#[derive(Args, Debug)]
pub(crate) struct Sign {
    /// The request
    request: PathBuf,
    /// Where to write the response
    response: PathBuf,
    /// Sign without asking
    #[arg(long, short = 'f')]
    force: bool,
}

impl Sign {
    pub(crate) fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut paper = Paper::read(&self.request)?;
        for line in &paper.claims {
            let (place, unsigned, claims) = line.unsigned()?;
            let before = known(desk, &paper.operator, &place);
            outln!("{place} of operator {}, to be signed by {}:", paper.operator, unsigned.issuer());
            let text = changes(before.as_ref(), &json(&claims));
            outln!("{}", text.lines().map(|line| format!("  {line}\n")).collect::<String>());
        }
        if !confirmed(self.force, &format!("Really sign {} claim(s)", paper.claims.len()))? {
            return Ok(());
        }
        for line in &mut paper.claims {
            let (place, unsigned, _) = line.unsigned()?;
            let pair = desk.vault.keys.get(&unsigned.issuer().to_string())?.ok_or_else(|| {
                anyhow!("the key {}, which has to sign {place}, is not in this keystore either", unsigned.issuer())
            })?;
            line.signature = BASE64URL_NOPAD.encode(&pair.sign(unsigned.bytes()));
        }
        write_new(&self.response, &serde_json::to_vec_pretty(&paper)?, false)?;
        outln!("Wrote {} signature(s) to {}", paper.claims.len(), self.response.display());
        Ok(())
    }
}

/// What is known here of the claims before the change.
fn known(desk: &Desk<'_>, operator: &str, place: &Place) -> Option<serde_json::Value> {
    let token = desk.vault.library.token(operator, place).ok()?;
    Claims::decode(&token).ok().map(|claims| json(&claims))
}

fn json(claims: &Claims) -> serde_json::Value {
    match claims {
        Claims::Operator(claims) => claims.to_json(),
        Claims::Account(claims) => claims.to_json(),
        Claims::User(claims) => claims.to_json(),
        _ => serde_json::Value::Null,
    }
}

/// Take over what another machine signed, and push it
#[derive(Args, Debug)]
pub(crate) struct Apply {
    /// The response
    response: PathBuf,
    /// Keep the change here
    #[arg(long)]
    no_push: bool,
    /// Bring the change to the servers, also when the operator names none
    #[arg(long, conflicts_with = "no_push")]
    push: bool,
}

impl Apply {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let paper = Paper::read(&self.response)?;
        let mut tokens = Vec::new();
        for line in &paper.claims {
            let (place, unsigned, claims) = line.unsigned()?;
            let signature = BASE64URL_NOPAD.decode(line.signature.as_bytes()).ok();
            let signature = signature.and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
            let signature = signature.ok_or_else(|| anyhow!("the claims of {place} are not signed yet"))?;
            check_newer(desk, &paper.operator, &place, &claims)?;
            check_signer(desk, &paper, &place, &claims)?;
            tokens.push((place, unsigned.finish(&signature)?));
        }
        let removed: Vec<Place> = paper.removed.iter().map(Where::place).collect::<Result<_>>()?;
        keep(desk, &paper.operator, &tokens, &removed)?;
        outln!("Took over {} signed claim(s)", tokens.len());
        let publishing = Publishing { push: self.push, no_push: self.no_push, ..Publishing::default() };
        let target = Target::of(desk, &paper.operator, &publishing);
        live::publish(desk, &paper.operator, &target, &tokens, false).await
    }
}

/// A signature counts for nothing when the chain does not know its key.
fn check_signer(desk: &Desk<'_>, paper: &Paper, place: &Place, claims: &Claims) -> Result<()> {
    let library = &desk.vault.library;
    let arriving = |wanted: &Place| {
        let found = paper.claims.iter().filter_map(|line| line.unsigned().ok()).find(|(place, ..)| place == wanted);
        found.map(|(.., claims)| claims)
    };
    let is_known = match (place, claims) {
        (Place::Operator, Claims::Operator(claims)) => {
            claims.common.issuer == claims.common.subject
                && library.operator(&paper.operator).map_or(true, |kept| kept.common.subject == claims.common.subject)
        }
        (Place::Account(_), Claims::Account(claims)) => match arriving(&Place::Operator) {
            Some(Claims::Operator(operator)) => operator.may_sign(&claims.common.issuer),
            _ => library.operator(&paper.operator)?.may_sign(&claims.common.issuer),
        },
        (Place::User(account, _), Claims::User(claims)) => match arriving(&Place::Account(account.clone())) {
            Some(Claims::Account(account)) => account.may_sign(&claims.common.issuer),
            _ => library.account(&paper.operator, account)?.may_sign(&claims.common.issuer),
        },
        _ => false,
    };
    if !is_known {
        bail!(
            "{place} is signed by {}, a key that operator {} does not know for this",
            claims.issuer(),
            paper.operator
        );
    }
    Ok(())
}

/// A response that waited while others changed the same claims would undo their change.
fn check_newer(desk: &Desk<'_>, operator: &str, place: &Place, claims: &Claims) -> Result<()> {
    let Ok(token) = desk.vault.library.token(operator, place) else { return Ok(()) };
    let kept = jwt::Glance::of(&token).map_or(0, |kept| kept.issued_at);
    let asked = match claims {
        Claims::Operator(claims) => claims.common.issued_at,
        Claims::Account(claims) => claims.common.issued_at,
        Claims::User(claims) => claims.common.issued_at,
        _ => 0,
    };
    if asked < kept {
        bail!("{place} was changed here after this request was written: write the request again");
    }
    Ok(())
}
