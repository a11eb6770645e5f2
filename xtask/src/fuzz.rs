//! The fuzz targets with libFuzzer, on the nightly compiler. No tool but rustup is needed.

use std::process::Command;

use crate::shell::{self, root};
use crate::{Failure, corpus};

/// What makes a program tell libFuzzer where it has been.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1";
/// With a target named the flags do not reach build scripts.
const HOST: &str = "x86_64-unknown-linux-gnu";

pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    let (seconds, wanted) = seconds_of(words);
    let known = corpus::targets()?;
    let chosen: Vec<&String> =
        known.iter().filter(|target| wanted.is_empty() || wanted.contains(&target.as_str())).collect();
    if chosen.is_empty() {
        return Err(format!("no target {wanted:?}; there are {known:?}"));
    }
    build()?;
    chosen.into_iter().try_for_each(|target| fuzz(target, seconds).map(drop))
}

fn seconds_of<'a, 'b>(words: &'b [&'a str]) -> (&'a str, &'b [&'a str]) {
    match words {
        ["--seconds", seconds, wanted @ ..] => (seconds, wanted),
        wanted => ("60", wanted),
    }
}

/// All targets for a long time; the counts go to `docs/proofs/fuzz.md`.
pub(crate) fn prove(words: &[&str]) -> Result<(), Failure> {
    let (seconds, _) = seconds_of(words);
    build()?;
    let mut rows = String::new();
    for target in corpus::targets()? {
        rows.push_str(&format!("| {target} | {} |\n", fuzz(&target, seconds)?));
    }
    let commit = shell::read(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root()))?;
    let page = format!(
        "# fuzz\n\nEvery target for {seconds} s with libFuzzer and no finding, commit {}: `cargo xtask prove fuzz --seconds {seconds}`.\n\n\
         | target | inputs |\n|---|---|\n{rows}",
        commit.trim()
    );
    std::fs::write(root().join("docs").join("proofs").join("fuzz.md"), page).map_err(|error| error.to_string())
}

fn build() -> Result<(), Failure> {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "build", "--release", "--locked", "--features", "libfuzzer", "--bins"]);
    // The flags replace those of the house's configuration, and the compiler that runs us is not the one wanted.
    command
        .args(["--target", HOST])
        .env("RUSTFLAGS", INSTRUMENTATION)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO");
    shell::run(command.current_dir(root().join("fuzz")))
}

/// Gives the number of inputs. New ones go to `fuzz/target/found`, crashes beside it.
fn fuzz(target: &str, seconds: &str) -> Result<String, Failure> {
    let place = root().join("fuzz").join("target");
    let (found, crashes) = (place.join("found").join(target), place.join("crashes"));
    for folder in [&found, &crashes] {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let mut command = Command::new(place.join(HOST).join("release").join(target));
    command.arg(format!("-max_total_time={seconds}")).args(["-print_final_stats=1", "-rss_limit_mb=4096"]);
    command.arg(format!("-artifact_prefix={}/{target}-", crashes.display()));
    command.arg(found).arg(root().join("fuzz").join("corpus").join(target));
    println!("== {target}");
    let output = command.output().map_err(|error| format!("{target}: {error}"))?;
    let said = shell::text(&output.stderr);
    if !output.status.success() {
        let last: Vec<&str> = said.lines().rev().take(40).collect();
        return Err(format!("{target}: {}\n{}", output.status, last.into_iter().rev().collect::<Vec<_>>().join("\n")));
    }
    let count = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let count = count.unwrap_or("?").trim().to_owned();
    println!("   {count} inputs");
    Ok(count)
}
