//! How a peer is connected, as far as users may be limited to it.

use std::fmt;
use std::str::FromStr;

use jwt::ConnectionType;

/// A kind of connection, by the word that operators use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnectionKind {
    /// A client over plain TCP or TLS.
    Standard,
    /// A client over WebSocket.
    WebSocket,
    /// A leaf node.
    Leaf,
    /// A leaf node over WebSocket.
    LeafWebSocket,
    /// An MQTT client.
    Mqtt,
    /// An MQTT client over WebSocket.
    MqttWebSocket,
    /// A client within the process.
    InProcess,
}

impl ConnectionKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Standard,
        Self::WebSocket,
        Self::Leaf,
        Self::LeafWebSocket,
        Self::Mqtt,
        Self::MqttWebSocket,
        Self::InProcess,
    ];

    /// The operators' word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::WebSocket => "WEBSOCKET",
            Self::Leaf => "LEAFNODE",
            Self::LeafWebSocket => "LEAFNODE_WS",
            Self::Mqtt => "MQTT",
            Self::MqttWebSocket => "MQTT_WS",
            Self::InProcess => "IN_PROCESS",
        }
    }

    /// The same in claims.
    pub(crate) const fn in_claims(self) -> ConnectionType {
        match self {
            Self::Standard => ConnectionType::Standard,
            Self::WebSocket => ConnectionType::Websocket,
            Self::Leaf => ConnectionType::Leafnode,
            Self::LeafWebSocket => ConnectionType::LeafnodeWs,
            Self::Mqtt => ConnectionType::Mqtt,
            Self::MqttWebSocket => ConnectionType::MqttWs,
            Self::InProcess => ConnectionType::InProcess,
        }
    }

    /// It speaks MQTT, which has no field for claims.
    pub(crate) const fn is_mqtt(self) -> bool {
        matches!(self, Self::Mqtt | Self::MqttWebSocket)
    }

    /// It is a leaf node.
    pub const fn is_leaf(self) -> bool {
        matches!(self, Self::Leaf | Self::LeafWebSocket)
    }
}

impl fmt::Display for ConnectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that names no kind of connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind(pub String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown connection type {:?}", self.0)
    }
}

impl std::error::Error for UnknownKind {}

impl FromStr for ConnectionKind {
    type Err = UnknownKind;

    /// In any case.
    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        let known = Self::ALL.into_iter().find(|kind| kind.word().eq_ignore_ascii_case(word));
        known.ok_or_else(|| UnknownKind(word.to_owned()))
    }
}

/// Some kinds of connection. Built from an empty list it holds all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KindSet(u8);

impl KindSet {
    pub(crate) fn of_list(kinds: &[ConnectionKind]) -> Self {
        match kinds {
            [] => Self(u8::MAX),
            _ => Self(kinds.iter().fold(0, |set, kind| set | Self::bit(*kind))),
        }
    }

    pub(crate) const fn holds(self, kind: ConnectionKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    const fn bit(kind: ConnectionKind) -> u8 {
        1 << kind as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_understood_in_any_case() {
        for kind in ConnectionKind::ALL {
            assert_eq!(kind.word().to_lowercase().parse(), Ok(kind));
        }
        assert_eq!("FOO".parse::<ConnectionKind>().unwrap_err().to_string(), "unknown connection type \"FOO\"");
    }

    #[test]
    fn an_empty_list_means_every_kind() {
        assert!(ConnectionKind::ALL.iter().all(|kind| KindSet::of_list(&[]).holds(*kind)));
        let some = KindSet::of_list(&[ConnectionKind::Mqtt]);
        assert!(some.holds(ConnectionKind::Mqtt) && !some.holds(ConnectionKind::Standard));
    }
}
