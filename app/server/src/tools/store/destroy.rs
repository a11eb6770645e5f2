//! `nats-server store destroy-key`: the key of one account goes, and with it what the account stores.

use std::io::{IsTerminal, Write};

use ::store::{StoreError, StreamId};
use jetstream::KeptStream;
use serde_json::json;

use super::{Opened, Wanted, lock, shown, wanted};
use crate::system;
use crate::tools::words::Words;

/// Destroys the key of an account. Whether it did: whoever is asked may say no.
pub fn destroy_key(words: Words<'_>) -> Result<bool, String> {
    let wanted = wanted("destroy-key", words)?;
    let account =
        wanted.account.as_deref().ok_or("store destroy-key needs the account whose key goes: --account NAME")?;
    // Whoever is asked and says no has changed nothing.
    let streams = streams_of(&Opened::to_look_at(&wanted)?, account)?.len();
    if !wanted.is_sure && !is_confirmed(account, streams)? {
        println!("Nothing was destroyed");
        return Ok(false);
    }
    let mut store = Opened::of(lock(&wanted.folder)?, &wanted.sealing)?;
    let streams = destroy(&mut store, account).map_err(|error| shown(&error))?;
    tell(&wanted, account, streams);
    Ok(true)
}

/// The streams that the metadata knows of an account that has a key of its own.
fn streams_of(store: &Opened, account: &str) -> Result<Vec<StreamId>, String> {
    if store.keyring.of(account).or(store.keyring.lost(account)).is_none() {
        return Err(format!("account {account} has no key of its own in this store"));
    }
    let of_account = store.known.iter().filter(|(_, known)| known.account == account);
    Ok(of_account.map(|(id, _)| StreamId(*id)).collect())
}

fn is_confirmed(account: &str, streams: usize) -> Result<bool, String> {
    if !std::io::stdin().is_terminal() {
        return Err("nobody is there to be asked whether the key is really to be destroyed: say --force".to_owned());
    }
    println!(
        "The key of account {account} will be destroyed, and {streams} streams with it. Nothing brings them back."
    );
    print!("Type the name of the account to go on: ");
    let mut answer = String::new();
    let asked = std::io::stdout().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    asked.map(|_| answer.trim() == account).map_err(|error| error.to_string())
}

/// How many streams went.
fn destroy(store: &mut Opened, account: &str) -> Result<u64, StoreError> {
    let streams = store.known.iter().filter(|(_, known)| known.account == account).map(|(id, _)| StreamId(*id));
    let going = (streams.collect(), KeptStream::beginnings(account).to_vec());
    let begun = store.keyring.begin_destroying((&store.root, &mut store.meta), account, going, system::wall())?;
    match begun {
        Some(key) => store.keyring.finish(&mut store.root, &mut store.meta, key),
        None => Ok(0),
    }
}

fn tell(wanted: &Wanted, account: &str, streams: u64) {
    if wanted.as_json {
        println!("{:#}", json!({ "account": account, "streams": streams }));
        return;
    }
    println!("The key of account {account} is destroyed; {streams} streams are gone");
    println!("A copy of its file elsewhere, in a backup, still opens copies of the streams");
}
