//! The `audit` block: the trail of who did what. Bulwark's own; the reference has none.

use std::path::PathBuf;
use std::time::Duration;

use conf::Node;
use nkeys::KeyPair;
use secret::Secret;

use crate::report::Report;

pub(crate) const KEYS: &[&str] =
    &["file", "size_limit", "max_files", "key", "checkpoint_interval", "window", "account"];

/// A file of the trail is put aside when it has grown past this, unless the block says otherwise.
const DEFAULT_SIZE_LIMIT_BYTES: u64 = 100 * 1024 * 1024;
/// Files that are kept unless the block says otherwise: with their size they bound the trail to about a gigabyte.
const DEFAULT_FILES_MAX: usize = 10;
/// How often the trail is signed.
const DEFAULT_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// How long repetitions are counted.
const DEFAULT_WINDOW: Duration = Duration::from_secs(10);

/// The trail of who did what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The file it is written to.
    pub file: PathBuf,
    /// The file is put aside when it has grown past this; never if zero.
    pub size_limit_bytes: u64,
    /// Files that are kept, the active one included; all if zero. With the size of one they bound the trail.
    pub files_max: usize,
    /// The seed of the key by which checkpoints are signed. Without one the trail is chained, not signed.
    pub key: Option<Secret<String>>,
    /// How often it is signed while there is something new.
    pub checkpoint_interval: Duration,
    /// Repetitions of the same refusal are counted that long and then written as one number.
    pub window: Duration,
    /// Records are published in this account too, on `audit.ACCOUNT.CLASS`.
    pub account: Option<String>,
}

/// Reads the block.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<Audit> {
    let map = report.map_or(node, "expected audit to be a map/struct")?;
    let mut file = None;
    let mut audit = Audit {
        file: PathBuf::new(),
        size_limit_bytes: DEFAULT_SIZE_LIMIT_BYTES,
        files_max: DEFAULT_FILES_MAX,
        key: None,
        checkpoint_interval: DEFAULT_CHECKPOINT_INTERVAL,
        window: DEFAULT_WINDOW,
        account: None,
    };
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "file" => report.set_path(value, &mut file),
            "size_limit" => {
                if let Some(size) = report.size("size_limit", value) {
                    audit.size_limit_bytes = u64::try_from(size).unwrap_or(0);
                }
            }
            "max_files" => report.set_count("max_files", value, &mut audit.files_max, 0),
            "key" => read_key(value, &mut audit.key, report),
            "checkpoint_interval" => {
                report.set_duration("checkpoint_interval", value, &mut audit.checkpoint_interval);
                audit.checkpoint_interval = audit.checkpoint_interval.max(Duration::from_secs(1));
            }
            "window" => {
                report.set_duration("window", value, &mut audit.window);
                audit.window = audit.window.max(Duration::from_secs(1));
            }
            "account" => report.set_optional_text(value, &mut audit.account),
            _ => report.unknown(key, value, KEYS),
        }
    }
    let Some(file) = file else {
        report.error_with(&node.place, "audit has no file to write to", "add file: \"/path/to/audit.jsonl\"");
        return None;
    };
    Some(Audit { file, ..audit })
}

fn read_key(node: &Node, key: &mut Option<Secret<String>>, report: &mut Report<'_>) {
    report.set_secret(node, key);
    let Some(seed) = key.as_ref() else { return };
    if KeyPair::from_seed(seed.expose()).is_err() {
        report.error_with(&node.place, "audit's key is no seed of a signing key", "nk -gen server makes one");
        *key = None;
    }
}
