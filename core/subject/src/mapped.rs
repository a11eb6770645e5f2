//! The mark on a reply that crosses clusters.

/// What a marked reply begins with: then the hash of the cluster, that of the server and the reply, with dots between.
pub const MAPPED_PREFIX: &[u8] = b"_GR_.";

/// What old servers begin one with: then the hash of the cluster and the reply.
pub const OLD_MAPPED_PREFIX: &[u8] = b"$GR.";

/// Characters of each hash in a marked reply.
pub const MAPPED_HASH_LEN: usize = 6;

/// Characters of the hash in the old form.
pub const OLD_MAPPED_HASH_LEN: usize = 4;

/// A marked reply, taken apart: `_GR_.<cluster>.<server>.<reply>`, or `$GR.<cluster>.<reply>` in the old form. The one
/// place that reads the mark; whose hashes these are is decided in `topology`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedReply<'a> {
    /// The hash of the cluster it belongs to.
    pub cluster: &'a [u8],
    /// The hash of the server; old servers leave it out.
    pub server: Option<&'a [u8]>,
    /// The reply itself.
    pub reply: &'a [u8],
}

impl<'a> MappedReply<'a> {
    /// Takes a subject apart if it is a marked reply.
    #[inline]
    pub fn parse(subject: &'a [u8]) -> Option<Self> {
        match subject.first() {
            Some(b'_') => Self::parse_new(subject),
            Some(b'$') => Self::parse_old(subject),
            _ => None,
        }
    }

    /// The reply that clients see of a marked one. The old form they see as it is, and answer to it.
    #[inline]
    pub fn seen(subject: &'a [u8]) -> Option<&'a [u8]> {
        Self::parse(subject).filter(|mapped| mapped.server.is_some()).map(|mapped| mapped.reply)
    }

    fn parse_new(subject: &'a [u8]) -> Option<Self> {
        let (cluster, rest) = hash_and_rest(subject.strip_prefix(MAPPED_PREFIX)?, MAPPED_HASH_LEN)?;
        let (server, reply) = hash_and_rest(rest, MAPPED_HASH_LEN)?;
        (!reply.is_empty()).then_some(Self { cluster, server: Some(server), reply })
    }

    fn parse_old(subject: &'a [u8]) -> Option<Self> {
        let (cluster, reply) = hash_and_rest(subject.strip_prefix(OLD_MAPPED_PREFIX)?, OLD_MAPPED_HASH_LEN)?;
        (!reply.is_empty()).then_some(Self { cluster, server: None, reply })
    }
}

/// A hash, the dot after it, and what follows.
fn hash_and_rest(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (hash, rest) = bytes.split_at_checked(length)?;
    Some((hash, rest.strip_prefix(b".")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_taken_apart() {
        let new = MappedReply::parse(b"_GR_.abcdef.ghijkl._INBOX.x").unwrap();
        assert_eq!((new.cluster, new.server, new.reply), (&b"abcdef"[..], Some(&b"ghijkl"[..]), &b"_INBOX.x"[..]));
        let old = MappedReply::parse(b"$GR.abcd._INBOX.x").unwrap();
        assert_eq!((old.cluster, old.server, old.reply), (&b"abcd"[..], None, &b"_INBOX.x"[..]));
        assert_eq!(MappedReply::seen(b"_GR_.abcdef.ghijkl._INBOX.x"), Some(&b"_INBOX.x"[..]));
        assert_eq!(MappedReply::seen(b"$GR.abcd._INBOX.x"), None, "clients see the old form as it is");
    }

    #[test]
    fn everything_else_is_none() {
        for other in [
            b"".as_slice(),
            b"_GR_.",
            b"_GR_.abcdef.ghijkl",
            b"_GR_.abcdef.ghijkl.",
            b"_GR_.abcdefg.ghijkl.x",
            b"_GR_.abcde.ghijkl.x",
            b"_GR_abcdef.ghijkl.x",
            b"$GR.abcd",
            b"$GR.abcd.",
            b"$GR.abcde.x",
            b"_INBOX.x",
            b"GR.abcd.x",
        ] {
            assert_eq!(MappedReply::parse(other), None, "{other:?}");
        }
    }
}
