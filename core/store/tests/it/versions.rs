//! Stores that earlier versions of the format left.

use crate::house::*;
use bulwark_store::*;
use moment::Timestamp;
use std::fs;
use std::path::Path;
use testkit::CrashDisk;

/// What there is of earlier versions, each the last to write with this cipher as it did.
const EARLIER: [(u8, Cipher); 4] = [(2, Cipher::None), (2, Cipher::Aes), (3, Cipher::Aes), (3, Cipher::ChaChaPoly)];

/// `tests/data/version-VERSION-CIPHER`: forty messages in two blocks, every third with headers, their payloads compressed; the
/// seventh and the twentieth are removed.
pub(crate) fn stored(version: u8, cipher: Cipher) -> CrashDisk {
    let disk = CrashDisk::new(3);
    let root = format!("{}/tests/data/version-{version}-{cipher}", env!("CARGO_MANIFEST_DIR"));
    plant(&disk, Path::new(&root), "");
    disk
}

fn plant(disk: &CrashDisk, dir: &Path, path: &str) {
    for entry in fs::read_dir(dir).expect("the files are there").map(|entry| entry.expect("a file")) {
        let name = entry.file_name().into_string().expect("plain names");
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        match entry.path() {
            file if file.is_file() => disk.plant(&path, &fs::read(file).expect("a file")),
            dir => {
                disk.create_dir(&path).expect("works");
                plant(disk, &dir, &path);
            }
        }
    }
}

fn has_headers(seq: u64) -> bool {
    seq.is_multiple_of(3)
}

pub(crate) fn check(stream: &mut FileStream) {
    for seq in (1..=40).filter(|seq| ![7, 20].contains(seq)) {
        let message = stream.load(seq).expect("reads").expect("is there");
        let payload = format!("payload {seq} {}", "abc".repeat(seq as usize));
        let headers: &[u8] = if has_headers(seq) { b"NATS/1.0\r\nA: b\r\n\r\n" } else { b"" };
        assert_eq!((message.subject(), message.headers()), (format!("s.{}", seq % 7).as_bytes(), headers), "{seq}");
        assert_eq!(
            (message.payload(), message.time()),
            (payload.as_bytes(), Timestamp::from_secs(seq as i64)),
            "{seq}"
        );
        let looked = stream.look_at(seq).expect("reads").expect("is there");
        assert_eq!((looked.payload, looked.headers), (payload.as_bytes(), headers));
    }
    assert!([7, 20].iter().all(|&seq| stream.load(seq).expect("reads").is_none()));
}

#[test]
fn blocks_of_earlier_versions_are_read_by_their_tables_and_as_a_whole() {
    for (version, cipher) in EARLIER {
        let disk = stored(version, cipher);
        let mut stream = open_clean(&disk, cipher);
        let state = stream.state();
        assert_eq!((state.messages, state.first_seq, state.last_seq, state.subjects), (38, 1, 40, 7));
        check(&mut stream);
        let sizes: u64 =
            (1..=40).filter_map(|seq| Some(stream.load(seq).expect("reads")?.subject().len() as u64)).sum();
        assert!(state.bytes > sizes, "{state:?}");
        for path in blocks(&disk) {
            assert_eq!(disk.bytes(&path)[8], version, "reading leaves a block what it is");
        }
    }
}

#[test]
fn blocks_of_all_versions_stand_beside_each_other_and_are_rewritten_as_new_ones() {
    for (version, cipher) in EARLIER {
        let disk = stored(version, cipher);
        let bytes = {
            let mut stream = open_clean(&disk, cipher);
            fill(&mut stream, 200);
            check(&mut stream);
            stream.state().bytes
        };
        let mut stream = open_clean(&disk.kill(), cipher);
        assert_eq!((stream.state().bytes, stream.state().last_seq), (bytes, 240));
        check(&mut stream);
        // An erase rewrites the block it is in.
        assert!(stream.erase(20).is_ok_and(|erased| !erased) && stream.erase(2).expect("works"));
        assert!(stream.load(2).expect("reads").is_none());
        let third = stream.load(3).expect("reads").expect("is there");
        assert_eq!(third.payload(), b"payload 3 abcabcabc");
    }
}

#[test]
fn a_block_of_an_earlier_version_under_another_key_is_still_one() {
    for (version, cipher) in EARLIER.into_iter().filter(|(_, cipher)| *cipher != Cipher::None) {
        let disk = stored(version, cipher);
        let rotating =
            Sealing { key: Some("another".into()), previous_key: Some("the server key".into()), ..sealing(cipher) };
        let root = open_root(&disk, &rotating, 5).expect("opens");
        let mut stream = FileStream::open(root.context(), DIR, StreamId(1), small(), 1).expect("opens").stream;
        for block in stream.blocks_to_reseal().expect("works") {
            assert!(stream.reseal(block).expect("works"));
        }
        check(&mut stream);
        drop(stream);
        assert!(blocks(&disk).iter().all(|path| disk.bytes(path)[8] == version));
        let after = Sealing { key: Some("another".into()), ..sealing(cipher) };
        let root = open_root(&disk.kill(), &after, 6).expect("opens");
        let opened = FileStream::open(root.context(), DIR, StreamId(1), small(), 1).expect("opens");
        assert_eq!(opened.findings, []);
        let mut stream = opened.stream;
        check(&mut stream);
    }
}

#[test]
fn only_what_is_encrypted_is_written_in_the_newest_version() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        fill(&mut create(&disk, cipher), 50);
        let version = if cipher == Cipher::None { 3 } else { 5 };
        assert!(blocks(&disk).iter().all(|path| disk.bytes(path)[8] == version), "{cipher}");
    }
}
