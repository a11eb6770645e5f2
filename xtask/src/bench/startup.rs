//! `bench js-start`: how long a server with many stored messages takes to be ready, and what it holds then.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::start::{self, Started};
use crate::{Failure, shell};

/// Messages, over so many subjects; the number of messages may be set by `BENCH_MESSAGES`.
const MESSAGES: u64 = 10_000_000;
const SUBJECTS: u64 = 100_000;
const CONFIG: &str = "server.conf";

/// Fills a store for each server and kills it; tells the first start after that, and then the medians of starts in turn after
/// servers were stopped.
pub(super) fn run(rivals: &[(String, PathBuf)], repeat: usize, natsload: &Path) -> Result<String, Failure> {
    let messages = std::env::var("BENCH_MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(MESSAGES);
    let folder = std::env::temp_dir().join(format!("bulwark-start-{}", std::process::id()));
    let outcome = measure(rivals, repeat, natsload, messages, &folder);
    // What is left there is in nobody's way.
    let _ = fs::remove_dir_all(&folder);
    outcome
}

fn measure(
    rivals: &[(String, PathBuf)],
    repeat: usize,
    natsload: &Path,
    messages: u64,
    folder: &Path,
) -> Result<String, Failure> {
    let mut killed = String::new();
    for (name, binary) in rivals {
        let home = home(folder, name)?;
        fill(binary, natsload, messages, &home)?;
        let (server, cost) = start::start(binary, &home, CONFIG)?;
        let _ = writeln!(killed, "{name:10} {}", cost.line());
        server.stop()?;
    }
    let start = |name: &str, binary: &Path| start::start(binary, &home(folder, name)?, CONFIG);
    let stopped = start::in_turn(rivals, repeat, start, Started::stop)?;
    Ok(format!(
        "{messages} messages of 128 bytes in {SUBJECTS} subjects\nkilled before, one start each\n{killed}stopped before, median of \
         {repeat} starts in turn\n{stopped}"
    ))
}

fn home(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let home = folder.join(name);
    fs::create_dir_all(&home).map_err(|error| error.to_string())?;
    let store = home.join("store");
    let config = format!(
        "jetstream {{ store_dir: {:?}, max_mem: 4G, max_file: 40G, sync_interval: '2m' }}\n",
        store.display().to_string()
    );
    fs::write(home.join(CONFIG), config).map_err(|error| error.to_string())?;
    Ok(home)
}

fn fill(binary: &Path, natsload: &Path, messages: u64, home: &Path) -> Result<(), Failure> {
    let (server, _) = start::start(binary, home, CONFIG)?;
    let (count, subjects, url) = (messages.to_string(), SUBJECTS.to_string(), format!("nats://{}", server.address));
    let words = ["js-fill", "--inflight", "1000", "--size", "128", "--count", &count, "--total-subs", &subjects];
    shell::read(Command::new(natsload).args(words).args(["--timeout", "60", "--json", "--url", &url]))?;
    // Killed with the last message just acknowledged.
    drop(server);
    Ok(())
}
