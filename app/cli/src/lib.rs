//! The `nats` command line: publish, subscribe, ask, answer, measure and administer, with the words and flags people know.
//!
//! This crate decides what a person typed, which context it means, and how an answer is shown. It does not speak the
//! protocol itself: connections are made by `async-nats`, except `link::Line`, a small sequential connection for the
//! commands that must know that the server has *seen* what was sent (`pub`, `rtt`). It keeps no state but the context
//! files under `~/.config/nats`, and what `nats auth` signs under `~/.local/share/nats/nsc`.
//!
//! The parts: `global` (flags that every command takes), `context` (files, precedence, credentials), `link` (connecting
//! and explaining why that failed), `vault` (tokens and keys of operators), `show` (tables, columns, numbers), `parse`
//! (durations, sizes, words), `template`, `expression` (conditions people write), `archive` (what servers answered, in a file), and
//! `command`, one file per command.
//!
//! ```
//! let nats = bulwark_cli::command();
//! assert!(nats.find_subcommand("pub").is_some());
//! ```

mod archive;
mod command;
mod context;
mod expression;
mod failure;
mod global;
mod help;
mod invocation;
mod link;
mod parse;
mod show;
mod template;
mod vault;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, error::ErrorKind};

use crate::command::Command;
use crate::global::GlobalArgs;
use crate::invocation::Invocation;

/// Publish, subscribe, measure and administer NATS.
#[derive(Debug, Parser)]
#[command(
    name = "nats",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    subcommand_required = true,
    infer_long_args = false,
    after_help = "See 'nats cheat' for examples of the common commands."
)]
struct Nats {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// The whole tree of commands: what completion scripts and manual pages are made from.
pub fn command() -> clap::Command {
    Nats::command()
}

/// Runs one command line and says how it ended.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(script) = args.get(1).and_then(|arg| command::asked_for_script(arg)) {
        return print_script(script);
    }
    let typed: Vec<String> = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    if typed.iter().any(|word| word == "--help-llm") {
        return print_guide(&typed);
    }
    let matched = command().try_get_matches_from(&args).and_then(|found| Nats::from_arg_matches(&found));
    match matched {
        Ok(nats) => start(nats),
        Err(error) => elsewhere(&error, &args).unwrap_or_else(|| not_understood(&error, &typed)),
    }
}

/// A command that is not ours may be a program of its own: `nats shop` is `nats-shop`.
fn elsewhere(error: &clap::Error, args: &[OsString]) -> Option<ExitCode> {
    let program = command::External::find(error, args)?;
    Some(program.run().unwrap_or_else(|error| failure::report(&error)))
}

/// What machines read instead of help.
fn print_guide(typed: &[String]) -> ExitCode {
    let tree = command();
    let (path, _) = command::examples::path_of(&tree, typed.iter().map(String::as_str));
    show::write_out(command::guide::page(&tree, &path).as_bytes());
    ExitCode::SUCCESS
}

fn start(nats: Nats) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&error.into()),
    };
    let ended = runtime.block_on(async { nats.command.run(&Invocation::new(nats.global)).await });
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

/// The start files of people's shells ask for completion with a flag, and want nothing else.
fn print_script(script: command::Completion) -> ExitCode {
    script.run().map_or_else(|error| failure::report(&error), |()| ExitCode::SUCCESS)
}

/// Measurements with many clients use all cores; everything else is content with two.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2)
}

/// What was typed is not a command: the text and the usage, and exit code 1 as people's scripts expect it.
fn not_understood(error: &clap::Error, typed: &[String]) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayVersion => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelp => {
            let page = help::page(&mut command(), typed);
            show::write_out(help::painted(&page, show::stdout_is_terminal()).as_bytes());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let page = help::page(&mut command(), typed);
            eprint!("{}", help::painted(&page, show::stderr_is_terminal()));
            ExitCode::FAILURE
        }
        _ => {
            eprint!("nats: ");
            let _ = error.print();
            if error.kind() == ErrorKind::MissingRequiredArgument
                && let Some(example) = help::example(&command(), typed)
            {
                eprintln!("\nFor example: {example}");
            }
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_of_commands_is_consistent() {
        super::command().debug_assert();
    }

    #[test]
    fn what_people_type_is_understood() {
        let tree = super::command();
        let lines = include_str!("../tests/words.list").lines().filter(|line| line.starts_with("nats "));
        let mut strange = Vec::new();
        for line in lines {
            let words = super::parse::words(line).unwrap();
            if let Err(error) = tree.clone().try_get_matches_from(words) {
                strange.push(format!("{line}: {error}"));
            }
        }
        assert!(strange.is_empty(), "{}", strange.join("\n"));
        for gone in [&["nats", "bench", "a", "--pub", "1"][..], &["nats", "governor"], &["nats", "pub"]] {
            assert!(tree.clone().try_get_matches_from(gone).is_err(), "{gone:?}");
        }
    }
}
