//! From who somebody is to what they may do: the first rule that fits decides.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use jwt::{Entry, Permission, Permissions, Responses, UserRights};
use serde::Deserialize;
use serde_json::Value;

use crate::expand::{self, expand, expand_label};
use crate::provider::Identity;
use crate::settings::Span;

/// A rule as it is typed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleSettings {
    /// Of this provider only.
    #[serde(default)]
    provider: Option<String>,
    /// Of one of these groups only.
    #[serde(default)]
    groups: Vec<String>,
    /// These users only.
    #[serde(default)]
    users: Vec<String>,
    /// With these claims only.
    #[serde(default)]
    claims: BTreeMap<String, Value>,
    /// Refuse whoever this rule fits.
    #[serde(default)]
    deny: bool,
    /// Where they are placed.
    #[serde(default)]
    pub(crate) account: String,
    /// What they are called there.
    #[serde(default = "user_template")]
    user: String,
    #[serde(default)]
    pub_allow: Vec<String>,
    #[serde(default)]
    pub_deny: Vec<String>,
    #[serde(default)]
    sub_allow: Vec<String>,
    #[serde(default)]
    sub_deny: Vec<String>,
    /// How many answers a request may get that publishing does not allow otherwise.
    #[serde(default)]
    responses: Option<i64>,
    #[serde(default)]
    responses_ttl: Option<Span>,
    #[serde(default)]
    subscriptions: Option<i64>,
    #[serde(default)]
    payload: Option<i64>,
    /// Kinds of connections, as `STANDARD` or `WEBSOCKET`.
    #[serde(default)]
    connection_types: Vec<String>,
    #[serde(default)]
    sources: Vec<String>,
    /// How long they are let in.
    #[serde(default)]
    expire: Option<Span>,
    #[serde(default)]
    tags: Vec<String>,
}

fn user_template() -> String {
    "{{name}}".to_owned()
}

/// The rules in their order.
#[derive(Debug)]
pub(crate) struct Rules(Vec<RuleSettings>);

/// What a rule grants.
#[derive(Debug, PartialEq)]
pub(crate) struct Grant {
    pub(crate) account: String,
    pub(crate) user: String,
    pub(crate) rights: UserRights,
    pub(crate) tags: Vec<String>,
    /// For how long at most.
    pub(crate) expire: Option<Span>,
}

impl Rules {
    pub(crate) fn new(rules: &[RuleSettings]) -> Result<Self> {
        for (at, rule) in rules.iter().enumerate() {
            rule.check().map_err(|error| anyhow::anyhow!("rule {}: {error:#}", at + 1))?;
        }
        Ok(Self(rules.to_vec()))
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|rule| !rule.deny).map(|rule| rule.account.as_str())
    }

    /// What the first rule that fits grants, or why nothing is granted.
    pub(crate) fn grant(&self, identity: &Identity) -> Result<Grant, String> {
        for (at, rule) in self.0.iter().enumerate() {
            let Some(group) = rule.fits(identity) else { continue };
            if rule.deny {
                return Err(format!("rule {} refuses {}", at + 1, identity.label()));
            }
            return rule
                .fill_in(identity, group)
                .map_err(|refusal| format!("rule {} for {}: {refusal}", at + 1, identity.label()));
        }
        Err(format!("no rule fits {}", identity.label()))
    }
}

impl RuleSettings {
    fn check(&self) -> Result<()> {
        if self.account.is_empty() && !self.deny {
            bail!("account is missing: where shall its users be placed?");
        }
        let lists = [&self.pub_allow, &self.pub_deny, &self.sub_allow, &self.sub_deny, &self.tags];
        for text in lists.into_iter().flatten().chain([&self.user, &self.account]) {
            expand::check(text).map_err(|refusal| anyhow::anyhow!("{text:?}: {refusal}"))?;
        }
        for entry in [&self.pub_allow, &self.pub_deny, &self.sub_allow, &self.sub_deny].into_iter().flatten() {
            if !entry.contains("{{") && Entry::parse(entry).is_none() {
                bail!("{entry:?} is not a valid subject");
            }
        }
        if self.responses_ttl.is_some() && self.responses.is_none() {
            bail!("responses_ttl needs responses");
        }
        Ok(())
    }

