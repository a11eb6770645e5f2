//! Ways to connect that a user may be limited to.

/// A way to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionType {
    /// `STANDARD`: a client on the ordinary listener.
    Standard,
    /// `WEBSOCKET`
    Websocket,
    /// `LEAFNODE`
    Leafnode,
    /// `LEAFNODE_WS`: a leaf node over WebSocket.
    LeafnodeWs,
    /// `MQTT`
    Mqtt,
    /// `MQTT_WS`: MQTT over WebSocket.
    MqttWs,
    /// `IN_PROCESS`
    InProcess,
}

impl ConnectionType {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Standard, Self::Websocket, Self::Leafnode, Self::LeafnodeWs, Self::Mqtt, Self::MqttWs, Self::InProcess];

    /// The word in claims and configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::Websocket => "WEBSOCKET",
            Self::Leafnode => "LEAFNODE",
            Self::LeafnodeWs => "LEAFNODE_WS",
            Self::Mqtt => "MQTT",
            Self::MqttWs => "MQTT_WS",
            Self::InProcess => "IN_PROCESS",
        }
    }

    /// Reads a word in any case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word().eq_ignore_ascii_case(word))
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionTypes(u8);

impl ConnectionTypes {
    /// No restriction.
    pub const ANY: Self = Self(u8::MAX);

    /// Reads a list; an empty one restricts nothing. Words from the future are passed over, but a list of nothing else
    /// was meant to restrict and so admits nobody: `None`.
    pub fn parse(words: &[String]) -> Option<Self> {
        if words.is_empty() {
            return Some(Self::ANY);
        }
        let bits = words.iter().filter_map(|word| ConnectionType::parse(word)).fold(0, |bits, kind| bits | kind.bit());
        (bits != 0).then_some(Self(bits))
    }

    /// Whether one is in it.
    pub const fn allows(self, kind: ConnectionType) -> bool {
        self.0 & kind.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> Option<ConnectionTypes> {
        ConnectionTypes::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_empty_list_allows_all() {
        let any = set(&[]).expect("a set");
        assert!(ConnectionType::ALL.into_iter().all(|kind| any.allows(kind)));
    }

    #[test]
    fn unknown_words_are_passed_over_unless_they_are_all_there_is() {
        let some = set(&["standard", "FOO"]).expect("a set");
        assert!(some.allows(ConnectionType::Standard));
        assert!(!some.allows(ConnectionType::Websocket));
        assert_eq!(set(&["FOO"]), None);
    }
}
