//! Streams on their way out of a server and into one.
//!
//! A stream travels as an [`archive`]: its state, its consumers, its messages, one entry each. The archive is compressed in
//! [`frames`] and cut into pieces, which a client acknowledges.

pub(crate) mod archive;
pub(crate) mod consumer_state;
pub(crate) mod frames;
mod highway;
pub(crate) mod old;
pub(crate) mod restoring;
pub(crate) mod sending;

/// What the fuzzer unpacks of one archive.
const MAX_FUZZED_BYTES: usize = 128 * 1024 * 1024;

/// Any bytes as the pieces of an archive: for the fuzzer. One chunk is unpacked at a time, to 4 MiB at most, and read before the
/// next.
pub fn fuzz_restore(bytes: &[u8]) {
    let (mut frames, mut archive) = (frames::Decoder::default(), archive::Reader::default());
    let mut old = old::Reader::default();
    old.push(bytes);
    let mut unpacked = 0;
    while let Ok(Some(item)) = old.next(&mut unpacked) {
        if item == old::Item::End {
            break;
        }
    }
    for piece in bytes.chunks(bytes.len() / 3 + 1) {
        frames.push(piece);
        loop {
            let plain = match frames.next(MAX_FUZZED_BYTES.saturating_sub(unpacked)) {
                Ok(Some(plain)) => plain,
                Ok(None) => break,
                Err(_) => return,
            };
            unpacked += plain.len();
            archive.push(&plain);
            while let Ok(Some(entry)) = archive.next() {
                let _ = consumer_state::read(&entry.payload);
                let _ = restoring::read_state(&entry.payload);
            }
        }
    }
}
