use nkeys::{KeyPair, PublicKey, Role};
use serde_json::{Map, Value};

use crate::bounds::{MAX_SIGNING_KEYS, MAX_TEXTS};
use crate::common::{Common, Kind, Top, UnixSeconds, optional_key};
use crate::issue::Issues;
use crate::read;
use crate::token::{self, Unsigned};
use crate::url;
use crate::write::Object;
use crate::{DecodeError, EncodeError, Problem};

/// The root of trust: whose accounts are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorClaims {
    /// The shared fields; the subject is the operator's identity key.
    pub common: Common,
    /// Further keys that may sign accounts.
    pub signing_keys: Vec<PublicKey>,
    /// Where tools find the account server.
    pub account_server_url: String,
    /// Where tools find the servers.
    pub operator_service_urls: Vec<String>,
    /// The account of the servers' own subjects.
    pub system_account: Option<PublicKey>,
    /// The oldest server that may serve this operator, as `2.10.0`; empty for any.
    pub assert_server_version: String,
    /// The identity key may not sign accounts, only signing keys may.
    pub strict_signing_key_usage: bool,
}

const FIELDS: &[&str] = &[
    "signing_keys",
    "account_server_url",
    "operator_service_urls",
    "system_account",
    "assert_server_version",
    "strict_signing_key_usage",
    "tags",
    "type",
    "version",
];

impl OperatorClaims {
    /// An operator with nothing but a key.
    pub fn new(subject: PublicKey) -> Self {
        Self {
            common: Common::new(subject, subject),
            signing_keys: Vec::new(),
            account_server_url: String::new(),
            operator_service_urls: Vec::new(),
            system_account: None,
            assert_server_version: String::new(),
            strict_signing_key_usage: false,
        }
    }

    /// Reads a token and checks its signature, not whether anybody trusts the signer.
    pub fn decode(token: &str) -> Result<Self, DecodeError> {
        token::decode(token, Kind::Operator, Self::read, |claims| &claims.common.issuer)
    }

    pub(crate) fn read(top: &Top<'_>) -> Result<Self, DecodeError> {
        let common = Common::read(top, Some(Role::Operator))?;
        Self::read_body(top, common).map_err(|error| error.within("nats"))
    }

    fn read_body(top: &Top<'_>, common: Common) -> Result<Self, DecodeError> {
        let body = top.body(FIELDS)?;
        Ok(Self {
            common,
            signing_keys: body.list("signing_keys", MAX_SIGNING_KEYS, |value| read::key(value, Role::Operator))?,
            account_server_url: body.text("account_server_url")?,
            operator_service_urls: body.texts("operator_service_urls", MAX_TEXTS)?,
            system_account: optional_key(body, "system_account", Role::Account)?,
            assert_server_version: body.text("assert_server_version")?,
            strict_signing_key_usage: body.flag("strict_signing_key_usage")?,
        })
    }

    /// Everything that is wrong with it.
    pub fn validate(&self, now: UnixSeconds) -> Issues {
        let mut issues = Issues::default();
        issues.check_time(&self.common, now);
        if !self.account_server_url.is_empty() && url::scheme(&self.account_server_url).is_none() {
            issues.block(format_args!("account server url {:?} requires a protocol", self.account_server_url));
        }
        for service in self.operator_service_urls.iter().filter(|service| !service.is_empty()) {
            if let Err(problem) = url::check_service(service) {
                issues.block(format_args!("operator service url {service:?} - {problem}"));
            }
        }
        if let Err(error) = self.asserted_version() {
            issues.block(format_args!("assert server version error: {error}"));
        }
        issues
    }

    /// The oldest server version that may serve this operator.
    pub fn asserted_version(&self) -> Result<Option<[u64; 3]>, DecodeError> {
        if self.assert_server_version.is_empty() {
            return Ok(None);
        }
        let numbers: Option<Vec<u64>> =
            self.assert_server_version.split('.').map(|number| number.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[major, minor, update]) => Ok(Some([major, minor, update])),
            _ => {
                Err(DecodeError::field(Problem::Word(self.assert_server_version.clone()))
                    .within("assert_server_version"))
            }
        }
    }

    /// Whether this operator lets a key sign accounts.
    pub fn may_sign(&self, issuer: &PublicKey) -> bool {
        self.signing_keys.contains(issuer) || (*issuer == self.common.subject && !self.strict_signing_key_usage)
    }

    /// The claims ready to be signed by an operator key.
    pub fn unsigned(&self, issuer: PublicKey, now: UnixSeconds) -> Result<Unsigned, EncodeError> {
        Unsigned::of(&self.common, self.body(), Kind::Operator, issuer, now)
    }

    /// Signs.
    pub fn encode(&self, signer: &KeyPair, now: UnixSeconds) -> Result<String, EncodeError> {
        self.unsigned(signer.public(), now)?.sign(signer)
    }

    /// The claims as JSON.
    pub fn to_json(&self) -> Value {
        self.common.write(&self.common.id).put("nats", self.body()).done().into()
    }

    fn body(&self) -> Map<String, Value> {
        let mut object = Object::default();
        object
            .list("signing_keys", self.signing_keys.iter().map(PublicKey::to_string))
            .text("account_server_url", &self.account_server_url)
            .texts("operator_service_urls", &self.operator_service_urls)
            .maybe("system_account", self.system_account.map(|key| key.to_string()))
            .text("assert_server_version", &self.assert_server_version)
            .flag("strict_signing_key_usage", self.strict_signing_key_usage);
        self.common.write_generic(&mut object, Kind::Operator)
    }
}
