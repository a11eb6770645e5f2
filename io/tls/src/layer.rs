//! The byte layer of an established connection: bytes in, bytes out, no socket.
//!
//! A [`Layer`] has two halves that share nothing but the rare key update. Keep them together under one lock, or
//! [`Layer::split`] them: the [`Sealer`] goes under the lock of the outbound queue, where any worker seals whole batches,
//! and the [`Opener`] stays with the worker that reads. What the opener wants to answer ([`Opened::answer`]) is handed to
//! the sealer, so records leave in the order in which they were sealed.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::ConnectionTrafficSecrets;
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;

use crate::record::{Content, MAX_PLAIN, Protection, record_len};
use crate::{Fault, Version};

/// Key updates, warnings and empty records that a peer may send between two pieces of data.
const MAX_NOISE: u32 = 32;
/// The longest message a peer sends after its handshake: a session ticket.
const MAX_LATE_HANDSHAKE: usize = 1 << 16;

const KEY_UPDATE: u8 = 24;
const NEW_SESSION_TICKET: u8 = 4;

/// Makes the keys that follow the first ones. Both halves reach it; either needs it once in gigabytes.
pub(crate) enum Ratchet {
    Server(KernelConnection<ServerConnectionData>),
    Client(KernelConnection<ClientConnectionData>),
}

