//! `nats-server store`: what lies in a store directory, whether it is whole, and its keys, while no server runs.
//!
//! Where the store is and which keys open it stands in the configuration, so no key is ever a word of a command line.

mod checkpoint;
mod overlay;
mod verify;

pub use verify::verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::store::{
    BlockInfo, Context, Damage, Disk, FileSettings, FileStream, Finding, MetaLog, Root, Sealing, StoreError, StreamId,
    open_store, stream_dir,
};
use api::StorageKind;
use disk::{OsEntropy, RealDisk};
use jetstream::KeptStream;
use serde_json::{Value, json};

use self::overlay::Overlay;
use super::words::{Word, Words};
use crate::jetstream::store::{Place, sealing};
use crate::system;

/// What all three are told.
struct Wanted {
    folder: PathBuf,
    sealing: Sealing,
    as_json: bool,
    since: Option<PathBuf>,
    checkpoint: Option<PathBuf>,
}

/// A store that is looked at or worked on.
struct Opened {
    root: Root,
    meta: MetaLog,
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
    while let Some(word) = words.next() {
        match word {
            Word::Option("json", None) => as_json = true,
            Word::Option("c" | "config", given) => file = Some(words.value("c", given)?),
            Word::Option("dir", given) => folder = Some(PathBuf::from(words.value("dir", given)?)),
            Word::Option("since", given) if tool == "verify" => since = Some(words.value("since", given)?.into()),
            Word::Option("checkpoint", given) if tool == "verify" => {
                checkpoint = Some(words.value("checkpoint", given)?.into());
            }
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
    Ok(Wanted { folder, sealing: sealing(&jetstream), as_json, since, checkpoint })
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
        let (root, meta, known) = (opened.root, opened.meta, known.collect());
        let mut store = Opened { root, meta, known, findings: Vec::new(), is_whole: true, torn: 0 };
        store.note(&opened.findings);
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
    fn open_stream(&mut self, id: StreamId) -> Result<(FileStream, Vec<Finding>), String> {
        let opened = FileStream::open(self.context(), &stream_dir(id), id, FileSettings::default(), 1);
        let opened = opened.map_err(|error| shown(&error))?;
        self.note(&opened.findings);
        Ok((opened.stream, opened.findings))
    }

    fn name(&self, id: StreamId) -> String {
        match self.known.get(&id.0) {
            Some(Known { account, stream, .. }) => format!("{account} > {stream}"),
            None => "not in the metadata".to_owned(),
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

/// Shows what lies in the store. Whether there was nothing wrong.
pub fn inspect(words: Words<'_>) -> Result<bool, String> {
    let wanted = wanted("inspect", words)?;
    let mut store = Opened::to_look_at(&wanted)?;
    let mut streams = Vec::new();
    for id in store.streams()? {
        let (mut stream, _) = store.open_stream(id)?;
        let blocks = stream.blocks().map_err(|error| shown(&error))?;
        let aside = store.context().disk.list(&format!("{}/aside", stream_dir(id))).unwrap_or_default().len();
        streams.push((id, stream.state(), blocks, aside));
    }
    let keys: Vec<String> = store.root.keys().iter().map(|key| format!("{key:?}")).collect();
    if wanted.as_json {
        let told: Vec<Value> = streams
            .iter()
            .map(|(id, state, blocks, aside)| {
                let known = store.known.get(&id.0);
                json!({
                    "id": id.0, "account": known.map(|known| &known.account), "name": known.map(|known| &known.stream),
                    "messages": state.messages, "bytes": state.bytes, "first_seq": state.first_seq,
                    "last_seq": state.last_seq, "subjects": state.subjects, "lost": state.lost_messages,
                    "blocks": blocks.iter().map(block).collect::<Vec<_>>(), "kept_aside": aside,
                })
            })
            .collect();
        let all = json!({
            "store": format!("{:?}", store.root.store()), "format": ::store::FORMAT_VERSION, "keys": keys,
            "streams": told, "findings": store.findings, "whole": store.is_whole,
        });
        println!("{all:#}");
        return Ok(store.is_whole);
    }
    println!("Store {:?} in {}, format {}", store.root.store(), wanted.folder.display(), ::store::FORMAT_VERSION);
    match keys.as_slice() {
        [] => println!("Not encrypted"),
        keys => println!("Sealed by key {}", keys.join(" and key ")),
    }
    for (id, state, blocks, aside) in &streams {
        println!(
            "{:016x}  {}: {} messages, {} bytes, {} to {}, {} subjects, {} blocks ({})",
            id.0,
            store.name(*id),
            state.messages,
            state.bytes,
            state.first_seq,
            state.last_seq,
            state.subjects,
            blocks.len(),
            seals(blocks)
        );
        if *aside > 0 {
            println!("                  {aside} files are kept aside");
        }
    }
    store.print_findings();
    Ok(store.is_whole)
}

fn block(block: &BlockInfo) -> Value {
    json!({
        "generation": block.generation, "first_seq": block.first, "last_seq": block.last, "messages": block.messages,
        "message_bytes": block.bytes, "file_bytes": block.len, "cipher": block.cipher.to_string(),
        "key": format!("{:?}", block.key),
    })
}

/// By what blocks are sealed, and how many.
fn seals(blocks: &[BlockInfo]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for block in blocks {
        let by = match block.cipher {
            ::store::Cipher::None => "plain".to_owned(),
            cipher => format!("{cipher} by {:?}", block.key),
        };
        *counts.entry(by).or_default() += 1;
    }
    let told: Vec<String> = counts.into_iter().map(|(by, count)| format!("{count} {by}")).collect();
    told.join(", ")
}

/// Seals everything by the key and cipher of the configuration. Whether all of it is.
pub fn rotate_key(words: Words<'_>) -> Result<bool, String> {
    let wanted = wanted("rotate-key", words)?;
    let mut store = Opened::of(lock(&wanted.folder)?, &wanted.sealing)?;
    let ids = store.streams()?;
    let mut sealed = 0_u64;
    for (at, id) in ids.iter().enumerate() {
        let (mut stream, _) = store.open_stream(*id)?;
        let blocks = stream.blocks_to_reseal().map_err(|error| shown(&error))?;
        for (done, block) in blocks.iter().enumerate() {
            let name = store.name(*id);
            let (at, of, all) = (at + 1, ids.len(), blocks.len());
            progress(&wanted, &format!("stream {at} of {of}, {name}: block {} of {all}", done + 1));
            stream.reseal(*block).map_err(|error| shown(&error))?;
            sealed += 1;
        }
        store.note(&stream.take_findings());
    }
    end_progress(&wanted);
    if store.meta.needs_reseal() {
        store.meta.reseal().map_err(|error| shown(&error))?;
    }
    store.root.only_present_key().map_err(|error| shown(&error))?;
    let key = store.root.keys().first().map(|key| format!("{key:?}"));
    if wanted.as_json {
        let all = json!({ "blocks": sealed, "streams": ids.len(), "key": key, "findings": store.findings });
        println!("{all:#}");
        return Ok(store.is_whole);
    }
    store.print_findings();
    match key {
        Some(key) => println!("{sealed} blocks of {} streams were sealed anew; key {key} opens the store", ids.len()),
        None => println!("{sealed} blocks of {} streams were written anew; the store is not encrypted", ids.len()),
    }
    Ok(store.is_whole)
}
