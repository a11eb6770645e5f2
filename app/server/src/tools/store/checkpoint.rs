//! Checkpoints: what an operator keeps elsewhere to find out that a store is an older one.
//!
//! A store alone can not tell that all of it was put back to an earlier day, nor a loss of its newest records from a crash.
//! A checkpoint says how far each stream was, and marks some of its messages by a digest; it holds no name, subject or
//! message.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{Damage, FileStream, Finding, StoreError};

/// Messages of each stream that are marked.
const MARKS: u64 = 32;

/// How far one stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamMark {
    pub(super) id: u64,
    last_seq: u64,
    generation: u64,
    /// Some messages, by sequence, with digests.
    marks: Vec<(u64, String)>,
}

/// How far a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) store: String,
    pub(super) made: String,
    pub(super) metadata: u64,
    pub(super) streams: Vec<StreamMark>,
}

impl StreamMark {
    /// How far a stream is now.
    pub(super) fn of(stream: &mut FileStream) -> Result<StreamMark, StoreError> {
        let state = stream.state();
        let generation = stream.blocks()?.last().map_or(0, |block| block.generation);
        let span = (state.last_seq + 1).saturating_sub(state.first_seq);
        let step = (span / MARKS).max(1);
        let mut marks = Vec::new();
        // The newest first: what is cut off is cut off there.
        let mut seq = state.last_seq;
        while seq >= state.first_seq.max(1) && marks.len() < MARKS as usize {
            if let Some(digest) = digest(stream, seq)? {
                marks.push((seq, digest));
            }
            seq = seq.saturating_sub(step);
        }
        Ok(StreamMark { id: stream.id().0, last_seq: state.last_seq, generation, marks })
    }

    /// What shows that a stream is not what it was, or went back. `findings` are those of the stream: what looks like a write
    /// that a crash cut off is none where the checkpoint knows the messages.
    pub(super) fn differences(&self, stream: &mut FileStream, findings: &[Finding]) -> Result<Vec<String>, StoreError> {
        let now = StreamMark::of(stream)?;
        let mut found = Vec::new();
        let torn = findings.iter().filter(|finding| finding.what == Damage::TornTail);
        for lost in torn.filter_map(|finding| finding.lost.clone()).filter(|lost| *lost.start() <= self.last_seq) {
            let (id, first, last) = (self.id, lost.start(), (*lost.end()).min(self.last_seq));
            found.push(format!(
                "stream {id:016x}, messages {first} to {last} do not open, and were there at the checkpoint"
            ));
        }
        if now.last_seq < self.last_seq {
            found.push(format!(
                "stream {:016x} is from before the checkpoint: its last message is {}, it was {}",
                self.id, now.last_seq, self.last_seq
            ));
        } else if now.generation < self.generation {
            found.push(format!("stream {:016x} is from before the checkpoint: its newest block is older", self.id));
        }
        for (seq, marked) in &self.marks {
            // One that is not there was removed since, or is among what went back.
            if digest(stream, *seq)?.is_some_and(|digest| digest != *marked) {
                found.push(format!("stream {:016x}, message {seq}: another one than at the checkpoint", self.id));
            }
        }
        Ok(found)
    }
}

fn digest(stream: &mut FileStream, seq: u64) -> Result<Option<String>, StoreError> {
    let id = stream.id().0;
    Ok(stream.load(seq)?.map(|message| {
        let mut hash = Sha256::new();
        hash.update(id.to_le_bytes());
        hash.update(seq.to_le_bytes());
        hash.update(message.time().as_nanos().to_le_bytes());
        for part in [message.subject(), message.headers(), message.payload()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }))
}

impl Checkpoint {
    pub(super) fn write(&self) -> String {
        let streams: Vec<Value> = self
            .streams
            .iter()
            .map(|stream| {
                let StreamMark { id, last_seq, generation, marks } = stream;
                json!({ "id": id, "last_seq": last_seq, "generation": generation, "marks": marks })
            })
            .collect();
        let all = json!({
            "store": self.store, "made": self.made, "metadata": self.metadata, "streams": streams,
        });
        format!("{all:#}\n")
    }

    pub(super) fn read(text: &str) -> Option<Checkpoint> {
        let value: Value = serde_json::from_str(text).ok()?;
        let string = |value: &Value| value.as_str().map(str::to_owned);
        let mark = |value: &Value| Some((value.get(0)?.as_u64()?, string(value.get(1)?)?));
        let stream = |value: &Value| {
            Some(StreamMark {
                id: value.get("id")?.as_u64()?,
                last_seq: value.get("last_seq")?.as_u64()?,
                generation: value.get("generation")?.as_u64()?,
                marks: value.get("marks")?.as_array()?.iter().map(mark).collect::<Option<_>>()?,
            })
        };
        Some(Checkpoint {
            store: string(value.get("store")?)?,
            made: string(value.get("made")?)?,
            metadata: value.get("metadata")?.as_u64()?,
            streams: value.get("streams")?.as_array()?.iter().map(stream).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let stream = StreamMark { id: 7, last_seq: 9, generation: 3, marks: vec![(9, "ab".into()), (4, "cd".into())] };
        let (store, made) = ("00ff".to_owned(), "2030-01-01T00:00:00Z".to_owned());
        let checkpoint = Checkpoint { store, made, metadata: 5, streams: vec![stream] };
        assert_eq!(Checkpoint::read(&checkpoint.write()), Some(checkpoint));
        assert_eq!(Checkpoint::read("{}"), None);
    }

    #[test]
    fn what_looks_torn_and_was_there_at_the_checkpoint_is_a_difference() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = std::sync::Arc::new(disk::RealDisk::open(folder.path()).expect("opens"));
        let root = store::Root::open(disk, std::sync::Arc::new(disk::OsEntropy), &store::Sealing::default());
        let context = root.expect("opens").root.context();
        let (id, files) = (store::StreamId(1), store::FileSettings::default());
        let mut stream = FileStream::create(context.clone(), "s", id, files, 1).expect("fresh");
        for n in 0..40_u8 {
            let draft =
                store::Draft { subject: b"s", headers: b"", payload: &[n + 1; 200], time: moment::Timestamp::EPOCH };
            stream.stage(&draft).expect("works");
        }
        stream.commit().expect("works");
        let mark = StreamMark::of(&mut stream).expect("reads");
        drop(stream);
        // One sector in the middle of the only write.
        let path = folder.path().join("s/0000000000000001.blk");
        let mut bytes = std::fs::read(&path).expect("a block");
        bytes[8192 + 4 * 512..8192 + 5 * 512].fill(0);
        std::fs::write(&path, bytes).expect("works");
        let mut opened = FileStream::open(context, "s", id, files, 1).expect("opens");
        assert!(opened.findings.iter().all(|finding| finding.what == Damage::TornTail), "{:?}", opened.findings);
        let differences = mark.differences(&mut opened.stream, &opened.findings).expect("reads");
        assert!(differences.iter().any(|line| line.contains("do not open, and were there")), "{differences:?}");
        let earlier = StreamMark { last_seq: 2, marks: Vec::new(), ..mark };
        assert_eq!(earlier.differences(&mut opened.stream, &opened.findings).expect("reads"), Vec::<String>::new());
    }
}
