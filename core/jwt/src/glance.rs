use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use crate::bounds::MAX_TOKEN_BYTES;
use crate::common::UnixSeconds;

/// What stands on the outside of a token, unverified: enough to keep an index of tokens that were judged when they were
/// stored, a hundred times cheaper than decoding them. Never a ground to trust anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Glance {
    /// `jti`
    #[serde(default, rename = "jti")]
    pub id: String,
    /// `iat`
    #[serde(default, rename = "iat")]
    pub issued_at: UnixSeconds,
    /// `exp`, zero for never.
    #[serde(default, rename = "exp")]
    pub expires: UnixSeconds,
    /// `sub`
    #[serde(default, rename = "sub")]
    pub subject: String,
}

impl Glance {
    /// Looks at a token; `None` when it is not one by its outer form.
    pub fn of(token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let mut chunks = token.split('.');
        let (_, claims, _) = (chunks.next()?, chunks.next()?, chunks.next()?);
        let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?;
        serde_json::from_slice(&claims).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Chain, NOW};

    #[test]
    fn a_glance_sees_what_decoding_sees() {
        let shop = Chain::new("acme").account("shop").with(|claims| claims.common.expires = NOW.as_secs() + 5);
        let glance = Glance::of(&shop.token()).expect("a token");
        assert_eq!((glance.issued_at, glance.expires), (NOW.as_secs(), NOW.as_secs() + 5));
        assert_eq!(glance.subject, shop.key.public().to_string());
        assert_eq!(glance.id.len(), 52);
    }

    #[test]
    fn odd_texts_show_nothing() {
        for odd in ["", "a", "a.b.c", "..", "a.e30.c.d"] {
            assert!(Glance::of(odd).is_none_or(|glance| glance == Glance::default()), "{odd}");
        }
    }
}
