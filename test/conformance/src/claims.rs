//! Operators, accounts and users for scripts: the same keys for the same names every time, and tokens as a script words
//! them.
//!
//! ```text
//! ${operator}                        the token of the operator acme; its system account is SYS
//! ${key:shop}                        the public key of an account
//! ${account:shop WORDS}              the account's token: iat=SECONDS exp=SECONDS conn=N payload=N deny=SUBJECT
//!                                    revoke=USER|* nokeys operator=NAME service=USER allowed=*
//!                                    store=MEMORY,DISK,STREAMS,CONSUMERS tier=NAME:MEMORY,DISK,STREAMS,CONSUMERS
//! ${user:shop/joe}                   a user's public key
//! ${login:shop/joe WORDS}            members of CONNECT that log the user in: iat=SECONDS exp=SECONDS delegated bearer
//!                                    pub=SUBJECT sub=SUBJECT kinds=A,B
//! ${token:shop/joe WORDS}            the user's token alone
//! ${delete:shop,bank}                a request to delete accounts
//! ${sized:TEXT}                      the length of the text, and the text: the end of a PUB
//! ${answer:WORDS}                    the end of a PUB that answers the question this connection has heard last:
//!                                    as=NAME account=NAME error=TEXT signer=NAME from=ACCOUNT other nobody
//! ```
//!
//! A number with a plus sign is from now on, any other from the moment at which all tokens are signed.

use jwt::testing::{Chain, NOW, TestAccount, TestUser, key};
use jwt::{
    AllowedAccount, AuthorizationRequest, AuthorizationResponse, GenericClaims, JetStreamLimits, Revoked, UserClaims,
};
use nkeys::{KeyPair, PublicKey, Role};
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

type Outcome = Result<String, String>;

/// What a template stands for; nothing if it is none of these.
pub(crate) fn value(name: &str, words: &str, nonce: &str, heard: &[u8]) -> Option<Outcome> {
    let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
    Some(match name {
        "operator" => Ok(Chain::new("acme").token()),
        "key" => Ok(account(first).key.public().to_string()),
        "account" => worded_account(first, rest).map(|account| account.token()),
        "user" => user(first).map(|user| user.key.public().to_string()),
        "login" => login(first, rest, nonce),
        "token" => worded_user(first, rest).map(|user| user.token()),
        "delete" => deletion(words),
        "sized" => Ok(sized(words)),
        "answer" => answer(words, heard),
        _ => return None,
    })
}

fn account(name: &str) -> TestAccount {
    Chain::new("acme").account(name)
}

fn sized(text: &str) -> String {
    format!("{}\\r\\n{text}", text.len())
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

/// A moment, in seconds.
fn instant(text: &str) -> Result<i64, String> {
    let from = match text.strip_prefix('+') {
        Some(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        None => u64::try_from(NOW.as_secs()).unwrap_or(0),
    };
    Ok(i64::try_from(from).unwrap_or(i64::MAX) + number(text)?)
}

fn pairs(words: &str) -> impl Iterator<Item = (&str, &str)> {
    words.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, "")))
}

fn worded_account(name: &str, words: &str) -> Result<TestAccount, String> {
    let mut account = account(name);
    for (word, value) in pairs(words) {
        let claims = &mut account.claims;
        match word {
            "iat" => account.issued_at = moment::Timestamp::from_secs(instant(value)?),
            "exp" => claims.common.expires = instant(value)?,
            "conn" => claims.limits.account.conn = number(value)?,
            "payload" => claims.limits.nats.payload = number(value)?,
            "deny" => claims.default_permissions.subscribe.deny.push(value.to_owned()),
            "revoke" if value == "*" => claims.revocations.revoke(Revoked::All, NOW.as_secs()),
            "revoke" => {
                claims.revocations.revoke(Revoked::Key(user(&format!("{name}/{value}"))?.key.public()), NOW.as_secs());
            }
            "nokeys" => drop(claims.signing_keys.remove(&account.signing.public())),
            "operator" => account = account.signed_by(&Chain::new(value).signing),
            "service" => claims.authorization.auth_users.push(user(&format!("{name}/{value}"))?.key.public()),
            "store" => claims.limits.jetstream = storage(value)?,
            "tier" => {
                let (tier, limits) = value.split_once(':').ok_or("a tier is NAME:LIMITS")?;
                claims.limits.tiers.insert(tier.to_owned(), storage(limits)?);
            }
            "allowed" => claims.authorization.allowed_accounts.push(AllowedAccount::Any),
            _ => return Err(format!("an account has no {word}")),
        }
    }
    Ok(account)
}

