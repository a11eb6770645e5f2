//! Power cuts at every point, compared with a model.

use crate::house::*;
use bulwark_store::*;
use moment::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use testkit::{CrashDisk, Dice};

/// What must be true: what was acknowledged, and what was asked for since.
#[derive(Clone, Default)]
struct Model {
    acked: BTreeMap<u64, Vec<u8>>,
    acked_last: u64,
    staged: BTreeMap<u64, Vec<u8>>,
    staged_removals: BTreeSet<u64>,
}

impl Model {
    fn acknowledge(&mut self, last: u64) {
        self.acked.append(&mut self.staged);
        self.acked.retain(|seq, _| !self.staged_removals.contains(seq));
        self.staged_removals.clear();
        self.acked_last = last;
    }

    /// A legal state after a crash: nothing acknowledged is missing or changed, nothing removed is back, nothing is there
    /// that was never published.
    fn check(&self, stream: &mut FileStream, seed: u64) {
        assert!(stream.state().last_seq >= self.acked_last, "seed {seed}: a sequence would be used again");
        let found = contents(stream);
        for (seq, payload) in &self.acked {
            match found.get(seq) {
                Some(stored) => assert_eq!(stored, payload, "seed {seed}: message {seq} changed"),
                None => assert!(self.staged_removals.contains(seq), "seed {seed}: acknowledged message {seq} is lost"),
            }
        }
        for (seq, payload) in &found {
            let known = self.acked.get(seq).or_else(|| self.staged.get(seq));
            assert_eq!(known, Some(payload), "seed {seed}: message {seq} came from nowhere");
        }
        assert_eq!(stream.state().messages, found.len() as u64, "seed {seed}");
        assert_eq!(stream.state().lost_messages, 0, "seed {seed}");
    }

    /// Goes on from what is really there.
    fn settle(&mut self, stream: &mut FileStream) {
        *self = Model { acked: contents(stream), acked_last: stream.state().last_seq, ..Model::default() };
    }
}

fn contents(stream: &mut FileStream) -> BTreeMap<u64, Vec<u8>> {
    let state = stream.state();
    let mut found = BTreeMap::new();
    for seq in state.first_seq..=state.last_seq {
        if let Some(message) = stream.load(seq).expect("the disk works") {
            found.insert(seq, message.payload().to_vec());
        }
    }
    found
}

/// One random step. `Err` when the power went.
fn step(stream: &mut FileStream, model: &mut Model, dice: &mut Dice) -> Result<(), StoreError> {
    match dice.below(20) {
        0..=9 => {
            let (key, len) = (dice.below(6), dice.below(400) as usize);
            let payload = vec![b'a' + dice.below(26) as u8; len];
            let subject = format!("k.{key}");
            let seq = stream.state().last_seq + 1;
            model.staged.insert(seq, payload.clone());
            let time = Timestamp::from_secs(seq as i64);
            assert_eq!(
                stream.stage(&Draft { subject: subject.as_bytes(), headers: b"", payload: &payload, time })?,
                seq
            );
        }
        10 | 11 => {
            let subject = format!("k.{}", dice.below(6));
            let excess: Vec<u64> = {
                let filter = [subject::Filter::parse(subject.as_bytes()).expect("a filter")];
                let (mut at, mut seqs) = (1, Vec::new());
                while let Next::Message(message) = stream.next(&filter, at)? {
                    at = message.seq() + 1;
                    seqs.push(message.seq());
                }
                seqs
            };
            // What is staged counts, too; any of the old ones may go.
            model.staged_removals.extend(excess);
            let staged: Vec<u64> = model.staged.keys().copied().collect();
            model.staged_removals.extend(staged);
            let before: BTreeSet<u64> = model.acked.keys().chain(model.staged.keys()).copied().collect();
            let outcome = stream.trim_subject(subject.as_bytes(), 2);
            // Only those that really went count as removed.
            model.staged_removals.retain(|seq| before.contains(seq) && !stream.is_live(*seq));
            outcome?;
        }
        12 | 13 => {
            let seq = 1 + dice.below(stream.state().last_seq + 1);
            // Until the call returns it may have happened or not.
            let was_removed = !model.staged_removals.insert(seq);
            if !stream.remove(seq)? && !was_removed {
                model.staged_removals.remove(&seq);
            }
        }
        14 if dice.below(4) == 0 => {
            let first = 1 + dice.below(stream.state().last_seq + 1);
            model.staged_removals.extend(1..first);
            stream.remove_below(first)?;
        }
        15 => {
            let seq = 1 + dice.below(stream.state().last_seq + 1);
            let was_removed = !model.staged_removals.insert(seq);
            let erased = stream.erase(seq)?;
            if erased {
                model.acknowledge(stream.state().last_seq);
            } else if !was_removed {
                model.staged_removals.remove(&seq);
            }
        }
        16 if dice.below(3) == 0 => {
            stream.close()?;
            model.acknowledge(stream.state().last_seq);
        }
        16 => {
            stream.tidy()?;
        }
        _ => {
            stream.commit()?;
            model.acknowledge(stream.state().last_seq);
        }
    }
    Ok(())
}