    /// Whether the rule is for this identity: outer `None` for no, inner the group that made it fit.
    fn fits<'a>(&'a self, identity: &Identity) -> Option<Option<&'a str>> {
        let is_named = self.users.is_empty() || self.users.contains(&identity.name);
        let is_provider = self.provider.as_ref().is_none_or(|provider| *provider == identity.provider);
        let has_claims = self.claims.iter().all(|(path, wanted)| identity.has_claim(path, wanted));
        if !is_named || !is_provider || !has_claims {
            return None;
        }
        if self.groups.is_empty() {
            return Some(None);
        }
        self.groups.iter().find(|group| identity.groups.contains(group)).map(|group| Some(group.as_str()))
    }

    fn fill_in(&self, identity: &Identity, group: Option<&str>) -> Result<Grant, String> {
        let text = |text: &String| expand(text, identity, group).map_err(|refusal| refusal.to_string());
        let label = |text: &String| expand_label(text, identity, group).map_err(|refusal| refusal.to_string());
        let all = |texts: &[String]| texts.iter().map(text).collect::<Result<Vec<_>, _>>();
        let subjects = |texts: &[String]| {
            let filled = all(texts)?;
            match filled.iter().find(|entry| Entry::parse(entry).is_none()) {
                Some(odd) => Err(format!("{odd:?} is not a valid subject")),
                None => Ok(filled),
            }
        };
        let mut rights = UserRights::unlimited();
        rights.permissions = Permissions {
            publish: Permission { allow: subjects(&self.pub_allow)?, deny: subjects(&self.pub_deny)? },
            subscribe: Permission { allow: subjects(&self.sub_allow)?, deny: subjects(&self.sub_deny)? },
            responses: self.responses.map(|max| Responses {
                max,
                ttl: self.responses_ttl.map_or(0, |ttl| i64::try_from(ttl.0.as_nanos()).unwrap_or(i64::MAX)),
            }),
        };
        rights.limits.subs = self.subscriptions.unwrap_or(rights.limits.subs);
        rights.limits.payload = self.payload.unwrap_or(rights.limits.payload);
        rights.allowed_connection_types.clone_from(&self.connection_types);
        rights.sources.clone_from(&self.sources);
        Ok(Grant {
            account: text(&self.account)?,
            user: label(&self.user)?,
            rights,
            tags: self.tags.iter().map(label).collect::<Result<_, _>>()?,
            expire: self.expire,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(text: &str) -> Result<Rules> {
        #[derive(Deserialize)]
        struct Only {
            rule: Vec<RuleSettings>,
        }
        Rules::new(&toml::from_str::<Only>(text).unwrap().rule)
    }

    fn ann() -> Identity {
        Identity {
            provider: "ldap".into(),
            name: "ann".into(),
            groups: vec!["staff".into(), "sales".into()],
            claims: json!({"mail": "a@x"}).as_object().cloned().unwrap(),
            ..Identity::default()
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = rules(
            r#"
            [[rule]]
            users = ["mallory"]
            deny = true
            [[rule]]
            groups = ["sales"]
            account = "SHOP"
            pub_allow = ["orders.{{name}}.>"]
            [[rule]]
            account = "GUESTS"
            "#,
        )
        .unwrap();
        let grant = rules.grant(&ann()).unwrap();
        assert_eq!((grant.account.as_str(), grant.user.as_str()), ("SHOP", "ann"));
        assert_eq!(grant.rights.permissions.publish.allow, ["orders.ann.>"]);
        let guest = Identity { groups: vec![], ..ann() };
        assert_eq!(rules.grant(&guest).unwrap().account, "GUESTS");
        let mallory = Identity { name: "mallory".into(), ..ann() };
        assert_eq!(rules.grant(&mallory).unwrap_err(), "rule 1 refuses user \"mallory\" of ldap");
    }

    #[test]
    fn nobody_fits_a_rule_by_half() {
        let rules = rules("[[rule]]\nprovider = \"oidc\"\ngroups = [\"sales\"]\naccount = \"A\"\n").unwrap();
        assert_eq!(rules.grant(&ann()).unwrap_err(), "no rule fits user \"ann\" of ldap");
        let rules = self::rules("[[rule]]\nclaims = { mail = \"b@x\" }\naccount = \"A\"\n").unwrap();
        assert!(rules.grant(&ann()).is_err());
    }

    #[test]
    fn a_name_that_would_widen_a_right_lets_nobody_in() {
        let rules = rules("[[rule]]\naccount = \"A\"\npub_allow = [\"u.{{name}}.>\"]\n").unwrap();
        let odd = Identity { name: ">".into(), ..ann() };
        assert!(rules.grant(&odd).unwrap_err().contains("is not one plain token of a subject"));
    }

    #[test]
    fn mistakes_are_found_at_the_start() {
        for (text, wanted) in [
            ("[[rule]]\n", "rule 1: account is missing"),
            ("[[rule]]\naccount = \"A\"\npub_allow = [\"a..b\"]\n", "\"a..b\" is not a valid subject"),
            ("[[rule]]\naccount = \"A\"\nsub_allow = [\"{{nme}}\"]\n", "unknown template \"nme\""),
        ] {
            let error = rules(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
