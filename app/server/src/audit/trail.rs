//! A trail that is being written: the chain, the file, the signing.

use std::io;
use std::path::Path;
use std::time::Duration;

use ::audit::{Chain, ChainHead, Class, Outcome, Record};
use config::Audit as Settings;
use moment::{Instant, Timestamp};
use nkeys::KeyPair;

use super::file::TrailFile;

/// A trail.
pub struct Trail {
    chain: Chain,
    file: TrailFile,
    key: Option<KeyPair>,
    interval: Duration,
    sign_at: Instant,
    signed_up_to: u64,
    account: Option<String>,
}

impl Trail {
    /// Opens the file and goes on with the chain in it.
    pub fn open(settings: &Settings, now: Instant, wall: Timestamp) -> io::Result<Self> {
        let (file, last) = TrailFile::open(&settings.file, settings.size_limit_bytes, settings.files_max)?;
        let (head, what) = match last.as_deref().map(ChainHead::of_line) {
            None => (ChainHead::default(), "opened"),
            Some(Some(head)) => (head, "opened again"),
            Some(None) => (ChainHead::default(), "opened anew: the last line before cannot be read"),
        };
        let key = settings.key.as_ref().map(|seed| KeyPair::from_seed(seed.expose()));
        let key = key.transpose().map_err(|error| io::Error::other(error.to_string()))?;
        let mut trail = Self {
            chain: Chain::behind(head),
            file,
            key,
            interval: settings.checkpoint_interval,
            sign_at: now + settings.checkpoint_interval,
            signed_up_to: head.seq,
            account: settings.account.clone(),
        };
        let line = trail.chain.open(what, wall);
        trail.file.write(&line)?;
        Ok(trail)
    }

    /// Whether it is written into this file.
    pub fn is_in(&self, file: &Path) -> bool {
        self.file.path() == file
    }

    /// The account in which records are published.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Signs if that is due.
    pub fn look(&mut self, now: Instant, wall: Timestamp) -> io::Result<()> {
        if now >= self.sign_at {
            self.sign_at = now + self.interval;
            self.sign(wall)?;
        }
        Ok(())
    }

    /// Signs, and makes all durable.
    pub fn close(&mut self, wall: Timestamp) -> io::Result<()> {
        self.sign(wall)?;
        self.file.sync()
    }

    /// Writes a record. Its line.
    pub fn write(&mut self, record: Record, wall: Timestamp) -> io::Result<String> {
        let line = self.chain.append(record, wall);
        self.file.write(&line)?;
        if self.file.is_full() {
            self.sign(wall)?;
            let removed = self.file.rotate(wall)?;
            let first = self.chain.open("continued", wall);
            self.file.write(&first)?;
            for file in removed {
                let what = format!("{file} was removed: there are as many files as may be kept");
                let line = self.chain.append(Record { what, ..Record::new(Class::Trail, Outcome::Done) }, wall);
                self.file.write(&line)?;
            }
        }
        Ok(line)
    }

    /// Signs what is new, and makes it durable.
    fn sign(&mut self, wall: Timestamp) -> io::Result<()> {
        if self.chain.head().seq == self.signed_up_to {
            return Ok(());
        }
        if let Some(key) = &self.key {
            let line = self.chain.checkpoint(key, wall);
            self.file.write(&line)?;
        }
        self.signed_up_to = self.chain.head().seq;
        self.file.sync()
    }
}
