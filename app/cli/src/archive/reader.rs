//! Reading an archive by what its entries are about.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use zip::ZipArchive;

use crate::archive::{Kind, MANIFEST, Tag};

/// No answer of a server is larger; what claims to be would fill the memory.
const ENTRY_MAX_BYTES: u64 = 256 << 20;

/// An archive that was opened.
#[derive(Debug)]
pub(crate) struct Archive {
    zip: RefCell<ZipArchive<BufReader<File>>>,
    manifest: BTreeMap<String, Vec<Tag>>,
}

impl Archive {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("could not open {}", path.display()))?;
        let not_one = || format!("{} is not an archive of nats audit gather", path.display());
        let mut zip = ZipArchive::new(BufReader::new(file)).with_context(not_one)?;
        let manifest = read(&mut zip, MANIFEST).with_context(not_one)?;
        let manifest: BTreeMap<String, Vec<Tag>> = serde_json::from_slice(&manifest).with_context(not_one)?;
        if let Some(missing) = manifest.keys().find(|entry| zip.index_for_name(entry).is_none()) {
            bail!("{} is broken: its manifest names {missing}, which is not there", path.display());
        }
        Ok(Self { zip: RefCell::new(zip), manifest })
    }

    /// The paths of all entries.
    #[cfg(test)]
    pub(super) fn entries(&self) -> impl Iterator<Item = &str> {
        self.manifest.keys().map(String::as_str)
    }

    /// The clusters servers are in, with the one that stands for none.
    pub(crate) fn clusters(&self) -> Vec<&str> {
        self.values("cluster", &[])
    }

    pub(crate) fn servers(&self, cluster: &str) -> Vec<&str> {
        self.values("server", &[Tag::new("cluster", cluster)])
    }

    pub(crate) fn accounts(&self) -> Vec<&str> {
        self.values("account", &[])
    }

    pub(crate) fn streams(&self, account: &str) -> Vec<&str> {
        self.values("stream", &[Tag::new("account", account)])
    }

    /// The servers that have a stream.
    pub(crate) fn replicas(&self, account: &str, stream: &str) -> Vec<&str> {
        self.values("server", &[Tag::new("account", account), Tag::new("stream", stream)])
    }

    /// What one server answered, page by page.
    pub(crate) fn of_server(&self, cluster: &str, server: &str, kind: Kind) -> Result<Vec<Value>> {
        self.documents(&[
            Tag::new("cluster", cluster),
            Tag::new("server", server),
            Tag::new("artifact_type", kind.name()),
        ])
    }

    /// What all servers answered.
    pub(crate) fn of_all(&self, kind: Kind) -> Result<Vec<Value>> {
        self.documents(&[Tag::new("artifact_type", kind.name())])
    }

    /// What servers answered about an account.
    pub(crate) fn of_account(&self, account: &str, kind: Kind) -> Result<Vec<Value>> {
        self.documents(&[Tag::new("account", account), Tag::new("artifact_type", kind.name())])
    }

    /// What a server said about a stream.
    pub(crate) fn of_stream(&self, account: &str, stream: &str, server: &str) -> Result<Vec<Value>> {
        self.documents(&[
            Tag::new("account", account),
            Tag::new("stream", stream),
            Tag::new("server", server),
            Tag::new("artifact_type", "stream_info"),
        ])
    }

    /// A file about the archive itself.
    pub(crate) fn special(&self, name: &str) -> Result<Value> {
        let found = self.documents(&[Tag::new("special", name)])?;
        found.into_iter().next().with_context(|| format!("the archive has no {name}"))
    }

    /// All values that a tag has among the entries with these tags.
    fn values(&self, name: &str, with: &[Tag]) -> Vec<&str> {
        let entries = self.manifest.values().filter(|tags| with.iter().all(|tag| tags.contains(tag)));
        let values = entries.flatten().filter(|tag| tag.name == name).map(|tag| tag.value.as_str());
        values.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn documents(&self, with: &[Tag]) -> Result<Vec<Value>> {
        let entries = self.manifest.iter().filter(|(_, tags)| with.iter().all(|tag| tags.contains(tag)));
        entries
            .map(|(path, _)| {
                let content = read(&mut self.zip.borrow_mut(), path)?;
                serde_json::from_slice(&content).with_context(|| format!("{path} in the archive is not JSON"))
            })
            .collect()
    }
}

fn read(zip: &mut ZipArchive<BufReader<File>>, path: &str) -> Result<Vec<u8>> {
    let entry = zip.by_name(path).with_context(|| format!("the archive has no {path}"))?;
    let mut content = Vec::new();
    entry.take(ENTRY_MAX_BYTES + 1).read_to_end(&mut content).with_context(|| format!("{path} cannot be read"))?;
    if content.len() as u64 > ENTRY_MAX_BYTES {
        bail!("{path} in the archive is larger than {ENTRY_MAX_BYTES} bytes");
    }
    Ok(content)
}
