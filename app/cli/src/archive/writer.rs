//! Writing an archive: entries as they come, the manifest at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::archive::{MANIFEST, Place, Tag};

/// Pages are numbered with four digits.
const PAGES_MAX: u32 = 9999;

/// An archive that is being written.
pub(crate) struct Writer {
    zip: ZipWriter<File>,
    options: SimpleFileOptions,
    manifest: BTreeMap<String, Vec<Tag>>,
    pages: BTreeMap<String, u32>,
}

impl Writer {
    /// Begins an archive, for its owner only: it tells of accounts and connections. All entries bear this time.
    pub(crate) fn create(path: &Path, at: Timestamp) -> Result<Self> {
        let mut open = File::options();
        open.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
        let file = open.open(path).with_context(|| format!("could not create {}", path.display()))?;
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        let options = options.last_modified_time(dos_time(at)).large_file(true);
        Ok(Self { zip: ZipWriter::new(file), options, manifest: BTreeMap::new(), pages: BTreeMap::new() })
    }

    /// Adds a document, as one more page where there may be several.
    pub(crate) fn add(&mut self, place: &Place<'_>, document: &impl Serialize) -> Result<()> {
        self.add_bytes(place, &serde_json::to_vec_pretty(document)?)
    }

    /// Adds what is no document.
    pub(crate) fn add_bytes(&mut self, place: &Place<'_>, content: &[u8]) -> Result<()> {
        place.check()?;
        let path = self.path(place)?;
        if self.manifest.insert(path.clone(), place.tags()).is_some() {
            bail!("the archive has {path} already");
        }
        self.write(&path, content)
    }

    fn path(&mut self, place: &Place<'_>) -> Result<String> {
        let path = place.path();
        if !place.is_paged() {
            return Ok(path);
        }
        let page = self.pages.entry(path.clone()).or_default();
        *page += 1;
        if *page > PAGES_MAX {
            bail!("an archive has room for {PAGES_MAX} pages of {path}");
        }
        Ok(format!("{path}/{page:04}.json"))
    }

    fn write(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.zip.start_file(path, self.options)?;
        Ok(self.zip.write_all(content)?)
    }

    /// Writes the manifest and ends the archive.
    pub(crate) fn finish(mut self) -> Result<()> {
        let manifest = serde_json::to_vec_pretty(&self.manifest)?;
        self.write(MANIFEST, &manifest)?;
        self.zip.finish().context("the archive could not be finished").map(drop)
    }
}

/// A point in time as ZIP files know it: in steps of two seconds, from 1980 on.
fn dos_time(at: Timestamp) -> DateTime {
    let utc = at.to_zoned_datetime(TimeZone::UTC);
    let part = |number: i8| u8::try_from(number).unwrap_or(0);
    let year = u16::try_from(utc.year()).unwrap_or(0);
    DateTime::from_date_and_time(
        year,
        part(utc.month()),
        part(utc.day()),
        part(utc.hour()),
        part(utc.minute()),
        part(utc.second()),
    )
    .unwrap_or_default()
}
