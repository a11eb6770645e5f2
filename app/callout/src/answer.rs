//! Questions opened and answers signed: bytes in, bytes out.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use jwt::callout::REQUEST_AUDIENCE;
use jwt::{AuthorizationRequest, AuthorizationResponse, UserClaims};
use nkeys::{KeyPair, PublicKey, Role, XKey, XPublicKey};

use crate::provider::Identity;
use crate::rules::Grant;
use crate::settings::Settings;

/// The largest question that is looked at.
const MAX_QUESTION_BYTES: usize = 1 << 20;

/// Where users of an account are signed.
struct Account {
    id: PublicKey,
    key: KeyPair,
}

/// Our keys.
pub(crate) struct Signer {
    issuer: KeyPair,
    issuer_account: Option<PublicKey>,
    xkey: Option<XKey>,
    /// By the names that rules use; empty where the servers' configuration holds the accounts.
    accounts: BTreeMap<String, Account>,
    servers: Vec<PublicKey>,
    expire: i64,
}

/// A question, and how its answer travels.
pub(crate) struct Question {
    pub(crate) request: AuthorizationRequest,
    sealed_for: Option<XPublicKey>,
    server: PublicKey,
}

impl Signer {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let callout = &settings.callout;
        let issuer = account_key(&callout.issuer, "callout.issuer")?;
        let issuer_account = callout.issuer_account.as_deref();
        let issuer_account = issuer_account
            .map(|id| PublicKey::parse_as(Role::Account, id).context("callout.issuer_account"))
            .transpose()?;
        let xkey = callout.xkey.as_ref().map(|text| {
            XKey::from_seed(text.read("callout.xkey")?.expose()).context("callout.xkey is no seed of a curve key (SX…)")
        });
        let mut accounts = BTreeMap::new();
        for (name, account) in &settings.accounts {
            let what = format!("accounts.{name}");
            let id = PublicKey::parse_as(Role::Account, &account.id).with_context(|| format!("{what}.id"))?;
            accounts.insert(
                name.clone(),
                Account { id, key: account_key(&account.signing_key, &format!("{what}.signing_key"))? },
            );
        }
        if issuer_account.is_some() && accounts.is_empty() {
            bail!(
                "callout.issuer_account means operator mode: name the accounts with their signing keys under [accounts]"
            );
        }
        let servers = callout
            .servers
            .iter()
            .map(|key| PublicKey::parse_as(Role::Server, key).with_context(|| format!("callout.servers: {key}")));
        let expire = i64::try_from(callout.expire.0.as_secs()).unwrap_or(i64::MAX);
        if expire == 0 {
            bail!("callout.expire must be a second at least");
        }
        Ok(Self {
            issuer,
            issuer_account,
            xkey: xkey.transpose()?,
            accounts,
            servers: servers.collect::<Result<_>>()?,
            expire,
        })
    }

    /// Whether users can be placed in an account that a rule names.
    pub(crate) fn check_account(&self, name: &str) -> Result<()> {
        if self.accounts.is_empty() || self.accounts.contains_key(name) || name.contains("{{") {
            return Ok(());
        }
        bail!("a rule places users in account {name:?}, which does not stand under [accounts]")
    }

    /// Opens a question. `seal` is the header in which the server names its curve key.
    pub(crate) fn open(&self, bytes: &[u8], seal: Option<&str>, now: i64) -> Result<Question> {
        if bytes.len() > MAX_QUESTION_BYTES {
            bail!("a question of {} bytes", bytes.len());
        }
        let (opened, sealed_for) = match (&self.xkey, seal) {
            (Some(key), Some(writer)) => {
                let writer: XPublicKey = writer.parse().context("the server's curve key")?;
                (key.open(bytes, &writer).context("the question is not sealed for us")?, Some(writer))
            }
            (Some(_), None) => {
                bail!("the question came in the clear, and we have a curve key: the server's configuration lacks xkey")
            }
            (None, Some(_)) => bail!("the question is sealed, and we have no curve key: callout.xkey is missing"),
            (None, None) => (bytes.to_vec(), None),
        };
        let token = std::str::from_utf8(&opened).context("the question is no text")?;
        let request = AuthorizationRequest::decode(token).context("the question cannot be read")?;
        if request.common.audience != REQUEST_AUDIENCE {
            bail!("the question is for {:?}", request.common.audience);
        }
        if request.common.is_expired(now) {
            bail!("the question is expired");
        }
        let server = request.common.issuer;
        if request.server.id != server.to_string() {
            bail!("server {:?} asks with the key of {server}", request.server.id);
        }
        if !self.servers.is_empty() && !self.servers.contains(&server) {
            bail!("server {server} is none of callout.servers");
        }
        Ok(Question { request, sealed_for, server })
    }

    /// The answer that lets a user in.
    pub(crate) fn admit(&self, question: &Question, identity: &Identity, grant: &Grant, now: i64) -> Result<Vec<u8>> {
        let user = question.request.user_nkey;
        let account = self.accounts.get(&grant.account);
        if account.is_none() && !self.accounts.is_empty() {
            bail!("account {:?} does not stand under [accounts]", grant.account);
        }
        let key = account.map_or(&self.issuer, |account| &account.key);
        let mut claims = UserClaims::new(user, key.public());
        grant.user.clone_into(&mut claims.common.name);
        claims.rights = grant.rights.clone();
        grant.tags.iter().for_each(|tag| claims.common.add_tag(tag));
        match account {
            Some(account) => claims.issuer_account = Some(account.id).filter(|id| *id != key.public()),
            None => grant.account.clone_into(&mut claims.common.audience),
        }
        let span = grant.expire.map_or(self.expire, |span| i64::try_from(span.0.as_secs()).unwrap_or(i64::MAX));
        let until = now.saturating_add(span.max(1));
        claims.common.expires = identity.expires.map_or(until, |expires| until.min(expires));
        let issues = claims.validate(now);
        if let Some(issue) = issues.iter().next() {
            bail!("the servers would refuse these claims: {}", issue.text);
        }
        let token = claims.encode(key, now)?;
        self.answer(question, |response| response.jwt = token, now)
    }

    /// The answer that keeps a user out.
    pub(crate) fn refuse(&self, question: &Question, why: &str, now: i64) -> Result<Vec<u8>> {
        self.answer(question, |response| why.clone_into(&mut response.error), now)
    }

    fn answer(
        &self,
        question: &Question,
        fill_in: impl FnOnce(&mut AuthorizationResponse),
        now: i64,
    ) -> Result<Vec<u8>> {
        let mut response =
            AuthorizationResponse::new(question.request.user_nkey, question.server, self.issuer.public());
        response.issuer_account = self.issuer_account.filter(|account| *account != self.issuer.public());
        fill_in(&mut response);
        let token = response.encode(&self.issuer, now)?.into_bytes();
        match (&self.xkey, &question.sealed_for) {
            (Some(key), Some(reader)) => {
                let mut nonce = [0; nkeys::BOX_NONCE_BYTES];
                getrandom::fill(&mut nonce).map_err(|error| anyhow!("no randomness: {error}"))?;
                Ok(key.seal(&token, reader, &nonce))
            }
            _ => Ok(token),
        }
    }
}

