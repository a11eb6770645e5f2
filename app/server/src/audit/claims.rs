//! Changes of accounts that are signed claims, as records.

use std::collections::BTreeSet;

use ::audit::{Class, Outcome, Record};
use broker::{Hub, Link};
use jwt::AccountClaims;

/// Whoever asked for something, as far as this server knows: over a link between servers it is the other server.
pub fn asked_by(hub: &Hub, asker: Option<&Link>, record: Record) -> Record {
    let Some(link) = asker else { return record };
    let known = hub.connection(link.key.id);
    let facts = known.as_ref().map(|known| &known.facts);
    Record {
        user: facts.map(|facts| facts.user.to_string()).unwrap_or_default(),
        credential: facts.and_then(|facts| facts.proof).map_or("", auth::Proof::word).to_owned(),
        from: link.address.ip().to_canonical().to_string(),
        ..record
    }
}

/// What a change of an account's claims means: that it is in force, and which keys came and went.
pub fn changes(account: &str, before: Option<&AccountClaims>, after: Option<&AccountClaims>) -> Vec<Record> {
    let record = |class, what: String| Record {
        account: account.to_owned(),
        rule: after.map(|claims| format!("signed by {}", claims.common.issuer)).unwrap_or_default(),
        what,
        ..Record::new(class, Outcome::Done)
    };
    let what = match (before, after) {
        (None, None) => return Vec::new(),
        (None, Some(_)) => "claims came into use".to_owned(),
        (Some(_), None) => "the account is gone, or its claims are not used any more".to_owned(),
        (Some(before), Some(after)) => {
            let revoked = after.revocations.iter().filter(|entry| before.revocations.iter().all(|old| old != *entry));
            match revoked.count() {
                0 => "new claims are in use".to_owned(),
                1 => "new claims are in use; one revocation is new".to_owned(),
                many => format!("new claims are in use; {many} revocations are new"),
            }
        }
    };
    let mut records = vec![record(Class::Account, what)];
    let (old, new) = (signing_keys(before), signing_keys(after));
    if before.is_some() && after.is_some() && old != new {
        let list = |keys: BTreeSet<&String>| keys.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let came = list(new.difference(&old).collect());
        let went = list(old.difference(&new).collect());
        let mut what = "signing keys changed".to_owned();
        for (word, keys) in [("added", came), ("taken out", went)] {
            if !keys.is_empty() {
                what += &format!("; {word} {keys}");
            }
        }
        records.push(record(Class::Key, what));
    }
    records
}

fn signing_keys(claims: Option<&AccountClaims>) -> BTreeSet<String> {
    claims.into_iter().flat_map(|claims| claims.signing_keys.iter()).map(|(key, _)| key.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use jwt::testing::Chain;

    use super::*;

    fn told(before: Option<&AccountClaims>, after: Option<&AccountClaims>) -> Vec<(Class, String)> {
        changes("A", before, after).into_iter().map(|record| (record.class, record.what)).collect()
    }

    #[test]
    fn a_change_tells_of_keys_and_revocations() {
        let mut shop = Chain::new("acme").account("shop");
        let before = shop.claims.clone();
        assert_eq!(told(None, None), []);
        assert_eq!(told(None, Some(&before)), [(Class::Account, "claims came into use".to_owned())]);
        assert_eq!(told(Some(&before), Some(&before)), [(Class::Account, "new claims are in use".to_owned())]);
        let key = shop.add_scope("team", |_| {}).public();
        let added = format!("signing keys changed; added {key}");
        assert_eq!(told(Some(&before), Some(&shop.claims))[1], (Class::Key, added));
        let gone = format!("signing keys changed; taken out {key}");
        assert_eq!(told(Some(&shop.claims), Some(&before))[1], (Class::Key, gone));
        assert_eq!(told(Some(&before), None).len(), 1);
    }
}
