//! Chains of trust for tests, here and in the rooms above: the same keys for the same names, every time.
//!
//! ```
//! use bulwark_jwt::testing::{Chain, NOW};
//!
//! let chain = Chain::new("acme");
//! let mut shop = chain.account("shop");
//! shop.claims.limits.account.conn = 10;
//! let joe = shop.user("joe").with(|claims| claims.rights.permissions.publish.allow = vec!["orders.>".into()]);
//! assert!(chain.trust().admit_account(&shop.token(), &shop.key.public(), NOW).is_ok());
//! assert!(joe.creds().expose().contains(&joe.token()));
//! ```

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use moment::Timestamp;
use nkeys::{Creds, KeyPair, PublicKey, Role, Secret};

use crate::chain::{OperatorTrust, TrustedAccount};
use crate::export::Export;
use crate::import::Import;
use crate::signing::Scope;
use crate::{AccountClaims, ActivationClaims, OperatorClaims, UserClaims};

/// The moment at which everything is signed.
pub const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
/// The version of the server in these tests.
pub const SERVER: [u64; 3] = [2, 15, 1];

/// The key of this role that belongs to a name.
pub fn key(role: Role, name: &str) -> KeyPair {
    let seed = digest(&SHA256, format!("{role}: {name}").as_bytes());
    let seed: [u8; 32] = seed.as_ref().try_into().expect("SHA-256 makes 32 bytes");
    KeyPair::from_raw_seed(role, Secret::new(seed))
}

/// A token with any JSON for claims, rightly signed: for claims that no library would write.
pub fn resign(signer: &KeyPair, claims: &str) -> String {
    let header = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let text = format!("{header}.{}", BASE64URL_NOPAD.encode(claims.as_bytes()));
    let signature = BASE64URL_NOPAD.encode(&signer.sign(text.as_bytes()));
    format!("{text}.{signature}")
}

/// The same in the form of the first generation, whose signature covers the claims alone.
pub fn resign_v1(signer: &KeyPair, claims: &str) -> String {
    let header = BASE64URL_NOPAD.encode(br#"{"typ":"jwt","alg":"ed25519"}"#);
    let claims = BASE64URL_NOPAD.encode(claims.as_bytes());
    let signature = BASE64URL_NOPAD.encode(&signer.sign(claims.as_bytes()));
    format!("{header}.{claims}.{signature}")
}

/// An operator with a system account.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The operator's identity key.
    pub key: KeyPair,
    /// A signing key of the operator. Accounts are signed by it.
    pub signing: KeyPair,
    /// What the operator says; change at will before asking for tokens.
    pub claims: OperatorClaims,
}

impl Chain {
    /// An operator with a name, one signing key and a system account `SYS`.
    pub fn new(name: &str) -> Self {
        let (identity, signing) = (key(Role::Operator, name), key(Role::Operator, &format!("{name} signing")));
        let mut claims = OperatorClaims::new(identity.public());
        name.clone_into(&mut claims.common.name);
        claims.signing_keys = vec![signing.public()];
        claims.system_account = Some(key(Role::Account, &format!("{name}/SYS")).public());
        Self { key: identity, signing, claims }
    }

    /// The operator's token.
    pub fn token(&self) -> String {
        self.claims.encode(&self.key, NOW.as_secs()).expect("an operator signs itself")
    }

    /// Trust in this operator.
    pub fn trust(&self) -> OperatorTrust {
        OperatorTrust::of_operators(&[self.token()], SERVER, NOW).expect("the operator of the test is valid")
    }

    /// An account of this operator; `SYS` is its system account.
    pub fn account(&self, name: &str) -> TestAccount {
        let path = format!("{}/{name}", self.claims.common.name);
        let (identity, signing) = (key(Role::Account, &path), key(Role::Account, &format!("{path} signing")));
        let mut claims = AccountClaims::new(identity.public(), self.signing.public());
        name.clone_into(&mut claims.common.name);
        claims.signing_keys.add(signing.public(), None);
        TestAccount { path, key: identity, signing, operator: self.signing.clone(), claims, issued_at: NOW }
    }
}

/// An account of a [`Chain`].
#[derive(Debug, Clone)]
pub struct TestAccount {
    path: String,
    operator: KeyPair,
    /// The account's identity key.
    pub key: KeyPair,
    /// A signing key without scope.
    pub signing: KeyPair,
    /// What the account says; change at will before asking for tokens.
    pub claims: AccountClaims,
    /// When it is signed.
    pub issued_at: Timestamp,
}