fn account_key(text: &crate::secret_text::SecretText, what: &str) -> Result<KeyPair> {
    let pair = KeyPair::from_seed(text.read(what)?.expose()).with_context(|| format!("{what} is no seed"))?;
    if pair.role() != Role::Account {
        bail!("{what} is the seed of {} key, it must be an account's (SA…)", pair.role());
    }
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SAMPLE;
    use jwt::UserRights;
    use jwt::testing::key;

    const NOW: i64 = 1_700_000_000;

    fn settings(extra: &str) -> Settings {
        let seed = key(Role::Account, "issuer").seed();
        let text =
            SAMPLE.replace("env:ISSUER", seed.expose()).replace("[[provider]]", &format!("{extra}\n[[provider]]"));
        toml::from_str(&text).unwrap()
    }

    fn request() -> AuthorizationRequest {
        let server = key(Role::Server, "one");
        let mut request = AuthorizationRequest::new("A", server.public(), key(Role::User, "fresh").public());
        request.server.id = server.public().to_string();
        request.common.expires = NOW + 2;
        request
    }

    fn token(request: &AuthorizationRequest) -> String {
        request.encode(&key(Role::Server, "one"), NOW).unwrap()
    }

    fn grant() -> Grant {
        Grant { account: "APP".into(), user: "joe".into(), rights: UserRights::unlimited(), tags: vec![], expire: None }
    }

    #[test]
    fn an_answer_is_for_the_fresh_key_and_the_server_that_asked() {
        let signer = Signer::new(&settings("")).unwrap();
        let question = signer.open(token(&request()).as_bytes(), None, NOW).unwrap();
        let answer = signer.admit(&question, &Identity::default(), &grant(), NOW).unwrap();
        let response = AuthorizationResponse::decode(std::str::from_utf8(&answer).unwrap()).unwrap();
        assert!(response.validate(NOW).is_empty());
        assert_eq!(response.common.audience, key(Role::Server, "one").public().to_string());
        let user = UserClaims::decode(&response.jwt).unwrap();
        assert_eq!(user.common.subject, key(Role::User, "fresh").public());
        assert_eq!((user.common.audience.as_str(), user.common.name.as_str()), ("APP", "joe"));
        assert_eq!(user.common.expires, NOW + 3600);
    }

    #[test]
    fn nobody_stays_longer_than_the_provider_says() {
        let signer = Signer::new(&settings("")).unwrap();
        let question = signer.open(token(&request()).as_bytes(), None, NOW).unwrap();
        let identity = Identity { expires: Some(NOW + 60), ..Identity::default() };
        let answer = signer.admit(&question, &identity, &grant(), NOW).unwrap();
        let response = AuthorizationResponse::decode(std::str::from_utf8(&answer).unwrap()).unwrap();
        assert_eq!(UserClaims::decode(&response.jwt).unwrap().common.expires, NOW + 60);
    }

    #[test]
    fn odd_questions_are_not_answered() {
        let signer = Signer::new(&settings("")).unwrap();
        let open = |request: &AuthorizationRequest| {
            signer.open(token(request).as_bytes(), None, NOW).err().map(|error| format!("{error:#}"))
        };
        assert_eq!(open(&request()), None);
        let mut odd = request();
        odd.common.expires = NOW - 1;
        assert!(open(&odd).unwrap().contains("expired"));
        let mut odd = request();
        odd.server.id = key(Role::Server, "two").public().to_string();
        assert!(open(&odd).unwrap().contains("asks with the key of"));
        let mut odd = request();
        "others".clone_into(&mut odd.common.audience);
        assert!(open(&odd).unwrap().contains("is for \"others\""));
        assert!(signer.open(b"no token", None, NOW).is_err());
        assert!(signer.open(&vec![b'x'; MAX_QUESTION_BYTES + 1], None, NOW).is_err());
    }

    #[test]
    fn only_named_servers_may_ask() {
        let mut settings = settings("");
        settings.callout.servers = vec![key(Role::Server, "two").public().to_string()];
        let refused = Signer::new(&settings).unwrap().open(token(&request()).as_bytes(), None, NOW).err().unwrap();
        assert!(refused.to_string().contains("none of callout.servers"), "{refused}");
    }

    #[test]
    fn with_a_curve_key_nothing_travels_in_the_clear() {
        let (ours, server) = (XKey::from_raw_seed([7; 32].into()), XKey::from_raw_seed([9; 32].into()));
        let mut settings = settings("");
        let seed: SeedOnly = toml::from_str(&format!("x = {:?}", ours.seed().expose())).unwrap();
        settings.callout.xkey = Some(seed.x);
        let signer = Signer::new(&settings).unwrap();
        let clear = token(&request());
        assert!(signer.open(clear.as_bytes(), None, NOW).is_err());
        let sealed = server.seal(clear.as_bytes(), &ours.public(), &[1; nkeys::BOX_NONCE_BYTES]);
        let question = signer.open(&sealed, Some(&server.public().to_string()), NOW).unwrap();
        let answer = signer.refuse(&question, "no", NOW).unwrap();
        let opened = server.open(&answer, &ours.public()).unwrap();
        assert_eq!(AuthorizationResponse::decode(std::str::from_utf8(&opened).unwrap()).unwrap().error, "no");
    }

    #[derive(serde::Deserialize)]
    struct SeedOnly {
        x: crate::secret_text::SecretText,
    }
}
