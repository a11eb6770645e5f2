//! Taking over what another server has.

use nkeys::{PublicKey, Role};

use crate::description::describe;
use crate::resolver::World;
use crate::store::Store;

/// Most tokens of one message; servers send one.
const MAX_LINES: usize = 4096;

/// Reads the lines `account|token` of a message.
pub(crate) fn lines(body: &[u8]) -> Vec<Result<(PublicKey, &str), String>> {
    let Ok(text) = std::str::from_utf8(body) else { return vec![Err("pack is not text".to_owned())] };
    text.split('\n').filter(|line| !line.is_empty()).take(MAX_LINES).map(line).collect()
}

fn line(line: &str) -> Result<(PublicKey, &str), String> {
    let malformed = || "line in package didn't contain 2 entries".to_owned();
    let (account, token) = line.split_once('|').ok_or_else(malformed)?;
    if token.contains('|') {
        return Err(malformed());
    }
    let account = PublicKey::parse_as(Role::Account, account);
    let account = account.map_err(|_| "key to merge is not a valid public account key".to_owned())?;
    Ok((account, token))
}

/// Whether a token that another server has should replace ours. What is older, the same, or was deleted here is passed
/// over in silence; what cannot be trusted is an error.
pub(crate) fn is_wanted(
    store: &dyn Store,
    account: &PublicKey,
    token: &str,
    world: &World<'_>,
) -> Result<bool, String> {
    // What we have already was judged already; a whole pack of it costs a hash each.
    if store.peek(account).is_some_and(|stored| stored.mark == describe(token).stored.mark) {
        return Ok(false);
    }
    let judged = world.trust.admit_account(token, account, world.now).map_err(|refusal| refusal.to_string())?;
    let issued_at = judged.claims().common.issued_at;
    let older = store.peek(account).is_some_and(|stored| stored.issued_at > issued_at);
    let deleted = store.peek(account).is_none() && store.deleted(account).is_some_and(|until| until >= issued_at);
    Ok(!older && !deleted)
}
