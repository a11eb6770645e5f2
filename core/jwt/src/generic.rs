use nkeys::{KeyPair, PublicKey};
use serde_json::{Map, Value};

use crate::common::{Common, Kind, Top, UnixSeconds};
use crate::read;
use crate::token::{Parts, Unsigned};
use crate::{DecodeError, EncodeError};

/// Anything signed in this form that is none of the known kinds, such as a request to delete accounts.
#[derive(Debug, Clone, PartialEq)]
pub struct GenericClaims {
    /// The shared fields; the subject is any text.
    pub common: Common<String>,
    /// What it says.
    pub data: Map<String, Value>,
}

impl GenericClaims {
    /// Claims that say nothing yet.
    pub fn new(subject: &str, issuer: PublicKey) -> Self {
        Self { common: Common::new(subject.to_owned(), issuer), data: Map::new() }
    }

    /// Reads a token and checks its signature. A token of a known kind is read too, as if its kind were unknown.
    pub fn decode(token: &str) -> Result<Self, DecodeError> {
        let parts = Parts::of(token)?;
        let top = Top { kind: Kind::Generic, version: 1, ..parts.top()? };
        let claims = Self::read(&top)?;
        parts.verify(Kind::Generic, top.version, &claims.common.issuer)?;
        Ok(claims)
    }

    pub(crate) fn read(top: &Top<'_>) -> Result<Self, DecodeError> {
        let common = Common::read(top, None)?;
        let data = match top.nats {
            Value::Null => Map::new(),
            Value::Object(map) => map.clone(),
            other => return Err(read::wrong(other, "an object").within("nats")),
        };
        Ok(Self { common, data })
    }

    /// The claims ready to be signed by any key.
    pub fn unsigned(&self, issuer: PublicKey, now: UnixSeconds) -> Result<Unsigned, EncodeError> {
        if self.common.subject.is_empty() {
            return Err(EncodeError::Subject);
        }
        let mut data = self.data.clone();
        data.insert("version".to_owned(), 2.into());
        data.sort_keys();
        Unsigned::of(&self.common, data, Kind::Generic, issuer, now)
    }

    /// Signs.
    pub fn encode(&self, signer: &KeyPair, now: UnixSeconds) -> Result<String, EncodeError> {
        self.unsigned(signer.public(), now)?.sign(signer)
    }
}
