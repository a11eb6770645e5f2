//! `nats-server store inspect`: which streams, blocks and keys there are.

use std::collections::BTreeMap;

use ::store::{BlockInfo, Destroyed, State, StoreError, StreamId, stream_dir};
use serde_json::{Value, json};

use super::{Opened, Wanted, shown, wanted};
use crate::tools::words::Words;

/// A stream that was looked at.
struct Looked {
    id: StreamId,
    state: State,
    blocks: Vec<BlockInfo>,
    /// Files that are kept aside.
    aside: usize,
}

/// Shows what lies in the store. Whether there was nothing wrong.
pub fn inspect(words: Words<'_>) -> Result<bool, String> {
    let wanted = wanted("inspect", words)?;
    let mut store = Opened::to_look_at(&wanted)?;
    let mut streams = Vec::new();
    for id in store.streams()? {
        match look_at(&mut store, id) {
            Ok(looked) => streams.push(looked),
            Err(error @ StoreError::NoAccountKey { .. }) => {
                let text = format!("stream {}: {}", id.0, store.told(&error));
                store.damaged(text);
            }
            Err(error) => return Err(shown(&error)),
        }
    }
    if wanted.as_json {
        println!("{:#}", as_json(&store, &streams));
    } else {
        print(&wanted, &store, &streams);
    }
    Ok(store.is_whole)
}

fn look_at(store: &mut Opened, id: StreamId) -> Result<Looked, StoreError> {
    let (mut stream, _) = store.open_stream(id)?;
    let (state, blocks) = (stream.state(), stream.blocks()?);
    let aside = store.context().disk.list(&format!("{}/aside", stream_dir(id))).unwrap_or_default().len();
    Ok(Looked { id, state, blocks, aside })
}

fn server_keys(store: &Opened) -> Vec<String> {
    store.root.keys().iter().map(|key| format!("{key:?}")).collect()
}

fn as_json(store: &Opened, streams: &[Looked]) -> Value {
    let told: Vec<Value> = streams
        .iter()
        .map(|Looked { id, state, blocks, aside }| {
            let known = store.known.get(&id.0);
            json!({
                "id": id.0, "account": known.map(|known| &known.account), "name": known.map(|known| &known.stream),
                "messages": state.messages, "bytes": state.bytes, "first_seq": state.first_seq,
                "last_seq": state.last_seq, "subjects": state.subjects, "lost": state.lost_messages,
                "blocks": blocks.iter().map(block).collect::<Vec<_>>(), "kept_aside": aside,
            })
        })
        .collect();
    json!({
        "store": format!("{:?}", store.root.store()), "format": store.root.version(), "keys": server_keys(store),
        "account_keys": account_keys(store), "streams": told, "findings": store.findings, "whole": store.is_whole,
    })
}

fn block(block: &BlockInfo) -> Value {
    json!({
        "generation": block.generation, "first_seq": block.first, "last_seq": block.last, "messages": block.messages,
        "message_bytes": block.bytes, "file_bytes": block.len, "cipher": block.cipher.to_string(),
        "key": format!("{:?}", block.key), "account_key": block.account.map(|key| key.to_string()),
    })
}

fn account_keys(store: &Opened) -> Vec<Value> {
    let there = store.keyring.in_use().map(|(account, key)| (account, key, "in use"));
    let lost = store.keyring.all_lost().map(|(account, key)| (account, key, "missing"));
    let present = there.chain(lost);
    let present =
        present.map(|(account, key, state)| json!({ "account": account, "key": key.to_string(), "state": state }));
    let destroyed = store.keyring.destroyed().iter().map(|Destroyed { key, account, at, streams }| {
        let (key, at) = (key.to_string(), at.to_string());
        json!({ "account": account, "key": key, "state": "destroyed", "at": at, "streams": streams })
    });
    present.chain(destroyed).collect()
}

fn print(wanted: &Wanted, store: &Opened, streams: &[Looked]) {
    println!("Store {:?} in {}, format {}", store.root.store(), wanted.folder.display(), store.root.version());
    match server_keys(store).as_slice() {
        [] => println!("Not encrypted"),
        keys => println!("Sealed by key {}", keys.join(" and key ")),
    }
    for (account, key) in store.keyring.in_use() {
        println!("Account {account} has key {key} of its own");
    }
    for (account, key) in store.keyring.all_lost() {
        println!("Account {account} needs key {key}, which is NOT there");
    }
    for Destroyed { key, account, at, streams } in store.keyring.destroyed() {
        println!("Account {account} had key {key}, destroyed at {at} with {streams} streams");
    }
    for Looked { id, state, blocks, aside } in streams {
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
}

/// By what blocks are sealed, and how many.
fn seals(blocks: &[BlockInfo]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for block in blocks {
        let by = match (block.cipher, block.account) {
            (::store::Cipher::None, _) => "plain".to_owned(),
            (cipher, None) => format!("{cipher} by {:?}", block.key),
            (cipher, Some(key)) => format!("{cipher} by {:?} and {key}", block.key),
        };
        *counts.entry(by).or_default() += 1;
    }
    let told: Vec<String> = counts.into_iter().map(|(by, count)| format!("{count} {by}")).collect();
    told.join(", ")
}
