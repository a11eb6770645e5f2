//! Record protection of one direction: the key, the counter that makes its nonces, and the bound on its use.
//!
//! The handshake is done by rustls. Afterwards both directions are independent of each other, so a worker may seal for a
//! connection while its owner opens, and a record is built where it will be sent from instead of being copied there.

use aead::{Cipher, Key, NONCE_LEN, TAG_LEN};
use rustls::ConnectionTrafficSecrets;

use crate::{Fault, Version};

/// Content type, version, length.
pub(crate) const HEADER_LEN: usize = 5;
/// The most plaintext one record carries.
pub(crate) const MAX_PLAIN: usize = 1 << 14;
/// The most a record may grow by protection and padding.
const MAX_EXPANSION_TLS12: usize = 2048;
const MAX_EXPANSION_TLS13: usize = 256;
/// TLS 1.2 with AES-GCM sends half of the nonce with each record.
const EXPLICIT_NONCE_LEN: usize = 8;

/// How much one AES-GCM key may protect: RFC 8446 section 5.5 allows 2^24 records of full size, which is this many
/// cipher blocks. Counting blocks keeps the margin and lets small records live as long as they deserve.
const MAX_BLOCKS_AES_GCM: u64 = 1 << 34;

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Alert,
    Handshake,
    Data,
}

impl Content {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::Data),
            _ => None,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::Data => 23,
        }
    }
}

/// How a record is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Tls13,
    /// RFC 5288.
    Tls12Gcm,
    /// RFC 7905.
    Tls12Chacha,
}

/// A key, where its nonces stand, and how much more it may protect.
pub(crate) struct Protection {
    key: Key,
    iv: [u8; NONCE_LEN],
    sequence: u64,
    blocks_left: u64,
    layout: Layout,
}

