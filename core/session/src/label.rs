//! What a connection is called in the log: what the client says of itself, and who it is here.
//!
//! Both are kept as fields. Their text is that of the reference, which operators and test suites search for.

use std::fmt;

use subject::Quoted;

use crate::connect::ConnectOptions;

/// What a client said of itself. Empty is what it did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientLabel {
    /// Its name.
    pub name: Box<str>,
    /// The language of its library.
    pub lang: Box<str>,
    /// The version of its library.
    pub version: Box<str>,
}

impl ClientLabel {
    /// The label of a client that said this; `None` if it said nothing.
    pub fn of(options: &ConnectOptions) -> Option<Self> {
        let text = |text: &String| text.as_str().into();
        let label = Self { name: text(&options.name), lang: text(&options.lang), version: text(&options.version) };
        (label != Self::default()).then_some(label)
    }
}

/// `v<version>:<lang>:<name>`, with what was not said left out.
impl fmt::Display for ClientLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.version.is_empty() { String::new() } else { format!("v{}", self.version) };
        let parts = [version.as_str(), &self.lang, &self.name];
        let said: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        f.write_str(&said.join(":"))
    }
}

/// A user in its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberLabel {
    /// The account's name.
    pub account: Box<str>,
    /// `kind:name`, or the kind alone. Never a secret: of a token only that it is one.
    pub tag: Box<str>,
}

impl MemberLabel {
    /// The label of a user with this tag; `None` for who did not say who it is.
    pub fn of(account: &str, tag: String) -> Option<Self> {
        (!tag.is_empty()).then(|| Self { account: account.into(), tag: tag.into() })
    }

    /// The user's name or public key; the kind where there is none.
    pub fn user(&self) -> &str {
        self.tag.split_once(':').map_or(&*self.tag, |(_, name)| name)
    }
}

/// `ACCOUNT/user:bob`.
impl fmt::Display for MemberLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.tag)
    }
}

/// Writes ` - "v<version>:<lang>:<name>"` and ` - "ACCOUNT/user"`, each if it is known. Names that peers chose are quoted, so
/// they cannot end a log line.
pub fn write_labels(
    f: &mut fmt::Formatter<'_>,
    client: Option<&ClientLabel>,
    member: Option<&MemberLabel>,
) -> fmt::Result {
    if let Some(client) = client {
        write!(f, " - {}", Quoted(client.to_string().as_bytes()))?;
    }
    member.map_or(Ok(()), |member| write!(f, " - \"{member}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Both(Option<ClientLabel>, Option<MemberLabel>);

    impl fmt::Display for Both {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_labels(f, self.0.as_ref(), self.1.as_ref())
        }
    }

    fn said(json: &str) -> Option<ClientLabel> {
        ClientLabel::of(&ConnectOptions::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn what_was_not_said_is_left_out() {
        let text = |json: &str| said(json).map(|label| label.to_string()).unwrap_or_default();
        assert_eq!(text("{}"), "");
        assert_eq!(text(r#"{"name":"app"}"#), "app");
        assert_eq!(text(r#"{"name":"app","lang":"go","version":"1.2"}"#), "v1.2:go:app");
        assert_eq!(text(r#"{"version":"1.2","name":"app"}"#), "v1.2:app");
    }

    #[test]
    fn a_label_grows_with_what_is_known() {
        let text = |client, tag: &str| Both(client, MemberLabel::of("A", tag.to_owned())).to_string();
        let app = said(r#"{"name":"app","lang":"go","version":"1"}"#);
        let odd = said(r#"{"name":"a\"\n","lang":"go","version":"1"}"#);
        assert_eq!(text(None, ""), "");
        assert_eq!(text(app, ""), r#" - "v1:go:app""#);
        assert_eq!(text(None, "user:bob"), r#" - "A/user:bob""#);
        assert_eq!(text(odd, "token"), r#" - "v1:go:a\"\n" - "A/token""#);
    }

    #[test]
    fn the_user_is_what_stands_behind_its_kind() {
        let user = |tag: &str| MemberLabel::of("A", tag.to_owned()).map(|member| member.user().to_owned());
        assert_eq!(user("user:a:b").as_deref(), Some("a:b"));
        assert_eq!(user("token").as_deref(), Some("token"));
        assert_eq!(user(""), None);
    }
}
