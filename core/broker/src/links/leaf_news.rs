//! What the ends of a leaf connection tell each other beside interest and messages: where else the hub's cluster takes leaf
//! nodes, and how far away they are.

use std::time::Duration;

use topology::{Compression, Info, LeafRules, MAX_URLS};

use crate::connection::Connection;
use crate::engine::Engine;
use crate::hub::Hub;
use crate::link::{Carrier, LinkKind};
use crate::links::book::write_info;
use crate::links::leaf::Leaf;
use crate::links::settings::{LeafListening, LeafSolicit};
use crate::mailbox::Note;

impl Hub {
    /// What this server says to a leaf node now: its whole cluster takes them, unless nothing is advertised. Messages of
    /// WebSocket are compressed by its own means: what is put around its frames no proxy on the way would understand.
    pub(crate) fn leaf_rules(&self, listening: &LeafListening, carrier: Carrier) -> LeafRules {
        let mut rules = listening.rules.clone();
        if carrier == Carrier::WebSocket {
            rules.compression = Compression::NotSupported;
        }
        rules.info.ws_connect_urls = self.links.ws_connect_urls();
        rules.info.ws_connect_urls.truncate(MAX_URLS);
        if let Some(urls) = &mut rules.info.leafnode_urls {
            urls.extend(self.links.leafnode_urls());
            urls.sort();
            urls.dedup();
            urls.truncate(MAX_URLS);
        }
        rules
    }

    /// Leaf nodes hear where this cluster takes them now.
    pub(crate) fn tell_leafnode_urls(&self) {
        let Some(listening) = self.links.settings.load().leafs.clone() else { return };
        let info = self.leaf_rules(&listening, Carrier::Stream).info;
        if info.leafnode_urls.is_none() {
            return;
        }
        for known in self.links.all() {
            let link = known.link;
            if link.kind == LinkKind::Leaf && !known.solicited {
                let info = Info { client_id: link.key.id, info_on_connect: true, ..info.clone() };
                link.say_first(|out| write_info(out, &info));
                link.post(link.key.worker, Note::Flush(link.key));
            }
        }
    }
}

impl Engine {
    /// A hub tells where its cluster takes leaf nodes.
    pub(crate) fn heard_of_hubs(&self, solicit: Option<&LeafSolicit>, info: &Info) {
        let Some(solicit) = solicit else { return };
        match (solicit.by_websocket, &info.leafnode_urls) {
            (true, _) => self.hub.links.heard_of_hubs(solicit.id, info.ws_connect_urls.clone()),
            (false, Some(urls)) => self.hub.links.heard_of_hubs(solicit.id, urls.clone()),
            (false, None) => {}
        }
    }

    /// A later INFO changes nothing but where to go next time.
    pub(crate) fn leaf_told(&self, leaf: &Leaf, json: &[u8]) {
        if let (Some(solicit), Ok(info)) = (&leaf.solicited, Info::parse(json)) {
            self.heard_of_hubs(Some(solicit), &info);
        }
    }

    /// The far end has answered.
    pub(crate) fn leaf_ponged(&self, connection: &Connection, leaf: &Leaf, rtt: Option<Duration>) {
        match (&leaf.solicited, self.leaf_listening()) {
            (Some(solicit), _) => {
                let remote = &solicit.remote;
                self.settle_level(connection, remote.levels.followed(remote.compression), rtt);
            }
            (None, Some(listening)) => {
                let rules = &listening.rules;
                self.settle_level(connection, rules.levels.followed(rules.compression), rtt);
            }
            (None, None) => {}
        }
    }
}
