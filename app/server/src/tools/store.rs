//! `nats-server store`: what lies in a store directory, whether it is whole, and its keys, while no server runs.
//!
//! Where the store is and which keys open it stands in the configuration, so no key is ever a word of a command line.

mod checkpoint;
mod destroy;
mod inspect;
mod overlay;
mod rotate;
mod verify;

pub use destroy::destroy_key;
pub use inspect::inspect;
pub use rotate::rotate_key;
pub use verify::verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::store::{
    Context, Damage, Destroyed, Disk, FileSettings, FileStream, Finding, KeyNo, Keyring, MetaLog, Root, Sealing,
    StoreError, StreamId, open_store, stream_dir,
};
use api::StorageKind;
use disk::{OsEntropy, RealDisk};
use jetstream::KeptStream;

use self::overlay::Overlay;
use super::words::{Word, Words};
use crate::jetstream::store::{Place, sealing};
use crate::system;

/// What all of them are told.
struct Wanted {
    folder: PathBuf,
    sealing: Sealing,
    as_json: bool,
    since: Option<PathBuf>,
    checkpoint: Option<PathBuf>,
    account: Option<String>,
    is_sure: bool,
}

/// A store that is looked at or worked on.
struct Opened {
    root: Root,
    meta: MetaLog,
    /// Keys of accounts.
    keyring: Keyring,
    /// Streams of the metadata by number.
    known: BTreeMap<u64, Known>,
    findings: Vec<String>,
    /// Whether nothing was found that a crash does not explain.
    is_whole: bool,
    /// Writes that were cut off, which a crash explains.
    torn: usize,
}

/// What the metadata says of a stream.
struct Known {
    account: String,
    stream: String,
    is_on_disk: bool,
}

fn wanted(tool: &str, mut words: Words<'_>) -> Result<Wanted, String> {
    let (mut file, mut folder, mut as_json, mut since, mut checkpoint) = (None, None, false, None, None);
    let (mut account, mut is_sure) = (None, false);
    while let Some(word) = words.next() {
        match word {
            Word::Option("json", None) => as_json = true,
            Word::Option("c" | "config", given) => file = Some(words.value("c", given)?),
            Word::Option("dir", given) => folder = Some(PathBuf::from(words.value("dir", given)?)),
            Word::Option("since", given) if tool == "verify" => since = Some(words.value("since", given)?.into()),
            Word::Option("checkpoint", given) if tool == "verify" => {
                checkpoint = Some(words.value("checkpoint", given)?.into());
            }
            Word::Option("account", given) if tool == "destroy-key" => {
                account = Some(words.value("account", given)?.to_owned());
            }
            Word::Option("f" | "force", None) if tool == "destroy-key" => is_sure = true,
            Word::Option(name, _) => return Err(format!("store {tool} has no option --{name}")),
            Word::Plain(word) => return Err(format!("store {tool} does not know what to do with {word:?}")),
        }
    }
    let file = file.ok_or_else(|| format!("store {tool} needs the configuration that names the store: -c FILE"))?;
    let jetstream = super::settings(file)?.jetstream;
    let folder = folder.unwrap_or_else(|| Place::of(&jetstream).folder);
    if !folder.join("store").exists() && !folder.join("meta").exists() {
        return Err(format!("there is no store in {}", folder.display()));
    }
    Ok(Wanted { folder, sealing: sealing(&jetstream), as_json, since, checkpoint, account, is_sure })
}

fn shown(error: &StoreError) -> String {
    error.to_string()
}

impl Opened {
    fn of(disk: Arc<dyn Disk>, sealing: &Sealing) -> Result<Opened, String> {
        let opened = open_store(disk, Arc::new(OsEntropy), sealing).map_err(|error| shown(&error))?;
        let (kept, wrong) = KeptStream::read_all(opened.meta.range(&[]));
        let known = kept.into_iter().map(|(account, kept)| {
            let is_on_disk = kept.config.storage != StorageKind::Memory;
            (kept.id, Known { account, stream: kept.config.name, is_on_disk })
        });
        let (root, meta, keyring, known) = (opened.root, opened.meta, opened.keyring, known.collect());
        let mut store = Opened { root, meta, keyring, known, findings: Vec::new(), is_whole: true, torn: 0 };
        store.note(&opened.findings);
        store.findings.extend(opened.destroyed.iter().map(|Destroyed { account, streams, .. }| {
            format!("the key of account {account} was to be destroyed, and is, with {streams} streams")
        }));
        wrong.into_iter().for_each(|what| store.damaged(format!("metadata of {what} makes no sense")));
        Ok(store)
    }

    /// For whoever only looks: nothing on the disk changes.
    fn to_look_at(wanted: &Wanted) -> Result<Opened, String> {
        Opened::of(Arc::new(Overlay::over(lock(&wanted.folder)?)), &wanted.sealing)
    }

    fn note(&mut self, findings: &[Finding]) {
        for finding in findings {
            match finding.what {
                Damage::TornTail => self.torn += 1,
                _ => self.is_whole = false,
            }
            self.findings.push(finding.to_string());
        }
    }

    /// Something that no crash explains.
    fn damaged(&mut self, what: String) {
        self.is_whole = false;
        self.findings.push(what);
    }

    fn context(&self) -> Context {
        self.root.context()
    }

    /// Streams with a directory, and those that the metadata knows.
    fn streams(&self) -> Result<Vec<StreamId>, String> {
        self.root.stream_ids().map_err(|error| shown(&error))
    }

    /// A stream, and what was found when it was opened, which is noted already.
    fn open_stream(&mut self, id: StreamId) -> Result<(FileStream, Vec<Finding>), StoreError> {
        let context = self.context().of_account(self.account_key(id)?);
        let opened = FileStream::open(context, &stream_dir(id), id, FileSettings::default(), 1)?;
        self.note(&opened.findings);
        Ok((opened.stream, opened.findings))
    }

    /// The key of an account that what is written into a stream takes. One that nobody knows stays with the one it has.
    fn account_key(&self, id: StreamId) -> Result<Option<KeyNo>, StoreError> {
        if !self.context().vault.draws_account_keys() {
            return Ok(None);
        }
        match self.known.get(&id.0) {
            Some(known) => Ok(self.keyring.of(&known.account)),
            None => Ok(self.root.account_keys_in(id)?.into_iter().next()),
        }
    }

    fn name(&self, id: StreamId) -> String {
        match self.known.get(&id.0) {
            Some(Known { account, stream, .. }) => format!("{account} > {stream}"),
            None => "not in the metadata".to_owned(),
        }
    }

    /// An error as people read it: whose key it is that is not there.
    fn told(&self, error: &StoreError) -> String {
        let StoreError::NoAccountKey { needed, .. } = error else { return shown(error) };
        match self.keyring.account_of(*needed) {
            Some(account) if self.keyring.lost(account) == Some(*needed) => {
                format!("{error}: it is that of account {account}, and its file keys/{needed}.key is needed")
            }
            Some(account) => format!("{error}: it was that of account {account}, and was destroyed"),
            None => shown(error),
        }
    }

    fn print_findings(&self) {
        self.findings.iter().for_each(|finding| println!("{finding}"));
    }
}

fn lock(folder: &Path) -> Result<Arc<dyn Disk>, String> {
    Ok(Arc::new(RealDisk::open(folder).map_err(|error| error.to_string())?))
}

/// One line that is written over, for people who wait.
fn progress(wanted: &Wanted, text: &str) {
    if !wanted.as_json && system::is_terminal() {
        eprint!("\r\u{1b}[K{text}");
    }
}

fn end_progress(wanted: &Wanted) {
    progress(wanted, "");
}
