//! `nats-server store verify`: does everything open, and is it what it was at a checkpoint.
//!
//! One stream that can not be opened does not keep the others from being looked at. What a crash explains is told and is no
//! damage, unless a checkpoint says that it was there.

use std::path::Path;

use ::store::{StoreError, StreamId};
use jetstream_host::half_gone;
use serde_json::json;

use super::checkpoint::{Checkpoint, StreamMark};
use super::{Opened, Wanted, end_progress, progress, shown, wanted};
use crate::system;
use crate::tools::words::Words;

/// What was counted and compared on the way.
#[derive(Default)]
struct Seen {
    streams: usize,
    messages: u64,
    bytes: u64,
    marks: Vec<StreamMark>,
    differences: Vec<String>,
}

/// Opens everything and names what does not open. Whether all is whole.
pub fn verify(words: Words<'_>) -> Result<bool, String> {
    let wanted = wanted("verify", words)?;
    let before = wanted.since.as_deref().map(read_checkpoint).transpose()?;
    let mut store = Opened::to_look_at(&wanted)?;
    let ids = store.streams()?;
    let mut seen = Seen { streams: ids.len(), ..Seen::default() };
    name_what_is_amiss(&mut store, &ids)?;
    for (at, &id) in ids.iter().enumerate() {
        progress(&wanted, &format!("stream {} of {}: {}", at + 1, ids.len(), store.name(id)));
        let mark = before.as_ref().and_then(|before| before.streams.iter().find(|mark| mark.id == id.0));
        if let Err(error) = look_into(&mut store, id, mark, wanted.checkpoint.is_some(), &mut seen) {
            let text = format!("stream {}: {}", id.0, store.told(&error));
            store.damaged(text);
        }
    }
    end_progress(&wanted);
    if let Some(before) = &before {
        seen.differences.extend(whole_differences(before, &store, &ids));
    }
    if let Some(path) = &wanted.checkpoint {
        let checkpoint = Checkpoint {
            store: format!("{:?}", store.root.store()),
            made: system::wall().to_string(),
            metadata: store.meta.generation(),
            streams: std::mem::take(&mut seen.marks),
        };
        std::fs::write(path, checkpoint.write()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(tell(&wanted, &store, &ids, &seen))
}

/// Directories that should be there, and directories that nobody knows.
fn name_what_is_amiss(store: &mut Opened, ids: &[StreamId]) -> Result<(), String> {
    let absent: Vec<StreamId> = store
        .known
        .iter()
        .filter(|(id, known)| known.is_on_disk && !ids.contains(&StreamId(**id)))
        .map(|(id, _)| StreamId(*id))
        .collect();
    for id in absent {
        store.damaged(format!("stream {} ({}): its directory is missing, with all its messages", id.0, store.name(id)));
    }
    let going = half_gone(&store.meta);
    for &id in ids.iter().filter(|id| !going.contains(&id.0)) {
        // A crash may leave the directory of a stream that was being made, without any block.
        if !store.known.contains_key(&id.0) && store.root.has_blocks(id).map_err(|error| shown(&error))? {
            store.damaged(format!("stream {}: the metadata does not know it", id.0));
        }
    }
    Ok(())
}

fn look_into(
    store: &mut Opened,
    id: StreamId,
    before: Option<&StreamMark>,
    is_marked: bool,
    seen: &mut Seen,
) -> Result<(), StoreError> {
    let (mut stream, mut findings) = store.open_stream(id)?;
    let unread = stream.examine();
    let noticed = stream.take_findings();
    store.note(&noticed);
    findings.extend(noticed);
    unread.iter().for_each(|error| store.damaged(format!("stream {}: {error}", id.0)));
    seen.messages += stream.state().messages;
    seen.bytes += stream.state().bytes;
    let compared = before.map(|mark| mark.differences(&mut stream, &findings)).transpose();
    seen.differences.extend(compared?.into_iter().flatten());
    if is_marked {
        seen.marks.push(StreamMark::of(&mut stream)?);
    }
    Ok(())
}

fn tell(wanted: &Wanted, store: &Opened, ids: &[StreamId], seen: &Seen) -> bool {
    let is_whole = store.is_whole && seen.differences.is_empty();
    if wanted.as_json {
        // Streams in memory have no directory.
        let without_files: Vec<u64> = store.known.keys().filter(|id| !ids.contains(&StreamId(**id))).copied().collect();
        let all = json!({
            "store": format!("{:?}", store.root.store()), "streams": seen.streams, "messages": seen.messages,
            "bytes": seen.bytes, "findings": store.findings, "since_checkpoint": seen.differences,
            "without_files": without_files, "torn": store.torn, "whole": is_whole,
            "account_keys": store.keyring.in_use().count(), "missing_keys": store.keyring.all_lost().count(),
        });
        println!("{all:#}");
        return is_whole;
    }
    store.print_findings();
    seen.differences.iter().for_each(|difference| println!("{difference}"));
    let verdict = match (is_whole, store.torn, wanted.since.is_some()) {
        (false, ..) => "The store is NOT whole".to_owned(),
        (true, 0, _) => "The store is whole".to_owned(),
        (true, torn, true) => {
            format!("The store is whole, but for {torn} writes that were cut off since the checkpoint")
        }
        (true, torn, false) => {
            format!(
                "The store is whole, but for {torn} writes that were cut off, by a crash or by somebody (--since tells)"
            )
        }
    };
    println!("{verdict}: {} streams in files, {} messages, {} bytes", seen.streams, seen.messages, seen.bytes);
    let (keys, lost) = (store.keyring.in_use().count(), store.keyring.all_lost().count());
    if keys + lost > 0 {
        println!("{keys} accounts have keys of their own; {lost} need keys that are not there");
    }
    is_whole
}

fn read_checkpoint(path: &Path) -> Result<Checkpoint, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Checkpoint::read(&text).ok_or_else(|| format!("{} is no checkpoint", path.display()))
}

/// What differs in the store as a whole.
fn whole_differences(before: &Checkpoint, store: &Opened, ids: &[StreamId]) -> Vec<String> {
    let mut found = Vec::new();
    if before.store != format!("{:?}", store.root.store()) {
        found.push(format!("this is another store than that of the checkpoint of {}", before.made));
    }
    if store.meta.generation() < before.metadata {
        found.push("the metadata is from before the checkpoint".to_owned());
    }
    for mark in before.streams.iter().filter(|mark| !ids.contains(&StreamId(mark.id))) {
        found.push(format!("stream {:016x} is gone: it was deleted since the checkpoint, or lost", mark.id));
    }
    found
}
