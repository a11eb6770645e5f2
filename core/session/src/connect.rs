//! The CONNECT line.

use secret::{Secret, Zeroizing};
use serde_json::{Map, Value};

/// Why a CONNECT cannot be read. The connection is closed without a word, as peers expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectError {
    /// It is no JSON object.
    NotJson(String),
    /// A field has another type than the protocol gives it.
    WrongType(&'static str),
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotJson(error) => write!(f, "CONNECT is not a JSON object: {error}"),
            Self::WrongType(field) => write!(f, "CONNECT field {field:?} has the wrong type"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// What a client says about itself. The whole line is bounded by the control line limit, so its parts are too.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// A CONNECT was read; otherwise these are the meanings of saying nothing.
    pub introduced: bool,
    /// Own messages come back to own subscriptions.
    pub echo: bool,
    /// Each operation is answered with `+OK`.
    pub verbose: bool,
    /// Subjects of publishes are checked.
    pub pedantic: bool,
    /// The client asks for TLS.
    pub tls_required: bool,
    /// A user's public key.
    pub nkey: Option<String>,
    /// A user JWT.
    pub jwt: Option<Secret<String>>,
    /// The signature over the nonce.
    pub sig: Option<Secret<String>>,
    /// A token.
    pub auth_token: Option<Secret<String>>,
    /// A user name.
    pub user: Option<String>,
    /// A password.
    pub pass: Option<Secret<String>>,
    /// What the client calls itself.
    pub name: String,
    /// Its language.
    pub lang: String,
    /// Its version.
    pub version: String,
    /// 0, or 1 for clients that understand an INFO at any time.
    pub protocol: i64,
    /// An account the client would like; never granted.
    pub account: Option<String>,
    /// Asks for a new account; never granted.
    pub new_account: bool,
    /// Headers are understood.
    pub headers: bool,
    /// A publish with reply that reaches nobody is to be answered with 503.
    pub no_responders: bool,
    /// A trusted proxy's signature over the nonce.
    pub proxy_sig: Option<Secret<String>>,
}

/// Fields whose values anybody may read.
const SHOWN_FIELDS: &[&str] = &[
    "echo",
    "verbose",
    "pedantic",
    "tls_required",
    "user",
    "name",
    "lang",
    "version",
    "protocol",
    "account",
    "new_account",
    "headers",
    "no_responders",
];

/// Fields whose values nobody may read.
const SECRET_FIELDS: &[&str] = &["jwt", "sig", "auth_token", "pass", "proxy_sig", "nkey"];

fn is_in(fields: &[&str], name: &str) -> bool {
    fields.iter().any(|field| field.eq_ignore_ascii_case(name))
}

impl Default for ConnectOptions {
    /// What a client that sends no CONNECT, or an empty one, means.
    fn default() -> Self {
        Self {
            introduced: false,
            echo: true,
            verbose: true,
            pedantic: true,
            tls_required: false,
            nkey: None,
            jwt: None,
            sig: None,
            auth_token: None,
            user: None,
            pass: None,
            name: String::new(),
            lang: String::new(),
            version: String::new(),
            protocol: 0,
            account: None,
            new_account: false,
            headers: false,
            no_responders: false,
            proxy_sig: None,
        }
    }
}

impl ConnectOptions {
    /// Reads the argument of a CONNECT. Unknown fields are ignored, field names match in any letter case, `null` means
    /// "not said", for a field as for the whole.
    ///
    /// # Errors
    /// If it is no JSON object or a field has the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, ConnectError> {
        Self::parse_again(json, &Self::default())
    }

    /// Reads a further CONNECT of the same connection: what it does not say stays as it was.
    ///
    /// # Errors
    /// If it is no JSON object or a field has the wrong type.
    pub fn parse_again(json: &[u8], before: &Self) -> Result<Self, ConnectError> {
        let mut options = Self { introduced: true, ..before.clone() };
        for (name, value) in fields(json)? {
            if !value.is_null() {
                options.take(&name.to_ascii_lowercase(), value)?;
            }
        }
        Ok(options)
    }

    fn take(&mut self, name: &str, value: Value) -> Result<(), ConnectError> {
        match name {
            "echo" => self.echo = flag("echo", &value)?,
            "verbose" => self.verbose = flag("verbose", &value)?,
            "pedantic" => self.pedantic = flag("pedantic", &value)?,
            "tls_required" => self.tls_required = flag("tls_required", &value)?,
            "nkey" => self.nkey = said("nkey", value)?,
            "jwt" => self.jwt = hidden("jwt", value)?,
            "sig" => self.sig = hidden("sig", value)?,
            "auth_token" => self.auth_token = hidden("auth_token", value)?,
            "user" => self.user = said("user", value)?,
            "pass" => self.pass = hidden("pass", value)?,
            "name" => self.name = text("name", value)?,
            "lang" => self.lang = text("lang", value)?,
            "version" => self.version = text("version", value)?,
            "protocol" => self.protocol = value.as_i64().ok_or(ConnectError::WrongType("protocol"))?,
            "account" => self.account = said("account", value)?,
            "new_account" => self.new_account = flag("new_account", &value)?,
            "headers" => self.headers = flag("headers", &value)?,
            "no_responders" => self.no_responders = flag("no_responders", &value)?,
            "proxy_sig" => self.proxy_sig = hidden("proxy_sig", value)?,
            _ => {}
        }
        Ok(())
    }

    /// A CONNECT as traces may show it: the fields of the protocol in the order they came, secrets covered, everything
    /// else left out. Clients have been seen to send their private keys in fields of their own.
    pub fn shown(json: &[u8]) -> String {
        let Ok(fields) = fields(json) else { return "[unreadable]".to_owned() };
        let known = fields.into_iter().filter(|(name, _)| is_in(SHOWN_FIELDS, name) || is_in(SECRET_FIELDS, name));
        let covered = known.map(|(name, value)| match is_in(SECRET_FIELDS, &name) {
            true => (name, Value::from(secret::REDACTED)),
            false => (name, value),
        });
        Value::Object(covered.collect()).to_string()
    }

    /// Whether the client showed anything to log in with.
    pub fn shows_credentials(&self) -> bool {
        let Self { user, pass, auth_token, nkey, jwt, .. } = self;
        user.is_some() || pass.is_some() || auth_token.is_some() || nkey.is_some() || jwt.is_some()
    }
}

