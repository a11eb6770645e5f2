//! What a connection is called in the log.

use subject::Quoted;

/// The kinds of connection that are told apart in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    /// A client.
    Client,
    /// A client over WebSocket.
    WebSocketClient,
    /// An MQTT client.
    Mqtt,
    /// An MQTT client over WebSocket.
    WebSocketMqtt,
    /// A cluster member.
    Route,
    /// A server of another cluster.
    Gateway,
    /// A leaf node, or the hub of one.
    Leaf,
    /// The same over WebSocket.
    WebSocketLeaf,
}

impl LabelKind {
    /// The short name of the connection's number.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Client => "cid",
            Self::WebSocketClient => "wid",
            Self::Mqtt => "mid",
            Self::WebSocketMqtt => "mid_ws",
            Self::Route => "rid",
            Self::Gateway => "gid",
            Self::Leaf => "lid",
            Self::WebSocketLeaf => "lid_ws",
        }
    }
}

/// `host:port - cid:N`, and behind it, each only once it is known, ` - "vVERSION:LANG:NAME"` and ` - "ACCOUNT/USER"`.
/// Names that peers chose are quoted, so they cannot end a log line.
pub fn connection_label(address: &str, kind: LabelKind, id: u64, client: &str, user: Option<(&str, &str)>) -> String {
    let mut label = format!("{address} - {}:{id}", kind.tag());
    if !client.is_empty() {
        label += &format!(" - {}", Quoted(client.as_bytes()));
    }
    if let Some((account, user)) = user {
        label += &format!(" - {}", Quoted(format!("{account}/{user}").as_bytes()));
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_grows_with_what_is_known() {
        let label = |client, user| connection_label("127.0.0.1:5", LabelKind::Client, 7, client, user);
        assert_eq!(label("", None), "127.0.0.1:5 - cid:7");
        assert_eq!(label("v1:go:app", None), r#"127.0.0.1:5 - cid:7 - "v1:go:app""#);
        assert_eq!(label("", Some(("A", "user:bob"))), r#"127.0.0.1:5 - cid:7 - "A/user:bob""#);
        assert_eq!(label("v1:go:a\"\n", Some(("A", "token"))), r#"127.0.0.1:5 - cid:7 - "v1:go:a\"\n" - "A/token""#);
    }

    #[test]
    fn every_kind_has_its_tag() {
        use LabelKind::*;
        let tags =
            [Client, WebSocketClient, Mqtt, WebSocketMqtt, Route, Gateway, Leaf, WebSocketLeaf].map(LabelKind::tag);
        assert_eq!(tags, ["cid", "wid", "mid", "mid_ws", "rid", "gid", "lid", "lid_ws"]);
    }
}
