//! The outer form: `header.claims.signature`, each part unpadded base64url.

use aws_lc_rs::digest::{SHA512_256, digest};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::{KeyPair, PublicKey, SIGNATURE_BYTES};
use serde_json::{Map, Value};

use crate::bounds::MAX_TOKEN_BYTES;
use crate::common::{Common, Kind, Subject, Top, UnixSeconds};
use crate::read::{self, Fields};
use crate::write::{Object, to_bytes};
use crate::{Claims, DecodeError, EncodeError};

const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// A token taken apart. Nothing of it may be believed before [`Parts::verify`].
pub(crate) struct Parts<'a> {
    token: &'a str,
    claims: &'a str,
    old_algorithm: bool,
    value: Value,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(token: &'a str) -> Result<Self, DecodeError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(DecodeError::TooLarge(token.len()));
        }
        let mut chunks = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (chunks.next(), chunks.next(), chunks.next(), chunks.next())
        else {
            return Err(DecodeError::Chunks);
        };
        let old_algorithm = read_header(header)?;
        let value = read::parse("claims", &base64url("claims", claims)?)?;
        let signature = base64url("signature", signature)?;
        Ok(Self { token, claims, old_algorithm, value, signature })
    }

    pub(crate) fn top(&self) -> Result<Top<'_>, DecodeError> {
        Top::read(&self.value)
    }

    /// Checks that the issuer may issue claims of this kind and signed this one.
    pub(crate) fn verify(&self, kind: Kind, version: u8, issuer: &PublicKey) -> Result<(), DecodeError> {
        // Generic claims never say their generation; there the algorithm tells.
        let old = if kind == Kind::Generic { self.old_algorithm } else { version == 1 };
        let signed = if old { self.claims } else { self.before_signature() };
        let verified = issuer.verify(signed.as_bytes(), &self.signature);
        verified.map_err(|_| DecodeError::Signature(if old { 1 } else { 2 }))?;
        if kind.may_issue(issuer.role()) { Ok(()) } else { Err(DecodeError::IssuerRole { allowed: kind.issuers() }) }
    }

    fn before_signature(&self) -> &'a str {
        self.token.rsplit_once('.').map_or("", |(signed, _)| signed)
    }
}

/// Reads claims of one kind, and checks that who issued them may do so and signed them.
pub(crate) fn decode<C>(
    token: &str,
    kind: Kind,
    read: impl Fn(&Top<'_>) -> Result<C, DecodeError>,
    issuer: impl Fn(&C) -> &PublicKey,
) -> Result<C, DecodeError> {
    let parts = Parts::of(token)?;
    let top = parts.top()?;
    if top.kind != kind {
        return Err(DecodeError::NotKind(kind));
    }
    let claims = read(&top)?;
    parts.verify(kind, top.version, issuer(&claims))?;
    Ok(claims)
}

fn base64url(part: &'static str, text: &str) -> Result<Vec<u8>, DecodeError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|error| DecodeError::Base64 { part, at: error.position })
}

/// Says whether the algorithm is the first generation's.
fn read_header(part: &str) -> Result<bool, DecodeError> {
    let value = read::parse("header", &base64url("header", part)?)?;
    let fields = Fields::of(&value, &["typ", "alg"]).map_err(|error| error.within("header"))?;
    let (kind, algorithm) = (fields.text("typ")?, fields.text("alg")?);
    if !kind.eq_ignore_ascii_case("JWT") {
        return Err(DecodeError::HeaderType(kind));
    }
    match algorithm.to_ascii_lowercase().as_str() {
        "ed25519" => Ok(true),
        "ed25519-nkey" => Ok(false),
        _ => Err(DecodeError::Algorithm(algorithm)),
    }
}

/// A token without its signature. The key may be here, or on another machine that gets [`Unsigned::bytes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    text: String,
    issuer: PublicKey,
}

impl Unsigned {
    pub(crate) fn of<S: Subject>(
        common: &Common<S>,
        nats: Map<String, Value>,
        kind: Kind,
        issuer: PublicKey,
        now: UnixSeconds,
    ) -> Result<Self, EncodeError> {
        if !kind.may_issue(issuer.role()) {
            return Err(EncodeError::Signer { allowed: kind.issuers(), found: issuer.role() });
        }
        let common = Common { issuer, issued_at: now, ..common.clone() };
        let id = identify(&mut common.write(""));
        let mut claims = common.write(&id);
        let claims = Value::Object(claims.put("nats", nats).done());
        let text =
            format!("{}.{}", BASE64URL_NOPAD.encode(HEADER.as_bytes()), BASE64URL_NOPAD.encode(&to_bytes(&claims)));
        Ok(Self { text, issuer })
    }

    /// Reads what [`Unsigned::bytes`] gave on another machine, and what it says, so that whoever holds the key can judge it
    /// before signing.
    pub fn read(text: &str) -> Result<(Self, Claims), DecodeError> {
        let whole = format!("{text}.");
        let parts = Parts::of(&whole)?;
        let top = parts.top()?;
        let claims = Claims::read(&top)?;
        if parts.old_algorithm || text.split('.').next() != Some(&BASE64URL_NOPAD.encode(HEADER.as_bytes())) {
            return Err(DecodeError::Algorithm("another header".to_owned()));
        }
        let issuer = *claims.issuer();
        if !top.kind.may_issue(issuer.role()) {
            return Err(DecodeError::IssuerRole { allowed: top.kind.issuers() });
        }
        Ok((Self { text: text.to_owned(), issuer }, claims))
    }

    /// What has to be signed.
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The key that has to sign.
    pub const fn issuer(&self) -> PublicKey {
        self.issuer
    }

    /// The token, if this is the issuer's signature.
    pub fn finish(self, signature: &[u8; SIGNATURE_BYTES]) -> Result<String, EncodeError> {
        self.issuer.verify(self.bytes(), signature).map_err(|_| EncodeError::Signature)?;
        self.with(signature)
    }

    pub(crate) fn sign(self, signer: &KeyPair) -> Result<String, EncodeError> {
        let signature = signer.sign(self.bytes());
        self.with(&signature)
    }

    fn with(self, signature: &[u8]) -> Result<String, EncodeError> {
        let token = format!("{}.{}", self.text, BASE64URL_NOPAD.encode(signature));
        if token.len() > MAX_TOKEN_BYTES { Err(EncodeError::TooLarge) } else { Ok(token) }
    }
}

fn identify(common: &mut Object) -> String {
    let text = to_bytes(&Value::Object(common.done()));
    BASE32_NOPAD.encode(digest(&SHA512_256, &text).as_ref())
}
