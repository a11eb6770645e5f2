//! Closing a stream, and opening it by what it remembered then.

use super::recovery::Recovery;
use super::{Block, FileStream};
use crate::aside;
use crate::disk::join;
use crate::error::{Damage, Finding, StoreError};
use crate::remembered::Remembered;
use crate::summary::{self, Found, Read, Summary, SummedBlock, summary_name};
use crate::tail::block_name;
use std::collections::BTreeMap;

impl FileStream {
    /// Commits what is staged, makes everything durable and writes down what opening would have to read all blocks for.
    pub fn close(&mut self) -> Result<(), StoreError> {
        self.commit()?;
        self.close_tail();
        while self.remove_leaving(usize::MAX) > 0 {}
        // After a torn write the next block says first that it goes on from there. What is still to be removed is removed by
        // whoever opens the stream.
        if self.summary.is_some() || self.found_torn || !self.dead.is_empty() || self.is_dirty() {
            return Ok(());
        }
        let summary = Summary { state: self.state(), blocks: self.summed_blocks()? };
        if summary.blocks.is_empty() {
            return Ok(());
        }
        let generation = self.take_generation();
        self.summary = Some(generation);
        if summary::write(&self.context, &self.dir, (self.id, generation), &summary, &self.subjects).is_err() {
            // The blocks say the same; a disk that is full is no reason not to end.
            self.drop_summary();
        }
        Ok(())
    }

    fn summed_blocks(&mut self) -> Result<Vec<SummedBlock>, StoreError> {
        let mut summed = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let path = join(&self.dir, &block_name(block.generation));
            let len = match &block.file {
                Some(open) => open.file.len(),
                None => self.context.disk.open(&path).and_then(|file| file.len()),
            };
            let file_len = len.map_err(StoreError::disk("reading", &path))?;
            summed.push(SummedBlock { facts: block.facts(), bytes: block.bytes, file_len });
        }
        Ok(summed)
    }

    /// What is written next is not in the summary. Should the removal be undone by a crash, the blocks are not those that it
    /// names.
    pub(super) fn drop_summary(&mut self) {
        if let Some(generation) = self.summary.take() {
            // Whoever opens the stream removes it as well.
            let _ = self.context.disk.remove(&join(&self.dir, &summary_name(generation)));
        }
    }
}

impl Recovery<'_> {
    /// Takes the stream as it was when it was closed, if nothing is otherwise. Summaries that are of no use go.
    pub(super) fn resume(&mut self) -> Result<bool, StoreError> {
        let Some(newest) = self.summaries.pop() else { return Ok(false) };
        // What is written later is newer than the summary, whatever becomes of it.
        self.stream.next_generation = newest + 1;
        for older in std::mem::take(&mut self.summaries) {
            self.remove_summary(older)?;
        }
        let context = self.stream.context.clone();
        match summary::read(&context, &self.stream.dir, (self.stream.id, newest))? {
            Found::Good(read) if self.is_as_it_was(&read.summary) => {
                self.take(newest, *read)?;
                Ok(true)
            }
            Found::Good(read) => {
                self.name_what_was_cut(newest, &read.summary);
                self.remove_summary(newest)?;
                Ok(false)
            }
            Found::Unfinished => {
                self.remove_summary(newest)?;
                Ok(false)
            }
            Found::Altered => {
                let (stream, file) = (self.stream.id, summary_name(newest));
                aside::keep_file(&*context.disk, &self.stream.dir, &file)?;
                self.findings.push(Finding { stream, file, what: Damage::Altered, bytes: None, lost: None });
                Ok(false)
            }
        }
    }

    fn remove_summary(&self, generation: u64) -> Result<(), StoreError> {
        let path = join(&self.stream.dir, &summary_name(generation));
        self.stream.context.disk.remove(&path).map_err(StoreError::disk("removing", &path))
    }

    /// Whether the files are exactly those of the summary.
    fn is_as_it_was(&self, summary: &Summary) -> bool {
        let named: BTreeMap<u64, u64> =
            summary.blocks.iter().map(|block| (block.facts.generation, block.file_len)).collect();
        self.files.len() == named.len()
            && self.files.iter().all(|(generation, file)| file.sound_len() == named.get(generation).copied())
    }

    /// As long as nothing was written since, the blocks are there in full, whatever crash there was.
    fn name_what_was_cut(&mut self, newest: u64, summary: &Summary) {
        if self.files.keys().any(|&generation| generation > newest) {
            return;
        }
        for block in &summary.blocks {
            let generation = block.facts.generation;
            match self.files.get(&generation).map(|file| file.len()) {
                None => self.find(generation, Damage::Missing, None),
                Some(len) if len < block.file_len => {
                    self.find(generation, Damage::Cut, Some((len, block.file_len)));
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, generation: u64, read: Read) -> Result<(), StoreError> {
        let Read { summary, subjects, is_sealed_as_it_should } = read;
        for SummedBlock { facts, bytes, .. } in summary.blocks {
            self.know(facts).into_iter().for_each(|block| block.bytes = bytes);
        }
        let stream = &mut *self.stream;
        stream.state = summary.state;
        stream.subjects = Remembered::packed(stream.seed, subjects);
        stream.blocks = std::mem::take(&mut self.blocks).into_values().collect();
        stream.blocks.sort_by_key(|block: &Block| (block.first, block.last));
        stream.summary = Some(generation);
        if !is_sealed_as_it_should {
            stream.drop_summary();
        }
        Ok(())
    }
}
