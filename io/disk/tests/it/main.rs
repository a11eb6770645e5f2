//! The store on real files.

use bulwark_disk::{OpenError, OsEntropy, RealDisk};
use moment::Timestamp;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use store::*;

fn sealing() -> Sealing {
    Sealing { cipher: Cipher::Aes, key: Some("k".into()), ..Sealing::default() }
}

fn root(disk: RealDisk) -> Root {
    Root::open(Arc::new(disk), Arc::new(OsEntropy), &sealing()).expect("opens").root
}

#[test]
fn two_servers_can_not_share_a_directory_and_the_lock_goes_with_its_holder() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = RealDisk::open(dir.path()).expect("free");
    assert!(matches!(RealDisk::open(dir.path()), Err(OpenError::InUse(path)) if path == dir.path()));
    drop(first);
    RealDisk::open(dir.path()).expect("free again");
}

#[test]
fn nothing_leads_out_of_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::open(dir.path()).expect("free");
    for path in ["../x", "a/../../x", "/etc/x", "./x"] {
        assert_eq!(disk.create(path).err().map(|error| error.kind()), Some(std::io::ErrorKind::InvalidInput), "{path}");
    }
}

#[test]
fn a_sealed_stream_survives_a_restart_and_is_for_its_owner_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = stream_dir(StreamId(1));
    let state = {
        let root = root(RealDisk::open(dir.path()).expect("free"));
        let mut stream =
            FileStream::create(root.context(), &path, StreamId(1), FileSettings::default(), 1).expect("fresh");
        for n in 0..1000_i64 {
            let time = Timestamp::from_nanos(n);
            let draft = Draft { subject: b"canary.subject", headers: b"", payload: b"canary payload", time };
            stream.stage(&draft).expect("staged");
        }
        stream.commit().expect("durable");
        stream.erase(500).expect("erased");
        stream.state()
    };
    let root = root(RealDisk::open(dir.path()).expect("free again"));
    let opened = FileStream::open(root.context(), &path, StreamId(1), FileSettings::default(), 1).expect("opens");
    assert_eq!((opened.findings, opened.stream.state()), (vec![], state));
    let mut files = 0;
    for entry in walk(dir.path()) {
        let mode = std::fs::metadata(&entry).expect("there").permissions().mode() & 0o777;
        if entry.is_dir() {
            assert_eq!(mode, 0o700, "{}", entry.display());
            continue;
        }
        files += 1;
        assert_eq!(mode, 0o600, "{}", entry.display());
        let bytes = std::fs::read(&entry).expect("readable");
        assert!(!bytes.windows(6).any(|window| window == b"canary"), "{}", entry.display());
    }
    assert!(files >= 3);
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}
