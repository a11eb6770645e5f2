//! Any bytes where the store reads files: for the fuzzer.

use crate::account_keys;
use crate::disk::Entropy;
use crate::frame::{self, Piece};
use crate::header;
use crate::index::{Entry, Scanned};
use crate::record::{self, Message, Record};
use crate::seal::{Form, Place, Sealing, StoreId, StreamId, Vault};
use crate::sheet;

/// A generation's key, the same each time.
struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, into: &mut [u8]) {
        into.fill(7);
    }
}

/// Any bytes as one record that opened, as the head of a file, and as what is kept of the key of an account. What is
/// understood is written the same.
///
/// # Panics
/// If it is not.
pub fn fuzz_record(bytes: &[u8]) {
    let _ = header::read(bytes);
    account_keys::any(bytes);
    if let Some(message) = Message::from_record(bytes.to_vec(), 0, bytes.len()) {
        let _ = message.unpacked();
    }
    let Some(decoded) = record::decode(bytes) else { return };
    if matches!(decoded.record, Record::Message(_)) {
        return;
    }
    let mut written = Vec::new();
    record::put(&mut written, 0, &decoded.record);
    let again = record::decode(&written).expect("what was written can be read");
    assert_eq!(again.record, decoded.record);
}

/// Any bytes as a block, whole, in frames and in sheets, and as what a sheet holds; and pieces of them as records of a sound
/// block, which must be found again, one by one, even if a byte between them is wrong.
///
/// # Panics
/// If they are not.
pub fn fuzz_block(bytes: &[u8]) {
    let vault = Vault::new(StoreId([1; 16]), &Sealing::default()).expect("nothing is encrypted");
    let place = Place { store: vault.store(), stream: StreamId(1), generation: 1 };
    let (seal, _) = vault.new_block(place, Form::Brief, None, &Fixed).expect("nothing is encrypted");
    let mut scanned = Scanned::default();
    frame::scan(&seal, bytes, 0, |piece| scanned.take(piece));
    assert!(scanned.end <= bytes.len() as u64);
    fuzz_sheets(&vault, place, bytes);

    let (mut file, mut bodies, mut rest, mut starts) = (Vec::new(), Vec::new(), bytes, Vec::new());
    while let Some((&len, after)) = rest.split_first() {
        let (body, after) = after.split_at(usize::from(len).min(after.len()));
        starts.push(file.len());
        frame::append(&seal, file.len() as u64, &mut file, |out| out.extend_from_slice(body));
        bodies.push(body);
        rest = after;
    }
    assert_eq!(found(&seal, &file), bodies);
    let mut scanned = Scanned::default();
    frame::scan(&seal, &file, 0, |piece| scanned.take(piece));
    scanned.messages().for_each(|message| drop(scanned.subject(message).to_vec()));
    // One record damaged costs that record.
    if let Some(&start) = starts.get(starts.len() / 2) {
        file[start + frame::FRAME_HEAD] ^= 1;
        bodies.remove(starts.len() / 2);
        assert_eq!(found(&seal, &file), bodies);
    }
}

/// What is in a sheet was sealed by whoever has the key; where nothing is encrypted, by anybody.
fn fuzz_sheets(vault: &Vault, place: Place, bytes: &[u8]) {
    let (seal, _) = vault.new_block(place, Form::Sheets, None, &Fixed).expect("nothing is encrypted");
    frame::scan(&seal, bytes, 0, |_| ());
    let Some((&records, inside)) = bytes.split_first() else { return };
    let mut scanned = Scanned::default();
    let forged = sheet::forged(&seal, records.into(), inside);
    frame::scan(&seal, &forged, 0, |piece| scanned.take(piece));
    for message in scanned.messages() {
        let entry = Entry::new(0, &message.laid, 0);
        assert_eq!(entry.laid(), message.laid);
    }
}

fn found(seal: &crate::seal::BlockSeal, file: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    frame::scan(seal, file, 0, |piece| {
        if let Piece::Record { body, .. } = piece {
            found.push(body.to_vec());
        }
    });
    found
}
