//! Every file of the corpus through its target, whole, cut short, and with bytes changed: on the stable compiler.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use bulwark_fuzz::{TARGETS, Target};

/// Changed copies of each file.
const CHANGES: u64 = 200;
/// Files longer than this are not cut at every byte.
const LONGEST_CUT: usize = 2_000;

fn files(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn replay(target: &Target, file: &Path, bytes: &[u8]) {
    let outcome = catch_unwind(|| target.1(bytes));
    assert!(outcome.is_ok(), "{} fails for {}: {:?}", target.0, file.display(), String::from_utf8_lossy(bytes));
}

/// A small generator, so that a failure can be repeated.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap()
}

fn changed(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    const LETTERS: &[u8] = b"\0\r\n\t .*>\"'{}[]:,$09az-_\x7f\xff";
    let mut copy = bytes.to_vec();
    for _ in 0..=next(state) % 4 {
        let letter = LETTERS[next(state) % LETTERS.len()];
        let at = next(state) % (copy.len() + 1);
        match next(state) % 3 {
            0 => copy.insert(at, letter),
            1 if at < copy.len() => copy[at] = letter,
            _ if at < copy.len() => drop(copy.remove(at)),
            _ => {}
        }
    }
    copy
}

#[test]
fn every_target_has_a_corpus() {
    for (name, _) in TARGETS {
        assert!(!files(name).is_empty(), "{name} has no corpus");
    }
}

#[test]
fn the_corpus_breaks_nothing() {
    let mut count = 0;
    for target in &TARGETS {
        for file in files(target.0) {
            replay(target, &file, &fs::read(&file).unwrap());
            count += 1;
        }
    }
    println!("{count} files");
}

#[test]
fn the_corpus_cut_short_breaks_nothing() {
    for target in &TARGETS {
        for file in files(target.0) {
            let bytes = fs::read(&file).unwrap();
            (0..bytes.len().min(LONGEST_CUT)).for_each(|length| replay(target, &file, &bytes[..length]));
        }
    }
}

#[test]
fn the_corpus_with_bytes_changed_breaks_nothing() {
    for target in &TARGETS {
        for file in files(target.0) {
            let bytes = fs::read(&file).unwrap();
            let mut state = 0x9e37_79b9_7f4a_7c15;
            (0..CHANGES).for_each(|_| replay(target, &file, &changed(&bytes, &mut state)));
        }
    }
}