/// The fields of the object. Bytes that are no UTF-8 become replacement characters, as peers know it.
fn fields(json: &[u8]) -> Result<Map<String, Value>, ConnectError> {
    let read = |json: &[u8]| serde_json::from_slice::<Option<Map<String, Value>>>(json);
    let fields = match std::str::from_utf8(json) {
        Ok(_) => read(json),
        Err(_) => read(Zeroizing::new(String::from_utf8_lossy(json).into_owned()).as_bytes()),
    };
    fields.map(Option::unwrap_or_default).map_err(|error| ConnectError::NotJson(error.to_string()))
}

fn flag(field: &'static str, value: &Value) -> Result<bool, ConnectError> {
    value.as_bool().ok_or(ConnectError::WrongType(field))
}

fn text(field: &'static str, value: Value) -> Result<String, ConnectError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(ConnectError::WrongType(field)),
    }
}

/// An empty text is the same as none.
fn said(field: &'static str, value: Value) -> Result<Option<String>, ConnectError> {
    text(field, value).map(|text| (!text.is_empty()).then_some(text))
}

fn hidden(field: &'static str, value: Value) -> Result<Option<Secret<String>>, ConnectError> {
    said(field, value).map(|text| text.map(Secret::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_means_verbose_pedantic_and_echo() {
        let options = ConnectOptions::parse(b"{}").unwrap();
        assert!(options.verbose && options.pedantic && options.echo && !options.headers);
    }

    #[test]
    fn field_names_match_in_any_letter_case_and_unknown_ones_are_ignored() {
        let options = ConnectOptions::parse(br#"{"Verbose":false,"USER":"bob","tls":{"key":"marker"}}"#).unwrap();
        assert!(!options.verbose);
        assert_eq!(options.user.as_deref(), Some("bob"));
    }

    #[test]
    fn wrong_types_and_other_json_are_refused() {
        assert_eq!(ConnectOptions::parse(br#"{"verbose":"no"}"#).unwrap_err(), ConnectError::WrongType("verbose"));
        assert_eq!(ConnectOptions::parse(br#"{"user":5}"#).unwrap_err(), ConnectError::WrongType("user"));
        assert_eq!(ConnectOptions::parse(br#"{"protocol":1.5}"#).unwrap_err(), ConnectError::WrongType("protocol"));
        assert!(matches!(ConnectOptions::parse(b"[]"), Err(ConnectError::NotJson(_))));
        assert!(matches!(ConnectOptions::parse(b"{"), Err(ConnectError::NotJson(_))));
    }

    #[test]
    fn cve_2020_26149_what_a_client_says_too_much_is_not_kept() {
        let options = ConnectOptions::parse(br#"{"tls":{"key":"MARKER"},"pass":"MARKER","sig":"MARKER"}"#).unwrap();
        assert!(!format!("{options:?}").contains("MARKER"));
    }

    #[test]
    fn null_means_nothing_was_said() {
        assert!(ConnectOptions::parse(b"null").unwrap().verbose);
        let options = ConnectOptions::parse(br#"{"verbose":null,"name":null,"protocol":null}"#).unwrap();
        assert!(options.verbose && options.name.is_empty() && options.introduced);
    }

    #[test]
    fn a_later_field_of_the_same_name_counts() {
        assert!(ConnectOptions::parse(br#"{"verbose":false,"verbose":true}"#).unwrap().verbose);
    }

    #[test]
    fn a_further_connect_changes_what_it_says_only() {
        let first = ConnectOptions::parse(br#"{"verbose":false,"user":"bob","pass":"x"}"#).unwrap();
        let second = ConnectOptions::parse_again(br#"{"pedantic":false}"#, &first).unwrap();
        assert!(!second.verbose && !second.pedantic);
        assert_eq!(second.user.as_deref(), Some("bob"));
        assert!(second.pass.is_some_and(|pass| pass.is(b"x")));
    }

    #[test]
    fn a_name_that_is_no_utf8_is_replaced_not_refused() {
        assert_eq!(ConnectOptions::parse(b"{\"name\":\"a\xffb\"}").unwrap().name, "a\u{fffd}b");
        assert!(ConnectOptions::parse(b"{\xff}").is_err());
    }

    #[test]
    fn traces_show_neither_secrets_nor_what_is_not_of_the_protocol() {
        let json = br#"{"user":"bob","PASS":"MARKER","jwt":"MARKER","sig":"MARKER","auth_token":"MARKER",
            "proxy_sig":"MARKER","tls":{"key":"MARKER"},"verbose":false}"#;
        let shown = ConnectOptions::shown(json);
        assert!(!shown.contains("MARKER"), "{shown}");
        assert!(shown.starts_with(r#"{"user":"bob","PASS":"[REDACTED]""#), "{shown}");
        assert_eq!(ConnectOptions::shown(b"{MARKER"), "[unreadable]");
    }

    #[test]
    fn json_that_nests_without_end_is_refused() {
        assert!(ConnectOptions::parse(format!("{{\"x\":{}", "[".repeat(4_000)).as_bytes()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = (ConnectOptions::parse(&bytes), ConnectOptions::shown(&bytes));
        }

        #[test]
        fn no_nearly_right_object_panics(json in r#"\{("(user|pass|protocol|echo|x)":("[a-z]?"|null|-?[0-9]{0,20}(\.5)?|true|\[\]|\{\}),?){0,5}\}?"#) {
            let _ = (ConnectOptions::parse(json.as_bytes()), ConnectOptions::shown(json.as_bytes()));
        }
    }
}