impl TestAccount {
    /// The account after a change.
    pub fn with(mut self, change: impl FnOnce(&mut AccountClaims)) -> Self {
        change(&mut self.claims);
        self
    }

    /// The account signed so many seconds after [`NOW`].
    pub fn issued(mut self, after: i64) -> Self {
        self.issued_at = Timestamp::from_secs(NOW.as_secs() + after);
        self
    }

    /// The account signed by another operator key.
    pub fn signed_by(mut self, operator: &KeyPair) -> Self {
        self.operator = operator.clone();
        self
    }

    /// The account's token.
    pub fn token(&self) -> String {
        self.claims.encode(&self.operator, self.issued_at.as_secs()).expect("an operator signs accounts")
    }

    /// The account as the operator's servers see it.
    pub fn trusted(&self, chain: &Chain) -> TrustedAccount {
        let account = chain.trust().admit_account(&self.token(), &self.key.public(), NOW);
        account.expect("the account of the test is valid")
    }

    /// A user of this account, signed by its identity key.
    pub fn user(&self, name: &str) -> TestUser {
        let pair = key(Role::User, &format!("{}/{name}", self.path));
        let mut claims = UserClaims::new(pair.public(), self.key.public());
        name.clone_into(&mut claims.common.name);
        TestUser { key: pair, signer: self.key.clone(), claims, issued_at: NOW }
    }

    /// A user signed by the signing key without scope.
    pub fn delegated_user(&self, name: &str) -> TestUser {
        let user = self.user(name);
        let claims = UserClaims { issuer_account: Some(self.key.public()), ..user.claims };
        TestUser { signer: self.signing.clone(), claims, ..user }
    }

    /// Adds a signing key with a scope and returns it.
    pub fn add_scope(&mut self, role: &str, change: impl FnOnce(&mut Scope)) -> KeyPair {
        let pair = key(Role::Account, &format!("{} scope {role}", self.path));
        let mut scope = Scope { role: role.to_owned(), ..Scope::default() };
        change(&mut scope);
        self.claims.signing_keys.add(pair.public(), Some(scope));
        pair
    }

    /// A user signed by a scoped signing key.
    pub fn scoped_user(&self, name: &str, signer: &KeyPair) -> TestUser {
        let user = self.user(name);
        let mut claims = UserClaims::scoped(user.key.public(), signer.public(), self.key.public());
        name.clone_into(&mut claims.common.name);
        TestUser { signer: signer.clone(), claims, ..user }
    }

    /// Leave for another account to use an export, signed by the identity key.
    pub fn activation(&self, importer: PublicKey, export: &Export) -> ActivationClaims {
        ActivationClaims::new(importer, self.key.public(), export.sharing, &export.subject)
    }

    /// An import of an export of this account, with the token of an activation.
    pub fn import_of(&self, export: &Export, activation: Option<&ActivationClaims>) -> Import {
        let mut import = Import::new(export.sharing, self.key.public(), &export.subject);
        if let Some(activation) = activation {
            import.token = activation.encode(&self.key, NOW.as_secs()).expect("an account signs activations");
        }
        import
    }
}

/// A user of a [`TestAccount`].
#[derive(Debug, Clone)]
pub struct TestUser {
    /// The user's key.
    pub key: KeyPair,
    /// The key that signs the user.
    pub signer: KeyPair,
    /// What the user says; change at will before asking for tokens.
    pub claims: UserClaims,
    /// When it is signed.
    pub issued_at: Timestamp,
}

impl TestUser {
    /// The user after a change.
    pub fn with(mut self, change: impl FnOnce(&mut UserClaims)) -> Self {
        change(&mut self.claims);
        self
    }

    /// The user's token.
    pub fn token(&self) -> String {
        self.claims.encode(&self.signer, self.issued_at.as_secs()).expect("an account signs users")
    }

    /// `sig` of CONNECT for a nonce.
    pub fn sign(&self, nonce: &[u8]) -> String {
        BASE64URL_NOPAD.encode(&self.key.sign(nonce))
    }

    /// The text of a `.creds` file.
    pub fn creds(&self) -> Secret<String> {
        Creds { jwt: self.token(), key: self.key.clone() }.to_text()
    }
}
