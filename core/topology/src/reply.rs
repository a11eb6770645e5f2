//! Replies that find their way back over gateways.
//!
//! A request that leaves the cluster bears a reply of the form `_GR_.<cluster hash>.<server hash>.<reply>`, so that the
//! answer is sent to this cluster even before it is known there that somebody listens.

use subject::{MAPPED_PREFIX, MappedReply, OLD_MAPPED_HASH_LEN, OLD_MAPPED_PREFIX, Subject};

use crate::hash::{GatewayHash, old_gateway_hash};

/// What this server puts before replies, and recognises.
#[derive(Clone, Debug)]
pub struct ReplyMapper {
    cluster: GatewayHash,
    server: GatewayHash,
    old_cluster: [u8; OLD_MAPPED_HASH_LEN],
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

/// What all mapped replies of a cluster begin with, in the new form and in the old one, as filters.
pub fn mapped_filters(cluster: &str) -> [String; 2] {
    let old = old_gateway_hash(cluster);
    [format!("_GR_.{}.>", GatewayHash::of(cluster)), format!("$GR.{}.>", String::from_utf8_lossy(&old))]
}

/// What a hub asks its leaf nodes for where its cluster has gateways: answers on their way back.
pub const MAPPED_REPLIES: [&[u8]; 2] = [b"_GR_.>", b"$GR.*.>"];

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
            out.extend_from_slice(OLD_MAPPED_PREFIX);
            out.extend_from_slice(&self.old_cluster);
        } else {
            out.extend_from_slice(MAPPED_PREFIX);
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

/// What the acknowledgement of a stream's message is answered on begins with this.
const ACK_REPLY: &[u8] = b"$JS.ACK.";

/// Dots in front of which an `@` may be part of a name.
const ACK_DOTS: usize = 8;

/// A message of a stream goes to an inbox, and its receiver is to see the subject under which it is stored. Between
/// servers that stands behind the reply, the first `@` behind the eight dots of
/// `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<number>.<time>.<pending>`. The reply without it, and that subject;
/// nothing if none is there.
pub fn split_shown(reply: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = shown_at(reply)?;
    let (base, shown) = (reply.get(..at)?, reply.get(at + 1..)?);
    Subject::parse(shown).is_ok_and(Subject::is_literal).then_some((base, shown))
}

/// A reply without whatever stands in the place of that subject.
pub fn without_shown(reply: &[u8]) -> &[u8] {
    shown_at(reply).and_then(|at| reply.get(..at)).unwrap_or(reply)
}

fn shown_at(reply: &[u8]) -> Option<usize> {
    if !reply.starts_with(ACK_REPLY) {
        return None;
    }
    let mut dots = 0;
    reply.iter().position(|&byte| {
        dots += usize::from(byte == b'.');
        byte == b'@' && dots >= ACK_DOTS
    })
}

/// The same put together. A reply that acknowledges nothing has no room for it.
pub fn with_shown(reply: &[u8], shown: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(reply);
    if reply.starts_with(ACK_REPLY) {
        out.push(b'@');
        out.extend_from_slice(shown);
    }
}
