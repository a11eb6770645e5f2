//! Claims of any kind that `nats auth` writes, and the difference between two of them as people read it.

use anyhow::{Result, bail};
use jwt::{AccountClaims, Issues, OperatorClaims, Severity, Unsigned, UserClaims};
use nkeys::PublicKey;
use serde_json::{Map, Value};

use crate::command::difference::differences;
use crate::show::log;

/// What is to be signed.
#[derive(Clone, Debug)]
pub(crate) enum Claim {
    Operator(Box<OperatorClaims>),
    Account(Box<AccountClaims>),
    User(Box<UserClaims>),
}

impl Claim {
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Operator(claims) => claims.to_json(),
            Self::Account(claims) => claims.to_json(),
            Self::User(claims) => claims.to_json(),
        }
    }

    pub(crate) fn unsigned(&self, issuer: PublicKey, now: i64) -> Result<Unsigned> {
        Ok(match self {
            Self::Operator(claims) => claims.unsigned(issuer, now)?,
            Self::Account(claims) => claims.unsigned(issuer, now)?,
            Self::User(claims) => claims.unsigned(issuer, now)?,
        })
    }

    /// Refuses what no server would take; tells what should be changed.
    pub(crate) fn check(&self, what: &str, now: i64) -> Result<()> {
        let issues: Issues = match self {
            Self::Operator(claims) => claims.validate(now),
            Self::Account(claims) => claims.validate(now),
            Self::User(claims) => claims.validate(now),
        };
        if issues.is_blocking() {
            let texts = issues.iter().filter(|issue| issue.severity == Severity::Blocking);
            let texts: Vec<_> = texts.map(|issue| format!("  {}", issue.text)).collect();
            bail!("no server would take the claims of {what}:\n{}", texts.join("\n"));
        }
        for issue in issues.iter() {
            log!("WARNING: {what}: {}", issue.text);
        }
        Ok(())
    }
}

/// A line for each value that goes (`-`) and each that comes (`+`), by its path in the claims. Who signed when is left out.
pub(crate) fn changes(before: Option<&Value>, after: &Value) -> String {
    let flat = |value: Option<&Value>| {
        let mut found = Map::new();
        value.into_iter().for_each(|value| flatten("", value, &mut found));
        for dull in ["iat", "jti", "type", "version"] {
            found.remove(dull);
        }
        found
    };
    differences(&flat(before), &flat(Some(after)))
}

fn flatten(path: &str, value: &Value, found: &mut Map<String, Value>) {
    let below = |name: &str| match path {
        "" | "nats" if name != "nats" => name.to_owned(),
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| flatten(&below(name), value, found)),
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (at, entry) in list.iter().enumerate() {
                let name = ["key", "local_subject", "subject"].iter().find_map(|name| entry.get(name)?.as_str());
                let name = name.map_or_else(|| at.to_string(), str::to_owned);
                match entry {
                    Value::Object(_) => flatten(&format!("{path}[{name}]"), entry, found),
                    plain => {
                        drop(found.insert(format!("{path}[{}]", plain.as_str().unwrap_or(&name)), Value::Bool(true)))
                    }
                }
            }
        }
        value => drop(found.insert(path.to_owned(), value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jwt::testing::Chain;
    use jwt::{Export, Sharing};

    #[test]
    fn a_change_is_named_by_its_path() {
        let chain = Chain::new("acme");
        let before = chain.account("shop");
        let after = before.clone().with(|claims| {
            claims.limits.account.conn = 10;
            claims.exports.push(Export::new(Sharing::Stream, "orders.>"));
        });
        let text = changes(Some(&before.claims.to_json()), &after.claims.to_json());
        let wanted = "+ exports[orders.>].subject: \"orders.>\"\n+ exports[orders.>].type: \"stream\"\n\
                      - limits.conn: -1\n+ limits.conn: 10\n";
        assert_eq!(text, wanted);
        assert_eq!(changes(Some(&before.claims.to_json()), &before.claims.to_json()), "");
    }
}
