//! Acts that cannot be undone are confirmed by a person, or forced.

use anyhow::{Result, bail};

use crate::failure::advise;
use crate::show::{confirm, outln};

/// Whether to go on: forced, or a person said yes.
pub(crate) fn confirmed(is_forced: bool, question: &str) -> Result<bool> {
    if is_forced {
        return Ok(true);
    }
    confirm(question)
        .map_err(|error| advise(format!("could not obtain confirmation: {error}"), "--force does it without asking"))
}

/// The stream of a bucket is only touched when a person insists.
pub(crate) fn warn_of_bucket(stream: &str) -> Result<()> {
    if !stream.starts_with("KV_") {
        return Ok(());
    }
    outln!("WARNING: Operating on the underlying stream of a Key-Value bucket is dangerous.\n");
    outln!("Key-Value stores are an abstraction above JetStream streams and as such require particular");
    outln!("configuration to be set. Interacting with KV buckets outside of the 'nats kv' subcommand can lead");
    outln!("unexpected outcomes, data loss and, technically, will mean your KV bucket is no longer a KV bucket.\n");
    outln!("Continuing this operation is an unsupported action.\n");
    if !confirm("Really operate on the KV stream?")? {
        bail!("aborting Key-Value store operation");
    }
    Ok(())
}
