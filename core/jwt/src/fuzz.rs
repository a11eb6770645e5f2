//! Entries for the fuzzer: any bytes in, no panic, and what decodes encodes to something that decodes to the same.

use moment::Timestamp;
use nkeys::{KeyPair, Role};

use crate::testing::resign;
use crate::{AccountClaims, Claims, UserClaims};

/// Whole tokens.
pub fn fuzz_token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(claims) = Claims::decode(text) {
        judge(&claims);
    }
}

/// The claims inside a token that is rightly signed, so that the fuzzer need not find a signature: the text may name
/// the issuer as `@`.
pub fn fuzz_claims(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for role in [Role::Operator, Role::Account, Role::Server] {
        let signer = KeyPair::from_raw_seed(role, [1; 32].into());
        let claims = text.replace('@', &signer.public().to_string());
        if let Ok(claims) = Claims::decode(&resign(&signer, &claims)) {
            judge(&claims);
        }
    }
}

fn judge(claims: &Claims) {
    let now = Timestamp::from_secs(1_700_000_000).as_secs();
    let signer = KeyPair::from_raw_seed(Role::Account, [1; 32].into());
    match claims {
        Claims::Operator(claims) => drop(claims.validate(now)),
        Claims::User(claims) => {
            let _ = claims.validate(now);
            let again = claims.encode(&signer, now).map(|token| UserClaims::decode(&token).map(|claims| claims.rights));
            assert_eq!(again.ok(), Some(Ok(claims.rights.clone())), "what is written reads the same");
        }
        Claims::Account(claims) => {
            let _ = claims.validate(now);
            let Ok(token) = claims.encode(&signer, now) else { return };
            let again = AccountClaims::decode(&token).map(|claims| claims.to_json().get("nats").cloned());
            assert_eq!(again, Ok(claims.to_json().get("nats").cloned()), "what is written reads the same");
        }
        Claims::Activation(claims) => drop(claims.validate()),
        Claims::AuthorizationResponse(claims) => drop(claims.validate(now)),
        Claims::AuthorizationRequest(_) | Claims::Generic(_) => {}
    }
}
