//! What the scenes share: a store on a crash disk.

use bulwark_store::*;
use moment::Timestamp;
use std::sync::Arc;
use testkit::{CrashDisk, SeededEntropy};

pub(crate) const DIR: &str = "streams/0000000000000001";

pub(crate) fn sealing(cipher: Cipher) -> Sealing {
    Sealing { cipher, key: Some("the server key".into()), ..Sealing::default() }
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

/// Messages of one commit of [`fill`].
pub(crate) const COMMITTED: u64 = 5;

/// How many messages of [`fill`] share their fate: encrypted ones are sealed by the sheet, which ends with its write.
pub(crate) fn sealed_together(cipher: Cipher) -> usize {
    if cipher == Cipher::None { 1 } else { COMMITTED as usize }
}

pub(crate) fn fill(stream: &mut FileStream, count: u64) {
    for n in 0..count {
        stage(stream, &format!("s.{}", n % 7), format!("payload {n} {}", "x".repeat(100)).as_bytes());
        if n % COMMITTED == COMMITTED - 1 {
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

/// A store of accounts, each with a key of its own: streams by account, and what the metadata says of them.
pub(crate) struct Tenants {
    pub disk: CrashDisk,
    pub root: Root,
    pub meta: MetaLog,
    pub keyring: Keyring,
    pub findings: Vec<Finding>,
    pub destroyed: Vec<Destroyed>,
}

pub(crate) fn with_account_keys(cipher: Cipher) -> Sealing {
    Sealing { account_keys: true, ..sealing(cipher) }
}

pub(crate) fn entry(account: &str, name: &str) -> Vec<u8> {
    format!("s\0{account}\0{name}").into_bytes()
}

impl Tenants {
    pub(crate) fn open(disk: &CrashDisk, sealing: &Sealing) -> Result<Tenants, StoreError> {
        let entropy = Arc::new(SeededEntropy::new(disk.operations() + 1000));
        let StoreOpened { root, meta, keyring, destroyed, findings, .. } =
            open_store(Arc::new(disk.clone()), entropy, sealing)?;
        Ok(Tenants { disk: disk.clone(), root, meta, keyring, findings, destroyed })
    }

    /// Two accounts with one stream each, of twenty messages.
    pub(crate) fn furnished(disk: &CrashDisk, cipher: Cipher) -> Tenants {
        let mut tenants = Tenants::open(disk, &with_account_keys(cipher)).expect("opens");
        for (account, id) in [("ACME", 1), ("OTHER", 2)] {
            tenants.add(account, id).expect("works");
        }
        tenants
    }

    pub(crate) fn add(&mut self, account: &str, id: u64) -> Result<(), StoreError> {
        let context = self.root.context();
        let key = self.keyring.draw(&context, &mut self.meta, account)?;
        self.meta.put_for(Some(key), &entry(account, &format!("planted-{id}")), &id.to_le_bytes())?;
        self.meta.commit()?;
        let (id, dir) = (StreamId(id), stream_dir(StreamId(id)));
        let mut stream = FileStream::create(context.of_account(Some(key)), &dir, id, small(), 1)?;
        for n in 0..20_u8 {
            let time = Timestamp::from_secs(n.into());
            let draft = Draft { subject: b"planted.subject", headers: b"", payload: &[n; 1000], time };
            stream.stage(&draft)?;
        }
        stream.commit()?;
        stream.close()
    }

    /// A stream, under the key of its account if that has one.
    pub(crate) fn stream(&self, id: u64, account: &str) -> Result<FileStream, StoreError> {
        let context = self.root.context().of_account(self.keyring.of(account));
        let opened = FileStream::open(context, &stream_dir(StreamId(id)), StreamId(id), small(), 1)?;
        assert_eq!(opened.findings, []);
        Ok(opened.stream)
    }

    /// Nothing of the account is missing.
    pub(crate) fn assert_whole(&self, account: &str, id: u64) {
        assert_eq!(self.meta.get(&entry(account, &format!("planted-{id}"))), Some(&id.to_le_bytes()[..]), "{account}");
        let mut stream = self.stream(id, account).expect("opens");
        for seq in 1..=20 {
            let message = stream.load(seq).expect("reads").expect("is there");
            assert_eq!(message.payload(), [seq as u8 - 1; 1000], "{account}");
        }
    }

    pub(crate) fn destroy(&mut self, account: &str, id: u64) -> Result<u64, StoreError> {
        let going = (vec![StreamId(id)], vec![entry(account, "")]);
        let at = Timestamp::from_secs(77);
        let begun = self.keyring.begin_destroying((&self.root, &mut self.meta), account, going, at)?;
        let Some(key) = begun else { return Ok(0) };
        self.keyring.finish(&mut self.root, &mut self.meta, key)
    }

    /// What there is, by number and account.
    pub(crate) fn key_path(&self, account: &str) -> String {
        format!("keys/{}.key", self.keyring.of(account).expect("it has one"))
    }
}
