//! What the scenes share: a store on a crash disk.

use bulwark_store::*;
use moment::Timestamp;
use std::sync::Arc;
use testkit::{CrashDisk, SeededEntropy};

pub(crate) const DIR: &str = "streams/0000000000000001";

pub(crate) fn sealing(cipher: Cipher) -> Sealing {
    Sealing { cipher, key: Some("the server key".into()), previous_key: None }
}

pub(crate) fn root(disk: &CrashDisk, cipher: Cipher, seed: u64) -> Root {
    open_root(disk, &sealing(cipher), seed).expect("the store opens")
}

pub(crate) fn open_root(disk: &CrashDisk, sealing: &Sealing, seed: u64) -> Result<Root, StoreError> {
    let opened = Root::open(Arc::new(disk.clone()), Arc::new(SeededEntropy::new(seed)), sealing)?;
    Ok(opened.root)
}

pub(crate) fn small() -> FileSettings {
    FileSettings { block_bytes: 12 * 1024, ..FileSettings::default() }
}

pub(crate) fn create(disk: &CrashDisk, cipher: Cipher) -> FileStream {
    let root = root(disk, cipher, 1);
    FileStream::create(root.context(), DIR, StreamId(1), small(), 1).expect("a fresh directory")
}

/// Opens, and reads what opening left for later, as a server does.
pub(crate) fn open(disk: &CrashDisk, cipher: Cipher) -> Opened {
    let mut opened = open_only(disk, cipher);
    while opened.stream.examine_next().expect("the disk works") {}
    opened.findings.extend(opened.stream.take_findings());
    opened
}

pub(crate) fn open_only(disk: &CrashDisk, cipher: Cipher) -> Opened {
    let root = root(disk, cipher, disk.operations() + 77);
    FileStream::open(root.context(), DIR, StreamId(1), small(), 1).expect("the stream opens")
}

/// Opens, and nothing was the matter.
pub(crate) fn open_clean(disk: &CrashDisk, cipher: Cipher) -> FileStream {
    let opened = open(disk, cipher);
    assert_eq!(opened.findings, []);
    opened.stream
}

pub(crate) fn stage(stream: &mut FileStream, subject: &str, payload: &[u8]) -> u64 {
    let time = Timestamp::from_secs(stream.state().last_seq as i64);
    stream.stage(&Draft { subject: subject.as_bytes(), headers: b"", payload, time }).expect("not poisoned")
}

pub(crate) fn fill(stream: &mut FileStream, count: u64) {
    for n in 0..count {
        stage(stream, &format!("s.{}", n % 7), format!("payload {n} {}", "x".repeat(100)).as_bytes());
        if n % 5 == 4 {
            stream.commit().expect("the disk works");
        }
    }
    stream.commit().expect("the disk works");
}

pub(crate) fn live(stream: &mut FileStream) -> Vec<u64> {
    let state = stream.state();
    (state.first_seq..=state.last_seq).filter(|&seq| stream.load(seq).expect("the disk works").is_some()).collect()
}

/// Block files of the stream, oldest first.
pub(crate) fn blocks(disk: &CrashDisk) -> Vec<String> {
    let in_stream = |path: &String| path.starts_with(DIR) && path.ends_with(".blk");
    disk.files().into_iter().filter(in_stream).collect()
}