impl Protection {
    /// From what the handshake agreed on. The counter only ever grows, and a new key comes with a new `Protection`: that
    /// is why no nonce is ever used twice.
    pub(crate) fn new(version: Version, (sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, Fault> {
        use ConnectionTrafficSecrets as Secrets;
        let (cipher, key, iv, blocks_left) = match &secrets {
            Secrets::Aes128Gcm { key, iv } => (Cipher::Aes128Gcm, key, iv, MAX_BLOCKS_AES_GCM),
            Secrets::Aes256Gcm { key, iv } => (Cipher::Aes256Gcm, key, iv, MAX_BLOCKS_AES_GCM),
            Secrets::Chacha20Poly1305 { key, iv } => (Cipher::Chacha20Poly1305, key, iv, u64::MAX),
            _ => return Err(Fault::Internal("a cipher that the record layer does not know")),
        };
        let layout = match (version, cipher == Cipher::Chacha20Poly1305) {
            (Version::Tls13, _) => Layout::Tls13,
            (Version::Tls12, false) => Layout::Tls12Gcm,
            (Version::Tls12, true) => Layout::Tls12Chacha,
        };
        let key = Key::new(cipher, key.as_ref()).ok_or(Fault::Internal("a key of the wrong length"))?;
        let iv = iv.as_ref().try_into().map_err(|_| Fault::Internal("a nonce of the wrong length"))?;
        Ok(Self { key, iv, sequence, blocks_left, layout })
    }

    /// Whether the key has done its work: in TLS 1.3 a new one follows, in TLS 1.2 the connection ends.
    pub(crate) fn is_worn(&self) -> bool {
        // Room for one more record of full size and the alert or key update after it.
        self.blocks_left < 4 * blocks(MAX_PLAIN) || self.sequence >= u64::MAX - 16
    }

    #[cfg(test)]
    pub(crate) fn wear_out(&mut self) {
        self.blocks_left = 0;
    }

    /// How many bytes stand before the plaintext of a record.
    pub(crate) fn prefix_len(&self) -> usize {
        match self.layout {
            Layout::Tls12Gcm => HEADER_LEN + EXPLICIT_NONCE_LEN,
            Layout::Tls13 | Layout::Tls12Chacha => HEADER_LEN,
        }
    }

    /// Protects the plaintext that ends `wire`, in place. The record begins at `start`, with room for its prefix.
    pub(crate) fn seal(&mut self, content: Content, start: usize, wire: &mut Vec<u8>) -> Result<(), Fault> {
        let prefix_end = start + self.prefix_len();
        let plain_len = wire.len() - prefix_end;
        let sequence = self.next_sequence(plain_len)?;
        let nonce = nonce(&self.iv, sequence);
        let outer = if self.layout == Layout::Tls13 {
            wire.push(content.byte());
            Content::Data
        } else {
            content
        };
        let payload_len = wire.len() + TAG_LEN - start - HEADER_LEN;
        let header = header(outer, payload_len);
        wire[start..start + HEADER_LEN].copy_from_slice(&header);
        if self.layout == Layout::Tls12Gcm {
            wire[start + HEADER_LEN..prefix_end].copy_from_slice(&nonce[NONCE_LEN - EXPLICIT_NONCE_LEN..]);
        }
        let extra = self.associated_data(sequence, header, plain_len);
        let tag = self
            .key
            .seal(nonce, extra.as_ref(), &mut wire[prefix_end..])
            .map_err(|_| Fault::Internal("sealing failed"))?;
        wire.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens one whole record and appends what it carried to `plain`.
    pub(crate) fn open(&mut self, record: &[u8], plain: &mut Vec<u8>) -> Result<Content, Fault> {
        let (header, payload) = record.split_first_chunk::<HEADER_LEN>().ok_or(Fault::MalformedRecord)?;
        let outer = Content::from_byte(header[0]).ok_or(Fault::UnexpectedRecord)?;
        if self.layout == Layout::Tls13 && outer != Content::Data {
            return Err(Fault::UnexpectedRecord);
        }
        let sequence = self.next_sequence(payload.len())?;
        let (nonce, sealed) = self.explicit_nonce(sequence, payload)?;
        let (sealed, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(Fault::BadRecordMac)?;
        let extra = self.associated_data(sequence, *header, sealed.len());
        let start = plain.len();
        // The bytes stay unreadable to the caller until they are known to be the peer's: any failure takes them away.
        self.key.open(nonce, extra.as_ref(), sealed, tag, plain).map_err(|_| Fault::BadRecordMac)?;
        let content = if self.layout == Layout::Tls13 { inner_content(start, plain) } else { Some(outer) };
        let Some(content) = content else {
            plain.truncate(start);
            return Err(Fault::UnexpectedRecord);
        };
        if plain.len() - start > MAX_PLAIN {
            plain.truncate(start);
            return Err(Fault::RecordOverflow);
        }
        Ok(content)
    }

    fn next_sequence(&mut self, len: usize) -> Result<u64, Fault> {
        let sequence = self.sequence;
        self.sequence = sequence.checked_add(1).ok_or(Fault::KeyExhausted)?;
        self.blocks_left = self.blocks_left.saturating_sub(blocks(len));
        Ok(sequence)
    }

    fn explicit_nonce<'a>(&self, sequence: u64, payload: &'a [u8]) -> Result<([u8; NONCE_LEN], &'a [u8]), Fault> {
        if self.layout != Layout::Tls12Gcm {
            return Ok((nonce(&self.iv, sequence), payload));
        }
        let (explicit, sealed) = payload.split_first_chunk::<EXPLICIT_NONCE_LEN>().ok_or(Fault::BadRecordMac)?;
        let mut nonce = self.iv;
        nonce[NONCE_LEN - EXPLICIT_NONCE_LEN..].copy_from_slice(explicit);
        Ok((nonce, sealed))
    }

    fn associated_data(&self, sequence: u64, header: [u8; HEADER_LEN], plain_len: usize) -> Associated {
        let mut bytes = [0; 13];
        if self.layout == Layout::Tls13 {
            bytes[..HEADER_LEN].copy_from_slice(&header);
            return Associated { bytes, len: HEADER_LEN };
        }
        bytes[..8].copy_from_slice(&sequence.to_be_bytes());
        bytes[8..11].copy_from_slice(&header[..3]);
        bytes[11..].copy_from_slice(&be_len(plain_len));
        Associated { bytes, len: 13 }
    }
}

/// What is authenticated but not encrypted: the header, in TLS 1.2 with the record's number.
struct Associated {
    bytes: [u8; 13],
    len: usize,
}

impl AsRef<[u8]> for Associated {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The length of the first record of `wire`, header included, or `None` while its header is not there. A header that no
/// honest peer sends is a fault before its body arrives, so a stranger cannot make us wait for 64 KiB.
pub(crate) fn record_len(version: Version, wire: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(&[content, major, minor, high, low]) = wire.first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let max = match version {
        Version::Tls12 => MAX_PLAIN + MAX_EXPANSION_TLS12,
        Version::Tls13 => MAX_PLAIN + MAX_EXPANSION_TLS13,
    };
    if Content::from_byte(content).is_none() {
        return Err(Fault::UnexpectedRecord);
    }
    if (major, minor) != (3, 3) || len == 0 {
        return Err(Fault::MalformedRecord);
    }
    if len > max { Err(Fault::RecordOverflow) } else { Ok(Some(HEADER_LEN + len)) }
}

/// TLS 1.3 hides the real content type behind the plaintext, followed by any number of zeros.
fn inner_content(start: usize, plain: &mut Vec<u8>) -> Option<Content> {
    let last = plain[start..].iter().rposition(|&byte| byte != 0)?;
    let content = Content::from_byte(plain[start + last]);
    plain.truncate(start + last);
    content
}

fn nonce(iv: &[u8; NONCE_LEN], sequence: u64) -> [u8; NONCE_LEN] {
    let mut nonce = *iv;
    let tail = &mut nonce[NONCE_LEN - 8..];
    tail.iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, count)| *byte ^= count);
    nonce
}

fn header(content: Content, payload_len: usize) -> [u8; HEADER_LEN] {
    let [high, low] = be_len(payload_len);
    [content.byte(), 3, 3, high, low]
}

fn be_len(len: usize) -> [u8; 2] {
    u16::try_from(len).expect("a record is never longer than its bound").to_be_bytes()
}

const fn blocks(len: usize) -> u64 {
    // One more for the tag, one more for a started block.
    (len / 16 + 2) as u64
}
