//! Reading blocks whose records are sealed by the sheet.

use super::{BlockFile, Entry, contents_end};
use crate::contents::{End, Listing};
use crate::frame::Bound;
use crate::record::{self, CONTENTS_END_LEN, Record};
use crate::seal::TAG_LEN;
use crate::sheet::{self, RECORD_HEAD, SHEET, SHEET_HEAD};
use std::io;
use std::ops::Range;

/// Memory for an opened sheet that is kept for the next.
const OPENED_KEPT: usize = 1024 * 1024;

impl BlockFile {
    /// Where to look for the damage if a message can not be read: its frame, or its whole sheet.
    pub(crate) fn suspect(&self, entry: Entry) -> (u64, u64) {
        let (from, to) = entry.place();
        let Bound::Sheet { within } = entry.bound() else { return (from, to) };
        let start = from.saturating_sub((within + SHEET_HEAD) as u64);
        let there = self.window.from(start);
        let claim = sheet::claim(there, start, self.seal.generation());
        let len = claim.map_or(0, |claim| claim.len.min(there.len()));
        (start, to.max(start + len as u64))
    }

    /// Opens the sheet of a message, unless it was opened last, and says where the record lies in it. `None`: damage.
    pub(super) fn open_in_sheet(&mut self, entry: Entry, within: usize) -> io::Result<Option<Range<usize>>> {
        let len = entry.frame_len();
        let Some(start) = u64::from(entry.offset).checked_sub((within + SHEET_HEAD) as u64) else { return Ok(None) };
        if self.sheet != Some(start) {
            self.sheet = None;
            if self.opened.capacity() > OPENED_KEPT {
                self.opened = Vec::new();
            }
            self.read_sheet(start, SHEET_HEAD + SHEET.max(within + len) + TAG_LEN)?;
            let sealed = self.window.from(start);
            let Some(claim) = sheet::open(&self.seal, start, sealed, &mut self.opened) else { return Ok(None) };
            (self.sheet, self.window.next) = (Some(start), start + claim.len as u64);
        }
        let is_there = sheet::record_at(&self.opened, within).is_some_and(|record| RECORD_HEAD + record.len() == len);
        Ok(is_there.then_some(within + RECORD_HEAD..within + len))
    }

    /// Sees to it that the window holds a sheet, which is not longer than `most`.
    fn read_sheet(&mut self, start: u64, most: usize) -> io::Result<()> {
        let claim = sheet::claim(self.window.from(start), start, self.seal.generation());
        match claim {
            Some(claim) if self.window.covers(start, start + claim.len as u64) => Ok(()),
            _ => self.read_to_window(start, most),
        }
    }

    pub(super) fn contents_end_in_sheet(&self) -> io::Result<Option<End>> {
        let len = SHEET_HEAD + RECORD_HEAD + CONTENTS_END_LEN + self.seal.tag_len();
        let Some(at) = self.file.len()?.checked_sub(len as u64) else { return Ok(None) };
        let (mut bytes, mut plain) = (vec![0; len], Vec::new());
        self.file.read_at(at, &mut bytes)?;
        let is_one = sheet::open(&self.seal, at, &bytes, &mut plain).is_some_and(|claim| claim.len == len);
        Ok(if is_one { sheet::record_at(&plain, 0).and_then(contents_end) } else { None })
    }

    pub(super) fn listed_in_sheets(&self, table: &[u8], end: End) -> Option<Listing> {
        let mut listing = Listing::of(Bound::Sheet { within: 0 });
        let (mut at, mut plain) = (0, Vec::new());
        while at < table.len() {
            at += sheet::open(&self.seal, end.start + at as u64, table.get(at..)?, &mut plain)?.len;
            for (_, record) in sheet::records(&plain) {
                match record::decode(record)?.record {
                    Record::Contents(record) => listing.take(record)?,
                    Record::ContentsEnd(_) => {}
                    _ => return None,
                }
            }
        }
        (listing.entries.len() == end.messages as usize).then_some(listing)
    }
}