impl Ratchet {
    fn next_sealing(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Fault> {
        let next = match self {
            Self::Server(connection) => connection.update_tx_secret(),
            Self::Client(connection) => connection.update_tx_secret(),
        };
        next.map_err(|_| Fault::Internal("no next key to seal with"))
    }

    fn next_opening(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Fault> {
        let next = match self {
            Self::Server(connection) => connection.update_rx_secret(),
            Self::Client(connection) => connection.update_rx_secret(),
        };
        next.map_err(|_| Fault::Internal("no next key to open with"))
    }
}

type SharedRatchet = Arc<Mutex<Ratchet>>;

fn with_ratchet<T>(ratchet: &SharedRatchet, act: impl FnOnce(&mut Ratchet) -> T) -> T {
    act(&mut ratchet.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What opening found besides plaintext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The peer said goodbye. What it sent before is all there is.
    pub closed: bool,
    /// What the sealer must send. Give it to [`Sealer::answer`].
    pub answer: Option<Answer>,
}

/// Something only the sealing half can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The peer asked us to change our key.
    KeyUpdate,
}

/// The half that reads.
pub struct Opener {
    protection: Protection,
    version: Version,
    is_server: bool,
    /// The start of a record whose end has not arrived.
    rest: Vec<u8>,
    /// The start of a handshake message that continues in the next record.
    late: Vec<u8>,
    noise: u32,
    closed: bool,
    ratchet: SharedRatchet,
}

impl Opener {
    /// Takes what the transport delivered, in pieces of any size, and appends what the peer wrote to `plain`.
    ///
    /// # Errors
    /// If a record is not the peer's or breaks a rule. Nothing of it is in `plain`. The connection is over: pass the
    /// fault to [`Sealer::fail`] and close.
    pub fn open(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<Opened, Fault> {
        let mut opened = Opened::default();
        if record_len(self.version, &self.rest)?.is_some_and(|len| len <= self.rest.len()) {
            // What the peer sent right behind its handshake.
            let behind = std::mem::take(&mut self.rest);
            self.open_records(&behind, plain, &mut opened)?;
        }
        let wire = self.complete_rest(wire, plain, &mut opened)?;
        self.open_records(wire, plain, &mut opened)?;
        opened.closed = self.closed;
        Ok(opened)
    }

    /// Opens all whole records and keeps the start of the last one.
    fn open_records(&mut self, mut wire: &[u8], plain: &mut Vec<u8>, opened: &mut Opened) -> Result<(), Fault> {
        while !self.closed {
            let Some(len) = record_len(self.version, wire)?.filter(|&len| len <= wire.len()) else {
                self.rest.extend_from_slice(wire);
                return Ok(());
            };
            let (record, after) = wire.split_at(len);
            self.open_record(record, plain, opened)?;
            wire = after;
        }
        self.rest = Vec::new();
        Ok(())
    }

    /// How many bytes wait for the rest of their record.
    pub fn held(&self) -> usize {
        self.rest.len() + self.late.len()
    }

    /// Finishes the record that an earlier call left unfinished, and gives back what follows it.
    fn complete_rest<'w>(
        &mut self,
        mut wire: &'w [u8],
        plain: &mut Vec<u8>,
        opened: &mut Opened,
    ) -> Result<&'w [u8], Fault> {
        while !self.rest.is_empty() {
            let wanted = record_len(self.version, &self.rest)?.unwrap_or(crate::record::HEADER_LEN);
            let missing = wanted.saturating_sub(self.rest.len());
            let (head, after) = wire.split_at(missing.min(wire.len()));
            if head.is_empty() {
                break;
            }
            self.rest.extend_from_slice(head);
            wire = after;
            if record_len(self.version, &self.rest)?.is_some_and(|len| len == self.rest.len()) {
                let record = std::mem::take(&mut self.rest);
                self.open_record(&record, plain, opened)?;
            }
        }
        Ok(wire)
    }

    fn open_record(&mut self, record: &[u8], plain: &mut Vec<u8>, opened: &mut Opened) -> Result<(), Fault> {
        let start = plain.len();
        let content = self.protection.open(record, plain)?;
        if content != Content::Handshake && !self.late.is_empty() {
            plain.truncate(start);
            return Err(Fault::UnexpectedRecord);
        }
        if content == Content::Data {
            return if plain.len() > start { self.heard_data() } else { self.heard_noise() };
        }
        let message = plain.split_off(start);
        match content {
            Content::Alert => self.alert(&message),
            _ => self.handshake(&message, opened),
        }
    }

    fn heard_data(&mut self) -> Result<(), Fault> {
        self.noise = 0;
        Ok(())
    }

    fn heard_noise(&mut self) -> Result<(), Fault> {
        self.noise += 1;
        if self.noise > MAX_NOISE { Err(Fault::TooMuchNoise) } else { Ok(()) }
    }

    fn alert(&mut self, message: &[u8]) -> Result<(), Fault> {
        const CLOSE_NOTIFY: u8 = 0;
        const USER_CANCELED: u8 = 90;
        const WARNING: u8 = 1;
        match *message {
            [_, CLOSE_NOTIFY] => self.closed = true,
            [_, USER_CANCELED] => self.heard_noise()?,
            [WARNING, _] if self.version == Version::Tls12 => self.heard_noise()?,
            [_, code] => return Err(Fault::PeerAlert(code)),
            _ => return Err(Fault::MalformedRecord),
        }
        Ok(())
    }

    /// Messages after the handshake may share a record or span several.
    fn handshake(&mut self, bytes: &[u8], opened: &mut Opened) -> Result<(), Fault> {
        if self.version == Version::Tls12 {
            return Err(Fault::Renegotiation);
        }
        self.heard_noise()?;
        self.late.extend_from_slice(bytes);
        while let Some(&[kind, high, middle, low]) = self.late.first_chunk::<4>() {
            let len = 4 + usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
            if len > MAX_LATE_HANDSHAKE {
                return Err(Fault::RecordOverflow);
            }
            if self.late.len() < len {
                return Ok(());
            }
            let message: Vec<u8> = self.late.drain(..len).collect();
            self.message(kind, &message[4..], opened)?;
        }
        if self.late.is_empty() {
            self.late = Vec::new();
        }
        Ok(())
    }

    fn message(&mut self, kind: u8, body: &[u8], opened: &mut Opened) -> Result<(), Fault> {
        match (kind, body) {
            (KEY_UPDATE, [requested @ (0 | 1)]) => self.key_update(*requested == 1, opened),
            (KEY_UPDATE, _) => Err(Fault::MalformedRecord),
            // Links out of this server prove their peer afresh each time, so a ticket is of no use.
            (NEW_SESSION_TICKET, _) if !self.is_server => Ok(()),
            _ => Err(Fault::UnexpectedRecord),
        }
    }

    fn key_update(&mut self, requested: bool, opened: &mut Opened) -> Result<(), Fault> {
        // What follows in the same record would be protected by the old key: RFC 8446 section 5.1 forbids it.
        if !self.late.is_empty() {
            return Err(Fault::UnexpectedRecord);
        }
        let next = with_ratchet(&self.ratchet, Ratchet::next_opening)?;
        self.protection = Protection::new(self.version, next)?;
        if requested {
            opened.answer = Some(Answer::KeyUpdate);
        }
        Ok(())
    }
}

/// The half that writes.
///
/// A record is filled in the caller's buffer: [`Sealer::seal`] any number of pieces into one `wire`, then
/// [`Sealer::finish`] with the same `wire`. A batch becomes records of 16 KiB and one shorter one.
pub struct Sealer {
    protection: Protection,
    version: Version,
    /// Where in the caller's buffer the unfinished record begins.
    record_start: Option<usize>,
    /// No more data may follow: said goodbye, failed, or the key is used up.
    ended: bool,
    ratchet: SharedRatchet,
}

impl Sealer {
    /// Appends the protected form of `plain` to `wire`, except for what [`Sealer::finish`] will complete. After the
    /// layer ended nothing is appended.
    pub fn seal(&mut self, mut plain: &[u8], wire: &mut Vec<u8>) {
        while !plain.is_empty() && !self.ended {
            let Some(filled) = self.begin_record(wire) else {
                return;
            };
            let room = MAX_PLAIN - filled;
            let (piece, after) = plain.split_at(room.min(plain.len()));
            wire.extend_from_slice(piece);
            plain = after;
            if piece.len() == room {
                self.finish(wire);
            }
        }
    }

