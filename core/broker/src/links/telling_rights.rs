//! What binds the publisher of a message, told to the server of another cluster that has to judge by it.
//!
//! A message bears it only if it may have that server read or change what is stored ([`Weight`]), and only if anything
//! binds its publisher. It stands before the head of the message and not in its headers: no client and no leaf node can
//! write there, and nobody who receives the message gets it.
//!
//! What a server says where others have told it to is bound by everything: it may do nothing there either. And of a request that
//! says itself who asks it is told who it is, even if nothing binds it: the word of a server is believed, its own is not.

use std::sync::Arc;

use auth::{LinkRights, Lists, Permissions};
use session::MemberLabel;
use topology::{MAX_TOLD_ENTRIES, ToldLists, ToldRights};

use crate::delivery::Flight;
use crate::internal::Rights;
use crate::links::crossing::PlanRemote;
use crate::observer::ConnectionLabel;
use crate::orders::{Weight, says_who_asks};

/// What was told last. Who asks streams asks again and again.
#[derive(Default)]
pub(crate) struct TellingRights {
    last: Option<Last>,
}

struct Last {
    whose: Whose,
    who: Option<Arc<MemberLabel>>,
    json: Vec<u8>,
}

enum Whose {
    Client(Arc<Permissions>),
    Leaf(Arc<LinkRights>),
}

/// What is told of what the server says where others have told it to: nobody has a right to it.
const NOBODY: &[u8] = br#"{"who":"","publish":{"deny":[">"]},"subscribe":{"deny":[">"]}}"#;

/// Whether a server has to be told what binds the publisher of a message that goes there.
pub(crate) fn is_told(remote: &PlanRemote, flight: &Flight<'_>) -> bool {
    if !remote.peer.takes_rights {
        return false;
    }
    let (binds, is_somebody) = match flight.rights {
        Rights::Granted | Rights::Answering | Rights::Imported(_) => return false,
        Rights::Passing => (true, false),
        Rights::Client(permissions, _) => (permissions.binds(), true),
        Rights::Leaf(rights, _) => (rights.binds(), true),
    };
    let body = flight.whole.body;
    let (headers, payload) = body.split_at_checked(flight.publish.header_len).unwrap_or((b"", body));
    binds && remote.weight.is_judged(headers, payload)
        || is_somebody && remote.weight == Weight::Order && says_who_asks(headers)
}

impl TellingRights {
    /// Writes what binds the publisher, if anybody in particular published.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, rights: Rights<'_>) {
        let (whose, label) = match rights {
            Rights::Granted | Rights::Answering | Rights::Imported(_) => return,
            Rights::Passing => return wire::gateway::rights_lines(out, NOBODY),
            Rights::Client(permissions, label) => (Whose::Client(permissions.clone()), label),
            Rights::Leaf(rights, label) => (Whose::Leaf(rights.clone()), label),
        };
        let known = self.last.take().filter(|last| last.is_of(&whose, label));
        let last = known.unwrap_or_else(|| Last::new(whose, label));
        wire::gateway::rights_lines(out, &last.json);
        self.last = Some(last);
    }
}

/// What is told of a client.
fn told_of(name: &str, rights: &Permissions) -> Vec<u8> {
    let lists = (rights.entries() <= MAX_TOLD_ENTRIES).then(|| rights.all_lists());
    ToldRights::encode(name, false, lists.map(told))
}

fn told(lists: Lists<'_>) -> [ToldLists<&str>; 2] {
    let Lists { publish_allow, publish_deny, subscribe_allow, subscribe_deny, responses: _ } = lists;
    let publish = ToldLists { allow: publish_allow, deny: publish_deny };
    [publish, ToldLists { allow: subscribe_allow, deny: subscribe_deny }]
}

/// Whether the lists of a client are short enough to be told to another cluster. There whoever has longer ones may read nothing.
/// `who` is what it is called in logs.
pub fn fits_rights(who: &str, permissions: &Permissions) -> bool {
    ToldRights::parse(&told_of(who, permissions)).is_ok_and(|told| told.lists.is_some())
}

impl Last {
    fn new(whose: Whose, label: &ConnectionLabel) -> Self {
        let who = label.member.clone();
        let name = who.as_deref().map_or("", |who| &*who.tag);
        let json = match &whose {
            Whose::Client(rights) => told_of(name, rights),
            Whose::Leaf(rights) => {
                let lists = (rights.entries() <= MAX_TOLD_ENTRIES).then(|| rights.all_lists());
                ToldRights::encode(name, true, lists.map(told))
            }
        };
        Self { whose, who, json }
    }

    fn is_of(&self, whose: &Whose, label: &ConnectionLabel) -> bool {
        let is_same = match (&self.whose, whose) {
            (Whose::Client(known), Whose::Client(rights)) => Arc::ptr_eq(known, rights),
            (Whose::Leaf(known), Whose::Leaf(rights)) => Arc::ptr_eq(known, rights),
            (Whose::Client(_), Whose::Leaf(_)) | (Whose::Leaf(_), Whose::Client(_)) => false,
        };
        is_same
            && match (&self.who, &label.member) {
                (Some(known), Some(who)) => Arc::ptr_eq(known, who),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}
