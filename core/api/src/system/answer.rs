//! What answers look like: the server, and data or an error.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::json::to_vec;

/// What a server says of itself in everything it tells.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct ServerInfo {
    pub name: String,
    pub host: String,
    pub id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    pub ver: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_flags: BTreeMap<String, bool>,
    pub jetstream: bool,
    pub flags: u64,
    pub seq: u64,
    pub time: String,
}

/// What went wrong.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// 400 for a request that cannot be read, 500 for one that cannot be carried out.
    pub code: u16,
    /// What.
    pub description: String,
}

/// What an answer holds beside the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A document, as JSON.
    Data(Vec<u8>),
    /// It was done, and there is nothing to say.
    Done,
    /// The request cannot be read, or what it asks for cannot be done.
    Error(ServerError),
    /// The request was read, and there is no document.
    NoData(ServerError),
}

impl Answer {
    /// A document.
    pub fn document(document: &impl Serialize) -> Self {
        Self::Data(to_vec(document))
    }

    /// The answer as it travels.
    pub fn from(&self, server: &ServerInfo) -> Vec<u8> {
        let mut out = b"{\"server\":".to_vec();
        out.extend_from_slice(&to_vec(server));
        match self {
            Self::Data(document) => {
                out.extend_from_slice(b",\"data\":");
                out.extend_from_slice(document);
            }
            Self::Done => {}
            Self::Error(error) => write_error(&mut out, error),
            Self::NoData(error) => {
                out.extend_from_slice(b",\"data\":null");
                write_error(&mut out, error);
            }
        }
        out.push(b'}');
        out
    }
}

fn write_error(out: &mut Vec<u8>, error: &ServerError) {
    out.extend_from_slice(b",\"error\":");
    out.extend_from_slice(&to_vec(error));
}

/// The first answer of `$SYS.REQ.SERVER.*.IDZ`, without an envelope.
#[derive(Serialize, Clone, Debug)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Identity<'a> {
    pub name: &'a str,
    pub host: &'a str,
    pub id: &'a str,
}

/// The answer to a request to destroy the key of an account: it is done. Bulwark's own.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct KeyDestroyed<'a> {
    /// Whose it was.
    pub account: &'a str,
    /// Streams that went with it.
    pub streams: u64,
}

/// The answer to a request for a profile: there is none to be had.
#[derive(Serialize, Clone, Debug)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Profile {
    pub profile: Option<String>,
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from the reference server.
    #[test]
    fn an_answer_has_data_or_an_error_or_neither() {
        let server = ServerInfo { name: "one".into(), ..ServerInfo::default() };
        let head =
            r#"{"server":{"name":"one","host":"","id":"","ver":"","jetstream":false,"flags":0,"seq":0,"time":""}"#;
        let text = |answer: Answer| String::from_utf8(answer.from(&server)).unwrap();
        let error = |code| ServerError { code, description: "<no>".into() };
        assert_eq!(text(Answer::document(&[1, 2])), format!("{head},\"data\":[1,2]}}"));
        assert_eq!(text(Answer::Done), format!("{head}}}"));
        let no = r#""description":"\u003cno\u003e"}}"#;
        assert_eq!(text(Answer::Error(error(400))), format!("{head},\"error\":{{\"code\":400,{no}"));
        assert_eq!(text(Answer::NoData(error(500))), format!("{head},\"data\":null,\"error\":{{\"code\":500,{no}"));
    }
}