    /// Completes the unfinished record. Nothing is held back afterwards.
    pub fn finish(&mut self, wire: &mut Vec<u8>) {
        if let Some(start) = self.record_start.take() {
            self.seal_record(Content::Data, start, wire);
        }
        if !self.ended && self.protection.is_worn() {
            self.renew(wire);
        }
    }

    /// Whether sealing has come to an end: everything sealed from here on is dropped.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Sends what the opener asked for.
    pub fn answer(&mut self, answer: Answer, wire: &mut Vec<u8>) {
        match answer {
            Answer::KeyUpdate if !self.ended => self.update_key(wire),
            Answer::KeyUpdate => {}
        }
    }

    /// Says goodbye. The layer has ended.
    pub fn close(&mut self, wire: &mut Vec<u8>) {
        const WARNING: u8 = 1;
        const CLOSE_NOTIFY: u8 = 0;
        self.last_words([WARNING, CLOSE_NOTIFY], wire);
    }

    /// Tells the peer the alert of this fault, if it has one. The layer has ended.
    pub fn fail(&mut self, fault: &Fault, wire: &mut Vec<u8>) {
        match fault.alert() {
            Some(code) => self.alert(code, wire),
            None => self.ended = true,
        }
    }

    /// The same by the number of the alert, for callers that keep only [`Fault::alert`].
    pub fn alert(&mut self, code: u8, wire: &mut Vec<u8>) {
        const FATAL: u8 = 2;
        self.last_words([FATAL, code], wire);
    }

    fn last_words(&mut self, alert: [u8; 2], wire: &mut Vec<u8>) {
        if !self.ended {
            self.finish_data(wire);
            self.seal_message(Content::Alert, &alert, wire);
            self.ended = true;
        }
    }

