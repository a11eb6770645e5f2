use nkeys::{KeyPair, PublicKey, Role};
use serde_json::{Map, Value};

use crate::bounds::MAX_SUBJECT_BYTES;
use crate::common::{Common, Kind, Top, UnixSeconds};
use crate::issue::Issues;
use crate::read;
use crate::sharing::Sharing;
use crate::subjects;
use crate::token::{self, Unsigned};
use crate::write::Object;
use crate::{DecodeError, EncodeError};

/// An exporter's leave for one account to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivationClaims {
    /// The shared fields; the subject is the importing account.
    pub common: Common,
    /// What may be imported.
    pub import_subject: String,
    /// In which way.
    pub sharing: Sharing,
    /// The exporting account, where a signing key of it issued the claim.
    pub issuer_account: Option<PublicKey>,
}

const FIELDS: &[&str] = &["subject", "kind", "issuer_account", "tags", "type", "version"];

impl ActivationClaims {
    /// Leave for an account, yet to be signed.
    pub fn new(importer: PublicKey, issuer: PublicKey, sharing: Sharing, subject: &str) -> Self {
        Self {
            common: Common::new(importer, issuer),
            import_subject: subject.to_owned(),
            sharing,
            issuer_account: None,
        }
    }

    /// Reads a token and checks its signature, not whether the signer may export anything.
    pub fn decode(token: &str) -> Result<Self, DecodeError> {
        token::decode(token, Kind::Activation, Self::read, |claims| &claims.common.issuer)
    }

    pub(crate) fn read(top: &Top<'_>) -> Result<Self, DecodeError> {
        let common = Common::read(top, Some(Role::Account))?;
        Self::read_body(top, common).map_err(|error| error.within("nats"))
    }

    fn read_body(top: &Top<'_>, common: Common) -> Result<Self, DecodeError> {
        let body = top.body(FIELDS)?;
        // The first generation called the kind of sharing `type`.
        let sharing = if top.version == 1 { "type" } else { "kind" };
        Ok(Self {
            common,
            import_subject: body.text_within("subject", MAX_SUBJECT_BYTES)?,
            sharing: body.read(sharing, Sharing::read)?.ok_or_else(|| read::missing(sharing))?,
            issuer_account: top.issuer_account(body)?,
        })
    }

    /// The account that gives the leave.
    pub fn exporter(&self) -> PublicKey {
        self.issuer_account.unwrap_or(self.common.issuer)
    }

    /// Everything that is wrong with it, its times apart.
    pub fn validate(&self) -> Issues {
        let mut issues = Issues::default();
        subjects::check(&self.import_subject, &mut issues);
        issues
    }

    /// The claims ready to be signed by the exporter's key or one of its signing keys.
    pub fn unsigned(&self, issuer: PublicKey, now: UnixSeconds) -> Result<Unsigned, EncodeError> {
        Unsigned::of(&self.common, self.body(), Kind::Activation, issuer, now)
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
            .text("subject", &self.import_subject)
            .put("kind", self.sharing.word())
            .maybe("issuer_account", self.issuer_account.map(|key| key.to_string()));
        self.common.write_generic(&mut object, Kind::Activation)
    }
}
