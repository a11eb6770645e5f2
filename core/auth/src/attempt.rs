//! Everything a peer showed on its way in.

use std::fmt;
use std::net::IpAddr;

use secret::Secret;

use crate::kind::ConnectionKind;
use crate::settings::Distinguished;
use subject::Quoted;

/// What the peer wrote into CONNECT about itself. Empty texts are the same as absent ones; [`Credentials::tidy`] makes
/// them so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `user`.
    pub user: Option<String>,
    /// `pass`.
    pub password: Option<Secret<String>>,
    /// `auth_token`.
    pub token: Option<Secret<String>>,
    /// `nkey`.
    pub nkey: Option<String>,
    /// `jwt`.
    pub jwt: Option<Secret<String>>,
    /// `sig`: the nonce, signed by the nkey or the JWT's subject.
    pub signature: Option<String>,
    /// `proxy_sig`: the nonce, signed by a proxy.
    pub proxy_signature: Option<String>,
    /// `account` or `new_account` was set: the peer wants to choose its account, which nobody may.
    pub names_account: bool,
}

impl Credentials {
    /// With empty texts made absent.
    #[must_use]
    pub fn tidy(self) -> Self {
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let secret = |text: Option<Secret<String>>| text.filter(|text| !text.expose().is_empty());
        Self {
            user: text(self.user),
            password: secret(self.password),
            token: secret(self.token),
            nkey: text(self.nkey),
            jwt: secret(self.jwt),
            signature: text(self.signature),
            proxy_signature: text(self.proxy_signature),
            names_account: self.names_account,
        }
    }

    /// No user, password or token.
    pub(crate) fn names_nobody(&self) -> bool {
        self.user.is_none() && self.password.is_none() && self.token.is_none()
    }
}

/// A name in a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// A mail address among the alternative names.
    Email(String),
    /// A DNS name among the alternative names.
    Dns(String),
    /// A URI among the alternative names.
    Uri(String),
    /// The subject, to be compared with user names that are distinguished names.
    Distinguished(Distinguished),
    /// The subject as text.
    Subject(String),
}

impl CertificateName {
    /// The name as it is written.
    pub fn text(&self) -> String {
        match self {
            Self::Distinguished(subject) => subject.ordered.clone(),
            Self::Email(text) | Self::Dns(text) | Self::Uri(text) | Self::Subject(text) => text.clone(),
        }
    }
}

/// One attempt to log in. A peer that says nothing is an attempt without credentials.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// How the peer is connected.
    pub kind: ConnectionKind,
    /// What it said.
    pub credentials: Credentials,
    /// The challenge it was sent, as text; absent if none was sent.
    pub nonce: Option<Box<[u8]>>,
    /// Where it comes from, behind the proxy if there is one.
    pub address: Option<IpAddr>,
    /// The names in the certificate it proved to own, in the order in which they are tried. `None` if there is no
    /// certificate.
    pub certificate: Option<Vec<CertificateName>>,
}

impl Attempt {
    /// A peer that has said nothing yet.
    pub fn silent(kind: ConnectionKind) -> Self {
        Self { kind, credentials: Credentials::default(), nonce: None, address: None, certificate: None }
    }

    /// Who the peer says it is.
    pub fn claimed(&self) -> UserLabel {
        let said = &self.credentials;
        match (&said.nkey, &said.user, &said.jwt, &said.token) {
            (Some(nkey), ..) => UserLabel::Nkey(nkey.clone()),
            (_, Some(user), ..) => UserLabel::User(user.clone()),
            (_, _, Some(_), _) => UserLabel::Jwt(String::new()),
            (.., Some(_)) => UserLabel::Token,
            _ => UserLabel::Unknown,
        }
    }
}

/// Who a connection is, for logs and monitoring. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UserLabel {
    /// It named nobody.
    Unknown,
    /// A user by name.
    User(String),
    /// A user by public key.
    Nkey(String),
    /// The public key of a user JWT; empty before it was read.
    Jwt(String),
    /// The holder of the token.
    Token,
}

impl UserLabel {
    /// The short form that stands behind the account in connection names: `user:bob`.
    pub fn tag(&self) -> String {
        match self {
            Self::Unknown => String::new(),
            Self::User(name) => format!("user:{name}"),
            Self::Nkey(key) => format!("nkey:{key}"),
            Self::Jwt(key) => format!("jwt:{key}"),
            Self::Token => "token".to_owned(),
        }
    }

    /// The bare name, as events and monitoring show it.
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown => "",
            Self::User(name) | Self::Nkey(name) | Self::Jwt(name) => name,
            Self::Token => secret::REDACTED,
        }
    }
}

/// As in the log: `User "bob"`.
impl fmt::Display for UserLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("User \"N/A\""),
            Self::User(name) => write!(f, "User {}", Quoted(name.as_bytes())),
            Self::Nkey(key) => write!(f, "Nkey {}", Quoted(key.as_bytes())),
            Self::Jwt(key) => write!(f, "JWT User {}", Quoted(key.as_bytes())),
            Self::Token => write!(f, "Token \"{}\"", secret::REDACTED),
        }
    }
}