/// `MEMORY,DISK,STREAMS,CONSUMERS`.
fn storage(words: &str) -> Result<JetStreamLimits, String> {
    let numbers = words.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
    let [mem_storage, disk_storage, streams, consumer] = numbers[..] else {
        return Err(format!("{words} are not four numbers"));
    };
    Ok(JetStreamLimits { mem_storage, disk_storage, streams, consumer, ..JetStreamLimits::default() })
}

fn user(path: &str) -> Result<TestUser, String> {
    let (account_name, name) = path.split_once('/').ok_or("a user is ACCOUNT/NAME")?;
    Ok(account(account_name).user(name))
}

fn worded_user(path: &str, words: &str) -> Result<TestUser, String> {
    let mut user = user(path)?;
    for (word, value) in pairs(words) {
        let rights = &mut user.claims.rights;
        match word {
            "iat" => user.issued_at = moment::Timestamp::from_secs(instant(value)?),
            "exp" => user.claims.common.expires = instant(value)?,
            "delegated" => {
                let (account_name, name) = path.split_once('/').unwrap_or_default();
                user = account(account_name).delegated_user(name);
            }
            "bearer" => rights.bearer_token = true,
            "pub" => rights.permissions.publish.allow.push(value.to_owned()),
            "sub" => rights.permissions.subscribe.allow.push(value.to_owned()),
            "kinds" => rights.allowed_connection_types = value.split(',').map(str::to_owned).collect(),
            _ => return Err(format!("a user has no {word}")),
        }
    }
    Ok(user)
}

fn login(path: &str, words: &str, nonce: &str) -> Outcome {
    let user = worded_user(path, words)?;
    let proof = match user.claims.rights.bearer_token {
        true => String::new(),
        false => format!(",\"sig\":\"{}\"", user.sign(nonce.as_bytes())),
    };
    Ok(format!("\"jwt\":\"{}\"{proof}", user.token()))
}

fn deletion(names: &str) -> Outcome {
    let signer = Chain::new("acme").signing;
    let mut claims = GenericClaims::new(&signer.public().to_string(), signer.public());
    let keys = names.split(',').map(|name| Value::from(account(name).key.public().to_string()));
    claims.data.insert("accounts".into(), keys.collect::<Vec<_>>().into());
    claims.encode(&signer, NOW.as_secs()).map_err(|error| error.to_string())
}

/// What a service says of the user it was asked about.
fn answer(words: &str, heard: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(heard);
    let (head, body) = text.split_once("\r\n").ok_or("nothing was heard")?;
    let reply = head.split(' ').filter(|word| !word.is_empty()).nth(3).ok_or("nobody waits for an answer")?;
    let question = AuthorizationRequest::decode(body.trim_end()).map_err(|error| error.to_string())?;
    let mut said = Said { user: question.user_nkey, ..Said::default_of("issuer") };
    for (word, value) in pairs(words) {
        match word {
            "as" => value.clone_into(&mut said.name),
            "account" => value.clone_into(&mut said.audience),
            "error" => value.clone_into(&mut said.error),
            "signer" => said.signer = account(value).key,
            "from" => said.placed_by = Some(account(value).key),
            "other" => said.user = key(Role::User, "somebody else").public(),
            "nobody" => return Ok(format!("{reply} 0\\r\\n")),
            _ => return Err(format!("an answer has no {word}")),
        }
    }
    said.token(&question).map(|token| format!("{reply} {}", sized(&token)))
}

/// An answer to be signed.
struct Said {
    name: String,
    audience: String,
    error: String,
    user: PublicKey,
    /// Who answers.
    signer: KeyPair,
    /// Who places the user, if somebody else than who answers.
    placed_by: Option<KeyPair>,
}

impl Said {
    fn default_of(issuer: &str) -> Self {
        let signer = account(issuer).key;
        let user = key(Role::User, "nobody").public();
        Self { name: String::new(), audience: String::new(), error: String::new(), user, signer, placed_by: None }
    }

    fn token(&self, question: &AuthorizationRequest) -> Outcome {
        let now = instant("+0")?;
        let failed = |error: jwt::EncodeError| error.to_string();
        let server = question.common.issuer;
        let mut response = AuthorizationResponse::new(question.user_nkey, server, self.signer.public());
        if self.error.is_empty() {
            let placed_by = self.placed_by.as_ref().unwrap_or(&self.signer);
            let mut user = UserClaims::new(self.user, placed_by.public());
            self.name.clone_into(&mut user.common.name);
            self.audience.clone_into(&mut user.common.audience);
            response.jwt = user.encode(placed_by, now).map_err(failed)?;
        } else {
            self.error.clone_into(&mut response.error);
        }
        response.encode(&self.signer, now).map_err(failed)
    }
}