fn life(seed: u64, cipher: Cipher) {
    let mut dice = Dice(seed);
    let mut disk = CrashDisk::new(seed);
    let mut model = Model::default();
    let mut stream = create(&disk, cipher);
    for _ in 0..4 {
        let cut_at = 3 + dice.below(120);
        disk.power_off_after(cut_at);
        let mut steps = 0;
        while step(&mut stream, &mut model, &mut dice).is_ok() && steps < 400 {
            steps += 1;
        }
        drop(stream);
        disk = if dice.below(4) == 0 { disk.kill() } else { disk.crash_with(dice.next()) };
        // A second crash while recovering must change nothing.
        if dice.below(3) == 0 {
            disk.power_off_after(dice.below(6));
            let _ = open_root(&disk, &sealing(cipher), dice.next())
                .and_then(|root| FileStream::open(root.context(), DIR, StreamId(1), small(), 1));
            disk = disk.crash_with(dice.next());
        }
        let opened = if dice.below(2) == 0 { open(&disk, cipher) } else { open_only(&disk, cipher) };
        let unexpected: Vec<&Finding> =
            opened.findings.iter().filter(|f| !f.what.is_expected_after_a_crash()).collect();
        assert!(unexpected.is_empty(), "seed {seed}: {unexpected:?}");
        stream = opened.stream;
        model.check(&mut stream, seed);
        model.settle(&mut stream);
    }
}

#[allow(clippy::disallowed_methods, reason = "a test is told from outside how long to run")]
fn seeds() -> u64 {
    std::env::var("CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(50)
}

#[test]
fn any_prefix_of_writes_reopens_to_a_legal_state() {
    (0..seeds()).for_each(|seed| life(seed, Cipher::None));
}

#[test]
fn any_prefix_of_sealed_writes_reopens_to_a_legal_state() {
    (0..seeds()).for_each(|seed| life(seed, if seed % 2 == 0 { Cipher::Aes } else { Cipher::ChaChaPoly }));
}

#[test]
fn an_acknowledged_value_outlives_the_torn_write_of_its_successor() {
    for seed in 0..200 {
        let disk = CrashDisk::new(seed);
        let mut stream = create(&disk, Cipher::Aes);
        stage(&mut stream, "key", b"old");
        stream.commit().expect("works");
        stage(&mut stream, "key", &[b'n'; 3000]);
        stream.trim_subject(b"key", 1).expect("works");
        let ticket = stream.flush().expect("writes").expect("a sync is due");
        drop(ticket);
        let mut stream = open(&disk.crash(), Cipher::Aes).stream;
        let last = stream.last_of(b"key").expect("works").expect("old or new, never neither");
        let value = stream.load(last).expect("reads").expect("is there");
        assert!(value.payload() == b"old" || value.payload() == [b'n'; 3000], "seed {seed}");
    }
}
