//! What binds whoever published a message, as its server tells a server of another cluster.
//!
//! A server knows the rights of those who are connected to it, and no others. Where a message makes another one read or
//! change what it has stored, that one has to judge, so it is told the lists. It is told only between servers that both say
//! in INFO that they do so ([`RIGHTS_LEVEL`]); to others nothing changes.

use serde::{Deserialize, Serialize};
use wire::gateway::MAX_RIGHTS_BYTES;

use crate::error::LinkError;

/// What a server says in INFO that tells rights and judges by those it is told.
pub const RIGHTS_LEVEL: u8 = 1;

/// Entries of lists that are told at most: more do not fit.
pub const MAX_TOLD_ENTRIES: usize = MAX_RIGHTS_BYTES / 4;

/// Bytes of a name that are told.
const MAX_WHO_BYTES: usize = 256;

/// Whoever published, and what binds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldRights {
    /// What it is called in logs: `user:bob`, or the kind of its credentials. Never a secret.
    pub who: String,
    /// It is a leaf connection.
    pub is_leaf: bool,
    /// What may be published to, and what may be subscribed to. Nothing if the lists are too long to be told.
    pub lists: Option<[ToldLists<String>; 2]>,
}

/// What is allowed in one direction, and what is denied, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldLists<T> {
    /// Only this; everything if absent.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<T>>,
    /// Not this.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<T>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json<T> {
    who: T,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    leaf: bool,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    publish: Option<ToldLists<T>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    subscribe: Option<ToldLists<T>>,
}

const fn none<T>() -> Option<T> {
    None
}

impl ToldRights {
    /// Writes what is told: the lists, or where they are too long, or none are given, that they are too long.
    pub fn encode(who: &str, is_leaf: bool, lists: Option<[ToldLists<&str>; 2]>) -> Vec<u8> {
        let who: String = who.chars().filter(|char| !char.is_control()).collect();
        let who = who.get(..who.floor_char_boundary(MAX_WHO_BYTES)).unwrap_or_default();
        let whole = lists.filter(|lists| size(lists) <= MAX_RIGHTS_BYTES).map(|[publish, subscribe]| {
            written(&Json { who, leaf: is_leaf, publish: Some(publish), subscribe: Some(subscribe) })
        });
        let nothing = || written(&Json { who, leaf: is_leaf, publish: None, subscribe: None });
        whole.filter(|json| json.len() <= MAX_RIGHTS_BYTES).unwrap_or_else(nothing)
    }

    /// Reads what was told. A field that is not known might narrow what the others allow, so it is refused.
    ///
    /// # Errors
    /// [`LinkError::Unreadable`] if it is not what [`ToldRights::encode`] writes.
    pub fn parse(json: &[u8]) -> Result<Self, LinkError> {
        let read: Json<String> =
            serde_json::from_slice(json).map_err(|error| LinkError::Unreadable(error.to_string()))?;
        if read.who.len() > MAX_WHO_BYTES || read.who.chars().any(char::is_control) {
            return Err(LinkError::Unreadable("what somebody is called in RIGHTS".to_owned()));
        }
        let lists = read.publish.zip(read.subscribe).map(<[_; 2]>::from);
        Ok(Self { who: read.who, is_leaf: read.leaf, lists })
    }
}

/// Bytes of the entries, so that long lists are not written to be thrown away.
fn size(lists: &[ToldLists<&str>]) -> usize {
    let all = lists.iter().flat_map(|lists| lists.allow.iter().flatten().chain(&lists.deny));
    all.fold(0, |sum, text| sum.saturating_add(text.len()))
}

fn written(json: &Json<&str>) -> Vec<u8> {
    serde_json::to_vec(json).expect("a struct of plain fields is serialisable")
}
