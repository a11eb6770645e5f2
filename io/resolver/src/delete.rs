//! Judging a request to delete accounts: claims that an operator key signed about itself, with a list of accounts.

use jwt::GenericClaims;
use nkeys::{PublicKey, Role};
use serde_json::Value;

use crate::outcome::Outcome;
use crate::request::MAX_DELETED_ACCOUNTS;
use crate::resolver::World;
use crate::settings::DeleteMode;

pub(crate) fn judge(body: &[u8], mode: DeleteMode, world: &World<'_>) -> Result<Vec<PublicKey>, Outcome> {
    let failed = |subject: &str, error: &dyn ToString| {
        Outcome::failed("", format!("delete accounts request by {subject} failed"), error.to_string())
    };
    let token = std::str::from_utf8(body).unwrap_or_default();
    let claims = GenericClaims::decode(token).map_err(|error| failed("", &error))?;
    judge_claims(&claims, mode, world).map_err(|error| failed(&claims.common.subject, &error))
}

fn judge_claims(claims: &GenericClaims, mode: DeleteMode, world: &World<'_>) -> Result<Vec<PublicKey>, &'static str> {
    if mode == DeleteMode::Refused {
        return Err("delete must be enabled in server config");
    }
    if !claims.common.is_self_signed() {
        return Err("not self signed");
    }
    if !world.trust.trusts(&claims.common.issuer, world.now) {
        return Err("not trusted");
    }
    // Ours: a request may say for how long it stands.
    if claims.common.is_expired(world.now.as_secs()) || claims.common.is_early(world.now.as_secs()) {
        return Err("claim is expired");
    }
    let Some(Value::Array(entries)) = claims.data.get("accounts") else { return Err("malformed request") };
    if entries.len() > MAX_DELETED_ACCOUNTS {
        return Err("malformed request");
    }
    entries.iter().map(|entry| judge_entry(entry, world)).collect()
}

fn judge_entry(entry: &Value, world: &World<'_>) -> Result<PublicKey, &'static str> {
    let account = entry.as_str().and_then(|text| PublicKey::parse_as(Role::Account, text).ok());
    match account.ok_or("malformed request")? {
        account if world.system == Some(account) => Err("not allowed to delete system account"),
        account => Ok(account),
    }
}
