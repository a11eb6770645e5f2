//! Project tasks: `cargo xtask TASK`. Progress is visible, failure is loud.

mod advisories;
mod arrows;
mod bench;
mod check;
mod corpus;
mod fuzz;
mod licences;
mod metadata;
mod prove;
mod prove_clients;
mod prove_dashboard;
mod reference;
mod shell;
mod start_order;
mod story;
mod table;

use std::process::ExitCode;

/// What went wrong, in words for the person who ran the task.
type Failure = String;

const USAGE: &str = "\
cargo xtask TASK

  check                       what a change must pass: format, lints, arrows, licences, docs, tests, story
  arrows                      the arrows of ARCHITECTURE.md against cargo metadata
  licences                    licences and bans of deny.toml against cargo metadata
  corpus                      every file of fuzz/corpus through its target, on the stable compiler
  fuzz [--seconds N] [TARGET…]  libFuzzer on the nightly compiler, 60 s each
  record [--ours] [NAME…]     transcripts of test/conformance, from the reference server (or ours, NATS_SERVER)
  story                       the README's story with the built binaries
  bench [SET] [--repeat N] [--seconds S] [--only A,B] [--servers NAME=BINARY,…] [--write]
                              side by side with the reference, interleaved; --write puts the table into docs/figures.md
  bench tenants [--repeat N] [--servers NAME=BINARY,…]
                              start with 10,000 accounts of 10 users: time, CPU, memory
  bench accounts [--repeat N] [--servers NAME=BINARY,…]
                              100,000 accounts in a directory: start, first logins, logins of unknown accounts
  bench js-start [--repeat N] [--servers NAME=BINARY,…]
                              start with 10 million messages in 100,000 subjects (BENCH_MESSAGES=N), stopped before, or killed
  start-order                 the functions that a start runs, for the linker: app/server/start.ld (wants valgrind)
  prove advisories            the advisory scenes against older references, as a control
  prove fuzz [--seconds N]    every fuzz target that long
  prove [AREA…]               long runs, written to docs/proofs/AREA.md
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nFAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), Failure> {
    match words {
        ["check"] => check::run(),
        ["arrows"] => arrows::run(),
        ["licences"] => licences::run(),
        ["corpus"] => corpus::run(),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["record", rest @ ..] => record(rest),
        ["story"] => story::run(),
        ["bench", rest @ ..] => bench::run(rest),
        ["start-order"] => start_order::run(),
        ["prove", "advisories"] => advisories::prove(),
        ["prove", "fuzz", rest @ ..] => fuzz::prove(rest),
        ["prove", rest @ ..] => prove::run(rest),
        _ => Err(format!("no such task\n\n{USAGE}")),
    }
}

fn record(words: &[&str]) -> Result<(), Failure> {
    let head = ["run", "--quiet", "--package", "bulwark-conformance", "--bin", "conformance", "--", "record"];
    shell::cargo(&[&head[..], words].concat())
}
