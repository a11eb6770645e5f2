//! `nats-server store rotate-key`: everything is sealed by the keys and the cipher of the configuration.

use std::collections::BTreeSet;

use ::store::{KeyNo, StoreError, StreamId};
use jetstream::KeptStream;
use serde_json::json;

use super::{Opened, Wanted, end_progress, lock, progress, shown, wanted};
use crate::system;
use crate::tools::words::Words;

/// What was done.
#[derive(Default)]
struct Done {
    blocks: u64,
    streams: usize,
    /// Streams that do not open for want of the key of their account.
    skipped: usize,
    /// Accounts whose keys went because nothing takes them.
    retired: Vec<String>,
}

/// Seals everything by the keys and the cipher of the configuration. Whether all of it is.
pub fn rotate_key(words: Words<'_>) -> Result<bool, String> {
    let wanted = wanted("rotate-key", words)?;
    let mut store = Opened::of(lock(&wanted.folder)?, &wanted.sealing)?;
    let done = rotate(&mut store, &wanted).map_err(|error| shown(&error))?;
    end_progress(&wanted);
    tell(&wanted, &store, &done);
    Ok(store.is_whole && done.skipped == 0)
}

fn rotate(store: &mut Opened, wanted: &Wanted) -> Result<Done, StoreError> {
    let mut done = Done::default();
    let is_meta_due = settle_account_keys(store)? | store.meta.needs_reseal();
    let ids = store.root.stream_ids()?;
    for (at, &id) in ids.iter().enumerate() {
        match rotate_stream(store, wanted, id, (at + 1, ids.len())) {
            Ok(blocks) => done.blocks += blocks,
            Err(error @ StoreError::NoAccountKey { .. }) => {
                let text = format!("stream {}: {}", id.0, store.told(&error));
                store.damaged(text);
                done.skipped += 1;
            }
            Err(error) => return Err(error),
        }
    }
    if is_meta_due {
        store.meta.reseal()?;
    }
    done.streams = ids.len();
    done.retired = retire(store, &ids)?;
    if done.skipped == 0 {
        store.root.only_present_key()?;
    }
    Ok(done)
}

/// Accounts have keys of their own, or none, as the configuration says. Whether the metadata is to be sealed anew for that.
fn settle_account_keys(store: &mut Opened) -> Result<bool, StoreError> {
    let context = store.context();
    let known = store.known.values().map(|known| &known.account);
    let accounts: BTreeSet<String> = known.filter(|account| store.keyring.lost(account).is_none()).cloned().collect();
    let mut is_meta_due = false;
    for account in &accounts {
        let is_drawing = context.vault.draws_account_keys();
        let key: Option<KeyNo> =
            is_drawing.then(|| store.keyring.draw(&context, &mut store.meta, account)).transpose()?;
        for beginning in KeptStream::beginnings(account) {
            is_meta_due |= store.meta.seal_beginning(&beginning, key);
        }
    }
    for key in store.keyring.to_rewrap(&context) {
        store.keyring.rewrap(&context, key)?;
    }
    Ok(is_meta_due)
}

/// How many blocks were sealed anew.
fn rotate_stream(
    store: &mut Opened,
    wanted: &Wanted,
    id: StreamId,
    (at, of): (usize, usize),
) -> Result<u64, StoreError> {
    let (mut stream, _) = store.open_stream(id)?;
    let blocks = stream.blocks_to_reseal()?;
    for (done, block) in blocks.iter().enumerate() {
        let (name, all) = (store.name(id), blocks.len());
        progress(wanted, &format!("stream {at} of {of}, {name}: block {} of {all}", done + 1));
        stream.reseal(*block)?;
    }
    store.note(&stream.take_findings());
    Ok(blocks.len() as u64)
}

fn retire(store: &mut Opened, ids: &[StreamId]) -> Result<Vec<String>, StoreError> {
    if store.context().vault.draws_account_keys() || !store.root.has_account_keys() {
        return Ok(Vec::new());
    }
    let mut used = BTreeSet::new();
    for &id in ids {
        used.extend(store.root.account_keys_in(id)?);
    }
    store.keyring.retire((&mut store.root, &mut store.meta), &used, system::wall())
}

fn tell(wanted: &Wanted, store: &Opened, done: &Done) {
    let Done { blocks, streams, skipped, retired } = done;
    let key = store.root.keys().last().map(|key| format!("{key:?}"));
    if wanted.as_json {
        let accounts = store.keyring.in_use().count();
        println!(
            "{:#}",
            json!({
                "blocks": blocks, "streams": streams, "skipped": skipped, "key": key, "account_keys": accounts,
                "retired": retired, "findings": store.findings,
            })
        );
        return;
    }
    store.print_findings();
    match key {
        _ if *skipped > 0 => println!(
            "{blocks} blocks of {streams} streams were sealed anew; {skipped} streams do not open, and need the key before"
        ),
        Some(key) => println!("{blocks} blocks of {streams} streams were sealed anew; key {key} opens the store"),
        None => println!("{blocks} blocks of {streams} streams were written anew; the store is not encrypted"),
    }
    match (store.keyring.in_use().count(), store.context().vault.draws_account_keys()) {
        (accounts, true) => println!("{accounts} accounts have keys of their own beside"),
        (0, false) => {}
        (accounts, false) => println!("The keys of {accounts} accounts stay: files that are kept aside take them"),
    }
    for account in retired {
        println!("Nothing takes the key of account {account} any more, and it is gone");
    }
}
