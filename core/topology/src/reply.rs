//! Replies that find their way back over gateways.
//!
//! A request that leaves the cluster bears a reply of the form `_GR_.<cluster hash>.<server hash>.<reply>`, so that the
//! answer is sent to this cluster even before it is known there that somebody listens.

use crate::hash::{GATEWAY_HASH_LEN, GatewayHash, old_gateway_hash};

const PREFIX: &[u8] = b"_GR_.";
const OLD_PREFIX: &[u8] = b"$GR.";
const OLD_HASH_LEN: usize = 4;

/// What this server puts before replies, and recognises.
#[derive(Clone, Debug)]
pub struct ReplyMapper {
    cluster: GatewayHash,
    server: GatewayHash,
    old_cluster: [u8; OLD_HASH_LEN],
}

/// A mapped reply, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedReply<'a> {
    /// The hash of the cluster it belongs to.
    pub cluster: &'a [u8],
    /// The hash of the server; old servers leave it out.
    pub server: Option<&'a [u8]>,
    /// The reply itself.
    pub reply: &'a [u8],
}

/// What to do with a message to a mapped reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyRoute<'a> {
    /// It belongs to another cluster.
    Drop,
    /// Deliver it here.
    Here(&'a [u8]),
    /// Pass it on to the server with this hash; deliver it here if there is no route to that.
    Server {
        /// The server's hash.
        hash: &'a [u8],
        /// The reply itself.
        reply: &'a [u8],
    },
}

impl ReplyMapper {
    /// For a server of a cluster.
    pub fn new(cluster: &str, server_id: &str) -> Self {
        Self {
            cluster: GatewayHash::of(cluster),
            server: GatewayHash::of(server_id),
            old_cluster: old_gateway_hash(cluster),
        }
    }

    /// Appends the mapped form of a reply; `old` is for peers that do not know the new one.
    pub fn map(&self, out: &mut Vec<u8>, reply: &[u8], old: bool) {
        if old {
            out.extend_from_slice(OLD_PREFIX);
            out.extend_from_slice(&self.old_cluster);
        } else {
            out.extend_from_slice(PREFIX);
            out.extend_from_slice(self.cluster.as_bytes());
            out.push(b'.');
            out.extend_from_slice(self.server.as_bytes());
        }
        out.push(b'.');
        out.extend_from_slice(reply);
    }

    /// What to do with a message to a mapped reply. Only what came by a gateway is passed on to another server.
    pub fn route<'a>(&self, mapped: &MappedReply<'a>, came_by_gateway: bool) -> ReplyRoute<'a> {
        let ours = match mapped.server {
            Some(_) => mapped.cluster == self.cluster.as_bytes(),
            None => mapped.cluster == self.old_cluster,
        };
        match mapped.server {
            _ if !ours => ReplyRoute::Drop,
            Some(hash) if came_by_gateway && hash != self.server.as_bytes() => {
                ReplyRoute::Server { hash, reply: mapped.reply }
            }
            _ => ReplyRoute::Here(mapped.reply),
        }
    }
}

impl<'a> MappedReply<'a> {
    /// Takes a subject apart if it is a mapped reply.
    pub fn parse(subject: &'a [u8]) -> Option<Self> {
        if let Some(rest) = subject.strip_prefix(PREFIX) {
            let (cluster, rest) = hash_and_rest(rest, GATEWAY_HASH_LEN)?;
            let (server, reply) = hash_and_rest(rest, GATEWAY_HASH_LEN)?;
            return (!reply.is_empty()).then_some(Self { cluster, server: Some(server), reply });
        }
        let (cluster, reply) = hash_and_rest(subject.strip_prefix(OLD_PREFIX)?, OLD_HASH_LEN)?;
        (!reply.is_empty()).then_some(Self { cluster, server: None, reply })
    }
}

/// A hash, the dot after it, and what follows.
fn hash_and_rest(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (hash, rest) = bytes.split_at_checked(length)?;
    Some((hash, rest.strip_prefix(b".")?))
}