    /// How much plaintext the unfinished record holds; begins one if there is none.
    fn begin_record(&mut self, wire: &mut Vec<u8>) -> Option<usize> {
        let prefix_len = self.protection.prefix_len();
        let start = *self.record_start.get_or_insert_with(|| {
            let start = wire.len();
            wire.resize(start + prefix_len, 0);
            start
        });
        let filled = wire.len().checked_sub(start + prefix_len);
        // The caller changed buffers in the middle of a record: a broken stream is better than plaintext in the open.
        self.ended |= filled.is_none();
        filled
    }

    fn finish_data(&mut self, wire: &mut Vec<u8>) {
        if let Some(start) = self.record_start.take() {
            self.seal_record(Content::Data, start, wire);
        }
    }

    fn seal_message(&mut self, content: Content, message: &[u8], wire: &mut Vec<u8>) {
        let start = wire.len();
        wire.resize(start + self.protection.prefix_len(), 0);
        wire.extend_from_slice(message);
        self.seal_record(content, start, wire);
    }

    fn seal_record(&mut self, content: Content, start: usize, wire: &mut Vec<u8>) {
        if wire.len() < start + self.protection.prefix_len() {
            self.ended = true;
        } else if self.protection.seal(content, start, wire).is_err() {
            // Plaintext must never stay where ciphertext was meant to be.
            wire.truncate(start);
            self.ended = true;
        }
    }

    fn renew(&mut self, wire: &mut Vec<u8>) {
        match self.version {
            Version::Tls13 => self.update_key(wire),
            Version::Tls12 => self.close(wire),
        }
    }

    fn update_key(&mut self, wire: &mut Vec<u8>) {
        const NOT_REQUESTED: u8 = 0;
        self.finish_data(wire);
        self.seal_message(Content::Handshake, &[KEY_UPDATE, 0, 0, 1, NOT_REQUESTED], wire);
        let next = with_ratchet(&self.ratchet, Ratchet::next_sealing);
        match next.and_then(|secrets| Protection::new(self.version, secrets)) {
            Ok(protection) => self.protection = protection,
            Err(_) => self.ended = true,
        }
    }
}

/// Both halves of an established connection.
pub struct Layer {
    /// The half that reads.
    pub opener: Opener,
    /// The half that writes.
    pub sealer: Sealer,
}

impl Layer {
    pub(crate) fn new(
        version: Version,
        is_server: bool,
        secrets: rustls::ExtractedSecrets,
        ratchet: Ratchet,
        rest: Vec<u8>,
    ) -> Result<Self, Fault> {
        let ratchet = Arc::new(Mutex::new(ratchet));
        let opener = Opener {
            protection: Protection::new(version, secrets.rx)?,
            version,
            is_server,
            rest,
            late: Vec::new(),
            noise: 0,
            closed: false,
            ratchet: Arc::clone(&ratchet),
        };
        let protection = Protection::new(version, secrets.tx)?;
        let sealer = Sealer { protection, version, record_start: None, ended: false, ratchet };
        Ok(Self { opener, sealer })
    }

    /// The halves, to be kept apart.
    pub fn split(self) -> (Opener, Sealer) {
        (self.opener, self.sealer)
    }

    /// [`Opener::open`], with its answers and alerts appended to `wire_out`. Says whether the peer said goodbye.
    pub fn open(&mut self, wire_in: &[u8], plain: &mut Vec<u8>, wire_out: &mut Vec<u8>) -> Result<bool, Fault> {
        let opened = self.opener.open(wire_in, plain);
        match &opened {
            Ok(Opened { answer: Some(answer), .. }) => self.sealer.answer(*answer, wire_out),
            Err(fault) => self.sealer.fail(fault, wire_out),
            Ok(_) => {}
        }
        opened.map(|opened| opened.closed)
    }

    /// [`Sealer::seal`].
    pub fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        self.sealer.seal(plain, wire);
    }

    /// [`Sealer::finish`].
    pub fn finish(&mut self, wire: &mut Vec<u8>) {
        self.sealer.finish(wire);
    }

    /// [`Sealer::close`].
    pub fn close(&mut self, wire: &mut Vec<u8>) {
        self.sealer.close(wire);
    }
}

#[cfg(test)]
mod tests;
